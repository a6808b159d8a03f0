//! Values in text form.

use super::{Cell, ListParts, Style, Write, internal, json, mismatch, number, time};
use crate::error::Report;
use crate::pgtype;
use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType, DurationSecondType,
    Field, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    IntervalDayTimeType, IntervalMonthDayNanoType, IntervalUnit, IntervalYearMonthType,
    Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use bytes::{BufMut, BytesMut};

/// A writer of the text form of `array`'s values; dictionaries and run-end encoded arrays are unpacked before.
///
/// # Errors
/// XX000 when the array is not of its own type.
pub fn writer(array: &ArrayRef, field: &Field, style: Style) -> Result<Write, Report> {
    let pg_type = pgtype::of_field(field);
    let write: Option<Write> = match array.data_type() {
        DataType::Null => Some(Box::new(|_, _| Ok(()))),
        DataType::Boolean => array.as_boolean_opt().cloned().map(|array| -> Write {
            Box::new(move |row, out| {
                out.put_u8(if array.value(row) { b't' } else { b'f' });
                Ok(())
            })
        }),
        DataType::Int8 => plain::<Int8Type>(array, number::integer),
        DataType::Int16 => plain::<Int16Type>(array, number::integer),
        DataType::Int32 => plain::<Int32Type>(array, number::integer),
        DataType::Int64 => plain::<Int64Type>(array, number::integer),
        DataType::UInt8 => plain::<UInt8Type>(array, number::integer),
        DataType::UInt16 => plain::<UInt16Type>(array, number::integer),
        DataType::UInt32 => plain::<UInt32Type>(array, number::integer),
        DataType::UInt64 => plain::<UInt64Type>(array, number::integer),
        DataType::Float16 => {
            plain::<Float16Type>(array, |value, out| number::float4(value.to_f32(), out))
        }
        DataType::Float32 => plain::<Float32Type>(array, number::float4),
        DataType::Float64 => plain::<Float64Type>(array, number::float8),
        DataType::Decimal32(_, scale) => {
            let scale = *scale;
            plain::<Decimal32Type>(array, move |value, out| {
                number::decimal(value.into(), scale, out)
            })
        }
        DataType::Decimal64(_, scale) => {
            let scale = *scale;
            plain::<Decimal64Type>(array, move |value, out| {
                number::decimal(value.into(), scale, out)
            })
        }
        data_type if pgtype::is_plain_numeric(data_type) => {
            let (_, scale) = pgtype::NUMERIC_DEFAULT;
            plain::<Decimal128Type>(array, move |value, out| {
                let (value, scale) = pgtype::without_trailing_zeros(value, scale);
                number::decimal(value, scale, out)
            })
        }
        DataType::Decimal128(_, scale) => {
            let scale = *scale;
            plain::<Decimal128Type>(array, move |value, out| number::decimal(value, scale, out))
        }
        DataType::Decimal256(_, scale) => {
            let scale = *scale;
            plain::<Decimal256Type>(array, move |value, out| {
                number::decimal256(value, scale, out)
            })
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => strings(array),
        DataType::FixedSizeBinary(16) if pg_type.name == "uuid" => bytes(array, uuid),
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => bytes(array, bytea),
        DataType::Date32 => plain::<Date32Type>(array, |days, out| time::date(days.into(), out)),
        DataType::Date64 => {
            plain::<Date64Type>(array, |ms, out| time::date(ms.div_euclid(86_400_000), out))
        }
        DataType::Time32(_) | DataType::Time64(_) => time_of_day(array).map(|at| -> Write {
            Box::new(move |row, out| {
                time::time(at(row), out);
                Ok(())
            })
        }),
        DataType::Timestamp(_, zone) => {
            let zoned = zone.is_some();
            instants(array).map(|at| -> Write {
                Box::new(move |row, out| {
                    let instant = at(row)?;
                    if zoned {
                        time::timestamptz(instant, style.zone, out)
                    } else {
                        time::timestamp(instant, out);
                        Ok(())
                    }
                })
            })
        }
        DataType::Interval(_) | DataType::Duration(_) => intervals(array).map(|at| -> Write {
            Box::new(move |row, out| {
                let (months, days, us) = at(row)?;
                time::interval(months, days, us, out);
                Ok(())
            })
        }),
        DataType::Map(..) => Some(json::writer(array, style)?),
        DataType::Struct(_) => Some(record(array, style)?),
        DataType::List(_)
        | DataType::LargeList(_)
        | DataType::FixedSizeList(..)
        | DataType::ListView(_)
        | DataType::LargeListView(_) => match pg_type.name {
            "json" | "jsonb" => Some(json::writer(array, style)?),
            "int2vector" | "oidvector" => Some(vector(array, style)?),
            _ => Some(list(array, style)?),
        },
        _ => Some(as_arrow_shows(array)?),
    };
    write.ok_or_else(|| mismatch(array, pg_type))
}

/// A writer of a primitive array from a function of the value.
pub fn plain<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    write: impl Fn(T::Native, &mut BytesMut) + Send + Sync + 'static,
) -> Option<Write> {
    let array = array.as_primitive_opt::<T>()?.clone();
    Some(Box::new(move |row, out| {
        write(array.value(row), out);
        Ok(())
    }))
}

/// A writer of strings as they are.
pub fn strings(array: &ArrayRef) -> Option<Write> {
    Some(match array.data_type() {
        DataType::Utf8 => {
            let array = array.as_string_opt::<i32>()?.clone();
            Box::new(move |row, out| {
                out.put_slice(array.value(row).as_bytes());
                Ok(())
            })
        }
        DataType::LargeUtf8 => {
            let array = array.as_string_opt::<i64>()?.clone();
            Box::new(move |row, out| {
                out.put_slice(array.value(row).as_bytes());
                Ok(())
            })
        }
        DataType::Utf8View => {
            let array = array.as_string_view_opt()?.clone();
            Box::new(move |row, out| {
                out.put_slice(array.value(row).as_bytes());
                Ok(())
            })
        }
        _ => return None,
    })
}

/// A writer of binary values from a function of their bytes.
pub fn bytes(array: &ArrayRef, write: fn(&[u8], &mut BytesMut)) -> Option<Write> {
    Some(match array.data_type() {
        DataType::Binary => {
            let array = array.as_binary_opt::<i32>()?.clone();
            Box::new(move |row, out| {
                write(array.value(row), out);
                Ok(())
            })
        }
        DataType::LargeBinary => {
            let array = array.as_binary_opt::<i64>()?.clone();
            Box::new(move |row, out| {
                write(array.value(row), out);
                Ok(())
            })
        }
        DataType::BinaryView => {
            let array = array.as_binary_view_opt()?.clone();
            Box::new(move |row, out| {
                write(array.value(row), out);
                Ok(())
            })
        }
        DataType::FixedSizeBinary(_) => {
            let array = array.as_fixed_size_binary_opt()?.clone();
            Box::new(move |row, out| {
                write(array.value(row), out);
                Ok(())
            })
        }
        _ => return None,
    })
}

/// The times of day of an array, in microseconds.
pub fn time_of_day(array: &ArrayRef) -> Option<Box<dyn Fn(usize) -> i64 + Send + Sync>> {
    Some(match array.data_type() {
        DataType::Time32(TimeUnit::Second) => {
            let array = array.as_primitive_opt::<Time32SecondType>()?.clone();
            Box::new(move |row| i64::from(array.value(row)) * 1_000_000)
        }
        DataType::Time32(_) => {
            let array = array.as_primitive_opt::<Time32MillisecondType>()?.clone();
            Box::new(move |row| i64::from(array.value(row)) * 1_000)
        }
        DataType::Time64(TimeUnit::Nanosecond) => {
            let array = array.as_primitive_opt::<Time64NanosecondType>()?.clone();
            Box::new(move |row| time::round_to_us(array.value(row), 1_000))
        }
        DataType::Time64(_) => {
            let array = array.as_primitive_opt::<Time64MicrosecondType>()?.clone();
            Box::new(move |row| array.value(row))
        }
        _ => return None,
    })
}

/// Reads one value of a row, or says why it cannot be shown.
pub type Read<T> = Box<dyn Fn(usize) -> Result<T, Report> + Send + Sync>;

/// The timestamps of an array, in microseconds from 1970-01-01.
pub fn instants(array: &ArrayRef) -> Option<Read<i64>> {
    Some(match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => {
            let array = array.as_primitive_opt::<TimestampSecondType>()?.clone();
            Box::new(move |row| time::scale_to_us(array.value(row), 1_000_000))
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            let array = array
                .as_primitive_opt::<TimestampMillisecondType>()?
                .clone();
            Box::new(move |row| time::scale_to_us(array.value(row), 1_000))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let array = array
                .as_primitive_opt::<TimestampMicrosecondType>()?
                .clone();
            Box::new(move |row| Ok(array.value(row)))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            let array = array.as_primitive_opt::<TimestampNanosecondType>()?.clone();
            Box::new(move |row| Ok(time::round_to_us(array.value(row), 1_000)))
        }
        _ => return None,
    })
}

/// The intervals of an array: months, days and microseconds.
pub fn intervals(array: &ArrayRef) -> Option<Read<(i32, i32, i64)>> {
    Some(match array.data_type() {
        DataType::Interval(IntervalUnit::YearMonth) => {
            let array = array.as_primitive_opt::<IntervalYearMonthType>()?.clone();
            Box::new(move |row| Ok((array.value(row), 0, 0)))
        }
        DataType::Interval(IntervalUnit::DayTime) => {
            let array = array.as_primitive_opt::<IntervalDayTimeType>()?.clone();
            Box::new(move |row| {
                let value = array.value(row);
                Ok((0, value.days, i64::from(value.milliseconds) * 1_000))
            })
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let array = array
                .as_primitive_opt::<IntervalMonthDayNanoType>()?
                .clone();
            Box::new(move |row| {
                let value = array.value(row);
                Ok((
                    value.months,
                    value.days,
                    time::round_to_us(value.nanoseconds, 1_000),
                ))
            })
        }
        DataType::Duration(TimeUnit::Second) => {
            let array = array.as_primitive_opt::<DurationSecondType>()?.clone();
            Box::new(move |row| Ok((0, 0, time::scale_to_us(array.value(row), 1_000_000)?)))
        }
        DataType::Duration(TimeUnit::Millisecond) => {
            let array = array.as_primitive_opt::<DurationMillisecondType>()?.clone();
            Box::new(move |row| Ok((0, 0, time::scale_to_us(array.value(row), 1_000)?)))
        }
        DataType::Duration(TimeUnit::Microsecond) => {
            let array = array.as_primitive_opt::<DurationMicrosecondType>()?.clone();
            Box::new(move |row| Ok((0, 0, array.value(row))))
        }
        DataType::Duration(TimeUnit::Nanosecond) => {
            let array = array.as_primitive_opt::<DurationNanosecondType>()?.clone();
            Box::new(move |row| Ok((0, 0, time::round_to_us(array.value(row), 1_000))))
        }
        _ => return None,
    })
}

fn bytea(value: &[u8], out: &mut BytesMut) {
    out.put_slice(b"\\x");
    hex(value, out);
}

fn uuid(value: &[u8], out: &mut BytesMut) {
    for (index, part) in [0..4, 4..6, 6..8, 8..10, 10..16].into_iter().enumerate() {
        if index > 0 {
            out.put_u8(b'-');
        }
        hex(value.get(part).unwrap_or_default(), out);
    }
}

fn hex(value: &[u8], out: &mut BytesMut) {
    let digit = |nibble: u8| {
        if nibble < 10 {
            b'0' + nibble
        } else {
            b'a' + nibble - 10
        }
    };
    out.reserve(2 * value.len());
    for byte in value {
        out.put_slice(&[digit(byte >> 4), digit(byte & 0x0f)]);
    }
}

/// `{1,2,NULL,"a b"}`; lists of lists nest.
fn list(array: &ArrayRef, style: Style) -> Result<Write, Report> {
    let Some(ListParts {
        elements,
        item,
        range,
    }) = ListParts::new(array)
    else {
        return Err(internal("a list column without lists"));
    };
    let nested = item.data_type().is_list();
    let quoted =
        !nested && !item.data_type().is_numeric() && !matches!(item.data_type(), DataType::Boolean);
    let cell = Cell::new(&elements, &item, style)?;
    Ok(Box::new(move |row, out| {
        let (start, end) = range(row);
        out.put_u8(b'{');
        for index in start..end {
            if index > start {
                out.put_u8(b',');
            }
            if cell.is_null(index) {
                out.put_slice(b"NULL");
                continue;
            }
            let at = out.len();
            cell.write(index, out)?;
            if quoted {
                quote(out, at, needs_quotes_in_array, b'\\');
            }
        }
        out.put_u8(b'}');
        Ok(())
    }))
}

/// The elements with a space between, as `int2vector` and `oidvector` are shown.
fn vector(array: &ArrayRef, style: Style) -> Result<Write, Report> {
    let Some(ListParts {
        elements,
        item,
        range,
    }) = ListParts::new(array)
    else {
        return Err(internal("a vector column without lists"));
    };
    let cell = Cell::new(&elements, &item, style)?;
    Ok(Box::new(move |row, out| {
        let (start, end) = range(row);
        for index in start..end {
            if index > start {
                out.put_u8(b' ');
            }
            if !cell.is_null(index) {
                cell.write(index, out)?;
            }
        }
        Ok(())
    }))
}

/// `(1,"a b",)`: NULL is nothing.
fn record(array: &ArrayRef, style: Style) -> Result<Write, Report> {
    let Some(record) = array.as_struct_opt() else {
        return Err(internal("a record column without records"));
    };
    let cells = record
        .columns()
        .iter()
        .zip(record.fields())
        .map(|(column, field)| Cell::new(column, field, style))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Box::new(move |row, out| {
        out.put_u8(b'(');
        for (index, cell) in cells.iter().enumerate() {
            if index > 0 {
                out.put_u8(b',');
            }
            if !cell.is_null(row) {
                let at = out.len();
                cell.write(row, out)?;
                // A record doubles quotes and backslashes, an array escapes them.
                quote(out, at, needs_quotes_in_record, 0);
            }
        }
        out.put_u8(b')');
        Ok(())
    }))
}

fn needs_quotes_in_array(value: &[u8]) -> bool {
    value.is_empty()
        || value.eq_ignore_ascii_case(b"null")
        || value
            .iter()
            .any(|byte| matches!(byte, b'{' | b'}' | b',' | b'"' | b'\\') || is_space(*byte))
}

fn needs_quotes_in_record(value: &[u8]) -> bool {
    value.is_empty()
        || value
            .iter()
            .any(|byte| matches!(byte, b'(' | b')' | b',' | b'"' | b'\\') || is_space(*byte))
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// Puts what was written from `at` on into quotes if it needs them; quotes and backslashes within get `escape` before
/// them, or are doubled where that is 0.
fn quote(out: &mut BytesMut, at: usize, needed: fn(&[u8]) -> bool, escape: u8) {
    if !needed(out.get(at..).unwrap_or_default()) {
        return;
    }
    let value = super::take_from(out, at);
    out.put_u8(b'"');
    for byte in &value {
        if matches!(byte, b'"' | b'\\') {
            out.put_u8(if escape == 0 { *byte } else { escape });
        }
        out.put_u8(*byte);
    }
    out.put_u8(b'"');
}

/// The text that Arrow has for a type without a form in PostgreSQL, such as a union.
fn as_arrow_shows(array: &ArrayRef) -> Result<Write, Report> {
    fn shown(array: &ArrayRef, row: usize) -> Result<String, Report> {
        ArrayFormatter::try_new(array.as_ref(), &FormatOptions::default())
            .and_then(|formatter| formatter.value(row).try_to_string())
            .map_err(|error| internal(format_args!("could not show a value: {error}")))
    }
    let array = std::sync::Arc::clone(array);
    Ok(Box::new(move |row, out| {
        out.put_slice(shown(&array, row)?.as_bytes());
        Ok(())
    }))
}
