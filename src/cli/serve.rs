//! `tributary serve`: serves a warehouse until it is told to stop.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tributary_sql::planner::DATABASE;

use super::{Failure, Outcome, output};
use crate::server::tls::TlsFiles;
use crate::server::{CONNECTIONS_MAX, Server, ServerOptions, Shared};
use crate::session::{Engine, EngineOptions};

/// Serve a warehouse over the PostgreSQL protocol.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// The warehouse.
    directory: PathBuf,
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5433")]
    listen: String,
    /// Admit every role without a password, from this machine only.
    #[arg(long)]
    trust: bool,
    /// The server's certificate chain, in PEM; clients may then encrypt.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Admit clients from other machines without encryption.
    #[arg(long)]
    allow_plaintext: bool,
    /// The most memory that sorts, joins, aggregates and relation functions of all statements together may
    /// hold, such as 4GB; half of the machine's if not given. Single values and rows on their way to a client
    /// come on top.
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    memory_limit: Option<usize>,
    /// The most sessions at a time.
    #[arg(long, value_name = "N", default_value_t = CONNECTIONS_MAX, value_parser = connections)]
    max_connections: usize,
}

impl Serve {
    pub(super) async fn run(self) -> Outcome {
        start_log();
        let listen = address(&self.listen)?;
        let signals = |kind, name: &str| {
            signal(kind)
                .map_err(|error| Failure::new(format!("could not wait for {name}: {error}")))
        };
        // Before the ready line: who has read it may send them.
        let terminate = signals(SignalKind::terminate(), "SIGTERM")?;
        let interrupt = signals(SignalKind::interrupt(), "SIGINT")?;
        let hangup = signals(SignalKind::hangup(), "SIGHUP")?;
        let engine = Engine::open(
            &self.directory,
            EngineOptions {
                memory_limit_bytes: self.memory_limit,
                ..EngineOptions::default()
            },
        )?;
        let superuser = engine
            .warehouse()
            .roles()?
            .into_iter()
            .find(|role| role.superuser && role.login)
            .map(|role| role.name)
            .unwrap_or_default();
        let tls = self
            .tls_cert
            .zip(self.tls_key)
            .map(|(certificate, key)| TlsFiles { certificate, key });
        let options = ServerOptions {
            listen,
            trust: self.trust,
            tls,
            allow_plaintext: self.allow_plaintext,
            connections_max: self.max_connections,
        };
        let server =
            Server::bind(engine, options).map_err(|error| Failure::new(error.to_string()))?;
        let reloading = tokio::spawn(reload(hangup, Arc::clone(server.shared())));
        output::line(&format!(
            "ready postgresql://{}@{}/{DATABASE}",
            percent_encoded(&superuser),
            server.address()
        ));
        let served = server.run(stop(terminate, interrupt)).await;
        reloading.abort();
        served.map_err(|error| Failure::new(format!("could not wait for connections: {error}")))
    }
}

/// Waits until the process is told to stop.
async fn stop(mut terminate: Signal, mut interrupt: Signal) {
    tokio::select! {
        _ = terminate.recv() => tracing::info!("stopping on SIGTERM"),
        _ = interrupt.recv() => tracing::info!("stopping on SIGINT"),
    }
}

/// Reads the certificate again at every SIGHUP.
async fn reload(mut hangup: Signal, shared: Arc<Shared>) {
    while hangup.recv().await.is_some() {
        match shared.reload_tls() {
            Ok(()) => tracing::info!("certificate and key were read again"),
            Err(error) => tracing::error!(%error, "the certificate from before stays in use"),
        }
    }
}

/// Logs to standard error what `TRIBUTARY_LOG` asks for, or what an operator should know.
fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("TRIBUTARY_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    // A second subscriber, as in a test, changes nothing.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
}

/// The first address of `host:port`.
fn address(text: &str) -> Outcome<SocketAddr> {
    text.to_socket_addrs()
        .map_err(|error| format!("could not find address \"{text}\": {error}"))
        .and_then(|mut found| {
            found
                .next()
                .ok_or_else(|| format!("address \"{text}\" is unknown"))
        })
        .map_err(|message| Failure::new(message).with_code(2))
}

/// A number of sessions.
fn connections(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("give a number of at least 1".to_owned()),
        Ok(count) => Ok(count),
    }
}

/// The least memory with which statements can be expected to run.
const MEMORY_MIN: usize = 16 << 20;

/// A number of bytes, with a unit of PostgreSQL's (`kB`, `MB`, `GB`, `TB`, of 1024 each) or none.
fn bytes(text: &str) -> Result<usize, String> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "kb" | "k" => 10,
        "mb" | "m" => 20,
        "gb" | "g" => 30,
        "tb" | "t" => 40,
        _ => return Err("valid units are B, kB, MB, GB and TB".to_owned()),
    };
    number
        .parse::<usize>()
        .ok()
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| "not a number of bytes".to_owned())
        .and_then(|bytes| {
            if bytes < MEMORY_MIN {
                return Err("statements need 16 MB at least".to_owned());
            }
            Ok(bytes)
        })
}

/// `text` as a part of a URL.
fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes("16777216"), Ok(16 << 20));
        assert_eq!(bytes("16384 kB"), Ok(16 << 20));
        assert_eq!(bytes("4GB"), Ok(4 << 30));
        assert_eq!(bytes("64 mb"), Ok(64 << 20));
        for wrong in ["", "0", "-1", "4XB", "GB", "99999999999TB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
        for few in ["512", "16777215B", "16383kB", "15 MB"] {
            assert_eq!(
                bytes(few),
                Err("statements need 16 MB at least".to_owned()),
                "{few}"
            );
        }
    }

    #[test]
    fn users_fit_in_urls() {
        assert_eq!(percent_encoded("ana"), "ana");
        assert_eq!(percent_encoded("a@b/ü"), "a%40b%2F%C3%BC");
    }
}
