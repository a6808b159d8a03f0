//! A transaction: a base snapshot and the changes laid over it.
//!
//! Changes live in memory until [`commit`](Transaction::commit): a crash before it leaves files that no row names and nothing else. The changes
//! are kept twice: applied, as the snapshot that the transaction's own statements see, and as a list, which commit replays on the newest
//! snapshot.

mod alter;
mod depend;
mod rows;
mod savepoint;

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use uuid::Uuid;

use crate::change::Change;
use crate::deletes::DeleteFile;
use crate::error::{Error, Result};
use crate::ingest::IngestedFile;
use crate::model::{
    COMMENT, ColumnDef, FileId, LOCAL, Relation, Schema, SchemaId, SnapshotId, Table, TableId,
    View, ViewId,
};
use crate::snapshot::Snapshot;
use crate::spec::{internal, paths, types};
use crate::warehouse::Warehouse;

/// A handle on an open transaction; clones are the same transaction.
///
/// Dropping the last handle rolls back.
#[derive(Debug, Clone)]
pub struct Transaction {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    warehouse: Warehouse,
    base: Arc<Snapshot>,
    state: Mutex<State>,
}

#[derive(Debug)]
pub(crate) struct State {
    overlay: Arc<Snapshot>,
    changes: Vec<Change>,
    ingested: Vec<(TableId, IngestedFile)>,
    /// Files written for the changes, by the table they are for.
    written: Vec<(TableId, PathBuf)>,
    savepoints: Vec<savepoint::Savepoint>,
    next_local: i64,
    open: bool,
}

/// What a comment is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommentOn<'a> {
    /// A schema.
    Schema(&'a str),
    /// A table: schema and name.
    Table(&'a str, &'a str),
    /// A view: schema and name.
    View(&'a str, &'a str),
    /// A column of a table: schema, table, column.
    Column(&'a str, &'a str, &'a str),
}

/// A view to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewDef {
    /// The query, with all names qualified.
    pub sql: String,
    /// `postgres`, or `tributary` if the query uses our functions.
    pub dialect: String,
    /// Names of its columns; empty for those of the query.
    pub column_aliases: Vec<String>,
}

impl Transaction {
    pub(crate) fn new(warehouse: Warehouse, base: Arc<Snapshot>) -> Self {
        let state = State {
            overlay: Arc::clone(&base),
            changes: Vec::new(),
            ingested: Vec::new(),
            written: Vec::new(),
            savepoints: Vec::new(),
            next_local: LOCAL,
            open: true,
        };
        Self {
            inner: Arc::new(Inner {
                warehouse,
                base,
                state: Mutex::new(state),
            }),
        }
    }

    /// What the statements of this transaction see: its base and its own changes.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.inner.state.lock().overlay)
    }

    /// The warehouse it is a transaction of.
    pub fn warehouse(&self) -> &Warehouse {
        &self.inner.warehouse
    }

    /// What the transaction started from.
    pub fn base(&self) -> &Arc<Snapshot> {
        &self.inner.base
    }

    /// Whether anything is pending.
    pub fn has_changes(&self) -> bool {
        let state = self.inner.state.lock();
        !state.changes.is_empty() || !state.ingested.is_empty()
    }

    /// Makes a schema.
    ///
    /// # Errors
    /// [`Error::DuplicateSchema`], [`Error::InvalidName`].
    pub fn create_schema(&self, name: &str) -> Result<SchemaId> {
        check_name(name)?;
        self.change(|state| {
            let id = SchemaId(state.local_id());
            let uuid = Uuid::now_v7().to_string();
            state.push(Change::CreateSchema(Schema {
                id,
                path: paths::directory(name, &uuid),
                path_is_relative: true,
                uuid,
                name: name.to_owned(),
                comment: None,
                relations: Default::default(),
            }))?;
            Ok(id)
        })
    }

    /// Drops a schema; with `cascade`, all relations in it too.
    ///
    /// # Errors
    /// [`Error::UndefinedSchema`]; [`Error::SchemaNotEmpty`] without `cascade`.
    pub fn drop_schema(&self, name: &str, cascade: bool) -> Result<()> {
        self.change(|state| {
            let schema = Arc::clone(state.overlay.require_schema(name)?);
            if cascade {
                for relation in schema.relations.values() {
                    state.push(Change::drop_of(relation))?;
                }
            }
            state.push(Change::DropSchema(schema.id))
        })
    }

    /// Makes an empty table.
    ///
    /// # Errors
    /// [`Error::UndefinedSchema`], [`Error::DuplicateRelation`], [`Error::DuplicateColumn`], [`Error::InvalidName`],
    /// [`Error::UnsupportedType`].
    pub fn create_table(&self, schema: &str, name: &str, columns: &[ColumnDef]) -> Result<TableId> {
        check_name(name)?;
        for (at, column) in columns.iter().enumerate() {
            check_column_name(&column.name)?;
            if columns[..at].iter().any(|other| other.name == column.name) {
                return Err(Error::DuplicateColumn {
                    column: column.name.clone(),
                });
            }
        }
        if columns.is_empty() {
            return Err(Error::UnsupportedFeature {
                object: format!("table \"{schema}.{name}\""),
                feature: "no columns".to_owned(),
            });
        }
        let mut next_id = 1;
        let columns = columns
            .iter()
            .map(|def| types::build_column(def, &mut next_id))
            .collect::<Result<Vec<_>>>()?;
        let (arrow_schema, scan_schema) = Table::schemas_of(&columns);
        self.change(|state| {
            let schema = state.overlay.require_schema(schema)?;
            let schema_path = (schema.path.clone(), schema.path_is_relative);
            let (schema_id, schema) = (schema.id, schema.name.clone());
            let id = TableId(state.local_id());
            let uuid = Uuid::now_v7().to_string();
            state.push(Change::CreateTable(Table {
                id,
                path: paths::directory(name, &uuid),
                path_is_relative: true,
                schema_path,
                uuid,
                schema_id,
                schema,
                name: name.to_owned(),
                arrow_schema,
                scan_schema,
                columns,
                files: Arc::default(),
                deletes: Arc::default(),
                inlined: Arc::default(),
                schema_version: 0,
                next_column_id: next_id,
                rows: 0,
                bytes: 0,
                tags: Default::default(),
                unreadable: None,
            }))?;
            Ok(id)
        })
    }

    /// Drops a table.
    ///
    /// # Errors
    /// [`Error::UndefinedSchema`], [`Error::UndefinedRelation`]; [`Error::WrongRelationKind`] for a view.
    pub fn drop_table(&self, schema: &str, name: &str) -> Result<()> {
        self.change(|state| {
            let id = state.overlay.require_table(schema, name)?.id;
            state.push(Change::DropTable(id))
        })
    }

    /// Makes a view; with `or_replace`, in the place of a view of that name.
    ///
    /// # Errors
    /// [`Error::UndefinedSchema`], [`Error::InvalidName`], [`Error::DuplicateRelation`]; [`Error::WrongRelationKind`] for a table in its place.
    pub fn create_view(
        &self,
        schema: &str,
        name: &str,
        view: ViewDef,
        or_replace: bool,
    ) -> Result<ViewId> {
        check_name(name)?;
        self.change(|state| {
            let mut tags = Default::default();
            if or_replace && state.overlay.relation(schema, name).is_some() {
                let old = state.overlay.require_view(schema, name)?;
                // PostgreSQL keeps the comment of a replaced view.
                tags = old.tags.clone();
                let id = old.id;
                state.push(Change::DropView(id))?;
            }
            let schema = state.overlay.require_schema(schema)?;
            let (schema_id, schema) = (schema.id, schema.name.clone());
            let id = ViewId(state.local_id());
            state.push(Change::CreateView(View {
                id,
                uuid: Uuid::now_v7().to_string(),
                schema_id,
                schema,
                name: name.to_owned(),
                sql: view.sql,
                dialect: view.dialect,
                column_aliases: view.column_aliases,
                tags,
            }))?;
            Ok(id)
        })
    }

    /// Drops a view.
    ///
    /// # Errors
    /// [`Error::UndefinedSchema`], [`Error::UndefinedRelation`]; [`Error::WrongRelationKind`] for a table.
    pub fn drop_view(&self, schema: &str, name: &str) -> Result<()> {
        self.change(|state| {
            let id = state.overlay.require_view(schema, name)?.id;
            state.push(Change::DropView(id))
        })
    }

    /// Renames a table or view within its schema.
    ///
    /// # Errors
    /// [`Error::UndefinedSchema`], [`Error::UndefinedRelation`], [`Error::DuplicateRelation`], [`Error::InvalidName`].
    pub fn rename_relation(&self, schema: &str, name: &str, new_name: &str) -> Result<()> {
        check_name(new_name)?;
        self.change(|state| {
            let relation = state.overlay.require_relation(schema, name)?;
            if name == new_name {
                return Err(Error::DuplicateRelation {
                    schema: schema.to_owned(),
                    name: name.to_owned(),
                });
            }
            let change = match relation {
                Relation::Table(table) => {
                    Change::RenameTable(table.id, table.schema_id, new_name.to_owned())
                }
                Relation::View(view) => {
                    Change::RenameView(view.id, view.schema_id, new_name.to_owned())
                }
            };
            state.push(change)
        })
    }

    /// Sets a comment, or removes it.
    ///
    /// # Errors
    /// The object does not exist or is of another kind.
    pub fn set_comment(&self, on: CommentOn<'_>, comment: Option<&str>) -> Result<()> {
        let comment = comment.map(str::to_owned);
        self.change(|state| {
            let change = match on {
                CommentOn::Schema(name) => {
                    Change::SetSchemaComment(state.overlay.require_schema(name)?.id, comment)
                }
                CommentOn::Table(schema, name) => {
                    let id = state.overlay.require_table(schema, name)?.id;
                    Change::SetTableTag(id, COMMENT.to_owned(), comment)
                }
                CommentOn::View(schema, name) => {
                    let id = state.overlay.require_view(schema, name)?.id;
                    Change::SetViewTag(id, COMMENT.to_owned(), comment)
                }
                CommentOn::Column(schema, name, column) => {
                    let table = state.overlay.require_table(schema, name)?;
                    let column = table.column(column).ok_or_else(|| Error::UndefinedColumn {
                        relation: table.qualified_name(),
                        column: column.to_owned(),
                    })?;
                    Change::SetColumnComment(table.id, column.id, comment)
                }
            };
            state.push(change)
        })
    }

    /// Sets a tag of a table or view, or removes it. Tags follow renames and are versioned with the snapshot.
    ///
    /// # Errors
    /// [`Error::UndefinedSchema`], [`Error::UndefinedRelation`].
    pub fn set_tag(&self, schema: &str, name: &str, key: &str, value: Option<&str>) -> Result<()> {
        let (key, value) = (key.to_owned(), value.map(str::to_owned));
        self.change(|state| {
            let change = match state.overlay.require_relation(schema, name)? {
                Relation::Table(table) => Change::SetTableTag(table.id, key, value),
                Relation::View(view) => Change::SetViewTag(view.id, key, value),
            };
            state.push(change)
        })
    }

    /// Notes that a file has been taken into a table, to be committed with its rows.
    ///
    /// # Errors
    /// [`Error::AlreadyIngested`] if the same file (path and checksum) is noted for the table already, here or at commit.
    pub fn record_ingest(&self, table: TableId, file: IngestedFile) -> Result<()> {
        let known = self.ingested(table)?;
        self.change(|state| {
            let name = state.overlay.expect_table(table)?.qualified_name();
            if known
                .iter()
                .any(|other| other.path == file.path && other.checksum == file.checksum)
            {
                return Err(Error::AlreadyIngested {
                    path: file.path,
                    table: name,
                });
            }
            state.ingested.push((table, file));
            Ok(())
        })
    }

    /// The files taken into a table, by committed transactions and this one.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub fn ingested(&self, table: TableId) -> Result<Vec<IngestedFile>> {
        let mut files = if table.is_local() {
            Vec::new()
        } else {
            self.inner.warehouse.ingested(Some(table))?
        }
        .into_iter()
        .map(|(_, file)| file)
        .collect::<Vec<_>>();
        let state = self.open()?;
        files.extend(
            state
                .ingested
                .iter()
                .filter(|(id, _)| *id == table)
                .map(|(_, file)| file.clone()),
        );
        Ok(files)
    }

    /// Makes the changes durable and visible to all as one snapshot, and ends the transaction.
    ///
    /// Without changes no snapshot is made and the base is returned. On error nothing is changed, the files are deleted and the transaction has
    /// ended.
    ///
    /// # Errors
    /// [`Error::Conflict`] if another transaction committed a change to the same object first; [`Error::AlreadyIngested`];
    /// [`Error::CatalogLocked`]; I/O.
    pub async fn commit(&self) -> Result<SnapshotId> {
        let (changes, ingested) = {
            let mut state = self.open()?;
            state.open = false;
            (
                std::mem::take(&mut state.changes),
                std::mem::take(&mut state.ingested),
            )
        };
        if changes.is_empty() && ingested.is_empty() {
            return Ok(self.inner.base.id);
        }
        let inlined = changes.iter().filter_map(|change| match change {
            Change::Inline(id, _) => Some(*id),
            _ => None,
        });
        let inlined = inlined.collect::<BTreeSet<_>>();
        let outcome = match self.write_deletes(&changes).await {
            Ok(delete_files) => {
                let pending = Pending {
                    base: Arc::clone(&self.inner.base),
                    changes,
                    ingested,
                    delete_files,
                    inline_rows_max: self.inner.warehouse.inline_rows_max(),
                };
                self.inner.warehouse.store().commit(pending).await
            }
            Err(error) => Err(error),
        };
        let mut state = self.inner.state.lock();
        let mut written = std::mem::take(&mut state.written);
        match &outcome {
            // Files of a table that the transaction dropped, or whose rows it deleted, are in no snapshot; nor are deletes that had to be
            // joined with those of another transaction.
            Ok(snapshot) => {
                let named = named_files(snapshot, &state.overlay, &written);
                written.retain(|(_, path)| {
                    let name = path.file_name().and_then(|name| name.to_str());
                    !name.is_some_and(|name| named.contains(name))
                });
            }
            Err(_) => state.overlay = Arc::clone(&self.inner.base),
        }
        drop(state);
        delete(written);
        let snapshot = outcome?;
        for table in inlined {
            if let Some(table) = snapshot.table_by_id(table) {
                self.inner
                    .warehouse
                    .flush_if_due(table.id, table.inlined.rows());
            }
        }
        Ok(snapshot.id)
    }

    /// Forgets the changes, deletes the files written for them and ends the transaction. Ending twice does nothing.
    pub async fn rollback(&self) {
        let written = self.inner.state.lock().end(&self.inner.base);
        if !written.is_empty() {
            // A failure to run the deletion leaves files that no row names, which clean-up finds.
            let _ = tokio::task::spawn_blocking(move || delete(written)).await;
        }
    }

    fn open(&self) -> Result<parking_lot::MutexGuard<'_, State>> {
        let state = self.inner.state.lock();
        if state.open {
            Ok(state)
        } else {
            Err(Error::TransactionEnded)
        }
    }

    /// Runs `body` on the state; if it fails, the state is as before.
    pub(crate) fn change<R>(&self, body: impl FnOnce(&mut State) -> Result<R>) -> Result<R> {
        let mut state = self.open()?;
        let overlay = Arc::clone(&state.overlay);
        let changes = state.changes.len();
        let outcome = body(&mut state);
        if outcome.is_err() {
            state.overlay = overlay;
            state.changes.truncate(changes);
        }
        outcome
    }
}

impl State {
    fn local_id(&mut self) -> i64 {
        let id = self.next_local;
        self.next_local += 1;
        id
    }

    pub(crate) fn push(&mut self, change: Change) -> Result<()> {
        change.apply(Arc::make_mut(&mut self.overlay))?;
        self.changes.push(change);
        Ok(())
    }

    fn end(&mut self, base: &Arc<Snapshot>) -> Vec<(TableId, PathBuf)> {
        if self.open {
            self.open = false;
            self.overlay = Arc::clone(base);
        }
        self.changes.clear();
        self.savepoints.clear();
        self.ingested.clear();
        std::mem::take(&mut self.written)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Commit has taken the list; what is left belongs to a transaction that was never ended.
        let state = self.state.get_mut();
        if state.open {
            delete(std::mem::take(&mut state.written));
        }
    }
}

/// What commit needs of a transaction.
#[derive(Debug)]
pub(crate) struct Pending {
    pub base: Arc<Snapshot>,
    pub changes: Vec<Change>,
    pub ingested: Vec<(TableId, IngestedFile)>,
    pub delete_files: Vec<PreparedDeletes>,
    pub inline_rows_max: u64,
}

/// A delete file written for the base of the transaction, to be used if the head has no other deletes in the data file.
#[derive(Debug)]
pub(crate) struct PreparedDeletes {
    pub table: TableId,
    pub data_file: FileId,
    pub file: Arc<DeleteFile>,
}

/// The names of the files that `snapshot` has in the tables that `written` are for. Names are unique, so the ids that tables made by the
/// transaction have got do not matter.
fn named_files(
    snapshot: &Snapshot,
    overlay: &Snapshot,
    written: &[(TableId, PathBuf)],
) -> HashSet<String> {
    let ids = written.iter().map(|(id, _)| *id).collect::<BTreeSet<_>>();
    let mut named = HashSet::new();
    for id in ids {
        // A table of this transaction is found by the name it has in the end.
        let table = match overlay.table_by_id(id) {
            Some(table) if id.is_local() => snapshot.table(&table.schema, &table.name),
            Some(_) => snapshot.table_by_id(id),
            None => None,
        };
        let Some(table) = table else { continue };
        named.extend(table.files.iter().map(|file| file.path.clone()));
        let deletes = table.deletes.values();
        let delete_files = deletes.filter_map(|deletes| deletes.file.as_ref());
        named.extend(delete_files.map(|file| file.path.clone()));
    }
    named
}

/// Refuses a table that an outside writer has put beyond us.
fn check_readable(table: &Table) -> Result<()> {
    match &table.unreadable {
        None => Ok(()),
        Some(feature) => Err(Error::UnsupportedFeature {
            object: format!("table \"{}\"", table.qualified_name()),
            feature: feature.clone(),
        }),
    }
}

async fn in_background<R: Send + 'static>(
    work: impl FnOnce() -> Result<R> + Send + 'static,
) -> Result<R> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::Internal(format!("work on files ended early: {error}")))?
}

/// Names are any text but the empty one and, as in PostgreSQL, text with a NUL. The limit keeps a hostile name from bloating every error.
pub(crate) fn check_name(name: &str) -> Result<()> {
    const BYTES_MAX: usize = 1024;
    let reason = if name.is_empty() {
        "A name has at least one character.".to_owned()
    } else if name.contains('\0') {
        "A name cannot contain the character NUL.".to_owned()
    } else if name.len() > BYTES_MAX {
        format!("It has {} bytes; {BYTES_MAX} are allowed.", name.len())
    } else {
        return Ok(());
    };
    Err(Error::InvalidName {
        name: name.chars().take(64).collect(),
        reason,
    })
}

/// Columns of tables do not have the names that the specification keeps for hidden ones.
fn check_column_name(name: &str) -> Result<()> {
    check_name(name)?;
    if name.starts_with(internal::PREFIX) {
        return Err(Error::InvalidName {
            name: name.to_owned(),
            reason: format!(
                "Names of columns that begin with {} are reserved.",
                internal::PREFIX
            ),
        });
    }
    Ok(())
}

/// Deletes files that no row of the catalog names. One that cannot be deleted is harmless and found by clean-up later.
fn delete(files: Vec<(TableId, PathBuf)>) {
    for (_, file) in files {
        let _ = std::fs::remove_file(file);
    }
}
