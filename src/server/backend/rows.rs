//! The way of rows: from the engine's stream through the encoder to the client, as fast as the client takes them.

use datafusion::arrow::datatypes::Schema;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;

use super::{Backend, FLUSH_BYTES, Stop, guarded};
use crate::server::encode::{BatchCells, Format, RowEncoder};
use crate::session::RowsTag;
use tributary_sql::output::Style;

/// A result on its way to the client. Dropping it cancels what computes it.
pub struct Rows {
    encoder: RowEncoder,
    stream: SendableRecordBatchStream,
    /// The batch that is being sent, and its first row not sent yet.
    current: Option<(BatchCells, usize)>,
    /// What the command tag says.
    pub tag: RowsTag,
}

/// How far the sending of rows went.
pub struct Sent {
    /// Rows sent this time.
    pub rows: u64,
    /// Whether the result is at its end; otherwise the limit was met.
    pub finished: bool,
}

impl Rows {
    /// Rows of `schema` in `formats`, which may be fewer than columns: the rest is text.
    pub fn new(
        schema: &Schema,
        formats: &[Format],
        style: Style,
        stream: SendableRecordBatchStream,
        tag: RowsTag,
    ) -> Self {
        Self {
            encoder: RowEncoder::new(schema, formats, style),
            stream,
            current: None,
            tag,
        }
    }
}

impl Backend {
    /// Sends rows, at most `limit` of them. The engine is asked for more only when the client has taken what there is.
    pub(super) async fn send_rows(
        &mut self,
        rows: &mut Rows,
        limit: Option<usize>,
    ) -> Result<Sent, Stop> {
        let mut sent = 0_usize;
        loop {
            if limit.is_some_and(|limit| sent >= limit) {
                return Ok(Sent {
                    rows: sent as u64,
                    finished: false,
                });
            }
            let Some((cells, next)) = &mut rows.current else {
                let batch = guarded(&self.interrupt, async {
                    Ok(rows.stream.next().await.transpose()?)
                })
                .await?;
                let Some(batch) = batch else {
                    return Ok(Sent {
                        rows: sent as u64,
                        finished: true,
                    });
                };
                rows.current = Some((rows.encoder.cells(&batch)?, 0));
                continue;
            };
            let end = limit.map_or(cells.rows(), |limit| next.saturating_add(limit - sent));
            let after = cells.write_rows(*next, end, &mut self.out, FLUSH_BYTES)?;
            sent += after - *next;
            *next = after;
            if after >= cells.rows() {
                rows.current = None;
            }
            if self.out.len() >= FLUSH_BYTES {
                self.flush().await?;
            }
        }
    }
}
