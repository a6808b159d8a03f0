use super::support::*;
use crate::{CommentOn, Error, Relation, ViewDef};

fn view(sql: &str) -> ViewDef {
    ViewDef {
        sql: sql.to_owned(),
        dialect: "postgres".to_owned(),
        column_aliases: vec!["a".into(), "b,\"c".into()],
    }
}

#[tokio::test]
async fn a_transaction_sees_its_own_changes_and_others_do_not() {
    let place = Place::new();
    let transaction = place.warehouse.begin().unwrap();
    transaction.create_schema("shop").unwrap();
    let id = transaction
        .create_table("shop", "orders", &id_and_name())
        .unwrap();
    assert!(id.is_local());
    append(&transaction, id, &rows(&[(1, "a"), (2, "b")]))
        .await
        .unwrap();
    append(&transaction, id, &rows(&[(3, "c")])).await.unwrap();
    transaction
        .create_view("shop", "v", view("SELECT 1, 2"), false)
        .unwrap();

    let own = transaction.snapshot();
    assert_eq!(
        read_at(&place.warehouse, &own, "shop", "orders")
            .await
            .unwrap(),
        ["1|a", "2|b", "3|c"]
    );
    assert!(own.view("shop", "v").is_some());
    assert!(place.warehouse.snapshot().unwrap().schema("shop").is_none());

    transaction.commit().await.unwrap();
    let snapshot = place.warehouse.snapshot().unwrap();
    assert_eq!(snapshot.id.0, 1);
    let table = snapshot.table("shop", "orders").unwrap();
    assert!(!table.id.is_local());
    assert_eq!((table.rows, table.files.len()), (3, 2));
    assert_eq!(
        snapshot.view("shop", "v").unwrap().column_aliases,
        ["a", "b,\"c"]
    );
    for warehouse in [place.warehouse.clone(), place.again()] {
        assert_eq!(
            read(&warehouse, "shop", "orders").await,
            ["1|a", "2|b", "3|c"]
        );
        let snapshot = warehouse.snapshot().unwrap();
        assert_eq!(
            snapshot.view("shop", "v").unwrap().column_aliases,
            ["a", "b,\"c"]
        );
    }
}

#[tokio::test]
async fn an_old_snapshot_keeps_its_rows() {
    let place = Place::new();
    table(&place.warehouse, "public", "t", &rows(&[(1, "a")])).await;
    let old = place.warehouse.snapshot().unwrap();
    insert(&place.warehouse, "public", "t", &rows(&[(2, "b")]))
        .await
        .unwrap();
    let transaction = place.warehouse.begin().unwrap();
    transaction.drop_table("public", "t").unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(
        read_at(&place.warehouse, &old, "public", "t")
            .await
            .unwrap(),
        ["1|a"]
    );
    assert!(
        place
            .warehouse
            .snapshot()
            .unwrap()
            .table("public", "t")
            .is_none()
    );
}

#[tokio::test]
async fn rollback_and_drop_delete_the_files() {
    let place = Place::new();
    table(&place.warehouse, "public", "t", &rows(&[(1, "a")])).await;
    let before = place.files();
    assert_eq!(before.len(), 1);
    let id = place
        .warehouse
        .snapshot()
        .unwrap()
        .table("public", "t")
        .unwrap()
        .id;

    let transaction = place.warehouse.begin().unwrap();
    append(&transaction, id, &rows(&[(2, "b")])).await.unwrap();
    assert_eq!(place.files().len(), 2);
    transaction.rollback().await;
    assert_eq!(place.files(), before);
    assert_eq!(transaction.snapshot().table("public", "t").unwrap().rows, 1);

    let transaction = place.warehouse.begin().unwrap();
    append(&transaction, id, &rows(&[(2, "b")])).await.unwrap();
    drop(transaction);
    assert_eq!(place.files(), before);

    // A writer that never finishes leaves nothing either.
    let transaction = place.warehouse.begin().unwrap();
    let mut writer = transaction.writer(id).unwrap();
    writer.write(&rows(&[(2, "b")])).await.unwrap();
    for _ in 0..500 {
        if place.files().len() == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(place.files().len(), 2);
    drop(writer);
    transaction.commit().await.unwrap();
    for _ in 0..500 {
        if place.files() == before {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(place.files(), before);
    assert_eq!(read(&place.warehouse, "public", "t").await, ["1|a"]);
}

#[tokio::test]
async fn a_crash_before_commit_leaves_files_and_no_rows() {
    let place = Place::new();
    let transaction = place.warehouse.begin().unwrap();
    let id = transaction
        .create_table("public", "t", &id_and_name())
        .unwrap();
    append(&transaction, id, &rows(&[(1, "a")])).await.unwrap();
    std::mem::forget(transaction);
    let again = place.again();
    assert!(again.snapshot().unwrap().table("public", "t").is_none());
    assert_eq!(place.files().len(), 1);
    for table in [
        "ducklake_table",
        "ducklake_column",
        "ducklake_data_file",
        "tributary_data_file",
    ] {
        assert_eq!(
            catalog(&place.sql(), &format!("SELECT count(*) FROM {table}")),
            ["0"],
            "{table}"
        );
    }
}

#[tokio::test]
async fn what_has_ended_takes_no_more() {
    let place = Place::new();
    let transaction = place.warehouse.begin().unwrap();
    let id = transaction
        .create_table("public", "t", &id_and_name())
        .unwrap();
    let mut writer = transaction.writer(id).unwrap();
    writer.write(&rows(&[(1, "a")])).await.unwrap();
    transaction.commit().await.unwrap();
    assert!(matches!(
        writer.finish().await,
        Err(Error::TransactionEnded)
    ));
    assert!(matches!(
        transaction.create_schema("s"),
        Err(Error::TransactionEnded)
    ));
    assert!(matches!(
        transaction.commit().await,
        Err(Error::TransactionEnded)
    ));
    transaction.rollback().await;
    assert_eq!(place.files(), Vec::<String>::new());
    assert!(
        place
            .warehouse
            .snapshot()
            .unwrap()
            .table("public", "t")
            .is_some()
    );
}

#[tokio::test]
async fn without_changes_there_is_no_snapshot() {
    let place = Place::new();
    let transaction = place.warehouse.begin().unwrap();
    assert_eq!(transaction.commit().await.unwrap().0, 0);
    assert_eq!(place.warehouse.commits().unwrap().len(), 1);
}

#[tokio::test]
async fn a_failed_change_changes_nothing() {
    let place = Place::new();
    table(&place.warehouse, "public", "t", &rows(&[(1, "a")])).await;
    let transaction = place.warehouse.begin().unwrap();
    transaction.create_schema("s").unwrap();
    transaction
        .create_view("s", "v", view("SELECT 1"), false)
        .unwrap();
    let no = |outcome: crate::Result<()>| outcome.unwrap_err().to_string();
    assert_eq!(
        no(transaction.create_schema("s").map(drop)),
        "schema \"s\" already exists"
    );
    assert_eq!(
        no(transaction
            .create_table("public", "t", &id_and_name())
            .map(drop)),
        "relation \"public.t\" already exists"
    );
    assert_eq!(
        no(transaction
            .create_view("public", "t", view("SELECT 1"), true)
            .map(drop)),
        "\"public.t\" is not a view"
    );
    assert_eq!(
        no(transaction
            .create_view("s", "v", view("SELECT 1"), false)
            .map(drop)),
        "relation \"s.v\" already exists"
    );
    assert_eq!(
        no(transaction.drop_table("s", "v")),
        "\"s.v\" is not a table"
    );
    assert_eq!(
        no(transaction.drop_view("public", "t")),
        "\"public.t\" is not a view"
    );
    assert_eq!(
        no(transaction.drop_table("public", "x")),
        "relation \"public.x\" does not exist"
    );
    assert_eq!(
        no(transaction.drop_table("x", "x")),
        "schema \"x\" does not exist"
    );
    assert_eq!(
        no(transaction.rename_relation("s", "v", "v")),
        "relation \"s.v\" already exists"
    );
    let error = transaction.drop_schema("s", false).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot drop schema \"s\" because other objects depend on it"
    );
    assert_eq!(error.detail().unwrap(), "Schema \"s\" holds view v.");
    assert_eq!(
        no(transaction.set_comment(CommentOn::Column("public", "t", "x"), Some("c"))),
        "column \"x\" of relation \"public.t\" does not exist"
    );
    let twice = [id_and_name(), id_and_name()].concat();
    assert_eq!(
        no(transaction.create_table("s", "t", &twice).map(drop)),
        "column \"id\" specified more than once"
    );
    transaction.commit().await.unwrap();
    let snapshot = place.warehouse.snapshot().unwrap();
    assert_eq!(snapshot.schema("s").unwrap().relations.len(), 1);
    assert_eq!(read(&place.warehouse, "public", "t").await, ["1|a"]);
}

#[tokio::test]
async fn the_swap_of_dbt_is_one_snapshot() {
    let place = Place::new();
    table(&place.warehouse, "public", "x", &rows(&[(1, "old")])).await;
    let old = place
        .warehouse
        .snapshot()
        .unwrap()
        .table("public", "x")
        .unwrap()
        .id;
    let transaction = place.warehouse.begin().unwrap();
    let id = transaction
        .create_table("public", "x__dbt_tmp", &id_and_name())
        .unwrap();
    append(&transaction, id, &rows(&[(2, "new")]))
        .await
        .unwrap();
    transaction
        .rename_relation("public", "x", "x__dbt_backup")
        .unwrap();
    transaction
        .rename_relation("public", "x__dbt_tmp", "x")
        .unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(read(&place.warehouse, "public", "x").await, ["2|new"]);
    assert_eq!(
        read(&place.warehouse, "public", "x__dbt_backup").await,
        ["1|old"]
    );
    let snapshot = place.warehouse.snapshot().unwrap();
    assert_eq!(snapshot.table("public", "x__dbt_backup").unwrap().id, old);
    let transaction = place.warehouse.begin().unwrap();
    transaction.drop_table("public", "x__dbt_backup").unwrap();
    transaction.commit().await.unwrap();
    let again = place.again();
    assert_eq!(read(&again, "public", "x").await, ["2|new"]);
    assert_eq!(again.snapshot().unwrap().tables().count(), 1);
}

#[tokio::test]
async fn comments_and_tags_follow_renames_and_go_with_the_object() {
    let place = Place::new();
    table(&place.warehouse, "public", "t", &rows(&[(1, "a")])).await;
    let transaction = place.warehouse.begin().unwrap();
    transaction
        .set_comment(CommentOn::Table("public", "t"), Some("it's a table"))
        .unwrap();
    transaction
        .set_comment(CommentOn::Column("public", "t", "id"), Some("key"))
        .unwrap();
    transaction
        .set_comment(CommentOn::Schema("public"), Some("the schema"))
        .unwrap();
    transaction
        .set_tag("public", "t", "tributary.model", Some("{}"))
        .unwrap();
    transaction
        .create_view("public", "v", view("SELECT 1"), false)
        .unwrap();
    transaction
        .set_comment(CommentOn::View("public", "v"), Some("a view"))
        .unwrap();
    transaction.rename_relation("public", "t", "u").unwrap();
    transaction.rename_relation("public", "v", "w").unwrap();
    transaction.commit().await.unwrap();
    for warehouse in [place.warehouse.clone(), place.again()] {
        let snapshot = warehouse.snapshot().unwrap();
        let table = snapshot.table("public", "u").unwrap();
        assert_eq!(table.comment(), Some("it's a table"));
        assert_eq!(table.tags["tributary.model"], "{}");
        assert_eq!(table.column("id").unwrap().comment.as_deref(), Some("key"));
        assert_eq!(
            snapshot.schema("public").unwrap().comment.as_deref(),
            Some("the schema")
        );
        assert_eq!(
            snapshot.relation("public", "w").map(Relation::comment),
            Some(Some("a view"))
        );
    }
    let transaction = place.warehouse.begin().unwrap();
    // A replaced view keeps its comment, as in PostgreSQL.
    transaction
        .create_view("public", "w", view("SELECT 2"), true)
        .unwrap();
    transaction
        .set_comment(CommentOn::Table("public", "u"), None)
        .unwrap();
    transaction
        .set_comment(CommentOn::Column("public", "u", "id"), None)
        .unwrap();
    transaction.commit().await.unwrap();
    for warehouse in [place.warehouse.clone(), place.again()] {
        let snapshot = warehouse.snapshot().unwrap();
        let table = snapshot.table("public", "u").unwrap();
        assert_eq!(
            (
                table.comment(),
                table.column("id").unwrap().comment.as_deref()
            ),
            (None, None)
        );
        assert_eq!(table.tags.len(), 1);
        assert_eq!(snapshot.view("public", "w").unwrap().sql, "SELECT 2");
        assert_eq!(
            snapshot.view("public", "w").unwrap().comment(),
            Some("a view")
        );
    }
}

#[tokio::test]
async fn a_schema_is_dropped_with_all_in_it() {
    let place = Place::new();
    let transaction = place.warehouse.begin().unwrap();
    transaction.create_schema("s").unwrap();
    let id = transaction.create_table("s", "t", &id_and_name()).unwrap();
    append(&transaction, id, &rows(&[(1, "a")])).await.unwrap();
    transaction
        .create_view("s", "v", view("SELECT 1"), false)
        .unwrap();
    transaction
        .set_comment(CommentOn::Table("s", "t"), Some("c"))
        .unwrap();
    transaction.commit().await.unwrap();
    let transaction = place.warehouse.begin().unwrap();
    transaction.drop_schema("s", true).unwrap();
    transaction.commit().await.unwrap();
    let sql = place.sql();
    for table in [
        "ducklake_table",
        "ducklake_column",
        "ducklake_data_file",
        "ducklake_view",
        "ducklake_tag",
    ] {
        assert_eq!(
            catalog(
                &sql,
                &format!("SELECT count(*) FROM {table} WHERE end_snapshot IS NULL")
            ),
            ["0"],
            "{table}"
        );
    }
    let again = place.again();
    assert!(again.snapshot().unwrap().schema("s").is_none());
    // Made and dropped in one transaction: no trace but the files, which go too.
    let files = place.files();
    let transaction = place.warehouse.begin().unwrap();
    let id = transaction
        .create_table("public", "brief", &id_and_name())
        .unwrap();
    append(&transaction, id, &rows(&[(1, "a")])).await.unwrap();
    transaction.drop_table("public", "brief").unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(place.files(), files);
    assert_eq!(
        catalog(
            &sql,
            "SELECT count(*) FROM ducklake_table WHERE table_name = 'brief'"
        ),
        ["0"]
    );
}
