//! `to_number`.

use super::Decimal;
use super::template::{Anchor, Node, Shape, parse};
use crate::text::{TextError, TextErrorKind};

/// `to_number(text, text)`, as a plain decimal number with the digits that were read; `None`, which is NULL, for an
/// empty template.
///
/// # Errors
/// 42601 for a template that contradicts itself, 0A000 for patterns that only `to_char` has, 22P02 where there are no
/// digits.
pub fn to_number(text: &str, template: &str) -> Result<Option<String>, TextError> {
    if template.is_empty() {
        return Ok(None);
    }
    let (nodes, shape) = parse(template)?;
    let unsupported = [(shape.scientific, "EEEE"), (shape.roman, "RN")];
    if let Some((_, name)) = unsupported.iter().find(|(used, _)| *used) {
        return Err(TextError::new(
            TextErrorKind::Unsupported,
            format!("\"{name}\" not supported for input"),
        ));
    }
    let (shift, places) = (shape.shift, shape.whole + shape.shift);
    let mut reader = Reader {
        shape,
        text,
        at: 0,
        sign: ' ',
        digits: String::new(),
        whole: 0,
        fraction: 0,
        point: false,
    };
    for node in &nodes {
        if reader.ended() {
            break;
        }
        match node {
            Node::Character(_) => reader.skip_character(),
            Node::Pattern(name) => reader.pattern(name),
        }
    }
    let digits = reader.digits.strip_suffix('.').unwrap_or(&reader.digits);
    let number = format!("{}{digits}", reader.sign);
    let Some(decimal) = Decimal::parse(number.trim_start()) else {
        return Err(TextError::new(
            TextErrorKind::InvalidText,
            format!("invalid input syntax for type numeric: \"{number}\""),
        ));
    };
    if decimal.whole != "0" && decimal.whole.len() > places {
        let scale = reader.fraction;
        let limit = if places == 0 {
            "1".to_owned()
        } else {
            format!("10^{places}")
        };
        return Err(TextError::new(TextErrorKind::NumberRange, "numeric field overflow").detail(
            format!(
                "A field with precision {}, scale {scale} must round to an absolute value less than {limit}.",
                places + scale
            ),
        ));
    }
    Ok(Some(decimal.divided(shift)))
}

impl Decimal {
    /// The number by ten to `places`, in the digits that PostgreSQL's product with the power has.
    fn divided(&self, places: usize) -> String {
        let digits = format!("{:0>width$}", self.whole, width = places + 1);
        let (whole, moved) = digits
            .split_at_checked(digits.len() - places)
            .unwrap_or((&digits, ""));
        let mut number = Self::new(self.negative, whole, &format!("{moved}{}", self.fraction));
        if places > 0 {
            number.fraction = format!("{:0<16}", number.fraction);
        }
        let zero = |text: &str| text.bytes().all(|digit| digit == b'0');
        let sign = if number.negative && !(zero(&number.whole) && zero(&number.fraction)) {
            "-"
        } else {
            ""
        };
        format!("{sign}{}", number.digits())
    }
}

struct Reader<'a> {
    shape: Shape,
    text: &'a str,
    at: usize,
    sign: char,
    digits: String,
    /// Digits read before the point and behind it.
    whole: usize,
    fraction: usize,
    point: bool,
}

impl Reader<'_> {
    fn ended(&self) -> bool {
        self.at >= self.text.len()
    }

    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn skip_character(&mut self) {
        let next = self
            .text
            .get(self.at..)
            .and_then(|rest| rest.chars().next());
        self.at += next.map_or(1, char::len_utf8);
    }

    /// Skips up to `count` characters that are no part of a number.
    fn skip_other(&mut self, count: usize) {
        for _ in 0..count {
            if self.ended() || b"0123456789.,+-".contains(&self.peek()) {
                return;
            }
            self.skip_character();
        }
    }

    fn pattern(&mut self, name: &str) {
        match name.to_ascii_uppercase().as_str() {
            "9" | "0" => self.place(true),
            "." | "D" => self.place(false),
            // No digit counts as read before a group here, so FM takes no separator.
            "," | "G" if !self.shape.fill && self.peek() == b',' => self.at += 1,
            "L" => self.skip_other(1),
            "TH" if self.sign != '-' && !self.shape.point => self.skip_other(2),
            "MI" if self.peek() == b'-' => self.take_sign(),
            "PL" if self.peek() == b'+' => self.take_sign(),
            "SG" if matches!(self.peek(), b'+' | b'-') => self.take_sign(),
            "MI" | "PL" | "SG" => self.skip_other(1),
            _ => {}
        }
    }

    fn take_sign(&mut self) {
        self.sign = if self.peek() == b'+' { '+' } else { '-' };
        self.at += 1;
    }

    fn place(&mut self, digit: bool) {
        if self.ended() {
            return;
        }
        if self.peek() == b' ' {
            self.at += 1;
        }
        if self.ended() {
            return;
        }
        if self.sign == ' ' && digit && self.whole + self.fraction == 0 {
            let bracket = self.shape.bracket && self.peek() == b'<';
            let anchored_before = self.shape.sign && self.shape.anchor == Anchor::Before;
            if matches!(self.peek(), b'+' | b'-') || bracket && !anchored_before {
                self.take_sign();
            }
        }
        if self.ended() {
            return;
        }
        let mut read = false;
        if self.peek().is_ascii_digit() {
            if self.point && self.fraction == self.shape.fraction {
                return;
            }
            self.digits.push(char::from(self.peek()));
            *(if self.point {
                &mut self.fraction
            } else {
                &mut self.whole
            }) += 1;
            read = true;
        } else if self.shape.point && !self.point && self.peek() == b'.' {
            self.digits.push('.');
            self.point = true;
            read = true;
        }
        if self.sign == ' ' && self.whole + self.fraction > 0 {
            let next = self.text.as_bytes().get(self.at + 1).copied();
            if self.shape.sign && read {
                if let Some(sign @ (b'+' | b'-')) = next {
                    self.sign = char::from(sign);
                    self.at += 1;
                }
            } else if !read && !self.shape.sign && (self.shape.plus || self.shape.minus) {
                let next = self.peek();
                if matches!(next, b'+' | b'-') {
                    self.sign = char::from(next);
                }
            }
        }
        self.at += 1;
    }
}
