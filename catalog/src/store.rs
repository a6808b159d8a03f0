//! Where the catalog's rows are kept: today a SQLite file, with one thread that writes.
//!
//! Readers share one connection of their own, which also tells by `PRAGMA data_version` whether another process has committed. The newest
//! snapshot is kept in memory: commits of this process advance it, a commit of another process makes the next reader load it anew.

mod inlined;
mod load;
mod sqlite;
mod statistics;
mod upkeep;
mod write;

pub use sqlite::{FILE, UNFINISHED};

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use chrono::{DateTime, Utc};
use parking_lot::{Mutex, RwLock};
use rusqlite::{Connection, TransactionBehavior, params};
use tokio::sync::oneshot;

use self::statistics::Statistics;
use crate::commit;
use crate::error::{Error, Result};
use crate::fail;
use crate::files::Disk;
use crate::ingest::IngestedFile;
use crate::model::{SnapshotId, TableId};
use crate::roles::{NewRole, Role};
use crate::snapshot::Snapshot;
use crate::spec::changes;
use crate::txn::Pending;
use crate::warehouse::CommitRecord;

/// The catalog database of one warehouse.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    head: Arc<Head>,
    reader: Mutex<Reader>,
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

/// The newest snapshot we know.
#[derive(Debug)]
struct Head {
    current: RwLock<Arc<Snapshot>>,
    /// Held from before a commit becomes visible in the database until `current` has it, so that a reader who sees the new version there waits for it here.
    advancing: Mutex<()>,
}

impl Head {
    fn current(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.read())
    }

    fn publish(&self, snapshot: &Arc<Snapshot>) {
        let mut current = self.current.write();
        if snapshot.id > current.id {
            *current = Arc::clone(snapshot);
        }
    }
}

#[derive(Debug)]
struct Reader {
    connection: Connection,
    data_version: i64,
}

/// Work for the writing thread.
enum Request {
    Commit(Box<Pending>, oneshot::Sender<Result<Arc<Snapshot>>>),
    Run(Box<dyn FnOnce(&mut Connection) + Send>),
}

impl Store {
    /// Makes the database of a new warehouse, complete and durable before it appears under its name.
    pub fn create(directory: &Path, data_path: &str) -> Result<()> {
        sqlite::create(directory, data_path)
    }

    /// Opens the database; rewrites the recorded data path when the directory has moved.
    pub fn open(directory: &Path, disk: &Arc<Disk>) -> Result<Self> {
        let mut writer = sqlite::open(directory)?;
        sqlite::move_data_path(&mut writer, directory, &disk.data_path)?;
        let mut connection = sqlite::open(directory)?;
        let data_version = sqlite::data_version(&connection)?;
        let snapshot = Arc::new(load::load(
            &mut connection,
            directory,
            &disk.data_path,
            None,
        )?);
        let head = Arc::new(Head {
            current: RwLock::new(snapshot),
            advancing: Mutex::new(()),
        });
        let (requests, queue) = mpsc::channel();
        let thread = {
            let (head, directory, disk) =
                (Arc::clone(&head), directory.to_owned(), Arc::clone(disk));
            std::thread::Builder::new()
                .name("catalog-writer".to_owned())
                .spawn(move || serve(writer, &queue, &head, &directory, &disk))
                .map_err(Error::io("start a thread for", directory_of(&connection)))?
        };
        Ok(Self {
            directory: directory.to_owned(),
            head,
            reader: Mutex::new(Reader {
                connection,
                data_version,
            }),
            requests: Some(requests),
            thread: Some(thread),
        })
    }

    /// The newest committed snapshot, whoever committed it.
    pub fn snapshot(&self) -> Result<Arc<Snapshot>> {
        let mut reader = self.reader.lock();
        let data_version = sqlite::data_version(&reader.connection)?;
        if data_version == reader.data_version {
            return Ok(self.head.current());
        }
        let newest = sqlite::newest_snapshot(&reader.connection)?;
        if newest != self.head.current().id {
            // Either this process is about to publish the commit, or another process made it.
            let _wait = self.head.advancing.lock();
        }
        let current = self.head.current();
        if newest > current.id {
            let loaded = Arc::new(load::load(
                &mut reader.connection,
                &self.directory,
                current.data_path(),
                Some(&current),
            )?);
            self.head.publish(&loaded);
        }
        reader.data_version = data_version;
        Ok(self.head.current())
    }

    /// Commits a transaction.
    pub async fn commit(&self, pending: Pending) -> Result<Arc<Snapshot>> {
        let (reply, outcome) = oneshot::channel();
        self.send(Request::Commit(Box::new(pending), reply))?;
        outcome.await.map_err(|_| stopped())?
    }

    /// All commits, oldest first.
    pub fn commits(&self) -> Result<Vec<CommitRecord>> {
        let reader = self.reader.lock();
        let mut statement = reader.connection.prepare_cached(
            "SELECT s.snapshot_id, s.snapshot_time, c.changes_made FROM ducklake_snapshot s LEFT JOIN ducklake_snapshot_changes c USING (snapshot_id) ORDER BY 1",
        )?;
        let mut rows = statement.query([])?;
        let mut commits = Vec::new();
        while let Some(row) = rows.next()? {
            let text: Option<String> = row.get(2)?;
            let changes = changes::parse(text.as_deref().unwrap_or_default()).map_err(|part| {
                Error::CatalogDamaged {
                    path: self.directory.clone(),
                    reason: format!("Change \"{part}\" of a snapshot cannot be read."),
                }
            })?;
            commits.push(CommitRecord {
                id: SnapshotId(row.get(0)?),
                committed_at: load::time(&row.get::<_, String>(1)?, &self.directory)?,
                changes,
            });
        }
        Ok(commits)
    }

    /// Manifest rows, of one table or all.
    pub fn ingested(&self, table: Option<TableId>) -> Result<Vec<(TableId, IngestedFile)>> {
        let reader = self.reader.lock();
        let mut statement = reader.connection.prepare_cached(
            "SELECT table_id, path, file_size_bytes, modified_at, checksum, record_count FROM tributary_ingest_file WHERE ?1 IS NULL OR table_id = ?1 ORDER BY snapshot_id, path",
        )?;
        let rows = statement.query_map(params![table.map(|id| id.0)], |row| {
            let modified_at = row
                .get::<_, Option<String>>(3)?
                .and_then(|text| DateTime::parse_from_rfc3339(&text).ok())
                .map(|time| time.with_timezone(&Utc));
            let file = IngestedFile {
                path: row.get(1)?,
                bytes: row.get::<_, i64>(2)?.try_into().unwrap_or_default(),
                modified_at,
                checksum: row.get(4)?,
                rows: row.get::<_, i64>(5)?.try_into().unwrap_or_default(),
            };
            Ok((TableId(row.get(0)?), file))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// All roles, by name.
    pub fn roles(&self) -> Result<Vec<Role>> {
        let reader = self.reader.lock();
        let mut statement = reader.connection.prepare_cached(
            "SELECT name, superuser, login, scram_verifier FROM tributary_role ORDER BY name",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(Role {
                name: row.get(0)?,
                superuser: row.get(1)?,
                login: row.get(2)?,
                scram_verifier: row.get(3)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Adds a role.
    pub fn create_role(&self, role: NewRole) -> Result<()> {
        self.write(move |connection| {
            let added = connection.execute(
                "INSERT INTO tributary_role (name, superuser, login, scram_verifier) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
                params![role.name, role.superuser, role.login, role.scram_verifier],
            )?;
            if added == 0 { Err(Error::DuplicateRole { name: role.name }) } else { Ok(()) }
        })
    }

    /// Sets or removes the password verifier of a role.
    pub fn set_role_verifier(&self, name: &str, verifier: Option<&str>) -> Result<()> {
        let (name, verifier) = (name.to_owned(), verifier.map(str::to_owned));
        self.write(move |connection| {
            let changed = connection.execute(
                "UPDATE tributary_role SET scram_verifier = ?2 WHERE name = ?1",
                params![name, verifier],
            )?;
            if changed == 0 {
                Err(Error::UndefinedRole { name })
            } else {
                Ok(())
            }
        })
    }

    /// Removes a role.
    pub fn drop_role(&self, name: &str) -> Result<()> {
        let name = name.to_owned();
        self.write(move |connection| {
            let changed =
                connection.execute("DELETE FROM tributary_role WHERE name = ?1", params![name])?;
            if changed == 0 {
                Err(Error::UndefinedRole { name })
            } else {
                Ok(())
            }
        })
    }

    /// Runs several statements on the writing thread and waits for them.
    fn write_all<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let (reply, outcome) = mpsc::sync_channel(1);
        let directory = self.directory.clone();
        self.send(Request::Run(Box::new(move |connection| {
            // As below.
            let _ =
                reply.send(work(connection).map_err(|error| sqlite::explain(error, &directory)));
        })))?;
        outcome.recv().map_err(|_| stopped())?
    }

    /// Runs a single statement on the writing thread and waits for it.
    fn write<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let (reply, outcome) = mpsc::sync_channel(1);
        let directory = self.directory.clone();
        self.send(Request::Run(Box::new(move |connection| {
            // The caller waits, so the channel is there; if its thread died, nobody needs the answer.
            let _ =
                reply.send(work(connection).map_err(|error| sqlite::explain(error, &directory)));
        })))?;
        outcome.recv().map_err(|_| stopped())?
    }

    fn send(&self, request: Request) -> Result<()> {
        self.requests
            .as_ref()
            .ok_or_else(stopped)?
            .send(request)
            .map_err(|_| stopped())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Closing the channel ends the thread once it has done what was asked before.
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn stopped() -> Error {
    Error::Internal("the writing thread of the catalog has stopped".to_owned())
}

fn directory_of(connection: &Connection) -> PathBuf {
    connection.path().map(PathBuf::from).unwrap_or_default()
}

/// Transactions that are made durable together, at most.
const GROUP_MAX: usize = 256;

/// The writing thread: one connection, and what it remembers between commits.
struct Writer<'a> {
    connection: Connection,
    head: &'a Head,
    directory: &'a Path,
    disk: &'a Disk,
    /// The snapshot that what follows is true of. A newer one may be known already, if a reader has loaded it.
    remembered_at: Option<SnapshotId>,
    statistics: Statistics,
    known: inlined::Known,
}

type Reply = oneshot::Sender<Result<Arc<Snapshot>>>;

/// A transaction whose rows are written, but not durable yet.
struct Done {
    after: Arc<Snapshot>,
    written: Vec<PathBuf>,
    reply: Reply,
}

fn serve(
    connection: Connection,
    queue: &mpsc::Receiver<Request>,
    head: &Head,
    directory: &Path,
    disk: &Disk,
) {
    let mut writer = Writer {
        connection,
        head,
        directory,
        disk,
        remembered_at: None,
        statistics: Statistics::default(),
        known: inlined::Known::default(),
    };
    while let Ok(first) = queue.recv() {
        let mut group = Vec::new();
        let mut next = Some(first);
        while let Some(request) = next {
            match request {
                Request::Commit(pending, reply) => group.push((*pending, reply)),
                Request::Run(work) => {
                    writer.commit(std::mem::take(&mut group));
                    work(&mut writer.connection);
                    writer.statistics.clear();
                    writer.known.clear();
                }
            }
            // What has come in while the last group was made durable goes with this one.
            next = (group.len() < GROUP_MAX)
                .then(|| queue.try_recv().ok())
                .flatten();
        }
        writer.commit(group);
    }
}

impl Writer<'_> {
    /// Commits transactions together; each has its own snapshot and its own outcome.
    fn commit(&mut self, group: Vec<(Pending, Reply)>) {
        if group.is_empty() {
            return;
        }
        let mut done = Vec::with_capacity(group.len());
        let mut failed = Vec::new();
        let outcome = self.try_commit(group, &mut done, &mut failed);
        if let Err(error) = &outcome {
            // Nothing was made durable, so what is remembered of it is wrong.
            self.statistics.clear();
            self.known.clear();
            for Done { written, reply, .. } in done {
                commit::discard(written);
                failed.push((reply, again(error)));
            }
        } else {
            for Done { after, reply, .. } in done {
                // The session that asked may be gone; the commit stands all the same.
                let _ = reply.send(Ok(after));
            }
        }
        for (reply, error) in failed {
            // As above.
            let _ = reply.send(Err(sqlite::explain(error, self.directory)));
        }
    }

    fn try_commit(
        &mut self,
        group: Vec<(Pending, Reply)>,
        done: &mut Vec<Done>,
        failed: &mut Vec<(Reply, Error)>,
    ) -> Result<()> {
        let mut group = group.into_iter();
        let immediate = TransactionBehavior::Immediate;
        let transaction = match self.connection.transaction_with_behavior(immediate) {
            Ok(transaction) => transaction,
            Err(error) => {
                let error = Error::from(error);
                failed.extend(group.map(|(_, reply)| (reply, again(&error))));
                return Err(error);
            }
        };
        let mut newest = self.head.current();
        let in_database = sqlite::newest_snapshot(&transaction);
        if self.remembered_at != in_database.as_ref().ok().copied() {
            // Another process has committed.
            self.statistics.clear();
            self.known.clear();
        }
        if !matches!(&in_database, Ok(id) if *id == newest.id) {
            let loaded = in_database.and_then(|_| {
                let data_path = &self.disk.data_path;
                load::load_within(&transaction, self.directory, data_path, Some(&newest))
            });
            match loaded {
                Ok(loaded) => newest = Arc::new(loaded),
                Err(error) => {
                    failed.extend(group.map(|(_, reply)| (reply, again(&error))));
                    return Err(error);
                }
            }
        }
        while let Some((pending, reply)) = group.next() {
            let (statistics, known) = (&mut self.statistics, &mut self.known);
            match replay(&transaction, pending, &newest, self.disk, statistics, known) {
                Ok(Ok((after, written))) => {
                    newest = Arc::clone(&after);
                    done.push(Done {
                        after,
                        written,
                        reply,
                    });
                }
                Ok(Err(error)) => failed.push((reply, error)),
                Err(error) => {
                    failed.push((reply, again(&error)));
                    failed.extend(group.map(|(_, reply)| (reply, again(&error))));
                    return Err(error);
                }
            }
        }
        if done.is_empty() {
            return Ok(());
        }
        self.statistics.save(&transaction)?;
        fail::point("a commit is about to become durable");
        let _advancing = self.head.advancing.lock();
        if let Err(error) = transaction.commit() {
            // SQLite may have failed after the commit was durable. Only then is the new snapshot there, for no one else could have written meanwhile.
            let connection = &self.connection;
            if !connection.is_autocommit()
                || sqlite::newest_snapshot(connection).ok() != Some(newest.id)
            {
                return Err(error.into());
            }
        }
        fail::point("a commit is durable");
        self.head.publish(&newest);
        self.remembered_at = Some(newest.id);
        Ok(())
    }
}

/// Writes the rows of one transaction; if it fails, none of them. The outer error is one that ends the whole group.
fn replay(
    sql: &Connection,
    pending: Pending,
    newest: &Snapshot,
    disk: &Disk,
    statistics: &mut Statistics,
    known: &mut inlined::Known,
) -> Result<Result<(Arc<Snapshot>, Vec<PathBuf>)>> {
    let planned = commit::plan(pending, newest, Utc::now(), disk, |table| {
        statistics.next_row_id(sql, table)
    });
    let batch = match planned {
        Ok(batch) => batch,
        Err(error) => return Ok(Err(error)),
    };
    sql.prepare_cached("SAVEPOINT one")?.execute([])?;
    if let Err(error) = write::write(sql, &batch, known) {
        commit::discard(batch.written);
        known.clear();
        sql.execute_batch("ROLLBACK TO one; RELEASE one")?;
        return Ok(Err(error));
    }
    sql.prepare_cached("RELEASE one")?.execute([])?;
    write::count(sql, &batch, statistics)?;
    Ok(Ok((Arc::new(batch.after), batch.written)))
}

/// The same error for another who waits for the same commit.
fn again(error: &Error) -> Error {
    match error {
        Error::Sqlite(rusqlite::Error::SqliteFailure(failure, text)) => {
            Error::Sqlite(rusqlite::Error::SqliteFailure(*failure, text.clone()))
        }
        other => Error::Internal(format!("the commit failed: {other}")),
    }
}
