use super::*;
use crate::{DenseBlocks, Unlimited};
use ndarray::{Array2, array};
use proptest::prelude::*;

fn blocks(x: &Array2<f64>) -> DenseBlocks {
    DenseBlocks::from_rows(x.view(), &Unlimited).unwrap()
}

fn whole() -> ClusterEvaluation {
    ClusterEvaluation {
        sample: None,
        density: true,
        ..ClusterEvaluation::default()
    }
}

fn scores(x: &Array2<f64>, labels: &[i32]) -> ClusterScores {
    whole().fit(&blocks(x), labels, &Unlimited).unwrap()
}

#[track_caller]
fn assert_close(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() <= 1e-6 * expected.abs().max(1.0),
        "{found} is not {expected}"
    );
}

#[test]
fn two_pairs_by_hand() {
    let x = array![[0.0], [2.0], [10.0], [12.0]];
    let found = scores(&x, &[3, 3, 7, 7]);
    assert_eq!(found.inertia, 4.0);
    assert_eq!(found.noise, 0);
    // Row 0: a = 2, b = (10 + 12) / 2; row 1: a = 2, b = (8 + 10) / 2; and the mirror image.
    assert_close(found.silhouette.unwrap(), (9.0 / 11.0 + 7.0 / 9.0) / 2.0);
    // Mean distances 1 and 1, centroids 10 apart.
    assert_close(found.davies_bouldin.unwrap(), 0.2);
    // Between: 4 x 5^2 over 1; within: 4 over 2.
    assert_close(found.calinski_harabasz.unwrap(), 50.0);
    // One edge of length 2 in each cluster (core distances 2), and 8 between the nearest rows.
    assert_close(found.dbcv.unwrap(), (8.0 - 2.0) / 8.0);
    let labels: Vec<i32> = found.clusters.iter().map(|score| score.label).collect();
    assert_eq!(labels, [3, 7]);
    for score in &found.clusters {
        assert_eq!(
            (score.size, score.inertia, score.compactness),
            (2, 2.0, 1.0)
        );
        assert_eq!(score.separation, Some(10.0));
        assert_close(score.silhouette.unwrap(), (9.0 / 11.0 + 7.0 / 9.0) / 2.0);
    }
}

#[test]
fn noise_is_in_no_cluster_but_lowers_dbcv() {
    let x = array![[0.0], [2.0], [10.0], [12.0], [500.0]];
    let found = scores(&x, &[0, 0, 1, 1, -1]);
    let without = scores(&array![[0.0], [2.0], [10.0], [12.0]], &[0, 0, 1, 1]);
    assert_eq!((found.rows, found.noise), (5, 1));
    assert_close(found.inertia, 4.0);
    assert_close(found.silhouette.unwrap(), without.silhouette.unwrap());
    assert_close(found.dbcv.unwrap(), without.dbcv.unwrap() * 4.0 / 5.0);
}

#[test]
fn what_is_not_defined_is_none() {
    let x = array![[0.0], [1.0], [2.0]];
    let one = scores(&x, &[4, 4, 4]);
    assert_eq!(one.inertia, 2.0);
    assert_eq!(one.clusters[0].separation, None);
    for found in [&one, &scores(&x, &[0, 1, 2])] {
        assert_eq!(found.silhouette, None);
        assert_eq!(found.davies_bouldin, None);
        assert_eq!(found.calinski_harabasz, None);
    }
    assert_eq!(one.dbcv, None);
    let alone = scores(&x, &[0, 0, 1]);
    assert_eq!(alone.clusters[1].silhouette, Some(0.0));
    assert_eq!(alone.clusters[1].dbcv, None);
}

#[test]
fn duplicates_give_finite_measures() {
    let x = array![[1.0], [1.0], [1.0], [2.0], [2.0], [2.0]];
    let found = scores(&x, &[0, 0, 0, 1, 1, 1]);
    assert_eq!(found.silhouette, Some(1.0));
    assert_eq!(found.davies_bouldin, Some(0.0));
    assert_eq!(found.calinski_harabasz, Some(1.0));
    assert_eq!(found.dbcv, Some(1.0));
    let same = scores(&array![[1.0], [1.0], [1.0]], &[0, 0, 1]);
    assert_eq!(same.silhouette, Some(0.0));
    assert_eq!(same.davies_bouldin, Some(0.0));
}

#[test]
fn refuses_what_cannot_be_measured() {
    let text = |evaluation: &ClusterEvaluation, x: &Array2<f64>, labels: &[i32]| {
        let error = evaluation.fit(&blocks(x), labels, &Unlimited).unwrap_err();
        error.to_string()
    };
    let x = array![[0.0], [1.0]];
    assert_eq!(
        text(&whole(), &Array2::zeros((0, 1)), &[]),
        "there are no rows to evaluate"
    );
    assert_eq!(
        text(&whole(), &Array2::zeros((2, 0)), &[0, 0]),
        "there are no feature columns to evaluate by"
    );
    assert_eq!(
        text(&whole(), &x, &[-1, -1]),
        "every row is noise, so there is no cluster to evaluate"
    );
    let one = ClusterEvaluation {
        sample: Some(1),
        ..whole()
    };
    assert_eq!(text(&one, &x, &[0, 1]), "\"sample\" must be at least 2");
}

/// Rows around three centres, scattered by a fixed recurrence, and their groups.
fn three_groups(rows: usize, d: usize) -> (Array2<f64>, Vec<i32>) {
    let mut state = 1_u32;
    let x = Array2::from_shape_fn((rows, d), |(i, j)| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let centre = if i % 3 == j { 3.0 } else { 0.0 };
        centre + f64::from(state >> 16) / 16384.0
    });
    (x, (0..rows as i32).map(|row| row % 3).collect())
}

#[test]
fn the_silhouette_is_that_of_the_definition() {
    for d in [1, 3, 9] {
        let (x, mut labels) = three_groups(157, d);
        labels[5] = 8;
        let gap = |i: usize, j: usize| -> f64 {
            let squares = x
                .row(i)
                .iter()
                .zip(x.row(j))
                .map(|(a, b)| (a - b) * (a - b))
                .sum::<f64>();
            squares.sqrt()
        };
        let mut expected = 0.0;
        for i in 0..labels.len() {
            let mean = |cluster: i32| {
                let rows: Vec<usize> = (0..labels.len())
                    .filter(|j| labels[*j] == cluster && *j != i)
                    .collect();
                rows.iter().map(|j| gap(i, *j)).sum::<f64>() / rows.len() as f64
            };
            if labels[i] == 8 {
                continue;
            }
            let a = mean(labels[i]);
            let b = [0, 1, 2, 8]
                .into_iter()
                .filter(|cluster| *cluster != labels[i])
                .map(mean)
                .fold(f64::INFINITY, f64::min);
            expected += (b - a) / a.max(b);
        }
        let found = scores(&x, &labels).silhouette.unwrap();
        assert_close(found, expected / labels.len() as f64);
    }
}

#[test]
fn a_sample_comes_near_the_whole() {
    let (x, labels) = three_groups(6000, 4);
    let exact = scores(&x, &labels);
    let sampled = ClusterEvaluation {
        sample: Some(1500),
        ..whole()
    };
    let found = sampled.fit(&blocks(&x), &labels, &Unlimited).unwrap();
    assert!((found.silhouette.unwrap() - exact.silhouette.unwrap()).abs() < 0.02);
    assert_ne!(found.silhouette, exact.silhouette);
    assert_eq!(found.inertia, exact.inertia);
    let again = sampled.fit(&blocks(&x), &labels, &Unlimited).unwrap();
    assert_eq!(found, again);
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let (x, mut labels) = three_groups(9000, 3);
    for label in labels.iter_mut().step_by(7) {
        *label = -1;
    }
    let evaluation = ClusterEvaluation {
        sample: Some(2000),
        ..whole()
    };
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| evaluation.fit(&blocks(&x), &labels, &Unlimited).unwrap())
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(3));
}

#[test]
fn labels_that_agree_by_hand() {
    let compare = |labels: &[i32], truth: &[i32]| agreement(labels, truth, &Unlimited).unwrap();
    let same = compare(&[0, 0, 1, 1, -1], &[5, 5, -2, -2, 9]);
    for value in [
        same.adjusted_rand,
        same.adjusted_mutual_information,
        same.homogeneity,
        same.completeness,
        same.v_measure,
        same.purity,
    ] {
        assert_close(value, 1.0);
    }
    assert_eq!((same.clusters, same.classes), (3, 3));

    // One cluster of two classes: complete, not homogeneous.
    let one = compare(&[0; 4], &[0, 0, 1, 1]);
    assert_eq!((one.homogeneity, one.completeness), (0.0, 1.0));
    assert_eq!(
        (one.adjusted_rand, one.v_measure, one.purity),
        (0.0, 0.0, 0.5)
    );
    assert!(one.adjusted_mutual_information.abs() < 1e-12);

    // The example of scikit-learn's documentation.
    let half = compare(&[0, 0, 1, 2], &[0, 0, 1, 1]);
    assert_close(half.adjusted_rand, 0.571_428_571_428_571_4);
    assert_close(half.homogeneity, 1.0);
    assert_close(half.completeness, 2.0 / 3.0);
    assert_eq!(compare(&[1], &[2]).adjusted_mutual_information, 1.0);
    assert_eq!(
        compare(&[1, 2, 3], &[4, 5, 6]).adjusted_mutual_information,
        1.0
    );
    assert!(agreement(&[], &[], &Unlimited).is_err());
}

proptest! {
    #[test]
    fn agreement_is_symmetric_and_blind_to_names(
        pairs in prop::collection::vec((0i32..5, 0i32..4), 2..60),
    ) {
        let (left, right): (Vec<i32>, Vec<i32>) = pairs.into_iter().unzip();
        let one = agreement(&left, &right, &Unlimited).unwrap();
        let other = agreement(&right, &left, &Unlimited).unwrap();
        let renamed: Vec<i32> = left.iter().map(|label| 7 - 3 * label).collect();
        let same = agreement(&renamed, &right, &Unlimited).unwrap();
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        prop_assert!(near(one.adjusted_rand, other.adjusted_rand));
        prop_assert!(near(one.adjusted_mutual_information, other.adjusted_mutual_information));
        prop_assert!(near(one.homogeneity, other.completeness));
        prop_assert!(near(one.v_measure, other.v_measure));
        prop_assert!(near(one.adjusted_rand, same.adjusted_rand));
        prop_assert!(near(one.v_measure, same.v_measure));
        prop_assert!(one.adjusted_rand <= 1.0 && one.purity <= 1.0);
    }

    #[test]
    fn scaling_moves_only_what_has_a_unit(
        values in prop::collection::vec(-50i32..50, 40),
        labels in prop::collection::vec(0i32..3, 20),
    ) {
        let x = Array2::from_shape_vec((20, 2), values).unwrap().mapv(f64::from);
        let (one, two) = (scores(&x, &labels), scores(&(&x * 4.0), &labels));
        let near = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() <= 1e-5 * a.abs().max(1.0),
            (a, b) => a == b,
        };
        prop_assert!(near(one.silhouette, two.silhouette));
        prop_assert!(near(one.davies_bouldin, two.davies_bouldin));
        prop_assert!(near(one.calinski_harabasz, two.calinski_harabasz));
        prop_assert!(near(one.dbcv, two.dbcv));
        prop_assert!(near(Some(one.inertia * 16.0), Some(two.inertia)));
        for value in [one.silhouette, one.dbcv].into_iter().flatten() {
            prop_assert!((-1.0..=1.0).contains(&value));
        }
    }
}
