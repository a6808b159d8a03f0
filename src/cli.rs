//! The command line: one subcommand a file.
//!
//! Results go to standard output; progress, notices and errors go to standard error. A command
//! that fails ends with a code other than 0: 1 for an error, 2 for wrong usage, 3 for SQL that
//! failed.

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};

use crate::server::error::PgError;
use crate::session::{Engine, EngineOptions, Session, SessionOptions};

mod check;
mod contracts;
mod demo;
mod ingest;
mod init;
mod output;
mod serve;
mod sql;

/// An embedded data warehouse for omni-channel commerce, served over the PostgreSQL protocol.
#[derive(Debug, Parser)]
#[command(name = "tributary", version, about, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a warehouse in a directory.
    Init(init::Init),
    /// Serve a warehouse over the PostgreSQL protocol.
    Serve(serve::Serve),
    /// Run SQL on a warehouse, without a server.
    Sql(sql::Sql),
    Ingest(ingest::Ingest),
    /// Make the contract views from the channels' mapping files.
    Contracts(contracts::Contracts),
    /// Compare a warehouse with its checksums and find files that nothing names.
    Check(check::Check),
    /// Show the whole way on real input: ingest, fuse, factorize, cluster, recommend.
    Demo(demo::Demo),
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    /// A failure with exit code 1.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code: 1,
        }
    }

    /// The same failure with another exit code.
    pub(crate) fn with_code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// The same failure with a further line.
    pub(crate) fn noting(mut self, line: &str) -> Self {
        self.message.push_str(&format!("\nNOTE:  {line}"));
        self
    }
}

impl From<&PgError> for Failure {
    fn from(error: &PgError) -> Self {
        let mut message = format!("{} (SQLSTATE {})", error.message, error.code);
        if let Some(detail) = &error.detail {
            message.push_str(&format!("\nDETAIL:  {detail}"));
        }
        if let Some(hint) = &error.hint {
            message.push_str(&format!("\nHINT:  {hint}"));
        }
        Self::new(message)
    }
}

impl From<crate::session::Error> for Failure {
    fn from(error: crate::session::Error) -> Self {
        Self::from(&PgError::from(&error))
    }
}

impl From<tributary_catalog::Error> for Failure {
    fn from(error: tributary_catalog::Error) -> Self {
        Self::from(crate::session::Error::from(error))
    }
}

/// What a command comes to.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(8 << 20)
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            output::error(&format!("could not start threads: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(async {
        match arguments.command {
            Command::Init(command) => command.run(),
            Command::Serve(command) => command.run().await,
            Command::Sql(command) => command.run().await,
            Command::Ingest(command) => command.run().await,
            Command::Contracts(command) => command.run().await,
            Command::Check(command) => command.run(),
            Command::Demo(command) => command.run().await,
        }
    });
    // What still computes belongs to statements that nobody waits for.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::error(&failure.message);
            ExitCode::from(failure.code)
        }
    }
}

/// A session on the warehouse in `directory` for a user, or its superuser.
pub(crate) fn embedded(directory: &std::path::Path, user: Option<&str>) -> Outcome<Session> {
    let engine = Engine::open(directory, EngineOptions::default())?;
    session_of(engine, user)
}

/// A session on `engine` for a user, or the engine's first superuser.
pub(crate) fn session_of(engine: Arc<Engine>, user: Option<&str>) -> Outcome<Session> {
    let user = match user {
        Some(user) => user.to_owned(),
        None => engine
            .warehouse()
            .roles()?
            .into_iter()
            .find(|role| role.superuser)
            .map(|role| role.name)
            .ok_or_else(|| Failure::new("the warehouse has no superuser"))?,
    };
    Ok(Session::new(
        engine,
        SessionOptions {
            user,
            application_name: "tributary".to_owned(),
            ..SessionOptions::default()
        },
    )?)
}
