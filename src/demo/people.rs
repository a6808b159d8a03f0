//! The people and channel accounts that the demo makes up for each household.
//!
//! The raw data knows a household by its number only. For each, one or two shoppers are drawn, and
//! each shopper opens accounts in the four channels the way people do: the same address in other
//! letters, a second mailbox, a landline that the family shares, a card number misread at the till,
//! fields left out or filled with "n/a". Accounts of different households meet as well: at a kiosk
//! in the store, behind a company's switchboard, on the cashier's own card. All of it is drawn by
//! [`Draw`] from the household's number, so it is the same on every machine. Nobody is real: given
//! and family names are drawn apart from each other, each address carries the household's number,
//! telephone numbers are of the range that is kept free for fiction (555-0100 to 555-0199).

use super::draw::Draw;
use super::names::{FAMILY, GIVEN, MAIL_DOMAINS, SHORT_FORMS, STREETS, TOWNS};

/// A day in microseconds.
pub(super) const DAY_US: i64 = 86_400 * 1_000_000;

/// 1 January 2017, the first day of the raw data, in days since 1970.
pub(super) const FIRST_DAY: i64 = 17_167;

/// What people put into a field that they do not want to fill.
const JUNK: &[&str] = &["", "n/a", "unknown", "-", "none", "NULL", "x", "test"];

/// Numbers that are given by people who keep theirs.
const JUNK_PHONES: &[&str] = &["000-000-0000", "555", "n/a", "123"];

/// Mailboxes that are given by people of different households.
const JUNK_MAIL: &[&str] = &[
    "noreply@example.com",
    "test@example.com",
    "no@email.example",
];

/// How many kiosks, switchboards and cashiers' cards there are.
const KIOSKS: u64 = 2;
const SWITCHBOARDS: u64 = 3;
const CASHIER_CARDS: u64 = 3;

/// A channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum ChannelName {
    /// The web shop.
    Web,
    /// The mobile app.
    App,
    /// The shops on social networks.
    Social,
    /// The stores.
    Store,
}

impl ChannelName {
    /// All four.
    pub(super) const ALL: [Self; 4] = [Self::Web, Self::App, Self::Social, Self::Store];

    /// Its name, which is also its schema's.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::App => "app",
            Self::Social => "social",
            Self::Store => "store",
        }
    }

    fn number(self) -> i64 {
        match self {
            Self::Web => 0,
            Self::App => 1,
            Self::Social => 2,
            Self::Store => 3,
        }
    }

    /// How often of 1,000 times each field of an account is filled.
    fn habits(self) -> Habits {
        match self {
            Self::Web => Habits {
                name: 970,
                email: 970,
                phone: 550,
                loyalty: 500,
                device: 900,
                street: 800,
                born: 250,
            },
            Self::App => Habits {
                name: 880,
                email: 900,
                phone: 800,
                loyalty: 620,
                device: 1000,
                street: 0,
                born: 400,
            },
            Self::Social => Habits {
                name: 950,
                email: 720,
                phone: 300,
                loyalty: 120,
                device: 350,
                street: 0,
                born: 100,
            },
            Self::Store => Habits {
                name: 960,
                email: 450,
                phone: 700,
                loyalty: 940,
                device: 0,
                street: 850,
                born: 500,
            },
        }
    }
}

struct Habits {
    name: u64,
    email: u64,
    phone: u64,
    loyalty: u64,
    device: u64,
    street: u64,
    born: u64,
}

/// What the raw data tells of a household beside its number.
#[derive(Debug, Clone, Default)]
pub(super) struct Demographics {
    /// The age band of its head: `45-54`, `65+`.
    pub(super) age: Option<String>,
    /// Whether two adults live in it; `None` when that is not known.
    pub(super) two_adults: Option<bool>,
}

/// An account of a channel: what its owner typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    /// The household it belongs to: the truth that fusion is scored against.
    pub(super) household: i64,
    /// A number of its own within the channel, in no visible relation to the household's.
    pub(super) number: i64,
    pub(super) first_name: Option<String>,
    pub(super) last_name: Option<String>,
    pub(super) email: Option<String>,
    pub(super) phone: Option<String>,
    /// Nine digits, or what was typed instead.
    pub(super) loyalty_id: Option<String>,
    pub(super) device_id: Option<String>,
    pub(super) street: Option<String>,
    pub(super) city: Option<String>,
    pub(super) postcode: Option<String>,
    /// Days since 1970.
    pub(super) born_on: Option<i64>,
    /// Microseconds since 1970, before the first purchase in the data.
    pub(super) created_at: i64,
}

/// A household with its shoppers.
pub(super) struct Household {
    id: i64,
    shoppers: Vec<Shopper>,
    landline: String,
    loyalty_id: String,
    second_loyalty_id: String,
    street: String,
    city: &'static str,
    postcode: String,
}

struct Shopper {
    first: &'static str,
    last: &'static str,
    email: String,
    second_email: String,
    mobile: String,
    phone_device: String,
    born_on: i64,
}

impl Household {
    /// Makes up the people of a household.
    pub(super) fn new(id: i64, demographics: &Demographics) -> Self {
        let draw = &mut Draw::of("household", &[id]);
        let two = demographics.two_adults.unwrap_or_else(|| draw.chance(550));
        let family = draw.pick(FAMILY);
        let (city, prefix) = TOWNS
            .get(draw.index(TOWNS.len()))
            .copied()
            .unwrap_or(("Fairview", 450));
        let street = format!("{} {}", draw.between(1, 980), draw.pick(STREETS));
        let postcode = format!("{prefix}{:02}", draw.below(100));
        let landline = phone_number(id * 3);
        // The card's number is the household's, through a bijection, with a digit for the
        // programme's version.
        let loyalty_id = format!("1{:08}", scrambled(id, 3));
        let second_loyalty_id = format!("2{:08}", scrambled(id, 3));
        let shoppers = (0..if two { 2_i64 } else { 1 })
            .map(|position| Shopper::new(id, position, family, demographics, draw))
            .collect();
        Self {
            id,
            shoppers,
            landline,
            loyalty_id,
            second_loyalty_id,
            street,
            city,
            postcode,
        }
    }

    /// The accounts of the household in a channel: one to four.
    pub(super) fn accounts(&self, channel: ChannelName) -> Vec<Account> {
        let draw = &mut Draw::of("accounts", &[self.id, channel.number()]);
        let count = draw.weighted(&[550, 280, 120, 50]);
        (0..=count)
            .filter_map(|position| self.account(channel, position))
            .collect()
    }

    fn account(&self, channel: ChannelName, position: usize) -> Option<Account> {
        let slot = i64::try_from(position).ok()?;
        let draw = &mut Draw::of("account", &[self.id, channel.number(), slot]);
        // The first account is the first shopper's; a later one is the other's, or the same
        // person's once more.
        let shopper = match self.shoppers.get(1) {
            Some(second) if position > 0 && draw.chance(600) => second,
            _ => self.shoppers.first()?,
        };
        let habits = channel.habits();
        let named = draw.chance(habits.name);
        let at_home = draw.chance(habits.street);
        let account = Account {
            household: self.id,
            number: scrambled(self.id * 4 + slot, channel.number()),
            first_name: if named {
                Some(typed_name(&given_name(shopper.first, draw), draw))
            } else {
                missing(draw)
            },
            last_name: if named {
                Some(typed_name(shopper.last, draw))
            } else {
                missing(draw)
            },
            email: if draw.chance(habits.email) {
                Some(typed_email(shopper, draw))
            } else {
                missing(draw)
            },
            phone: if draw.chance(habits.phone) {
                Some(self.typed_phone(shopper, draw))
            } else {
                missing(draw)
            },
            loyalty_id: if draw.chance(habits.loyalty) {
                Some(self.typed_loyalty_id(channel, draw))
            } else {
                missing(draw)
            },
            device_id: if draw.chance(habits.device) {
                Some(self.device(channel, shopper, slot, draw))
            } else {
                None
            },
            street: if at_home {
                Some(typed_street(&self.street, draw))
            } else {
                None
            },
            city: if at_home {
                Some(self.city.to_owned())
            } else {
                None
            },
            postcode: if at_home {
                Some(self.postcode.clone())
            } else {
                None
            },
            born_on: draw.chance(habits.born).then_some(shopper.born_on),
            created_at: (FIRST_DAY - draw.between(1, 1000)) * DAY_US + draw.between(0, DAY_US - 1),
        };
        Some(account)
    }

    fn typed_phone(&self, shopper: &Shopper, draw: &mut Draw) -> String {
        let number = match draw.below(1000) {
            0..=11 => return switchboard(draw.below(SWITCHBOARDS)),
            12..=31 => return draw.pick(JUNK_PHONES).to_owned(),
            32..=281 => &self.landline,
            _ => &shopper.mobile,
        };
        let (area, exchange, line) = phone_parts(number);
        match draw.weighted(&[30, 20, 15, 12, 10, 8, 5]) {
            0 => format!("({area}) {exchange}-{line}"),
            1 => format!("{area}-{exchange}-{line}"),
            2 => format!("+1 {area} {exchange} {line}"),
            3 => number.to_owned(),
            4 => format!("{area}.{exchange}.{line}"),
            5 => format!("1-{area}-{exchange}-{line}"),
            _ => format!("+1{number}"),
        }
    }

    fn typed_loyalty_id(&self, channel: ChannelName, draw: &mut Draw) -> String {
        match draw.below(1000) {
            // A customer without a card: the cashier swipes the one that lies at the till.
            0..=14 if channel == ChannelName::Store => format!("9{:08}", draw.below(CASHIER_CARDS)),
            // A lost card, replaced by one with a new number.
            15..=44 => self.second_loyalty_id.clone(),
            45..=54 => with_swapped_neighbours(&self.loyalty_id, draw),
            _ => self.loyalty_id.clone(),
        }
    }

    fn device(
        &self,
        channel: ChannelName,
        shopper: &Shopper,
        slot: i64,
        draw: &mut Draw,
    ) -> String {
        match (channel, draw.below(1000)) {
            (ChannelName::Web, 0..=79) => format!("kiosk-{}", draw.below(KIOSKS) + 1),
            // Links opened from the app carry its device into the browser.
            (ChannelName::Web, 80..=299) | (ChannelName::Social, 0..=699) => {
                shopper.phone_device.clone()
            }
            // The family's tablet.
            (ChannelName::App, 0..=119) => {
                format!("tab-{:012x}", Draw::of("tablet", &[self.id]).bits() >> 16)
            }
            (ChannelName::App, _) => shopper.phone_device.clone(),
            _ => format!(
                "ck-{:012x}",
                Draw::of("cookie", &[self.id, channel.number(), slot]).bits() >> 16
            ),
        }
    }
}

impl Shopper {
    fn new(
        household: i64,
        position: i64,
        family: &'static str,
        facts: &Demographics,
        draw: &mut Draw,
    ) -> Self {
        let first = draw.pick(GIVEN);
        let last = if position > 0 && draw.chance(120) {
            draw.pick(FAMILY)
        } else {
            family
        };
        let domain = draw.pick(MAIL_DOMAINS);
        let work = draw.pick(&["work.example.com", "office.example.net", "mail.example.org"]);
        let (given, surname) = (first.to_lowercase(), last.to_lowercase().replace('\'', ""));
        let initial: String = given.chars().take(1).collect();
        let local = match draw.below(3) {
            0 => format!("{given}.{surname}{household}"),
            1 => format!("{initial}{surname}{household}"),
            _ => format!("{given}{household}"),
        };
        let age = match facts.age.as_deref() {
            Some("19-24") => draw.between(19, 24),
            Some("25-34") => draw.between(25, 34),
            Some("35-44") => draw.between(35, 44),
            Some("45-54") => draw.between(45, 54),
            Some("55-64") => draw.between(55, 64),
            Some("65+") => draw.between(65, 85),
            _ => draw.between(19, 80),
        };
        let system = draw.pick(&["ios", "and"]);
        Self {
            first,
            last,
            email: format!("{local}@{domain}"),
            second_email: format!("{initial}.{surname}.{household}@{work}"),
            mobile: phone_number(household * 3 + 1 + position),
            phone_device: format!("{system}-{:012x}", draw.bits() >> 16),
            born_on: FIRST_DAY - age * 365 - draw.between(0, 364),
        }
    }
}

/// A number of eight digits or fewer, different for every `index` below 2^24 and in no visible
/// relation to it.
fn scrambled(index: i64, channel: i64) -> i64 {
    // An odd factor permutes the residues modulo a power of two.
    const MODULUS: i64 = 1 << 24;
    (index * 10_368_889 + channel * 4_127_311).rem_euclid(MODULUS) + MODULUS
}

fn missing(draw: &mut Draw) -> Option<String> {
    draw.chance(300).then(|| draw.pick(JUNK).to_owned())
}

fn given_name(first: &str, draw: &mut Draw) -> String {
    match SHORT_FORMS.iter().find(|(given, _)| *given == first) {
        Some((_, short)) if draw.chance(200) => (*short).to_owned(),
        _ if draw.chance(30) => first.chars().take(1).collect(),
        _ => first.to_owned(),
    }
}

fn typed_name(name: &str, draw: &mut Draw) -> String {
    match draw.below(1000) {
        0..=59 => name.to_uppercase(),
        60..=139 => name.to_lowercase(),
        140..=159 => format!("{name} "),
        160..=184 => with_swapped_neighbours(name, draw),
        185..=199 => with_one_letter_less(name, draw),
        _ => name.to_owned(),
    }
}

fn typed_email(shopper: &Shopper, draw: &mut Draw) -> String {
    let email = match draw.below(1000) {
        0..=6 => return draw.pick(JUNK_MAIL).to_owned(),
        7..=96 => &shopper.second_email,
        _ => &shopper.email,
    };
    let (local, domain) = email.split_once('@').unwrap_or((email, "example.com"));
    match draw.below(1000) {
        0..=99 => email.to_uppercase(),
        100..=139 => {
            format!(
                "{}{local}@{domain}",
                if draw.chance(500) { " " } else { "" }
            ) + " "
        }
        140..=179 => format!("{}@{domain}", with_swapped_neighbours(local, draw)),
        180..=194 => email.replace(".com", ".con"),
        // Gmail reads neither dots nor what follows a plus sign.
        195..=344 if domain == "gmail.com" => format!("{}@{domain}", dotted(local, draw)),
        345..=444 if domain == "gmail.com" => {
            format!(
                "{local}+{}@{domain}",
                draw.pick(&["shop", "grocery", "deals", "app"])
            )
        }
        _ => email.to_owned(),
    }
}

fn typed_street(street: &str, draw: &mut Draw) -> String {
    match draw.below(1000) {
        0..=249 => street
            .replace("Street", "St")
            .replace("Avenue", "Ave")
            .replace("Road", "Rd")
            .replace("Drive", "Dr"),
        250..=309 => street.to_uppercase(),
        310..=339 => with_swapped_neighbours(street, draw),
        _ => street.to_owned(),
    }
}

/// Ten digits of the range kept free for fiction, different for every `index` below 56,000.
fn phone_number(index: i64) -> String {
    // 560 area codes with 100 numbers each; the factor has no divisor in common with 56,000. A
    // middle digit from 2 to 8 keeps clear of service codes (N11) and of codes held back (N9X).
    let place = (index * 26_153).rem_euclid(56_000);
    let (code, line) = (place / 100, place % 100);
    let area = (2 + code / 70) * 100 + (2 + code / 10 % 7) * 10 + code % 10;
    format!("{area}55501{line:02}")
}

fn phone_parts(number: &str) -> (&str, &str, &str) {
    let (area, rest) = number.split_at_checked(3).unwrap_or((number, ""));
    let (exchange, line) = rest.split_at_checked(3).unwrap_or((rest, ""));
    (area, exchange, line)
}

fn switchboard(number: u64) -> String {
    format!("(800) 555-01{:02}", number % 100)
}

fn dotted(local: &str, draw: &mut Draw) -> String {
    let bare: String = local.chars().filter(|letter| *letter != '.').collect();
    let at = 1 + draw.index(bare.len().saturating_sub(1));
    match bare.split_at_checked(at) {
        Some((left, right)) if !right.is_empty() => format!("{left}.{right}"),
        _ => bare,
    }
}

fn with_swapped_neighbours(text: &str, draw: &mut Draw) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    if letters.len() > 2 {
        let at = 1 + draw.index(letters.len() - 2);
        letters.swap(at, at + 1);
    }
    letters.into_iter().collect()
}

fn with_one_letter_less(text: &str, draw: &mut Draw) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    if letters.len() > 2 {
        letters.remove(1 + draw.index(letters.len() - 1));
    }
    letters.into_iter().collect()
}
