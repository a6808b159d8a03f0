//! The server: PostgreSQL's wire protocol over TCP, one session a connection.
//!
//! Sockets are read, and clients logged in, on a runtime of their own with one thread, so that cancel requests, deadlines
//! and new clients are served however busy the engine is; statements run, and results are encoded and written, on the
//! runtime that calls [`Server::run`]. A connection is thus two tasks: [`connection`] reads, [`backend`] answers. The
//! bytes are looked at in [`frame`] and [`message`]; wire types, formats and SQLSTATEs live here and nowhere else.
//!
//! Start at [`Server`], then [`connection::serve`], then [`backend::Backend`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Semaphore;

use crate::session::Engine;
use auth::Authenticator;
use registry::Registry;
use tls::{Tls, TlsFiles};

pub mod auth;
pub mod backend;
pub mod connection;
pub mod decode;
pub mod encode;
pub mod error;
pub mod frame;
pub mod interrupt;
pub mod message;
pub mod registry;
pub mod startup;
pub mod tls;
pub mod transport;

/// Sessions at a time where the options do not say, as in PostgreSQL.
pub const CONNECTIONS_MAX: usize = 100;
/// Clients that are logging in at a time.
const PRE_AUTH_MAX: usize = 8 * 1024;
/// Connections that the system keeps while they are not accepted yet.
const BACKLOG: i32 = 1024;
/// How long sessions may take to end when the server stops.
const STOP_DEADLINE: Duration = Duration::from_secs(10);
/// How long the accepting of connections pauses when the system has no room for one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How a server is to listen and whom to admit.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Admit every role without a password, from this machine only.
    pub trust: bool,
    /// Offer TLS with this certificate.
    pub tls: Option<TlsFiles>,
    /// Admit clients from other machines without TLS.
    pub allow_plaintext: bool,
    /// Sessions at a time.
    pub connections_max: usize,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// `trust` would let other machines in.
    #[error("--trust needs a loopback address, and {address} is not one")]
    TrustNeedsLoopback {
        /// The address asked for.
        address: SocketAddr,
    },
    /// Passwords and data would cross the network in the open.
    #[error("listening on {address} needs --tls-cert and --tls-key, or --allow-plaintext")]
    TlsNeeded {
        /// The address asked for.
        address: SocketAddr,
    },
    /// Certificate or key cannot be used.
    #[error("could not use \"{path}\" for TLS: {reason}")]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The address cannot be listened on.
    #[error("could not listen on {address}: {source}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The system gives no thread.
    #[error("could not start the server's thread: {0}")]
    Thread(#[source] std::io::Error),
}

/// A server that listens.
pub struct Server {
    address: SocketAddr,
    listener: std::net::TcpListener,
    shared: Arc<Shared>,
    io: IoRuntime,
}

/// What all connections share.
pub struct Shared {
    engine: Arc<Engine>,
    registry: Arc<Registry>,
    /// Where statements run.
    compute: Handle,
    encryption: RwLock<Arc<Encryption>>,
    tls_files: Option<TlsFiles>,
    trust: bool,
    plaintext_from_elsewhere: bool,
    logging_in: Arc<Semaphore>,
}

/// Passwords, and TLS if it is offered: replaced together when certificates are read again.
struct Encryption {
    tls: Option<Tls>,
    authenticator: Authenticator,
}

impl Encryption {
    fn load(files: Option<&TlsFiles>) -> Result<Self, StartError> {
        let tls = files.map(TlsFiles::load).transpose()?;
        let certificate = tls.as_ref().map(|tls| tls.certificate_pem.as_slice());
        let authenticator = Authenticator::new(certificate).map_err(|reason| StartError::Tls {
            path: files
                .map(|files| files.certificate.clone())
                .unwrap_or_default(),
            reason,
        })?;
        Ok(Self { tls, authenticator })
    }
}

impl Server {
    /// Listens, and admits nobody before [`Self::run`]. Call it within the runtime that is to run statements.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn bind(engine: Arc<Engine>, options: ServerOptions) -> Result<Self, StartError> {
        let address = options.listen;
        let loopback = address.ip().is_loopback();
        if options.trust && !loopback {
            return Err(StartError::TrustNeedsLoopback { address });
        }
        if !loopback && options.tls.is_none() && !options.allow_plaintext {
            return Err(StartError::TlsNeeded { address });
        }
        let encryption = Encryption::load(options.tls.as_ref())?;
        let listen_error = |source| StartError::Listen { address, source };
        let listener = listen(address).map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let io = IoRuntime::new().map_err(StartError::Thread)?;
        Ok(Self {
            address,
            listener,
            shared: Arc::new(Shared {
                engine,
                registry: Arc::new(Registry::new(options.connections_max)),
                compute: Handle::current(),
                encryption: RwLock::new(Arc::new(encryption)),
                tls_files: options.tls,
                trust: options.trust,
                plaintext_from_elsewhere: options.allow_plaintext,
                logging_in: Arc::new(Semaphore::new(PRE_AUTH_MAX)),
            }),
            io,
        })
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What its connections share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Serves until `stop` comes to its end; then ends all sessions, rolling back what is open, and returns when they are
    /// gone, or after ten seconds.
    ///
    /// # Errors
    /// When the listening socket cannot be waited on.
    pub async fn run(self, stop: impl Future<Output = ()>) -> std::io::Result<()> {
        let listener = {
            let _within = self.io.handle().enter();
            TcpListener::from_std(self.listener)?
        };
        let accepting = self
            .io
            .handle()
            .spawn(accept(listener, Arc::clone(&self.shared)));
        stop.await;
        accepting.abort();
        let registry = &self.shared.registry;
        registry.stop();
        if tokio::time::timeout(STOP_DEADLINE, registry.emptied())
            .await
            .is_err()
        {
            tracing::warn!(sessions = registry.len(), "sessions did not end in time");
        }
        Ok(())
    }
}

impl Shared {
    /// Reads certificate and key again, for connections from now on. When they cannot be used the old ones stay.
    ///
    /// # Errors
    /// See [`StartError::Tls`].
    pub fn reload_tls(&self) -> Result<(), StartError> {
        let encryption = Encryption::load(self.tls_files.as_ref())?;
        *self.encryption.write() = Arc::new(encryption);
        Ok(())
    }
}

fn listen(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restart need not wait for connections of the last run to fade; on Unix this does not share a port in use.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok(room) = Arc::clone(&shared.logging_in).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((socket, peer)) => {
                tokio::spawn(connection::serve(Arc::clone(&shared), socket, peer, room));
            }
            Err(error) => {
                // A connection that was reset before it was accepted, or no file descriptor left.
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The runtime of the sockets. It may be dropped within another runtime, where a plain one may not.
struct IoRuntime(Option<Runtime>);

impl IoRuntime {
    fn new() -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("tributary-io")
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    fn handle(&self) -> Handle {
        match &self.0 {
            Some(runtime) => runtime.handle().clone(),
            // Only `drop` takes the runtime out.
            None => Handle::current(),
        }
    }
}

impl Drop for IoRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
