//! Deletes and updates: positions, row ids, what scans and other programs see of them.

use super::outside::{check, duckdb};
use super::support::*;
use crate::{Error, FILE_COLUMN, POSITION_COLUMN, ROW_ID_COLUMN, RowSet, TableScan};
use arrow::array::{AsArray, Int64Array};
use arrow::datatypes::Int64Type;
use datafusion::prelude::{col, lit};

fn many(ids: std::ops::Range<i64>) -> arrow::array::RecordBatch {
    let names = ids.clone().map(|id| format!("n{id}")).collect::<Vec<_>>();
    let values = ids
        .zip(names.iter().map(String::as_str))
        .collect::<Vec<_>>();
    rows(&values)
}

#[tokio::test]
async fn deleted_rows_are_gone_and_counted() {
    let place = Place::new();
    table(&place.warehouse, "public", "t", &many(0..10)).await;
    insert(&place.warehouse, "public", "t", &many(10..20))
        .await
        .unwrap();
    let before = place.warehouse.snapshot().unwrap();
    assert_eq!(
        delete_where(
            &place.warehouse,
            "t",
            col("id").in_list(vec![lit(3), lit(4), lit(15)], false)
        )
        .await
        .unwrap(),
        3
    );
    for warehouse in [place.warehouse.clone(), place.again()] {
        let snapshot = warehouse.snapshot().unwrap();
        let found = snapshot.table("public", "t").unwrap();
        assert_eq!(found.rows, 17);
        let lines = read(&warehouse, "public", "t").await;
        assert_eq!(lines.len(), 17);
        assert!(
            !lines
                .iter()
                .any(|line| ["3|n3", "4|n4", "15|n15"].contains(&line.as_str()))
        );
        // The count comes from the catalog, the smallest value from the rows.
        let plan = session()
            .read_table(std::sync::Arc::new(TableScan::new(
                warehouse.clone(),
                std::sync::Arc::clone(found),
            )))
            .unwrap();
        assert_eq!(plan.count().await.unwrap(), 17);
    }
    // An old snapshot has all rows, a second delete of a file joins the first.
    assert_eq!(
        read_at(&place.warehouse, &before, "public", "t")
            .await
            .unwrap()
            .len(),
        20
    );
    assert_eq!(
        delete_where(&place.warehouse, "t", col("id").lt(lit(3)))
            .await
            .unwrap(),
        3
    );
    assert_eq!(read(&place.again(), "public", "t").await.len(), 14);
    assert_eq!(
        catalog(
            &place.sql(),
            "SELECT data_file_id, delete_count, begin_snapshot, end_snapshot FROM ducklake_delete_file ORDER BY delete_file_id"
        ),
        ["0|2|3|4", "1|1|3|NULL", "0|5|4|NULL"]
    );
    // The last rows of a file go with the file.
    assert_eq!(
        delete_where(&place.warehouse, "t", col("id").lt(lit(10)))
            .await
            .unwrap(),
        5
    );
    let snapshot = place.warehouse.snapshot().unwrap();
    assert_eq!(
        (
            snapshot.table("public", "t").unwrap().rows,
            snapshot.table("public", "t").unwrap().files.len()
        ),
        (9, 1)
    );
    let expected = (10..20)
        .filter(|id| *id != 15)
        .map(|id| format!("[{id}, \"n{id}\"]"))
        .collect::<Vec<_>>()
        .join(",");
    check(&place, &format!("{{\"public.t\": [{expected}]}}"));
    assert_eq!(
        catalog(
            &place.sql(),
            "SELECT changes_made FROM ducklake_snapshot_changes ORDER BY snapshot_id DESC LIMIT 1"
        ),
        [format!(
            "deleted_from_table:{}",
            snapshot.table("public", "t").unwrap().id
        )]
    );
}

#[tokio::test]
async fn updated_rows_keep_their_ids() {
    let place = Place::new();
    table(&place.warehouse, "public", "t", &many(0..5)).await;
    let ids = |lines: Vec<String>| lines;
    assert_eq!(
        update_names(&place.warehouse, "t", col("id").gt_eq(lit(3)), "new")
            .await
            .unwrap(),
        2
    );
    let expected = ["0|n0|0", "1|n1|1", "2|n2|2", "3|new|3", "4|new|4"];
    assert_eq!(ids(read_with_row_ids(&place.again(), "t").await), expected);
    // Again, and together with new rows.
    insert(&place.warehouse, "public", "t", &rows(&[(9, "n9")]))
        .await
        .unwrap();
    assert_eq!(
        update_names(
            &place.warehouse,
            "t",
            col("id").eq(lit(4)).or(col("id").eq(lit(9))),
            "again"
        )
        .await
        .unwrap(),
        2
    );
    let expected = [
        "0|n0|0",
        "1|n1|1",
        "2|n2|2",
        "3|new|3",
        "4|again|4",
        "9|again|7",
    ];
    assert_eq!(
        ids(read_with_row_ids(&place.warehouse, "t").await),
        expected
    );
    check(
        &place,
        r#"{"public.t": [[0,"n0"],[1,"n1"],[2,"n2"],[3,"new"],[4,"again"],[9,"again"]]}"#,
    );
    if let Some(seen) = duckdb(&place, "SELECT rowid, id FROM lake.public.t ORDER BY id") {
        assert_eq!(
            seen.trim(),
            "[(0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (7, 9)]"
        );
    }
}

#[tokio::test]
async fn a_transaction_deletes_and_updates_its_own_rows() {
    let place = Place::new();
    table(&place.warehouse, "public", "t", &many(0..4)).await;
    let transaction = place.warehouse.begin().unwrap();
    let id = transaction.snapshot().table("public", "t").unwrap().id;
    append(&transaction, id, &many(10..14)).await.unwrap();
    append(&transaction, id, &many(20..22)).await.unwrap();
    assert_eq!(
        delete_in(
            &transaction,
            "t",
            col("id").in_list(vec![lit(1), lit(11), lit(20), lit(21)], false)
        )
        .await
        .unwrap(),
        4
    );
    assert_eq!(
        update_in(
            &transaction,
            "t",
            col("id").in_list(vec![lit(2), lit(12)], false),
            "new"
        )
        .await
        .unwrap(),
        2
    );
    assert_eq!(
        update_in(&transaction, "t", col("id").eq(lit(12)), "newer")
            .await
            .unwrap(),
        1
    );
    // Nothing is left to be deleted twice.
    assert_eq!(
        delete_in(&transaction, "t", col("id").eq(lit(11)))
            .await
            .unwrap(),
        0
    );
    let expected = ["0|n0", "10|n10", "12|newer", "13|n13", "2|new", "3|n3"];
    let own = read_at(&place.warehouse, &transaction.snapshot(), "public", "t")
        .await
        .unwrap();
    assert_eq!(own, expected);
    assert_eq!(transaction.snapshot().table("public", "t").unwrap().rows, 6);
    assert_eq!(read(&place.warehouse, "public", "t").await.len(), 4);
    transaction.commit().await.unwrap();
    assert_eq!(read(&place.again(), "public", "t").await, expected);
    check(
        &place,
        r#"{"public.t": [[0,"n0"],[10,"n10"],[12,"newer"],[13,"n13"],[2,"new"],[3,"n3"]]}"#,
    );
    // Row ids are unique, and no file is left that no row of the catalog names.
    let ids = read_with_row_ids(&place.warehouse, "t").await;
    let mut unique = ids
        .iter()
        .map(|line| line.rsplit('|').next().unwrap())
        .collect::<Vec<_>>();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), 6, "{ids:?}");
    let named = catalog(
        &place.sql(),
        "SELECT (SELECT count(*) FROM ducklake_data_file) + (SELECT count(*) FROM ducklake_delete_file)",
    );
    assert_eq!(named, [place.files().len().to_string()]);
}

#[tokio::test]
async fn hidden_columns_say_where_a_row_is() {
    let place = Place::new();
    table(&place.warehouse, "public", "t", &many(0..3)).await;
    insert(&place.warehouse, "public", "t", &many(3..6))
        .await
        .unwrap();
    let snapshot = place.warehouse.snapshot().unwrap();
    let scan = TableScan::new(
        place.warehouse.clone(),
        std::sync::Arc::clone(snapshot.table("public", "t").unwrap()),
    )
    .with_row_identity();
    let frame = session().read_table(std::sync::Arc::new(scan)).unwrap();
    // In any order, with and without the columns of the table, and under a filter that leaves some out.
    let lines = frame
        .clone()
        .select(vec![
            col(ROW_ID_COLUMN),
            col("id"),
            col(POSITION_COLUMN),
            col(FILE_COLUMN),
        ])
        .unwrap();
    assert_eq!(
        text(&lines.collect().await.unwrap()),
        [
            "0|0|0|0", "1|1|1|0", "2|2|2|0", "3|3|0|1", "4|4|1|1", "5|5|2|1"
        ]
    );
    let lines = frame
        .clone()
        .filter(col("name").eq(lit("n4")))
        .unwrap()
        .select(vec![col(FILE_COLUMN), col(POSITION_COLUMN)])
        .unwrap();
    assert_eq!(text(&lines.collect().await.unwrap()), ["1|1"]);
    let lines = frame
        .clone()
        .filter(col(POSITION_COLUMN).eq(lit(2)))
        .unwrap()
        .select(vec![col("id")])
        .unwrap();
    assert_eq!(text(&lines.collect().await.unwrap()), ["2", "5"]);
    assert_eq!(frame.clone().count().await.unwrap(), 6);
    assert_eq!(frame.collect().await.unwrap()[0].num_columns(), 5);
    // A table cannot have columns of these names.
    let transaction = place.warehouse.begin().unwrap();
    let column = crate::ColumnDef::new(FILE_COLUMN, arrow::datatypes::DataType::Int64);
    assert!(matches!(
        transaction.create_table("public", "u", &[column]),
        Err(Error::InvalidName { .. })
    ));
}

#[tokio::test]
async fn row_disjoint_changes_both_commit() {
    let place = Place::new();
    table(&place.warehouse, "public", "t", &many(0..10)).await;
    let other = place.again();
    let (one, two, three) = (
        place.warehouse.begin().unwrap(),
        other.begin().unwrap(),
        place.warehouse.begin().unwrap(),
    );
    update_in(&one, "t", col("id").eq(lit(1)), "one")
        .await
        .unwrap();
    update_in(&two, "t", col("id").eq(lit(2)), "two")
        .await
        .unwrap();
    delete_in(&three, "t", col("id").in_list(vec![lit(2), lit(3)], false))
        .await
        .unwrap();
    one.commit().await.unwrap();
    two.commit().await.unwrap();
    let error = three.commit().await.unwrap_err();
    assert!(
        matches!(&error, Error::Conflict { reason, .. } if reason == "Another transaction has deleted or updated the same row."),
        "{error:?}"
    );
    let lines = read(&place.warehouse, "public", "t").await;
    assert_eq!(lines.len(), 10);
    assert!(
        lines.contains(&"1|one".to_owned())
            && lines.contains(&"2|two".to_owned())
            && lines.contains(&"3|n3".to_owned())
    );
    // What was written for an older head, or by the loser, is gone.
    let named = catalog(
        &place.sql(),
        "SELECT (SELECT count(*) FROM ducklake_data_file) + (SELECT count(*) FROM ducklake_delete_file)",
    );
    assert_eq!(named, [place.files().len().to_string()]);
    check(
        &place,
        r#"{"public.t": [[0,"n0"],[1,"one"],[2,"two"],[3,"n3"],[4,"n4"],[5,"n5"],[6,"n6"],[7,"n7"],[8,"n8"],[9,"n9"]]}"#,
    );
    // The union may be the whole file.
    let (one, two) = (place.warehouse.begin().unwrap(), other.begin().unwrap());
    delete_in(&one, "t", col("id").lt(lit(5))).await.unwrap();
    delete_in(&two, "t", col("id").gt_eq(lit(5))).await.unwrap();
    two.commit().await.unwrap();
    one.commit().await.unwrap();
    assert_eq!(read(&other, "public", "t").await, Vec::<String>::new());
    assert_eq!(
        other
            .snapshot()
            .unwrap()
            .table("public", "t")
            .unwrap()
            .files
            .len(),
        0
    );
    check(&place, r#"{"public.t": []}"#);
}

#[tokio::test]
async fn a_deleted_file_is_a_conflict_for_who_deletes_in_it() {
    let place = Place::new();
    table(&place.warehouse, "public", "t", &many(0..4)).await;
    let (one, two, three) = (
        place.warehouse.begin().unwrap(),
        place.warehouse.begin().unwrap(),
        place.warehouse.begin().unwrap(),
    );
    assert_eq!(one.truncate("public", "t").unwrap(), 4);
    delete_in(&two, "t", col("id").eq(lit(1))).await.unwrap();
    append(
        &three,
        three.snapshot().table("public", "t").unwrap().id,
        &many(7..8),
    )
    .await
    .unwrap();
    one.commit().await.unwrap();
    assert!(matches!(two.commit().await, Err(Error::Conflict { .. })));
    three.commit().await.unwrap();
    assert_eq!(read(&place.warehouse, "public", "t").await, ["7|n7"]);
    // Nor may what others have added be truncated unseen.
    let (one, two) = (
        place.warehouse.begin().unwrap(),
        place.warehouse.begin().unwrap(),
    );
    one.truncate("public", "t").unwrap();
    append(
        &two,
        two.snapshot().table("public", "t").unwrap().id,
        &many(8..9),
    )
    .await
    .unwrap();
    two.commit().await.unwrap();
    assert!(matches!(one.commit().await, Err(Error::Conflict { .. })));
    check(&place, r#"{"public.t": [[7,"n7"],[8,"n8"]]}"#);
}

#[tokio::test]
async fn scattered_deletes_in_large_files_are_exact_under_any_split() {
    let place = Place::new();
    let transaction = place.warehouse.begin().unwrap();
    let id = transaction
        .create_table("public", "t", &id_and_name())
        .unwrap();
    let mut writer = transaction.writer(id).unwrap().with_file_bytes_max(1 << 20);
    for start in 0..40 {
        writer
            .write(&many(start * 10_000..(start + 1) * 10_000))
            .await
            .unwrap();
    }
    writer.finish().await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(
        delete_where(&place.warehouse, "t", (col("id") % lit(7)).eq(lit(0)))
            .await
            .unwrap(),
        57_143
    );
    assert_eq!(
        delete_where(
            &place.warehouse,
            "t",
            col("id").between(lit(50_000), lit(220_000))
        )
        .await
        .unwrap(),
        145_715
    );
    let left = (0..400_000_i64).filter(|id| id % 7 != 0 && !(50_000..=220_000).contains(id));
    let (count, sum) = left.fold((0, 0), |(count, sum), id| (count + 1, sum + id));
    for warehouse in [place.warehouse.clone(), place.again()] {
        let snapshot = warehouse.snapshot().unwrap();
        assert_eq!(snapshot.table("public", "t").unwrap().rows, count);
        let frame = scan(&warehouse, snapshot.table("public", "t").unwrap());
        let summed = frame
            .clone()
            .aggregate(
                vec![],
                vec![datafusion::functions_aggregate::expr_fn::sum(col("id"))],
            )
            .unwrap();
        assert_eq!(
            summed.collect().await.unwrap()[0]
                .column(0)
                .as_primitive::<Int64Type>()
                .value(0),
            sum
        );
        let found = frame
            .filter(col("id").between(lit(220_001), lit(220_010)))
            .unwrap();
        assert_eq!(
            found
                .collect()
                .await
                .unwrap()
                .iter()
                .map(|batch| batch.num_rows())
                .sum::<usize>(),
            8
        );
    }
    if let Some(seen) = duckdb(&place, "SELECT count(*), sum(id) FROM lake.public.t") {
        assert_eq!(seen.trim(), format!("[({count}, {sum})]"));
    }
}

#[tokio::test]
async fn deletes_and_updates_of_duckdb_are_read() {
    let place = Place::new();
    table(&place.warehouse, "public", "t", &many(0..20)).await;
    let Some(_) = duckdb(
        &place,
        "DELETE FROM lake.public.t WHERE id IN (1, 2); UPDATE lake.public.t SET name = 'z' WHERE id = 3; DELETE FROM lake.public.t WHERE id = 4",
    ) else {
        return;
    };
    let versions = place.warehouse.commits().unwrap().len() as i64;
    let lines = read_with_row_ids(&place.warehouse, "t").await;
    assert_eq!(lines.len(), 17);
    assert!(lines.contains(&"3|z|3".to_owned()), "{lines:?}");
    // Their deletes are kept by ours, and the other way round.
    delete_where(&place.warehouse, "t", col("id").eq(lit(5)))
        .await
        .unwrap();
    duckdb(&place, "DELETE FROM lake.public.t WHERE id = 6").unwrap();
    let left = (0..20).filter(|id| ![1, 2, 4, 5, 6].contains(id));
    let json = left
        .clone()
        .map(|id| {
            format!(
                "[{id}, \"{}\"]",
                if id == 3 {
                    "z".into()
                } else {
                    format!("n{id}")
                }
            )
        })
        .collect::<Vec<_>>();
    check(&place, &format!("{{\"public.t\": [{}]}}", json.join(",")));
    assert_eq!(
        read(&place.warehouse, "public", "t").await.len(),
        left.count()
    );
    assert_eq!(
        place.warehouse.commits().unwrap().len() as i64,
        versions + 2
    );
}

#[tokio::test]
async fn rows_that_are_not_there_are_no_rows() {
    let place = Place::new();
    table(&place.warehouse, "public", "t", &many(0..4)).await;
    let transaction = place.warehouse.begin().unwrap();
    let id = transaction.snapshot().table("public", "t").unwrap().id;
    for (file, position) in [(7, 0), (0, 4)] {
        let mut set = RowSet::new();
        set.insert(crate::FileId(file), position);
        assert!(matches!(
            transaction.delete_rows(id, set).await,
            Err(Error::Internal(_))
        ));
    }
    assert!(!transaction.has_changes());
    let mut writer = transaction.writer(id).unwrap();
    assert!(matches!(
        writer
            .write_updated(&many(0..2), &Int64Array::from(vec![1]))
            .await,
        Err(Error::Internal(_))
    ));
}

#[tokio::test]
async fn a_damaged_delete_file_is_found() {
    let place = Place::new();
    table(&place.warehouse, "public", "t", &many(0..4)).await;
    delete_where(&place.warehouse, "t", col("id").eq(lit(1)))
        .await
        .unwrap();
    let file = place
        .files()
        .into_iter()
        .find(|file| file.ends_with("-delete.parquet"))
        .unwrap();
    let path = place.directory().join("data").join(file);
    let whole = std::fs::read(&path).unwrap();
    let mut altered = whole.clone();
    altered[whole.len() / 2] ^= 1;
    std::fs::write(&path, &altered).unwrap();
    let warehouse = place.again();
    let error = read_at(&warehouse, &warehouse.snapshot().unwrap(), "public", "t")
        .await
        .unwrap_err();
    assert!(
        matches!(ours(&error), Some(Error::DataFileDamaged { .. })),
        "{error:?}"
    );
    std::fs::remove_file(&path).unwrap();
    let error = read_at(&warehouse, &warehouse.snapshot().unwrap(), "public", "t")
        .await
        .unwrap_err();
    assert!(
        matches!(ours(&error), Some(Error::DataFileMissing { .. })),
        "{error:?}"
    );
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(read(&warehouse, "public", "t").await.len(), 3);
}

/// What 10 % of scattered deletes cost a scan, against the same rows before; printed with `TRIBUTARY_SOAK=1`.
#[tokio::test]
async fn speed_of_scans_with_deletes() {
    if std::env::var_os("TRIBUTARY_SOAK").is_none() {
        return;
    }
    let place = Place::new();
    let transaction = place.warehouse.begin().unwrap();
    let id = transaction
        .create_table("public", "t", &id_and_name())
        .unwrap();
    let mut writer = transaction.writer(id).unwrap();
    for start in 0..300 {
        let ids = start * 10_000..(start + 1) * 10_000;
        writer.write(&many(ids)).await.unwrap();
    }
    writer.finish().await.unwrap();
    transaction.commit().await.unwrap();
    let whole = place.warehouse.snapshot().unwrap();
    // Scattered as a hash is.
    let scattered =
        ((col("id") * lit(2_654_435_761_i64)) % lit(1_000_003_i64)).lt(lit(100_000_i64));
    let start = std::time::Instant::now();
    let deleted = delete_where(&place.warehouse, "t", scattered)
        .await
        .unwrap();
    println!("deleted {deleted} rows in {:?}", start.elapsed());
    let left = place.warehouse.snapshot().unwrap();
    let sum = async |snapshot: &crate::Snapshot| {
        let start = std::time::Instant::now();
        let frame = scan(&place.warehouse, snapshot.table("public", "t").unwrap())
            .aggregate(
                vec![],
                vec![
                    datafusion::functions_aggregate::expr_fn::sum(col("id")),
                    datafusion::functions_aggregate::expr_fn::max(col("name")),
                ],
            )
            .unwrap();
        frame.collect().await.unwrap();
        start.elapsed()
    };
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for _ in 0..7 {
        before.push(sum(&whole).await);
        after.push(sum(&left).await);
    }
    before.sort();
    after.sort();
    println!("whole {:?}, with deletes {:?}", before[3], after[3]);
}
