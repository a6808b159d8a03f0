//! How the commands speak: results on standard output, the rest on standard error.

use std::io::{Read, Write};

use bytes::BytesMut;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::Schema;
use futures::StreamExt;

use super::Outcome;
use crate::server::encode::copy::CopyWriter;
use crate::server::error::PgError;
use crate::session::{Outcome as Statement, Session};
use tributary_sql::output::{Cell, Style};

/// Writes a line to standard output; a reader that has gone away is no error.
pub fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Writes a line to standard error.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Writes an error to standard error.
pub fn error(text: &str) {
    note(&format!("tributary: {text}"));
}

/// Writes what a session has to say beside its results.
pub fn notices(session: &mut Session) {
    for notice in session.take_notices() {
        let severity = if notice.warning { "WARNING" } else { "NOTICE" };
        note(&format!("{severity}:  {}", notice.message));
    }
}

/// A result, whole: its columns with their values as text, `None` for NULL, and its tag.
pub struct Shown {
    /// The columns; none for a statement without rows.
    pub schema: Option<datafusion::arrow::datatypes::SchemaRef>,
    /// The rows.
    pub rows: Vec<Vec<Option<String>>>,
    /// The command tag.
    pub tag: String,
}

/// Reads a statement's whole result. COPY data goes to standard output, and comes from standard input.
pub async fn read(outcome: Statement) -> Outcome<Shown> {
    match outcome {
        Statement::Done { tag } => Ok(Shown {
            schema: None,
            rows: vec![],
            tag,
        }),
        Statement::CopyOut {
            schema,
            mut stream,
            format,
        } => {
            let mut writer = CopyWriter::new(format, &schema, Style::default());
            let mut text = BytesMut::new();
            writer.header(&mut text);
            let mut rows = 0;
            while let Some(batch) = stream.next().await {
                let batch = batch.map_err(crate::session::Error::from)?;
                let failed = |error| super::Failure::from(&error);
                let cells = writer.cells(&batch).map_err(failed)?;
                for row in 0..cells.rows() {
                    writer.row(&cells, row, &mut text).map_err(failed)?;
                }
                rows += cells.rows();
                write_out(&text)?;
                text.clear();
            }
            write_out(&text)?;
            Ok(Shown {
                schema: None,
                rows: vec![],
                tag: format!("COPY {rows}"),
            })
        }
        Statement::CopyIn(mut copying) => {
            loop {
                let piece = tokio::task::spawn_blocking(|| {
                    let mut piece = vec![0; PIECE_BYTES];
                    let length = std::io::stdin().read(&mut piece)?;
                    piece.truncate(length);
                    Ok::<_, std::io::Error>(piece)
                });
                let piece = match piece.await {
                    Ok(read) => read.map_err(|error| {
                        super::Failure::new(format!("could not read standard input: {error}"))
                    })?,
                    Err(error) => {
                        return Err(super::Failure::new(format!(
                            "the reading of standard input has ended early: {error}"
                        )));
                    }
                };
                if piece.is_empty() {
                    break;
                }
                copying.feed(&piece).await?;
            }
            Ok(Shown {
                schema: None,
                rows: vec![],
                tag: copying.finish().await?,
            })
        }
        Statement::Rows {
            schema,
            mut stream,
            tag,
        } => {
            let mut rows = Vec::new();
            while let Some(batch) = stream.next().await {
                let batch = batch.map_err(crate::session::Error::from)?;
                rows.extend(texts(&schema, &batch)?);
            }
            Ok(Shown {
                schema: Some(schema),
                tag: tag.text(rows.len() as u64),
                rows,
            })
        }
    }
}

/// Standard input is read in pieces of this size.
const PIECE_BYTES: usize = 64 << 10;

fn write_out(bytes: &[u8]) -> Outcome {
    std::io::stdout().write_all(bytes).map_err(|error| {
        super::Failure::new(format!("could not write to standard output: {error}"))
    })
}

fn texts(schema: &Schema, batch: &RecordBatch) -> Outcome<Vec<Vec<Option<String>>>> {
    let cells = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, array)| Cell::new(array, field, Style::default()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| super::Failure::from(&PgError::from(error)))?;
    let mut rows = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let mut texts = Vec::with_capacity(cells.len());
        for cell in &cells {
            if cell.is_null(row) {
                texts.push(None);
                continue;
            }
            let mut text = BytesMut::new();
            cell.write(row, &mut text)
                .map_err(|error| super::Failure::from(&PgError::from(error)))?;
            texts.push(Some(String::from_utf8_lossy(&text).into_owned()));
        }
        rows.push(texts);
    }
    Ok(rows)
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Layout {
    /// Aligned columns with a heading, as psql shows them.
    Table,
    /// Comma-separated values with a heading.
    Csv,
    /// One JSON array of objects.
    Json,
}

/// Writes rows to standard output.
pub fn rows(shown: &Shown, layout: Layout) {
    let Some(schema) = &shown.schema else {
        return;
    };
    match layout {
        Layout::Table => line(&table(schema, &shown.rows)),
        Layout::Csv => {
            let heading = schema
                .fields()
                .iter()
                .map(|field| csv_value(field.name()))
                .collect::<Vec<_>>();
            line(&heading.join(","));
            for row in &shown.rows {
                let values = row
                    .iter()
                    .map(|value| value.as_deref().map(csv_value).unwrap_or_default())
                    .collect::<Vec<_>>();
                line(&values.join(","));
            }
        }
        Layout::Json => {
            let objects = shown
                .rows
                .iter()
                .map(|row| {
                    let object: serde_json::Map<String, serde_json::Value> = schema
                        .fields()
                        .iter()
                        .zip(row)
                        .map(|(field, value)| (field.name().clone(), json_value(field, value)))
                        .collect();
                    serde_json::Value::Object(object)
                })
                .collect();
            line(&serde_json::Value::Array(objects).to_string());
        }
    }
}

fn json_value(
    field: &datafusion::arrow::datatypes::Field,
    value: &Option<String>,
) -> serde_json::Value {
    let Some(text) = value else {
        return serde_json::Value::Null;
    };
    if field.data_type().is_numeric()
        && let Ok(number) = serde_json::from_str::<serde_json::Number>(text)
    {
        return serde_json::Value::Number(number);
    }
    if field.data_type() == &datafusion::arrow::datatypes::DataType::Boolean {
        return serde_json::Value::Bool(text == "t");
    }
    serde_json::Value::String(text.clone())
}

fn csv_value(text: &str) -> String {
    if text.is_empty() || text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// Rows as a table in the manner of psql.
pub fn table(schema: &Schema, rows: &[Vec<Option<String>>]) -> String {
    let mut table = comfy_table::Table::new();
    table.load_preset("     -+ |          ");
    table.set_header(schema.fields().iter().map(|field| field.name().as_str()));
    for row in rows {
        table.add_row(row.iter().map(|value| value.as_deref().unwrap_or("")));
    }
    for (position, field) in schema.fields().iter().enumerate() {
        if field.data_type().is_numeric()
            && let Some(column) = table.column_mut(position)
        {
            column.set_cell_alignment(comfy_table::CellAlignment::Right);
        }
    }
    let count = match rows.len() {
        1 => "(1 row)".to_owned(),
        count => format!("({count} rows)"),
    };
    format!("{table}\n{count}")
}
