//! Values in the binary forms of PostgreSQL's `*_send` functions.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    Field, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use bytes::{BufMut, BytesMut};
use tributary_sql::output::text::{bytes, instants, intervals, plain, strings, time_of_day};
use tributary_sql::output::{
    Cell, ListParts, Range, Style, Write, internal, json, mismatch, take_from, time,
};
use tributary_sql::pgtype::{self, PgType};
use tributary_sql::text::uuid;
use tributary_sql::{Condition, Report};

use super::{Format, cell, numeric as decimal, write_with_length};

/// A writer of the binary form of `array`'s values; dictionaries and run-end encoded arrays are unpacked before.
///
/// # Errors
/// 42883 when the type has no binary form here, XX000 when array and type do not belong together.
pub fn writer(array: &ArrayRef, field: &Field, style: Style) -> Result<Write, Report> {
    let pg_type = pgtype::of_field(field);
    let data_type = array.data_type();
    if matches!(data_type, DataType::Null) {
        return Ok(nothing());
    }
    let write = match pg_type.name {
        "bool" => array.as_boolean_opt().cloned().map(|array| -> Write {
            Box::new(move |row, out| {
                out.put_u8(u8::from(array.value(row)));
                Ok(())
            })
        }),
        "int2" => integers(array, pg_type, |value, out| {
            i16::try_from(value).map(|value| out.put_i16(value)).is_ok()
        }),
        "int4" => match data_type {
            DataType::Int32 => plain::<Int32Type>(array, |value, out| out.put_i32(value)),
            _ => integers(array, pg_type, |value, out| {
                i32::try_from(value).map(|value| out.put_i32(value)).is_ok()
            }),
        },
        "int8" => match data_type {
            DataType::Int64 => plain::<Int64Type>(array, |value, out| out.put_i64(value)),
            _ => integers(array, pg_type, |value, out| {
                out.put_i64(value);
                true
            }),
        },
        "oid" | "xid" | "cid" => oids(array, pg_type),
        _ if pg_type.is_oid_alias() && data_type.is_integer() => oids(array, pg_type),
        "float4" => match data_type {
            DataType::Float16 => {
                plain::<Float16Type>(array, |value, out| out.put_f32(value.to_f32()))
            }
            _ => plain::<Float32Type>(array, |value, out| out.put_f32(value)),
        },
        "float8" => plain::<Float64Type>(array, |value, out| out.put_f64(value)),
        "numeric" => numeric(array),
        "text" | "varchar" | "bpchar" | "name" | "json" | "unknown" | "char" | "cstring"
        | "xml" | "refcursor" | "pg_node_tree"
            if data_type.is_string() =>
        {
            strings(array)
        }
        "jsonb" => Some(jsonb(array, style)?),
        "bytea" => bytes(array, |value, out| out.put_slice(value)),
        "uuid" => match data_type {
            DataType::FixedSizeBinary(16) => bytes(array, |value, out| out.put_slice(value)),
            _ => Some(uuid_text(array, field, style)?),
        },
        "date" => match data_type {
            DataType::Date64 => dates(plain_days::<Date64Type>(array, |ms| {
                ms.div_euclid(86_400_000)
            })),
            _ => dates(plain_days::<Date32Type>(array, i64::from)),
        },
        "time" => time_of_day(array).map(|at| -> Write {
            Box::new(move |row, out| {
                out.put_i64(at(row));
                Ok(())
            })
        }),
        "timestamp" | "timestamptz" => instants(array).map(|at| -> Write {
            Box::new(move |row, out| {
                let instant = at(row)?.checked_sub(time::POSTGRES_EPOCH_US);
                out.put_i64(instant.ok_or_else(|| {
                    Report::new(Condition::DatetimeOutOfRange, "timestamp out of range")
                })?);
                Ok(())
            })
        }),
        "interval" => intervals(array).map(|at| -> Write {
            Box::new(move |row, out| {
                let (months, days, us) = at(row)?;
                out.put_i64(us);
                out.put_i32(days);
                out.put_i32(months);
                Ok(())
            })
        }),
        "record" if matches!(data_type, DataType::Struct(_)) => Some(record(array, style)?),
        "void" => Some(nothing()),
        _ if data_type.is_list() => Some(list(array, style)?),
        name => {
            return Err(Report::new(
                Condition::UndefinedFunction,
                format!("no binary output function available for type {name}"),
            )
            .hint("Ask for the column in text format, or cast it to text."));
        }
    };
    write.ok_or_else(|| mismatch(array, pg_type))
}

/// A writer of no bytes.
fn nothing() -> Write {
    Box::new(|_, _| Ok(()))
}

/// A writer of integers of any width; `write` says whether the value fits the type.
fn integers(
    array: &ArrayRef,
    pg_type: &'static PgType,
    write: impl Fn(i64, &mut BytesMut) -> bool + Send + Sync + 'static,
) -> Option<Write> {
    let read = any_integer(array)?;
    Some(Box::new(move |row, out| {
        let value = read(row);
        if write(value, out) {
            Ok(())
        } else {
            Err(Report::new(
                Condition::NumericOutOfRange,
                format!(
                    "value \"{value}\" is out of range for type {}",
                    pg_type.name
                ),
            ))
        }
    }))
}

fn any_integer(array: &ArrayRef) -> Option<Box<dyn Fn(usize) -> i64 + Send + Sync>> {
    fn read<T: ArrowPrimitiveType>(
        array: &ArrayRef,
    ) -> Option<Box<dyn Fn(usize) -> i64 + Send + Sync>>
    where
        T::Native: Into<i64>,
    {
        let array = array.as_primitive_opt::<T>()?.clone();
        Some(Box::new(move |row| array.value(row).into()))
    }
    match array.data_type() {
        DataType::Int8 => read::<Int8Type>(array),
        DataType::Int16 => read::<Int16Type>(array),
        DataType::Int32 => read::<Int32Type>(array),
        DataType::Int64 => read::<Int64Type>(array),
        DataType::UInt8 => read::<UInt8Type>(array),
        DataType::UInt16 => read::<UInt16Type>(array),
        DataType::UInt32 => read::<UInt32Type>(array),
        _ => None,
    }
}

/// A writer of numbers of 32 bits without sign.
fn oids(array: &ArrayRef, pg_type: &'static PgType) -> Option<Write> {
    integers(array, pg_type, |value, out| {
        u32::try_from(value).map(|value| out.put_u32(value)).is_ok()
    })
}

fn numeric(array: &ArrayRef) -> Option<Write> {
    match array.data_type() {
        DataType::Decimal32(_, scale) => {
            let scale = *scale;
            plain::<Decimal32Type>(array, move |value, out| {
                decimal::numeric_binary(value.into(), scale, out)
            })
        }
        DataType::Decimal64(_, scale) => {
            let scale = *scale;
            plain::<Decimal64Type>(array, move |value, out| {
                decimal::numeric_binary(value.into(), scale, out)
            })
        }
        data_type if pgtype::is_plain_numeric(data_type) => {
            let (_, scale) = pgtype::NUMERIC_DEFAULT;
            plain::<Decimal128Type>(array, move |value, out| {
                let (value, scale) = pgtype::without_trailing_zeros(value, scale);
                decimal::numeric_binary(value, scale, out)
            })
        }
        DataType::Decimal128(_, scale) => {
            let scale = *scale;
            plain::<Decimal128Type>(array, move |value, out| {
                decimal::numeric_binary(value, scale, out)
            })
        }
        DataType::Decimal256(_, scale) => {
            let scale = *scale;
            plain::<Decimal256Type>(array, move |value, out| {
                decimal::numeric256_binary(value, scale, out)
            })
        }
        DataType::UInt64 => plain::<UInt64Type>(array, |value, out| {
            decimal::numeric_binary(value.into(), 0, out)
        }),
        _ => {
            let read = any_integer(array)?;
            Some(Box::new(move |row, out| {
                decimal::numeric_binary(read(row).into(), 0, out);
                Ok(())
            }))
        }
    }
}

fn plain_days<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    days: impl Fn(T::Native) -> i64 + Send + Sync + 'static,
) -> Option<Box<dyn Fn(usize) -> i64 + Send + Sync>> {
    let array = array.as_primitive_opt::<T>()?.clone();
    Some(Box::new(move |row| days(array.value(row))))
}

fn dates(days: Option<Box<dyn Fn(usize) -> i64 + Send + Sync>>) -> Option<Write> {
    let days = days?;
    Some(Box::new(move |row, out| {
        let days = i32::try_from(days(row) - time::POSTGRES_EPOCH_DAYS)
            .map_err(|_| Report::new(Condition::DatetimeOutOfRange, "date out of range"))?;
        out.put_i32(days);
        Ok(())
    }))
}

/// The text after the version number of the format.
fn jsonb(array: &ArrayRef, style: Style) -> Result<Write, Report> {
    let write = if array.data_type().is_string() {
        strings(array).ok_or_else(|| internal("a text column without text"))?
    } else {
        json::writer(array, style)?
    };
    Ok(Box::new(move |row, out| {
        out.put_u8(1);
        write(row, out)
    }))
}

/// The sixteen bytes of a uuid that is held as text.
fn uuid_text(array: &ArrayRef, field: &Field, style: Style) -> Result<Write, Report> {
    let cell = Cell::new(array, field, style)?;
    Ok(Box::new(move |row, out| {
        let at = out.len();
        cell.write(row, out)?;
        let text = take_from(out, at);
        let uuid = uuid::parse(&String::from_utf8_lossy(&text))
            .map_err(|error| Report::new(Condition::InvalidText, error.message))?;
        out.put_slice(&uuid);
        Ok(())
    }))
}

/// Number of fields; type, length and value of each.
fn record(array: &ArrayRef, style: Style) -> Result<Write, Report> {
    let Some(record) = array.as_struct_opt() else {
        return Err(internal("a record column without records"));
    };
    let cells = record
        .columns()
        .iter()
        .zip(record.fields())
        .map(|(column, field)| {
            Ok((
                pgtype::of_field(field).oid,
                cell(column, field, Format::Binary, style)?,
            ))
        })
        .collect::<Result<Vec<_>, Report>>()?;
    let count = i32::try_from(cells.len()).map_err(internal)?;
    Ok(Box::new(move |row, out| {
        out.put_i32(count);
        for (oid, cell) in &cells {
            out.put_u32(*oid);
            write_with_length(cell, row, out)?;
        }
        Ok(())
    }))
}

/// Number of dimensions, whether there are NULLs, the element type, size and lower bound of each dimension, the elements.
/// Lists of lists are one array of more dimensions, as they are in PostgreSQL.
fn list(array: &ArrayRef, style: Style) -> Result<Write, Report> {
    let mut levels = Vec::new();
    let mut innermost = ListParts::new(array);
    let mut field = None;
    while let Some(parts) = innermost {
        innermost = ListParts::new(&parts.elements);
        let nulls = parts.elements.logical_nulls();
        field = Some((parts.elements, parts.item));
        levels.push(Level {
            range: parts.range,
            nulls,
        });
    }
    let Some((elements, item)) = field else {
        return Err(internal("a list column without lists"));
    };
    let element_oid = pgtype::of_field(&item).oid;
    let cell = cell(&elements, &item, Format::Binary, style)?;
    let dimensions = i32::try_from(levels.len()).map_err(internal)?;
    Ok(Box::new(move |row, out| {
        // The elements of an array lie in a row: the innermost ranges of one value follow each other, but for views and
        // NULL lists, so they are collected level by level.
        let mut members = vec![row];
        let mut sizes = Vec::with_capacity(levels.len());
        let mut has_null = false;
        for (depth, level) in levels.iter().enumerate() {
            let mut size = None;
            let mut next = Vec::new();
            for member in &members {
                let (start, end) = (level.range)(*member);
                if *size.get_or_insert(end - start) != end - start {
                    return Err(not_rectangular());
                }
                next.extend(start..end);
            }
            let null = |index: &usize| {
                level
                    .nulls
                    .as_ref()
                    .is_some_and(|nulls| nulls.is_null(*index))
            };
            if next.iter().any(null) {
                if depth + 1 < levels.len() {
                    return Err(not_rectangular());
                }
                has_null = true;
            }
            sizes.push(size.unwrap_or(0));
            members = next;
        }
        if members.is_empty() {
            out.put_i32(0);
            out.put_i32(0);
            out.put_u32(element_oid);
            return Ok(());
        }
        out.put_i32(dimensions);
        out.put_i32(i32::from(has_null));
        out.put_u32(element_oid);
        for size in sizes {
            out.put_i32(i32::try_from(size).map_err(internal)?);
            out.put_i32(1);
        }
        for member in members {
            write_with_length(&cell, member, out)?;
        }
        Ok(())
    }))
}

/// One level of nested lists: where a member's elements are, and which of them are NULL.
struct Level {
    range: Range,
    nulls: Option<arrow::buffer::NullBuffer>,
}

fn not_rectangular() -> Report {
    Report::new(
        Condition::ArraySubscript,
        "multidimensional arrays must have sub-arrays with matching dimensions",
    )
    .hint("Ask for the column in text format.")
}
