//! `ml.evaluate_ranking`.

use super::*;

fn offered() -> RecordBatch {
    table([
        ("who", text(["ann", "ann", "ann", "cat", "ann"])),
        ("what", text(["b", "c", "a", "x", "y"])),
        ("rank", numbers([2.0, 3.0, 1.0, 1.0, 7.5])),
    ])
}

fn chosen() -> RecordBatch {
    table([
        ("who", text(["bob", "ann", "ann", "ann"])),
        ("what", text(["a", "b", "d", "b"])),
    ])
}

fn evaluate<'a>(engine: &'a Engine, rel: &RecordBatch, truth: &RecordBatch) -> Called<'a> {
    engine
        .call("ml.evaluate_ranking")
        .over("rel", rel)
        .over("truth", truth)
        .with("user_id", "who")
        .with("item_id", "what")
}

#[test]
fn lists_are_measured_as_by_hand() {
    let engine = Engine::default();
    let rows = evaluate(&engine, &offered(), &chosen())
        .with("k", "2")
        .rows()
        .unwrap();
    // Ann is offered a, b, c, y and chose b, d; bob is offered nothing and chose a; nobody asks what
    // cat chose. Items are a, b, c, d, x, y.
    let gain = (1.0 / 3.0_f64.log2()) / (1.0 + 1.0 / 3.0_f64.log2()) / 2.0;
    let expected = [
        ("precision_at_k", 0.25),
        ("recall_at_k", 0.25),
        ("recall_min_k", 0.25),
        ("f1_at_k", 0.25),
        ("ndcg_at_k", gain),
        ("map_at_k", 0.125),
        ("mrr_at_k", 0.25),
        ("hit_rate_at_k", 0.5),
        ("coverage_at_k", 2.0 / 6.0),
    ];
    let found = lines(&rows);
    assert_eq!(found.len(), expected.len());
    for (line, (metric, value)) in found.iter().zip(expected) {
        let values: Vec<&str> = line.split('|').collect();
        assert_eq!(
            (values[0], values[1], values[5]),
            (metric, "2", "2"),
            "{line}"
        );
        assert!(
            (values[2].parse::<f64>().unwrap() - value).abs() < 1e-12,
            "{line}"
        );
        if metric == "coverage_at_k" {
            assert_eq!((values[3], values[4]), ("", ""), "{line}");
        } else {
            let bounds: Vec<f64> = values[3..5]
                .iter()
                .map(|bound| bound.parse().unwrap())
                .collect();
            assert!(bounds[0] <= value && value <= bounds[1], "{line}");
        }
    }
    let cuts = evaluate(&engine, &offered(), &chosen()).rows().unwrap();
    assert_eq!(cuts.num_rows(), 3 * 9);
}

#[test]
fn figures_do_not_depend_on_the_order_of_rows() {
    let rel = table([
        ("who", whole((0..900).map(|i| i / 10))),
        ("what", whole((0..900).map(|i| (i / 10 + i % 10 * 7) % 71))),
        ("rank", whole((0..900).map(|i| i % 10))),
    ]);
    let truth = table([
        ("who", whole((0..200).map(|i| i % 80))),
        ("what", whole((0..200).map(|i| i * 11 % 71))),
    ]);
    check_invariant(|engine, order| {
        evaluate(engine, &order(&rel), &order(&truth))
            .with("seed", 3_i64)
            .lines()
    });
}

#[test]
fn evaluate_ranking_says_what_is_wrong() {
    let engine = Engine::default();
    let twice = table([
        ("who", text(["ann", "ann"])),
        ("what", text(["b", "b"])),
        ("rank", whole([1, 2])),
    ]);
    check_error(
        &evaluate(&engine, &twice, &chosen()).error(),
        Kind::InvalidData,
        &["item b is recommended to user ann more than once"],
    );
    let tied = table([
        ("who", text(["ann", "ann"])),
        ("what", text(["b", "c"])),
        ("rank", whole([4, 4])),
    ]);
    check_error(
        &evaluate(&engine, &tied, &chosen()).error(),
        Kind::InvalidData,
        &["user ann has two items at rank 4"],
    );
    check_error(
        &evaluate(&engine, &offered(), &chosen().slice(0, 0)).error(),
        Kind::InvalidData,
        &["no user has a true item"],
    );
    for wrong in ["0", "-1", "99999999999", "two"] {
        check_error(
            &evaluate(&engine, &offered(), &chosen())
                .with("k", wrong)
                .error(),
            Kind::InvalidParameter,
            &["\"k\""],
        );
    }
    let rankless = offered().project(&[0, 1]).unwrap();
    check_error(
        &evaluate(&engine, &rankless, &chosen()).error(),
        Kind::UndefinedColumn,
        &["\"rank\""],
    );
    let worded = table([
        ("who", text(["ann"])),
        ("what", text(["b"])),
        ("rank", text(["first"])),
    ]);
    check_error(
        &evaluate(&engine, &worded, &chosen()).error(),
        Kind::DatatypeMismatch,
        &["\"rank\"", "is not numeric"],
    );
    let other = table([("who", whole([1])), ("what", text(["b"]))]);
    check_error(
        &evaluate(&engine, &offered(), &other).error(),
        Kind::DatatypeMismatch,
        &["\"who\"", "given_as_truth", "given_as_rel"],
    );
}
