use super::super::tests::{KINDS, Table, crowd};
use super::*;
use crate::Unlimited;
use proptest::prelude::*;

/// Rows with an identifier, as a portion of records whose rank is a hash of their number.
struct Rows {
    table: Table,
    id: (Strings, Vec<u32>),
    ranks: Vec<u64>,
}

/// The crowd, with a third record of every third person.
fn more(people: usize) -> Vec<Vec<String>> {
    let mut rows = crowd(people, &[]);
    for at in (0..people).step_by(3) {
        let mut third = rows[2 * at].clone();
        third[4].clear();
        rows.push(third);
    }
    rows
}

fn rank(number: usize) -> u64 {
    xxhash_rust::xxh3::xxh3_64(&number.to_le_bytes())
}

impl Rows {
    fn of(rows: &[Vec<String>], numbers: &[usize]) -> Self {
        let texts: Vec<Vec<&str>> = numbers
            .iter()
            .map(|at| rows[*at].iter().map(String::as_str).collect())
            .collect();
        let mut values = Strings::new();
        let code = |at: &usize| match at % 4 {
            // A card that two records of a person share, and now and then a stranger.
            0 | 1 => values
                .intern(format!("card {}", at / 2 % 37).as_bytes(), &Unlimited)
                .unwrap(),
            _ => NULL,
        };
        let codes = numbers.iter().map(code).collect();
        Self {
            table: Table::of(&KINDS, &texts),
            id: (values, codes),
            ranks: numbers.iter().map(|at| rank(*at)).collect(),
        }
    }

    fn with<T>(&self, work: impl FnOnce(&Portion<'_>) -> T) -> T {
        let fields = self.table.fields();
        let ids = [IdField {
            codes: &self.id.1,
            values: &self.id.0,
            max_values: Some(2),
            links: true,
        }];
        work(&Portion {
            ranks: &self.ranks,
            fields: &fields,
            ids: &ids,
            source: None,
        })
    }
}

/// The entity of each record by rank: the least rank in it.
fn partition(ledger: &Ledger) -> Vec<(u64, u64)> {
    let mut found: Vec<(u64, u64)> = ledger
        .ranks
        .iter()
        .zip(&ledger.entity)
        .map(|(rank, root)| (*rank, ledger.ranks[*root as usize]))
        .collect();
    found.sort_unstable();
    found
}

fn options() -> Resolve {
    Resolve {
        // Small, so that blocks and values overflow on the way.
        max_records_per_block: 7,
        max_records_per_value: Some(5),
        max_records_per_entity: Some(6),
        ..Resolve::default()
    }
}

fn trained(rows: &[Vec<String>]) -> Ledger {
    let all: Vec<usize> = (0..rows.len()).collect();
    Rows::of(rows, &all).with(|portion| Ledger::train(&options(), portion, &Unlimited).unwrap())
}

#[test]
fn one_portion_is_a_plain_run() {
    let rows = more(150);
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_unstable_by_key(|at| rank(*at));
    let sorted = Rows::of(&rows, &order);
    let ledger = sorted.with(|portion| Ledger::train(&options(), portion, &Unlimited).unwrap());
    let fields = sorted.table.fields();
    let ids = [crate::fusion::IdColumn {
        codes: &sorted.id.1,
        values: sorted.id.0.len(),
        max_values: Some(2),
        links: true,
    }];
    let data = Records {
        records: rows.len(),
        fields: &fields,
        ids: &ids,
        ..Records::default()
    };
    let found = options().fit(&data, &Unlimited).unwrap();
    assert_eq!(found.model.as_ref(), Some(ledger.model()));
    assert_eq!(found.entity, ledger.entity());
    assert!(found.entity_size.iter().any(|size| *size > 2));
    // Which of the links a record is told is the same; those that are under review are not in the ledger.
    assert_eq!(found.link, ledger.links());
}

#[test]
fn an_increment_says_what_changed() {
    let mut rows = crowd(100, &[]);
    let ledger = trained(&rows);
    rows.push(rows[1].clone());
    rows.push(
        [
            "zora",
            "nobody",
            "1911-01-17",
            "zora@nowhere.example",
            "99 last lane",
        ]
        .map(str::to_owned)
        .to_vec(),
    );
    let mut ledger = ledger;
    let before = partition(&ledger);
    let changed =
        Rows::of(&rows, &[200, 201]).with(|portion| ledger.insert(portion, &Unlimited).unwrap());
    let after: HashMap<u64, u64> = partition(&ledger).into_iter().collect();
    assert!(changed.contains(&200) && changed.contains(&201));
    for (record, root) in before {
        let told = changed
            .iter()
            .any(|at| ledger.ranks[*at as usize] == record);
        assert_eq!(after[&record] != root, told);
    }
    assert_eq!(ledger.entity()[201], 201);
    let again = Rows::of(&rows, &[201]).with(|portion| ledger.insert(portion, &Unlimited));
    assert!(again.is_err());
}

#[test]
fn bytes_hold_all_of_it() {
    let rows = more(80);
    let half: Vec<usize> = (0..rows.len() / 2).collect();
    let rest: Vec<usize> = (rows.len() / 2..rows.len()).collect();
    let mut ledger = Rows::of(&rows, &half)
        .with(|portion| Ledger::train(&options(), portion, &Unlimited).unwrap());
    let bytes = ledger.to_bytes(&Unlimited).unwrap();
    let mut again = Ledger::from_bytes(&bytes, &Unlimited).unwrap();
    assert_eq!(again.to_bytes(&Unlimited).unwrap(), bytes);
    let rest = Rows::of(&rows, &rest);
    let changed = [&mut ledger, &mut again]
        .map(|ledger| rest.with(|portion| ledger.insert(portion, &Unlimited).unwrap()));
    assert_eq!(changed[0], changed[1]);
    assert_eq!(partition(&ledger), partition(&again));
    assert_eq!(ledger.links(), again.links());
    for at in (0..bytes.len()).step_by(997) {
        let mut wrong = bytes.clone();
        wrong[at] ^= 1;
        assert!(Ledger::from_bytes(&wrong, &Unlimited).is_err());
        assert!(Ledger::from_bytes(&bytes[..at], &Unlimited).is_err());
    }
}

/// Bytes that agree with their checksum and yet are wrong give an error, or a ledger that answers somehow; never a panic.
#[test]
fn forged_bytes_do_no_harm() {
    let rows = more(12);
    let (half, rest): (Vec<usize>, Vec<usize>) = (0..rows.len()).partition(|at| at % 4 > 0);
    let bytes = Rows::of(&rows, &half)
        .with(|portion| Ledger::train(&options(), portion, &Unlimited).unwrap())
        .to_bytes(&Unlimited)
        .unwrap();
    let content = bytes.len() - 8;
    let rest = Rows::of(&rows, &rest);
    let mut refused = 0;
    for at in (8..content).step_by(3) {
        for value in [0, 0x80, 0xff] {
            let mut wrong = bytes[..content].to_vec();
            wrong[at] = value;
            wrong.extend(xxhash_rust::xxh3::xxh3_64(&wrong).to_le_bytes());
            match Ledger::from_bytes(&wrong, &Unlimited) {
                Err(error) => {
                    assert!(error.to_string().contains("damaged"), "{error}");
                    refused += 1;
                }
                Ok(mut ledger) => {
                    let _ = rest.with(|portion| ledger.insert(portion, &Unlimited));
                }
            }
        }
    }
    assert!(refused > 0);
}

#[test]
fn nothing_to_learn_from_is_an_error() {
    let error = Rows::of(&[], &[])
        .with(|portion| Ledger::train(&options(), portion, &Unlimited).unwrap_err());
    assert_eq!(error.to_string(), "there is nothing to learn from");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn portions_and_their_order_do_not_matter(
        people in 30usize..90,
        order in any::<u64>(),
        cuts in prop::collection::vec(0.0f64..1.0, 0..6),
    ) {
        let rows = more(people);
        let whole = trained(&rows);
        let expected = partition(&whole);
        let mut ledger = whole.cleared();
        let mut numbers: Vec<usize> = (0..rows.len()).collect();
        numbers.sort_unstable_by_key(|at| rank(*at) ^ order);
        let mut ends: Vec<usize> = cuts.iter().map(|cut| (cut * rows.len() as f64) as usize).collect();
        ends.push(rows.len());
        ends.sort_unstable();
        let mut start = 0;
        for end in ends {
            let portion = Rows::of(&rows, &numbers[start..end]);
            portion.with(|portion| ledger.insert(portion, &Unlimited).unwrap());
            start = end;
        }
        prop_assert_eq!(partition(&ledger), expected);
    }
}
