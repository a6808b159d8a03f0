//! Histories: every version as another program reads it, and money that is never made or lost while many sessions move it.

use super::outside::{duckdb, duckdb_with};
use super::support::*;
use crate::{Compaction, Error, Warehouse};
use datafusion::prelude::{col, lit};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Compares `public.t` at each version with what DuckDB reads of it then.
async fn check_history(place: &Place) {
    let warehouse = place.again();
    let mut ours = Vec::new();
    let mut queries = Vec::new();
    for commit in warehouse.commits().unwrap() {
        let snapshot = warehouse.snapshot_at(commit.id).unwrap();
        if snapshot.table("public", "t").is_none() {
            continue;
        }
        let lines = read_at(&warehouse, &snapshot, "public", "t").await.unwrap();
        ours.push(format!("[('{}',)]", lines.join("~")));
        queries.push(format!(
            "SELECT coalesce(string_agg(line, '~' ORDER BY line), '') FROM (SELECT id || '|' || name AS line FROM lake.public.t AT (VERSION => {}))",
            commit.id
        ));
    }
    if let Some(theirs) = duckdb(place, &queries.join(";")) {
        assert_eq!(ours, theirs.lines().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn every_version_reads_alike_whoever_wrote_it() {
    let place = Place::new();
    place.warehouse.set_inline_rows_max(2);
    table(
        &place.warehouse,
        "public",
        "t",
        &rows(&(0..12).map(|id| (id, "x")).collect::<Vec<_>>()),
    )
    .await;
    delete_where(&place.warehouse, "t", col("id").lt(lit(2)))
        .await
        .unwrap();
    insert(
        &place.warehouse,
        "public",
        "t",
        &rows(&[(20, "in"), (21, "in")]),
    )
    .await
    .unwrap();
    // What DuckDB 1.5.5 cannot do is left out: its flush of deletes in a file that has a delete file in the past doubles rows there.
    // Deletes of theirs share one file, each with its version; so do the rows they flush.
    let theirs = duckdb(
        &place,
        "DELETE FROM lake.public.t WHERE id = 3; DELETE FROM lake.public.t WHERE id = 4; UPDATE lake.public.t SET name = 'u' WHERE id IN (5, 20)",
    );
    if theirs.is_none() {
        return;
    }
    duckdb_with(&place, "DATA_INLINING_ROW_LIMIT 10", "INSERT INTO lake.public.t VALUES (30, 'd'); INSERT INTO lake.public.t VALUES (31, 'e'); DELETE FROM lake.public.t WHERE id IN (30, 6); UPDATE lake.public.t SET name = 'w' WHERE id = 31").unwrap();
    check_history(&place).await;
    update_names(
        &place.warehouse,
        "t",
        col("id").in_list(vec![lit(7), lit(31)], false),
        "ours",
    )
    .await
    .unwrap();
    delete_where(
        &place.warehouse,
        "t",
        col("id").gt_eq(lit(8)).and(col("id").lt(lit(11))),
    )
    .await
    .unwrap();
    check_history(&place).await;
    let id = place
        .warehouse
        .snapshot()
        .unwrap()
        .table("public", "t")
        .unwrap()
        .id;
    place.warehouse.flush(id).await.unwrap();
    place
        .warehouse
        .compact(id, &Compaction::default())
        .await
        .unwrap();
    check_history(&place).await;
    insert(&place.warehouse, "public", "t", &rows(&[(40, "f")]))
        .await
        .unwrap();
    duckdb_with(&place, "DATA_INLINING_ROW_LIMIT 10", "INSERT INTO lake.public.t VALUES (41, 'g'); INSERT INTO lake.public.t SELECT range, 'h' FROM range(50, 70); CALL ducklake_merge_adjacent_files('lake')").unwrap();
    check_history(&place).await;
}

/// Moves one from an account to another; tells whether it was done.
async fn transfer(warehouse: &Warehouse, from: i64, to: i64) -> crate::Result<bool> {
    let transaction = warehouse.begin()?;
    let snapshot = transaction.snapshot();
    let mut balance = [0, 0];
    for line in read_at(warehouse, &snapshot, "public", "t").await.unwrap() {
        let (id, value) = line.split_once('|').unwrap();
        for (account, balance) in [from, to].into_iter().zip(&mut balance) {
            if id.parse::<i64>().unwrap() == account {
                *balance = value.parse::<i64>().unwrap();
            }
        }
    }
    if balance[0] == 0 {
        return Ok(false);
    }
    let (less, more) = ((balance[0] - 1).to_string(), (balance[1] + 1).to_string());
    update_in(&transaction, "t", col("id").eq(lit(from)), &less).await?;
    update_in(&transaction, "t", col("id").eq(lit(to)), &more).await?;
    transaction.commit().await?;
    Ok(true)
}

async fn total(warehouse: &Warehouse) -> (usize, i64) {
    let lines = read(warehouse, "public", "t").await;
    let balances = lines
        .iter()
        .map(|line| line.split_once('|').unwrap().1.parse::<i64>().unwrap());
    (lines.len(), balances.sum())
}

#[test]
fn money_is_neither_made_nor_lost() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let place = Place::new();
        // Some accounts in a file, some in the database; what is updated moves to the database.
        table(
            &place.warehouse,
            "public",
            "t",
            &rows(&(0..6).map(|id| (id, "10")).collect::<Vec<_>>()),
        )
        .await;
        place.warehouse.set_inline_rows_max(100);
        insert(
            &place.warehouse,
            "public",
            "t",
            &rows(&[(6, "10"), (7, "10")]),
        )
        .await
        .unwrap();
        let done = Arc::new(AtomicBool::new(false));
        let sessions = (0..6_u64).map(|session| {
            // Two handles are two processes to each other.
            let warehouse = if session % 2 == 0 {
                place.warehouse.clone()
            } else {
                place.again()
            };
            tokio::spawn(async move {
                let (mut state, mut moved, mut conflicts) = (session + 1, 0, 0);
                while moved < 8 {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    let (from, to) = ((state >> 33) % 8, (state >> 40) % 8);
                    if from == to {
                        continue;
                    }
                    match transfer(&warehouse, from.cast_signed(), to.cast_signed()).await {
                        Ok(done) => moved += usize::from(done),
                        Err(Error::Conflict { .. }) => conflicts += 1,
                        Err(error) => panic!("{error:?}"),
                    }
                }
                conflicts
            })
        });
        let sessions = sessions.collect::<Vec<_>>();
        let upkeep = {
            let (warehouse, done) = (place.again(), Arc::clone(&done));
            tokio::spawn(async move {
                let id = warehouse
                    .snapshot()
                    .unwrap()
                    .table("public", "t")
                    .unwrap()
                    .id;
                let all = Compaction {
                    small_bytes: u64::MAX,
                    deleted_part: 0.1,
                };
                while !done.load(Ordering::Relaxed) {
                    for outcome in [
                        warehouse.flush(id).await.map(drop),
                        warehouse.compact(id, &all).await.map(drop),
                    ] {
                        assert!(
                            matches!(outcome, Ok(()) | Err(Error::Conflict { .. })),
                            "{outcome:?}"
                        );
                    }
                    // Whenever one looks, all the money is there.
                    assert_eq!(total(&warehouse).await, (8, 80));
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                }
            })
        };
        let mut conflicts = 0;
        for session in sessions {
            conflicts += session.await.unwrap();
        }
        done.store(true, Ordering::Relaxed);
        upkeep.await.unwrap();
        println!("{conflicts} conflicts");
        for warehouse in [place.warehouse.clone(), place.again()] {
            assert_eq!(total(&warehouse).await, (8, 80));
        }
        // Each version had it too.
        let warehouse = place.again();
        for commit in warehouse.commits().unwrap().into_iter().skip(3).step_by(5) {
            let snapshot = warehouse.snapshot_at(commit.id).unwrap();
            let lines = read_at(&warehouse, &snapshot, "public", "t").await.unwrap();
            let sum = lines
                .iter()
                .map(|line| line.split_once('|').unwrap().1.parse::<i64>().unwrap())
                .sum::<i64>();
            assert_eq!((lines.len(), sum), (8, 80), "version {}", commit.id);
        }
        if let Some(seen) = duckdb(&place, "SELECT count(*), sum(name::int) FROM lake.public.t") {
            assert_eq!(seen.trim(), "[(8, 80)]");
        }
    });
}
