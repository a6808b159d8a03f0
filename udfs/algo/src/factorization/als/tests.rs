use super::*;
use crate::Unlimited;
use crate::random::Random;
use crate::sparse::Duplicates;
use ndarray::Axis;
use proptest::prelude::*;

fn matrix(users: usize, items: usize, cells: &[(u32, u32, f32)]) -> Csr<f32> {
    let user: Vec<u32> = cells.iter().map(|cell| cell.0).collect();
    let item: Vec<u32> = cells.iter().map(|cell| cell.1).collect();
    let weight: Vec<f32> = cells.iter().map(|cell| cell.2).collect();
    Csr::from_triples(
        users,
        items,
        &user,
        &item,
        &weight,
        Duplicates::Sum,
        &Unlimited,
    )
    .unwrap()
}

/// Users who like the items of their own half, with some noise.
fn two_tastes(users: usize, items: usize) -> Csr<f32> {
    let mut random = Random::stream(5, 0);
    let mut cells = Vec::new();
    for user in 0..users {
        for item in 0..items {
            let likes = user % 2 == item % 2;
            if random.uniform() < if likes { 0.4 } else { 0.02 } {
                cells.push((user as u32, item as u32, 1.0 + random.below(3) as f32));
            }
        }
    }
    matrix(users, items, &cells)
}

fn cg(steps: usize) -> Solver {
    Solver::ConjugateGradient {
        steps: NonZeroUsize::new(steps).unwrap(),
    }
}

fn fit(params: &Als, interactions: &Csr<f32>) -> AlsModel {
    params.fit(interactions, None, &Unlimited).unwrap()
}

/// The objective cell by cell.
fn dense_loss(params: &Als, interactions: &Csr<f32>, model: &AlsModel) -> f64 {
    let (users, items) = (interactions.rows(), interactions.columns());
    let mut total = 0.0;
    let mut of_user = vec![0.0; users];
    let mut of_item = vec![0.0; items];
    for (u, of_user) in of_user.iter_mut().enumerate() {
        let (columns, weights) = interactions.row(u);
        for (i, of_item) in of_item.iter_mut().enumerate() {
            let score: f64 = model
                .user_factors
                .row(u)
                .iter()
                .zip(model.item_factors.row(i))
                .map(|(&x, &y)| f64::from(x) * f64::from(y))
                .sum();
            let weight = columns
                .binary_search(&(i as u32))
                .map_or(0.0, |at| f64::from(weights[at]));
            let preference = if weight > 0.0 { 1.0 } else { 0.0 };
            let confidence = 1.0 + params.alpha * weight;
            *of_user += confidence;
            *of_item += confidence;
            total += confidence * (preference - score) * (preference - score);
        }
    }
    for (factors, confidences) in [
        (&model.user_factors, of_user),
        (&model.item_factors, of_item),
    ] {
        for (row, confidence) in factors.outer_iter().zip(confidences) {
            total += params.regularization * confidence.powf(params.nu) * square(&row.to_vec());
        }
    }
    total
}

#[test]
fn one_user_one_item_one_factor_by_hand() {
    // x = c y / (c y^2 + lambda) with c = 1 + 2 * 3 = 7, then the same for y.
    let params = Als {
        factors: 1,
        iterations: 1,
        regularization: 0.5,
        alpha: 2.0,
        ..Als::default()
    };
    let first = (Array2::zeros((1, 1)), Array2::from_elem((1, 1), 0.5_f32));
    let model = params
        .fit(
            &matrix(1, 1, &[(0, 0, 3.0)]),
            Some((first.0.view(), first.1.view())),
            &Unlimited,
        )
        .unwrap();
    let x: f64 = 7.0 * 0.5 / (7.0 * 0.25 + 0.5);
    let y = 7.0 * x / (7.0 * x * x + 0.5);
    assert!((f64::from(model.user_factors[[0, 0]]) - x).abs() < 1e-6);
    assert!((f64::from(model.item_factors[[0, 0]]) - y).abs() < 1e-6);
}

#[test]
fn the_loss_is_the_objective_and_never_rises() {
    let interactions = two_tastes(40, 30);
    for (solver, nu) in [
        (Solver::Cholesky, 0.0),
        (Solver::Cholesky, 1.0),
        (cg(3), 0.5),
    ] {
        let params = Als {
            factors: 5,
            iterations: 12,
            regularization: 0.1,
            alpha: 4.0,
            nu,
            solver,
            loss: true,
            ..Als::default()
        };
        let model = fit(&params, &interactions);
        let expected = dense_loss(&params, &interactions, &model);
        let found = *model.losses.last().unwrap();
        assert!(
            (found - expected).abs() < 1e-4 * expected,
            "{found} {expected}"
        );
        assert_eq!(model.losses.len(), 12);
        for pair in model.losses.windows(2) {
            assert!(pair[1] <= pair[0] * (1.0 + 1e-6), "{:?}", model.losses);
        }
        assert!(model.losses[11] < 0.9 * model.losses[0]);
    }
}

#[test]
fn conjugate_gradients_reach_the_exact_solution() {
    let interactions = two_tastes(60, 40);
    let exact = Als {
        factors: 6,
        iterations: 3,
        regularization: 0.5,
        alpha: 2.0,
        ..Als::default()
    };
    let near = Als {
        solver: cg(20),
        ..exact
    };
    let (a, b) = (fit(&exact, &interactions), fit(&near, &interactions));
    for (a, b) in a.user_factors.iter().zip(&b.user_factors) {
        assert!((a - b).abs() < 1e-3, "{a} {b}");
    }
}

#[test]
fn it_learns_the_tastes() {
    let model = fit(
        &Als {
            factors: 4,
            alpha: 4.0,
            regularization: 0.1,
            ..Als::default()
        },
        &two_tastes(60, 40),
    );
    let scores = model.user_factors.dot(&model.item_factors.t());
    let mean = |same: bool| {
        let picked: Vec<f32> = scores
            .indexed_iter()
            .filter(|((u, i), _)| (u % 2 == i % 2) == same)
            .map(|(_, score)| *score)
            .collect();
        picked.iter().sum::<f32>() / picked.len() as f32
    };
    assert!(mean(true) > 0.4, "{}", mean(true));
    assert!(mean(false) < 0.15, "{}", mean(false));
}

#[test]
fn rows_without_interactions_are_zero() {
    for solver in [Solver::Cholesky, cg(3)] {
        let params = Als {
            factors: 2,
            solver,
            ..Als::default()
        };
        let model = fit(
            &params,
            &matrix(3, 3, &[(0, 1, 1.0), (2, 1, 2.0), (1, 0, 0.0)]),
        );
        assert!(model.user_factors.row(1).iter().all(|value| *value == 0.0));
        assert!(model.item_factors.row(0).iter().all(|value| *value == 0.0));
        assert!(model.item_factors.row(2).iter().all(|value| *value == 0.0));
        assert!(model.item_factors.row(1).iter().any(|value| *value != 0.0));
    }
}

#[test]
fn folding_in_gives_the_factors_of_training() {
    let interactions = two_tastes(50, 30);
    let params = Als {
        factors: 5,
        nu: 0.7,
        ..Als::default()
    };
    let model = fit(&params, &interactions);
    // The items moved after the users were last solved for, so solve for them once more.
    let fold_in = params
        .fold_in(model.item_factors.view(), &Unlimited)
        .unwrap();
    let all = fold_in.factors_of_all(&interactions, &Unlimited).unwrap();
    for user in 0..50 {
        let (items, weights) = interactions.row(user);
        let one = fold_in.factors(items, weights, &Unlimited).unwrap();
        assert_eq!(one, all.row(user).to_vec());
    }
    let next = Als {
        iterations: 1,
        ..params
    }
    .fit(
        &interactions,
        Some((model.user_factors.view(), model.item_factors.view())),
        &Unlimited,
    )
    .unwrap();
    assert_eq!(next.user_factors, all);
    let error = fold_in.factors(&[30], &[1.0], &Unlimited).unwrap_err();
    assert_eq!(
        error.to_string(),
        "item 30 is not one of the 30 items of the model"
    );
    assert_eq!(fold_in.factors(&[], &[], &Unlimited).unwrap(), [0.0; 5]);
}

#[test]
fn hard_systems_are_solved_in_double_precision() {
    // A penalty far below the rounding of f32 beside the confidences.
    let params = Als {
        factors: 8,
        iterations: 2,
        regularization: 1e-7,
        alpha: 1000.0,
        loss: true,
        ..Als::default()
    };
    let model = fit(&params, &two_tastes(30, 20));
    assert!(model.user_factors.iter().all(|value| value.is_finite()));
    assert!(
        model.losses[1] <= model.losses[0] * (1.0 + 1e-3),
        "{:?}",
        model.losses
    );
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let interactions = two_tastes(700, 300);
    for solver in [Solver::Cholesky, cg(3)] {
        let params = Als {
            factors: 10,
            iterations: 3,
            solver,
            loss: true,
            ..Als::default()
        };
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| fit(&params, &interactions))
        };
        let one = run(1);
        for threads in [2, 3] {
            assert_eq!(run(threads), one);
        }
    }
}

#[test]
fn the_penalty_follows_the_density() {
    let params = Als::suited_to(&matrix(10, 20, &[(0, 0, 1.0), (9, 19, 3.0)]));
    // Interactions add 20 * 4 / 200 = 0.4 to the confidence 1 of a cell; the penalty of a row is a tenth of what they add to it.
    assert!((params.regularization * (1.0 + 0.4) - 0.1 * 0.4).abs() < 1e-12);
    assert_eq!((params.alpha, params.nu), (20.0, 1.0));
    let cells = matrix(10, 20, &[(0, 0, 1.0), (9, 19, 3.0)]);
    let plain = Als { nu: 0.0, ..params };
    let penalty = plain.suited_regularization(&cells);
    assert!((penalty - 0.1 * 0.4 * 200.0_f64.sqrt()).abs() < 1e-12);
    // However dense and heavy the matrix is, the penalty stays below what it is weighed against.
    let full: Vec<(u32, u32, f32)> = (0..30).map(|at| (at / 6, at % 6, 50.0)).collect();
    assert!(Als::suited_to(&matrix(5, 6, &full)).regularization < 0.1);
    let empty = Als::suited_to(&matrix(0, 0, &[]));
    assert!(empty.regularization > 0.0);
}

#[test]
fn refuses_bad_parameters_and_data() {
    let cells = matrix(2, 2, &[(0, 0, 1.0), (1, 1, 1.0)]);
    let text = |params: Als| {
        params
            .fit(&cells, None, &Unlimited)
            .unwrap_err()
            .to_string()
    };
    let base = Als::default();
    assert_eq!(
        text(Als { factors: 0, ..base }),
        "\"factors\" must be from 1 to 2048, not 0"
    );
    assert_eq!(
        text(Als {
            iterations: 0,
            ..base
        }),
        "\"iterations\" must be at least 1"
    );
    assert_eq!(
        text(Als {
            regularization: 0.0,
            ..base
        }),
        "\"regularization\" must be positive, not 0"
    );
    assert_eq!(
        text(Als {
            alpha: f64::NAN,
            ..base
        }),
        "\"alpha\" must be positive, not NaN"
    );
    assert_eq!(
        text(Als { nu: 1.5, ..base }),
        "\"nu\" must be from 0 to 1, not 1.5"
    );
    let text = |cells: &[(u32, u32, f32)]| {
        base.fit(&matrix(2, 2, cells), None, &Unlimited)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(text(&[]), "there are no interactions to learn from");
    assert_eq!(
        text(&[(0, 0, 0.0)]),
        "there are no interactions to learn from"
    );
    assert_eq!(text(&[(0, 0, -1.0)]), "weight -1 is negative or not finite");
    let wrong = Array2::zeros((2, 3));
    let error = base
        .fit(&cells, Some((wrong.view(), wrong.view())), &Unlimited)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the first user factors are 2 x 3, but 2 x 64 are needed"
    );
}

proptest! {
    #[test]
    fn users_follow_a_permutation(seed in 0u64..50) {
        let mut random = Random::stream(seed, 0);
        let cells: Vec<(u32, u32, f32)> = (0..60)
            .map(|_| (random.below(10) as u32, random.below(8) as u32, 1.0))
            .collect();
        let moved: Vec<(u32, u32, f32)> =
            cells.iter().map(|&(u, i, w)| ((u + 3) % 10, i, w)).collect();
        let params = Als { factors: 3, iterations: 2, regularization: 1.0, ..Als::default() };
        let users = Array2::zeros((10, 3));
        let items = Array2::from_shape_fn((8, 3), |(i, f)| ((i * 3 + f) % 5) as f32 * 0.1);
        let run = |cells: &[(u32, u32, f32)]| {
            params
                .fit(&matrix(10, 8, cells), Some((users.view(), items.view())), &Unlimited)
                .unwrap()
        };
        let (a, b) = (run(&cells), run(&moved));
        for user in 0..10 {
            let gap = &a.user_factors.index_axis(Axis(0), user)
                - &b.user_factors.index_axis(Axis(0), (user + 3) % 10);
            prop_assert!(gap.iter().all(|gap| gap.abs() < 1e-4));
        }
    }
}
