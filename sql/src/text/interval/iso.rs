//! Intervals of ISO 8601: with designators (`P1DT2H`) and in the alternative format (`P0001-02-03T04:05:06`).

use super::{Sum, Unit};
use crate::text::calendar::{DAY_US, HOUR_US, MINUTE_US, SECOND_US};
use crate::text::tokens::Fault;

/// Numbers beyond this are out of range.
const MAX_NUMBER: f64 = 1.0e15;

struct Number {
    whole: i64,
    fraction: f64,
    /// Digits before the point.
    width: usize,
}

/// A number with an optional fraction and exponent, and the rest.
fn number(text: &str) -> Result<(Number, &str), Fault> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let from = |at: usize| text.get(at..).unwrap_or_default();
    let sign = usize::from(text.starts_with('-'));
    let width = digits(from(sign));
    let mut end = sign + width;
    let mut count = width;
    if from(end).starts_with('.') {
        let places = digits(from(end + 1));
        count += places;
        end += 1 + places;
    }
    if count == 0 {
        return Err(Fault::Syntax);
    }
    if from(end).starts_with(['e', 'E']) {
        let sign = usize::from(from(end + 1).starts_with(['+', '-']));
        let places = digits(from(end + 1 + sign));
        if places > 0 {
            end += 1 + sign + places;
        }
    }
    let (number, rest) = text.split_at_checked(end).ok_or(Fault::Syntax)?;
    let value: f64 = number.parse().map_err(|_| Fault::Syntax)?;
    if value.is_infinite() {
        return Err(Fault::Syntax);
    }
    if !(-MAX_NUMBER..=MAX_NUMBER).contains(&value) {
        return Err(Fault::Range);
    }
    let number = Number {
        whole: value.trunc() as i64,
        fraction: value.fract(),
        width,
    };
    Ok((number, rest))
}

/// The interval of `text`.
pub(super) fn parse(text: &str) -> Result<Sum, Fault> {
    let mut rest = text.strip_prefix('P').ok_or(Fault::Syntax)?;
    if rest.is_empty() {
        return Err(Fault::Syntax);
    }
    let mut sum = Sum::default();
    let mut date = true;
    let mut first = true;
    while !rest.is_empty() {
        if let Some(time) = rest.strip_prefix('T') {
            (date, first, rest) = (false, true, time);
            continue;
        }
        let (value, after) = number(rest)?;
        let mut characters = after.chars();
        let designator = characters.next();
        let unit = match (designator, date) {
            (Some('Y'), true) => Some(Unit::Years(1)),
            (Some('M'), true) => Some(Unit::Month),
            (Some('W'), true) => Some(Unit::Week),
            (Some('D'), true) => Some(Unit::Day),
            (Some('H'), false) => Some(Unit::Hour),
            (Some('M'), false) => Some(Unit::Minute),
            (Some('S'), false) => Some(Unit::Second),
            _ => None,
        };
        if let Some(unit) = unit {
            sum.add(value.whole, value.fraction, unit)?;
            (first, rest) = (false, characters.as_str());
            continue;
        }
        let separator = match designator {
            None => None,
            Some('T' | '-') if date => designator,
            Some(':') if !date => designator,
            Some(_) => return Err(Fault::Syntax),
        };
        if !first {
            return Err(Fault::Syntax);
        }
        let basic = separator != Some('-') && separator != Some(':');
        rest = if date {
            if basic && value.width == 8 {
                sum.add(value.whole / 10_000, 0.0, Unit::Years(1))?;
                sum.add(value.whole / 100 % 100, 0.0, Unit::Month)?;
                sum.add(value.whole % 100, 0.0, Unit::Day)?;
                sum.add_micros(0, value.fraction, DAY_US)?;
                after
            } else {
                extended_date(&mut sum, &value, after)?
            }
        } else if basic && value.width == 6 {
            sum.add_micros(value.whole / 10_000, 0.0, HOUR_US)?;
            sum.add_micros(value.whole / 100 % 100, 0.0, MINUTE_US)?;
            sum.add_micros(value.whole % 100, 0.0, SECOND_US)?;
            // The fraction counts microseconds here, as in PostgreSQL.
            sum.add_micros(0, value.fraction, 1)?;
            return Ok(sum);
        } else {
            return extended_time(sum, &value, after);
        };
    }
    Ok(sum)
}

/// `years[-months[-days]]`, up to the end or a `T`.
fn extended_date<'a>(sum: &mut Sum, years: &Number, after: &'a str) -> Result<&'a str, Fault> {
    sum.add(years.whole, years.fraction, Unit::Years(1))?;
    let mut rest = after;
    for unit in [Unit::Month, Unit::Day] {
        if rest.is_empty() || rest.starts_with('T') {
            return Ok(rest);
        }
        let (value, after) = number(rest.strip_prefix('-').ok_or(Fault::Syntax)?)?;
        sum.add(value.whole, value.fraction, unit)?;
        rest = after;
    }
    if rest.is_empty() || rest.starts_with('T') {
        Ok(rest)
    } else {
        Err(Fault::Syntax)
    }
}

/// `hours[:minutes[:seconds]]`, up to the end.
fn extended_time(mut sum: Sum, hours: &Number, after: &str) -> Result<Sum, Fault> {
    sum.add_micros(hours.whole, hours.fraction, HOUR_US)?;
    let mut rest = after;
    for unit in [MINUTE_US, SECOND_US] {
        if rest.is_empty() {
            return Ok(sum);
        }
        let (value, after) = number(rest.strip_prefix(':').ok_or(Fault::Syntax)?)?;
        sum.add_micros(value.whole, value.fraction, unit)?;
        rest = after;
    }
    if rest.is_empty() {
        Ok(sum)
    } else {
        Err(Fault::Syntax)
    }
}
