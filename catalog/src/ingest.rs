//! The manifest of files taken in: committed with their rows, so that a file is taken exactly once.

use chrono::{DateTime, Utc};

/// A file that has been taken into a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestedFile {
    /// Where it was read from: a path or URL, as the user's glob gave it.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was last modified, if its store says.
    pub modified_at: Option<DateTime<Utc>>,
    /// A checksum of its content (the caller chooses which and sticks to it); with the path the identity of the file.
    pub checksum: String,
    /// Rows it gave.
    pub rows: u64,
}
