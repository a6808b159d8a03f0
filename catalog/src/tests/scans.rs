use super::support::*;
use crate::Warehouse;
use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
use datafusion::functions_aggregate::expr_fn::{count, max, min};
use datafusion::physical_plan::displayable;
use datafusion::prelude::{DataFrame, Expr, col, lit};
use std::sync::Arc;

/// Four files: ids 0..10, 10..20, 20..30, 30..40; the last has NULL names.
async fn four_files() -> Place {
    let place = Place::new();
    for part in 0..4i64 {
        let ids = (part * 10..part * 10 + 10).collect::<Vec<_>>();
        let names = ids
            .iter()
            .map(|id| (part < 3).then(|| format!("n{id:02}")))
            .collect::<StringArray>();
        let floats = ids
            .iter()
            .map(|id| if *id == 5 { f64::NAN } else { *id as f64 })
            .collect::<Float64Array>();
        let rows = batch(vec![
            ("id", Arc::new(Int64Array::from(ids)) as ArrayRef),
            ("name", Arc::new(names)),
            ("x", Arc::new(floats)),
        ]);
        if part == 0 {
            table(&place.warehouse, "public", "t", &rows).await;
        } else {
            insert(&place.warehouse, "public", "t", &rows)
                .await
                .unwrap();
        }
    }
    place
}

fn frame(warehouse: &Warehouse) -> DataFrame {
    let snapshot = warehouse.snapshot().unwrap();
    scan(warehouse, snapshot.table("public", "t").unwrap())
}

async fn plan(frame: DataFrame) -> String {
    let plan = frame.create_physical_plan().await.unwrap();
    displayable(plan.as_ref()).indent(false).to_string()
}

/// How many files the plan opens.
async fn opened(frame: DataFrame) -> usize {
    plan(frame).await.matches(".parquet").count()
}

#[tokio::test]
async fn files_that_cannot_match_are_not_opened() {
    let place = four_files().await;
    for warehouse in [place.warehouse.clone(), place.again()] {
        let check = async |filter: Expr, files: usize, rows: usize| {
            let frame = frame(&warehouse).filter(filter.clone()).unwrap();
            assert_eq!(opened(frame.clone()).await, files, "{filter}");
            assert_eq!(frame.count().await.unwrap(), rows, "{filter}");
        };
        check(col("id").eq(lit(15i64)), 1, 1).await;
        check(col("id").gt(lit(25i64)), 2, 14).await;
        check(col("id").lt(lit(0i64)), 0, 0).await;
        check(col("id").eq(lit(3i64)).or(col("id").eq(lit(33i64))), 2, 2).await;
        check(col("id").in_list(vec![lit(1i64), lit(2i64)], false), 1, 2).await;
        // Bounds of text prune too.
        check(col("name").eq(lit("n25")), 1, 1).await;
        check(col("name").is_null(), 1, 10).await;
        check(col("name").is_not_null(), 3, 30).await;
        // NaN sorts above all: the file that has one may match whatever its bounds.
        check(col("x").gt(lit(35.0)), 2, 5).await;
        check(col("x").lt(lit(12.0)), 2, 11).await;
    }
}

#[tokio::test]
async fn counts_and_bounds_come_from_the_catalog() {
    let place = four_files().await;
    let aggregate = |exprs: Vec<Expr>| frame(&place.warehouse).aggregate(vec![], exprs).unwrap();
    let numbers = aggregate(vec![
        count(lit(1i64)),
        min(col("id")),
        max(col("id")),
        count(col("name")),
    ]);
    assert_eq!(opened(numbers.clone()).await, 0);
    assert_eq!(text(&numbers.collect().await.unwrap()), ["40|0|39|30"]);
    // Bounds of text may be cut, and a NaN is above the recorded maximum: both are read.
    let texts = aggregate(vec![min(col("name"))]);
    assert_eq!(opened(texts.clone()).await, 4);
    assert_eq!(text(&texts.collect().await.unwrap()), ["n00"]);
    let floats = aggregate(vec![max(col("x"))]);
    assert_eq!(opened(floats.clone()).await, 4);
    assert_eq!(text(&floats.collect().await.unwrap()), ["NaN"]);
}

#[tokio::test]
async fn a_limit_opens_no_more_files_than_it_needs() {
    let place = four_files().await;
    for (limit, files) in [(1, 1), (10, 1), (11, 2), (1000, 4)] {
        let frame = frame(&place.warehouse).limit(0, Some(limit)).unwrap();
        assert_eq!(opened(frame.clone()).await, files, "{limit}");
        assert_eq!(frame.count().await.unwrap(), limit.min(40));
    }
    // With a filter the limit counts rows that pass.
    let frame = frame(&place.warehouse)
        .filter((col("id") % lit(10i64)).eq(lit(9i64)))
        .unwrap();
    assert_eq!(frame.limit(0, Some(3)).unwrap().count().await.unwrap(), 3);
}

#[tokio::test]
async fn projections_and_empty_tables_work() {
    let place = four_files().await;
    let two = frame(&place.warehouse)
        .select(vec![col("x"), col("id")])
        .unwrap()
        .filter(col("id").lt(lit(2i64)))
        .unwrap();
    assert_eq!(text(&two.collect().await.unwrap()), ["0.0|0", "1.0|1"]);
    table(&place.warehouse, "public", "empty", &rows(&[])).await;
    assert_eq!(
        read(&place.warehouse, "public", "empty").await,
        Vec::<String>::new()
    );
    let snapshot = place.warehouse.snapshot().unwrap();
    let empty = snapshot.table("public", "empty").unwrap();
    assert_eq!((empty.files.len(), empty.rows), (0, 0));
    let counted = scan(&place.warehouse, empty)
        .aggregate(vec![], vec![count(lit(1i64)), min(col("id"))])
        .unwrap();
    assert_eq!(text(&counted.collect().await.unwrap()), ["0|NULL"]);
}

#[tokio::test]
async fn row_groups_and_files_roll_over() {
    let place = Place::new();
    let transaction = place.warehouse.begin().unwrap();
    let id = transaction
        .create_table("public", "t", &id_and_name())
        .unwrap();
    let mut writer = transaction.writer(id).unwrap().with_file_bytes_max(1 << 20);
    let name = "n".repeat(40);
    for part in 0..100i64 {
        let values = (part * 5000..(part + 1) * 5000)
            .map(|id| (id, name.as_str()))
            .collect::<Vec<_>>();
        writer.write(&rows(&values)).await.unwrap();
    }
    assert_eq!(writer.finish().await.unwrap(), 500_000);
    transaction.commit().await.unwrap();
    let snapshot = place.warehouse.snapshot().unwrap();
    let written = snapshot.table("public", "t").unwrap();
    assert!(written.files.len() > 1, "{}", written.files.len());
    assert_eq!(written.rows, 500_000);
    let mut next = 0;
    for file in written.files.iter() {
        assert_eq!(file.row_id_start, Some(next));
        next += i64::try_from(file.rows).unwrap();
        let path = place.directory().join("data/public/t").join(&file.path);
        let bytes = std::fs::read(path).unwrap();
        assert_eq!(bytes.len() as u64, file.bytes);
        let footer =
            u32::from_le_bytes(bytes[bytes.len() - 8..bytes.len() - 4].try_into().unwrap());
        assert_eq!(u64::from(footer), file.footer_bytes);
    }
    let checked = frame(&place.again())
        .aggregate(
            vec![],
            vec![count(col("id")), min(col("id")), max(col("id"))],
        )
        .unwrap();
    assert_eq!(text(&checked.collect().await.unwrap()), ["500000|0|499999"]);
    let distinct = frame(&place.again())
        .select(vec![col("id")])
        .unwrap()
        .distinct()
        .unwrap();
    assert_eq!(distinct.count().await.unwrap(), 500_000);
}

#[tokio::test]
async fn several_writers_fill_one_table() {
    let place = Place::new();
    let transaction = place.warehouse.begin().unwrap();
    let id = transaction
        .create_table("public", "t", &id_and_name())
        .unwrap();
    let writers = (0..4i64).map(|writer| {
        let transaction = transaction.clone();
        tokio::spawn(async move {
            let mut open = transaction.writer(id).unwrap();
            for part in 0..10 {
                open.write(&rows(&[(writer * 10 + part, "x")]))
                    .await
                    .unwrap();
            }
            open.finish().await.unwrap()
        })
    });
    let mut total = 0;
    for writer in writers.collect::<Vec<_>>() {
        total += writer.await.unwrap();
    }
    assert_eq!(total, 40);
    transaction.commit().await.unwrap();
    assert_eq!(place.files().len(), 4);
    let mut ids = read(&place.warehouse, "public", "t").await;
    ids.dedup();
    assert_eq!(ids.len(), 40);
}
