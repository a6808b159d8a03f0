//! The one error type of this crate.
//!
//! A variant exists where a caller acts differently; the server gives each its SQLSTATE. The primary text names the object, [`Error::detail`]
//! adds facts and [`Error::hint`] says what to do.

use std::path::PathBuf;

use crate::model::RelationKind;

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a name is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedObject {
    /// A schema.
    Schema,
    /// A table or view.
    Relation,
    /// A column.
    Column,
}

impl std::fmt::Display for NamedObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Schema => "schema",
            Self::Relation => "relation",
            Self::Column => "column",
        })
    }
}

/// Everything that can go wrong in the catalog.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory, or the catalog file in it, is not one of ours.
    #[error("directory \"{path}\" is not a warehouse")]
    NotAWarehouse {
        /// The directory.
        path: PathBuf,
        /// What was found instead, a full sentence.
        reason: String,
    },
    /// [`create`](crate::Warehouse::create) was asked for a place that is taken.
    #[error("directory \"{path}\" already exists and cannot become a warehouse")]
    WarehouseExists {
        /// The directory.
        path: PathBuf,
        /// What is in it, a full sentence.
        reason: String,
    },
    /// The catalog has a format version this program does not know.
    #[error("warehouse \"{path}\" has catalog version \"{found}\", which is not supported")]
    UnsupportedVersion {
        /// The directory.
        path: PathBuf,
        /// The version in the catalog.
        found: String,
    },
    /// The catalog holds something that the format allows and this program cannot read or write.
    #[error("{object} uses {feature}, which is not supported")]
    UnsupportedFeature {
        /// Kind and name of the object, as in `table "s.t"`.
        object: String,
        /// The feature in words.
        feature: String,
    },
    /// A column type that cannot be stored.
    #[error("column \"{column}\" has type {data_type}, which cannot be stored")]
    UnsupportedType {
        /// The column.
        column: String,
        /// The type in words.
        data_type: String,
    },
    /// There is no savepoint of that name.
    #[error("savepoint \"{name}\" does not exist")]
    UndefinedSavepoint {
        /// The savepoint.
        name: String,
    },
    /// There is no such version of the warehouse, or not any more.
    #[error("{version} does not exist")]
    UndefinedSnapshot {
        /// What was asked for in words, as in `snapshot 12`.
        version: String,
        /// Which there are, a full sentence.
        reason: String,
    },
    /// Views depend on what is to be dropped.
    #[error("cannot drop {object} because other objects depend on it")]
    DependentObjects {
        /// Kind and name of the object.
        object: String,
        /// The views, each as `view s.v`.
        dependents: Vec<String>,
    },
    /// A column cannot be altered as asked without writing its table anew.
    #[error("column \"{column}\" of relation \"{relation}\" cannot be changed")]
    ColumnChange {
        /// The relation, qualified.
        relation: String,
        /// The column.
        column: String,
        /// Why, a full sentence.
        reason: String,
    },
    /// A column that is to take no NULL holds one.
    #[error("column \"{column}\" of relation \"{table}\" contains null values")]
    ColumnHasNulls {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// There is no schema of that name.
    #[error("schema \"{name}\" does not exist")]
    UndefinedSchema {
        /// The schema.
        name: String,
    },
    /// There is no table or view of that name.
    #[error("relation \"{schema}.{name}\" does not exist")]
    UndefinedRelation {
        /// Its schema.
        schema: String,
        /// Its name.
        name: String,
    },
    /// The table has no such column.
    #[error("column \"{column}\" of relation \"{relation}\" does not exist")]
    UndefinedColumn {
        /// The relation, qualified.
        relation: String,
        /// The column.
        column: String,
    },
    /// There is a schema of that name already.
    #[error("schema \"{name}\" already exists")]
    DuplicateSchema {
        /// The schema.
        name: String,
    },
    /// There is a table or view of that name already.
    #[error("relation \"{schema}.{name}\" already exists")]
    DuplicateRelation {
        /// Its schema.
        schema: String,
        /// Its name.
        name: String,
    },
    /// There is something whose name differs only in the case of letters.
    #[error("{object} \"{name}\" differs from \"{existing}\" only in the case of its letters")]
    SameButForCase {
        /// What it is.
        object: NamedObject,
        /// The new name.
        name: String,
        /// The name that is taken.
        existing: String,
    },
    /// Two columns of one table have the same name.
    #[error("column \"{column}\" specified more than once")]
    DuplicateColumn {
        /// The column.
        column: String,
    },
    /// The relation is there but is of the other kind.
    #[error("\"{schema}.{name}\" is not a {wanted}")]
    WrongRelationKind {
        /// Its schema.
        schema: String,
        /// Its name.
        name: String,
        /// What the caller wanted.
        wanted: RelationKind,
        /// What it is.
        actual: RelationKind,
    },
    /// A schema cannot be dropped because relations are in it.
    #[error("cannot drop schema \"{name}\" because other objects depend on it")]
    SchemaNotEmpty {
        /// The schema.
        name: String,
        /// Its relations, each as `table x` or `view y`.
        relations: Vec<String>,
    },
    /// A name that cannot be given to an object.
    #[error("invalid name \"{name}\"")]
    InvalidName {
        /// The name, shortened if long.
        name: String,
        /// Why, a full sentence.
        reason: String,
    },
    /// A NULL was written to a column that does not allow it.
    #[error(
        "null value in column \"{column}\" of relation \"{table}\" violates not-null constraint"
    )]
    NotNullViolation {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// Rows of another shape than the table were written.
    #[error("rows do not fit table \"{table}\"")]
    TypeMismatch {
        /// The table.
        table: String,
        /// The difference, a full sentence.
        reason: String,
    },
    /// Another transaction committed first and touched the same object.
    #[error("could not serialize access to {object} due to a concurrent change")]
    Conflict {
        /// Kind and name of the object.
        object: String,
        /// What the other transaction did, a full sentence.
        reason: String,
    },
    /// The transaction was committed or rolled back before.
    #[error("the transaction has ended")]
    TransactionEnded,
    /// A file that is being taken in has been taken into the same table by a transaction that committed first.
    #[error("file \"{path}\" is already in table \"{table}\"")]
    AlreadyIngested {
        /// The file.
        path: String,
        /// The table, qualified.
        table: String,
    },
    /// There is a role of that name already.
    #[error("role \"{name}\" already exists")]
    DuplicateRole {
        /// The role.
        name: String,
    },
    /// There is no role of that name.
    #[error("role \"{name}\" does not exist")]
    UndefinedRole {
        /// The role.
        name: String,
    },
    /// A file that the catalog lists is not there.
    #[error("data file \"{path}\" of table \"{table}\" is missing")]
    DataFileMissing {
        /// The table, qualified.
        table: String,
        /// The file.
        path: String,
    },
    /// A file is not as it was when it was written.
    #[error("data file \"{path}\" of table \"{table}\" is damaged")]
    DataFileDamaged {
        /// The table, qualified.
        table: String,
        /// The file.
        path: String,
        /// How it differs, a full sentence.
        reason: String,
    },
    /// The rows of the catalog contradict each other.
    #[error("the catalog of warehouse \"{path}\" is damaged")]
    CatalogDamaged {
        /// The directory.
        path: PathBuf,
        /// The contradiction, a full sentence.
        reason: String,
    },
    /// Another process held the catalog longer than we wait.
    #[error("the catalog of warehouse \"{path}\" is locked by another process")]
    CatalogLocked {
        /// The directory.
        path: PathBuf,
    },
    /// The operating system refused something.
    #[error("could not {action} \"{path}\"")]
    Io {
        /// What was tried, a verb.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What it said.
        #[source]
        source: std::io::Error,
    },
    /// SQLite refused something.
    #[error("the catalog database failed")]
    Sqlite(#[from] rusqlite::Error),
    /// A data file could not be encoded or decoded.
    #[error("could not encode or decode Parquet")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// An Arrow kernel failed.
    #[error("could not convert rows")]
    Arrow(#[from] arrow::error::ArrowError),
    /// An invariant of this crate does not hold: a bug.
    #[error("internal error: {0}")]
    Internal(String),
}

impl Error {
    /// Facts beyond the primary text, as full sentences.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::NotAWarehouse { reason, .. }
            | Self::WarehouseExists { reason, .. }
            | Self::InvalidName { reason, .. }
            | Self::TypeMismatch { reason, .. }
            | Self::Conflict { reason, .. }
            | Self::DataFileDamaged { reason, .. }
            | Self::UndefinedSnapshot { reason, .. }
            | Self::ColumnChange { reason, .. }
            | Self::CatalogDamaged { reason, .. } => Some(reason.clone()),
            Self::SchemaNotEmpty { name, relations } => {
                let listed = relations.iter().take(20).cloned().collect::<Vec<_>>();
                let more = relations.len() - listed.len();
                let tail = if more > 0 {
                    format!(" and {more} more")
                } else {
                    String::new()
                };
                Some(format!(
                    "Schema \"{name}\" holds {}{tail}.",
                    listed.join(", ")
                ))
            }
            Self::SameButForCase { .. } => Some(
                "Other readers of the warehouse's format take both for one name, and would find neither."
                    .to_owned(),
            ),
            Self::DependentObjects { object, dependents } => {
                Some(format!("On {object} depend: {}.", dependents.join(", ")))
            }
            Self::WrongRelationKind { actual, .. } => Some(format!("It is a {actual}.")),
            Self::Io { source, .. } => Some(sentence(source)),
            Self::Sqlite(source) => Some(sentence(source)),
            Self::Parquet(source) => Some(sentence(source)),
            Self::Arrow(source) => Some(sentence(source)),
            _ => None,
        }
    }

    /// What the user can do, as full sentences.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::NotAWarehouse { .. } => {
                "Make a warehouse with tributary init, or give the directory of one."
            }
            Self::WarehouseExists { .. } => {
                "Open the existing warehouse, or choose an empty or new directory."
            }
            Self::UnsupportedVersion { .. } => {
                "Use the release of tributary that wrote it, or upgrade."
            }
            Self::SchemaNotEmpty { .. } | Self::DependentObjects { .. } => {
                "Use DROP ... CASCADE to drop the dependent objects too."
            }
            Self::ColumnChange { .. } => {
                "Make a new table with CREATE TABLE AS, and put it in the place of this one."
            }
            Self::SameButForCase { .. } => "Choose another name.",
            Self::Conflict { .. } => "Retry the transaction.",
            Self::DataFileMissing { .. } | Self::DataFileDamaged { .. } => {
                "Restore the file from a backup, or drop the table; other tables are not affected."
            }
            Self::CatalogDamaged { .. } => "Restore catalog.sqlite from a backup.",
            Self::CatalogLocked { .. } => {
                "Wait for the other process to finish, or end it, and try again."
            }
            Self::UnsupportedType { .. } => "Cast the column to another type.",
            Self::WrongRelationKind {
                actual: RelationKind::View,
                ..
            } => "Use the statement for views.",
            Self::WrongRelationKind {
                actual: RelationKind::Table,
                ..
            } => "Use the statement for tables.",
            _ => return None,
        })
    }

    /// Wraps an error of the operating system with what was tried on which path.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

/// The engine carries our errors as they are, so that the server can find them again at the root.
impl From<Error> for datafusion::error::DataFusionError {
    fn from(error: Error) -> Self {
        Self::External(Box::new(error))
    }
}

/// Makes the text of a foreign error a full sentence.
fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    if let Some(first) = text.get(..1).map(str::to_uppercase) {
        text.replace_range(..1, &first);
    }
    if !text.ends_with('.') {
        text.push('.');
    }
    text
}
