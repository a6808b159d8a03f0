//! `tributary check`: compares a warehouse with its checksums and finds files that nothing names.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tributary_catalog::Warehouse;

use super::{Failure, Outcome, output};

/// Files younger than this may belong to a transaction that is open now, in any process.
const GRACE: Duration = Duration::from_secs(60 * 60);

/// Compare a warehouse with its checksums and find files that nothing names.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The warehouse.
    directory: PathBuf,
    /// Delete the files that nothing names and that are older than an hour.
    #[arg(long)]
    repair: bool,
}

impl Check {
    pub(super) fn run(self) -> Outcome {
        let report = Warehouse::open(&self.directory)?.check(self.repair, GRACE)?;
        for finding in &report.findings {
            output::error(&finding.to_string());
        }
        let verb = if self.repair { "deleted" } else { "not needed" };
        for orphan in &report.orphans {
            output::line(&format!("{verb}: {}", orphan.display()));
        }
        output::line(&format!(
            "{} files with {} bytes checked, {} faults, {} files that nothing names",
            report.files,
            report.bytes,
            report.findings.len(),
            report.orphans.len()
        ));
        match report.findings.len() {
            0 => Ok(()),
            _ => Err(Failure::new("the warehouse is damaged")),
        }
    }
}
