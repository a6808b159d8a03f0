//! Rows into a Parquet file, one row of cells at a time.
//!
//! The demo writes some twenty small tables, each with columns and types of its own. A table is
//! declared by its columns and then fed cells; what does not fit its column is a mistake of the
//! generator and ends it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Builder, Decimal128Builder, Float64Builder, Int32Builder, Int64Builder,
    RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::properties::WriterProperties;

use super::error::{Error, Result};

/// Rows held before they go to the writer.
const BATCH_ROWS: usize = 16 * 1024;

/// Digits of an amount of money.
const AMOUNT_PRECISION: u8 = 10;

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    /// A 32-bit whole number.
    Integer,
    /// A 64-bit whole number.
    Bigint,
    /// A 64-bit float.
    Double,
    /// An amount of money, decimal(10,2), given in cents.
    Amount,
    /// Text.
    Text,
    /// A day, given in days since 1970.
    Date,
    /// A wall-clock time without a zone, given in microseconds since 1970.
    Timestamp,
    /// A point in time in UTC, given in microseconds since 1970.
    TimestampUtc,
}

/// One value of a row.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cell<'a> {
    /// No value.
    Null,
    /// A whole number, a day, cents or microseconds, as the column's type says.
    Number(i64),
    /// A float.
    Double(f64),
    /// Text.
    Text(&'a str),
}

impl<'a> From<&'a str> for Cell<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Cell<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Cell<'_> {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<f64> for Cell<'_> {
    fn from(number: f64) -> Self {
        Self::Double(number)
    }
}

impl<'a> From<&'a Option<String>> for Cell<'a> {
    fn from(text: &'a Option<String>) -> Self {
        text.as_deref().map_or(Self::Null, Self::Text)
    }
}

impl From<Option<i64>> for Cell<'_> {
    fn from(number: Option<i64>) -> Self {
        number.map_or(Self::Null, Self::Number)
    }
}

/// A Parquet file under way.
pub(super) struct Rows {
    path: PathBuf,
    schema: SchemaRef,
    columns: Vec<Column>,
    held: usize,
    written: u64,
    writer: ArrowWriter<File>,
}

impl Rows {
    /// Starts the file, which replaces one of the same name.
    pub(super) fn create(path: &Path, columns: &[(&str, Type)]) -> Result<Self> {
        let fields: Vec<Field> = columns
            .iter()
            .map(|(name, kind)| Field::new(*name, kind.data_type(), true))
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let file = File::create(path).map_err(|source| Error::File {
            path: path.to_path_buf(),
            source,
        })?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .build();
        let writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties)).map_err(
            |source| Error::Write {
                path: path.to_path_buf(),
                source,
            },
        )?;
        Ok(Self {
            path: path.to_path_buf(),
            schema,
            columns: columns.iter().map(|(_, kind)| Column::of(*kind)).collect(),
            held: 0,
            written: 0,
            writer,
        })
    }

    /// Adds a row: one cell for each column.
    pub(super) fn push<const N: usize>(&mut self, cells: [Cell<'_>; N]) -> Result<()> {
        if cells.len() != self.columns.len() {
            return Err(Error::Internal(format!(
                "{} cells for the {} columns of \"{}\"",
                cells.len(),
                self.columns.len(),
                self.path.display()
            )));
        }
        for ((column, cell), field) in self.columns.iter_mut().zip(cells).zip(self.schema.fields())
        {
            if !column.append(cell) {
                return Err(Error::Internal(format!(
                    "{cell:?} does not fit column \"{}\" of \"{}\"",
                    field.name(),
                    self.path.display()
                )));
            }
        }
        self.held += 1;
        if self.held == BATCH_ROWS {
            self.flush()?;
        }
        Ok(())
    }

    /// Ends the file and returns the number of its rows.
    pub(super) fn close(mut self) -> Result<u64> {
        self.flush()?;
        let Self {
            path,
            writer,
            written,
            ..
        } = self;
        writer
            .close()
            .map_err(|source| Error::Write { path, source })?;
        Ok(written)
    }

    fn flush(&mut self) -> Result<()> {
        if self.held == 0 {
            return Ok(());
        }
        let arrays = self.columns.iter_mut().map(Column::finish).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays).map_err(|source| {
            Error::Rows {
                path: self.path.clone(),
                source,
            }
        })?;
        self.written += u64::try_from(self.held).unwrap_or(u64::MAX);
        self.held = 0;
        self.writer
            .write(&batch)
            .map_err(|source: ParquetError| Error::Write {
                path: self.path.clone(),
                source,
            })
    }
}

impl Type {
    fn data_type(self) -> DataType {
        match self {
            Self::Integer => DataType::Int32,
            Self::Bigint => DataType::Int64,
            Self::Double => DataType::Float64,
            Self::Amount => DataType::Decimal128(AMOUNT_PRECISION, 2),
            Self::Text => DataType::Utf8,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::TimestampUtc => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }
}

enum Column {
    Integer(Int32Builder),
    Bigint(Int64Builder),
    Double(Float64Builder),
    Amount(Decimal128Builder),
    Text(StringBuilder),
    Date(Date32Builder),
    Time(TimestampMicrosecondBuilder),
}

impl Column {
    fn of(kind: Type) -> Self {
        match kind {
            Type::Integer => Self::Integer(Int32Builder::new()),
            Type::Bigint => Self::Bigint(Int64Builder::new()),
            Type::Double => Self::Double(Float64Builder::new()),
            Type::Amount => Self::Amount(Decimal128Builder::new().with_data_type(kind.data_type())),
            Type::Text => Self::Text(StringBuilder::new()),
            Type::Date => Self::Date(Date32Builder::new()),
            Type::Timestamp | Type::TimestampUtc => {
                Self::Time(TimestampMicrosecondBuilder::new().with_data_type(kind.data_type()))
            }
        }
    }

    /// Appends a cell; false when it does not fit.
    fn append(&mut self, cell: Cell<'_>) -> bool {
        match (self, cell) {
            (Self::Integer(builder), Cell::Number(number)) => match i32::try_from(number) {
                Ok(number) => builder.append_value(number),
                Err(_) => return false,
            },
            (Self::Integer(builder), Cell::Null) => builder.append_null(),
            (Self::Bigint(builder), Cell::Number(number)) => builder.append_value(number),
            (Self::Bigint(builder), Cell::Null) => builder.append_null(),
            (Self::Double(builder), Cell::Double(number)) => builder.append_value(number),
            (Self::Double(builder), Cell::Null) => builder.append_null(),
            (Self::Amount(builder), Cell::Number(cents)) => builder.append_value(i128::from(cents)),
            (Self::Amount(builder), Cell::Null) => builder.append_null(),
            (Self::Text(builder), Cell::Text(text)) => builder.append_value(text),
            (Self::Text(builder), Cell::Null) => builder.append_null(),
            (Self::Date(builder), Cell::Number(days)) => match i32::try_from(days) {
                Ok(days) => builder.append_value(days),
                Err(_) => return false,
            },
            (Self::Date(builder), Cell::Null) => builder.append_null(),
            (Self::Time(builder), Cell::Number(micros)) => builder.append_value(micros),
            (Self::Time(builder), Cell::Null) => builder.append_null(),
            _ => return false,
        }
        true
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Integer(builder) => Arc::new(builder.finish()),
            Self::Bigint(builder) => Arc::new(builder.finish()),
            Self::Double(builder) => Arc::new(builder.finish()),
            Self::Amount(builder) => Arc::new(builder.finish()),
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Date(builder) => Arc::new(builder.finish()),
            Self::Time(builder) => Arc::new(builder.finish()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("t.parquet");
        let mut rows = Rows::create(&path, &[("n", Type::Integer), ("t", Type::Text)]).unwrap();
        rows.push([1.into(), "a".into()]).unwrap();
        assert!(
            rows.push([1.into()])
                .unwrap_err()
                .to_string()
                .contains("1 cells for the 2 columns")
        );
        assert!(
            rows.push(["a".into(), "a".into()])
                .unwrap_err()
                .to_string()
                .contains("column \"n\"")
        );
        assert!(rows.push([Cell::Number(1 << 40), Cell::Null]).is_err());
    }

    #[test]
    fn a_directory_that_is_missing_is_named() {
        let error = Rows::create(
            Path::new("no/such/place/t.parquet"),
            &[("n", Type::Integer)],
        )
        .err()
        .unwrap();
        assert!(
            error
                .to_string()
                .starts_with("cannot use \"no/such/place/t.parquet\""),
            "{error}"
        );
    }
}
