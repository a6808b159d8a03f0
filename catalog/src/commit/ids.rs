//! Ids: those that commit gives to what a transaction has made.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::change::Change;
use crate::error::{Error, Result};
use crate::model::{DataFile, FileId, LOCAL, Schema, SchemaId, Table, TableId, View, ViewId};

/// Gives objects that the transaction made their ids.
pub(super) struct Ids {
    pub(super) next: i64,
    pub(super) known: HashMap<i64, i64>,
}

impl Ids {
    fn make(&mut self, local: i64) -> i64 {
        let id = self.next;
        self.next += 1;
        self.known.insert(local, id);
        id
    }

    pub(super) fn map(&self, id: i64) -> Result<i64> {
        if id < LOCAL {
            return Ok(id);
        }
        self.known.get(&id).copied().ok_or_else(|| {
            Error::Internal("a pending change names an object before it is made".to_owned())
        })
    }

    pub(super) fn apply(&mut self, change: Change) -> Result<Change> {
        Ok(match change {
            Change::CreateSchema(schema) => {
                let id = SchemaId(self.make(schema.id.0));
                Change::CreateSchema(Schema { id, ..schema })
            }
            Change::CreateTable(table) => {
                let schema_id = SchemaId(self.map(table.schema_id.0)?);
                Change::CreateTable(Table {
                    id: TableId(self.make(table.id.0)),
                    schema_id,
                    ..table
                })
            }
            Change::CreateView(view) => {
                let schema_id = SchemaId(self.map(view.schema_id.0)?);
                Change::CreateView(View {
                    id: ViewId(self.make(view.id.0)),
                    schema_id,
                    ..view
                })
            }
            Change::DropSchema(id) => Change::DropSchema(SchemaId(self.map(id.0)?)),
            Change::SetSchemaComment(id, comment) => {
                Change::SetSchemaComment(SchemaId(self.map(id.0)?), comment)
            }
            Change::DropTable(id) => Change::DropTable(TableId(self.map(id.0)?)),
            Change::RenameTable(id, schema, name) => {
                let schema = SchemaId(self.map(schema.0)?);
                Change::RenameTable(TableId(self.map(id.0)?), schema, name)
            }
            Change::SetColumns(id, columns) => {
                Change::SetColumns(TableId(self.map(id.0)?), columns)
            }
            Change::AddFiles(id, files) => Change::AddFiles(TableId(self.map(id.0)?), files),
            Change::DeleteRows(id, file, positions) => {
                let file = FileId(self.map(file.0)?);
                Change::DeleteRows(TableId(self.map(id.0)?), file, positions)
            }
            Change::Inline(id, rows) => Change::Inline(TableId(self.map(id.0)?), rows),
            Change::DeleteInlined(id, rows) => {
                Change::DeleteInlined(TableId(self.map(id.0)?), rows)
            }
            Change::Flush(id) => Change::Flush(TableId(self.map(id.0)?)),
            Change::Rewrite(id, files) => Change::Rewrite(TableId(self.map(id.0)?), files),
            Change::DropFiles(id, files) => {
                let files = files.into_iter().map(|file| Ok(FileId(self.map(file.0)?)));
                Change::DropFiles(TableId(self.map(id.0)?), files.collect::<Result<_>>()?)
            }
            Change::SetTableTag(id, key, value) => {
                Change::SetTableTag(TableId(self.map(id.0)?), key, value)
            }
            Change::SetColumnComment(id, column, comment) => {
                Change::SetColumnComment(TableId(self.map(id.0)?), column, comment)
            }
            Change::DropView(id) => Change::DropView(ViewId(self.map(id.0)?)),
            Change::RenameView(id, schema, name) => {
                let schema = SchemaId(self.map(schema.0)?);
                Change::RenameView(ViewId(self.map(id.0)?), schema, name)
            }
            Change::SetViewTag(id, key, value) => {
                Change::SetViewTag(ViewId(self.map(id.0)?), key, value)
            }
        })
    }
}

/// Gives files their ids and the row ids of their first rows; returns the next row id too.
pub(super) fn number(
    files: Vec<Arc<DataFile>>,
    next_file_id: &mut i64,
    mut row_id: i64,
    ids: &mut Ids,
) -> Result<(Vec<Arc<DataFile>>, i64)> {
    let mut numbered = Vec::with_capacity(files.len());
    for file in files {
        numbered.push(Arc::new(file.with_ids(FileId(*next_file_id), Some(row_id))));
        ids.known.insert(file.id.0, *next_file_id);
        *next_file_id += 1;
        row_id = i64::try_from(file.rows)
            .ok()
            .and_then(|rows| row_id.checked_add(rows))
            .ok_or_else(|| Error::Internal("row ids are used up".to_owned()))?;
    }
    Ok((numbered, row_id))
}

/// Objects that changes name.
#[derive(Default)]
pub(super) struct Touched {
    pub(super) schemas: BTreeSet<SchemaId>,
    pub(super) tables: BTreeSet<TableId>,
    pub(super) views: BTreeSet<ViewId>,
}

impl Touched {
    pub(super) fn note(&mut self, change: &Change) {
        match change {
            Change::CreateSchema(Schema { id, .. })
            | Change::DropSchema(id)
            | Change::SetSchemaComment(id, _) => {
                self.schemas.insert(*id);
            }
            Change::CreateTable(Table { id, .. })
            | Change::DropTable(id)
            | Change::RenameTable(id, ..)
            | Change::SetColumns(id, _)
            | Change::AddFiles(id, _)
            | Change::DeleteRows(id, ..)
            | Change::DropFiles(id, _)
            | Change::Inline(id, _)
            | Change::DeleteInlined(id, _)
            | Change::Flush(id)
            | Change::Rewrite(id, _)
            | Change::SetTableTag(id, ..)
            | Change::SetColumnComment(id, ..) => {
                self.tables.insert(*id);
            }
            Change::CreateView(View { id, .. })
            | Change::DropView(id)
            | Change::RenameView(id, ..)
            | Change::SetViewTag(id, ..) => {
                self.views.insert(*id);
            }
        }
    }
}
