//! Data files: written by streams, made durable before the commit that names them, checked when they are first read.

pub mod delete;
pub mod durable;
mod rows;
mod stats;
pub mod verify;
pub mod write;

use std::path::PathBuf;

use crate::deletes::Place;
use crate::model::Table;
use durable::DurableDirectories;
use verify::Verified;

/// The data directory of a warehouse, and what this process knows of it.
#[derive(Debug)]
pub struct Disk {
    /// The directory as the catalog records it: absolute, ending in a slash.
    pub data_path: String,
    /// Directories that are sure to survive a power cut.
    pub durable: DurableDirectories,
    /// Files that are as they were written.
    pub verified: Verified,
}

impl Disk {
    /// The data directory `data_path` of the warehouse in `root`.
    pub fn new(root: PathBuf, data_path: String) -> Self {
        Self {
            data_path,
            durable: DurableDirectories::new(root),
            verified: Verified::default(),
        }
    }

    /// Where the files of `table` lie, as text that has to outlive the place.
    pub fn directory(&self, table: &Table) -> (String, String) {
        (table.qualified_name(), table.directory(&self.data_path))
    }

    /// The place of a table that [`directory`](Self::directory) has named.
    pub fn place<'a>(&'a self, (table, directory): &'a (String, String)) -> Place<'a> {
        Place {
            table,
            directory,
            verified: &self.verified,
        }
    }
}
