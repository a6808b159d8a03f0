//! Upkeep: compaction, expiry, checks, time travel and the change feed.

use super::outside::{check, duckdb};
use super::support::*;
use crate::{Compaction, Error, Finding, SnapshotId, TableId, Warehouse};
use datafusion::prelude::{col, lit};
use std::time::Duration;

fn id_of(warehouse: &Warehouse) -> TableId {
    warehouse
        .snapshot()
        .unwrap()
        .table("public", "t")
        .unwrap()
        .id
}

fn numbered(ids: std::ops::Range<i64>) -> arrow::array::RecordBatch {
    rows(&ids.map(|id| (id, "x")).collect::<Vec<_>>())
}

#[tokio::test]
async fn compaction_joins_files_and_drops_deleted_rows() {
    let place = Place::new();
    table(&place.warehouse, "public", "t", &numbered(0..10)).await;
    for start in [10, 20, 30] {
        insert(
            &place.warehouse,
            "public",
            "t",
            &numbered(start..start + 10),
        )
        .await
        .unwrap();
    }
    update_names(&place.warehouse, "t", col("id").eq(lit(12)), "new")
        .await
        .unwrap();
    delete_where(&place.warehouse, "t", (col("id") % lit(3)).eq(lit(1)))
        .await
        .unwrap();
    let lines = read_with_row_ids(&place.warehouse, "t").await;
    let before = place.warehouse.snapshot().unwrap();
    let id = id_of(&place.warehouse);
    // An insert in between does not matter, a delete in the same files makes it try again.
    let (writer, deleter) = (
        place.warehouse.begin().unwrap(),
        place.warehouse.begin().unwrap(),
    );
    append(&writer, id, &numbered(100..101)).await.unwrap();
    delete_in(&deleter, "t", col("id").eq(lit(0)))
        .await
        .unwrap();
    assert_eq!(
        place
            .warehouse
            .compact(id, &Compaction::default())
            .await
            .unwrap(),
        5
    );
    writer.commit().await.unwrap();
    assert!(matches!(
        deleter.commit().await,
        Err(Error::Conflict { .. })
    ));
    for warehouse in [place.warehouse.clone(), place.again()] {
        let mut expected = lines.clone();
        expected.push("100|x|41".to_owned());
        let found = read_with_row_ids(&warehouse, "t").await;
        assert_eq!(found.len(), expected.len());
        assert!(lines.iter().all(|line| found.contains(line)), "{found:?}");
        let snapshot = warehouse.snapshot().unwrap();
        assert_eq!(snapshot.table("public", "t").unwrap().files.len(), 2);
        let older = warehouse.snapshot_at(before.id).unwrap();
        assert_eq!(
            read_at(&warehouse, &older, "public", "t")
                .await
                .unwrap()
                .len(),
            lines.len()
        );
    }
    assert_eq!(
        catalog(
            &place.sql(),
            "SELECT changes_made FROM ducklake_snapshot_changes ORDER BY snapshot_id DESC LIMIT 2"
        ),
        ["inserted_into_table:2", "rewrite_delete:2"]
    );
    if let Some(seen) = duckdb(
        &place,
        "SELECT count(*), sum(id) FROM lake.public.t; SELECT rowid FROM lake.public.t WHERE name = 'new'",
    ) {
        let sum = (0..40).filter(|id| id % 3 != 1).sum::<i64>() + 100;
        assert_eq!(seen.trim(), format!("[(28, {sum})]\n[(12,)]"));
    }
    // Joined with the next small file; then there is nothing left to do.
    assert_eq!(
        place
            .warehouse
            .compact(id, &Compaction::default())
            .await
            .unwrap(),
        2
    );
    assert_eq!(
        place
            .warehouse
            .compact(id, &Compaction::default())
            .await
            .unwrap(),
        0
    );
    assert_eq!(read(&place.again(), "public", "t").await.len(), 28);
    assert_eq!(
        place
            .warehouse
            .compact(TableId(99), &Compaction::default())
            .await
            .unwrap(),
        0
    );
}

#[tokio::test]
async fn expired_snapshots_take_their_files_with_them() {
    let place = Place::new();
    place.warehouse.set_inline_rows_max(2);
    table(&place.warehouse, "public", "t", &numbered(0..10)).await;
    insert(&place.warehouse, "public", "t", &numbered(10..12))
        .await
        .unwrap();
    delete_where(&place.warehouse, "t", col("id").lt(lit(4)))
        .await
        .unwrap();
    delete_where(&place.warehouse, "t", col("id").eq(lit(11)))
        .await
        .unwrap();
    table(&place.warehouse, "public", "gone", &numbered(0..5)).await;
    let transaction = place.warehouse.begin().unwrap();
    transaction.drop_table("public", "gone").unwrap();
    transaction.rename_relation("public", "t", "old").unwrap();
    transaction.rename_relation("public", "old", "t").unwrap();
    transaction.commit().await.unwrap();
    place
        .warehouse
        .compact(id_of(&place.warehouse), &Compaction::default())
        .await
        .unwrap();
    let lines = read_with_row_ids(&place.warehouse, "t").await;
    let old = place.warehouse.snapshot_at(SnapshotId(1)).unwrap();
    let newest = place.warehouse.snapshot().unwrap();
    assert_eq!(place.warehouse.oldest_snapshot().unwrap().0, 0);
    let nothing = place
        .warehouse
        .expire_snapshots(chrono::DateTime::UNIX_EPOCH)
        .unwrap();
    assert_eq!((nothing.snapshots, nothing.files), (0, 0));
    let expired = place
        .warehouse
        .expire_snapshots(newest.committed_at)
        .unwrap();
    // The first file of t, its deletes, and the file of the dropped table.
    assert_eq!((expired.snapshots, expired.files), (newest.id.0 as u64, 3));
    assert_eq!(place.warehouse.oldest_snapshot().unwrap(), newest.id);
    let files = place.files().len();
    assert_eq!(
        place
            .warehouse
            .delete_expired_files(Duration::from_secs(3600))
            .unwrap(),
        0
    );
    assert_eq!(
        read_at(&place.warehouse, &old, "public", "t")
            .await
            .unwrap()
            .len(),
        10
    );
    assert_eq!(
        place
            .warehouse
            .delete_expired_files(Duration::ZERO)
            .unwrap(),
        3
    );
    assert_eq!(place.files().len(), files - 3);
    for warehouse in [place.warehouse.clone(), place.again()] {
        assert_eq!(read_with_row_ids(&warehouse, "t").await, lines);
        let error = warehouse.snapshot_at(SnapshotId(1)).unwrap_err();
        assert_eq!(error.to_string(), "snapshot 1 does not exist");
        assert!(
            error
                .detail()
                .unwrap()
                .starts_with(&format!("The oldest snapshot is {}", newest.id))
        );
        let report = warehouse.check(false, Duration::ZERO).unwrap();
        assert!(
            report.findings.is_empty() && report.orphans.is_empty(),
            "{report:?}"
        );
    }
    // Nothing of the past is left in the catalog.
    for table in [
        "ducklake_data_file",
        "ducklake_delete_file",
        "ducklake_table",
        "ducklake_column",
    ] {
        assert_eq!(
            catalog(
                &place.sql(),
                &format!("SELECT count(*) FROM {table} WHERE end_snapshot IS NOT NULL")
            ),
            ["0"],
            "{table}"
        );
    }
    assert_eq!(
        catalog(
            &place.sql(),
            "SELECT count(*) FROM ducklake_inlined_data_2_1 WHERE end_snapshot IS NOT NULL"
        ),
        ["0"]
    );
    if let Some(seen) = duckdb(&place, "SELECT count(*) FROM lake.public.t") {
        assert_eq!(seen.trim(), "[(7,)]");
    }
    insert(&place.warehouse, "public", "t", &numbered(50..52))
        .await
        .unwrap();
    assert_eq!(read(&place.again(), "public", "t").await.len(), 9);
}

#[tokio::test]
async fn a_check_finds_what_is_wrong_and_what_is_left_over() {
    let place = Place::new();
    table(&place.warehouse, "public", "t", &numbered(0..10)).await;
    delete_where(&place.warehouse, "t", col("id").lt(lit(4)))
        .await
        .unwrap();
    let report = place.warehouse.check(false, Duration::ZERO).unwrap();
    assert_eq!(
        (report.files, report.findings.len(), report.orphans.len()),
        (2, 0, 0)
    );
    let data = place.directory().join("data/public/t");
    std::fs::write(data.join("ducklake-left.parquet"), "over").unwrap();
    std::fs::write(data.join("README.txt"), "not ours").unwrap();
    let files = place.files();
    let file = place.directory().join("data").join(
        files
            .iter()
            .find(|file| !file.contains("delete") && file.contains("ducklake-0"))
            .unwrap(),
    );
    let whole = std::fs::read(&file).unwrap();
    let mut altered = whole.clone();
    altered[20] ^= 1;
    std::fs::write(&file, &altered).unwrap();
    place.sql().execute_batch("INSERT INTO ducklake_delete_file (delete_file_id, table_id, begin_snapshot, data_file_id, path, path_is_relative, format, delete_count, file_size_bytes) VALUES (90, 99, 2, 98, 'f', 1, 'parquet', 1, 1)").unwrap();
    let report = place
        .warehouse
        .check(true, Duration::from_secs(3600))
        .unwrap();
    assert!(report.orphans.is_empty());
    let report = place.warehouse.check(true, Duration::ZERO).unwrap();
    assert!(
        matches!(&report.findings[..], [Finding::File(Error::DataFileDamaged { .. }), Finding::Catalog(text)] if text == "1 delete files belong to no data file."),
        "{report:?}"
    );
    assert_eq!(report.orphans, [data.join("ducklake-left.parquet")]);
    assert!(!data.join("ducklake-left.parquet").exists() && data.join("README.txt").exists());
    std::fs::remove_file(&file).unwrap();
    let report = place.warehouse.check(false, Duration::ZERO).unwrap();
    assert!(
        matches!(
            &report.findings[0],
            Finding::File(Error::DataFileMissing { .. })
        ),
        "{report:?}"
    );
}

#[tokio::test]
async fn snapshots_are_found_by_number_and_time() {
    let place = Place::new();
    table(&place.warehouse, "public", "t", &numbered(0..2)).await;
    let transaction = place.warehouse.begin().unwrap();
    transaction
        .rename_column("public", "t", "name", "label")
        .unwrap();
    transaction.rename_relation("public", "t", "u").unwrap();
    transaction.commit().await.unwrap();
    let commits = place.warehouse.commits().unwrap();
    let first = place
        .again()
        .snapshot_as_of(commits[1].committed_at)
        .unwrap();
    assert_eq!(first.id, SnapshotId(1));
    assert!(
        first.table("public", "t").unwrap().column("name").is_some()
            && first.table("public", "u").is_none()
    );
    assert_eq!(
        read_at(&place.warehouse, &first, "public", "t")
            .await
            .unwrap(),
        ["0|x", "1|x"]
    );
    let between = commits[2].committed_at - chrono::TimeDelta::microseconds(1);
    assert_eq!(
        place.warehouse.snapshot_as_of(between).unwrap().id,
        SnapshotId(1)
    );
    assert_eq!(
        place
            .warehouse
            .snapshot_as_of(
                chrono::DateTime::<chrono::Utc>::MAX_UTC - chrono::TimeDelta::days(100_000)
            )
            .unwrap()
            .id,
        SnapshotId(2)
    );
    assert!(matches!(
        place.warehouse.snapshot_as_of(chrono::DateTime::UNIX_EPOCH),
        Err(Error::UndefinedSnapshot { .. })
    ));
    assert!(matches!(
        place.warehouse.snapshot_at(SnapshotId(3)),
        Err(Error::UndefinedSnapshot { .. })
    ));
    assert!(matches!(
        place.warehouse.snapshot_at(SnapshotId(-1)),
        Err(Error::UndefinedSnapshot { .. })
    ));
}

async fn changed(warehouse: &Warehouse, from: i64, to: i64) -> (Vec<String>, Vec<String>) {
    let changes = warehouse
        .changes(id_of(warehouse), SnapshotId(from), SnapshotId(to))
        .await
        .unwrap();
    let lines = async |scan: crate::TableScan| {
        let columns = [col("id"), col("name"), col(crate::ROW_ID_COLUMN)];
        let frame = session()
            .read_table(std::sync::Arc::new(scan))
            .unwrap()
            .select(columns)
            .unwrap();
        text(&frame.collect().await.unwrap())
    };
    (lines(changes.deleted).await, lines(changes.inserted).await)
}

#[tokio::test]
async fn the_change_feed_says_what_came_and_went() {
    for inline in [0, 100] {
        let place = Place::new();
        place.warehouse.set_inline_rows_max(inline);
        table(
            &place.warehouse,
            "public",
            "t",
            &rows(&[(1, "a"), (2, "b"), (3, "c")]),
        )
        .await;
        insert(&place.warehouse, "public", "t", &rows(&[(4, "d")]))
            .await
            .unwrap();
        update_names(&place.warehouse, "t", col("id").eq(lit(2)), "B")
            .await
            .unwrap();
        delete_where(&place.warehouse, "t", col("id").gt_eq(lit(3)))
            .await
            .unwrap();
        let warehouse = place.again();
        let of = |lines: &[&str]| {
            lines
                .iter()
                .map(|line| (*line).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            changed(&warehouse, 0, 1).await,
            (of(&[]), of(&["1|a|0", "2|b|1", "3|c|2"]))
        );
        assert_eq!(changed(&warehouse, 1, 2).await, (of(&[]), of(&["4|d|3"])));
        assert_eq!(
            changed(&warehouse, 2, 3).await,
            (of(&["2|b|1"]), of(&["2|B|1"]))
        );
        assert_eq!(
            changed(&warehouse, 3, 4).await,
            (of(&["3|c|2", "4|d|3"]), of(&[]))
        );
        assert_eq!(
            changed(&warehouse, 1, 4).await,
            (of(&["2|b|1", "3|c|2"]), of(&["2|B|1"]))
        );
        assert_eq!(changed(&warehouse, 4, 4).await, (of(&[]), of(&[])));
        // Backwards it undoes.
        assert_eq!(
            changed(&warehouse, 3, 2).await,
            (of(&["2|B|1"]), of(&["2|b|1"]))
        );
        check(&place, r#"{"public.t": [[1,"a"],[2,"B"]]}"#);
        let error = warehouse
            .changes(TableId(99), SnapshotId(0), SnapshotId(1))
            .await
            .unwrap_err();
        assert!(matches!(error, Error::UndefinedRelation { .. }));
    }
}
