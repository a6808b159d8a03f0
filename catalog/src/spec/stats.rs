//! Bounds of columns as text: what Parquet, the catalog and the engine say about a minimum or maximum, and how one becomes the other.
//!
//! The text is that of the official extension (`2020-01-02 03:04:05.678901+00`, `1e+16`, `0044-03-15 (BC)`, hexadecimal for blobs), so that
//! bounds are equal as text whoever wrote them. A bound that has no text, or whose text we cannot read, is no bound: pruning then keeps the file.

use std::cmp::Ordering;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use parquet::file::statistics::Statistics;

use super::calendar::{
    parse_date, parse_time, parse_timestamp, print_date, print_time, print_timestamp,
};
use super::types::ColumnType;

/// A bound of a column. What an integer means depends on the column: a number, days, units of time, an unscaled decimal, a boolean.
#[derive(Debug, Clone, PartialEq)]
pub enum Bound {
    /// Everything that is counted.
    Int(i128),
    /// Floating point.
    Float(f64),
    /// Text, blobs and UUIDs.
    Bytes(Vec<u8>),
}

impl PartialOrd for Bound {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(left), Self::Int(right)) => Some(left.cmp(right)),
            (Self::Float(left), Self::Float(right)) => left.partial_cmp(right),
            (Self::Bytes(left), Self::Bytes(right)) => Some(left.cmp(right)),
            _ => None,
        }
    }
}

impl Bound {
    /// The bound as text.
    pub fn print(&self, column_type: &ColumnType) -> Option<String> {
        use ColumnType as T;
        Some(match (column_type, self) {
            (T::Boolean, Self::Int(value)) => u8::from(*value != 0).to_string(),
            (
                T::Int8
                | T::Int16
                | T::Int32
                | T::Int64
                | T::UInt8
                | T::UInt16
                | T::UInt32
                | T::UInt64,
                Self::Int(value),
            ) => value.to_string(),
            (T::Decimal(_, scale), Self::Int(value)) => {
                print_decimal(*value, u32::try_from(*scale).ok()?)
            }
            (T::Float32, Self::Float(value)) => print_float(format!("{:e}", *value as f32))?,
            (T::Float64, Self::Float(value)) => print_float(format!("{value:e}"))?,
            (T::Varchar | T::Json, Self::Bytes(value)) if !value.contains(&0) => {
                String::from_utf8(value.clone()).ok()?
            }
            (T::Blob, Self::Bytes(value)) => {
                value.iter().map(|byte| format!("{byte:02X}")).collect()
            }
            (T::Uuid, Self::Bytes(value)) => uuid::Uuid::from_slice(value).ok()?.to_string(),
            (T::Date, Self::Int(value)) => print_date(i64::try_from(*value).ok()?),
            (T::Time, Self::Int(value)) => print_time(i64::try_from(*value).ok()?, 1_000_000),
            (_, Self::Int(value)) => {
                let per_second = units_per_second(column_type)?;
                let zone = if *column_type == T::TimestampTz {
                    "+00"
                } else {
                    ""
                };
                print_timestamp(i64::try_from(*value).ok()?, per_second, zone)
            }
            _ => return None,
        })
    }

    /// The bound that text says.
    pub fn parse(text: &str, column_type: &ColumnType) -> Option<Self> {
        use ColumnType as T;
        Some(match column_type {
            T::Boolean => Self::Int(match text {
                "0" | "false" => 0,
                "1" | "true" => 1,
                _ => return None,
            }),
            T::Int8
            | T::Int16
            | T::Int32
            | T::Int64
            | T::UInt8
            | T::UInt16
            | T::UInt32
            | T::UInt64 => Self::Int(text.parse().ok()?),
            T::Decimal(_, scale) => Self::Int(parse_decimal(text, usize::try_from(*scale).ok()?)?),
            T::Float32 => Self::Float(f64::from(text.parse::<f32>().ok()?)).not_nan()?,
            T::Float64 => Self::Float(text.parse().ok()?).not_nan()?,
            T::Varchar | T::Json => Self::Bytes(text.as_bytes().to_vec()),
            T::Blob => Self::Bytes(parse_hex(text)?),
            T::Uuid => Self::Bytes(uuid::Uuid::parse_str(text).ok()?.as_bytes().to_vec()),
            T::Date => Self::Int(parse_date(text)?.into()),
            T::Time => Self::Int(parse_time(text, 1_000_000)?.into()),
            T::Timestamp | T::TimestampTz | T::TimestampS | T::TimestampMs | T::TimestampNs => {
                Self::Int(parse_timestamp(text, units_per_second(column_type)?)?.into())
            }
            T::List | T::Struct | T::Map | T::Other(_) => return None,
        })
    }

    /// The bound as a value of the engine; `data_type` is that of the column.
    pub fn scalar(&self, data_type: &DataType) -> Option<ScalarValue> {
        use ScalarValue as S;
        Some(match (self, data_type) {
            (Self::Int(value), DataType::Boolean) => S::Boolean(Some(*value != 0)),
            (Self::Int(value), DataType::Int8) => S::Int8(Some(i8::try_from(*value).ok()?)),
            (Self::Int(value), DataType::Int16) => S::Int16(Some(i16::try_from(*value).ok()?)),
            (Self::Int(value), DataType::Int32) => S::Int32(Some(i32::try_from(*value).ok()?)),
            (Self::Int(value), DataType::Int64) => S::Int64(Some(i64::try_from(*value).ok()?)),
            (Self::Int(value), DataType::UInt8) => S::UInt8(Some(u8::try_from(*value).ok()?)),
            (Self::Int(value), DataType::UInt16) => S::UInt16(Some(u16::try_from(*value).ok()?)),
            (Self::Int(value), DataType::UInt32) => S::UInt32(Some(u32::try_from(*value).ok()?)),
            (Self::Int(value), DataType::UInt64) => S::UInt64(Some(u64::try_from(*value).ok()?)),
            (Self::Int(value), DataType::Decimal128(precision, scale)) => {
                S::Decimal128(Some(*value), *precision, *scale)
            }
            (Self::Int(value), DataType::Date32) => S::Date32(Some(i32::try_from(*value).ok()?)),
            (Self::Int(value), DataType::Time64(TimeUnit::Microsecond)) => {
                S::Time64Microsecond(Some(i64::try_from(*value).ok()?))
            }
            (Self::Int(value), DataType::Timestamp(unit, zone)) => {
                let value = Some(i64::try_from(*value).ok()?);
                match unit {
                    TimeUnit::Second => S::TimestampSecond(value, zone.clone()),
                    TimeUnit::Millisecond => S::TimestampMillisecond(value, zone.clone()),
                    TimeUnit::Microsecond => S::TimestampMicrosecond(value, zone.clone()),
                    TimeUnit::Nanosecond => S::TimestampNanosecond(value, zone.clone()),
                }
            }
            (Self::Float(value), DataType::Float32) => S::Float32(Some(*value as f32)),
            (Self::Float(value), DataType::Float64) => S::Float64(Some(*value)),
            (Self::Bytes(value), DataType::Utf8) => {
                S::Utf8(Some(String::from_utf8(value.clone()).ok()?))
            }
            (Self::Bytes(value), DataType::Utf8View) => {
                S::Utf8View(Some(String::from_utf8(value.clone()).ok()?))
            }
            (Self::Bytes(value), DataType::Binary) => S::Binary(Some(value.clone())),
            (Self::Bytes(value), DataType::BinaryView) => S::BinaryView(Some(value.clone())),
            (Self::Bytes(value), DataType::FixedSizeBinary(size)) => {
                S::FixedSizeBinary(*size, Some(value.clone()))
            }
            _ => return None,
        })
    }

    /// The bound that a value of the engine is.
    pub fn of_scalar(value: &ScalarValue) -> Option<Self> {
        use ScalarValue as S;
        Some(match value {
            S::Boolean(value) => Self::Int(i128::from((*value)?)),
            S::Int8(value) => Self::Int((*value)?.into()),
            S::Int16(value) => Self::Int((*value)?.into()),
            S::Int32(value) | S::Date32(value) => Self::Int((*value)?.into()),
            S::UInt8(value) => Self::Int((*value)?.into()),
            S::UInt16(value) => Self::Int((*value)?.into()),
            S::UInt32(value) => Self::Int((*value)?.into()),
            S::UInt64(value) => Self::Int((*value)?.into()),
            S::Decimal128(value, ..) => Self::Int((*value)?),
            S::Int64(value)
            | S::Time64Microsecond(value)
            | S::TimestampSecond(value, _)
            | S::TimestampMillisecond(value, _)
            | S::TimestampMicrosecond(value, _)
            | S::TimestampNanosecond(value, _) => Self::Int((*value)?.into()),
            S::Float32(value) => Self::Float((*value)?.into()),
            S::Float64(value) => Self::Float((*value)?),
            S::Utf8(value) | S::Utf8View(value) | S::LargeUtf8(value) => {
                Self::Bytes(value.as_ref()?.as_bytes().to_vec())
            }
            S::Binary(value) | S::BinaryView(value) | S::FixedSizeBinary(_, value) => {
                Self::Bytes(value.clone()?)
            }
            _ => return None,
        })
    }

    /// Lower and upper bound in the statistics of a Parquet column chunk.
    pub fn of_parquet(
        statistics: &Statistics,
        column_type: &ColumnType,
    ) -> (Option<Self>, Option<Self>) {
        use ColumnType as T;
        fn both<V>(
            min: Option<&V>,
            max: Option<&V>,
            bound: impl Fn(&V) -> Option<Bound>,
        ) -> (Option<Bound>, Option<Bound>) {
            (min.and_then(&bound), max.and_then(&bound))
        }
        match statistics {
            Statistics::Boolean(s) => both(s.min_opt(), s.max_opt(), |value| {
                Some(Self::Int(i128::from(*value)))
            }),
            Statistics::Int32(s) => both(s.min_opt(), s.max_opt(), |value| {
                Some(Self::Int(
                    if matches!(column_type, T::UInt8 | T::UInt16 | T::UInt32) {
                        i128::from(value.cast_unsigned())
                    } else {
                        i128::from(*value)
                    },
                ))
            }),
            Statistics::Int64(s) => both(s.min_opt(), s.max_opt(), |value| {
                Some(Self::Int(if *column_type == T::UInt64 {
                    i128::from(value.cast_unsigned())
                } else {
                    i128::from(*value)
                }))
            }),
            Statistics::Float(s) => both(s.min_opt(), s.max_opt(), |value| {
                Self::Float(f64::from(*value)).not_nan()
            }),
            Statistics::Double(s) => both(s.min_opt(), s.max_opt(), |value| {
                Self::Float(*value).not_nan()
            }),
            Statistics::ByteArray(s) => both(s.min_opt(), s.max_opt(), |value| {
                Some(Self::Bytes(value.data().to_vec()))
            }),
            Statistics::FixedLenByteArray(s) => {
                both(s.min_opt(), s.max_opt(), |value| match column_type {
                    T::Decimal(..) => signed_big_endian(value.data()).map(Self::Int),
                    _ => Some(Self::Bytes(value.data().to_vec())),
                })
            }
            Statistics::Int96(_) => (None, None),
        }
    }

    fn not_nan(self) -> Option<Self> {
        match self {
            Self::Float(value) if value.is_nan() => None,
            bound => Some(bound),
        }
    }
}

fn units_per_second(column_type: &ColumnType) -> Option<i64> {
    Some(match column_type {
        ColumnType::Timestamp | ColumnType::TimestampTz => 1_000_000,
        ColumnType::TimestampS => 1,
        ColumnType::TimestampMs => 1_000,
        ColumnType::TimestampNs => 1_000_000_000,
        _ => return None,
    })
}

fn signed_big_endian(bytes: &[u8]) -> Option<i128> {
    let (&first, _) = bytes.split_first()?;
    if bytes.len() > 16 {
        return None;
    }
    let sign = if first & 0x80 == 0 { 0 } else { -1 };
    Some(
        bytes
            .iter()
            .fold(sign, |value: i128, byte| (value << 8) | i128::from(*byte)),
    )
}

fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<Vec<_>>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty()
        .then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

fn print_decimal(value: i128, scale: u32) -> String {
    if scale == 0 {
        return value.to_string();
    }
    let sign = if value < 0 { "-" } else { "" };
    let width = usize::try_from(scale).unwrap_or(0) + 1;
    let digits = format!("{:0width$}", value.unsigned_abs());
    let (whole, fraction) = digits.split_at(digits.len() + 1 - width);
    format!("{sign}{whole}.{fraction}")
}

fn parse_decimal(text: &str, scale: usize) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if fraction.len() > scale || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let all = format!("{whole}{fraction}{}", "0".repeat(scale - fraction.len()));
    if !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    all.parse::<i128>().ok().map(|value| sign * value)
}

/// Turns Rust's shortest exponent form (`1.5e-7`) into the form of the specification: plain from 1e-4 up to below 1e16, else `1.5e-07`.
fn print_float(shortest: String) -> Option<String> {
    let Some((mantissa, exponent)) = shortest.split_once('e') else {
        return match shortest.as_str() {
            "inf" | "-inf" => Some(shortest),
            _ => None,
        };
    };
    let exponent: i32 = exponent.parse().ok()?;
    if !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return Some(format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs()));
    }
    let (sign, digits) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let digits = digits.replace('.', "");
    Some(match usize::try_from(exponent) {
        Err(_) => format!(
            "{sign}0.{}{digits}",
            "0".repeat(exponent.unsigned_abs() as usize - 1)
        ),
        Ok(whole) if digits.len() <= whole + 1 => {
            format!("{sign}{digits}{}.0", "0".repeat(whole + 1 - digits.len()))
        }
        Ok(whole) => {
            let (before, after) = digits.split_at(whole + 1);
            format!("{sign}{before}.{after}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prints_as_the_official_extension_does() {
        let int = |value| Bound::Int(value);
        for (column_type, bound, text) in [
            (ColumnType::Boolean, int(1), "1"),
            (ColumnType::Int8, int(-1), "-1"),
            (
                ColumnType::UInt64,
                int(u64::MAX.into()),
                "18446744073709551615",
            ),
            (ColumnType::Decimal(18, 3), int(-50), "-0.050"),
            (ColumnType::Decimal(18, 3), int(99_990), "99.990"),
            (ColumnType::Decimal(10, 0), int(7), "7"),
            (ColumnType::Float32, Bound::Float(-0.5), "-0.5"),
            (
                ColumnType::Float32,
                Bound::Float(123_456_792.0),
                "123456790.0",
            ),
            (
                ColumnType::Float32,
                Bound::Float(f64::from(f32::MAX)),
                "3.4028235e+38",
            ),
            (ColumnType::Float32, Bound::Float(f64::from(0.1f32)), "0.1"),
            (ColumnType::Float64, Bound::Float(1e-7), "1e-07"),
            (ColumnType::Float64, Bound::Float(1e30), "1e+30"),
            (ColumnType::Float64, Bound::Float(1e100), "1e+100"),
            (
                ColumnType::Float64,
                Bound::Float(1.1e15),
                "1100000000000000.0",
            ),
            (ColumnType::Float64, Bound::Float(1e16), "1e+16"),
            (ColumnType::Float64, Bound::Float(0.0001), "0.0001"),
            (ColumnType::Float64, Bound::Float(1e-5), "1e-05"),
            (ColumnType::Float64, Bound::Float(123_456.789), "123456.789"),
            (ColumnType::Float64, Bound::Float(0.0), "0.0"),
            (ColumnType::Float64, Bound::Float(f64::NEG_INFINITY), "-inf"),
            (ColumnType::Varchar, Bound::Bytes("aé".into()), "aé"),
            (
                ColumnType::Blob,
                Bound::Bytes(vec![0xAB, 0xFF, 0x0A]),
                "ABFF0A",
            ),
            (
                ColumnType::Uuid,
                Bound::Bytes(vec![255; 16]),
                "ffffffff-ffff-ffff-ffff-ffffffffffff",
            ),
            (ColumnType::Date, int(18_263), "2020-01-02"),
            (ColumnType::Date, int(i128::from(i32::MAX)), "infinity"),
            (ColumnType::Date, int(-735_160), "0044-03-15 (BC)"),
            (ColumnType::Date, int(3_789_391), "12345-01-01"),
            (ColumnType::Time, int(45_296_789_000), "12:34:56.789"),
            (ColumnType::Time, int(86_400_000_000), "24:00:00"),
            (
                ColumnType::Timestamp,
                int(1_577_934_245_678_901),
                "2020-01-02 03:04:05.678901",
            ),
            (
                ColumnType::Timestamp,
                int(-62_167_219_200_000_000),
                "0001-01-01 (BC) 00:00:00",
            ),
            (ColumnType::Timestamp, int(i128::from(i64::MAX)), "infinity"),
            (
                ColumnType::TimestampTz,
                int(1_577_934_245_678_901),
                "2020-01-02 03:04:05.678901+00",
            ),
            (
                ColumnType::TimestampTz,
                int(-i128::from(i64::MAX)),
                "-infinity",
            ),
            (
                ColumnType::TimestampS,
                int(1_577_934_245),
                "2020-01-02 03:04:05",
            ),
            (
                ColumnType::TimestampMs,
                int(1_577_934_245_100),
                "2020-01-02 03:04:05.1",
            ),
            (
                ColumnType::TimestampNs,
                int(1_577_934_245_123_456_789),
                "2020-01-02 03:04:05.123456789",
            ),
        ] {
            assert_eq!(bound.print(&column_type).as_deref(), Some(text));
            assert_eq!(Bound::parse(text, &column_type), Some(bound), "{text}");
        }
    }

    #[test]
    fn what_is_no_bound_gives_none() {
        assert_eq!(
            Bound::Bytes(b"a\0b".to_vec()).print(&ColumnType::Varchar),
            None
        );
        assert_eq!(Bound::Float(f64::NAN).print(&ColumnType::Float64), None);
        for (text, column_type) in [
            ("nan", ColumnType::Float64),
            ("", ColumnType::Int32),
            ("2020-02-30", ColumnType::Date),
            ("2020-1", ColumnType::Date),
            ("25:00:00", ColumnType::Time),
            ("2020-01-01", ColumnType::Timestamp),
            ("1.2345", ColumnType::Decimal(10, 2)),
            ("ABC", ColumnType::Blob),
            ("x", ColumnType::List),
        ] {
            assert_eq!(Bound::parse(text, &column_type), None, "{text}");
        }
        assert_eq!(Bound::Int(300).scalar(&DataType::Int8), None);
    }

    proptest! {
        #[test]
        fn parse_inverts_print(int in any::<i64>(), days in any::<i32>(), float in any::<f64>(), single in any::<f32>(), text in "\\PC*", bytes in any::<Vec<u8>>(), scale in 0i8..38) {
            let round_trip = |bound: Bound, column_type: ColumnType| {
                let text = bound.print(&column_type);
                let parsed = text.as_deref().and_then(|text| Bound::parse(text, &column_type));
                prop_assert_eq!(parsed, Some(bound), "{:?} {:?}", column_type, text);
                Ok(())
            };
            for column_type in [ColumnType::Int64, ColumnType::Decimal(38, scale), ColumnType::Timestamp, ColumnType::TimestampTz, ColumnType::TimestampNs] {
                if int != i64::MIN {
                    round_trip(Bound::Int(int.into()), column_type)?;
                }
            }
            if days != i32::MIN {
                round_trip(Bound::Int(days.into()), ColumnType::Date)?;
            }
            round_trip(Bound::Int((int % 86_400_000_000).abs().into()), ColumnType::Time)?;
            if !float.is_nan() {
                round_trip(Bound::Float(float), ColumnType::Float64)?;
            }
            if !single.is_nan() {
                round_trip(Bound::Float(single.into()), ColumnType::Float32)?;
            }
            round_trip(Bound::Bytes(bytes), ColumnType::Blob)?;
            round_trip(Bound::Bytes(text.into_bytes()), ColumnType::Varchar)?;
        }
    }
}
