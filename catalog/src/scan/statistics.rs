//! Statistics of files in the form of the engine.
//!
//! Numbers, dates and times have exact bounds. Bounds of text are only bounds: a writer may have cut them. Floating point with a NaN has no
//! upper bound that the engine could use, as it orders NaN above everything.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};

use crate::model::{Column, DataFile, FileColumn, Table};
use crate::spec::stats::Bound;
use crate::spec::types::ColumnType;

/// The statistics of one file as it was written, kept with the file for the schema it was first asked with.
pub fn of_file(table: &Table, file: &DataFile) -> Arc<Statistics> {
    let (schema, statistics) = file.engine.get_or_init(|| {
        (
            Arc::clone(&table.scan_schema),
            Arc::new(compute(table, file)),
        )
    });
    if Arc::ptr_eq(schema, &table.scan_schema) || *schema == table.scan_schema {
        Arc::clone(statistics)
    } else {
        Arc::new(compute(table, file))
    }
}

/// The statistics of the rows of one file that are not deleted: how many is known, what is among them is only bounded.
pub fn of_rows_left(table: &Table, file: &DataFile) -> Arc<Statistics> {
    let whole = of_file(table, file);
    let Some(deletes) = table.deletes.get(&file.id) else {
        return whole;
    };
    let mut left = Statistics::clone(&whole).to_inexact();
    if let Some(deleted) = deletes.count() {
        let rows = usize::try_from(file.rows.saturating_sub(deleted));
        left.num_rows = rows.map_or(Precision::Absent, Precision::Exact);
    }
    Arc::new(left)
}

/// The statistics of several files together.
pub fn of_files(table: &Table, files: &[Arc<DataFile>]) -> Statistics {
    let mut all = Statistics::new_unknown(&table.scan_schema);
    let mut files = files.iter().map(|file| of_rows_left(table, file));
    let Some(first) = files.next() else {
        all.num_rows = Precision::Exact(0);
        return all;
    };
    let rest = files.collect::<Vec<_>>();
    let merged = Statistics::try_merge_iter(
        std::iter::once(first.as_ref()).chain(rest.iter().map(Arc::as_ref)),
        &table.scan_schema,
    );
    merged.unwrap_or(all)
}

fn compute(table: &Table, file: &DataFile) -> Statistics {
    let rows = usize::try_from(file.rows).map_or(Precision::Absent, Precision::Exact);
    let bytes = usize::try_from(file.bytes).map_or(Precision::Absent, Precision::Inexact);
    let column_statistics = table
        .columns
        .iter()
        .zip(table.scan_schema.fields())
        .map(|(column, field)| match file.column(column.id) {
            Some(known) if column.children.is_empty() => {
                of_column(column, field.data_type(), known)
            }
            _ => ColumnStatistics::new_unknown(),
        })
        .collect();
    Statistics {
        num_rows: rows,
        total_byte_size: bytes,
        column_statistics,
    }
}

fn of_column(column: &Column, data_type: &DataType, known: &FileColumn) -> ColumnStatistics {
    use ColumnType as T;
    let bound = |text: &Option<String>| -> Option<ScalarValue> {
        Bound::parse(text.as_deref()?, &column.column_type)?.scalar(data_type)
    };
    let precise = |value: Option<ScalarValue>| match (value, &column.column_type) {
        (None, _) => Precision::Absent,
        (Some(value), T::Varchar | T::Json | T::Blob | T::Uuid) => Precision::Inexact(value),
        (Some(value), _) => Precision::Exact(value),
    };
    let floating = matches!(column.column_type, T::Float32 | T::Float64);
    let (min, max) = if floating && (known.contains_nan != Some(false) || column.widened) {
        (Precision::Absent, Precision::Absent)
    } else {
        (precise(bound(&known.min)), precise(bound(&known.max)))
    };
    ColumnStatistics {
        null_count: usize::try_from(known.nulls).map_or(Precision::Absent, Precision::Exact),
        min_value: min,
        max_value: max,
        byte_size: usize::try_from(known.bytes).map_or(Precision::Absent, Precision::Inexact),
        ..ColumnStatistics::new_unknown()
    }
}
