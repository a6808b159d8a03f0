//! People as shops know them: one person in several channels, each time a little different.
//!
//! Made from a seed: households that share a family name, a street and often a telephone; given names with short forms,
//! typing errors, names that change places, names taken in marriage, people who move, second e-mail addresses, junk values, fields
//! that a channel does not ask for. Common names are common: frequencies fall with the rank.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Names of the columns, in the order of [`Person::columns`].
pub const COLUMNS: [&str; 6] = ["first_name", "last_name", "dob", "email", "phone", "street"];

/// A record of a person in a channel; a missing field is empty.
#[derive(Debug, Clone)]
pub struct Record {
    /// Number of the person.
    pub person: u32,
    /// Number of the channel: store, web, app, social.
    pub channel: u8,
    /// The fields, after [`COLUMNS`].
    pub fields: [String; 6],
}

/// How bad the data is: all rates are multiplied by this.
#[derive(Debug, Clone, Copy)]
pub struct Noise(pub f64);

const MALE: &str = "james robert john michael david william richard joseph thomas charles christopher daniel matthew \
anthony mark donald steven paul andrew joshua kenneth kevin brian george timothy ronald edward jason jeffrey ryan jacob \
gary nicholas eric jonathan stephen larry justin scott brandon benjamin samuel gregory alexander patrick frank raymond \
jack dennis jerry tyler aaron jose adam nathan henry zachary douglas peter kyle noah ethan jeremy walter christian keith \
roger terry austin sean gerald carl harold dylan arthur lawrence jordan jesse bryan billy bruce gabriel joe logan alan";
const FEMALE: &str = "mary patricia jennifer linda elizabeth barbara susan jessica sarah karen lisa nancy betty sandra \
margaret ashley kimberly emily donna michelle carol amanda melissa deborah stephanie rebecca sharon laura cynthia dorothy \
amy kathleen angela shirley emma brenda pamela nicole anna samantha katherine christine debra rachel carolyn janet maria \
olivia heather helen catherine diane julie victoria joyce lauren kelly christina ruth joan virginia judith evelyn hannah \
andrea megan cheryl jacqueline madison teresa abigail sophia martha sara gloria janice kathryn ann isabella judy charlotte";
const SHORT: &[(&str, &str)] = &[
    ("william", "bill"),
    ("robert", "bob"),
    ("richard", "rick"),
    ("james", "jim"),
    ("john", "jack"),
    ("michael", "mike"),
    ("joseph", "joe"),
    ("thomas", "tom"),
    ("charles", "chuck"),
    ("christopher", "chris"),
    ("daniel", "dan"),
    ("matthew", "matt"),
    ("anthony", "tony"),
    ("steven", "steve"),
    ("andrew", "andy"),
    ("joshua", "josh"),
    ("kenneth", "ken"),
    ("timothy", "tim"),
    ("ronald", "ron"),
    ("edward", "ed"),
    ("jeffrey", "jeff"),
    ("nicholas", "nick"),
    ("jonathan", "jon"),
    ("benjamin", "ben"),
    ("samuel", "sam"),
    ("gregory", "greg"),
    ("alexander", "alex"),
    ("patrick", "pat"),
    ("elizabeth", "liz"),
    ("jennifer", "jen"),
    ("patricia", "pat"),
    ("barbara", "barb"),
    ("susan", "sue"),
    ("jessica", "jess"),
    ("margaret", "peggy"),
    ("kimberly", "kim"),
    ("deborah", "debbie"),
    ("rebecca", "becky"),
    ("katherine", "kate"),
    ("catherine", "cathy"),
    ("christine", "chris"),
    ("samantha", "sam"),
    ("victoria", "vicky"),
    ("pamela", "pam"),
    ("amanda", "mandy"),
    ("david", "dave"),
    ("donald", "don"),
    ("lawrence", "larry"),
    ("zachary", "zach"),
    ("stephanie", "steph"),
];
const HEADS: &str = "ash bar ben black blan brad brig cal car chan cole cor craw dal dav del don dun ed el fair far fen \
fer fin ford gar gil good gra gran hal ham han har hart hay hen hil hol hud hun jack jen ker kings lan law len lin lock \
lon mac mar mor nel new nor oak or park pem pres ral ran red ren rich ro ros rus sand sel sher sin stan stone sut tal \
ten thorn til tor tur val wal war web wel whit wil win wood york";
const TAILS: &str = "son ton ley man field ford wood well ing er by ham worth stone land more den ell ard ett ins low \
shaw smith wick dale brook bury combe croft gate hurst mont port ridge ward wright";
const STREETS: &str = "oak main high mill park maple cedar elm pine hill lake river church spring walnut sunset ridge \
meadow forest chestnut willow madison jefferson franklin lincoln union center prospect pleasant grove";
const ENDINGS: &[(&str, &str)] = &[
    ("street", "st"),
    ("road", "rd"),
    ("avenue", "ave"),
    ("lane", "ln"),
    ("drive", "dr"),
    ("court", "ct"),
];
const MAIL: [&str; 7] = [
    "gmail.com",
    "yahoo.com",
    "outlook.com",
    "mail.example",
    "icloud.com",
    "web.example",
    "aol.com",
];

struct Person {
    male: bool,
    first: String,
    last: String,
    birth: [u32; 3],
    email: String,
    phone: String,
    street: String,
}

/// About `records` records, in an order without meaning.
pub fn people(records: usize, seed: u64, noise: Noise) -> Vec<Record> {
    let mut maker = Maker {
        random: ChaCha8Rng::seed_from_u64(seed),
        noise: noise.0,
        male: MALE.split_whitespace().collect(),
        female: FEMALE.split_whitespace().collect(),
        last: HEADS
            .split_whitespace()
            .flat_map(|head| {
                TAILS
                    .split_whitespace()
                    .map(move |tail| format!("{head}{tail}"))
            })
            .collect(),
        streets: STREETS.split_whitespace().collect(),
    };
    shuffle(&mut maker.last, &mut maker.random);
    let mut made: Vec<Record> = Vec::with_capacity(records);
    let mut person = 0;
    while made.len() < records {
        for member in maker.household() {
            maker.records_of(person, &member, &mut made);
            person += 1;
        }
    }
    made.truncate(records);
    shuffle(&mut made, &mut maker.random);
    made
}

fn shuffle<T>(items: &mut [T], random: &mut impl Rng) {
    for at in (1..items.len()).rev() {
        items.swap(at, random.random_range(0..=at));
    }
}

struct Maker {
    random: ChaCha8Rng,
    noise: f64,
    male: Vec<&'static str>,
    female: Vec<&'static str>,
    last: Vec<String>,
    streets: Vec<&'static str>,
}

impl Maker {
    fn chance(&mut self, probability: f64) -> bool {
        self.random.random_bool((probability * self.noise).min(1.0))
    }

    /// A rank below `count`; frequencies fall with a power of the rank.
    fn rank(&mut self, count: usize, power: f64) -> usize {
        let uniform: f64 = self.random.random_range(0.0..1.0);
        ((uniform.powf(power) * count as f64) as usize).min(count - 1)
    }

    fn pick<T: Clone>(&mut self, items: &[T], power: f64) -> T {
        let at = self.rank(items.len(), power);
        items[at].clone()
    }

    fn birth(&mut self, from: u32, to: u32) -> [u32; 3] {
        [
            self.random.random_range(from..to),
            self.random.random_range(1..13),
            self.random.random_range(1..29),
        ]
    }

    fn phone(&mut self) -> String {
        let area = self.random.random_range(201..990);
        format!(
            "{area}{:03}{:04}",
            self.random.random_range(200..1000),
            self.random.random_range(0..10_000)
        )
    }

    fn street(&mut self) -> String {
        let name = self.avenue(1.5);
        let (ending, _) = self.pick(ENDINGS, 1.2);
        let second = self.avenue(1.0);
        // Two words keep the same street of two towns apart most of the time.
        format!(
            "{} {second} {name} {ending}",
            self.random.random_range(1..400)
        )
    }

    fn avenue(&mut self, power: f64) -> &'static str {
        let at = self.rank(self.streets.len(), power);
        self.streets[at]
    }

    fn family(&mut self) -> String {
        let at = self.rank(self.last.len(), 1.8);
        self.last[at].clone()
    }

    fn given(&mut self, male: bool) -> String {
        let names = if male {
            self.male.clone()
        } else {
            self.female.clone()
        };
        self.pick(&names, 1.8).to_owned()
    }

    fn email(&mut self, first: &str, last: &str, year: u32) -> String {
        let domain = self.pick(&MAIL, 1.5);
        let number = self.random.random_range(0..100);
        let initial = first.get(..1).unwrap_or(first);
        match self.random.random_range(0..5) {
            0 => format!("{first}.{last}{number}@{domain}"),
            1 => format!("{initial}{last}{}@{domain}", year % 100),
            2 => format!("{first}{}@{domain}", self.random.random_range(1..10_000)),
            3 => format!(
                "{last}{initial}{}@{domain}",
                self.random.random_range(1..1000)
            ),
            _ => format!("{first}_{last}{number}@{domain}"),
        }
    }

    fn household(&mut self) -> Vec<Person> {
        let adults = 1 + usize::from(self.random.random_bool(0.45));
        let children = if adults == 2 { self.rank(4, 1.6) } else { 0 };
        let last = self.family();
        let street = self.street();
        let landline = self.phone();
        let year = self.random.random_range(1940..2000);
        let mut members = Vec::with_capacity(adults + children);
        for at in 0..adults + children {
            let male = if at < 2 {
                at == 0
            } else {
                self.random.random_bool(0.5)
            };
            let birth = if at < adults {
                self.birth(year, year + 8)
            } else {
                self.birth(year + 22, year + 38)
            };
            // A few sons are called as their fathers are.
            let first = match members.first() {
                Some(father) if at >= adults && male && self.random.random_bool(0.05) => {
                    let father: &Person = father;
                    father.first.clone()
                }
                _ => self.given(male),
            };
            let own_name = if at == 1 && self.random.random_bool(0.2) {
                self.family()
            } else {
                last.clone()
            };
            let phone = if self.random.random_bool(0.3) {
                landline.clone()
            } else {
                self.phone()
            };
            let email = self.email(&first, &own_name, birth[0]);
            members.push(Person {
                male,
                first,
                last: own_name,
                birth,
                email,
                phone,
                street: street.clone(),
            });
        }
        members
    }

    fn records_of(&mut self, number: u32, person: &Person, made: &mut Vec<Record>) {
        let mut count = 1;
        while count < 9 && self.random.random_bool(0.6) {
            count += 1;
        }
        let moved = self.chance(0.18).then(|| self.street());
        let married = (!person.male && self.chance(0.07)).then(|| self.family());
        let second_mail = self
            .chance(0.3)
            .then(|| self.email(&person.first, &person.last, person.birth[0]));
        let second_phone = self.chance(0.25).then(|| self.phone());
        for _ in 0..count {
            let mut record = [
                person.first.clone(),
                married
                    .clone()
                    .filter(|_| self.random.random_bool(0.5))
                    .unwrap_or_else(|| person.last.clone()),
                format!(
                    "{:04}-{:02}-{:02}",
                    person.birth[0], person.birth[1], person.birth[2]
                ),
                second_mail
                    .clone()
                    .filter(|_| self.random.random_bool(0.5))
                    .unwrap_or_else(|| person.email.clone()),
                second_phone
                    .clone()
                    .filter(|_| self.random.random_bool(0.5))
                    .unwrap_or_else(|| person.phone.clone()),
                moved
                    .clone()
                    .filter(|_| self.random.random_bool(0.5))
                    .unwrap_or_else(|| person.street.clone()),
            ];
            let channel = self.random.random_range(0..4_u8);
            self.spoil(&mut record, person);
            self.forget(&mut record, channel);
            made.push(Record {
                person: number,
                channel,
                fields: record,
            });
        }
    }

    /// Errors of typing and of custom.
    fn spoil(&mut self, record: &mut [String; 6], person: &Person) {
        if self.chance(0.2)
            && let Some((_, short)) = SHORT.iter().find(|(long, _)| *long == record[0])
        {
            record[0] = (*short).to_owned();
        }
        if self.chance(0.03) {
            record[0].truncate(1);
        }
        for (at, rate) in [0.08, 0.08, 0.04, 0.05, 0.03, 0.08].into_iter().enumerate() {
            if self.chance(rate) {
                record[at] = self.mistyped(&record[at].clone());
            }
        }
        if self.chance(0.02) {
            record.swap(0, 1);
        }
        if self.chance(0.03) {
            let [year, month, day] = person.birth;
            record[2] = match self.random.random_range(0..3) {
                0 if day <= 12 => format!("{year:04}-{day:02}-{month:02}"),
                1 => format!("{year:04}-01-01"),
                _ => format!("{:04}-{month:02}-{day:02}", year + 1),
            };
        }
        if self.random.random_bool(0.4) {
            for (long, short) in ENDINGS {
                if let Some(stem) = record[5].strip_suffix(long) {
                    record[5] = format!("{stem}{short}");
                    break;
                }
            }
        }
        if self.chance(0.02) {
            record[3] = self
                .pick(
                    &["noemail@shop.example", "none@none.com", "test@test.com"],
                    1.0,
                )
                .to_owned();
        }
        if self.chance(0.02) {
            record[4] = self
                .pick(
                    &["0000000000", "1234567890", "5555555555", "2125550100"],
                    1.0,
                )
                .to_owned();
        }
        if self.chance(0.01) {
            record[0] = self
                .pick(&["unknown", "n/a", "customer", "test"], 1.0)
                .to_owned();
        }
        if self.random.random_bool(0.3) {
            for name in record.iter_mut().take(2) {
                *name = name.to_uppercase();
            }
        }
    }

    /// What the channel did not ask for.
    fn forget(&mut self, record: &mut [String; 6], channel: u8) {
        let missing = match channel {
            0 => [0.02, 0.02, 0.4, 0.5, 0.3, 0.3],
            1 => [0.02, 0.02, 0.5, 0.02, 0.4, 0.2],
            2 => [0.1, 0.15, 0.6, 0.1, 0.1, 0.8],
            _ => [0.05, 0.1, 0.7, 0.3, 0.7, 0.95],
        };
        for (field, rate) in record.iter_mut().zip(missing) {
            if self.random.random_bool(rate) {
                field.clear();
            }
        }
    }

    fn mistyped(&mut self, text: &str) -> String {
        let mut letters: Vec<char> = text.chars().collect();
        if letters.is_empty() {
            return String::new();
        }
        let at = self.random.random_range(0..letters.len());
        let digits = letters[at].is_ascii_digit();
        let other = if digits {
            char::from(self.random.random_range(b'0'..=b'9'))
        } else {
            char::from(self.random.random_range(b'a'..=b'z'))
        };
        match self.random.random_range(0..4) {
            0 => letters.insert(at, other),
            1 if letters.len() > 2 => {
                letters.remove(at);
            }
            2 if at + 1 < letters.len() => letters.swap(at, at + 1),
            _ => letters[at] = other,
        }
        letters.into_iter().collect()
    }
}
