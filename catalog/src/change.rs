//! A pending change and what it does to a snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::deletes::Positions;
use crate::error::{Error, NamedObject, Result};
use crate::inline::NewRows;
use crate::model::{
    Column, ColumnId, DataFile, FileId, Relation, Schema, SchemaId, Table, TableId, View, ViewId,
};
use crate::snapshot::Snapshot;

/// One pending change. Objects are named by id; ids of objects made here are local.
#[derive(Debug, Clone)]
pub enum Change {
    /// Makes an empty schema.
    CreateSchema(Schema),
    /// Drops a schema, which must be empty.
    DropSchema(SchemaId),
    /// Makes an empty table.
    CreateTable(Table),
    /// Drops a table.
    DropTable(TableId),
    /// Puts a table in a schema, under a name.
    RenameTable(TableId, SchemaId, String),
    /// Gives a table other columns.
    SetColumns(TableId, Vec<Column>),
    /// Appends files to a table.
    AddFiles(TableId, Vec<Arc<DataFile>>),
    /// Deletes rows of a file.
    DeleteRows(TableId, FileId, Arc<Positions>),
    /// Adds rows to a table that lie in the catalog database.
    Inline(TableId, Arc<NewRows>),
    /// Deletes such rows, by row id.
    DeleteInlined(TableId, Arc<Positions>),
    /// Takes files out of a table whose rows are in files that are added.
    Rewrite(TableId, BTreeSet<FileId>),
    /// Says that the inlined rows of a table which are deleted are the rows of files which are added.
    Flush(TableId),
    /// Takes whole files out of a table.
    DropFiles(TableId, BTreeSet<FileId>),
    /// Makes a view.
    CreateView(View),
    /// Drops a view.
    DropView(ViewId),
    /// Puts a view in a schema, under a name.
    RenameView(ViewId, SchemaId, String),
    /// Sets or removes the comment of a schema.
    SetSchemaComment(SchemaId, Option<String>),
    /// Sets or removes a tag of a table.
    SetTableTag(TableId, String, Option<String>),
    /// Sets or removes a tag of a view.
    SetViewTag(ViewId, String, Option<String>),
    /// Sets or removes the comment of a column.
    SetColumnComment(TableId, ColumnId, Option<String>),
}

impl Change {
    fn check_case(&self, snapshot: &Snapshot) -> Result<()> {
        let differs = |name: &str, other: &str| name != other && name.eq_ignore_ascii_case(other);
        let taken = |object: NamedObject, name: &str, existing: &str| Error::SameButForCase {
            object,
            name: name.to_owned(),
            existing: existing.to_owned(),
        };
        let relation = |schema: SchemaId, name: &str, own: Option<&str>| {
            let schema = snapshot.expect_schema(schema)?;
            let mut names = schema.relations.keys();
            match names.find(|other| Some(other.as_str()) != own && differs(name, other)) {
                Some(existing) => Err(taken(NamedObject::Relation, name, existing)),
                None => Ok(()),
            }
        };
        match self {
            Self::CreateSchema(schema) => {
                let mut schemas = snapshot.schemas();
                match schemas.find(|other| differs(&schema.name, &other.name)) {
                    Some(existing) => Err(taken(NamedObject::Schema, &schema.name, &existing.name)),
                    None => Ok(()),
                }
            }
            Self::CreateTable(table) => {
                check_columns(&table.columns)?;
                relation(table.schema_id, &table.name, None)
            }
            Self::CreateView(view) => relation(view.schema_id, &view.name, None),
            Self::RenameTable(id, schema, name) => {
                let table = snapshot.expect_table(*id)?;
                let own = (table.schema_id == *schema).then_some(table.name.as_str());
                relation(*schema, name, own)
            }
            Self::RenameView(id, schema, name) => {
                let view = snapshot.view_by_id(*id);
                let view = view.filter(|view| view.schema_id == *schema);
                relation(*schema, name, view.map(|view| view.name.as_str()))
            }
            Self::SetColumns(_, columns) => check_columns(columns),
            _ => Ok(()),
        }
    }

    /// Whether only rows change: the definitions stay, and with them the version of the schema.
    pub fn is_of_rows(&self) -> bool {
        matches!(
            self,
            Self::AddFiles(..)
                | Self::DeleteRows(..)
                | Self::Inline(..)
                | Self::DeleteInlined(..)
                | Self::Flush(_)
                | Self::Rewrite(..)
                | Self::DropFiles(..)
        )
    }

    /// The change that drops a relation.
    pub fn drop_of(relation: &Relation) -> Self {
        match relation {
            Relation::Table(table) => Self::DropTable(table.id),
            Relation::View(view) => Self::DropView(view.id),
        }
    }

    /// Lays the change over `snapshot`.
    ///
    /// # Errors
    /// For names that are taken, also where only the case of letters tells them apart: other readers of the format would
    /// find neither.
    pub fn apply(&self, snapshot: &mut Snapshot) -> Result<()> {
        self.check_case(snapshot)?;
        match self {
            Self::CreateSchema(schema) => snapshot.put_schema(Arc::new(schema.clone())),
            Self::DropSchema(id) => snapshot.remove_schema(*id),
            Self::CreateTable(table) => snapshot.put_table(table.clone()),
            Self::DropTable(id) => snapshot.remove_table(*id),
            Self::RenameTable(id, schema, name) => {
                let table = Arc::clone(snapshot.expect_table(*id)?);
                let schema = snapshot.expect_schema(*schema)?;
                let mut moved = Table {
                    name: name.clone(),
                    schema_id: schema.id,
                    schema: schema.name.clone(),
                    ..Table::clone(&table)
                };
                let schema_path = (schema.path.clone(), schema.path_is_relative);
                if moved.path_is_relative && moved.schema_path != schema_path {
                    // The files stay in the directory of the schema that the table was made in.
                    let directory = table.directory(snapshot.data_path());
                    (moved.path, moved.path_is_relative) = (directory, false);
                }
                moved.schema_path = schema_path;
                snapshot.put_table(moved)
            }
            Self::SetColumns(id, columns) => {
                let table = snapshot.expect_table(*id)?;
                let parts = columns.iter().flat_map(Column::walk);
                let last = parts.map(|part| part.id.0).max().unwrap_or(0);
                let next_column_id = table.next_column_id.max(last + 1);
                let table = Table {
                    next_column_id,
                    ..table.with_columns(columns.clone())
                };
                snapshot.put_table(table)
            }
            Self::AddFiles(id, files) => {
                let table = snapshot
                    .expect_table(*id)?
                    .with_files(files.iter().cloned());
                snapshot.put_table(table)
            }
            Self::DeleteRows(id, file, positions) => {
                let table = snapshot.expect_table(*id)?;
                let deletes = table.deletes.get(file).cloned().unwrap_or_default();
                let table = table.with_deletes(*file, deletes.with(positions));
                snapshot.put_table(table)
            }
            Self::Inline(id, rows) => {
                let table = snapshot.expect_table(*id)?;
                let table = table.with_inlined(table.inlined.with(rows.chunk.clone())?);
                snapshot.put_table(table)
            }
            Self::DeleteInlined(id, rows) => {
                let table = snapshot.expect_table(*id)?;
                let table = table.with_inlined(table.inlined.without(rows)?);
                snapshot.put_table(table)
            }
            Self::Flush(_) => Ok(()),
            Self::DropFiles(id, files) | Self::Rewrite(id, files) => {
                let table = snapshot.expect_table(*id)?.without_files(files);
                snapshot.put_table(table)
            }
            Self::CreateView(view) => snapshot.put_view(view.clone()),
            Self::DropView(id) => snapshot.remove_view(*id),
            Self::RenameView(id, schema, name) => {
                let schema = snapshot.expect_schema(*schema)?;
                let view = View {
                    name: name.clone(),
                    schema_id: schema.id,
                    schema: schema.name.clone(),
                    ..expect_view(snapshot, *id)?
                };
                snapshot.put_view(view)
            }
            Self::SetSchemaComment(id, comment) => {
                snapshot.alter_schema(*id, |schema| schema.comment.clone_from(comment))
            }
            Self::SetTableTag(id, key, value) => {
                let mut table = Table::clone(snapshot.expect_table(*id)?);
                set(&mut table.tags, key, value.as_ref());
                snapshot.put_table(table)
            }
            Self::SetViewTag(id, key, value) => {
                let mut view = expect_view(snapshot, *id)?;
                set(&mut view.tags, key, value.as_ref());
                snapshot.put_view(view)
            }
            Self::SetColumnComment(id, column, comment) => {
                let table = snapshot.expect_table(*id)?;
                let mut columns = table.columns.clone();
                for candidate in columns
                    .iter_mut()
                    .filter(|candidate| candidate.id == *column)
                {
                    candidate.comment.clone_from(comment);
                }
                let table = table.with_columns(columns);
                snapshot.put_table(table)
            }
        }
    }
}

fn set(tags: &mut BTreeMap<String, String>, key: &str, value: Option<&String>) {
    match value {
        Some(value) => tags.insert(key.to_owned(), value.clone()),
        None => tags.remove(key),
    };
}

fn expect_view(snapshot: &Snapshot, id: ViewId) -> Result<View> {
    snapshot
        .view_by_id(id)
        .map(|view| View::clone(view))
        .ok_or_else(|| {
            Error::Internal(format!(
                "a pending change names view {id}, which the snapshot does not have"
            ))
        })
}

/// Refuses columns whose names differ only in the case of letters.
fn check_columns(columns: &[Column]) -> Result<()> {
    for (position, column) in columns.iter().enumerate() {
        let mut before = columns.iter().take(position);
        if let Some(existing) = before.find(|other| {
            other.name != column.name && other.name.eq_ignore_ascii_case(&column.name)
        }) {
            return Err(Error::SameButForCase {
                object: NamedObject::Column,
                name: column.name.clone(),
                existing: existing.name.clone(),
            });
        }
    }
    Ok(())
}
