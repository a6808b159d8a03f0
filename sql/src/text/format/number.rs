//! `to_char` of numbers and `to_number`.

mod read;
mod template;
mod write;

pub use read::to_number;
pub use write::{float_to_char, numeric_to_char};

/// Digits of a decimal number and its sign: `digits` have an optional point.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Decimal {
    negative: bool,
    /// Digits before the point, without leading zeros but for a lone one.
    whole: String,
    /// Digits behind it.
    fraction: String,
}

impl Decimal {
    /// A plain decimal number; `None` for anything else.
    fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all = || whole.bytes().chain(fraction.bytes());
        if all().next().is_none() || !all().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Some(Self::new(negative, whole, fraction))
    }

    fn new(negative: bool, whole: &str, fraction: &str) -> Self {
        let whole = whole.trim_start_matches('0');
        let whole = if whole.is_empty() { "0" } else { whole };
        Self {
            negative,
            whole: whole.to_owned(),
            fraction: fraction.to_owned(),
        }
    }

    /// The number times ten to `places`.
    fn shifted(&self, places: usize) -> Self {
        let moved = format!("{:0<places$}", self.fraction);
        let (whole, fraction) = moved.split_at_checked(places).unwrap_or((&moved, ""));
        Self::new(self.negative, &format!("{}{whole}", self.whole), fraction)
    }

    /// The number with `places` digits behind the point, halves away from zero.
    fn rounded(&self, places: usize) -> Self {
        let Some((kept, dropped)) = self.fraction.split_at_checked(places) else {
            let fraction = format!("{:0<places$}", self.fraction);
            return Self::new(self.negative, &self.whole, &fraction);
        };
        let mut digits: Vec<u8> = self.whole.bytes().chain(kept.bytes()).collect();
        if dropped.starts_with(|digit: char| digit >= '5') {
            increment(&mut digits);
        }
        let digits = String::from_utf8(digits).unwrap_or_default();
        let (whole, fraction) = digits
            .split_at_checked(digits.len() - places)
            .unwrap_or((&digits, ""));
        let rounded = Self::new(self.negative, whole, fraction);
        let zero = digits.bytes().all(|digit| digit == b'0');
        Self {
            negative: rounded.negative && !zero,
            ..rounded
        }
    }

    /// The digits with their point.
    fn digits(&self) -> String {
        if self.fraction.is_empty() {
            self.whole.clone()
        } else {
            format!("{}.{}", self.whole, self.fraction)
        }
    }
}

/// Adds one to the last of some digits.
fn increment(digits: &mut Vec<u8>) {
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
    digits.insert(0, b'1');
}
