//! Input of dates, times and timestamps in everything that PostgreSQL accepts with `DateStyle` ISO, MDY.

pub(super) mod decode;

use super::calendar::{DAY_US, Fields, JULIAN_DAY_ZERO, days};
use super::zone::Zone;
use super::{TextError, TextErrorKind};
use decode::{Decoder, Value};

/// The timestamp `infinity`; `-infinity` is [`i64::MIN`].
pub const INFINITY: i64 = i64::MAX;
/// The date `infinity`; `-infinity` is [`i32::MIN`].
pub const INFINITE_DATE: i32 = i32::MAX;
/// The year after the last one of a date.
const DATE_END_YEAR: i64 = 5_874_898;

/// What `now`, `today` and times without a zone refer to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock {
    /// The start of the transaction, in microseconds since 1970 in UTC.
    pub now: i64,
    /// The session's time zone.
    pub zone: Zone,
}

impl Clock {
    /// What clocks in the session's zone show now, in microseconds since 1970.
    fn wall(&self) -> i64 {
        let offset = i64::from(self.zone.offset_at(self.now)) * 1_000_000;
        self.now.saturating_add(offset)
    }
}

/// A date, in days since 1970.
///
/// # Errors
/// 22007 for another syntax; 22008 for a field or the date out of range; 22009 and 22023 for zones that do not exist.
pub fn date(text: &str, clock: &Clock) -> Result<i32, TextError> {
    let value = Decoder::decode(text, clock, false).map_err(|fault| fault.error(text, "date"))?;
    let day = match value {
        Value::Infinity => return Ok(INFINITE_DATE),
        Value::NegativeInfinity => return Ok(i32::MIN),
        Value::Epoch => 0,
        Value::Fields(fields, _) => fields.days(),
    };
    date_in_range(day).ok_or_else(|| {
        TextError::new(
            TextErrorKind::DatetimeRange,
            format!("date out of range: \"{text}\""),
        )
    })
}

/// A timestamp without time zone, in microseconds since 1970 on the wall clock; a zone in the text has no effect.
///
/// # Errors
/// As [`date`].
pub fn timestamp(text: &str, clock: &Clock) -> Result<i64, TextError> {
    let value =
        Decoder::decode(text, clock, false).map_err(|fault| fault.error(text, "timestamp"))?;
    instant(&value, false).ok_or_else(|| timestamp_range(text))
}

/// A timestamp with time zone, in microseconds since 1970 in UTC; without a zone in the text it is in the session's.
///
/// # Errors
/// As [`date`].
pub fn timestamptz(text: &str, clock: &Clock) -> Result<i64, TextError> {
    let value = Decoder::decode(text, clock, false)
        .map_err(|fault| fault.error(text, "timestamp with time zone"))?;
    instant(&value, true).ok_or_else(|| timestamp_range(text))
}

/// A time of day, in microseconds since midnight, up to and including 24:00; a zone in the text has no effect.
///
/// # Errors
/// As [`date`].
pub fn time(text: &str, clock: &Clock) -> Result<i64, TextError> {
    let value = Decoder::decode(text, clock, true).map_err(|fault| fault.error(text, "time"))?;
    match value {
        Value::Fields(fields, _) => fields.time(),
        _ => None,
    }
    .ok_or_else(|| decode::syntax().error(text, "time"))
}

/// A day as a date, where dates reach it.
pub(super) fn date_in_range(day: i64) -> Option<i32> {
    (JULIAN_DAY_ZERO..days(DATE_END_YEAR, 1, 1))
        .contains(&day)
        .then(|| i32::try_from(day).ok())?
}

/// An instant, where timestamps reach it: from 4714-11-24 BC to the end of the integer.
pub(super) fn timestamp_in_range(fields: &Fields, east: i64) -> Option<i64> {
    let first = JULIAN_DAY_ZERO * DAY_US;
    let wall = fields.instant()?;
    let instant = wall.checked_sub(east * 1_000_000)?;
    (instant >= first && instant < INFINITY).then_some(instant)
}

fn instant(value: &Value, zoned: bool) -> Option<i64> {
    match value {
        Value::Infinity => Some(INFINITY),
        Value::NegativeInfinity => Some(i64::MIN),
        Value::Epoch => Some(0),
        Value::Fields(fields, east) => {
            timestamp_in_range(fields, if zoned { i64::from(*east) } else { 0 })
        }
    }
}

fn timestamp_range(text: &str) -> TextError {
    TextError::new(
        TextErrorKind::DatetimeRange,
        format!("timestamp out of range: \"{text}\""),
    )
}

#[cfg(test)]
mod tests;
