//! Connected sessions, as `pg_stat_activity` shows them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;

/// All connected sessions of a process, by their numbers.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<BTreeMap<i32, Arc<Mutex<SessionActivity>>>>);

impl Sessions {
    /// Adds a session; what is told through the result is seen in the list.
    pub fn add(&self, session: SessionActivity) -> Arc<Mutex<SessionActivity>> {
        let pid = session.pid;
        let shared = Arc::new(Mutex::new(session));
        self.0.lock().insert(pid, Arc::clone(&shared));
        shared
    }

    /// Takes a session off the list.
    pub fn remove(&self, pid: i32) {
        self.0.lock().remove(&pid);
    }

    /// The sessions as they are now.
    pub fn list(&self) -> Vec<SessionActivity> {
        let sessions: Vec<_> = self.0.lock().values().cloned().collect();
        sessions
            .iter()
            .map(|session| session.lock().clone())
            .collect()
    }
}

/// One connected session.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionActivity {
    /// Its number, as `pg_backend_pid()` gives it.
    pub pid: i32,
    /// Who logged in.
    pub user: String,
    /// What the client calls itself.
    pub application_name: String,
    /// Where the client is, if over the network.
    pub client: Option<SocketAddr>,
    /// When it connected; this and all times in microseconds since 1970 UTC.
    pub connected_at: i64,
    /// When the open transaction started.
    pub transaction_started_at: Option<i64>,
    /// When the running or last statement started.
    pub statement_started_at: Option<i64>,
    /// When `state` last changed.
    pub state_changed_at: Option<i64>,
    /// What it is doing.
    pub state: SessionState,
    /// The text of the running or last statement.
    pub statement: String,
}

/// What a session is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionState {
    /// Running a statement.
    Active,
    /// Waiting for a statement.
    Idle,
    /// Waiting inside a transaction.
    IdleInTransaction,
    /// Waiting inside a failed transaction.
    IdleInFailedTransaction,
}

impl SessionState {
    /// The word of `pg_stat_activity.state`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Idle => "idle",
            Self::IdleInTransaction => "idle in transaction",
            Self::IdleInFailedTransaction => "idle in transaction (aborted)",
        }
    }
}
