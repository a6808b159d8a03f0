//! From pending changes to rows: replays a transaction on the newest snapshot and says which rows of the catalog that takes.
//!
//! The rows come from comparing the snapshots before and after for every object that was touched, so a chain of renames inside one transaction
//! leaves one row, as with the official extension. Nothing here does I/O.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::change::Change;
use crate::conflict;
use crate::error::{Error, Result};
use crate::ingest::IngestedFile;
use crate::model::{
    Column, ColumnId, DataFile, FileId, LOCAL, Schema, SchemaId, SnapshotId, Table, TableId, View,
    ViewId,
};
use crate::snapshot::Snapshot;
use crate::spec::changes::ChangeMade;
use crate::txn::Pending;

/// The rows that one commit writes, and the snapshot it makes.
#[derive(Debug)]
pub struct Batch {
    /// The snapshot that the commit makes.
    pub after: Snapshot,
    /// What the change list says.
    pub changes: Vec<ChangeMade>,
    /// Schemas to insert.
    pub new_schemas: Vec<Arc<Schema>>,
    /// Schemas to end.
    pub ended_schemas: Vec<SchemaId>,
    /// Table rows to insert; the columns come apart.
    pub new_tables: Vec<Arc<Table>>,
    /// Table rows to end, with nothing that belongs to them.
    pub ended_tables: Vec<TableId>,
    /// Tables to end with all that belongs to them.
    pub dropped_tables: Vec<TableId>,
    /// Column rows to insert: the table, the column, the column it is part of.
    pub new_columns: Vec<(TableId, Column, Option<ColumnId>)>,
    /// Column rows to end.
    pub ended_columns: Vec<(TableId, ColumnId)>,
    /// View rows to insert.
    pub new_views: Vec<Arc<View>>,
    /// View rows to end.
    pub ended_views: Vec<ViewId>,
    /// Tags to set on a schema, table or view; the row before, if any, is ended.
    pub tags: Vec<(i64, String, Option<String>)>,
    /// Objects whose tags all end.
    pub ended_tags: Vec<i64>,
    /// Comments to set on columns; the row before, if any, is ended.
    pub column_comments: Vec<(TableId, ColumnId, Option<String>)>,
    /// Files to insert.
    pub new_files: Vec<(Arc<Table>, Vec<Arc<DataFile>>)>,
    /// Tables whose columns or name are of this schema version.
    pub schema_versions: Vec<TableId>,
    /// Manifest rows to insert.
    pub ingested: Vec<(TableId, IngestedFile)>,
}

/// Replays `pending` on `head` and works out the rows.
///
/// `next_row_id` says for a table that exists in the database which row id its next row gets.
///
/// # Errors
/// [`Error::Conflict`] and those of `next_row_id`.
pub fn plan(
    pending: Pending,
    head: &Snapshot,
    now: DateTime<Utc>,
    mut next_row_id: impl FnMut(TableId) -> Result<i64>,
) -> Result<Batch> {
    conflict::check(&pending, head)?;
    let mut after = head.clone();
    after.id = SnapshotId(head.id.0 + 1);
    // A clock that steps back must not make time travel ambiguous.
    after.committed_at = now.max(head.committed_at + TimeDelta::microseconds(1));
    let mut ids = Ids {
        next: head.next_catalog_id,
        known: HashMap::new(),
    };
    let mut row_ids: BTreeMap<TableId, i64> = BTreeMap::new();
    let mut touched = Touched::default();
    let mut added: BTreeMap<TableId, Vec<Arc<DataFile>>> = BTreeMap::new();
    let mut replayed = Vec::with_capacity(pending.changes.len());
    for change in pending.changes {
        let change = match ids.apply(change)? {
            Change::AddFiles(id, files) => {
                let row_id = match row_ids.get(&id) {
                    Some(row_id) => *row_id,
                    None => next_row_id(id)?,
                };
                let (files, row_id) = number(files, &mut after.next_file_id, row_id)?;
                row_ids.insert(id, row_id);
                added.entry(id).or_default().extend(files.iter().cloned());
                Change::AddFiles(id, files)
            }
            other => other,
        };
        touched.note(&change);
        change.apply(&mut after).map_err(conflict::as_conflict)?;
        replayed.push(change);
    }
    after.next_catalog_id = ids.next;
    if replayed
        .iter()
        .any(|change| !matches!(change, Change::AddFiles(..)))
    {
        after.schema_version += 1;
    }
    let ingested = pending
        .ingested
        .into_iter()
        .map(|(id, file)| Ok((TableId(ids.map(id.0)?), file)))
        .filter(|entry| {
            entry
                .as_ref()
                .map_or(true, |(id, _)| after.table_by_id(*id).is_some())
        })
        .collect::<Result<_>>()?;
    let changes = changes_made(&replayed, head, &after);
    let mut batch = Batch {
        changes,
        new_schemas: Vec::new(),
        ended_schemas: Vec::new(),
        new_tables: Vec::new(),
        ended_tables: Vec::new(),
        dropped_tables: Vec::new(),
        new_columns: Vec::new(),
        ended_columns: Vec::new(),
        new_views: Vec::new(),
        ended_views: Vec::new(),
        tags: Vec::new(),
        ended_tags: Vec::new(),
        column_comments: Vec::new(),
        new_files: Vec::new(),
        schema_versions: Vec::new(),
        ingested,
        after,
    };
    for id in touched.schemas {
        batch.diff_schema(head, id);
    }
    for id in touched.tables {
        batch.diff_table(head, id);
        if let (Some(table), Some(files)) = (batch.after.table_by_id(id), added.remove(&id)) {
            batch.new_files.push((Arc::clone(table), files));
        }
    }
    for id in touched.views {
        batch.diff_view(head, id);
    }
    Ok(batch)
}

impl Batch {
    fn diff_schema(&mut self, head: &Snapshot, id: SchemaId) {
        match (head.schema_by_id(id), self.after.schema_by_id(id)) {
            (None, Some(new)) => {
                if new.comment.is_some() {
                    self.tags
                        .push((id.0, crate::model::COMMENT.to_owned(), new.comment.clone()));
                }
                self.new_schemas.push(Arc::clone(new));
            }
            (Some(_), None) => {
                self.ended_schemas.push(id);
                self.ended_tags.push(id.0);
            }
            (Some(old), Some(new)) if old.comment != new.comment => {
                self.tags
                    .push((id.0, crate::model::COMMENT.to_owned(), new.comment.clone()));
            }
            _ => {}
        }
    }

    fn diff_table(&mut self, head: &Snapshot, id: TableId) {
        let (old, new) = (
            head.table_by_id(id).cloned(),
            self.after.table_by_id(id).cloned(),
        );
        let (old, new) = match (old, new) {
            (old, Some(new)) => (old, new),
            (Some(_), None) => {
                self.dropped_tables.push(id);
                return;
            }
            (None, None) => return,
        };
        let row_changed = old
            .as_ref()
            .is_none_or(|old| old.name != new.name || old.schema_id != new.schema_id);
        if row_changed {
            if old.is_some() {
                self.ended_tables.push(id);
            }
            self.new_tables.push(Arc::clone(&new));
        }
        let columns_changed = self.diff_columns(old.as_deref(), &new);
        if row_changed || columns_changed {
            self.schema_versions.push(id);
        }
        let none = BTreeMap::new();
        self.diff_tags(id.0, old.as_ref().map_or(&none, |old| &old.tags), &new.tags);
    }

    fn diff_columns(&mut self, old: Option<&Table>, new: &Table) -> bool {
        let before = old.map(|old| flatten(&old.columns)).unwrap_or_default();
        let now = flatten(&new.columns);
        let mut changed = false;
        for id in before.keys().filter(|id| !now.contains_key(id)) {
            self.ended_columns.push((new.id, *id));
            changed = true;
        }
        for (id, (column, parent)) in &now {
            let old = before.get(id);
            let row = |column: &Column| Column {
                comment: None,
                children: Vec::new(),
                ..column.clone()
            };
            if old.is_none_or(|(old, _)| row(old) != row(column)) {
                if old.is_some() {
                    self.ended_columns.push((new.id, *id));
                }
                self.new_columns
                    .push((new.id, Column::clone(column), *parent));
                changed = true;
            }
            if old.and_then(|(old, _)| old.comment.as_ref()) != column.comment.as_ref() {
                self.column_comments
                    .push((new.id, *id, column.comment.clone()));
            }
        }
        changed
    }

    fn diff_view(&mut self, head: &Snapshot, id: ViewId) {
        let (old, new) = (
            head.view_by_id(id).cloned(),
            self.after.view_by_id(id).cloned(),
        );
        match (old, new) {
            (None, None) => {}
            (Some(_), None) => {
                self.ended_views.push(id);
                self.ended_tags.push(id.0);
            }
            (old, Some(new)) => {
                if old
                    .as_ref()
                    .is_none_or(|old| old.name != new.name || old.schema_id != new.schema_id)
                {
                    if old.is_some() {
                        self.ended_views.push(id);
                    }
                    self.new_views.push(Arc::clone(&new));
                }
                let none = BTreeMap::new();
                self.diff_tags(id.0, old.as_ref().map_or(&none, |old| &old.tags), &new.tags);
            }
        }
    }

    fn diff_tags(
        &mut self,
        id: i64,
        old: &BTreeMap<String, String>,
        new: &BTreeMap<String, String>,
    ) {
        for key in old.keys().filter(|key| !new.contains_key(*key)) {
            self.tags.push((id, key.clone(), None));
        }
        for (key, value) in new
            .iter()
            .filter(|(key, value)| old.get(*key) != Some(value))
        {
            self.tags.push((id, key.clone(), Some(value.clone())));
        }
    }
}

/// All columns and parts of columns by id, with the column each is part of.
fn flatten(columns: &[Column]) -> BTreeMap<ColumnId, (&Column, Option<ColumnId>)> {
    let mut flat = BTreeMap::new();
    for column in columns {
        flat.insert(column.id, (column, None));
        for outer in column.walk() {
            flat.extend(
                outer
                    .children
                    .iter()
                    .map(|part| (part.id, (part, Some(outer.id)))),
            );
        }
    }
    flat
}

/// Gives files their ids and the row ids of their first rows; returns the next row id too.
fn number(
    files: Vec<Arc<DataFile>>,
    next_file_id: &mut i64,
    mut row_id: i64,
) -> Result<(Vec<Arc<DataFile>>, i64)> {
    let mut numbered = Vec::with_capacity(files.len());
    for file in files {
        numbered.push(Arc::new(file.with_ids(FileId(*next_file_id), row_id)));
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
struct Touched {
    schemas: BTreeSet<SchemaId>,
    tables: BTreeSet<TableId>,
    views: BTreeSet<ViewId>,
}

impl Touched {
    fn note(&mut self, change: &Change) {
        match change {
            Change::CreateSchema(Schema { id, .. })
            | Change::DropSchema(id)
            | Change::SetSchemaComment(id, _) => {
                self.schemas.insert(*id);
            }
            Change::CreateTable(Table { id, .. })
            | Change::DropTable(id)
            | Change::RenameTable(id, _)
            | Change::AddFiles(id, _)
            | Change::SetTableTag(id, ..)
            | Change::SetColumnComment(id, ..) => {
                self.tables.insert(*id);
            }
            Change::CreateView(View { id, .. })
            | Change::DropView(id)
            | Change::RenameView(id, _)
            | Change::SetViewTag(id, ..) => {
                self.views.insert(*id);
            }
        }
    }
}

/// Gives objects that the transaction made their ids.
struct Ids {
    next: i64,
    known: HashMap<i64, i64>,
}

impl Ids {
    fn make(&mut self, local: i64) -> i64 {
        let id = self.next;
        self.next += 1;
        self.known.insert(local, id);
        id
    }

    fn map(&self, id: i64) -> Result<i64> {
        if id < LOCAL {
            return Ok(id);
        }
        self.known.get(&id).copied().ok_or_else(|| {
            Error::Internal("a pending change names an object before it is made".to_owned())
        })
    }

    fn apply(&mut self, change: Change) -> Result<Change> {
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
            Change::RenameTable(id, name) => Change::RenameTable(TableId(self.map(id.0)?), name),
            Change::AddFiles(id, files) => Change::AddFiles(TableId(self.map(id.0)?), files),
            Change::SetTableTag(id, key, value) => {
                Change::SetTableTag(TableId(self.map(id.0)?), key, value)
            }
            Change::SetColumnComment(id, column, comment) => {
                Change::SetColumnComment(TableId(self.map(id.0)?), column, comment)
            }
            Change::DropView(id) => Change::DropView(ViewId(self.map(id.0)?)),
            Change::RenameView(id, name) => Change::RenameView(ViewId(self.map(id.0)?), name),
            Change::SetViewTag(id, key, value) => {
                Change::SetViewTag(ViewId(self.map(id.0)?), key, value)
            }
        })
    }
}

/// The change list, in the order of the official extension: what was dropped, created, inserted, altered.
fn changes_made(changes: &[Change], head: &Snapshot, after: &Snapshot) -> Vec<ChangeMade> {
    let mut made: Vec<ChangeMade> = Vec::new();
    for change in changes {
        let entry = match change {
            Change::DropSchema(id) => head
                .schema_by_id(*id)
                .map(|_| ChangeMade::DroppedSchema(id.0)),
            Change::DropTable(id) => head
                .table_by_id(*id)
                .map(|_| ChangeMade::DroppedTable(id.0)),
            Change::DropView(id) => head.view_by_id(*id).map(|_| ChangeMade::DroppedView(id.0)),
            Change::CreateSchema(schema) => after
                .schema_by_id(schema.id)
                .map(|_| ChangeMade::CreatedSchema(schema.name.clone())),
            Change::CreateTable(table) => after
                .table_by_id(table.id)
                .map(|_| ChangeMade::CreatedTable(table.schema.clone(), table.name.clone())),
            Change::RenameTable(id, name) => after
                .table_by_id(*id)
                .map(|table| ChangeMade::CreatedTable(table.schema.clone(), name.clone())),
            Change::CreateView(view) => after
                .view_by_id(view.id)
                .map(|_| ChangeMade::CreatedView(view.schema.clone(), view.name.clone())),
            Change::RenameView(id, name) => after
                .view_by_id(*id)
                .map(|view| ChangeMade::CreatedView(view.schema.clone(), name.clone())),
            Change::AddFiles(id, _) => after
                .table_by_id(*id)
                .map(|_| ChangeMade::InsertedIntoTable(id.0)),
            Change::SetTableTag(id, ..) | Change::SetColumnComment(id, ..) => {
                (head.table_by_id(*id).is_some() && after.table_by_id(*id).is_some())
                    .then_some(ChangeMade::AlteredTable(id.0))
            }
            Change::SetViewTag(id, ..) => (head.view_by_id(*id).is_some()
                && after.view_by_id(*id).is_some())
            .then_some(ChangeMade::AlteredView(id.0)),
            // The grammar has no word for it: the official extension knows no comments on schemas.
            Change::SetSchemaComment(..) => None,
        };
        made.extend(
            entry
                .filter(|entry| !made.contains(entry))
                .into_iter()
                .collect::<Vec<_>>(),
        );
    }
    made.sort_by_key(ChangeMade::rank);
    made
}
