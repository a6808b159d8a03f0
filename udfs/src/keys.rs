//! Keys that meet: which types of two relations can be compared, and keys written as text.
//!
//! A key as text is what model tables and `unified_id` are made from, so that an `integer` and a
//! `bigint` of the same value are the same key wherever they come from.

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use crate::call::{CallInput, is_text};
use crate::error::{Error, Kind, Result};
use crate::input::Keys;
use crate::types::{plain_layout, sql_type};

/// The type in which values of both types can be compared without loss, if there is one.
pub fn common_type(left: &DataType, right: &DataType) -> Option<DataType> {
    let (left, right) = (plain_layout(left), plain_layout(right));
    if left == right {
        return Some(left.clone());
    }
    if left.is_integer() && right.is_integer() {
        let wide = [left, right].contains(&&DataType::UInt64);
        return Some(if wide {
            DataType::Decimal128(20, 0)
        } else {
            DataType::Int64
        });
    }
    (is_text(left) && is_text(right)).then_some(DataType::Utf8)
}

/// The type in which a column of one relation meets a column of another.
///
/// # Errors
/// [`Kind::UndefinedColumn`] and [`Kind::DatatypeMismatch`], naming both relations.
pub fn meeting_type(
    left: &CallInput,
    left_name: &str,
    right: &CallInput,
    right_name: &str,
) -> Result<DataType> {
    let left_type = left.schema.field(left.column(left_name)?).data_type();
    let right_type = right
        .schema
        .field(counterpart(left, left_name, right, right_name)?)
        .data_type();
    common_type(left_type, right_type).ok_or_else(|| {
        cannot_meet(
            (&left.describe(), left_name, left_type),
            (&right.describe(), right_name, right_type),
        )
    })
}

/// The position of the column of `right` that belongs to column `left_name` of `left`.
///
/// # Errors
/// [`Kind::UndefinedColumn`], naming both relations.
pub fn counterpart(
    left: &CallInput,
    left_name: &str,
    right: &CallInput,
    right_name: &str,
) -> Result<usize> {
    right.column(right_name).map_err(|error| {
        if error.kind == Kind::UndefinedColumn {
            error.detail(format!(
                "It is to meet column \"{left_name}\" of {}.",
                left.describe()
            ))
        } else {
            error
        }
    })
}

/// The error for columns whose types cannot be compared; each is its relation, name and type.
pub fn cannot_meet(left: (&str, &str, &DataType), right: (&str, &str, &DataType)) -> Error {
    Error::new(
        Kind::DatatypeMismatch,
        format!(
            "column \"{}\" of {} cannot be compared with column \"{}\" of {}",
            right.1, right.0, left.1, left.0
        ),
    )
    .detail(format!(
        "Their types are {} and {}.",
        sql_type(right.2),
        sql_type(left.2)
    ))
    .hint("Cast one of them in the subquery.")
}

/// The distinct keys over the one column `name`, as text.
///
/// # Errors
/// As [`key_text`].
pub fn distinct_text(described: &CallInput, name: &str, keys: &Keys) -> Result<StringArray> {
    match keys.values.as_slice() {
        [column] => key_text(described, name, column),
        _ => Err(Error::internal("a single key has one column")),
    }
}

/// A column of keys as text.
///
/// # Errors
/// [`Kind::DatatypeMismatch`] for a type whose values cannot be written as text.
pub fn key_text(described: &CallInput, name: &str, column: &ArrayRef) -> Result<StringArray> {
    let unfit = || {
        Error::new(
            Kind::DatatypeMismatch,
            format!(
                "column \"{name}\" of {} cannot be a key",
                described.describe()
            ),
        )
        .detail(format!("Its type is {}.", sql_type(column.data_type())))
        .hint("Cast it to text or to a number in the subquery.")
    };
    let text = cast(column, &DataType::Utf8).map_err(|_| unfit())?;
    if text.null_count() != column.logical_null_count() {
        return Err(unfit());
    }
    Ok(text.as_string::<i32>().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_meet_where_no_value_is_lost() {
        let check = |left, right, expected| {
            assert_eq!(common_type(&left, &right), expected);
            assert_eq!(common_type(&right, &left), expected);
        };
        check(DataType::Int32, DataType::Int32, Some(DataType::Int32));
        check(DataType::Int32, DataType::Int64, Some(DataType::Int64));
        check(
            DataType::UInt64,
            DataType::Int64,
            Some(DataType::Decimal128(20, 0)),
        );
        check(DataType::Utf8View, DataType::Utf8, Some(DataType::Utf8));
        check(DataType::Utf8, DataType::Int64, None);
        check(DataType::Float64, DataType::Int64, None);
    }
}
