//! Runs every `tests/slt/**/*.slt` over the wire, each file against a warehouse of its own.
//!
//! The files are in the format of sqllogictest. What is particular here:
//! - A statement runs by the simple protocol. One that gives rows is described by the extended
//!   protocol first, and both must name the same columns and types.
//! - Types are checked: `I` whole numbers, `R` other numbers, `T` text, `?` everything else.
//! - NULL is written `NULL`, the empty string `(empty)`, a line break within a value `\n`, a space at
//!   either end of one `␠`.
//! - An error is written as `SQLSTATE: message`, with `DETAIL:` and `HINT:` on lines of their own.
//!   Below `----` it is compared whole, behind `error` as a regular expression.
//! - After `control substitution on`, `$DATA` is `tests/data` and `$SCRATCH` a directory to write to.
//!
//! `TRIBUTARY_SLT=functions/ml_kmeans` runs only files whose path contains that text, and
//! `TRIBUTARY_SLT_COMPLETE=1` writes what the server answers into the files instead of comparing.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sqllogictest::{
    DB, DBOutput, DefaultColumnType, Runner, default_validator, strict_column_validator,
};

use crate::served::{Served, root};
use crate::wire::{Column, Failure, Wire};

/// How many files run at once: each has a server of its own.
const AT_ONCE: usize = 2;

#[test]
fn sql_files() {
    let files = Arc::new(Mutex::new(files()));
    let count = files.lock().unwrap().len();
    assert!(count > 0, "no .slt file was found");
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    // Taken in a statement of its own, so that the lock is not held meanwhile.
                    let Some(file) = files.lock().unwrap().pop() else {
                        break;
                    };
                    if let Err(failure) = run(&file) {
                        failures.lock().unwrap().push(failure);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(
        failures.is_empty(),
        "{} of {count} files fail:\n\n{}",
        failures.len(),
        failures.join("\n\n")
    );
}

/// The files to run, the last one first.
fn files() -> Vec<PathBuf> {
    let wanted = env::var("TRIBUTARY_SLT").unwrap_or_default();
    let pattern = root().join("tests/slt/**/*.slt");
    let mut files: Vec<PathBuf> = glob::glob(pattern.to_str().unwrap())
        .unwrap()
        .map(Result::unwrap)
        .filter(|file| file.to_string_lossy().contains(&wanted))
        .collect();
    files.sort();
    files.reverse();
    files
}

fn run(file: &Path) -> Result<(), String> {
    let served = Served::start();
    let mut runner = Runner::new(|| async { served.connect().map(Connection) });
    runner.set_var(
        "DATA".into(),
        root().join("tests/data").display().to_string(),
    );
    runner.set_var("SCRATCH".into(), served.scratch().display().to_string());
    runner.with_column_validator(strict_column_validator);
    runner.with_normalizer(trimmed);
    let outcome = if env::var_os("TRIBUTARY_SLT_COMPLETE").is_some() {
        let updated = runner.update_test_file(
            file,
            " ",
            default_validator,
            trimmed,
            strict_column_validator,
        );
        futures::executor::block_on(updated).map_err(|error| error.to_string())
    } else {
        runner.run_file(file).map_err(|error| error.to_string())
    };
    outcome.map_err(|failure| {
        let log = served.log();
        let log = if log.is_empty() {
            log
        } else {
            format!("\nserver log:\n{log}")
        };
        format!("{}: {failure}{log}", file.display())
    })
}

/// Spaces within a value count; those around it are shown by [`shown`].
#[expect(clippy::ptr_arg, reason = "the runner's type")]
fn trimmed(text: &String) -> String {
    text.trim().to_owned()
}

/// A connection of the runner.
struct Connection(Wire);

impl DB for Connection {
    type Error = Failure;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Failure> {
        let described = if gives_rows(sql) {
            self.0.describe(sql)?
        } else {
            None
        };
        let answer = self.0.query(sql)?;
        if described.is_some() && described != answer.columns {
            return Err(Failure::Broken(format!(
                "described as {described:?}, given as {:?}",
                answer.columns
            )));
        }
        Ok(match answer.columns {
            Some(columns) => DBOutput::Rows {
                types: columns.iter().map(column_type).collect(),
                rows: answer
                    .rows
                    .into_iter()
                    .map(|row| row.into_iter().map(shown).collect())
                    .collect(),
            },
            // The count is the last word of the tag, where it has one.
            None => DBOutput::StatementComplete(
                answer
                    .tag
                    .rsplit(' ')
                    .next()
                    .and_then(|count| count.parse().ok())
                    .unwrap_or(0),
            ),
        })
    }

    fn engine_name(&self) -> &str {
        "tributary"
    }

    fn error_sql_state(failure: &Failure) -> Option<String> {
        match failure {
            Failure::Report(report) => Some(report.code.clone()),
            Failure::Broken(_) => None,
        }
    }
}

/// Whether a statement gives rows and can be described without doing anything.
fn gives_rows(sql: &str) -> bool {
    let word = sql
        .trim_start()
        .trim_start_matches('(')
        .split_ascii_whitespace()
        .next();
    let word = word.unwrap_or_default().to_ascii_uppercase();
    ["SELECT", "WITH", "VALUES", "TABLE", "SHOW", "EXPLAIN"].contains(&word.as_str())
}

fn column_type(column: &Column) -> DefaultColumnType {
    match column.type_oid {
        // int8, int2, int4, oid
        20 | 21 | 23 | 26 => DefaultColumnType::Integer,
        // float4, float8, numeric
        700 | 701 | 1700 => DefaultColumnType::FloatingPoint,
        // name, text, bpchar, varchar
        19 | 25 | 1042 | 1043 => DefaultColumnType::Text,
        _ => DefaultColumnType::Any,
    }
}

fn shown(value: Option<String>) -> String {
    match value {
        None => "NULL".to_owned(),
        Some(text) if text.is_empty() => "(empty)".to_owned(),
        Some(text) => {
            let start = text.len() - text.trim_start_matches(' ').len();
            let inner = text.trim_matches(' ');
            let end = text.len() - start - inner.len();
            let inner = inner.replace('\n', "\\n");
            format!("{}{inner}{}", "␠".repeat(start), "␠".repeat(end))
        }
    }
}
