//! Whether a data file is still what was written: size and checksum, once for each file and process.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OnceCell;
use xxhash_rust::xxh3::Xxh3;

use crate::error::{Error, Result};

/// What is known of a file from the catalog.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Its full path.
    pub path: String,
    /// The table it belongs to, qualified, for messages.
    pub table: String,
    /// Its size.
    pub bytes: u64,
    /// Its checksum, if we wrote it.
    pub checksum: Option<String>,
}

impl Expected {
    /// The error that the file is not as it was written.
    pub fn damaged(&self, reason: String) -> Error {
        Error::DataFileDamaged {
            table: self.table.clone(),
            path: self.path.clone(),
            reason,
        }
    }
}

/// Files that have been found as written, by path. File names are never used twice.
#[derive(Debug, Default)]
pub struct Verified {
    files: Mutex<HashMap<String, Arc<OnceCell<()>>>>,
}

impl Verified {
    /// Checks a file unless it has been checked before. Several readers of one file wait for one check.
    pub async fn ensure(&self, expected: &Arc<Expected>) -> Result<()> {
        let cell = Arc::clone(self.files.lock().entry(expected.path.clone()).or_default());
        cell.get_or_try_init(|| check_in_background(Arc::clone(expected)))
            .await?;
        Ok(())
    }

    /// The same where blocking is allowed. Two threads may check one file at once; the result is the same.
    pub fn ensure_blocking(&self, expected: &Expected) -> Result<()> {
        let cell = Arc::clone(self.files.lock().entry(expected.path.clone()).or_default());
        if !cell.initialized() {
            check(expected)?;
            self.trust(expected.path.clone());
        }
        Ok(())
    }

    /// Takes a file as checked that this process has just written.
    pub fn trust(&self, path: String) {
        self.files
            .lock()
            .insert(path, Arc::new(OnceCell::new_with(Some(()))));
    }

    /// Checks a file again, because reading it failed.
    pub async fn recheck(&self, expected: &Arc<Expected>) -> Result<()> {
        self.files.lock().remove(&expected.path);
        check_in_background(Arc::clone(expected)).await
    }
}

async fn check_in_background(expected: Arc<Expected>) -> Result<()> {
    tokio::task::spawn_blocking(move || check(&expected))
        .await
        .map_err(|error| {
            Error::Internal(format!("the check of a data file ended early: {error}"))
        })?
}

/// Checks a file.
///
/// # Errors
/// [`Error::DataFileMissing`], [`Error::DataFileDamaged`], [`Error::Io`].
pub fn check(expected: &Expected) -> Result<()> {
    let path = Path::new(&expected.path);
    let file = File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::DataFileMissing {
            table: expected.table.clone(),
            path: expected.path.clone(),
        },
        _ => Error::io("open", path)(error),
    })?;
    let bytes = file
        .metadata()
        .map_err(Error::io("read the size of", path))?
        .len();
    if bytes != expected.bytes {
        return Err(expected.damaged(format!(
            "It has {bytes} bytes; {} were written.",
            expected.bytes
        )));
    }
    if let Some(checksum) = &expected.checksum
        && checksum_of(file).map_err(Error::io("read", path))? != *checksum
    {
        return Err(expected
            .damaged("Its checksum is not the one recorded when it was written.".to_owned()));
    }
    Ok(())
}

/// XXH3-128 in hexadecimal of all that `input` gives.
fn checksum_of(mut input: impl Read) -> std::io::Result<String> {
    let mut hasher = Xxh3::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = input.read(&mut buffer)?;
        match buffer.get(..count) {
            Some(chunk) if !chunk.is_empty() => hasher.update(chunk),
            _ => return Ok(print_checksum(&hasher)),
        }
    }
}

/// A finished hash as text.
pub fn print_checksum(hasher: &Xxh3) -> String {
    format!("{:032x}", hasher.digest128())
}
