//! Sessions: one a connection, each with its settings, prepared statements and transaction.
//!
//! An [`Engine`] is the process's one warehouse with its threads and memory; a [`Session`] plans
//! and runs statements on it. A statement sees one snapshot, taken before it is planned. Outside
//! BEGIN every statement is a transaction of its own. Start at [`Session::execute`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::session_state::SessionState as EngineState;
use datafusion::logical_expr::LogicalPlan;
use parking_lot::Mutex;
use tributary_catalog::{Snapshot, SnapshotId, Transaction};
use tributary_sql::copy_format::CopyFormat;
use tributary_sql::interrupt::{StopFlag, interruptible};
use tributary_sql::names::output_names;
use tributary_sql::parse::{Parsed, parse};
use tributary_sql::planner::Planner;
use tributary_sql::settings::{Settings, display_name};
use tributary_sql::statement::copy::Load;
use tributary_sql::statement::{self, Plan, SessionCommand};
use tributary_sql::system::{SessionActivity, SessionState};
use tributary_sql::text::zone::Zone;
use tributary_sql::{Condition, Report};

mod copy;
mod engine;
mod environment;
mod rows;

pub use copy::CopyingIn;
pub use engine::{Engine, EngineOptions};
pub use tributary_sql::{Error, Result};

/// Who a session is for.
#[derive(Debug, Clone, Default)]
pub struct SessionOptions {
    /// The role that logged in.
    pub user: String,
    /// What the client calls itself.
    pub application_name: String,
    /// Settings given when connecting.
    pub settings: Vec<(String, String)>,
    /// The session's number, as `pg_backend_pid()` gives it.
    pub backend_pid: i32,
    /// Where the client is connected to, if over the network.
    pub server_address: Option<std::net::SocketAddr>,
    /// Where the client is, if over the network.
    pub client_address: Option<std::net::SocketAddr>,
    /// What stops the session's statements from outside.
    pub stop: StopFlag,
}

/// A parsed statement.
#[derive(Debug, Clone)]
pub struct Statement {
    parsed: Arc<Parsed>,
}

impl Statement {
    /// The statement's own text.
    pub fn text(&self) -> &str {
        &self.parsed.text
    }

    /// Characters of the query string before the statement, to be added to error positions that
    /// count from the statement's start.
    pub fn offset(&self) -> usize {
        self.parsed.offset
    }

    /// Whether it may run in a failed transaction: it ends it.
    pub fn ends_transaction(&self) -> bool {
        matches!(
            statement::session::command(&self.parsed.statement),
            Ok(Some(SessionCommand::Commit | SessionCommand::Rollback))
        )
    }
}

/// A statement that has been planned once, for its parameters and columns.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The types of `$1`, `$2`, ....
    pub parameters: Vec<FieldRef>,
    /// The columns of the result; `None` where it yields no rows.
    pub result: Option<SchemaRef>,
    statement: Statement,
    plan: Option<Reusable>,
}

/// A plan that may run again.
#[derive(Debug, Clone)]
struct Reusable {
    /// The snapshot and the settings it was made with; with others it might be another plan.
    snapshot: SnapshotId,
    settings: u64,
    plan: Arc<LogicalPlan>,
}

/// Where a session stands between statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    /// In no transaction.
    Idle,
    /// In a transaction block.
    Active,
    /// In a transaction block that has failed.
    Failed,
}

/// Something the user is told beside the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Whether it warns of something that is probably not meant.
    pub warning: bool,
    /// Its SQLSTATE.
    pub code: &'static str,
    /// The text.
    pub message: String,
}

/// What follows `rows` in a command tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowsTag {
    /// The word and the number of rows, as in `SELECT 3`.
    Counted(&'static str),
    /// The word alone, as in `EXPLAIN`.
    Plain(&'static str),
}

impl RowsTag {
    /// The tag after `rows` rows.
    pub fn text(self, rows: u64) -> String {
        match self {
            Self::Counted(word) => format!("{word} {rows}"),
            Self::Plain(word) => word.to_owned(),
        }
    }
}

/// What a statement came to.
pub enum Outcome {
    /// Rows, as they are computed. Dropping the stream cancels the statement.
    Rows {
        /// Their columns, under the names the client sees.
        schema: SchemaRef,
        /// The rows.
        stream: SendableRecordBatchStream,
        /// The command tag.
        tag: RowsTag,
    },
    /// Rows for the client's COPY data.
    CopyOut {
        /// Their columns.
        schema: SchemaRef,
        /// The rows.
        stream: SendableRecordBatchStream,
        /// How they are spelled.
        format: CopyFormat,
    },
    /// A COPY that waits for the client's data.
    CopyIn(Box<CopyingIn>),
    /// It is done.
    Done {
        /// The command tag.
        tag: String,
    },
}

/// One user's connection to the engine.
pub struct Session {
    engine: Arc<Engine>,
    options: SessionOptions,
    superuser: bool,
    state: Arc<EngineState>,
    settings: Settings,
    reported: Vec<(&'static str, String)>,
    prepared: HashMap<String, Prepared>,
    open: Option<Open>,
    notices: Vec<Notice>,
    activity: Arc<Mutex<SessionActivity>>,
    /// When the running or last statement started, in microseconds since 1970 UTC.
    statement_started_at: i64,
}

/// A transaction that is open between statements.
struct Open {
    transaction: Transaction,
    /// Begun by BEGIN, not only by a query string of several statements.
    explicit: bool,
    read_only: bool,
    failed: bool,
    /// In microseconds since 1970 UTC.
    started_at: i64,
}

impl Session {
    /// A session of `options.user`, who has been authenticated.
    ///
    /// # Errors
    /// For a role that does not exist and for settings that do not.
    pub fn new(engine: Arc<Engine>, options: SessionOptions) -> Result<Self> {
        let role = engine.warehouse().role(&options.user)?.ok_or_else(|| {
            Report::new(
                Condition::UndefinedObject,
                format!("role \"{}\" does not exist", options.user),
            )
        })?;
        let mut settings = Settings::default();
        settings.fix("is_superuser", if role.superuser { "on" } else { "off" });
        settings.fix("session_authorization", &options.user);
        settings.start("application_name", &options.application_name)?;
        let mut notices = Vec::new();
        for (name, value) in &options.settings {
            match settings.start(name, value) {
                // Drivers send the zone of their machine without being asked; they are told the one that is used.
                Err(_) if name.eq_ignore_ascii_case("timezone") && Zone::named(value).is_some() => {
                    notices.push(Notice {
                        warning: true,
                        code: "01000",
                        message: format!(
                            "time zone \"{value}\" is not supported: times are read and shown in UTC"
                        ),
                    });
                }
                outcome => outcome?,
            }
        }
        let reported = settings.reported();
        let connected_at = engine::now();
        let activity = engine.sessions().add(SessionActivity {
            pid: options.backend_pid,
            user: options.user.clone(),
            application_name: options.application_name.clone(),
            client: options.client_address,
            connected_at,
            transaction_started_at: None,
            statement_started_at: None,
            state_changed_at: Some(connected_at),
            state: SessionState::Idle,
            statement: String::new(),
        });
        Ok(Self {
            state: Arc::clone(engine.state()),
            engine,
            superuser: role.superuser,
            options,
            settings,
            reported,
            prepared: HashMap::new(),
            open: None,
            notices,
            activity,
            statement_started_at: connected_at,
        })
    }

    /// Tells that a statement starts; `now()` is its start, or that of the transaction it is in.
    fn begin_statement(&mut self, statement: &Statement) {
        self.statement_started_at = engine::now();
        let mut activity = self.activity.lock();
        activity.state = SessionState::Active;
        activity.statement_started_at = Some(self.statement_started_at);
        activity.state_changed_at = Some(self.statement_started_at);
        activity.transaction_started_at = Some(
            self.open
                .as_ref()
                .map_or(self.statement_started_at, |open| open.started_at),
        );
        activity.statement.clear();
        activity.statement.push_str(statement.text());
        let name = self.settings.value("application_name").unwrap_or_default();
        if activity.application_name != name {
            name.clone_into(&mut activity.application_name);
        }
    }

    /// Tells that the session waits for its user.
    pub fn rest(&mut self) {
        let mut activity = self.activity.lock();
        activity.state_changed_at = Some(engine::now());
        activity.transaction_started_at = self.open.as_ref().map(|open| open.started_at);
        activity.state = match self.transaction_status() {
            TransactionStatus::Idle => SessionState::Idle,
            TransactionStatus::Active => SessionState::IdleInTransaction,
            TransactionStatus::Failed => SessionState::IdleInFailedTransaction,
        };
    }

    /// The statements of a query string; comments alone give none.
    ///
    /// # Errors
    /// For text that is not SQL.
    pub fn parse(&self, sql: &str) -> Result<Vec<Statement>> {
        Ok(parse(sql)?
            .into_iter()
            .map(|parsed| Statement {
                parsed: Arc::new(parsed),
            })
            .collect())
    }

    /// Plans a statement for its parameters and columns; runs nothing. `declared` are the types
    /// of parameters where the client gives them.
    ///
    /// # Errors
    /// For names and types that do not fit.
    pub async fn prepare(
        &mut self,
        statement: &Statement,
        declared: &[Option<DataType>],
    ) -> Result<Prepared> {
        self.begin_statement(statement);
        self.refuse_after_failure(statement)?;
        let declared: Vec<Option<FieldRef>> = declared
            .iter()
            .map(|data_type| {
                data_type
                    .as_ref()
                    .map(|data_type| Arc::new(Field::new("", data_type.clone(), true)))
            })
            .collect();
        let snapshot = self.snapshot()?;
        let planner = self.planner(Arc::clone(&snapshot))?;
        // A write is planned in a transaction that is never committed: only its types are wanted.
        let scratch = match &self.open {
            Some(open) => open.transaction.clone(),
            None => self.engine.warehouse().begin()?,
        };
        let plan = statement::plan(&planner, &statement.parsed, &declared, Some(&scratch))?;
        let (parameters, result, plan) = match plan {
            Plan::Rows {
                plan, tag, writes, ..
            } => {
                let parameters = parameters_of(&plan, &declared)?;
                let schema = if tag == Some("EXPLAIN") {
                    rows::explain_schema()
                } else {
                    client_schema(plan.schema().as_arrow())
                };
                let keep = tag.is_none() && !writes && !planner.is_momentary();
                let keep = keep.then(|| Reusable {
                    snapshot: snapshot.id,
                    settings: self.settings.version(),
                    plan: Arc::new(plan),
                });
                (parameters, Some(schema), keep)
            }
            Plan::Write { plan, .. } => (parameters_of(&plan, &declared)?, None, None),
            Plan::Session(SessionCommand::Show { name }) => {
                (vec![], Some(self.show_schema(&name)), None)
            }
            Plan::Session(SessionCommand::Execute { name, .. }) => {
                let result = self.prepared_named(&name)?.result.clone();
                (vec![], result, None)
            }
            _ => (vec![], None, None),
        };
        Ok(Prepared {
            parameters,
            result,
            statement: statement.clone(),
            plan,
        })
    }

    /// Runs a prepared statement with values for its parameters.
    ///
    /// # Errors
    /// Whatever planning and running meet. Inside a transaction block the block has then failed.
    pub async fn execute(
        &mut self,
        prepared: &Prepared,
        values: Vec<ScalarValue>,
    ) -> Result<Outcome> {
        self.refuse_after_failure(&prepared.statement)?;
        let outcome = self.run(prepared, values).await;
        if outcome.is_err() {
            self.fail_transaction();
        }
        outcome
    }

    async fn run(&mut self, prepared: &Prepared, values: Vec<ScalarValue>) -> Result<Outcome> {
        self.begin_statement(&prepared.statement);
        if values.len() != prepared.parameters.len() {
            return Err(Report::new(
                Condition::ParameterCount,
                format!(
                    "bind message supplies {} parameters, but the statement requires {}",
                    values.len(),
                    prepared.parameters.len()
                ),
            )
            .into());
        }
        let snapshot = self.snapshot()?;
        // A plan made on the same snapshot is the plan that would be made now.
        if let Some(made) = &prepared.plan
            && made.snapshot == snapshot.id
            && made.settings == self.settings.version()
            && self.open.is_none()
        {
            let plan = bound(made.plan.as_ref().clone(), &values)?;
            return self.rows(plan, RowsTag::Counted("SELECT")).await;
        }
        let planner = self.planner(Arc::clone(&snapshot))?;
        let types: Vec<Option<FieldRef>> = prepared
            .parameters
            .iter()
            .map(|field| Some(Arc::clone(field)))
            .collect();
        let implicit = match &self.open {
            Some(_) => None,
            None => Some(self.engine.warehouse().begin()?),
        };
        let transaction = match (&self.open, &implicit) {
            (Some(open), _) => open.transaction.clone(),
            (None, Some(transaction)) => transaction.clone(),
            (None, None) => {
                return Err(
                    Report::new(Condition::Internal, "a statement has a transaction").into(),
                );
            }
        };
        let planned = statement::plan(
            &planner,
            &prepared.statement.parsed,
            &types,
            Some(&transaction),
        )?;
        match planned {
            Plan::Rows {
                plan,
                tag: None,
                writes: false,
            } => {
                let plan = bound(plan, &values)?;
                self.rows(plan, RowsTag::Counted("SELECT")).await
            }
            Plan::Rows {
                plan,
                tag,
                writes: is_write,
            } => {
                if is_write {
                    self.refuse_read_only("EXPLAIN ANALYZE of a write")?;
                }
                let plan = bound(plan, &values)?;
                let stream = self.stream(&plan).await?;
                let (schema, stream) = rows::query_plan(stream).await?;
                if is_write {
                    finish(implicit).await?;
                }
                Ok(Outcome::Rows {
                    schema,
                    stream,
                    tag: RowsTag::Plain(tag.unwrap_or("EXPLAIN")),
                })
            }
            Plan::Write { plan, tag } => {
                self.refuse_read_only(tag.text(0).split(' ').next().unwrap_or("INSERT"))?;
                let plan = bound(plan, &values)?;
                let stream = self.stream(&plan).await?;
                let rows = rows::count(stream).await?;
                finish(implicit).await?;
                Ok(Outcome::Done {
                    tag: tag.text(rows),
                })
            }
            Plan::Define(definition) => {
                self.refuse_read_only(definition.tag())?;
                for notice in definition.notices() {
                    self.notice("00000", notice.clone());
                }
                definition.apply(&transaction)?;
                finish(implicit).await?;
                Ok(Outcome::Done {
                    tag: definition.tag().to_owned(),
                })
            }
            Plan::Load(copy) => {
                self.refuse_read_only("COPY FROM")?;
                self.check_server_file("read")?;
                let load = copy.load(&planner, &transaction).await?;
                for notice in load.notices {
                    self.notice("00000", notice);
                }
                let rows = match load.plan {
                    Some(plan) => match self.stream(&plan).await {
                        Ok(stream) => match rows::count(stream).await {
                            Ok(rows) => rows,
                            Err(error) => return Err(Load::blamed(load.files, error).await),
                        },
                        Err(error) => return Err(Load::blamed(load.files, error).await),
                    },
                    None => 0,
                };
                finish(implicit).await?;
                Ok(Outcome::Done {
                    tag: format!("COPY {rows}"),
                })
            }
            Plan::CopyTo(copy) => {
                let schema = client_schema(copy.plan.schema().as_arrow());
                let stream = self.stream(&copy.plan).await?;
                match (copy.file, copy.format) {
                    (Some(file), format) => {
                        self.check_server_file("write to")?;
                        let rows = copy::to_file(&file, format, &schema, stream).await?;
                        Ok(Outcome::Done {
                            tag: format!("COPY {rows}"),
                        })
                    }
                    (None, Some(format)) => Ok(Outcome::CopyOut {
                        schema,
                        stream,
                        format,
                    }),
                    (None, None) => {
                        Err(Report::new(Condition::Internal, "the client gets no Parquet").into())
                    }
                }
            }
            Plan::CopyIn(copy) => {
                self.refuse_read_only("COPY FROM")?;
                let written = self.stream(&copy.plan).await?;
                Ok(Outcome::CopyIn(Box::new(CopyingIn::start(
                    copy.format,
                    &copy.schema,
                    copy.rows,
                    written,
                    implicit,
                ))))
            }
            Plan::Nothing { tag, notice } => {
                self.notice("42P07", notice);
                Ok(Outcome::Done {
                    tag: tag.to_owned(),
                })
            }
            Plan::Session(command) => {
                let source = &prepared.statement.parsed.source;
                Box::pin(self.command(command, &planner, source)).await
            }
        }
    }

    async fn command(
        &mut self,
        command: SessionCommand,
        planner: &Planner,
        source: &Arc<str>,
    ) -> Result<Outcome> {
        let done = |tag: &str| {
            Ok(Outcome::Done {
                tag: tag.to_owned(),
            })
        };
        match command {
            SessionCommand::Begin { tag, read_only } => {
                match &mut self.open {
                    Some(open) if open.explicit => {
                        self.warn("25001", "there is already a transaction in progress");
                    }
                    Some(open) => {
                        open.explicit = true;
                        open.read_only = read_only;
                    }
                    None => {
                        let read_only = read_only || self.is_on("default_transaction_read_only");
                        self.open = Some(Open {
                            transaction: self.engine.warehouse().begin()?,
                            explicit: true,
                            read_only,
                            failed: false,
                            started_at: self.statement_started_at,
                        });
                    }
                }
                done(tag)
            }
            SessionCommand::Commit => {
                self.settings.end_transaction();
                match self.open.take() {
                    Some(open) if open.failed => {
                        open.transaction.rollback().await;
                        done("ROLLBACK")
                    }
                    Some(open) => {
                        if !open.explicit {
                            self.warn("25P01", "there is no transaction in progress");
                        }
                        open.transaction.commit().await?;
                        done("COMMIT")
                    }
                    None => {
                        self.warn("25P01", "there is no transaction in progress");
                        done("COMMIT")
                    }
                }
            }
            SessionCommand::Rollback => {
                self.settings.end_transaction();
                match self.open.take() {
                    Some(open) => open.transaction.rollback().await,
                    None => self.warn("25P01", "there is no transaction in progress"),
                }
                done("ROLLBACK")
            }
            SessionCommand::Set { name, value, local } => {
                if local && self.open.as_ref().is_none_or(|open| !open.explicit) {
                    self.warn("25P01", "SET LOCAL can only be used in transaction blocks");
                    return done("SET");
                }
                self.settings.set(&name, value.as_deref(), local)?;
                done("SET")
            }
            SessionCommand::Reset { name } => {
                self.settings.reset(name.as_deref())?;
                done("RESET")
            }
            SessionCommand::Show { name } => self.show(&name),
            SessionCommand::Prepare {
                name,
                types,
                statement,
            } => {
                if self.prepared.contains_key(&name) {
                    return Err(Report::new(
                        Condition::DuplicateStatement,
                        format!("prepared statement \"{name}\" already exists"),
                    )
                    .into());
                }
                let declared = types
                    .iter()
                    .map(|sql_type| {
                        Ok(Some(
                            tributary_sql::types::field_of("", sql_type)?
                                .data_type()
                                .clone(),
                        ))
                    })
                    .collect::<Result<Vec<_>>>()?;
                let inner = Statement {
                    parsed: Arc::new(Parsed {
                        text: statement.to_string(),
                        statement: *statement,
                        offset: 0,
                        source: Arc::clone(source),
                    }),
                };
                let prepared = self.prepare(&inner, &declared).await?;
                self.prepared.insert(name, prepared);
                done("PREPARE")
            }
            SessionCommand::Execute { name, values } => {
                let prepared = self.prepared_named(&name)?.clone();
                let mut scalars = Vec::with_capacity(values.len());
                for (expr, field) in values.iter().zip(&prepared.parameters) {
                    let constant = planner.constant(&expr.to_string())?;
                    scalars.push(rows::evaluate(&self.state, constant, field.data_type())?);
                }
                if values.len() != prepared.parameters.len() {
                    return Err(Report::new(
                        Condition::Syntax,
                        format!("wrong number of parameters for prepared statement \"{name}\""),
                    )
                    .detail(format!(
                        "Expected {} parameters but got {}.",
                        prepared.parameters.len(),
                        values.len()
                    ))
                    .into());
                }
                self.run(&prepared, scalars).await
            }
            SessionCommand::Deallocate { name } => {
                match name {
                    None => self.prepared.clear(),
                    Some(name) => {
                        self.prepared_named(&name)?;
                        self.prepared.remove(&name);
                    }
                }
                done("DEALLOCATE")
            }
            SessionCommand::Discard { all } => {
                if self.open.is_some() && all {
                    return Err(Report::new(
                        Condition::ActiveTransaction,
                        "DISCARD ALL cannot run inside a transaction block",
                    )
                    .into());
                }
                if all {
                    self.prepared.clear();
                    self.settings.reset(None)?;
                }
                done(if all { "DISCARD ALL" } else { "DISCARD" })
            }
        }
    }

    fn check_server_file(&self, verb: &str) -> Result<()> {
        if self.superuser {
            return Ok(());
        }
        let preposition = if verb == "read" { "from" } else { "to" };
        Err(Report::new(
            Condition::InsufficientPrivilege,
            format!("permission denied to COPY {preposition} a file"),
        )
        .detail(format!("Only superusers may {verb} files of the server."))
        .hint("COPY FROM STDIN and COPY TO STDOUT are for everyone, and so is psql's \\copy.")
        .into())
    }

    fn prepared_named(&self, name: &str) -> Result<&Prepared> {
        self.prepared.get(name).ok_or_else(|| {
            Report::new(
                Condition::UndefinedStatement,
                format!("prepared statement \"{name}\" does not exist"),
            )
            .into()
        })
    }

    /// Starts the implicit transaction of a query string with several statements.
    ///
    /// # Errors
    /// What the catalog says.
    pub fn begin_implicit(&mut self) -> Result<()> {
        if self.open.is_none() {
            self.open = Some(Open {
                transaction: self.engine.warehouse().begin()?,
                explicit: false,
                read_only: self.is_on("default_transaction_read_only"),
                failed: false,
                started_at: engine::now(),
            });
        }
        Ok(())
    }

    /// Ends the implicit transaction, unless BEGIN has made it a block.
    ///
    /// # Errors
    /// What the commit meets.
    pub async fn end_implicit(&mut self, commit: bool) -> Result<()> {
        let Some(open) = self.open.take_if(|open| !open.explicit) else {
            return Ok(());
        };
        self.settings.end_transaction();
        if commit && !open.failed {
            open.transaction.commit().await?;
        } else {
            open.transaction.rollback().await;
        }
        Ok(())
    }

    /// Where the session stands.
    pub fn transaction_status(&self) -> TransactionStatus {
        match &self.open {
            None => TransactionStatus::Idle,
            Some(open) if open.failed => TransactionStatus::Failed,
            Some(_) => TransactionStatus::Active,
        }
    }

    /// Marks the open transaction as failed: only its end is accepted.
    pub fn fail_transaction(&mut self) {
        if let Some(open) = &mut self.open {
            open.failed = true;
        }
    }

    /// What the user is to be told, since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// The settings that clients are told of, at the start.
    pub fn reported_parameters(&self) -> Vec<(String, String)> {
        self.reported
            .iter()
            .map(|(name, value)| (display_name(name).to_owned(), value.clone()))
            .collect()
    }

    /// The settings that clients are told of and that changed since the last call.
    pub fn changed_parameters(&mut self) -> Vec<(String, String)> {
        let now = self.settings.reported();
        let changed = now
            .iter()
            .zip(&self.reported)
            .filter(|(now, before)| now.1 != before.1)
            .map(|(now, _)| (display_name(now.0).to_owned(), now.1.clone()))
            .collect();
        self.reported = now;
        changed
    }

    /// How long a statement may take; `None` is no limit.
    pub fn statement_timeout(&self) -> Option<Duration> {
        let milliseconds = self.settings.value("statement_timeout")?.parse().ok()?;
        (milliseconds > 0).then(|| Duration::from_millis(milliseconds))
    }

    /// A setting's value.
    pub fn setting(&self, name: &str) -> Option<String> {
        self.settings.value(name).map(str::to_owned)
    }

    fn is_on(&self, name: &str) -> bool {
        self.settings.value(name) == Some("on")
    }

    fn notice(&mut self, code: &'static str, message: String) {
        self.notices.push(Notice {
            warning: false,
            code,
            message,
        });
    }

    fn warn(&mut self, code: &'static str, message: &str) {
        self.notices.push(Notice {
            warning: true,
            code,
            message: message.to_owned(),
        });
    }

    fn refuse_after_failure(&self, statement: &Statement) -> Result<()> {
        if self.transaction_status() == TransactionStatus::Failed && !statement.ends_transaction() {
            return Err(Report::new(
                Condition::FailedTransaction,
                "current transaction is aborted, commands ignored until end of transaction block",
            )
            .into());
        }
        Ok(())
    }

    fn refuse_read_only(&self, what: &str) -> Result<()> {
        let read_only = match &self.open {
            Some(open) => open.read_only,
            None => self.is_on("default_transaction_read_only"),
        };
        if read_only {
            return Err(Report::new(
                Condition::ReadOnlyTransaction,
                format!("cannot execute {what} in a read-only transaction"),
            )
            .into());
        }
        Ok(())
    }

    /// The snapshot that the next statement sees.
    fn snapshot(&self) -> Result<Arc<Snapshot>> {
        match &self.open {
            Some(open) => Ok(open.transaction.snapshot()),
            None => Ok(self.engine.warehouse().snapshot()?),
        }
    }

    fn planner(&self, snapshot: Arc<Snapshot>) -> Result<Planner> {
        let system = environment::system(self, Arc::clone(&snapshot))?;
        let functions = tributary_sql::system::functions(&system)
            .into_iter()
            .map(|function| (function.name().to_owned(), function))
            .collect();
        Ok(Planner::new(
            Arc::clone(&self.state),
            self.engine.warehouse().clone(),
            snapshot,
            system,
            Arc::new(functions),
        ))
    }

    /// Optimises, plans physically and starts a plan.
    async fn stream(&self, plan: &LogicalPlan) -> Result<SendableRecordBatchStream> {
        let plan = self.state.optimize(plan)?;
        let physical = self
            .state
            .query_planner()
            .create_physical_plan(&plan, self.state.as_ref())
            .await?;
        let physical = interruptible(physical, &self.options.stop)?;
        Ok(datafusion::physical_plan::execute_stream(
            physical,
            self.state.task_ctx(),
        )?)
    }

    async fn rows(&self, plan: LogicalPlan, tag: RowsTag) -> Result<Outcome> {
        let schema = client_schema(plan.schema().as_arrow());
        Ok(Outcome::Rows {
            schema,
            stream: self.stream(&plan).await?,
            tag,
        })
    }

    fn show_schema(&self, name: &str) -> SchemaRef {
        if name == "all" {
            rows::text_schema(&["name", "setting", "description"])
        } else {
            rows::text_schema(&[display_name(name)])
        }
    }

    fn show(&self, name: &str) -> Result<Outcome> {
        let columns: Vec<Vec<String>> = if name == "all" {
            let rows = self.settings.rows();
            vec![
                rows.iter().map(|row| row.name.clone()).collect(),
                rows.iter().map(|row| row.value.clone()).collect(),
                rows.iter().map(|row| row.description.clone()).collect(),
            ]
        } else {
            vec![vec![self.settings.shown(name)?]]
        };
        let schema = self.show_schema(name);
        Ok(Outcome::Rows {
            stream: rows::of_texts(Arc::clone(&schema), columns)?,
            schema,
            tag: RowsTag::Plain("SHOW"),
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.engine.sessions().remove(self.options.backend_pid);
    }
}

/// Commits a statement's own transaction, where it has one.
async fn finish(implicit: Option<Transaction>) -> Result<()> {
    if let Some(transaction) = implicit {
        transaction.commit().await?;
    }
    Ok(())
}

/// The types of a plan's parameters: declared, inferred, or text.
fn parameters_of(plan: &LogicalPlan, declared: &[Option<FieldRef>]) -> Result<Vec<FieldRef>> {
    let found = plan.get_parameter_fields()?;
    let mut parameters: Vec<FieldRef> = declared
        .iter()
        .map(|field| field.clone().unwrap_or_else(text_parameter))
        .collect();
    for (name, field) in found {
        let number: usize = name
            .strip_prefix('$')
            .and_then(|digits| digits.parse().ok())
            .filter(|number| (1..=usize::from(u16::MAX)).contains(number))
            .ok_or_else(|| {
                Report::new(
                    Condition::Syntax,
                    format!("there is no parameter \"{name}\""),
                )
            })?;
        if parameters.len() < number {
            parameters.resize_with(number, text_parameter);
        }
        let is_declared = declared.get(number - 1).is_some_and(Option::is_some);
        if let (Some(slot), Some(field), false) =
            (parameters.get_mut(number - 1), field, is_declared)
        {
            *slot = field;
        }
    }
    Ok(parameters)
}

fn text_parameter() -> FieldRef {
    Arc::new(Field::new("", DataType::Utf8, true))
}

/// The plan with values in place of its parameters.
fn bound(plan: LogicalPlan, values: &[ScalarValue]) -> Result<LogicalPlan> {
    if values.is_empty() {
        return Ok(plan);
    }
    Ok(plan.with_param_values(values.to_vec())?)
}

/// A plan's columns under the names the client sees.
fn client_schema(planned: &Schema) -> SchemaRef {
    let names = output_names(planned.fields().iter().map(|field| field.name().as_str()));
    let fields: Vec<Field> = planned
        .fields()
        .iter()
        .zip(names)
        .map(|(field, name)| field.as_ref().clone().with_name(name))
        .collect();
    Arc::new(Schema::new(fields))
}
