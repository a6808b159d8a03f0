//! `tributary contracts`: makes the contract views from the channels' mapping files.
//!
//! The mapping files are kept in the warehouse's `contracts` directory, one a channel, so that a
//! further channel adds to the views of those before.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use futures::StreamExt;
use tributary_sql::contracts::{self, ContractView};

use super::{Failure, Outcome, embedded, output};
use crate::session::Session;

/// Make the contract views from the channels' mapping files.
#[derive(Debug, Args)]
pub(super) struct Contracts {
    /// The warehouse.
    directory: PathBuf,
    /// Mapping files to add, or to replace those of the same channels.
    mappings: Vec<PathBuf>,
    /// Forget the mapping file of a channel: the views no longer read its tables.
    #[arg(long, value_name = "CHANNEL")]
    forget: Vec<String>,
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
        let views = remake(&mut session, &self.directory, given, &self.forget).await?;
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
    remake(session, warehouse, given, &[]).await
}

async fn remake(
    session: &mut Session,
    warehouse: &Path,
    given: Vec<(String, String)>,
    forgotten: &[String],
) -> Outcome<usize> {
    let directory = warehouse.join("contracts");
    let failed = |error: std::io::Error| {
        Failure::new(format!(
            "could not keep mapping files in \"{}\": {error}",
            directory.display()
        ))
    };
    // The files kept so far, by channel.
    let mut mappings: BTreeMap<String, (String, String)> = BTreeMap::new();
    if directory.is_dir() {
        for entry in std::fs::read_dir(&directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                let text = std::fs::read_to_string(&path).map_err(failed)?;
                let label = path.display().to_string();
                mappings.insert(contracts::channel_of(&label, &text)?, (label, text));
            }
        }
    }
    let kept = |channel: &str| directory.join(format!("{channel}.toml"));
    for channel in forgotten {
        if mappings.remove(channel).is_none() {
            let known: Vec<&str> = mappings.keys().map(String::as_str).collect();
            return Err(Failure::new(format!(
                "no mapping file is kept for channel \"{channel}\"; there are those of: {}",
                known.join(", ")
            )));
        }
    }
    let mut new: BTreeMap<String, String> = BTreeMap::new();
    for (label, text) in given {
        let channel = contracts::channel_of(&label, &text)?;
        if channel.is_empty() || !channel.chars().all(|c| c.is_alphanumeric() || c == '_') {
            return Err(Failure::new(format!(
                "channel \"{channel}\" in \"{label}\" must be of letters, digits and _"
            )));
        }
        if new.insert(channel.clone(), text.clone()).is_some() {
            return Err(Failure::new(format!(
                "two mapping files are for channel \"{channel}\""
            )));
        }
        mappings.insert(channel, (label, text));
    }
    let mappings: Vec<(String, String)> = mappings.into_values().collect();
    let views = contracts::views(&mappings)?;
    session.begin_implicit()?;
    if let Err(failure) = make(session, &views).await {
        session.end_implicit(false).await?;
        return Err(failure);
    }
    session.end_implicit(true).await?;
    std::fs::create_dir_all(&directory).map_err(failed)?;
    for (channel, text) in new {
        std::fs::write(kept(&channel), text).map_err(failed)?;
    }
    for channel in forgotten {
        std::fs::remove_file(kept(channel)).map_err(failed)?;
    }
    let made = views.iter().filter(|view| !view.channels.is_empty());
    Ok(made.count())
}

/// Makes the views, each channel's part of them tried first, so that an error says whose it is.
async fn make(session: &mut Session, views: &[ContractView]) -> Outcome {
    for view in views {
        for rows in &view.channels {
            if let Err(error) = run(session, rows.test_query()).await {
                return Err(Failure::from(error).noting(&format!(
                    "This is what \"{}\" says of contract \"{}\" for channel \"{}\". The views are as before.",
                    rows.label, view.name, rows.channel
                )));
            }
        }
        for statement in view.statements() {
            run(session, &statement).await?;
        }
    }
    Ok(())
}

/// Runs a statement to its end.
async fn run(session: &mut Session, sql: &str) -> crate::session::Result<()> {
    for statement in session.parse(sql)? {
        let prepared = session.prepare(&statement, &[]).await?;
        if let crate::session::Outcome::Rows { mut stream, .. } =
            session.execute(&prepared, vec![]).await?
        {
            while stream.next().await.transpose()?.is_some() {}
        }
    }
    Ok(())
}
