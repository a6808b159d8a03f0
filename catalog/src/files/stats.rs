//! Statistics of a finished Parquet file, in the terms of the catalog.

use parquet::file::metadata::ParquetMetaData;

use crate::model::{Column, ColumnId, FileColumn};
use crate::spec::stats::Bound;

/// The statistics of each leaf column. `contains_nan` has one entry a leaf, as [`super::rows::note_nan`] gives it.
///
/// A column whose NULLs Parquet did not count is left out: unknown is safe, a guess is not.
pub fn file_columns(
    columns: &[Column],
    contains_nan: &[bool],
    metadata: &ParquetMetaData,
) -> Vec<FileColumn> {
    let leaves = columns
        .iter()
        .flat_map(Column::walk)
        .filter(|column| column.children.is_empty());
    let mut all: Vec<FileColumn> = leaves
        .enumerate()
        .filter_map(|(at, column)| {
            let nan = column
                .data_type
                .is_floating()
                .then(|| contains_nan.get(at).copied())
                .flatten();
            leaf(at, column, nan, metadata)
        })
        .collect();
    all.sort_by_key(|column| column.id);
    all
}

fn leaf(
    at: usize,
    column: &Column,
    contains_nan: Option<bool>,
    metadata: &ParquetMetaData,
) -> Option<FileColumn> {
    let mut whole = FileColumn {
        id: ColumnId(column.id.0),
        bytes: 0,
        values: 0,
        nulls: 0,
        contains_nan,
        min: None,
        max: None,
    };
    let (mut min, mut max): (Option<Bound>, Option<Bound>) = (None, None);
    let (mut min_known, mut max_known) = (true, true);
    for group in metadata.row_groups() {
        let chunk = group.columns().get(at)?;
        let statistics = chunk.statistics()?;
        let entries = u64::try_from(chunk.num_values()).ok()?;
        let nulls = statistics.null_count_opt()?;
        let values = entries.checked_sub(nulls)?;
        whole.bytes += u64::try_from(chunk.compressed_size()).ok()?;
        whole.values += values;
        whole.nulls += nulls;
        if values == 0 {
            continue;
        }
        let (low, high) = Bound::of_parquet(statistics, &column.column_type);
        min_known &= low.is_some();
        max_known &= high.is_some();
        min = pick(min, low, |new, old| new < old);
        max = pick(max, high, |new, old| new > old);
    }
    whole.min = min
        .filter(|_| min_known)
        .and_then(|bound| bound.print(&column.column_type));
    whole.max = max
        .filter(|_| max_known)
        .and_then(|bound| bound.print(&column.column_type));
    Some(whole)
}

fn pick(
    old: Option<Bound>,
    new: Option<Bound>,
    better: impl Fn(&Bound, &Bound) -> bool,
) -> Option<Bound> {
    match (old, new) {
        (Some(old), Some(new)) => Some(if better(&new, &old) { new } else { old }),
        (old, new) => old.or(new),
    }
}
