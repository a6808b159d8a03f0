//! The catalog of a warehouse: schemas, tables, views and files, versioned by snapshots and changed by transactions.
//!
//! A warehouse is a directory in the format of the DuckLake 1.0 specification, so that an outside reader can read it at every commit. The one
//! idea: a [`Snapshot`] is an immutable value, a [`Transaction`] is a base snapshot with pending changes laid over it, and commit replays those
//! changes on the newest snapshot inside one transaction of the catalog database.
//!
//! ```text
//! Warehouse ── snapshot() ──> Snapshot ──> Schema ──> Relation ──> Table ──> TableScan ──> the engine
//!     │                          ^
//!     └── begin() ──> Transaction: create_table, writer, ... ── commit() ──> the next Snapshot
//! ```
//!
//! Rows are changed where they are only in the catalog: a data file never changes, its deleted rows are positions recorded beside it (`deletes.rs`),
//! and an update is a delete and an insert under the same row id. A scan [with row identity](TableScan::with_row_identity) says where each row
//! is, so that DELETE, UPDATE and MERGE are plans over it; [`Transaction::delete_rows`] and [`TableWriter::write_updated`] take what they find.
//! Few rows lie in the catalog database itself (`inline.rs`) until upkeep (`maintain.rs`) makes a file of them.
//!
//! Start reading at [`Warehouse`], then `change.rs` for what a change is, `commit.rs` for what it writes, `scan.rs` for how rows come back. Files
//! are written and made durable before the commit that names them; the catalog database is not touched before commit, so a crash leaves at most
//! files that nothing names.
//!
//! What this crate never does: parse SQL, check permissions, or know a client.

mod change;
mod changes;
mod commit;
mod conflict;
mod deletes;
mod error;
mod fail;
mod files;
mod ingest;
mod inline;
mod maintain;
mod model;
mod roles;
mod scan;
mod snapshot;
mod spec;
mod store;
mod txn;
mod warehouse;

#[cfg(test)]
mod tests;

pub use changes::TableChanges;
pub use deletes::RowSet;
pub use error::{Error, NamedObject, Result};
pub use files::write::TableWriter;
pub use ingest::IngestedFile;
pub use maintain::{CheckReport, Compaction, Expired, Finding};
pub use model::{
    Column, ColumnDef, ColumnId, DataFile, FIELD_TYPE_MODIFIER, FIELD_TYPE_NAME, FileColumn,
    FileId, Relation, RelationKind, Schema, SchemaId, SnapshotId, Table, TableId, TypeModifier,
    View, ViewId,
};
pub use roles::{NewRole, Role};
pub use scan::{FILE_COLUMN, POSITION_COLUMN, ROW_ID_COLUMN, TableScan};
pub use snapshot::Snapshot;
pub use spec::changes::ChangeMade;
pub use spec::types::{ColumnType, storage_type};
pub use txn::{CommentOn, Transaction, ViewDef};
pub use warehouse::{CommitRecord, Warehouse};
