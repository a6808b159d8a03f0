//! What a column holds: guessed from its name and from its values, with the evidence.
//!
//! The one idea: a name is a hint and values are proof. Each role has words that its columns are called by and a test that its values
//! pass; a role whose test fails is out whatever the name says, and roles without a test need the name. From the roles follow the columns
//! to compare ([`Role::comparison`]) and which column of a channel is which of a contract ([`map_schema`]).

use super::intern::Strings;
use super::is_null_like;
use super::normalise::{email_norm, phone_norm};
use super::resolve::Kind;
use super::stitch::NULL;
use crate::host::{Host, Meter};
use crate::text::{gtin_valid, jaro_winkler};
use crate::{Error, Result};

/// What a column is taken to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// A value of its own in every row.
    Key,
    /// A given name.
    GivenName,
    /// A family name.
    FamilyName,
    /// A name in full.
    FullName,
    /// A date of birth.
    BirthDate,
    /// Another date or a time.
    Time,
    /// An e-mail address.
    Email,
    /// A telephone number.
    Phone,
    /// A street with its number.
    Street,
    /// A town.
    City,
    /// A postal code.
    PostalCode,
    /// A state or country.
    Region,
    /// A number of a person: tax, loyalty, customer.
    PersonNumber,
    /// The number of a device, browser or cookie.
    Device,
    /// A bar code.
    Gtin,
    /// A sum of money.
    Amount,
    /// Another number.
    Number,
    /// One of few values.
    Category,
    /// Other text.
    Text,
    /// No value in any row.
    Empty,
}

/// Each role with its name and the words that columns of it are called by; a pair of words counts when both are there.
const ROLES: [(Role, &str, &[&str]); 20] = [
    (
        Role::Key,
        "key",
        &["id", "key", "pk", "uuid", "guid", "record"],
    ),
    (
        Role::GivenName,
        "given_name",
        &[
            "first",
            "given",
            "forename",
            "fname",
            "firstname",
            "givenname",
            "vorname",
            "prenom",
        ],
    ),
    (
        Role::FamilyName,
        "family_name",
        &[
            "last",
            "family",
            "surname",
            "lname",
            "lastname",
            "familyname",
            "nachname",
            "sname",
        ],
    ),
    (
        Role::FullName,
        "full_name",
        &["name", "fullname", "customer name", "contact", "person"],
    ),
    (
        Role::BirthDate,
        "birth_date",
        &[
            "dob",
            "birth",
            "birthday",
            "birthdate",
            "birth date",
            "date birth",
            "geburtsdatum",
        ],
    ),
    (
        Role::Time,
        "time",
        &[
            "date",
            "time",
            "at",
            "timestamp",
            "ts",
            "created",
            "updated",
            "seen",
            "day",
        ],
    ),
    (
        Role::Email,
        "email",
        &["email", "mail", "e mail", "emailaddress"],
    ),
    (
        Role::Phone,
        "phone",
        &[
            "phone",
            "mobile",
            "tel",
            "telephone",
            "cell",
            "msisdn",
            "fax",
            "telefon",
        ],
    ),
    (
        Role::Street,
        "street",
        &[
            "street",
            "address",
            "addr",
            "address1",
            "address 1",
            "road",
            "strasse",
            "line1",
            "line 1",
        ],
    ),
    (
        Role::City,
        "city",
        &[
            "city", "town", "suburb", "locality", "ort", "ville", "stadt",
        ],
    ),
    (
        Role::PostalCode,
        "postal_code",
        &["zip", "postcode", "postal", "plz", "zipcode", "postalcode"],
    ),
    (
        Role::Region,
        "region",
        &["state", "country", "region", "province", "land", "county"],
    ),
    (
        Role::PersonNumber,
        "person_number",
        &[
            "ssn", "loyalty", "card", "tax", "soc sec", "passport", "member", "customer", "user",
            "account",
        ],
    ),
    (
        Role::Device,
        "device",
        &[
            "device", "cookie", "browser", "idfa", "gaid", "session", "visitor", "ip",
        ],
    ),
    (
        Role::Gtin,
        "gtin",
        &["gtin", "ean", "upc", "barcode", "isbn"],
    ),
    (
        Role::Amount,
        "amount",
        &[
            "price", "amount", "total", "cost", "revenue", "value", "sum", "fee",
        ],
    ),
    (
        Role::Number,
        "number",
        &[
            "count", "quantity", "qty", "number", "num", "score", "age", "rank",
        ],
    ),
    (
        Role::Category,
        "category",
        &[
            "type", "gender", "sex", "status", "category", "channel", "currency", "class",
            "segment",
        ],
    ),
    (
        Role::Text,
        "text",
        &[
            "title",
            "description",
            "comment",
            "note",
            "text",
            "message",
            "subject",
            "brand",
        ],
    ),
    (Role::Empty, "empty", &[]),
];

impl Role {
    /// The name of the role.
    pub fn name(self) -> &'static str {
        ROLES
            .iter()
            .find(|(role, ..)| *role == self)
            .map_or("text", |(_, name, _)| name)
    }

    /// How a column of this role is compared when records of people are resolved, and whether its value is one's own and not the
    /// family's; `None` for what says nothing of who somebody is.
    pub fn comparison(self) -> Option<(Kind, bool)> {
        match self {
            Self::GivenName => Some((Kind::Name, true)),
            Self::FamilyName => Some((Kind::Name, false)),
            Self::FullName => Some((Kind::Text, true)),
            Self::BirthDate => Some((Kind::Date, true)),
            Self::Email => Some((Kind::Email, false)),
            Self::Phone => Some((Kind::Phone, false)),
            Self::Street => Some((Kind::Street, false)),
            Self::City => Some((Kind::Text, false)),
            Self::PostalCode => Some((Kind::Code, false)),
            Self::Region => Some((Kind::Exact, false)),
            Self::PersonNumber => Some((Kind::Code, true)),
            _ => None,
        }
    }
}

/// A column looked through.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Rows.
    pub rows: usize,
    /// Rows without a value, or with one that stands for none, such as `n/a`.
    pub nulls: usize,
    /// Distinct values among the others.
    pub distinct: usize,
    /// The number of the most frequent value and how many rows have it; `None` without values.
    pub top: Option<(u32, u32)>,
    /// Of numbers, those beyond three times the middle half's width from it (Tukey's far outliers).
    pub outliers: usize,
    /// What it is taken to hold.
    pub role: Role,
    /// How sure that is, in 0..=1: the share of rows whose values pass the role's test, and whether the name agrees.
    pub confidence: f64,
}

/// Looks through a column called `name`, of which `codes` holds each row's number in `values`, or [`NULL`].
///
/// Time O(rows + distinct values log distinct values).
///
/// # Errors
/// [`Error::Internal`] for a code that is not below the number of values; [`Error::Cancelled`].
pub fn profile(name: &str, codes: &[u32], values: &Strings, host: &dyn Host) -> Result<Profile> {
    let mut meter = Meter::new(host);
    let mut counts = vec![0_u32; values.len()];
    for &code in codes.iter().filter(|code| **code != NULL) {
        meter.spend(8)?;
        *counts
            .get_mut(code as usize)
            .ok_or(Error::Internal("a code below the number of values"))? += 1;
    }
    let mut seen = Seen::default();
    let mut top: Option<(u32, u32)> = None;
    let mut distinct = 0;
    let mut numbers: Vec<(f64, u32)> = Vec::new();
    for (code, &count) in (0..).zip(&counts).filter(|(_, count)| **count > 0) {
        meter.spend(512)?;
        let text = std::str::from_utf8(values.get(code).unwrap_or_default())
            .unwrap_or_default()
            .trim();
        if is_null_like(text) && text != "0" {
            continue;
        }
        distinct += 1;
        if top.is_none_or(|(_, most)| count > most) {
            top = Some((code, count));
        }
        if let Some(number) = text.parse().ok().filter(|number: &f64| number.is_finite()) {
            numbers.push((number, count));
        }
        seen.look(text, f64::from(count));
    }
    let held: usize = seen.rows as usize;
    let unique = held > 1 && distinct == held;
    let (role, confidence) = seen.role(name, distinct, unique);
    Ok(Profile {
        rows: codes.len(),
        nulls: codes.len() - held,
        distinct,
        top,
        outliers: if seen.number >= 0.9 * seen.rows {
            far_outliers(numbers)
        } else {
            0
        },
        role,
        confidence,
    })
}

/// Rows whose values pass each test.
#[derive(Debug, Default)]
struct Seen {
    rows: f64,
    email: f64,
    phone: f64,
    date: f64,
    gtin: f64,
    number: f64,
    /// Letters and no digit.
    letters: f64,
    /// Both letters and digits, and a blank.
    address: f64,
    /// One word without blanks that has a digit.
    code: f64,
    /// Years of birth: dates from 1900 on, before 2025.
    birth: f64,
}

impl Seen {
    fn look(&mut self, text: &str, rows: f64) {
        let digit = text.chars().any(char::is_numeric);
        let letter = text.chars().any(char::is_alphabetic);
        let blank = text.contains(char::is_whitespace);
        let only_phone_signs = text
            .chars()
            .all(|c| c.is_numeric() || " +-./()".contains(c));
        let digits = text.chars().filter(|c| c.is_numeric()).count();
        let date = super::resolve::date_of(text);
        self.rows += rows;
        for (tally, passes) in [
            (&mut self.email, email_norm(text).is_some()),
            (
                &mut self.phone,
                (only_phone_signs && (9..=15).contains(&digits))
                    || phone_norm(text, None).is_some(),
            ),
            (&mut self.date, date.is_some()),
            (&mut self.gtin, gtin_valid(text)),
            (&mut self.number, text.parse::<f64>().is_ok()),
            (&mut self.letters, letter && !digit),
            (&mut self.address, letter && digit && blank),
            (&mut self.code, digit && !blank),
            (
                &mut self.birth,
                date.is_some_and(|date| ("19000101".."20250101").contains(&date.as_str())),
            ),
        ] {
            if passes {
                *tally += rows;
            }
        }
    }

    /// The best role and how sure it is: half for the name, half for the values.
    fn role(&self, name: &str, distinct: usize, unique: bool) -> (Role, f64) {
        if self.rows == 0.0 {
            return (Role::Empty, 1.0);
        }
        let few = distinct <= 50 && (distinct as f64) < 0.2 * self.rows;
        let mut best = (Role::Text, 0.0);
        for (role, _, words) in ROLES {
            let named = name_evidence(name, words);
            let share = |passed: f64| passed / self.rows;
            // How well values fit, and whether they can prove the role without a name.
            let (fit, proof) = match role {
                Role::Email => (share(self.email), true),
                Role::Gtin => (share(self.gtin), true),
                Role::BirthDate => (share(self.birth), false),
                Role::Time => (share(self.date), true),
                Role::Phone => (share(self.phone), !unique && share(self.number) < 0.5),
                Role::GivenName | Role::FamilyName | Role::FullName | Role::City => {
                    (share(self.letters), false)
                }
                // The number of the house may be in a column of its own.
                Role::Street => (share(self.address).max(0.7 * share(self.letters)), false),
                Role::PostalCode | Role::PersonNumber | Role::Device => (share(self.code), false),
                Role::Amount | Role::Number => {
                    (share(self.number), role == Role::Number && !unique)
                }
                Role::Category | Role::Region => (f64::from(u8::from(few)), role == Role::Category),
                Role::Key => (f64::from(u8::from(unique)), true),
                Role::Text => (0.3, true),
                Role::Empty => (0.0, false),
            };
            // Placeholders and errors are in every column, but not in half of it; addresses may lack a number, places have few values.
            let least = if matches!(role, Role::Street | Role::PersonNumber | Role::Device) {
                0.3
            } else {
                0.6
            };
            if (fit < least && role != Role::Text) || (named == 0.0 && !proof) {
                continue;
            }
            let score = 0.5 * fit.min(1.0) + 0.5 * named;
            if score > best.1 {
                best = (role, score);
            }
        }
        best
    }
}

/// How well a column's name says a role: 1 for all of a role's words, less for a word among others, 0 for none.
fn name_evidence(name: &str, words: &[&str]) -> f64 {
    let parts = name_parts(name);
    let has = |word: &str| parts.iter().any(|part| part == word);
    let said = words
        .iter()
        .filter(|word| word.split(' ').all(has))
        .map(|word| word.split(' ').count())
        .max();
    said.map_or(0.0, |said| {
        0.6 + 0.4 * said as f64 / parts.len().max(1) as f64
    })
}

/// The words of a column's name: `custFirstName_1` is cust, first, name, 1.
fn name_parts(name: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut before = ' ';
    for c in name.chars() {
        if !c.is_alphanumeric() {
            before = ' ';
            continue;
        }
        let begins = before == ' ' || (c.is_uppercase() && before.is_lowercase());
        match parts.last_mut().filter(|_| !begins) {
            Some(part) => part.extend(c.to_lowercase()),
            None => parts.push(c.to_lowercase().collect()),
        }
        before = c;
    }
    parts
}

/// Rows whose number is further from the middle half than three times its width.
fn far_outliers(mut numbers: Vec<(f64, u32)>) -> usize {
    numbers.sort_by(|a, b| a.0.total_cmp(&b.0));
    let rows: u64 = numbers.iter().map(|(_, count)| u64::from(*count)).sum();
    let at = |share: u64| {
        let mut before = 0;
        let found = numbers.iter().find(|(_, count)| {
            before += u64::from(*count);
            before * 4 > rows.saturating_sub(1) * share
        });
        found.map_or(0.0, |(number, _)| *number)
    };
    let (low, high) = (at(1), at(3));
    let width = 3.0 * (high - low);
    let far = |number: f64| number < low - width || number > high + width;
    numbers
        .iter()
        .filter(|(number, _)| width > 0.0 && far(*number))
        .map(|(_, count)| *count as usize)
        .sum()
}

/// A column of a channel that is taken for one of a contract.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapping {
    /// Index of the channel's column.
    pub source: usize,
    /// Index of the contract's column.
    pub target: usize,
    /// In 0..=1: half for the names, half for the values.
    pub score: f64,
    /// Similarity of the names, in 0..=1.
    pub names: f64,
    /// Whether the values have the role that the contract's column is called by.
    pub role: Option<Role>,
}

/// Which column of a channel, by name and profile, is which of a contract, by name: the best pairs first, each column at most once, none below a
/// score of one half.
///
/// Time O(columns^2).
pub fn map_schema(source: &[(&str, Profile)], target: &[&str]) -> Vec<Mapping> {
    let mut pairs = Vec::new();
    for (from, (name, profile)) in source.iter().enumerate() {
        for (to, wanted) in target.iter().enumerate() {
            let names = names_alike(name, wanted);
            let roles = roles_of(wanted);
            let role = roles.contains(&profile.role).then_some(profile.role);
            let values = match (role, roles.is_empty()) {
                (Some(_), _) => profile.confidence.max(0.5),
                // The contract's name says nothing of values.
                (None, true) => 0.5 * names,
                (None, false) => 0.0,
            };
            let score = 0.5 * names + 0.5 * values;
            if score >= 0.5 {
                pairs.push(Mapping {
                    source: from,
                    target: to,
                    score,
                    names,
                    role,
                });
            }
        }
    }
    pairs.sort_by(|a, b| {
        b.score
            .total_cmp(&a.score)
            .then(a.source.cmp(&b.source))
            .then(a.target.cmp(&b.target))
    });
    let mut taken = (vec![false; source.len()], vec![false; target.len()]);
    pairs.retain(|pair| {
        let free = !taken.0[pair.source] && !taken.1[pair.target];
        taken.0[pair.source] |= free;
        taken.1[pair.target] |= free;
        free
    });
    pairs
}

/// The roles that a name says as clearly as any.
fn roles_of(name: &str) -> Vec<Role> {
    let said = ROLES.map(|(role, _, words)| (role, name_evidence(name, words)));
    let most = said
        .iter()
        .map(|(_, evidence)| *evidence)
        .fold(0.0, f64::max);
    said.into_iter()
        .filter(|(_, evidence)| *evidence > 0.0 && *evidence >= most - 0.2)
        .map(|(role, _)| role)
        .collect()
}

/// How alike two names of columns are: by their words, each with its best partner, or one by role words of the same role.
fn names_alike(a: &str, b: &str) -> f64 {
    let (x, y) = (name_parts(a), name_parts(b));
    if x.is_empty() || y.is_empty() {
        return 0.0;
    }
    let partner = |word: &String, others: &[String]| {
        let similarity = others
            .iter()
            .map(|other| jaro_winkler(word, other))
            .fold(0.0, f64::max);
        if similarity >= 0.85 { similarity } else { 0.0 }
    };
    let one_way = |from: &[String], to: &[String]| {
        from.iter().map(|word| partner(word, to)).sum::<f64>() / from.len() as f64
    };
    let words = 0.5 * (one_way(&x, &y) + one_way(&y, &x));
    let strength = ROLES
        .iter()
        .map(|(_, _, words)| name_evidence(a, words).min(name_evidence(b, words)))
        .fold(0.0, f64::max);
    words.max(0.9 * strength)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unlimited;

    fn looked(name: &str, rows: &[&str]) -> Profile {
        let mut values = Strings::new();
        let code = |text: &&str| {
            if text.is_empty() {
                NULL
            } else {
                values.intern(text.as_bytes(), &Unlimited).unwrap()
            }
        };
        let codes: Vec<u32> = rows.iter().map(code).collect();
        profile(name, &codes, &values, &Unlimited).unwrap()
    }

    fn check(name: &str, rows: &[&str], expected: Role) {
        let found = looked(name, rows);
        assert_eq!(found.role, expected, "{name} {found:?}");
    }

    #[test]
    fn roles_by_name_and_value() {
        check("given_name", &["ann", "bob", "ann", ""], Role::GivenName);
        check(
            "LastName",
            &["lee", "o'neill", "n/a", "lee"],
            Role::FamilyName,
        );
        check(
            "customer_email",
            &["a@x.org", "b@y.org", "oops", "a@x.org"],
            Role::Email,
        );
        check("kontakt", &["a@x.org", "b@y.org", "a@x.org"], Role::Email);
        check(
            "mobile",
            &["+49 30 1234567", "030 1234567", "+49 30 1234567"],
            Role::Phone,
        );
        check(
            "dob",
            &["1980-01-02", "1975-12-31", "1980-01-02"],
            Role::BirthDate,
        );
        check(
            "created_at",
            &["2024-01-02", "2024-12-31", "2024-01-02"],
            Role::Time,
        );
        check(
            "address_1",
            &["5 main st", "12 oak lane", "5 main st"],
            Role::Street,
        );
        check(
            "address_2",
            &["main street", "oak lane", "main street"],
            Role::Street,
        );
        check("postcode", &["2000", "2001", "2000"], Role::PostalCode);
        check("loyalty_id", &["L-77", "L-78", "L-77"], Role::PersonNumber);
        check(
            "ean",
            &["4006381333931", "9780306406157", "4006381333931"],
            Role::Gtin,
        );
        check("record_id", &["1", "2", "3"], Role::Key);
        check("x", &["", "", ""], Role::Empty);
        check("channel", &["web"; 20], Role::Category);
        check("price", &["1.5", "2", "1.5"], Role::Amount);
    }

    #[test]
    fn a_name_does_not_make_an_email() {
        check("email", &["yes", "no", "maybe", "yes"], Role::Text);
    }

    #[test]
    fn counts_by_hand() {
        let found = looked("n", &["1", "2", "2", "3", "1000", "n/a", ""]);
        assert_eq!((found.rows, found.nulls, found.distinct), (7, 2, 4));
        assert_eq!((found.top, found.outliers), (Some((1, 2)), 1));
    }

    #[test]
    fn channel_columns_find_their_place() {
        let source = [
            (
                "EMAIL_ADDR",
                looked("EMAIL_ADDR", &["a@x.org", "b@y.org", "a@x.org"]),
            ),
            ("fname", looked("fname", &["ann", "bob", "ann"])),
            ("surname", looked("surname", &["lee", "ray", "lee"])),
            (
                "geburtsdatum",
                looked("geburtsdatum", &["1980-01-02", "1975-12-31", "1980-01-02"]),
            ),
            (
                "favourite",
                looked("favourite", &["tea", "milk", "rum", "gin"]),
            ),
        ];
        let target = ["first_name", "last_name", "birth_date", "email", "phone"];
        let found = map_schema(&source, &target);
        let mut pairs: Vec<(usize, usize)> = found
            .iter()
            .map(|found| (found.source, found.target))
            .collect();
        pairs.sort_unstable();
        assert_eq!(pairs, [(0, 3), (1, 0), (2, 1), (3, 2)]);
        assert!(found.iter().all(|found| (0.5..=1.0).contains(&found.score)));
    }
}
