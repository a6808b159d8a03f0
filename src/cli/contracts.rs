//! `tributary contracts`: makes the contract views from the channels' mapping files.
//!
//! The mapping files are kept in the warehouse's `contracts` directory, one a channel, so that a
//! further channel adds to the views of those before.

use std::path::{Path, PathBuf};

use clap::Args;
use tributary_sql::contracts;

use super::{Failure, Outcome, embedded, output};
use crate::session::Session;

/// Make the contract views from the channels' mapping files.
#[derive(Debug, Args)]
pub(super) struct Contracts {
    /// The warehouse.
    directory: PathBuf,
    /// Mapping files to add, or to replace those of the same channels.
    mappings: Vec<PathBuf>,
}

impl Contracts {
    pub(super) async fn run(self) -> Outcome {
        let mut given = Vec::new();
        for path in &self.mappings {
            let label = path.display().to_string();
            let text = std::fs::read_to_string(path)
                .map_err(|error| Failure::new(format!("could not read \"{label}\": {error}")))?;
            given.push((label, text));
        }
        let mut session = embedded(&self.directory, None)?;
        let views = apply(&mut session, &self.directory, given).await?;
        output::line(&format!("made {views} contract views in schema public"));
        Ok(())
    }
}

/// Keeps the mapping files `given` in the warehouse and makes the views of all that are kept;
/// their number.
pub(super) async fn apply(
    session: &mut Session,
    warehouse: &Path,
    given: Vec<(String, String)>,
) -> Outcome<usize> {
    let directory = warehouse.join("contracts");
    let failed = |error: std::io::Error| {
        Failure::new(format!(
            "could not keep mapping files in \"{}\": {error}",
            directory.display()
        ))
    };
    let mut mappings: Vec<(String, String)> = Vec::new();
    if directory.is_dir() {
        for entry in std::fs::read_dir(&directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                let text = std::fs::read_to_string(&path).map_err(failed)?;
                mappings.push((path.display().to_string(), text));
            }
        }
    }
    let mut kept = Vec::new();
    for (label, text) in given {
        let channel = contracts::channel_of(&label, &text)?;
        if channel.is_empty() || !channel.chars().all(|c| c.is_alphanumeric() || c == '_') {
            return Err(Failure::new(format!(
                "channel \"{channel}\" in \"{label}\" must be of letters, digits and _"
            )));
        }
        let path = directory.join(format!("{channel}.toml"));
        mappings.retain(|(known, _)| *known != path.display().to_string());
        mappings.push((label, text.clone()));
        kept.push((path, text));
    }
    let statements = contracts::view_statements(&mappings)?;
    session.begin_implicit()?;
    for sql in &statements {
        let run = async {
            for statement in session.parse(sql)? {
                let prepared = session.prepare(&statement, &[]).await?;
                session.execute(&prepared, vec![]).await?;
            }
            Ok(())
        };
        let outcome: crate::session::Result<()> = run.await;
        if let Err(error) = outcome {
            session.end_implicit(false).await?;
            return Err(error.into());
        }
    }
    session.end_implicit(true).await?;
    std::fs::create_dir_all(&directory).map_err(failed)?;
    for (path, text) in kept {
        std::fs::write(path, text).map_err(failed)?;
    }
    Ok(statements.len() / 2)
}
