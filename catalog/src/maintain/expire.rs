//! Forgets old snapshots, and deletes the files that only they named.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::error::{Error, Result};
use crate::model::SnapshotId;
use crate::warehouse::Warehouse;

/// What an expiry has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expired {
    /// Snapshots that are gone.
    pub snapshots: u64,
    /// Files that no snapshot names any more, scheduled for deletion.
    pub files: u64,
}

impl Warehouse {
    /// Forgets the snapshots committed before `before`, but for the newest. Blocks. Files that only they named are noted for
    /// [`delete_expired_files`](Self::delete_expired_files).
    ///
    /// # Errors
    /// The catalog cannot be written.
    pub fn expire_snapshots(&self, before: DateTime<Utc>) -> Result<Expired> {
        self.store().expire(before)
    }

    /// Deletes the files that expiries at least `grace` ago have left; returns how many. Blocks. The grace is for statements, of any process, that
    /// still read an expired snapshot.
    ///
    /// # Errors
    /// A file cannot be deleted; those before it are.
    pub fn delete_expired_files(&self, grace: Duration) -> Result<u64> {
        let paths = self.store().scheduled_files(grace)?;
        for (_, path) in &paths {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                other => other.map_err(Error::io("delete", PathBuf::from(path)))?,
            }
        }
        let ids = paths.iter().map(|(id, _)| *id).collect::<Vec<_>>();
        self.store().forget_scheduled(ids)?;
        Ok(paths.len() as u64)
    }

    /// The oldest snapshot that can be read.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub fn oldest_snapshot(&self) -> Result<SnapshotId> {
        self.store().oldest_snapshot()
    }
}
