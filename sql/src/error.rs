//! The error of this crate: PostgreSQL's conditions with message, detail, hint and position.

use arrow::datatypes::DataType;
use datafusion::error::DataFusionError;
use sqlparser::parser::ParserError;
use sqlparser::tokenizer::{Location, TokenizerError};

use crate::pgtype;

/// The condition an error [`Report`] stands for; the server maps each to one SQLSTATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Condition {
    /// The text is not SQL.
    Syntax,
    /// No such table or view.
    UndefinedTable,
    /// No such column.
    UndefinedColumn,
    /// A name that means several columns.
    AmbiguousColumn,
    /// No such schema.
    UndefinedSchema,
    /// No such function.
    UndefinedFunction,
    /// No such prepared statement.
    UndefinedStatement,
    /// No such setting, role or other object.
    UndefinedObject,
    /// A table or view of that name exists.
    DuplicateTable,
    /// A schema of that name exists.
    DuplicateSchema,
    /// A column is named twice.
    DuplicateColumn,
    /// A prepared statement of that name exists.
    DuplicateStatement,
    /// An argument or option of a statement is unknown or given twice.
    InvalidOption,
    /// A value is out of its range.
    InvalidParameter,
    /// The result of a computation is beyond its type.
    NumericOutOfRange,
    /// A text is not a value of the type.
    InvalidText,
    /// Bytes are no text in UTF-8.
    InvalidEncoding,
    /// A time or an interval beyond its type.
    DatetimeOutOfRange,
    /// Types do not fit.
    DatatypeMismatch,
    /// The object is of another kind, such as a view where a table is needed.
    WrongObjectType,
    /// Another object needs this one.
    DependentObjects,
    /// Valid PostgreSQL that this version does not support.
    FeatureNotSupported,
    /// A subquery used as a value gives more than one row.
    CardinalityViolation,
    /// A NULL in a column that is NOT NULL.
    NotNullViolation,
    /// A text longer than its column.
    StringTooLong,
    /// No file matches, or the file is missing.
    UndefinedFile,
    /// A file cannot be read or is not of its format.
    BadFile,
    /// The operating system refuses to write a file.
    FileError,
    /// The role may not do this.
    InsufficientPrivilege,
    /// A statement that needs an open transaction, or none.
    ActiveTransaction,
    /// No transaction is open.
    NoActiveTransaction,
    /// The transaction has failed; only ROLLBACK is accepted.
    FailedTransaction,
    /// A write in a read-only transaction.
    ReadOnlyTransaction,
    /// The number of parameters given is not the number needed.
    ParameterCount,
    /// A limit on size or depth of a statement.
    StatementTooComplex,
    /// The user, or a limit, has stopped the statement.
    Cancelled,
    /// A value is larger than can be sent or held.
    TooLarge,
    /// The parts of an array do not fit together.
    ArraySubscript,
    /// A broken invariant: a bug in Tributary.
    Internal,
}

/// An error with the parts a PostgreSQL client shows.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Report {
    /// Which condition it is.
    pub condition: Condition,
    /// The primary message: lower case, no full stop, the object named in double quotes.
    pub message: String,
    /// Further facts, as full sentences.
    pub detail: Option<String>,
    /// What the user can do, as full sentences.
    pub hint: Option<String>,
    /// Where in the statement's text, in characters from 1.
    pub position: Option<usize>,
}

impl Report {
    /// A report with only a primary message.
    pub fn new(condition: Condition, message: impl Into<String>) -> Self {
        Self {
            condition,
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
        }
    }

    /// The same report with a DETAIL.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The same report with a HINT.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same report with a position in the text.
    #[must_use]
    pub fn at(mut self, position: Option<usize>) -> Self {
        self.position = position;
        self
    }

    /// Valid PostgreSQL that this version does not support.
    pub fn unsupported(what: impl std::fmt::Display) -> Self {
        Self::new(
            Condition::FeatureNotSupported,
            format!("{what} is not supported"),
        )
    }
}

/// Any failure of planning or running a statement.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A condition found by this crate.
    #[error(transparent)]
    Report(#[from] Report),
    /// A condition found by a relation function.
    #[error(transparent)]
    Function(#[from] tributary_udfs::Error),
    /// A condition found by the catalog.
    #[error(transparent)]
    Catalog(#[from] tributary_catalog::Error),
    /// A condition found by the engine.
    #[error(transparent)]
    Engine(Box<DataFusionError>),
    /// Another error, at a place in the query string.
    #[error("{source}")]
    Located {
        /// Characters from 1.
        position: usize,
        /// What it is.
        source: Box<Error>,
    },
}

/// The result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The same error with the place that the engine's planner points at, in characters of `sql`, the text it planned.
    #[must_use]
    pub fn located(self, sql: &str) -> Self {
        let Self::Engine(error) = &self else {
            return self;
        };
        let position = error
            .diagnostic()
            .and_then(|diagnostic| diagnostic.span)
            .and_then(|span| {
                let (line, column) = (span.start.line, span.start.column);
                character_position(sql, Location { line, column })
            });
        match position {
            Some(position) => Self::Located {
                position,
                source: Box::new(self),
            },
            None => self,
        }
    }

    /// The same error without a place: it was met in another text than the user's, such as a view's.
    #[must_use]
    pub fn elsewhere(self) -> Self {
        match self {
            Self::Engine(error) => Self::Engine(Box::new(without_places(*error))),
            Self::Located { source, .. } => source.elsewhere(),
            Self::Report(report) => Self::Report(report.at(None)),
            other => other,
        }
    }
}

fn without_places(error: DataFusionError) -> DataFusionError {
    match error {
        DataFusionError::Diagnostic(_, source) => without_places(*source),
        DataFusionError::Context(text, source) => {
            DataFusionError::Context(text, Box::new(without_places(*source)))
        }
        other => other,
    }
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        Error::Engine(Box::new(error))
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        Error::Engine(Box::new(error.into()))
    }
}

impl From<Report> for DataFusionError {
    fn from(report: Report) -> Self {
        DataFusionError::External(Box::new(report))
    }
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        match error {
            Error::Engine(error) => *error,
            Error::Function(error) => error.into(),
            Error::Report(report) => report.into(),
            Error::Catalog(error) => DataFusionError::External(Box::new(error)),
            Error::Located { source, .. } => (*source).into(),
        }
    }
}

/// What PostgreSQL advises where no function fits a call.
pub const NO_FUNCTION_HINT: &str = "No function matches the given name and argument types. You might need to add explicit type casts.";

/// A call that fits no function of that name.
pub fn undefined_function(name: &str, given: &[DataType]) -> Report {
    let types: Vec<String> = given
        .iter()
        .map(|data_type| pgtype::format_type(pgtype::of_data_type(data_type).oid, None))
        .collect();
    Report::new(
        Condition::UndefinedFunction,
        format!("function {name}({}) does not exist", types.join(", ")),
    )
    .hint(NO_FUNCTION_HINT)
}

/// A syntax error of the parser, in PostgreSQL's words and with its position.
pub fn syntax_error(sql: &str, error: &ParserError) -> Report {
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text.as_str(),
        ParserError::RecursionLimitExceeded => {
            return Report::new(
                Condition::StatementTooComplex,
                "the statement is nested too deeply",
            )
            .hint("Split it into views or common table expressions.");
        }
    };
    let (text, location) = split_location(text);
    let position = location.and_then(|location| character_position(sql, location));
    let message = match text.rsplit_once("found: ") {
        Some((_, "EOF")) => "syntax error at end of input".to_owned(),
        Some((_, token)) => format!("syntax error at or near \"{}\"", token.trim()),
        None => format!("syntax error: {}", lower_first(text)),
    };
    Report::new(Condition::Syntax, message).at(position)
}

/// A syntax error of the tokenizer.
pub fn token_error(sql: &str, error: &TokenizerError) -> Report {
    Report::new(
        Condition::Syntax,
        format!("syntax error: {}", lower_first(&error.message)),
    )
    .at(character_position(sql, error.location))
}

/// Characters before a line and column, both from 1; `None` for the empty location.
pub fn character_position(sql: &str, location: Location) -> Option<usize> {
    if location.line == 0 {
        return None;
    }
    let line = usize::try_from(location.line).ok()?;
    let column = usize::try_from(location.column).ok()?;
    let before: usize = sql
        .split_inclusive('\n')
        .take(line - 1)
        .map(|line| line.chars().count())
        .sum();
    Some(before + column)
}

fn split_location(text: &str) -> (&str, Option<Location>) {
    let Some((message, place)) = text.rsplit_once(" at Line: ") else {
        return (text, None);
    };
    let location = place
        .split_once(", Column: ")
        .and_then(|(line, column)| Some((line.parse().ok()?, column.trim().parse().ok()?)))
        .map(|(line, column)| Location { line, column });
    (message, location)
}

fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => String::new(),
    }
}
