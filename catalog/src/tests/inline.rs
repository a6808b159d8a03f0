//! Small inserts: rows that lie in the catalog database, what is done to them, and how they become files.

use super::outside::{check, duckdb};
use super::support::*;
use super::types::every_type;
use crate::{ColumnDef, Error, FileId, ROW_ID_COLUMN, TableScan, Warehouse};
use arrow::array::{ArrayRef, Float64Array, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::prelude::{col, lit};
use std::sync::Arc;

/// A warehouse that keeps up to 100 rows of a write in its database.
fn inlining() -> Place {
    let place = Place::new();
    place.warehouse.set_inline_rows_max(100);
    place
}

fn parquet_files(place: &Place) -> usize {
    place.files().len()
}

fn id_of(warehouse: &Warehouse, name: &str) -> crate::TableId {
    warehouse
        .snapshot()
        .unwrap()
        .table("public", name)
        .unwrap()
        .id
}

#[tokio::test]
async fn small_inserts_make_no_files() {
    let place = inlining();
    table(
        &place.warehouse,
        "public",
        "t",
        &rows(&[(1, "a"), (2, "é'\"")]),
    )
    .await;
    for id in 3..40 {
        insert(&place.warehouse, "public", "t", &rows(&[(id, "x")]))
            .await
            .unwrap();
    }
    assert_eq!(parquet_files(&place), 0);
    for warehouse in [place.warehouse.clone(), place.again()] {
        let snapshot = warehouse.snapshot().unwrap();
        assert_eq!(snapshot.table("public", "t").unwrap().rows, 39);
        assert_eq!(read(&warehouse, "public", "t").await.len(), 39);
        let frame = scan(&warehouse, snapshot.table("public", "t").unwrap());
        assert_eq!(frame.clone().count().await.unwrap(), 39);
        let lines = frame
            .filter(col("id").lt(lit(3)))
            .unwrap()
            .select_columns(&["name"])
            .unwrap();
        assert_eq!(text(&lines.collect().await.unwrap()), ["a", "é'\""]);
    }
    let expected = (3..40)
        .map(|id| format!("[{id},\"x\"]"))
        .collect::<Vec<_>>()
        .join(",");
    check(
        &place,
        &format!("{{\"public.t\": [[1,\"a\"],[2,\"é'\\\"\"],{expected}]}}"),
    );
    assert_eq!(
        catalog(
            &place.sql(),
            "SELECT changes_made FROM ducklake_snapshot_changes ORDER BY snapshot_id DESC LIMIT 1"
        ),
        ["inlined_insert:2"]
    );
    assert_eq!(
        catalog(&place.sql(), "SELECT * FROM ducklake_table_stats"),
        ["2|39|39|0"]
    );
    assert_eq!(
        catalog(
            &place.sql(),
            "SELECT column_id, contains_null, min_value, max_value FROM ducklake_table_column_stats ORDER BY 1"
        ),
        ["1|0|1|39", "2|0|a|é'\""]
    );
    // More than the limit makes a file, whatever the batches.
    let transaction = place.warehouse.begin().unwrap();
    let mut writer = transaction.writer(id_of(&place.warehouse, "t")).unwrap();
    for start in 0..3 {
        let many = (0..40)
            .map(|id| (1000 + start * 40 + id, "y"))
            .collect::<Vec<_>>();
        writer.write(&rows(&many)).await.unwrap();
    }
    assert_eq!(writer.finish().await.unwrap(), 120);
    transaction.commit().await.unwrap();
    assert_eq!(parquet_files(&place), 1);
    assert_eq!(read(&place.again(), "public", "t").await.len(), 159);
}

#[tokio::test]
async fn inlined_rows_are_deleted_and_updated() {
    let place = inlining();
    let many = (0..150).map(|id| (id, "file")).collect::<Vec<_>>();
    table(&place.warehouse, "public", "t", &rows(&many)).await;
    insert(
        &place.warehouse,
        "public",
        "t",
        &rows(&[(200, "a"), (201, "b"), (202, "c")]),
    )
    .await
    .unwrap();
    assert_eq!(
        update_names(
            &place.warehouse,
            "t",
            col("id").in_list(vec![lit(5), lit(201)], false),
            "new"
        )
        .await
        .unwrap(),
        2
    );
    assert_eq!(
        delete_where(
            &place.warehouse,
            "t",
            col("id").in_list(vec![lit(6), lit(202)], false)
        )
        .await
        .unwrap(),
        2
    );
    // Twice the same row, in one transaction and by itself.
    let transaction = place.warehouse.begin().unwrap();
    update_in(&transaction, "t", col("id").eq(lit(201)), "newer")
        .await
        .unwrap();
    update_in(&transaction, "t", col("id").eq(lit(201)), "newest")
        .await
        .unwrap();
    append(
        &transaction,
        id_of(&place.warehouse, "t"),
        &rows(&[(300, "own"), (301, "own")]),
    )
    .await
    .unwrap();
    delete_in(&transaction, "t", col("id").eq(lit(300)))
        .await
        .unwrap();
    update_in(&transaction, "t", col("id").eq(lit(301)), "mine")
        .await
        .unwrap();
    let own = read_at(&place.warehouse, &transaction.snapshot(), "public", "t")
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(parquet_files(&place), 1);
    for warehouse in [place.warehouse.clone(), place.again()] {
        assert_eq!(read(&warehouse, "public", "t").await, own);
        let lines = read_with_row_ids(&warehouse, "t").await;
        assert_eq!(
            lines.len() as u64,
            warehouse
                .snapshot()
                .unwrap()
                .table("public", "t")
                .unwrap()
                .rows
        );
        for line in ["5|new|5", "200|a|150", "201|newest|151"] {
            assert!(lines.contains(&line.to_owned()), "{line}: {lines:?}");
        }
        assert!(lines.iter().any(|line| line.starts_with("301|mine|")));
    }
    if let Some(seen) = duckdb(
        &place,
        "SELECT count(*), sum(id) FROM lake.public.t; SELECT rowid, id, name FROM lake.public.t WHERE name <> 'file' ORDER BY id",
    ) {
        let sum = (0..150).filter(|id| *id != 6).sum::<i64>() + 200 + 201 + 301;
        let ids = read_with_row_ids(&place.warehouse, "t").await;
        let last = ids
            .iter()
            .find(|line| line.starts_with("301"))
            .unwrap()
            .rsplit('|')
            .next()
            .unwrap()
            .to_owned();
        assert_eq!(
            seen.trim(),
            format!(
                "[(152, {sum})]\n[(5, 5, 'new'), (150, 200, 'a'), (151, 201, 'newest'), ({last}, 301, 'mine')]"
            )
        );
    }
}

#[tokio::test]
async fn row_conflicts_are_found_on_inlined_rows() {
    let place = inlining();
    table(
        &place.warehouse,
        "public",
        "t",
        &rows(&[(1, "a"), (2, "b"), (3, "c")]),
    )
    .await;
    let other = place.again();
    let (one, two, three) = (
        place.warehouse.begin().unwrap(),
        other.begin().unwrap(),
        other.begin().unwrap(),
    );
    update_in(&one, "t", col("id").eq(lit(1)), "one")
        .await
        .unwrap();
    update_in(&two, "t", col("id").eq(lit(2)), "two")
        .await
        .unwrap();
    // The row has the same id after it was updated, but it is another.
    update_in(&three, "t", col("id").eq(lit(1)), "three")
        .await
        .unwrap();
    one.commit().await.unwrap();
    two.commit().await.unwrap();
    assert!(matches!(three.commit().await, Err(Error::Conflict { .. })));
    for warehouse in [&place.warehouse, &other] {
        assert_eq!(
            read(warehouse, "public", "t").await,
            ["1|one", "2|two", "3|c"]
        );
    }
    let (one, two) = (
        place.warehouse.begin().unwrap(),
        place.warehouse.begin().unwrap(),
    );
    one.truncate("public", "t").unwrap();
    insert(&other, "public", "t", &rows(&[(4, "d")]))
        .await
        .unwrap();
    assert!(matches!(one.commit().await, Err(Error::Conflict { .. })));
    assert_eq!(two.truncate("public", "t").unwrap(), 3);
    assert!(matches!(two.commit().await, Err(Error::Conflict { .. })));
    let last = place.warehouse.begin().unwrap();
    assert_eq!(last.truncate("public", "t").unwrap(), 4);
    last.commit().await.unwrap();
    assert_eq!(read(&other, "public", "t").await, Vec::<String>::new());
    check(&place, r#"{"public.t": []}"#);
}

#[tokio::test]
async fn every_flat_type_is_inlined_and_comes_back() {
    let place = inlining();
    let all = every_type();
    let flat = all
        .schema()
        .fields()
        .iter()
        .enumerate()
        .filter(|(_, field)| !field.data_type().is_nested())
        .map(|(at, _)| at)
        .collect::<Vec<_>>();
    let batch = all.project(&flat).unwrap();
    table(&place.warehouse, "public", "inlined", &batch).await;
    assert_eq!(parquet_files(&place), 0);
    place.warehouse.set_inline_rows_max(0);
    table(&place.warehouse, "public", "filed", &batch).await;
    for warehouse in [place.warehouse.clone(), place.again()] {
        assert_eq!(
            read(&warehouse, "public", "inlined").await,
            read(&warehouse, "public", "filed").await
        );
    }
    if let Some(seen) = duckdb(
        &place,
        "SELECT count(*) FROM (FROM lake.public.inlined EXCEPT ALL FROM lake.public.filed); SELECT count(*) FROM lake.public.inlined",
    ) {
        assert_eq!(seen.trim(), "[(0,)]\n[(3,)]");
    }
    place
        .warehouse
        .flush(id_of(&place.warehouse, "inlined"))
        .await
        .unwrap();
    assert_eq!(
        read(&place.again(), "public", "inlined").await,
        read(&place.warehouse, "public", "filed").await
    );
    // Nested types go to files, as does what has no text that bounds could be of.
    place.warehouse.set_inline_rows_max(100);
    let files = parquet_files(&place);
    table(&place.warehouse, "public", "nested", &all).await;
    table(
        &place.warehouse,
        "public",
        "long",
        &rows(&[(1, &"x".repeat(257))]),
    )
    .await;
    table(&place.warehouse, "public", "nul", &rows(&[(1, "\0")])).await;
    assert_eq!(parquet_files(&place), files + 3);
    // A name that the database needs itself.
    let odd = batch_of(&[("row_id", 1.5), ("x", 2.5)]);
    table(&place.warehouse, "public", "taken", &odd).await;
    assert_eq!(parquet_files(&place), files + 4);
    let quoted = batch_of(&[("we\"ird, n", f64::NAN), ("select", f64::NEG_INFINITY)]);
    table(&place.warehouse, "public", "quoted", &quoted).await;
    assert_eq!(parquet_files(&place), files + 4);
    assert_eq!(read(&place.again(), "public", "quoted").await, ["NaN|-inf"]);
    insert(
        &place.warehouse,
        "public",
        "quoted",
        &batch_of(&[("we\"ird, n", 5.0), ("select", 1.0)]),
    )
    .await
    .unwrap();
    if let Some(seen) = duckdb(
        &place,
        "SELECT count(*) FROM lake.public.quoted WHERE \"we\"\"ird, n\" >= 5; SELECT count(*) FROM lake.public.quoted WHERE \"select\" < 0",
    ) {
        assert_eq!(seen.trim(), "[(2,)]\n[(1,)]");
    }
}

fn batch_of(columns: &[(&str, f64)]) -> arrow::array::RecordBatch {
    batch(
        columns
            .iter()
            .map(|(name, value)| {
                (
                    *name,
                    Arc::new(Float64Array::from(vec![*value])) as ArrayRef,
                )
            })
            .collect(),
    )
}

#[tokio::test]
async fn inlined_rows_outlive_changes_of_columns() {
    let place = inlining();
    table(&place.warehouse, "public", "t", &rows(&[(1, "a")])).await;
    let old = place.warehouse.snapshot().unwrap();
    let transaction = place.warehouse.begin().unwrap();
    let id = id_of(&place.warehouse, "t");
    append(&transaction, id, &rows(&[(2, "b")])).await.unwrap();
    transaction
        .add_column(
            "public",
            "t",
            &ColumnDef::new("x", DataType::Int32),
            &ScalarValue::from(7),
        )
        .unwrap();
    transaction
        .rename_column("public", "t", "name", "label")
        .unwrap();
    let wide = |id: i64, label: &str, x: i32| {
        batch(vec![
            (
                "id",
                Arc::new(arrow::array::Int64Array::from(vec![id])) as ArrayRef,
            ),
            ("label", Arc::new(StringArray::from(vec![label]))),
            ("x", Arc::new(arrow::array::Int32Array::from(vec![x]))),
        ])
    };
    append(&transaction, id, &wide(3, "c", 8)).await.unwrap();
    transaction.commit().await.unwrap();
    let transaction = place.warehouse.begin().unwrap();
    transaction
        .widen_column("public", "t", &ColumnDef::new("x", DataType::Int64))
        .unwrap();
    transaction.commit().await.unwrap();
    for warehouse in [place.warehouse.clone(), place.again()] {
        assert_eq!(
            read(&warehouse, "public", "t").await,
            ["1|a|7", "2|b|7", "3|c|8"]
        );
    }
    check(&place, r#"{"public.t": [[1,"a",7],[2,"b",7],[3,"c",8]]}"#);
    assert_eq!(
        read_at(&place.warehouse, &old, "public", "t")
            .await
            .unwrap(),
        ["1|a"]
    );
    assert_eq!(
        delete_where(&place.warehouse, "t", col("id").eq(lit(1)))
            .await
            .unwrap(),
        1
    );
    assert_eq!(place.warehouse.flush(id).await.unwrap(), 2);
    assert_eq!(parquet_files(&place), 1);
    for warehouse in [place.warehouse.clone(), place.again()] {
        assert_eq!(
            read_with_row_ids(&warehouse, "t").await,
            ["2|b|7|1", "3|c|8|2"]
        );
    }
    check(&place, r#"{"public.t": [[2,"b",7],[3,"c",8]]}"#);
}

#[tokio::test]
async fn a_flush_keeps_ids_and_older_snapshots() {
    let place = inlining();
    table(
        &place.warehouse,
        "public",
        "t",
        &rows(&[(1, "a"), (2, "b")]),
    )
    .await;
    delete_where(&place.warehouse, "t", col("id").eq(lit(1)))
        .await
        .unwrap();
    let before = place.warehouse.snapshot().unwrap();
    let id = id_of(&place.warehouse, "t");
    assert_eq!(place.warehouse.flush(id).await.unwrap(), 1);
    assert_eq!(place.warehouse.flush(id).await.unwrap(), 0);
    assert_eq!(
        catalog(
            &place.sql(),
            "SELECT changes_made FROM ducklake_snapshot_changes ORDER BY snapshot_id DESC LIMIT 1"
        ),
        ["inline_flush:2"]
    );
    insert(&place.warehouse, "public", "t", &rows(&[(3, "c")]))
        .await
        .unwrap();
    for warehouse in [place.warehouse.clone(), place.again()] {
        assert_eq!(read_with_row_ids(&warehouse, "t").await, ["2|b|1", "3|c|3"]);
        let older = warehouse.snapshot_at(before.id).unwrap();
        assert_eq!(
            read_at(&warehouse, &older, "public", "t").await.unwrap(),
            ["2|b"]
        );
    }
    check(&place, r#"{"public.t": [[2,"b"],[3,"c"]]}"#);
    // The hidden file of inlined rows is not one of the table's.
    let scan = TableScan::new(
        place.warehouse.clone(),
        Arc::clone(
            place
                .warehouse
                .snapshot()
                .unwrap()
                .table("public", "t")
                .unwrap(),
        ),
    )
    .with_row_identity();
    let frame = session()
        .read_table(Arc::new(scan))
        .unwrap()
        .select(vec![col(crate::FILE_COLUMN), col(ROW_ID_COLUMN)])
        .unwrap();
    let lines = text(&frame.collect().await.unwrap());
    assert!(
        lines.contains(&format!("{}|3", FileId::INLINED)),
        "{lines:?}"
    );
}

#[tokio::test]
async fn what_duckdb_inlines_is_read_and_kept_up() {
    let place = inlining();
    table(
        &place.warehouse,
        "public",
        "t",
        &rows(&(0..120).map(|id| (id, "f")).collect::<Vec<_>>()),
    )
    .await;
    insert(
        &place.warehouse,
        "public",
        "t",
        &rows(&[(200, "a"), (201, "b")]),
    )
    .await
    .unwrap();
    let Some(_) = super::outside::duckdb_with(
        &place,
        "DATA_INLINING_ROW_LIMIT 10",
        "INSERT INTO lake.public.t VALUES (300, 'd'); DELETE FROM lake.public.t WHERE id IN (3, 200); UPDATE lake.public.t SET name = 'u' WHERE id IN (4, 201)",
    ) else {
        return;
    };
    let lines = read_with_row_ids(&place.warehouse, "t").await;
    assert_eq!(lines.len(), 121);
    for line in ["4|u|4", "201|u|121", "300|d|122"] {
        assert!(lines.contains(&line.to_owned()), "{line}: {lines:?}");
    }
    assert_eq!(read_with_row_ids(&place.again(), "t").await, lines);
    delete_where(
        &place.warehouse,
        "t",
        col("id").in_list(vec![lit(300), lit(5)], false),
    )
    .await
    .unwrap();
    update_names(&place.warehouse, "t", col("id").eq(lit(201)), "v")
        .await
        .unwrap();
    let seen = duckdb(&place, "SELECT count(*), sum(id) FROM lake.public.t; SELECT rowid, name FROM lake.public.t WHERE id = 201").unwrap();
    let sum = (0..120).filter(|id| ![3, 5].contains(id)).sum::<i64>() + 201;
    assert_eq!(seen.trim(), format!("[(119, {sum})]\n[(121, 'v')]"));
    // Both flush what the other has inlined.
    super::outside::duckdb_with(
        &place,
        "DATA_INLINING_ROW_LIMIT 10",
        "CALL ducklake_flush_inlined_data('lake')",
    )
    .unwrap();
    assert_eq!(read(&place.warehouse, "public", "t").await.len(), 119);
    assert_eq!(read(&place.again(), "public", "t").await.len(), 119);
}

#[tokio::test]
async fn many_sessions_insert_at_once() {
    let place = inlining();
    let transaction = place.warehouse.begin().unwrap();
    transaction
        .create_table("public", "t", &id_and_name())
        .unwrap();
    transaction.commit().await.unwrap();
    let other = place.again();
    let tasks = (0..16).map(|session| {
        let warehouse = if session % 2 == 0 {
            place.warehouse.clone()
        } else {
            other.clone()
        };
        tokio::spawn(async move {
            for row in 0..25 {
                insert(
                    &warehouse,
                    "public",
                    "t",
                    &rows(&[(session * 1000 + row, "x")]),
                )
                .await
                .unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    for warehouse in [place.warehouse.clone(), other.clone(), place.again()] {
        let lines = read_with_row_ids(&warehouse, "t").await;
        assert_eq!(lines.len(), 400);
        let mut ids = lines
            .iter()
            .map(|line| line.rsplit('|').next().unwrap().parse::<i64>().unwrap())
            .collect::<Vec<_>>();
        ids.sort_unstable();
        assert_eq!(ids, (0..400).collect::<Vec<_>>());
    }
    // One snapshot each.
    assert_eq!(place.warehouse.commits().unwrap().len(), 402);
}

/// Durable single-row inserts a second, by one session and by sixteen; printed, not judged, but for `TRIBUTARY_SOAK=1`.
#[test]
fn speed_of_single_inserts() {
    if std::env::var_os("TRIBUTARY_SOAK").is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let place = inlining();
    runtime.block_on(async {
        let transaction = place.warehouse.begin().unwrap();
        transaction
            .create_table("public", "t", &id_and_name())
            .unwrap();
        transaction.commit().await.unwrap();
        for sessions in [1, 16, 1, 16, 1, 16] {
            let count = if sessions == 1 { 5_000 } else { 40_000 };
            let start = std::time::Instant::now();
            let tasks = (0..sessions).map(|session| {
                let warehouse = place.warehouse.clone();
                tokio::spawn(async move {
                    for row in 0..count / sessions {
                        insert(
                            &warehouse,
                            "public",
                            "t",
                            &rows(&[(session * 1_000_000 + row, "some text")]),
                        )
                        .await
                        .unwrap();
                    }
                })
            });
            for task in tasks.collect::<Vec<_>>() {
                task.await.unwrap();
            }
            let rate = count as f64 / start.elapsed().as_secs_f64();
            println!(
                "{sessions} sessions: {rate:.0} inserts/s, {} rows in the table",
                place
                    .warehouse
                    .snapshot()
                    .unwrap()
                    .table("public", "t")
                    .unwrap()
                    .rows
            );
        }
    });
}
