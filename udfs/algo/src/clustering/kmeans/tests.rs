use super::*;
use crate::{DenseBlocks, Unlimited};
use ndarray::{Axis, array, concatenate};
use proptest::prelude::*;

fn blocks(x: &Array2<f64>) -> DenseBlocks {
    DenseBlocks::from_rows(x.view(), &Unlimited).unwrap()
}

fn fit(params: &KMeans, x: &Array2<f64>) -> Clusters {
    params.fit(&blocks(x), None, &Unlimited).unwrap()
}

fn given(centroids: Array2<f64>) -> KMeans {
    KMeans {
        k: centroids.nrows(),
        init: Init::Centroids(centroids),
        ..KMeans::default()
    }
}

/// Rows around three centres, scattered by a fixed recurrence.
fn three_groups(rows: usize) -> Array2<f64> {
    let mut state = 1_u32;
    Array2::from_shape_fn((rows, 2), |(i, j)| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let centre = [[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]][i % 3][j];
        centre + f64::from(state >> 16) / 65536.0
    })
}

#[test]
fn four_points_by_hand() {
    let x = array![[0.0, 0.0], [0.0, 1.0], [9.0, 0.0], [9.0, 1.0]];
    let found = fit(&given(array![[0.0, 0.0], [1.0, 0.0]]), &x);
    assert_eq!(found.labels, [0, 0, 1, 1]);
    assert_eq!(found.centroids, array![[0.0, 0.5], [9.0, 0.5]]);
    assert_eq!(found.distances, [0.5; 4]);
    assert_eq!(found.inertia, 1.0);
    assert_eq!(found.occupied, 2);
    assert!(found.converged);
    let (labels, distances) = found
        .predict(&blocks(&array![[9.0, 3.5], [0.0, 0.5]]), &Unlimited)
        .unwrap();
    assert_eq!(labels, [1, 0]);
    assert_eq!(distances, [3.0, 0.0]);
}

#[test]
fn labels_keep_the_order_of_the_first_centroids() {
    let x = three_groups(300);
    let first = array![[0.0, 9.0], [9.0, 0.0], [1.0, 1.0]];
    let found = fit(&given(first), &x);
    assert_eq!(found.labels[..6], [2, 1, 0, 2, 1, 0]);
}

#[test]
fn an_empty_cluster_takes_the_farthest_row() {
    let x = array![[0.0], [1.0], [2.0], [20.0]];
    let found = fit(&given(array![[1.0], [500.0]]), &x);
    assert_eq!(found.labels, [0, 0, 0, 1]);
    assert_eq!(found.centroids, array![[1.0], [20.0]]);
}

#[test]
fn duplicates_fill_fewer_clusters() {
    let x = array![[1.0, 2.0], [1.0, 2.0], [3.0, 4.0], [3.0, 4.0]];
    for init in [Init::KMeansPlusPlus, Init::Random] {
        let params = KMeans {
            k: 3,
            init,
            ..KMeans::default()
        };
        let found = fit(&params, &x);
        assert_eq!(found.inertia, 0.0);
        assert_eq!(found.occupied, 2);
        assert_eq!(found.labels[0], found.labels[1]);
        assert_ne!(found.labels[0], found.labels[2]);
    }
}

#[test]
fn one_row_and_one_cluster() {
    let found = fit(
        &KMeans {
            k: 1,
            ..KMeans::default()
        },
        &array![[1e9, -3.0]],
    );
    assert_eq!(found.labels, [0]);
    assert_eq!(found.centroids, array![[1e9, -3.0]]);
    assert_eq!(found.inertia, 0.0);
}

#[test]
fn a_weight_is_a_repetition() {
    let x = array![[0.0], [1.0], [5.0], [6.0]];
    let first = array![[0.0], [6.0]];
    let repeated = array![[0.0], [1.0], [1.0], [1.0], [5.0], [6.0]];
    let whole = fit(&given(first.clone()), &repeated);
    let weighted = given(first)
        .fit(&blocks(&x), Some(&[1.0, 3.0, 1.0, 1.0]), &Unlimited)
        .unwrap();
    assert_eq!(weighted.centroids, array![[0.75], [5.5]]);
    assert!(
        (&whole.centroids - &weighted.centroids)
            .iter()
            .all(|gap| gap.abs() < 1e-6)
    );
    assert!((whole.inertia - weighted.inertia).abs() < 1e-6);
}

#[test]
fn rows_without_weight_are_never_centroids() {
    let x = array![[0.0], [0.1], [100.0], [5.0], [5.1]];
    for init in [Init::KMeansPlusPlus, Init::Random] {
        for seed in 0..20 {
            let params = KMeans {
                k: 2,
                init: init.clone(),
                seed,
                ..KMeans::default()
            };
            let found = params
                .fit(&blocks(&x), Some(&[1.0, 1.0, 0.0, 1.0, 1.0]), &Unlimited)
                .unwrap();
            assert!(found.centroids.iter().all(|c| *c < 6.0), "{found:?}");
        }
    }
}

#[test]
fn seeding_finds_groups_and_more_runs_do_no_harm() {
    let x = three_groups(3000);
    let params = KMeans {
        k: 3,
        ..KMeans::default()
    };
    let one = fit(&params, &x);
    assert!(one.inertia < 3000.0 / 5.0, "{}", one.inertia);
    let random = KMeans {
        init: Init::Random,
        n_init: 8,
        ..params
    };
    let best = fit(&random, &x);
    assert!((best.inertia - one.inertia).abs() < 1e-6 * one.inertia);
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let x = three_groups(20_000);
    let params = KMeans {
        k: 7,
        seed: 3,
        ..KMeans::default()
    };
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| fit(&params, &x))
    };
    let one = run(1);
    for threads in [2, 3] {
        let found = run(threads);
        assert_eq!(found.labels, one.labels);
        assert_eq!(found.inertia.to_bits(), one.inertia.to_bits());
        for (a, b) in found.centroids.iter().zip(&one.centroids) {
            assert_eq!(a.to_bits(), b.to_bits());
        }
    }
}

#[test]
fn a_run_stops_when_told_to() {
    struct Stop;
    impl Host for Stop {
        fn check(&self) -> Result<()> {
            Err(Error::Cancelled)
        }
        fn progress(&self, _: &'static str, _: u64, _: u64, _: Option<f64>) {}
        fn reserve(&self, bytes: usize, purpose: &str) -> Result<crate::Reservation> {
            if bytes > 1_000_000 {
                return Err(Error::OutOfMemory {
                    wanted: bytes,
                    purpose: purpose.to_owned(),
                });
            }
            Ok(crate::Reservation::uncounted())
        }
    }
    let run = |rows| KMeans::default().fit(&blocks(&three_groups(rows)), None, &Stop);
    assert_eq!(run(100), Err(Error::Cancelled));
    assert!(matches!(
        run(50_000),
        Err(Error::OutOfMemory {
            wanted: 1_200_000,
            ..
        })
    ));
}

#[test]
fn refuses_bad_parameters_and_data() {
    let x = array![[0.0], [1.0]];
    let error = |params: KMeans, x: &Array2<f64>, weights: Option<&[f64]>| {
        params
            .fit(&blocks(x), weights, &Unlimited)
            .unwrap_err()
            .to_string()
    };
    let two = KMeans {
        k: 2,
        ..KMeans::default()
    };
    let cases = [
        (
            KMeans {
                k: 0,
                ..two.clone()
            },
            "\"k\" must be at least 1",
        ),
        (
            KMeans {
                k: 3,
                ..two.clone()
            },
            "\"k\" is 3, but there are only 2 rows",
        ),
        (
            KMeans {
                n_init: 0,
                ..two.clone()
            },
            "\"n_init\" must be at least 1",
        ),
        (
            KMeans {
                max_iter: 0,
                ..two.clone()
            },
            "\"max_iter\" must be at least 1",
        ),
        (
            KMeans {
                tol: -1.0,
                ..two.clone()
            },
            "\"tol\" must not be negative, not -1",
        ),
        (
            KMeans {
                tol: f64::NAN,
                ..two.clone()
            },
            "\"tol\" must not be negative, not NaN",
        ),
        (
            given(array![[0.0, 1.0]]),
            "\"initial_centroids\" has 1 rows of 2 columns, but 1 rows of 1 columns are needed",
        ),
        (
            given(array![[f64::INFINITY]]),
            "\"initial_centroids\" has a value that is not finite",
        ),
        (
            KMeans {
                n_init: 2,
                ..given(array![[0.0]])
            },
            "\"n_init\" must be 1 when the initial centroids are given",
        ),
    ];
    for (params, expected) in cases {
        assert_eq!(error(params, &x, None), expected);
    }
    assert_eq!(
        error(two.clone(), &x, Some(&[1.0, 0.0])),
        "\"k\" is 2, but there are only 1 rows with a positive weight"
    );
    assert_eq!(
        error(two.clone(), &x, Some(&[1.0, -1.0])),
        "weight of row 1 is negative or not finite"
    );
    let empty = Array2::zeros((0, 1));
    assert_eq!(
        error(two.clone(), &empty, None),
        "there are no rows to cluster"
    );
    let no_columns = Array2::zeros((2, 0));
    assert_eq!(
        error(two.clone(), &no_columns, None),
        "there are no feature columns to cluster by"
    );
    assert!(error(two.clone(), &array![[0.0], [1e30]], None).contains("beyond single precision"));
    assert!(error(two, &array![[0.0], [1e-30]], None).contains("beyond single precision"));
}

/// Centroids and labels after `steps` steps, each step compared bit by bit with one that looks at every distance.
fn step_by_step(x: &Array2<f64>, first: &[usize], weights: Option<&[f64]>, steps: usize) {
    let data = blocks(x);
    let mut centroids: Vec<f64> = rows_at(&data, first)
        .unwrap()
        .into_iter()
        .map(f64::from)
        .collect();
    let mut plain = vec![u32::MAX; x.nrows()];
    let mut pruned = Pruned::new(&data, centroids.len());
    let mut labels = plain.clone();
    for step in 0..steps {
        let full = Step::assign(&data, weights, &centroids, &mut plain, &Unlimited).unwrap();
        let fast = pruned
            .assign(&data, weights, &centroids, &Unlimited)
            .unwrap();
        pruned.labels_into(&mut labels).unwrap();
        assert_eq!(labels, plain, "step {step}");
        assert_eq!(fast.changed, full.changed);
        let bits = |step: Step| -> Vec<u64> {
            let centroids = step.into_centroids(x.ncols());
            centroids.iter().map(|value| value.to_bits()).collect()
        };
        let moved = bits(full);
        assert_eq!(bits(fast), moved);
        centroids = moved.into_iter().map(f64::from_bits).collect();
        // A jump as of a cluster that is given a far row.
        if step == steps / 2 {
            for value in &mut centroids[..x.ncols()] {
                *value += 3.0;
            }
        }
    }
}

#[test]
fn sparing_distances_changes_no_bit() {
    let mut state = 5_u32;
    let mut draw = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 10) / 4_194_304.0
    };
    for (n, d, k) in [(9000, 2, 2), (9000, 3, 5), (5000, 16, 20), (6000, 7, 40)] {
        let x = Array2::from_shape_fn((n, d), |(i, _)| (i % 9) as f64 + draw());
        let first: Vec<usize> = (0..k).map(|at| at * (n / k) + at).collect();
        step_by_step(&x, &first, None, 14);
        let weights: Vec<f64> = (0..n).map(|row| (row % 4) as f64).collect();
        step_by_step(&x, &first, Some(&weights), 6);
    }
}

#[test]
fn sparing_distances_changes_no_tie() {
    // Rows on a lattice and centroids among them: equal distances everywhere.
    let x = Array2::from_shape_fn((5000, 2), |(i, j)| ((i / (1 + 40 * j)) % 40) as f64);
    step_by_step(&x, &[0, 3, 900, 901, 2222, 4999, 17, 0], None, 10);
    // Distances whose squares are below the range of f32.
    step_by_step(&(&x * 1e-16), &[0, 3, 900, 901, 2222, 4999], None, 10);
    step_by_step(&Array2::from_elem((100, 3), 2.5), &[0, 1, 2], None, 3);
}

proptest! {
    #[test]
    fn scaling_and_moving_change_no_label(
        values in prop::collection::vec(-50i32..50, 24),
        scale in 1u32..6,
        offset in -1000i32..1000,
    ) {
        let x = Array2::from_shape_vec((12, 2), values).unwrap().mapv(f64::from);
        let first = x.select(Axis(0), &[0, 5, 9]);
        // A power of two scales the floats exactly.
        let factor = f64::from(1_u32 << scale);
        let shift = f64::from(offset);
        let plain = KMeans { tol: 0.0, ..given(first.clone()) };
        let moved = KMeans { tol: 0.0, ..given(first * factor + shift) };
        let centre = |x: &Array2<f64>, at: f64| {
            DenseBlocks::centred(x.view(), vec![at; 2], &Unlimited).unwrap()
        };
        let a = plain.fit(&centre(&x, 0.0), None, &Unlimited).unwrap();
        let b = moved.fit(&centre(&(x * factor + shift), shift), None, &Unlimited).unwrap();
        prop_assert_eq!(a.labels, b.labels);
        prop_assert!((a.inertia * factor * factor - b.inertia).abs() <= 1e-9 * b.inertia.max(1.0));
    }

    #[test]
    fn labels_follow_a_permutation_of_the_rows(
        values in prop::collection::vec(-50i32..50, 30),
        by in 1usize..15,
    ) {
        let x = Array2::from_shape_vec((15, 2), values).unwrap().mapv(f64::from);
        let first = x.select(Axis(0), &[0, 7]);
        let rolled = concatenate(
            Axis(0),
            &[x.slice(ndarray::s![by.., ..]), x.slice(ndarray::s![..by, ..])],
        )
        .unwrap();
        let centre = |x: &Array2<f64>| {
            DenseBlocks::centred(x.view(), vec![0.0; 2], &Unlimited).unwrap()
        };
        let params = given(first);
        let a = params.fit(&centre(&x), None, &Unlimited).unwrap();
        let mut b = params.fit(&centre(&rolled), None, &Unlimited).unwrap();
        b.labels.rotate_right(by);
        prop_assert_eq!(a.labels, b.labels);
        prop_assert!((a.inertia - b.inertia).abs() < 1e-9 * a.inertia.max(1.0));
    }

    #[test]
    fn inertia_is_that_of_the_labels_and_no_centroid_is_nearer(
        values in prop::collection::vec(-50i32..50, 40),
        k in 1usize..6,
        seed in 0u64..5,
    ) {
        let x = Array2::from_shape_vec((20, 2), values).unwrap().mapv(f64::from);
        let found = fit(&KMeans { k, seed, ..KMeans::default() }, &x);
        let squared = |row: usize, c: usize| -> f64 {
            x.row(row).iter().zip(found.centroids.row(c)).map(|(a, b)| (a - b) * (a - b)).sum()
        };
        let mut inertia = 0.0;
        for row in 0..20 {
            let own = squared(row, found.labels[row] as usize);
            inertia += own;
            prop_assert!((found.distances[row] - own.sqrt()).abs() < 1e-4);
            for c in 0..k {
                prop_assert!(own <= squared(row, c) + 1e-3);
            }
        }
        prop_assert!((inertia - found.inertia).abs() <= 1e-4 * inertia.max(1.0));
    }
}
