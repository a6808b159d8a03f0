use super::*;
use crate::Unlimited;
use ndarray::{Array2, array};
use proptest::prelude::*;

fn fit(params: &Hdbscan, x: &Array2<f64>) -> HierarchicalClusters {
    params.fit(x.view(), &Unlimited).unwrap()
}

fn sized(min_cluster_size: usize) -> Hdbscan {
    Hdbscan {
        min_cluster_size,
        ..Hdbscan::default()
    }
}

/// Four dense squares, and a fifth of the rows strewn about.
fn scattered(n: usize, d: usize) -> Array2<f64> {
    let mut state = 99_u32;
    Array2::from_shape_fn((n, d), |(i, _)| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = f64::from(state >> 12) / 1_048_576.0;
        match i % 5 {
            0 => noise * 20.0,
            group => group as f64 * 5.0 + noise,
        }
    })
}

/// Lengths of the spanning tree by Prim's algorithm on the table of distances, ascending.
fn prim(x: &Array2<f64>, rank: usize) -> Vec<f64> {
    let n = x.nrows();
    let distance = |a: usize, b: usize| -> f64 {
        let squares = x
            .row(a)
            .iter()
            .zip(x.row(b))
            .map(|(a, b)| (a - b) * (a - b))
            .sum::<f64>();
        squares.sqrt()
    };
    let core: Vec<f64> = (0..n)
        .map(|a| {
            let mut all: Vec<f64> = (0..n).map(|b| distance(a, b)).collect();
            all.sort_unstable_by(f64::total_cmp);
            all[rank - 1]
        })
        .collect();
    let mut reach = vec![f64::INFINITY; n];
    let mut left: Vec<usize> = (1..n).collect();
    let mut at = 0;
    let mut lengths = Vec::new();
    while !left.is_empty() {
        for &row in &left {
            reach[row] = reach[row].min(distance(at, row).max(core[at]).max(core[row]));
        }
        let next = (0..left.len())
            .min_by(|a, b| reach[left[*a]].total_cmp(&reach[left[*b]]))
            .unwrap();
        at = left.swap_remove(next);
        lengths.push(reach[at]);
    }
    lengths.sort_unstable_by(f64::total_cmp);
    lengths
}

fn lengths(x: &Array2<f64>, rank: usize) -> Vec<f64> {
    let tree = KdTree::new(x.view(), &Unlimited).unwrap();
    let search = Boruvka::new(&tree, rank, &Unlimited).unwrap();
    let edges = search.spanning_tree(&Unlimited).unwrap();
    let mut lengths: Vec<f64> = edges.iter().map(|edge| edge.length).collect();
    lengths.sort_unstable_by(f64::total_cmp);
    lengths
}

#[test]
fn the_spanning_tree_is_as_short_as_that_of_prim() {
    for (n, d, rank) in [
        (1, 1, 1),
        (2, 2, 2),
        (70, 1, 3),
        (900, 2, 1),
        (900, 2, 5),
        (700, 6, 9),
    ] {
        let x = scattered(n, d);
        let (found, expected) = (lengths(&x, rank), prim(&x, rank));
        assert_eq!(found.len(), n - 1);
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
    }
}

#[test]
fn two_groups_and_a_stranger_by_hand() {
    let x = array![[0.0], [1.0], [2.0], [10.0], [11.0], [12.5], [100.0]];
    let params = Hdbscan {
        min_samples: Some(1),
        ..sized(3)
    };
    let found = fit(&params, &x);
    assert_eq!(found.labels, [0, 0, 0, 1, 1, 1, -1]);
    // Rows 0 to 2 stay until distance 1. Rows 3 and 4 stay until 1.0, but the cluster ends as row 5 leaves it at 1.5.
    assert_eq!(found.probabilities, [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0]);
    // Born at 1/8: three rows for 1 - 1/8 and for 1/1.5 - 1/8.
    assert!((found.stabilities[0] - 3.0 * 0.875).abs() < 1e-9);
    assert!((found.stabilities[1] - 3.0 * (1.0 / 1.5 - 0.125)).abs() < 1e-9);
}

#[test]
fn leaves_are_finer_than_the_excess_of_mass() {
    let x = scattered(1500, 2);
    let params = sized(10);
    let leaf = Hdbscan {
        selection: Selection::Leaf,
        ..params
    };
    let (mass, leaf) = (fit(&params, &x), fit(&leaf, &x));
    assert!(leaf.stabilities.len() >= mass.stabilities.len());
    let sizes = |found: &HierarchicalClusters| {
        (0..found.stabilities.len() as i32)
            .map(|cluster| {
                found
                    .labels
                    .iter()
                    .filter(|label| **label == cluster)
                    .count()
            })
            .collect::<Vec<_>>()
    };
    assert!(sizes(&leaf).iter().all(|size| *size >= 10));
    assert!(sizes(&mass).iter().all(|size| *size >= 10));
}

#[test]
fn all_rows_are_one_cluster_only_when_allowed() {
    let x = Array2::from_shape_fn((40, 1), |(i, _)| (i as f64).powi(2) / 40.0);
    let params = Hdbscan {
        min_samples: Some(2),
        ..sized(30)
    };
    assert_eq!(fit(&params, &x).labels, [-1; 40]);
    let single = Hdbscan {
        allow_single_cluster: true,
        ..params
    };
    let found = fit(&single, &x);
    assert_eq!(found.stabilities.len(), 1);
    assert!(found.labels.contains(&0));
}

#[test]
fn duplicates_are_the_densest_clusters() {
    let mut x = Array2::zeros((40, 2));
    for row in 20..40 {
        x[[row, 0]] = 5.0;
    }
    let found = fit(&sized(5), &x);
    assert_eq!(found.labels[..20], [0; 20]);
    assert_eq!(found.labels[20..], [1; 20]);
    assert_eq!(found.probabilities, [1.0; 40]);
    let same = Array2::from_elem((12, 1), 3.0);
    assert_eq!(fit(&sized(5), &same).labels.len(), 12);
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let x = scattered(6000, 3);
    // Ties as well: a lattice.
    let lattice = Array2::from_shape_fn((4000, 2), |(i, j)| ((i * (3 + 4 * j)) % 61) as f64);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| (fit(&sized(8), &x), fit(&sized(8), &lattice)))
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(3));
}

#[test]
fn refuses_bad_parameters() {
    let x = array![[0.0], [1.0], [2.0]];
    let text = |params: Hdbscan| params.fit(x.view(), &Unlimited).unwrap_err().to_string();
    assert_eq!(text(sized(1)), "\"min_cluster_size\" must be at least 2");
    assert_eq!(
        text(sized(5)),
        "\"min_samples\" is 5, but there are only 3 rows"
    );
    let none = Hdbscan {
        min_samples: Some(0),
        ..sized(2)
    };
    assert_eq!(text(none), "\"min_samples\" must be at least 1");
}

proptest! {
    #[test]
    fn the_tree_of_a_lattice_is_as_short_as_that_of_prim(
        values in prop::collection::vec(-9i32..9, 6..200),
        rank in 1usize..4,
    ) {
        let n = values.len() / 2;
        let x = Array2::from_shape_vec((n, 2), values[..2 * n].to_vec()).unwrap().mapv(f64::from);
        let found = lengths(&x, rank.min(n));
        for (found, expected) in found.iter().zip(prim(&x, rank.min(n))) {
            prop_assert!((found - expected).abs() < 1e-5, "{} {}", found, expected);
        }
    }

    #[test]
    fn labels_and_probabilities_fit_together(
        values in prop::collection::vec(-30i32..30, 40..160),
        size in 2usize..8,
    ) {
        let n = values.len() / 2;
        let x = Array2::from_shape_vec((n, 2), values[..2 * n].to_vec()).unwrap().mapv(f64::from);
        let found = fit(&sized(size), &x);
        for (&label, &probability) in found.labels.iter().zip(&found.probabilities) {
            prop_assert!((-1..found.stabilities.len() as i32).contains(&label));
            prop_assert!((0.0..=1.0).contains(&probability));
            prop_assert!(label >= 0 || probability == 0.0);
        }
        for cluster in 0..found.stabilities.len() as i32 {
            prop_assert!(found.labels.iter().filter(|label| **label == cluster).count() >= size);
        }
    }
}
