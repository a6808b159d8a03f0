use super::*;
use crate::Unlimited;
use crate::random::Random;
use crate::sparse::Duplicates;
use proptest::prelude::*;

fn sparse(dense: &Array2<f64>) -> Csr<f64> {
    let (mut row, mut column, mut value) = (Vec::new(), Vec::new(), Vec::new());
    for ((i, j), &cell) in dense.indexed_iter() {
        if cell != 0.0 {
            row.push(i as u32);
            column.push(j as u32);
            value.push(cell);
        }
    }
    let (n, m) = dense.dim();
    Csr::from_triples(n, m, &row, &column, &value, Duplicates::Refuse, &Unlimited).unwrap()
}

fn fit(k: usize, dense: &Array2<f64>) -> SvdModel {
    Svd {
        k,
        ..Svd::default()
    }
    .fit(&sparse(dense), &Unlimited)
    .unwrap()
}

fn reconstructed(model: &SvdModel) -> Array2<f64> {
    let (n, m) = (model.left.nrows(), model.right.nrows());
    Array2::from_shape_fn((n, m), |(i, j)| model.cell(i, j).unwrap())
}

fn squared_error(model: &SvdModel, dense: &Array2<f64>) -> f64 {
    (&reconstructed(model) - dense)
        .iter()
        .map(|gap| gap * gap)
        .sum()
}

fn assert_orthonormal(vectors: &Array2<f64>) {
    let gram = vectors.t().dot(vectors);
    for ((i, j), value) in gram.indexed_iter() {
        let identity = if i == j { 1.0 } else { 0.0 };
        assert!((value - identity).abs() < 1e-11, "{gram}");
    }
}

/// Ratings of three items by five users, with the answers known in closed form.
fn ratings() -> Array2<f64> {
    ndarray::array![
        [0.0, 1.0, 0.0],
        [0.0, 0.0, 2.0],
        [1.0, 0.0, 0.0],
        [1.0, 2.0, 1.0],
        [0.0, 0.0, 1.0]
    ]
}

#[test]
fn five_users_three_items_in_closed_form() {
    let dense = ratings();
    let root = 5_f64.sqrt();
    let two = fit(2, &dense);
    assert!((two.sigma[0] - (6.0 + root).sqrt()).abs() < 1e-12);
    assert!((two.sigma[1] - (6.0 - root).sqrt()).abs() < 1e-12);
    let expected = ndarray::array![
        [0.4, 0.8, 0.0],
        [0.0, 0.0, 2.0],
        [0.2, 0.4, 0.0],
        [1.0, 2.0, 1.0],
        [0.0, 0.0, 1.0]
    ];
    for (found, expected) in reconstructed(&two).iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-12);
    }
    assert!((squared_error(&two, &dense) - 1.0).abs() < 1e-12);
    let one = fit(1, &dense);
    assert!((squared_error(&one, &dense) - (7.0 - root)).abs() < 1e-12);
    let all = fit(3, &dense);
    assert!((all.sigma[2] - 1.0).abs() < 1e-12);
    assert!(squared_error(&all, &dense) < 1e-24);
    assert_eq!(all.squared_norm, 13.0);
    assert_orthonormal(&all.left);
    assert_orthonormal(&all.right);
}

#[test]
fn signs_follow_the_right_vectors() {
    let model = fit(2, &ratings());
    for vector in model.right.columns() {
        let largest = vector
            .iter()
            .fold(0.0, |a: f64, b| if b.abs() > a.abs() { *b } else { a });
        assert!(largest > 0.0);
    }
    // Both entries of the right vector have the same size: the first decides.
    let tie = fit(1, &ndarray::array![[-3.0, 3.0]]);
    assert!(tie.right[[0, 0]] > 0.0 && tie.right[[1, 0]] < 0.0);
}

/// n x m with singular values `sigma` and random vectors.
fn with_values(n: usize, m: usize, sigma: &[f64]) -> Array2<f64> {
    let orthonormal = |rows, seed| {
        Panel::normal(rows, sigma.len(), seed, &Unlimited)
            .unwrap()
            .orthonormalise(1, &Unlimited)
            .unwrap()
    };
    let (left, right) = (orthonormal(n, 1), orthonormal(m, 2));
    let rank = sigma.len();
    Array2::from_shape_fn((n, m), |(i, j)| {
        let row = |panel: &Panel, at: usize| panel.values[at * rank..(at + 1) * rank].to_vec();
        row(&left, i)
            .iter()
            .zip(row(&right, j))
            .zip(sigma)
            .map(|((u, v), s)| u * v * s)
            .sum()
    })
}

#[test]
fn iteration_finds_known_values() {
    // Large enough to be iterated on.
    let sigma: Vec<f64> = (0..30).map(|i| 100.0 * 0.8_f64.powi(i)).collect();
    let dense = with_values(500, 400, &sigma);
    let model = fit(8, &dense);
    assert!(model.iterations > 0 && model.converged);
    for (found, expected) in model.sigma.iter().zip(&sigma) {
        assert!(
            (found - expected).abs() < 1e-8 * sigma[0],
            "{found} {expected}"
        );
    }
    let rest: f64 = sigma[8..].iter().map(|s| s * s).sum();
    assert!((squared_error(&model, &dense) - rest).abs() < 1e-6 * rest);
    assert_orthonormal(&model.left);
    assert_orthonormal(&model.right);
}

#[test]
fn values_beyond_the_rank_are_zero() {
    for (n, m) in [(6, 5), (500, 400)] {
        let model = fit(4, &with_values(n, m, &[3.0, 2.0]));
        assert!((model.sigma[0] - 3.0).abs() < 1e-10);
        assert!((model.sigma[1] - 2.0).abs() < 1e-10);
        assert!(
            model.sigma[2..].iter().all(|s| s.abs() < 1e-10),
            "{:?}",
            model.sigma
        );
        assert_orthonormal(&model.left);
        assert_orthonormal(&model.right);
    }
    let zero = Csr::from_triples(3, 3, &[0], &[0], &[0.0], Duplicates::Sum, &Unlimited).unwrap();
    let model = Svd::default().fit(&zero, &Unlimited).unwrap();
    assert_eq!(model.sigma, [0.0, 0.0]);
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let mut random = Random::stream(4, 0);
    let dense = Array2::from_shape_fn((900, 300), |_| {
        if random.uniform() < 0.05 {
            random.normal()
        } else {
            0.0
        }
    });
    let matrix = sparse(&dense);
    let params = Svd {
        k: 5,
        max_iter: 4,
        ..Svd::default()
    };
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| params.fit(&matrix, &Unlimited).unwrap())
    };
    let one = run(1);
    assert!(!one.converged);
    for threads in [2, 3] {
        assert_eq!(run(threads), one);
    }
}

#[test]
fn refuses_bad_parameters_and_data() {
    let matrix = sparse(&ratings());
    let text = |params: Svd| params.fit(&matrix, &Unlimited).unwrap_err().to_string();
    let base = Svd::default();
    let k = "\"k\" must be from 1 to 3, the smaller side of the 5 x 3 matrix, not";
    assert_eq!(text(Svd { k: 0, ..base }), format!("{k} 0"));
    assert_eq!(text(Svd { k: 4, ..base }), format!("{k} 4"));
    assert_eq!(
        text(Svd {
            max_iter: 0,
            ..base
        }),
        "\"max_iter\" must be at least 1"
    );
    assert_eq!(
        text(Svd { tol: -1.0, ..base }),
        "\"tol\" must be from 0 to below 1, not -1"
    );
    let text = |matrix: Csr<f64>| base.fit(&matrix, &Unlimited).unwrap_err().to_string();
    assert_eq!(
        text(sparse(&Array2::zeros((2, 2)))),
        "there are no values to decompose"
    );
    assert!(text(sparse(&Array2::from_elem((2, 2), 1e200))).contains("beyond what can be squared"));
}

proptest! {
    #[test]
    fn laws_of_the_decomposition(
        cells in prop::collection::vec(-3i32..4, 24),
        scale in 1u32..5,
        by in 1usize..6,
    ) {
        let dense = Array2::from_shape_vec((6, 4), cells).unwrap().mapv(f64::from);
        prop_assume!(dense.iter().any(|cell| *cell != 0.0));
        let model = fit(4, &dense);
        // All of it: the matrix comes back, and the norm is the sum of the squares.
        prop_assert!(squared_error(&model, &dense) < 1e-20);
        let squares: f64 = model.sigma.iter().map(|s| s * s).sum();
        prop_assert!((squares - model.squared_norm).abs() < 1e-9);
        prop_assert!(model.sigma.windows(2).all(|pair| pair[0] >= pair[1]));
        // Scaling scales the values; permuting the rows or transposing leaves them.
        let factor = f64::from(scale);
        let mut rolled = dense.clone();
        for (i, row) in dense.outer_iter().enumerate() {
            rolled.row_mut((i + by) % 6).assign(&row);
        }
        let transposed = dense.t().to_owned();
        for (other, factor) in [(&dense * factor, factor), (rolled, 1.0), (transposed, 1.0)] {
            let found = fit(4, &other);
            for (a, b) in found.sigma.iter().zip(&model.sigma) {
                prop_assert!((a - b * factor).abs() < 1e-9);
            }
        }
    }
}
