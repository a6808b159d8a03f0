//! `fusion.stitch`, `fusion.evaluate`, `fusion.connected_components`.

use arrow::datatypes::DataType;

use super::*;

fn accounts() -> RecordBatch {
    table([
        ("channel", text(["web", "web", "app", "app", "pos", "pos"])),
        ("id", whole([1, 2, 1, 2, 1, 2])),
        (
            "email",
            nullable([
                Some("ann@x.org"),
                Some("bob@x.org"),
                Some(" ann@x.org "),
                Some("N/A"),
                None,
                Some("n/a"),
            ]),
        ),
        (
            "phone",
            nullable([
                Some("1"),
                Some("2"),
                Some("3"),
                Some("3"),
                Some("9"),
                Some("000"),
            ]),
        ),
        ("noise", text(["a", "b", "c", "d", "e", "f"])),
    ])
}

fn stitch(engine: &Engine, rows: &RecordBatch) -> Vec<String> {
    engine
        .call("fusion.stitch")
        .over("rel", rows)
        .with("key", "channel, id")
        .lines()
}

/// Lines without the unified_id, the third column.
fn without_id(lines: &[String]) -> Vec<String> {
    lines
        .iter()
        .map(|line| {
            let mut values: Vec<&str> = line.split('|').collect();
            values.remove(2);
            values.join("|")
        })
        .collect()
}

fn unified_ids(lines: &[String]) -> Vec<String> {
    lines
        .iter()
        .map(|line| line.split('|').nth(2).unwrap().to_owned())
        .collect()
}

#[test]
fn records_hang_together_over_shared_identifiers() {
    let engine = Engine::default();
    let found = stitch(&engine, &accounts());
    assert_eq!(
        without_id(&found),
        [
            "app|1|3|||",
            "app|2|3|app|1|phone",
            "pos|1|1|||",
            "pos|2|1|||",
            "web|1|3|app|1|email",
            "web|2|1|||",
        ]
    );
    let ids = unified_ids(&found);
    assert_eq!(ids[0], ids[1]);
    assert_eq!(ids[0], ids[4]);
    let mut distinct = ids.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), 4);
}

#[test]
fn the_name_of_an_entity_is_made_of_its_smallest_key() {
    let engine = Engine::default();
    let whole_set = stitch(&engine, &accounts());
    // Without the records of other entities, and with keys of another width.
    let rows = accounts().slice(0, 4);
    let mut columns = rows.columns().to_vec();
    columns[1] = as_type(&columns[1], &DataType::Int16);
    let narrow = table([
        ("channel", columns[0].clone()),
        ("id", columns[1].clone()),
        ("email", columns[2].clone()),
        ("phone", columns[3].clone()),
    ]);
    let part = stitch(&engine, &narrow);
    assert_eq!(unified_ids(&part)[0], unified_ids(&whole_set)[0]);
    assert_eq!(unified_ids(&part)[0].len(), 32);
    // Keys come back in their own type.
    let schema = engine
        .call("fusion.stitch")
        .over("rel", &narrow)
        .with("key", "channel, id")
        .rows()
        .unwrap()
        .schema();
    assert_eq!(schema.field(1).data_type(), &DataType::Int16);
    assert_eq!(schema.field(5).name(), "linked_to_id");
    assert_eq!(schema.field(5).data_type(), &DataType::Int16);
    // ('a', 'bc') and ('ab', 'c') are different records.
    let alike = table([
        ("k", text(["a", "ab"])),
        ("l", text(["bc", "c"])),
        ("email", nullable([None, None])),
    ]);
    let found = engine
        .call("fusion.stitch")
        .over("rel", &alike)
        .with("key", "k, l")
        .with("ids", "email")
        .lines();
    assert_ne!(unified_ids(&found)[0], unified_ids(&found)[1]);
}

#[test]
fn guards_keep_entities_apart() {
    let engine = Engine::default();
    let kiosk = table([
        ("id", whole(1..=6)),
        ("email", text(["s@x", "s@x", "s@x", "t@x", "t@x", "u@x"])),
        (
            "card",
            nullable([Some("A"), None, Some("B"), Some("C"), Some("C"), Some("C")]),
        ),
    ]);
    let sizes = |call: Called<'_>| -> Vec<String> {
        let rows = call.over("rel", &kiosk).with("key", "id").rows().unwrap();
        lines(&rows.project(&[0, 2]).unwrap())
    };
    let stitch = || engine.call("fusion.stitch").with("ids", "email");
    assert_eq!(sizes(stitch()), ["1|3", "2|3", "3|3", "4|2", "5|2", "6|1"]);
    assert_eq!(
        sizes(stitch().with("max_records_per_value", 2_i64)),
        ["1|1", "2|1", "3|1", "4|2", "5|2", "6|1"]
    );
    assert_eq!(
        sizes(stitch().with("max_records_per_entity", 2_i64)),
        ["1|2", "2|2", "3|1", "4|2", "5|2", "6|1"]
    );
    // A card keeps 1 and 3 apart without linking 4, 5 and 6; as an id it links them too.
    assert_eq!(
        sizes(stitch().with("max_values", "card:1")),
        ["1|2", "2|2", "3|1", "4|2", "5|2", "6|1"]
    );
    assert_eq!(
        sizes(
            engine
                .call("fusion.stitch")
                .with("ids", "email, card")
                .with("max_values", "card : 1")
        ),
        ["1|2", "2|2", "3|1", "4|3", "5|3", "6|3"]
    );
    // NULL turns a guard off.
    let many = table([("id", whole(0..300)), ("email", text(vec!["s@x"; 300]))]);
    let largest = |call: Called<'_>| {
        let rows = call
            .over("rel", &many)
            .with("key", "id")
            .with("ids", "email");
        lines(&rows.rows().unwrap().project(&[2]).unwrap())[0].clone()
    };
    let nothing = || datafusion::common::ScalarValue::Int64(None);
    assert_eq!(largest(engine.call("fusion.stitch")), "1");
    let free = engine
        .call("fusion.stitch")
        .with("max_records_per_value", nothing());
    assert_eq!(largest(free.clone()), "200");
    assert_eq!(
        largest(free.with("max_records_per_entity", nothing())),
        "300"
    );
}

#[test]
fn the_links_do_not_depend_on_the_order_of_rows() {
    let ids = table([
        ("id", whole(0..200)),
        (
            "email",
            nullable((0..200).map(|i| (i % 3 > 0).then_some(["a", "b", "c", "d", "e"][i % 5]))),
        ),
        ("phone", whole((0..200).map(|i| 1 + i * i % 97))),
    ]);
    check_invariant(|engine, order| {
        engine
            .call("fusion.stitch")
            .over("rel", &order(&ids))
            .with("key", "id")
            .with("max_records_per_value", 50_i64)
            .with("max_values", "phone:4")
            .lines()
    });
}

#[test]
fn stitch_says_what_is_wrong() {
    let engine = Engine::default();
    let rows = accounts();
    let call = || engine.call("fusion.stitch").over("rel", &rows);
    let keyed = || call().with("key", "channel, id");
    check_error(
        &call().error(),
        Kind::UndefinedParameter,
        &["\"key\" of fusion.stitch is missing"],
    );
    let error = call().with("key", "channel").error();
    check_error(
        &error,
        Kind::InvalidData,
        &["key (channel)", "is not unique"],
    );
    assert_eq!(
        error.detail.as_deref(),
        Some("Key (channel)=(web) occurs 2 times.")
    );
    check_error(
        &call().with("key", "channel, email").error(),
        Kind::NullNotAllowed,
        &["\"email\"", "given_as_rel"],
    );
    check_error(
        &keyed().with("ids", "email, fax").error(),
        Kind::UndefinedColumn,
        &["\"fax\" does not exist"],
    );
    check_error(
        &keyed().with("ids", "email, email").error(),
        Kind::DuplicateColumn,
        &["\"email\" is given twice"],
    );
    check_error(
        &keyed().with("max_values", "fax:1").error(),
        Kind::UndefinedColumn,
        &["\"fax\" does not exist"],
    );
    for wrong in ["phone", "phone:0", ":1", "phone:two"] {
        check_error(
            &keyed().with("max_values", wrong).error(),
            Kind::Syntax,
            &["max_values"],
        );
    }
    check_error(
        &keyed().with("max_records_per_value", 1_i64).error(),
        Kind::InvalidParameter,
        &["\"max_records_per_value\"", "1"],
    );
    let clash = table([("match_key", whole([1])), ("email", text(["x"]))]);
    check_error(
        &engine
            .call("fusion.stitch")
            .over("rel", &clash)
            .with("key", "match_key")
            .with("ids", "email")
            .error(),
        Kind::DuplicateColumn,
        &["\"match_key\""],
    );
    assert_eq!(stitch(&engine, &rows.slice(0, 0)), [""; 0]);
}

fn figures(rows: &RecordBatch, wanted: &[&str]) -> Vec<String> {
    lines(rows)
        .into_iter()
        .filter(|line| wanted.contains(&line.split('|').next().unwrap()))
        .collect()
}

#[test]
fn clusterings_are_measured() {
    let engine = Engine::default();
    // Found {1,2,3} {4,5} {6}; true {1,2} {3,4,5} {6}; the truth's rows in another order and type.
    let found = table([
        ("k", whole(1..=6)),
        ("unified_id", text(["a", "a", "a", "b", "b", "c"])),
    ]);
    let truth = table([
        ("k", as_type(&whole([6, 5, 4, 3, 2, 1]), &DataType::Int16)),
        ("person", whole([30, 20, 20, 20, 10, 10])),
    ]);
    let rows = engine
        .call("fusion.evaluate")
        .over("rel", &found)
        .over("truth", &truth)
        .with("key", "k")
        .with("truth_cluster", "person")
        .rows()
        .unwrap();
    assert_eq!(
        figures(
            &rows,
            &[
                "pairwise_precision",
                "pairwise_recall",
                "pairwise_f1",
                "records",
                "clusters",
                "truth_clusters",
                "exact_clusters",
                "largest_cluster",
                "truth_largest_cluster",
                "true_positive_pairs",
            ]
        ),
        [
            "pairwise_precision|0.5",
            "pairwise_recall|0.5",
            "pairwise_f1|0.5",
            "true_positive_pairs|2.0",
            "records|6.0",
            "clusters|3.0",
            "truth_clusters|3.0",
            "exact_clusters|1.0",
            "largest_cluster|3.0",
            "truth_largest_cluster|3.0",
        ]
    );
    assert_eq!(rows.num_rows(), 15);
    // The relations may be given in any order; without predicted pairs there is no precision.
    let alone = table([("k", whole(1..=6)), ("unified_id", whole(1..=6))]);
    let same = table([("k", whole(1..=6)), ("unified_id", text(["a"; 6]))]);
    let rows = engine
        .call("fusion.evaluate")
        .over("truth", &same)
        .over("rel", &alone)
        .with("key", "k")
        .rows()
        .unwrap();
    assert_eq!(
        figures(
            &rows,
            &["pairwise_precision", "pairwise_recall", "bcubed_precision"]
        ),
        [
            "pairwise_precision|",
            "pairwise_recall|0.0",
            "bcubed_precision|1.0"
        ]
    );
}

#[test]
fn evaluate_says_what_is_wrong() {
    let engine = Engine::default();
    let found = table([("k", whole([1, 2])), ("unified_id", text(["a", "b"]))]);
    let error = |rel: &RecordBatch, truth: &RecordBatch| {
        engine
            .call("fusion.evaluate")
            .over("rel", rel)
            .over("truth", truth)
            .with("key", "k")
            .error()
    };
    let less = found.slice(0, 1);
    check_error(
        &error(&found, &less),
        Kind::InvalidData,
        &[
            "record (2)",
            "\"given_as_rel\"",
            "is not in relation \"given_as_truth\"",
        ],
    );
    check_error(
        &error(&less, &found),
        Kind::InvalidData,
        &["record (2)", "is not in relation \"given_as_rel\""],
    );
    let twice = table([("k", whole([1, 1])), ("unified_id", text(["a", "b"]))]);
    check_error(
        &error(&found, &twice),
        Kind::InvalidData,
        &["key (k) of relation \"given_as_truth\"", "not unique"],
    );
    let none = table([
        ("k", whole([1, 2])),
        ("unified_id", nullable([None, Some("b")])),
    ]);
    check_error(
        &error(&none, &found),
        Kind::NullNotAllowed,
        &["\"unified_id\"", "holds 1 NULL"],
    );
    let other = table([("k", whole([1, 2])), ("person", text(["a", "b"]))]);
    let absent = error(&found, &other);
    check_error(
        &absent,
        Kind::UndefinedColumn,
        &["\"unified_id\"", "given_as_truth"],
    );
    assert!(absent.detail.as_ref().unwrap().contains("given_as_rel"));
    let keyless = table([("id", whole([1, 2])), ("unified_id", text(["a", "b"]))]);
    check_error(
        &error(&found, &keyless),
        Kind::UndefinedColumn,
        &["\"k\"", "given_as_truth"],
    );
    let typed = table([("k", text(["1", "2"])), ("unified_id", text(["a", "b"]))]);
    check_error(
        &error(&found, &typed),
        Kind::DatatypeMismatch,
        &["\"k\"", "given_as_truth", "given_as_rel"],
    );
    let empty = found.slice(0, 0);
    check_error(&error(&empty, &empty), Kind::InvalidData, &["no records"]);
}

#[test]
fn components_are_named_by_their_smallest_node() {
    let edges = table([
        ("a", nullable([Some("b"), Some("c"), Some("e"), None, None])),
        (
            "b",
            nullable([Some("a"), Some("b"), Some("e"), Some("f"), None]),
        ),
    ]);
    check_invariant(|engine, order| {
        let found = engine
            .call("fusion.connected_components")
            .over("rel", &order(&edges))
            .with("source", "a")
            .with("target", "b")
            .lines();
        assert_eq!(found, ["a|a", "b|a", "c|a", "e|e", "f|f"]);
        found
    });
}

/// Two records of each of forty people, the second with a telephone or a name that is another.
fn people() -> RecordBatch {
    let given = ["ann", "bob", "carla", "dora", "emil", "fay", "gus", "hana"];
    let family = ["lee", "smith", "keller", "jones", "brandt"];
    let person = |at: usize| (given[at / 2 % 8], family[at / 2 / 8 % 5]);
    let rows = 0..80_usize;
    let texts = |of: &dyn Fn(usize) -> String| -> ArrayRef {
        Arc::new(arrow::array::StringArray::from_iter_values(
            rows.clone().map(of),
        ))
    };
    table([
        ("id", whole(rows.clone().map(|at| at as i64))),
        (
            "first_name",
            texts(&|at| match at % 6 {
                5 => format!("{}a", person(at).0),
                _ => person(at).0.to_owned(),
            }),
        ),
        ("last_name", texts(&|at| person(at).1.to_owned())),
        (
            "dob",
            texts(&|at| format!("19{}-0{}-1{}", 50 + at / 2, 1 + at / 2 % 9, at / 2 % 10)),
        ),
        (
            "phone",
            texts(&|at| match at % 4 {
                3 => "n/a".to_owned(),
                _ => format!("+4930{}", 1_234_000 + 37 * (at / 2)),
            }),
        ),
    ])
}

#[test]
fn people_are_resolved_the_same_however_their_rows_come() {
    let rows = people();
    let found = Engine::default()
        .call("fusion.resolve")
        .over("rel", &rows)
        .with("key", "id")
        .lines();
    let pairs = found.iter().filter(|line| line.contains("|2|")).count();
    assert!(
        pairs >= 70,
        "{pairs} of 80 records have found their partner"
    );
    for function in [
        "fusion.resolve",
        "fusion.pairs",
        "fusion.refusals",
        "fusion.train",
    ] {
        check_invariant(|engine, ordered| {
            let call = engine.call(function).over("rel", &ordered(&rows));
            let mut lines = call.with("key", "id").lines();
            // Nothing may be refused.
            lines.push(function.to_owned());
            lines
        });
    }
}

#[test]
fn portions_make_the_entities_of_one() {
    let rows = people();
    let engine = Engine::default();
    let of_model = |model: &Model| {
        let answer = engine.call("fusion.resolve").over("rel", &rows);
        let lines = answer.model("model", model).lines();
        // The key, the entity and its size; not which link came first.
        let told = |line: &String| {
            let values: Vec<String> = line.split('|').map(str::to_owned).collect();
            (values[0].clone(), values[1].clone(), values[6].clone())
        };
        lines
            .iter()
            .map(told)
            .collect::<std::collections::BTreeSet<_>>()
    };
    let train = |rows: &RecordBatch| engine.call("fusion.train").over("rel", rows);
    let first = train(&rows.slice(0, 50)).with("key", "id").train();
    let whole = train(&rows.slice(50, 30)).model("model", &first).train();
    let twice = train(&rows.slice(65, 15)).model("model", &first).train();
    let twice = train(&rows.slice(50, 20)).model("model", &twice).train();
    assert_eq!(of_model(&whole), of_model(&twice));
    assert_eq!(of_model(&whole).len(), 80);
}
