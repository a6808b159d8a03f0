//! How the deleted rows of a commit are recorded: in the database, in a delete file, or by ending the data file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::change::Change;
use crate::deletes::{DeleteFile, Deletes, Positions};
use crate::error::Result;
use crate::files::{Disk, delete};
use crate::model::{DataFile, FileId, Table, TableId};
use crate::snapshot::Snapshot;

/// Works out how the deleted rows of a commit are recorded.
pub(super) struct DeletesOfCommit<'a> {
    pub(super) head: &'a Snapshot,
    pub(super) disk: &'a Disk,
    /// Delete files that were written before, on the base of the transaction.
    pub(super) prepared: BTreeMap<(TableId, FileId), Arc<DeleteFile>>,
    /// So many new positions of a file are recorded in the database.
    pub(super) inline_rows_max: u64,
    pub(super) in_database: Vec<(TableId, FileId, Positions)>,
    pub(super) new_files: Vec<(TableId, FileId, Arc<DeleteFile>)>,
    pub(super) written: Vec<PathBuf>,
}

impl DeletesOfCommit<'_> {
    pub(super) fn record(&mut self, changes: &[Change], after: &mut Snapshot) -> Result<()> {
        let mut touched: BTreeMap<(TableId, FileId), Positions> = BTreeMap::new();
        for change in changes {
            if let Change::DeleteRows(table, file, positions) = change {
                *touched.entry((*table, *file)).or_default() |= &**positions;
            }
        }
        for ((id, file), new) in touched {
            let Some(table) = after.table_by_id(id).cloned() else {
                continue;
            };
            if let (Some(file), Some(deletes)) = (table.file(file), table.deletes.get(&file)) {
                let table = self.record_one(&table, file, deletes, new, &mut after.next_file_id)?;
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
        new: Positions,
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
        let is_old = self
            .head
            .table_by_id(table.id)
            .is_some_and(|table| table.file(data_file.id).is_some());
        if is_old && new.len() <= self.inline_rows_max {
            self.in_database.push((table.id, data_file.id, new));
            return Ok(table.clone());
        }
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
