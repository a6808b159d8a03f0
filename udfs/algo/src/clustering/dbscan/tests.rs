use super::*;
use crate::Unlimited;
use ndarray::{Array2, array};
use proptest::prelude::*;

fn fit(eps: f64, min_samples: usize, x: &Array2<f64>) -> DensityClusters {
    let params = Dbscan {
        eps: Eps::Distance(eps),
        min_samples,
    };
    params.fit(x.view(), &Unlimited).unwrap()
}

/// The definition, from the table of distances.
fn by_definition(eps: f64, min_samples: usize, x: &Array2<f64>) -> (Vec<i32>, Vec<PointType>) {
    let n = x.nrows();
    let near = |a: usize, b: usize| {
        let squared: f64 = x
            .row(a)
            .iter()
            .zip(x.row(b))
            .map(|(a, b)| (a - b) * (a - b))
            .sum();
        squared <= eps * eps
    };
    let core: Vec<bool> = (0..n)
        .map(|a| (0..n).filter(|b| near(a, *b)).count() >= min_samples)
        .collect();
    let mut labels = vec![-1; n];
    let mut types = vec![PointType::Noise; n];
    let mut clusters = 0;
    for start in 0..n {
        if !core[start] || labels[start] >= 0 {
            continue;
        }
        let mut open = vec![start];
        labels[start] = clusters;
        while let Some(at) = open.pop() {
            for (next, label) in labels.iter_mut().enumerate() {
                if near(at, next) && core[at] && *label < 0 {
                    *label = clusters;
                    open.push(next);
                }
            }
        }
        clusters += 1;
    }
    for row in 0..n {
        if core[row] {
            types[row] = PointType::Core;
        } else if labels[row] >= 0 {
            types[row] = PointType::Border;
        }
    }
    (labels, types)
}

fn scattered(n: usize, d: usize) -> Array2<f64> {
    let mut state = 99_u32;
    Array2::from_shape_fn((n, d), |(i, _)| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = f64::from(state >> 16) / 65536.0;
        match i % 5 {
            0 => noise * 20.0,
            group => group as f64 * 5.0 + noise,
        }
    })
}

#[test]
fn a_line_by_hand() {
    let x = array![[0.0], [1.0], [2.0], [3.0], [9.0], [10.0], [11.0], [30.0]];
    let found = fit(1.0, 3, &x);
    assert_eq!(found.labels, [0, 0, 0, 0, 1, 1, 1, -1]);
    use PointType::{Border, Core, Noise};
    let types = [Border, Core, Core, Border, Border, Core, Border, Noise];
    assert_eq!(found.types, types);
    assert_eq!(found.clusters, 2);
}

#[test]
fn clusters_are_numbered_by_their_first_core_and_borders_go_to_the_smallest() {
    // Row 0 is at the border of both groups, row 1 at that of the right one, whose first core is row 2.
    let x = array![
        [5.0],
        [9.0],
        [7.0],
        [3.0],
        [2.0],
        [8.0],
        [1.0],
        [6.5],
        [3.5]
    ];
    let found = fit(2.0, 5, &x);
    let (labels, types) = by_definition(2.0, 5, &x);
    assert_eq!(found.labels, labels);
    assert_eq!(found.types, types);
}

#[test]
fn a_distance_of_eps_is_within_it_whatever_f32_says() {
    // 0.1 + 0.2 style decimals around a large offset: f32 around the mean cannot tell.
    for offset in [0.0, 1e6] {
        for eps in [0.1, 0.3, 0.7] {
            let x = Array2::from_shape_fn((90, 2), |(i, j)| {
                offset + ((i * (j + 3)) % 17) as f64 / 10.0
            });
            for min_samples in [2, 6, 12] {
                let found = fit(eps, min_samples, &x);
                let (labels, types) = by_definition(eps, min_samples, &x);
                assert_eq!(found.labels, labels, "{offset} {eps} {min_samples}");
                assert_eq!(found.types, types);
            }
        }
    }
}

#[test]
fn equals_the_definition_at_many_sizes() {
    for (n, d) in [(1, 1), (33, 2), (400, 1), (900, 2), (900, 3), (500, 7)] {
        let x = scattered(n, d);
        for eps in [0.05, 0.3, 1.0, 4.0, 100.0] {
            for min_samples in [1, 4, 15] {
                let found = fit(eps, min_samples, &x);
                let (labels, types) = by_definition(eps, min_samples, &x);
                assert_eq!(found.labels, labels, "{n} {d} {eps} {min_samples}");
                assert_eq!(found.types, types, "{n} {d} {eps} {min_samples}");
            }
        }
    }
}

#[test]
fn duplicates_are_one_cluster_or_noise() {
    let x = Array2::from_elem((100, 3), 4.2);
    assert_eq!(fit(1e-9, 100, &x).labels, [0; 100]);
    assert_eq!(fit(1e-9, 101, &x).labels, [-1; 100]);
}

#[test]
fn eps_is_read_from_the_knee() {
    let x = scattered(2000, 2);
    let found = Dbscan::default().fit(x.view(), &Unlimited).unwrap();
    // Four dense squares and a fifth of the rows strewn about.
    assert!(found.eps > 0.02 && found.eps < 2.0, "{}", found.eps);
    assert!(found.clusters >= 4);
    let big = |cluster: i32| {
        found
            .labels
            .iter()
            .filter(|label| **label == cluster)
            .count()
            > 300
    };
    assert_eq!((0..found.clusters as i32).filter(|c| big(*c)).count(), 4);
    let same = Array2::from_elem((50, 1), 1.0);
    let error = Dbscan::default().fit(same.view(), &Unlimited).unwrap_err();
    assert!(error.to_string().contains("\"eps\" cannot be chosen"));
}

#[test]
fn further_rows_take_the_cluster_of_the_nearest_core() {
    let x = array![[0.0], [1.0], [2.0], [3.0], [9.0], [10.0], [11.0], [30.0]];
    let model = fit(1.0, 3, &x).model(x.view());
    assert_eq!(model.cores, array![[1.0], [2.0], [10.0]]);
    let new = array![[1.25], [3.0], [3.5], [10.5], [500.0]];
    let (labels, distances) = model.predict(new.view(), &Unlimited).unwrap();
    assert_eq!(labels, [0, 0, -1, 1, -1]);
    assert_eq!(distances, [0.25, 1.0, 1.5, 0.5, 490.0]);
    let none = fit(0.1, 3, &x).model(x.view());
    assert_eq!(none.predict(new.view(), &Unlimited).unwrap().0, [-1; 5]);
    let wide = array![[1.0, 2.0]];
    assert!(model.predict(wide.view(), &Unlimited).is_err());
}

#[test]
fn the_number_of_threads_changes_no_label() {
    let x = scattered(20_000, 2);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| fit(0.2, 8, &x))
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(3));
}

#[test]
fn refuses_bad_parameters() {
    let x = array![[0.0], [1.0]];
    let text = |eps, min_samples| {
        let params = Dbscan { eps, min_samples };
        params.fit(x.view(), &Unlimited).unwrap_err().to_string()
    };
    assert_eq!(
        text(Eps::Distance(0.0), 5),
        "\"eps\" must be positive, not 0"
    );
    assert_eq!(
        text(Eps::Distance(f64::NAN), 5),
        "\"eps\" must be positive, not NaN"
    );
    assert_eq!(text(Eps::Auto, 0), "\"min_samples\" must be at least 1");
}

proptest! {
    #[test]
    fn equals_the_definition_on_a_lattice(
        values in prop::collection::vec(-6i32..6, 2..240),
        eps in 1u32..5,
        min_samples in 1usize..8,
    ) {
        // Distances of exactly eps abound.
        let n = values.len() / 2;
        let x = Array2::from_shape_vec((n, 2), values[..2 * n].to_vec()).unwrap();
        let x = x.mapv(|value| f64::from(value) * 0.1);
        let eps = f64::from(eps) * 0.1;
        let found = fit(eps, min_samples, &x);
        let (labels, types) = by_definition(eps, min_samples, &x);
        prop_assert_eq!(found.labels, labels);
        prop_assert_eq!(found.types, types);
    }
}
