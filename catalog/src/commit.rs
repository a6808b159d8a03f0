//! From pending changes to rows: replays a transaction on the newest snapshot and says which rows of the catalog that takes.
//!
//! The rows come from comparing the snapshots before and after for every object that was touched, so a chain of renames inside one transaction
//! leaves one row, as with the official extension. Nothing here does I/O.

mod deletes;
mod ids;
mod inlined;
mod made;

pub use deletes::discard;
pub use inlined::InlinedRows;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use self::deletes::DeletesOfCommit;
use self::ids::{Ids, Touched, number};
use self::inlined::InlinedOfCommit;
use self::made::changes_made;
use crate::change::Change;
use crate::conflict;
use crate::deletes::{DeleteFile, Positions};
use crate::error::Result;
use crate::files::Disk;
use crate::ingest::IngestedFile;
use crate::inline::{Chunk, NewRows};
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
    /// Columns whose comments end with them.
    pub dropped_columns: Vec<(TableId, ColumnId)>,
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
    /// Rows to insert into and end in the tables of inlined rows.
    pub inlined: Vec<InlinedRows>,
    /// The row id that the next row of a table gets after this commit.
    pub row_ids: BTreeMap<TableId, i64>,
    /// Deletes to record in the database: the table, the data file, the positions.
    pub recorded_deletes: Vec<(TableId, FileId, Positions)>,
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
    let mut inlined: BTreeMap<TableId, InlinedOfCommit> = BTreeMap::new();
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
            Change::Inline(id, rows) => {
                let mut row_id = match row_ids.get(&id) {
                    Some(row_id) => *row_id,
                    None => next_row_id(id)?,
                };
                let number = |id: &i64| {
                    if *id < LOCAL {
                        return *id;
                    }
                    row_id += 1;
                    row_id - 1
                };
                let chunk = Chunk {
                    row_ids: rows.chunk.row_ids.values().iter().map(number).collect(),
                    born: std::iter::repeat_n(after.id.0, rows.cells.len()).collect(),
                    ..rows.chunk.clone()
                };
                row_ids.insert(id, row_id);
                let cells = Arc::clone(&rows.cells);
                let rows = Arc::new(NewRows { chunk, cells });
                inlined.entry(id).or_default().insert(&rows);
                Change::Inline(id, rows)
            }
            Change::DeleteInlined(id, rows) => {
                inlined.entry(id).or_default().delete(&rows);
                Change::DeleteInlined(id, rows)
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
        inline_rows_max: pending.inline_rows_max,
        new_files: Vec::new(),
        in_database: Vec::new(),
        written: Vec::new(),
    };
    let recorded = deletes.record(&replayed, &mut after);
    let (new_delete_files, written) = (deletes.new_files, deletes.written);
    let recorded_deletes = deletes.in_database;
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
    let in_database = recorded_deletes
        .iter()
        .map(|(table, file, _)| (*table, *file));
    let changes = changes_made(&replayed, head, &after, &in_database.collect());
    let mut batch = Batch {
        changes,
        new_schemas: Vec::new(),
        ended_schemas: Vec::new(),
        new_tables: Vec::new(),
        ended_tables: Vec::new(),
        dropped_tables: Vec::new(),
        new_columns: Vec::new(),
        ended_columns: Vec::new(),
        dropped_columns: Vec::new(),
        new_views: Vec::new(),
        ended_views: Vec::new(),
        tags: Vec::new(),
        ended_tags: Vec::new(),
        column_comments: Vec::new(),
        new_files: Vec::new(),
        ended_files: Vec::new(),
        new_delete_files,
        inlined: Vec::new(),
        row_ids,
        recorded_deletes,
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
    for id in &batch.schema_versions {
        let schema_version = batch.after.schema_version;
        if let Some(table) = batch.after.table_by_id(*id) {
            let table = Table::clone(table);
            batch.after.put_table(Table {
                schema_version,
                ..table
            })?;
        }
    }
    for (id, rows) in inlined {
        if let Some(table) = batch.after.table_by_id(id) {
            let table = table.with_inlined(table.inlined.settled());
            batch.after.put_table(table)?;
        }
        if let Some(table) = batch.after.table_by_id(id) {
            batch.inlined.push(rows.finish(table)?);
        }
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
        if old.is_some_and(|old| old.columns == new.columns) {
            return false;
        }
        let before = old.map(|old| flatten(&old.columns)).unwrap_or_default();
        let now = flatten(&new.columns);
        let mut changed = false;
        for id in before.keys().filter(|id| !now.contains_key(id)) {
            self.ended_columns.push((new.id, *id));
            self.dropped_columns.push((new.id, *id));
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
