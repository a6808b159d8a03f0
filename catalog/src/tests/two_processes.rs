use super::support::*;
use crate::Warehouse;
use std::sync::Arc;

#[tokio::test]
async fn commits_of_one_are_seen_by_the_other() {
    let place = Place::new();
    let (one, two) = (place.warehouse.clone(), place.again());
    table(&one, "public", "t", &rows(&[(1, "a")])).await;
    assert_eq!(read(&two, "public", "t").await, ["1|a"]);
    insert(&two, "public", "t", &rows(&[(2, "b")]))
        .await
        .unwrap();
    assert_eq!(read(&one, "public", "t").await, ["1|a", "2|b"]);
    // A transaction keeps its base whatever the other does, and its append is put on top.
    let transaction = one.begin().unwrap();
    insert(&two, "public", "t", &rows(&[(3, "c")]))
        .await
        .unwrap();
    assert_eq!(
        read_at(&one, &transaction.snapshot(), "public", "t")
            .await
            .unwrap(),
        ["1|a", "2|b"]
    );
    let id = transaction.snapshot().table("public", "t").unwrap().id;
    append(&transaction, id, &rows(&[(4, "d")])).await.unwrap();
    transaction.commit().await.unwrap();
    for warehouse in [&one, &two] {
        assert_eq!(
            read(warehouse, "public", "t").await,
            ["1|a", "2|b", "3|c", "4|d"]
        );
        assert_eq!(warehouse.snapshot().unwrap().id.0, 4);
    }
    // Without news the same snapshot is handed out.
    assert!(Arc::ptr_eq(
        &two.snapshot().unwrap(),
        &two.snapshot().unwrap()
    ));
}

#[tokio::test]
async fn conflicts_are_found_across_processes() {
    let place = Place::new();
    table(&place.warehouse, "public", "t", &rows(&[(1, "a")])).await;
    let other = place.again();
    let (one, two) = (place.warehouse.begin().unwrap(), other.begin().unwrap());
    one.drop_table("public", "t").unwrap();
    let id = two.snapshot().table("public", "t").unwrap().id;
    append(&two, id, &rows(&[(2, "b")])).await.unwrap();
    one.commit().await.unwrap();
    let error = two.commit().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "could not serialize access to table \"public.t\" due to a concurrent change"
    );
    assert_eq!(
        error.detail().unwrap(),
        "Another transaction has dropped it."
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_writers_lose_nothing() {
    const WRITERS: i64 = 6;
    const COMMITS: i64 = 15;
    let place = Place::new();
    table(&place.warehouse, "public", "t", &rows(&[])).await;
    let tasks = (0..WRITERS).map(|writer| {
        // Two share a handle, the others have one of their own, as processes do.
        let warehouse: Warehouse = if writer < 2 {
            place.warehouse.clone()
        } else {
            place.again()
        };
        tokio::spawn(async move {
            for commit in 0..COMMITS {
                insert(
                    &warehouse,
                    "public",
                    "t",
                    &rows(&[(writer * COMMITS + commit, "x")]),
                )
                .await
                .unwrap();
                let seen = warehouse
                    .snapshot()
                    .unwrap()
                    .table("public", "t")
                    .unwrap()
                    .rows;
                assert!(seen > u64::try_from(commit).unwrap());
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let mut expected = (0..WRITERS * COMMITS)
        .map(|id| format!("{id}|x"))
        .collect::<Vec<_>>();
    expected.sort();
    for warehouse in [place.warehouse.clone(), place.again()] {
        assert_eq!(read(&warehouse, "public", "t").await, expected);
        assert_eq!(
            warehouse.commits().unwrap().len() as i64,
            WRITERS * COMMITS + 2
        );
    }
    // Row ids are dense, times go up.
    assert_eq!(
        catalog(
            &place.sql(),
            "SELECT count(DISTINCT row_id_start), max(row_id_start) FROM ducklake_data_file"
        ),
        [format!("{}|{}", WRITERS * COMMITS, WRITERS * COMMITS - 1)]
    );
    let times = place
        .warehouse
        .commits()
        .unwrap()
        .into_iter()
        .map(|commit| commit.committed_at)
        .collect::<Vec<_>>();
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
}

#[tokio::test]
async fn a_commit_waits_for_another_program_that_holds_the_catalog() {
    let place = Place::new();
    let transaction = place.warehouse.begin().unwrap();
    transaction.create_schema("s").unwrap();
    let holder = place.sql();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    // Readers go on meanwhile.
    assert_eq!(place.warehouse.snapshot().unwrap().id.0, 0);
    let commit = tokio::spawn(async move { transaction.commit().await });
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert!(!commit.is_finished());
    holder.execute_batch("COMMIT").unwrap();
    assert_eq!(commit.await.unwrap().unwrap().0, 1);
}
