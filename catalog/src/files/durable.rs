//! What must be on disk before a commit: a file's bytes, and the entries of all directories on the way to it.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::error::{Error, Result};

/// Makes the entries of a directory durable.
pub fn sync_directory(directory: &Path) -> Result<()> {
    let sync = || File::open(directory)?.sync_all();
    sync().map_err(Error::io("sync directory", directory))
}

/// Directories below a root that this process has made sure of.
///
/// One that exists may have been made a moment ago by another process that has not synced its parent yet, so each is synced once by each
/// process before a commit depends on it.
#[derive(Debug)]
pub struct DurableDirectories {
    root: PathBuf,
    sure: Mutex<HashSet<PathBuf>>,
}

impl DurableDirectories {
    /// Nothing is sure below `root` yet; `root` itself is.
    pub fn new(root: PathBuf) -> Self {
        Self {
            root,
            sure: Mutex::default(),
        }
    }

    /// Makes `directory` and its parents up to the root, durably.
    pub fn ensure(&self, directory: &Path) -> Result<()> {
        if self.sure.lock().contains(directory) {
            return Ok(());
        }
        std::fs::create_dir_all(directory).map_err(Error::io("create directory", directory))?;
        let parents = directory
            .ancestors()
            .skip(1)
            .take_while(|parent| parent.starts_with(&self.root));
        for parent in parents {
            sync_directory(parent)?;
        }
        self.sure.lock().insert(directory.to_owned());
        Ok(())
    }

    /// Forgets a directory, because it turned out to be gone.
    pub fn forget(&self, directory: &Path) {
        self.sure.lock().remove(directory);
    }
}
