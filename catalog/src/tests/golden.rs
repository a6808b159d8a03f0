//! Rows of the catalog as the official extension (DuckDB 1.5.5) writes them for the same statements; recorded from it.

use super::support::*;
use crate::{ColumnDef, CommentOn, ViewDef};
use arrow::array::{ArrayRef, Float64Array, StringArray};
use arrow::datatypes::DataType;
use std::sync::Arc;

fn xy(values: &[(Option<f64>, Option<&str>)]) -> arrow::array::RecordBatch {
    batch(vec![
        (
            "x",
            Arc::new(values.iter().map(|(x, _)| *x).collect::<Float64Array>()) as ArrayRef,
        ),
        (
            "y",
            Arc::new(values.iter().map(|(_, y)| *y).collect::<StringArray>()),
        ),
    ])
}

#[tokio::test]
async fn rows_are_those_of_the_official_extension() {
    let place = Place::new();
    let sql = place.sql();
    let begin = || place.warehouse.begin().unwrap();
    let changes = || {
        catalog(
            &sql,
            "SELECT changes_made FROM ducklake_snapshot_changes ORDER BY snapshot_id DESC LIMIT 1",
        )
    };
    let head = || {
        catalog(
            &sql,
            "SELECT schema_version, next_catalog_id, next_file_id FROM ducklake_snapshot ORDER BY snapshot_id DESC LIMIT 1",
        )
    };
    assert_eq!(
        changes(),
        [r#"created_schema:"main",created_schema:"public""#]
    );

    // CREATE SCHEMA s
    let transaction = begin();
    transaction.create_schema("s").unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(changes(), [r#"created_schema:"s""#]);
    assert_eq!(head(), ["1|3|0"]);
    assert_eq!(
        catalog(
            &sql,
            "SELECT schema_id, begin_snapshot, end_snapshot, schema_name, path, path_is_relative FROM ducklake_schema WHERE schema_id = 2"
        ),
        ["2|1|NULL|s|s/|1"]
    );

    // CREATE TABLE s.n(x double, y varchar DEFAULT 'x')
    let transaction = begin();
    let y = ColumnDef {
        default: Some("'x'".into()),
        ..ColumnDef::new("y", DataType::Utf8)
    };
    transaction
        .create_table("s", "n", &[ColumnDef::new("x", DataType::Float64), y])
        .unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(changes(), [r#"created_table:"s"."n""#]);
    assert_eq!(head(), ["2|4|0"]);
    assert_eq!(
        catalog(
            &sql,
            "SELECT column_id, begin_snapshot, end_snapshot, table_id, column_order, column_name, column_type, default_value, nulls_allowed, parent_column, default_value_type, default_value_dialect FROM ducklake_column ORDER BY 1"
        ),
        [
            "1|2|NULL|3|1|x|float64|NULL|1|NULL|literal|duckdb",
            "2|2|NULL|3|2|y|varchar|x|1|NULL|literal|duckdb"
        ]
    );
    assert_eq!(
        catalog(&sql, "SELECT * FROM ducklake_schema_versions"),
        ["2|2|3"]
    );
    assert_eq!(
        catalog(&sql, "SELECT * FROM ducklake_table_stats"),
        Vec::<String>::new()
    );

    // INSERT INTO s.n VALUES (NULL, NULL)
    insert(&place.warehouse, "s", "n", &xy(&[(None, None)]))
        .await
        .unwrap();
    assert_eq!(changes(), ["inserted_into_table:3"]);
    assert_eq!(head(), ["2|4|1"]);
    assert_eq!(
        catalog(
            &sql,
            "SELECT data_file_id, table_id, begin_snapshot, end_snapshot, file_order, path_is_relative, file_format, record_count, row_id_start, partition_id, encryption_key, mapping_id, partial_max FROM ducklake_data_file"
        ),
        ["0|3|3|NULL|NULL|1|parquet|1|0|NULL|NULL|NULL|NULL"]
    );
    assert_eq!(
        catalog(
            &sql,
            "SELECT table_id, column_id, value_count, null_count, min_value, max_value, contains_nan, extra_stats FROM ducklake_file_column_stats"
        ),
        ["3|1|0|1|NULL|NULL|0|NULL", "3|2|0|1|NULL|NULL|NULL|NULL"]
    );
    assert_eq!(
        catalog(
            &sql,
            "SELECT table_id, column_id, contains_null, contains_nan, min_value, max_value, extra_stats FROM ducklake_table_column_stats"
        ),
        ["3|1|1|0|NULL|NULL|NULL", "3|2|1|NULL|NULL|NULL|NULL"]
    );

    // INSERT INTO s.n VALUES ('-inf', 'zz'), (0.0, 'aé')
    insert(
        &place.warehouse,
        "s",
        "n",
        &xy(&[
            (Some(f64::NEG_INFINITY), Some("zz")),
            (Some(0.0), Some("aé")),
        ]),
    )
    .await
    .unwrap();
    assert_eq!(
        catalog(
            &sql,
            "SELECT column_id, contains_null, contains_nan, min_value, max_value FROM ducklake_table_column_stats"
        ),
        ["1|1|0|-inf|0.0", "2|1|NULL|aé|zz"]
    );
    assert_eq!(
        catalog(
            &sql,
            "SELECT record_count, next_row_id FROM ducklake_table_stats"
        ),
        ["3|3"]
    );
    assert_eq!(
        catalog(
            &sql,
            "SELECT row_id_start FROM ducklake_data_file WHERE data_file_id = 1"
        ),
        ["1"]
    );

    // CREATE VIEW s.w(p,q) AS ...
    let transaction = begin();
    let view = |sql: &str| ViewDef {
        sql: sql.into(),
        dialect: "postgres".into(),
        column_aliases: vec!["p".into(), "q".into()],
    };
    transaction
        .create_view("s", "w", view("SELECT x, y FROM s.n"), false)
        .unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(changes(), [r#"created_view:"s"."w""#]);
    assert_eq!(
        catalog(
            &sql,
            "SELECT view_id, begin_snapshot, end_snapshot, schema_id, view_name, dialect, \"sql\", column_aliases FROM ducklake_view"
        ),
        [r#"4|5|NULL|2|w|postgres|SELECT x, y FROM s.n|"p","q""#]
    );

    // CREATE OR REPLACE VIEW s.w ...
    let transaction = begin();
    transaction
        .create_view("s", "w", view("SELECT y, x FROM s.n"), true)
        .unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(changes(), [r#"dropped_view:4,created_view:"s"."w""#]);
    assert_eq!(
        catalog(
            &sql,
            "SELECT view_id, begin_snapshot, end_snapshot FROM ducklake_view"
        ),
        ["4|5|6", "5|6|NULL"]
    );

    // ALTER TABLE s.n RENAME TO m
    let transaction = begin();
    transaction.rename_relation("s", "n", "m").unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(changes(), [r#"created_table:"s"."m""#]);
    assert_eq!(
        catalog(
            &sql,
            "SELECT table_id, begin_snapshot, end_snapshot, schema_id, table_name, path, path_is_relative FROM ducklake_table"
        ),
        ["3|2|7|2|n|n/|1", "3|7|NULL|2|m|n/|1"]
    );
    assert_eq!(
        catalog(
            &sql,
            "SELECT count(DISTINCT table_uuid) FROM ducklake_table"
        ),
        ["1"]
    );
    assert_eq!(
        catalog(&sql, "SELECT * FROM ducklake_schema_versions"),
        ["2|2|3", "7|5|3"]
    );

    // ALTER VIEW s.w RENAME TO ww
    let transaction = begin();
    transaction.rename_relation("s", "w", "ww").unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(changes(), [r#"created_view:"s"."ww""#]);
    assert_eq!(
        catalog(
            &sql,
            "SELECT view_id, begin_snapshot, end_snapshot, view_name FROM ducklake_view WHERE view_id = 5"
        ),
        ["5|6|8|w", "5|8|NULL|ww"]
    );

    // COMMENT ON TABLE, COLUMN, VIEW; a second comment; none.
    for (on, comment, changed) in [
        (
            CommentOn::Table("s", "m"),
            Some("it's a table"),
            "altered_table:3",
        ),
        (
            CommentOn::Column("s", "m", "x"),
            Some("col"),
            "altered_table:3",
        ),
        (CommentOn::View("s", "ww"), Some("vw"), "altered_view:5"),
        (
            CommentOn::Table("s", "m"),
            Some("second"),
            "altered_table:3",
        ),
        (CommentOn::Table("s", "m"), None, "altered_table:3"),
    ] {
        let transaction = begin();
        transaction.set_comment(on, comment).unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(changes(), [changed]);
    }
    assert_eq!(
        catalog(&sql, "SELECT * FROM ducklake_tag"),
        [
            "3|9|12|comment|it's a table",
            "5|11|NULL|comment|vw",
            "3|12|13|comment|second",
            "3|13|NULL|comment|NULL"
        ]
    );
    assert_eq!(
        catalog(&sql, "SELECT * FROM ducklake_column_tag"),
        ["3|1|10|NULL|comment|col"]
    );
    assert_eq!(head(), ["11|6|2"]);

    // BEGIN; two inserts; CREATE TABLE s.k; INSERT; rename m to m_backup and k to m; COMMIT
    let transaction = begin();
    let m = transaction.snapshot().table("s", "m").unwrap().id;
    append(&transaction, m, &xy(&[(Some(1.0), Some("a"))]))
        .await
        .unwrap();
    append(&transaction, m, &xy(&[(Some(2.0), Some("b"))]))
        .await
        .unwrap();
    let k = transaction.create_table("s", "k", &id_and_name()).unwrap();
    append(&transaction, k, &rows(&[(4, "d")])).await.unwrap();
    transaction.rename_relation("s", "m", "m_backup").unwrap();
    transaction.rename_relation("s", "k", "m").unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(
        changes(),
        [
            r#"created_table:"s"."k",created_table:"s"."m_backup",created_table:"s"."m",inserted_into_table:3,inserted_into_table:6"#
        ]
    );
    assert_eq!(
        catalog(
            &sql,
            "SELECT table_id, begin_snapshot, end_snapshot, table_name, path FROM ducklake_table WHERE begin_snapshot = 14 OR end_snapshot = 14"
        ),
        ["3|7|14|m|n/", "3|14|NULL|m_backup|n/", "6|14|NULL|m|k/"]
    );
    assert_eq!(
        catalog(
            &sql,
            "SELECT data_file_id, table_id, row_id_start FROM ducklake_data_file WHERE begin_snapshot = 14"
        ),
        ["2|3|3", "3|3|4", "4|6|0"]
    );
    assert_eq!(
        catalog(
            &sql,
            "SELECT * FROM ducklake_schema_versions WHERE begin_snapshot = 14"
        ),
        ["14|12|3", "14|12|6"]
    );
    assert_eq!(
        catalog(
            &sql,
            "SELECT column_id, min_value, max_value FROM ducklake_table_column_stats WHERE table_id = 3"
        ),
        ["1|-inf|2.0", "2|a|zz"]
    );

    // DROP SCHEMA s CASCADE
    let transaction = begin();
    transaction.drop_schema("s", true).unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(
        changes(),
        ["dropped_schema:2,dropped_table:6,dropped_table:3,dropped_view:5"]
    );
    for table in [
        "schema WHERE schema_id > 1 AND",
        "table WHERE",
        "column WHERE",
        "data_file WHERE",
        "view WHERE",
        "tag WHERE",
        "column_tag WHERE",
    ] {
        assert_eq!(
            catalog(
                &sql,
                &format!("SELECT count(*) FROM ducklake_{table} end_snapshot IS NULL")
            ),
            ["0"],
            "{table}"
        );
    }
    // Statistics of what was dropped stay, for readers of older snapshots.
    assert_eq!(
        catalog(&sql, "SELECT count(*) FROM ducklake_table_stats"),
        ["2"]
    );
    assert_eq!(head(), ["13|7|5"]);
    // What we read back is what we wrote.
    assert_eq!(place.warehouse.commits().unwrap().len(), 16);
}
