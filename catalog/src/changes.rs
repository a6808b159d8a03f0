//! The change feed: which rows of a table came and went between two snapshots.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::deletes::{Deletes, Positions};
use crate::error::{Error, Result};
use crate::files::Disk;
use crate::model::{DataFile, FileId, SnapshotId, Table, TableId};
use crate::scan::TableScan;
use crate::warehouse::Warehouse;

/// The rows of a table that differ between two snapshots, as scans [with row identity](TableScan::with_row_identity) in the columns of the
/// later one.
///
/// A row id on both sides is a row that was updated; where the values are equal too, one that upkeep has moved. What was inserted and deleted
/// again in between is on neither side.
#[derive(Debug)]
pub struct TableChanges {
    /// Rows of the earlier snapshot that are not in the later one as they were.
    pub deleted: TableScan,
    /// Rows of the later snapshot that were not in the earlier one as they are.
    pub inserted: TableScan,
}

impl Warehouse {
    /// What changed in a table after snapshot `from` up to snapshot `to`. It reads the delete files of data files that both have, and no data.
    ///
    /// # Errors
    /// [`Error::UndefinedSnapshot`]; [`Error::UndefinedRelation`] if the table is not in `to`; files missing or damaged.
    pub async fn changes(
        &self,
        table: TableId,
        from: SnapshotId,
        to: SnapshotId,
    ) -> Result<TableChanges> {
        let (before, after) = (self.snapshot_at(from)?, self.snapshot_at(to)?);
        let Some(after) = after.table_by_id(table).cloned() else {
            let known = before.table_by_id(table);
            return Err(Error::UndefinedRelation {
                schema: known.map(|table| table.schema.clone()).unwrap_or_default(),
                name: known.map_or_else(|| table.to_string(), |table| table.name.clone()),
            });
        };
        let before = before.table_by_id(table).cloned();
        let disk = Arc::clone(self.disk());
        let compared =
            tokio::task::spawn_blocking(move || compare(before.as_deref(), &after, &disk));
        let (deleted, inserted) = compared
            .await
            .map_err(|error| Error::Internal(format!("the comparison ended early: {error}")))??;
        let scan = |table: Table| TableScan::new(self.clone(), Arc::new(table)).with_row_identity();
        Ok(TableChanges {
            deleted: scan(deleted),
            inserted: scan(inserted),
        })
    }
}

/// Two tables with the columns of `after`: the rows that went and those that came.
fn compare(before: Option<&Table>, after: &Table, disk: &Disk) -> Result<(Table, Table)> {
    let mut went = Side::default();
    let mut came = Side::default();
    let files = |table: &Table| {
        table
            .files
            .iter()
            .map(|file| file.id)
            .collect::<BTreeSet<_>>()
    };
    let (old, new) = (before.map(files).unwrap_or_default(), files(after));
    if let Some(before) = before {
        for file in before.files.iter().filter(|file| !new.contains(&file.id)) {
            went.whole(file, before.deletes.get(&file.id));
        }
        let directory = disk.directory(after);
        let place = disk.place(&directory);
        for file in before.files.iter().filter(|file| new.contains(&file.id)) {
            let gone = |table: &Table| match table.deletes.get(&file.id) {
                Some(deletes) => deletes.load(file, &place),
                None => Ok(Arc::default()),
            };
            let (was, is) = (gone(before)?, gone(after)?);
            went.some(file, &(&*is - &*was));
            came.some(file, &(&*was - &*is));
        }
    }
    for file in after.files.iter().filter(|file| !old.contains(&file.id)) {
        came.whole(file, after.deletes.get(&file.id));
    }
    let none = Arc::default();
    let was = before.map_or(&none, |before| &before.inlined);
    let (deleted, inserted) = (was.except(&after.inlined)?, after.inlined.except(was)?);
    let side = |side: Side, inlined| {
        let table = Table {
            files: Arc::new(side.files),
            deletes: Arc::new(side.deletes),
            inlined: Arc::new(inlined),
            ..after.clone()
        };
        table.counted()
    };
    Ok((side(went, deleted), side(came, inserted)))
}

#[derive(Default)]
struct Side {
    files: Vec<Arc<DataFile>>,
    deletes: BTreeMap<FileId, Deletes>,
}

impl Side {
    fn whole(&mut self, file: &Arc<DataFile>, deletes: Option<&Deletes>) {
        self.files.push(Arc::clone(file));
        if let Some(deletes) = deletes {
            self.deletes.insert(file.id, deletes.clone());
        }
    }

    fn some(&mut self, file: &Arc<DataFile>, rows: &Positions) {
        if rows.is_empty() {
            return;
        }
        let mut others = Positions::new();
        others.insert_range(0..file.rows);
        others -= rows;
        self.files.push(Arc::clone(file));
        self.deletes
            .insert(file.id, Deletes::new(None, others, None, false));
    }
}
