//! What holds for every function because it is a node of the plan.

use std::time::{Duration, Instant};

use arrow::datatypes::Field;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::Placeholder;

use super::*;

fn points(rows: i64) -> RecordBatch {
    table([
        ("id", whole(0..rows)),
        ("x", numbers((0..rows).map(|i| (i % 10) as f64))),
        (
            "unused",
            text((0..rows).map(|_| "a long text that nobody reads")),
        ),
    ])
}

#[test]
fn only_the_columns_that_are_needed_are_read() {
    let engine = Engine::default();
    let rows = table([
        ("unused", whole([1, 2])),
        ("what", whole([1, 2])),
        ("other", text(["a", "b"])),
        ("who", whole([1, 2])),
    ]);
    let call = engine
        .call("ml.factorize")
        .over("rel", &rows)
        .with("user_id", "who")
        .with("item_id", "what")
        .with("factors", 1_i64);
    let plan = engine.physical(call.plan().unwrap());
    let children = plan.children();
    let schema = children[0].schema();
    let names: Vec<&str> = schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    assert_eq!(names, ["what", "who"]);
    assert_eq!(call.rows().unwrap().num_rows(), 4);
}

#[test]
fn explain_names_the_function_and_its_arguments() {
    let engine = Engine::default();
    let call = engine
        .call("ml.kmeans")
        .over("rel", &points(10))
        .with("features", "x")
        .with("k", 2_i64);
    let plan = call.plan().unwrap();
    let logical = plan.display_indent().to_string();
    assert!(
        logical
            .starts_with("RelationFunction: ml.kmeans(features => Utf8(\"x\"), k => Int64(2))\n"),
        "{logical}"
    );
    let physical = engine.physical(plan);
    let text = datafusion::physical_plan::displayable(physical.as_ref())
        .indent(false)
        .to_string();
    assert!(
        text.starts_with("RelationFunctionExec: ml.kmeans(features => x, k => 2)\n"),
        "{text}"
    );
}

#[test]
fn parameters_of_prepared_statements_are_values_at_execution() {
    let engine = Engine::default();
    let placeholder = |data_type| {
        Expr::Placeholder(Placeholder::new_with_field(
            "$1".to_owned(),
            Some(Arc::new(Field::new("$1", data_type, true))),
        ))
    };
    let plan = engine
        .call("ml.kmeans")
        .over("rel", &points(10))
        .with("features", "x")
        .expression("k", placeholder(DataType::Int64))
        .plan()
        .unwrap();
    let run = |k: i64| {
        let bound = plan
            .clone()
            .with_param_values(vec![ScalarValue::Int64(Some(k))])?;
        engine.collect(bound)
    };
    assert_eq!(run(2).unwrap().num_rows(), 10);
    check_error(
        &run(11).unwrap_err(),
        Kind::InvalidParameter,
        &["\"k\" is 11"],
    );
    check_error(&run(0).unwrap_err(), Kind::InvalidParameter, &["\"k\""]);
    // What shapes the result is known when it is planned.
    let shaping = engine
        .call("ml.kmeans")
        .over("rel", &points(10))
        .expression("features", placeholder(DataType::Utf8));
    check_error(
        &shaping.error(),
        Kind::FeatureNotSupported,
        &["\"features\" of ml.kmeans must be a constant"],
    );
}

#[test]
fn the_memory_limit_holds() {
    let rows = table([
        ("who", whole((0..2000).map(|i| i % 500))),
        ("what", whole((0..2000).map(|i| i * 7 % 500))),
    ]);
    let factorize = |engine: &Engine| {
        engine
            .call("ml.factorize")
            .over("rel", &rows)
            .with("user_id", "who")
            .with("item_id", "what")
            .with("factors", 128_i64)
            .with("iterations", 1_i64)
            .rows()
    };
    // Too little for the rows, enough for the rows but not for the factors, and enough.
    for (bytes, enough) in [(10_000, false), (600_000, false), (50_000_000, true)] {
        let engine = Engine::new(2, 8192, Some(bytes));
        match factorize(&engine) {
            Ok(found) => assert!(enough && found.num_rows() == 1000, "{bytes} bytes"),
            Err(error) => {
                assert!(!enough, "{bytes} bytes: {error:?}");
                check_error(&error, Kind::OutOfMemory, &["bytes"]);
            }
        }
        // What was reserved is given back.
        until(|| reserved(&engine) == 0);
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_computation() {
    let engine = Engine::default();
    let rows = table([
        ("who", whole((0..2000).map(|i| i % 500))),
        ("what", whole((0..2000).map(|i| i * 7 % 500))),
    ]);
    // Hours of work.
    let stream = engine
        .call("ml.factorize")
        .over("rel", &rows)
        .with("user_id", "who")
        .with("item_id", "what")
        .with("iterations", 10_000_000_i64)
        .start();
    until(|| reserved(&engine) > 200_000);
    drop(stream);
    until(|| reserved(&engine) == 0);
}

fn reserved(engine: &Engine) -> usize {
    engine.context.runtime_env().memory_pool.reserved()
}

/// Waits for `condition`, which holds within a minute or never.
#[track_caller]
fn until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(60), "it never holds");
        std::thread::yield_now();
    }
}

#[test]
fn arguments_are_checked_by_type() {
    let engine = Engine::default();
    let call = || {
        engine
            .call("ml.kmeans")
            .over("rel", &points(10))
            .with("features", "x")
    };
    for (argument, value) in [
        ("k", ScalarValue::from("eight")),
        ("k", ScalarValue::from(1.5)),
        ("tol", ScalarValue::from("small")),
        ("output", ScalarValue::from(1_i64)),
    ] {
        check_error(
            &call().with(argument, value).error(),
            Kind::DatatypeMismatch,
            &[argument, "of ml.kmeans must be"],
        );
    }
    check_error(
        &call().with("k", ScalarValue::Int64(None)).error(),
        Kind::NullNotAllowed,
        &["\"k\" of ml.kmeans must not be NULL"],
    );
    check_error(
        &call().with("tol", f64::NAN).error(),
        Kind::InvalidParameter,
        &["\"tol\"", "finite"],
    );
    assert_eq!(call().with("k", 3.0).rows().unwrap().num_rows(), 10);
}

#[test]
fn result_columns_never_clash_silently() {
    let engine = Engine::default();
    let rows = table([("x", numbers([1.0, 2.0])), ("cluster_id", whole([7, 8]))]);
    let call = || {
        engine
            .call("ml.kmeans")
            .over("rel", &rows)
            .with("features", "x")
            .with("k", 2_i64)
    };
    check_error(
        &call().error(),
        Kind::DuplicateColumn,
        &["\"cluster_id\"", "given_as_rel"],
    );
    assert_eq!(
        call().with("output", "label").rows().unwrap().num_columns(),
        4
    );
}

#[test]
fn normalisers_take_columns_and_constants() {
    let engine = Engine::default();
    let rows = table([
        (
            "mail",
            nullable([Some(" Ann.Lee+x@GoogleMail.com "), Some("n/a"), None]),
        ),
        (
            "phone",
            nullable([Some("(030) 901820"), Some("415-555-0132"), None]),
        ),
        ("region", nullable([Some("de"), None, Some("US")])),
    ]);
    let functions = crate::scalars::all();
    let function = |name: &str, args: Vec<Expr>| {
        let found = functions.iter().find(|function| function.name() == name);
        found.unwrap().call(args)
    };
    let column = |name: &str| datafusion::logical_expr::col(name);
    let apply = |expr: Expr| -> Result<Vec<String>> {
        let table = provider_as_source(Arc::new(engine.table(&rows)));
        let plan = LogicalPlanBuilder::scan("rows", table, None)?
            .project([expr.alias("found")])?
            .build()?;
        Ok(lines(&engine.collect(plan)?))
    };
    assert_eq!(
        apply(function("email_norm", vec![column("mail")])).unwrap(),
        ["annlee@gmail.com", "", ""]
    );
    assert_eq!(
        apply(function(
            "phone_e164",
            vec![column("phone"), column("region")]
        ))
        .unwrap(),
        ["+4930901820", "", ""]
    );
    assert_eq!(
        apply(function("phone_e164", vec![column("phone")])).unwrap()[1],
        "+14155550132"
    );
    let unknown = function("phone_e164", vec![column("phone"), lit("Atlantis")]);
    check_error(
        &apply(unknown).unwrap_err(),
        Kind::InvalidParameter,
        &["\"Atlantis\""],
    );
}

#[test]
fn keys_have_the_types_that_the_engine_gives_them() {
    let engine = Engine::default();
    let narrow = as_type(&whole([3, 4]), &DataType::Int16);
    let scan = |key: ArrayRef| {
        let rows = table([("id", key), ("what", text(["a", "b"]))]);
        let source = provider_as_source(Arc::new(engine.table(&rows)));
        LogicalPlanBuilder::scan("rows", source, None).unwrap()
    };
    // The branches of a UNION are brought to one type only when the statement is analysed.
    let both = scan(narrow)
        .union(scan(whole([3, 70_000])).build().unwrap())
        .unwrap()
        .build()
        .unwrap();
    assert_eq!(both.schema().field(0).data_type(), &DataType::Int16);
    let mut call = engine
        .call("ml.train")
        .with("algorithm", "popularity")
        .over("rel", &table([("id", whole([1])), ("what", text(["a"]))]))
        .with("user_id", "id")
        .with("item_id", "what");
    call.inputs[0].plan = both;
    let model = call.train();
    let info = ModelInfo::from_tag(&model.tag).unwrap();
    assert_eq!(info.key("user").unwrap().1, DataType::Int64);
    let found = engine
        .call("ml.recommend")
        .model("model", &model)
        .with("exclude_seen", false)
        .with("k", 1_i64)
        .lines();
    assert_eq!(
        found,
        [
            "3|1|a|2.0|popularity",
            "4|1|a|2.0|popularity",
            "70000|1|a|2.0|popularity"
        ]
    );
}
