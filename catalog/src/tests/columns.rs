use super::support::*;
use crate::{ColumnDef, Error, TypeModifier};
use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::datatypes::DataType;
use datafusion::prelude::{col, lit};
use std::sync::Arc;

/// What an outside writer does to columns: rows of the catalog, as the official extension writes them for ALTER TABLE.
fn alter(place: &Place, statements: &str) {
    let sql = place.sql();
    sql.execute_batch(&format!(
        "BEGIN; INSERT INTO ducklake_snapshot SELECT snapshot_id + 1, '2100-01-01 00:00:00+00', schema_version + 1, next_catalog_id, next_file_id FROM ducklake_snapshot ORDER BY snapshot_id DESC LIMIT 1;
         INSERT INTO ducklake_snapshot_changes (snapshot_id, changes_made) SELECT max(snapshot_id), 'altered_table:2' FROM ducklake_snapshot;
         {statements}; COMMIT;"
    ))
    .unwrap();
}

fn rename(from: &str, to: &str) -> String {
    format!(
        "INSERT INTO ducklake_column SELECT column_id, (SELECT max(snapshot_id) FROM ducklake_snapshot), NULL, table_id, column_order, '{to}', column_type, initial_default, default_value, nulls_allowed, parent_column, default_value_type, default_value_dialect FROM ducklake_column WHERE column_name = '{from}' AND end_snapshot IS NULL AND begin_snapshot < (SELECT max(snapshot_id) FROM ducklake_snapshot);
         UPDATE ducklake_column SET end_snapshot = (SELECT max(snapshot_id) FROM ducklake_snapshot) WHERE column_name = '{from}' AND end_snapshot IS NULL AND begin_snapshot < (SELECT max(snapshot_id) FROM ducklake_snapshot);"
    )
}

#[tokio::test]
async fn columns_that_swap_names_keep_their_values() {
    let place = Place::new();
    let two = |a: &[i64], b: &[i64]| {
        batch(vec![
            ("a", Arc::new(Int64Array::from(a.to_vec())) as ArrayRef),
            ("b", Arc::new(Int64Array::from(b.to_vec()))),
        ])
    };
    table(&place.warehouse, "public", "t", &two(&[1, 2], &[10, 20])).await;
    let before = place.warehouse.snapshot().unwrap();
    alter(&place, &(rename("a", "b") + &rename("b", "a")));
    let snapshot = place.warehouse.snapshot().unwrap();
    assert_eq!(snapshot.id.0, 2);
    // The first column is now called b, the second a.
    insert(&place.warehouse, "public", "t", &two(&[3], &[30]))
        .await
        .unwrap();
    let snapshot = place.warehouse.snapshot().unwrap();
    let swapped = snapshot.table("public", "t").unwrap();
    assert_eq!(
        swapped
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .collect::<Vec<_>>(),
        ["b", "a"]
    );
    let frame = || scan(&place.warehouse, swapped);
    let all = frame()
        .select(vec![col("a"), col("b")])
        .unwrap()
        .collect()
        .await
        .unwrap();
    assert_eq!(text(&all), ["10|1", "20|2", "30|3"]);
    let some = frame()
        .filter(col("a").eq(lit(20i64)))
        .unwrap()
        .select(vec![col("b")])
        .unwrap();
    assert_eq!(text(&some.collect().await.unwrap()), ["2"]);
    let none = frame().filter(col("b").gt(lit(5i64))).unwrap();
    assert_eq!(text(&none.collect().await.unwrap()), Vec::<String>::new());
    assert_eq!(
        read_at(&place.warehouse, &before, "public", "t")
            .await
            .unwrap(),
        ["1|10", "2|20"]
    );
}

#[tokio::test]
async fn rows_from_before_a_column_was_added_have_its_initial_default() {
    let place = Place::new();
    table(&place.warehouse, "public", "t", &rows(&[(1, "a")])).await;
    let added = |id: i64, name: &str, column_type: &str, initial: &str| {
        format!(
            "INSERT INTO ducklake_column VALUES ({id}, (SELECT max(snapshot_id) FROM ducklake_snapshot), NULL, 2, {id}, '{name}', '{column_type}', {initial}, {initial}, 1, NULL, 'literal', 'duckdb');"
        )
    };
    alter(
        &place,
        &(added(3, "x", "int32", "'7'")
            + &added(4, "y", "varchar", "'it''s'")
            + &added(5, "z", "date", "NULL")),
    );
    assert_eq!(
        read(&place.warehouse, "public", "t").await,
        ["1|a|7|it's|NULL"]
    );
    let snapshot = place.warehouse.snapshot().unwrap();
    let altered = snapshot.table("public", "t").unwrap();
    assert_eq!(
        altered.column("y").unwrap().default.as_deref(),
        Some("'it''s'")
    );
    let frame = scan(&place.warehouse, altered)
        .filter(col("x").eq(lit(7)).and(col("z").is_null()))
        .unwrap();
    assert_eq!(text(&frame.collect().await.unwrap()), ["1|a|7|it's|NULL"]);
    let frame = scan(&place.warehouse, altered)
        .filter(col("x").gt(lit(7)))
        .unwrap();
    assert_eq!(frame.count().await.unwrap(), 0);
}

#[tokio::test]
async fn a_dropped_column_does_not_come_back_under_its_name() {
    let place = Place::new();
    table(&place.warehouse, "public", "t", &rows(&[(1, "a")])).await;
    alter(
        &place,
        "UPDATE ducklake_column SET end_snapshot = 2 WHERE column_name = 'name';
         INSERT INTO ducklake_column VALUES (3, 2, NULL, 2, 3, 'name', 'varchar', NULL, 'NULL', 1, NULL, 'literal', 'duckdb')",
    );
    assert_eq!(read(&place.warehouse, "public", "t").await, ["1|NULL"]);
}

#[tokio::test]
async fn a_widened_column_reads_old_files() {
    let place = Place::new();
    let narrow = batch(vec![(
        "n",
        Arc::new(arrow::array::Int32Array::from(vec![1, -5])) as ArrayRef,
    )]);
    table(&place.warehouse, "public", "t", &narrow).await;
    alter(
        &place,
        "UPDATE ducklake_column SET column_type = 'int64' WHERE column_name = 'n'",
    );
    let wide = batch(vec![(
        "n",
        Arc::new(Int64Array::from(vec![1i64 << 40])) as ArrayRef,
    )]);
    insert(&place.warehouse, "public", "t", &wide)
        .await
        .unwrap();
    assert_eq!(
        read(&place.warehouse, "public", "t").await,
        ["-5", "1", "1099511627776"]
    );
    let snapshot = place.warehouse.snapshot().unwrap();
    let frame = scan(&place.warehouse, snapshot.table("public", "t").unwrap());
    let some = frame.filter(col("n").lt(lit(0i64))).unwrap();
    assert_eq!(text(&some.collect().await.unwrap()), ["-5"]);
}

#[tokio::test]
async fn features_of_outside_writers_that_we_cannot_read_are_refused() {
    for (statement, feature) in [
        (
            "INSERT INTO ducklake_delete_file (delete_file_id, table_id, begin_snapshot, data_file_id, path, path_is_relative, format, delete_count, file_size_bytes) VALUES (9, 2, 2, 0, 'f', 1, 'puffin', 1, 1)",
            "delete files other than Parquet",
        ),
        (
            "UPDATE ducklake_data_file SET mapping_id = 1 WHERE table_id = 2",
            "files with name mapping",
        ),
        (
            "UPDATE ducklake_data_file SET encryption_key = 'k' WHERE table_id = 2",
            "encrypted data files",
        ),
        (
            "INSERT INTO ducklake_inlined_data_tables VALUES (2, 'in\"lined', 1); CREATE TABLE \"in\"\"lined\"(row_id BIGINT, begin_snapshot BIGINT, end_snapshot BIGINT); INSERT INTO \"in\"\"lined\" VALUES (1, 2, NULL)",
            "inlined rows of another form",
        ),
        (
            "UPDATE ducklake_column SET column_type = 'int128' WHERE column_name = 'id' AND table_id = 2",
            "type int128",
        ),
    ] {
        let place = Place::new();
        table(&place.warehouse, "public", "t", &rows(&[(1, "a")])).await;
        table(&place.warehouse, "public", "other", &rows(&[(1, "a")])).await;
        alter(&place, statement);
        let snapshot = place.again().snapshot().unwrap();
        let error = read_at(&place.warehouse, &snapshot, "public", "t")
            .await
            .unwrap_err();
        let expected = format!("table \"public.t\" uses {feature}, which is not supported");
        assert_eq!(ours(&error).unwrap().to_string(), expected);
        let transaction = place.again().begin().unwrap();
        let id = snapshot.table("public", "t").unwrap().id;
        assert!(
            matches!(
                transaction.writer(id),
                Err(Error::UnsupportedFeature { .. })
            ),
            "{feature}"
        );
        assert_eq!(
            read_at(&place.warehouse, &snapshot, "public", "other")
                .await
                .unwrap(),
            ["1|a"]
        );
    }
}

#[tokio::test]
async fn declarations_come_back() {
    let place = Place::new();
    let modifier = |name: &str, modifier| {
        Some(TypeModifier {
            type_name: name.to_owned(),
            modifier,
        })
    };
    let columns = vec![
        ColumnDef {
            nullable: false,
            default: Some("nextval('s')".into()),
            ..ColumnDef::new("id", DataType::Int64)
        },
        ColumnDef {
            type_modifier: modifier("varchar", 24),
            default: Some("'it''s'".into()),
            ..ColumnDef::new("v", DataType::Utf8)
        },
        ColumnDef {
            type_modifier: modifier("jsonb", -1),
            comment: Some("js".into()),
            ..ColumnDef::new("j", DataType::Utf8View)
        },
        ColumnDef {
            type_modifier: modifier("uuid", -1),
            ..ColumnDef::new("u", DataType::Utf8)
        },
        ColumnDef {
            default: Some("5".into()),
            ..ColumnDef::new("n", DataType::Decimal128(10, 2))
        },
    ];
    let transaction = place.warehouse.begin().unwrap();
    transaction.create_table("public", "t", &columns).unwrap();
    let own = transaction
        .snapshot()
        .table("public", "t")
        .unwrap()
        .columns
        .clone();
    transaction.commit().await.unwrap();
    for warehouse in [place.warehouse.clone(), place.again()] {
        let snapshot = warehouse.snapshot().unwrap();
        let table = snapshot.table("public", "t").unwrap();
        assert_eq!(table.columns, own);
        assert_eq!(
            table
                .columns
                .iter()
                .map(|column| column.column_type.to_string())
                .collect::<Vec<_>>(),
            ["int64", "varchar", "json", "varchar", "decimal(10,2)"]
        );
        let field = table.arrow_schema.field(1);
        assert_eq!(
            (
                field.metadata()["pg_type"].as_str(),
                field.metadata()["pg_typmod"].as_str()
            ),
            ("varchar", "24")
        );
        assert_eq!(
            ColumnDef::from_field(field).type_modifier,
            modifier("varchar", 24)
        );
        assert!(!table.arrow_schema.field(0).is_nullable());
    }
    let missing = batch(vec![
        (
            "id",
            Arc::new(Int64Array::from(vec![Some(1), None])) as ArrayRef,
        ),
        ("v", Arc::new(StringArray::from(vec!["a", "b"]))),
        ("j", Arc::new(StringArray::from(vec!["{}", "[]"]))),
        ("u", Arc::new(StringArray::from(vec!["x", "y"]))),
        (
            "n",
            Arc::new(
                arrow::array::Decimal128Array::from(vec![1, 2])
                    .with_precision_and_scale(10, 2)
                    .unwrap(),
            ),
        ),
    ]);
    let error = insert(&place.warehouse, "public", "t", &missing)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "null value in column \"id\" of relation \"public.t\" violates not-null constraint"
    );
    insert(&place.warehouse, "public", "t", &missing.slice(0, 1))
        .await
        .unwrap();
    assert_eq!(
        read(&place.warehouse, "public", "t").await,
        ["1|a|{}|x|0.01"]
    );
}
