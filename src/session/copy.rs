//! COPY between the session and a client, or a file of the server.

use std::io::Write;
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tributary_catalog::Transaction;
use tributary_sql::copy_format::{CopyFormat, RowReader};
use tributary_sql::{Condition, Report};

use super::{Error, Result, finish, rows};
use crate::server::encode::copy::CopyWriter;
use crate::server::error::PgError;
use tributary_sql::output::Style;

/// A COPY FROM that waits for the client's data. Dropping it gives it up, and nothing is written.
pub struct CopyingIn {
    reader: RowReader,
    width: usize,
    rows: Option<mpsc::Sender<DataFusionResult<RecordBatch>>>,
    writing: JoinHandle<Result<u64>>,
    implicit: Option<Transaction>,
}

impl std::fmt::Debug for CopyingIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CopyingIn")
            .field("width", &self.width)
            .finish_non_exhaustive()
    }
}

impl CopyingIn {
    /// Starts to write what will be fed.
    pub(super) fn start(
        format: CopyFormat,
        schema: &SchemaRef,
        rows: mpsc::Sender<DataFusionResult<RecordBatch>>,
        written: SendableRecordBatchStream,
        implicit: Option<Transaction>,
    ) -> Self {
        Self {
            reader: RowReader::new(format, SchemaRef::clone(schema)),
            width: schema.fields().len(),
            rows: Some(rows),
            writing: tokio::spawn(rows::count(written)),
            implicit,
        }
    }

    /// How many columns are expected.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Takes a piece of the data.
    ///
    /// # Errors
    /// For data that cannot be read, and for what writing meets.
    pub async fn feed(&mut self, bytes: &[u8]) -> Result<()> {
        for batch in self.reader.feed(bytes)? {
            self.send(batch).await?;
        }
        Ok(())
    }

    async fn send(&mut self, batch: RecordBatch) -> Result<()> {
        if let Some(rows) = &self.rows
            && rows.send(Ok(batch)).await.is_err()
        {
            // The writing has ended before its input: it says why.
            self.rows = None;
            self.written().await?;
        }
        Ok(())
    }

    async fn written(&mut self) -> Result<u64> {
        match (&mut self.writing).await {
            Ok(rows) => rows,
            Err(error) => Err(Report::new(
                Condition::Internal,
                format!("the writing of COPY has ended early: {error}"),
            )
            .into()),
        }
    }

    /// Takes the end of the data, and commits where the COPY is a transaction of its own; the command tag.
    ///
    /// # Errors
    /// As [`feed`](Self::feed), and what the commit meets.
    pub async fn finish(mut self) -> Result<String> {
        if let Some(batch) = self.reader.finish()? {
            self.send(batch).await?;
        }
        self.rows = None;
        let rows = self.written().await?;
        finish(self.implicit.take()).await?;
        Ok(format!("COPY {rows}"))
    }
}

impl Drop for CopyingIn {
    fn drop(&mut self) {
        self.writing.abort();
    }
}

/// Writes the rows of a stream into a file, which is there under its name when it is whole; the number of rows.
///
/// # Errors
/// For a file that cannot be written, and what the stream meets.
pub(super) async fn to_file(
    path: &str,
    format: Option<CopyFormat>,
    schema: &SchemaRef,
    mut stream: SendableRecordBatchStream,
) -> Result<u64> {
    let failed = |error: std::io::Error| -> Error {
        let condition = match error.kind() {
            std::io::ErrorKind::NotFound => Condition::UndefinedFile,
            std::io::ErrorKind::PermissionDenied => Condition::InsufficientPrivilege,
            _ => Condition::FileError,
        };
        Report::new(
            condition,
            format!("could not write file \"{path}\": {error}"),
        )
        .into()
    };
    let unfinished = Unfinished::beside(Path::new(path));
    let file = std::fs::File::create(&unfinished.path).map_err(failed)?;
    let mut rows = 0_u64;
    match format {
        None => {
            let mut writer = tributary_sql::files::ParquetWriter::new(file, schema)?;
            while let Some(batch) = stream.next().await {
                let batch = batch?;
                rows += batch.num_rows() as u64;
                writer.write(&batch)?;
            }
            writer.finish()?.sync_all().map_err(failed)?;
        }
        Some(format) => {
            let mut file = std::io::BufWriter::new(file);
            let mut writer = CopyWriter::new(format, schema, Style::default());
            let mut out = BytesMut::new();
            writer.header(&mut out);
            while let Some(batch) = stream.next().await {
                let batch = batch?;
                let cells = writer.cells(&batch).map_err(unwritten)?;
                for row in 0..cells.rows() {
                    writer.row(&cells, row, &mut out).map_err(unwritten)?;
                }
                rows += batch.num_rows() as u64;
                file.write_all(&out).map_err(failed)?;
                out.clear();
            }
            file.write_all(&out).map_err(failed)?;
            let file = file
                .into_inner()
                .map_err(|error| failed(error.into_error()))?;
            file.sync_all().map_err(failed)?;
        }
    }
    std::fs::rename(&unfinished.path, path).map_err(failed)?;
    Ok(rows)
}

/// A value that has no text.
fn unwritten(error: PgError) -> Error {
    Report::new(Condition::Internal, error.message).into()
}

/// A file that is removed unless it has got its name.
struct Unfinished {
    path: PathBuf,
}

impl Unfinished {
    fn beside(path: &Path) -> Self {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.unfinished", std::process::id()));
        Self {
            path: path.with_file_name(name),
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // After the renaming there is none.
        let _ = std::fs::remove_file(&self.path);
    }
}
