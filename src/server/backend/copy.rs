//! COPY over the connection: rows out as the client takes them, rows in as it sends them.

use bytes::{BufMut, BytesMut};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use pgwire::messages::copy::{CopyDone, CopyInResponse, CopyOutResponse};
use tributary_sql::copy_format::CopyFormat;

use super::{Backend, FLUSH_BYTES, Stop, guarded};
use crate::server::encode::copy::CopyWriter;
use crate::server::error::PgError;
use crate::server::message::Message;
use crate::server::transport::put;
use crate::session::CopyingIn;

/// The code of text on the wire, which CSV is too.
const TEXT: i16 = 0;

impl Backend {
    /// Sends rows as COPY data; the command tag.
    pub(super) async fn copy_out(
        &mut self,
        schema: &SchemaRef,
        mut stream: SendableRecordBatchStream,
        format: CopyFormat,
    ) -> Result<String, Stop> {
        let style = self.style();
        let mut writer = CopyWriter::new(format, schema, style);
        let (columns, column_formats) = columns(writer.width())?;
        put(
            &mut self.out,
            &CopyOutResponse::new(0, columns, column_formats),
        )?;
        let mut line = BytesMut::new();
        if writer.header(&mut line) {
            put_line(&line, &mut self.out)?;
        }
        let mut rows = 0_u64;
        loop {
            let batch = guarded(&self.interrupt, async {
                Ok(stream.next().await.transpose()?)
            })
            .await?;
            let Some(batch) = batch else {
                break;
            };
            let cells = writer.cells(&batch)?;
            for row in 0..cells.rows() {
                line.clear();
                writer.row(&cells, row, &mut line)?;
                put_line(&line, &mut self.out)?;
                if self.out.len() >= FLUSH_BYTES {
                    self.flush().await?;
                }
            }
            rows += cells.rows() as u64;
        }
        put(&mut self.out, &CopyDone::new())?;
        Ok(format!("COPY {rows}"))
    }

    /// Takes the client's rows until it says that there are no more; the command tag.
    pub(super) async fn copy_in(&mut self, mut copying: CopyingIn) -> Result<String, Stop> {
        let (columns, column_formats) = columns(copying.width())?;
        put(
            &mut self.out,
            &CopyInResponse::new(0, columns, column_formats),
        )?;
        self.flush().await?;
        loop {
            let frame = self.next_frame().await?;
            match Message::decode(frame.kind, frame.body)? {
                Message::CopyData(data) => {
                    guarded(&self.interrupt, copying.feed(&data)).await?;
                }
                Message::CopyDone => {
                    return guarded(&self.interrupt, copying.finish()).await;
                }
                Message::CopyFail(reason) => {
                    return Err(PgError::error(
                        "57014",
                        format!("COPY from stdin failed: {reason}"),
                    )
                    .into());
                }
                // The client may have sent them before it knew of the COPY.
                Message::Flush | Message::Sync => {}
                Message::Terminate => return Err(Stop::Connection(super::End::Client)),
                _ => {
                    return Err(PgError::fatal(
                        "08P01",
                        format!(
                            "unexpected message type 0x{:02X} during COPY from stdin",
                            frame.kind
                        ),
                    )
                    .into());
                }
            }
        }
    }
}

/// The number of columns and their formats, as the wire says them.
fn columns(width: usize) -> Result<(i16, Vec<i16>), PgError> {
    let count = i16::try_from(width)
        .map_err(|_| PgError::error("54011", "a COPY can have at most 32767 columns"))?;
    Ok((count, vec![TEXT; width]))
}

fn put_line(line: &[u8], out: &mut BytesMut) -> Result<(), PgError> {
    let length = i32::try_from(line.len() + 4)
        .map_err(|_| PgError::error("54000", "a row is larger than 2 GB and cannot be sent"))?;
    out.put_u8(b'd');
    out.put_i32(length);
    out.put_slice(line);
    Ok(())
}
