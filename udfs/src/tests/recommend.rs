//! `ml.train` and `ml.recommend`.

use arrow::array::{AsArray, BinaryArray, Float32Array, Float64Array, Int64Array, StringArray};
use arrow::datatypes::{Float32Type, Float64Type};
use serde_json::Value;

use super::*;

/// Weights by item: 10: 4, 20: 1, 30: 2, 40: 5, 50: 0. Zed has no interaction of positive weight.
fn bought() -> RecordBatch {
    table([
        (
            "who",
            text(["ann", "ann", "bob", "bob", "cat", "cat", "zed"]),
        ),
        ("what", whole([10, 20, 10, 30, 40, 40, 50])),
        ("times", numbers([3.0, 1.0, 1.0, 2.0, 4.0, 1.0, 0.0])),
    ])
}

fn train<'a>(engine: &'a Engine, algorithm: &str, rows: &RecordBatch) -> Called<'a> {
    let call = engine
        .call("ml.train")
        .with("algorithm", algorithm)
        .over("rel", rows)
        .with("user_id", "who")
        .with("item_id", "what")
        .with("weight", "times");
    if algorithm == "als" {
        call.with("factors", 3_i64).with("seed", 1_i64)
    } else {
        call
    }
}

fn recommend<'a>(engine: &'a Engine, model: &Model) -> Called<'a> {
    engine.call("ml.recommend").model("model", model)
}

/// User, rank and item of each line.
fn offers(call: &Called<'_>) -> Vec<String> {
    lines(&call.rows().unwrap().project(&[0, 1, 2]).unwrap())
}

fn manifest(model: &Model) -> Value {
    let sections = model.rows.column(0).as_string::<i32>();
    let row = (0..sections.len())
        .find(|row| sections.value(*row) == "manifest")
        .unwrap();
    serde_json::from_slice(model.rows.column(5).as_binary::<i32>().value(row)).unwrap()
}

#[test]
fn a_model_is_a_table_of_its_weights() {
    let engine = Engine::default();
    let model = train(&engine, "als", &bought()).train();
    assert_eq!(model.rows.schema(), crate::model::model_schema());
    let rows = lines(&model.rows.project(&[0, 1, 2, 3]).unwrap());
    assert_eq!(
        rows,
        [
            "manifest|0|als|",
            "user|0|ann|4.0",
            "user|1|bob|3.0",
            "user|2|cat|5.0",
            "user|3|zed|0.0",
            "item|0|10|4.0",
            "item|1|20|1.0",
            "item|2|30|2.0",
            "item|3|40|5.0",
            "item|4|50|0.0",
        ]
    );
    let payloads = model.rows.column(5).as_binary::<i32>();
    assert_eq!(payloads.value(1), [0, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(payloads.value(4), [0_u8; 0]);
    let facts = manifest(&model);
    assert_eq!(facts["algorithm"], "als");
    assert_eq!(facts["format_version"], 1);
    assert_eq!(facts["rows"], 9);
    assert_eq!(facts["parameters"]["factors"], 3);
    assert_eq!(facts["parameters"]["seed"], 1);
    assert_eq!(facts["training"]["users"], 4);
    assert_eq!(facts["training"]["interactions"], 5);
    assert_eq!(facts["keys"][1]["data_type"], "Int64");
    let losses: Vec<f64> = facts["metrics"]["loss"]
        .as_array()
        .unwrap()
        .iter()
        .map(|loss| loss.as_f64().unwrap())
        .collect();
    assert_eq!(losses.len(), 15);
    assert!(
        losses
            .windows(2)
            .all(|pair| pair[1] <= pair[0] * (1.0 + 1e-6))
    );
    // What planning knows is in the tag.
    let info = ModelInfo::from_tag(&model.tag).unwrap();
    assert_eq!(info.key("user").unwrap().1, DataType::Utf8);
    assert_eq!(info.key("item").unwrap().0.name, "what");
}

#[test]
fn models_do_not_depend_on_the_order_of_rows() {
    let rows = table([
        ("who", whole((0..500).map(|i| i * i % 37))),
        (
            "what",
            text((0..500).map(|i| ["a", "b", "c", "d", "e"][i * 3 % 5])),
        ),
        (
            "times",
            numbers((0..500).map(|i| 0.1 * f64::from(1 + i % 4))),
        ),
    ]);
    for algorithm in [
        "als",
        "bpr",
        "item_knn",
        "ease",
        "graph_filter",
        "rp3beta",
        "popularity",
    ] {
        check_invariant(|engine, order| train(engine, algorithm, &order(&rows)).lines());
    }
    // Nor does it matter in which order the rows of a model come back.
    check_invariant(|engine, order| {
        let mut model = train(engine, "als", &rows).train();
        model.rows = order(&model.rows);
        recommend(engine, &model)
            .with("k", 3_i64)
            .with("exclude_seen", false)
            .lines()
    });
}

#[test]
fn everyone_is_offered_what_is_popular() {
    let engine = Engine::default();
    let model = train(&engine, "popularity", &bought()).train();
    let call = || recommend(&engine, &model).with("k", 2_i64);
    assert_eq!(
        call().lines(),
        [
            "ann|1|40|5.0|popularity",
            "ann|2|30|2.0|popularity",
            "bob|1|40|5.0|popularity",
            "bob|2|20|1.0|popularity",
            "cat|1|10|4.0|popularity",
            "cat|2|30|2.0|popularity",
            "zed|1|40|5.0|popularity",
            "zed|2|10|4.0|popularity",
        ]
    );
    let eve = table([("who", text(["eve", "bob", "eve"]))]);
    assert_eq!(
        offers(&call().over("users", &eve)),
        ["bob|1|40", "bob|2|20", "eve|1|40", "eve|2|10"]
    );
    assert_eq!(
        offers(&call().over("users", &eve).with("exclude_seen", false)),
        ["bob|1|40", "bob|2|10", "eve|1|40", "eve|2|10"]
    );
    // There are only four items of positive weight.
    assert_eq!(
        offers(&recommend(&engine, &model).over("users", &eve)).len(),
        2 + 4
    );
}

#[test]
fn exclusions_and_candidates_are_for_all_or_for_each() {
    let engine = Engine::default();
    for algorithm in ["popularity", "als"] {
        let model = train(&engine, algorithm, &bought()).train();
        let call = || recommend(&engine, &model).with("exclude_seen", false);
        let offered = |call: Called<'_>, user: &str| -> Vec<i64> {
            let mut items: Vec<i64> = offers(&call)
                .iter()
                .filter_map(|line| {
                    let values: Vec<&str> = line.split('|').collect();
                    (values[0] == user).then(|| values[2].parse().unwrap())
                })
                .collect();
            items.sort_unstable();
            items
        };
        let all = offered(call(), "ann");
        assert!(all.contains(&40) && all.contains(&10), "{all:?}");
        let some = table([("what", as_type(&whole([40, 99, 40]), &DataType::Int32))]);
        let own = table([
            ("extra", whole([0, 0, 0])),
            ("WHO", text(["ann", "bob", "nobody"])),
            ("what", whole([40, 20, 10])),
        ]);
        let own = table([
            ("who", own.column(1).clone()),
            ("what", own.column(2).clone()),
            ("extra", own.column(0).clone()),
        ]);
        let but = |items: &[i64], barred: i64| -> Vec<i64> {
            items
                .iter()
                .copied()
                .filter(|item| *item != barred)
                .collect()
        };
        let of_all = call().over("exclude", &some);
        assert_eq!(offered(of_all.clone(), "ann"), but(&all, 40));
        assert_eq!(offered(of_all, "cat"), but(&offered(call(), "cat"), 40));
        let of_each = call().over("exclude", &own);
        assert_eq!(offered(of_each.clone(), "ann"), but(&all, 40));
        assert_eq!(
            offered(of_each.clone(), "bob"),
            but(&offered(call(), "bob"), 20)
        );
        assert_eq!(offered(of_each, "cat"), offered(call(), "cat"));

        let only = call().over("candidates", &some);
        assert_eq!(offered(only.clone(), "ann"), [40]);
        assert_eq!(offered(only, "cat"), [40]);
        let only_own = call().over("candidates", &own);
        assert_eq!(offered(only_own.clone(), "ann"), [40]);
        assert_eq!(offered(only_own.clone(), "bob"), [20]);
        assert_eq!(offered(only_own.clone(), "cat"), [0_i64; 0]);
        // Together with what was seen, and for some users only; the order of relations is free.
        let asked = table([("who", text(["bob", "ann"]))]);
        let narrowed = engine
            .call("ml.recommend")
            .over("candidates", &own)
            .over("users", &asked)
            .over("exclude", &table([("what", whole([20]))]))
            .model("model", &model);
        assert_eq!(offers(&narrowed), ["ann|1|40"]);
        let nothing = call().over("candidates", &some.slice(0, 0));
        assert_eq!(nothing.lines(), [""; 0]);
    }
}

#[test]
fn scores_are_the_products_of_the_factors() {
    let engine = Engine::default();
    let model = train(&engine, "als", &bought()).train();
    let keys = model.rows.column(2).as_string::<i32>();
    let sections = model.rows.column(0).as_string::<i32>();
    let vectors = model.rows.column(4).as_list::<i32>();
    let vector = |section: &str, key: &str| -> Vec<f32> {
        let row = (0..keys.len())
            .find(|row| sections.value(*row) == section && keys.value(*row) == key)
            .unwrap();
        vectors
            .value(row)
            .as_primitive::<Float32Type>()
            .values()
            .to_vec()
    };
    let asked = table([("who", text(["cat", "ann", "zed", "eve"]))]);
    let found = recommend(&engine, &model)
        .over("users", &asked)
        .with("k", 4_i64)
        .rows()
        .unwrap();
    let scores = found.column(3).as_primitive::<Float64Type>();
    let mut of_model = 0;
    for (row, line) in lines(&found).iter().enumerate() {
        let values: Vec<&str> = line.split('|').collect();
        let [user, rank, item, _, source] = values[..] else {
            panic!("{line}");
        };
        // Users without a positive interaction are offered what is popular.
        assert_eq!(source == "model", user == "ann" || user == "cat", "{line}");
        if source == "model" {
            of_model += 1;
            let product: f32 = vector("user", user)
                .iter()
                .zip(vector("item", item))
                .map(|(x, y)| x * y)
                .sum();
            assert!(
                (scores.value(row) - f64::from(product)).abs() < 1e-6,
                "{line}"
            );
        }
        if rank != "1" {
            assert!(scores.value(row) <= scores.value(row - 1), "{line}");
        }
    }
    // Ann has seen two of five items, cat one.
    assert_eq!(of_model, 3 + 4);
    // One user alone gets the bits that she gets among all.
    let alone = recommend(&engine, &model)
        .over("users", &table([("who", text(["ann"]))]))
        .with("k", 4_i64)
        .lines();
    let all = recommend(&engine, &model).with("k", 4_i64).lines();
    assert_eq!(alone, all[..3]);
}

/// The model with one column changed.
fn altered(model: &Model, column: usize, values: ArrayRef) -> Model {
    let mut columns = model.rows.columns().to_vec();
    columns[column] = values;
    Model {
        tag: model.tag.clone(),
        rows: RecordBatch::try_new(model.rows.schema(), columns).unwrap(),
    }
}

#[test]
fn a_damaged_model_is_refused() {
    let engine = Engine::default();
    let model = train(&engine, "als", &bought()).train();
    let refused = |model: &Model, detail: &str| {
        let error = recommend(&engine, model).error();
        check_error(&error, Kind::InvalidData, &["given_as_model"]);
        let found = error.detail.unwrap();
        assert!(found.contains(detail), "{found}");
    };
    let rows = model.rows.num_rows();
    let without = |from: usize, length: usize| Model {
        tag: model.tag.clone(),
        rows: model.rows.slice(from, length),
    };
    refused(
        &without(0, rows - 1),
        "8 rows beside its manifest, which says 9",
    );
    refused(&without(1, rows - 1), "no manifest");
    refused(&without(0, 0), "no manifest");
    let twice = Model {
        tag: model.tag.clone(),
        rows: concat_batches(&model.rows.schema(), [&model.rows, &model.rows]).unwrap(),
    };
    refused(&twice, "more than one manifest");

    let changed = "do not agree with its checksum";
    let idx = model
        .rows
        .column(1)
        .as_primitive::<arrow::datatypes::Int64Type>();
    let idx: Int64Array = idx.iter().map(|idx| idx.map(|idx| idx.max(1))).collect();
    refused(&altered(&model, 1, Arc::new(idx)), changed);
    let keys = model.rows.column(2).as_string::<i32>();
    let keys: StringArray = keys
        .iter()
        .map(|key| key.map(|key| key.replace("ann", "amy")))
        .collect();
    refused(&altered(&model, 2, Arc::new(keys)), changed);
    let weights = model.rows.column(3).as_primitive::<Float64Type>();
    let weights: Float64Array = weights
        .iter()
        .map(|weight| weight.map(|weight| weight + 1e-12))
        .collect();
    refused(&altered(&model, 3, Arc::new(weights)), changed);
    let vectors = model.rows.column(4).as_list::<i32>();
    let mut numbers = vectors
        .values()
        .as_primitive::<Float32Type>()
        .values()
        .to_vec();
    numbers[0] = -numbers[0];
    let (field, offsets, _, nulls) = vectors.clone().into_parts();
    let vectors =
        arrow::array::ListArray::new(field, offsets, Arc::new(Float32Array::from(numbers)), nulls);
    refused(&altered(&model, 4, Arc::new(vectors)), changed);
    // The manifest is covered by its own checksum.
    let edit = |from: &str, to: &str| -> Model {
        let payloads = model.rows.column(5).as_binary::<i32>();
        let payloads: BinaryArray = payloads
            .iter()
            .map(|payload| {
                payload.map(|bytes| match std::str::from_utf8(bytes) {
                    Ok(text) if text.starts_with('{') => {
                        assert!(text.contains(from), "{text}");
                        text.replace(from, to).into_bytes()
                    }
                    _ => bytes.to_vec(),
                })
            })
            .collect();
        altered(&model, 5, Arc::new(payloads))
    };
    refused(&edit("\"alpha\":20.0", "\"alpha\":21.0"), changed);
    refused(&edit("{", "["), "cannot be read");
    let error = recommend(
        &engine,
        &edit("\"format_version\":1", "\"format_version\":9"),
    )
    .error();
    check_error(&error, Kind::WrongObjectType, &["format version 9"]);
}

#[test]
fn train_says_what_is_wrong() {
    let engine = Engine::default();
    let rows = bought();
    for (algorithm, kind) in [
        ("simplex", Kind::FeatureNotSupported),
        ("magic", Kind::InvalidParameter),
    ] {
        let error = train(&engine, algorithm, &rows).error();
        check_error(&error, kind, &[algorithm]);
        assert!(error.hint.unwrap().contains("als, als_explicit"));
    }
    check_error(
        &train(&engine, "kmeans", &rows).error(),
        Kind::InvalidParameter,
        &["\"kmeans\"", "takes no \"user_id\""],
    );
    check_error(
        &train(&engine, "popularity", &rows)
            .with("factors", 2_i64)
            .error(),
        Kind::InvalidParameter,
        &["\"popularity\"", "\"factors\""],
    );
    check_error(
        &train(&engine, "popularity", &rows.slice(6, 1)).error(),
        Kind::InvalidData,
        &["no interactions"],
    );
    check_error(
        &train(&engine, "als", &rows.slice(0, 0)).error(),
        Kind::InvalidData,
        &["no interactions"],
    );
    let absent = engine
        .call("ml.train")
        .with("algorithm", "als")
        .over("rel", &rows)
        .with("user_id", "who")
        .with("item_id", "product");
    check_error(
        &absent.error(),
        Kind::UndefinedColumn,
        &["\"product\"", "given_as_rel"],
    );
    check_error(
        &engine.call("ml.train").with("algorithm", "als").error(),
        Kind::UndefinedParameter,
        &["\"rel\" of ml.train is missing"],
    );
    let bytes: ArrayRef = Arc::new(BinaryArray::from_iter_values([[0xff_u8, 0xfe]]));
    let binary = table([
        ("who", bytes),
        ("what", whole([1])),
        ("times", numbers([1.0])),
    ]);
    check_error(
        &train(&engine, "als", &binary).error(),
        Kind::DatatypeMismatch,
        &["\"who\"", "cannot be a key"],
    );
}

#[test]
fn recommend_says_what_is_wrong() {
    let engine = Engine::default();
    let model = train(&engine, "popularity", &bought()).train();
    let no_model = engine.call("ml.recommend").over("model", &bought());
    check_error(
        &no_model.error(),
        Kind::WrongObjectType,
        &["not a model table"],
    );
    let hollow = Model {
        tag: model.tag.clone(),
        rows: model.rows.project(&[0, 1, 2, 3]).unwrap(),
    };
    check_error(
        &recommend(&engine, &hollow).error(),
        Kind::WrongObjectType,
        &["not a model table"],
    );
    check_error(
        &recommend(&engine, &model).with("k", 0_i64).error(),
        Kind::InvalidParameter,
        &["\"k\"", "out of range: 0"],
    );
    let nameless = table([("customer", text(["ann"]))]);
    let error = recommend(&engine, &model).over("users", &nameless).error();
    check_error(
        &error,
        Kind::UndefinedColumn,
        &["\"who\"", "given_as_users"],
    );
    assert!(error.detail.unwrap().contains("given_as_model"));
    let typed = table([("who", whole([1]))]);
    check_error(
        &recommend(&engine, &model).over("users", &typed).error(),
        Kind::DatatypeMismatch,
        &["\"who\"", "given_as_users", "given_as_model"],
    );
    let null = table([("who", nullable([Some("ann"), None]))]);
    check_error(
        &recommend(&engine, &model).over("users", &null).error(),
        Kind::NullNotAllowed,
        &["\"who\""],
    );
    check_error(
        &recommend(&engine, &model)
            .over("candidates", &table([("who", text(["ann"]))]))
            .error(),
        Kind::UndefinedColumn,
        &["\"what\"", "given_as_candidates"],
    );
    let named = table([
        ("rank", text(["ann"])),
        ("what", whole([1])),
        ("times", numbers([1.0])),
    ]);
    let clash = engine
        .call("ml.train")
        .with("algorithm", "popularity")
        .over("rel", &named)
        .with("user_id", "rank")
        .with("item_id", "what")
        .train();
    check_error(
        &recommend(&engine, &clash).error(),
        Kind::DuplicateColumn,
        &["\"rank\""],
    );
}
