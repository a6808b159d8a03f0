//! A column to compare: its values in one spelling each, numbered, with what the comparisons need of each value.

use std::collections::HashMap;

use super::nicknames;
use crate::fusion::intern::Strings;
use crate::fusion::is_null_like;
use crate::fusion::normalise::{email_norm, phone_norm};
use crate::fusion::stitch::NULL;
use crate::host::{Host, Meter, Reservation, reserve_for};
use crate::text::{Phonetic, address_key, name_key, name_norm, unaccent};
use crate::{Error, Result};

/// What a column holds, which says how its values are normalised and compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A given or family name: nicknames, initials, typing errors, sound. Values of two name columns may have changed places.
    Name,
    /// A date, as `yyyy-mm-dd`, `yyyymmdd` or with the year last: wrong digits, day and month exchanged, parts in common.
    Date,
    /// An e-mail address.
    Email,
    /// A telephone number.
    Phone,
    /// A street address.
    Street,
    /// A number of a person or thing (tax, customer, postal code): equal or one typing error away.
    Code,
    /// Equal or not, without regard to case and blanks around.
    Exact,
    /// A number: equal, within 1 %, within 10 %.
    Numeric,
    /// Other short text, compared by Jaro-Winkler.
    Text,
}

impl Kind {
    /// All kinds with their names in `column:kind`.
    pub const ALL: [(Self, &'static str); 9] = [
        (Self::Name, "name"),
        (Self::Date, "date"),
        (Self::Email, "email"),
        (Self::Phone, "phone"),
        (Self::Street, "address"),
        (Self::Code, "code"),
        (Self::Exact, "exact"),
        (Self::Numeric, "numeric"),
        (Self::Text, "text"),
    ];

    /// The name of the kind in `column:kind`.
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(kind, _)| *kind == self)
            .map_or("text", |(_, name)| name)
    }

    /// The kind of this name.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a name that is none, with the names that are.
    pub fn of_name(name: &str) -> Result<Self> {
        let found = Self::ALL.iter().find(|(_, known)| *known == name);
        found.map(|(kind, _)| *kind).ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|(_, name)| *name).collect();
            Error::parameter(
                "compare",
                format!("comparison kind \"{name}\" does not exist"),
                format!("The kinds are {}.", known.join(", ")),
            )
        })
    }

    /// The one spelling of a value, by which values are compared; `None` for what cannot be such a value or stands for none.
    pub fn normal(self, raw: &str) -> Option<String> {
        normal(self, raw)
    }

    /// What the levels of a comparison mean, from disagreement upwards; [`Kind::exact`] is the level of equal values.
    pub fn levels(self) -> &'static [&'static str] {
        match self {
            Self::Name => &[
                "different",
                "similar",
                "short form",
                "close",
                "equal",
                "exchanged",
            ],
            Self::Date => &["different", "same year", "two parts", "one error", "equal"],
            Self::Email => &[
                "different",
                "similar name",
                "same name",
                "one error",
                "equal",
            ],
            Self::Phone => &["different", "one error", "same ending", "equal"],
            Self::Street => &["different", "same street", "close", "equal"],
            Self::Code => &["different", "one error", "equal"],
            Self::Exact => &["different", "equal"],
            Self::Numeric => &["different", "within 10 %", "within 1 %", "equal"],
            Self::Text => &["different", "similar", "close", "equal"],
        }
    }

    /// The level of equal values.
    pub fn exact(self) -> usize {
        match self {
            Self::Name => 4,
            _ => self.levels().len() - 1,
        }
    }

    /// Whether a value shared by very many records is a placeholder and not a coincidence.
    pub(super) fn identifies(self) -> bool {
        matches!(self, Self::Email | Self::Phone)
    }
}

/// A column of records as it comes: numbers of distinct values.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    /// What it holds.
    pub kind: Kind,
    /// For each record the number of its value in `values`, or [`NULL`].
    pub codes: &'a [u32],
    /// The distinct values, UTF-8.
    pub values: &'a Strings,
    /// Whether the value is one's own and not one's family's, as a given name or a date of birth is: relatives agree on it no more than
    /// strangers. It sharpens the line between a person and the household.
    pub personal: bool,
}

/// A column with one number for each normalised value.
#[derive(Debug)]
pub(super) struct Column {
    pub kind: Kind,
    pub personal: bool,
    pub codes: Vec<u32>,
    /// Records that hold each value.
    pub counts: Vec<u32>,
    /// Records with a value.
    pub held: usize,
    /// Values that too many records hold, which are taken as missing, with the number of those records.
    pub ignored: Vec<(u32, u32)>,
    _memory: Reservation,
}

/// The normalised values of one or, for names, several columns.
#[derive(Debug, Default)]
pub(super) struct Values {
    pub texts: Strings,
    /// What else the comparison needs of each value.
    pub traits: Vec<Traits>,
    /// Numbers of the sounds of names and of the endings of telephone numbers.
    sounds: HashMap<String, u32>,
}

/// What a comparison needs of a value besides its text.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Traits {
    /// Groups of nicknames.
    pub groups: [u16; 4],
    /// Number of the sound of a name, of the name in an e-mail address, of the last digits of a telephone number; [`NULL`] for none.
    pub part: u32,
    /// Length of a leading part in bytes: the numbers of a street address, the name in an e-mail address.
    pub lead: u32,
    /// The value of a number.
    pub number: f64,
}

impl Values {
    pub fn text(&self, code: u32) -> &str {
        let bytes = self.texts.get(code).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    pub fn traits(&self, code: u32) -> Traits {
        self.traits.get(code as usize).copied().unwrap_or_default()
    }

    /// The number of a value in its normal form.
    pub fn number_of_normal(&mut self, kind: Kind, text: &str, host: &dyn Host) -> Result<u32> {
        let code = self.texts.intern(text.as_bytes(), host)?;
        if code as usize == self.traits.len() {
            let traits = self.traits_of(kind, text);
            self.traits.push(traits);
        }
        Ok(code)
    }

    fn traits_of(&mut self, kind: Kind, text: &str) -> Traits {
        let mut traits = Traits {
            part: NULL,
            ..Traits::default()
        };
        let (part, lead) = match kind {
            Kind::Name => {
                let first = text.split(' ').next().unwrap_or(text);
                traits.groups = nicknames::groups(first);
                (name_key(text, Phonetic::DoubleMetaphone), 0)
            }
            Kind::Email => {
                let name = text.split('@').next().unwrap_or(text);
                (Some(name.to_owned()), name.len())
            }
            Kind::Phone => (
                text.get(text.len().saturating_sub(7)..).map(str::to_owned),
                0,
            ),
            Kind::Street => {
                let words = text.split(' ');
                let numbers = words.take_while(|word| word.starts_with(char::is_numeric));
                (None, numbers.map(|word| word.len() + 1).sum())
            }
            Kind::Numeric => {
                traits.number = text.parse().unwrap_or(f64::NAN);
                (None, 0)
            }
            Kind::Date | Kind::Code | Kind::Exact | Kind::Text => (None, 0),
        };
        traits.lead = lead as u32;
        if let Some(part) = part {
            let fresh = self.sounds.len() as u32;
            traits.part = *self.sounds.entry(part).or_insert(fresh);
        }
        traits
    }
}

impl Column {
    /// Numbers the values of `field` in `values`, and takes values held by more than `most` records as missing where the kind
    /// identifies.
    pub fn of(
        field: &Field<'_>,
        normals: &[Option<String>],
        values: &mut Values,
        most: Option<usize>,
        host: &dyn Host,
    ) -> Result<Self> {
        let records = field.codes.len();
        let memory = reserve_for::<[u32; 2]>(host, records, "normalised values")?;
        let mut meter = Meter::new(host);
        let mut numbers = Vec::with_capacity(normals.len());
        for normal in normals {
            meter.spend(256)?;
            numbers.push(match normal {
                None => NULL,
                Some(text) => values.number_of_normal(field.kind, text, host)?,
            });
        }
        let mut codes = Vec::with_capacity(records);
        let mut counts = vec![0_u32; values.texts.len()];
        let mut held = 0;
        for &raw in field.codes {
            meter.spend(8)?;
            let code = match raw {
                NULL => NULL,
                raw => *numbers
                    .get(raw as usize)
                    .ok_or(Error::Internal("a code below the number of values"))?,
            };
            if let Some(count) = counts.get_mut(code as usize) {
                *count += 1;
                held += 1;
            }
            codes.push(code);
        }
        let mut column = Self {
            kind: field.kind,
            personal: field.personal,
            codes,
            counts,
            held,
            ignored: Vec::new(),
            _memory: memory,
        };
        if let Some(most) = most.filter(|_| field.kind.identifies()) {
            column.ignore(most);
        }
        Ok(column)
    }

    fn ignore(&mut self, most: usize) {
        let over = |count: u32| count as usize > most;
        self.ignored = (0..)
            .zip(&self.counts)
            .filter(|(_, count)| over(**count))
            .map(|(code, count)| (code, *count))
            .collect();
        if self.ignored.is_empty() {
            return;
        }
        for code in &mut self.codes {
            if self
                .counts
                .get(*code as usize)
                .is_some_and(|count| over(*count))
            {
                *code = NULL;
                self.held -= 1;
            }
        }
        for (code, _) in &self.ignored {
            self.counts[*code as usize] = 0;
        }
    }

    /// The share of records with a value that hold this one. Among few records, where those of one person make a value frequent, it is
    /// drawn towards `usual`, the share where all values are as frequent; from 2,000 records on it is as counted.
    pub fn frequency(&self, code: u32, usual: f64) -> f64 {
        const FEW_RECORDS: f64 = 200.0;
        let count = self.counts.get(code as usize).copied().unwrap_or(0).max(1);
        let held = self.held.max(1) as f64;
        let prior = (FEW_RECORDS - held / 10.0).max(0.0);
        (f64::from(count) + prior * usual) / (held + prior)
    }
}

/// The one spelling of a raw value, `None` for what cannot be of the kind or stands for nothing.
pub(super) fn normal(kind: Kind, raw: &str) -> Option<String> {
    match kind {
        Kind::Name => name_norm(raw),
        Kind::Date => date_digits(raw),
        Kind::Email => email_norm(raw),
        Kind::Phone => phone_digits(raw),
        Kind::Street => address_key(raw),
        Kind::Code => {
            let code: String = raw.chars().filter(|c| c.is_alphanumeric()).collect();
            (!is_null_like(raw)).then(|| code.to_uppercase())
        }
        Kind::Exact => (!is_null_like(raw)).then(|| raw.trim().to_lowercase()),
        Kind::Numeric => {
            let number: f64 = raw.trim().parse().ok()?;
            // Zero without its sign; a number that is one is written one way.
            number.is_finite().then(|| (number + 0.0).to_string())
        }
        Kind::Text => {
            let text = unaccent(raw.trim()).to_lowercase();
            let words: Vec<&str> = text.split_whitespace().collect();
            (!is_null_like(raw) && raw.len() <= 4000).then(|| words.join(" "))
        }
    }
}

/// The eight digits `yyyymmdd` of a date, right or wrong as a date: a typing error is still a date to compare. A date with the year last
/// has its day first when points separate it; with slashes whichever part can be a month is, the first in doubt.
pub(in crate::fusion) fn date_digits(raw: &str) -> Option<String> {
    let date = raw.trim();
    // What follows is the time of day.
    let date = date.split(['T', ' ']).next().unwrap_or(date);
    let parts: Vec<&str> = date.split(['-', '/', '.']).collect();
    let digits = |part: &str, most: usize| {
        (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let found = match parts[..] {
        [all] if all.len() == 8 && digits(all, 8) => all.to_owned(),
        [year, month, day]
            if year.len() == 4 && digits(year, 4) && digits(month, 2) && digits(day, 2) =>
        {
            format!("{year}{month:0>2}{day:0>2}")
        }
        [a, b, year] if year.len() == 4 && digits(year, 4) && digits(a, 2) && digits(b, 2) => {
            let over_twelve = |part: &str| part.parse::<u32>().is_ok_and(|part| part > 12);
            let day_first = date.contains('.') || over_twelve(a);
            let (month, day) = if day_first { (b, a) } else { (a, b) };
            format!("{year}{month:0>2}{day:0>2}")
        }
        _ => return None,
    };
    // No year, or the dates that forms are filled with.
    let empty = found.starts_with("0000") || found.starts_with("9999") || found == "19000101";
    (!empty).then_some(found)
}

/// E.164 where the number says its country, else its digits without leading zeros.
fn phone_digits(raw: &str) -> Option<String> {
    if let Some(number) = phone_norm(raw, None) {
        return Some(number);
    }
    if raw.trim_start().starts_with(['+', '\u{ff0b}']) || is_null_like(raw) {
        return None;
    }
    let digits: String = raw.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_start_matches('0');
    let same = |step: u8| {
        digits
            .as_bytes()
            .windows(2)
            .all(|pair| matches!(pair, [a, b] if *b == (*a - b'0' + step) % 10 + b'0'))
    };
    let junk = same(0) || same(1) || same(9) || raw.chars().any(char::is_alphabetic);
    ((7..=15).contains(&digits.len()) && !junk).then(|| digits.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: Kind, raw: &str, expected: Option<&str>) {
        assert_eq!(normal(kind, raw).as_deref(), expected, "{kind:?} {raw:?}");
    }

    #[test]
    fn one_spelling_a_kind() {
        check(Kind::Date, "1980-3-7", Some("19800307"));
        check(Kind::Date, "7.3.1980", Some("19800307"));
        check(Kind::Date, "03/07/1980", Some("19800307"));
        check(Kind::Date, "17/03/1980", Some("19800317"));
        check(Kind::Date, "1980-03-07T00:00:00", Some("19800307"));
        check(Kind::Date, "1900-01-01", None);
        check(Kind::Date, "soon", None);
        check(Kind::Phone, "(0)30 1234567", Some("301234567"));
        check(Kind::Phone, "+49 30 1234567", Some("+49301234567"));
        for junk in [
            "5555555555",
            "1234567890",
            "9876543210",
            "12",
            "1-800-FLOWERS",
        ] {
            check(Kind::Phone, junk, None);
        }
        check(Kind::Code, "ab-12 3", Some("AB123"));
        check(Kind::Exact, " F ", Some("f"));
        check(Kind::Numeric, "1.50", Some("1.5"));
        check(Kind::Numeric, "-0", Some("0"));
        check(Kind::Text, "São  Paulo", Some("sao paulo"));
        check(Kind::Text, "北京", Some("北京"));
        for (kind, _) in Kind::ALL {
            check(kind, "n/a", None);
            check(kind, "", None);
        }
    }

    #[test]
    fn unknown_kinds_name_the_known() {
        let error = Kind::of_name("nam").unwrap_err();
        assert_eq!(error.to_string(), "comparison kind \"nam\" does not exist");
        assert!(error.hint().is_some_and(|hint| hint.contains("name, date")));
        for (kind, name) in Kind::ALL {
            assert_eq!(Kind::of_name(name), Ok(kind));
            assert_eq!(kind.name(), name);
            assert!(kind.exact() < kind.levels().len());
        }
    }
}
