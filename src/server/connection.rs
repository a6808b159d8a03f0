//! A connection's front: TLS, log-in, and then the reading of frames for the backend.
//!
//! All up to the log-in has one deadline, and every error in it is FATAL and the end of the connection. While statements
//! run the socket is read ahead, within limits, so that the end of the client is seen at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use pgwire::messages::response::SslResponse;
use pgwire::messages::startup::{Authentication, NegotiateProtocolVersion};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncWriteExt, ReadHalf};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc};
use tributary_catalog::Role;
use tributary_sql::planner::DATABASE;

use super::auth::{Failure, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, Verifier};
use super::backend::{Backend, Inbound, SharedWriter, panicked};
use super::error::PgError;
use super::frame::{FrameError, FrameReader, Phase, read_startup_packet};
use super::interrupt::{Interrupt, Reason};
use super::message::utf8;
use super::registry::Registration;
use super::startup::{PROTOCOL, Startup, StartupPacket};
use super::transport::{Transport, Writer, put, put_error};
use super::{Encryption, Shared};
use crate::session::{Session, SessionOptions};

/// How long a client may take to log in.
const LOG_IN_DEADLINE: Duration = Duration::from_secs(10);
/// How many bytes of frames may wait for the backend.
const READ_AHEAD_BYTES: usize = 1024 * 1024;
/// How many batches of frames may wait for the backend.
const READ_AHEAD_BATCHES: usize = 64;
/// When a silent peer is asked whether it is still there, and how often.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// How long a last word may take.
const FAREWELL: Duration = Duration::from_secs(1);

type Reader = FrameReader<ReadHalf<Transport>>;

/// Serves one connection to its end. `room` is its place among those that log in.
pub async fn serve(
    shared: Arc<Shared>,
    socket: TcpStream,
    peer: SocketAddr,
    room: OwnedSemaphorePermit,
) {
    let ready = tokio::time::timeout(LOG_IN_DEADLINE, log_in(&shared, socket, peer)).await;
    drop(room);
    match ready {
        Ok(Ok(Some(connection))) => connection.run().await,
        Ok(Ok(None)) => {}
        Ok(Err(error)) => tracing::debug!(%peer, %error, "a client did not log in"),
        Err(_) => tracing::debug!(%peer, "a client did not log in in time"),
    }
}

/// A connection that has logged in.
struct Connection {
    reader: Reader,
    writer: SharedWriter,
    interrupt: Arc<Interrupt>,
    backend: tokio::task::JoinHandle<()>,
    inbox: mpsc::Sender<Inbound>,
}

impl Connection {
    async fn run(self) {
        let Self {
            mut reader,
            writer,
            interrupt,
            mut backend,
            inbox,
        } = self;
        let overrun = interrupt.overrun();
        tokio::pin!(overrun);
        let ended = tokio::select! {
            () = read_ahead(&mut reader, &inbox, &interrupt) => None,
            joined = &mut backend => Some(joined),
            reason = &mut overrun => {
                abandon(&writer, &backend, reason).await;
                return;
            }
        };
        drop(inbox);
        // Nothing more comes from the client; what the backend still does is to end.
        let joined = match ended {
            Some(joined) => joined,
            None => tokio::select! {
                joined = &mut backend => joined,
                reason = &mut overrun => {
                    abandon(&writer, &backend, reason).await;
                    return;
                }
            },
        };
        if let Err(error) = joined
            && let Ok(panic) = error.try_into_panic()
        {
            last_word(&writer, &panicked(panic.as_ref()).into_fatal()).await;
        }
    }
}

/// Reads frames until the client has gone or is not understood.
async fn read_ahead(reader: &mut Reader, inbox: &mpsc::Sender<Inbound>, interrupt: &Interrupt) {
    let room = Arc::new(Semaphore::new(READ_AHEAD_BYTES));
    loop {
        let inbound = match reader.next_batch(Phase::Session).await {
            Ok(Some(frames)) => {
                let bytes: usize = frames.iter().map(|frame| frame.body.len() + 5).sum();
                // A batch larger than all the room takes all of it.
                let bytes = u32::try_from(bytes.min(READ_AHEAD_BYTES)).unwrap_or(u32::MAX);
                match Arc::clone(&room).acquire_many_owned(bytes).await {
                    Ok(room) => Inbound::Frames(frames, room),
                    Err(_) => return,
                }
            }
            Ok(None) | Err(FrameError::Io(_)) => {
                interrupt.raise(Reason::ClientGone);
                return;
            }
            Err(FrameError::Protocol(error)) => {
                let _ = inbox.send(Inbound::Broken(error)).await;
                return;
            }
        };
        if inbox.send(inbound).await.is_err() {
            return;
        }
    }
}

/// Closes the connection of a backend that does not come back from what it computes. Its task ends when it does.
async fn abandon(writer: &SharedWriter, backend: &tokio::task::JoinHandle<()>, reason: Reason) {
    tracing::warn!(
        ?reason,
        "a statement did not stop; its connection is closed"
    );
    backend.abort();
    last_word(writer, &reason.error().into_fatal()).await;
}

async fn last_word(writer: &SharedWriter, error: &PgError) {
    let mut out = BytesMut::new();
    let _ = tokio::time::timeout(FAREWELL, async {
        let mut writer = writer.lock().await;
        if put_error(&mut out, error).is_ok() {
            let _ = writer.send(&mut out).await;
        }
        let _ = writer.close().await;
    })
    .await;
}

/// Takes a connection through TLS and log-in; `None` when the client wanted no session or left.
async fn log_in(
    shared: &Arc<Shared>,
    socket: TcpStream,
    peer: SocketAddr,
) -> Result<Option<Connection>, PgError> {
    let _ = socket.set_nodelay(true);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE / 6);
    let _ = SockRef::from(&socket).set_tcp_keepalive(&keepalive);
    let local = socket.local_addr().ok();
    let encryption = Arc::clone(&shared.encryption.read());
    let Some((transport, startup)) = negotiate(shared, &encryption, socket).await? else {
        return Ok(None);
    };
    let tls = matches!(transport, Transport::Tls(_));
    let (read, write) = tokio::io::split(transport);
    let mut client = Client {
        reader: FrameReader::new(read),
        writer: Writer::new(write),
        out: BytesMut::new(),
        tls,
        peer,
    };
    let registration = match client.admit(shared, &encryption, &startup).await {
        Ok(registration) => registration,
        Err(FrameError::Io(_)) => return Ok(None),
        Err(FrameError::Protocol(error)) => {
            client.refuse(&error).await;
            return Err(error);
        }
    };
    let Client {
        reader,
        writer,
        mut out,
        ..
    } = client;
    let writer = Arc::new(Mutex::new(writer));
    // What is still to be said goes out before the greeting.
    if writer.lock().await.send(&mut out).await.is_err() {
        return Ok(None);
    }
    let (inbox, inbound) = mpsc::channel(READ_AHEAD_BATCHES);
    let interrupt = Arc::clone(&registration.interrupt);
    let backend = shared.compute.spawn(start(
        Arc::clone(shared),
        startup,
        registration,
        Addresses { local, peer },
        Arc::clone(&writer),
        inbound,
    ));
    Ok(Some(Connection {
        reader,
        writer,
        interrupt,
        backend,
        inbox,
    }))
}

/// The two ends of a connection.
struct Addresses {
    local: Option<SocketAddr>,
    peer: SocketAddr,
}

/// Makes the session and serves it.
async fn start(
    shared: Arc<Shared>,
    startup: Startup,
    registration: Registration,
    addresses: Addresses,
    writer: SharedWriter,
    inbound: mpsc::Receiver<Inbound>,
) {
    let Startup {
        user, mut settings, ..
    } = startup;
    let application_name = settings
        .iter()
        .rposition(|(name, _)| name.eq_ignore_ascii_case("application_name"))
        .map(|index| settings.remove(index).1)
        .unwrap_or_default();
    let options = SessionOptions {
        user,
        application_name,
        settings,
        backend_pid: registration.pid,
        server_address: addresses.local,
        client_address: Some(addresses.peer),
        stop: registration.interrupt.stop_flag().clone(),
    };
    match Session::new(Arc::clone(&shared.engine), options) {
        Ok(session) => {
            Backend::new(session, inbound, writer, registration)
                .run()
                .await;
        }
        Err(error) => last_word(&writer, &PgError::from(&error).into_fatal()).await,
    }
}

/// Answers wishes for encryption and cancel requests until the client wants a session.
async fn negotiate(
    shared: &Shared,
    encryption: &Encryption,
    socket: TcpStream,
) -> Result<Option<(Transport, Startup)>, PgError> {
    let mut transport = Transport::Plain(socket);
    let (mut asked_tls, mut asked_gss) = (false, false);
    loop {
        let packet = match read_startup_packet(&mut transport).await {
            Ok(Some(packet)) => StartupPacket::decode(&packet),
            Ok(None) | Err(FrameError::Io(_)) => return Ok(None),
            Err(FrameError::Protocol(error)) => Err(error),
        };
        let answered = match (packet, transport) {
            (Ok(StartupPacket::Ssl), Transport::Plain(mut socket)) if !asked_tls => {
                asked_tls = true;
                match &encryption.tls {
                    Some(tls) => {
                        if socket.write_all(&[SslResponse::BYTE_ACCEPT]).await.is_err() {
                            return Ok(None);
                        }
                        // The packet was read without a byte more, so nothing that was sent in the open before the
                        // handshake can pass for something sent within it.
                        match tls.acceptor.accept(socket).await {
                            Ok(stream) => transport = Transport::Tls(Box::new(stream)),
                            Err(_) => return Ok(None),
                        }
                        continue;
                    }
                    None => {
                        let answered = socket.write_all(&[SslResponse::BYTE_REFUSE]).await;
                        transport = Transport::Plain(socket);
                        answered
                    }
                }
            }
            (Ok(StartupPacket::Gss), mut plain @ Transport::Plain(_)) if !asked_gss => {
                asked_gss = true;
                let answered = plain.write_all(&[SslResponse::BYTE_REFUSE]).await;
                transport = plain;
                answered
            }
            (Ok(StartupPacket::Cancel { pid, secret }), _) => {
                shared.registry.cancel(pid, secret);
                return Ok(None);
            }
            (Ok(StartupPacket::Startup(startup)), transport) => {
                return Ok(Some((transport, startup)));
            }
            (Ok(StartupPacket::Ssl | StartupPacket::Gss), mut transport) => {
                let error = PgError::fatal("08P01", "encryption was asked for twice");
                tell(&mut transport, &error).await;
                return Err(error);
            }
            (Err(error), mut transport) => {
                tell(&mut transport, &error).await;
                return Err(error);
            }
        };
        if answered.is_err() {
            return Ok(None);
        }
    }
}

/// Sends an error and closes.
async fn tell(transport: &mut Transport, error: &PgError) {
    let mut out = BytesMut::new();
    if put_error(&mut out, error).is_ok() {
        let _ = transport.write_all(&out).await;
    }
    let _ = transport.shutdown().await;
}

/// A client that is logging in.
struct Client {
    reader: Reader,
    writer: Writer<tokio::io::WriteHalf<Transport>>,
    out: BytesMut,
    tls: bool,
    peer: SocketAddr,
}

impl Client {
    /// Checks who the client is and whether there is a place.
    async fn admit(
        &mut self,
        shared: &Arc<Shared>,
        encryption: &Encryption,
        startup: &Startup,
    ) -> Result<Registration, FrameError> {
        if let Some(unknown) = &startup.negotiate {
            let answer = NegotiateProtocolVersion::new(PROTOCOL as i32, unknown.clone());
            put(&mut self.out, &answer)?;
        }
        let local = self.peer.ip().to_canonical().is_loopback();
        if !(self.tls || local || shared.plaintext_from_elsewhere) {
            let refused = PgError::fatal(
                "28000",
                format!(
                    "connection from \"{}\" for user \"{}\" is not encrypted",
                    self.peer.ip(),
                    startup.user
                ),
            );
            return Err(refused.hint("Connect with TLS (sslmode=require).").into());
        }
        let role = role(shared, &startup.user).await?;
        let role = if shared.trust && local {
            role.ok_or_else(|| {
                PgError::fatal("28000", format!("role \"{}\" does not exist", startup.user))
            })?
        } else {
            self.authenticate(encryption, &startup.user, role).await?
        };
        if !role.login {
            return Err(PgError::fatal(
                "28000",
                format!("role \"{}\" is not permitted to log in", startup.user),
            )
            .into());
        }
        if startup.database != DATABASE {
            return Err(PgError::fatal(
                "3D000",
                format!("database \"{}\" does not exist", startup.database),
            )
            .into());
        }
        Ok(shared.registry.register(role.superuser)?)
    }

    /// Runs SCRAM. A role that does not exist, or has no password, fails as a wrong password does and when it does.
    async fn authenticate(
        &mut self,
        encryption: &Encryption,
        user: &str,
        role: Option<Role>,
    ) -> Result<Role, FrameError> {
        let verifier = role
            .as_ref()
            .and_then(|role| Verifier::parse(role.scram_verifier.as_deref()?));
        let authenticator = &encryption.authenticator;
        let mechanisms = authenticator.mechanisms(self.tls);
        self.say(&Authentication::SASL(mechanisms.clone())).await?;

        let mut response = self.password_message().await?;
        let (mechanism, client_first) = sasl_initial(&mut response)?;
        if !mechanisms.contains(&mechanism) {
            return Err(PgError::fatal(
                "08P01",
                "client selected an invalid SASL authentication mechanism",
            )
            .into());
        }
        // Binding is what the second mechanism is for: "p=" in the message and the mechanism must say the same.
        let binds = client_first.starts_with(b"p=");
        if binds != (mechanism == SCRAM_SHA_256_PLUS) || !(binds || mechanism == SCRAM_SHA_256) {
            return Err(malformed_scram().into());
        }
        let refusal = |failure| match failure {
            Failure::Malformed => malformed_scram(),
            Failure::WrongPassword => PgError::fatal(
                "28P01",
                format!("password authentication failed for user \"{user}\""),
            ),
        };
        let (server_first, exchange) = authenticator
            .begin(user, verifier.as_ref(), self.tls, &client_first)
            .map_err(refusal)?;
        self.say(&Authentication::SASLContinue(server_first.into()))
            .await?;

        let client_final = self.password_message().await?;
        let server_final = exchange.finish(&client_final).map_err(refusal)?;
        let role = role.ok_or_else(|| refusal(Failure::WrongPassword))?;
        put(
            &mut self.out,
            &Authentication::SASLFinal(server_final.into()),
        )?;
        Ok(role)
    }

    async fn say(&mut self, message: &Authentication) -> Result<(), FrameError> {
        put(&mut self.out, message)?;
        Ok(self.writer.send(&mut self.out).await?)
    }

    async fn password_message(&mut self) -> Result<bytes::Bytes, FrameError> {
        match self.reader.next(Phase::Authentication).await? {
            Some(frame) => Ok(frame.body),
            None => Err(FrameError::Io(std::io::ErrorKind::UnexpectedEof.into())),
        }
    }

    async fn refuse(&mut self, error: &PgError) {
        if put_error(&mut self.out, &error.clone().into_fatal()).is_ok() {
            let _ = self.writer.send(&mut self.out).await;
        }
        let _ = self.writer.close().await;
    }
}

/// Looks a role up, off the thread that serves all sockets.
async fn role(shared: &Arc<Shared>, name: &str) -> Result<Option<Role>, PgError> {
    let engine = Arc::clone(&shared.engine);
    let name = name.to_owned();
    shared
        .compute
        .spawn_blocking(move || engine.warehouse().role(&name))
        .await
        .map_err(|error| PgError::internal(error).into_fatal())?
        .map_err(|error| PgError::from(&error).into_fatal())
}

/// Mechanism and first message of a SASLInitialResponse.
fn sasl_initial(body: &mut bytes::Bytes) -> Result<(String, bytes::Bytes), PgError> {
    let end = body
        .iter()
        .position(|byte| *byte == 0)
        .ok_or_else(malformed_scram)?;
    let mechanism = utf8(&body.split_to(end))
        .map_err(PgError::into_fatal)?
        .to_owned();
    body.advance(1);
    let length = *body.first_chunk::<4>().ok_or_else(malformed_scram)?;
    body.advance(4);
    match usize::try_from(i32::from_be_bytes(length)) {
        Ok(length) if length == body.len() => Ok((mechanism, body.split_off(0))),
        _ => Err(malformed_scram()),
    }
}

fn malformed_scram() -> PgError {
    PgError::fatal("08P01", "malformed SCRAM message")
}
