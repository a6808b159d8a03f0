//! Changes of rows: inserts, deletes, updates.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};

use super::{PreparedDeletes, Transaction, check_readable, delete, in_background};
use crate::change::Change;
use crate::deletes::{Positions, RowSet};
use crate::error::{Error, Result};
use crate::files::write::{TableWriter, WriterTarget};
use crate::files::{self, Disk};
use crate::inline::NewRows;
use crate::model::{DataFile, FileId, LOCAL, Table, TableId};
use crate::snapshot::Snapshot;

impl Transaction {
    /// A streaming writer that appends to a table. Several may run at once, on one table too.
    ///
    /// # Errors
    /// [`Error::TransactionEnded`]; the table is not there any more, or an outside writer used a feature we cannot keep up.
    pub fn writer(&self, table: TableId) -> Result<TableWriter> {
        let target = {
            let state = self.open()?;
            let table = state.overlay.expect_table(table)?;
            check_readable(table)?;
            WriterTarget::new(self.inner.warehouse.clone(), Arc::clone(table))
        };
        Ok(TableWriter::new(self.clone(), target))
    }

    /// Deletes rows of a table, given by file and position as a scan [with row identity](crate::TableScan::with_row_identity) of this
    /// transaction's snapshot has them; returns how many were there to be deleted.
    ///
    /// An update is a delete of the old rows and a [`write_updated`](TableWriter::write_updated) of the new ones. The positions are kept in
    /// memory, compressed, until commit writes them.
    ///
    /// # Errors
    /// [`Error::TransactionEnded`]; the table or a file is not there any more, or an outside writer used a feature we cannot keep up.
    pub async fn delete_rows(&self, table: TableId, rows: RowSet) -> Result<u64> {
        self.load_deletes(table, &rows).await?;
        let warehouse = &self.inner.warehouse;
        self.change(|state| {
            let current = Arc::clone(state.overlay.expect_table(table)?);
            check_readable(&current)?;
            let mut deleted = 0;
            for (id, mut positions) in rows.into_files() {
                if id == FileId::INLINED {
                    // The key is the position.
                    let there = current.inlined.born(&positions).into_keys();
                    let there = there.collect::<Positions>();
                    if !there.is_empty() {
                        deleted += there.len();
                        state.push(Change::DeleteInlined(table, Arc::new(there)))?;
                    }
                    continue;
                }
                let file = current.file(id).ok_or_else(|| {
                    Error::Internal(format!("a deleted row names file {id}, which is not there"))
                })?;
                if positions.max().is_some_and(|last| last >= file.rows) {
                    return Err(Error::Internal(format!(
                        "a deleted row is beyond the end of file {id}"
                    )));
                }
                if let Some(deletes) = current.deletes.get(&id) {
                    let directory = warehouse.disk().directory(&current);
                    positions -= &*deletes.load(file, &warehouse.disk().place(&directory))?;
                }
                if !positions.is_empty() {
                    deleted += positions.len();
                    state.push(Change::DeleteRows(table, id, Arc::new(positions)))?;
                }
            }
            Ok(deleted)
        })
    }

    /// Reads the delete files of the files that `rows` are in, off the async threads.
    async fn load_deletes(&self, table: TableId, rows: &RowSet) -> Result<()> {
        let snapshot = self.snapshot();
        let Some(table) = snapshot.table_by_id(table).cloned() else {
            return Ok(());
        };
        let files = rows.files().filter_map(|id| {
            let deletes = table.deletes.get(&id)?;
            deletes.known().is_none().then_some(id)
        });
        let files = files.collect::<Vec<_>>();
        if files.is_empty() {
            return Ok(());
        }
        let disk = Arc::clone(self.inner.warehouse.disk());
        in_background(move || {
            let directory = disk.directory(&table);
            for id in files {
                if let (Some(file), Some(deletes)) = (table.file(id), table.deletes.get(&id)) {
                    deletes.load(file, &disk.place(&directory))?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Takes all rows out of a table; returns how many there were.
    ///
    /// # Errors
    /// [`Error::UndefinedSchema`], [`Error::UndefinedRelation`]; [`Error::WrongRelationKind`] for a view.
    pub fn truncate(&self, schema: &str, name: &str) -> Result<u64> {
        self.change(|state| {
            let table = state.overlay.require_table(schema, name)?;
            let (id, rows) = (table.id, table.rows);
            let files = table.files.iter().map(|file| file.id).collect();
            let inlined = table.inlined.keys();
            if !inlined.is_empty() {
                state.push(Change::DeleteInlined(id, Arc::new(inlined)))?;
            }
            state.push(Change::DropFiles(id, files))?;
            Ok(rows)
        })
    }

    /// Writes the delete files that the changes need if nobody else commits meanwhile.
    pub(super) async fn write_deletes(&self, changes: &[Change]) -> Result<Vec<PreparedDeletes>> {
        let mut touched: BTreeMap<(TableId, FileId), u64> = BTreeMap::new();
        for change in changes {
            if let Change::DeleteRows(table, file, rows) = change {
                *touched.entry((*table, *file)).or_default() += rows.len();
            }
        }
        // Few of them are recorded in the database.
        let few = self.inner.warehouse.inline_rows_max();
        touched.retain(|(_, file), rows| *rows > few || file.0 >= LOCAL);
        let touched = touched.into_keys().collect::<Vec<_>>();
        if touched.is_empty() {
            return Ok(Vec::new());
        }
        let (overlay, base) = (self.snapshot(), Arc::clone(&self.inner.base));
        let disk = Arc::clone(self.inner.warehouse.disk());
        let (prepared, written) = in_background(move || {
            let mut prepared = Vec::new();
            let mut written = Vec::new();
            let outcome = touched.into_iter().try_for_each(|(table, file)| {
                let Some(one) = prepare_deletes(&disk, &base, &overlay, table, file)? else {
                    return Ok(());
                };
                written.push((table, one.0));
                prepared.push(one.1);
                Ok(())
            });
            match outcome {
                Ok(()) => Ok((prepared, written)),
                Err(error) => {
                    delete(written);
                    Err(error)
                }
            }
        })
        .await?;
        self.inner.state.lock().written.extend(written);
        Ok(prepared)
    }

    /// Adds rows that lie in the catalog database; returns whether they can.
    pub(crate) fn inline_rows(
        &self,
        table: &Table,
        batches: &[(RecordBatch, Option<Int64Array>)],
    ) -> Result<bool> {
        self.change(|state| {
            let mut all = Vec::with_capacity(batches.len());
            for (batch, row_ids) in batches {
                let rows = NewRows::try_new(table, batch, row_ids.as_ref(), || state.local_id())?;
                let Some(rows) = rows else {
                    return Ok(false);
                };
                all.push(rows);
            }
            for rows in all {
                state.push(Change::Inline(table.id, Arc::new(rows)))?;
            }
            Ok(true)
        })
    }

    /// Adds files that a writer has made durable.
    pub(crate) fn add_files(
        &self,
        table: TableId,
        files: Vec<DataFile>,
        written: Vec<PathBuf>,
    ) -> Result<()> {
        let written: Vec<_> = written.into_iter().map(|path| (table, path)).collect();
        let outcome = self.change(|state| {
            if !files.is_empty() {
                let files = files.into_iter().map(|file| {
                    let id = FileId(state.local_id());
                    Arc::new(DataFile { id, ..file })
                });
                let files = files.collect();
                state.push(Change::AddFiles(table, files))?;
            }
            state.written.extend(written.iter().cloned());
            Ok(())
        });
        if outcome.is_err() {
            delete(written);
        }
        outcome
    }
}

fn prepare_deletes(
    disk: &Disk,
    base: &Snapshot,
    overlay: &Snapshot,
    table: TableId,
    file: FileId,
) -> Result<Option<(PathBuf, PreparedDeletes)>> {
    let Some(current) = overlay.table_by_id(table) else {
        return Ok(None);
    };
    let (Some(data_file), Some(deletes)) = (current.file(file), current.deletes.get(&file)) else {
        return Ok(None);
    };
    let directory = disk.directory(current);
    let place = disk.place(&directory);
    let all = deletes.load(data_file, &place)?;
    if all.len() >= data_file.rows {
        return Ok(None);
    }
    let recorded = base
        .table_by_id(table)
        .and_then(|table| table.deletes.get(&file))
        .map(|deletes| Positions::clone(&deletes.recorded))
        .unwrap_or_default();
    let path = place.path(&data_file.path, data_file.path_is_relative);
    let positions = &*all - &recorded;
    let (written, delete_file) =
        files::delete::write(disk, Path::new(&directory.1), &path, &positions)?;
    let prepared = PreparedDeletes {
        table,
        data_file: file,
        file: Arc::new(delete_file),
    };
    Ok(Some((written, prepared)))
}
