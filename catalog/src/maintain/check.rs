//! Looks whether a warehouse is whole: every file as it was written, every reference met, nothing left over.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::error::{Error, Result};
use crate::files::verify::{self, Expected};
use crate::model::Table;
use crate::snapshot::Snapshot;
use crate::warehouse::Warehouse;

/// What a check has found.
#[derive(Debug, Default)]
pub struct CheckReport {
    /// Files that were looked at.
    pub files: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Files that no snapshot names, of transactions that were cut off; deleted if asked to.
    pub orphans: Vec<PathBuf>,
}

/// Something that is wrong.
#[derive(Debug)]
pub enum Finding {
    /// A file is missing or altered.
    File(Error),
    /// The database of the catalog is inconsistent: what SQLite or a look at its rows says.
    Catalog(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Catalog(text) => f.write_str(text),
        }
    }
}

impl Warehouse {
    /// Reads every file that the newest snapshot names and compares it with its checksum, checks the database, and looks for files that
    /// nothing names. Those not touched for `grace` are deleted with `repair`; the grace is for transactions, of any process, that are open
    /// now. Blocks; takes as long as reading all bytes does.
    ///
    /// # Errors
    /// The catalog or a directory cannot be read. What is wrong with single files is in the report.
    pub fn check(&self, repair: bool, grace: Duration) -> Result<CheckReport> {
        let snapshot = self.snapshot()?;
        let mut report = CheckReport::default();
        for table in snapshot.tables() {
            self.check_table(table, &mut report);
        }
        let problems = self.store().integrity()?;
        report
            .findings
            .extend(problems.into_iter().map(Finding::Catalog));
        report.orphans = self.orphans(&snapshot, grace)?;
        if repair {
            for path in &report.orphans {
                std::fs::remove_file(path).map_err(Error::io("delete", path))?;
            }
        }
        Ok(report)
    }

    fn check_table(&self, table: &Table, report: &mut CheckReport) {
        let directory = self.disk().directory(table);
        let place = self.disk().place(&directory);
        let files = table.files.iter();
        let files = files.map(|file| {
            (
                &file.path,
                file.path_is_relative,
                file.bytes,
                &file.checksum,
            )
        });
        let deletes = table
            .deletes
            .values()
            .filter_map(|deletes| deletes.file.as_ref());
        let deletes = deletes.map(|file| {
            (
                &file.path,
                file.path_is_relative,
                file.bytes,
                &file.checksum,
            )
        });
        for (path, is_relative, bytes, checksum) in files.chain(deletes) {
            report.files += 1;
            report.bytes += bytes;
            let expected = Expected {
                path: place.path(path, is_relative),
                table: table.qualified_name(),
                bytes,
                checksum: checksum.clone(),
            };
            if let Err(error) = verify::check(&expected) {
                report.findings.push(Finding::File(error));
            }
        }
    }

    fn orphans(&self, snapshot: &Snapshot, grace: Duration) -> Result<Vec<PathBuf>> {
        // Files are listed before the names are read: one that is committed in between is named.
        let mut found = Vec::new();
        list(Path::new(snapshot.data_path()), &mut found)?;
        let named = self
            .store()
            .named_files()?
            .into_iter()
            .collect::<HashSet<_>>();
        let mut orphans = Vec::new();
        for path in found {
            let ours = path
                .extension()
                .is_some_and(|extension| extension == "parquet");
            if !ours || path.to_str().is_some_and(|path| named.contains(path)) {
                continue;
            }
            let touched = std::fs::metadata(&path).and_then(|metadata| metadata.modified());
            if touched.is_ok_and(|touched| is_older(touched, grace)) {
                orphans.push(path);
            }
        }
        orphans.sort();
        Ok(orphans)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the age of a file is against the clock that dated it"
)]
fn is_older(touched: SystemTime, grace: Duration) -> bool {
    let age = SystemTime::now().duration_since(touched);
    age.is_ok_and(|age| age >= grace)
}

fn list(directory: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries = match std::fs::read_dir(directory) {
        // A directory may go while it is listed.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(Error::io("list directory", directory))?,
    };
    for entry in entries {
        let entry = entry.map_err(Error::io("list directory", directory))?;
        let kind = entry
            .file_type()
            .map_err(Error::io("look at", entry.path()))?;
        if kind.is_dir() {
            list(&entry.path(), found)?;
        } else {
            found.push(entry.path());
        }
    }
    Ok(())
}
