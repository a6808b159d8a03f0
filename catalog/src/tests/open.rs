use super::support::*;
use crate::{Error, NewRole, Warehouse};
use rusqlite::Connection;

#[test]
fn create_makes_main_and_public() {
    let place = Place::new();
    let snapshot = place.warehouse.snapshot().unwrap();
    assert_eq!(snapshot.id.0, 0);
    let listed = snapshot
        .schemas()
        .map(|schema| (schema.name.as_str(), schema.is_hidden()))
        .collect::<Vec<_>>();
    assert_eq!(listed, [("main", true), ("public", false)]);
    assert_eq!(
        catalog(
            &place.sql(),
            "SELECT \"key\", \"value\" FROM ducklake_metadata WHERE \"key\" <> 'created_by'"
        ),
        [
            "version|1.0".to_owned(),
            format!("data_path|{}/data/", place.directory().display()),
            "encrypted|false".to_owned()
        ]
    );
}

#[tokio::test]
async fn main_is_listed_once_something_is_in_it() {
    let place = Place::new();
    table(&place.warehouse, "main", "t", &rows(&[(1, "a")])).await;
    assert!(
        !place
            .warehouse
            .snapshot()
            .unwrap()
            .schema("main")
            .unwrap()
            .is_hidden()
    );
}

#[test]
fn create_refuses_what_is_taken() {
    let place = Place::new();
    let error = Warehouse::create(&place.directory()).unwrap_err();
    assert!(matches!(error, Error::WarehouseExists { .. }));
    assert_eq!(error.detail().unwrap(), "It is a warehouse already.");
    let other = place.root().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("notes.txt"), "mine").unwrap();
    let error = Warehouse::create(&other).unwrap_err();
    assert_eq!(
        error.detail().unwrap(),
        "It is not empty: it holds \"notes.txt\"."
    );
    assert_eq!(std::fs::read_dir(&other).unwrap().count(), 1);
    let error = Warehouse::create(&other.join("notes.txt")).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
}

#[test]
fn create_goes_on_after_one_that_was_cut_off() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("data")).unwrap();
    std::fs::write(root.path().join("catalog.sqlite.new"), "half").unwrap();
    std::fs::write(root.path().join("catalog.sqlite.new-journal"), "half").unwrap();
    Warehouse::create(root.path()).unwrap();
    let mut left = std::fs::read_dir(root.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm"))
        .collect::<Vec<_>>();
    left.sort();
    assert_eq!(left, ["catalog.sqlite", "data"]);
}

#[test]
fn what_is_no_warehouse_is_refused_and_not_changed() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("d");
    let reason = || Warehouse::open(&directory).unwrap_err().detail().unwrap();
    assert_eq!(reason(), "There is no such directory.");
    std::fs::create_dir(&directory).unwrap();
    assert_eq!(reason(), "There is no catalog.sqlite in it.");
    let file = directory.join("catalog.sqlite");
    std::fs::write(&file, "x".repeat(5000)).unwrap();
    assert_eq!(reason(), "Its catalog.sqlite is not a SQLite database.");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "x".repeat(5000));
    std::fs::write(&file, "").unwrap();
    assert_eq!(
        reason(),
        "Its catalog.sqlite is a database of another program."
    );
    std::fs::remove_file(&file).unwrap();
    let sql = Connection::open(&file).unwrap();
    sql.execute_batch("CREATE TABLE t(x)").unwrap();
    drop(sql);
    let before = std::fs::read(&file).unwrap();
    assert_eq!(
        reason(),
        "Its catalog.sqlite is a database of another program."
    );
    assert_eq!(std::fs::read(&file).unwrap(), before);
    let sql = Connection::open(&file).unwrap();
    sql.execute_batch(crate::spec::ddl::DUCKLAKE).unwrap();
    sql.execute_batch("INSERT INTO ducklake_metadata VALUES ('version', '1.0', NULL, NULL), ('created_by', 'DuckDB abc', NULL, NULL)").unwrap();
    assert_eq!(
        reason(),
        "Its catalog.sqlite is a DuckLake catalog made by DuckDB abc."
    );
    sql.execute_batch("UPDATE ducklake_metadata SET value = '0.3' WHERE \"key\" = 'version'")
        .unwrap();
    let error = Warehouse::open(&directory).unwrap_err();
    assert!(
        matches!(&error, Error::UnsupportedVersion { found, .. } if found == "0.3"),
        "{error:?}"
    );
}

#[test]
fn a_catalog_of_a_later_format_is_refused() {
    let place = Place::new();
    place
        .sql()
        .execute_batch("UPDATE tributary_metadata SET \"value\" = '2'")
        .unwrap();
    let error = Warehouse::open(&place.directory()).unwrap_err();
    assert!(
        matches!(&error, Error::UnsupportedVersion { found, .. } if found == "1.0/2"),
        "{error:?}"
    );
    place.sql().execute_batch("UPDATE tributary_metadata SET \"value\" = '1'; UPDATE ducklake_metadata SET \"value\" = 'true' WHERE \"key\" = 'encrypted'").unwrap();
    assert!(matches!(
        Warehouse::open(&place.directory()).unwrap_err(),
        Error::UnsupportedFeature { .. }
    ));
    place.sql().execute_batch("UPDATE ducklake_metadata SET \"value\" = 'false' WHERE \"key\" = 'encrypted'; DELETE FROM ducklake_snapshot").unwrap();
    assert!(matches!(
        Warehouse::open(&place.directory()).unwrap_err(),
        Error::CatalogDamaged { .. }
    ));
}

#[tokio::test]
async fn a_moved_warehouse_finds_its_data() {
    let place = Place::new();
    table(&place.warehouse, "public", "t", &rows(&[(1, "a")])).await;
    let from = place.directory();
    let to = place.root().join("moved it (ü) here%20 #1");
    let root = place.root().to_owned();
    let Place { warehouse, .. } = &place;
    let _ = warehouse;
    std::fs::rename(&from, &to).unwrap();
    let moved = Warehouse::open(&to).unwrap();
    assert_eq!(read(&moved, "public", "t").await, ["1|a"]);
    insert(&moved, "public", "t", &rows(&[(2, "b")]))
        .await
        .unwrap();
    assert_eq!(read(&moved, "public", "t").await, ["1|a", "2|b"]);
    let sql = Connection::open(to.join("catalog.sqlite")).unwrap();
    assert_eq!(
        catalog(
            &sql,
            "SELECT \"value\" FROM ducklake_metadata WHERE \"key\" = 'data_path'"
        ),
        [format!("{}/data/", to.display())]
    );
    assert!(root.exists());
}

#[test]
fn roles_are_kept() {
    let place = Place::new();
    assert_eq!(place.warehouse.roles().unwrap(), []);
    let admin = NewRole {
        name: "admin".into(),
        superuser: true,
        login: true,
        scram_verifier: Some("SCRAM-SHA-256$x".into()),
    };
    let reader = NewRole {
        name: "re\"ader".into(),
        superuser: false,
        login: false,
        scram_verifier: None,
    };
    place.warehouse.create_role(admin.clone()).unwrap();
    place.warehouse.create_role(reader.clone()).unwrap();
    let again = place.again();
    assert_eq!(again.roles().unwrap(), [admin.clone(), reader.clone()]);
    assert_eq!(again.role("admin").unwrap(), Some(admin.clone()));
    assert_eq!(again.role("nobody").unwrap(), None);
    assert!(matches!(
        again.create_role(admin),
        Err(Error::DuplicateRole { .. })
    ));
    assert!(matches!(
        again.set_role_verifier("nobody", None),
        Err(Error::UndefinedRole { .. })
    ));
    again.set_role_verifier("re\"ader", Some("v")).unwrap();
    // The other process sees it at once.
    assert_eq!(
        place
            .warehouse
            .role("re\"ader")
            .unwrap()
            .unwrap()
            .scram_verifier
            .as_deref(),
        Some("v")
    );
    place.warehouse.drop_role("admin").unwrap();
    assert!(matches!(
        place.warehouse.drop_role("admin"),
        Err(Error::UndefinedRole { .. })
    ));
    assert_eq!(again.roles().unwrap().len(), 1);
}

#[tokio::test]
async fn a_catalog_that_contradicts_itself_is_damaged() {
    for statement in [
        "INSERT INTO ducklake_table SELECT 99, table_uuid, begin_snapshot, NULL, schema_id, table_name, path, 1 FROM ducklake_table",
        "INSERT INTO ducklake_schema SELECT 99, schema_uuid, 0, NULL, schema_name, path, 1 FROM ducklake_schema WHERE schema_id = 1",
        "UPDATE ducklake_table SET schema_id = 99",
        "UPDATE ducklake_data_file SET record_count = -1",
        "UPDATE ducklake_snapshot SET snapshot_time = 'yesterday'",
    ] {
        let place = Place::new();
        table(&place.warehouse, "public", "t", &rows(&[(1, "a")])).await;
        place.sql().execute_batch(statement).unwrap();
        let error = Warehouse::open(&place.directory()).unwrap_err();
        assert!(
            matches!(error, Error::CatalogDamaged { .. }),
            "{statement}: {error:?}"
        );
        assert!(error.detail().unwrap().ends_with('.'), "{error:?}");
    }
}

/// How long a catalog of 100 tables with 100 files each takes to load, and to follow a commit of another process; printed with
/// `TRIBUTARY_SOAK=1`, and held to ten times the goal so that a busy machine does not fail it.
#[tokio::test]
async fn a_catalog_of_ten_thousand_files_loads_quickly() {
    let place = Place::new();
    let transaction = place.warehouse.begin().unwrap();
    for table in 0..100 {
        let name = format!("t{table}");
        transaction
            .create_table("public", &name, &id_and_name())
            .unwrap();
    }
    transaction.commit().await.unwrap();
    place
        .sql()
        .execute_batch(
            "BEGIN;
             INSERT INTO ducklake_data_file (data_file_id, table_id, begin_snapshot, path, path_is_relative, file_format, record_count, file_size_bytes, footer_size, row_id_start)
               WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)
               SELECT i, (SELECT min(table_id) FROM ducklake_table) + i / 100, 1, 'ducklake-' || i || '.parquet', 1, 'parquet', 1000, 100000, 500, 1000 * (i % 100) FROM n;
             INSERT INTO ducklake_file_column_stats SELECT data_file_id, table_id, c.i, 1000, 1000, 0, '1' || data_file_id, '2' || data_file_id, NULL, NULL FROM ducklake_data_file, (SELECT 1 AS i UNION ALL SELECT 2) c;
             UPDATE ducklake_snapshot SET next_file_id = 10000;
             COMMIT;",
        )
        .unwrap();
    let other = place.again();
    let mut times = Vec::new();
    for _ in 0..5 {
        let start = std::time::Instant::now();
        let warehouse = place.again();
        let opened = start.elapsed();
        let snapshot = warehouse.snapshot().unwrap();
        assert_eq!(
            snapshot
                .tables()
                .map(|table| table.files.len())
                .sum::<usize>(),
            10_000
        );
        assert_eq!(snapshot.table("public", "t99").unwrap().rows, 100_000);
        let transaction = other.begin().unwrap();
        transaction.set_tag("public", "t0", "k", Some("v")).unwrap();
        transaction.commit().await.unwrap();
        let start = std::time::Instant::now();
        assert_eq!(
            warehouse.snapshot().unwrap().id,
            other.snapshot().unwrap().id
        );
        times.push((opened, start.elapsed()));
    }
    times.sort();
    let (opened, followed) = times[0];
    println!("opened in {opened:?}, followed a commit in {followed:?}");
    assert!(opened.as_millis() < 1000 && followed.as_millis() < 1000);
}
