//! The rows of a commit, inside its SQL transaction.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, ErrorCode, params};

use super::inlined;
use super::statistics::{Added, Statistics};

use crate::commit::Batch;
use crate::deletes::DeleteFile;
use crate::error::{Error, Result};
use crate::fail;
use crate::ingest::IngestedFile;
use crate::model::{Column, ColumnId, DataFile, FileId, Table, TableId};
use crate::snapshot::Snapshot;
use crate::spec::types::ColumnType;
use crate::spec::{changes, defaults};

/// Writes all rows of `batch`, but for statistics of tables, which are left to be saved with those of other commits.
pub fn write(sql: &Connection, batch: &Batch, known: &mut inlined::Known) -> Result<()> {
    let at = batch.after.id.0;
    run(
        sql,
        "INSERT INTO ducklake_snapshot VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            at,
            time(batch.after.committed_at),
            batch.after.schema_version,
            batch.after.next_catalog_id,
            batch.after.next_file_id
        ],
    )?;
    run(
        sql,
        "INSERT INTO ducklake_snapshot_changes (snapshot_id, changes_made) VALUES (?1, ?2)",
        params![at, changes::print(&batch.changes)],
    )?;
    end_rows(sql, batch, at)?;
    for schema in &batch.new_schemas {
        run(
            sql,
            "INSERT INTO ducklake_schema VALUES (?1, ?2, ?3, NULL, ?4, ?5, ?6)",
            params![
                schema.id.0,
                schema.uuid,
                at,
                schema.name,
                schema.path,
                schema.path_is_relative
            ],
        )?;
    }
    for table in &batch.new_tables {
        run(
            sql,
            "INSERT INTO ducklake_table VALUES (?1, ?2, ?3, NULL, ?4, ?5, ?6, ?7)",
            params![
                table.id.0,
                table.uuid,
                at,
                table.schema_id.0,
                table.name,
                table.path,
                table.path_is_relative
            ],
        )?;
    }
    for (table, column, parent) in &batch.new_columns {
        insert_column(sql, at, *table, column, *parent)?;
    }
    for view in &batch.new_views {
        let aliases = view
            .column_aliases
            .iter()
            .map(|name| changes::quote(name))
            .collect::<Vec<_>>()
            .join(",");
        run(
            sql,
            "INSERT INTO ducklake_view VALUES (?1, ?2, ?3, NULL, ?4, ?5, ?6, ?7, ?8)",
            params![
                view.id.0,
                view.uuid,
                at,
                view.schema_id.0,
                view.name,
                view.dialect,
                view.sql,
                aliases
            ],
        )?;
    }
    for (object, key, value) in &batch.tags {
        let ended = "UPDATE ducklake_tag SET end_snapshot = ?1 WHERE object_id = ?2 AND \"key\" = ?3 AND end_snapshot IS NULL";
        run(sql, ended, params![at, object, key])?;
        run(
            sql,
            "INSERT INTO ducklake_tag VALUES (?1, ?2, NULL, ?3, ?4)",
            params![object, at, key, value],
        )?;
    }
    for (table, column, comment) in &batch.column_comments {
        let ended = "UPDATE ducklake_column_tag SET end_snapshot = ?1 WHERE table_id = ?2 AND column_id = ?3 AND \"key\" = 'comment' AND end_snapshot IS NULL";
        run(sql, ended, params![at, table.0, column.0])?;
        run(
            sql,
            "INSERT INTO ducklake_column_tag VALUES (?1, ?2, ?3, NULL, 'comment', ?4)",
            params![table.0, column.0, at, comment],
        )?;
    }
    for table in &batch.schema_versions {
        run(
            sql,
            "INSERT INTO ducklake_schema_versions VALUES (?1, ?2, ?3)",
            params![at, batch.after.schema_version, table.0],
        )?;
    }
    for (table, data_file, file) in &batch.new_delete_files {
        insert_delete_file(sql, at, *table, *data_file, file)?;
    }
    for (table, files) in &batch.new_files {
        for file in files {
            insert_file(sql, at, table, file)?;
        }
    }
    for (table, file, positions) in &batch.recorded_deletes {
        inlined::record_deletes(sql, at, *table, file.0, positions)?;
    }
    for rows in &batch.inlined {
        inlined::write(sql, at, rows, known)?;
    }
    for (table, file) in &batch.ingested {
        insert_ingested(sql, at, &batch.after, *table, file)?;
    }
    Ok(())
}

/// Adds the rows of `batch` to the statistics of their tables.
pub fn count(sql: &Connection, batch: &Batch, statistics: &mut Statistics) -> Result<()> {
    for (table, files) in &batch.new_files {
        let added = Added {
            table,
            rows: files.iter().map(|file| file.rows).sum(),
            bytes: files.iter().map(|file| file.bytes).sum(),
            parts: files.iter().map(|file| file.columns.as_slice()).collect(),
        };
        statistics.add(sql, &added)?;
    }
    for rows in &batch.inlined {
        if let Some(table) = batch.after.table_by_id(rows.table) {
            let added = Added {
                table,
                rows: rows.inserted.len() as u64,
                bytes: 0,
                parts: rows.statistics.iter().map(Vec::as_slice).collect(),
            };
            statistics.add(sql, &added)?;
        }
    }
    for (table, next) in &batch.row_ids {
        // Those of rows that were deleted again are not used either.
        if batch.after.table_by_id(*table).is_some() {
            statistics.reserve(sql, *table, *next)?;
        }
    }
    Ok(())
}

/// A time as the official extension writes it.
pub fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S%.6f+00").to_string()
}

fn end_rows(sql: &Connection, batch: &Batch, at: i64) -> Result<()> {
    let end = |table: &str, key: &str, id: i64| {
        let statement = format!(
            "UPDATE {table} SET end_snapshot = ?1 WHERE {key} = ?2 AND end_snapshot IS NULL"
        );
        run(sql, &statement, params![at, id])
    };
    for id in &batch.ended_schemas {
        end("ducklake_schema", "schema_id", id.0)?;
    }
    for id in &batch.ended_tables {
        end("ducklake_table", "table_id", id.0)?;
    }
    for id in &batch.dropped_tables {
        for table in [
            "ducklake_table",
            "ducklake_column",
            "ducklake_column_tag",
            "ducklake_data_file",
            "ducklake_delete_file",
            "ducklake_partition_info",
            "ducklake_sort_info",
            "tributary_column",
        ] {
            end(table, "table_id", id.0)?;
        }
        end("ducklake_tag", "object_id", id.0)?;
    }
    for id in &batch.ended_views {
        end("ducklake_view", "view_id", id.0)?;
    }
    for id in &batch.ended_tags {
        end("ducklake_tag", "object_id", *id)?;
    }
    for id in &batch.ended_files {
        end("ducklake_data_file", "data_file_id", id.0)?;
    }
    for id in &batch.ended_delete_files {
        end("ducklake_delete_file", "delete_file_id", id.0)?;
    }
    for (table, column) in &batch.ended_columns {
        for catalog in ["ducklake_column", "tributary_column"] {
            let statement = format!(
                "UPDATE {catalog} SET end_snapshot = ?1 WHERE table_id = ?2 AND column_id = ?3 AND end_snapshot IS NULL"
            );
            run(sql, &statement, params![at, table.0, column.0])?;
        }
    }
    for (table, column) in &batch.dropped_columns {
        let statement = "UPDATE ducklake_column_tag SET end_snapshot = ?1 WHERE table_id = ?2 AND column_id = ?3 AND end_snapshot IS NULL";
        run(sql, statement, params![at, table.0, column.0])?;
    }
    Ok(())
}

fn insert_column(
    sql: &Connection,
    at: i64,
    table: TableId,
    column: &Column,
    parent: Option<ColumnId>,
) -> Result<()> {
    let default = defaults::store(column.default.as_deref());
    let nested = matches!(
        column.column_type,
        ColumnType::List | ColumnType::Struct | ColumnType::Map
    );
    run(
        sql,
        "INSERT INTO ducklake_column VALUES (?1, ?2, NULL, ?3, ?1, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            column.id.0,
            at,
            table.0,
            column.name,
            column.column_type.to_string(),
            column.initial_default,
            default.value,
            column.nullable,
            parent.map(|parent| parent.0),
            if nested && column.default.is_none() {
                ""
            } else {
                default.kind
            },
            default.dialect,
        ],
    )?;
    if let Some(modifier) = &column.type_modifier {
        run(
            sql,
            "INSERT INTO tributary_column VALUES (?1, ?2, ?3, NULL, ?4, ?5)",
            params![
                table.0,
                column.id.0,
                at,
                modifier.type_name,
                modifier.modifier
            ],
        )?;
    }
    Ok(())
}

fn insert_file(sql: &Connection, at: i64, table: &Table, file: &DataFile) -> Result<()> {
    run(
        sql,
        "INSERT INTO ducklake_data_file (data_file_id, table_id, begin_snapshot, path, path_is_relative, file_format, record_count, file_size_bytes, footer_size, row_id_start) VALUES (?1, ?2, ?3, ?4, ?5, 'parquet', ?6, ?7, ?8, ?9)",
        params![
            file.id.0,
            table.id.0,
            at,
            file.path,
            file.path_is_relative,
            signed(file.rows)?,
            signed(file.bytes)?,
            signed(file.footer_bytes)?,
            file.row_id_start
        ],
    )?;
    insert_checksum(sql, file.id, file.checksum.as_deref())?;
    for column in &file.columns {
        run(
            sql,
            "INSERT INTO ducklake_file_column_stats VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, NULL)",
            params![
                file.id.0,
                table.id.0,
                column.id.0,
                signed(column.bytes)?,
                signed(column.values)?,
                signed(column.nulls)?,
                column.min,
                column.max,
                column.contains_nan
            ],
        )?;
    }
    Ok(())
}

/// Delete files take their ids from the same sequence as data files.
fn insert_checksum(sql: &Connection, id: FileId, checksum: Option<&str>) -> Result<()> {
    let Some(checksum) = checksum else {
        return Ok(());
    };
    run(
        sql,
        // An outside writer may have given the id away and taken it back; its row is stale then.
        "INSERT OR REPLACE INTO tributary_data_file VALUES (?1, ?2)",
        params![id.0, checksum],
    )
}

fn insert_delete_file(
    sql: &Connection,
    at: i64,
    table: TableId,
    data_file: FileId,
    file: &DeleteFile,
) -> Result<()> {
    run(
        sql,
        "INSERT INTO ducklake_delete_file VALUES (?1, ?2, ?3, NULL, ?4, ?5, ?6, 'parquet', ?7, ?8, ?9, NULL, NULL)",
        params![
            file.id.0,
            table.0,
            at,
            data_file.0,
            file.path,
            file.path_is_relative,
            signed(file.rows)?,
            signed(file.bytes)?,
            signed(file.footer_bytes)?
        ],
    )?;
    insert_checksum(sql, file.id, file.checksum.as_deref())
}

fn insert_ingested(
    sql: &Connection,
    at: i64,
    after: &Snapshot,
    table: TableId,
    file: &IngestedFile,
) -> Result<()> {
    let outcome = run(
        sql,
        "INSERT INTO tributary_ingest_file VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            table.0,
            file.path,
            signed(file.bytes)?,
            file.modified_at.map(|time| time.to_rfc3339()),
            file.checksum,
            signed(file.rows)?,
            at
        ],
    );
    match outcome {
        Err(Error::Sqlite(rusqlite::Error::SqliteFailure(failure, _)))
            if failure.code == ErrorCode::ConstraintViolation =>
        {
            let table = after
                .table_by_id(table)
                .map(|table| table.qualified_name())
                .unwrap_or_default();
            Err(Error::AlreadyIngested {
                path: file.path.clone(),
                table,
            })
        }
        other => other,
    }
}

/// A count as the catalog holds it.
pub fn signed(value: u64) -> Result<i64> {
    i64::try_from(value).map_err(|_| Error::Internal(format!("{value} does not fit the catalog")))
}

/// Runs a statement that stays prepared.
pub fn run(sql: &Connection, statement: &str, values: &[&dyn rusqlite::ToSql]) -> Result<()> {
    sql.prepare_cached(statement)?.execute(values)?;
    fail::point("a statement of a commit has run");
    Ok(())
}
