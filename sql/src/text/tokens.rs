//! Fields of a date, time or interval: the lexer that both inputs share, their faults, and times of day.

use super::calendar::SECOND_US;
use super::{TextError, TextErrorKind, fraction, leading_integer};

/// Most bytes of a text and most fields in it.
const MAX_BYTES: usize = 128;
const MAX_FIELDS: usize = 25;
/// Significant bytes of a keyword.
const KEYWORD_BYTES: usize = 10;

/// What a field looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Digits, perhaps with a fraction.
    Number,
    /// Parts with separators between them.
    Date,
    /// Digits and colons.
    Time,
    /// A word.
    Word,
    /// A sign and digits.
    Signed,
    /// A sign and a word.
    Special,
}

/// A field with its letters in lower case.
#[derive(Debug, Clone)]
pub struct Field {
    /// What it looks like.
    pub shape: Shape,
    /// Its text.
    pub text: String,
}

/// Why fields are not a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Not the syntax.
    Syntax,
    /// A field out of range.
    Range,
    /// A month or day out of range: perhaps the two are in the other order.
    MonthDay,
    /// An offset from UTC out of range.
    Displacement,
    /// No such time zone.
    Zone(String),
}

impl Fault {
    /// The error of `text` as a value of the type `type_name`.
    pub fn error(self, text: &str, type_name: &str) -> TextError {
        let range = || {
            TextError::new(
                TextErrorKind::DatetimeRange,
                format!("date/time field value out of range: \"{text}\""),
            )
        };
        match self {
            Self::Syntax => TextError::new(
                TextErrorKind::InvalidDatetime,
                format!("invalid input syntax for type {type_name}: \"{text}\""),
            ),
            Self::Range => range(),
            Self::MonthDay => range().hint("Perhaps you need a different \"datestyle\" setting."),
            Self::Displacement => TextError::new(
                TextErrorKind::ZoneDisplacement,
                format!("time zone displacement out of range: \"{text}\""),
            ),
            Self::Zone(name) => TextError::new(
                TextErrorKind::InvalidParameter,
                format!("time zone \"{name}\" not recognized"),
            ),
        }
    }
}

/// The part of a word that decides which keyword it is.
pub fn keyword(word: &str) -> &str {
    word.get(..KEYWORD_BYTES).unwrap_or(word)
}

/// C's white space.
pub fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

struct Lexer<'a> {
    rest: &'a [u8],
    text: String,
}

impl Lexer<'_> {
    fn peek(&self) -> u8 {
        self.rest.first().copied().unwrap_or(0)
    }

    fn skip(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    fn take(&mut self) {
        self.text.push(char::from(self.peek().to_ascii_lowercase()));
        self.skip();
    }

    fn take_while(&mut self, accepted: impl Fn(u8) -> bool) {
        while !self.rest.is_empty() && accepted(self.peek()) {
            self.take();
        }
    }

    /// A field that begins with a digit.
    fn number(&mut self) -> Shape {
        let digit = |byte: u8| byte.is_ascii_digit();
        self.take_while(digit);
        let separator = self.peek();
        match separator {
            b':' => {
                self.take_while(|byte| digit(byte) || matches!(byte, b':' | b'.'));
                Shape::Time
            }
            b'-' | b'/' | b'.' => {
                self.take();
                if !digit(self.peek()) {
                    self.take_while(|byte| byte.is_ascii_alphanumeric() || byte == separator);
                    return Shape::Date;
                }
                self.take_while(digit);
                if self.peek() == separator {
                    self.take_while(|byte| digit(byte) || byte == separator);
                    return Shape::Date;
                }
                if separator == b'.' {
                    Shape::Number
                } else {
                    Shape::Date
                }
            }
            _ => Shape::Number,
        }
    }

    /// A field that begins with a letter: a word, or a date or zone name with separators in it.
    fn word(&mut self, is_keyword: &impl Fn(&str) -> bool) -> Shape {
        self.take_while(|byte| byte.is_ascii_alphabetic());
        let joined = match self.peek() {
            b'-' | b'/' | b'.' => true,
            b'+' | b'0'..=b'9' => !is_keyword(keyword(&self.text)),
            _ => false,
        };
        if !joined {
            return Shape::Word;
        }
        self.take_while(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'/' | b'_' | b'.' | b':')
        });
        Shape::Date
    }

    /// A field that begins with a sign.
    fn signed(&mut self) -> Result<Shape, Fault> {
        self.take();
        while is_space(self.peek()) {
            self.skip();
        }
        let next = self.peek();
        if next.is_ascii_digit() {
            self.take_while(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.' | b'-'));
            Ok(Shape::Signed)
        } else if next.is_ascii_alphabetic() {
            self.take_while(|byte| byte.is_ascii_alphabetic());
            Ok(Shape::Special)
        } else {
            Err(Fault::Syntax)
        }
    }
}

/// The fields of a text. `is_keyword` knows the words that a digit or plus sign may follow at once.
///
/// # Errors
/// [`Fault::Syntax`] for bytes that belong to no field, and for too many of them.
pub fn fields(text: &str, is_keyword: impl Fn(&str) -> bool) -> Result<Vec<Field>, Fault> {
    let mut lexer = Lexer {
        rest: text.as_bytes(),
        text: String::new(),
    };
    let mut fields = Vec::new();
    let mut bytes = 0;
    while let Some(&next) = lexer.rest.first() {
        if is_space(next) {
            lexer.skip();
            continue;
        }
        let shape = if next.is_ascii_digit() {
            lexer.number()
        } else if next == b'.' {
            lexer.take();
            lexer.take_while(|byte| byte.is_ascii_digit());
            Shape::Number
        } else if next.is_ascii_alphabetic() {
            lexer.word(&is_keyword)
        } else if matches!(next, b'+' | b'-') {
            lexer.signed()?
        } else if next.is_ascii_punctuation() {
            lexer.skip();
            continue;
        } else {
            return Err(Fault::Syntax);
        };
        let text = std::mem::take(&mut lexer.text);
        bytes += text.len() + 1;
        if fields.len() == MAX_FIELDS || bytes > MAX_BYTES {
            return Err(Fault::Syntax);
        }
        fields.push(Field { shape, text });
    }
    Ok(fields)
}

/// An integer of 32 bits at the start of `text`, and the rest.
pub fn integer(text: &str) -> Result<(i64, &str), Fault> {
    leading_integer(text)
        .filter(|(value, _)| i32::try_from(*value).is_ok())
        .ok_or(Fault::Range)
}

/// Microseconds of a fraction of a second such as `.25`.
pub fn micros(text: &str) -> Result<i64, Fault> {
    let fraction = fraction(text).ok_or(Fault::Syntax)?;
    Ok((fraction * SECOND_US as f64).round_ties_even() as i64)
}

/// Hours, minutes, seconds and microseconds of `h:m`, `h:m:s` and, as PostgreSQL reads it, `m:s.fraction`. The hours have
/// no limit.
pub fn time_of_day(text: &str) -> Result<(i64, i64, i64, i64), Fault> {
    let (mut hour, rest) = leading_integer(text).ok_or(Fault::Range)?;
    let rest = rest.strip_prefix(':').ok_or(Fault::Syntax)?;
    let (mut minute, rest) = integer(rest)?;
    let (mut second, mut fraction) = (0, 0);
    if rest.starts_with('.') {
        fraction = micros(rest)?;
        (hour, minute, second) = (0, hour, minute);
    } else if let Some(seconds) = rest.strip_prefix(':') {
        let (value, rest) = integer(seconds)?;
        second = value;
        if rest.starts_with('.') {
            fraction = micros(rest)?;
        } else if !rest.is_empty() {
            return Err(Fault::Syntax);
        }
    } else if !rest.is_empty() {
        return Err(Fault::Syntax);
    }
    let valid = hour >= 0
        && (0..60).contains(&minute)
        && (0..=60).contains(&second)
        && (0..=SECOND_US).contains(&fraction);
    if valid {
        Ok((hour, minute, second, fraction))
    } else {
        Err(Fault::Range)
    }
}
