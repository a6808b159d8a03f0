//! Values as PostgreSQL writes them in text: the one definition behind what clients are sent, `COPY TO`, and every
//! conversion to text within SQL.
//!
//! Each column of a batch becomes a [`Cell`], a writer made for the column's Arrow type and its PostgreSQL type, so that
//! the loop over rows asks no type again. [`text`] has the forms of the types, [`number`], [`time`] and [`json`] those of
//! their parts; [`text_out`] is the function that SQL's casts to text become. Binary forms are the server's.

pub mod json;
pub mod number;
pub mod text;
mod text_out;
pub mod time;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, FieldRef};
use bytes::BytesMut;

use crate::error::{Condition, Report};
use crate::pgtype::PgType;

pub(crate) use text_out::{has_own_text, text_out};

/// What the text form of values depends on beside their type.
#[derive(Debug, Clone, Copy, Default)]
pub struct Style {
    /// Where `timestamptz` values are shown.
    pub zone: time::Zone,
}

/// Writes the value in one row, without its length; never called for NULL.
pub type Write = Box<dyn Fn(usize, &mut BytesMut) -> Result<(), Report> + Send + Sync>;

/// Makes a writer of the values of an array.
pub type Make = fn(&ArrayRef, &Field, Style) -> Result<Write, Report>;

/// One column of one batch, ready to be written.
pub struct Cell {
    nulls: Option<NullBuffer>,
    write: Write,
}

impl Cell {
    /// A writer of the text of `array`'s values, which are of `field`'s type.
    ///
    /// # Errors
    /// XX000 when array and type do not belong together.
    pub fn new(array: &ArrayRef, field: &Field, style: Style) -> Result<Self, Report> {
        Self::with(array, field, style, text::writer)
    }

    /// A writer of `array` in the form that `make` knows, which is asked for arrays that are neither dictionaries nor
    /// run-end encoded.
    ///
    /// # Errors
    /// Those of `make`; XX000 when array and type do not belong together.
    pub fn with(array: &ArrayRef, field: &Field, style: Style, make: Make) -> Result<Self, Report> {
        if let DataType::RunEndEncoded(_, values) = array.data_type() {
            let flat = arrow::compute::cast(array, values.data_type()).map_err(|error| {
                internal(format_args!(
                    "could not unpack a run-end encoded column: {error}"
                ))
            })?;
            return Self::with(&flat, values, style, make);
        }
        if let DataType::Dictionary(_, value_type) = array.data_type() {
            return Self::dictionary(array, field, value_type, style, make);
        }
        Ok(Self {
            nulls: array.logical_nulls(),
            write: make(array, field, style)?,
        })
    }

    fn dictionary(
        array: &ArrayRef,
        field: &Field,
        value_type: &DataType,
        style: Style,
        make: Make,
    ) -> Result<Self, Report> {
        let Some(dictionary) = array.as_any_dictionary_opt() else {
            return Err(internal("a dictionary column without a dictionary"));
        };
        let nulls = array.logical_nulls();
        if dictionary.values().is_empty() {
            // Every row is NULL, and normalised keys do not exist.
            return Ok(Self {
                nulls,
                write: Box::new(|_, _| Err(internal("a key without a value"))),
            });
        }
        let keys = dictionary.normalized_keys();
        let field = field.clone().with_data_type(value_type.clone());
        let values = Self::with(dictionary.values(), &field, style, make)?;
        Ok(Self {
            nulls,
            write: Box::new(move |row, out| match keys.get(row) {
                Some(key) => (values.write)(*key, out),
                None => Err(internal("a row without a key")),
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
    pub fn write(&self, row: usize, out: &mut BytesMut) -> Result<(), Report> {
        (self.write)(row, out)
    }
}

/// The error for a broken invariant, in words.
pub fn internal(invariant: impl std::fmt::Display) -> Report {
    Report::new(Condition::Internal, format!("internal error: {invariant}"))
}

/// Takes back what was written from `at` on. (`BytesMut::split_off` would leave a buffer without room behind it, and the
/// next write would copy all of it.)
pub fn take_from(out: &mut BytesMut, at: usize) -> Vec<u8> {
    let taken = out.get(at..).unwrap_or_default().to_vec();
    out.truncate(at);
    taken
}

/// The error for a column whose array is not of the type its field says.
pub fn mismatch(array: &ArrayRef, pg_type: &PgType) -> Report {
    internal(format_args!(
        "a column of type {} holds {} values",
        pg_type.name,
        array.data_type()
    ))
}

/// Where the elements of a row begin and end.
pub type Range = Box<dyn Fn(usize) -> (usize, usize) + Send + Sync>;

/// A list column taken apart: the elements, their field, and where each row's elements begin and end.
pub struct ListParts {
    /// The elements of all rows.
    pub elements: ArrayRef,
    /// Their field.
    pub item: FieldRef,
    /// Where those of a row are.
    pub range: Range,
}

impl ListParts {
    /// `None` for an array that is no list.
    pub fn new(array: &ArrayRef) -> Option<Self> {
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
