//! What can stop a running statement from outside: a cancel request, its deadline, an administrator, the end of the
//! client.
//!
//! One [`Interrupt`] is shared by the task that reads the socket, which raises, and the task that runs statements, which
//! waits for [`Interrupt::raised`] beside everything it awaits. A statement that does not come back to its await within
//! a grace after its deadline is reported by [`Interrupt::overrun`], so that the connection can be closed over its head.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tributary_sql::interrupt::StopFlag;

use super::error::PgError;

/// How long a statement may go on after its deadline or its connection's end before it is abandoned.
pub const GRACE: Duration = Duration::from_millis(900);

/// Why a statement is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The client asked, on a second connection.
    Cancel,
    /// `statement_timeout` has passed.
    Timeout,
    /// The server shuts down, or an administrator ends the session.
    Terminate,
    /// The client has closed its end.
    ClientGone,
}

impl Reason {
    /// Whether the connection ends with the statement.
    pub fn ends_connection(self) -> bool {
        matches!(self, Self::Terminate | Self::ClientGone)
    }

    /// The error that the client sees.
    pub fn error(self) -> PgError {
        match self {
            Self::Cancel => PgError::error("57014", "canceling statement due to user request"),
            Self::Timeout => {
                PgError::error("57014", "canceling statement due to statement timeout")
            }
            Self::Terminate => PgError::fatal(
                "57P01",
                "terminating connection due to administrator command",
            ),
            Self::ClientGone => PgError::fatal("08006", "connection to client lost"),
        }
    }
}

/// The shared state of one connection's statement and its interruption.
#[derive(Debug)]
pub struct Interrupt {
    /// How long a statement may go on after it was told to stop, before it is abandoned.
    grace: Duration,
    /// Tells the operators of the statement.
    stop: StopFlag,
    state: Mutex<State>,
    /// Wakes the statement.
    raised: Notify,
    /// Wakes the watch over deadlines.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    running: bool,
    reason: Option<Reason>,
    /// When a timeout is raised.
    deadline: Option<Instant>,
    /// When a statement that has not heeded its interruption is given up.
    abandon_at: Option<Instant>,
}

impl Default for Interrupt {
    fn default() -> Self {
        Self::new(GRACE)
    }
}

impl Interrupt {
    /// No statement, nothing raised, and `grace` for statements that do not heed.
    pub fn new(grace: Duration) -> Self {
        Self {
            grace,
            stop: StopFlag::default(),
            state: Mutex::default(),
            raised: Notify::new(),
            changed: Notify::new(),
        }
    }

    /// What the operators of the session's statements look at.
    pub fn stop_flag(&self) -> &StopFlag {
        &self.stop
    }

    /// A statement starts, with `timeout` as its limit. A cancel request from before is forgotten.
    pub fn begin(&self, timeout: Option<Duration>) {
        let mut state = self.state.lock();
        state.running = true;
        if !state.reason.is_some_and(Reason::ends_connection) {
            state.reason = None;
            self.stop.lower();
        }
        state.deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let watch = state.deadline.is_some();
        drop(state);
        if watch {
            self.changed.notify_one();
        }
    }

    /// The statement has come to its end.
    pub fn end(&self) {
        let mut state = self.state.lock();
        state.running = false;
        state.deadline = None;
        if !state.reason.is_some_and(Reason::ends_connection) {
            state.reason = None;
            state.abandon_at = None;
        }
    }

    /// Stops the statement for `reason`. A cancel or timeout with no statement running does nothing, as in PostgreSQL;
    /// what ends the connection is kept for the next await.
    pub fn raise(&self, reason: Reason) {
        let mut state = self.state.lock();
        if !state.running && !reason.ends_connection() {
            return;
        }
        if state.reason.is_none_or(|held| !held.ends_connection()) {
            state.reason = Some(reason);
            self.stop.raise();
        }
        // A cancelled statement keeps its deadline: should it not heed the cancel, the deadline still ends it.
        if reason != Reason::Cancel {
            state.deadline = None;
            if state.abandon_at.is_none() {
                state.abandon_at = Instant::now().checked_add(self.grace);
            }
        }
        drop(state);
        self.raised.notify_waiters();
        self.changed.notify_one();
    }

    /// The reason raised so far, without waiting.
    pub fn pending(&self) -> Option<Reason> {
        self.state.lock().reason
    }

    /// Waits until something is raised.
    pub async fn raised(&self) -> Reason {
        loop {
            // Made before the check: a notification between check and await is not lost.
            let notified = self.raised.notified();
            if let Some(reason) = self.pending() {
                return reason;
            }
            notified.await;
        }
    }

    /// Raises timeouts when they are due. Comes back only when a statement has not heeded its interruption within the
    /// grace: its connection should be closed.
    pub async fn overrun(&self) -> Reason {
        loop {
            let (deadline, abandon_at) = {
                let state = self.state.lock();
                (state.deadline, state.abandon_at)
            };
            match (deadline, abandon_at) {
                (Some(at), _) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(at) => self.time_out(at),
                        () = self.changed.notified() => {}
                    }
                }
                (None, Some(at)) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(at) => {
                            let state = self.state.lock();
                            if state.abandon_at == Some(at) {
                                return state.reason.unwrap_or(Reason::Terminate);
                            }
                        }
                        () = self.changed.notified() => {}
                    }
                }
                (None, None) => self.changed.notified().await,
            }
        }
    }

    /// Raises a timeout, unless the statement whose deadline was `at` is over.
    fn time_out(&self, at: Instant) {
        if self.state.lock().deadline == Some(at) {
            self.raise(Reason::Timeout);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn a_cancel_reaches_the_running_statement_only() {
        let interrupt = Interrupt::default();
        interrupt.raise(Reason::Cancel);
        assert_eq!(interrupt.pending(), None, "idle: ignored");
        interrupt.begin(None);
        interrupt.raise(Reason::Cancel);
        assert_eq!(interrupt.raised().await, Reason::Cancel);
        interrupt.end();
        interrupt.begin(None);
        assert_eq!(interrupt.pending(), None, "the next statement is not hit");
    }

    #[tokio::test]
    async fn the_end_of_the_client_outlives_statements_and_later_reasons() {
        let interrupt = Interrupt::default();
        interrupt.raise(Reason::ClientGone);
        interrupt.begin(None);
        interrupt.raise(Reason::Cancel);
        assert_eq!(interrupt.raised().await, Reason::ClientGone);
        interrupt.end();
        assert_eq!(interrupt.raised().await, Reason::ClientGone);
    }

    fn watched() -> (Arc<Interrupt>, tokio::task::JoinHandle<Reason>) {
        let interrupt = Arc::new(Interrupt::new(Duration::from_millis(30)));
        let watch = tokio::spawn({
            let interrupt = Arc::clone(&interrupt);
            async move { interrupt.overrun().await }
        });
        (interrupt, watch)
    }

    #[tokio::test]
    async fn a_deadline_raises_and_a_deaf_statement_is_given_up() {
        let (interrupt, watch) = watched();
        interrupt.begin(Some(Duration::from_millis(10)));
        assert_eq!(interrupt.raised().await, Reason::Timeout);
        assert_eq!(watch.await.unwrap(), Reason::Timeout);
    }

    #[tokio::test]
    async fn a_deaf_cancelled_statement_still_meets_its_deadline() {
        let (interrupt, watch) = watched();
        interrupt.begin(Some(Duration::from_millis(10)));
        interrupt.raise(Reason::Cancel);
        assert_eq!(interrupt.pending(), Some(Reason::Cancel));
        assert_eq!(watch.await.unwrap(), Reason::Timeout);
    }

    #[tokio::test]
    async fn a_statement_that_heeds_its_deadline_keeps_its_connection() {
        let (interrupt, watch) = watched();
        for _ in 0..3 {
            interrupt.begin(Some(Duration::from_millis(5)));
            assert_eq!(interrupt.raised().await, Reason::Timeout);
            interrupt.end();
        }
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert!(!watch.is_finished());
        interrupt.raise(Reason::Terminate);
        assert_eq!(watch.await.unwrap(), Reason::Terminate);
    }
}
