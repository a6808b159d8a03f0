use super::support::*;
use crate::{ColumnDef, CommentOn, Error, Transaction, ViewDef};
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::prelude::{col, lit};

/// Something a transaction does to `public.t`, `public.v` or schema `s`.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Act {
    Append,
    DeleteSame,
    DeleteOther,
    Truncate,
    Drop,
    Rename,
    AddColumn,
    Move,
    Comment,
    CommentColumn,
    CreateSameName,
    DropView,
    ReplaceView,
    DropSchema,
    CreateInSchema,
    Elsewhere,
}

impl Act {
    const ALL: [Self; 16] = [
        Self::AddColumn,
        Self::Move,
        Self::Append,
        Self::DeleteSame,
        Self::DeleteOther,
        Self::Truncate,
        Self::Drop,
        Self::Rename,
        Self::Comment,
        Self::CommentColumn,
        Self::CreateSameName,
        Self::DropView,
        Self::ReplaceView,
        Self::DropSchema,
        Self::CreateInSchema,
        Self::Elsewhere,
    ];

    async fn run(self, transaction: &Transaction, who: &str) {
        let snapshot = transaction.snapshot();
        let id = snapshot.table("public", "t").unwrap().id;
        let view = ViewDef {
            sql: format!("SELECT '{who}'"),
            dialect: "postgres".into(),
            column_aliases: vec![],
        };
        match self {
            Self::Append => drop(append(transaction, id, &rows(&[(9, who)])).await.unwrap()),
            Self::DeleteSame => {
                let filter = col("id").eq(lit(1));
                assert_eq!(delete_in(transaction, "t", filter).await.unwrap(), 1);
            }
            // Each of the two has a row of its own to delete.
            Self::DeleteOther => {
                let filter = col("name").eq(lit(who));
                assert_eq!(delete_in(transaction, "t", filter).await.unwrap(), 1);
            }
            Self::Truncate => drop(transaction.truncate("public", "t").unwrap()),
            Self::Drop => transaction.drop_table("public", "t").unwrap(),
            Self::Rename => transaction
                .rename_relation("public", "t", &format!("t_{who}"))
                .unwrap(),
            Self::AddColumn => {
                let column = ColumnDef::new(who, DataType::Int64);
                let none = ScalarValue::Null;
                transaction
                    .add_column("public", "t", &column, &none)
                    .unwrap();
            }
            Self::Move => transaction.move_relation("public", "t", "main").unwrap(),
            Self::Comment => transaction
                .set_comment(CommentOn::Table("public", "t"), Some(who))
                .unwrap(),
            Self::CommentColumn => {
                transaction
                    .set_comment(CommentOn::Column("public", "t", "id"), Some(who))
                    .unwrap();
            }
            Self::CreateSameName => drop(
                transaction
                    .create_table("public", "new", &id_and_name())
                    .unwrap(),
            ),
            Self::DropView => transaction.drop_view("public", "v").unwrap(),
            Self::ReplaceView => drop(transaction.create_view("public", "v", view, true).unwrap()),
            Self::DropSchema => transaction.drop_schema("s", true).unwrap(),
            Self::CreateInSchema => {
                transaction
                    .create_table("s", &format!("in_{who}"), &id_and_name())
                    .map(drop)
                    .unwrap();
            }
            Self::Elsewhere => drop(transaction.create_schema(who).unwrap()),
        }
    }

    /// Whether two transactions that do these from one base may both commit, the second after the first.
    fn commutes(first: Self, second: Self) -> bool {
        use Act::*;
        let on_table = |act| {
            matches!(
                act,
                Append
                    | DeleteSame
                    | DeleteOther
                    | Truncate
                    | Drop
                    | Rename
                    | AddColumn
                    | Move
                    | Comment
                    | CommentColumn
            )
        };
        let of_rows = |act| matches!(act, Append | DeleteSame | DeleteOther);
        let on_view = |act| matches!(act, DropView | ReplaceView);
        match (first, second) {
            (DeleteSame, DeleteSame) => false,
            // What comes after the table was emptied stays.
            (Truncate, Append) => true,
            (a, b) if of_rows(a) && of_rows(b) => true,
            // A comment does not depend on rows, nor rows on a comment.
            (a, Comment | CommentColumn) | (Comment | CommentColumn, a)
                if of_rows(a) || a == Truncate =>
            {
                true
            }
            (CreateSameName, CreateSameName) | (DropSchema, DropSchema) => false,
            (DropSchema, CreateInSchema) | (CreateInSchema, DropSchema) => false,
            (a, b) if on_table(a) && on_table(b) => false,
            (a, b) if on_view(a) && on_view(b) => false,
            _ => true,
        }
    }
}

#[tokio::test]
async fn first_committer_wins() {
    for first in Act::ALL {
        for second in Act::ALL {
            let place = Place::new();
            let setup = place.warehouse.begin().unwrap();
            let id = setup.create_table("public", "t", &id_and_name()).unwrap();
            append(
                &setup,
                id,
                &rows(&[(1, "base"), (2, "one"), (3, "two"), (4, "stays")]),
            )
            .await
            .unwrap();
            let view = ViewDef {
                sql: "SELECT 1".into(),
                dialect: "postgres".into(),
                column_aliases: vec![],
            };
            setup.create_view("public", "v", view, false).unwrap();
            setup.create_schema("s").unwrap();
            setup.commit().await.unwrap();

            let one = place.warehouse.begin().unwrap();
            let two = place.warehouse.begin().unwrap();
            first.run(&one, "one").await;
            second.run(&two, "two").await;
            one.commit().await.unwrap();
            let data_files = || {
                let files = place.files();
                files
                    .iter()
                    .filter(|file| !file.contains("-delete"))
                    .count()
            };
            let files = data_files();
            let outcome = two.commit().await;
            if Act::commutes(first, second) {
                assert!(outcome.is_ok(), "{first:?} then {second:?}: {outcome:?}");
            } else {
                let error = outcome.unwrap_err();
                assert!(
                    matches!(error, Error::Conflict { .. }),
                    "{first:?} then {second:?}: {error:?}"
                );
                assert_eq!(error.hint(), Some("Retry the transaction."));
                // The loser's files are gone.
                let expected = if second == Act::Append {
                    files - 1
                } else {
                    files
                };
                assert_eq!(data_files(), expected, "{first:?} then {second:?}");
            }
            let named = "SELECT (SELECT count(*) FROM ducklake_data_file) + (SELECT count(*) FROM ducklake_delete_file)";
            assert_eq!(
                catalog(&place.sql(), named),
                [place.files().len().to_string()],
                "{first:?} then {second:?}"
            );
            // Whatever happened, memory and disk agree.
            let (here, there) = (
                place.warehouse.snapshot().unwrap(),
                place.again().snapshot().unwrap(),
            );
            let list = |snapshot: &crate::Snapshot| {
                snapshot
                    .tables()
                    .map(|table| {
                        format!(
                            "{} {} {:?} {:?}",
                            table.id,
                            table.qualified_name(),
                            table.tags,
                            table.rows
                        )
                    })
                    .collect::<Vec<_>>()
            };
            assert_eq!(list(&here), list(&there), "{first:?} then {second:?}");
            assert_eq!(here.id, there.id);
        }
    }
}

#[tokio::test]
async fn ids_are_rebased() {
    let place = Place::new();
    let (one, two) = (
        place.warehouse.begin().unwrap(),
        place.warehouse.begin().unwrap(),
    );
    for (transaction, name) in [(&one, "one"), (&two, "two")] {
        transaction.create_schema(name).unwrap();
        let id = transaction.create_table(name, "t", &id_and_name()).unwrap();
        append(transaction, id, &rows(&[(1, name)])).await.unwrap();
        append(transaction, id, &rows(&[(2, name)])).await.unwrap();
    }
    one.commit().await.unwrap();
    two.commit().await.unwrap();
    let sql = place.sql();
    assert_eq!(
        catalog(
            &sql,
            "SELECT table_id, schema_id, begin_snapshot FROM ducklake_table ORDER BY 1"
        ),
        ["3|2|1", "5|4|2"]
    );
    assert_eq!(
        catalog(
            &sql,
            "SELECT data_file_id, table_id, row_id_start FROM ducklake_data_file ORDER BY 1"
        ),
        ["0|3|0", "1|3|1", "2|5|0", "3|5|1"]
    );
    assert_eq!(read(&place.again(), "two", "t").await, ["1|two", "2|two"]);
}

#[tokio::test]
async fn appends_that_meet_get_row_ids_of_their_own() {
    let place = Place::new();
    table(&place.warehouse, "public", "t", &rows(&[(0, "base")])).await;
    let (one, two) = (
        place.warehouse.begin().unwrap(),
        place.warehouse.begin().unwrap(),
    );
    for (transaction, id) in [(&one, 1), (&two, 2)] {
        let table = transaction.snapshot().table("public", "t").unwrap().id;
        append(transaction, table, &rows(&[(id, "x"), (id, "y")]))
            .await
            .unwrap();
    }
    two.commit().await.unwrap();
    one.commit().await.unwrap();
    assert_eq!(
        catalog(
            &place.sql(),
            "SELECT row_id_start, record_count FROM ducklake_data_file ORDER BY data_file_id"
        ),
        ["0|1", "1|2", "3|2"]
    );
    assert_eq!(
        catalog(
            &place.sql(),
            "SELECT record_count, next_row_id FROM ducklake_table_stats"
        ),
        ["5|5"]
    );
    assert_eq!(
        read(&place.warehouse, "public", "t").await,
        ["0|base", "1|x", "1|y", "2|x", "2|y"]
    );
}
