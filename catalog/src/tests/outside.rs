//! The official extension of DuckDB as a second reader and writer.
//!
//! `TRIBUTARY_TEST_PYTHON` names a Python that has `duckdb` and its extensions (see `tests/clients/requirements.txt`); without it there is no
//! second program to ask, and the tests say so and end.

use super::support::*;
use super::types::every_type;
use crate::{ColumnDef, CommentOn, ViewDef};
use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::DataType;
use std::process::Command;
use std::sync::Arc;

/// The program that asks DuckDB.
fn reader() -> String {
    let sources = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    format!("{sources}/../tests/clients/duckdb_reader.py")
}

/// Runs Python with these arguments; none if there is none to run.
fn python(arguments: &[&str]) -> Option<String> {
    let Some(python) = std::env::var_os("TRIBUTARY_TEST_PYTHON") else {
        println!("not asked: TRIBUTARY_TEST_PYTHON is not set");
        return None;
    };
    let output = Command::new(python).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Some(String::from_utf8(output.stdout).unwrap())
}

/// Compares all tables with `expected`, JSON as the reader has it.
pub fn check(place: &Place, expected: &str) {
    let file = place.root().join("expected.json");
    std::fs::write(&file, expected).unwrap();
    python(&[
        &reader(),
        place.directory().to_str().unwrap(),
        "--expect",
        file.to_str().unwrap(),
    ]);
}

/// Has DuckDB run statements on the warehouse, attached as `lake`.
pub fn duckdb(place: &Place, statements: &str) -> Option<String> {
    duckdb_with(place, "DATA_INLINING_ROW_LIMIT 0", statements)
}

/// The same with an option of the attachment.
pub fn duckdb_with(place: &Place, option: &str, statements: &str) -> Option<String> {
    let script = format!(
        "import sys; sys.path.insert(0, {:?}); import duckdb_reader as r
c = r.connect({:?})
c.execute('DETACH lake'); c.execute(\"ATTACH 'ducklake:sqlite:{}/catalog.sqlite' AS lake ({option})\")
for s in {:?}.split(';'):
    if s.strip(): print(c.execute(s).fetchall())",
        std::path::Path::new(&reader()).parent().unwrap(),
        place.directory(),
        place.directory().display(),
        statements
    );
    python(&["-c", &script])
}

#[tokio::test]
async fn duckdb_reads_every_commit() {
    let place = Place::new();
    check(&place, "{}");
    let transaction = place.warehouse.begin().unwrap();
    transaction.create_schema("s").unwrap();
    transaction.create_table("s", "t", &id_and_name()).unwrap();
    transaction.commit().await.unwrap();
    check(
        &place,
        r#"{"s.t": {"columns": [["id", "BIGINT"], ["name", "VARCHAR"]], "rows": []}}"#,
    );
    insert(&place.warehouse, "s", "t", &rows(&[(1, "a"), (2, "é'\"")]))
        .await
        .unwrap();
    check(&place, r#"{"s.t": [[1, "a"], [2, "é'\""]]}"#);
    insert(&place.warehouse, "s", "t", &rows(&[(3, "")]))
        .await
        .unwrap();
    check(&place, r#"{"s.t": [[1, "a"], [2, "é'\""], [3, ""]]}"#);
    let transaction = place.warehouse.begin().unwrap();
    let id = transaction
        .create_table("s", "odd/.. \"name\"", &id_and_name())
        .unwrap();
    append(&transaction, id, &rows(&[(9, "x")])).await.unwrap();
    transaction.rename_relation("s", "t", "old").unwrap();
    transaction
        .rename_relation("s", "odd/.. \"name\"", "t")
        .unwrap();
    transaction
        .set_comment(CommentOn::Table("s", "t"), Some("c"))
        .unwrap();
    transaction
        .set_comment(CommentOn::Column("s", "t", "id"), Some("c"))
        .unwrap();
    transaction
        .set_comment(CommentOn::Schema("s"), Some("c"))
        .unwrap();
    let view = ViewDef {
        sql: "SELECT id FROM s.t".into(),
        dialect: "postgres".into(),
        column_aliases: vec!["n".into()],
    };
    transaction.create_view("s", "v", view, false).unwrap();
    transaction.commit().await.unwrap();
    check(
        &place,
        r#"{"s.t": [[9, "x"]], "s.old": [[1, "a"], [2, "é'\""], [3, ""]]}"#,
    );
    let transaction = place.warehouse.begin().unwrap();
    transaction.drop_table("s", "old").unwrap();
    transaction.commit().await.unwrap();
    check(&place, r#"{"s.t": [[9, "x"]]}"#);
    if let Some(rows) = duckdb(
        &place,
        "FROM lake.s.v; SELECT count(*) FROM lake.s.t WHERE id > 9; SELECT min(name), max(id) FROM lake.s.t",
    ) {
        assert_eq!(rows.trim(), "[(9,)]\n[(0,)]\n[('x', 9)]");
    }
}

#[tokio::test]
async fn duckdb_reads_every_type() {
    let place = Place::new();
    table(&place.warehouse, "public", "t", &every_type()).await;
    let columns = [
        ColumnDef {
            nullable: false,
            default: Some("now()".into()),
            ..ColumnDef::new("a", DataType::Int64)
        },
        ColumnDef {
            default: Some("ml.unknown('x')".into()),
            ..ColumnDef::new("b", DataType::Int64)
        },
    ];
    let transaction = place.warehouse.begin().unwrap();
    transaction.create_table("public", "d", &columns).unwrap();
    transaction.commit().await.unwrap();
    check(
        &place,
        r#"{"public.d": [], "public.t": {
          "columns": [["b", "BOOLEAN"], ["i8", "TINYINT"], ["i16", "SMALLINT"], ["i32", "INTEGER"], ["i64", "BIGINT"], ["f32", "FLOAT"],
            ["f64", "DOUBLE"], ["d9", "DECIMAL(9,2)"], ["d38", "DECIMAL(38,9)"], ["t", "VARCHAR"], ["bin", "BLOB"], ["day", "DATE"],
            ["tod", "TIME"], ["ts", "TIMESTAMP"], ["tz", "TIMESTAMP WITH TIME ZONE"], ["list", "FLOAT[]"],
            ["st", "STRUCT(n INTEGER, t VARCHAR)"], ["map", "MAP(VARCHAR, BIGINT)"], ["deep", "STRUCT(n INTEGER, t VARCHAR)[]"]],
          "rows": [
            [true, -128, -32768, -2147483648, -9223372036854775808, -3.4028234663852886e+38, 1.7976931348623157e+308, "-999.99",
              "-99999999999999999999999999999.999999999", "", "\\x00\\xFF", "0001-01-01", "00:00:00", "0001-01-01 00:00:00",
              "1969-12-31 23:59:59.999999+00", [1.5, null], {"n": 1, "t": "x"}, {"k": 1}, [{"n": 1, "t": "x"}]],
            [null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, {"n": null, "t": "y"}, null, []],
            [false, 127, 32767, 2147483647, 9223372036854775807, "Infinity", "NaN", "0.01", "99999999999999999999999999999.999999999",
              "é🌊\u202e\n", "", "9999-12-31", "23:59:59.999999", "9999-12-31 23:59:59.999999", "2020-01-02 03:04:05.678901+00", [-0.25],
              {"n": 3, "t": null}, {}, [{"n": null, "t": "y"}, {"n": 3, "t": null}]]]}}"#,
    );
    // Its planner believes our statistics.
    let filters = "SELECT count(*) FROM lake.public.t WHERE i64 = 9223372036854775807; SELECT count(*) FROM lake.public.t WHERE f64 > 1e308;
        SELECT count(*) FROM lake.public.t WHERE t IS NULL; SELECT count(*) FROM lake.public.t WHERE day < DATE '0001-01-02';
        SELECT count(*) FROM lake.public.t WHERE d38 > 0; SELECT count(*) FROM lake.public.t WHERE tz > TIMESTAMPTZ '2020-01-01 00:00:00+00'";
    if let Some(counts) = duckdb(&place, filters) {
        assert_eq!(
            counts.trim(),
            "[(1,)]\n[(2,)]\n[(1,)]\n[(1,)]\n[(1,)]\n[(1,)]"
        );
    }
}

#[tokio::test]
async fn we_read_what_duckdb_writes() {
    let place = Place::new();
    table(
        &place.warehouse,
        "public",
        "t",
        &rows(&[(1, "a"), (2, "b")]),
    )
    .await;
    let Some(_) = duckdb(
        &place,
        "INSERT INTO lake.public.t VALUES (3, 'c'); ALTER TABLE lake.public.t ADD COLUMN x INTEGER DEFAULT 7; ALTER TABLE lake.public.t RENAME COLUMN name TO label;
         INSERT INTO lake.public.t VALUES (4, NULL, 8); CREATE SCHEMA lake.d; CREATE TABLE lake.d.u AS SELECT range AS n, [range] AS l, {'a': range} AS st, MAP {'k': range} AS m, 'v' || range AS v, DATE '2020-01-01' AS day, now() AS at, 1.50::DECIMAL(10,2) AS d, uuid() AS id FROM range(3);
         CREATE VIEW lake.d.w AS SELECT 1 AS one",
    ) else {
        return;
    };
    assert_eq!(
        read(&place.warehouse, "public", "t").await,
        ["1|a|7", "2|b|7", "3|c|7", "4|NULL|8"]
    );
    let snapshot = place.warehouse.snapshot().unwrap();
    let made = snapshot.table("d", "u").unwrap();
    assert_eq!(made.rows, 3);
    let plain = scan(&place.warehouse, made)
        .select_columns(&["n", "l", "st", "m", "v", "day", "d"])
        .unwrap();
    assert_eq!(
        text(&plain.collect().await.unwrap()),
        [
            "0|[0]|{a: 0}|{k: 0}|v0|2020-01-01|1.50",
            "1|[1]|{a: 1}|{k: 1}|v1|2020-01-01|1.50",
            "2|[2]|{a: 2}|{k: 2}|v2|2020-01-01|1.50"
        ]
    );
    assert_eq!(
        scan(&place.warehouse, made).collect().await.unwrap()[0].num_columns(),
        9
    );
    assert_eq!(snapshot.view("d", "w").unwrap().dialect, "duckdb");
    // And DuckDB reads what we add to that.
    let more = batch(vec![
        ("id", Arc::new(Int64Array::from(vec![5])) as ArrayRef),
        (
            "label",
            Arc::new(arrow::array::StringArray::from(vec!["e"])),
        ),
        ("x", Arc::new(arrow::array::Int32Array::from(vec![9]))),
    ]);
    insert(&place.warehouse, "public", "t", &more)
        .await
        .unwrap();
    let rows = duckdb(&place, "SELECT id, label, x FROM lake.public.t ORDER BY id; SELECT count(*) FROM lake.public.t WHERE x = 7; SELECT count(*) FROM lake.public.t WHERE x IS NULL").unwrap();
    assert_eq!(
        rows.trim(),
        "[(1, 'a', 7), (2, 'b', 7), (3, 'c', 7), (4, None, 8), (5, 'e', 9)]\n[(3,)]\n[(0,)]"
    );
}
