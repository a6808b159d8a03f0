//! Joins small files, and writes files anew of which many rows are deleted.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt;

use crate::change::Change;
use crate::deletes::Deletes;
use crate::error::{Error, Result};
use crate::model::{DataFile, Table, TableId};
use crate::scan::TableScan;
use crate::warehouse::Warehouse;

/// What compaction looks for. The default suits tables that are read more often than they are written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Compaction {
    /// Files below this size are joined, where there are at least two.
    pub small_bytes: u64,
    /// Files with at least this part of their rows deleted are written anew; in 0..=1.
    pub deleted_part: f64,
}

impl Default for Compaction {
    fn default() -> Self {
        Self {
            small_bytes: 32 << 20,
            deleted_part: 0.2,
        }
    }
}

impl Warehouse {
    /// Writes some of the files of a table anew, as `what` says; returns how many. Rows keep their ids. The old files stay for older snapshots,
    /// until these [expire](Self::expire_snapshots). Streams: memory is that of one scan and one writer.
    ///
    /// # Errors
    /// [`Error::Conflict`] if others deleted rows of the same files again and again; I/O.
    pub async fn compact(&self, table: TableId, what: &Compaction) -> Result<usize> {
        let mut attempt = 0;
        loop {
            let outcome = self.try_compact(table, what).await;
            if !super::yields(&outcome, attempt) {
                return outcome;
            }
            attempt += 1;
        }
    }

    async fn try_compact(&self, id: TableId, what: &Compaction) -> Result<usize> {
        let transaction = self.begin()?;
        let snapshot = transaction.snapshot();
        let Some(table) = snapshot.table_by_id(id) else {
            return Ok(0);
        };
        let files = candidates(table, what);
        if files.is_empty() {
            return Ok(0);
        }
        let ids = files.iter().map(|file| file.id).collect::<BTreeSet<_>>();
        let part = Table {
            files: Arc::new(files),
            inlined: Arc::default(),
            ..Table::clone(table)
        };
        let scan = TableScan::new(self.clone(), Arc::new(part.counted())).with_row_identity();
        let context =
            SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
        let mut rows = context
            .read_table(Arc::new(scan))
            .map_err(of_engine)?
            .execute_stream()
            .await
            .map_err(of_engine)?;
        let mut writer = transaction.writer(id)?.into_files();
        let width = table.columns.len();
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(of_engine)?;
            let own = batch.project(&(0..width).collect::<Vec<_>>())?;
            // File, position, row id.
            let row_ids = batch.column(width + 2).as_primitive::<Int64Type>();
            writer.write_updated(&own, row_ids).await?;
        }
        writer.finish().await?;
        let count = ids.len();
        transaction.change(|state| state.push(Change::Rewrite(id, ids)))?;
        transaction.commit().await?;
        Ok(count)
    }
}

fn candidates(table: &Table, what: &Compaction) -> Vec<Arc<DataFile>> {
    let many_deleted = |file: &DataFile| match table.deletes.get(&file.id).map(Deletes::count) {
        None => false,
        Some(None) => true,
        Some(Some(deleted)) => deleted as f64 >= what.deleted_part * file.rows as f64,
    };
    let small = |file: &DataFile| file.bytes < what.small_bytes;
    let join = table.files.iter().filter(|file| small(file)).count() >= 2;
    let files = table.files.iter();
    files
        .filter(|file| many_deleted(file) || (join && small(file)))
        .cloned()
        .collect()
}

fn of_engine(error: datafusion::error::DataFusionError) -> Error {
    let text = error.to_string();
    match error {
        datafusion::error::DataFusionError::External(source) => match source.downcast::<Error>() {
            Ok(error) => *error,
            Err(_) => Error::Internal(text),
        },
        _ => Error::Internal(text),
    }
}
