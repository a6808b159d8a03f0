//! `ml.svd`, `ml.factorize`, `ml.kmeans`.

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Float64Type};
use tributary_algo::factorization::Als;
use tributary_algo::{Csr, Duplicates, Unlimited};

use super::*;

/// The cells that are not zero of [[0,1,0],[0,0,2],[1,0,0],[1,2,1],[0,0,1]].
fn ratings() -> RecordBatch {
    table([
        ("who", text(["a", "b", "c", "d", "d", "d", "e"])),
        ("what", text(["y", "z", "x", "x", "y", "z", "z"])),
        ("stars", numbers([1.0, 2.0, 1.0, 1.0, 2.0, 1.0, 1.0])),
    ])
}

/// The triples of the decomposition: (side, key, component) to value.
fn decomposed(rows: &RecordBatch) -> Vec<(String, f64)> {
    let names = lines(&rows.project(&[0, 1, 2]).unwrap());
    let values = rows.column(3).as_primitive::<Float64Type>();
    names
        .into_iter()
        .zip(values.values().iter().copied())
        .collect()
}

fn svd(engine: &Engine, rows: &RecordBatch, k: i64) -> RecordBatch {
    engine
        .call("ml.svd")
        .over("rel", rows)
        .with("row_id", "who")
        .with("column_id", "what")
        .with("value", "stars")
        .with("k", k)
        .rows()
        .unwrap()
}

#[test]
fn the_seed_matrix_is_approximated_as_by_hand() {
    let engine = Engine::default();
    let found = decomposed(&svd(&engine, &ratings(), 2));
    let value = |name: String| found.iter().find(|entry| entry.0 == name).unwrap().1;
    let root = 5.0_f64.sqrt();
    assert!((value("sigma||1".to_owned()) - (6.0 + root).sqrt()).abs() < 1e-9);
    assert!((value("sigma||2".to_owned()) - (6.0 - root).sqrt()).abs() < 1e-9);
    let given = [
        [0.0, 1.0, 0.0],
        [0.0, 0.0, 2.0],
        [1.0, 0.0, 0.0],
        [1.0, 2.0, 1.0],
        [0.0, 0.0, 1.0],
    ];
    let best = [
        [0.4, 0.8, 0.0],
        [0.0, 0.0, 2.0],
        [0.2, 0.4, 0.0],
        [1.0, 2.0, 1.0],
        [0.0, 0.0, 1.0],
    ];
    let mut left_over = [0.0; 2];
    for (row, who) in ["a", "b", "c", "d", "e"].iter().enumerate() {
        for (column, what) in ["x", "y", "z"].iter().enumerate() {
            let mut sum = 0.0;
            for component in 1..=2 {
                sum += value(format!("left|{who}|{component}"))
                    * value(format!("sigma||{component}"))
                    * value(format!("right|{what}|{component}"));
                left_over[component - 1] += (given[row][column] - sum).powi(2);
            }
            assert!((sum - best[row][column]).abs() < 1e-9, "{who} {what} {sum}");
        }
    }
    assert!((left_over[0] - (7.0 - root)).abs() < 1e-9);
    assert!((left_over[1] - 1.0).abs() < 1e-9);
    assert_eq!(found.len(), 5 * 2 + 3 * 2 + 2);
}

#[test]
fn cells_given_twice_are_added_up_whatever_their_order() {
    let rows = table([
        ("who", whole((0..400).map(|i| i % 40))),
        ("what", whole((0..400).map(|i| i * 7 % 30))),
        (
            "stars",
            numbers((0..400).map(|i| 0.1 + f64::from(i % 11) / 7.0)),
        ),
    ]);
    check_invariant(|engine, order| lines(&svd(engine, &order(&rows), 3)));
}

#[test]
fn svd_says_what_is_wrong() {
    let engine = Engine::default();
    let call = |rows: &RecordBatch| {
        engine
            .call("ml.svd")
            .over("rel", rows)
            .with("row_id", "who")
            .with("column_id", "what")
    };
    let rows = ratings();
    let valued = |rows: &RecordBatch| call(rows).with("value", "stars");
    check_error(
        &call(&rows).with("k", 2_i64).error(),
        Kind::UndefinedParameter,
        &["\"value\" of ml.svd is missing"],
    );
    check_error(
        &valued(&rows).with("k", 4_i64).error(),
        Kind::InvalidParameter,
        &["\"k\" must be from 1 to 3", "5 x 3", "not 4"],
    );
    check_error(
        &valued(&rows).with("k", 0_i64).error(),
        Kind::InvalidParameter,
        &["\"k\"", "out of range: 0"],
    );
    check_error(
        &valued(&rows).with("k", "two").error(),
        Kind::DatatypeMismatch,
        &["\"k\" of ml.svd must be bigint"],
    );
    check_error(
        &call(&rows).with("k", 1_i64).with("value", "what").error(),
        Kind::DatatypeMismatch,
        &["\"what\"", "is not numeric"],
    );
    check_error(
        &valued(&rows)
            .with("k", 1_i64)
            .with("missing", "skip")
            .error(),
        Kind::InvalidParameter,
        &["\"skip\"", "\"missing\""],
    );
    check_error(
        &valued(&rows.slice(0, 0)).with("k", 1_i64).error(),
        Kind::InvalidData,
        &["no values"],
    );
    for (bad, kind) in [
        (f64::NAN, Kind::NumericOutOfRange),
        (f64::INFINITY, Kind::NumericOutOfRange),
    ] {
        let rows = table([
            ("who", text(["a", "b"])),
            ("what", text(["x", "y"])),
            ("stars", numbers([1.0, bad])),
        ]);
        check_error(
            &valued(&rows).with("k", 1_i64).error(),
            kind,
            &["\"stars\"", "given_as_rel"],
        );
    }
    let unknown = table([
        ("who", nullable([Some("a"), None])),
        ("what", text(["x", "y"])),
        ("stars", numbers([1.0, 2.0])),
    ]);
    check_error(
        &valued(&unknown).with("k", 1_i64).error(),
        Kind::NullNotAllowed,
        &["key column \"who\""],
    );
}

fn bought() -> RecordBatch {
    let rows = 600;
    table([
        ("who", whole((0..rows).map(|i| 100 + i * i % 53))),
        (
            "what",
            text((0..rows).map(|i| ["a", "b", "c", "d", "e", "f", "g"][i as usize * 5 % 7])),
        ),
        (
            "times",
            numbers((0..rows).map(|i| 0.1 * (1 + i % 9) as f64)),
        ),
    ])
}

fn factorize<'a>(engine: &'a Engine, rows: &RecordBatch) -> Called<'a> {
    engine
        .call("ml.factorize")
        .over("rel", rows)
        .with("user_id", "who")
        .with("item_id", "what")
        .with("weight", "times")
        .with("factors", 4_i64)
        .with("iterations", 3_i64)
        .with("seed", 7_i64)
}

#[test]
fn factors_are_those_of_the_algorithm() {
    let engine = Engine::default();
    let rows = bought();
    let found = factorize(&engine, &rows).with("alpha", 2.0).rows().unwrap();
    // The same by hand: users and items numbered in ascending order, weights added up per cell.
    let who = rows.column(0).as_primitive::<arrow::datatypes::Int64Type>();
    let what = rows.column(1).as_string::<i32>();
    let times = rows.column(2).as_primitive::<Float64Type>();
    let mut users: Vec<i64> = who.values().to_vec();
    users.sort_unstable();
    users.dedup();
    let mut cells: Vec<(u32, u32, f32)> = (0..rows.num_rows())
        .map(|row| {
            let user = users.binary_search(&who.value(row)).unwrap() as u32;
            let item = u32::from(what.value(row).as_bytes()[0] - b'a');
            (user, item, times.value(row) as f32)
        })
        .collect();
    cells.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then(a.2.total_cmp(&b.2)));
    let matrix = Csr::from_triples(
        users.len(),
        7,
        &cells.iter().map(|cell| cell.0).collect::<Vec<_>>(),
        &cells.iter().map(|cell| cell.1).collect::<Vec<_>>(),
        &cells.iter().map(|cell| cell.2).collect::<Vec<_>>(),
        Duplicates::Sum,
        &Unlimited,
    )
    .unwrap();
    let expected = Als {
        factors: 4,
        iterations: 3,
        alpha: 2.0,
        nu: 1.0,
        seed: 7,
        ..Als::default()
    };
    let expected = Als {
        regularization: expected.suited_regularization(&matrix),
        ..expected
    }
    .fit(&matrix, None, &Unlimited)
    .unwrap();
    let vectors = found.column(3).as_list::<i32>();
    let values = vectors
        .values()
        .as_primitive::<arrow::datatypes::Float32Type>()
        .values();
    let all: Vec<f32> = expected
        .user_factors
        .iter()
        .chain(expected.item_factors.iter())
        .copied()
        .collect();
    assert_eq!(values.to_vec(), all);
    assert!(all.iter().any(|value| *value != 0.0));
    let names = lines(&found.project(&[0, 1, 2, 4]).unwrap());
    assert_eq!(names[0], format!("user|{}|0|", users[0]));
    assert_eq!(names[users.len()], "item|a|0|");
    assert_eq!(found.num_rows(), users.len() + 7);
}

#[test]
fn factors_do_not_depend_on_the_order_of_rows() {
    let rows = bought();
    check_invariant(|engine, order| factorize(engine, &order(&rows)).lines());
}

#[test]
fn factorize_says_what_is_wrong() {
    let engine = Engine::default();
    let rows = bought();
    check_error(
        &factorize(&engine, &rows)
            .with("method", "nmf")
            .with("nu", 1.0)
            .error(),
        Kind::InvalidParameter,
        &["\"nmf\"", "takes no \"nu\""],
    );
    check_error(
        &factorize(&engine, &rows).with("method", "qr").error(),
        Kind::InvalidParameter,
        &["\"qr\"", "\"method\""],
    );
    check_error(
        &factorize(&engine, &rows)
            .with("regularization", 0.0)
            .error(),
        Kind::InvalidParameter,
        &["\"regularization\"", "out of range"],
    );
    check_error(
        &factorize(&engine, &rows).with("nu", 2.0).error(),
        Kind::InvalidParameter,
        &["\"nu\" must be from 0 to 1"],
    );
    let negative = table([
        ("who", whole([1])),
        ("what", text(["a"])),
        ("times", numbers([-1.0])),
    ]);
    check_error(
        &factorize(&engine, &negative).error(),
        Kind::InvalidData,
        &["\"times\"", "holds -1"],
    );
    check_error(
        &factorize(&engine, &rows.slice(0, 0)).error(),
        Kind::InvalidData,
        &["no interactions"],
    );
    let same = engine
        .call("ml.factorize")
        .over("rel", &rows)
        .with("user_id", "who")
        .with("item_id", "WHO");
    check_error(
        &same.error(),
        Kind::InvalidParameter,
        &["\"who\" is given for both"],
    );
}

#[test]
fn clusters_do_not_depend_on_the_order_of_rows() {
    let points = table([
        ("id", whole(0..120)),
        (
            "x",
            numbers((0..120).map(|i| f64::from(i % 3) * 10.0 + f64::from(i * i % 7))),
        ),
        (
            "y",
            as_type(&whole((0..120).map(|i| i * 3 % 11)), &DataType::Int32),
        ),
    ]);
    check_invariant(|engine, order| {
        let mut found = engine
            .call("ml.kmeans")
            .over("rel", &order(&points))
            .with("features", "x, y")
            .with("k", 3_i64)
            .with("seed", 5_i64)
            .lines();
        found.sort();
        found
    });
}

#[test]
fn no_function_of_features_depends_on_the_order_of_rows() {
    // Rows of equal features but other ids, and values far from their mean.
    let points = table([
        ("id", whole(0..150)),
        (
            "x",
            numbers((0..150).map(|i| 1e6 + f64::from(i % 3) * 10.1 + f64::from(i * i % 7) / 3.0)),
        ),
        ("y", numbers((0..150).map(|i| f64::from(i * 3 % 11) / 7.0))),
        ("kind", whole((0..150).map(|i| i % 3))),
    ]);
    let calls: [(&str, &[(&str, &str)]); 10] = [
        ("ml.dbscan", &[]),
        ("ml.hdbscan", &[]),
        ("ml.gmm", &[("k", "auto")]),
        ("ml.kmeans", &[("k", "auto"), ("criterion", "gap")]),
        ("ml.birch", &[]),
        ("ml.pca", &[]),
        ("ml.kmeans_curve", &[]),
        (
            "ml.evaluate_clusters",
            &[("cluster", "kind"), ("label", "kind")],
        ),
        ("ml.explain_clusters", &[("cluster", "kind")]),
        ("ml.split", &[("event_time", "y")]),
    ];
    for (name, arguments) in calls {
        check_invariant(|engine, order| {
            let mut call = engine.call(name).over("rel", &order(&points));
            if name != "ml.split" {
                call = call.with("features", "x, y");
            }
            for (argument, value) in arguments {
                call = call.with(argument, *value);
            }
            let mut found = call.lines();
            found.sort();
            found
        });
    }
    check_invariant(|engine, order| {
        let call = engine.call("ml.agglomerative").over("rel", &order(&points));
        let mut found = call.with("features", "x, y").with("k", 40_i64).lines();
        found.sort();
        found
    });
    for (algorithm, k) in [
        ("kmeans", Some(4_i64)),
        ("gmm", Some(2)),
        ("dbscan", None),
        ("pca", None),
        ("svd", Some(1)),
    ] {
        check_invariant(|engine, order| {
            let call = engine
                .call("ml.train")
                .with("algorithm", algorithm)
                .over("rel", &order(&points))
                .with("features", "x, y");
            match k {
                Some(k) => call.with("k", k).lines(),
                None => call.lines(),
            }
        });
    }
}
