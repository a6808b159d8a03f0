//! `to_char` of timestamps and intervals.

use super::template::{Node, Pattern, parse};
use super::{DAYS, MONTHS, ROMAN_MONTHS, ordinal};
use crate::text::calendar::{
    Fields, JULIAN_DAY_ZERO, day_of_week, displayed_year, iso_week, iso_year_start,
};
use crate::text::datetime::INFINITY;
use crate::text::interval::Interval;
use crate::text::zone::Zone;
use crate::text::{TextError, TextErrorKind};

/// `to_char(timestamp, text)`: a wall clock in microseconds since 1970. `None`, which is NULL, for the infinities and
/// for an empty template.
///
/// # Errors
/// None at present; templates of timestamps have no wrong patterns.
pub fn timestamp_to_char(wall: i64, template: &str) -> Result<Option<String>, TextError> {
    if template.is_empty() || wall == INFINITY || wall == i64::MIN {
        return Ok(None);
    }
    write(&Source::instant(wall, 0, String::new()), template).map(Some)
}

/// `to_char(timestamptz, text)`: an instant in microseconds since 1970 in UTC, shown in a zone. `None` as in
/// [`timestamp_to_char`].
///
/// # Errors
/// As [`timestamp_to_char`].
pub fn timestamptz_to_char(
    instant: i64,
    zone: Zone,
    template: &str,
) -> Result<Option<String>, TextError> {
    if template.is_empty() || instant == INFINITY || instant == i64::MIN {
        return Ok(None);
    }
    let east = i64::from(zone.offset_at(instant));
    let wall = instant.saturating_add(east * 1_000_000);
    let source = Source::instant(wall, east, zone.abbreviation_at(instant));
    write(&source, template).map(Some)
}

/// `to_char(interval, text)`. `None`, which is NULL, for an empty template.
///
/// # Errors
/// 22007 for patterns that need a date of the calendar.
pub fn interval_to_char(interval: Interval, template: &str) -> Result<Option<String>, TextError> {
    if template.is_empty() {
        return Ok(None);
    }
    let mut fields = Fields {
        year: i64::from(interval.months / 12),
        month: i64::from(interval.months % 12),
        day: i64::from(interval.days),
        ..Fields::default()
    };
    fields.set_time(interval.micros);
    let day_of_year = i64::from(interval.months) * 30 + fields.day;
    let source = Source {
        fields,
        day_of_year,
        interval: true,
        east: 0,
        zone: String::new(),
    };
    write(&source, template).map(Some)
}

/// What the patterns show.
struct Source {
    fields: Fields,
    day_of_year: i64,
    interval: bool,
    /// Seconds east of UTC.
    east: i64,
    /// The zone's abbreviation.
    zone: String,
}

impl Source {
    fn instant(wall: i64, east: i64, zone: String) -> Self {
        let fields = Fields::of_instant(wall);
        Self {
            fields,
            day_of_year: fields.day_of_year(),
            interval: false,
            east,
            zone,
        }
    }

    fn year(&self, year: i64) -> i64 {
        if self.interval {
            year
        } else {
            displayed_year(year)
        }
    }
}

fn write(source: &Source, template: &str) -> Result<String, TextError> {
    let mut text = String::new();
    for node in parse(template) {
        match node {
            Node::Pattern(pattern) => text.push_str(&source.pattern(pattern)?),
            Node::Separator(c) | Node::Space(c) | Node::Character(c) => text.push(c),
        }
    }
    Ok(text)
}

/// A word in the case of its pattern: `MONTH`, `Month` or `month`.
fn cased(word: &str, pattern: &str) -> String {
    let mut letters = pattern.bytes();
    let upper = |letter: Option<u8>| letter.is_some_and(|letter| letter.is_ascii_uppercase());
    match (upper(letters.next()), upper(letters.next())) {
        (true, true) => word.to_uppercase(),
        (false, _) => word.to_lowercase(),
        _ => word.to_owned(),
    }
}

impl Source {
    fn pattern(&self, pattern: Pattern) -> Result<String, TextError> {
        let Pattern {
            name,
            fill,
            ordinal: ending,
        } = pattern;
        let f = &self.fields;
        // Digits with zeros before them; the sign takes a place of its own.
        let number = |value: i64, width: usize| {
            let width = match (fill, value < 0) {
                (true, _) => 0,
                (false, false) => width,
                (false, true) => width + 1,
            };
            format!("{value:0width$}")
        };
        let word = |word: &str, width: usize| {
            let width = if fill { 0 } else { width };
            format!("{:width$}", cased(word, name))
        };
        let lower = name.to_ascii_lowercase();
        if self.interval
            && matches!(
                lower.as_str(),
                "tz" | "tzh"
                    | "tzm"
                    | "of"
                    | "a.d."
                    | "b.c."
                    | "ad"
                    | "bc"
                    | "month"
                    | "mon"
                    | "day"
                    | "dy"
                    | "d"
                    | "id"
            )
        {
            return Err(TextError::new(
                TextErrorKind::InvalidDatetime,
                "invalid format specification for an interval value",
            )
            .hint("Intervals are not tied to specific calendar dates."));
        }
        let day = f.days();
        let iso_year = || iso_week(day).0;
        let text = match lower.as_str() {
            "a.m." | "p.m." | "am" | "pm" => {
                let half = if f.hour % 24 >= 12 { "p.m." } else { "a.m." };
                let half = if name.contains('.') {
                    half.to_owned()
                } else {
                    half.replace('.', "")
                };
                return Ok(if name.starts_with(|c: char| c.is_ascii_uppercase()) {
                    half.to_uppercase()
                } else {
                    half
                });
            }
            "a.d." | "b.c." | "ad" | "bc" => {
                let era = if f.year <= 0 { "b.c." } else { "a.d." };
                let era = if name.contains('.') {
                    era.to_owned()
                } else {
                    era.replace('.', "")
                };
                return Ok(if name.starts_with(|c: char| c.is_ascii_uppercase()) {
                    era.to_uppercase()
                } else {
                    era
                });
            }
            "hh" | "hh12" => {
                let hour = if f.hour % 12 == 0 { 12 } else { f.hour % 12 };
                // The sign's place is that of the whole hour.
                let width = if fill { 0 } else { 2 + usize::from(f.hour < 0) };
                format!("{hour:0width$}")
            }
            "hh24" => number(f.hour, 2),
            "mi" => number(f.minute, 2),
            "ss" => number(f.second, 2),
            "ff1" => format!("{:01}", f.micros / 100_000),
            "ff2" => format!("{:02}", f.micros / 10_000),
            "ff3" | "ms" => format!("{:03}", f.micros / 1_000),
            "ff4" => format!("{:04}", f.micros / 100),
            "ff5" => format!("{:05}", f.micros / 10),
            "ff6" | "us" => format!("{:06}", f.micros),
            "ssss" | "sssss" => (f.hour * 3_600 + f.minute * 60 + f.second).to_string(),
            "tz" => return Ok(cased(&self.zone.to_uppercase(), name)),
            "tzh" | "of" | "tzm" => return Ok(self.offset(&lower, fill)),
            "month" => {
                return Ok(month_name(f.month).map_or_else(String::new, |month| word(month, 9)));
            }
            "mon" => {
                let month = month_name(f.month).and_then(|month| month.get(..3));
                return Ok(month.map_or_else(String::new, |month| word(month, 0)));
            }
            "day" | "dy" => {
                let index = usize::try_from(day_of_week(day)).unwrap_or_default();
                let full = DAYS.get(index).copied().unwrap_or_default();
                return Ok(if lower == "day" {
                    word(full, 9)
                } else {
                    word(full.get(..3).unwrap_or_default(), 0)
                });
            }
            "mm" => number(f.month, 2),
            "ddd" => plain(self.day_of_year, if fill { 0 } else { 3 }),
            "iddd" => plain(
                day - iso_year_start(iso_year()) + 1,
                if fill { 0 } else { 3 },
            ),
            "dd" => plain(f.day, if fill { 0 } else { 2 }),
            "d" => (day_of_week(day) + 1).to_string(),
            "id" => ((day_of_week(day) + 6) % 7 + 1).to_string(),
            "ww" => plain((self.day_of_year - 1) / 7 + 1, if fill { 0 } else { 2 }),
            "iw" => plain(iso_week(day).1, if fill { 0 } else { 2 }),
            "q" if f.month == 0 => return Ok(String::new()),
            "q" => ((f.month - 1) / 3 + 1).to_string(),
            "cc" => {
                let century = if self.interval {
                    f.year / 100
                } else if f.year > 0 {
                    (f.year - 1) / 100 + 1
                } else {
                    f.year / 100 - 1
                };
                number(century, 2)
            }
            "y,yyy" => {
                let year = self.year(f.year);
                format!("{},{}", year / 1_000, plain(year % 1_000, 3))
            }
            "yyyy" | "yyy" | "yy" | "y" | "iyyy" | "iyy" | "iy" | "i" => {
                let year = self.year(if lower.starts_with('i') {
                    iso_year()
                } else {
                    f.year
                });
                let year_sign = self.year(f.year) < 0;
                let digits = lower.len();
                let shown = match digits {
                    4 => year,
                    3 => year % 1_000,
                    2 => year % 100,
                    _ => year % 10,
                };
                let width = if digits == 1 {
                    1
                } else {
                    digits + usize::from(year_sign)
                };
                plain(shown, if fill { 0 } else { width })
            }
            "rm" => {
                return Ok(self
                    .roman_month()
                    .map_or_else(String::new, |month| word(month, 4)));
            }
            "w" => ((f.day - 1) / 7 + 1).to_string(),
            "j" => (day - JULIAN_DAY_ZERO).to_string(),
            _ => return Ok(String::new()),
        };
        Ok(match ending {
            Some(true) => format!("{text}{}", ordinal(&text).to_uppercase()),
            Some(false) => format!("{text}{}", ordinal(&text)),
            None => text,
        })
    }

    fn offset(&self, pattern: &str, fill: bool) -> String {
        let sign = if self.east < 0 { '-' } else { '+' };
        let seconds = self.east.abs();
        let (hours, minutes) = (seconds / 3_600, seconds % 3_600 / 60);
        match pattern {
            "tzh" => format!("{sign}{hours:02}"),
            "tzm" => format!("{minutes:02}"),
            _ => {
                let width = if fill { 0 } else { 2 };
                let hours = format!("{sign}{hours:0width$}");
                if seconds % 3_600 == 0 {
                    hours
                } else {
                    format!("{hours}:{minutes:02}")
                }
            }
        }
    }

    /// The month in Roman numerals; months before zero count back from December.
    fn roman_month(&self) -> Option<&'static str> {
        let Fields { year, month, .. } = self.fields;
        let index = match month {
            0 if year == 0 => return None,
            0 if year > 0 => 11,
            0 => 0,
            1.. => month - 1,
            _ => 12 + month,
        };
        ROMAN_MONTHS.get(usize::try_from(index).ok()?).copied()
    }
}

/// Zeros and digits, the sign counted in the width.
fn plain(value: i64, width: usize) -> String {
    format!("{value:0width$}")
}

fn month_name(month: i64) -> Option<&'static str> {
    MONTHS.get(usize::try_from(month - 1).ok()?).copied()
}
