//! Input of intervals, and the symbolic difference of timestamps.

mod iso;

use super::calendar::{DAY_US, Fields, HOUR_US, MINUTE_US, SECOND_US, month_length};
use super::datetime::decode::is_keyword;
use super::tokens::{self, Fault, Shape, integer, keyword};
use super::{TextError, TextErrorKind, fraction, leading_integer};

/// Days that a fraction of a month is counted in.
const DAYS_PER_MONTH: i64 = 30;

/// An interval, as PostgreSQL keeps it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Interval {
    /// Months, years included.
    pub months: i32,
    /// Days, weeks included.
    pub days: i32,
    /// Microseconds.
    pub micros: i64,
}

/// The interval of a text: units in words (`1 day 2 hours ago`), a time (`1 12:30:45`), years and months (`1-2`), or
/// ISO 8601 (`P1Y2M3DT4H5M6S`). Fractions of a unit go to the smaller ones.
///
/// # Errors
/// 22007 for another syntax; 22015 for a field out of range; 22008 for more months than an interval has.
pub fn interval(text: &str) -> Result<Interval, TextError> {
    let sum = match worded(text) {
        Err(Fault::Syntax) => iso::parse(text),
        other => other,
    };
    match sum {
        Ok(sum) => sum
            .interval()
            .ok_or_else(|| TextError::new(TextErrorKind::DatetimeRange, "interval out of range")),
        Err(Fault::Range) => Err(TextError::new(
            TextErrorKind::IntervalRange,
            format!("interval field value out of range: \"{text}\""),
        )),
        Err(fault) => Err(fault.error(text, "interval")),
    }
}

/// Years, months, days and time from `from` to `to`, both in microseconds since 1970; the days of a month that is not
/// whole are those of the earlier timestamp's month.
pub fn age(to: i64, from: i64) -> Interval {
    let negative = to < from;
    let (late, early) = if negative { (from, to) } else { (to, from) };
    let (a, b) = (Fields::of_instant(late), Fields::of_instant(early));
    let mut micros = late.rem_euclid(DAY_US) - early.rem_euclid(DAY_US);
    let mut days = a.day - b.day;
    let mut months = (a.year - b.year) * 12 + a.month - b.month;
    if micros < 0 {
        micros += DAY_US;
        days -= 1;
    }
    while days < 0 {
        days += month_length(b.year, b.month);
        months -= 1;
    }
    let sign = if negative { -1 } else { 1 };
    // The years that timestamps span have few months.
    Interval {
        months: i32::try_from(sign * months).unwrap_or_default(),
        days: i32::try_from(sign * days).unwrap_or_default(),
        micros: sign * micros,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Years(i64),
    Other,
}

/// The sum of the fields so far.
#[derive(Debug, Default)]
struct Sum {
    years: i32,
    months: i32,
    days: i32,
    micros: i64,
}

fn add32(to: &mut i32, value: i64, unit: i64) -> Result<(), Fault> {
    let value = i64::from(i32::try_from(value).map_err(|_| Fault::Range)?);
    let added = i32::try_from(value * unit).map_err(|_| Fault::Range)?;
    *to = to.checked_add(added).ok_or(Fault::Range)?;
    Ok(())
}

impl Sum {
    fn add_years(&mut self, whole: i64, fraction: f64, years: i64) -> Result<(), Fault> {
        add32(&mut self.years, whole, years)?;
        let months = (fraction * years as f64 * 12.0).round_ties_even() as i64;
        add32(&mut self.months, months, 1)
    }

    fn add_months(&mut self, whole: i64, fraction: f64) -> Result<(), Fault> {
        add32(&mut self.months, whole, 1)?;
        self.add_days(0, fraction, DAYS_PER_MONTH)
    }

    /// Adds units of several days; the fraction gives whole days and then a time.
    fn add_days(&mut self, whole: i64, fraction: f64, days: i64) -> Result<(), Fault> {
        add32(&mut self.days, whole, days)?;
        let fraction = fraction * days as f64;
        add32(&mut self.days, fraction as i64, 1)?;
        self.add_micros(0, fraction.fract(), DAY_US)
    }

    fn add_micros(&mut self, whole: i64, fraction: f64, unit: i64) -> Result<(), Fault> {
        let exact = fraction * unit as f64;
        let mut part = exact as i64;
        let rest = exact - part as f64;
        if rest > 0.5 {
            part += 1;
        } else if rest < -0.5 {
            part -= 1;
        }
        self.micros = whole
            .checked_mul(unit)
            .and_then(|micros| self.micros.checked_add(micros))
            .and_then(|micros| micros.checked_add(part))
            .ok_or(Fault::Range)?;
        Ok(())
    }

    fn add(&mut self, whole: i64, fraction: f64, unit: Unit) -> Result<(), Fault> {
        match unit {
            Unit::Microsecond => self.add_micros(whole, fraction, 1),
            Unit::Millisecond => self.add_micros(whole, fraction, 1_000),
            Unit::Second => self.add_micros(whole, fraction, SECOND_US),
            Unit::Minute => self.add_micros(whole, fraction, MINUTE_US),
            Unit::Hour => self.add_micros(whole, fraction, HOUR_US),
            Unit::Day => self.add_days(whole, fraction, 1),
            Unit::Week => self.add_days(whole, fraction, 7),
            Unit::Month => self.add_months(whole, fraction),
            Unit::Years(years) => self.add_years(whole, fraction, years),
            Unit::Other => Err(Fault::Syntax),
        }
    }

    fn negated(self) -> Result<Self, Fault> {
        let negate = |value: i32| value.checked_neg().ok_or(Fault::Range);
        Ok(Self {
            years: negate(self.years)?,
            months: negate(self.months)?,
            days: negate(self.days)?,
            micros: self.micros.checked_neg().ok_or(Fault::Range)?,
        })
    }

    fn interval(&self) -> Option<Interval> {
        let months = i64::from(self.years) * 12 + i64::from(self.months);
        Some(Interval {
            months: i32::try_from(months).ok()?,
            days: self.days,
            micros: self.micros,
        })
    }
}

/// Bits of the units that have been given, each at most once; seconds are one with their fractions.
fn bits(unit: Unit, fraction: f64) -> u32 {
    match unit {
        Unit::Microsecond => 1,
        Unit::Millisecond => 1 << 1,
        Unit::Second if fraction != 0.0 => 0b111,
        Unit::Second => 1 << 2,
        Unit::Minute => 1 << 3,
        Unit::Hour => 1 << 4,
        Unit::Day => 1 << 5,
        Unit::Week => 1 << 6,
        Unit::Month => 1 << 7,
        Unit::Years(1) => 1 << 8,
        Unit::Years(10) => 1 << 9,
        Unit::Years(100) => 1 << 10,
        _ => 1 << 11,
    }
}

/// Bits of a time of day.
const TIME: u32 = 0b1_1111;

/// Numbers and their units, read from the end so that a unit is known before its number.
fn worded(text: &str) -> Result<Sum, Fault> {
    let fields = tokens::fields(text, is_keyword)?;
    let mut sum = Sum::default();
    let mut known = 0;
    let mut unit = None;
    let mut ago = false;
    for field in fields.iter().rev() {
        let text = field.text.as_str();
        let given = match field.shape {
            Shape::Word | Shape::Special => {
                match word(keyword(text)).ok_or(Fault::Syntax)? {
                    Word::Unit(named) => unit = Some(named),
                    Word::Ago => {
                        ago = true;
                        unit = Some(Unit::Second);
                    }
                    Word::Ignored => {}
                }
                continue;
            }
            Shape::Time => {
                sum.micros = time(text)?;
                unit = Some(Unit::Day);
                TIME
            }
            Shape::Signed | Shape::Number | Shape::Date => {
                let signed_time = text
                    .get(1..)
                    .filter(|rest| field.shape == Shape::Signed && rest.contains(':'))
                    .and_then(|rest| time(rest).ok());
                if let Some(micros) = signed_time {
                    sum.micros = if text.starts_with('-') {
                        -micros
                    } else {
                        micros
                    };
                    unit = Some(Unit::Day);
                    TIME
                } else {
                    let (whole, fraction, given) = number(text, unit.unwrap_or(Unit::Second))?;
                    sum.add(whole, fraction, given)?;
                    // Further numbers without a unit: years and months stand for months, hours come after days.
                    unit = Some(if given == Unit::Hour {
                        Unit::Day
                    } else {
                        given
                    });
                    bits(given, fraction)
                }
            }
        };
        if known & given != 0 {
            return Err(Fault::Syntax);
        }
        known |= given;
    }
    if known == 0 {
        return Err(Fault::Syntax);
    }
    if ago { sum.negated() } else { Ok(sum) }
}

/// A number of units; `years-months` is a number of months.
fn number(text: &str, unit: Unit) -> Result<(i64, f64, Unit), Fault> {
    let (whole, rest) = leading_integer(text).ok_or(Fault::Range)?;
    let negative = text.starts_with('-');
    if let Some(months) = rest.strip_prefix('-') {
        let (months, rest) = integer(months)?;
        if !(0..12).contains(&months) {
            return Err(Fault::Range);
        }
        if !rest.is_empty() {
            return Err(Fault::Syntax);
        }
        let total = whole
            .checked_mul(12)
            .and_then(|total| total.checked_add(if negative { -months } else { months }))
            .ok_or(Fault::Range)?;
        return Ok((total, 0.0, Unit::Month));
    }
    let part = if rest.is_empty() {
        0.0
    } else {
        fraction(rest).ok_or(Fault::Syntax)?
    };
    Ok((whole, if negative { -part } else { part }, unit))
}

/// Microseconds of a time without a sign.
fn time(text: &str) -> Result<i64, Fault> {
    let (hour, minute, second, micros) = tokens::time_of_day(text)?;
    let fields = Fields {
        hour,
        minute,
        second,
        micros,
        ..Fields::default()
    };
    fields.time().ok_or(Fault::Range)
}

enum Word {
    Ignored,
    Ago,
    Unit(Unit),
}

fn word(text: &str) -> Option<Word> {
    Some(Word::Unit(match text {
        "@" => return Some(Word::Ignored),
        "ago" => return Some(Word::Ago),
        "us" | "usec" | "usecs" | "usecond" | "useconds" | "microsecon" => Unit::Microsecond,
        "ms" | "msec" | "msecs" | "msecond" | "mseconds" | "millisecon" => Unit::Millisecond,
        "s" | "sec" | "secs" | "second" | "seconds" => Unit::Second,
        "m" | "min" | "mins" | "minute" | "minutes" => Unit::Minute,
        "h" | "hr" | "hrs" | "hour" | "hours" => Unit::Hour,
        "d" | "day" | "days" => Unit::Day,
        "w" | "week" | "weeks" => Unit::Week,
        "mon" | "mons" | "month" | "months" => Unit::Month,
        "y" | "yr" | "yrs" | "year" | "years" => Unit::Years(1),
        "dec" | "decs" | "decade" | "decades" => Unit::Years(10),
        "c" | "cent" | "century" | "centuries" => Unit::Years(100),
        "mil" | "mils" | "millennia" | "millennium" => Unit::Years(1_000),
        "qtr" | "quarter" | "timezone" | "timezone_h" | "timezone_m" => Unit::Other,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests;
