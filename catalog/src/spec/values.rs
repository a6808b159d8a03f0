//! Values as the catalog holds them: text in a default, a cell in an inlined row.

use datafusion::common::ScalarValue;

use super::stats::Bound;
use super::types::ColumnType;
use crate::model::Column;

/// A value in a table of the catalog database.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// No value.
    Null,
    /// A boolean or an integer.
    Int(i64),
    /// Everything with a text.
    Text(String),
    /// A blob.
    Blob(Vec<u8>),
}

/// The text of a value for `column`; none if it has no text or is NULL.
pub fn print_scalar(value: &ScalarValue, column: &Column) -> Option<String> {
    let value = value.cast_to(&column.data_type).ok()?;
    let bound = Bound::of_scalar(&value)?;
    match (&column.column_type, &bound) {
        (ColumnType::Boolean, Bound::Int(value)) => Some((*value != 0).to_string()),
        (column_type, bound) => print(bound, column_type),
    }
}

fn print(bound: &Bound, column_type: &ColumnType) -> Option<String> {
    match bound {
        Bound::Float(value) if value.is_nan() => Some("nan".to_owned()),
        bound => bound.print(column_type),
    }
}

/// The cell that holds a value; none if there is none for it.
pub fn cell(value: &ScalarValue, column_type: &ColumnType) -> Option<Cell> {
    use ColumnType as T;
    if value.is_null() {
        return Some(Cell::Null);
    }
    Some(match (Bound::of_scalar(value)?, column_type) {
        (
            Bound::Int(value),
            T::Boolean
            | T::Int8
            | T::Int16
            | T::Int32
            | T::Int64
            | T::UInt8
            | T::UInt16
            | T::UInt32,
        ) => Cell::Int(i64::try_from(value).ok()?),
        (Bound::Bytes(bytes), T::Blob) => Cell::Blob(bytes),
        (bound, column_type) => Cell::Text(print(&bound, column_type)?),
    })
}

/// The type of the column that holds such cells.
pub fn cell_type(column_type: &ColumnType) -> &'static str {
    use ColumnType as T;
    match column_type {
        T::Boolean
        | T::Int8
        | T::Int16
        | T::Int32
        | T::Int64
        | T::UInt8
        | T::UInt16
        | T::UInt32 => "BIGINT",
        T::Blob => "BLOB",
        _ => "VARCHAR",
    }
}
