//! Rows in the text and CSV formats of COPY.

use bytes::{BufMut, BytesMut};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{FieldRef, Schema};
use tributary_sql::copy_format::{CopyFormat, Kind};
use tributary_sql::names::output_names;
use tributary_sql::output::{Cell, Style};

use super::super::error::PgError;

/// Writes the rows of one COPY TO.
#[derive(Debug)]
pub struct CopyWriter {
    format: CopyFormat,
    columns: Vec<Column>,
    style: Style,
    /// The text of a value before it is put between quotes.
    scratch: BytesMut,
}

#[derive(Debug)]
struct Column {
    field: FieldRef,
    name: String,
    quoted: bool,
}

/// The columns of one batch, ready to be written.
pub struct CopyCells {
    cells: Vec<Cell>,
    rows: usize,
}

impl CopyCells {
    /// How many rows the batch has.
    pub fn rows(&self) -> usize {
        self.rows
    }
}

impl CopyWriter {
    /// A writer of rows of `schema`.
    pub fn new(format: CopyFormat, schema: &Schema, style: Style) -> Self {
        let names = output_names(schema.fields().iter().map(|field| field.name().as_str()));
        let columns = schema
            .fields()
            .iter()
            .zip(names)
            .map(|(field, name)| Column {
                field: FieldRef::clone(field),
                quoted: format.force_quote.contains(&name),
                name,
            });
        Self {
            columns: columns.collect(),
            format,
            style,
            scratch: BytesMut::new(),
        }
    }

    /// How many columns there are.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// Writes the line with the names, where the format has one; whether it has.
    pub fn header(&mut self, out: &mut BytesMut) -> bool {
        if !self.format.header {
            return false;
        }
        for (position, column) in self.columns.iter().enumerate() {
            if position > 0 {
                out.put_u8(self.format.delimiter);
            }
            value(
                &self.format,
                column.name.as_bytes(),
                false,
                self.columns.len() == 1,
                out,
            );
        }
        out.put_u8(b'\n');
        true
    }

    /// The cells of `batch`.
    ///
    /// # Errors
    /// As [`Cell::new`].
    pub fn cells(&self, batch: &RecordBatch) -> Result<CopyCells, PgError> {
        let cells = self
            .columns
            .iter()
            .zip(batch.columns())
            .map(|(column, array)| Cell::new(array, &column.field, self.style));
        Ok(CopyCells {
            cells: cells.collect::<Result<_, _>>()?,
            rows: batch.num_rows(),
        })
    }

    /// Writes one row, with its newline.
    ///
    /// # Errors
    /// As [`Cell::write`].
    pub fn row(
        &mut self,
        cells: &CopyCells,
        row: usize,
        out: &mut BytesMut,
    ) -> Result<(), PgError> {
        let alone = self.columns.len() == 1;
        for (position, (cell, column)) in cells.cells.iter().zip(&self.columns).enumerate() {
            if position > 0 {
                out.put_u8(self.format.delimiter);
            }
            if cell.is_null(row) {
                out.put_slice(self.format.null.as_bytes());
                continue;
            }
            self.scratch.clear();
            cell.write(row, &mut self.scratch)?;
            value(&self.format, &self.scratch, column.quoted, alone, out);
        }
        out.put_u8(b'\n');
        Ok(())
    }
}

/// Writes a value that is not NULL; `alone` where it is all there is in its line.
fn value(format: &CopyFormat, text: &[u8], quoted: bool, alone: bool, out: &mut BytesMut) {
    match format.kind {
        Kind::Text => {
            for byte in text {
                let letter = match byte {
                    8 => b'b',
                    12 => b'f',
                    b'\n' => b'n',
                    b'\r' => b'r',
                    b'\t' => b't',
                    11 => b'v',
                    b'\\' => b'\\',
                    byte if *byte == format.delimiter => *byte,
                    byte => {
                        out.put_u8(*byte);
                        continue;
                    }
                };
                out.put_u8(b'\\');
                out.put_u8(letter);
            }
        }
        Kind::Csv => {
            let special = |byte: &u8| {
                *byte == format.delimiter || *byte == format.quote || matches!(byte, b'\n' | b'\r')
            };
            // What would be read as NULL or as the end of the data is put in quotes too.
            let quoted = quoted
                || text == format.null.as_bytes()
                || (alone && text == b"\\.")
                || text.iter().any(special);
            if !quoted {
                out.put_slice(text);
                return;
            }
            out.put_u8(format.quote);
            for byte in text {
                if *byte == format.quote || *byte == format.escape {
                    out.put_u8(format.escape);
                }
                out.put_u8(*byte);
            }
            out.put_u8(format.quote);
        }
    }
}
