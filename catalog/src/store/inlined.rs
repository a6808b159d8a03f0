//! The tables of the database that hold inlined rows: one for each table and version of its schema.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, ToSql, params, params_from_iter};

use crate::commit::InlinedRows;
use crate::deletes::Positions;
use crate::error::Result;
use crate::inline::{Inlined, chunk_of_cells};
use crate::model::{Column, TableId};
use crate::spec::changes::quote;
use crate::spec::internal::INLINED_COLUMNS;
use crate::spec::values::{Cell, cell_type};

/// Which of these tables are known to be there, so that each insert need not look.
#[derive(Debug, Default)]
pub struct Known(HashSet<(TableId, i64)>);

impl Known {
    /// Forgets all, because what was made may have been rolled back.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// The name of the table for rows written with a version of the schema.
pub fn name(table: TableId, version: i64) -> String {
    format!("ducklake_inlined_data_{table}_{version}")
}

/// Ends rows and inserts rows, in that order: an updated row keeps its id.
pub fn write(sql: &Connection, at: i64, rows: &InlinedRows, known: &mut Known) -> Result<()> {
    if !rows.ended.is_empty() {
        for table in tables(sql, rows.table)? {
            let statement = format!(
                "UPDATE {} SET end_snapshot = ?1 WHERE row_id = ?2 AND end_snapshot IS NULL",
                quote(&table.0)
            );
            let mut statement = sql.prepare_cached(&statement)?;
            for id in &rows.ended {
                statement.execute(params![at, id.cast_signed()])?;
            }
        }
    }
    if rows.inserted.is_empty() {
        return Ok(());
    }
    let name = name(rows.table, rows.version);
    if !known.0.contains(&(rows.table, rows.version)) {
        create(sql, rows, &name)?;
        known.0.insert((rows.table, rows.version));
    }
    let marks = vec!["?"; rows.columns.len() + INLINED_COLUMNS.len()].join(",");
    let statement = format!("INSERT INTO {} VALUES ({marks})", quote(&name));
    let mut statement = sql.prepare_cached(&statement)?;
    for (id, cells) in &rows.inserted {
        let own = [Cell::Int(*id), Cell::Int(at), Cell::Null];
        statement.execute(params_from_iter(own.iter().chain(cells)))?;
        crate::fail::point("a row is inlined");
    }
    Ok(())
}

fn create(sql: &Connection, rows: &InlinedRows, name: &str) -> Result<()> {
    let query =
        "SELECT 1 FROM ducklake_inlined_data_tables WHERE table_id = ?1 AND schema_version = ?2";
    let there = sql
        .prepare_cached(query)?
        .query_row(params![rows.table.0, rows.version], |_| Ok(()))
        .optional()?;
    if there.is_some() {
        return Ok(());
    }
    let own = INLINED_COLUMNS.map(|name| format!("{name} BIGINT"));
    let columns = rows
        .columns
        .iter()
        .map(|column| format!("{} {}", quote(&column.name), cell_type(&column.column_type)));
    let columns = own
        .into_iter()
        .chain(columns)
        .collect::<Vec<_>>()
        .join(", ");
    let table = quote(name);
    let index = name.replace("ducklake_inlined_data", "tributary_inlined");
    // Rows that are there are found by row id, those of a commit by snapshot.
    sql.execute_batch(&format!(
        "CREATE TABLE {table}({columns});
         CREATE INDEX {index}_live ON {table}(row_id) WHERE end_snapshot IS NULL;
         CREATE INDEX {index}_born ON {table}(begin_snapshot);
         CREATE INDEX {index}_ended ON {table}(end_snapshot) WHERE end_snapshot IS NOT NULL;"
    ))?;
    sql.prepare_cached("INSERT INTO ducklake_inlined_data_tables VALUES (?1, ?2, ?3)")?
        .execute(params![rows.table.0, name, rows.version])?;
    Ok(())
}

/// Names and versions of the tables for one table, oldest first.
fn tables(sql: &Connection, table: TableId) -> Result<Vec<(String, i64)>> {
    let mut statement = sql.prepare_cached(
        "SELECT table_name, schema_version FROM ducklake_inlined_data_tables WHERE table_id = ?1 ORDER BY schema_version",
    )?;
    let rows = statement.query_map(params![table.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The inlined rows of all tables.
pub struct Loader<'a> {
    pub sql: &'a Connection,
    pub at: i64,
    /// The rows of an older snapshot, by table, to start from.
    pub known: BTreeMap<TableId, (i64, Arc<Inlined>)>,
}

impl Loader<'_> {
    /// The rows of one table; the feature in words if we cannot read them. `columns` says which columns the table had in a version.
    pub fn load(
        &self,
        table: TableId,
        columns: impl Fn(i64) -> Result<Vec<Column>>,
    ) -> Result<Result<Arc<Inlined>, String>> {
        let tables = tables(self.sql, table)?;
        if tables.is_empty() {
            return Ok(Ok(Arc::default()));
        }
        let (since, known) = match self.known.get(&table) {
            Some((since, known)) if *since <= self.at => (*since, Arc::clone(known)),
            _ => (-1, Arc::default()),
        };
        let mut ended = Positions::new();
        let mut chunks = Vec::new();
        for (name, version) in tables {
            let table = quote(&name);
            if since >= 0 {
                let query = format!(
                    "SELECT row_id FROM {table} WHERE end_snapshot > ?1 AND end_snapshot <= ?2 AND begin_snapshot <= ?1"
                );
                let mut statement = self.sql.prepare_cached(&query)?;
                let ids = statement.query_map(params![since, self.at], |row| row.get(0))?;
                for id in ids {
                    ended.insert(i64::cast_unsigned(id?));
                }
            }
            let query = format!(
                "SELECT * FROM {table} WHERE begin_snapshot > ?1 AND begin_snapshot <= ?2 AND (end_snapshot IS NULL OR end_snapshot > ?2) ORDER BY begin_snapshot, row_id"
            );
            let mut statement = self.sql.prepare_cached(&query)?;
            let width = statement.column_count();
            let mut rows = statement.query(params![since, self.at])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let cells = (INLINED_COLUMNS.len()..width)
                    .map(|at| row.get_ref(at).map(cell))
                    .collect::<Result<Vec<_>, _>>()?;
                found.push((row.get(0)?, row.get(1)?, cells));
            }
            if found.is_empty() {
                continue;
            }
            let columns = columns(version)?;
            if columns.len() + INLINED_COLUMNS.len() != width
                || columns.iter().any(|column| !column.children.is_empty())
            {
                return Ok(Err("inlined rows of another form".to_owned()));
            }
            match chunk_of_cells(columns.into(), version, &found)? {
                Some(chunk) => chunks.push(chunk),
                None => return Ok(Err("inlined rows of another form".to_owned())),
            }
        }
        if chunks.is_empty() && ended.is_empty() {
            return Ok(Ok(known));
        }
        let mut all = known.without(&ended)?;
        for chunk in chunks {
            all = all.with(chunk)?;
        }
        Ok(Ok(Arc::new(all)))
    }
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(value) => Cell::Int(value),
        ValueRef::Real(value) => Cell::Text(value.to_string()),
        ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Cell::Blob(bytes.to_vec()),
    }
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Value::Null),
            Self::Int(value) => ToSqlOutput::Owned(Value::Integer(*value)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Blob(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

/// Records deletes of rows of a data file in the database.
pub fn record_deletes(
    sql: &Connection,
    at: i64,
    table: TableId,
    file: i64,
    rows: &Positions,
) -> Result<()> {
    let name = format!("ducklake_inlined_delete_{table}");
    let there = sql
        .prepare_cached("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1")?
        .query_row(params![name], |_| Ok(()))
        .optional()?;
    if there.is_none() {
        sql.execute_batch(&format!(
            "CREATE TABLE {name}(file_id BIGINT, row_id BIGINT, begin_snapshot BIGINT)"
        ))?;
    }
    let mut statement = sql.prepare_cached(&format!("INSERT INTO {name} VALUES (?1, ?2, ?3)"))?;
    for row in rows {
        statement.execute(params![file, row.cast_signed(), at])?;
    }
    Ok(())
}
