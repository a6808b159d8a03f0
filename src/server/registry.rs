//! The sessions that are logged in: for cancel requests, the connection limit and an orderly stop.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::error::PgError;
use super::interrupt::{Interrupt, Reason};

/// Slots that only superusers may take, as PostgreSQL's `superuser_reserved_connections`.
const RESERVED_FOR_SUPERUSERS: usize = 3;

/// All sessions of a server.
#[derive(Debug)]
pub struct Registry {
    sessions_max: usize,
    sessions: Mutex<Sessions>,
    /// Told whenever a session ends.
    ended: Notify,
}

#[derive(Debug, Default)]
struct Sessions {
    /// The server stops: nobody is admitted any more.
    stopping: bool,
    last_pid: i32,
    by_pid: BTreeMap<i32, Entry>,
}

#[derive(Debug)]
struct Entry {
    secret: i32,
    interrupt: Arc<Interrupt>,
}

/// A session's place in the registry, given back when dropped.
#[derive(Debug)]
pub struct Registration {
    /// The number the session goes by, unique among those logged in.
    pub pid: i32,
    /// What a cancel request must know beside the number.
    pub secret: i32,
    /// What stops the session's statements.
    pub interrupt: Arc<Interrupt>,
    registry: Arc<Registry>,
}

impl Registry {
    /// A registry with room for `sessions_max` sessions.
    pub fn new(sessions_max: usize) -> Self {
        Self {
            sessions_max,
            sessions: Mutex::default(),
            ended: Notify::new(),
        }
    }

    /// Takes a place for a session.
    ///
    /// # Errors
    /// 53300 when all places, or all but those kept for superusers, are taken; 57P03 when the server stops.
    pub fn register(self: &Arc<Self>, superuser: bool) -> Result<Registration, PgError> {
        let mut sessions = self.sessions.lock();
        if sessions.stopping {
            return Err(PgError::fatal("57P03", "the server is shutting down"));
        }
        let taken = sessions.by_pid.len();
        if taken >= self.sessions_max {
            return Err(PgError::fatal("53300", "sorry, too many clients already"));
        }
        let reserved = RESERVED_FOR_SUPERUSERS.min(self.sessions_max / 2);
        if !superuser && taken >= self.sessions_max - reserved {
            return Err(PgError::fatal(
                "53300",
                "remaining connection slots are reserved for superusers",
            ));
        }
        let mut pid = sessions.last_pid;
        loop {
            pid = pid.checked_add(1).unwrap_or(1);
            if !sessions.by_pid.contains_key(&pid) {
                break;
            }
        }
        sessions.last_pid = pid;
        let secret = rand::random();
        let interrupt = Arc::new(Interrupt::default());
        sessions.by_pid.insert(
            pid,
            Entry {
                secret,
                interrupt: Arc::clone(&interrupt),
            },
        );
        Ok(Registration {
            pid,
            secret,
            interrupt,
            registry: Arc::clone(self),
        })
    }

    /// Stops the running statement of session `pid`, if `secret` is its secret; otherwise does nothing, so that nothing
    /// can be learnt by trying.
    pub fn cancel(&self, pid: i32, secret: i32) {
        let sessions = self.sessions.lock();
        if let Some(entry) = sessions
            .by_pid
            .get(&pid)
            .filter(|entry| entry.secret == secret)
        {
            entry.interrupt.raise(Reason::Cancel);
        }
    }

    /// Ends every session and admits no other.
    pub fn stop(&self) {
        let mut sessions = self.sessions.lock();
        sessions.stopping = true;
        for entry in sessions.by_pid.values() {
            entry.interrupt.raise(Reason::Terminate);
        }
    }

    /// Waits until no session is left.
    pub async fn emptied(&self) {
        loop {
            let ended = self.ended.notified();
            if self.is_empty() {
                return;
            }
            ended.await;
        }
    }

    /// How many sessions are logged in.
    pub fn len(&self) -> usize {
        self.sessions.lock().by_pid.len()
    }

    /// Whether no session is logged in.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.sessions.lock().by_pid.remove(&self.pid);
        self.registry.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_reserved_and_given_back() {
        let registry = Arc::new(Registry::new(8));
        let users: Vec<_> = (0..5).map(|_| registry.register(false).unwrap()).collect();
        assert_eq!(registry.register(false).unwrap_err().code, "53300");
        let superusers: Vec<_> = (0..3).map(|_| registry.register(true).unwrap()).collect();
        assert_eq!(
            registry.register(true).unwrap_err().message,
            "sorry, too many clients already"
        );
        drop(users);
        assert_eq!(registry.len(), 3);
        assert!(registry.register(false).is_ok());
        drop(superusers);
        assert!(registry.is_empty());
    }

    #[tokio::test]
    async fn a_stop_ends_sessions_and_admits_none() {
        let registry = Arc::new(Registry::new(8));
        let session = registry.register(false).unwrap();
        registry.stop();
        assert_eq!(session.interrupt.pending(), Some(Reason::Terminate));
        assert_eq!(registry.register(true).unwrap_err().code, "57P03");
        let emptied = tokio::spawn({
            let registry = Arc::clone(&registry);
            async move { registry.emptied().await }
        });
        tokio::task::yield_now().await;
        assert!(!emptied.is_finished());
        drop(session);
        emptied.await.unwrap();
    }

    #[test]
    fn a_cancel_needs_the_right_secret() {
        let registry = Arc::new(Registry::new(8));
        let session = registry.register(false).unwrap();
        session.interrupt.begin(None);
        registry.cancel(session.pid, session.secret.wrapping_add(1));
        registry.cancel(session.pid + 1, session.secret);
        assert_eq!(session.interrupt.pending(), None);
        registry.cancel(session.pid, session.secret);
        assert_eq!(session.interrupt.pending(), Some(Reason::Cancel));
    }
}
