use super::*;
use crate::Unlimited;
use proptest::prelude::*;

/// Codes of text values in the order of their first appearance; "" is missing.
fn codes(values: &[&str]) -> (Vec<u32>, usize) {
    let mut seen: Vec<&str> = Vec::new();
    let codes = values
        .iter()
        .map(|value| match seen.iter().position(|held| held == value) {
            _ if value.is_empty() => NULL,
            Some(code) => code as u32,
            None => {
                seen.push(value);
                seen.len() as u32 - 1
            }
        })
        .collect();
    (codes, seen.len())
}

fn run(guards: &Stitch, columns: &[(&[&str], Option<usize>)]) -> Stitched {
    let coded: Vec<_> = columns
        .iter()
        .map(|(values, most)| (codes(values), *most))
        .collect();
    let ids: Vec<IdColumn<'_>> = coded
        .iter()
        .map(|((codes, values), most)| IdColumn {
            codes,
            values: *values,
            max_values: *most,
            links: true,
        })
        .collect();
    let records = columns.first().map_or(0, |(values, _)| values.len());
    guards.fit(records, &ids, &Unlimited).unwrap()
}

fn link(to: u32, id: u32) -> Option<Link> {
    Some(Link { to, id })
}

#[test]
fn joins_over_any_id_and_names_the_link() {
    let found = run(
        &Stitch::default(),
        &[
            (&["a@x", "", "a@x", "b@x", ""], None),
            (&["1", "2", "3", "3", ""], None),
        ],
    );
    assert_eq!(found.entity, [0, 1, 0, 0, 4]);
    assert_eq!(found.entity_size, [3, 1, 3, 3, 1]);
    assert_eq!(found.links, [None, None, link(0, 0), link(2, 1), None]);
    assert!(found.refusals.is_empty());
    assert!(found.ignored.is_empty());
}

#[test]
fn a_value_of_too_many_links_nothing_and_is_reported() {
    let guards = Stitch {
        max_records_per_value: Some(2),
        ..Stitch::default()
    };
    let found = run(
        &guards,
        &[
            (&["kiosk", "kiosk", "kiosk", "d", "d"], None),
            (&["1", "", "1", "", ""], None),
        ],
    );
    assert_eq!(found.entity, [0, 1, 0, 3, 3]);
    assert_eq!(
        found.ignored,
        [IgnoredValue {
            id: 0,
            code: 0,
            records: 3
        }]
    );
}

#[test]
fn an_entity_does_not_outgrow_its_limit() {
    let guards = Stitch {
        max_records_per_entity: Some(2),
        ..Stitch::default()
    };
    let found = run(&guards, &[(&["p", "p", "p"], None)]);
    assert_eq!(found.entity, [0, 0, 2]);
    assert_eq!(
        found.refusals,
        [Refusal {
            left: 0,
            right: 2,
            id: 0,
            rule: Rule::EntitySize
        }]
    );
}

#[test]
fn distinct_values_of_a_capped_id_stay_apart() {
    // A family shares a phone; the loyalty cards tell the members apart.
    let loyalty: &[&str] = &["L1", "L2", "", "L1", "L2"];
    let phone: &[&str] = &["p", "p", "p", "", "p"];
    let found = run(&Stitch::default(), &[(loyalty, Some(1)), (phone, None)]);
    assert_eq!(found.entity, [0, 1, 0, 0, 1]);
    assert_eq!(
        found.refusals,
        [Refusal {
            left: 0,
            right: 1,
            id: 1,
            rule: Rule::MaxValues(0)
        }]
    );
    let free = run(&Stitch::default(), &[(loyalty, Some(2)), (phone, None)]);
    assert_eq!(free.entity, [0; 5]);
    assert!(free.refusals.is_empty());
}

#[test]
fn a_cap_holds_through_chains() {
    // 0 and 3 have different cards and meet over 1 and 2, which have none.
    let found = run(
        &Stitch::default(),
        &[
            (&["L1", "", "", "L2"], Some(1)),
            (&["d1", "d1", "d2", "d2"], None),
            (&["", "s", "s", ""], None),
        ],
    );
    assert_eq!(found.entity, [0, 0, 2, 2]);
    assert_eq!(found.refusals.len(), 1);
    assert_eq!((found.refusals[0].left, found.refusals[0].right), (1, 2));
}

#[test]
fn earlier_ids_and_rarer_values_win() {
    let guards = Stitch {
        max_records_per_entity: Some(2),
        ..Stitch::default()
    };
    // Record 1 could go with 0 over the second id or with 2 over the first.
    let found = run(&guards, &[(&["", "e", "e"], None), (&["p", "p", ""], None)]);
    assert_eq!(found.entity, [0, 1, 1]);
    // Record 3 shares a value with one other, records 0 and 4 one with two others; there is room for one more beside 1, 2.
    let guards = Stitch {
        max_records_per_entity: Some(3),
        ..Stitch::default()
    };
    let found = run(
        &guards,
        &[
            (&["", "e", "e", "", ""], None),
            (&["x", "x", "y", "y", "x"], None),
        ],
    );
    assert_eq!(found.entity, [0, 1, 1, 1, 0]);
}

#[test]
fn refuses_guards_that_forbid_everything() {
    let id = IdColumn {
        codes: &[0, 0],
        values: 1,
        max_values: None,
        links: true,
    };
    let text = |guards: Stitch, ids: &[IdColumn<'_>]| {
        guards.fit(2, ids, &Unlimited).unwrap_err().to_string()
    };
    let guards = Stitch {
        max_records_per_value: Some(1),
        ..Stitch::default()
    };
    assert_eq!(
        text(guards, &[id]),
        "\"max_records_per_value\" must be at least 2, not 1"
    );
    let guards = Stitch {
        max_records_per_entity: Some(0),
        ..Stitch::default()
    };
    assert_eq!(
        text(guards, &[id]),
        "\"max_records_per_entity\" must be at least 2, not 0"
    );
    assert_eq!(text(Stitch::default(), &[]), "\"ids\" names no column");
    let capped = IdColumn {
        max_values: Some(0),
        links: true,
        ..id
    };
    assert_eq!(
        text(Stitch::default(), &[capped]),
        "\"max_values\" must be at least 1, not 0"
    );
}

#[test]
fn no_records_give_no_entities() {
    let found = run(&Stitch::default(), &[(&[], None)]);
    assert_eq!(found.entity, Vec::<u32>::new());
}

fn columns() -> impl Strategy<Value = Vec<Vec<u32>>> {
    prop::collection::vec(
        prop::collection::vec(prop_oneof![Just(NULL), 0u32..12], 40),
        1..4,
    )
}

fn fit(guards: &Stitch, columns: &[Vec<u32>], max_values: Option<usize>) -> Stitched {
    let ids: Vec<IdColumn<'_>> = columns
        .iter()
        .enumerate()
        .map(|(at, codes)| IdColumn {
            codes,
            values: 12,
            max_values: max_values.filter(|_| at == 0),
            links: true,
        })
        .collect();
    guards.fit(40, &ids, &Unlimited).unwrap()
}

proptest! {
    #[test]
    fn without_guards_it_is_the_connected_components(columns in columns()) {
        let free = Stitch { max_records_per_value: None, max_records_per_entity: None };
        let found = fit(&free, &columns, None);
        let (mut source, mut target) = (Vec::new(), Vec::new());
        for codes in &columns {
            for (a, x) in codes.iter().enumerate() {
                for (b, y) in codes.iter().enumerate() {
                    if x == y && *x != NULL {
                        source.push(a as u32);
                        target.push(b as u32);
                    }
                }
            }
        }
        let expected =
            super::super::connected_components(40, &source, &target, &Unlimited).unwrap();
        prop_assert_eq!(found.entity, expected);
        prop_assert!(found.refusals.is_empty());
    }

    #[test]
    fn guards_hold_and_links_lead_to_the_root(
        columns in columns(),
        per_value in 2usize..8,
        per_entity in 2usize..8,
        cap in 1usize..3,
    ) {
        let guards = Stitch {
            max_records_per_value: Some(per_value),
            max_records_per_entity: Some(per_entity),
        };
        let found = fit(&guards, &columns, Some(cap));
        let holders = |id: usize, code| columns[id].iter().filter(|c| **c == code).count();
        for record in 0..40 {
            let root = found.entity[record];
            let members: Vec<usize> = (0..40).filter(|m| found.entity[*m] == root).collect();
            prop_assert_eq!(members[0], root as usize);
            prop_assert_eq!(members.len(), found.entity_size[record] as usize);
            prop_assert!(members.len() <= per_entity);
            let mut values: Vec<u32> = members
                .iter()
                .map(|m| columns[0][*m])
                .filter(|code| *code != NULL && holders(0, *code) <= per_value)
                .collect();
            values.sort_unstable();
            values.dedup();
            prop_assert!(values.len() <= cap);
            // Each link is over a shared value that may link, and leads to the root.
            let mut at = record;
            let mut steps = 0;
            while let Some(Link { to, id }) = found.links[at] {
                let code = columns[id as usize][at];
                prop_assert!(code != NULL && holders(id as usize, code) <= per_value);
                prop_assert_eq!(code, columns[id as usize][to as usize]);
                at = to as usize;
                steps += 1;
                prop_assert!(steps < 40);
            }
            prop_assert_eq!(at, root as usize);
        }
        // What was refused is still apart, and records apart with a common value were refused.
        for refusal in &found.refusals {
            prop_assert_ne!(
                found.entity[refusal.left as usize],
                found.entity[refusal.right as usize]
            );
        }
        for (id, codes) in columns.iter().enumerate() {
            for code in (0..12).filter(|code| holders(id, *code) <= per_value) {
                let mut entities: Vec<u32> = (0..40)
                    .filter(|r| codes[*r] == code)
                    .map(|r| found.entity[r])
                    .collect();
                entities.sort_unstable();
                entities.dedup();
                if entities.len() > 1 {
                    let refused = found.refusals.iter().any(|refusal| {
                        refusal.id as usize == id && codes[refusal.left as usize] == code
                    });
                    prop_assert!(refused);
                }
            }
        }
    }
}

#[test]
fn a_column_that_does_not_link_still_caps() {
    // All three share an e-mail; the tax numbers 1 and 2 may not meet, and the shared 1 joins nobody by itself.
    let (mails, mail_values) = codes(&["a@x", "a@x", "a@x", "b@x"]);
    let (numbers, number_values) = codes(&["1", "2", "", "1"]);
    let ids = [
        IdColumn {
            codes: &mails,
            values: mail_values,
            max_values: None,
            links: true,
        },
        IdColumn {
            codes: &numbers,
            values: number_values,
            max_values: Some(1),
            links: false,
        },
    ];
    let guards = Stitch {
        max_records_per_value: Some(3),
        ..Stitch::default()
    };
    let found = guards.fit(4, &ids, &Unlimited).unwrap();
    assert_eq!(found.entity, [0, 1, 0, 3]);
    assert_eq!(found.refusals.len(), 1);
    assert_eq!(found.refusals[0].rule, Rule::MaxValues(1));
    assert!(guards.fit(4, &ids[1..], &Unlimited).is_err());
}
