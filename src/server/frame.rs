//! Framing: from bytes on a socket to one message of a known kind and an honest length.
//!
//! The length is judged before a byte of the body is waited for, by a limit that belongs to the message's kind and to
//! whether the client has logged in, and memory grows with what has arrived, never with what was announced. What is
//! inside a body is not looked at here: see [`super::message`].

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::error::PgError;

/// Longest startup packet, as in PostgreSQL.
pub const STARTUP_BYTES_MAX: usize = 10_000;
/// Longest message before the client has logged in.
pub const PRE_AUTH_BYTES_MAX: usize = 64 * 1024;
/// Longest message of a kind that carries SQL, parameters or data.
pub const LARGE_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Longest message of any other kind, as in PostgreSQL.
pub const SMALL_BYTES_MAX: usize = 10_000;

/// How much is read from the socket at a time.
const READ_BYTES: usize = 8 * 1024;
/// How much room is made at once for the rest of a long message.
const GROWTH_BYTES: usize = 256 * 1024;

/// One message as it came: its kind byte and its body without the length.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    /// The kind byte.
    pub kind: u8,
    /// The body, without kind and length.
    pub body: Bytes,
}

/// Why no frame could be read. Every one of these ends the connection.
#[derive(Debug)]
pub enum FrameError {
    /// The socket failed, or ended within a message.
    Io(std::io::Error),
    /// The bytes are not the protocol; the client is told so before the connection is closed.
    Protocol(PgError),
}

impl From<PgError> for FrameError {
    fn from(error: PgError) -> Self {
        Self::Protocol(error)
    }
}

impl From<std::io::Error> for FrameError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// Whether the client has logged in, which decides how much it may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Only password messages are read.
    Authentication,
    /// All frontend messages are read.
    Session,
}

impl Phase {
    /// The longest body of a message of `kind`, or the error for a kind that may not come in this phase.
    fn body_bytes_max(self, kind: u8) -> Result<usize, PgError> {
        match (self, kind) {
            (Self::Authentication, b'p') => Ok(PRE_AUTH_BYTES_MAX),
            (Self::Authentication, _) => Err(PgError::fatal(
                "08P01",
                format!("expected password response, got message type {kind}"),
            )),
            (Self::Session, b'Q' | b'P' | b'B' | b'd' | b'F') => Ok(LARGE_BYTES_MAX),
            (Self::Session, b'C' | b'D' | b'E' | b'H' | b'S' | b'X' | b'c' | b'f') => {
                Ok(SMALL_BYTES_MAX)
            }
            (Self::Session, _) => Err(PgError::fatal(
                "08P01",
                format!("invalid frontend message type {kind}"),
            )),
        }
    }
}

/// Reads frames from one side of a connection.
#[derive(Debug)]
pub struct FrameReader<R> {
    io: R,
    buffer: BytesMut,
}

/// The most frames that are taken from the buffer at once.
const FRAMES_MAX: usize = 256;

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// A reader with nothing read yet.
    pub fn new(io: R) -> Self {
        Self {
            io,
            buffer: BytesMut::new(),
        }
    }

    /// The next frame, or `None` when the client closed the connection between two messages.
    ///
    /// Dropping the future loses nothing: what was read stays in the buffer.
    ///
    /// # Errors
    /// A kind that may not come in `phase`, a length outside its bounds, a socket error, an end within a message.
    pub async fn next(&mut self, phase: Phase) -> Result<Option<Frame>, FrameError> {
        loop {
            if let Some(frame) = self.buffered(phase)? {
                return Ok(Some(frame));
            }
            if !self.fill(phase).await? {
                return Ok(None);
            }
        }
    }

    /// The next frame and those that have come with it, at least one; otherwise as [`Self::next`]. An error behind whole
    /// frames is told by the next call.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn next_batch(&mut self, phase: Phase) -> Result<Option<Vec<Frame>>, FrameError> {
        let Some(first) = self.next(phase).await? else {
            return Ok(None);
        };
        let mut frames = vec![first];
        while frames.len() < FRAMES_MAX
            && let Ok(Some(frame)) = self.buffered(phase)
        {
            frames.push(frame);
        }
        Ok(Some(frames))
    }

    /// Takes a whole frame from the buffer, if there is one.
    fn buffered(&mut self, phase: Phase) -> Result<Option<Frame>, FrameError> {
        match frame_bytes(&self.buffer, phase)? {
            Some(total) if self.buffer.len() >= total => {
                let mut frame = self.buffer.split_to(total);
                let kind = frame.get_u8();
                frame.advance(4);
                Ok(Some(Frame {
                    kind,
                    body: frame.freeze(),
                }))
            }
            _ => Ok(None),
        }
    }

    /// Reads more into the buffer; false when the client has closed the connection between two messages.
    async fn fill(&mut self, phase: Phase) -> Result<bool, FrameError> {
        let missing = frame_bytes(&self.buffer, phase)?
            .map_or(0, |total| total.saturating_sub(self.buffer.len()));
        self.buffer.reserve(missing.clamp(READ_BYTES, GROWTH_BYTES));
        if self.io.read_buf(&mut self.buffer).await? > 0 {
            return Ok(true);
        }
        if self.buffer.is_empty() {
            return Ok(false);
        }
        Err(FrameError::Io(std::io::ErrorKind::UnexpectedEof.into()))
    }
}

/// The whole length of the frame at the head of `buffer`, or `None` while its header is not complete.
fn frame_bytes(buffer: &BytesMut, phase: Phase) -> Result<Option<usize>, PgError> {
    let Some((&kind, rest)) = buffer.split_first() else {
        return Ok(None);
    };
    let body_bytes_max = phase.body_bytes_max(kind)?;
    let Some(length) = rest
        .first_chunk::<4>()
        .map(|bytes| u32::from_be_bytes(*bytes))
    else {
        return Ok(None);
    };
    // The length counts its own four bytes.
    match usize::try_from(length) {
        Ok(length) if length >= 4 && length - 4 <= body_bytes_max => Ok(Some(1 + length)),
        _ => Err(PgError::fatal("08P01", "invalid message length")),
    }
}

/// Reads one startup packet (it has no kind byte) and not a byte more, so that what follows a request for TLS is left
/// to the TLS handshake. `None` when the client closed the connection instead.
///
/// # Errors
/// A length outside 8 to [`STARTUP_BYTES_MAX`], a socket error, an end within the packet.
pub async fn read_startup_packet<R: AsyncRead + Unpin>(
    io: &mut R,
) -> Result<Option<Bytes>, FrameError> {
    let mut header = [0_u8; 4];
    let first = io.read(&mut header).await?;
    if first == 0 {
        return Ok(None);
    }
    if let Some(rest) = header.get_mut(first..) {
        io.read_exact(rest).await?;
    }
    let body_bytes = usize::try_from(u32::from_be_bytes(header))
        .ok()
        .and_then(|length| length.checked_sub(4))
        .filter(|bytes| (4..=STARTUP_BYTES_MAX).contains(bytes))
        .ok_or_else(|| {
            FrameError::Protocol(PgError::fatal("08P01", "invalid length of startup packet"))
        })?;
    let mut body = BytesMut::zeroed(body_bytes);
    io.read_exact(&mut body).await?;
    Ok(Some(body.freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn frames(bytes: &[u8], phase: Phase) -> (Vec<Frame>, Option<FrameError>) {
        let mut reader = FrameReader::new(bytes);
        let mut frames = Vec::new();
        loop {
            match reader.next(phase).await {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => return (frames, None),
                Err(error) => return (frames, Some(error)),
            }
        }
    }

    fn frame(kind: u8, body: &'static [u8]) -> Frame {
        Frame {
            kind,
            body: Bytes::from_static(body),
        }
    }

    fn protocol_error(error: Option<FrameError>) -> PgError {
        match error {
            Some(FrameError::Protocol(error)) => error,
            other => panic!("expected a protocol error, got {other:?}"),
        }
    }

    #[tokio::test]
    async fn pipelined_frames_come_one_by_one() {
        let (read, error) = frames(b"Q\0\0\0\x06a\0S\0\0\0\x04X\0\0\0\x04", Phase::Session).await;
        assert_eq!(
            read,
            [frame(b'Q', b"a\0"), frame(b'S', b""), frame(b'X', b"")]
        );
        assert!(error.is_none());
    }

    #[tokio::test]
    async fn frames_that_came_together_are_taken_together() {
        let mut reader = FrameReader::new(&b"S\0\0\0\x04H\0\0\0\x04S\0\0\0\x04S\0\0"[..]);
        let batch = reader.next_batch(Phase::Session).await.unwrap().unwrap();
        assert_eq!(
            batch,
            [frame(b'S', b""), frame(b'H', b""), frame(b'S', b"")]
        );
        assert!(reader.next_batch(Phase::Session).await.is_err());
        let mut reader = FrameReader::new(&b"S\0\0\0\x04\x16"[..]);
        assert_eq!(
            reader
                .next_batch(Phase::Session)
                .await
                .unwrap()
                .unwrap()
                .len(),
            1
        );
        assert!(matches!(
            reader.next_batch(Phase::Session).await,
            Err(FrameError::Protocol(_))
        ));
    }

    #[tokio::test]
    async fn a_frame_split_anywhere_is_put_together() {
        let whole = b"Q\0\0\0\x09abcd\0";
        for split in 1..whole.len() {
            let (head, tail) = whole.split_at(split);
            let mut reader = FrameReader::new(tokio::io::AsyncReadExt::chain(head, tail));
            let read = reader.next(Phase::Session).await.unwrap();
            assert_eq!(read, Some(frame(b'Q', b"abcd\0")));
        }
    }

    #[tokio::test]
    async fn lengths_out_of_bounds_are_refused_from_the_header_alone() {
        for header in [
            b"Q\0\0\0\x03".as_slice(),
            b"Q\0\0\0\0",
            b"Q\xff\xff\xff\xff",
            b"Q\x7f\xff\xff\xff",
            b"S\0\x01\0\0",
        ] {
            let error = protocol_error(frames(header, Phase::Session).await.1);
            assert_eq!(
                (error.code, error.message.as_str()),
                ("08P01", "invalid message length")
            );
            assert_eq!(error.severity, super::super::error::Severity::Fatal);
        }
    }

    #[tokio::test]
    async fn an_unknown_kind_is_refused_from_its_first_byte() {
        let error = protocol_error(frames(b"\x16", Phase::Session).await.1);
        assert_eq!(error.message, "invalid frontend message type 22");
    }

    #[tokio::test]
    async fn before_login_only_a_short_password_message_is_read() {
        let error = protocol_error(frames(b"Q\0\0\0\x05\0", Phase::Authentication).await.1);
        assert_eq!(
            error.message,
            "expected password response, got message type 81"
        );
        let error = protocol_error(frames(b"p\0\x02\0\0", Phase::Authentication).await.1);
        assert_eq!(error.message, "invalid message length");
    }

    #[tokio::test]
    async fn an_end_within_a_message_is_an_io_error() {
        let (_, error) = frames(b"Q\0\0\0\x09abc", Phase::Session).await;
        assert!(
            matches!(error, Some(FrameError::Io(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof)
        );
    }

    #[tokio::test]
    async fn an_announced_length_reserves_no_memory() {
        let (client, server) = tokio::io::duplex(64);
        let mut reader = FrameReader::new(server);
        let mut client = client;
        tokio::io::AsyncWriteExt::write_all(&mut client, b"Q\x0f\xff\xff\xff")
            .await
            .unwrap();
        let waited = tokio::time::timeout(
            std::time::Duration::from_millis(20),
            reader.next(Phase::Session),
        )
        .await;
        assert!(waited.is_err(), "the body never came");
        assert!(reader.buffer.capacity() <= 2 * GROWTH_BYTES);
    }

    #[tokio::test]
    async fn startup_packets_are_bounded_and_exact() {
        let mut input: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x2fMORE";
        let packet = read_startup_packet(&mut input).await.unwrap();
        assert_eq!(packet.as_deref(), Some(b"\x04\xd2\x16\x2f".as_slice()));
        assert_eq!(input, b"MORE");
        for hostile in [
            b"\0\0\0\0".as_slice(),
            b"\0\0\0\x07abc",
            b"GET / HTTP/1.1",
            b"\0\0\x27\x20",
        ] {
            let read = read_startup_packet(&mut &hostile[..]).await;
            assert!(matches!(read, Err(FrameError::Protocol(_))), "{hostile:?}");
        }
        assert!(matches!(read_startup_packet(&mut &b""[..]).await, Ok(None)));
        assert!(matches!(
            read_startup_packet(&mut &b"\0\0"[..]).await,
            Err(FrameError::Io(_))
        ));
    }
}
