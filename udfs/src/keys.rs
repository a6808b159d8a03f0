//! Keys that meet: which types of two relations can be compared, and keys written as text.
//!
//! A key as text is what model tables and `unified_id` are made from, so that an `integer` and a
//! `bigint` of the same value are the same key wherever they come from. It is the text that the key
//! has in SQL, so that `key = id::text` finds every row.

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type, Float64Type, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};

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

/// A column of keys as text, as a cast to text gives it in SQL.
///
/// # Errors
/// [`Kind::DatatypeMismatch`] for a type whose values are not written as text here.
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
    let text = match column.data_type() {
        DataType::Float32 => {
            let keys = column.as_primitive::<Float32Type>().iter();
            keys.map(|key| key.map(|key| float(key, key.into(), 6)))
                .collect()
        }
        DataType::Float64 => {
            let keys = column.as_primitive::<Float64Type>().iter();
            keys.map(|key| key.map(|key| float(key, key, 15))).collect()
        }
        // A `numeric` without a declared scale.
        DataType::Decimal128(38, 9) => shown(column, |text| without_zeros(text).to_owned())?,
        DataType::Date32 | DataType::Date64 => shown(column, |text| moment(text, ""))?,
        DataType::Time32(_) | DataType::Time64(_) => {
            shown(column, |text| without_zeros(text).to_owned())?
        }
        DataType::Timestamp(_, None) => shown(column, |text| moment(text, ""))?,
        DataType::Timestamp(..) => {
            let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
            shown(&cast(column, &utc)?, |text| moment(text, "+00"))?
        }
        // Their text in the engine is another than in SQL.
        DataType::Interval(_) | DataType::Duration(_) | DataType::Binary => return Err(unfit()),
        data_type if data_type.is_nested() => return Err(unfit()),
        _ => cast(column, &DataType::Utf8)
            .map_err(|_| unfit())?
            .as_string::<i32>()
            .clone(),
    };
    if text.null_count() != column.logical_null_count() {
        return Err(unfit());
    }
    Ok(text)
}

/// What `write` makes of the values as the engine shows them, moments with a blank before the time.
fn shown(column: &ArrayRef, write: impl Fn(&str) -> String) -> Result<StringArray> {
    let options = FormatOptions::new()
        .with_display_error(false)
        .with_date_format(Some("%Y-%m-%d"))
        .with_time_format(Some("%H:%M:%S%.f"))
        .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.f"))
        .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.f"));
    let values = ArrayFormatter::try_new(column.as_ref(), &options)?;
    (0..column.len())
        .map(|row| {
            if column.is_null(row) {
                return Ok(None);
            }
            let text = values.value(row).try_to_string()?;
            Ok(Some(write(&text)))
        })
        .collect()
}

/// A number or time without the zeros at the end of its fraction.
fn without_zeros(text: &str) -> &str {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}

/// A date, or a date with a time and its zone: years before the first are counted before Christ,
/// and later ones have no sign.
fn moment(text: &str, zone: &str) -> String {
    let text = if text.contains(':') {
        without_zeros(text)
    } else {
        text
    };
    let text = text.strip_prefix('+').unwrap_or(text);
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let parted = digits.split_once('-');
    match parted.and_then(|(year, rest)| Some((sign * year.parse::<i64>().ok()?, rest))) {
        Some((year, rest)) if year < 1 => format!("{:04}-{rest}{zone} BC", 1 - year),
        _ => format!("{text}{zone}"),
    }
}

/// The shortest text that reads back as the same number, with an exponent from `10^digits` on.
fn float(shortest: impl std::fmt::Display + std::fmt::LowerExp, value: f64, digits: i32) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let scientific = format!("{shortest:e}");
    let parted = scientific.split_once('e');
    match parted.and_then(|(mantissa, power)| Some((mantissa, power.parse::<i32>().ok()?))) {
        Some((mantissa, power)) if !(-4..digits).contains(&power) => {
            let sign = if power < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", power.abs())
        }
        _ => format!("{shortest}"),
    }
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

    #[test]
    fn keys_are_written_as_sql_writes_them() {
        use arrow::array::{
            Date32Array, Decimal128Array, Float32Array, Float64Array, Time64MicrosecondArray,
            TimestampMicrosecondArray,
        };
        let check = |column: ArrayRef, expected: &[&str]| {
            let schema = arrow::datatypes::Schema::empty();
            let described = CallInput {
                parameter: "input",
                label: "the subquery".to_owned(),
                schema: std::sync::Arc::new(schema),
                model: None,
            };
            let texts = key_text(&described, "id", &column).unwrap();
            let texts: Vec<&str> = texts.iter().map(Option::unwrap).collect();
            assert_eq!(texts, expected);
        };
        let decimals = |precision, scale| {
            let values = Decimal128Array::from(vec![1_500_000_000, 0, -10]);
            std::sync::Arc::new(values.with_precision_and_scale(precision, scale).unwrap())
        };
        check(decimals(38, 9), &["1.5", "0", "-0.00000001"]);
        check(decimals(20, 2), &["15000000.00", "0.00", "-0.10"]);
        check(
            std::sync::Arc::new(Date32Array::from(vec![0, -719_163, 2_932_897])),
            &["1970-01-01", "0001-12-31 BC", "10000-01-01"],
        );
        check(
            std::sync::Arc::new(Time64MicrosecondArray::from(vec![500_000, 60_000_000])),
            &["00:00:00.5", "00:01:00"],
        );
        let moments = TimestampMicrosecondArray::from(vec![0, 1_500_000, -62_135_596_800_000_001]);
        check(
            std::sync::Arc::new(moments.clone()),
            &[
                "1970-01-01 00:00:00",
                "1970-01-01 00:00:01.5",
                "0001-12-31 23:59:59.999999 BC",
            ],
        );
        check(
            std::sync::Arc::new(moments.with_timezone("UTC")),
            &[
                "1970-01-01 00:00:00+00",
                "1970-01-01 00:00:01.5+00",
                "0001-12-31 23:59:59.999999+00 BC",
            ],
        );
        check(
            std::sync::Arc::new(Float64Array::from(vec![
                1.0,
                0.5,
                1e15,
                123_456_789_012_345.0,
                1e-5,
                -0.0001,
                f64::NEG_INFINITY,
            ])),
            &[
                "1",
                "0.5",
                "1e+15",
                "123456789012345",
                "1e-05",
                "-0.0001",
                "-Infinity",
            ],
        );
        check(
            std::sync::Arc::new(Float32Array::from(vec![0.1, 1e6, 123_456.0])),
            &["0.1", "1e+06", "123456"],
        );
    }
}
