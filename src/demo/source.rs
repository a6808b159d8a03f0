//! The eight raw tables of The Complete Journey: the slice inside the binary, or the package's own
//! files.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::array::{
    Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use bytes::Bytes;
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::{
    ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::reader::ChunkReader;

use super::error::{Error, Result};

/// Rows read at a time: enough to be quick, few enough that the 20.9 M promotions never weigh on
/// memory.
const BATCH_ROWS: usize = 32 * 1024;

/// A raw table: its name and its file in the slice.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawTable {
    pub(super) name: &'static str,
    slice: &'static [u8],
}

macro_rules! raw_table {
    ($constant:ident, $name:literal) => {
        #[doc = concat!("The raw table `", $name, "`.")]
        pub(super) const $constant: RawTable = RawTable {
            name: $name,
            slice: include_bytes!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/data/complete_journey/",
                $name,
                ".parquet"
            )),
        };
    };
}

raw_table!(CAMPAIGN_DESCRIPTIONS, "campaign_descriptions");
raw_table!(CAMPAIGNS, "campaigns");
raw_table!(COUPON_REDEMPTIONS, "coupon_redemptions");
raw_table!(COUPONS, "coupons");
raw_table!(DEMOGRAPHICS, "demographics");
raw_table!(PRODUCTS, "products");
raw_table!(PROMOTIONS, "promotions");
raw_table!(TRANSACTIONS, "transactions");

/// Where the raw tables are read from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// The slice that is part of the binary.
    Slice,
    /// The directory with the package's eight Parquet files.
    Package(PathBuf),
}

impl Source {
    /// The batches of a raw table, with exactly these columns in this order, read as these types.
    pub(super) fn batches(
        &self,
        table: RawTable,
        columns: &[(&'static str, DataType)],
    ) -> Result<Batches> {
        match self {
            Self::Slice => Batches::open(Bytes::from_static(table.slice), table.name, columns),
            Self::Package(directory) => {
                let path = Self::path(directory, table);
                let file = File::open(&path).map_err(|source| Error::File { path, source })?;
                Batches::open(file, table.name, columns)
            }
        }
    }

    /// Writes a raw table as it is, byte for byte.
    pub(super) fn copy(&self, table: RawTable, to: &Path) -> Result<()> {
        let write = |source| Error::File {
            path: to.to_path_buf(),
            source,
        };
        match self {
            Self::Slice => std::fs::write(to, table.slice).map_err(write),
            Self::Package(directory) => {
                let path = Self::path(directory, table);
                let mut original =
                    File::open(&path).map_err(|source| Error::File { path, source })?;
                let mut copy = File::create(to).map_err(write)?;
                std::io::copy(&mut original, &mut copy).map_err(write)?;
                Ok(())
            }
        }
    }

    fn path(directory: &Path, table: RawTable) -> PathBuf {
        directory.join(format!("{}.parquet", table.name))
    }
}

/// The batches of one raw table.
pub(super) struct Batches {
    table: &'static str,
    columns: Vec<(&'static str, DataType)>,
    reader: ParquetRecordBatchReader,
}

impl Batches {
    fn open<R: ChunkReader + 'static>(
        bytes: R,
        table: &'static str,
        columns: &[(&'static str, DataType)],
    ) -> Result<Self> {
        let raw = |source: ParquetError| Error::Raw { table, source };
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(raw)?;
        let names = columns.iter().map(|(name, _)| *name);
        let mask = ProjectionMask::columns(builder.parquet_schema(), names);
        let reader = builder
            .with_projection(mask)
            .with_batch_size(BATCH_ROWS)
            .build()
            .map_err(raw)?;
        Ok(Self {
            table,
            columns: columns.to_vec(),
            reader,
        })
    }

    fn read_as(&self, batch: &RecordBatch) -> Result<Raw> {
        let columns = self
            .columns
            .iter()
            .map(|(name, expected)| {
                batch
                    .column_by_name(name)
                    .and_then(|column| cast(column, expected).ok())
                    .ok_or_else(|| Error::RawColumn {
                        table: self.table,
                        column: (*name).to_owned(),
                        expected: expected.to_string(),
                    })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Raw {
            rows: batch.num_rows(),
            columns,
        })
    }
}

impl Iterator for Batches {
    type Item = Result<Raw>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.reader.next()?;
        Some(
            batch
                .map_err(|source| Error::Raw {
                    table: self.table,
                    source: source.into(),
                })
                .and_then(|batch| self.read_as(&batch)),
        )
    }
}

/// Some rows of a raw table, with the columns that were asked for.
pub(super) struct Raw {
    /// How many rows these are.
    pub(super) rows: usize,
    columns: Vec<ArrayRef>,
}

impl Raw {
    /// Whether a column lacks a value anywhere, or is itself missing.
    pub(super) fn nulls(&self, position: usize) -> bool {
        self.columns
            .get(position)
            .is_none_or(|column| column.null_count() > 0)
    }

    /// A column of whole numbers.
    pub(super) fn integers(&self, position: usize) -> Result<&Int64Array> {
        self.column(position)
    }

    /// A column of amounts.
    pub(super) fn amounts(&self, position: usize) -> Result<&Float64Array> {
        self.column(position)
    }

    /// A column of texts.
    pub(super) fn texts(&self, position: usize) -> Result<&StringArray> {
        self.column(position)
    }

    /// A column of points in time, in microseconds.
    pub(super) fn times(&self, position: usize) -> Result<&TimestampMicrosecondArray> {
        self.column(position)
    }

    fn column<A: Array + 'static>(&self, position: usize) -> Result<&A> {
        self.columns
            .get(position)
            .and_then(|column| column.as_any().downcast_ref::<A>())
            .ok_or_else(|| {
                Error::Internal(format!(
                    "raw column {position} was asked for under another type"
                ))
            })
    }
}

/// Microseconds without a zone: how the raw timestamps are read.
pub(super) const TIME: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);
