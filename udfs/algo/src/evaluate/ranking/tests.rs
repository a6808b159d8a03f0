use super::*;
use crate::Unlimited;
use proptest::prelude::*;

fn lists(users: usize, rows: &[(u32, u32, f64)]) -> Result<Lists> {
    let user: Vec<u32> = rows.iter().map(|row| row.0).collect();
    let item: Vec<u32> = rows.iter().map(|row| row.1).collect();
    let rank: Vec<f64> = rows.iter().map(|row| row.2).collect();
    Lists::from_rows(users, &user, &item, &rank, &Unlimited)
}

fn truth(users: usize, cells: &[(u32, u32)]) -> Pattern {
    let (user, item): (Vec<u32>, Vec<u32>) = cells.iter().copied().unzip();
    Pattern::from_pairs(users, 100, &user, &item, &Unlimited).unwrap()
}

fn evaluate(k: &[usize], lists: &Lists, truth: &Pattern, items: usize) -> Vec<RankingScore> {
    RankingEvaluation {
        k: k.to_vec(),
        ..RankingEvaluation::default()
    }
    .fit(lists, truth, items, &Unlimited)
    .unwrap()
}

fn value(scores: &[RankingScore], metric: Metric, k: usize) -> f64 {
    scores
        .iter()
        .find(|score| score.metric == metric && score.k == k)
        .unwrap()
        .value
}

fn check(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-12, "{found} {expected}");
}

#[test]
fn one_user_by_hand() {
    // Hits at the places 1 and 3 of four, two of three true items.
    let lists = lists(1, &[(0, 7, 1.0), (0, 5, 2.0), (0, 9, 3.0), (0, 1, 4.0)]).unwrap();
    let truth = truth(1, &[(0, 7), (0, 9), (0, 50)]);
    let scores = evaluate(&[1, 4, 10], &lists, &truth, 8);
    let at = |metric, k| value(&scores, metric, k);
    let third = 1.0 / 4_f64.log2();
    let ideal = 1.0 + 1.0 / 3_f64.log2() + third;
    check(at(Metric::Precision, 4), 0.5);
    check(at(Metric::Recall, 4), 2.0 / 3.0);
    check(at(Metric::RecallMinK, 4), 2.0 / 3.0);
    check(at(Metric::F1, 4), 4.0 / 7.0);
    check(at(Metric::Ndcg, 4), (1.0 + third) / ideal);
    check(at(Metric::Map, 4), (1.0 + 2.0 / 3.0) / 3.0);
    check(at(Metric::Mrr, 4), 1.0);
    check(at(Metric::HitRate, 4), 1.0);
    check(at(Metric::Coverage, 4), 0.5);
    check(at(Metric::Precision, 1), 1.0);
    check(at(Metric::Recall, 1), 1.0 / 3.0);
    check(at(Metric::RecallMinK, 1), 1.0);
    check(at(Metric::Ndcg, 1), 1.0);
    check(at(Metric::Coverage, 1), 0.125);
    // A list shorter than k: what is missing is no hit.
    check(at(Metric::Precision, 10), 0.2);
    check(at(Metric::Ndcg, 10), (1.0 + third) / ideal);
}

#[test]
fn only_users_with_a_truth_count_and_no_list_is_zero() {
    let lists = lists(3, &[(0, 1, 1.0), (2, 3, 1.0)]).unwrap();
    let truth = truth(3, &[(0, 1), (1, 2)]);
    let scores = evaluate(&[1], &lists, &truth, 4);
    check(value(&scores, Metric::HitRate, 1), 0.5);
    check(value(&scores, Metric::Coverage, 1), 0.25);
    assert!(scores.iter().all(|score| score.users == 2));
    assert_eq!(scores.len(), Metric::ALL.len());
}

#[test]
fn ranks_order_the_lists() {
    let lists = lists(1, &[(0, 4, 30.0), (0, 8, -1.5), (0, 6, 2.0)]).unwrap();
    assert_eq!(lists.list(0), [8, 6, 4]);
    assert_eq!(lists.list(1), [0; 0]);
}

#[test]
fn intervals_hold_the_mean_and_are_as_wide_as_the_normal_ones() {
    // 200 users, every fourth is hit: the standard error of the mean is sqrt(.25 * .75 / 200).
    let rows: Vec<(u32, u32, f64)> = (0..200).map(|user| (user, 1, 1.0)).collect();
    let cells: Vec<(u32, u32)> = (0..200)
        .map(|user| (user, if user % 4 == 0 { 1 } else { 2 }))
        .collect();
    let lists = lists(200, &rows).unwrap();
    let scores = evaluate(&[1], &lists, &truth(200, &cells), 2);
    let score = scores
        .iter()
        .find(|score| score.metric == Metric::Precision)
        .unwrap();
    let (low, high) = score.interval.unwrap();
    check(score.value, 0.25);
    let error = (0.25 * 0.75 / 200.0_f64).sqrt();
    assert!((low - (0.25 - 1.96 * error)).abs() < 0.01, "{low}");
    assert!((high - (0.25 + 1.96 * error)).abs() < 0.01, "{high}");
    assert!(
        scores
            .iter()
            .all(|s| s.interval.is_some() == (s.metric != Metric::Coverage))
    );
}

#[test]
fn the_seed_and_not_the_threads_fix_the_intervals() {
    // Lists of three with hits at all places, so that means of resamples seldom coincide.
    let rows: Vec<(u32, u32, f64)> = (0..150)
        .map(|at| (at / 3, (at / 3 + at % 3) % 7, f64::from(at % 3)))
        .collect();
    let cells: Vec<(u32, u32)> = (0..50).map(|user| (user, user % 5)).collect();
    let (lists, truth) = (lists(50, &rows).unwrap(), truth(50, &cells));
    let run = |threads, seed| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let params = RankingEvaluation {
            seed,
            ..RankingEvaluation::default()
        };
        pool.install(|| params.fit(&lists, &truth, 7, &Unlimited).unwrap())
    };
    assert_eq!(run(1, 0), run(3, 0));
    assert_ne!(run(1, 0), run(1, 1));
}

#[test]
fn refuses_what_is_no_ranking() {
    let text = |rows: &[(u32, u32, f64)]| lists(2, rows).unwrap_err().to_string();
    assert_eq!(
        text(&[(0, 1, 1.0), (0, 1, 2.0)]),
        "item 1 is recommended to user 0 more than once"
    );
    assert_eq!(
        text(&[(0, 1, 1.0), (0, 2, 1.0)]),
        "user 0 has two items at rank 1"
    );
    assert_eq!(text(&[(0, 1, f64::NAN)]), "rank in row 0 is not finite");
    assert_eq!(
        text(&[(2, 1, 1.0)]),
        "user 2 in row 0 is not one of the 2 users"
    );

    let lists = lists(1, &[(0, 1, 1.0)]).unwrap();
    let some = truth(1, &[(0, 1)]);
    let none = truth(1, &[]);
    let base = RankingEvaluation::default();
    let text = |params: RankingEvaluation, truth: &Pattern| {
        params
            .fit(&lists, truth, 1, &Unlimited)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(text(base.clone(), &none), "no user has a true item");
    for k in [vec![], vec![5, 0]] {
        let params = RankingEvaluation { k, ..base.clone() };
        assert_eq!(
            text(params, &some),
            "\"k\" must hold cut-offs of at least 1"
        );
    }
    let params = RankingEvaluation {
        confidence: 1.0,
        ..base
    };
    assert_eq!(
        text(params, &some),
        "\"confidence\" must be between 0 and 1, not 1"
    );
}

proptest! {
    #[test]
    fn bounds_and_order(
        rows in prop::collection::btree_set((0u32..6, 0u32..12), 1..50),
        cells in prop::collection::vec((0u32..6, 0u32..12), 1..30),
    ) {
        let rows: Vec<(u32, u32, f64)> = rows
            .into_iter()
            .map(|(user, item)| (user, item, f64::from(item * 7 % 13)))
            .collect();
        let lists = lists(6, &rows).unwrap();
        let scores = evaluate(&[1, 3, 12], &lists, &truth(6, &cells), 12);
        for score in &scores {
            prop_assert!((0.0..=1.0 + 1e-12).contains(&score.value), "{:?}", score);
            if let Some((low, high)) = score.interval {
                prop_assert!(low <= high);
            }
        }
        for k in [1, 3, 12] {
            prop_assert!(
                value(&scores, Metric::Recall, k) <= value(&scores, Metric::RecallMinK, k) + 1e-12
            );
            prop_assert!(
                value(&scores, Metric::Mrr, k) <= value(&scores, Metric::HitRate, k) + 1e-12
            );
        }
        for metric in [Metric::Recall, Metric::HitRate, Metric::Mrr, Metric::Coverage] {
            prop_assert!(value(&scores, metric, 1) <= value(&scores, metric, 3) + 1e-12);
            prop_assert!(value(&scores, metric, 3) <= value(&scores, metric, 12) + 1e-12);
        }
    }

    #[test]
    fn a_perfect_list_is_perfect(cells in prop::collection::btree_set((0u32..6, 0u32..12), 1..30)) {
        let rows: Vec<(u32, u32, f64)> = cells
            .iter()
            .map(|&(user, item)| (user, item, f64::from(item)))
            .collect();
        let cells: Vec<(u32, u32)> = cells.into_iter().collect();
        let scores = evaluate(&[1, 5, 12], &lists(6, &rows).unwrap(), &truth(6, &cells), 12);
        for k in [1, 5, 12] {
            for metric in [Metric::Ndcg, Metric::Map, Metric::RecallMinK, Metric::Mrr, Metric::HitRate] {
                prop_assert!((value(&scores, metric, k) - 1.0).abs() < 1e-12);
            }
        }
    }
}
