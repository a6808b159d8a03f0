//! `to_char` of numbers.

use super::Decimal;
use super::template::{Anchor, Node, Shape, parse};
use crate::text::format::ordinal;
use crate::text::{TextError, TextErrorKind};

/// Digits that a double is sure to keep.
const DOUBLE_DIGITS: usize = 15;

/// `to_char(numeric, text)` of a plain decimal number such as `-12.50`, and of the integers; `NaN` and `Infinity` fill
/// the template with `#`, as in PostgreSQL.
///
/// # Errors
/// 42601 for a template that contradicts itself; 22P02 when `number` is not a number; 22003 for Roman numerals of a
/// number that is not an `integer`.
pub fn numeric_to_char(number: &str, template: &str) -> Result<String, TextError> {
    if template.is_empty() {
        return Ok(String::new());
    }
    let (nodes, mut shape) = parse(template)?;
    let special = matches!(number, "NaN" | "Infinity" | "-Infinity");
    let decimal = match Decimal::parse(number) {
        Some(decimal) => decimal,
        None if special && shape.scientific => return Ok(overflowed_scientific(&shape)),
        None if special && !shape.roman => {
            shape.whole += shape.shift;
            let (negative, digits) = match number.strip_prefix('-') {
                Some(digits) => (true, digits),
                None => (false, number),
            };
            return write(&nodes, shape, negative, digits);
        }
        None => {
            return Err(TextError::new(
                TextErrorKind::InvalidText,
                format!("invalid input syntax for type numeric: \"{number}\""),
            ));
        }
    };
    if shape.scientific {
        return Ok(scientific(&decimal, shape.fraction));
    }
    if shape.roman {
        let whole = decimal.rounded(0);
        let value = whole
            .digits()
            .parse::<i32>()
            .map_err(|_| TextError::new(TextErrorKind::NumberRange, "integer out of range"))?;
        let digits = if whole.negative {
            roman(-1)
        } else {
            roman(value)
        };
        return write(&nodes, shape, false, &digits);
    }
    let shifted = decimal.shifted(shape.shift);
    shape.whole += shape.shift;
    let rounded = shifted.rounded(shape.fraction);
    write(&nodes, shape, rounded.negative, &rounded.digits())
}

/// `to_char(double precision, text)`, to the fifteen digits that a double is sure to keep.
///
/// # Errors
/// 42601 for a template that contradicts itself.
pub fn float_to_char(number: f64, template: &str) -> Result<String, TextError> {
    if template.is_empty() {
        return Ok(String::new());
    }
    let (nodes, mut shape) = parse(template)?;
    if shape.roman {
        // A number beyond the integers has no Roman numeral either.
        return write(
            &nodes,
            shape,
            false,
            &roman(number.round_ties_even() as i32),
        );
    }
    if shape.scientific {
        if !number.is_finite() {
            return Ok(overflowed_scientific(&shape));
        }
        let text = format!("{number:.*e}", shape.fraction);
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or_default();
        return Ok(with_exponent(mantissa, exponent));
    }
    let number = number * 10_f64.powi(i32::try_from(shape.shift).unwrap_or(i32::MAX));
    shape.whole += shape.shift;
    let spelled = |digits: usize| match number {
        number if number.is_nan() => "NaN".to_owned(),
        number if number.is_infinite() && number > 0.0 => "Infinity".to_owned(),
        number if number.is_infinite() => "-Infinity".to_owned(),
        number => format!("{number:.digits$}"),
    };
    let length = spelled(0).trim_start_matches('-').len();
    shape.fraction = shape.fraction.min(DOUBLE_DIGITS.saturating_sub(length));
    let text = spelled(shape.fraction);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.as_str()),
    };
    write(&nodes, shape, negative, digits)
}

fn overflowed_scientific(shape: &Shape) -> String {
    format!(
        " {}.{}",
        "#".repeat(shape.whole),
        "#".repeat(shape.fraction + 4)
    )
}

/// A mantissa and exponent, with a space where a minus sign would be.
fn with_exponent(mantissa: &str, exponent: i32) -> String {
    let space = if mantissa.starts_with('-') { "" } else { " " };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{space}{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

fn scientific(decimal: &Decimal, places: usize) -> String {
    let all = format!("{}{}", decimal.whole, decimal.fraction);
    let zeros = all.bytes().take_while(|digit| *digit == b'0').count();
    let exponent = |digits: usize| i32::try_from(digits).unwrap_or(i32::MAX);
    let (mantissa, power) = match all
        .get(zeros..)
        .and_then(|digits| digits.split_at_checked(1))
    {
        None => (Decimal::new(false, "0", ""), 0),
        Some((first, rest)) => (
            Decimal::new(decimal.negative, first, rest),
            exponent(decimal.whole.len()) - 1 - exponent(zeros),
        ),
    };
    // A mantissa that rounding makes ten stays so, as in PostgreSQL.
    let mantissa = mantissa.rounded(places);
    let sign = if mantissa.negative { "-" } else { "" };
    with_exponent(&format!("{sign}{}", mantissa.digits()), power)
}

/// A number from 1 to 3999 in Roman numerals; others fill the place with `#`.
fn roman(number: i32) -> String {
    if !(1..4_000).contains(&number) {
        return "#".repeat(15);
    }
    const NUMERALS: [(i32, &str); 13] = [
        (1_000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    let mut rest = number;
    let mut text = String::new();
    for (value, numeral) in NUMERALS {
        while rest >= value {
            text.push_str(numeral);
            rest -= value;
        }
    }
    text
}

/// The state between the patterns of one number.
struct Writer<'a> {
    shape: Shape,
    negative: bool,
    number: &'a [u8],
    /// The next digit or point of the number.
    at: usize,
    /// Places before the first digit.
    spaces: usize,
    /// The last digit or point that `FM` keeps.
    last: Option<usize>,
    count: isize,
    current: usize,
    sign_written: bool,
    digit_written: bool,
    out: Vec<u8>,
}

fn write(
    nodes: &[Node],
    mut shape: Shape,
    negative: bool,
    digits: &str,
) -> Result<String, TextError> {
    let filled;
    let mut digits = digits;
    let mut spaces = 0;
    if shape.roman {
        shape = Shape {
            fill: shape.fill,
            roman: true,
            ..Shape::default()
        };
    } else {
        let length = digits.find('.').unwrap_or(digits.len());
        spaces = shape.whole.saturating_sub(length);
        if length > shape.whole {
            filled = format!("{}.{}", "#".repeat(shape.whole), "#".repeat(shape.fraction));
            digits = &filled;
        }
    }
    if shape.fill && !negative && !(shape.plus || shape.minus) {
        shape.bracket = false;
    }
    if shape.anchor == Anchor::Before
        && shape.whole == shape.before_sign
        && !(shape.plus || shape.minus)
    {
        shape.anchor = Anchor::After;
    }
    let sign_written = if shape.plus || shape.minus {
        shape.minus || !shape.plus
    } else {
        !shape.roman && !negative && shape.fill && !shape.sign
    };
    let number = digits.as_bytes();
    let mut last = None;
    if shape.fill && shape.point {
        last = relevant(number);
        if let Some(at) = last
            && shape.zero_end > spaces
        {
            last = Some(at.max((number.len() - 1).min(shape.zero_end - spaces)));
        }
    }
    let count = (shape.whole + shape.fraction).cast_signed() - 1
        + isize::from(!sign_written && spaces == 0);
    let mut writer = Writer {
        shape,
        negative,
        number,
        at: 0,
        spaces,
        last,
        count,
        current: 0,
        sign_written,
        digit_written: false,
        out: Vec::new(),
    };
    for node in nodes {
        match node {
            Node::Character(c) => {
                let mut bytes = [0; 4];
                writer.out.extend(c.encode_utf8(&mut bytes).bytes());
            }
            Node::Pattern(name) => writer.pattern(name)?,
        }
    }
    // A place beyond the number ends the text.
    let end = writer.out.iter().position(|byte| *byte == 0);
    writer.out.truncate(end.unwrap_or(writer.out.len()));
    Ok(String::from_utf8_lossy(&writer.out).into_owned())
}

/// The last digit behind the point that is not zero, or the point.
fn relevant(number: &[u8]) -> Option<usize> {
    let point = number.iter().position(|byte| *byte == b'.')?;
    let last = number.iter().rposition(|byte| *byte != b'0')?;
    Some(last.max(point))
}

impl Writer<'_> {
    fn peek(&self) -> u8 {
        self.number.get(self.at).copied().unwrap_or(0)
    }

    fn pad(&mut self) {
        if !self.shape.fill {
            self.out.push(b' ');
        }
    }

    fn pattern(&mut self, name: &str) -> Result<(), TextError> {
        match name.to_ascii_uppercase().as_str() {
            "9" | "0" | "." | "D" => self.place(name == "0"),
            "," | "G" if self.digit_written => self.out.push(b','),
            "," | "G" => self.pad(),
            // The C locale has no currency symbol.
            "L" => self.out.push(b' '),
            "RN" => {
                let digits = String::from_utf8_lossy(self.number);
                let text = if self.shape.fill {
                    digits.into_owned()
                } else {
                    format!("{digits:>15}")
                };
                let text = if name == "rn" {
                    text.to_lowercase()
                } else {
                    text
                };
                self.out.extend(text.bytes());
            }
            "TH" => {
                let none = self.shape.roman
                    || self.negative
                    || self.shape.point
                    || self.number.first() == Some(&b'#');
                if !none {
                    let number = String::from_utf8_lossy(self.number);
                    if !number.ends_with(|c: char| c.is_ascii_digit()) {
                        return Err(TextError::new(
                            TextErrorKind::InvalidText,
                            format!("\"{number}\" is not a number"),
                        ));
                    }
                    let ending = ordinal(&number);
                    let ending = if name == "th" {
                        ending.to_owned()
                    } else {
                        ending.to_uppercase()
                    };
                    self.out.extend(ending.bytes());
                }
            }
            "MI" if self.negative && !self.shape.roman => self.out.push(b'-'),
            "PL" if !self.negative && !self.shape.roman => self.out.push(b'+'),
            "MI" | "PL" => self.pad(),
            "SG" => self.out.push(if self.negative { b'-' } else { b'+' }),
            _ => {}
        }
        Ok(())
    }

    /// The place of a digit or of the point.
    fn place(&mut self, zero: bool) {
        if self.shape.roman {
            return;
        }
        self.digit_written = false;
        let before_point = |writer: &Self| {
            !writer.shape.zero
                && writer.at == 0
                && writer.number.first() == Some(&b'0')
                && writer.shape.fraction != 0
        };
        let zeros = self.shape.zero && self.shape.zero_start <= self.current;
        let last_is_point = self.last.and_then(|at| self.number.get(at)) == Some(&b'.');
        let begins =
            self.current >= self.spaces || self.shape.zero && self.shape.zero_start == self.current;
        if !self.sign_written && begins && (!before_point(self) || last_is_point) {
            self.sign();
        }
        if self.current < self.spaces && !zeros {
            self.pad();
        } else if self.current < self.spaces {
            self.out.push(b'0');
            self.digit_written = true;
        } else {
            if self.peek() == b'.' {
                if self.shape.fill || !last_is_point {
                    self.out.push(b'.');
                }
            } else if !zero && self.last.is_some_and(|last| self.at > last) {
                // A zero that FM leaves out.
            } else if before_point(self) {
                if !self.shape.fill {
                    self.out.push(b' ');
                } else if last_is_point {
                    self.out.push(b'0');
                }
            } else {
                self.out.push(self.peek());
                self.digit_written = true;
            }
            if self.at < self.number.len() {
                self.at += 1;
            }
        }
        let mut end = self.count + isize::from(self.spaces > 0) + isize::from(self.shape.point);
        if self.last == Some(self.at) {
            end = self.current.cast_signed();
        }
        if self.current.cast_signed() + 1 == end {
            if self.sign_written && self.shape.bracket {
                self.out.push(if self.negative { b'>' } else { b' ' });
            } else if self.shape.sign && self.shape.anchor == Anchor::After {
                self.out.push(if self.negative { b'-' } else { b'+' });
            }
        }
        self.current += 1;
    }

    fn sign(&mut self) {
        if self.shape.sign {
            if self.shape.anchor == Anchor::Before {
                self.out.push(if self.negative { b'-' } else { b'+' });
                self.sign_written = true;
            }
            return;
        }
        self.sign_written = true;
        if self.shape.bracket {
            self.out.push(if self.negative { b'<' } else { b' ' });
        } else if self.negative {
            self.out.push(b'-');
        } else {
            self.pad();
        }
    }
}
