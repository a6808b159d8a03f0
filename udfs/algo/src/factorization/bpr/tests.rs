use super::*;
use crate::Unlimited;
use crate::random::Random;
use crate::sparse::Duplicates;

/// Users who like the items of their own half, with some noise.
fn two_tastes(users: usize, items: usize) -> Csr<f32> {
    let mut random = Random::stream(5, 0);
    let (mut user, mut item) = (Vec::new(), Vec::new());
    for u in 0..users {
        for i in 0..items {
            if random.uniform() < if u % 2 == i % 2 { 0.3 } else { 0.02 } {
                user.push(u as u32);
                item.push(i as u32);
            }
        }
    }
    let ones = vec![1.0; user.len()];
    Csr::from_triples(
        users,
        items,
        &user,
        &item,
        &ones,
        Duplicates::Sum,
        &Unlimited,
    )
    .unwrap()
}

/// The chance that an item of the user's taste stands above one of the other, of those he has not.
fn ranked_right(model: &RankingModel, cells: &Csr<f32>) -> f64 {
    let scores = model.user_factors.dot(&model.item_factors.t());
    let (mut right, mut all) = (0.0, 0.0);
    for u in 0..cells.rows() {
        let free = |i: &usize| !cells.row(u).0.contains(&(*i as u32));
        for i in (0..cells.columns()).filter(|i| i % 2 == u % 2).filter(free) {
            for j in (0..cells.columns()).filter(|j| j % 2 != u % 2).filter(free) {
                all += 1.0;
                if scores[[u, i]] > scores[[u, j]] {
                    right += 1.0;
                }
            }
        }
    }
    right / all
}

#[test]
fn a_step_by_hand() {
    let (mut x, mut i, mut j) = ([0.0_f32; 16], [0.0_f32; 16], [0.0_f32; 16]);
    x[0] = 1.0;
    i[0] = 0.5;
    j[1] = 2.0;
    let loss = step(&mut x, &mut i, &mut j, 0.1, 0.2);
    // The margin is 0.5.
    let error = 1.0 / (1.0 + 0.5_f32.exp());
    assert!((loss - (1.0 + (-0.5_f32).exp()).ln()).abs() < 1e-6);
    assert!((x[0] - (0.98 + 0.1 * error * 0.5)).abs() < 1e-6);
    assert!((x[1] + 0.1 * error * 2.0).abs() < 1e-6);
    assert!((i[0] - (0.98 * 0.5 + 0.1 * error)).abs() < 1e-6);
    assert!((j[0] + 0.1 * error).abs() < 1e-6);
    assert!((j[1] - 0.98 * 2.0).abs() < 1e-6);
}

#[test]
fn it_learns_the_tastes() {
    let cells = two_tastes(80, 200);
    let model = Bpr {
        factors: 2,
        ..Bpr::default()
    }
    .fit(&cells, &Unlimited)
    .unwrap();
    assert!(
        ranked_right(&model, &cells) > 0.95,
        "{}",
        ranked_right(&model, &cells)
    );
    assert!(
        model.losses[59] < 0.6 * model.losses[0],
        "{:?}",
        model.losses
    );
    assert!(
        model
            .user_factors
            .column(2)
            .iter()
            .all(|value| *value == 1.0)
    );
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let cells = two_tastes(100, 300);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let pairs = Bpr {
                factors: 5,
                epochs: 3,
                ..Bpr::default()
            };
            pairs.fit(&cells, &Unlimited).unwrap()
        })
    };
    let one = run(1);
    for threads in [2, 3, 5] {
        assert_eq!(run(threads), one);
    }
}

#[test]
fn small_and_full_data_train() {
    for (users, items) in [(1, 1), (2, 1), (1, 3), (3, 2)] {
        let cells: Vec<(u32, u32)> = (0..users as u32)
            .flat_map(|user| (0..items as u32).map(move |item| (user, item)))
            .collect();
        let (user, item): (Vec<u32>, Vec<u32>) = cells.into_iter().unzip();
        let ones = vec![1.0; user.len()];
        let cells = Csr::from_triples(
            users,
            items,
            &user,
            &item,
            &ones,
            Duplicates::Sum,
            &Unlimited,
        )
        .unwrap();
        let model = Bpr::default().fit(&cells, &Unlimited).unwrap();
        assert_eq!(model.user_factors.dim(), (users, 65));
        assert_eq!(model.item_factors.dim(), (items, 65));
    }
}

#[test]
fn refuses_bad_parameters_and_data() {
    let cells = two_tastes(4, 4);
    let base = Bpr::default();
    let text = |params: Bpr| params.fit(&cells, &Unlimited).unwrap_err().to_string();
    assert_eq!(
        text(Bpr { factors: 0, ..base }),
        "\"factors\" must be from 1 to 2047, not 0"
    );
    assert_eq!(
        text(Bpr { epochs: 0, ..base }),
        "\"epochs\" must be at least 1"
    );
    assert_eq!(
        text(Bpr {
            learning_rate: f64::NAN,
            ..base
        }),
        "\"learning_rate\" must be positive and at most 10, not NaN"
    );
    assert_eq!(
        text(Bpr {
            regularization: -1.0,
            ..base
        }),
        "\"regularization\" must be from 0 to below 1 / learning_rate, not -1"
    );
    let wild = Bpr {
        learning_rate: 10.0,
        regularization: 0.0,
        epochs: 200,
        ..base
    };
    if let Err(error) = wild.fit(&two_tastes(50, 60), &Unlimited) {
        assert_eq!(error.to_string(), "the factors grow without bounds");
    }
    let none = Csr::from_triples(2, 2, &[0], &[0], &[0.0], Duplicates::Sum, &Unlimited).unwrap();
    assert_eq!(
        base.fit(&none, &Unlimited).unwrap_err().to_string(),
        "there are no interactions to learn from"
    );
    let less = Csr::from_triples(2, 2, &[0], &[0], &[-1.0], Duplicates::Sum, &Unlimited).unwrap();
    assert!(base.fit(&less, &Unlimited).is_err());
}
