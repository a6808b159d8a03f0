//! What the tests share: a warehouse in a temporary directory, small tables, rows as text.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema as ArrowSchema};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::prelude::{DataFrame, Expr, SessionConfig, SessionContext, col};
use rusqlite::Connection;
use rusqlite::types::Value;
use tempfile::TempDir;

use crate::{
    ColumnDef, FILE_COLUMN, POSITION_COLUMN, ROW_ID_COLUMN, RowSet, Snapshot, Table, TableId,
    TableScan, Transaction, Warehouse,
};

/// A fresh warehouse. It lies below the temporary directory, not in it, so that names that escape are found.
pub struct Place {
    root: TempDir,
    pub warehouse: Warehouse,
}

impl Place {
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let warehouse = Warehouse::create(&root.path().join("warehouse")).unwrap();
        // Files are what most tests are about; those of inlined rows ask for them.
        warehouse.set_inline_rows_max(0);
        Self { root, warehouse }
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn directory(&self) -> PathBuf {
        self.warehouse.directory().to_owned()
    }

    /// The same directory as another process sees it.
    pub fn again(&self) -> Warehouse {
        let warehouse = Warehouse::open(&self.directory()).unwrap();
        warehouse.set_inline_rows_max(self.warehouse.inline_rows_max());
        warehouse
    }

    /// The catalog as another program sees it.
    pub fn sql(&self) -> Connection {
        Connection::open(self.directory().join("catalog.sqlite")).unwrap()
    }

    /// All data files, relative to the data directory.
    pub fn files(&self) -> Vec<String> {
        let data = self.directory().join("data");
        let mut found = Vec::new();
        let mut left = vec![data.clone()];
        while let Some(directory) = left.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    left.push(path);
                } else {
                    found.push(
                        path.strip_prefix(&data)
                            .unwrap()
                            .to_str()
                            .unwrap()
                            .to_owned(),
                    );
                }
            }
        }
        found.sort();
        found
    }
}

/// The columns `id bigint, name text`.
pub fn id_and_name() -> Vec<ColumnDef> {
    vec![
        ColumnDef::new("id", DataType::Int64),
        ColumnDef::new("name", DataType::Utf8),
    ]
}

/// Rows of [`id_and_name`].
pub fn rows(values: &[(i64, &str)]) -> RecordBatch {
    batch(vec![
        (
            "id",
            Arc::new(values.iter().map(|(id, _)| *id).collect::<Int64Array>()),
        ),
        (
            "name",
            Arc::new(
                values
                    .iter()
                    .map(|(_, name)| Some(*name))
                    .collect::<StringArray>(),
            ),
        ),
    ])
}

/// A batch of nullable columns.
pub fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields = columns
        .iter()
        .map(|(name, array)| Field::new(*name, array.data_type().clone(), true));
    let schema = Arc::new(ArrowSchema::new(fields.collect::<Vec<_>>()));
    RecordBatch::try_new(
        schema,
        columns.into_iter().map(|(_, array)| array).collect(),
    )
    .unwrap()
}

/// Appends one batch.
pub async fn append(
    transaction: &Transaction,
    table: TableId,
    batch: &RecordBatch,
) -> crate::Result<u64> {
    let mut writer = transaction.writer(table)?;
    writer.write(batch).await?;
    writer.finish().await
}

/// Makes `schema.name` with `batch` in it, committed.
pub async fn table(warehouse: &Warehouse, schema: &str, name: &str, batch: &RecordBatch) {
    let transaction = warehouse.begin().unwrap();
    let columns = batch
        .schema()
        .fields()
        .iter()
        .map(|field| ColumnDef::from_field(field))
        .collect::<Vec<_>>();
    let id = transaction.create_table(schema, name, &columns).unwrap();
    append(&transaction, id, batch).await.unwrap();
    transaction.commit().await.unwrap();
}

/// Appends to `schema.name`, committed.
pub async fn insert(
    warehouse: &Warehouse,
    schema: &str,
    name: &str,
    batch: &RecordBatch,
) -> crate::Result<()> {
    let transaction = warehouse.begin()?;
    let id = transaction.snapshot().table(schema, name).unwrap().id;
    append(&transaction, id, batch).await?;
    transaction.commit().await?;
    Ok(())
}

/// A session with four partitions, so that scans are split.
pub fn session() -> SessionContext {
    SessionContext::new_with_config(SessionConfig::new().with_target_partitions(4))
}

pub fn scan(warehouse: &Warehouse, table: &Arc<Table>) -> DataFrame {
    session()
        .read_table(Arc::new(TableScan::new(
            warehouse.clone(),
            Arc::clone(table),
        )))
        .unwrap()
}

/// A schema and a name; the schema is `public` if none is given.
fn qualified(name: &str) -> (&str, &str) {
    name.split_once('.').unwrap_or(("public", name))
}

/// The rows of a table for which `filter` holds, with the hidden columns behind their own.
async fn matching(transaction: &Transaction, name: &str, filter: Expr) -> Vec<RecordBatch> {
    let snapshot = transaction.snapshot();
    let (schema, name) = qualified(name);
    let table = Arc::clone(snapshot.table(schema, name).unwrap());
    let scan = TableScan::new(transaction.warehouse().clone(), table).with_row_identity();
    let frame = session().read_table(Arc::new(scan)).unwrap();
    frame.filter(filter).unwrap().collect().await.unwrap()
}

fn hidden<'a>(batch: &'a RecordBatch, name: &str) -> &'a Int64Array {
    batch
        .column_by_name(name)
        .unwrap()
        .as_primitive::<Int64Type>()
}

/// DELETE FROM name WHERE filter, as a planner does it.
pub async fn delete_in(transaction: &Transaction, name: &str, filter: Expr) -> crate::Result<u64> {
    let mut set = RowSet::new();
    for batch in matching(transaction, name, filter).await {
        set.extend(hidden(&batch, FILE_COLUMN), hidden(&batch, POSITION_COLUMN))?;
    }
    let (schema, name) = qualified(name);
    let id = transaction.snapshot().table(schema, name).unwrap().id;
    transaction.delete_rows(id, set).await
}

pub async fn delete_where(warehouse: &Warehouse, name: &str, filter: Expr) -> crate::Result<u64> {
    let transaction = warehouse.begin()?;
    let rows = delete_in(&transaction, name, filter).await?;
    transaction.commit().await?;
    Ok(rows)
}

/// UPDATE name SET name = value WHERE filter, on the columns of [`id_and_name`].
pub async fn update_in(
    transaction: &Transaction,
    name: &str,
    filter: Expr,
    value: &str,
) -> crate::Result<u64> {
    let (schema, table) = qualified(name);
    let id = transaction.snapshot().table(schema, table).unwrap().id;
    let mut set = RowSet::new();
    let mut writer = transaction.writer(id)?;
    for batch in matching(transaction, name, filter).await {
        set.extend(hidden(&batch, FILE_COLUMN), hidden(&batch, POSITION_COLUMN))?;
        let ids = batch.column(0).as_primitive::<Int64Type>().values();
        let new = rows(&ids.iter().map(|id| (*id, value)).collect::<Vec<_>>());
        writer
            .write_updated(&new, hidden(&batch, ROW_ID_COLUMN))
            .await?;
    }
    let written = writer.finish().await?;
    assert_eq!(transaction.delete_rows(id, set).await?, written);
    Ok(written)
}

pub async fn update_names(
    warehouse: &Warehouse,
    name: &str,
    filter: Expr,
    value: &str,
) -> crate::Result<u64> {
    let transaction = warehouse.begin()?;
    let rows = update_in(&transaction, name, filter, value).await?;
    transaction.commit().await?;
    Ok(rows)
}

/// All rows of `public.name` with their row ids behind, as sorted text.
pub async fn read_with_row_ids(warehouse: &Warehouse, name: &str) -> Vec<String> {
    let snapshot = warehouse.snapshot().unwrap();
    let table = Arc::clone(snapshot.table("public", name).unwrap());
    let mut columns = table
        .columns
        .iter()
        .map(|column| col(&column.name))
        .collect::<Vec<_>>();
    columns.push(col(ROW_ID_COLUMN));
    let scan = TableScan::new(warehouse.clone(), table).with_row_identity();
    let frame = session().read_table(Arc::new(scan)).unwrap();
    text(&frame.select(columns).unwrap().collect().await.unwrap())
}

/// All rows of a table of the newest snapshot, as sorted text.
pub async fn read(warehouse: &Warehouse, schema: &str, name: &str) -> Vec<String> {
    read_at(warehouse, &warehouse.snapshot().unwrap(), schema, name)
        .await
        .unwrap()
}

pub async fn read_at(
    warehouse: &Warehouse,
    snapshot: &Snapshot,
    schema: &str,
    name: &str,
) -> datafusion::error::Result<Vec<String>> {
    let table = snapshot.table(schema, name).unwrap();
    Ok(text(&scan(warehouse, table).collect().await?))
}

/// Rows as sorted text, values separated by bars.
pub fn text(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let mut lines = Vec::new();
    for batch in batches {
        let columns = batch
            .columns()
            .iter()
            .map(|array| ArrayFormatter::try_new(array, &options).unwrap())
            .collect::<Vec<_>>();
        for row in 0..batch.num_rows() {
            lines.push(
                columns
                    .iter()
                    .map(|column| column.value(row).to_string())
                    .collect::<Vec<_>>()
                    .join("|"),
            );
        }
    }
    lines.sort();
    lines
}

/// The rows of a query on the catalog, values separated by bars.
pub fn catalog(sql: &Connection, query: &str) -> Vec<String> {
    let mut statement = sql.prepare(query).unwrap();
    let width = statement.column_count();
    let rows = statement.query_map([], |row| {
        let values = (0..width).map(|at| {
            Ok(match row.get::<_, Value>(at)? {
                Value::Null => "NULL".to_owned(),
                Value::Integer(value) => value.to_string(),
                Value::Real(value) => value.to_string(),
                Value::Text(value) => value,
                Value::Blob(_) => "blob".to_owned(),
            })
        });
        values
            .collect::<rusqlite::Result<Vec<_>>>()
            .map(|values| values.join("|"))
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

/// The root cause of an engine error, if it is one of ours.
pub fn ours(error: &datafusion::error::DataFusionError) -> Option<&crate::Error> {
    let mut source: &(dyn std::error::Error + 'static) = error;
    loop {
        if let Some(found) = source.downcast_ref::<crate::Error>() {
            return Some(found);
        }
        source = source.source()?;
    }
}
