//! From fields to a date and time.
//!
//! Each field sets some parts of the value, which depend on the parts that are known already; a part that comes twice is
//! an error. The rules are those of PostgreSQL's date/time input, with months before days.

use super::Clock;
use crate::text::calendar::{DAY_US, Fields, HOUR_US, JULIAN_DAY_ZERO, days, month_length};
use crate::text::tokens::{self, Fault, Field, Shape, integer, keyword, micros};
use crate::text::zone::{Zone, abbreviation};

/// Greatest hour of an offset from UTC.
const MAX_ZONE_HOUR: i64 = 15;

/// Sets of parts that are known.
type Parts = u32;
const YEAR: Parts = 1;
const MONTH: Parts = 1 << 1;
const DAY: Parts = 1 << 2;
const DATE: Parts = YEAR | MONTH | DAY;
const HOUR: Parts = 1 << 3;
const MINUTE: Parts = 1 << 4;
const SECOND: Parts = 1 << 5;
const FRACTION: Parts = 1 << 6;
const SECONDS: Parts = SECOND | FRACTION;
const TIME: Parts = HOUR | MINUTE | SECONDS;
const ZONE: Parts = 1 << 7;
const DAY_OF_YEAR: Parts = 1 << 8;
const DAY_OF_WEEK: Parts = 1 << 9;
const HALF_DAY: Parts = 1 << 10;
const ERA: Parts = 1 << 11;
const SUMMER: Parts = 1 << 12;
const SPECIAL: Parts = 1 << 13;

/// What a text says.
#[derive(Debug, Clone, Copy)]
pub enum Value {
    /// `infinity`.
    Infinity,
    /// `-infinity`.
    NegativeInfinity,
    /// `epoch`.
    Epoch,
    /// A wall clock and its seconds east of UTC.
    Fields(Fields, i32),
}

/// A word that says what the number after it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    Julian,
    Time,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Ignored,
    Infinity,
    NegativeInfinity,
    Epoch,
    Now,
    Today(i64),
    AllBalls,
    Month(i64),
    DayOfWeek,
    Afternoon(bool),
    BeforeChrist(bool),
    SummerTime,
    Label(Label),
    TimeFollows,
    Unknown,
}

#[derive(Debug, Clone, Copy)]
enum ZoneGiven {
    /// Seconds east of UTC.
    Offset(i64),
    Named(Zone),
}

/// The fault of a text of another syntax.
pub fn syntax() -> Fault {
    Fault::Syntax
}

pub struct Decoder<'a> {
    clock: &'a Clock,
    fields: Vec<Field>,
    time_only: bool,
    known: Parts,
    value: Fields,
    day_of_year: i64,
    julian: bool,
    text_month: bool,
    two_digits: bool,
    before_christ: bool,
    afternoon: Option<bool>,
    zone: Option<ZoneGiven>,
    summer_time: bool,
    label: Option<Label>,
    special: Option<Value>,
}

impl<'a> Decoder<'a> {
    /// The value of `text`, as a time of day only or with a date.
    pub fn decode(text: &str, clock: &'a Clock, time_only: bool) -> Result<Value, Fault> {
        let fields = tokens::fields(text, is_keyword)?;
        let mut decoder = Self {
            clock,
            fields,
            time_only,
            known: 0,
            value: Fields::default(),
            day_of_year: 0,
            julian: false,
            text_month: false,
            two_digits: false,
            before_christ: false,
            afternoon: None,
            zone: None,
            summer_time: false,
            label: None,
            special: None,
        };
        for index in 0..decoder.fields.len() {
            let Some(Field { shape, text }) = decoder.fields.get(index).cloned() else {
                break;
            };
            let parts = match shape {
                Shape::Date => decoder.date_field(index, &text)?,
                Shape::Time => decoder.time_field(&text)?,
                Shape::Signed => decoder.offset(&text)?,
                Shape::Number => decoder.number_field(index, &text)?,
                Shape::Word | Shape::Special => decoder.word_field(index, &text)?,
            };
            decoder.add(parts)?;
        }
        decoder.finish()
    }

    fn add(&mut self, parts: Parts) -> Result<(), Fault> {
        if parts & self.known != 0 {
            return Err(Fault::Syntax);
        }
        self.known |= parts;
        Ok(())
    }

    /// Parts that numbers are read in view of: a time of day has no room for a date.
    fn context(&self) -> Parts {
        if self.time_only {
            self.known | DATE
        } else {
            self.known
        }
    }

    fn date_field(&mut self, index: usize, text: &str) -> Result<Parts, Fault> {
        if self.label == Some(Label::Julian) {
            let (julian, zone) = integer(text)?;
            self.value.set_day(julian + JULIAN_DAY_ZERO);
            self.julian = true;
            self.offset(zone)?;
            self.label = None;
            return Ok(DATE | TIME | ZONE);
        }
        let is_date = if self.time_only {
            index == 0
                && self.fields.len() >= 2
                && (self.fields.last().is_some_and(|f| f.shape == Shape::Date)
                    || self.fields.get(1).is_some_and(|f| f.shape == Shape::Time))
        } else {
            self.label.is_none() && self.known & (MONTH | DAY) != MONTH | DAY
        };
        if is_date {
            return self.date(text);
        }
        // A time and its offset run together, or the name of a zone.
        if !text.starts_with(|c: char| c.is_ascii_digit()) && self.label.is_none() {
            let zone = Zone::named(text).ok_or_else(|| Fault::Zone(text.to_owned()))?;
            self.zone = Some(ZoneGiven::Named(zone));
            return Ok(ZONE);
        }
        if self.label.is_some_and(|label| label != Label::Time) {
            return Err(Fault::Syntax);
        }
        self.label = None;
        if self.known & TIME == TIME {
            return Err(Fault::Syntax);
        }
        let at = text.find('-').ok_or(Fault::Syntax)?;
        let (time, zone) = text.split_at_checked(at).ok_or(Fault::Syntax)?;
        self.offset(zone)?;
        Ok(self.run_together(time, self.context())? | ZONE)
    }

    fn time_field(&mut self, text: &str) -> Result<Parts, Fault> {
        if self.label.take().is_some_and(|label| label != Label::Time) {
            return Err(Fault::Syntax);
        }
        let (hour, minute, second, fraction) = tokens::time_of_day(text)?;
        self.set_time(hour, minute, second, fraction);
        if !self.time_only && self.time_overflows() {
            return Err(Fault::Range);
        }
        Ok(TIME)
    }

    /// `+hh`, `+hhmm` or `+hh:mm[:ss]`.
    fn offset(&mut self, text: &str) -> Result<Parts, Fault> {
        let displacement = |_| Fault::Displacement;
        let digits = text.strip_prefix(['+', '-']).ok_or(Fault::Syntax)?;
        let (mut hour, mut rest) = integer(digits).map_err(displacement)?;
        let (mut minute, mut second) = (0, 0);
        if let Some(minutes) = rest.strip_prefix(':') {
            (minute, rest) = integer(minutes).map_err(displacement)?;
            if let Some(seconds) = rest.strip_prefix(':') {
                (second, rest) = integer(seconds).map_err(displacement)?;
            }
        } else if rest.is_empty() && text.len() > 3 {
            (hour, minute) = (hour / 100, hour % 100);
        }
        if !(0..=MAX_ZONE_HOUR).contains(&hour)
            || !(0..60).contains(&minute)
            || !(0..60).contains(&second)
        {
            return Err(Fault::Displacement);
        }
        if !rest.is_empty() {
            return Err(Fault::Syntax);
        }
        let seconds = hour * 3_600 + minute * 60 + second;
        let seconds = if text.starts_with('-') {
            -seconds
        } else {
            seconds
        };
        self.zone = Some(ZoneGiven::Offset(seconds));
        Ok(ZONE)
    }

    fn number_field(&mut self, index: usize, text: &str) -> Result<Parts, Fault> {
        if let Some(label) = self.label.take() {
            return self.labelled(label, text);
        }
        let context = self.context();
        let point = text.find('.');
        if self.time_only {
            return match point {
                Some(_)
                    if index == 0
                        && self.fields.len() >= 2
                        && self.fields.last().is_some_and(|f| f.shape == Shape::Date) =>
                {
                    self.date(text)
                }
                Some(at) if at > 2 => self.run_together(text, context),
                Some(_) => Err(Fault::Syntax),
                None if text.len() > 4 => self.run_together(text, context),
                None => self.number(text, context),
            };
        }
        match point {
            Some(_) if context & DATE == 0 => self.date(text),
            Some(at) if at > 2 => self.run_together(text, context),
            None if text.len() >= 6 && (context & DATE == 0 || context & TIME == 0) => {
                self.run_together(text, context)
            }
            _ => self.number(text, context),
        }
    }

    fn labelled(&mut self, label: Label, text: &str) -> Result<Parts, Fault> {
        let (number, rest) = integer(text)?;
        let fraction_allowed = matches!(label, Label::Julian | Label::Time | Label::Second);
        if !(rest.is_empty() || fraction_allowed && rest.starts_with('.')) {
            return Err(Fault::Syntax);
        }
        self.special = None;
        Ok(match label {
            Label::Year => {
                self.value.year = number;
                YEAR
            }
            Label::Month if self.known & MONTH != 0 && self.known & HOUR != 0 => {
                self.value.minute = number;
                MINUTE
            }
            Label::Month => {
                self.value.month = number;
                MONTH
            }
            Label::Day => {
                self.value.day = number;
                DAY
            }
            Label::Hour => {
                self.value.hour = number;
                HOUR
            }
            Label::Minute => {
                self.value.minute = number;
                MINUTE
            }
            Label::Second => {
                self.value.second = number;
                if rest.is_empty() {
                    SECOND
                } else {
                    self.value.micros = micros(rest)?;
                    SECONDS
                }
            }
            Label::Julian => {
                self.value.set_day(number + JULIAN_DAY_ZERO);
                self.julian = true;
                if rest.is_empty() {
                    return Ok(DATE);
                }
                let fraction = crate::text::fraction(rest).ok_or(Fault::Syntax)?;
                self.value.set_time((fraction * DAY_US as f64) as i64);
                DATE | TIME
            }
            Label::Time => {
                let parts = self.run_together(text, self.known | DATE)?;
                if parts != TIME {
                    return Err(Fault::Syntax);
                }
                parts
            }
            Label::Other => return Err(Fault::Syntax),
        })
    }

    fn word_field(&mut self, index: usize, text: &str) -> Result<Parts, Fault> {
        if let Some(seconds) = abbreviation(keyword(text)) {
            self.zone = Some(ZoneGiven::Offset(i64::from(seconds)));
            return Ok(ZONE);
        }
        let word = word(keyword(text));
        if self.time_only
            && matches!(
                word,
                Word::Infinity
                    | Word::NegativeInfinity
                    | Word::Epoch
                    | Word::Today(_)
                    | Word::Month(_)
                    | Word::DayOfWeek
            )
        {
            return Err(Fault::Syntax);
        }
        Ok(match word {
            Word::Ignored => 0,
            Word::Infinity => self.whole(Value::Infinity),
            Word::NegativeInfinity => self.whole(Value::NegativeInfinity),
            Word::Epoch => self.whole(Value::Epoch),
            Word::Now => {
                self.special = None;
                let wall = self.clock.wall();
                let now = Fields::of_instant(wall);
                if self.time_only {
                    self.set_time(now.hour, now.minute, now.second, now.micros);
                    return Ok(TIME);
                }
                self.value = now;
                let east = i64::from(self.clock.zone.offset_at(self.clock.now));
                self.zone = Some(ZoneGiven::Offset(east));
                DATE | TIME | ZONE
            }
            Word::Today(later) => {
                self.special = None;
                let today = self.clock.wall().div_euclid(DAY_US);
                self.value.set_day(today + later);
                DATE
            }
            Word::AllBalls => {
                self.special = None;
                self.set_time(0, 0, 0, 0);
                self.zone = Some(ZoneGiven::Offset(0));
                TIME | ZONE
            }
            Word::Month(month) => {
                let mut parts = MONTH;
                if self.known & (MONTH | DAY) == MONTH
                    && !self.text_month
                    && (1..=31).contains(&self.value.month)
                {
                    // The number before the month's name was the day.
                    self.value.day = self.value.month;
                    parts = DAY;
                }
                self.text_month = true;
                self.value.month = month;
                parts
            }
            Word::DayOfWeek => DAY_OF_WEEK,
            Word::Afternoon(afternoon) => {
                self.afternoon = Some(afternoon);
                HALF_DAY
            }
            Word::BeforeChrist(before) => {
                self.before_christ = before;
                ERA
            }
            Word::SummerTime => {
                self.summer_time = true;
                SUMMER
            }
            Word::Label(label) => {
                self.label = Some(label);
                0
            }
            Word::TimeFollows => {
                let next = self.fields.get(index + 1).map(|field| field.shape);
                if !self.time_only && self.known & DATE != DATE
                    || !matches!(next, Some(Shape::Number | Shape::Time | Shape::Date))
                {
                    return Err(Fault::Syntax);
                }
                self.label = Some(Label::Time);
                0
            }
            Word::Unknown => {
                let zone = Zone::named(text).ok_or(Fault::Syntax)?;
                self.zone = Some(ZoneGiven::Named(zone));
                ZONE
            }
        })
    }

    fn whole(&mut self, value: Value) -> Parts {
        self.special = Some(value);
        SPECIAL
    }

    /// Two or three parts with separators between them; a month may be a word.
    fn date(&mut self, text: &str) -> Result<Parts, Fault> {
        let mut rest = text;
        let mut numbers = Vec::new();
        let mut context = self.known;
        let mut parts = 0;
        while !rest.is_empty() {
            rest = rest.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
            if rest.is_empty() {
                return Err(Fault::Syntax);
            }
            let digits = rest.starts_with(|c: char| c.is_ascii_digit());
            let end = rest
                .find(|c: char| {
                    if digits {
                        !c.is_ascii_digit()
                    } else {
                        !c.is_ascii_alphabetic()
                    }
                })
                .unwrap_or(rest.len());
            let (part, after) = rest.split_at_checked(end).ok_or(Fault::Syntax)?;
            // One byte between the parts is a separator, whatever it is.
            rest = after.get(1..).unwrap_or_default();
            if digits {
                numbers.push(part);
                continue;
            }
            match word(keyword(part)) {
                Word::Ignored => {}
                Word::Month(month) if context & MONTH == 0 => {
                    self.value.month = month;
                    self.text_month = true;
                    context |= MONTH;
                    parts |= MONTH;
                }
                _ => return Err(Fault::Syntax),
            }
        }
        for number in numbers {
            let part = self.number(number, context)?;
            if part & context != 0 {
                return Err(Fault::Syntax);
            }
            context |= part;
            parts |= part;
        }
        if context & !(DAY_OF_YEAR | ZONE) != DATE {
            return Err(Fault::Syntax);
        }
        Ok(parts)
    }

    /// One part of a date, or a time once the date is complete.
    fn number(&mut self, text: &str, context: Parts) -> Result<Parts, Fault> {
        let (number, rest) = integer(text)?;
        let digits = text.len() - rest.len();
        if digits == 0 {
            return Err(Fault::Syntax);
        }
        if rest.starts_with('.') {
            if digits > 2 {
                return self.run_together(text, context | DATE);
            }
            self.value.micros = micros(rest)?;
        } else if !rest.is_empty() {
            return Err(Fault::Syntax);
        }
        let date = context & DATE;
        if text.len() == 3 && date == YEAR && (1..=366).contains(&number) {
            self.day_of_year = number;
            return Ok(DAY_OF_YEAR | MONTH | DAY);
        }
        let part = match (date, self.text_month) {
            (0, _) if text.len() >= 3 => YEAR,
            (0 | YEAR | DAY, _) => MONTH,
            (MONTH, true) if text.len() >= 3 => YEAR,
            (MONTH, _) => DAY,
            (parts, true) if parts == YEAR | MONTH && text.len() >= 3 && self.two_digits => {
                // The first number was the day, not a year of two digits.
                self.value.day = self.value.year;
                self.value.year = number;
                self.two_digits = false;
                return Ok(DAY);
            }
            (parts, _) if parts == YEAR | MONTH => DAY,
            (parts, _) if parts == MONTH | DAY => YEAR,
            (DATE, _) => return self.run_together(text, context),
            _ => return Err(Fault::Syntax),
        };
        match part {
            YEAR => {
                self.value.year = number;
                self.two_digits = text.len() <= 2;
            }
            MONTH => self.value.month = number,
            _ => self.value.day = number,
        }
        Ok(part)
    }

    /// `yyyymmdd`, `hhmm` or `hhmmss[.fraction]`.
    fn run_together(&mut self, text: &str, context: Parts) -> Result<Parts, Fault> {
        let number = |text: Option<&str>| -> Result<i64, Fault> {
            Ok(integer(text.ok_or(Fault::Syntax)?)?.0)
        };
        let mut digits = text;
        if let Some((whole, _)) = text.split_once('.') {
            self.value.micros = micros(text.get(whole.len()..).unwrap_or_default())?;
            digits = whole;
        } else if context & DATE != DATE && text.len() >= 6 {
            let day = text.len() - 2;
            self.value.year = number(text.get(..day - 2))?;
            self.value.month = number(text.get(day - 2..day))?;
            self.value.day = number(text.get(day..))?;
            if text.len() == 6 {
                self.two_digits = true;
            }
            return Ok(DATE);
        }
        if context & TIME == TIME || !matches!(digits.len(), 4 | 6) {
            return Err(Fault::Syntax);
        }
        self.value.hour = number(digits.get(..2))?;
        self.value.minute = number(digits.get(2..4))?;
        self.value.second = number(digits.get(4..))?;
        Ok(TIME)
    }

    fn set_time(&mut self, hour: i64, minute: i64, second: i64, micros: i64) {
        self.value.hour = hour;
        self.value.minute = minute;
        self.value.second = second;
        self.value.micros = micros;
    }

    fn time_overflows(&self) -> bool {
        let Fields {
            hour,
            minute,
            second,
            micros,
            ..
        } = self.value;
        !(0..=24).contains(&hour)
            || !(0..60).contains(&minute)
            || !(0..=60).contains(&second)
            || !(0..=1_000_000).contains(&micros)
            || self.value.time().is_none_or(|time| time > 24 * HOUR_US)
    }

    fn finish(mut self) -> Result<Value, Fault> {
        self.check_date()?;
        if let Some(afternoon) = self.afternoon {
            if self.value.hour > 12 {
                return Err(Fault::Range);
            }
            self.value.hour = self.value.hour % 12 + if afternoon { 12 } else { 0 };
        }
        if let Some(special) = self.special {
            return Ok(special);
        }
        if self.time_only {
            if self.time_overflows() {
                return Err(Fault::Range);
            }
            if self.known & TIME != TIME {
                return Err(Fault::Syntax);
            }
        } else if self.known & DATE != DATE {
            return Err(Fault::Syntax);
        }
        let wall = self.value.instant().unwrap_or(i64::MAX);
        let east = match self.zone {
            Some(ZoneGiven::Offset(seconds)) => seconds + if self.summer_time { 3_600 } else { 0 },
            // The clock of a zone with summer time says nothing without a date.
            Some(ZoneGiven::Named(Zone::Named(zone)))
                if self.time_only
                    && self.known & DATE != DATE
                    && !zone.name().starts_with("Etc/") =>
            {
                return Err(Fault::Syntax);
            }
            Some(ZoneGiven::Named(_)) | None if self.summer_time => return Err(Fault::Syntax),
            Some(ZoneGiven::Named(zone)) => i64::from(zone.offset_of_wall(wall)),
            None => i64::from(self.clock.zone.offset_of_wall(wall)),
        };
        let east = i32::try_from(east).map_err(|_| Fault::Displacement)?;
        Ok(Value::Fields(self.value, east))
    }

    fn check_date(&mut self) -> Result<(), Fault> {
        let value = &mut self.value;
        if self.known & YEAR != 0 && !self.julian {
            if self.before_christ {
                if value.year <= 0 {
                    return Err(Fault::Range);
                }
                value.year = 1 - value.year;
            } else if self.two_digits {
                value.year += match value.year {
                    0..70 => 2_000,
                    70..100 => 1_900,
                    _ => 0,
                };
            } else if value.year <= 0 {
                return Err(Fault::Range);
            }
        }
        if self.known & DAY_OF_YEAR != 0 {
            value.set_day(days(value.year, 1, 1) + self.day_of_year - 1);
        }
        if self.known & MONTH != 0 && !(1..=12).contains(&value.month)
            || self.known & DAY != 0 && !(1..=31).contains(&value.day)
        {
            return Err(Fault::MonthDay);
        }
        if self.known & DATE == DATE && value.day > month_length(value.year, value.month) {
            return Err(Fault::Range);
        }
        Ok(())
    }
}

/// Whether a word is one of a date or time, zones aside.
pub fn is_keyword(text: &str) -> bool {
    word(text) != Word::Unknown
}

fn word(text: &str) -> Word {
    match text {
        "-infinity" => Word::NegativeInfinity,
        "infinity" => Word::Infinity,
        "epoch" => Word::Epoch,
        "now" => Word::Now,
        "today" => Word::Today(0),
        "tomorrow" => Word::Today(1),
        "yesterday" => Word::Today(-1),
        "allballs" => Word::AllBalls,
        "at" | "on" => Word::Ignored,
        "ad" => Word::BeforeChrist(false),
        "bc" => Word::BeforeChrist(true),
        "am" => Word::Afternoon(false),
        "pm" => Word::Afternoon(true),
        "dst" => Word::SummerTime,
        "y" => Word::Label(Label::Year),
        "m" => Word::Label(Label::Month),
        "d" => Word::Label(Label::Day),
        "h" => Word::Label(Label::Hour),
        "mm" => Word::Label(Label::Minute),
        "s" => Word::Label(Label::Second),
        "j" | "jd" | "julian" => Word::Label(Label::Julian),
        "dow" | "doy" | "isodow" | "isoyear" => Word::Label(Label::Other),
        "t" => Word::TimeFollows,
        "jan" | "january" => Word::Month(1),
        "feb" | "february" => Word::Month(2),
        "mar" | "march" => Word::Month(3),
        "apr" | "april" => Word::Month(4),
        "may" => Word::Month(5),
        "jun" | "june" => Word::Month(6),
        "jul" | "july" => Word::Month(7),
        "aug" | "august" => Word::Month(8),
        "sep" | "sept" | "september" => Word::Month(9),
        "oct" | "october" => Word::Month(10),
        "nov" | "november" => Word::Month(11),
        "dec" | "december" => Word::Month(12),
        "sun" | "sunday" | "mon" | "monday" | "tue" | "tues" | "tuesday" | "wed" | "weds"
        | "wednesday" | "thu" | "thur" | "thurs" | "thursday" | "fri" | "friday" | "sat"
        | "saturday" => Word::DayOfWeek,
        _ => Word::Unknown,
    }
}
