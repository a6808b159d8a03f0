//! A child process is stopped at every write, sync and statement; what it has acknowledged is there, and nothing by halves.
//!
//! Everyday a spread of the places; all of them with `TRIBUTARY_SOAK=1`.

use super::outside::check;
use super::support::*;
use crate::{Compaction, Warehouse};
use datafusion::prelude::{col, lit};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Commits of the child, in order. Each leaves the table as the one function says.
const STEPS: usize = 14;

/// Ids and names in the table after so many steps.
fn expected(steps: usize) -> Vec<String> {
    let mut rows: Vec<(i64, &str)> = Vec::new();
    for step in 1..=steps {
        match step {
            1 => {}
            2 => rows.extend((0..50).map(|id| (id, "file"))),
            3 | 4 => rows.push((100 + step as i64, "small")),
            5 => rows.retain(|(id, _)| id % 2 == 0),
            6 => rows
                .iter_mut()
                .filter(|(id, _)| *id < 30)
                .for_each(|row| row.1 = "updated"),
            7 => rows.retain(|(id, _)| *id != 104 && *id != 2),
            8 => rows
                .iter_mut()
                .filter(|(id, _)| *id == 4)
                .for_each(|row| row.1 = "one"),
            9 => rows.push((200, "more")),
            // Flush, compaction, a renamed column, expiry.
            10..=13 => {}
            _ => rows.push((300, "last")),
        }
    }
    let mut lines = rows
        .iter()
        .map(|(id, name)| format!("{id}|{name}"))
        .collect::<Vec<_>>();
    lines.sort();
    lines
}

async fn step(warehouse: &Warehouse, step: usize) {
    let id = || {
        warehouse
            .snapshot()
            .unwrap()
            .table("public", "t")
            .unwrap()
            .id
    };
    match step {
        1 => {
            let transaction = warehouse.begin().unwrap();
            transaction
                .create_table("public", "t", &id_and_name())
                .unwrap();
            transaction.commit().await.unwrap();
        }
        2 => insert(
            warehouse,
            "public",
            "t",
            &rows(&(0..50).map(|id| (id, "file")).collect::<Vec<_>>()),
        )
        .await
        .unwrap(),
        3 | 4 => insert(
            warehouse,
            "public",
            "t",
            &rows(&[(100 + step as i64, "small")]),
        )
        .await
        .unwrap(),
        5 => drop(
            delete_where(warehouse, "t", (col("id") % lit(2)).eq(lit(1)))
                .await
                .unwrap(),
        ),
        6 => drop(
            update_names(warehouse, "t", col("id").lt(lit(30)), "updated")
                .await
                .unwrap(),
        ),
        7 => drop(
            delete_where(
                warehouse,
                "t",
                col("id").in_list(vec![lit(104), lit(2)], false),
            )
            .await
            .unwrap(),
        ),
        8 => drop(
            update_names(warehouse, "t", col("id").eq(lit(4)), "one")
                .await
                .unwrap(),
        ),
        9 => insert(warehouse, "public", "t", &rows(&[(200, "more")]))
            .await
            .unwrap(),
        10 => drop(warehouse.flush(id()).await.unwrap()),
        11 => drop(
            warehouse
                .compact(id(), &Compaction::default())
                .await
                .unwrap(),
        ),
        12 => {
            let transaction = warehouse.begin().unwrap();
            transaction
                .rename_column("public", "t", "name", "label")
                .unwrap();
            transaction.commit().await.unwrap();
        }
        13 => {
            warehouse
                .expire_snapshots(warehouse.snapshot().unwrap().committed_at)
                .unwrap();
            warehouse.delete_expired_files(Duration::ZERO).unwrap();
        }
        _ => insert(warehouse, "public", "t", &rows(&[(300, "last")]))
            .await
            .unwrap(),
    }
}

/// The child: does the steps on the warehouse it is told, and says after each that it is done.
#[tokio::test]
async fn child() {
    let Some(directory) = std::env::var_os("TRIBUTARY_CRASH_DIRECTORY") else {
        return;
    };
    let warehouse = Warehouse::open(Path::new(&directory)).unwrap();
    warehouse.set_inline_rows_max(3);
    let mut said = std::fs::File::options()
        .append(true)
        .create(true)
        .open(Path::new(&directory).with_extension("said"))
        .unwrap();
    for number in 1..=STEPS {
        step(&warehouse, number).await;
        writeln!(said, "{number}").unwrap();
    }
}

/// Starts the child, to stop at a place if one is given.
fn start(place: &Place, fail_at: Option<u64>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "tests::crash::child", "--test-threads=1"])
        .env("TRIBUTARY_CRASH_DIRECTORY", place.directory())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some(fail_at) = fail_at {
        command.env("TRIBUTARY_FAIL_AT", fail_at.to_string());
    }
    command.spawn().unwrap()
}

/// Waits for the child; returns how many steps it said were done, or none if it got to the end.
fn ended(place: &Place, mut child: Child) -> Option<usize> {
    let status = child.wait().unwrap();
    let said = std::fs::read_to_string(place.directory().with_extension("said"));
    (!status.success()).then(|| said.unwrap_or_default().lines().count())
}

/// Opens what a child has left that said `done` steps were done, and goes on with it.
async fn check_whole(place: &Place, done: usize, ask_duckdb: bool) {
    let start = std::time::Instant::now();
    let warehouse = place.again();
    assert!(start.elapsed() < Duration::from_secs(2));
    if warehouse.snapshot().unwrap().table("public", "t").is_none() {
        assert_eq!(done, 0);
        return;
    }
    // The step that was under way has happened or has not.
    let found = read(&warehouse, "public", "t").await;
    assert!(
        found == expected(done) || found == expected(done + 1),
        "after {done} steps: {found:?}"
    );
    let report = warehouse.check(true, Duration::ZERO).unwrap();
    assert!(report.findings.is_empty(), "{report:?}");
    let again = warehouse.check(true, Duration::ZERO).unwrap();
    assert!(again.orphans.is_empty());
    assert_eq!(read(&warehouse, "public", "t").await, found);
    // Work goes on, and the other program reads the same.
    insert(&warehouse, "public", "t", &rows(&[(999, "after")]))
        .await
        .unwrap();
    let after = read(&place.again(), "public", "t").await;
    assert_eq!(after.len(), found.len() + 1);
    if ask_duckdb {
        let json = after.iter().map(|line| {
            let (id, name) = line.split_once('|').unwrap();
            format!("[{id},\"{name}\"]")
        });
        let json = json.collect::<Vec<_>>().join(",");
        check(place, &format!("{{\"public.t\": [{json}]}}"));
    }
}

#[tokio::test]
async fn a_crash_anywhere_loses_nothing_and_leaves_nothing_by_halves() {
    let soak = std::env::var_os("TRIBUTARY_SOAK").is_some();
    let (stride, mut stops) = (if soak { 1 } else { 7 }, 0);
    for round in 0.. {
        let place = Place::new();
        let child = start(&place, Some(round * stride));
        let Some(done) = ended(&place, child) else {
            break;
        };
        stops += 1;
        check_whole(&place, done, stops % 8 == 0).await;
    }
    println!("stopped {stops} times");
    assert!(stops > 15, "{stops}");
}

/// Killed at any time instead of at a place: a few times everyday, 2,000 times with `TRIBUTARY_SOAK=1`.
#[tokio::test]
async fn a_kill_at_any_time_loses_nothing() {
    let rounds: u64 = if std::env::var_os("TRIBUTARY_SOAK").is_some() {
        2_000
    } else {
        6
    };
    let (mut state, mut killed) = (42_u64, 0);
    for _ in 0..rounds {
        let place = Place::new();
        let mut child = start(&place, None);
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_micros((state >> 33) % 150_000));
        // It may have ended by itself.
        let _ = child.kill();
        let done = match ended(&place, child) {
            Some(done) => done,
            None => continue,
        };
        killed += 1;
        check_whole(&place, done, killed % 50 == 0).await;
    }
    println!("killed {killed} times");
}
