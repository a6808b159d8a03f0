//! How much two values of a column agree: a level of the column's kind, with a memory of pairs seen before.

use super::column::{Kind, Values};
use super::nicknames::related;
use crate::fusion::stitch::NULL;
use crate::text::{damerau_levenshtein, jaro_winkler};

/// The level at which two different values agree; both are numbers in `values`.
pub(super) fn level(kind: Kind, values: &Values, a: u32, b: u32) -> u8 {
    let (x, y) = (values.text(a), values.text(b));
    match kind {
        Kind::Name => name(values, (a, x), (b, y)),
        Kind::Date => date(x, y),
        Kind::Email => email(values, (a, x), (b, y)),
        Kind::Phone => {
            if values.traits(a).part == values.traits(b).part {
                2
            } else {
                u8::from(one_error(x, y))
            }
        }
        Kind::Street => street(values, (a, x), (b, y)),
        Kind::Code => u8::from(x.len() >= 4 && one_error(x, y)),
        Kind::Exact => 0,
        Kind::Numeric => {
            let (p, q) = (values.traits(a).number, values.traits(b).number);
            let gap = (p - q).abs() / p.abs().max(q.abs());
            if gap <= 0.01 { 2 } else { u8::from(gap <= 0.1) }
        }
        Kind::Text => match jaro_winkler(x, y) {
            similarity if similarity >= 0.92 => 2,
            similarity if similarity >= 0.8 => 1,
            _ => 0,
        },
    }
}

fn name(values: &Values, (a, x): (u32, &str), (b, y): (u32, &str)) -> u8 {
    let (p, q) = (values.traits(a), values.traits(b));
    // One letter more or less makes another name of a short one, such as a Chinese.
    let letters = |text: &str| text.chars().count();
    let similarity = jaro_winkler(x, y);
    if similarity >= 0.92 || (letters(x).min(letters(y)) >= 4 && one_error(x, y)) {
        return 3;
    }
    if related(p.groups, q.groups) || shortened(x, y) || shortened(y, x) {
        return 2;
    }
    u8::from(similarity >= 0.8 || (p.part == q.part && p.part != NULL))
}

/// Whether `short` is an initial of `long`, or some of its words.
fn shortened(short: &str, long: &str) -> bool {
    if short.chars().nth(1).is_none() {
        return long.starts_with(short);
    }
    long.contains(' ')
        && short
            .split(' ')
            .all(|word| long.split(' ').any(|other| word == other))
}

fn date(x: &str, y: &str) -> u8 {
    let part = |from, to| x.get(from..to) == y.get(from..to);
    let exchanged = part(0, 4) && x.get(4..6) == y.get(6..8) && x.get(6..8) == y.get(4..6);
    if exchanged || one_error(x, y) {
        return 3;
    }
    match (part(0, 4), part(4, 6), part(6, 8)) {
        (true, true, _) | (true, _, true) | (_, true, true) => 2,
        (true, ..) => 1,
        _ => 0,
    }
}

fn email(values: &Values, (a, x): (u32, &str), (b, y): (u32, &str)) -> u8 {
    let (p, q) = (values.traits(a), values.traits(b));
    if p.part == q.part {
        return 2;
    }
    if one_error(x, y) {
        return 3;
    }
    let name = |text, lead: u32| str::get(text, ..lead as usize).unwrap_or_default();
    u8::from(jaro_winkler(name(x, p.lead), name(y, q.lead)) >= 0.92)
}

fn street(values: &Values, (a, x): (u32, &str), (b, y): (u32, &str)) -> u8 {
    let (p, q) = (values.traits(a), values.traits(b));
    let cut = |text, lead: u32| {
        let text: &str = text;
        let lead = (lead as usize).min(text.len());
        (
            text.get(..lead).unwrap_or_default(),
            text.get(lead..).unwrap_or_default(),
        )
    };
    let ((number, words), (other_number, other_words)) = (cut(x, p.lead), cut(y, q.lead));
    if words.is_empty() || other_words.is_empty() {
        return 0;
    }
    let alike = words == other_words || jaro_winkler(words, other_words) >= 0.9;
    match (alike, number == other_number) {
        (true, true) => 2,
        // Wrong, missing or exchanged digits of a number, or another house in the street.
        (true, false) if words == other_words => {
            if !number.is_empty()
                && !other_number.is_empty()
                && one_error(number, other_number)
                && number.len() > 3
            {
                2
            } else {
                1
            }
        }
        _ => u8::from(alike),
    }
}

/// Whether one insertion, deletion, substitution or exchange of neighbours makes one of the other.
fn one_error(x: &str, y: &str) -> bool {
    if x.len().abs_diff(y.len()) > 4 {
        return false;
    }
    if !(x.is_ascii() && y.is_ascii()) {
        return damerau_levenshtein(x, y) <= 1;
    }
    let (x, y) = (x.as_bytes(), y.as_bytes());
    let (x, y) = if x.len() <= y.len() { (x, y) } else { (y, x) };
    let prefix = x.iter().zip(y).take_while(|(a, b)| a == b).count();
    let (x, y) = (&x[prefix..], &y[prefix..]);
    match (x, y) {
        _ if y.len() == x.len() + 1 => x == &y[1..],
        ([_, rest @ ..], [_, others @ ..]) if rest == others => true,
        ([a, b, rest @ ..], [c, d, others @ ..]) => a == d && b == c && rest == others,
        _ => x == y,
    }
}

/// Remembers the levels of pairs of values: a table of fixed size in which a newer pair takes the place of an older.
pub(super) struct Memo {
    slots: Vec<(u64, u8)>,
}

impl Memo {
    const BITS: u32 = 13;

    /// A memory for `columns` columns.
    pub fn new(columns: usize) -> Self {
        Self {
            slots: vec![(u64::MAX, 0); columns << Self::BITS],
        }
    }

    /// The level of two values of a column, computed at most once while it is remembered.
    pub fn level(&mut self, column: usize, kind: Kind, values: &Values, a: u32, b: u32) -> u8 {
        let (low, high) = (a.min(b), a.max(b));
        if matches!(kind, Kind::Exact | Kind::Numeric | Kind::Phone) {
            return level(kind, values, low, high);
        }
        let key = u64::from(low) << 32 | u64::from(high);
        let place = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - Self::BITS);
        let slot = &mut self.slots[(column << Self::BITS) + place as usize];
        if slot.0 != key {
            *slot = (key, level(kind, values, low, high));
        }
        slot.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unlimited;
    use proptest::prelude::*;

    fn check(kind: Kind, a: &str, b: &str, expected: &str) {
        let mut values = Values::default();
        let mut number = |raw| {
            let text = super::super::column::normal(kind, raw).unwrap();
            values.number_of_normal(kind, &text, &Unlimited).unwrap()
        };
        let (x, y) = (number(a), number(b));
        assert_ne!(x, y, "{a} and {b} are one value");
        let found = kind.levels()[usize::from(level(kind, &values, x, y))];
        assert_eq!(found, expected, "{a} and {b}");
        assert_eq!(level(kind, &values, x, y), level(kind, &values, y, x));
    }

    #[test]
    fn levels_of_names() {
        check(Kind::Name, "William", "Bill", "short form");
        check(Kind::Name, "J.", "John", "short form");
        check(Kind::Name, "Anne Marie", "Marie", "short form");
        check(Kind::Name, "Smith", "Smiht", "close");
        check(Kind::Name, "Catherine", "Kathryn", "short form");
        check(Kind::Name, "Peterson", "Pedersen", "similar");
        check(Kind::Name, "Smith", "Jones", "different");
        check(Kind::Name, "王小明", "王小红", "similar");
    }

    #[test]
    fn levels_of_other_kinds() {
        check(Kind::Date, "1980-03-07", "1980-07-03", "one error");
        check(Kind::Date, "1980-03-07", "1980-03-17", "one error");
        check(Kind::Date, "1980-03-07", "1980-03-25", "two parts");
        check(Kind::Date, "1980-03-07", "1980-11-25", "same year");
        check(Kind::Date, "1980-03-07", "1971-11-25", "different");
        check(Kind::Email, "ann.lee@x.org", "ann.lee@y.org", "same name");
        check(Kind::Email, "ann.lee@x.org", "ann.le@x.org", "one error");
        check(Kind::Email, "ann.lee@x.org", "bob@x.org", "different");
        check(Kind::Phone, "+49 30 1234568", "030 1234568", "same ending");
        check(Kind::Phone, "030 1234568", "030 1234569", "one error");
        check(Kind::Phone, "030 1234568", "030 9876512", "different");
        check(Kind::Street, "5 Main Street", "Main Stret 5", "close");
        check(
            Kind::Street,
            "5 Main Street",
            "97 Main Street",
            "same street",
        );
        check(Kind::Street, "5 Main Street", "5 Oak Lane", "different");
        check(Kind::Code, "123-45-678", "12345687", "one error");
        check(Kind::Code, "12", "13", "different");
        check(Kind::Exact, "f", "m", "different");
        check(Kind::Numeric, "100", "100.5", "within 1 %");
        check(Kind::Numeric, "100", "92", "within 10 %");
        check(Kind::Numeric, "100", "-100", "different");
        check(Kind::Text, "springfield", "springfeild", "close");
    }

    proptest! {
        #[test]
        fn one_error_is_a_distance_of_one(a in "[abé]{0,6}", b in "[abé]{0,6}") {
            prop_assert_eq!(one_error(&a, &b), damerau_levenshtein(&a, &b) <= 1);
        }
    }
}
