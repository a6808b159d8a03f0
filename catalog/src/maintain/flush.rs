//! Moves inlined rows to files.

use std::sync::Arc;

use crate::change::Change;
use crate::error::Result;
use crate::model::TableId;
use crate::warehouse::Warehouse;

/// With so many inlined rows, a table is flushed in the background after a commit.
const FLUSH_ROWS: u64 = 100_000;

impl Warehouse {
    /// Moves the rows of a table that lie in the catalog database to a file; returns how many. They keep their row ids, and older snapshots
    /// go on reading them where they were. A table that is gone has none.
    ///
    /// # Errors
    /// [`Error::Conflict`](crate::Error::Conflict) if others changed the same rows again and again; I/O.
    pub async fn flush(&self, table: TableId) -> Result<u64> {
        let mut attempt = 0;
        loop {
            let outcome = self.try_flush(table).await;
            if !super::yields(&outcome, attempt) {
                return outcome;
            }
            attempt += 1;
        }
    }

    async fn try_flush(&self, id: TableId) -> Result<u64> {
        let transaction = self.begin()?;
        let snapshot = transaction.snapshot();
        let Some(table) = snapshot
            .table_by_id(id)
            .filter(|table| table.inlined.rows() > 0)
        else {
            return Ok(0);
        };
        let mut writer = transaction.writer(id)?.into_files();
        for (batch, _, row_ids) in table.inlined.scan(table)? {
            writer.write_updated(&batch, &row_ids).await?;
        }
        let rows = writer.finish().await?;
        transaction.change(|state| {
            let moved = Arc::new(table.inlined.keys());
            state.push(Change::DeleteInlined(id, moved))?;
            state.push(Change::Flush(id))
        })?;
        transaction.commit().await?;
        Ok(rows)
    }

    /// Flushes a table that has gathered enough, once at a time, without waiting for it.
    pub(crate) fn flush_if_due(&self, table: TableId, inlined: u64) {
        if inlined < FLUSH_ROWS || !self.flushing().lock().insert(table) {
            return;
        }
        let warehouse = self.clone();
        tokio::spawn(async move {
            // If it fails, the rows stay where they are, and the next commit tries again.
            let _ = warehouse.flush(table).await;
            warehouse.flushing().lock().remove(&table);
        });
    }
}
