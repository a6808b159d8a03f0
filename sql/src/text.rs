//! Dates, times, intervals and numbers as text, in PostgreSQL's syntax: input, template formatting and its inverse.
//!
//! Instants are microseconds since 1970-01-01 (for `timestamptz` in UTC, for `timestamp` on the wall clock), dates are
//! days since then. The infinities are the ends of the integer types: [`datetime::INFINITY`] and
//! [`datetime::INFINITE_DATE`], and the least values for the negative ones.

mod calendar;
pub mod datetime;
pub mod format;
pub mod interval;
pub mod json;
mod tokens;
pub mod uuid;
pub mod zone;

use std::fmt;

/// Why a text is not a value, or a value cannot be written as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextError {
    /// The class of the error, which decides the SQLSTATE.
    pub kind: TextErrorKind,
    /// PostgreSQL's message.
    pub message: String,
    /// PostgreSQL's detail, where it has one.
    pub detail: Option<String>,
    /// PostgreSQL's hint, where it has one.
    pub hint: Option<String>,
}

/// Classes of errors of text conversions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextErrorKind {
    /// Not a number or another value at all: 22P02.
    InvalidText,
    /// Not a date, time or interval, or not one as the template asks: 22007.
    InvalidDatetime,
    /// A date or time beyond the range of its field or type: 22008.
    DatetimeRange,
    /// An offset from UTC of 16 hours or more: 22009.
    ZoneDisplacement,
    /// A field of an interval beyond its range: 22015.
    IntervalRange,
    /// A number beyond the range of its type: 22003.
    NumberRange,
    /// A time zone that does not exist: 22023.
    InvalidParameter,
    /// A template that contradicts itself: 42601.
    Template,
    /// A pattern that this direction does not have: 0A000.
    Unsupported,
}

#[cfg(test)]
impl TextError {
    /// The SQLSTATE that the server gives the error, by which the tests name it.
    fn sqlstate(&self) -> &'static str {
        match self.kind {
            TextErrorKind::InvalidText => "22P02",
            TextErrorKind::InvalidDatetime => "22007",
            TextErrorKind::DatetimeRange => "22008",
            TextErrorKind::ZoneDisplacement => "22009",
            TextErrorKind::IntervalRange => "22015",
            TextErrorKind::NumberRange => "22003",
            TextErrorKind::InvalidParameter => "22023",
            TextErrorKind::Template => "42601",
            TextErrorKind::Unsupported => "0A000",
        }
    }
}

impl TextError {
    fn new(kind: TextErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            detail: None,
            hint: None,
        }
    }

    fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TextError {}

/// The integer at the start of `text`, with an optional sign, and what follows it; zero and all of `text` where there is
/// no digit. `None` when it does not fit 64 bits.
fn leading_integer(text: &str) -> Option<(i64, &str)> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let rest = digits.trim_start_matches(|c: char| c.is_ascii_digit());
    if rest.len() == digits.len() {
        return Some((0, text));
    }
    let number = text.strip_suffix(rest).unwrap_or(text);
    Some((number.parse().ok()?, rest))
}

/// A decimal fraction such as `.25`, or a lone point; `None` for anything else.
fn fraction(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('.')?;
    if digits.is_empty() {
        return Some(0.0);
    }
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}
