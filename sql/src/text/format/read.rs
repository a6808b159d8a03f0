//! `to_timestamp` and `to_date` with a template.

use super::template::{Node, Pattern, parse};
use super::{DAYS, MONTHS, ROMAN_MONTHS};
use crate::text::calendar::{
    DAY_US, Fields, JULIAN_DAY_ZERO, days, is_leap, iso_year_start, month_length,
};
use crate::text::datetime::{date_in_range, timestamp_in_range};
use crate::text::tokens::{Fault, is_space};
use crate::text::zone::Zone;
use crate::text::{TextError, TextErrorKind, leading_integer};

/// `to_timestamp(text, text)`, in microseconds since 1970 in UTC; without an offset in the text it is in `zone`.
///
/// # Errors
/// 22007 for a text that does not match the template, 22008 for fields out of range, 0A000 for patterns that only
/// `to_char` has.
pub fn to_timestamp(text: &str, template: &str, zone: Zone) -> Result<i64, TextError> {
    let (fields, east, precision) = read(text, template)?;
    let range = || TextError::new(TextErrorKind::DatetimeRange, "timestamp out of range");
    let wall = fields.instant().ok_or_else(range)?;
    let east = east.unwrap_or_else(|| i64::from(zone.offset_of_wall(wall)));
    let instant = timestamp_in_range(&fields, east).ok_or_else(range)?;
    // Halves are rounded away from 2000, where PostgreSQL's timestamps begin.
    let unit = places(6, precision.unwrap_or(6));
    let origin = days(2_000, 1, 1) * DAY_US;
    let half = (instant - origin).signum() * (unit / 2);
    ((instant - origin + half) / unit * unit)
        .checked_add(origin)
        .ok_or_else(range)
}

/// `to_date(text, text)`, in days since 1970.
///
/// # Errors
/// As [`to_timestamp`].
pub fn to_date(text: &str, template: &str) -> Result<i32, TextError> {
    let (fields, ..) = read(text, template)?;
    date_in_range(fields.days()).ok_or_else(|| {
        TextError::new(
            TextErrorKind::DatetimeRange,
            format!("date out of range: \"{text}\""),
        )
    })
}

/// What the patterns have read; zero is not given, as in PostgreSQL.
#[derive(Debug, Default)]
struct Parts {
    /// Whether the patterns are of the ISO week calendar.
    iso: Option<bool>,
    hour: i64,
    afternoon: i64,
    minute: i64,
    second: i64,
    second_of_day: i64,
    day_of_week: i64,
    day: i64,
    day_of_year: i64,
    month: i64,
    millis: i64,
    year: i64,
    /// Digits that the pattern of the year has.
    year_digits: usize,
    before_christ: i64,
    week: i64,
    week_of_month: i64,
    century: i64,
    julian: i64,
    micros: i64,
    twelve_hours: bool,
    zone_sign: i64,
    zone_hour: i64,
    zone_minute: i64,
    /// Digits of the second that count.
    precision: Option<usize>,
}

fn invalid(message: String, detail: &str) -> TextError {
    TextError::new(TextErrorKind::InvalidDatetime, message).detail(detail)
}

/// Sets a part, once.
fn set(part: &mut i64, value: i64, name: &str) -> Result<(), TextError> {
    if *part != 0 && *part != value {
        return Err(invalid(
            format!("conflicting values for \"{name}\" field in formatting string"),
            "This value contradicts a previous setting for the same field type.",
        ));
    }
    *part = value;
    Ok(())
}

/// The text that is left.
struct Input<'a> {
    whole: &'a str,
    at: usize,
}

impl<'a> Input<'a> {
    fn rest(&self) -> &'a str {
        self.whole.get(self.at..).unwrap_or_default()
    }

    fn skip_character(&mut self) {
        self.at += self.rest().chars().next().map_or(0, char::len_utf8);
    }

    fn skip_spaces(&mut self) -> i64 {
        let count = self
            .rest()
            .bytes()
            .take_while(|byte| is_space(*byte))
            .count();
        self.at += count;
        i64::try_from(count).unwrap_or(i64::MAX)
    }

    /// An integer of `width` characters, or of as many as there are where nothing that could be a digit follows in the
    /// template. Returns it and the length that was read.
    fn integer(
        &mut self,
        width: usize,
        greedy: bool,
        name: &str,
    ) -> Result<(i64, usize), TextError> {
        let start = self.at;
        self.skip_spaces();
        let rest = self.rest();
        let fixed = || "If your source string is not fixed-width, try using the \"FM\" modifier.";
        let copy = rest.get(..width).unwrap_or(rest);
        let source = if greedy {
            rest
        } else {
            if rest.len() < width {
                return Err(invalid(
                    format!("source string too short for \"{name}\" formatting field"),
                    &format!(
                        "Field requires {width} characters, but only {} remain.",
                        rest.len()
                    ),
                )
                .hint(fixed()));
            }
            copy
        };
        let leading = source.len()
            - source
                .trim_start_matches(|c: char| c.is_ascii_whitespace())
                .len();
        let parsed = leading_integer(source.get(leading..).unwrap_or_default());
        let used = match parsed {
            Some((_, after)) => source.len() - after.len(),
            None => source.len(),
        };
        let used = if used == leading { 0 } else { used };
        if !greedy && used > 0 && used < width {
            return Err(invalid(
                format!("invalid value \"{copy}\" for \"{name}\""),
                &format!("Field requires {width} characters, but only {used} could be parsed."),
            )
            .hint(fixed()));
        }
        if used == 0 {
            self.at = start;
            return Err(invalid(
                format!("invalid value \"{copy}\" for \"{name}\""),
                "Value must be an integer.",
            ));
        }
        self.at += used;
        let value = parsed
            .map(|(value, _)| value)
            .filter(|value| i32::try_from(*value).is_ok());
        let Some(value) = value else {
            return Err(TextError::new(
                TextErrorKind::DatetimeRange,
                format!("value for \"{name}\" in source string is out of range"),
            )
            .detail(format!(
                "Value must be in the range {} to {}.",
                i32::MIN,
                i32::MAX
            )));
        };
        Ok((value, self.at - start))
    }

    /// The index of the word that the text begins with, in any case.
    fn word<'w>(
        &mut self,
        words: impl IntoIterator<Item = &'w str>,
        name: &str,
    ) -> Result<i64, TextError> {
        let rest = self.rest().as_bytes();
        for (word, index) in words.into_iter().zip(0..) {
            let begins = rest
                .get(..word.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()));
            if begins {
                self.at += word.len();
                return Ok(index);
            }
        }
        let word = self.rest().split(|c: char| c.is_ascii_whitespace()).next();
        Err(invalid(
            format!(
                "invalid value \"{}\" for \"{name}\"",
                word.unwrap_or_default()
            ),
            "The given value did not match any of the allowed values for this field.",
        ))
    }
}

fn is_digits(name: &str) -> bool {
    !matches!(
        name.to_ascii_lowercase().as_str(),
        "a.d."
            | "a.m."
            | "ad"
            | "am"
            | "b.c."
            | "bc"
            | "p.m."
            | "pm"
            | "day"
            | "dy"
            | "fx"
            | "month"
            | "mon"
            | "of"
            | "rm"
            | "tz"
            | "tzh"
    )
}

/// The date and time, seconds east of UTC where the text gave an offset, and the digits of the second that count.
fn read(text: &str, template: &str) -> Result<(Fields, Option<i64>, Option<usize>), TextError> {
    let nodes = parse(template);
    let mut parts = Parts::default();
    let mut input = Input { whole: text, at: 0 };
    let mut exact = false;
    let mut skipped = 0;
    for (index, node) in nodes.iter().enumerate() {
        if input.rest().is_empty() {
            break;
        }
        let pattern = match node {
            Node::Pattern(pattern) => Some(pattern),
            _ => None,
        };
        let begins_exact = pattern.is_some_and(|p| p.name.eq_ignore_ascii_case("fx"));
        if !exact && !begins_exact && (pattern.is_some() || index == 0) {
            skipped += input.skip_spaces();
        }
        let Some(pattern) = pattern else {
            let separator = matches!(node, Node::Separator(_) | Node::Space(_));
            if exact {
                input.skip_character();
            } else if separator {
                skipped -= 1;
                let next = input.rest().bytes().next().unwrap_or(0);
                if is_space(next) || next.is_ascii_punctuation() {
                    input.at += 1;
                    skipped += 1;
                }
            } else if skipped > 0 {
                skipped -= 1;
            } else {
                input.skip_character();
            }
            continue;
        };
        if begins_exact {
            exact = true;
        } else {
            let greedy = pattern.fill
                || pattern.ordinal.is_some()
                || match nodes.get(index + 1) {
                    None => true,
                    Some(Node::Pattern(next)) => !is_digits(next.name),
                    Some(Node::Separator(c) | Node::Space(c) | Node::Character(c)) => {
                        !c.is_ascii_digit()
                    }
                };
            parts.read(pattern, &mut input, greedy, skipped)?;
        }
        if !exact {
            skipped = input.skip_spaces();
        }
    }
    let precision = parts.precision;
    let (fields, east) = parts.fields(text)?;
    Ok((fields, east, precision))
}

impl Parts {
    fn read(
        &mut self,
        pattern: &Pattern,
        input: &mut Input<'_>,
        greedy: bool,
        skipped: i64,
    ) -> Result<(), TextError> {
        let upper = pattern.name.to_ascii_uppercase();
        self.set_calendar(&upper)?;
        let shown = pattern.name;
        let integer = |input: &mut Input<'_>, width: usize| input.integer(width, greedy, shown);
        match upper.as_str() {
            "A.M." | "P.M." | "AM" | "PM" => {
                let words = if upper.contains('.') {
                    ["a.m.", "p.m."]
                } else {
                    ["am", "pm"]
                };
                set(&mut self.afternoon, input.word(words, shown)?, shown)?;
                self.twelve_hours = true;
                return Ok(());
            }
            "A.D." | "B.C." | "AD" | "BC" => {
                let words = if upper.contains('.') {
                    ["a.d.", "b.c."]
                } else {
                    ["ad", "bc"]
                };
                return set(&mut self.before_christ, input.word(words, shown)?, shown);
            }
            "MONTH" => return set(&mut self.month, input.word(MONTHS, shown)? + 1, shown),
            "MON" => {
                let months = MONTHS.iter().filter_map(|month| month.get(..3));
                return set(&mut self.month, input.word(months, shown)? + 1, shown);
            }
            "RM" => {
                let months = ROMAN_MONTHS.iter().rev().copied();
                return set(&mut self.month, 12 - input.word(months, shown)?, shown);
            }
            "DAY" => {
                set(&mut self.day_of_week, input.word(DAYS, shown)?, shown)?;
                self.day_of_week += 1;
                return Ok(());
            }
            "DY" => {
                let days = DAYS.iter().filter_map(|day| day.get(..3));
                set(&mut self.day_of_week, input.word(days, shown)?, shown)?;
                self.day_of_week += 1;
                return Ok(());
            }
            "TZ" | "OF" => {
                return Err(TextError::new(
                    TextErrorKind::Unsupported,
                    format!("formatting field \"{shown}\" is only supported in to_char"),
                ));
            }
            "TZH" => {
                let before = input
                    .whole
                    .as_bytes()
                    .get(input.at.wrapping_sub(1))
                    .copied();
                self.zone_sign = match input.rest().bytes().next() {
                    Some(sign @ (b'+' | b'-' | b' ')) => {
                        input.at += 1;
                        if sign == b'-' { -1 } else { 1 }
                    }
                    _ if skipped > 0 && before == Some(b'-') => -1,
                    _ => 1,
                };
                let (hour, _) = integer(input, 2)?;
                return set(&mut self.zone_hour, hour, shown);
            }
            "TZM" => {
                if self.zone_sign == 0 {
                    self.zone_sign = 1;
                }
                let (minute, _) = integer(input, 2)?;
                return set(&mut self.zone_minute, minute, shown);
            }
            "HH" | "HH12" => {
                set(&mut self.hour, integer(input, 2)?.0, shown)?;
                self.twelve_hours = true;
            }
            "HH24" => set(&mut self.hour, integer(input, 2)?.0, shown)?,
            "MI" => set(&mut self.minute, integer(input, 2)?.0, shown)?,
            "SS" => set(&mut self.second, integer(input, 2)?.0, shown)?,
            "SSSS" | "SSSSS" => {
                set(
                    &mut self.second_of_day,
                    integer(input, upper.len())?.0,
                    shown,
                )?;
            }
            "MS" => {
                let (value, length) = integer(input, 3)?;
                set(&mut self.millis, value, shown)?;
                self.millis *= places(3, length);
            }
            "US" | "FF1" | "FF2" | "FF3" | "FF4" | "FF5" | "FF6" => {
                let precision = upper.strip_prefix("FF").and_then(|d| d.parse().ok());
                self.precision = precision.or(self.precision);
                let width = precision.unwrap_or(6);
                let (value, length) = integer(input, width)?;
                set(&mut self.micros, value, shown)?;
                self.micros *= places(6, length);
            }
            "MM" => set(&mut self.month, integer(input, 2)?.0, shown)?,
            "DDD" | "IDDD" => set(&mut self.day_of_year, integer(input, 3)?.0, shown)?,
            "DD" => set(&mut self.day, integer(input, 2)?.0, shown)?,
            "D" => set(&mut self.day_of_week, integer(input, 1)?.0, shown)?,
            "ID" => {
                set(&mut self.day_of_week, integer(input, 1)?.0, shown)?;
                self.day_of_week = if self.day_of_week >= 7 {
                    1
                } else {
                    self.day_of_week + 1
                };
            }
            "WW" | "IW" => set(&mut self.week, integer(input, 2)?.0, shown)?,
            "Q" => {
                integer(input, 1)?;
            }
            "CC" => set(&mut self.century, integer(input, 2)?.0, shown)?,
            "Y,YYY" => self.year_with_comma(input, shown)?,
            "YYYY" | "IYYY" | "YYY" | "IYY" | "YY" | "IY" | "Y" | "I" => {
                let (value, length) = integer(input, upper.len())?;
                set(&mut self.year, value, shown)?;
                if upper.len() < 4 && length < 4 {
                    self.year = near_2020(self.year);
                }
                self.year_digits = upper.len();
            }
            "W" => set(&mut self.week_of_month, integer(input, 1)?.0, shown)?,
            "J" => set(&mut self.julian, integer(input, 1)?.0, shown)?,
            _ => {}
        }
        if pattern.ordinal.is_some() && upper != "Q" {
            input.skip_character();
            input.skip_character();
        }
        Ok(())
    }

    fn set_calendar(&mut self, name: &str) -> Result<(), TextError> {
        let iso = match name {
            "ID" | "IDDD" | "IW" | "IYYY" | "IYY" | "IY" | "I" => true,
            "D" | "DDD" | "DD" | "MM" | "MON" | "MONTH" | "RM" | "W" | "WW" | "Y,YYY" | "YYYY"
            | "YYY" | "YY" | "Y" => false,
            _ => return Ok(()),
        };
        if self.iso.is_some_and(|set| set != iso) {
            return Err(TextError::new(
                TextErrorKind::InvalidDatetime,
                "invalid combination of date conventions",
            )
            .hint("Do not mix Gregorian and ISO week date conventions in a formatting template."));
        }
        self.iso = Some(iso);
        Ok(())
    }

    fn year_with_comma(&mut self, input: &mut Input<'_>, name: &str) -> Result<(), TextError> {
        let error = || {
            TextError::new(
                TextErrorKind::InvalidDatetime,
                format!("invalid input string for \"{name}\""),
            )
        };
        let rest = input.rest();
        let (thousands, years) = rest.split_once(',').ok_or_else(error)?;
        let digits = years.bytes().take(3).take_while(u8::is_ascii_digit).count();
        let years: i64 = years
            .get(..digits)
            .and_then(|y| y.parse().ok())
            .ok_or_else(error)?;
        let millennia: i32 = thousands.trim_start().parse().map_err(|_| error())?;
        set(&mut self.year, years + i64::from(millennia) * 1_000, name)?;
        self.year_digits = 4;
        input.at += thousands.len() + 1 + digits;
        Ok(())
    }

    /// The date and time, and seconds east of UTC where the text gave an offset.
    fn fields(mut self, text: &str) -> Result<(Fields, Option<i64>), TextError> {
        let range = || Fault::Range.error(text, "timestamp");
        let mut f = Fields {
            month: 1,
            day: 1,
            ..Fields::default()
        };
        let given = |value: i64, default: i64| if value == 0 { default } else { value };
        f.hour = given(self.hour, self.second_of_day / 3_600);
        f.minute = given(self.minute, self.second_of_day % 3_600 / 60);
        f.second = given(self.second, self.second_of_day % 60);
        if self.twelve_hours {
            if !(1..=12).contains(&f.hour) {
                return Err(TextError::new(
                    TextErrorKind::InvalidDatetime,
                    format!("hour \"{}\" is invalid for the 12-hour clock", f.hour),
                )
                .hint("Use the 24-hour clock, or give an hour between 1 and 12."));
            }
            f.hour = f.hour % 12 + if self.afternoon != 0 { 12 } else { 0 };
        }
        f.micros = self.millis * 1_000 + self.micros;
        let dated = self.date(&mut f)?;
        let day_fits = (1..=12).contains(&f.month)
            && (1..=31).contains(&f.day)
            && (dated != (true, true, true) || f.day <= month_length(f.year, f.month));
        if dated != (false, false, false) && !day_fits {
            return Err(range());
        }
        if !(0..24).contains(&f.hour)
            || !(0..60).contains(&f.minute)
            || !(0..60).contains(&f.second)
            || !(0..1_000_000).contains(&f.micros)
        {
            return Err(range());
        }
        if self.zone_sign == 0 {
            return Ok((f, None));
        }
        if !(0..=15).contains(&self.zone_hour) || !(0..60).contains(&self.zone_minute) {
            return Err(Fault::Displacement.error(text, "timestamp"));
        }
        let east = self.zone_sign * (self.zone_hour * 3_600 + self.zone_minute * 60);
        Ok((f, Some(east)))
    }

    /// Sets the date, and says which of year, month and day were given.
    fn date(&mut self, f: &mut Fields) -> Result<(bool, bool, bool), TextError> {
        let (mut year_given, mut month_given, mut day_given) = (false, false, false);
        if self.century != 0 && self.before_christ != 0 && (self.year == 0 || self.year_digits <= 2)
        {
            self.century = -self.century;
        }
        let before = i64::from(self.century < 0);
        if self.year != 0 {
            if self.century != 0 && self.year_digits <= 2 {
                let of_century = self.year % 100;
                f.year = match (of_century, self.century) {
                    (0, century) => century * 100 + before,
                    (year, 0..) => year + (self.century - 1) * 100,
                    (year, _) => (self.century + 1) * 100 - year + 1,
                };
            } else {
                f.year = if self.before_christ != 0 {
                    -self.year
                } else {
                    self.year
                };
                if f.year < 0 {
                    f.year += 1;
                }
            }
            year_given = true;
        } else if self.century != 0 {
            f.year = (self.century - 1 + before) * 100 + 1;
            year_given = true;
        }
        let whole = |f: &mut Fields, day: i64| {
            f.set_day(day);
            (true, true, true)
        };
        let iso = self.iso == Some(true);
        if self.julian != 0 {
            (year_given, month_given, day_given) = whole(f, self.julian + JULIAN_DAY_ZERO);
        }
        if self.week != 0 {
            if iso {
                // Sunday, day 1, ends the ISO week.
                let day = match self.day_of_week {
                    0 => 0,
                    1 => 6,
                    day => day - 2,
                };
                let monday = iso_year_start(f.year) + (self.week - 1) * 7;
                (year_given, month_given, day_given) = whole(f, monday + day);
            } else {
                self.day_of_year = (self.week - 1) * 7 + 1;
            }
        }
        if self.week_of_month != 0 {
            self.day = (self.week_of_month - 1) * 7 + 1;
        }
        if self.day != 0 {
            f.day = self.day;
            day_given = true;
        }
        if self.month != 0 {
            f.month = self.month;
            month_given = true;
        }
        if self.day_of_year != 0 && (f.month <= 1 || f.day <= 1) {
            if f.year == 0 && self.before_christ == 0 {
                return Err(TextError::new(
                    TextErrorKind::InvalidDatetime,
                    "cannot calculate day of year without year information",
                ));
            }
            if iso {
                return Ok(whole(f, iso_year_start(f.year) + self.day_of_year - 1));
            }
            let length = 365 + i64::from(is_leap(f.year));
            let (month, day) = if self.day_of_year > length {
                (13, self.day_of_year - length)
            } else {
                let date = Fields::of_day(days(f.year, 1, self.day_of_year.max(1)));
                (date.month, date.day.min(self.day_of_year))
            };
            if f.month <= 1 {
                f.month = month;
            }
            if f.day <= 1 {
                f.day = day;
            }
            (month_given, day_given) = (true, true);
        }
        Ok((year_given, month_given, day_given))
    }
}

/// Ten to the places that `length` characters leave of `width`.
fn places(width: usize, length: usize) -> i64 {
    let missing = width.saturating_sub(length);
    (0..missing).fold(1, |power, _| power * 10)
}

/// A year of fewer than four digits as the one nearest to 2020.
fn near_2020(year: i64) -> i64 {
    match year {
        ..70 => year + 2_000,
        70..100 => year + 1_900,
        100..520 => year + 2_000,
        520..1_000 => year + 1_000,
        _ => year,
    }
}
