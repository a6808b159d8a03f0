//! The inlined rows that a commit inserts and ends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::BooleanArray;

use crate::deletes::Positions;
use crate::error::Result;
use crate::inline::NewRows;
use crate::model::{Column, FileColumn, Table, TableId};
use crate::spec::values::Cell;

/// The inlined rows of one table that a commit inserts and ends.
#[derive(Debug)]
pub struct InlinedRows {
    /// The table.
    pub table: TableId,
    /// The version of its schema.
    pub version: i64,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Rows to insert, by row id.
    pub inserted: Vec<(i64, Vec<Cell>)>,
    /// Row ids of rows to end.
    pub ended: Vec<u64>,
    /// Statistics of the rows to insert, in parts.
    pub statistics: Vec<Vec<FileColumn>>,
}

/// What a commit does to the inlined rows of one table.
#[derive(Default)]
pub(super) struct InlinedOfCommit {
    sources: Vec<Arc<NewRows>>,
    /// New rows that are there in the end, by key: which source, and which row of it.
    inserted: BTreeMap<u64, (usize, usize)>,
    ended: BTreeSet<u64>,
}

impl InlinedOfCommit {
    pub(super) fn insert(&mut self, rows: &Arc<NewRows>) {
        let source = self.sources.len();
        for (row, key) in rows.chunk.keys.values().iter().enumerate() {
            self.inserted.insert(key.cast_unsigned(), (source, row));
        }
        self.sources.push(Arc::clone(rows));
    }

    pub(super) fn delete(&mut self, rows: &Positions) {
        for id in rows {
            if self.inserted.remove(&id).is_none() {
                self.ended.insert(id);
            }
        }
    }

    pub(super) fn finish(self, table: &Table) -> Result<InlinedRows> {
        let mut inserted = Vec::with_capacity(self.inserted.len());
        let mut statistics = Vec::new();
        for (at, source) in self.sources.iter().enumerate() {
            let stay = source.chunk.keys.values().iter().enumerate();
            let stay =
                stay.map(|(row, key)| self.inserted.get(&key.cast_unsigned()) == Some(&(at, row)));
            let stay = BooleanArray::from(stay.collect::<Vec<_>>());
            if stay.true_count() == 0 {
                continue;
            }
            // Columns altered later in the transaction: the rows are written as they are in the end.
            let chunk = source.chunk.filter(&stay)?.altered(table)?;
            let cells = match &chunk {
                None => source
                    .cells
                    .iter()
                    .zip(&stay)
                    .filter(|(_, stay)| *stay == Some(true))
                    .map(|(cells, _)| cells.clone())
                    .collect(),
                Some(chunk) => chunk.cells()?,
            };
            let chunk = match chunk {
                Some(chunk) => chunk,
                None => source.chunk.filter(&stay)?,
            };
            inserted.extend(chunk.row_ids.values().iter().copied().zip(cells));
            statistics.push(chunk.statistics());
        }
        Ok(InlinedRows {
            table: table.id,
            version: table.schema_version,
            columns: table.columns.clone(),
            inserted,
            ended: self.ended.into_iter().collect(),
            statistics,
        })
    }
}
