//! What the catalog knows of a table's files, as the engine's pruning asks for it.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, UInt64Array};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::{Column as ColumnName, ColumnStatistics, ScalarValue, Statistics};

use super::statistics;
use crate::model::{DataFile, Table};

/// Bounds and counts of some files of a table.
///
/// A bound that is not exact is a bound all the same: it may lie further out than any value, never further in.
pub struct Bounds<'a> {
    table: &'a Table,
    files: Vec<Arc<Statistics>>,
}

impl<'a> Bounds<'a> {
    /// Those of `files`, in order.
    pub fn new(table: &'a Table, files: &[Arc<DataFile>]) -> Self {
        Self {
            table,
            files: files
                .iter()
                .map(|file| statistics::of_file(table, file))
                .collect(),
        }
    }

    fn columns(
        &self,
        name: &ColumnName,
    ) -> Option<impl Iterator<Item = Option<&ColumnStatistics>>> {
        let at = self.table.scan_schema.index_of(&name.name).ok()?;
        Some(
            self.files
                .iter()
                .map(move |file| file.column_statistics.get(at)),
        )
    }

    fn bounds(
        &self,
        name: &ColumnName,
        bound: impl Fn(&ColumnStatistics) -> &Precision<ScalarValue>,
    ) -> Option<ArrayRef> {
        let field = self.table.scan_schema.field_with_name(&name.name).ok()?;
        let unknown = ScalarValue::try_from(field.data_type()).ok()?;
        let values = self.columns(name)?.map(|column| {
            column
                .and_then(|column| bound(column).get_value())
                .cloned()
                .unwrap_or_else(|| unknown.clone())
        });
        ScalarValue::iter_to_array(values).ok()
    }
}

impl PruningStatistics for Bounds<'_> {
    fn min_values(&self, column: &ColumnName) -> Option<ArrayRef> {
        self.bounds(column, |column| &column.min_value)
    }

    fn max_values(&self, column: &ColumnName) -> Option<ArrayRef> {
        self.bounds(column, |column| &column.max_value)
    }

    fn num_containers(&self) -> usize {
        self.files.len()
    }

    fn null_counts(&self, column: &ColumnName) -> Option<ArrayRef> {
        let counts = self
            .columns(column)?
            .map(|column| column.and_then(|column| exact(&column.null_count)));
        Some(Arc::new(counts.collect::<UInt64Array>()))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(
            self.files
                .iter()
                .map(|file| exact(&file.num_rows))
                .collect::<UInt64Array>(),
        ))
    }

    fn contained(
        &self,
        _column: &ColumnName,
        _values: &HashSet<ScalarValue>,
    ) -> Option<BooleanArray> {
        None
    }
}

fn exact(count: &Precision<usize>) -> Option<u64> {
    match count {
        Precision::Exact(count) => u64::try_from(*count).ok(),
        _ => None,
    }
}
