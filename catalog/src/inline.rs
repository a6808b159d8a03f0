//! Small inserts: rows that lie in the catalog database until there are enough of them for a file.
//!
//! In memory they are Arrow, in chunks: an insert adds one, and chunks of like size are joined, so that there are few of them however many
//! inserts there were, and each row is copied a logarithmic number of times. A row is named by its row id, which is unique among the rows of
//! its table that are there; [`FileId::INLINED`] stands for the file.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, new_null_array,
};
use arrow::compute::{cast, concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Int64Type, Schema as ArrowSchema, SchemaRef};
use datafusion::common::ScalarValue;

use crate::deletes::Positions;
use crate::error::{Error, Result};
use crate::model::{Column, FileColumn, FileId, LOCAL, Table};
use crate::spec::internal;
use crate::spec::stats::Bound;
use crate::spec::types::ColumnType;
use crate::spec::values::{self, Cell};

/// Chunks do not grow beyond this by being joined: a delete copies the chunk it is in.
const CHUNK_ROWS_MAX: usize = 1 << 13;

/// Longer text and blobs go to a file, where their bounds can be cut.
const VALUE_BYTES_MAX: usize = 256;

/// SQLite allows 2,000 columns; three are the catalog's.
const COLUMNS_MAX: usize = 1_000;

/// Rows of a table that lie in the catalog database, as of one snapshot.
#[derive(Debug, Clone, Default)]
pub struct Inlined {
    chunks: Vec<Arc<Chunk>>,
    rows: u64,
}

/// Some of them. All were written with the same columns.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// The columns of the table when the rows were written.
    pub columns: Arc<[Column]>,
    /// The version of the schema that the rows were written with, which names their table in the database.
    pub version: i64,
    /// The rows, in the types of a scan.
    pub batch: RecordBatch,
    /// Their row ids; those still to be given are at or above [`LOCAL`].
    pub row_ids: Int64Array,
    /// What names a row in its table: the row id, or, for rows that the transaction has inserted, an id at or above [`LOCAL`], because a
    /// new version of a row has the id of the old one, which may go later.
    pub keys: Int64Array,
    /// The snapshots that inserted them; those of this transaction have [`LOCAL`].
    pub born: Int64Array,
}

/// Rows to be inserted, in the forms that memory and database take.
#[derive(Debug)]
pub struct NewRows {
    /// The rows.
    pub chunk: Chunk,
    /// Their values by row.
    pub cells: Arc<Vec<Vec<Cell>>>,
}

impl FileId {
    /// Stands for the file of rows that lie in the catalog database; their position is their row id.
    pub const INLINED: Self = Self(-1);
}

impl Inlined {
    /// How many rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// These and more.
    pub fn with(&self, chunk: Chunk) -> Result<Self> {
        let mut chunks = self.chunks.clone();
        let rows = self.rows + chunk.batch.num_rows() as u64;
        if chunk.batch.num_rows() > 0 {
            chunks.push(Arc::new(chunk));
        }
        while let [.., before, last] = chunks.as_slice() {
            let (large, small) = (before.batch.num_rows(), last.batch.num_rows());
            let alike = before.version == last.version && before.columns == last.columns;
            if !alike || large > small.saturating_mul(2) || large + small > CHUNK_ROWS_MAX {
                break;
            }
            let joined = Chunk::join(before, last)?;
            chunks.truncate(chunks.len() - 2);
            chunks.push(Arc::new(joined));
        }
        Ok(Self { chunks, rows })
    }

    /// These without the rows of some keys.
    pub fn without(&self, keys: &Positions) -> Result<Self> {
        let mut chunks = Vec::with_capacity(self.chunks.len());
        for chunk in &self.chunks {
            let gone = |key: &i64| keys.contains(key.cast_unsigned());
            if !chunk.keys.values().iter().any(gone) {
                chunks.push(Arc::clone(chunk));
                continue;
            }
            let stay = chunk.keys.values().iter().map(|key| !gone(key));
            let left = chunk.filter(&stay.collect::<Vec<_>>().into())?;
            if left.batch.num_rows() > 0 {
                chunks.push(Arc::new(left));
            }
        }
        let rows = chunks.iter().map(|chunk| chunk.batch.num_rows() as u64);
        Ok(Self {
            rows: rows.sum(),
            chunks,
        })
    }

    /// These without the rows that are in `other` too, as they are.
    pub fn except(&self, other: &Self) -> Result<Self> {
        let there = other.each().collect::<HashMap<_, _>>();
        let gone = self.each().filter(|(id, born)| there.get(id) == Some(born));
        self.without(&gone.map(|(id, _)| id).collect())
    }

    /// These as committed: the key of each row is its row id.
    pub fn settled(&self) -> Self {
        let settled = |chunk: &Arc<Chunk>| {
            if chunk.keys == chunk.row_ids {
                return Arc::clone(chunk);
            }
            Arc::new(Chunk {
                keys: chunk.row_ids.clone(),
                ..Chunk::clone(chunk)
            })
        };
        Self {
            chunks: self.chunks.iter().map(settled).collect(),
            rows: self.rows,
        }
    }

    /// The keys of all rows.
    pub fn keys(&self) -> Positions {
        self.each().map(|(id, _)| id).collect()
    }

    /// Key and snapshot of each row.
    pub fn each(&self) -> impl Iterator<Item = (u64, i64)> {
        self.chunks.iter().flat_map(|chunk| {
            let keys = chunk.keys.values().iter();
            keys.zip(chunk.born.values())
                .map(|(key, born)| (key.cast_unsigned(), *born))
        })
    }

    /// Those of `keys` that are there, with the snapshots that inserted them.
    pub fn born(&self, keys: &Positions) -> HashMap<u64, i64> {
        self.each().filter(|(key, _)| keys.contains(*key)).collect()
    }

    /// The rows in the columns that `table` has now, and their keys and row ids.
    pub fn scan(&self, table: &Table) -> Result<Vec<(RecordBatch, Int64Array, Int64Array)>> {
        self.chunks
            .iter()
            .map(|chunk| {
                Ok((
                    chunk.as_of(table)?,
                    chunk.keys.clone(),
                    chunk.row_ids.clone(),
                ))
            })
            .collect()
    }
}

impl Chunk {
    fn join(a: &Self, b: &Self) -> Result<Self> {
        let schema = a.batch.schema();
        let both = |a: &Int64Array, b: &Int64Array| {
            a.values()
                .iter()
                .chain(b.values())
                .copied()
                .collect::<Int64Array>()
        };
        Ok(Self {
            columns: Arc::clone(&a.columns),
            version: a.version,
            batch: concat_batches(&schema, [&a.batch, &b.batch])?,
            row_ids: both(&a.row_ids, &b.row_ids),
            keys: both(&a.keys, &b.keys),
            born: both(&a.born, &b.born),
        })
    }

    /// Some of the rows.
    pub fn filter(&self, stay: &BooleanArray) -> Result<Self> {
        let ids = |ids: &Int64Array| -> Result<Int64Array> {
            Ok(arrow::compute::filter(ids, stay)?
                .as_primitive::<Int64Type>()
                .clone())
        };
        Ok(Self {
            columns: Arc::clone(&self.columns),
            version: self.version,
            batch: filter_record_batch(&self.batch, stay)?,
            row_ids: ids(&self.row_ids)?,
            keys: ids(&self.keys)?,
            born: ids(&self.born)?,
        })
    }

    /// The rows in the columns that `table` has now; none if they are in them.
    pub fn altered(&self, table: &Table) -> Result<Option<Self>> {
        if *self.columns == *table.columns {
            return Ok(None);
        }
        Ok(Some(Self {
            columns: table.columns.as_slice().into(),
            batch: self.as_of(table)?,
            ..self.clone()
        }))
    }

    /// The values of the rows.
    pub fn cells(&self) -> Result<Vec<Vec<Cell>>> {
        let mut cells = vec![Vec::with_capacity(self.columns.len()); self.batch.num_rows()];
        for (column, array) in self.columns.iter().zip(self.batch.columns()) {
            for (row, cells) in cells.iter_mut().enumerate() {
                let value = ScalarValue::try_from_array(array, row).map_err(of_engine)?;
                let cell = values::cell(&value, &column.column_type);
                cells.push(cell.ok_or_else(|| {
                    Error::Internal("an inlined value has no text any more".to_owned())
                })?);
            }
        }
        Ok(cells)
    }

    fn as_of(&self, table: &Table) -> Result<RecordBatch> {
        if self.batch.schema_ref() == &table.scan_schema && same_ids(&self.columns, &table.columns)
        {
            return Ok(self.batch.clone());
        }
        let rows = self.batch.num_rows();
        let columns = table.columns.iter().zip(table.scan_schema.fields());
        let arrays = columns.map(|(column, field)| -> Result<ArrayRef> {
            let before = self
                .columns
                .iter()
                .position(|before| before.id == column.id);
            if let Some(at) = before {
                return Ok(cast(self.batch.column(at), field.data_type())?);
            }
            let initial = column.initial_default.as_deref();
            let bound = initial.and_then(|text| Bound::parse(text, &column.column_type));
            match bound.and_then(|bound| bound.scalar(field.data_type())) {
                Some(value) => Ok(value.to_array_of_size(rows).map_err(of_engine)?),
                None => Ok(new_null_array(field.data_type(), rows)),
            }
        });
        let arrays = arrays.collect::<Result<Vec<_>>>()?;
        Ok(RecordBatch::try_new(
            Arc::clone(&table.scan_schema),
            arrays,
        )?)
    }

    /// Statistics of the rows, as a file of them would have.
    pub fn statistics(&self) -> Vec<FileColumn> {
        let columns = self.columns.iter().zip(self.batch.columns());
        let mut all = columns
            .map(|(column, array)| statistics(column, array))
            .collect::<Vec<_>>();
        all.sort_by_key(|column| column.id);
        all
    }
}

fn same_ids(a: &[Column], b: &[Column]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.id == b.id)
}

fn statistics(column: &Column, array: &ArrayRef) -> FileColumn {
    let (mut min, mut max, mut nan): (Option<Bound>, Option<Bound>, bool) = (None, None, false);
    for row in 0..array.len() {
        let value = ScalarValue::try_from_array(array, row).ok();
        match value.as_ref().and_then(Bound::of_scalar) {
            Some(Bound::Float(value)) if value.is_nan() => nan = true,
            Some(bound) => {
                if min.as_ref().is_none_or(|min| bound < *min) {
                    min = Some(bound.clone());
                }
                if max.as_ref().is_none_or(|max| bound > *max) {
                    max = Some(bound);
                }
            }
            None => {}
        }
    }
    let nulls = array.null_count() as u64;
    let print = |bound: Option<Bound>| bound.and_then(|bound| bound.print(&column.column_type));
    FileColumn {
        id: column.id,
        bytes: 0,
        values: array.len() as u64 - nulls,
        nulls,
        contains_nan: column.data_type.is_floating().then_some(nan),
        min: print(min),
        max: print(max),
    }
}

/// Whether rows of `table` may lie in the database: its columns have types with a text, and names that SQLite can tell apart.
pub fn can_hold(table: &Table) -> bool {
    let mut names = std::collections::HashSet::from(internal::INLINED_COLUMNS.map(str::to_owned));
    table.columns.len() <= COLUMNS_MAX
        && table.columns.iter().all(|column| {
            names.insert(column.name.to_ascii_lowercase())
                && !column.name.contains('\0')
                && !matches!(
                    column.column_type,
                    ColumnType::List | ColumnType::Struct | ColumnType::Map | ColumnType::Other(_)
                )
        })
}

impl NewRows {
    /// The rows of `batch`, which has been fitted to `table`; none if a value cannot lie in the database.
    pub fn try_new(
        table: &Table,
        batch: &RecordBatch,
        row_ids: Option<&Int64Array>,
        mut local_id: impl FnMut() -> i64,
    ) -> Result<Option<Self>> {
        let mut cells = vec![Vec::with_capacity(table.columns.len()); batch.num_rows()];
        for (column, array) in table.columns.iter().zip(batch.columns()) {
            for (row, cells) in cells.iter_mut().enumerate() {
                let value = ScalarValue::try_from_array(array, row).map_err(of_engine)?;
                match values::cell(&value, &column.column_type) {
                    Some(Cell::Text(text))
                        if text.len() > VALUE_BYTES_MAX || text.contains('\0') =>
                    {
                        return Ok(None);
                    }
                    Some(Cell::Blob(blob)) if blob.len() > VALUE_BYTES_MAX => return Ok(None),
                    Some(cell) => cells.push(cell),
                    None => return Ok(None),
                }
            }
        }
        let keys = (0..batch.num_rows()).map(|_| local_id());
        let keys = keys.collect::<Int64Array>();
        let row_ids = (0..batch.num_rows()).map(|row| match row_ids {
            Some(ids) if ids.is_valid(row) && ids.value(row) < LOCAL => ids.value(row),
            _ => keys.value(row),
        });
        let chunk = Chunk {
            columns: table.columns.as_slice().into(),
            version: table.schema_version,
            row_ids: row_ids.collect(),
            keys: keys.clone(),
            born: std::iter::repeat_n(LOCAL, batch.num_rows()).collect(),
            batch: as_scanned(batch, &table.scan_schema)?,
        };
        let cells = Arc::new(cells);
        Ok(Some(Self { chunk, cells }))
    }
}

fn as_scanned(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let arrays = batch.columns().iter().zip(schema.fields());
    let arrays = arrays.map(|(array, field)| cast(array, field.data_type()));
    let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(Arc::clone(schema), arrays)?)
}

/// Makes a chunk of rows that were read from the database: row id, snapshot, values.
pub fn chunk_of_cells(
    columns: Arc<[Column]>,
    version: i64,
    rows: &[(i64, i64, Vec<Cell>)],
) -> Result<Option<Chunk>> {
    let (_, schema) = Table::schemas_of(&columns);
    // NULL is refused where rows are written, and a column may have forbidden it later.
    let fields = schema
        .fields()
        .iter()
        .map(|field| field.as_ref().clone().with_nullable(true));
    let schema = Arc::new(ArrowSchema::new(fields.collect::<Vec<_>>()));
    let mut arrays = Vec::with_capacity(columns.len());
    for (at, (column, field)) in columns.iter().zip(schema.fields()).enumerate() {
        let null = ScalarValue::try_from(field.data_type()).map_err(of_engine)?;
        let mut values = Vec::with_capacity(rows.len());
        for (.., cells) in rows {
            let value = match cells.get(at) {
                None | Some(Cell::Null) => null.clone(),
                Some(cell) => match parse(cell, column, field.data_type()) {
                    Some(value) => value,
                    None => return Ok(None),
                },
            };
            values.push(value);
        }
        arrays.push(if values.is_empty() {
            new_null_array(field.data_type(), 0)
        } else {
            ScalarValue::iter_to_array(values).map_err(of_engine)?
        });
    }
    Ok(Some(Chunk {
        batch: RecordBatch::try_new(schema, arrays)?,
        columns,
        version,
        row_ids: rows.iter().map(|(id, ..)| *id).collect(),
        keys: rows.iter().map(|(id, ..)| *id).collect(),
        born: rows.iter().map(|(_, born, _)| *born).collect(),
    }))
}

fn parse(cell: &Cell, column: &Column, data_type: &DataType) -> Option<ScalarValue> {
    let bound = match cell {
        Cell::Null => return None,
        Cell::Int(value) => Bound::Int((*value).into()),
        Cell::Blob(bytes) => Bound::Bytes(bytes.clone()),
        Cell::Text(text) if text == "nan" && data_type.is_floating() => Bound::Float(f64::NAN),
        Cell::Text(text) => Bound::parse(text, &column.column_type)?,
    };
    bound.scalar(data_type)
}

fn of_engine(error: datafusion::error::DataFusionError) -> Error {
    match error {
        datafusion::error::DataFusionError::ArrowError(error, _) => Error::Arrow(*error),
        other => Error::Internal(other.to_string()),
    }
}
