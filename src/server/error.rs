//! From any error of the product to what a client sees: severity, SQLSTATE, message, detail, hint, position.
//!
//! This is the one place that knows SQLSTATEs. An error of ours is found at the root of whatever the engine wrapped it
//! in; an error of the engine itself is told by its variant, and where the engine has only a text, by that text: the
//! texts are listed in [`ENGINE_TEXTS`]. `XX000` means a bug in us.

use datafusion::arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use tributary_sql::error::{Condition, NO_FUNCTION_HINT};
use tributary_sql::text::{TextError, TextErrorKind};
use tributary_udfs::Kind;

/// How grave an error or notice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The statement has failed; the session goes on.
    Error,
    /// The connection ends.
    Fatal,
}

impl Severity {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }
}

/// An error as PostgreSQL clients show it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PgError {
    /// How grave it is.
    pub severity: Severity,
    /// Its SQLSTATE.
    pub code: &'static str,
    /// The primary message: lower case, no full stop, the object named in double quotes.
    pub message: String,
    /// Further facts, as full sentences.
    pub detail: Option<String>,
    /// What the user can do, as full sentences.
    pub hint: Option<String>,
    /// Where in the query string, in characters from 1.
    pub position: Option<usize>,
}

impl PgError {
    /// An error of a statement.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
        }
    }

    /// An error that ends the connection.
    pub fn fatal(code: &'static str, message: impl Into<String>) -> Self {
        Self::error(code, message).into_fatal()
    }

    /// A broken invariant, in words.
    pub fn internal(invariant: impl std::fmt::Display) -> Self {
        Self::error("XX000", format!("internal error: {invariant}"))
    }

    /// The same error, ending the connection.
    #[must_use]
    pub fn into_fatal(mut self) -> Self {
        self.severity = Severity::Fatal;
        self
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
}

impl From<&tributary_sql::Error> for PgError {
    fn from(error: &tributary_sql::Error) -> Self {
        match error {
            tributary_sql::Error::Report(report) => report.into(),
            tributary_sql::Error::Function(error) => error.into(),
            tributary_sql::Error::Catalog(error) => error.into(),
            tributary_sql::Error::Engine(error) => error.as_ref().into(),
            tributary_sql::Error::Located { position, source } => {
                let error = Self::from(source.as_ref());
                Self {
                    position: error.position.or(Some(*position)),
                    ..error
                }
            }
        }
    }
}

impl From<tributary_sql::Report> for PgError {
    fn from(report: tributary_sql::Report) -> Self {
        (&report).into()
    }
}

impl From<&tributary_sql::Report> for PgError {
    fn from(report: &tributary_sql::Report) -> Self {
        let code = match report.condition {
            Condition::Syntax => "42601",
            Condition::UndefinedTable => "42P01",
            Condition::UndefinedColumn => "42703",
            Condition::AmbiguousColumn => "42702",
            Condition::UndefinedSchema => "3F000",
            Condition::UndefinedFunction => "42883",
            Condition::UndefinedStatement => "26000",
            Condition::UndefinedObject => "42704",
            Condition::DuplicateTable => "42P07",
            Condition::DuplicateSchema => "42P06",
            Condition::DuplicateColumn => "42701",
            Condition::DuplicateStatement => "42P05",
            Condition::InvalidOption => "42601",
            Condition::InvalidParameter => "22023",
            Condition::NumericOutOfRange => "22003",
            Condition::InvalidText => "22P02",
            Condition::InvalidEncoding => "22021",
            Condition::DatetimeOutOfRange => "22008",
            Condition::DatatypeMismatch => "42804",
            Condition::WrongObjectType => "42809",
            Condition::DependentObjects => "2BP01",
            Condition::FeatureNotSupported => "0A000",
            Condition::CardinalityViolation => "21000",
            Condition::NotNullViolation => "23502",
            Condition::StringTooLong => "22001",
            Condition::UndefinedFile => "58P01",
            Condition::BadFile => "22P04",
            Condition::FileError => "58030",
            Condition::InsufficientPrivilege => "42501",
            Condition::ActiveTransaction => "25001",
            Condition::NoActiveTransaction => "25P01",
            Condition::FailedTransaction => "25P02",
            Condition::ReadOnlyTransaction => "25006",
            Condition::ParameterCount => "08P01",
            Condition::StatementTooComplex => "54001",
            Condition::TooLarge => "54000",
            Condition::ArraySubscript => "2202E",
            Condition::Cancelled => "57014",
            Condition::Internal => "XX000",
        };
        Self {
            severity: Severity::Error,
            code,
            message: report.message.clone(),
            detail: report.detail.clone(),
            hint: report.hint.clone(),
            position: report.position,
        }
    }
}

impl From<&TextError> for PgError {
    fn from(error: &TextError) -> Self {
        let code = match error.kind {
            TextErrorKind::InvalidText => "22P02",
            TextErrorKind::InvalidDatetime => "22007",
            TextErrorKind::DatetimeRange => "22008",
            TextErrorKind::ZoneDisplacement => "22009",
            TextErrorKind::IntervalRange => "22015",
            TextErrorKind::NumberRange => "22003",
            TextErrorKind::InvalidParameter => "22023",
            TextErrorKind::Template => "42601",
            TextErrorKind::Unsupported => "0A000",
        };
        Self {
            detail: error.detail.clone(),
            hint: error.hint.clone(),
            ..Self::error(code, error.message.clone())
        }
    }
}

impl From<&tributary_udfs::Error> for PgError {
    fn from(error: &tributary_udfs::Error) -> Self {
        let code = match error.kind {
            Kind::UndefinedFunction => "42883",
            Kind::UndefinedParameter => "42883",
            Kind::UndefinedColumn => "42703",
            Kind::UndefinedTable => "42P01",
            Kind::DuplicateColumn => "42701",
            Kind::InvalidParameter => "22023",
            Kind::DatatypeMismatch => "42804",
            Kind::NullNotAllowed => "22004",
            Kind::NumericOutOfRange => "22023",
            Kind::InvalidData => "22023",
            Kind::WrongObjectType => "42809",
            Kind::FeatureNotSupported => "0A000",
            Kind::Syntax => "42601",
            Kind::OutOfMemory => "53200",
            Kind::Cancelled => "57014",
            Kind::Internal => "XX000",
        };
        Self {
            severity: Severity::Error,
            code,
            message: error.message.clone(),
            detail: error.detail.clone(),
            hint: error.hint.clone(),
            position: None,
        }
    }
}

impl From<&tributary_catalog::Error> for PgError {
    fn from(error: &tributary_catalog::Error) -> Self {
        use tributary_catalog::{Error, NamedObject};
        let code = match error {
            Error::NotAWarehouse { .. } => "58000",
            Error::WarehouseExists { .. } => "58P02",
            Error::UnsupportedVersion { .. } | Error::UnsupportedFeature { .. } => "0A000",
            Error::UnsupportedType { .. } => "0A000",
            Error::UndefinedSchema { .. } => "3F000",
            Error::UndefinedSavepoint { .. } => "3B001",
            Error::UndefinedSnapshot { .. } => "22023",
            Error::ColumnChange { .. } => "0A000",
            Error::ColumnHasNulls { .. } => "23502",
            Error::UndefinedRelation { .. } => "42P01",
            Error::UndefinedColumn { .. } => "42703",
            Error::DuplicateSchema { .. } => "42P06",
            Error::DuplicateRelation { .. } => "42P07",
            Error::DuplicateColumn { .. } => "42701",
            Error::SameButForCase { object, .. } => match object {
                NamedObject::Schema => "42P06",
                NamedObject::Relation => "42P07",
                NamedObject::Column => "42701",
            },
            Error::WrongRelationKind { .. } => "42809",
            Error::SchemaNotEmpty { .. } | Error::DependentObjects { .. } => "2BP01",
            Error::InvalidName { .. } => "42602",
            Error::NotNullViolation { .. } => "23502",
            Error::TypeMismatch { .. } => "42804",
            Error::Conflict { .. } => "40001",
            Error::TransactionEnded => "25000",
            Error::AlreadyIngested { .. } => "40001",
            Error::DuplicateRole { .. } | Error::UndefinedRole { .. } => "42704",
            Error::DataFileMissing { .. } => "58P01",
            Error::DataFileDamaged { .. } | Error::CatalogDamaged { .. } => "XX001",
            Error::CatalogLocked { .. } => "55P03",
            Error::Io { source, .. } => io_code(source),
            Error::Sqlite(_) => "58030",
            Error::Parquet(_) => "XX001",
            Error::Arrow(source) => return with_facts(arrow_error(source), error),
            Error::Internal(_) => "XX000",
        };
        with_facts(Self::error(code, error.to_string()), error)
    }
}

/// `mapped` with the detail and hint that the catalog's error has.
fn with_facts(mapped: PgError, error: &tributary_catalog::Error) -> PgError {
    PgError {
        detail: mapped.detail.clone().or_else(|| error.detail()),
        hint: mapped
            .hint
            .clone()
            .or_else(|| error.hint().map(str::to_owned)),
        ..mapped
    }
}

impl From<&DataFusionError> for PgError {
    fn from(error: &DataFusionError) -> Self {
        let root = error.find_root();
        match root {
            DataFusionError::External(source) => external(source.as_ref()),
            DataFusionError::ArrowError(source, _) => arrow_error(source),
            DataFusionError::SQL(source, _) => {
                Self::error("42601", format!("syntax error: {source}"))
            }
            DataFusionError::SchemaError(source, _) => schema_error(source),
            DataFusionError::Plan(text) => engine_text(text, "42000"),
            DataFusionError::Execution(text) => engine_text(text, "22000"),
            DataFusionError::NotImplemented(text) => {
                Self::error("0A000", lower_first(first_line(text)))
            }
            DataFusionError::Configuration(text) => {
                Self::error("22023", lower_first(first_line(text)))
            }
            DataFusionError::ResourcesExhausted(text) => {
                if text.contains("disk space") {
                    Self::error("53100", "temporary files exceed their limit")
                        .detail(sentence(text))
                } else {
                    Self::error("53200", "out of memory").detail(sentence(text))
                }
            }
            DataFusionError::IoError(source) => {
                Self::error(io_code(source), "could not read or write a file")
                    .detail(sentence(source))
            }
            DataFusionError::ObjectStore(source) => object_store_error(source),
            DataFusionError::ParquetError(source) => {
                Self::error("XX001", "could not read a Parquet file").detail(sentence(source))
            }
            DataFusionError::ExecutionJoin(source) => {
                Self::internal(format_args!("a task of the engine ended: {source}"))
            }
            DataFusionError::Collection(errors) => errors.first().map_or_else(
                || Self::internal("an empty collection of errors"),
                Self::from,
            ),
            DataFusionError::Internal(text) => Self::internal(first_line(text)),
            DataFusionError::Context(_, source) => source.as_ref().into(),
            DataFusionError::Diagnostic(_, source) => source.as_ref().into(),
            DataFusionError::Shared(source) => source.as_ref().into(),
            DataFusionError::Substrait(text) | DataFusionError::Ffi(text) => {
                Self::internal(first_line(text))
            }
        }
    }
}

/// An error that went through the engine as it was.
fn external(source: &(dyn std::error::Error + 'static)) -> PgError {
    if let Some(error) = source.downcast_ref::<tributary_sql::Report>() {
        error.into()
    } else if let Some(error) = source.downcast_ref::<tributary_sql::Error>() {
        error.into()
    } else if let Some(error) = source.downcast_ref::<tributary_udfs::Error>() {
        error.into()
    } else if let Some(error) = source.downcast_ref::<tributary_catalog::Error>() {
        error.into()
    } else if let Some(error) = source.downcast_ref::<TextError>() {
        error.into()
    } else if let Some(error) = source.downcast_ref::<DataFusionError>() {
        error.into()
    } else if let Some(error) = source.downcast_ref::<ArrowError>() {
        arrow_error(error)
    } else if let Some(error) = source.downcast_ref::<PgError>() {
        error.clone()
    } else {
        PgError::internal(source)
    }
}

fn arrow_error(error: &ArrowError) -> PgError {
    match error {
        ArrowError::DivideByZero => PgError::error("22012", "division by zero"),
        ArrowError::ArithmeticOverflow(text) => overflow(text),
        ArrowError::CastError(text) | ArrowError::ParseError(text) => cast_error(text),
        ArrowError::InvalidArgumentError(text) | ArrowError::ComputeError(text) => {
            engine_text(text, "22000")
        }
        ArrowError::NotYetImplemented(text) => {
            PgError::error("0A000", lower_first(first_line(text)))
        }
        ArrowError::MemoryError(text) => {
            PgError::error("53200", "out of memory").detail(sentence(text))
        }
        ArrowError::ExternalError(source) => match source.downcast_ref::<DataFusionError>() {
            Some(error) => error.into(),
            None => external(source.as_ref()),
        },
        ArrowError::IoError(text, source) => {
            PgError::error(io_code(source), lower_first(first_line(text)))
        }
        ArrowError::OffsetOverflowError(_)
        | ArrowError::DictionaryKeyOverflowError
        | ArrowError::RunEndIndexOverflowError => {
            PgError::error("54000", "a batch of values is too large").detail(sentence(error))
        }
        ArrowError::CsvError(text) | ArrowError::JsonError(text) | ArrowError::AvroError(text) => {
            PgError::error("22P04", lower_first(first_line(text)))
        }
        ArrowError::SchemaError(text)
        | ArrowError::IpcError(text)
        | ArrowError::ParquetError(text)
        | ArrowError::CDataInterface(text) => PgError::internal(first_line(text)),
    }
}

/// "Overflow happened on: 9223372036854775807 + 1"
fn overflow(text: &str) -> PgError {
    PgError::error("22003", "value out of range").detail(sentence(text))
}

/// What Arrow's casts and parsers say.
fn cast_error(text: &str) -> PgError {
    // "Cannot cast string 'abc' to value of Int32 type"
    if let Some((value, rest)) = text
        .strip_prefix("Cannot cast string '")
        .and_then(|rest| rest.rsplit_once("' to value of "))
    {
        let type_name = type_words(rest.strip_suffix(" type").unwrap_or(rest));
        let code = match type_name {
            _ if is_number(value) && is_integer_type(type_name) => "22003",
            "date" | "time" | "timestamp" | "interval" => "22007",
            _ => "22P02",
        };
        let message = if code == "22003"
            && value
                .trim()
                .chars()
                .all(|c| c.is_ascii_digit() || c == '-' || c == '+')
        {
            format!("value \"{value}\" is out of range for type {type_name}")
        } else {
            let code = if code == "22007" { code } else { "22P02" };
            return PgError::error(
                code,
                format!("invalid input syntax for type {type_name}: \"{value}\""),
            );
        };
        return PgError::error(code, message);
    }
    // "Can't cast value 300 to type Int8"
    if let Some((value, type_name)) = text
        .strip_prefix("Can't cast value ")
        .and_then(|rest| rest.split_once(" to type "))
    {
        let type_name = type_words(type_name);
        return PgError::error(
            "22003",
            format!("value \"{value}\" is out of range for type {type_name}"),
        );
    }
    // "Error parsing timestamp from 'x': error parsing date"
    if let Some((value, _)) = text
        .strip_prefix("Error parsing timestamp from '")
        .and_then(|rest| rest.rsplit_once("': "))
    {
        return PgError::error(
            "22007",
            format!("invalid input syntax for type timestamp: \"{value}\""),
        );
    }
    if let Some(value) = text
        .strip_prefix("Cannot cast string '")
        .and_then(|rest| rest.split_once('\'').map(|(value, _)| value))
    {
        return PgError::error("22P02", format!("invalid input syntax: \"{value}\""));
    }
    engine_text(text, "22P02")
}

fn schema_error(error: &SchemaError) -> PgError {
    match error {
        SchemaError::FieldNotFound { field, .. } => match &field.relation {
            Some(relation) => PgError::error(
                "42703",
                format!("column {}.{} does not exist", relation.table(), field.name),
            ),
            None => PgError::error("42703", format!("column \"{}\" does not exist", field.name)),
        },
        SchemaError::AmbiguousReference { field } => PgError::error(
            "42702",
            format!("column reference \"{}\" is ambiguous", field.name),
        ),
        SchemaError::DuplicateQualifiedField { qualifier, name } => PgError::error(
            "42712",
            format!(
                "table name \"{}\" specified more than once",
                qualifier.table()
            ),
        )
        .detail(format!("Column \"{name}\" would have the same name twice.")),
        SchemaError::DuplicateUnqualifiedField { name } => PgError::error(
            "42701",
            format!("column \"{name}\" specified more than once"),
        ),
    }
}

fn object_store_error(error: &datafusion::object_store::Error) -> PgError {
    use datafusion::object_store::Error;
    match error {
        Error::NotFound { path, .. } => {
            PgError::error("58P01", format!("file \"{path}\" does not exist"))
        }
        Error::PermissionDenied { path, .. } | Error::Unauthenticated { path, .. } => {
            PgError::error("42501", format!("permission denied for file \"{path}\""))
        }
        other => PgError::error("58030", "could not read or write a file").detail(sentence(other)),
    }
}

fn io_code(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::NotFound => "58P01",
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => "53100",
        _ => "58030",
    }
}

/// What an error is, told by a part of the engine's text: the part, the SQLSTATE, and PostgreSQL's own words where they
/// do not depend on the statement. The first that fits counts.
#[rustfmt::skip]
const ENGINE_TEXTS: &[(&str, &str, Option<&str>)] = &[
    ("Invalid function '", "42883", None),
    ("No function matches the given name and argument types", "42883", None),
    ("Function '", "42883", None),
    ("Failed to coerce arguments", "42883", None),
    ("Divide by zero", "22012", Some("division by zero")),
    ("Division by zero", "22012", Some("division by zero")),
    ("divide by zero", "22012", Some("division by zero")),
    ("Cannot coerce arithmetic expression", "42883", None),
    ("Cannot infer common argument type", "42883", None),
    ("Cannot get result type", "42883", None),
    ("must appear in the GROUP BY clause", "42803", None),
    ("must be in GROUP BY or an aggregate function", "42803", None),
    ("Aggregate functions are not allowed in the WHERE clause", "42803", Some("aggregate functions are not allowed in WHERE")),
    ("Placeholder type for", "42P18", None),
    ("could not be resolved. Make sure that the placeholder is bound", "42P18", None),
    ("queries have different number of columns", "42601", None),
    ("non-boolean predicate", "42804", None),
    ("Invalid qualifier ", "42P01", None),
    ("Union schemas have different number of fields", "42601", Some("each UNION query must have the same number of columns")),
    ("Inconsistent data length across values list", "42601", Some("VALUES lists must all be the same length")),
    ("Projections require unique expression names", "42701", None),
    ("SELECT * with no tables specified", "42601", Some("SELECT * with no tables specified is not valid")),
    ("LIMIT must be >= 0", "2201W", Some("LIMIT must not be negative")),
    ("OFFSET must be >=0", "2201X", Some("OFFSET must not be negative")),
    ("more than one row", "21000", Some("more than one row returned by a subquery used as an expression")),
    ("Scalar subquery", "42601", None),
    ("Too many columns! The subquery should only return one column", "42601", Some("subquery must return only one column")),
    ("Overflow", "22003", None),
    ("overflow", "22003", None),
    ("is too large to store in a Decimal", "22003", Some("numeric field overflow")),
    ("is too small to store in a Decimal", "22003", Some("numeric field overflow")),
    ("out of range", "22003", None),
    ("Unsupported CAST from", "42846", None),
    ("Casting from", "42846", None),
    ("Regex", "2201B", None),
    ("regex parse error", "2201B", None),
    ("recursion limit", "54001", None),
    ("Unable to parse", "22P02", None),
];

/// An error of which the engine has only a text; `otherwise` is the class of statement errors it comes from.
fn engine_text(text: &str, otherwise: &'static str) -> PgError {
    let found = ENGINE_TEXTS.iter().find(|(part, ..)| text.contains(part));
    let Some((_, code, words)) = found else {
        return PgError::error(otherwise, lower_first(first_line(text)));
    };
    if let Some(words) = words {
        let error = PgError::error(code, *words);
        return match decimal_limit(text) {
            Some(detail) => error.detail(detail),
            None => error,
        };
    }
    // "Cannot create filter with non-boolean predicate 'a + 1' returning Int64"
    if let Some((_, data_type)) = text.split_once("non-boolean predicate '")
        && let Some((_, data_type)) = data_type.rsplit_once("' returning ")
    {
        return PgError::error(
            code,
            format!(
                "argument of WHERE must be type boolean, not type {}",
                type_words(first_line(data_type))
            ),
        );
    }
    // "Invalid qualifier t"
    if let Some(table) = text.strip_prefix("Invalid qualifier ") {
        return PgError::error(
            code,
            format!(
                "missing FROM-clause entry for table \"{}\"",
                first_line(table)
            ),
        );
    }
    // "UNION queries have different number of columns"
    if let Some((operation, _)) = text.split_once(" queries have different number of columns") {
        return PgError::error(
            code,
            format!("each {operation} query must have the same number of columns"),
        );
    }
    // "...: While expanding wildcard, column "t.v" must appear in the GROUP BY clause or ..."
    if let Some((before, _)) = text.split_once("\" must appear in the GROUP BY clause")
        && let Some((_, column)) = before.rsplit_once('"')
    {
        return PgError::error(
            code,
            format!(
                "column \"{column}\" must appear in the GROUP BY clause or be used in an aggregate function"
            ),
        );
    }
    // "Invalid function 'foo'.\nDid you mean 'bar'?"
    if let Some(rest) = text.strip_prefix("Invalid function '") {
        let mut parts = rest.split('\'');
        let error = PgError::error(
            code,
            format!(
                "function {}() does not exist",
                parts.next().unwrap_or_default()
            ),
        );
        let name = rest.split('\'').next().unwrap_or_default();
        if name
            .split_once('.')
            .is_some_and(|(schema, name)| tributary_udfs::functions::find(schema, name).is_some())
        {
            return error.hint(format!(
                "{name} gives rows: call it in FROM, as in SELECT * FROM {name}(...)."
            ));
        }
        return match parts.nth(1) {
            Some(suggested) if is_near(name, suggested) => {
                error.hint(format!("Perhaps you meant the function \"{suggested}\"."))
            }
            _ => error.hint(NO_FUNCTION_HINT),
        };
    }
    // "... No function matches the given name and argument types 'abs(Utf8)'. You might need ..."
    if let Some((_, rest)) =
        text.split_once("No function matches the given name and argument types '")
        && let Some((call, _)) = rest.split_once('\'')
    {
        let (name, arguments) = call.split_once('(').unwrap_or((call, ""));
        let arguments = arguments.strip_suffix(')').unwrap_or(arguments);
        let arguments: Vec<&str> = arguments.split(", ").map(type_words).collect();
        return PgError::error(
            code,
            format!("function {name}({}) does not exist", arguments.join(", ")),
        )
        .hint(NO_FUNCTION_HINT);
    }
    // "Cannot coerce arithmetic expression Int64 + Utf8 to valid types"
    if let Some(rest) = text.strip_prefix("Cannot coerce arithmetic expression ") {
        let expression = rest.strip_suffix(" to valid types").unwrap_or(rest);
        return operator_error(expression);
    }
    // "Cannot infer common argument type for comparison operation Int64 = List(..)"
    if let Some((_, expression)) = text.split_once("comparison operation ") {
        return operator_error(expression);
    }
    PgError::error(code, lower_first(first_line(text)))
}

/// Whether a name is one slip of the hand away from another, so that it is worth suggesting.
fn is_near(name: &str, other: &str) -> bool {
    let (short, long) = if name.len() <= other.len() {
        (name, other)
    } else {
        (other, name)
    };
    let same_start = short
        .bytes()
        .zip(long.bytes())
        .take_while(|(a, b)| a == b)
        .count();
    let same_end = short
        .bytes()
        .rev()
        .zip(long.bytes().rev())
        .take_while(|(a, b)| a == b)
        .count();
    same_start + same_end + 1 >= long.len()
}

/// What a decimal can hold: "... is too large to store in a Decimal128 of precision 12. Max is 9999999999.99".
fn decimal_limit(text: &str) -> Option<String> {
    let (_, rest) = text.split_once(" of precision ")?;
    let (precision, largest) = rest.split_once(". Max is ")?;
    let precision: u32 = precision.trim().parse().ok()?;
    let largest = first_line(largest).trim();
    let scale = largest
        .split_once('.')
        .map_or(0, |(_, digits)| digits.len());
    let whole = precision.checked_sub(u32::try_from(scale).ok()?)?;
    Some(format!(
        "A field with precision {precision}, scale {scale} must round to an absolute value less than 10^{whole}."
    ))
}

/// `Int64 + Utf8` in PostgreSQL's words.
fn operator_error(expression: &str) -> PgError {
    let words: Vec<&str> = first_line(expression).split(' ').map(type_words).collect();
    PgError::error("42883", format!("operator does not exist: {}", words.join(" ")))
        .hint("No operator matches the given name and argument types. You might need to add explicit type casts.")
}

/// An Arrow type, as its `Display` writes it, in SQL; other words stay as they are.
fn type_words(arrow: &str) -> &str {
    match arrow {
        "Boolean" => "boolean",
        "Int8" | "Int16" | "UInt8" => "smallint",
        "Int32" | "UInt16" => "integer",
        "Int64" | "UInt32" => "bigint",
        "UInt64" => "numeric",
        "Float16" | "Float32" => "real",
        "Float64" => "double precision",
        "Utf8" | "LargeUtf8" | "Utf8View" => "text",
        "Binary" | "LargeBinary" | "BinaryView" => "bytea",
        "Date32" | "Date64" => "date",
        "Null" => "unknown",
        _ if arrow.starts_with("Decimal") => "numeric",
        _ if arrow.starts_with("Timestamp") => "timestamp",
        _ if arrow.starts_with("Time") => "time",
        _ if arrow.starts_with("Interval") => "interval",
        other => other,
    }
}

fn is_integer_type(sql: &str) -> bool {
    matches!(sql, "smallint" | "integer" | "bigint")
}

fn is_number(text: &str) -> bool {
    text.trim().parse::<f64>().is_ok()
}

fn first_line(text: &str) -> &str {
    text.lines()
        .next()
        .unwrap_or_default()
        .trim_end_matches('.')
}

/// `text` with a small first letter, unless the first word is an abbreviation in capitals.
fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    match (characters.next(), characters.clone().next()) {
        (Some(first), second) if !second.is_some_and(char::is_uppercase) => {
            first.to_lowercase().chain(characters).collect()
        }
        _ => text.to_owned(),
    }
}

/// The first line of what `text` says as a full sentence.
fn sentence(text: impl std::fmt::Display) -> String {
    let text = text.to_string();
    let line = first_line(&text);
    let mut characters = line.chars();
    match characters.next() {
        Some(first) => first
            .to_uppercase()
            .chain(characters)
            .chain(['.'])
            .collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use datafusion::common::Column;

    use super::*;

    fn check(error: DataFusionError, code: &str, message: &str) {
        let mapped = PgError::from(&error);
        assert_eq!((mapped.code, mapped.message.as_str()), (code, message));
        assert_eq!(mapped.severity, Severity::Error);
    }

    #[test]
    fn our_errors_keep_their_code_through_the_engine() {
        let ours = || {
            tributary_udfs::Error::new(Kind::InvalidParameter, "k must be positive")
                .detail("It is 0.")
                .hint("Give a positive number.")
        };
        let wrapped = DataFusionError::Context(
            "running".into(),
            Box::new(DataFusionError::ArrowError(
                Box::new(ArrowError::ExternalError(Box::new(DataFusionError::from(
                    ours(),
                )))),
                None,
            )),
        );
        let mapped = PgError::from(&wrapped);
        assert_eq!(mapped.code, "22023");
        assert_eq!(mapped.message, "k must be positive");
        assert_eq!(mapped.detail.as_deref(), Some("It is 0."));
        assert_eq!(mapped.hint.as_deref(), Some("Give a positive number."));
        let shared = DataFusionError::Shared(std::sync::Arc::new(DataFusionError::from(ours())));
        assert_eq!(PgError::from(&shared).code, "22023");
        check(
            tributary_catalog::Error::Conflict {
                object: "table \"a\"".into(),
                reason: "It was dropped.".into(),
            }
            .into(),
            "40001",
            "could not serialize access to table \"a\" due to a concurrent change",
        );
        check(
            tributary_sql::Report::new(Condition::UndefinedTable, "relation \"x\" does not exist")
                .into(),
            "42P01",
            "relation \"x\" does not exist",
        );
    }

    #[test]
    fn names_and_columns_are_told_as_postgresql_tells_them() {
        let missing = |relation: Option<&str>| SchemaError::FieldNotFound {
            field: Box::new(Column::new(relation, "x")),
            valid_fields: vec![],
        };
        let schema = |error| DataFusionError::SchemaError(Box::new(error), Box::new(None));
        check(
            schema(missing(None)),
            "42703",
            "column \"x\" does not exist",
        );
        check(
            schema(missing(Some("t"))),
            "42703",
            "column t.x does not exist",
        );
        check(
            schema(SchemaError::AmbiguousReference {
                field: Box::new(Column::new_unqualified("x")),
            }),
            "42702",
            "column reference \"x\" is ambiguous",
        );
        check(
            DataFusionError::Plan("Invalid function 'fooo'.\nDid you mean 'floor'?".into()),
            "42883",
            "function fooo() does not exist",
        );
        check(
            DataFusionError::Plan(
                "Failed to coerce arguments to satisfy a call to 'abs' function: coercion from Utf8 to the signature \
                 Numeric(1) failed No function matches the given name and argument types 'abs(Utf8, Int64)'. You might \
                 need to add explicit type casts."
                    .into(),
            ),
            "42883",
            "function abs(text, bigint) does not exist",
        );
        check(
            DataFusionError::Plan(
                "Cannot coerce arithmetic expression Int64 + Boolean to valid types".into(),
            ),
            "42883",
            "operator does not exist: bigint + boolean",
        );
    }

    #[test]
    fn values_that_do_not_fit_have_their_own_codes() {
        let arrow = |error| DataFusionError::ArrowError(Box::new(error), None);
        check(arrow(ArrowError::DivideByZero), "22012", "division by zero");
        check(
            arrow(ArrowError::ArithmeticOverflow(
                "Overflow happened on: 1 + 2".into(),
            )),
            "22003",
            "value out of range",
        );
        check(
            arrow(ArrowError::CastError(
                "Cannot cast string 'abc' to value of Int32 type".into(),
            )),
            "22P02",
            "invalid input syntax for type integer: \"abc\"",
        );
        check(
            arrow(ArrowError::CastError(
                "Cannot cast string '99999999999' to value of Int32 type".into(),
            )),
            "22003",
            "value \"99999999999\" is out of range for type integer",
        );
        check(
            arrow(ArrowError::CastError(
                "Cannot cast string '1.5' to value of Int32 type".into(),
            )),
            "22P02",
            "invalid input syntax for type integer: \"1.5\"",
        );
        check(
            arrow(ArrowError::CastError(
                "Can't cast value 300 to type Int8".into(),
            )),
            "22003",
            "value \"300\" is out of range for type smallint",
        );
        check(
            arrow(ArrowError::ParseError(
                "Error parsing timestamp from 'x': error parsing date".into(),
            )),
            "22007",
            "invalid input syntax for type timestamp: \"x\"",
        );
    }

    #[test]
    fn the_rest_is_told_by_its_variant() {
        check(
            DataFusionError::ResourcesExhausted("Failed to allocate".into()),
            "53200",
            "out of memory",
        );
        check(
            DataFusionError::NotImplemented("Unsupported thing".into()),
            "0A000",
            "unsupported thing",
        );
        check(
            DataFusionError::Internal("x is y.\nThis issue was likely".into()),
            "XX000",
            "internal error: x is y",
        );
        check(
            DataFusionError::Plan("Something else".into()),
            "42000",
            "something else",
        );
        check(
            DataFusionError::Collection(vec![DataFusionError::Plan("JSON is odd".into())]),
            "42000",
            "JSON is odd",
        );
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        check(
            DataFusionError::IoError(full),
            "53100",
            "could not read or write a file",
        );
    }
}
