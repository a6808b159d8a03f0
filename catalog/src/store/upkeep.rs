//! What upkeep asks of the database: older snapshots, expiry, the names of all files, consistency.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::{Store, load, write};
use crate::error::{Error, Result};
use crate::maintain::Expired;
use crate::model::SnapshotId;
use crate::snapshot::Snapshot;
use crate::spec::changes::quote;
use crate::spec::paths;

/// Tables whose rows are valid from one snapshot to another.
const VERSIONED: [&str; 11] = [
    "ducklake_schema",
    "ducklake_table",
    "ducklake_view",
    "ducklake_tag",
    "ducklake_column_tag",
    "ducklake_column",
    "ducklake_partition_info",
    "ducklake_sort_info",
    "ducklake_macro",
    "ducklake_data_file",
    "ducklake_delete_file",
];

impl Store {
    /// An older snapshot.
    pub fn snapshot_at(&self, id: SnapshotId) -> Result<Arc<Snapshot>> {
        let current = self.snapshot()?;
        if id == current.id {
            return Ok(current);
        }
        let mut reader = self.reader.lock();
        let there = reader
            .connection
            .prepare_cached("SELECT 1 FROM ducklake_snapshot WHERE snapshot_id = ?1")?
            .query_row(params![id.0], |_| Ok(()))
            .optional()?;
        if there.is_none() {
            drop(reader);
            return Err(Error::UndefinedSnapshot {
                version: format!("snapshot {id}"),
                reason: self.which_snapshots()?,
            });
        }
        let loaded = load::load_at(
            &mut reader.connection,
            &self.directory,
            current.data_path(),
            id,
        )?;
        Ok(Arc::new(loaded))
    }

    /// The snapshot that was the newest at a time.
    pub fn snapshot_as_of(&self, time: DateTime<Utc>) -> Result<Arc<Snapshot>> {
        let current = self.snapshot()?;
        if time >= current.committed_at {
            return Ok(current);
        }
        let id: Option<i64> = {
            let reader = self.reader.lock();
            reader
                .connection
                .prepare_cached(
                    "SELECT max(snapshot_id) FROM ducklake_snapshot WHERE snapshot_time <= ?1",
                )?
                .query_row(params![write::time(time)], |row| row.get(0))?
        };
        match id {
            Some(id) => self.snapshot_at(SnapshotId(id)),
            None => Err(Error::UndefinedSnapshot {
                version: format!("a snapshot of {}", write::time(time)),
                reason: self.which_snapshots()?,
            }),
        }
    }

    /// The oldest snapshot there is.
    pub fn oldest_snapshot(&self) -> Result<SnapshotId> {
        let reader = self.reader.lock();
        let mut statement = reader
            .connection
            .prepare_cached("SELECT min(snapshot_id) FROM ducklake_snapshot")?;
        Ok(SnapshotId(statement.query_row([], |row| row.get(0))?))
    }

    fn which_snapshots(&self) -> Result<String> {
        let reader = self.reader.lock();
        let mut statement = reader.connection.prepare_cached(
            "SELECT snapshot_id, snapshot_time FROM ducklake_snapshot ORDER BY snapshot_id LIMIT 1",
        )?;
        let (id, time): (i64, String) =
            statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(format!("The oldest snapshot is {id} of {time}."))
    }

    /// Forgets the snapshots before a time, but for the newest.
    pub fn expire(&self, before: DateTime<Utc>) -> Result<Expired> {
        let before = write::time(before);
        let now = write::time(Utc::now());
        self.write_all(move |connection| expire(connection, &before, &now))
    }

    /// The files that were scheduled for deletion at least `grace` ago, by id.
    pub fn scheduled_files(&self, grace: Duration) -> Result<Vec<(i64, String)>> {
        let grace = chrono::TimeDelta::from_std(grace)
            .map_err(|_| Error::Internal("a grace is beyond the calendar".to_owned()))?;
        let latest = Utc::now().checked_sub_signed(grace).unwrap_or_default();
        let data_path = self.head.current().data_path().to_owned();
        let reader = self.reader.lock();
        let mut statement = reader.connection.prepare_cached(
            "SELECT data_file_id, path, path_is_relative FROM ducklake_files_scheduled_for_deletion WHERE schedule_start <= ?1",
        )?;
        let rows = statement.query_map(params![write::time(latest)], |row| {
            let (path, is_relative): (String, bool) = (row.get(1)?, row.get(2)?);
            let path = paths::resolve(&data_path, [(path.as_str(), is_relative)]);
            Ok((row.get(0)?, path))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Forgets scheduled files, which are deleted.
    pub fn forget_scheduled(&self, ids: Vec<i64>) -> Result<()> {
        self.write_all(move |connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for id in &ids {
                transaction.execute(
                    "DELETE FROM ducklake_files_scheduled_for_deletion WHERE data_file_id = ?1",
                    params![id],
                )?;
            }
            Ok(transaction.commit()?)
        })
    }

    /// The full paths of all files that any snapshot names, or that are scheduled for deletion.
    pub fn named_files(&self) -> Result<Vec<String>> {
        let data_path = self.head.current().data_path().to_owned();
        let reader = self.reader.lock();
        let mut all = files(&reader.connection, &data_path, "")?
            .into_iter()
            .map(|file| file.path)
            .collect::<Vec<_>>();
        drop(reader);
        all.extend(
            self.scheduled_files(Duration::ZERO)?
                .into_iter()
                .map(|(_, path)| path),
        );
        Ok(all)
    }

    /// What is inconsistent in the database, in full sentences.
    pub fn integrity(&self) -> Result<Vec<String>> {
        let reader = self.reader.lock();
        let mut problems = Vec::new();
        let mut statement = reader.connection.prepare("PRAGMA integrity_check(20)")?;
        let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
        for line in lines {
            let line = line?;
            if line != "ok" {
                problems.push(format!("SQLite says: {line}."));
            }
        }
        for (query, problem) in [
            (
                "SELECT count(*) FROM ducklake_delete_file d WHERE end_snapshot IS NULL AND NOT EXISTS (SELECT 1 FROM ducklake_data_file f WHERE f.data_file_id = d.data_file_id)",
                "delete files belong to no data file",
            ),
            (
                "SELECT count(*) FROM ducklake_data_file f WHERE end_snapshot IS NULL AND NOT EXISTS (SELECT 1 FROM ducklake_table t WHERE t.table_id = f.table_id AND t.end_snapshot IS NULL)",
                "data files belong to no table",
            ),
            (
                "SELECT count(*) FROM ducklake_table t WHERE end_snapshot IS NULL AND NOT EXISTS (SELECT 1 FROM ducklake_schema s WHERE s.schema_id = t.schema_id AND s.end_snapshot IS NULL)",
                "tables belong to no schema",
            ),
            (
                "SELECT count(*) FROM (SELECT table_id, column_id FROM ducklake_column WHERE end_snapshot IS NULL GROUP BY 1, 2 HAVING count(*) > 1)",
                "columns are there twice",
            ),
            (
                "SELECT count(*) FROM (SELECT data_file_id FROM ducklake_delete_file WHERE end_snapshot IS NULL GROUP BY 1 HAVING count(*) > 1)",
                "data files have two delete files",
            ),
        ] {
            let count: i64 = reader.connection.query_row(query, [], |row| row.get(0))?;
            if count > 0 {
                problems.push(format!("{count} {problem}."));
            }
        }
        Ok(problems)
    }
}

struct NamedFile {
    id: i64,
    path: String,
}

/// The files that any snapshot names, of rows `f` for which `condition` holds.
fn files(sql: &Connection, data_path: &str, condition: &str) -> Result<Vec<NamedFile>> {
    let mut found = Vec::new();
    for (table, id) in [
        ("ducklake_data_file", "data_file_id"),
        ("ducklake_delete_file", "delete_file_id"),
    ] {
        // A table may have been moved to another directory by an outside writer: each row of it counts.
        let query = format!(
            "SELECT DISTINCT f.{id}, s.path, s.path_is_relative, t.path, t.path_is_relative, f.path, f.path_is_relative FROM {table} f JOIN ducklake_table t ON t.table_id = f.table_id JOIN ducklake_schema s ON s.schema_id = t.schema_id {condition}"
        );
        let mut statement = sql.prepare_cached(&query)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let parts: [(String, bool); 3] = [
                (row.get(1)?, row.get(2)?),
                (row.get(3)?, row.get(4)?),
                (row.get(5)?, row.get(6)?),
            ];
            let parts = parts
                .iter()
                .map(|(path, relative)| (path.as_str(), *relative));
            found.push(NamedFile {
                id: row.get(0)?,
                path: paths::resolve(data_path, parts),
            });
        }
    }
    Ok(found)
}

fn expire(connection: &mut Connection, before: &str, now: &str) -> Result<Expired> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let snapshots = transaction.execute(
        "DELETE FROM ducklake_snapshot WHERE snapshot_time < ?1 AND snapshot_id < (SELECT max(snapshot_id) FROM ducklake_snapshot)",
        params![before],
    )?;
    transaction.execute(
        "DELETE FROM ducklake_snapshot_changes WHERE snapshot_id NOT IN (SELECT snapshot_id FROM ducklake_snapshot)",
        [],
    )?;
    let oldest: i64 = transaction.query_row(
        "SELECT min(snapshot_id) FROM ducklake_snapshot",
        [],
        |row| row.get(0),
    )?;
    let gone = format!("end_snapshot <= {oldest}");
    // Full paths, because the rows that relative ones are relative to may go too. Outside readers delete what is listed the same way.
    let data_path: String = transaction.query_row(
        "SELECT \"value\" FROM ducklake_metadata WHERE \"key\" = 'data_path' AND \"scope\" IS NULL",
        [],
        |row| row.get(0),
    )?;
    let mut count = 0;
    let mut seen = std::collections::HashSet::new();
    for NamedFile { id, path } in files(&transaction, &data_path, &format!("WHERE f.{gone}"))? {
        if !seen.insert(id) {
            continue;
        }
        let (path, is_relative) = match path.strip_prefix(&data_path) {
            Some(relative) => (relative, true),
            None => (path.as_str(), false),
        };
        transaction.execute(
            "INSERT INTO ducklake_files_scheduled_for_deletion VALUES (?1, ?2, ?3, ?4)",
            params![id, path, is_relative, now],
        )?;
        count += 1;
    }
    for table in VERSIONED.into_iter().chain(["tributary_column"]) {
        transaction.execute(&format!("DELETE FROM {table} WHERE {gone}"), [])?;
    }
    let inlined = {
        let mut statement =
            transaction.prepare("SELECT table_id, table_name FROM ducklake_inlined_data_tables")?;
        let rows = statement.query_map([], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
        })?;
        rows.collect::<Result<Vec<_>, _>>()?
    };
    for (table, name) in inlined {
        let there = transaction
            .query_row(
                "SELECT 1 FROM ducklake_table WHERE table_id = ?1 LIMIT 1",
                params![table],
                |_| Ok(()),
            )
            .optional()?;
        if there.is_some() {
            transaction.execute(&format!("DELETE FROM {} WHERE {gone}", quote(&name)), [])?;
        } else {
            transaction.execute_batch(&format!("DROP TABLE {}", quote(&name)))?;
            transaction.execute(
                "DELETE FROM ducklake_inlined_data_tables WHERE table_name = ?1",
                params![name],
            )?;
        }
    }
    for table in [
        "ducklake_table_stats",
        "ducklake_table_column_stats",
        "ducklake_schema_versions",
        "tributary_ingest_file",
    ] {
        transaction.execute(
            &format!(
                "DELETE FROM {table} WHERE table_id NOT IN (SELECT table_id FROM ducklake_table)"
            ),
            [],
        )?;
    }
    transaction.execute(
        "DELETE FROM ducklake_file_column_stats WHERE data_file_id NOT IN (SELECT data_file_id FROM ducklake_data_file)",
        [],
    )?;
    let recorded = {
        let mut statement = transaction.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB 'ducklake_inlined_delete_[0-9]*'")?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
        rows.collect::<Result<Vec<_>, _>>()?
    };
    for name in recorded {
        let name = quote(&name);
        transaction.execute(
            &format!("DELETE FROM {name} WHERE file_id NOT IN (SELECT data_file_id FROM ducklake_data_file)"),
            [],
        )?;
    }
    transaction.execute(
        "DELETE FROM tributary_data_file WHERE data_file_id NOT IN (SELECT data_file_id FROM ducklake_data_file UNION ALL SELECT delete_file_id FROM ducklake_delete_file)",
        [],
    )?;
    transaction.commit()?;
    Ok(Expired {
        snapshots: snapshots as u64,
        files: count,
    })
}
