//! Rows of data files that are deleted: where the catalog records them, and which positions they are.
//!
//! A data file never changes. A deleted row is a position in it, recorded in one of two places: in a delete file, a Parquet file of
//! positions, or, for few of them, in a table of the catalog database. Both together are [`Deletes`], a value of the snapshot like any other:
//! how many rows are deleted is known from the catalog, which ones is read from the delete file when a scan first needs it.

use std::fs::File;
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReaderBuilder, RowSelection, RowSelector};
use roaring::RoaringTreemap;

use crate::error::{Error, Result};
use crate::files::verify::{Expected, Verified};
use crate::model::{DataFile, FileId, Table};
use crate::spec::internal;
use crate::spec::paths;

/// Positions of rows in one data file, counted from 0.
pub type Positions = RoaringTreemap;

/// A file of positions that are deleted in one data file.
#[derive(Debug)]
pub struct DeleteFile {
    /// Its id.
    pub id: FileId,
    /// Its path relative to the directory of the table, or absolute.
    pub path: String,
    /// Whether `path` is relative.
    pub path_is_relative: bool,
    /// Positions in it.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// Bytes of the Parquet footer.
    pub footer_bytes: u64,
    /// XXH3-128 of its bytes in hexadecimal; none for files of outside writers.
    pub checksum: Option<String>,
    /// If each position comes with the snapshot that deleted it: the newest of these.
    pub partial_max: Option<i64>,
    /// What is in it, once read: positions by the snapshot that deleted them.
    pub content: OnceLock<Vec<(i64, Positions)>>,
}

impl DeleteFile {
    /// The same file with the id that commit gives it.
    pub fn with_id(&self, id: FileId) -> Self {
        Self {
            id,
            path: self.path.clone(),
            path_is_relative: self.path_is_relative,
            rows: self.rows,
            bytes: self.bytes,
            footer_bytes: self.footer_bytes,
            checksum: self.checksum.clone(),
            partial_max: self.partial_max,
            content: self.content.clone(),
        }
    }

    fn content(&self, place: &Place<'_>) -> Result<&[(i64, Positions)]> {
        if let Some(content) = self.content.get() {
            return Ok(content);
        }
        let path = place.path(&self.path, self.path_is_relative);
        let expected = place.expected(path, self.bytes, self.checksum.clone());
        let by = self
            .partial_max
            .is_some()
            .then_some(internal::SNAPSHOT_ID_COLUMN);
        let mut content: Vec<(i64, Positions)> = Vec::new();
        for_each_row(
            &expected,
            place.verified,
            "pos",
            by,
            |position, snapshot| {
                let position = u64::try_from(position)
                    .map_err(|_| expected.damaged("It holds a negative position.".to_owned()))?;
                match content.iter_mut().find(|(known, _)| *known == snapshot) {
                    Some((_, positions)) => positions.insert(position),
                    None => {
                        content.push((snapshot, Positions::from_iter([position])));
                        true
                    }
                };
                Ok(())
            },
        )?;
        Ok(self.content.get_or_init(|| content))
    }
}

/// The deleted rows of one data file as of one snapshot.
#[derive(Debug, Clone, Default)]
pub struct Deletes {
    /// The delete file, if there is one.
    pub file: Option<Arc<DeleteFile>>,
    /// Positions recorded in the catalog database, or pending in a transaction. None of them is in the delete file.
    pub recorded: Arc<Positions>,
    /// If later snapshots have put rows into the delete file or the data file, the snapshot at which to look at them.
    pub as_of: Option<i64>,
    /// Whether rows of the data file are newer than `as_of`.
    pub rows_to_come: bool,
    all: OnceLock<Arc<Positions>>,
}

impl Deletes {
    /// Deletes as the catalog records them.
    pub fn new(
        file: Option<Arc<DeleteFile>>,
        recorded: Positions,
        as_of: Option<i64>,
        rows_to_come: bool,
    ) -> Self {
        Self {
            file,
            recorded: Arc::new(recorded),
            as_of,
            rows_to_come,
            all: OnceLock::new(),
        }
    }

    /// These and `more`, which are recorded outside the delete file.
    pub fn with(&self, more: &Positions) -> Self {
        let all = OnceLock::new();
        if let Some(known) = self.known() {
            // A fresh cell takes the value.
            let _ = all.set(Arc::new(&*known | more));
        }
        Self {
            file: self.file.clone(),
            recorded: Arc::new(&*self.recorded | more),
            as_of: self.as_of,
            rows_to_come: self.rows_to_come,
            all,
        }
    }

    /// The same deleted rows, recorded in `file` and, for the rest, in the database.
    pub fn recorded_in(&self, file: Arc<DeleteFile>, recorded: Positions) -> Self {
        Self {
            file: Some(file),
            recorded: Arc::new(recorded),
            as_of: None,
            rows_to_come: false,
            all: self.all.clone(),
        }
    }

    /// How many rows are deleted; none if it takes reading a file to say.
    pub fn count(&self) -> Option<u64> {
        if let Some(all) = self.all.get() {
            return Some(all.len());
        }
        match &self.file {
            _ if self.rows_to_come => None,
            Some(file) if self.as_of.is_some() && file.partial_max > self.as_of => None,
            Some(file) => Some(file.rows.saturating_add(self.recorded.len())),
            None => Some(self.recorded.len()),
        }
    }

    /// Which rows are deleted, if that needs no file.
    pub fn known(&self) -> Option<Arc<Positions>> {
        match self.all.get() {
            Some(all) => Some(Arc::clone(all)),
            None if self.file.is_none() && !self.rows_to_come => Some(Arc::clone(&self.recorded)),
            None => None,
        }
    }

    /// Which rows are deleted. Blocks while files are read, once for each delete file and process.
    ///
    /// # Errors
    /// [`Error::DataFileMissing`], [`Error::DataFileDamaged`], [`Error::Io`].
    pub fn load(&self, data_file: &DataFile, place: &Place<'_>) -> Result<Arc<Positions>> {
        if let Some(known) = self.known() {
            return Ok(known);
        }
        let mut all = Positions::clone(&self.recorded);
        if let Some(file) = &self.file {
            let newest = match file.partial_max {
                Some(_) => self.as_of.unwrap_or(i64::MAX),
                None => i64::MAX,
            };
            for (_, positions) in file
                .content(place)?
                .iter()
                .filter(|(snapshot, _)| *snapshot <= newest)
            {
                all |= positions;
            }
        }
        if let (true, Some(as_of)) = (self.rows_to_come, self.as_of) {
            let path = place.path(&data_file.path, data_file.path_is_relative);
            let expected = place.expected(path, data_file.bytes, data_file.checksum.clone());
            let mut position = 0;
            let column = internal::SNAPSHOT_ID_COLUMN;
            for_each_row(&expected, place.verified, column, None, |snapshot, _| {
                if snapshot > as_of {
                    all.insert(position);
                }
                position += 1;
                Ok(())
            })?;
        }
        Ok(Arc::clone(self.all.get_or_init(|| Arc::new(all))))
    }
}

/// Where the files of a table lie.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The table, qualified, for messages.
    pub table: &'a str,
    /// Its directory.
    pub directory: &'a str,
    /// Which files have been checked.
    pub verified: &'a Verified,
}

impl Place<'_> {
    /// The full path of a file of the table.
    pub fn path(&self, path: &str, is_relative: bool) -> String {
        paths::resolve(self.directory, [(path, is_relative)])
    }

    fn expected(&self, path: String, bytes: u64, checksum: Option<String>) -> Expected {
        Expected {
            path,
            table: self.table.to_owned(),
            bytes,
            checksum,
        }
    }
}

/// Calls `each` with the value of `column` in every row of a small file, and with that of `by` or else 0. Blocks.
fn for_each_row(
    expected: &Expected,
    verified: &Verified,
    column: &str,
    by: Option<&str>,
    mut each: impl FnMut(i64, i64) -> Result<()>,
) -> Result<()> {
    verified.ensure_blocking(expected)?;
    let file = File::open(&expected.path).map_err(Error::io("open", &expected.path))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
    let wanted = std::iter::once(column).chain(by);
    let mask = ProjectionMask::columns(builder.parquet_schema(), wanted);
    for batch in builder.with_projection(mask).build()? {
        let batch = batch?;
        let values = int64(expected, &batch, column)?;
        let groups = by.map(|by| int64(expected, &batch, by)).transpose()?;
        for row in 0..values.len() {
            let group = groups.map_or(0, |groups| groups.value(row));
            each(values.value(row), group)?;
        }
    }
    Ok(())
}

fn int64<'a>(expected: &Expected, batch: &'a RecordBatch, name: &str) -> Result<&'a Int64Array> {
    batch
        .column_by_name(name)
        .and_then(|column| column.as_primitive_opt::<Int64Type>())
        .filter(|column| column.null_count() == 0)
        .ok_or_else(|| expected.damaged(format!("It has no column \"{name}\" of whole numbers.")))
}

/// The rows of a file that are left, as the Parquet reader takes them.
pub fn selection(rows: u64, deleted: &Positions) -> Result<RowSelection> {
    let size = |rows: u64| {
        usize::try_from(rows).map_err(|_| Error::Internal("a file has too many rows".to_owned()))
    };
    let mut selectors = Vec::new();
    let (mut next, mut skip) = (0, 0);
    for position in deleted.iter().take_while(|position| *position < rows) {
        if position > next {
            if skip > 0 {
                selectors.push(RowSelector::skip(size(skip)?));
                skip = 0;
            }
            selectors.push(RowSelector::select(size(position - next)?));
        }
        skip += 1;
        next = position + 1;
    }
    if skip > 0 {
        selectors.push(RowSelector::skip(size(skip)?));
    }
    if next < rows {
        selectors.push(RowSelector::select(size(rows - next)?));
    }
    Ok(RowSelection::from(selectors))
}

/// Rows of one table, by file and position: what a DELETE or UPDATE gathers.
///
/// Files and positions are those that a scan with [`with_row_identity`](crate::TableScan::with_row_identity) gives.
#[derive(Debug, Clone, Default)]
pub struct RowSet {
    files: std::collections::BTreeMap<FileId, Positions>,
}

impl RowSet {
    /// No rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a row; returns whether it was not in the set yet, so that a second change of one row by one statement is seen.
    pub fn insert(&mut self, file: FileId, position: u64) -> bool {
        self.files.entry(file).or_default().insert(position)
    }

    /// Adds the rows of two columns of a scan; returns how many were not in the set yet.
    ///
    /// # Errors
    /// [`Error::Internal`] if a value is NULL or a position negative.
    pub fn extend(&mut self, files: &Int64Array, positions: &Int64Array) -> Result<u64> {
        let mut added = 0;
        let mut current: Option<(i64, &mut Positions)> = None;
        for (file, position) in files.iter().zip(positions) {
            let (Some(file), Some(Ok(position))) = (file, position.map(u64::try_from)) else {
                return Err(Error::Internal("a row has no file or position".to_owned()));
            };
            let entry = match current.take() {
                Some((id, entry)) if id == file => entry,
                _ => self.files.entry(FileId(file)).or_default(),
            };
            added += u64::from(entry.insert(position));
            current = Some((file, entry));
        }
        Ok(added)
    }

    /// Adds all rows of another set; returns how many were not in this one yet.
    pub fn merge(&mut self, other: Self) -> u64 {
        let before = self.len();
        for (file, positions) in other.files {
            *self.files.entry(file).or_default() |= positions;
        }
        self.len() - before
    }

    /// How many rows.
    pub fn len(&self) -> u64 {
        self.files.values().map(Positions::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.files.values().all(Positions::is_empty)
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = FileId> {
        self.files.keys().copied()
    }

    pub(crate) fn into_files(self) -> impl Iterator<Item = (FileId, Positions)> {
        self.files
            .into_iter()
            .filter(|(_, positions)| !positions.is_empty())
    }
}

/// The rows of a table that are not deleted; an upper bound where that takes reading a file.
pub fn live_rows(table: &Table) -> u64 {
    let rows = |file: &Arc<DataFile>| {
        let deleted = table.deletes.get(&file.id).and_then(Deletes::count);
        file.rows.saturating_sub(deleted.unwrap_or(0))
    };
    table.files.iter().map(rows).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn selections_keep_what_is_not_deleted(deleted in prop::collection::btree_set(0u64..60, 0..40), rows in 0u64..50) {
            let chosen = selection(rows, &deleted.iter().copied().collect()).unwrap();
            let (mut at, mut kept) = (0, Vec::new());
            for selector in chosen.iter() {
                let run = at..at + selector.row_count as u64;
                at = run.end;
                if !selector.skip {
                    kept.extend(run);
                }
            }
            prop_assert_eq!(at, rows);
            prop_assert_eq!(kept, (0..rows).filter(|row| !deleted.contains(row)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_row_is_in_a_set_once() {
        let mut set = RowSet::new();
        let (files, positions) = (
            Int64Array::from(vec![1, 1, 2, 1]),
            Int64Array::from(vec![5, 6, 5, 5]),
        );
        assert_eq!(set.extend(&files, &positions).unwrap(), 3);
        assert!(!set.insert(FileId(2), 5));
        assert!(set.insert(FileId(2), 7));
        assert_eq!(set.len(), 4);
        let mut other = RowSet::new();
        other.insert(FileId(2), 7);
        other.insert(FileId(3), 0);
        assert_eq!(set.merge(other), 1);
        assert!(
            set.extend(&files, &Int64Array::from(vec![0, -1, 0, 0]))
                .is_err()
        );
        assert!(
            set.extend(
                &files,
                &Int64Array::from(vec![Some(0), None, Some(0), Some(0)])
            )
            .is_err()
        );
        assert!(RowSet::new().is_empty());
    }
}
