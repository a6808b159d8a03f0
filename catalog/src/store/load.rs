//! Reads the newest snapshot from the rows.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use arrow::datatypes::DataType;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, TransactionBehavior, params};

use super::{inlined, sqlite};
use crate::deletes::{DeleteFile, Deletes, Positions};
use crate::error::{Error, Result};
use crate::model::{
    COMMENT, Column, ColumnId, DataFile, FileColumn, FileId, Schema, SchemaId, SnapshotId, Table,
    TableId, TypeModifier, View, ViewId,
};
use crate::snapshot::Snapshot;
use crate::spec::changes::split;
use crate::spec::defaults;
use crate::spec::types::ColumnType;

/// Rows that are valid at snapshot `?1`.
macro_rules! live {
    ($query:literal) => {
        concat!(
            $query,
            " begin_snapshot <= ?1 AND (end_snapshot IS NULL OR end_snapshot > ?1)"
        )
    };
    ($query:literal, $order:literal) => {
        concat!(
            $query,
            " begin_snapshot <= ?1 AND (end_snapshot IS NULL OR end_snapshot > ?1) ",
            $order
        )
    };
}

/// The newest snapshot, read as one consistent state.
///
/// Files never change and ids are never used twice, so what `known` has of a file is taken from there: after a commit of
/// another process only the new files are read.
pub fn load(
    connection: &mut Connection,
    directory: &Path,
    data_path: &str,
    known: Option<&Snapshot>,
) -> Result<Snapshot> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
    load_within(&transaction, directory, data_path, known)
}

/// The newest snapshot, within a transaction.
pub fn load_within(
    sql: &Connection,
    directory: &Path,
    data_path: &str,
    known: Option<&Snapshot>,
) -> Result<Snapshot> {
    Loader {
        sql,
        directory,
        data_path,
        at: sqlite::newest_snapshot(sql)?.0,
        known,
    }
    .load()
}

/// An older snapshot, which is there.
pub fn load_at(
    connection: &mut Connection,
    directory: &Path,
    data_path: &str,
    at: SnapshotId,
) -> Result<Snapshot> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
    Loader {
        sql: &transaction,
        directory,
        data_path,
        at: at.0,
        known: None,
    }
    .load()
}

/// A time as the official extension writes it, with or without a fraction.
pub fn time(text: &str, directory: &Path) -> Result<DateTime<Utc>> {
    DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z")
        .map(|time| time.with_timezone(&Utc))
        .map_err(|_| Error::CatalogDamaged {
            path: directory.to_owned(),
            reason: format!("The time \"{text}\" of a snapshot cannot be read."),
        })
}

struct Loader<'a> {
    sql: &'a Connection,
    directory: &'a Path,
    data_path: &'a str,
    at: i64,
    known: Option<&'a Snapshot>,
}

/// Name, path and whether the path is relative.
type Schemas = HashMap<SchemaId, (String, String, bool)>;

type Tags = HashMap<i64, BTreeMap<String, String>>;

impl Loader<'_> {
    fn load(&self) -> Result<Snapshot> {
        self.read().map_err(|error| match error {
            // Two live rows that claim one name are no error of the user's.
            Error::DuplicateSchema { .. } | Error::DuplicateRelation { .. } => {
                self.damaged(format!("It says twice: {error}."))
            }
            other => other,
        })
    }

    fn read(&self) -> Result<Snapshot> {
        let query = "SELECT snapshot_time, schema_version, next_catalog_id, next_file_id FROM ducklake_snapshot WHERE snapshot_id = ?1";
        let (text, schema_version, next_catalog_id, next_file_id) = self
            .sql
            .prepare_cached(query)?
            .query_row(params![self.at], |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                ))
            })?;
        let at = time(&text, self.directory)?;
        let mut snapshot = Snapshot::empty(SnapshotId(self.at), at, self.data_path);
        snapshot.schema_version = schema_version;
        snapshot.next_catalog_id = next_catalog_id;
        snapshot.next_file_id = next_file_id;
        let mut tags = self.tags()?;
        let schemas = self.schemas(&mut tags, &mut snapshot)?;
        self.tables(&schemas, &mut tags, &mut snapshot)?;
        self.views(&schemas, &mut tags, &mut snapshot)?;
        Ok(snapshot)
    }

    fn damaged(&self, reason: String) -> Error {
        Error::CatalogDamaged {
            path: self.directory.to_owned(),
            reason,
        }
    }

    fn count(&self, value: i64) -> Result<u64> {
        u64::try_from(value).map_err(|_| self.damaged(format!("A count is negative: {value}.")))
    }

    fn tags(&self) -> Result<Tags> {
        let mut tags = Tags::new();
        let mut statement = self.sql.prepare_cached(live!(
            "SELECT object_id, \"key\", \"value\" FROM ducklake_tag WHERE \"value\" IS NOT NULL AND"
        ))?;
        let mut rows = statement.query(params![self.at])?;
        while let Some(row) = rows.next()? {
            tags.entry(row.get(0)?)
                .or_default()
                .insert(row.get(1)?, row.get(2)?);
        }
        Ok(tags)
    }

    fn schemas(&self, tags: &mut Tags, snapshot: &mut Snapshot) -> Result<Schemas> {
        let mut names = HashMap::new();
        let mut statement = self.sql.prepare_cached(live!(
            "SELECT schema_id, schema_uuid, schema_name, path, path_is_relative FROM ducklake_schema WHERE"
        ))?;
        let mut rows = statement.query(params![self.at])?;
        while let Some(row) = rows.next()? {
            let id = SchemaId(row.get(0)?);
            let name: String = row.get(2)?;
            names.insert(id, (name.clone(), row.get(3)?, row.get(4)?));
            snapshot.put_schema(Arc::new(Schema {
                id,
                uuid: row.get(1)?,
                name,
                path: row.get(3)?,
                path_is_relative: row.get(4)?,
                comment: tags.remove(&id.0).and_then(|mut tags| tags.remove(COMMENT)),
                relations: BTreeMap::new(),
            }))?;
        }
        Ok(names)
    }

    fn tables(&self, schemas: &Schemas, tags: &mut Tags, snapshot: &mut Snapshot) -> Result<()> {
        let mut columns = self.columns()?;
        let next_ids = self.next_column_ids()?;
        let versions = self.schema_versions()?;
        let known = self.known.filter(|known| {
            // Rows that an outside writer has flushed, or an expiry has taken away, are not found by what was added and ended since.
            let forgotten = "SELECT (SELECT min(snapshot_id) FROM ducklake_snapshot) > ?1 OR EXISTS (SELECT 1 FROM ducklake_snapshot_changes WHERE snapshot_id > ?1 AND changes_made LIKE '%inline_flush%')";
            let forgotten = self
                .sql
                .prepare_cached(forgotten)
                .and_then(|mut statement| statement.query_row(params![known.id.0], |row| row.get(0)));
            // If it cannot be asked, nothing is taken for known.
            !forgotten.unwrap_or(true)
        });
        let known = known.into_iter().flat_map(|known| {
            known
                .tables()
                .map(|table| (table.id, (known.id.0, Arc::clone(&table.inlined))))
        });
        let inlined_rows = inlined::Loader {
            sql: self.sql,
            at: self.at,
            known: known.collect(),
        };
        let mut files = self.files()?;
        let mut delete_files = self.delete_files()?;
        let mut recorded = self.recorded_deletes()?;
        let mut unreadable = self.unreadable()?;
        let mut statement = self.sql.prepare_cached(live!(
            "SELECT table_id, table_uuid, schema_id, table_name, path, path_is_relative FROM ducklake_table WHERE"
        ))?;
        let mut rows = statement.query(params![self.at])?;
        while let Some(row) = rows.next()? {
            let id = TableId(row.get(0)?);
            let schema_id = SchemaId(row.get(2)?);
            let (schema, path, path_is_relative) = schemas.get(&schema_id).ok_or_else(|| {
                self.damaged(format!(
                    "Table {id} is in schema {schema_id}, which does not exist."
                ))
            })?;
            let columns = assemble(columns.remove(&id).unwrap_or_default());
            let files = files.remove(&id).unwrap_or_default();
            let deletes = files.iter().filter_map(|file| {
                let key = (id, file.id);
                let (delete_file, recorded) = (delete_files.remove(&key), recorded.remove(&key));
                let rows_to_come = file.partial_max.is_some_and(|newest| newest > self.at);
                let later = delete_file
                    .as_ref()
                    .is_some_and(|file| file.partial_max > Some(self.at));
                let as_of = (rows_to_come || later).then_some(self.at);
                (delete_file.is_some() || recorded.is_some() || rows_to_come).then(|| {
                    let recorded = recorded.unwrap_or_default();
                    (
                        file.id,
                        Deletes::new(delete_file, recorded, as_of, rows_to_come),
                    )
                })
            });
            let deletes = Arc::new(deletes.collect());
            let (arrow_schema, scan_schema) = Table::schemas_of(&columns);
            let other = columns.iter().flat_map(Column::walk).find_map(|column| {
                match &column.column_type {
                    ColumnType::Other(name) => Some(format!("type {name}")),
                    _ => None,
                }
            });
            let inlined = match inlined_rows.load(id, |version| self.columns_of(id, version))? {
                Ok(inlined) => inlined,
                Err(feature) => {
                    unreadable.insert(id, feature);
                    Arc::default()
                }
            };
            let table = Table {
                id,
                uuid: row.get(1)?,
                schema_id,
                schema: schema.clone(),
                name: row.get(3)?,
                path: row.get(4)?,
                path_is_relative: row.get(5)?,
                schema_path: (path.clone(), *path_is_relative),
                arrow_schema,
                scan_schema,
                columns,
                files: Arc::new(files),
                deletes,
                inlined,
                schema_version: versions.get(&id).copied().unwrap_or(0),
                next_column_id: next_ids.get(&id).copied().unwrap_or(1),
                rows: 0,
                bytes: 0,
                tags: tags.remove(&id.0).unwrap_or_default(),
                unreadable: unreadable.remove(&id).or(other),
            };
            snapshot.put_table(table.counted())?;
        }
        Ok(())
    }

    /// The id that the next column of each table gets, above those of all columns it ever had.
    fn next_column_ids(&self) -> Result<HashMap<TableId, i64>> {
        let mut statement = self.sql.prepare_cached(
            "SELECT table_id, max(column_id) + 1 FROM ducklake_column GROUP BY table_id",
        )?;
        let rows = statement.query_map([], |row| Ok((TableId(row.get(0)?), row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The column rows of all tables, in order.
    fn columns(&self) -> Result<HashMap<TableId, Vec<ColumnRow>>> {
        let mut comments: HashMap<(i64, i64), String> = HashMap::new();
        let mut statement = self.sql.prepare_cached(live!(
            "SELECT table_id, column_id, \"value\" FROM ducklake_column_tag WHERE \"key\" = 'comment' AND \"value\" IS NOT NULL AND"
        ))?;
        let mut rows = statement.query(params![self.at])?;
        while let Some(row) = rows.next()? {
            comments.insert((row.get(0)?, row.get(1)?), row.get(2)?);
        }
        let mut modifiers: HashMap<(i64, i64), TypeModifier> = HashMap::new();
        let mut statement = self.sql.prepare_cached(live!(
            "SELECT table_id, column_id, type_name, type_modifier FROM tributary_column WHERE"
        ))?;
        let mut rows = statement.query(params![self.at])?;
        while let Some(row) = rows.next()? {
            let modifier = TypeModifier {
                type_name: row.get(2)?,
                modifier: row.get(3)?,
            };
            modifiers.insert((row.get(0)?, row.get(1)?), modifier);
        }
        let mut widened: HashSet<(i64, i64)> = HashSet::new();
        let mut statement = self.sql.prepare_cached(
            "SELECT table_id, column_id FROM ducklake_column WHERE column_type = 'float32' AND end_snapshot <= ?1",
        )?;
        let mut rows = statement.query(params![self.at])?;
        while let Some(row) = rows.next()? {
            widened.insert((row.get(0)?, row.get(1)?));
        }
        let mut columns: HashMap<TableId, Vec<ColumnRow>> = HashMap::new();
        let mut statement = self.sql.prepare_cached(live!(
            "SELECT table_id, column_id, column_name, column_type, initial_default, default_value, nulls_allowed, parent_column, default_value_type FROM ducklake_column WHERE",
            "ORDER BY table_id, column_order, column_id"
        ))?;
        let mut rows = statement.query(params![self.at])?;
        while let Some(row) = rows.next()? {
            let (table, id): (i64, i64) = (row.get(0)?, row.get(1)?);
            let column_type = ColumnType::parse(&row.get::<_, String>(3)?);
            let default: Option<String> = row.get(5)?;
            let kind: Option<String> = row.get(8)?;
            let parent: Option<i64> = row.get(7)?;
            let json = || TypeModifier {
                type_name: "json".to_owned(),
                modifier: -1,
            };
            let column = Column {
                id: ColumnId(id),
                name: row.get(2)?,
                data_type: DataType::Null,
                nullable: row.get::<_, Option<bool>>(6)?.unwrap_or(true),
                default: defaults::load(default.as_deref(), kind.as_deref(), &column_type),
                initial_default: row.get(4)?,
                type_modifier: modifiers
                    .remove(&(table, id))
                    .or_else(|| (column_type == ColumnType::Json).then(json)),
                comment: comments.remove(&(table, id)),
                widened: column_type == ColumnType::Float64 && widened.contains(&(table, id)),
                column_type,
                children: Vec::new(),
            };
            columns.entry(TableId(table)).or_default().push(ColumnRow {
                column,
                parent: parent.map(ColumnId),
            });
        }
        Ok(columns)
    }

    /// The version of the schema that each table has.
    fn schema_versions(&self) -> Result<HashMap<TableId, i64>> {
        let mut statement = self.sql.prepare_cached(
            "SELECT table_id, max(schema_version) FROM ducklake_schema_versions WHERE begin_snapshot <= ?1 GROUP BY table_id",
        )?;
        let rows = statement.query_map(params![self.at], |row| {
            Ok((TableId(row.get(0)?), row.get(1)?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The columns that a table had in a version of the schema.
    fn columns_of(&self, table: TableId, version: i64) -> Result<Vec<Column>> {
        let mut statement = self.sql.prepare_cached(
            "SELECT c.column_id, column_name, column_type, parent_column FROM ducklake_column c, (SELECT min(begin_snapshot) AS at FROM ducklake_schema_versions WHERE table_id = ?1 AND schema_version = ?2) WHERE table_id = ?1 AND begin_snapshot <= at AND (end_snapshot IS NULL OR end_snapshot > at) ORDER BY column_order, column_id",
        )?;
        let mut rows = statement.query(params![table.0, version])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let parent: Option<i64> = row.get(3)?;
            found.push(ColumnRow {
                column: Column {
                    id: ColumnId(row.get(0)?),
                    name: row.get(1)?,
                    column_type: ColumnType::parse(&row.get::<_, String>(2)?),
                    data_type: DataType::Null,
                    nullable: true,
                    default: None,
                    initial_default: None,
                    type_modifier: None,
                    comment: None,
                    widened: false,
                    children: Vec::new(),
                },
                parent: parent.map(ColumnId),
            });
        }
        Ok(assemble(found))
    }

    /// The data files of all tables with their statistics, oldest first.
    fn files(&self) -> Result<HashMap<TableId, Vec<Arc<DataFile>>>> {
        let known: HashMap<i64, &Arc<DataFile>> = self
            .known
            .into_iter()
            .flat_map(Snapshot::tables)
            .flat_map(|table| table.files.iter().map(|file| (file.id.0, file)))
            .collect();
        let first_new = self.known.map_or(0, |known| known.next_file_id);
        let mut statistics = self.file_columns(first_new)?;
        let mut files: HashMap<TableId, Vec<Arc<DataFile>>> = HashMap::new();
        let mut statement = self.sql.prepare_cached(live!(
            "SELECT f.data_file_id, table_id, path, path_is_relative, record_count, file_size_bytes, footer_size, row_id_start, checksum, partial_max FROM ducklake_data_file f LEFT JOIN tributary_data_file t ON t.data_file_id = f.data_file_id WHERE",
            "ORDER BY f.data_file_id"
        ))?;
        let mut rows = statement.query(params![self.at])?;
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            let files = files.entry(TableId(row.get(1)?)).or_default();
            if let Some(file) = known.get(&id) {
                files.push(Arc::clone(file));
                continue;
            }
            let mut columns = statistics.remove(&id).unwrap_or_default();
            columns.sort_by_key(|column| column.id);
            files.push(Arc::new(DataFile {
                id: FileId(id),
                path: row.get(2)?,
                path_is_relative: row.get(3)?,
                rows: self.count(row.get(4)?)?,
                bytes: self.count(row.get(5)?)?,
                footer_bytes: self.count(row.get::<_, Option<i64>>(6)?.unwrap_or(0))?,
                row_id_start: row.get(7)?,
                checksum: row.get(8)?,
                partial_max: row.get(9)?,
                columns,
                engine: OnceLock::new(),
            }));
        }
        Ok(files)
    }

    /// The delete files of all tables, by table and data file.
    fn delete_files(&self) -> Result<HashMap<(TableId, FileId), Arc<DeleteFile>>> {
        let known: HashMap<i64, &Arc<DeleteFile>> = self
            .known
            .into_iter()
            .flat_map(Snapshot::tables)
            .flat_map(|table| table.deletes.values())
            .filter_map(|deletes| deletes.file.as_ref())
            .map(|file| (file.id.0, file))
            .collect();
        let mut files = HashMap::new();
        let mut statement = self.sql.prepare_cached(live!(
            "SELECT delete_file_id, table_id, d.data_file_id, path, path_is_relative, delete_count, file_size_bytes, footer_size, partial_max, checksum FROM ducklake_delete_file d LEFT JOIN tributary_data_file t ON t.data_file_id = d.delete_file_id WHERE format = 'parquet' AND"
        ))?;
        let mut rows = statement.query(params![self.at])?;
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            let file = match known.get(&id) {
                Some(file) => Arc::clone(file),
                None => Arc::new(DeleteFile {
                    id: FileId(id),
                    path: row.get(3)?,
                    path_is_relative: row.get(4)?,
                    rows: self.count(row.get(5)?)?,
                    bytes: self.count(row.get(6)?)?,
                    footer_bytes: self.count(row.get::<_, Option<i64>>(7)?.unwrap_or(0))?,
                    partial_max: row.get(8)?,
                    checksum: row.get(9)?,
                    content: OnceLock::new(),
                }),
            };
            files.insert((TableId(row.get(1)?), FileId(row.get(2)?)), file);
        }
        Ok(files)
    }

    /// The deletes that are recorded in the database itself, by table and data file.
    fn recorded_deletes(&self) -> Result<HashMap<(TableId, FileId), Positions>> {
        let mut found: HashMap<(TableId, FileId), Positions> = HashMap::new();
        let mut statement = self.sql.prepare_cached(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB 'ducklake_inlined_delete_[0-9]*'",
        )?;
        let names = statement.query_map([], |row| row.get::<_, String>(0))?;
        for name in names.collect::<Result<Vec<_>, _>>()? {
            let Some(Ok(table)) = name.rsplit('_').next().map(str::parse) else {
                continue;
            };
            let query =
                format!("SELECT file_id, row_id FROM \"{name}\" WHERE begin_snapshot <= ?1");
            let mut statement = self.sql.prepare(&query)?;
            let mut rows = statement.query(params![self.at])?;
            while let Some(row) = rows.next()? {
                let key = (TableId(table), FileId(row.get(0)?));
                found
                    .entry(key)
                    .or_default()
                    .insert(self.count(row.get(1)?)?);
            }
        }
        Ok(found)
    }

    /// The column statistics of live files from id `first` on.
    fn file_columns(&self, first: i64) -> Result<HashMap<i64, Vec<FileColumn>>> {
        let mut statistics: HashMap<i64, Vec<FileColumn>> = HashMap::new();
        let mut statement = self.sql.prepare_cached(live!(
            "SELECT s.data_file_id, column_id, column_size_bytes, value_count, null_count, contains_nan, min_value, max_value FROM ducklake_data_file f JOIN ducklake_file_column_stats s ON s.data_file_id = f.data_file_id WHERE f.data_file_id >= ?2 AND"
        ))?;
        let mut rows = statement.query(params![self.at, first])?;
        while let Some(row) = rows.next()? {
            let count = |at: usize| -> Result<u64> {
                self.count(row.get::<_, Option<i64>>(at)?.unwrap_or(0))
            };
            statistics.entry(row.get(0)?).or_default().push(FileColumn {
                id: ColumnId(row.get(1)?),
                bytes: count(2)?,
                values: count(3)?,
                nulls: count(4)?,
                contains_nan: row.get(5)?,
                min: row.get(6)?,
                max: row.get(7)?,
            });
        }
        Ok(statistics)
    }

    /// Tables that outside writers changed in ways we cannot read, with the feature in words. A wrong answer would be worse.
    fn unreadable(&self) -> Result<HashMap<TableId, String>> {
        let mut found = HashMap::new();
        let mut note = |query: &str, feature: &str| -> Result<()> {
            let mut statement = self.sql.prepare_cached(query)?;
            let mut rows = statement.query(params![self.at])?;
            while let Some(row) = rows.next()? {
                found.insert(TableId(row.get(0)?), feature.to_owned());
            }
            Ok(())
        };
        note(
            live!("SELECT table_id FROM ducklake_delete_file WHERE format IS NOT 'parquet' AND"),
            "delete files other than Parquet",
        )?;
        note(
            live!("SELECT table_id FROM ducklake_data_file WHERE mapping_id IS NOT NULL AND"),
            "files with name mapping",
        )?;
        note(
            live!("SELECT table_id FROM ducklake_data_file WHERE encryption_key IS NOT NULL AND"),
            "encrypted data files",
        )?;
        note(
            live!("SELECT table_id FROM ducklake_data_file WHERE file_format <> 'parquet' AND"),
            "files other than Parquet",
        )?;
        Ok(found)
    }

    fn views(&self, schemas: &Schemas, tags: &mut Tags, snapshot: &mut Snapshot) -> Result<()> {
        let mut statement = self.sql.prepare_cached(live!(
            "SELECT view_id, view_uuid, schema_id, view_name, dialect, \"sql\", column_aliases FROM ducklake_view WHERE"
        ))?;
        let mut rows = statement.query(params![self.at])?;
        while let Some(row) = rows.next()? {
            let id = ViewId(row.get(0)?);
            let schema_id = SchemaId(row.get(2)?);
            let (schema, ..) = schemas.get(&schema_id).ok_or_else(|| {
                self.damaged(format!(
                    "View {id} is in schema {schema_id}, which does not exist."
                ))
            })?;
            let aliases: Option<String> = row.get(6)?;
            snapshot.put_view(View {
                id,
                uuid: row.get(1)?,
                schema_id,
                schema: schema.clone(),
                name: row.get(3)?,
                dialect: row.get(4)?,
                sql: row.get(5)?,
                column_aliases: parse_aliases(aliases.as_deref().unwrap_or_default()),
                tags: tags.remove(&id.0).unwrap_or_default(),
            })?;
        }
        Ok(())
    }
}

/// A column row before its parts are put in.
struct ColumnRow {
    column: Column,
    parent: Option<ColumnId>,
}

/// Puts parts into their columns and works out the Arrow types, inner before outer.
fn assemble(rows: Vec<ColumnRow>) -> Vec<Column> {
    let mut parts: HashMap<Option<ColumnId>, Vec<Column>> = HashMap::new();
    for row in rows {
        parts.entry(row.parent).or_default().push(row.column);
    }
    let top = parts.remove(&None).unwrap_or_default();
    top.into_iter()
        .map(|column| complete(column, &mut parts))
        .collect()
}

fn complete(mut column: Column, parts: &mut HashMap<Option<ColumnId>, Vec<Column>>) -> Column {
    let children = parts.remove(&Some(column.id)).unwrap_or_default();
    column.children = children
        .into_iter()
        .map(|part| complete(part, parts))
        .collect();
    match column.column_type.data_type(&column.children) {
        Some(data_type) => column.data_type = data_type,
        // Marks the table as unreadable; the type stands for the column in listings.
        None => column.column_type = ColumnType::Other(column.column_type.to_string()),
    }
    column
}

/// Names in double quotes, separated by commas.
fn parse_aliases(text: &str) -> Vec<String> {
    split(text, ',')
        .into_iter()
        .filter_map(|part| {
            let inner = part.strip_prefix('"')?.strip_suffix('"')?;
            Some(inner.replace("\"\"", "\""))
        })
        .collect()
}
