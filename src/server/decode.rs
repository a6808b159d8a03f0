//! Parameters from the wire: text and binary forms of PostgreSQL's types to the engine's values.
//!
//! The form on the wire is the PostgreSQL type's; the value is of the Arrow type that the plan wants, converted where the
//! two are not the usual pair.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray, new_empty_array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::kernels::cast_utils::{
    IntervalParseConfig, parse_interval_month_day_nano_config, string_to_datetime,
};
use arrow::datatypes::{DataType, FieldRef, IntervalMonthDayNano};
use chrono::{MappedLocalTime, NaiveDateTime, NaiveTime, Offset, TimeZone, Timelike, Utc};
use datafusion::common::ScalarValue;
use tributary_sql::output::Style;
use tributary_sql::output::time::{DAY_US, POSTGRES_EPOCH_DAYS, POSTGRES_EPOCH_US, Zone};
use tributary_sql::pgtype::{self, PgType};
use tributary_sql::text::{json, uuid};

use super::encode::Format;
use super::error::PgError;
use super::message::utf8;

/// Most decimal digits of a number.
const DECIMAL_DIGITS_MAX: u32 = 38;

/// The value of a parameter of type `pg_type` as `data_type`; `bytes` is `None` for NULL.
///
/// # Errors
/// 22P02, 22P03, 22003, 22007 and 22021 when the bytes are not a value of the type; 0A000 for types without values here.
pub fn parameter(
    bytes: Option<&[u8]>,
    format: Format,
    pg_type: &'static PgType,
    data_type: &DataType,
    style: Style,
) -> Result<ScalarValue, PgError> {
    let Some(bytes) = bytes else {
        return ScalarValue::try_from(data_type).map_err(|error| (&error).into());
    };
    let value = if let Some(element) = pg_type.element() {
        array(bytes, format, pg_type, element, data_type, style)?
    } else {
        match format {
            Format::Text => text(utf8(bytes)?, pg_type, data_type, style)?,
            Format::Binary => binary(bytes, pg_type, data_type)?,
        }
    };
    if value.data_type() == *data_type {
        return Ok(value);
    }
    value.cast_to(data_type).map_err(|error| (&error).into())
}

fn text(
    text: &str,
    pg_type: &PgType,
    data_type: &DataType,
    style: Style,
) -> Result<ScalarValue, PgError> {
    let invalid = || invalid_text(pg_type.name, text);
    let trimmed = text.trim_matches(|c: char| c.is_ascii_whitespace());
    Ok(match pg_type.name {
        "bool" => ScalarValue::from(boolean(trimmed).ok_or_else(invalid)?),
        "int2" => ScalarValue::from(integer::<i16>(text, pg_type)?),
        "int4" => ScalarValue::from(integer::<i32>(text, pg_type)?),
        "int8" => ScalarValue::from(integer::<i64>(text, pg_type)?),
        "oid" | "xid" | "cid" => ScalarValue::from(integer::<u32>(text, pg_type)?),
        _ if pg_type.is_oid_alias() => ScalarValue::from(integer::<u32>(text, pg_type)?),
        "float4" => ScalarValue::from(float::<f32>(trimmed, text, pg_type)?),
        "float8" => ScalarValue::from(float::<f64>(trimmed, text, pg_type)?),
        "numeric" => Decimal::parse(trimmed)
            .ok_or_else(invalid)?
            .scalar(data_type)?,
        "bytea" => ScalarValue::Binary(Some(bytea(text)?)),
        "uuid" => {
            let bytes = uuid::parse(text).map_err(|error| PgError::from(&error))?;
            ScalarValue::from(uuid::text(bytes))
        }
        "json" | "jsonb" => {
            json::check(text).map_err(|error| PgError::from(&error))?;
            ScalarValue::from(text)
        }
        "date" => ScalarValue::Date32(Some(
            i32::try_from(
                naive(trimmed)
                    .ok_or_else(|| invalid_time(pg_type, text))?
                    .div_euclid(DAY_US),
            )
            .map_err(|_| invalid_time(pg_type, text))?,
        )),
        "time" => ScalarValue::Time64Microsecond(Some(
            time_of_day(trimmed).ok_or_else(|| invalid_time(pg_type, text))?,
        )),
        "timestamp" => ScalarValue::TimestampMicrosecond(
            Some(naive(trimmed).ok_or_else(|| invalid_time(pg_type, text))?),
            None,
        ),
        "timestamptz" => ScalarValue::TimestampMicrosecond(
            Some(instant(trimmed, style.zone).ok_or_else(|| invalid_time(pg_type, text))?),
            Some(pgtype::TIMESTAMPTZ_ZONE.into()),
        ),
        "interval" => ScalarValue::IntervalMonthDayNano(Some(
            parse_interval_month_day_nano_config(
                &spelled_out(trimmed),
                IntervalParseConfig::new(arrow::compute::kernels::cast_utils::IntervalUnit::Second),
            )
            .map_err(|_| invalid_time(pg_type, text))?,
        )),
        _ if is_text(pg_type) => ScalarValue::from(text),
        _ => return Err(no_input(pg_type)),
    })
}

fn binary(bytes: &[u8], pg_type: &PgType, data_type: &DataType) -> Result<ScalarValue, PgError> {
    Ok(match pg_type.name {
        "bool" => ScalarValue::from(fixed::<1>(bytes)? != [0]),
        "int2" => ScalarValue::from(i16::from_be_bytes(fixed(bytes)?)),
        "int4" => ScalarValue::from(i32::from_be_bytes(fixed(bytes)?)),
        "int8" => ScalarValue::from(i64::from_be_bytes(fixed(bytes)?)),
        "oid" | "xid" | "cid" => ScalarValue::from(u32::from_be_bytes(fixed(bytes)?)),
        _ if pg_type.is_oid_alias() => ScalarValue::from(u32::from_be_bytes(fixed(bytes)?)),
        "float4" => ScalarValue::from(f32::from_be_bytes(fixed(bytes)?)),
        "float8" => ScalarValue::from(f64::from_be_bytes(fixed(bytes)?)),
        "numeric" => Decimal::from_binary(bytes)?.scalar(data_type)?,
        "bytea" => ScalarValue::Binary(Some(bytes.to_vec())),
        "uuid" => ScalarValue::from(uuid::text(fixed(bytes)?)),
        "jsonb" => {
            let Some((1, text_bytes)) = bytes.split_first() else {
                return Err(malformed());
            };
            return text(utf8(text_bytes)?, pg_type, data_type, Style::default());
        }
        "json" => return text(utf8(bytes)?, pg_type, data_type, Style::default()),
        "date" => {
            let days = i64::from(i32::from_be_bytes(fixed(bytes)?)) + POSTGRES_EPOCH_DAYS;
            ScalarValue::Date32(Some(i32::try_from(days).map_err(|_| out_of_range("date"))?))
        }
        "time" => {
            let us = i64::from_be_bytes(fixed(bytes)?);
            if !(0..=DAY_US).contains(&us) {
                return Err(out_of_range("time"));
            }
            ScalarValue::Time64Microsecond(Some(us))
        }
        "timestamp" | "timestamptz" => {
            let us = i64::from_be_bytes(fixed(bytes)?)
                .checked_add(POSTGRES_EPOCH_US)
                .ok_or_else(|| out_of_range("timestamp"))?;
            let zone = (pg_type.name == "timestamptz").then(|| pgtype::TIMESTAMPTZ_ZONE.into());
            ScalarValue::TimestampMicrosecond(Some(us), zone)
        }
        "interval" => {
            let [us @ .., a, b, c, d, e, f, g, h] = fixed::<16>(bytes)?;
            let nanoseconds = i64::from_be_bytes(us)
                .checked_mul(1_000)
                .ok_or_else(|| out_of_range("interval"))?;
            ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(
                i32::from_be_bytes([e, f, g, h]),
                i32::from_be_bytes([a, b, c, d]),
                nanoseconds,
            )))
        }
        _ if is_text(pg_type) => ScalarValue::from(utf8(bytes)?),
        _ => return Err(no_input(pg_type)),
    })
}

/// Types whose binary form is their text.
fn is_text(pg_type: &PgType) -> bool {
    matches!(
        pg_type.name,
        "text"
            | "varchar"
            | "bpchar"
            | "name"
            | "char"
            | "unknown"
            | "cstring"
            | "refcursor"
            | "xml"
    )
}

fn array(
    bytes: &[u8],
    format: Format,
    pg_type: &PgType,
    element: &'static PgType,
    data_type: &DataType,
    style: Style,
) -> Result<ScalarValue, PgError> {
    let item: FieldRef = match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            Arc::clone(item)
        }
        _ => {
            return Err(PgError::internal(format_args!(
                "an array parameter of type {data_type}"
            )));
        }
    };
    let value = |bytes: Option<&[u8]>| parameter(bytes, format, element, item.data_type(), style);
    let values: Vec<ScalarValue> = match format {
        Format::Binary => {
            let elements = binary_elements(bytes, element)?;
            elements.into_iter().map(value).collect::<Result<_, _>>()?
        }
        Format::Text => {
            let text = utf8(bytes)?;
            let elements = if pg_type.is_array() {
                text_elements(text)?
            } else {
                // The vectors of the catalog have no braces.
                text.split_ascii_whitespace()
                    .map(|word| Some(word.to_owned()))
                    .collect()
            };
            elements
                .iter()
                .map(|element| value(element.as_deref().map(str::as_bytes)))
                .collect::<Result<_, _>>()?
        }
    };
    let count = values.len();
    let values: ArrayRef = if values.is_empty() {
        new_empty_array(item.data_type())
    } else {
        ScalarValue::iter_to_array(values).map_err(|error| PgError::from(&error))?
    };
    let list = ListArray::try_new(item, OffsetBuffer::from_lengths([count]), values, None)
        .map_err(|error| {
            PgError::internal(format_args!("could not build an array parameter: {error}"))
        })?;
    Ok(ScalarValue::List(Arc::new(list)))
}

/// The elements of a one-dimensional array in binary form.
fn binary_elements<'a>(
    bytes: &'a [u8],
    element: &PgType,
) -> Result<Vec<Option<&'a [u8]>>, PgError> {
    let mut rest = bytes;
    let mut word = || -> Result<i32, PgError> {
        let (word, after) = rest.split_first_chunk::<4>().ok_or_else(malformed)?;
        rest = after;
        Ok(i32::from_be_bytes(*word))
    };
    let dimensions = word()?;
    let _has_null = word()?;
    let oid = word()? as u32;
    if oid != element.oid {
        return Err(PgError::error("42804", "wrong element type"));
    }
    match dimensions {
        0 => return Ok(Vec::new()),
        1 => {}
        2..=6 => return Err(multidimensional()),
        _ => return Err(malformed()),
    }
    let count = usize::try_from(word()?).map_err(|_| malformed())?;
    let _lower_bound = word()?;
    let mut elements = Vec::new();
    for _ in 0..count {
        let (length, after) = rest.split_first_chunk::<4>().ok_or_else(malformed)?;
        rest = after;
        let length = i32::from_be_bytes(*length);
        if length == -1 {
            elements.push(None);
            continue;
        }
        let (value, after) = usize::try_from(length)
            .ok()
            .and_then(|length| rest.split_at_checked(length))
            .ok_or_else(malformed)?;
        rest = after;
        elements.push(Some(value));
    }
    if rest.is_empty() {
        Ok(elements)
    } else {
        Err(malformed())
    }
}

/// The elements of a one-dimensional array literal: `{1,NULL,"a \"b\""}`.
fn text_elements(text: &str) -> Result<Vec<Option<String>>, PgError> {
    let malformed = |why: &str| {
        PgError::error("22P02", format!("malformed array literal: \"{text}\"")).detail(why)
    };
    let space = |c: char| c.is_ascii_whitespace();
    let trimmed = text.trim_matches(space);
    // "[1:3]={...}": the bounds say nothing that a list keeps.
    let braced = match trimmed.split_once('=') {
        Some((bounds, rest)) if bounds.starts_with('[') => rest.trim_start_matches(space),
        _ => trimmed,
    };
    let Some(inner) = braced.strip_prefix('{') else {
        return Err(malformed(
            "Array value must start with \"{\" or dimension information.",
        ));
    };
    let Some(inner) = inner.strip_suffix('}') else {
        return Err(malformed("Unexpected end of input."));
    };
    if inner.trim_matches(space).is_empty() {
        return Ok(Vec::new());
    }
    let mut elements = Vec::new();
    let mut characters = inner.chars().peekable();
    loop {
        while characters.next_if(|c| space(*c)).is_some() {}
        let mut value = String::new();
        let quoted = characters.next_if_eq(&'"').is_some();
        if quoted {
            loop {
                match characters.next() {
                    None => return Err(malformed("Unexpected end of input.")),
                    Some('"') => break,
                    Some('\\') => value.extend(characters.next()),
                    Some(c) => value.push(c),
                }
            }
            while characters.next_if(|c| space(*c)).is_some() {}
        } else {
            // Spaces round a bare word do not belong to it, unless a backslash keeps them.
            let mut kept = 0;
            while let Some(c) = characters.next_if(|c| *c != ',') {
                match c {
                    '{' => return Err(multidimensional()),
                    '}' | '"' => return Err(malformed(&format!("Unexpected \"{c}\" character."))),
                    '\\' => {
                        value.extend(characters.next());
                        kept = value.len();
                    }
                    c => {
                        value.push(c);
                        if !space(c) {
                            kept = value.len();
                        }
                    }
                }
            }
            value.truncate(kept);
            if value.is_empty() {
                return Err(malformed("Unexpected \",\" character."));
            }
        }
        let null = !quoted && value.eq_ignore_ascii_case("null");
        elements.push((!null).then_some(value));
        match characters.next() {
            None => return Ok(elements),
            Some(',') => {}
            Some(_) => return Err(malformed("Incorrectly quoted array element.")),
        }
    }
}

fn integer<I: TryFrom<i128>>(text: &str, pg_type: &PgType) -> Result<I, PgError> {
    let trimmed = text.trim_matches(|c: char| c.is_ascii_whitespace());
    let digits = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid_text(pg_type.name, text));
    }
    trimmed
        .parse::<i128>()
        .ok()
        .and_then(|value| I::try_from(value).ok())
        .ok_or_else(|| {
            PgError::error(
                "22003",
                format!(
                    "value \"{text}\" is out of range for type {}",
                    sql_name(pg_type.name)
                ),
            )
        })
}

fn float<F: std::str::FromStr + Into<f64> + Copy>(
    trimmed: &str,
    text: &str,
    pg_type: &PgType,
) -> Result<F, PgError> {
    let value: F = trimmed
        .parse()
        .map_err(|_| invalid_text(pg_type.name, text))?;
    let letters = trimmed
        .trim_start_matches(['+', '-'])
        .starts_with(|c: char| c.is_ascii_alphabetic());
    if value.into().is_infinite() && !letters {
        return Err(PgError::error(
            "22003",
            format!(
                "\"{text}\" is out of range for type {}",
                sql_name(pg_type.name)
            ),
        ));
    }
    Ok(value)
}

/// Any unambiguous beginning of true, false, yes, no, on, off, in any case, and 1 and 0.
fn boolean(text: &str) -> Option<bool> {
    let text = text.to_ascii_lowercase();
    let begins = |word: &str, least: usize| text.len() >= least && word.starts_with(&text);
    if begins("true", 1) || begins("yes", 1) || text == "on" || text == "1" {
        Some(true)
    } else if begins("false", 1) || begins("no", 1) || begins("off", 2) || text == "0" {
        Some(false)
    } else {
        None
    }
}

/// `\x` and hexadecimal digits, or bytes with `\\` and `\ooo`.
fn bytea(text: &str) -> Result<Vec<u8>, PgError> {
    let invalid = || PgError::error("22P02", "invalid input syntax for type bytea");
    if let Some(digits) = text.strip_prefix("\\x") {
        let nibbles: Vec<u8> = digits
            .chars()
            .filter(|c| !c.is_ascii_whitespace())
            .map(|c| {
                c.to_digit(16)
                    .and_then(|digit| u8::try_from(digit).ok())
                    .ok_or_else(|| {
                        PgError::error("22023", format!("invalid hexadecimal digit: \"{c}\""))
                    })
            })
            .collect::<Result<_, _>>()?;
        let (pairs, rest) = nibbles.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(PgError::error(
                "22023",
                "invalid hexadecimal data: odd number of digits",
            ));
        }
        return Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect());
    }
    let mut value = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            value.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b'\\') => value.push(b'\\'),
            Some(first @ b'0'..=b'3') => {
                let mut octal = u32::from(first - b'0');
                for _ in 0..2 {
                    match bytes.next() {
                        Some(digit @ b'0'..=b'7') => octal = octal * 8 + u32::from(digit - b'0'),
                        _ => return Err(invalid()),
                    }
                }
                value.push(u8::try_from(octal).map_err(|_| invalid())?);
            }
            _ => return Err(invalid()),
        }
    }
    Ok(value)
}

/// A finite decimal number: `digits / 10^scale`.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    scale: i32,
}

impl Decimal {
    fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, text.get(1..)?),
            b'+' => (false, text.get(1..)?),
            _ => (false, text),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i16>().ok()?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        Some(Self {
            negative,
            digits: digits.iter().map(|digit| digit - b'0').collect(),
            scale: i32::try_from(fraction.len()).ok()? - i32::from(exponent),
        })
    }

    fn from_binary(bytes: &[u8]) -> Result<Self, PgError> {
        let (header, groups) = bytes.split_first_chunk::<8>().ok_or_else(malformed)?;
        let [a, b, c, d, e, f, ..] = *header;
        let count = usize::from(u16::from_be_bytes([a, b]));
        let weight = i32::from(i16::from_be_bytes([c, d]));
        let negative = match u16::from_be_bytes([e, f]) {
            0 => false,
            0x4000 => true,
            0xc000 | 0xd000 | 0xf000 => {
                return Err(PgError::error(
                    "0A000",
                    "numeric NaN and infinity are not supported",
                ));
            }
            _ => return Err(malformed()),
        };
        let (groups, rest) = groups.as_chunks::<2>();
        if groups.len() != count || !rest.is_empty() {
            return Err(malformed());
        }
        let mut digits = Vec::with_capacity(4 * count);
        for group in groups {
            let group = u16::from_be_bytes(*group);
            if group > 9_999 {
                return Err(malformed());
            }
            for power in [1_000, 100, 10, 1] {
                digits.push((group / power % 10) as u8);
            }
        }
        // The first group has the weight 10000^weight.
        let scale = 4 * (i32::try_from(count).map_err(|_| malformed())? - 1 - weight);
        Ok(Self {
            negative,
            digits,
            scale,
        })
    }

    /// The number as a scalar of `data_type`, or of the scale it has when that is not a decimal type; halves are rounded
    /// away from zero.
    fn scalar(&self, data_type: &DataType) -> Result<ScalarValue, PgError> {
        let (precision, scale) = match data_type {
            DataType::Decimal128(precision, scale) => (*precision, *scale),
            _ => {
                let scale = self.scale.clamp(0, DECIMAL_DIGITS_MAX as i32);
                (DECIMAL_DIGITS_MAX as u8, scale as i8)
            }
        };
        let overflow = || {
            PgError::error("22003", "numeric field overflow").detail(format!(
                "A value with precision {precision}, scale {scale} must round to an absolute value less than 10^{}.",
                i32::from(precision) - i32::from(scale)
            ))
        };
        // Digits to drop at the end, or zeros to add there.
        let dropped = self.scale - i32::from(scale);
        let significant = self.digits.iter().skip_while(|digit| **digit == 0);
        let length = i32::try_from(significant.clone().count()).map_err(|_| overflow())?;
        let mut value = 0_i128;
        for digit in significant
            .clone()
            .take((length - dropped.max(0)).max(0) as usize)
        {
            value = value
                .checked_mul(10)
                .and_then(|value| value.checked_add(i128::from(*digit)))
                .ok_or_else(overflow)?;
        }
        if dropped > 0
            && length >= dropped
            && significant
                .clone()
                .nth((length - dropped) as usize)
                .is_some_and(|d| *d >= 5)
        {
            value = value.checked_add(1).ok_or_else(overflow)?;
        }
        if dropped < 0 && value != 0 {
            value = 10_i128
                .checked_pow(dropped.unsigned_abs())
                .and_then(|power| value.checked_mul(power))
                .ok_or_else(overflow)?;
        }
        if 10_i128
            .checked_pow(u32::from(precision))
            .is_some_and(|limit| value >= limit)
        {
            return Err(overflow());
        }
        let value = if self.negative { -value } else { value };
        Ok(ScalarValue::Decimal128(Some(value), precision, scale))
    }
}

/// A date or timestamp, in microseconds since 1970; a zone in the text is checked and has no effect, as in PostgreSQL.
fn naive(text: &str) -> Option<i64> {
    string_to_datetime(&Utc, text).ok()?;
    let wall = string_to_datetime(&Utc, without_zone(text)).ok()?;
    Some(wall.timestamp_micros())
}

/// A timestamp with the zone it names, or else in `zone`.
fn instant(text: &str, zone: Zone) -> Option<i64> {
    let utc = string_to_datetime(&Utc, text).ok()?;
    if without_zone(text).len() < text.len() {
        return Some(utc.timestamp_micros());
    }
    let offset = match zone {
        Zone::Utc => 0,
        Zone::Fixed(seconds) => seconds,
        Zone::Named(zone) => local_offset(zone, utc.naive_utc()),
    };
    utc.timestamp_micros()
        .checked_sub(i64::from(offset) * 1_000_000)
}

/// `text` up to the offset or zone name behind the time of day.
fn without_zone(text: &str) -> &str {
    // Year, month, day and the T or space between date and time are eleven bytes.
    let zone = text
        .get(11..)
        .and_then(|time| time.find(|c: char| matches!(c, '+' | '-') || c.is_alphabetic()));
    match zone {
        Some(at) => text.get(..11 + at).unwrap_or(text).trim_end(),
        None => text,
    }
}

/// Seconds east of UTC of a wall clock: in the hour that comes twice the second one counts, in the hour that is left out
/// the offset before it, both as in PostgreSQL.
fn local_offset(zone: chrono_tz::Tz, local: NaiveDateTime) -> i32 {
    match zone.offset_from_local_datetime(&local) {
        MappedLocalTime::Single(offset) | MappedLocalTime::Ambiguous(_, offset) => {
            offset.fix().local_minus_utc()
        }
        MappedLocalTime::None => {
            let before = local - chrono::Duration::hours(3);
            zone.offset_from_local_datetime(&before)
                .earliest()
                .map_or(0, |offset| offset.fix().local_minus_utc())
        }
    }
}

fn time_of_day(text: &str) -> Option<i64> {
    if matches!(text, "24:00" | "24:00:00") {
        return Some(DAY_US);
    }
    let time = ["%H:%M:%S%.f", "%H:%M"]
        .iter()
        .find_map(|pattern| NaiveTime::parse_from_str(text, pattern).ok())?;
    Some(
        i64::from(time.num_seconds_from_midnight()) * 1_000_000
            + i64::from(time.nanosecond() / 1_000),
    )
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], PgError> {
    bytes.try_into().map_err(|_| malformed())
}

fn malformed() -> PgError {
    PgError::error("22P03", "incorrect binary data format")
}

fn multidimensional() -> PgError {
    PgError::error(
        "0A000",
        "parameters that are arrays of several dimensions are not supported",
    )
}

fn no_input(pg_type: &PgType) -> PgError {
    PgError::error(
        "0A000",
        format!("parameters of type {} are not supported", pg_type.name),
    )
    .hint("Declare the parameter as text and cast it in the statement.")
}

fn out_of_range(what: &str) -> PgError {
    PgError::error("22008", format!("{what} out of range"))
}

fn invalid_text(type_name: &str, text: &str) -> PgError {
    PgError::error(
        "22P02",
        format!(
            "invalid input syntax for type {}: \"{text}\"",
            sql_name(type_name)
        ),
    )
}

fn invalid_time(pg_type: &PgType, text: &str) -> PgError {
    PgError::error(
        "22007",
        format!(
            "invalid input syntax for type {}: \"{text}\"",
            sql_name(pg_type.name)
        ),
    )
}

/// A type as PostgreSQL's input functions name it.
fn sql_name(name: &str) -> &str {
    match name {
        "bool" => "boolean",
        "int2" => "smallint",
        "int4" => "integer",
        "int8" => "bigint",
        "float4" => "real",
        "float8" => "double precision",
        "timestamptz" => "timestamp with time zone",
        other => other,
    }
}

/// An interval with its time of day in words, as the engine's parser takes it: `1 day 02:00:00`
/// becomes `1 day 02 hours 00 minutes 00 seconds`.
fn spelled_out(text: &str) -> String {
    text.split_whitespace()
        .map(|word| {
            let sign = if word.starts_with('-') { "-" } else { "" };
            let digits = word.trim_start_matches(['-', '+']);
            let parts: Vec<&str> = digits.split(':').collect();
            match parts.as_slice() {
                [hours, minutes] => format!("{sign}{hours} hours {sign}{minutes} minutes"),
                [hours, minutes, seconds] => {
                    format!("{sign}{hours} hours {sign}{minutes} minutes {sign}{seconds} seconds")
                }
                _ => word.to_owned(),
            }
        })
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests;
