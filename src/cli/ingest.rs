//! `tributary ingest`: loads Parquet files into the tables of a channel.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::{Failure, Outcome, contracts, embedded, output};
use crate::server::error::PgError;
use crate::session::Session;

/// Load Parquet files into the tables of a channel.
///
/// Each file goes to the table of its own name in lower case, without the extension and without dates
/// or numbers behind a dash, underscore, point or blank at its end: `events-2024-01.parquet` goes to
/// `events`, `store1.parquet` to `store1`. A file that was loaded before is skipped.
/// All files are loaded in one transaction: if one cannot be, none is.
#[derive(Debug, Args)]
pub(super) struct Ingest {
    /// The warehouse.
    directory: PathBuf,
    /// The channel: the schema that its tables are in; made if absent.
    channel: String,
    /// Files, patterns, or directories whose *.parquet files are loaded.
    #[arg(required = true)]
    paths: Vec<String>,
    /// Load all files into this table.
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// The channel's mapping file: the contract views are made from it.
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
}

impl Ingest {
    pub(super) async fn run(self) -> Outcome {
        let mut files = Vec::new();
        for path in &self.paths {
            let pattern = if Path::new(path).is_dir() {
                format!("{}/*.parquet", glob::Pattern::escape(path))
            } else {
                path.clone()
            };
            files.extend(tributary_sql::files::find(&pattern)?);
        }
        files.sort();
        files.dedup();
        if self.table.is_none()
            && let Some(nameless) = files.iter().find(|file| table_of(file).is_empty())
        {
            return Err(Failure::new(format!(
                "the name of \"{}\" tells no table; name one with --table",
                nameless.display()
            )));
        }
        let mapping = match &self.mapping {
            Some(mapping) => {
                let label = mapping.display().to_string();
                let text = std::fs::read_to_string(mapping).map_err(|error| {
                    Failure::new(format!("could not read \"{label}\": {error}"))
                })?;
                Some((label, text))
            }
            None => None,
        };
        let mut session = embedded(&self.directory, None)?;
        let bar = ProgressBar::new(files.len() as u64);
        if let Ok(style) =
            ProgressStyle::with_template("{bar:32} {pos}/{len} files  {elapsed}  {wide_msg}")
        {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        let mut attempt = 1;
        let loaded = loop {
            bar.set_position(0);
            match self.load(&mut session, &files, &bar).await {
                // Another process has made the table, or loaded one of the files, in the meantime.
                Err(error) if error.code == "40001" && attempt < ATTEMPTS_MAX => attempt += 1,
                other => break other,
            }
        };
        bar.finish_and_clear();
        let loaded = loaded.map_err(|error| {
            let failure = Failure::from(&error);
            if files.len() > 1 {
                failure.noting("Nothing was loaded: the files are loaded together or not at all.")
            } else {
                failure
            }
        })?;
        let mut rows = 0_u64;
        for file in &loaded {
            rows = rows.saturating_add(file.rows);
            match &file.notice {
                Some(notice) => output::note(notice),
                None => output::line(&file.line),
            }
        }
        if let Some(mapping) = mapping {
            contracts::apply(&mut session, &self.directory, vec![mapping]).await?;
        }
        let taken = loaded.iter().filter(|file| file.notice.is_none()).count();
        output::line(&format!(
            "loaded {rows} {} from {taken} {}",
            if rows == 1 { "row" } else { "rows" },
            if taken == 1 { "file" } else { "files" },
        ));
        Ok(())
    }

    /// Loads the files in one transaction.
    async fn load(
        &self,
        session: &mut Session,
        files: &[PathBuf],
        bar: &ProgressBar,
    ) -> Result<Vec<Loaded>, PgError> {
        run(session, "BEGIN").await?;
        let loaded = self.load_each(session, files, bar).await;
        match loaded {
            Ok(loaded) => run(session, "COMMIT").await.map(|_| loaded),
            Err(error) => {
                run(session, "ROLLBACK").await?;
                Err(error)
            }
        }
    }

    async fn load_each(
        &self,
        session: &mut Session,
        files: &[PathBuf],
        bar: &ProgressBar,
    ) -> Result<Vec<Loaded>, PgError> {
        let mut loaded = Vec::with_capacity(files.len());
        for file in files {
            let table = match &self.table {
                Some(table) => table.clone(),
                None => table_of(file),
            };
            bar.set_message(file.display().to_string());
            let sql = format!(
                "COPY {}.{} FROM {} (FORMAT parquet)",
                identifier(&self.channel),
                identifier(&table),
                literal(file),
            );
            let rows = run(session, &sql).await?;
            let notice = session.take_notices().into_iter().next();
            loaded.push(Loaded {
                rows,
                notice: notice.map(|notice| notice.message).filter(|_| rows == 0),
                line: format!(
                    "{}.{table}: {rows} rows from {}",
                    self.channel,
                    file.display()
                ),
            });
            bar.inc(1);
        }
        Ok(loaded)
    }
}

/// How often a load is tried that meets another one.
const ATTEMPTS_MAX: u32 = 10;

/// What became of a file.
struct Loaded {
    rows: u64,
    /// Why it gave no rows.
    notice: Option<String>,
    line: String,
}

/// Runs SQL without a result and gives the number in its tag, 0 if there is none.
async fn run(session: &mut Session, sql: &str) -> Result<u64, PgError> {
    let mut rows = 0_u64;
    let run = async {
        for statement in session.parse(sql)? {
            let prepared = session.prepare(&statement, &[]).await?;
            let outcome = session.execute(&prepared, vec![]).await?;
            if let crate::session::Outcome::Done { tag } = outcome {
                let count = tag.rsplit(' ').next().and_then(|count| count.parse().ok());
                rows = rows.saturating_add(count.unwrap_or(0));
            }
        }
        Ok(())
    };
    let outcome: crate::session::Result<()> = run.await;
    outcome.map_err(|error| PgError::from(&error))?;
    Ok(rows)
}

/// The table for a file: its name without extension and without a trailing date or number; empty where nothing is left.
fn table_of(file: &Path) -> String {
    let stem = file
        .file_stem()
        .map(|stem| stem.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    let is_mark = |c: char| matches!(c, '-' | '_' | '.' | ' ');
    let mut name = stem.trim_end_matches(is_mark);
    // `-2024`, then `-01`, but not the 1 of `store1`.
    loop {
        let rest = name.trim_end_matches(|c: char| c.is_ascii_digit());
        if rest.len() == name.len() || !(rest.is_empty() || rest.ends_with(is_mark)) {
            break;
        }
        name = rest.trim_end_matches(is_mark);
    }
    let name = name.trim();
    name.to_owned()
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The file as a literal; one that exists is taken by its name even where that holds the characters
/// of a pattern.
fn literal(file: &Path) -> String {
    format!("'{}'", file.display().to_string().replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::table_of;

    #[track_caller]
    fn check(file: &str, table: &str) {
        assert_eq!(table_of(Path::new(file)), table);
    }

    #[test]
    fn a_file_names_its_table() {
        check("/x/events.parquet", "events");
        check("/x/Events-2024-01.parquet", "events");
        check("/x/pos_0007.parquet", "pos");
        check("/x/Sales 2024-01.parquet", "sales");
        check("/x/lz4.parquet", "lz4");
        check("/x/store1.parquet", "store1");
        check("/x/events_v2.parquet", "events_v2");
        check("/x/orders 2018.12.31.parquet", "orders");
        check("/x/2024.parquet", "");
    }
}
