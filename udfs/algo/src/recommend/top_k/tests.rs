use super::*;
use crate::Unlimited;
use crate::random::Random;
use ndarray::array;
use proptest::prelude::*;

fn pattern(rows: usize, columns: usize, cells: &[(u32, u32)]) -> Pattern {
    let (row, column): (Vec<u32>, Vec<u32>) = cells.iter().copied().unzip();
    Pattern::from_pairs(rows, columns, &row, &column, &Unlimited).unwrap()
}

fn table(items: &Array2<f32>, candidates: Option<&[u32]>) -> ItemTable {
    ItemTable::new(items.view(), candidates, &Unlimited).unwrap()
}

#[test]
fn best_first_and_ties_by_item() {
    let items = array![[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [2.0, -1.0]];
    let users = array![[1.0, 0.0], [0.0, 1.0]];
    let found = table(&items, None)
        .top_k(users.view(), 3, &[], &Unlimited)
        .unwrap();
    assert_eq!(found.list(0), (&[3, 0, 2][..], &[2.0, 1.0, 1.0][..]));
    assert_eq!(found.list(1), (&[1, 0, 2][..], &[1.0, 0.0, 0.0][..]));
    assert_eq!(found.list(2), (&[][..], &[][..]));
    assert_eq!(found.users(), 2);
}

#[test]
fn what_is_excluded_is_not_offered() {
    let items = array![[5.0], [4.0], [3.0], [2.0]];
    let users = array![[1.0], [1.0], [1.0]];
    let seen = pattern(9, 4, &[(7, 0), (7, 1), (0, 3)]);
    let more = pattern(3, 4, &[(0, 2), (1, 0), (2, 0), (2, 1), (2, 2), (2, 3)]);
    let exclusions = [
        Exclusion {
            items: &seen,
            rows: Some(&[7, 0, u32::MAX]),
        },
        Exclusion {
            items: &more,
            rows: None,
        },
    ];
    let found = table(&items, None)
        .top_k(users.view(), 4, &exclusions, &Unlimited)
        .unwrap();
    assert_eq!(found.list(0).0, [3]);
    assert_eq!(found.list(1).0, [1, 2]);
    assert_eq!(found.list(2).0, [0; 0]);
    let some = table(&items, Some(&[3, 1, 3, 2]));
    assert_eq!(some.len(), 3);
    let found = some
        .top_k(users.view(), 2, &exclusions[1..], &Unlimited)
        .unwrap();
    assert_eq!(found.list(0).0, [1, 3]);
    assert_eq!(found.list(1).0, [1, 2]);
    assert_eq!(found.list(2).0, [0; 0]);
}

#[test]
fn refuses_bad_parameters_and_data() {
    let items = array![[1.0], [2.0]];
    let table = table(&items, None);
    let text = |users: Array2<f32>, k| {
        table
            .top_k(users.view(), k, &[], &Unlimited)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(text(array![[1.0]], 0), "\"k\" must be at least 1");
    assert_eq!(
        text(array![[1.0, 2.0]], 1),
        "the users have 2 factors, but the items have 1"
    );
    assert_eq!(
        text(array![[1.0], [f32::NAN]], 1),
        "the factors of user 1 are not finite"
    );
    let text = |items: Array2<f32>, candidates| {
        ItemTable::new(items.view(), candidates, &Unlimited)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        text(array![[f32::INFINITY]], None),
        "the factors of item 0 are not finite"
    );
    assert_eq!(
        text(array![[0.0]], Some(&[1])),
        "candidate item 1 is not one of the 1 items of the model"
    );
    let none = ItemTable::new(items.view(), Some(&[]), &Unlimited).unwrap();
    assert!(none.is_empty());
    let found = none
        .top_k(array![[1.0]].view(), 3, &[], &Unlimited)
        .unwrap();
    assert_eq!(found.starts, [0, 0]);
}

#[test]
fn unit_rows_have_length_one() {
    let unit = unit_rows(array![[3.0, 4.0], [0.0, 0.0]].view());
    assert_eq!(unit, array![[0.6, 0.8], [0.0, 0.0]]);
}

fn normal(rows: usize, width: usize, seed: u64) -> Array2<f32> {
    let mut random = Random::stream(seed, 0);
    Array2::from_shape_fn((rows, width), |_| random.normal() as f32)
}

#[test]
fn a_user_alone_gets_what_he_gets_in_a_crowd() {
    let items = normal(5000, 37, 1);
    let users = normal(200, 37, 2);
    let table = table(&items, None);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| table.top_k(users.view(), 10, &[], &Unlimited).unwrap())
    };
    let all = run(1);
    assert_eq!(run(2), all);
    assert_eq!(run(3), all);
    for user in [0, 47, 48, 199] {
        let alone = users.slice(ndarray::s![user..=user, ..]);
        let found = table.top_k(alone, 10, &[], &Unlimited).unwrap();
        assert_eq!(found.list(0), all.list(user));
    }
}

proptest! {
    #[test]
    fn equals_sorting_all_scores(
        width in 1usize..20,
        items in 1usize..90,
        users in 1usize..15,
        k in 1usize..30,
        seed in 0u64..1000,
    ) {
        // Small integers, so that sums are exact and ties abound.
        let mut random = Random::stream(seed, 0);
        let mut table_of = |rows| {
            Array2::from_shape_fn((rows, width), |_| random.below(5) as f32 - 2.0)
        };
        let (item_factors, user_factors) = (table_of(items), table_of(users));
        let cells: Vec<(u32, u32)> = (0..users * items / 4)
            .map(|_| (random.below(users) as u32, random.below(items) as u32))
            .collect();
        let seen = pattern(users, items, &cells);
        let found = table(&item_factors, None)
            .top_k(
                user_factors.view(),
                k,
                &[Exclusion { items: &seen, rows: None }],
                &Unlimited,
            )
            .unwrap();
        for user in 0..users {
            let mut expected: Vec<(f32, u32)> = (0..items as u32)
                .filter(|item| seen.row(user).binary_search(item).is_err())
                .map(|item| {
                    (user_factors.row(user).dot(&item_factors.row(item as usize)), item)
                })
                .collect();
            expected.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            expected.truncate(k);
            let (ids, scores) = found.list(user);
            prop_assert_eq!(ids.len(), expected.len());
            for ((id, score), (expected_score, expected_id)) in ids.iter().zip(scores).zip(expected) {
                prop_assert_eq!(*id, expected_id);
                prop_assert_eq!(*score, expected_score);
            }
        }
    }
}
