//! A connection's back: the task that owns the session, runs its statements and writes the answers.
//!
//! Frames come in batches from the task that reads the socket. Answers gather in a buffer that is sent when it is full,
//! when the client asks, and whenever the backend waits for the client. All that can take long is awaited beside the
//! connection's [`Interrupt`]; a panic in the engine is an error of the statement. The extended protocol is in
//! [`extended`], the way of rows in [`rows`].

use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures::FutureExt;
use pgwire::messages::response::{
    CommandComplete, EmptyQueryResponse, ReadyForQuery, TransactionStatus as ReadyStatus,
};
use pgwire::messages::startup::{Authentication, BackendKeyData, ParameterStatus, SecretKey};
use tokio::io::WriteHalf;
use tokio::sync::{Mutex, OwnedSemaphorePermit, mpsc};

use super::error::PgError;
use super::frame::Frame;
use super::interrupt::{Interrupt, Reason};
use super::message::Message;
use super::registry::Registration;
use super::transport::{Transport, Writer, put, put_error, put_notice, wire_text};
use crate::session::{Outcome, Session, Statement, TransactionStatus};
use tributary_sql::output::Style;
use tributary_sql::output::time::Zone;

mod copy;
mod extended;
mod rows;

use extended::{Portal, PreparedStatement};
use rows::Rows;

/// The writing side of a connection; shared, so that a statement that does not stop cannot keep the connection open.
pub type SharedWriter = Arc<Mutex<Writer<WriteHalf<Transport>>>>;

/// What the reading task hands over.
pub enum Inbound {
    /// Frames, and the room they take in the read-ahead.
    Frames(Vec<Frame>, OwnedSemaphorePermit),
    /// The client does not speak the protocol.
    Broken(PgError),
}

/// Why the connection ends.
#[derive(Debug)]
pub enum End {
    /// The client has gone, or said farewell.
    Client,
    /// The client is told why.
    Fatal(PgError),
}

/// Why something was not carried through.
#[derive(Debug)]
enum Stop {
    /// The statement has failed; the session goes on.
    Statement(PgError),
    /// The connection ends.
    Connection(End),
}

impl From<PgError> for Stop {
    fn from(error: PgError) -> Self {
        match error.severity {
            super::error::Severity::Error => Self::Statement(error),
            super::error::Severity::Fatal => Self::Connection(End::Fatal(error)),
        }
    }
}

impl From<crate::session::Error> for Stop {
    fn from(error: crate::session::Error) -> Self {
        PgError::from(&error).into()
    }
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::ClientGone => Self::Connection(End::Client),
            other => other.error().into(),
        }
    }
}

/// Answers are sent when this much has gathered.
const FLUSH_BYTES: usize = 64 * 1024;

/// How long a last word to a client that does not read may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// The task's state.
pub struct Backend {
    session: Session,
    inbox: mpsc::Receiver<Inbound>,
    writer: SharedWriter,
    out: BytesMut,
    registration: Registration,
    interrupt: Arc<Interrupt>,
    statements: HashMap<String, Arc<PreparedStatement>>,
    portals: HashMap<String, Portal>,
    /// Frames taken from the channel and not handled yet.
    queue: VecDeque<Frame>,
    queue_room: Option<OwnedSemaphorePermit>,
    /// After an error in the extended protocol everything is skipped until Sync.
    skip_to_sync: bool,
    /// The `TimeZone` that `style` was made from.
    zone_name: String,
    style: Style,
}

impl Backend {
    /// A backend for a session that has logged in, served with what comes through `inbox`.
    pub fn new(
        session: Session,
        inbox: mpsc::Receiver<Inbound>,
        writer: SharedWriter,
        registration: Registration,
    ) -> Self {
        Self {
            session,
            inbox,
            writer,
            out: BytesMut::new(),
            interrupt: Arc::clone(&registration.interrupt),
            registration,
            statements: HashMap::new(),
            portals: HashMap::new(),
            queue: VecDeque::new(),
            queue_room: None,
            skip_to_sync: false,
            zone_name: String::new(),
            style: Style::default(),
        }
    }

    /// Greets the client and serves it until the connection ends.
    pub async fn run(mut self) {
        let end = match self.serve().await {
            Err(Stop::Connection(end)) => end,
            Err(Stop::Statement(error)) => End::Fatal(error.into_fatal()),
            Ok(()) => End::Client,
        };
        // Streams and transactions end before the client is told, so that a new session finds their effects undone.
        self.portals.clear();
        drop(self.session);
        if let End::Fatal(error) = end
            && put_error(&mut self.out, &error).is_ok()
        {
            let writer = Arc::clone(&self.writer);
            let farewell = async { writer.lock().await.send(&mut self.out).await };
            let _ = tokio::time::timeout(FAREWELL, farewell).await;
        }
        let _ =
            tokio::time::timeout(FAREWELL, async { self.writer.lock().await.close().await }).await;
    }

    async fn serve(&mut self) -> Result<(), Stop> {
        put(&mut self.out, &Authentication::Ok)?;
        for (name, value) in self.session.reported_parameters() {
            put(
                &mut self.out,
                &ParameterStatus::new(name, wire_text(&value)),
            )?;
        }
        let key = SecretKey::I32(self.registration.secret);
        put(
            &mut self.out,
            &BackendKeyData::new(self.registration.pid, key),
        )?;
        self.put_notices()?;
        self.ready().await?;
        loop {
            let frame = self.next_frame().await?;
            self.handle(frame).await?;
            if self.out.len() >= FLUSH_BYTES {
                self.flush().await?;
            }
        }
    }

    /// The next frame; waits for the client when there is none, no longer than the session's idle timeouts allow.
    async fn next_frame(&mut self) -> Result<Frame, Stop> {
        loop {
            if let Some(frame) = self.queue.pop_front() {
                return Ok(frame);
            }
            self.queue_room = None;
            let idle = self.idle_timeout();
            let timeout = async {
                match idle {
                    Some((limit, _)) => tokio::time::sleep(limit).await,
                    None => std::future::pending().await,
                }
            };
            let inbound = tokio::select! {
                biased;
                inbound = self.inbox.recv() => inbound,
                reason = self.interrupt.raised() => return Err(reason.into()),
                () = timeout => {
                    let code = idle.map_or("57P05", |(_, code)| code);
                    let what = if code == "25P03" { "idle-in-transaction" } else { "idle-session" };
                    return Err(PgError::fatal(code, format!("terminating connection due to {what} timeout")).into());
                }
            };
            match inbound {
                Some(Inbound::Frames(frames, room)) => {
                    self.queue.extend(frames);
                    self.queue_room = Some(room);
                }
                Some(Inbound::Broken(error)) => return Err(error.into()),
                None => return Err(Stop::Connection(End::Client)),
            }
        }
    }

    /// How long the session may wait for the client now, and the SQLSTATE of waiting longer.
    fn idle_timeout(&self) -> Option<(Duration, &'static str)> {
        let (name, code) = match self.session.transaction_status() {
            TransactionStatus::Idle => ("idle_session_timeout", "57P05"),
            _ => ("idle_in_transaction_session_timeout", "25P03"),
        };
        let limit_ms: u64 = self.session.setting(name)?.parse().ok()?;
        (limit_ms > 0).then(|| (Duration::from_millis(limit_ms), code))
    }

    async fn handle(&mut self, frame: Frame) -> Result<(), Stop> {
        let Frame { kind, body } = frame;
        if self.skip_to_sync && !matches!(kind, b'S' | b'X') {
            return Ok(());
        }
        let handled = match Message::decode(kind, body) {
            Ok(Message::Query(sql)) => return self.query(&sql).await,
            Ok(Message::FunctionCall) => {
                let error = PgError::error("0A000", "the function call protocol is not supported")
                    .hint("Call the function in a SELECT.");
                self.failed(error).await?;
                return self.ready().await;
            }
            Ok(Message::Sync) => return self.sync().await,
            Ok(Message::Flush) => return self.flush().await,
            Ok(Message::Terminate) => return Err(Stop::Connection(End::Client)),
            // No COPY is going on; PostgreSQL ignores these too, as they may come late after one has failed.
            Ok(Message::CopyData(_) | Message::CopyDone | Message::CopyFail(_)) => return Ok(()),
            Ok(Message::Parse(parse)) => self.parse(parse).await,
            Ok(Message::Bind(bind)) => self.bind(bind),
            Ok(Message::Describe(target)) => self.describe(&target),
            Ok(Message::Execute { portal, rows_max }) => self.execute(&portal, rows_max).await,
            Ok(Message::Close(target)) => self.close(&target),
            Err(error) => Err(error.into()),
        };
        self.interrupt.end();
        match handled {
            Ok(()) => Ok(()),
            Err(Stop::Connection(end)) => Err(Stop::Connection(end)),
            Err(Stop::Statement(error)) => {
                self.failed(error).await?;
                if Message::is_extended(kind) {
                    self.skip_to_sync = true;
                    self.flush().await
                } else {
                    self.ready().await
                }
            }
        }
    }

    /// A string of statements: each runs to its end, an error ends the string.
    async fn query(&mut self, sql: &str) -> Result<(), Stop> {
        self.statements.remove("");
        self.portals.remove("");
        let done = self.query_statements(sql).await;
        self.interrupt.end();
        match done {
            Ok(()) => {}
            Err(Stop::Statement(error)) => {
                self.failed(error).await?;
                self.session.end_implicit(false).await?;
            }
            Err(Stop::Connection(end)) => return Err(Stop::Connection(end)),
        }
        self.ready().await
    }

    async fn query_statements(&mut self, sql: &str) -> Result<(), Stop> {
        self.begin_statement();
        let statements = caught(|| self.session.parse(sql))?;
        if statements.is_empty() {
            put(&mut self.out, &EmptyQueryResponse::new())?;
            return Ok(());
        }
        let last = statements.len() - 1;
        for (index, statement) in statements.iter().enumerate() {
            self.begin_statement();
            if last > 0 {
                // Statements after a COMMIT within the string are a transaction again.
                self.session.begin_implicit()?;
            }
            let tag = self.query_statement(statement).await?;
            if index == last && last > 0 {
                // The last tag says that all is done, so all is committed before.
                guarded(&self.interrupt, self.session.end_implicit(true)).await?;
            }
            self.complete(tag)?;
        }
        Ok(())
    }

    /// Runs one statement of a string; its tag, after its rows.
    async fn query_statement(&mut self, statement: &Statement) -> Result<String, Stop> {
        let prepared = guarded(&self.interrupt, self.session.prepare(statement, &[])).await?;
        if !prepared.parameters.is_empty() {
            return Err(PgError::error("42P02", "there is no parameter $1").into());
        }
        match guarded(&self.interrupt, self.session.execute(&prepared, vec![])).await? {
            Outcome::Done { tag } => Ok(tag),
            Outcome::CopyOut {
                schema,
                stream,
                format,
            } => self.copy_out(&schema, stream, format).await,
            Outcome::CopyIn(copying) => self.copy_in(*copying).await,
            Outcome::Rows {
                schema,
                stream,
                tag,
            } => {
                put(
                    &mut self.out,
                    &super::encode::row_description(&schema, &[])?,
                )?;
                let style = self.style();
                let mut rows = Rows::new(&schema, &[], style, stream, tag);
                let sent = self.send_rows(&mut rows, None).await?;
                Ok(tag.text(sent.rows))
            }
        }
    }

    /// Marks the start of a statement: from here on it can be cancelled, and its time runs.
    fn begin_statement(&self) {
        self.interrupt.begin(self.session.statement_timeout());
    }

    /// Tells the client of notices, then of the statement's end.
    fn complete(&mut self, tag: String) -> Result<(), Stop> {
        self.put_notices()?;
        put(&mut self.out, &CommandComplete::new(wire_text(&tag)))?;
        Ok(())
    }

    fn put_notices(&mut self) -> Result<(), Stop> {
        let notices = self.session.take_notices();
        if notices.is_empty() {
            return Ok(());
        }
        let least = self.session.setting("client_min_messages");
        for notice in notices {
            let shown = match least.as_deref() {
                Some("error") => false,
                Some("warning") => notice.warning,
                _ => true,
            };
            if shown {
                put_notice(&mut self.out, &notice)?;
            }
        }
        Ok(())
    }

    /// Tells the client of an error. An open transaction has failed with it, and its portals are gone.
    async fn failed(&mut self, error: PgError) -> Result<(), Stop> {
        self.interrupt.end();
        self.session.fail_transaction();
        self.portals.clear();
        self.put_notices()?;
        put_error(&mut self.out, &error)?;
        Ok(())
    }

    /// The end of a group of extended messages: what ran outside a transaction block is committed.
    async fn sync(&mut self) -> Result<(), Stop> {
        self.skip_to_sync = false;
        self.begin_statement();
        let ended = guarded(&self.interrupt, self.session.end_implicit(true)).await;
        self.interrupt.end();
        if let Err(error) = ended {
            match error {
                Stop::Statement(error) => self.failed(error).await?,
                connection => return Err(connection),
            }
            self.session.end_implicit(false).await?;
        }
        self.ready().await
    }

    /// Tells the client of changed settings and that it may go on, and sends all there is.
    async fn ready(&mut self) -> Result<(), Stop> {
        let status = match self.session.transaction_status() {
            TransactionStatus::Idle => {
                self.portals.clear();
                ReadyStatus::Idle
            }
            TransactionStatus::Active => ReadyStatus::Transaction,
            TransactionStatus::Failed => ReadyStatus::Error,
        };
        for (name, value) in self.session.changed_parameters() {
            put(
                &mut self.out,
                &ParameterStatus::new(name, wire_text(&value)),
            )?;
        }
        self.session.rest();
        put(&mut self.out, &ReadyForQuery::new(status))?;
        self.flush().await
    }

    /// Sends what has gathered, waiting for the client as long as nothing interrupts.
    async fn flush(&mut self) -> Result<(), Stop> {
        let send = async {
            let mut writer = self.writer.lock().await;
            writer.send(&mut self.out).await
        };
        tokio::select! {
            biased;
            sent = send => sent.map_err(|_| Stop::Connection(End::Client)),
            reason = self.interrupt.raised() => Err(reason.into()),
        }
    }

    /// How values are shown under the session's settings.
    fn style(&mut self) -> Style {
        if let Some(name) = self.session.setting("timezone")
            && name != self.zone_name
        {
            self.style.zone = Zone::parse(&name).unwrap_or_default();
            self.zone_name = name;
        }
        self.style
    }
}

/// Awaits a step of the session beside the connection's interruption; a panic is an error of the statement.
async fn guarded<T>(
    interrupt: &Interrupt,
    step: impl Future<Output = crate::session::Result<T>>,
) -> Result<T, Stop> {
    tokio::select! {
        biased;
        reason = interrupt.raised() => Err(reason.into()),
        done = AssertUnwindSafe(step).catch_unwind() => match done {
            Ok(done) => Ok(done?),
            Err(panic) => Err(panicked(panic.as_ref()).into()),
        },
    }
}

/// As [`guarded`], for a step that does not wait.
fn caught<T>(step: impl FnOnce() -> crate::session::Result<T>) -> Result<T, Stop> {
    match std::panic::catch_unwind(AssertUnwindSafe(step)) {
        Ok(done) => Ok(done?),
        Err(panic) => Err(panicked(panic.as_ref()).into()),
    }
}

/// What a panic says, as an error.
pub fn panicked(panic: &(dyn std::any::Any + Send)) -> PgError {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    tracing::error!(panic = text, "a statement panicked");
    PgError::internal(format_args!("the engine panicked: {text}"))
}
