use super::*;
use crate::Unlimited;
use proptest::prelude::*;

const NONE: f64 = f64::NAN;

#[test]
fn missing_numbers_by_hand() {
    let fill = |values: &[f64], groups: &[u32], average| {
        fill_numbers(values, groups, 3, average, &Unlimited).unwrap()
    };
    let (values, groups) = ([1.0, 2.0, 6.0, NONE, 10.0], [0, 0, 0, 2, 1]);
    assert_eq!(fill(&values, &groups, Average::Mean), [3.0, 10.0, 4.75]);
    assert_eq!(fill(&values, &groups, Average::Median), [2.0, 10.0, 4.0]);
    assert!(
        fill(&[NONE], &[0], Average::Mean)
            .iter()
            .all(|value| value.is_nan())
    );
    assert!(fill_numbers(&[1.0], &[3], 3, Average::Mean, &Unlimited).is_err());
    assert!(fill_numbers(&[1.0], &[], 3, Average::Mean, &Unlimited).is_err());
}

#[test]
fn missing_codes_by_hand() {
    let codes = [Some(3), Some(1), Some(3), Some(1), None, Some(2)];
    let groups = [0, 0, 0, 1, 2, 0];
    assert_eq!(
        fill_codes(&codes, &groups, 3, &Unlimited).unwrap(),
        [Some(3), Some(1), Some(1)]
    );
    assert_eq!(fill_codes(&[None], &[0], 1, &Unlimited).unwrap(), [None]);
    assert!(fill_codes(&codes, &groups, 2, &Unlimited).is_err());
}

#[test]
fn scores_by_hand() {
    let score = |method: Outliers, values: &[f64]| {
        let groups = vec![0; values.len()];
        method.scores(values, &groups, 1, &Unlimited).unwrap()
    };
    // Quartiles 2 and 4.
    assert_eq!(
        score(Outliers::Iqr, &[1.0, 2.0, 3.0, 4.0, 100.0]),
        [0.5, 0.0, 0.0, 0.0, 48.0]
    );
    assert_eq!(
        score(Outliers::Iqr, &[5.0, 5.0, 5.0, 5.0, 6.0]),
        [0.0, 0.0, 0.0, 0.0, f64::INFINITY]
    );
    // Median 3, median absolute deviation 1.
    let mad = score(Outliers::Mad, &[1.0, 2.0, 3.0, 4.0, 100.0]);
    assert!((mad[4] - 97.0 * 0.6745).abs() < 1e-9);
    let mad = score(Outliers::Mad, &[5.0, 5.0, 5.0, 6.0]);
    assert!((mad[3] - 4.0 / 1.253_314).abs() < 1e-9);
    // Mean 2, standard deviation 1.
    assert_eq!(score(Outliers::ZScore, &[1.0, 3.0]), [1.0, 1.0]);
    assert_eq!(score(Outliers::ZScore, &[7.0, 7.0]), [0.0, 0.0]);
    let missing = score(Outliers::ZScore, &[1.0, NONE, 3.0]);
    assert!(missing[1].is_nan() && missing[0] == 1.0);
    // Each group by itself.
    let found = Outliers::ZScore
        .scores(&[1.0, 101.0, 3.0, 103.0], &[0, 1, 0, 1], 2, &Unlimited)
        .unwrap();
    assert_eq!(found, [1.0; 4]);
}

/// A tight crowd and one row far away.
fn crowd() -> Vec<f64> {
    let mut rows: Vec<f64> = (0..400)
        .flat_map(|at| [f64::from(at % 20), f64::from(at / 20)])
        .collect();
    rows.extend([300.0, -200.0]);
    rows
}

#[test]
fn what_is_alone_is_isolated() {
    let rows = crowd();
    let forest = IsolationForest::default();
    let scores = forest.scores(&rows, 2, &Unlimited).unwrap();
    let (last, others) = scores.split_last().unwrap();
    assert!(*last > 0.75, "{last}");
    assert!(others.iter().all(|score| *score < 0.7));
    let mean = others.iter().sum::<f64>() / others.len() as f64;
    assert!((0.35..0.55).contains(&mean), "{mean}");
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(4)
        .build()
        .unwrap();
    assert_eq!(
        pool.install(|| forest.scores(&rows, 2, &Unlimited).unwrap()),
        scores
    );
}

#[test]
fn edges_of_the_forest() {
    let forest = IsolationForest::default();
    assert_eq!(forest.scores(&[], 2, &Unlimited).unwrap(), [0.0; 0]);
    assert_eq!(forest.scores(&[1.0], 1, &Unlimited).unwrap(), [0.5]);
    let equal = forest.scores(&[7.0; 50], 1, &Unlimited).unwrap();
    assert!(equal.iter().all(|score| (score - 0.5).abs() < 1e-9));
    for wrong in [
        IsolationForest {
            trees: 0,
            ..IsolationForest::default()
        },
        IsolationForest {
            sample: 1,
            ..IsolationForest::default()
        },
    ] {
        assert!(wrong.scores(&[1.0, 2.0], 1, &Unlimited).is_err());
    }
    assert!(forest.scores(&[1.0, 2.0, 3.0], 2, &Unlimited).is_err());
    let far = forest
        .scores(&[-f64::MAX, f64::MAX, 0.0], 1, &Unlimited)
        .unwrap();
    assert!(far.iter().all(|score| score.is_finite()));
}

proptest! {
    #[test]
    fn order_plays_no_part(values in prop::collection::vec(-1e6_f64..1e6, 1..40), turn in 0usize..40) {
        let groups: Vec<u32> = (0..values.len() as u32).map(|at| at % 3).collect();
        let turned = |mut items: Vec<f64>| { let by = turn % items.len(); items.rotate_left(by); items };
        let mut turned_groups = groups.clone();
        turned_groups.rotate_left(turn % groups.len());
        for method in [Outliers::Iqr, Outliers::Mad, Outliers::ZScore] {
            let straight = method.scores(&values, &groups, 3, &Unlimited).unwrap();
            let other = method.scores(&turned(values.clone()), &turned_groups, 3, &Unlimited).unwrap();
            prop_assert_eq!(turned(straight), other);
        }
        for average in [Average::Mean, Average::Median] {
            prop_assert_eq!(
                fill_numbers(&values, &groups, 3, average, &Unlimited).unwrap(),
                fill_numbers(&turned(values.clone()), &turned_groups, 3, average, &Unlimited).unwrap()
            );
        }
    }
}
