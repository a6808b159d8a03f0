//! The SQLite file itself: making, opening and recognising it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::Utc;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior, params};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::files::durable;
use crate::model::SnapshotId;
use crate::spec::{changes, ddl};

/// The name of the catalog file within the warehouse.
pub const FILE: &str = "catalog.sqlite";

/// The catalog while it is being made.
pub const UNFINISHED: &str = "catalog.sqlite.new";

/// How long to wait for another process that holds the catalog.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// What `created_by` says in catalogs of ours.
const CREATED_BY: &str = concat!("Tributary ", env!("CARGO_PKG_VERSION"));

pub fn create(directory: &Path, data_path: &str) -> Result<()> {
    let unfinished = directory.join(UNFINISHED);
    let mut connection = Connection::open(&unfinished)?;
    // A rollback journal leaves one file, which can be renamed; open() turns to WAL.
    connection.execute_batch("PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL;")?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(ddl::DUCKLAKE)?;
    transaction.execute_batch(ddl::TRIBUTARY)?;
    for (key, value) in [
        ("version", ddl::VERSION),
        ("created_by", CREATED_BY),
        ("data_path", data_path),
        ("encrypted", "false"),
    ] {
        transaction.execute(
            "INSERT INTO ducklake_metadata (\"key\", \"value\") VALUES (?1, ?2)",
            params![key, value],
        )?;
    }
    transaction.execute(
        "INSERT INTO tributary_metadata VALUES ('format', ?1)",
        params![ddl::FORMAT],
    )?;
    let schemas = ["main", "public"];
    for (id, name) in (0i64..).zip(schemas) {
        transaction.execute(
            "INSERT INTO ducklake_schema VALUES (?1, ?2, 0, NULL, ?3, ?4, 1)",
            params![id, Uuid::now_v7().to_string(), name, format!("{name}/")],
        )?;
    }
    transaction.execute(
        "INSERT INTO ducklake_snapshot VALUES (0, ?1, 0, ?2, 0)",
        params![super::write::time(Utc::now()), schemas.len() as i64],
    )?;
    let made = schemas.map(|name| changes::ChangeMade::CreatedSchema(name.to_owned()));
    transaction.execute(
        "INSERT INTO ducklake_snapshot_changes (snapshot_id, changes_made) VALUES (0, ?1)",
        params![changes::print(&made)],
    )?;
    transaction.commit()?;
    connection.close().map_err(|(_, error)| error)?;
    let finished = directory.join(FILE);
    std::fs::rename(&unfinished, &finished).map_err(Error::io("rename", &unfinished))?;
    durable::sync_directory(directory)
}

/// Opens a catalog, refusing those of other programs and versions before anything is changed.
pub fn open(directory: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(path(directory), flags)
        .map_err(Error::from)
        .and_then(|connection| {
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.set_prepared_statement_cache_capacity(64);
            check_format(&connection, directory)?;
            connection.query_row("PRAGMA journal_mode = WAL", [], |row| {
                row.get::<_, String>(0)
            })?;
            connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;")?;
            Ok(connection)
        });
    opened.map_err(|error| explain(error, directory))
}

fn check_format(connection: &Connection, directory: &Path) -> Result<()> {
    let not_ours = |reason: &str| Error::NotAWarehouse {
        path: directory.to_owned(),
        reason: reason.to_owned(),
    };
    let has_table = |name: &str| {
        connection
            .query_row(
                "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1",
                params![name],
                |_| Ok(()),
            )
            .optional()
            .map(|row| row.is_some())
    };
    if !has_table("ducklake_metadata")? {
        return Err(not_ours(
            "Its catalog.sqlite is a database of another program.",
        ));
    }
    let version = metadata(connection, "version")?.unwrap_or_default();
    if version != ddl::VERSION {
        return Err(Error::UnsupportedVersion {
            path: directory.to_owned(),
            found: version,
        });
    }
    if !has_table("tributary_metadata")? {
        let by =
            metadata(connection, "created_by")?.unwrap_or_else(|| "another program".to_owned());
        return Err(not_ours(&format!(
            "Its catalog.sqlite is a DuckLake catalog made by {by}."
        )));
    }
    if metadata(connection, "encrypted")?.as_deref() == Some("true") {
        return Err(Error::UnsupportedFeature {
            object: format!("warehouse \"{}\"", directory.display()),
            feature: "encrypted data files".to_owned(),
        });
    }
    let format: Option<String> = connection
        .query_row(
            "SELECT \"value\" FROM tributary_metadata WHERE \"key\" = 'format'",
            [],
            |row| row.get(0),
        )
        .optional()?;
    match format.as_deref() {
        Some(ddl::FORMAT) => Ok(()),
        other => Err(Error::UnsupportedVersion {
            path: directory.to_owned(),
            found: format!("{version}/{}", other.unwrap_or("?")),
        }),
    }
}

/// Records where the data lies now; outside readers go by it.
pub fn move_data_path(
    connection: &mut Connection,
    directory: &Path,
    data_path: &str,
) -> Result<()> {
    if metadata(connection, "data_path")?.as_deref() == Some(data_path) {
        return Ok(());
    }
    let old = metadata(connection, "data_path")?.unwrap_or_default();
    let mut moved = || -> Result<()> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute(
            "UPDATE ducklake_metadata SET \"value\" = ?1 WHERE \"key\" = 'data_path' AND \"scope\" IS NULL",
            params![data_path],
        )?;
        // A table that was moved to another schema has its full path.
        for table in ["schema", "table", "data_file", "delete_file"] {
            let statement = format!(
                "UPDATE ducklake_{table} SET path = ?1 || substr(path, length(?2) + 1) WHERE NOT path_is_relative AND ?2 <> '' AND substr(path, 1, length(?2)) = ?2"
            );
            transaction.execute(&statement, params![data_path, old])?;
        }
        Ok(transaction.commit()?)
    };
    moved().map_err(|error| explain(error, directory))
}

fn metadata(connection: &Connection, key: &str) -> Result<Option<String>> {
    let query = "SELECT \"value\" FROM ducklake_metadata WHERE \"key\" = ?1 AND \"scope\" IS NULL";
    Ok(connection
        .query_row(query, params![key], |row| row.get(0))
        .optional()?)
}

/// Changes whenever another connection has committed.
pub fn data_version(connection: &Connection) -> Result<i64> {
    Ok(connection
        .prepare_cached("PRAGMA data_version")?
        .query_row([], |row| row.get(0))?)
}

pub fn newest_snapshot(connection: &Connection) -> Result<SnapshotId> {
    let mut statement =
        connection.prepare_cached("SELECT max(snapshot_id) FROM ducklake_snapshot")?;
    let newest: Option<i64> = statement.query_row([], |row| row.get(0))?;
    newest.map(SnapshotId).ok_or_else(|| Error::CatalogDamaged {
        path: connection.path().map(PathBuf::from).unwrap_or_default(),
        reason: "It has no snapshot.".to_owned(),
    })
}

/// Turns what SQLite says into what it means for a warehouse.
pub fn explain(error: Error, directory: &Path) -> Error {
    let Error::Sqlite(rusqlite::Error::SqliteFailure(failure, _)) = &error else {
        return error;
    };
    match failure.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Error::CatalogLocked {
            path: directory.to_owned(),
        },
        ErrorCode::NotADatabase => Error::NotAWarehouse {
            path: directory.to_owned(),
            reason: "Its catalog.sqlite is not a SQLite database.".to_owned(),
        },
        ErrorCode::DatabaseCorrupt => Error::CatalogDamaged {
            path: directory.to_owned(),
            reason: "SQLite finds catalog.sqlite malformed.".to_owned(),
        },
        ErrorCode::CannotOpen if !path(directory).exists() => Error::NotAWarehouse {
            path: directory.to_owned(),
            reason: "There is no catalog.sqlite in it.".to_owned(),
        },
        _ => error,
    }
}

fn path(directory: &Path) -> PathBuf {
    directory.join(FILE)
}
