use super::support::*;
use crate::{ColumnDef, Error, NamedObject, ViewDef};
use arrow::datatypes::DataType;

const HOSTILE: [&str; 14] = [
    "..",
    ".",
    "../../escape",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "Sp ace",
    "quo\"te",
    "quo'te",
    "com,ma.dot:colon",
    "ünï\u{202e}cödé 🌊",
    "\t\r\n",
    "select",
    "CON",
];

#[tokio::test]
async fn any_name_works_and_none_escapes() {
    let place = Place::new();
    let outside = || {
        let mut entries = std::fs::read_dir(place.root())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect::<Vec<_>>();
        entries.sort();
        entries
    };
    let before = outside();
    let long = "x".repeat(1024);
    let names = HOSTILE
        .iter()
        .copied()
        .chain([long.as_str()])
        .collect::<Vec<_>>();
    for name in &names {
        let transaction = place.warehouse.begin().unwrap();
        transaction.create_schema(name).unwrap();
        let columns = [
            ColumnDef::new(*name, DataType::Int64),
            ColumnDef::new("name", DataType::Utf8),
        ];
        let id = transaction.create_table(name, name, &columns).unwrap();
        append(&transaction, id, &rows(&[(1, name)])).await.unwrap();
        let view = ViewDef {
            sql: "SELECT 1".into(),
            dialect: "postgres".into(),
            column_aliases: vec![name.to_string()],
        };
        transaction.create_view(name, "v", view, false).unwrap();
        transaction.set_tag(name, name, name, Some(name)).unwrap();
        transaction.commit().await.unwrap();
    }
    let again = place.again();
    let snapshot = again.snapshot().unwrap();
    for name in &names {
        let table = snapshot.table(name, name).unwrap();
        assert_eq!(table.columns[0].name, *name);
        assert_eq!(table.tags[*name], *name);
        assert_eq!(snapshot.view(name, "v").unwrap().column_aliases, [*name]);
        let escaped = read(&again, name, name).await;
        assert_eq!(escaped.len(), 1, "{name:?}");
        assert!(escaped[0].starts_with("1|"));
    }
    assert_eq!(again.commits().unwrap().len(), names.len() + 1);
    assert_eq!(outside(), before);
    assert_eq!(place.files().len(), names.len());
    for file in place.files() {
        assert!(
            file.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte)),
            "{file}"
        );
        assert_eq!(file.split('/').count(), 3, "{file}");
        assert!(file.split('/').all(|part| !part.starts_with('.')), "{file}");
    }
}

/// Readers of the format such as DuckDB take them for one name, and would read one relation for the other.
#[tokio::test]
async fn names_that_differ_only_in_case_are_refused() {
    let place = Place::new();
    table(&place.warehouse, "public", "t", &rows(&[(1, "t")])).await;
    let transaction = place.warehouse.begin().unwrap();
    let columns = [
        ColumnDef::new("a", DataType::Int64),
        ColumnDef::new("A", DataType::Int64),
    ];
    let refusals = [
        transaction.create_schema("Public").map(drop),
        transaction
            .create_table("public", "T", &id_and_name())
            .map(drop),
        transaction
            .create_table("public", "other", &columns)
            .map(drop),
    ];
    let seen = refusals.map(|outcome| match outcome {
        Err(Error::SameButForCase {
            object,
            name,
            existing,
        }) => (object, name, existing),
        other => panic!("{other:?}"),
    });
    assert_eq!(
        seen,
        [
            (NamedObject::Schema, "Public".into(), "public".into()),
            (NamedObject::Relation, "T".into(), "t".into()),
            (NamedObject::Column, "A".into(), "a".into()),
        ]
    );
    assert!(!transaction.has_changes());
    assert_eq!(read(&place.again(), "public", "t").await, ["1|t"]);
}

/// Of two writers that meet, the one that commits later is refused.
#[tokio::test]
async fn names_that_come_to_differ_only_in_case_are_a_conflict() {
    let place = Place::new();
    let (one, two) = (
        place.warehouse.begin().unwrap(),
        place.warehouse.begin().unwrap(),
    );
    one.create_table("public", "t", &id_and_name()).unwrap();
    two.create_table("public", "T", &id_and_name()).unwrap();
    one.commit().await.unwrap();
    let error = two.commit().await.unwrap_err();
    assert!(matches!(error, Error::Conflict { .. }), "{error:?}");
    let snapshot = place.again().snapshot().unwrap();
    assert!(snapshot.table("public", "t").is_some());
    assert!(snapshot.table("public", "T").is_none());
}

#[test]
fn impossible_names_are_refused() {
    let place = Place::new();
    let transaction = place.warehouse.begin().unwrap();
    for name in ["", "a\0b", &"x".repeat(10_240)] {
        for outcome in [
            transaction.create_schema(name).map(drop),
            transaction
                .create_table("public", name, &id_and_name())
                .map(drop),
            transaction
                .create_table("public", "t", &[ColumnDef::new(name, DataType::Int64)])
                .map(drop),
        ] {
            let error = outcome.unwrap_err();
            assert!(matches!(error, Error::InvalidName { .. }), "{error:?}");
            assert!(error.to_string().len() < 200);
        }
    }
    assert!(!transaction.has_changes());
    let error = transaction.create_table("public", "t", &[]).unwrap_err();
    assert!(matches!(error, Error::UnsupportedFeature { .. }));
}
