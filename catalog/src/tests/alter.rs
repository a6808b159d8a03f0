//! ALTER: columns, names, schemas, and what old snapshots and other programs see of it.

use super::outside::{check, duckdb};
use super::support::*;
use crate::{ColumnDef, Error, Transaction, TypeModifier, ViewDef, Warehouse};
use arrow::array::{ArrayRef, Float32Array, Int32Array};
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::prelude::{col, lit};
use std::sync::Arc;

async fn altered(warehouse: &Warehouse, alter: impl FnOnce(&Transaction) -> crate::Result<()>) {
    let transaction = warehouse.begin().unwrap();
    alter(&transaction).unwrap();
    transaction.commit().await.unwrap();
}

fn numbers(ints: &[i32], floats: &[f32]) -> arrow::array::RecordBatch {
    batch(vec![
        ("i", Arc::new(Int32Array::from(ints.to_vec())) as ArrayRef),
        ("f", Arc::new(Float32Array::from(floats.to_vec()))),
    ])
}

#[tokio::test]
async fn columns_are_added_renamed_widened_and_dropped() {
    let place = Place::new();
    table(
        &place.warehouse,
        "public",
        "t",
        &numbers(&[1, 2], &[0.1, 0.2]),
    )
    .await;
    let old = place.warehouse.snapshot().unwrap();
    let text = ColumnDef {
        default: Some("'later'".into()),
        nullable: false,
        ..ColumnDef::new("note", DataType::Utf8)
    };
    altered(&place.warehouse, |t| {
        t.add_column("public", "t", &text, &ScalarValue::from("it's early"))
    })
    .await;
    altered(&place.warehouse, |t| {
        t.add_column(
            "public",
            "t",
            &ColumnDef::new("flag", DataType::Boolean),
            &ScalarValue::from(true),
        )
    })
    .await;
    altered(&place.warehouse, |t| {
        t.rename_column("public", "t", "i", "n")
    })
    .await;
    altered(&place.warehouse, |t| {
        t.widen_column("public", "t", &ColumnDef::new("n", DataType::Int64))?;
        t.widen_column("public", "t", &ColumnDef::new("f", DataType::Float64))
    })
    .await;
    for warehouse in [place.warehouse.clone(), place.again()] {
        assert_eq!(
            read(&warehouse, "public", "t").await,
            [
                "1|0.10000000149011612|it's early|true",
                "2|0.20000000298023224|it's early|true"
            ]
        );
        // A bound of the narrow time is not taken for one of the wide values.
        let found = scan(
            &warehouse,
            warehouse.snapshot().unwrap().table("public", "t").unwrap(),
        )
        .filter(col("f").gt(lit(0.200_000_001)))
        .unwrap();
        assert_eq!(found.count().await.unwrap(), 1);
        let found = scan(
            &warehouse,
            warehouse.snapshot().unwrap().table("public", "t").unwrap(),
        )
        .filter(col("n").eq(lit(2_i64)))
        .unwrap();
        assert_eq!(found.count().await.unwrap(), 1);
    }
    check(
        &place,
        r#"{"public.t": {"columns": [["n","BIGINT"],["f","DOUBLE"],["note","VARCHAR"],["flag","BOOLEAN"]],
        "rows": [[1,0.10000000149011612,"it's early",true],[2,0.20000000298023224,"it's early",true]]}}"#,
    );
    altered(&place.warehouse, |t| t.drop_column("public", "t", "f")).await;
    altered(&place.warehouse, |t| {
        t.add_column(
            "public",
            "t",
            &ColumnDef::new("f", DataType::Int64),
            &ScalarValue::Null,
        )
    })
    .await;
    check(
        &place,
        r#"{"public.t": [[1,"it's early",true,null],[2,"it's early",true,null]]}"#,
    );
    assert_eq!(
        read(&place.again(), "public", "t").await,
        ["1|it's early|true|NULL", "2|it's early|true|NULL"]
    );
    // Ids are not used twice, and old snapshots are as they were.
    assert_eq!(
        catalog(
            &place.sql(),
            "SELECT column_id, column_name FROM ducklake_column WHERE end_snapshot IS NULL ORDER BY column_order"
        ),
        ["1|n", "3|note", "4|flag", "5|f"]
    );
    assert_eq!(
        read_at(&place.warehouse, &old, "public", "t")
            .await
            .unwrap(),
        ["1|0.1", "2|0.2"]
    );
    let changes = catalog(
        &place.sql(),
        "SELECT DISTINCT changes_made FROM ducklake_snapshot_changes WHERE snapshot_id > 1",
    );
    assert_eq!(changes, ["altered_table:2"]);
    // DuckDB alters on top of it, and we read that.
    if duckdb(&place, "ALTER TABLE lake.public.t DROP COLUMN flag; ALTER TABLE lake.public.t RENAME note TO remark; INSERT INTO lake.public.t VALUES (3, 'x', 4)").is_some() {
        assert_eq!(read(&place.warehouse, "public", "t").await, ["1|it's early|NULL", "2|it's early|NULL", "3|x|4"]);
    }
}

#[tokio::test]
async fn what_cannot_be_altered_is_said() {
    let place = Place::new();
    table(&place.warehouse, "public", "t", &numbers(&[1], &[0.5])).await;
    let transaction = place.warehouse.begin().unwrap();
    let def = |name: &str, data_type| ColumnDef::new(name, data_type);
    let add = |def: &ColumnDef| transaction.add_column("public", "t", def, &ScalarValue::Null);
    assert!(matches!(
        add(&def("i", DataType::Int64)),
        Err(Error::DuplicateColumn { .. })
    ));
    assert!(matches!(
        add(&def("_ducklake_internal_x", DataType::Int64)),
        Err(Error::InvalidName { .. })
    ));
    assert!(matches!(
        add(&ColumnDef {
            nullable: false,
            ..def("x", DataType::Int64)
        }),
        Err(Error::ColumnHasNulls { .. })
    ));
    assert!(matches!(
        transaction.rename_column("public", "t", "i", "f"),
        Err(Error::DuplicateColumn { .. })
    ));
    assert!(matches!(
        transaction.rename_column("public", "t", "x", "y"),
        Err(Error::UndefinedColumn { .. })
    ));
    for narrower in [
        def("i", DataType::Int16),
        def("i", DataType::Utf8),
        def("f", DataType::Int64),
    ] {
        let error = transaction
            .widen_column("public", "t", &narrower)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "column \"{}\" of relation \"public.t\" cannot be changed",
                narrower.name
            )
        );
    }
    transaction.drop_column("public", "t", "i").unwrap();
    assert!(matches!(
        transaction.drop_column("public", "t", "f"),
        Err(Error::ColumnChange { .. })
    ));
    assert!(matches!(
        transaction.drop_column("public", "none", "f"),
        Err(Error::UndefinedRelation { .. })
    ));
    assert_eq!(
        transaction
            .snapshot()
            .table("public", "t")
            .unwrap()
            .columns
            .len(),
        1
    );
}

#[tokio::test]
async fn not_null_default_and_length_are_altered() {
    let place = Place::new();
    let varchar = |modifier| ColumnDef {
        type_modifier: Some(TypeModifier {
            type_name: "varchar".into(),
            modifier,
        }),
        ..ColumnDef::new("name", DataType::Utf8)
    };
    let transaction = place.warehouse.begin().unwrap();
    let id = transaction
        .create_table(
            "public",
            "t",
            &[ColumnDef::new("id", DataType::Int64), varchar(14)],
        )
        .unwrap();
    append(&transaction, id, &rows(&[(1, "a")])).await.unwrap();
    transaction.commit().await.unwrap();
    altered(&place.warehouse, |t| {
        t.set_nullable("public", "t", "id", false)?;
        t.set_default("public", "t", "name", Some("'none'"))?;
        t.widen_column("public", "t", &varchar(24))
    })
    .await;
    let transaction = place.warehouse.begin().unwrap();
    assert!(matches!(
        transaction.widen_column("public", "t", &varchar(20)),
        Err(Error::ColumnChange { .. })
    ));
    let snapshot = place.again().snapshot().unwrap();
    let found = snapshot.table("public", "t").unwrap();
    assert!(!found.columns[0].nullable);
    assert_eq!(found.columns[1].default.as_deref(), Some("'none'"));
    assert_eq!(
        found.columns[1].type_modifier.as_ref().unwrap().modifier,
        24
    );
    let null = batch(vec![
        (
            "id",
            Arc::new(arrow::array::Int64Array::from(vec![None])) as ArrayRef,
        ),
        ("name", Arc::new(arrow::array::StringArray::from(vec!["x"]))),
    ]);
    assert!(matches!(
        insert(&place.warehouse, "public", "t", &null).await,
        Err(Error::NotNullViolation { .. })
    ));
    altered(&place.warehouse, |t| {
        t.set_nullable("public", "t", "id", true)?;
        t.set_default("public", "t", "name", None)
    })
    .await;
    insert(&place.warehouse, "public", "t", &null)
        .await
        .unwrap();
    let transaction = place.warehouse.begin().unwrap();
    assert!(matches!(
        transaction.set_nullable("public", "t", "id", false),
        Err(Error::ColumnHasNulls { .. })
    ));
    assert_eq!(
        transaction
            .snapshot()
            .table("public", "t")
            .unwrap()
            .has_nulls(crate::ColumnId(2)),
        Some(false)
    );
}

#[tokio::test]
async fn tables_move_between_schemas_and_schemas_are_renamed() {
    let place = Place::new();
    let view = ViewDef {
        sql: "SELECT 1".into(),
        dialect: "postgres".into(),
        column_aliases: vec![],
    };
    table(&place.warehouse, "public", "t", &rows(&[(1, "a")])).await;
    let old = place.warehouse.snapshot().unwrap();
    let transaction = place.warehouse.begin().unwrap();
    transaction.create_schema("s").unwrap();
    transaction.create_view("public", "v", view, false).unwrap();
    transaction.move_relation("public", "t", "s").unwrap();
    transaction.move_relation("public", "v", "s").unwrap();
    assert!(matches!(
        transaction.move_relation("s", "t", "s"),
        Err(Error::DuplicateRelation { .. })
    ));
    assert!(matches!(
        transaction.move_relation("s", "t", "none"),
        Err(Error::UndefinedSchema { .. })
    ));
    transaction.commit().await.unwrap();
    insert(&place.warehouse, "s", "t", &rows(&[(2, "b")]))
        .await
        .unwrap();
    check(&place, r#"{"s.t": [[1,"a"],[2,"b"]]}"#);
    let transaction = place.warehouse.begin().unwrap();
    assert!(matches!(
        transaction.rename_schema("s", "public"),
        Err(Error::DuplicateSchema { .. })
    ));
    transaction.rename_schema("s", "r").unwrap();
    transaction.commit().await.unwrap();
    insert(&place.warehouse, "r", "t", &rows(&[(3, "c")]))
        .await
        .unwrap();
    for warehouse in [place.warehouse.clone(), place.again()] {
        let snapshot = warehouse.snapshot().unwrap();
        assert!(snapshot.schema("s").is_none() && snapshot.view("r", "v").is_some());
        assert_eq!(read(&warehouse, "r", "t").await, ["1|a", "2|b", "3|c"]);
    }
    check(&place, r#"{"r.t": [[1,"a"],[2,"b"],[3,"c"]]}"#);
    assert_eq!(
        read_at(&place.warehouse, &old, "public", "t")
            .await
            .unwrap(),
        ["1|a"]
    );
    // The whole directory moves, and full paths with it.
    let moved = place.root().join("moved");
    let directory = place.directory();
    drop(place.warehouse.clone());
    std::fs::rename(&directory, &moved).unwrap();
    let warehouse = Warehouse::open(&moved).unwrap();
    assert_eq!(read(&warehouse, "r", "t").await, ["1|a", "2|b", "3|c"]);
}

#[tokio::test]
async fn savepoints_undo_rows_and_definitions() {
    let place = Place::new();
    table(&place.warehouse, "public", "t", &rows(&[(1, "a")])).await;
    let transaction = place.warehouse.begin().unwrap();
    let id = transaction.snapshot().table("public", "t").unwrap().id;
    append(&transaction, id, &rows(&[(2, "b")])).await.unwrap();
    transaction.savepoint("s").unwrap();
    append(&transaction, id, &rows(&[(3, "c")])).await.unwrap();
    delete_in(&transaction, "t", col("id").lt(lit(3)))
        .await
        .unwrap();
    transaction.create_schema("new").unwrap();
    transaction.savepoint("s").unwrap();
    transaction.drop_table("public", "t").unwrap();
    let files = place.files().len();
    transaction.rollback_to("s").await.unwrap();
    assert_eq!(
        read_at(&place.warehouse, &transaction.snapshot(), "public", "t")
            .await
            .unwrap(),
        ["3|c"]
    );
    // The inner one is released; the outer one of the same name is there again.
    transaction.release("s").unwrap();
    transaction.rollback_to("s").await.unwrap();
    transaction.rollback_to("s").await.unwrap();
    assert_eq!(place.files().len(), files - 1);
    assert!(transaction.snapshot().schema("new").is_none());
    assert_eq!(
        read_at(&place.warehouse, &transaction.snapshot(), "public", "t")
            .await
            .unwrap(),
        ["1|a", "2|b"]
    );
    update_in(&transaction, "t", col("id").eq(lit(1)), "z")
        .await
        .unwrap();
    transaction.release("s").unwrap();
    assert!(
        matches!(transaction.rollback_to("s").await, Err(Error::UndefinedSavepoint { name }) if name == "s")
    );
    assert!(matches!(
        transaction.release("s"),
        Err(Error::UndefinedSavepoint { .. })
    ));
    transaction.commit().await.unwrap();
    assert!(matches!(
        transaction.savepoint("s"),
        Err(Error::TransactionEnded)
    ));
    assert_eq!(read(&place.again(), "public", "t").await, ["1|z", "2|b"]);
    check(&place, r#"{"public.t": [[1,"z"],[2,"b"]]}"#);
    let named = catalog(
        &place.sql(),
        "SELECT (SELECT count(*) FROM ducklake_data_file) + (SELECT count(*) FROM ducklake_delete_file)",
    );
    assert_eq!(named, [place.files().len().to_string()]);
}

#[tokio::test]
async fn views_that_read_a_relation_are_known() {
    let place = Place::new();
    table(&place.warehouse, "public", "t", &rows(&[(1, "a")])).await;
    let transaction = place.warehouse.begin().unwrap();
    for (name, reads) in [
        ("v", ("public", "t")),
        ("w.\"", ("public", "v")),
        ("u", ("public", "w.\"")),
        ("free", ("public", "x,y")),
    ] {
        let view = ViewDef {
            sql: "SELECT 1".into(),
            dialect: "postgres".into(),
            column_aliases: vec![],
        };
        transaction
            .create_view("public", name, view, false)
            .unwrap();
        transaction
            .set_view_dependencies("public", name, &[(reads.0.into(), reads.1.into())])
            .unwrap();
    }
    transaction.commit().await.unwrap();
    let snapshot = place.again().snapshot().unwrap();
    let names = |views: Vec<Arc<crate::View>>| {
        views
            .iter()
            .map(|view| view.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(snapshot.dependents("public", "t")),
        ["v", "w.\"", "u"]
    );
    assert_eq!(names(snapshot.dependents("public", "x,y")), ["free"]);
    assert_eq!(
        snapshot.view("public", "v").unwrap().depends_on(),
        [("public".to_owned(), "t".to_owned())]
    );
    let transaction = place.warehouse.begin().unwrap();
    let error = transaction.drop_relation("public", "v", false).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot drop view \"public.v\" because other objects depend on it"
    );
    assert_eq!(
        names(transaction.drop_relation("public", "t", true).unwrap()),
        ["v", "w.\"", "u"]
    );
    transaction.commit().await.unwrap();
    let snapshot = place.warehouse.snapshot().unwrap();
    assert_eq!(snapshot.views().count(), 1);
    assert!(snapshot.table("public", "t").is_none());
}
