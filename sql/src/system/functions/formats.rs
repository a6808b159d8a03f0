//! Times and numbers from and to text: the input of literals and casts, `to_char` and its inverses, `age`.
//!
//! [`input`] gives the function that reads a text as a value of a type; the planner puts it where the engine would cast.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryBuilder, PrimitiveArray, PrimitiveBuilder,
    StringArray, StringBuilder,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, Date32Type, Decimal128Type, DecimalType, Field, FieldRef,
    Float64Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
    Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::{DataFusionError, Result, ScalarValue, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::super::SystemEnv;
use crate::error::{Condition, Report, undefined_function};
use crate::pgtype::{self, NUMERIC_DEFAULT, PgType, TIMESTAMPTZ_ZONE};
use crate::text::datetime::{self, Clock, INFINITE_DATE, INFINITY};
use crate::text::interval::{Interval, age, interval};
use crate::text::zone::Zone;
use crate::text::{TextError, format, json, uuid};

/// What a function does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Date,
    Timestamp,
    Timestamptz,
    Time,
    Interval,
    ToChar,
    ToDate,
    ToTimestamp,
    ToNumber,
    Age,
    Timezone,
    Bytea,
    Uuid,
    Json,
    Jsonb,
}

impl Kind {
    /// The type of the result, where the engine has only text for it.
    fn held_as_text(self) -> Option<&'static PgType> {
        match self {
            Self::Uuid => pgtype::by_name("uuid"),
            Self::Json => pgtype::by_name("json"),
            Self::Jsonb => pgtype::by_name("jsonb"),
            _ => None,
        }
    }
}

const FUNCTIONS: &[(&str, Kind)] = &[
    ("date_in", Kind::Date),
    ("timestamp_in", Kind::Timestamp),
    ("timestamptz_in", Kind::Timestamptz),
    ("time_in", Kind::Time),
    ("interval_in", Kind::Interval),
    ("to_char", Kind::ToChar),
    ("to_date", Kind::ToDate),
    ("to_timestamp", Kind::ToTimestamp),
    ("to_number", Kind::ToNumber),
    ("age", Kind::Age),
    ("timezone", Kind::Timezone),
    ("bytea_in", Kind::Bytea),
    ("uuid_in", Kind::Uuid),
    ("json_in", Kind::Json),
    ("jsonb_in", Kind::Jsonb),
];

/// The functions of this module, for the session that `env` describes.
pub(super) fn functions(env: &Arc<SystemEnv>) -> impl Iterator<Item = Arc<ScalarUDF>> {
    FUNCTIONS.iter().map(|(name, kind)| {
        Arc::new(ScalarUDF::new_from_impl(Format {
            name,
            kind: *kind,
            env: Arc::clone(env),
            signature: Signature::user_defined(Volatility::Stable),
        }))
    })
}

/// The name of the function that reads a text as a value of a type; `None` where the engine's cast does.
pub(crate) fn input(to: &DataType) -> Option<&'static str> {
    match to {
        DataType::Date32 => Some("date_in"),
        DataType::Timestamp(_, None) => Some("timestamp_in"),
        DataType::Timestamp(_, Some(_)) => Some("timestamptz_in"),
        DataType::Time64(_) => Some("time_in"),
        DataType::Interval(_) => Some("interval_in"),
        DataType::Binary => Some("bytea_in"),
        _ => None,
    }
}

/// The name of the function that makes of a text `from` a value of a type that is held as text too, but not any text;
/// `None` where `from` is such a value already, or no text.
pub(crate) fn checked_input(to: &Field, from: &Field) -> Option<&'static str> {
    let (to, of) = (pgtype::of_field(to).name, pgtype::of_field(from).name);
    if !is_text(from.data_type()) {
        return None;
    }
    match to {
        "uuid" if of != "uuid" => Some("uuid_in"),
        "json" if !matches!(of, "json" | "jsonb") => Some("json_in"),
        "jsonb" if !matches!(of, "json" | "jsonb") => Some("jsonb_in"),
        _ => None,
    }
}

/// The texts as values of `to`, where that type is held as text.
///
/// # Errors
/// 22P02 for a text that is none.
pub(crate) fn checked_texts(texts: &StringArray, to: &Field) -> Result<ArrayRef> {
    Ok(match pgtype::of_field(to).name {
        "uuid" => {
            let values = texts
                .iter()
                .map(|text| -> Result<Option<String>, TextError> {
                    let Some(text) = text else { return Ok(None) };
                    Ok(Some(uuid::text(uuid::parse(text)?)))
                });
            Arc::new(values.collect::<Result<StringArray, TextError>>()?)
        }
        "json" | "jsonb" => {
            texts.iter().flatten().try_for_each(json::check)?;
            Arc::new(texts.clone())
        }
        _ => Arc::new(texts.clone()),
    })
}

struct Format {
    name: &'static str,
    kind: Kind,
    env: Arc<SystemEnv>,
    signature: Signature,
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.env, &other.env)
    }
}

impl Eq for Format {}

impl Hash for Format {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

const TIMESTAMP: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);
const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

fn timestamptz() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(TIMESTAMPTZ_ZONE.into()))
}

fn is_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null
    )
}

/// The type in which `to_char` takes a value.
fn written_as(data_type: &DataType) -> Option<DataType> {
    Some(match data_type {
        DataType::Date32 | DataType::Timestamp(_, None) => TIMESTAMP,
        DataType::Timestamp(_, Some(_)) => timestamptz(),
        DataType::Interval(_) | DataType::Time64(_) => INTERVAL,
        DataType::Int64 => DataType::Int64,
        integer if integer.is_integer() => DataType::Int64,
        DataType::Decimal128(precision, scale) => DataType::Decimal128(*precision, *scale),
        float if float.is_floating() => DataType::Float64,
        DataType::Null => DataType::Int64,
        _ => return None,
    })
}

impl ScalarUDFImpl for Format {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let text = DataType::Utf8;
        let types = match (self.kind, given) {
            (Kind::ToChar, [value, template]) if is_text(template) => {
                written_as(value).map(|value| vec![value, text])
            }
            (Kind::ToDate | Kind::ToNumber, [value, template])
                if is_text(value) && is_text(template) =>
            {
                Some(vec![text.clone(), text])
            }
            (Kind::ToTimestamp, [value, template]) if is_text(value) && is_text(template) => {
                Some(vec![text.clone(), text])
            }
            (Kind::ToTimestamp, [seconds]) if seconds.is_numeric() || is_text(seconds) => {
                Some(vec![DataType::Float64])
            }
            (Kind::Timezone, [zone, DataType::Timestamp(_, None)]) if is_text(zone) => {
                Some(vec![text, TIMESTAMP])
            }
            (Kind::Timezone, [zone, DataType::Timestamp(_, Some(_)) | DataType::Date32])
                if is_text(zone) =>
            {
                Some(vec![text, timestamptz()])
            }
            (Kind::Bytea | Kind::Uuid | Kind::Json | Kind::Jsonb, [value]) if is_text(value) => {
                Some(vec![text])
            }
            (Kind::Age, [one]) if is_moment(one) => Some(vec![TIMESTAMP]),
            (Kind::Age, [to, from]) if is_moment(to) && is_moment(from) => {
                Some(vec![TIMESTAMP, TIMESTAMP])
            }
            (
                Kind::Date | Kind::Timestamp | Kind::Timestamptz | Kind::Time | Kind::Interval,
                [value],
            ) if is_text(value) => Some(vec![text]),
            _ => None,
        };
        types.ok_or_else(|| undefined_function(self.name, given).into())
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        Ok(match self.kind {
            Kind::Date | Kind::ToDate => DataType::Date32,
            Kind::Timestamp => TIMESTAMP,
            Kind::Timestamptz | Kind::ToTimestamp => timestamptz(),
            Kind::Time => DataType::Time64(TimeUnit::Microsecond),
            Kind::Interval | Kind::Age => INTERVAL,
            Kind::ToChar | Kind::Uuid | Kind::Json | Kind::Jsonb => DataType::Utf8,
            Kind::Bytea => DataType::Binary,
            // From the wall clock of the zone to the instant, or back.
            Kind::Timezone if given.get(1) == Some(&TIMESTAMP) => timestamptz(),
            Kind::Timezone => TIMESTAMP,
            Kind::ToNumber => {
                let (precision, scale) = NUMERIC_DEFAULT;
                DataType::Decimal128(precision, scale)
            }
        })
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let given: Vec<DataType> = arguments
            .arg_fields
            .iter()
            .map(|field| field.data_type().clone())
            .collect();
        let field = Arc::new(Field::new(self.name, self.return_type(&given)?, true));
        Ok(match self.kind.held_as_text() {
            Some(pg_type) => pgtype::marked(field, pg_type),
            None => field,
        })
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = arguments
            .args
            .iter()
            .all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { arguments.number_rows };
        let columns = arguments
            .args
            .iter()
            .map(|argument| argument.to_array(rows))
            .collect::<Result<Vec<ArrayRef>>>()?;
        let result = match columns.as_slice() {
            [one] => self.of_one(one)?,
            [first, second] => self.of_two(first, second)?,
            _ => return internal_err!("{} has one or two arguments", self.name),
        };
        Ok(if constant {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?)
        } else {
            ColumnarValue::Array(result)
        })
    }
}

fn is_moment(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Date32 | DataType::Timestamp(..)) || is_text(data_type)
}

impl Format {
    fn clock(&self) -> Clock {
        let zone = self.env.setting("timezone").and_then(Zone::named);
        Clock {
            now: self.env.transaction_started_at,
            zone: zone.unwrap_or_default(),
        }
    }

    fn of_one(&self, values: &ArrayRef) -> Result<ArrayRef> {
        let clock = self.clock();
        Ok(match self.kind {
            Kind::Date => Arc::new(read::<Date32Type>(values, |text| {
                finite_date(datetime::date(text, &clock)?)
            })?),
            Kind::Timestamp => Arc::new(read::<TimestampMicrosecondType>(values, |text| {
                finite(datetime::timestamp(text, &clock)?)
            })?),
            Kind::Timestamptz => Arc::new(
                read::<TimestampMicrosecondType>(values, |text| {
                    finite(datetime::timestamptz(text, &clock)?)
                })?
                .with_timezone(TIMESTAMPTZ_ZONE),
            ),
            Kind::Time => Arc::new(read::<Time64MicrosecondType>(values, |text| {
                Ok(datetime::time(text, &clock)?)
            })?),
            Kind::Interval => Arc::new(read::<IntervalMonthDayNanoType>(values, |text| {
                stored(interval(text)?)
            })?),
            Kind::ToTimestamp => {
                let seconds = values.as_primitive::<Float64Type>();
                let micros: PrimitiveArray<TimestampMicrosecondType> =
                    seconds.try_unary(micros_of_seconds)?;
                Arc::new(micros.with_timezone(TIMESTAMPTZ_ZONE))
            }
            Kind::Age => {
                let midnight = self.midnight(&clock);
                let from = values.as_primitive::<TimestampMicrosecondType>();
                let ages: PrimitiveArray<IntervalMonthDayNanoType> =
                    from.try_unary(|from| stored(age(midnight, from)))?;
                Arc::new(ages)
            }
            Kind::Bytea => {
                let mut bytes = BinaryBuilder::new();
                for text in values.as_string::<i32>() {
                    bytes.append_option(text.map(bytea).transpose()?);
                }
                Arc::new(bytes.finish())
            }
            Kind::Uuid | Kind::Json | Kind::Jsonb => {
                let to = Field::new(self.name, DataType::Utf8, true);
                let to = match self.kind.held_as_text() {
                    Some(pg_type) => pgtype::marked(Arc::new(to), pg_type),
                    None => Arc::new(to),
                };
                checked_texts(values.as_string::<i32>(), &to)?
            }
            Kind::ToChar | Kind::ToDate | Kind::ToNumber | Kind::Timezone => {
                return internal_err!("{} has two arguments", self.name);
            }
        })
    }

    /// Today's start on the session's clock.
    fn midnight(&self, clock: &Clock) -> i64 {
        const DAY: i64 = 86_400_000_000;
        let wall = clock.now + i64::from(clock.zone.offset_at(clock.now)) * 1_000_000;
        wall - wall.rem_euclid(DAY)
    }

    fn of_two(&self, first: &ArrayRef, second: &ArrayRef) -> Result<ArrayRef> {
        if self.kind == Kind::Age {
            let from = second.as_primitive::<TimestampMicrosecondType>();
            let to = first.as_primitive::<TimestampMicrosecondType>();
            let ages: PrimitiveArray<IntervalMonthDayNanoType> =
                arrow::compute::kernels::arity::try_binary(to, from, |to, from| {
                    stored(age(to, from))
                        .map_err(|error| arrow::error::ArrowError::ExternalError(Box::new(error)))
                })?;
            return Ok(Arc::new(ages));
        }
        if self.kind == Kind::Timezone {
            return in_zone(first.as_string::<i32>(), second);
        }
        let templates = second.as_string::<i32>();
        let clock = self.clock();
        Ok(match self.kind {
            Kind::ToChar => self.written(first, templates)?,
            Kind::ToDate => Arc::new(read_by::<Date32Type>(
                first,
                templates,
                |text, template| Ok(Some(format::to_date(text, template)?)),
            )?),
            Kind::ToTimestamp => Arc::new(
                read_by::<TimestampMicrosecondType>(first, templates, |text, template| {
                    Ok(Some(format::to_timestamp(text, template, clock.zone)?))
                })?
                .with_timezone(TIMESTAMPTZ_ZONE),
            ),
            Kind::ToNumber => {
                let (precision, scale) = NUMERIC_DEFAULT;
                let numbers = read_by::<Decimal128Type>(first, templates, |text, template| {
                    let Some(digits) = format::to_number(text, template)? else {
                        return Ok(None);
                    };
                    let number = arrow::compute::kernels::cast_utils::parse_decimal::<
                        Decimal128Type,
                    >(&digits, precision, scale)?;
                    Ok(Some(number))
                })?;
                Arc::new(numbers.with_precision_and_scale(precision, scale)?)
            }
            _ => return internal_err!("{} has one argument", self.name),
        })
    }

    /// `to_char`.
    fn written(&self, values: &ArrayRef, templates: &StringArray) -> Result<ArrayRef> {
        let zone = self.clock().zone;
        let write = |row: usize, template: &str| -> Result<Option<String>> {
            Ok(match values.data_type() {
                DataType::Timestamp(_, None) => format::timestamp_to_char(
                    values.as_primitive::<TimestampMicrosecondType>().value(row),
                    template,
                )?,
                DataType::Timestamp(_, Some(_)) => format::timestamptz_to_char(
                    values.as_primitive::<TimestampMicrosecondType>().value(row),
                    zone,
                    template,
                )?,
                DataType::Interval(_) => {
                    let value = values.as_primitive::<IntervalMonthDayNanoType>().value(row);
                    let interval = Interval {
                        months: value.months,
                        days: value.days,
                        micros: value.nanoseconds / 1_000,
                    };
                    format::interval_to_char(interval, template)?
                }
                DataType::Int64 => {
                    let number = values.as_primitive::<Int64Type>().value(row).to_string();
                    Some(format::numeric_to_char(&number, template)?)
                }
                DataType::Decimal128(_, scale) => {
                    let number = Decimal128Type::format_decimal(
                        values.as_primitive::<Decimal128Type>().value(row),
                        DECIMAL128_MAX_PRECISION,
                        *scale,
                    );
                    Some(format::numeric_to_char(&number, template)?)
                }
                DataType::Float64 => Some(format::float_to_char(
                    values.as_primitive::<Float64Type>().value(row),
                    template,
                )?),
                other => return internal_err!("to_char of {other}"),
            })
        };
        let mut texts = StringBuilder::new();
        for row in 0..values.len() {
            if values.is_null(row) || templates.is_null(row) {
                texts.append_null();
            } else {
                texts.append_option(write(row, templates.value(row))?);
            }
        }
        Ok(Arc::new(texts.finish()))
    }
}

/// `timezone(zone, moment)`: the instant at which clocks in the zone show a timestamp, or what they show at an instant.
fn in_zone(zones: &StringArray, moments: &ArrayRef) -> Result<ArrayRef> {
    let to_instant = moments.data_type() == &TIMESTAMP;
    let mut found = PrimitiveBuilder::<TimestampMicrosecondType>::with_capacity(moments.len());
    for (zone, moment) in zones
        .iter()
        .zip(moments.as_primitive::<TimestampMicrosecondType>())
    {
        let (Some(zone), Some(moment)) = (zone, moment) else {
            found.append_null();
            continue;
        };
        let zone = Zone::named(zone).ok_or_else(|| {
            Report::new(
                Condition::InvalidParameter,
                format!("time zone \"{zone}\" not recognized"),
            )
        })?;
        let shifted = if to_instant {
            moment.checked_sub(i64::from(zone.offset_of_wall(moment)) * 1_000_000)
        } else {
            moment.checked_add(i64::from(zone.offset_at(moment)) * 1_000_000)
        };
        found.append_value(
            shifted.ok_or_else(|| {
                Report::new(Condition::DatetimeOutOfRange, "timestamp out of range")
            })?,
        );
    }
    let found = found.finish();
    Ok(Arc::new(if to_instant {
        found.with_timezone(TIMESTAMPTZ_ZONE)
    } else {
        found
    }))
}

/// The bytes of PostgreSQL's two forms: `\x` and hexadecimal digits, or characters with `\\` and `\ooo`.
fn bytea(text: &str) -> Result<Vec<u8>> {
    let invalid = || {
        Report::new(
            Condition::InvalidText,
            "invalid input syntax for type bytea",
        )
    };
    if let Some(digits) = text.strip_prefix("\\x") {
        let digits: Vec<u8> = digits
            .chars()
            .filter(|character| !character.is_ascii_whitespace())
            .map(|character| {
                character
                    .to_digit(16)
                    .and_then(|digit| u8::try_from(digit).ok())
                    .ok_or_else(|| {
                        Report::new(
                            Condition::InvalidParameter,
                            format!("invalid hexadecimal digit: \"{character}\""),
                        )
                    })
            })
            .collect::<std::result::Result<_, _>>()?;
        let (pairs, []) = digits.as_chunks::<2>() else {
            return Err(Report::new(
                Condition::InvalidParameter,
                "invalid hexadecimal data: odd number of digits",
            )
            .into());
        };
        return Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [] => return Ok(bytes),
            [b'\\', b'\\', after @ ..] => {
                bytes.push(b'\\');
                after
            }
            [
                b'\\',
                high @ b'0'..=b'3',
                middle @ b'0'..=b'7',
                low @ b'0'..=b'7',
                after @ ..,
            ] => {
                bytes.push((high - b'0') << 6 | (middle - b'0') << 3 | (low - b'0'));
                after
            }
            [b'\\', ..] => return Err(invalid().into()),
            [byte, after @ ..] => {
                bytes.push(*byte);
                after
            }
        };
    }
}

/// Reads a column of texts.
fn read<T: ArrowPrimitiveType>(
    texts: &ArrayRef,
    read: impl Fn(&str) -> Result<T::Native>,
) -> Result<PrimitiveArray<T>> {
    let texts = cast(texts, &DataType::Utf8)?;
    let mut values = PrimitiveBuilder::<T>::with_capacity(texts.len());
    for text in texts.as_string::<i32>() {
        values.append_option(text.map(&read).transpose()?);
    }
    Ok(values.finish())
}

/// Reads a column of texts, each by its template.
fn read_by<T: ArrowPrimitiveType>(
    texts: &ArrayRef,
    templates: &StringArray,
    read: impl Fn(&str, &str) -> Result<Option<T::Native>>,
) -> Result<PrimitiveArray<T>> {
    let mut values = PrimitiveBuilder::<T>::with_capacity(texts.len());
    for (text, template) in texts.as_string::<i32>().iter().zip(templates) {
        values.append_option(match (text, template) {
            (Some(text), Some(template)) => read(text, template)?,
            _ => None,
        });
    }
    Ok(values.finish())
}

/// An interval as it is stored.
fn stored(interval: Interval) -> Result<IntervalMonthDayNano> {
    let nanoseconds = interval
        .micros
        .checked_mul(1_000)
        .ok_or_else(|| Report::new(Condition::DatetimeOutOfRange, "interval out of range"))?;
    Ok(IntervalMonthDayNano::new(
        interval.months,
        interval.days,
        nanoseconds,
    ))
}

fn finite(instant: i64) -> Result<i64> {
    if instant == INFINITY || instant == i64::MIN {
        return Err(Report::unsupported("an infinite timestamp").into());
    }
    Ok(instant)
}

fn finite_date(day: i32) -> Result<i32> {
    if day == INFINITE_DATE || day == i32::MIN {
        return Err(Report::unsupported("an infinite date").into());
    }
    Ok(day)
}

fn micros_of_seconds(seconds: f64) -> Result<i64> {
    let micros = (seconds * 1e6).round_ties_even();
    // Beyond this no timestamp is; within it the conversion is exact.
    const MICROS_MAX: f64 = 9.2e18;
    if micros.is_nan() || micros.abs() >= MICROS_MAX {
        return Err(Report::new(
            Condition::DatetimeOutOfRange,
            format!("timestamp out of range: \"{seconds}\""),
        )
        .into());
    }
    #[expect(clippy::cast_possible_truncation, reason = "it is within bounds")]
    Ok(micros as i64)
}

impl From<TextError> for DataFusionError {
    fn from(error: TextError) -> Self {
        DataFusionError::External(Box::new(error))
    }
}
