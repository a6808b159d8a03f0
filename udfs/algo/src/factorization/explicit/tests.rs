use super::*;
use crate::Unlimited;
use crate::random::Random;
use crate::sparse::Duplicates;
use proptest::prelude::*;

fn matrix(users: usize, items: usize, cells: &[(u32, u32, f32)]) -> Csr<f32> {
    let user: Vec<u32> = cells.iter().map(|cell| cell.0).collect();
    let item: Vec<u32> = cells.iter().map(|cell| cell.1).collect();
    let rating: Vec<f32> = cells.iter().map(|cell| cell.2).collect();
    Csr::from_triples(
        users,
        items,
        &user,
        &item,
        &rating,
        Duplicates::Last,
        &Unlimited,
    )
    .unwrap()
}

/// Ratings of rank two with biases, half of them given.
fn drawn(seed: u64) -> (Csr<f32>, Vec<(usize, usize, f64)>) {
    let mut random = Random::stream(seed, 0);
    let mut normals = |n: usize| -> Vec<f64> { (0..n).map(|_| random.normal()).collect() };
    let (x, y) = (normals(80), normals(60));
    let (user, item) = (normals(40), normals(30));
    let (mut given, mut hidden) = (Vec::new(), Vec::new());
    for u in 0..40 {
        for i in 0..30 {
            let rating =
                3.0 + 0.5 * (user[u] + item[i]) + x[2 * u] * y[2 * i] + x[2 * u + 1] * y[2 * i + 1];
            if random.uniform() < 0.6 {
                given.push((u as u32, i as u32, rating as f32));
            } else {
                hidden.push((u, i, rating));
            }
        }
    }
    (matrix(40, 30, &given), hidden)
}

#[test]
fn one_rating_by_hand() {
    // The mean is the rating, so there is nothing left to explain.
    let model = AlsExplicit::default()
        .fit(&matrix(2, 2, &[(0, 0, 4.0)]), &Unlimited)
        .unwrap();
    assert_eq!(model.mean, 4.0);
    for (user, item) in [(0, 0), (1, 1), (9, 9)] {
        assert!((model.predict(user, item) - 4.0).abs() < 1e-6);
    }
    // Two users of one item: with vectors held at nothing, 4 b = 2 (5 - 3 - b_i) / (1 + lambda) ... solved by the pair of equations
    // b_u (1 + lambda) = r - 3 - b_i and b_i = 0 by symmetry.
    let strong = AlsExplicit {
        factors: 1,
        iterations: 50,
        regularization: 1.0,
        seed: 0,
    };
    let model = strong
        .fit(&matrix(2, 1, &[(0, 0, 5.0), (1, 0, 1.0)]), &Unlimited)
        .unwrap();
    assert!((f64::from(model.user_biases[0]) + f64::from(model.user_biases[1])).abs() < 1e-4);
    assert!(model.item_biases[0].abs() < 1e-4);
}

#[test]
fn hidden_ratings_are_found() {
    let (given, hidden) = drawn(1);
    let model = AlsExplicit {
        factors: 2,
        iterations: 60,
        regularization: 1e-3,
        seed: 0,
    }
    .fit(&given, &Unlimited)
    .unwrap();
    let squares: f64 = hidden
        .iter()
        .map(|&(u, i, rating)| (model.predict(u, i) - rating).powi(2))
        .sum();
    let error = (squares / hidden.len() as f64).sqrt();
    assert!(error < 0.2, "{error}");
    assert!(model.errors.last().unwrap() < &0.05);
}

#[test]
fn the_gradient_vanishes_where_items_were_solved_for() {
    let (given, _) = drawn(2);
    let params = AlsExplicit {
        factors: 3,
        iterations: 4,
        regularization: 0.05,
        seed: 0,
    };
    let model = params.fit(&given, &Unlimited).unwrap();
    let by_item = given.transposed(&Unlimited).unwrap();
    for item in 0..30 {
        let (users, ratings) = by_item.row(item);
        let n = users.len() as f64;
        let mut gradient = [0.0; 4];
        for (&user, &rating) in users.iter().zip(ratings) {
            let error = f64::from(rating) - model.predict(user as usize, item);
            for (at, gradient) in gradient.iter_mut().enumerate() {
                let x = model
                    .user_factors
                    .get((user as usize, at))
                    .copied()
                    .unwrap_or(1.0);
                *gradient -= error * f64::from(x);
            }
        }
        for (at, gradient) in gradient.into_iter().enumerate() {
            let own = model
                .item_factors
                .get((item, at))
                .copied()
                .unwrap_or(model.item_biases[item]);
            let whole = gradient + params.regularization * n * f64::from(own);
            assert!(whole.abs() < 1e-3, "{whole}");
        }
    }
}

#[test]
fn folding_in_and_lists_agree_with_the_model() {
    let (given, _) = drawn(3);
    let params = AlsExplicit {
        factors: 2,
        iterations: 40,
        ..AlsExplicit::default()
    };
    let model = params.fit(&given, &Unlimited).unwrap();
    let (items, ratings) = given.row(5);
    let (bias, factors) = params.fold_in(&model, items, ratings, &Unlimited).unwrap();
    // The items moved after the users were last solved for.
    assert!((bias - model.user_biases[5]).abs() < 0.02);
    for (found, trained) in factors.iter().zip(model.user_factors.row(5)) {
        assert!((found - trained).abs() < 0.02, "{found} {trained}");
    }
    assert!(params.fold_in(&model, &[30], &[1.0], &Unlimited).is_err());
    assert!(
        params
            .fold_in(&model, &[0], &[f32::NAN], &Unlimited)
            .is_err()
    );
    let (users, items) = model.product_form();
    let products = users.dot(&items.t());
    for ((u, i), product) in products.indexed_iter() {
        assert!((model.mean + f64::from(*product) - model.predict(u, i)).abs() < 1e-5);
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let (given, _) = drawn(4);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| AlsExplicit::default().fit(&given, &Unlimited).unwrap())
    };
    let one = run(1);
    for threads in [2, 3] {
        assert_eq!(run(threads), one);
    }
}

#[test]
fn refuses_bad_parameters_and_data() {
    let base = AlsExplicit::default();
    let cells = matrix(1, 1, &[(0, 0, 1.0)]);
    let text = |params: AlsExplicit| params.fit(&cells, &Unlimited).unwrap_err().to_string();
    assert_eq!(
        text(AlsExplicit { factors: 0, ..base }),
        "\"factors\" must be from 1 to 2047, not 0"
    );
    assert_eq!(
        text(AlsExplicit {
            iterations: 0,
            ..base
        }),
        "\"iterations\" must be at least 1"
    );
    assert_eq!(
        text(AlsExplicit {
            regularization: 0.0,
            ..base
        }),
        "\"regularization\" must be positive, not 0"
    );
    assert_eq!(
        base.fit(&matrix(1, 1, &[]), &Unlimited)
            .unwrap_err()
            .to_string(),
        "there are no ratings to learn from"
    );
}

proptest! {
    #[test]
    fn a_constant_added_to_all_ratings_moves_only_the_mean(seed in 0u64..20, by in -5.0f32..5.0) {
        let (given, _) = drawn(seed);
        let moved = given.map(&Unlimited, |_, _, rating| rating + by).unwrap();
        let params = AlsExplicit { factors: 2, iterations: 3, ..AlsExplicit::default() };
        let a = params.fit(&given, &Unlimited).unwrap();
        let b = params.fit(&moved, &Unlimited).unwrap();
        for user in 0..40 {
            let gap = b.predict(user, 3) - a.predict(user, 3) - f64::from(by);
            prop_assert!(gap.abs() < 1e-2, "{}", gap);
        }
    }
}
