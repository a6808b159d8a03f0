use super::support::*;
use crate::{Error, IngestedFile, TableId, Transaction};
use chrono::DateTime;

fn file(path: &str, checksum: &str) -> IngestedFile {
    IngestedFile {
        path: path.to_owned(),
        bytes: 10,
        modified_at: DateTime::from_timestamp(1_700_000_000, 5_000_000),
        checksum: checksum.to_owned(),
        rows: 1,
    }
}

async fn load(transaction: &Transaction, table: TableId, file: IngestedFile) -> crate::Result<()> {
    append(transaction, table, &rows(&[(1, "a")])).await?;
    transaction.record_ingest(table, file)
}

#[tokio::test]
async fn the_manifest_is_committed_with_the_rows() {
    let place = Place::new();
    let transaction = place.warehouse.begin().unwrap();
    let id = transaction
        .create_table("public", "t", &id_and_name())
        .unwrap();
    load(&transaction, id, file("a.parquet", "1"))
        .await
        .unwrap();
    load(&transaction, id, file("b.parquet", "2"))
        .await
        .unwrap();
    assert_eq!(transaction.ingested(id).unwrap().len(), 2);
    let error = load(&transaction, id, file("a.parquet", "1"))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "file \"a.parquet\" is already in table \"public.t\""
    );
    assert_eq!(place.warehouse.ingested(None).unwrap(), []);
    transaction.commit().await.unwrap();

    let again = place.again();
    let id = again.snapshot().unwrap().table("public", "t").unwrap().id;
    let all = again.ingested(Some(id)).unwrap();
    assert_eq!(
        all,
        [(id, file("a.parquet", "1")), (id, file("b.parquet", "2"))]
    );
    let transaction = again.begin().unwrap();
    let error = transaction
        .record_ingest(id, file("b.parquet", "2"))
        .unwrap_err();
    assert!(matches!(error, Error::AlreadyIngested { .. }));
    // The same path with another content is another file.
    transaction
        .record_ingest(id, file("b.parquet", "3"))
        .unwrap();
    transaction.rename_relation("public", "t", "u").unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(again.ingested(None).unwrap().len(), 3);

    let transaction = again.begin().unwrap();
    transaction
        .record_ingest(id, file("c.parquet", "4"))
        .unwrap();
    transaction.rollback().await;
    assert_eq!(again.ingested(None).unwrap().len(), 3);
}

#[tokio::test]
async fn two_that_take_the_same_file_leave_it_once() {
    let place = Place::new();
    table(&place.warehouse, "public", "t", &rows(&[])).await;
    let other = place.again();
    let id = place
        .warehouse
        .snapshot()
        .unwrap()
        .table("public", "t")
        .unwrap()
        .id;
    let (one, two) = (place.warehouse.begin().unwrap(), other.begin().unwrap());
    load(&one, id, file("a.parquet", "1")).await.unwrap();
    load(&two, id, file("a.parquet", "1")).await.unwrap();
    one.commit().await.unwrap();
    let error = two.commit().await.unwrap_err();
    assert!(
        matches!(&error, Error::AlreadyIngested { path, table } if path == "a.parquet" && table == "public.t"),
        "{error:?}"
    );
    assert_eq!(read(&other, "public", "t").await, ["1|a"]);
    assert_eq!(place.files().len(), 1);
    assert_eq!(other.commits().unwrap().len(), 3);
}

#[tokio::test]
async fn a_table_made_anew_takes_the_file_again() {
    let place = Place::new();
    for _ in 0..2 {
        let transaction = place.warehouse.begin().unwrap();
        let id = transaction
            .create_table("public", "t", &id_and_name())
            .unwrap();
        load(&transaction, id, file("a.parquet", "1"))
            .await
            .unwrap();
        transaction.commit().await.unwrap();
        let transaction = place.warehouse.begin().unwrap();
        transaction.drop_table("public", "t").unwrap();
        transaction.commit().await.unwrap();
    }
}
