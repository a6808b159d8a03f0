//! From pending changes to rows: replays a transaction on the newest snapshot and says which rows of the catalog that takes.
//!
//! The rows come from comparing the snapshots before and after for every object that was touched, so a chain of renames inside one transaction
//! leaves one row, as with the official extension. Nothing here does I/O.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::change::Change;
use crate::conflict;
use crate::deletes::{DeleteFile, Deletes, Positions};
use crate::error::{Error, Result};
use crate::files::{Disk, delete};
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
    /// Files to end.
    pub ended_files: Vec<FileId>,
    /// Delete files to insert: the table, the data file, the delete file. The one before, if any, is among those to end.
    pub new_delete_files: Vec<(TableId, FileId, Arc<DeleteFile>)>,
    /// Delete files to end.
    pub ended_delete_files: Vec<FileId>,
    /// Files that were written while the rows were worked out.
    pub written: Vec<PathBuf>,
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
    disk: &Disk,
    mut next_row_id: impl FnMut(TableId) -> Result<i64>,
) -> Result<Batch> {
    conflict::check(&pending, head, disk)?;
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
                let (files, row_id) = number(files, &mut after.next_file_id, row_id, &mut ids)?;
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
    if replayed.iter().any(|change| !change.is_of_rows()) {
        after.schema_version += 1;
    }
    let mut deletes = DeletesOfCommit {
        head,
        disk,
        prepared: pending
            .delete_files
            .into_iter()
            .map(|prepared| {
                let key = (
                    TableId(ids.map(prepared.table.0)?),
                    FileId(ids.map(prepared.data_file.0)?),
                );
                Ok((key, prepared.file))
            })
            .collect::<Result<_>>()?,
        new_files: Vec::new(),
        written: Vec::new(),
    };
    let recorded = deletes.record(&replayed, &mut after);
    let (new_delete_files, written) = (deletes.new_files, deletes.written);
    if let Err(error) = recorded {
        discard(written);
        return Err(error);
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
        ended_files: Vec::new(),
        new_delete_files,
        ended_delete_files: Vec::new(),
        written,
        schema_versions: Vec::new(),
        ingested,
        after,
    };
    for id in touched.schemas {
        batch.diff_schema(head, id);
    }
    for id in touched.tables {
        batch.diff_table(head, id);
        if let (Some(table), Some(mut files)) = (batch.after.table_by_id(id), added.remove(&id)) {
            // A file all of whose rows the transaction deleted again is in no snapshot.
            files.retain(|file| table.file(file.id).is_some());
            if !files.is_empty() {
                batch.new_files.push((Arc::clone(table), files));
            }
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
        if let Some(old) = &old {
            self.diff_files(old, &new);
        }
        let none = BTreeMap::new();
        self.diff_tags(id.0, old.as_ref().map_or(&none, |old| &old.tags), &new.tags);
    }

    fn diff_files(&mut self, old: &Table, new: &Table) {
        if Arc::ptr_eq(&old.deletes, &new.deletes) && old.files.len() == new.files.len() {
            return;
        }
        let gone = old.files.iter().map(|file| file.id);
        self.ended_files
            .extend(gone.filter(|id| new.file(*id).is_none()));
        let delete_file = |table: &Table, data_file: FileId| {
            let deletes = table.deletes.get(&data_file)?;
            deletes.file.as_ref().map(|file| file.id)
        };
        for data_file in old.deletes.keys() {
            let before = delete_file(old, *data_file);
            if before != delete_file(new, *data_file) {
                self.ended_delete_files.extend(before);
            }
        }
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

/// Works out how the deleted rows of a commit are recorded.
struct DeletesOfCommit<'a> {
    head: &'a Snapshot,
    disk: &'a Disk,
    /// Delete files that were written before, on the base of the transaction.
    prepared: BTreeMap<(TableId, FileId), Arc<DeleteFile>>,
    new_files: Vec<(TableId, FileId, Arc<DeleteFile>)>,
    written: Vec<PathBuf>,
}

impl DeletesOfCommit<'_> {
    fn record(&mut self, changes: &[Change], after: &mut Snapshot) -> Result<()> {
        let touched: BTreeSet<(TableId, FileId)> = changes
            .iter()
            .filter_map(|change| match change {
                Change::DeleteRows(table, file, _) => Some((*table, *file)),
                _ => None,
            })
            .collect();
        for (id, file) in touched {
            let Some(table) = after.table_by_id(id).cloned() else {
                continue;
            };
            if let (Some(file), Some(deletes)) = (table.file(file), table.deletes.get(&file)) {
                let table = self.record_one(&table, file, deletes, &mut after.next_file_id)?;
                after.put_table(table)?;
            }
        }
        Ok(())
    }

    fn record_one(
        &mut self,
        table: &Table,
        data_file: &Arc<DataFile>,
        deletes: &Deletes,
        next_file_id: &mut i64,
    ) -> Result<Table> {
        let directory = self.disk.directory(table);
        let place = self.disk.place(&directory);
        let all = deletes.load(data_file, &place)?;
        if all.len() >= data_file.rows {
            return Ok(table.without_files(&BTreeSet::from([data_file.id])));
        }
        // What the database records already stays there.
        let recorded = self
            .head
            .table_by_id(table.id)
            .and_then(|table| table.deletes.get(&data_file.id))
            .map(|deletes| Positions::clone(&deletes.recorded))
            .unwrap_or_default();
        let positions = &*all - &recorded;
        let file = match self.prepared.get(&(table.id, data_file.id)) {
            // It holds no other positions than these, so it holds all of them if it holds as many.
            Some(prepared) if prepared.rows == positions.len() => Arc::clone(prepared),
            _ => {
                let path = place.path(&data_file.path, data_file.path_is_relative);
                let (written, file) =
                    delete::write(self.disk, Path::new(&directory.1), &path, &positions)?;
                self.written.push(written);
                Arc::new(file)
            }
        };
        let file = Arc::new(file.with_id(FileId(*next_file_id)));
        *next_file_id += 1;
        self.new_files
            .push((table.id, data_file.id, Arc::clone(&file)));
        Ok(table.with_deletes(data_file.id, deletes.recorded_in(file, recorded)))
    }
}

/// Deletes files that no row names.
pub fn discard(written: Vec<PathBuf>) {
    for path in written {
        // One that stays is found by clean-up.
        let _ = std::fs::remove_file(path);
    }
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
            | Change::DeleteRows(id, ..)
            | Change::DropFiles(id, _)
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
            Change::DeleteRows(id, file, positions) => {
                let file = FileId(self.map(file.0)?);
                Change::DeleteRows(TableId(self.map(id.0)?), file, positions)
            }
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
            Change::AddFiles(id, files) => after
                .table_by_id(*id)
                .filter(|table| files.iter().any(|file| table.file(file.id).is_some()))
                .map(|_| ChangeMade::InsertedIntoTable(id.0)),
            // What the transaction has inserted itself is not deleted from the table.
            Change::DeleteRows(id, file, _) => (after.table_by_id(*id).is_some()
                && head
                    .table_by_id(*id)
                    .is_some_and(|table| table.file(*file).is_some()))
            .then_some(ChangeMade::DeletedFromTable(id.0)),
            Change::DropFiles(id, files) => (after.table_by_id(*id).is_some()
                && head
                    .table_by_id(*id)
                    .is_some_and(|table| files.iter().any(|file| table.file(*file).is_some())))
            .then_some(ChangeMade::DeletedFromTable(id.0)),
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
