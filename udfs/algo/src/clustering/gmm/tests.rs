use super::*;
use crate::{DenseBlocks, Unlimited};
use ndarray::array;

fn blocks(x: &Array2<f64>) -> DenseBlocks {
    DenseBlocks::from_rows(x.view(), &Unlimited).unwrap()
}

fn fit(params: &Gmm, x: &Array2<f64>) -> Mixture {
    params.fit(&blocks(x), &Unlimited).unwrap()
}

/// Two elongated groups, scattered by a fixed recurrence.
fn two_groups(rows: usize) -> Array2<f64> {
    let mut state = 1_u32;
    let mut draw = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / 16_777_216.0 - 0.5
    };
    let mut x = Array2::zeros((rows, 2));
    for (i, mut row) in x.outer_iter_mut().enumerate() {
        let (along, across) = (draw() * 8.0, draw() + draw());
        row[0] = along + across;
        row[1] = along - across + if i % 2 == 0 { 6.0 } else { 0.0 };
    }
    x
}

#[test]
fn one_component_is_mean_and_covariance() {
    let x = array![[0.0, 0.0], [2.0, 0.0], [0.0, 4.0], [2.0, 8.0]];
    let params = Gmm {
        reg_covar: 0.0,
        ..Gmm::default()
    };
    let found = fit(&params, &x);
    assert_eq!(found.weights, [1.0]);
    for (found, expected) in found.means.iter().zip([1.0, 3.0]) {
        assert!((found - expected).abs() < 1e-12);
    }
    for (found, expected) in found.covariances[0].iter().zip([1.0, 1.0, 1.0, 11.0]) {
        assert!((found - expected).abs() < 1e-12, "{found} {expected}");
    }
    assert_eq!(found.probabilities, [1.0; 4]);
    // -d/2 ln 2 pi - 1/2 ln |S| - d/2 at the maximum.
    let expected = -(2.0 * std::f64::consts::PI).ln() - 0.5 * 10.0_f64.ln() - 1.0;
    assert!((found.log_likelihood - expected).abs() < 1e-12);
    assert!((found.bic - (5.0 * 4.0_f64.ln() - 8.0 * expected)).abs() < 1e-9);
}

#[test]
fn a_dense_group_beside_a_wide_one_is_told_apart_better_than_by_k_means() {
    let mut state = 1_u32;
    let x = Array2::from_shape_fn((3000, 2), |(i, j)| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = f64::from(state >> 8) / 16_777_216.0 - 0.5;
        match (i % 2, j) {
            (0, _) => noise,
            (_, 0) => 5.0 + 8.0 * noise,
            _ => 8.0 * noise,
        }
    });
    let init = Init::Centroids(array![[0.0, 0.0], [5.0, 0.0]]);
    let params = Gmm {
        k: 2,
        init: init.clone(),
        ..Gmm::default()
    };
    let right = |labels: &[u32]| {
        let rows = labels.iter().enumerate();
        rows.filter(|(row, label)| **label as usize == row % 2)
            .count()
    };
    let found = fit(&params, &x);
    let means = KMeans {
        k: 2,
        init,
        ..KMeans::default()
    };
    let cut = means.fit(&blocks(&x), None, &Unlimited).unwrap();
    assert!(right(&cut.labels) < 2850, "{}", right(&cut.labels));
    assert!(right(&found.labels) > 2950, "{}", right(&found.labels));
    let diagonal = Gmm {
        covariance: Covariance::Diagonal,
        ..params
    };
    assert!(right(&fit(&diagonal, &x).labels) > 2950);
}

#[test]
fn the_likelihood_never_falls() {
    let x = two_groups(500);
    let mut last = f64::NEG_INFINITY;
    for max_iter in 1..25 {
        let params = Gmm {
            k: 3,
            max_iter,
            tol: 1e-300,
            reg_covar: 0.0,
            ..Gmm::default()
        };
        let found = fit(&params, &x);
        assert!(found.log_likelihood >= found.lower_bound - 1e-9);
        assert!(found.lower_bound >= last - 1e-9);
        last = found.lower_bound;
    }
}

#[test]
fn further_rows_are_labelled_as_the_first() {
    let x = two_groups(400);
    let params = Gmm {
        k: 2,
        ..Gmm::default()
    };
    for covariance in [Covariance::Full, Covariance::Diagonal] {
        let found = fit(
            &Gmm {
                covariance,
                ..params.clone()
            },
            &x,
        );
        let (labels, probabilities) = found.predict(&blocks(&x), &Unlimited).unwrap();
        assert_eq!(labels, found.labels);
        for (found, again) in found.probabilities.iter().zip(probabilities) {
            assert!((found - again).abs() < 1e-9);
        }
        assert!(
            found
                .predict(&blocks(&Array2::zeros((1, 3))), &Unlimited)
                .is_err()
        );
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let x = two_groups(20_000);
    let params = Gmm {
        k: 3,
        ..Gmm::default()
    };
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| fit(&params, &x))
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn refuses_what_has_no_mixture() {
    let text =
        |params: Gmm, x: &Array2<f64>| params.fit(&blocks(x), &Unlimited).unwrap_err().to_string();
    let x = array![[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]];
    let bare = Gmm {
        reg_covar: 0.0,
        ..Gmm::default()
    };
    assert_eq!(
        text(bare, &x),
        "the covariance of component 0 has no inverse"
    );
    let many = Gmm {
        k: 4,
        ..Gmm::default()
    };
    assert_eq!(text(many, &x), "\"k\" is 4, but there are only 3 rows");
    let still = Gmm {
        tol: 0.0,
        ..Gmm::default()
    };
    assert_eq!(text(still, &x), "\"tol\" must be positive, not 0");
    let negative = Gmm {
        reg_covar: -1.0,
        ..Gmm::default()
    };
    assert_eq!(
        text(negative, &x),
        "\"reg_covar\" must not be negative, not -1"
    );
}
