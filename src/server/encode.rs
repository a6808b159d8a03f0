//! Rows to the wire: one writer for each column of a batch, many rows into one buffer.
//!
//! For every batch each column becomes a [`Cell`], a function made for the column's Arrow type, its PostgreSQL type and
//! the format the client wants, so that the loop over rows asks no type again. DataRow messages are written straight
//! into the connection's buffer; nothing is allocated for a row. Start at [`RowEncoder`].

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use bytes::{BufMut, BytesMut};
use pgwire::messages::data::{FieldDescription, RowDescription};
use tributary_sql::pgtype::{self, PgType};

use super::error::PgError;

pub mod binary;
pub mod copy;
pub mod json;
pub mod number;
pub mod text;
pub mod time;

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

/// What the text form of values depends on beside their type.
#[derive(Debug, Clone, Copy, Default)]
pub struct Style {
    /// Where `timestamptz` values are shown.
    pub zone: time::Zone,
}

/// Writes the value in one row, without its length; never called for NULL.
pub type Write = Box<dyn Fn(usize, &mut BytesMut) -> Result<(), PgError> + Send + Sync>;

/// One column of one batch, ready to be written.
pub struct Cell {
    nulls: Option<NullBuffer>,
    write: Write,
}

impl Cell {
    /// A writer of `array`, whose values are of `field`'s type.
    ///
    /// # Errors
    /// 42883 when the type has no binary form, XX000 when array and type do not belong together.
    pub fn new(
        array: &ArrayRef,
        field: &Field,
        format: Format,
        style: Style,
    ) -> Result<Self, PgError> {
        if let DataType::RunEndEncoded(_, values) = array.data_type() {
            let flat = arrow::compute::cast(array, values.data_type()).map_err(|error| {
                PgError::internal(format_args!(
                    "could not unpack a run-end encoded column: {error}"
                ))
            })?;
            return Self::new(&flat, values, format, style);
        }
        if let DataType::Dictionary(_, value_type) = array.data_type() {
            return Self::dictionary(array, field, value_type, format, style);
        }
        let write = match format {
            Format::Text => text::writer(array, field, style)?,
            Format::Binary => binary::writer(array, field, style)?,
        };
        Ok(Self {
            nulls: array.logical_nulls(),
            write,
        })
    }

    fn dictionary(
        array: &ArrayRef,
        field: &Field,
        value_type: &DataType,
        format: Format,
        style: Style,
    ) -> Result<Self, PgError> {
        let Some(dictionary) = arrow::array::AsArray::as_any_dictionary_opt(array.as_ref()) else {
            return Err(PgError::internal(
                "a dictionary column without a dictionary",
            ));
        };
        let nulls = array.logical_nulls();
        if dictionary.values().is_empty() {
            // Every row is NULL, and normalised keys do not exist.
            return Ok(Self {
                nulls,
                write: Box::new(|_, _| Err(PgError::internal("a key without a value"))),
            });
        }
        let keys = dictionary.normalized_keys();
        let field = field.clone().with_data_type(value_type.clone());
        let values = Self::new(dictionary.values(), &field, format, style)?;
        Ok(Self {
            nulls,
            write: Box::new(move |row, out| match keys.get(row) {
                Some(key) => (values.write)(*key, out),
                None => Err(PgError::internal("a row without a key")),
            }),
        })
    }

    /// Whether the value in `row` is NULL.
    pub fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// Writes the value in `row`, which is not NULL, without its length.
    ///
    /// # Errors
    /// As the type's writer.
    pub fn write(&self, row: usize, out: &mut BytesMut) -> Result<(), PgError> {
        (self.write)(row, out)
    }

    /// Writes the value in `row` with its length before it, -1 for NULL.
    ///
    /// # Errors
    /// As [`Self::write`]; 54000 for a value that is longer than a length can say.
    pub fn write_with_length(&self, row: usize, out: &mut BytesMut) -> Result<(), PgError> {
        if self.is_null(row) {
            out.put_i32(-1);
            return Ok(());
        }
        let start = out.len();
        out.put_i32(0);
        (self.write)(row, out)?;
        let length = out.len() - start - 4;
        patch_length(out, start, length)
    }
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
            .map(|(column, array)| Cell::new(array, &column.field, column.format, self.style))
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
    /// As [`Cell::write_with_length`].
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
                return Err(error);
            }
            row += 1;
        }
        Ok(row)
    }

    fn write_row(&self, row: usize, count: u16, out: &mut BytesMut) -> Result<(), PgError> {
        out.put_u8(b'D');
        let start = out.len();
        out.put_i32(0);
        out.put_u16(count);
        for cell in &self.cells {
            cell.write_with_length(row, out)?;
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
fn patch_length(out: &mut BytesMut, at: usize, length: usize) -> Result<(), PgError> {
    let length = i32::try_from(length)
        .map_err(|_| PgError::error("54000", "a row is larger than 2 GB and cannot be sent"))?;
    match out.get_mut(at..at + 4) {
        Some(place) => {
            place.copy_from_slice(&length.to_be_bytes());
            Ok(())
        }
        None => Err(PgError::internal("a length outside its buffer")),
    }
}

/// Takes back what was written from `at` on. (`BytesMut::split_off` would leave a buffer without room behind it, and the
/// next write would copy all of it.)
fn take_from(out: &mut BytesMut, at: usize) -> Vec<u8> {
    let taken = out.get(at..).unwrap_or_default().to_vec();
    out.truncate(at);
    taken
}

/// The error for a column whose array is not of the type its field says.
fn mismatch(array: &ArrayRef, pg_type: &PgType) -> PgError {
    PgError::internal(format_args!(
        "a column of type {} holds {} values",
        pg_type.name,
        array.data_type()
    ))
}

/// Where the elements of a row begin and end.
type Range = Box<dyn Fn(usize) -> (usize, usize) + Send + Sync>;

/// A list column taken apart: the elements, their field, and where each row's elements begin and end.
struct ListParts {
    elements: ArrayRef,
    item: FieldRef,
    range: Range,
}

impl ListParts {
    fn new(array: &ArrayRef) -> Option<Self> {
        use arrow::array::AsArray;
        let (elements, item, range): (_, _, Range) = match array.data_type() {
            DataType::List(item) => {
                let list = array.as_list_opt::<i32>()?.clone();
                let offsets = list.offsets().clone();
                let range = move |row: usize| {
                    let at = |index: usize| offsets.get(index).map_or(0, |offset| *offset as usize);
                    (at(row), at(row + 1))
                };
                (Arc::clone(list.values()), item, Box::new(range))
            }
            DataType::LargeList(item) => {
                let list = array.as_list_opt::<i64>()?.clone();
                let offsets = list.offsets().clone();
                let range = move |row: usize| {
                    let at = |index: usize| {
                        offsets
                            .get(index)
                            .map_or(0, |offset| usize::try_from(*offset).unwrap_or(0))
                    };
                    (at(row), at(row + 1))
                };
                (Arc::clone(list.values()), item, Box::new(range))
            }
            DataType::FixedSizeList(item, size) => {
                let list = array.as_fixed_size_list_opt()?;
                let size = usize::try_from(*size).ok()?;
                let range = move |row: usize| (row * size, (row + 1) * size);
                (Arc::clone(list.values()), item, Box::new(range))
            }
            DataType::ListView(item) => {
                let list = array.as_list_view_opt::<i32>()?.clone();
                let elements = Arc::clone(list.values());
                let range = move |row: usize| {
                    let start = list.value_offset(row) as usize;
                    (start, start + list.value_size(row) as usize)
                };
                (elements, item, Box::new(range))
            }
            DataType::LargeListView(item) => {
                let list = array.as_list_view_opt::<i64>()?.clone();
                let elements = Arc::clone(list.values());
                let range = move |row: usize| {
                    let start = usize::try_from(list.value_offset(row)).unwrap_or(0);
                    (
                        start,
                        start + usize::try_from(list.value_size(row)).unwrap_or(0),
                    )
                };
                (elements, item, Box::new(range))
            }
            _ => return None,
        };
        Some(Self {
            elements,
            item: Arc::clone(item),
            range,
        })
    }
}

#[cfg(test)]
mod tests;
