//! Rows to the wire: one writer for each column of a batch, many rows into one buffer.
//!
//! For every batch each column becomes a [`Cell`], a function made for the column's Arrow type, its PostgreSQL type and
//! the format the client wants, so that the loop over rows asks no type again. DataRow messages are written straight
//! into the connection's buffer; nothing is allocated for a row. Start at [`RowEncoder`].

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, FieldRef, Schema};
use bytes::{BufMut, BytesMut};
use pgwire::messages::data::{FieldDescription, RowDescription};
use tributary_sql::output::{Cell, Style, internal};
use tributary_sql::{Condition, Report, pgtype};

use super::error::PgError;

pub mod binary;
pub mod copy;
mod numeric;

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// As text.
    #[default]
    Text,
    /// In the type's binary form.
    Binary,
}

impl Format {
    /// The format of a code on the wire.
    ///
    /// # Errors
    /// 22023 for another code than 0 and 1.
    pub fn of_code(code: i16) -> Result<Self, PgError> {
        match code {
            0 => Ok(Self::Text),
            1 => Ok(Self::Binary),
            _ => Err(PgError::error(
                "22023",
                format!("unsupported format code: {code}"),
            )),
        }
    }

    /// The formats of `count` values from the codes of a Bind message: none means text, one stands for all.
    ///
    /// # Errors
    /// 08P01 for another number of codes; `mismatch` words it.
    pub fn expand(
        codes: &[i16],
        count: usize,
        mismatch: impl Fn(usize) -> String,
    ) -> Result<Vec<Self>, PgError> {
        match codes {
            [] => Ok(vec![Self::Text; count]),
            [code] => Ok(vec![Self::of_code(*code)?; count]),
            codes if codes.len() == count => {
                codes.iter().map(|code| Self::of_code(*code)).collect()
            }
            codes => Err(PgError::error("08P01", mismatch(codes.len()))),
        }
    }
}

/// A writer of `array`, whose values are of `field`'s type, in `format`.
///
/// # Errors
/// 42883 when the type has no binary form, XX000 when array and type do not belong together.
pub fn cell(array: &ArrayRef, field: &Field, format: Format, style: Style) -> Result<Cell, Report> {
    match format {
        Format::Text => Cell::new(array, field, style),
        Format::Binary => Cell::with(array, field, style, binary::writer),
    }
}

/// Writes the value in `row` with its length before it, -1 for NULL.
///
/// # Errors
/// As [`Cell::write`]; 54000 for a value that is longer than a length can say.
fn write_with_length(cell: &Cell, row: usize, out: &mut BytesMut) -> Result<(), Report> {
    if cell.is_null(row) {
        out.put_i32(-1);
        return Ok(());
    }
    let start = out.len();
    out.put_i32(0);
    cell.write(row, out)?;
    let length = out.len() - start - 4;
    patch_length(out, start, length)
}

/// Encodes the rows of one result.
#[derive(Debug)]
pub struct RowEncoder {
    columns: Vec<Column>,
    style: Style,
}

#[derive(Debug)]
struct Column {
    field: FieldRef,
    format: Format,
}

/// The columns of one batch, ready to be written.
pub struct BatchCells {
    cells: Vec<Cell>,
    rows: usize,
}

impl RowEncoder {
    /// An encoder of rows of `schema`; `formats` has one format for each column, missing ones are text.
    pub fn new(schema: &Schema, formats: &[Format], style: Style) -> Self {
        let formats = formats
            .iter()
            .copied()
            .chain(std::iter::repeat(Format::Text));
        Self {
            columns: schema
                .fields()
                .iter()
                .zip(formats)
                .map(|(field, format)| Column {
                    field: Arc::clone(field),
                    format,
                })
                .collect(),
            style,
        }
    }

    /// The cells of `batch`.
    ///
    /// # Errors
    /// As [`Cell::new`].
    pub fn cells(&self, batch: &RecordBatch) -> Result<BatchCells, PgError> {
        let cells = self
            .columns
            .iter()
            .zip(batch.columns())
            .map(|(column, array)| cell(array, &column.field, column.format, self.style))
            .collect::<Result<Vec<_>, _>>()?;
        if cells.len() != self.columns.len() {
            return Err(PgError::internal(
                "a batch with fewer columns than its schema",
            ));
        }
        Ok(BatchCells {
            cells,
            rows: batch.num_rows(),
        })
    }
}

impl BatchCells {
    /// How many rows the batch has.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Writes the rows from `start` to before `end` as DataRow messages, stopping early once `out` has `bytes_max` bytes;
    /// the first row not written. On an error `out` holds whole messages only.
    ///
    /// # Errors
    /// As [`Cell::write`].
    pub fn write_rows(
        &self,
        start: usize,
        end: usize,
        out: &mut BytesMut,
        bytes_max: usize,
    ) -> Result<usize, PgError> {
        let count = u16::try_from(self.cells.len()).map_err(|_| too_many_columns())?;
        let mut row = start;
        while row < end.min(self.rows) && out.len() < bytes_max {
            let message = out.len();
            if let Err(error) = self.write_row(row, count, out) {
                out.truncate(message);
                return Err(error.into());
            }
            row += 1;
        }
        Ok(row)
    }

    fn write_row(&self, row: usize, count: u16, out: &mut BytesMut) -> Result<(), Report> {
        out.put_u8(b'D');
        let start = out.len();
        out.put_i32(0);
        out.put_u16(count);
        for cell in &self.cells {
            write_with_length(cell, row, out)?;
        }
        let length = out.len() - start;
        patch_length(out, start, length)
    }
}

/// The RowDescription of a result: names, types and formats; `formats` as in [`RowEncoder::new`].
///
/// # Errors
/// 54011 for more columns than the message can count.
pub fn row_description(schema: &Schema, formats: &[Format]) -> Result<RowDescription, PgError> {
    if i16::try_from(schema.fields().len()).is_err() {
        return Err(too_many_columns());
    }
    let formats = formats
        .iter()
        .copied()
        .chain(std::iter::repeat(Format::Text));
    let fields = schema.fields().iter().zip(formats).map(|(field, format)| {
        let pg_type = pgtype::of_field(field);
        FieldDescription::new(
            wire_name(field.name()),
            0,
            0,
            pg_type.oid,
            pg_type.len,
            pgtype::type_modifier(field),
            format as i16,
        )
    });
    Ok(RowDescription::new(fields.collect()))
}

/// A name without the zero byte that would end it early on the wire.
fn wire_name(name: &str) -> String {
    name.replace('\0', "\u{fffd}")
}

fn too_many_columns() -> PgError {
    PgError::error(
        "54011",
        format!("a result can have at most {} columns", i16::MAX),
    )
}

/// Writes `length` into the four bytes at `at`.
fn patch_length(out: &mut BytesMut, at: usize, length: usize) -> Result<(), Report> {
    let length = i32::try_from(length).map_err(|_| {
        Report::new(
            Condition::TooLarge,
            "a row is larger than 2 GB and cannot be sent",
        )
    })?;
    match out.get_mut(at..at + 4) {
        Some(place) => {
            place.copy_from_slice(&length.to_be_bytes());
            Ok(())
        }
        None => Err(internal("a length outside its buffer")),
    }
}

#[cfg(test)]
mod tests;
