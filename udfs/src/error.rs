//! The error of this crate: what went wrong, in PostgreSQL's manner of message, detail and hint.
//!
//! A [`Kind`] exists when a caller would act differently; the server maps each to one SQLSTATE.

use datafusion::error::DataFusionError;

/// What sort of failure an [`Error`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// No function of that name exists.
    UndefinedFunction,
    /// A named argument is unknown, given twice, or missing.
    UndefinedParameter,
    /// A column named in an argument is not in the relation.
    UndefinedColumn,
    /// A relation named in an argument does not exist.
    UndefinedTable,
    /// Two result columns, or two arguments, would have the same name.
    DuplicateColumn,
    /// The value of an argument is out of its range or not one of the allowed words.
    InvalidParameter,
    /// The type of an argument or column does not fit.
    DatatypeMismatch,
    /// A NULL where a value is needed.
    NullNotAllowed,
    /// NaN or infinity where a finite number is needed.
    NumericOutOfRange,
    /// The rows cannot be computed with: too few, none at all, duplicate keys.
    InvalidData,
    /// The named object is of another kind, such as a plain table where a model is needed.
    WrongObjectType,
    /// Valid SQL that this version does not support.
    FeatureNotSupported,
    /// The syntax of a value inside a text argument is wrong.
    Syntax,
    /// The memory limit would be exceeded.
    OutOfMemory,
    /// The statement was cancelled or timed out.
    Cancelled,
    /// A broken invariant: a bug in Tributary.
    Internal,
}

/// An error with the parts a PostgreSQL client shows.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What sort of failure this is.
    pub kind: Kind,
    /// The primary message: lower case, no full stop, the object named in double quotes.
    pub message: String,
    /// Further facts, as full sentences.
    pub detail: Option<String>,
    /// What the user can do, as full sentences.
    pub hint: Option<String>,
}

/// The result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` with only a primary message.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            detail: None,
            hint: None,
        }
    }

    /// The same error with a DETAIL.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The same error with a HINT.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A broken invariant, in words.
    pub fn internal(invariant: impl Into<String>) -> Self {
        Self::new(Kind::Internal, invariant)
    }
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        DataFusionError::External(Box::new(error))
    }
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        match error.find_root() {
            DataFusionError::External(source) if source.is::<Error>() => source
                .downcast_ref::<Error>()
                .cloned()
                .unwrap_or_else(|| Error::internal("an error changed its type")),
            DataFusionError::ResourcesExhausted(message) => Error::new(Kind::OutOfMemory, message),
            _ => Error::internal(error.strip_backtrace()),
        }
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        use arrow::error::ArrowError;
        match error {
            ArrowError::ExternalError(source) => match source.downcast::<Error>() {
                Ok(own) => *own,
                Err(other) => Error::internal(other.to_string()),
            },
            ArrowError::OffsetOverflowError(bytes) => Error::new(
                Kind::InvalidData,
                format!("a column of text or lists of more than 2 GiB cannot be computed with: {bytes} bytes"),
            )
            .hint("Give fewer rows, or shorter values."),
            other => Error::internal(other.to_string()),
        }
    }
}

impl From<tributary_algo::Error> for Error {
    fn from(error: tributary_algo::Error) -> Self {
        use tributary_algo::Error as Algo;
        let message = error.to_string();
        match error {
            Algo::Cancelled => {
                Error::new(Kind::Cancelled, "canceling statement due to user request")
            }
            Algo::OutOfMemory { .. } => Error::new(Kind::OutOfMemory, message)
                .hint("Raise the memory limit, or give fewer rows, columns or factors."),
            Algo::Parameter { hint, .. } => Error::new(Kind::InvalidParameter, message).hint(hint),
            Algo::Data { hint, .. } => Error::new(Kind::InvalidData, message).hint(hint),
            Algo::Internal(_) => Error::internal(message),
        }
    }
}
