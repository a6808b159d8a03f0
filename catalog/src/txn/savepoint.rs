//! Savepoints: a state of the transaction to return to.

use std::sync::Arc;

use super::{State, Transaction, delete};
use crate::error::{Error, Result};
use crate::snapshot::Snapshot;

/// The state of a transaction at a savepoint. The snapshot is shared, so it costs nothing.
#[derive(Debug)]
pub(super) struct Savepoint {
    name: String,
    overlay: Arc<Snapshot>,
    changes: usize,
    ingested: usize,
    written: usize,
}

impl Transaction {
    /// Sets a savepoint. One of the same name is hidden until this one is released.
    ///
    /// # Errors
    /// [`Error::TransactionEnded`].
    pub fn savepoint(&self, name: &str) -> Result<()> {
        let mut state = self.open()?;
        let savepoint = Savepoint {
            name: name.to_owned(),
            overlay: Arc::clone(&state.overlay),
            changes: state.changes.len(),
            ingested: state.ingested.len(),
            written: state.written.len(),
        };
        state.savepoints.push(savepoint);
        Ok(())
    }

    /// Undoes what was done since the savepoint, which stays; later ones are gone. Rows of writers that are not finished are not undone: the
    /// caller has dropped them.
    ///
    /// # Errors
    /// [`Error::UndefinedSavepoint`]; [`Error::TransactionEnded`].
    pub async fn rollback_to(&self, name: &str) -> Result<()> {
        let undone = {
            let mut state = self.open()?;
            let at = state.find(name)?;
            state.savepoints.truncate(at + 1);
            let Some(savepoint) = state.savepoints.pop() else {
                return Err(undefined(name));
            };
            state.overlay = Arc::clone(&savepoint.overlay);
            state.changes.truncate(savepoint.changes);
            state.ingested.truncate(savepoint.ingested);
            let undone = state.written.split_off(savepoint.written);
            state.savepoints.push(savepoint);
            undone
        };
        if !undone.is_empty() {
            // A failure to run the deletion leaves files that no row names, which clean-up finds.
            let _ = tokio::task::spawn_blocking(move || delete(undone)).await;
        }
        Ok(())
    }

    /// Forgets a savepoint and those set after it; what was done since stays.
    ///
    /// # Errors
    /// [`Error::UndefinedSavepoint`]; [`Error::TransactionEnded`].
    pub fn release(&self, name: &str) -> Result<()> {
        let mut state = self.open()?;
        let at = state.find(name)?;
        state.savepoints.truncate(at);
        Ok(())
    }
}

impl State {
    fn find(&self, name: &str) -> Result<usize> {
        self.savepoints
            .iter()
            .rposition(|savepoint| savepoint.name == name)
            .ok_or_else(|| undefined(name))
    }
}

fn undefined(name: &str) -> Error {
    Error::UndefinedSavepoint {
        name: name.to_owned(),
    }
}
