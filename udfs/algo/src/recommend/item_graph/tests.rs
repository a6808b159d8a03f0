use super::*;
use crate::random::Random;
use crate::sparse::Duplicates;
use crate::{Reservation, Unlimited};
use ndarray::array;
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

fn drawn(users: usize, items: usize, cells: usize, seed: u64) -> Csr<f32> {
    let mut random = Random::stream(seed, 0);
    let cells: Vec<(u32, u32, f32)> = (0..cells)
        .map(|_| {
            let item = random.below(1 + random.clone().below(items));
            (
                random.below(users) as u32,
                item as u32,
                1.0 + random.below(3) as f32,
            )
        })
        .collect();
    matrix(users, items, &cells)
}

/// Users 0 and 1 take items 0 and 1, user 1 and 2 take item 2; nobody takes item 3.
fn by_hand() -> Csr<f32> {
    matrix(
        3,
        4,
        &[
            (0, 0, 1.0),
            (0, 1, 1.0),
            (1, 0, 1.0),
            (1, 1, 1.0),
            (1, 2, 1.0),
            (2, 2, 1.0),
        ],
    )
}

fn weight(model: &ItemModel, from: u32, to: u32) -> f32 {
    model.scores(&[from], &[1.0]).unwrap()[to as usize]
}

#[track_caller]
fn assert_close(found: f32, expected: f64) {
    assert!(
        (f64::from(found) - expected).abs() < 1e-5,
        "{found} {expected}"
    );
}

#[test]
fn cosine_and_its_asymmetric_kin_by_hand() {
    let cells = by_hand();
    let fit = |similarity| {
        ItemKnn {
            neighbours: 10,
            similarity,
        }
        .fit(&cells, &Unlimited)
        .unwrap()
    };
    let cosine = fit(Similarity::Cosine);
    assert_close(weight(&cosine, 0, 1), 1.0);
    assert_close(weight(&cosine, 0, 2), 0.5);
    assert_close(weight(&cosine, 0, 0), 0.0);
    assert_close(weight(&cosine, 3, 0), 0.0);
    let tilted = matrix(3, 2, &[(0, 0, 1.0), (0, 1, 1.0), (1, 1, 1.0), (2, 1, 1.0)]);
    let chance = ItemKnn {
        neighbours: 1,
        similarity: Similarity::Asymmetric { alpha: 1.0 },
    }
    .fit(&tilted, &Unlimited)
    .unwrap();
    // All who took 0 took 1; a third of those who took 1 took 0.
    assert_close(weight(&chance, 0, 1), 1.0);
    assert_close(weight(&chance, 1, 0), 1.0 / 3.0);
}

#[test]
fn a_walk_by_hand() {
    let model = Rp3beta {
        neighbours: 10,
        alpha: 1.0,
        beta: 1.0,
    }
    .fit(&by_hand(), &Unlimited)
    .unwrap();
    // From item 0 to user 0 or 1 by halves, on to item 1 by a half or a third, which two users took.
    assert_close(weight(&model, 0, 1), (0.5 * 0.5 + 0.5 / 3.0) / 2.0);
    assert_close(weight(&model, 0, 2), 0.5 / 3.0 / 2.0);
}

#[test]
fn ease_by_hand() {
    // G + I = [[2, 1], [1, 2]], whose inverse is [[2, -1], [-1, 2]] / 3.
    let model = Ease {
        regularization: 1.0,
    }
    .fit(&matrix(1, 2, &[(0, 0, 1.0), (0, 1, 1.0)]), &Unlimited)
    .unwrap();
    assert_close(weight(&model, 0, 1), 0.5);
    assert_close(weight(&model, 0, 0), 0.0);
    assert_eq!(Ease::bytes_needed(12_000), 576_000_000);
}

#[test]
fn ease_predicts_each_item_best_from_the_others() {
    let cells = drawn(60, 12, 200, 3);
    let lambda = 2.0;
    let model = Ease {
        regularization: lambda,
    }
    .fit(&cells, &Unlimited)
    .unwrap();
    let Graph::Dense(b) = model.graph() else {
        panic!("dense");
    };
    let mut x = Array2::<f64>::zeros((60, 12));
    for user in 0..60 {
        let (items, weights) = cells.row(user);
        for (&item, &weight) in items.iter().zip(weights) {
            x[[user, item as usize]] = f64::from(weight);
        }
    }
    // The gradient of the objective vanishes off the diagonal.
    let b = b.mapv(f64::from);
    let gradient = x.t().dot(&(x.dot(&b) - &x)) + lambda * &b;
    for ((i, j), value) in gradient.indexed_iter() {
        assert!(i == j || value.abs() < 1e-2, "{value}");
        assert!(i != j || b[[i, j]] == 0.0);
    }
}

#[test]
fn the_filter_is_that_of_the_paper() {
    let cells = drawn(40, 15, 160, 8);
    let (rank, low_pass) = (4, 0.3);
    let model = GraphFilter {
        neighbours: 100,
        factors: rank,
        low_pass,
        seed: 1,
    }
    .fit(&cells, &Unlimited)
    .unwrap();
    let mut r = Array2::<f64>::zeros((40, 15));
    for user in 0..40 {
        let (items, weights) = cells.row(user);
        for (&item, &weight) in items.iter().zip(weights) {
            r[[user, item as usize]] = f64::from(weight);
        }
    }
    let of_user = r.sum_axis(ndarray::Axis(1));
    let of_item = r.sum_axis(ndarray::Axis(0));
    let normalised = Array2::from_shape_fn(r.dim(), |(u, i)| {
        r[[u, i]] / (of_user[u] * of_item[i]).sqrt().max(1e-9)
    });
    let gram = normalised.t().dot(&normalised);
    let values: Vec<f64> = gram.iter().copied().collect();
    let (_, vectors) = crate::factorization::dense::symmetric_eigen(&values, 15).unwrap();
    for from in 0..15_usize {
        let scores = model.scores(&[from as u32], &[1.0]).unwrap();
        for to in 0..15 {
            let ideal: f64 = (15 - rank..15)
                .map(|at| vectors[from * 15 + at] * vectors[to * 15 + at])
                .sum();
            let scale = if of_item[from] > 0.0 {
                (of_item[to] / of_item[from]).sqrt()
            } else {
                0.0
            };
            let linear = if from == to { 0.0 } else { gram[[from, to]] };
            assert_close(scores[to], linear + low_pass * scale * ideal);
        }
    }
}

fn models(cells: &Csr<f32>) -> Vec<ItemModel> {
    let knn = |similarity| ItemKnn {
        neighbours: 5,
        similarity,
    };
    vec![
        knn(Similarity::Cosine).fit(cells, &Unlimited).unwrap(),
        knn(Similarity::TfIdf).fit(cells, &Unlimited).unwrap(),
        knn(Similarity::Bm25 { k1: 1.2, b: 0.75 })
            .fit(cells, &Unlimited)
            .unwrap(),
        Rp3beta {
            neighbours: 5,
            ..Rp3beta::default()
        }
        .fit(cells, &Unlimited)
        .unwrap(),
        Ease {
            regularization: 3.0,
        }
        .fit(cells, &Unlimited)
        .unwrap(),
        GraphFilter {
            neighbours: 5,
            factors: 3,
            ..GraphFilter::default()
        }
        .fit(cells, &Unlimited)
        .unwrap(),
    ]
}

#[test]
fn lists_hold_the_best_scores_and_say_why() {
    let cells = drawn(50, 40, 400, 2);
    for model in models(&cells) {
        let positive = model.filter().is_none() && matches!(model.graph(), Graph::Sparse(_));
        let seen = Exclusion {
            items: cells.pattern(),
            rows: None,
        };
        let some: Vec<u32> = (0..40).filter(|item| item % 3 != 0).collect();
        for candidates in [None, Some(some.as_slice())] {
            let lists = model
                .scorer(candidates, &Unlimited)
                .unwrap()
                .top_k(&cells, 7, &[seen], &Unlimited)
                .unwrap();
            for user in 0..50 {
                let (items, weights) = cells.row(user);
                let scores = model.scores(items, weights).unwrap();
                let mut expected: Vec<(u32, f32)> = (0..40_u32)
                    .filter(|item| !items.contains(item))
                    .filter(|item| candidates.is_none_or(|held| held.contains(item)))
                    .map(|item| (item, scores[item as usize]))
                    .filter(|(_, score)| !positive || *score > 0.0)
                    .collect();
                expected.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
                expected.truncate(7);
                let (found, scores) = lists.list(user);
                let listed: Vec<(u32, f32)> =
                    found.iter().copied().zip(scores.iter().copied()).collect();
                assert_eq!(listed, expected);
                for (item, score) in listed {
                    let parts = model.because(items, weights, item, usize::MAX).unwrap();
                    let sum: f32 = parts.iter().map(|(_, part)| part).sum();
                    // Parts that lower the score are left out.
                    assert!(sum >= score - 1e-4, "{sum} {score}");
                    assert!(!positive || (sum - score).abs() < 1e-4);
                    assert!(parts.is_sorted_by(|a, b| a.1 >= b.1));
                    assert_eq!(
                        model.because(items, weights, item, 1).unwrap(),
                        parts[..parts.len().min(1)]
                    );
                }
            }
        }
    }
}

#[test]
fn similar_items_are_those_an_item_leads_to() {
    let model = ItemKnn::default().fit(&by_hand(), &Unlimited).unwrap();
    let found = model.similar(&[2, 0, 3], 5, None, &Unlimited).unwrap();
    assert_eq!(found.list(0).0, [0, 1]);
    assert_eq!(found.list(1).0, [1, 2]);
    assert_eq!(found.list(2).0, [0_u32; 0]);
    assert!(model.similar(&[4], 5, None, &Unlimited).is_err());
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let cells = drawn(500, 300, 5000, 9);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            models(&cells)
                .iter()
                .map(|model| {
                    let scorer = model.scorer(None, &Unlimited).unwrap();
                    scorer.top_k(&cells, 10, &[], &Unlimited).unwrap()
                })
                .collect::<Vec<_>>()
        })
    };
    let one = run(1);
    for threads in [2, 3] {
        assert_eq!(run(threads), one);
    }
}

#[test]
fn refuses_what_cannot_be() {
    let cells = by_hand();
    let text = |result: Result<ItemModel>| result.unwrap_err().to_string();
    let knn = |neighbours, similarity| {
        text(
            ItemKnn {
                neighbours,
                similarity,
            }
            .fit(&cells, &Unlimited),
        )
    };
    assert_eq!(
        knn(0, Similarity::Cosine),
        "\"neighbours\" must be at least 1"
    );
    assert_eq!(
        knn(1, Similarity::Asymmetric { alpha: 2.0 }),
        "\"alpha\" must be from 0 to 1, not 2"
    );
    assert_eq!(
        knn(1, Similarity::Bm25 { k1: 0.0, b: 0.5 }),
        "\"k1\" must be positive, not 0"
    );
    let walk = Rp3beta {
        beta: f64::NAN,
        ..Rp3beta::default()
    };
    assert_eq!(
        text(walk.fit(&cells, &Unlimited)),
        "\"beta\" must be from 0 to 2, not NaN"
    );
    assert_eq!(
        text(GraphFilter::default().fit(&cells, &Unlimited)),
        "\"factors\" must be at most 3, the smaller of the numbers of users and items, not 256"
    );
    let none = matrix(2, 2, &[(0, 0, 0.0)]);
    let less = matrix(2, 2, &[(0, 0, -1.0)]);
    for (cells, expected) in [
        (none, "there are no interactions to learn from"),
        (less, "weight -1 is negative or not finite"),
    ] {
        assert_eq!(text(ItemKnn::default().fit(&cells, &Unlimited)), expected);
        assert_eq!(text(Rp3beta::default().fit(&cells, &Unlimited)), expected);
        assert_eq!(text(Ease::default().fit(&cells, &Unlimited)), expected);
        assert_eq!(
            text(GraphFilter::default().fit(&cells, &Unlimited)),
            expected
        );
    }
    let model = ItemKnn::default().fit(&cells, &Unlimited).unwrap();
    assert_eq!(
        model.scores(&[4], &[1.0]).unwrap_err().to_string(),
        "item 4 is not one of the 4 items of the model"
    );
    assert!(model.scores(&[0], &[-1.0]).is_err());
    assert!(model.because(&[0], &[1.0], 9, 1).is_err());
    assert!(ItemModel::new(Graph::Dense(array![[1.0, f32::NAN], [0.0, 0.0]]), None).is_err());
    assert!(ItemModel::new(Graph::Dense(Array2::zeros((2, 3))), None).is_err());
    assert!(ItemModel::new(Graph::Sparse(matrix(1, 1, &[(0, 0, -1.0)])), None).is_err());
}

struct Poor;

impl Host for Poor {
    fn check(&self) -> Result<()> {
        Ok(())
    }
    fn progress(&self, _: &'static str, _: u64, _: u64, _: Option<f64>) {}
    fn reserve(&self, bytes: usize, purpose: &str) -> Result<Reservation> {
        if bytes > 1 << 20 {
            return Err(Error::OutOfMemory {
                wanted: bytes,
                purpose: purpose.to_owned(),
            });
        }
        Ok(Reservation::uncounted())
    }
}

#[test]
fn memory_is_asked_for_before_it_is_taken() {
    // More than there is: a run that allocated first would die.
    let huge = matrix(1, 20_000_000, &[(0, 0, 1.0)]);
    let error = Ease::default().fit(&huge, &Poor).unwrap_err();
    assert_eq!(
        error,
        Error::OutOfMemory {
            wanted: Ease::bytes_needed(20_000_000),
            purpose: "item weights of EASE".to_owned()
        }
    );
}

proptest! {
    #[test]
    fn users_in_another_order_change_nothing_but_rounding(seed in 0u64..30) {
        let cells = drawn(12, 9, 40, seed);
        let mut moved = Vec::new();
        for user in 0..12 {
            let (items, weights) = cells.row(user);
            for (&item, &weight) in items.iter().zip(weights) {
                moved.push(((user as u32 + 5) % 12, item, weight));
            }
        }
        for (a, b) in models(&cells).iter().zip(models(&matrix(12, 9, &moved))) {
            // Neighbours of equal weight may be exchanged where only five are kept, so whole sums are compared.
            let total = |model: &ItemModel| -> f64 {
                (0..9).flat_map(|item| model.scores(&[item], &[1.0]).unwrap()).map(f64::from).sum()
            };
            prop_assert!((total(a) - total(&b)).abs() < 1e-3 * total(a).abs().max(1.0));
        }
    }

    #[test]
    fn scores_are_linear_in_the_history(seed in 0u64..30, scale in 0.1f32..9.0) {
        let cells = drawn(20, 10, 80, seed);
        for model in models(&cells) {
            let one = model.scores(&[1, 4], &[1.0, 2.0]).unwrap();
            let other = model.scores(&[4, 1], &[2.0 * scale, scale]).unwrap();
            for (one, other) in one.iter().zip(other) {
                prop_assert!((one * scale - other).abs() < 1e-3);
            }
        }
    }
}
