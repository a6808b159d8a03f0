//! Runs every `tests/slt/**/*.slt` over the wire, each file against a warehouse of its own.
//!
//! The files are in the format of sqllogictest. What is particular here: - A statement runs by the
//! simple protocol. One that gives rows is described by the extended   protocol first, which is
//! where the column types come from, so both must agree that it is right. - Types are checked: `I`
//! whole numbers, `R` other numbers, `T` text, `?` everything else. - NULL is written `NULL`, the
//! empty string `(empty)`, a line break within a value `\n`. - An error is written as `SQLSTATE:
//! message`, with `DETAIL:` and `HINT:` on lines of their own, and   is compared whole when it
//! stands below `----`, as a regular expression behind `error`. - After `control substitution on`,
//! `$DATA` is `tests/data` and `$SCRATCH` a directory to write to.
//!
//! `TRIBUTARY_SLT=functions/ml_kmeans` runs only files whose path contains that text, and
//! `TRIBUTARY_SLT_COMPLETE=1` writes what the server answers into the files instead of comparing.

use std::env;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sqllogictest::{
    AsyncDB, DBOutput, DefaultColumnType, Runner, default_validator, strict_column_validator,
};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::served::{Served, connect, root};

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
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        let served = Served::start();
        let config = served.config();
        let mut runner = Runner::new(|| async {
            connect(&config)
                .await
                .map(|client| Wire { client })
                .map_err(Failure::from)
        });
        runner.set_var(
            "DATA".into(),
            root().join("tests/data").display().to_string(),
        );
        runner.set_var("SCRATCH".into(), served.scratch().display().to_string());
        runner.with_column_validator(strict_column_validator);
        runner.with_normalizer(trimmed);
        let outcome = if env::var_os("TRIBUTARY_SLT_COMPLETE").is_some() {
            runner
                .update_test_file(
                    file,
                    " ",
                    default_validator,
                    trimmed,
                    strict_column_validator,
                )
                .await
                .map_err(|error| error.to_string())
        } else {
            runner
                .run_file_async(file)
                .await
                .map_err(|error| error.to_string())
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
    })
}

/// Spaces within a value count, those around it do not.
#[expect(clippy::ptr_arg, reason = "the runner's type")]
fn trimmed(text: &String) -> String {
    text.trim().to_owned()
}

/// A connection of the runner.
struct Wire {
    client: Client,
}

#[async_trait::async_trait]
impl AsyncDB for Wire {
    type Error = Failure;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Failure> {
        let types = if gives_rows(sql) {
            let described = self.client.prepare(sql).await?;
            described
                .columns()
                .iter()
                .map(|column| column_type(column.type_()))
                .collect()
        } else {
            Vec::new()
        };
        let mut rows = Vec::new();
        let mut described = false;
        let mut affected = 0;
        for message in self.client.simple_query(sql).await? {
            match message {
                SimpleQueryMessage::RowDescription(_) => described = true,
                SimpleQueryMessage::Row(row) => {
                    rows.push(
                        (0..row.len())
                            .map(|column| shown(row.get(column)))
                            .collect(),
                    );
                }
                SimpleQueryMessage::CommandComplete(count) => affected = count,
                _ => {}
            }
        }
        Ok(if described {
            DBOutput::Rows { types, rows }
        } else {
            DBOutput::StatementComplete(affected)
        })
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        "tributary"
    }

    fn error_sql_state(failure: &Failure) -> Option<String> {
        failure.code.clone()
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

fn column_type(kind: &Type) -> DefaultColumnType {
    match *kind {
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => DefaultColumnType::Integer,
        Type::FLOAT4 | Type::FLOAT8 | Type::NUMERIC => DefaultColumnType::FloatingPoint,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME => DefaultColumnType::Text,
        _ => DefaultColumnType::Any,
    }
}

fn shown(value: Option<&str>) -> String {
    match value {
        None => "NULL".to_owned(),
        Some("") => "(empty)".to_owned(),
        Some(text) => text.replace('\n', "\\n"),
    }
}

/// An error of the server, or of the connection to it.
#[derive(Debug)]
struct Failure {
    code: Option<String>,
    text: String,
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(report) = error.as_db_error() else {
            return Self {
                code: None,
                text: error.to_string(),
            };
        };
        let code = report.code().code().to_owned();
        let mut text = format!("{code}: {}", report.message());
        for (label, part) in [("DETAIL", report.detail()), ("HINT", report.hint())] {
            if let Some(part) = part {
                text.push_str(&format!("\n{label}:  {part}"));
            }
        }
        Self {
            code: Some(code),
            text,
        }
    }
}

impl Display for Failure {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}
