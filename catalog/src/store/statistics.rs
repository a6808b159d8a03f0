//! Bounds and counts over all rows of a table, by which outside readers plan: kept in memory by the writing thread, written once a group of
//! commits.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, OptionalExtension, params};

use super::write::{run, signed};
use crate::error::Result;
use crate::model::{Column, ColumnId, FileColumn, Table, TableId};
use crate::spec::stats::Bound;
use crate::spec::types::ColumnType;

/// The statistics of the tables that commits have touched. True while no other process commits.
#[derive(Debug, Default)]
pub struct Statistics {
    tables: HashMap<TableId, TableStatistics>,
}

#[derive(Debug, Clone)]
struct TableStatistics {
    rows: i64,
    next_row_id: i64,
    bytes: i64,
    /// Whether the table had a row before, so that a column without statistics is unknown.
    had_rows: bool,
    is_stored: bool,
    columns: BTreeMap<ColumnId, TableColumn>,
    changed: bool,
}

#[derive(Debug, Clone)]
struct TableColumn {
    known: ColumnBounds,
    /// Whether rows before have a value in the column.
    has_values: bool,
    is_stored: bool,
    changed: bool,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct ColumnBounds {
    contains_null: Option<bool>,
    contains_nan: Option<bool>,
    min: Option<String>,
    max: Option<String>,
}

/// Rows that a commit adds to a table: how many, in how many bytes of files, and the statistics of each part of them.
#[derive(Debug)]
pub struct Added<'a> {
    pub table: &'a Table,
    pub rows: u64,
    pub bytes: u64,
    pub parts: Vec<&'a [FileColumn]>,
}

impl Statistics {
    /// Forgets everything, because another process has committed or a commit has failed.
    pub fn clear(&mut self) {
        self.tables.clear();
    }

    /// The row id that the next row of a table gets.
    pub fn next_row_id(&mut self, sql: &Connection, table: TableId) -> Result<i64> {
        Ok(self.table(sql, table)?.next_row_id)
    }

    /// Takes the row ids below `next`.
    pub fn reserve(&mut self, sql: &Connection, table: TableId, next: i64) -> Result<()> {
        let table = self.table(sql, table)?;
        table.changed |= next > table.next_row_id;
        table.next_row_id = table.next_row_id.max(next);
        Ok(())
    }

    /// Adds rows.
    pub fn add(&mut self, sql: &Connection, added: &Added<'_>) -> Result<()> {
        let table = self.table(sql, added.table.id)?;
        table.rows += signed(added.rows)?;
        table.bytes += signed(added.bytes)?;
        table.changed = true;
        let leaves = added.table.columns.iter().flat_map(Column::walk);
        for column in leaves.filter(|column| column.children.is_empty()) {
            if table.had_rows && !table.columns.contains_key(&column.id) {
                // What is not known of the rows before must stay unknown.
                continue;
            }
            let floating = matches!(
                column.column_type,
                ColumnType::Float32 | ColumnType::Float64
            );
            let known = table
                .columns
                .entry(column.id)
                .or_insert_with(|| TableColumn {
                    known: ColumnBounds {
                        contains_null: Some(false),
                        contains_nan: floating.then_some(false),
                        ..ColumnBounds::default()
                    },
                    has_values: false,
                    is_stored: false,
                    changed: true,
                });
            for part in &added.parts {
                known.widen(column, part.iter().find(|part| part.id == column.id));
            }
        }
        table.had_rows |= added.rows > 0;
        Ok(())
    }

    /// Writes what has changed.
    pub fn save(&mut self, sql: &Connection) -> Result<()> {
        for (id, table) in &mut self.tables {
            if !std::mem::take(&mut table.changed) {
                continue;
            }
            let statement = if std::mem::replace(&mut table.is_stored, true) {
                "UPDATE ducklake_table_stats SET record_count = ?2, next_row_id = ?3, file_size_bytes = ?4 WHERE table_id = ?1"
            } else {
                "INSERT INTO ducklake_table_stats VALUES (?1, ?2, ?3, ?4)"
            };
            run(
                sql,
                statement,
                params![id.0, table.rows, table.next_row_id, table.bytes],
            )?;
            for (column, entry) in &mut table.columns {
                if !std::mem::take(&mut entry.changed) {
                    continue;
                }
                let statement = if std::mem::replace(&mut entry.is_stored, true) {
                    "UPDATE ducklake_table_column_stats SET contains_null = ?3, contains_nan = ?4, min_value = ?5, max_value = ?6 WHERE table_id = ?1 AND column_id = ?2"
                } else {
                    "INSERT INTO ducklake_table_column_stats VALUES (?1, ?2, ?3, ?4, ?5, ?6, NULL)"
                };
                let known = &entry.known;
                run(
                    sql,
                    statement,
                    params![
                        id.0,
                        column.0,
                        known.contains_null,
                        known.contains_nan,
                        known.min,
                        known.max
                    ],
                )?;
            }
        }
        Ok(())
    }

    fn table(&mut self, sql: &Connection, id: TableId) -> Result<&mut TableStatistics> {
        match self.tables.entry(id) {
            std::collections::hash_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            std::collections::hash_map::Entry::Vacant(entry) => Ok(entry.insert(load(sql, id)?)),
        }
    }
}

fn load(sql: &Connection, id: TableId) -> Result<TableStatistics> {
    let stored = sql
        .prepare_cached("SELECT record_count, next_row_id, file_size_bytes FROM ducklake_table_stats WHERE table_id = ?1")?
        .query_row(params![id.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let is_stored = stored.is_some();
    let (rows, next_row_id, bytes): (i64, i64, i64) = stored.unwrap_or_default();
    let files = "SELECT 1 FROM ducklake_data_file WHERE table_id = ?1 LIMIT 1";
    let had_rows = next_row_id > 0
        || sql
            .prepare_cached(files)?
            .query_row(params![id.0], |_| Ok(()))
            .optional()?
            .is_some();
    let mut columns = BTreeMap::new();
    let mut statement = sql.prepare_cached("SELECT column_id, contains_null, contains_nan, min_value, max_value FROM ducklake_table_column_stats WHERE table_id = ?1")?;
    let mut found = statement.query(params![id.0])?;
    while let Some(row) = found.next()? {
        let column = ColumnId(row.get(0)?);
        let known = ColumnBounds {
            contains_null: row.get(1)?,
            contains_nan: row.get(2)?,
            min: row.get(3)?,
            max: row.get(4)?,
        };
        // A row without bounds does not say whether there are values: they may all have been NULL, or without bounds.
        let has_values = known.min.is_some()
            || known.max.is_some()
            || known.contains_nan == Some(true)
            || file_with_values(sql, id, column)?;
        columns.insert(
            column,
            TableColumn {
                known,
                has_values,
                is_stored: true,
                changed: false,
            },
        );
    }
    Ok(TableStatistics {
        rows,
        next_row_id,
        bytes,
        had_rows,
        is_stored,
        columns,
        changed: false,
    })
}

fn file_with_values(sql: &Connection, table: TableId, column: ColumnId) -> Result<bool> {
    let query = "SELECT 1 FROM ducklake_file_column_stats WHERE table_id = ?1 AND column_id = ?2 AND (value_count IS NULL OR value_count > 0) LIMIT 1";
    let found = sql
        .prepare_cached(query)?
        .query_row(params![table.0, column.0], |_| Ok(()))
        .optional()?;
    Ok(found.is_some())
}

impl TableColumn {
    /// Widens the bounds by those of a part; one without any makes all unknown.
    fn widen(&mut self, column: &Column, part: Option<&FileColumn>) {
        let before = self.known.clone();
        match part {
            None => {
                self.known = ColumnBounds::default();
                self.has_values = true;
            }
            Some(part) => {
                let known = &mut self.known;
                known.contains_null = either(known.contains_null, Some(part.nulls > 0));
                known.contains_nan = either(known.contains_nan, part.contains_nan);
                if part.values > 0 {
                    let column_type = &column.column_type;
                    if std::mem::replace(&mut self.has_values, true) {
                        known.min = bound(known.min.take(), part.min.as_ref(), column_type, false);
                        known.max = bound(known.max.take(), part.max.as_ref(), column_type, true);
                    } else {
                        (known.min, known.max) = (part.min.clone(), part.max.clone());
                    }
                }
            }
        }
        self.changed |= self.known != before;
    }
}

fn either(left: Option<bool>, right: Option<bool>) -> Option<bool> {
    match (left, right) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    }
}

/// The wider of two bounds; unknown if one is.
fn bound(
    left: Option<String>,
    right: Option<&String>,
    column_type: &ColumnType,
    upper: bool,
) -> Option<String> {
    let (left, right) = (left?, right?);
    let (a, b) = (
        Bound::parse(&left, column_type)?,
        Bound::parse(right, column_type)?,
    );
    let left_wins = if upper { a >= b } else { a <= b };
    Some(if left_wins { left } else { right.clone() })
}
