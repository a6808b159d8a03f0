use super::*;
use crate::Unlimited;
use crate::fusion::intern::Strings;
use proptest::prelude::*;

/// Columns of text as fields.
pub(super) struct Table {
    columns: Vec<(Kind, Strings, Vec<u32>)>,
}

impl Table {
    pub(super) fn of(kinds: &[Kind], rows: &[Vec<&str>]) -> Self {
        let columns = kinds.iter().enumerate().map(|(at, kind)| {
            let mut values = Strings::new();
            let codes = rows.iter().map(|row| match row[at] {
                "" => NULL,
                text => values.intern(text.as_bytes(), &Unlimited).unwrap(),
            });
            let codes = codes.collect();
            (*kind, values, codes)
        });
        Self {
            columns: columns.collect(),
        }
    }

    pub(super) fn fields(&self) -> Vec<Field<'_>> {
        let fields = self
            .columns
            .iter()
            .enumerate()
            .map(|(at, (kind, values, codes))| Field {
                kind: *kind,
                codes,
                values,
                personal: *kind == Kind::Date || at == 0,
            });
        fields.collect()
    }
}

pub(super) const KINDS: [Kind; 5] = [
    Kind::Name,
    Kind::Name,
    Kind::Date,
    Kind::Email,
    Kind::Street,
];

/// Two records of each of `n` people, the second with an error in one column, then `rows`.
pub(super) fn crowd(n: usize, rows: &[[&str; 5]]) -> Vec<Vec<String>> {
    let first = [
        "ann", "bert", "carla", "dan", "erika", "frank", "greta", "hans", "ines", "jon",
    ];
    let last = [
        "moore", "nolan", "ortiz", "price", "quinn", "reyes", "stone", "tate", "usher", "vance",
        "weber",
    ];
    let street = [
        "oak lane",
        "main street",
        "high street",
        "mill road",
        "park avenue",
        "long lane",
        "hill road",
    ];
    let mut all = Vec::new();
    for at in 0..n {
        let person = [
            first[at % 10].to_owned(),
            last[at % 11].to_owned(),
            format!(
                "19{:02}-{:02}-{:02}",
                30 + at * 7 % 70,
                1 + at * 5 % 12,
                1 + at * 11 % 28
            ),
            format!("{}.{}{}@mail.example", first[at % 10], last[at % 11], at),
            format!("{} {}", 1 + at * 13 % 90, street[at % 7]),
        ];
        let mut second = person.clone();
        match at % 5 {
            0 => second[0].push('e'),
            1 => second[1].insert(1, 'x'),
            2 => second[2] = String::new(),
            3 => second[3] = String::new(),
            _ => second[4] = format!("{} {}", 1 + at * 17 % 90, street[(at + 3) % 7]),
        }
        all.push(person.to_vec());
        all.push(second.to_vec());
    }
    all.extend(rows.iter().map(|row| row.map(str::to_owned).to_vec()));
    all
}

fn table(rows: &[Vec<String>]) -> Table {
    let rows: Vec<Vec<&str>> = rows
        .iter()
        .map(|row| row.iter().map(String::as_str).collect())
        .collect();
    Table::of(&KINDS, &rows)
}

fn resolve(
    rows: &[Vec<String>],
    options: &Resolve,
    force: &[(u32, u32)],
    forbid: &[(u32, u32)],
) -> Result<Resolved> {
    let table = table(rows);
    let fields = table.fields();
    let data = Records {
        records: rows.len(),
        fields: &fields,
        force,
        forbid,
        ..Records::default()
    };
    options.fit(&data, &Unlimited)
}

fn found(rows: &[Vec<String>]) -> Resolved {
    resolve(rows, &Resolve::default(), &[], &[]).unwrap()
}

#[test]
fn finds_the_two_records_of_each_person() {
    let rows = crowd(200, &[]);
    let found = found(&rows);
    for at in (0..400).step_by(2) {
        assert_eq!(found.entity[at], at as u32, "{:?}", rows[at]);
        assert_eq!(
            found.entity[at + 1],
            at as u32,
            "{:?} {:?}",
            rows[at],
            rows[at + 1]
        );
        assert_eq!(found.entity_size[at], 2);
        assert!(found.link[at].is_some_and(|link| link.weight > 0.0));
    }
    let model = found.model.unwrap();
    for column in &model.columns {
        let exact = column.kind.exact();
        assert!(column.m[exact] > column.u[exact]);
        assert!((column.m.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    }
    // 200 matches among 400 x 399 / 2 pairs.
    assert!(
        (model.lambda * 79_800.0 - 200.0).abs() < 20.0,
        "{}",
        model.lambda * 79_800.0
    );
}

#[test]
fn exchanged_names_and_nicknames_are_seen() {
    let rows = crowd(
        150,
        &[
            ["william", "kowalski", "1977-04-09", "", "12 elm court"],
            ["kowalski", "william", "1977-04-09", "", "12 elm court"],
            ["bill", "kowalski", "1977-04-09", "", "12 elm court"],
        ],
    );
    let found = found(&rows);
    assert_eq!(found.entity[300..], [300, 300, 300]);
}

#[test]
fn a_household_is_not_a_person() {
    let home = |first, date| [first, "kowalski", date, "", "12 elm court"];
    let rows = crowd(
        150,
        &[
            home("vera", "1950-02-03"),
            home("oscar", "1978-06-21"),
            home("nina", "1980-11-30"),
        ],
    );
    let found = found(&rows);
    assert_eq!(found.entity[300..], [300, 301, 302]);
}

#[test]
fn nothing_in_common_but_placeholders_links_nothing() {
    let nobody = ["n/a", "unknown", "", "none", "-"];
    let rows = crowd(60, &[nobody; 30]);
    let found = found(&rows);
    assert!((120..150).all(|at| found.entity[at] == at as u32));
}

#[test]
fn a_value_in_every_row_is_reported_and_links_nothing() {
    let mut rows = crowd(100, &[]);
    for (at, row) in rows.iter_mut().enumerate() {
        if at % 2 == 1 {
            row[3] = "no.reply@shop.example".to_owned();
        }
    }
    let found = found(&rows);
    assert_eq!(found.ignored_values, [(3, 1, 100)]);
    assert!(found.entity_size.iter().all(|size| *size <= 2));
}

#[test]
fn large_blocks_are_reported() {
    let mut rows = crowd(100, &[]);
    for row in &mut rows {
        row[2] = "1980-03-04".to_owned();
        row[0] = "ann".to_owned();
    }
    let options = Resolve {
        max_records_per_block: 50,
        ..Resolve::default()
    };
    let found = resolve(&rows, &options, &[], &[]).unwrap();
    assert!(found.large_blocks.iter().any(|block| block.records == 200));
}

#[test]
fn stewards_have_the_last_word() {
    let rows = crowd(60, &[]);
    let found = resolve(&rows, &Resolve::default(), &[(0, 2)], &[(4, 5)]).unwrap();
    assert_eq!(found.entity[..4], [0, 0, 0, 0]);
    assert_eq!(found.entity[4..6], [4, 5]);
    assert!(
        found
            .refused
            .iter()
            .any(|refused| refused.guard == Guard::Forbidden)
    );
    let error = resolve(&rows, &Resolve::default(), &[(1, 0)], &[(0, 1)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "records 0 and 1 are both forced together and forbidden"
    );
}

#[test]
fn ids_link_what_comparison_cannot_and_caps_hold() {
    let rows = crowd(
        60,
        &[
            ["", "", "", "", ""],
            ["", "", "", "", ""],
            ["", "", "", "", ""],
        ],
    );
    let table = table(&rows);
    let fields = table.fields();
    let mut loyalty = vec![NULL; 123];
    (loyalty[0], loyalty[120], loyalty[121], loyalty[122]) = (0, 0, 1, 1);
    let mut card = vec![NULL; 123];
    (card[120], card[121], card[122]) = (0, 0, 1);
    let id = |codes, max_values| IdColumn {
        codes,
        values: 2,
        max_values,
        links: true,
    };
    let ids = [id(&loyalty, Some(1)), id(&card, None)];
    let data = Records {
        records: 123,
        fields: &fields,
        ids: &ids,
        ..Records::default()
    };
    let found = Resolve::default().fit(&data, &Unlimited).unwrap();
    // The card would bring two loyalty numbers together.
    assert_eq!(found.entity[120..], [0, 121, 121]);
    let [refused] = found.refused[..] else {
        panic!("{:?}", found.refused)
    };
    assert_eq!((refused.edge.left, refused.edge.right), (120, 121));
    assert_eq!(
        (refused.guard, refused.edge.basis),
        (Guard::MaxValues(0), Basis::Id(1))
    );
}

#[test]
fn one_to_one_gives_each_record_one_partner() {
    let rows = crowd(80, &[]);
    let mut rows: Vec<Vec<String>> = rows;
    // A third, equal record of the first person, in the source of the second.
    rows.push(rows[1].clone());
    let table = table(&rows);
    let fields = table.fields();
    let source: Vec<u32> = (0..rows.len() as u32)
        .map(|at| if at == 160 { 1 } else { at % 2 })
        .collect();
    let data = Records {
        records: rows.len(),
        fields: &fields,
        source: Some(&source),
        ..Records::default()
    };
    let options = Resolve {
        one_to_one: true,
        across_sources: true,
        ..Resolve::default()
    };
    let found = options.fit(&data, &Unlimited).unwrap();
    assert!(found.entity_size.iter().all(|size| *size <= 2));
    assert_eq!(found.entity[..2], [0, 0]);
    assert!(
        found
            .refused
            .iter()
            .any(|refused| refused.guard == Guard::OneToOne)
    );
}

#[test]
fn pairs_tell_how_their_weight_comes_about() {
    let rows = crowd(
        120,
        &[
            ["kowalski", "vera", "1950-02-03", "", ""],
            ["vera", "kowalski", "1950-02-03", "", ""],
        ],
    );
    let table = table(&rows);
    let fields = table.fields();
    let data = Records {
        records: rows.len(),
        fields: &fields,
        ..Records::default()
    };
    let (rules, pairs) = Resolve::default().pairs(&data, &Unlimited).unwrap();
    assert!(!rules.is_empty());
    assert!(pairs.len() >= 121);
    for (edge, told) in &pairs {
        let sum = told.prior + told.weights.iter().sum::<f64>() + told.relatives;
        assert!((sum - told.weight).abs() < 1e-9 && told.relatives <= 1e-9);
        assert_eq!(told.weight as f32, edge.weight);
    }
    assert!(
        pairs
            .windows(2)
            .all(|two| two[0].0.weight >= two[1].0.weight)
    );
    let exchanged = pairs
        .iter()
        .find(|(edge, _)| (edge.left, edge.right) == (240, 241))
        .unwrap();
    assert_eq!(exchanged.1.levels[..3], [Some(5), None, Some(4)]);
}

#[test]
fn a_chain_explains_what_two_records_do_not_say_themselves() {
    let rows = crowd(
        150,
        &[
            ["vera", "kowalski", "1950-02-03", "", ""],
            ["vera", "kowalski", "1950-02-03", "vk@mail.example", ""],
            ["vera", "", "", "vk@mail.example", "12 elm court"],
        ],
    );
    let table = table(&rows);
    let fields = table.fields();
    let data = Records {
        records: rows.len(),
        fields: &fields,
        ..Records::default()
    };
    let told = Resolve::default()
        .explain(&data, 302, 300, &Unlimited)
        .unwrap();
    assert!(told.linked);
    let ends: Vec<(u32, u32)> = told
        .steps
        .iter()
        .map(|step| (step.left, step.right))
        .collect();
    assert_eq!(ends, [(302, 301), (301, 300)]);
    let apart = Resolve::default()
        .explain(&data, 0, 300, &Unlimited)
        .unwrap();
    assert!(!apart.linked && apart.steps.len() == 1 && apart.steps[0].basis.is_none());
    assert!(
        Resolve::default()
            .explain(&data, 0, 999, &Unlimited)
            .is_err()
    );
}

#[test]
fn bad_parameters_are_named() {
    let rows = crowd(5, &[]);
    let check = |options: Resolve, expected: &str| {
        let error = resolve(&rows, &options, &[], &[]).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert!(error.hint().is_some());
    };
    let base = Resolve::default;
    check(
        Resolve {
            threshold: 1.5,
            ..base()
        },
        "\"threshold\" must be above 0 and below 1, not 1.5",
    );
    check(
        Resolve {
            threshold: f64::NAN,
            ..base()
        },
        "\"threshold\" must be above 0 and below 1, not NaN",
    );
    check(
        Resolve {
            review_threshold: 0.9,
            ..base()
        },
        "\"review_threshold\" is 0.9, above \"threshold\", which is 0.5",
    );
    check(
        Resolve {
            max_records_per_block: 1,
            ..base()
        },
        "\"max_records_per_block\" must be at least 2, not 1",
    );
    let rule = BlockRule {
        parts: vec![(9, Part::Whole)],
    };
    check(
        Resolve {
            rules: vec![rule],
            ..base()
        },
        "\"block_on\" names a column that is not compared",
    );
    check(
        Resolve {
            one_to_one: true,
            ..base()
        },
        "\"one_to_one\" needs to know where each record comes from",
    );
}

#[test]
fn no_records_and_empty_columns_are_no_fault() {
    assert!(found(&[]).entity.is_empty());
    let empty = vec![vec![String::new(); 5]; 3];
    assert_eq!(found(&empty).entity, [0, 1, 2]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn threads_change_nothing(people in 20usize..80, seed in 0u64..4) {
        let rows = crowd(people, &[]);
        let options = Resolve { seed, ..Resolve::default() };
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| resolve(&rows, &options, &[], &[]).unwrap())
        };
        let one = run(1);
        prop_assert_eq!(&one, &run(2));
        prop_assert_eq!(&one, &run(3));
    }
}
