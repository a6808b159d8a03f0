//! `tributary ingest`: loads Parquet files into the tables of a channel.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::{Failure, Outcome, contracts, embedded, output};

/// Load Parquet files into the tables of a channel.
///
/// Each file goes to the table of its own name, without the extension and without a trailing date
/// or number: `events-2024-01.parquet` goes to `events`. A file that was loaded before is skipped.
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
        let mut session = embedded(&self.directory, None)?;
        let bar = ProgressBar::new(files.len() as u64);
        if let Ok(style) =
            ProgressStyle::with_template("{bar:32} {pos}/{len} files  {elapsed}  {wide_msg}")
        {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        let mut rows = 0_u64;
        for file in &files {
            let table = match &self.table {
                Some(table) => table.clone(),
                None => table_of(file)?,
            };
            bar.set_message(file.display().to_string());
            let sql = format!(
                "COPY {}.{} FROM {} (FORMAT parquet)",
                identifier(&self.channel),
                identifier(&table),
                literal(file),
            );
            let loaded: crate::session::Result<u64> = async {
                let mut loaded = 0;
                for statement in session.parse(&sql)? {
                    let prepared = session.prepare(&statement, &[]).await?;
                    if let crate::session::Outcome::Done { tag } =
                        session.execute(&prepared, vec![]).await?
                    {
                        loaded += tag
                            .rsplit(' ')
                            .next()
                            .and_then(|count| count.parse::<u64>().ok())
                            .unwrap_or(0);
                    }
                }
                Ok(loaded)
            }
            .await;
            match loaded {
                Ok(loaded) => {
                    rows = rows.saturating_add(loaded);
                    let notices = session.take_notices();
                    bar.suspend(|| match notices.first() {
                        Some(notice) if loaded == 0 => output::note(&notice.message),
                        _ => output::line(&format!(
                            "{}.{table}: {loaded} rows from {}",
                            self.channel,
                            file.display()
                        )),
                    });
                }
                Err(error) => {
                    bar.finish_and_clear();
                    return Err(error.into());
                }
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        if let Some(mapping) = &self.mapping {
            let label = mapping.display().to_string();
            let text = std::fs::read_to_string(mapping)
                .map_err(|error| Failure::new(format!("could not read \"{label}\": {error}")))?;
            contracts::apply(&mut session, &self.directory, vec![(label, text)]).await?;
        }
        output::line(&format!("loaded {rows} rows from {} files", files.len()));
        Ok(())
    }
}

/// The table for a file: its name without extension and without a trailing date or number.
fn table_of(file: &Path) -> Outcome<String> {
    let stem = file
        .file_stem()
        .map(|stem| stem.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    let name = stem.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '-' | '_' | '.'));
    if name.is_empty() {
        return Err(Failure::new(format!(
            "the name of \"{}\" tells no table; name one with --table",
            file.display()
        )));
    }
    Ok(name.to_owned())
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
        assert_eq!(table_of(Path::new(file)).unwrap(), table);
    }

    #[test]
    fn a_file_names_its_table() {
        check("/x/events.parquet", "events");
        check("/x/Events-2024-01.parquet", "events");
        check("/x/pos_0007.parquet", "pos");
        assert!(table_of(Path::new("/x/2024.parquet")).is_err());
    }
}
