//! `to_char` and its inverses `to_timestamp`, `to_date` and `to_number`: values and text by a template.

mod number;
mod read;
mod template;
mod write;

pub use number::{float_to_char, numeric_to_char, to_number};
pub use read::{to_date, to_timestamp};
pub use write::{interval_to_char, timestamp_to_char, timestamptz_to_char};

/// English names, as the templates write and read them.
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
/// Months in Roman numerals.
const ROMAN_MONTHS: [&str; 12] = [
    "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII",
];

/// The English ending of an ordinal number, by its digits.
fn ordinal(digits: &str) -> &'static str {
    let mut last = digits.bytes().rev();
    match (last.next(), last.next()) {
        (_, Some(b'1')) => "th",
        (Some(b'1'), _) => "st",
        (Some(b'2'), _) => "nd",
        (Some(b'3'), _) => "rd",
        _ => "th",
    }
}

#[cfg(test)]
mod tests;
