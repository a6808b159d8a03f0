//! The socket of a connection, encrypted or not, and what is written to it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use pgwire::messages::Message;
use pgwire::messages::response::{ErrorResponse, NoticeResponse};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::error::{PgError, Severity};
use crate::session::Notice;

/// A socket, encrypted or not.
pub enum Transport {
    /// As it is.
    Plain(TcpStream),
    /// Within TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(cx, buffer),
            Self::Tls(io) => Pin::new(io).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write(cx, buffer),
            Self::Tls(io) => Pin::new(io).poll_write(cx, buffer),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_flush(cx),
            Self::Tls(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Self::Tls(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}

/// A buffer that has held more than this is given back once it is sent.
const KEPT_BYTES_MAX: usize = 256 * 1024;

/// Sends whole buffers of messages, and remembers what of one is not sent yet when it is interrupted, so that the next
/// one, whoever sends it, goes out behind it.
#[derive(Debug)]
pub struct Writer<W> {
    io: W,
    pending: BytesMut,
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    /// A writer with nothing pending.
    pub fn new(io: W) -> Self {
        Self {
            io,
            pending: BytesMut::new(),
        }
    }

    /// Sends `out` and leaves it empty. Dropping the future keeps the order: what was taken from `out` is sent first by the
    /// next call.
    ///
    /// # Errors
    /// The socket's.
    pub async fn send(&mut self, out: &mut BytesMut) -> io::Result<()> {
        self.drain().await?;
        std::mem::swap(&mut self.pending, out);
        self.drain().await
    }

    /// Says to the other side that nothing more comes.
    ///
    /// # Errors
    /// The socket's.
    pub async fn close(&mut self) -> io::Result<()> {
        self.io.shutdown().await
    }

    async fn drain(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        while self.pending.has_remaining() {
            if self.io.write_buf(&mut self.pending).await? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        if self.pending.capacity() > KEPT_BYTES_MAX {
            self.pending = BytesMut::new();
        }
        self.io.flush().await
    }
}

/// Appends a message to `out`.
///
/// # Errors
/// 54000 for a message that is longer than its kind may be; `out` is then as it was.
pub fn put(out: &mut BytesMut, message: &impl Message) -> Result<(), PgError> {
    let start = out.len();
    message.encode(out).map_err(|error| {
        out.truncate(start);
        PgError::error(
            "54000",
            format!("a message to the client is too long: {error}"),
        )
    })
}

/// Appends an ErrorResponse.
///
/// # Errors
/// As [`put`].
pub fn put_error(out: &mut BytesMut, error: &PgError) -> Result<(), PgError> {
    put(out, &ErrorResponse::new(error_fields(error)))
}

/// Appends a NoticeResponse.
///
/// # Errors
/// As [`put`].
pub fn put_notice(out: &mut BytesMut, notice: &Notice) -> Result<(), PgError> {
    let severity = if notice.warning { "WARNING" } else { "NOTICE" };
    let fields = vec![
        (b'S', severity.to_owned()),
        (b'V', severity.to_owned()),
        (b'C', notice.code.to_owned()),
        (b'M', wire_text(&notice.message)),
    ];
    put(out, &NoticeResponse::new(fields))
}

fn error_fields(error: &PgError) -> Vec<(u8, String)> {
    let severity = match error.severity {
        Severity::Error => "ERROR",
        Severity::Fatal => "FATAL",
    };
    let mut fields = vec![
        (b'S', severity.to_owned()),
        (b'V', severity.to_owned()),
        (b'C', error.code.to_owned()),
        (b'M', wire_text(&error.message)),
    ];
    fields.extend(
        error
            .detail
            .as_deref()
            .map(|detail| (b'D', wire_text(detail))),
    );
    fields.extend(error.hint.as_deref().map(|hint| (b'H', wire_text(hint))));
    fields.extend(error.position.map(|position| (b'P', position.to_string())));
    fields
}

/// A text without the zero byte that would end it early on the wire.
pub fn wire_text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use pgwire::messages::response::CommandComplete;

    use super::*;

    #[test]
    fn an_error_carries_all_its_parts() {
        let mut error = PgError::error("42703", "column \"x\" does not exist")
            .detail("D\0.")
            .hint("H.");
        error.position = Some(8);
        let mut out = BytesMut::new();
        put_error(&mut out, &error).unwrap();
        let expected =
            b"SERROR\0VERROR\0C42703\0Mcolumn \"x\" does not exist\0DD\xef\xbf\xbd.\0HH.\0P8\0\0";
        assert_eq!(&out[5..], expected);
        assert_eq!(out[1..5], (expected.len() as u32 + 4).to_be_bytes());
    }

    #[test]
    fn a_message_that_is_too_long_leaves_nothing_behind() {
        let mut out = BytesMut::from(&b"before"[..]);
        let long = CommandComplete::new("x".repeat(40_000));
        assert_eq!(put(&mut out, &long).unwrap_err().code, "54000");
        assert_eq!(out, "before");
    }

    #[tokio::test]
    async fn an_interrupted_send_is_finished_by_the_next() {
        let (client, server) = tokio::io::duplex(4);
        let mut writer = Writer::new(server);
        let mut first = BytesMut::from(&b"0123456789"[..]);
        let interrupted = tokio::time::timeout(
            std::time::Duration::from_millis(10),
            writer.send(&mut first),
        )
        .await;
        assert!(interrupted.is_err());
        let reader = tokio::spawn(async move {
            let mut client = client;
            let mut all = String::new();
            tokio::io::AsyncReadExt::read_to_string(&mut client, &mut all)
                .await
                .unwrap();
            all
        });
        writer.send(&mut BytesMut::from(&b"abc"[..])).await.unwrap();
        writer.close().await.unwrap();
        drop(writer);
        assert_eq!(reader.await.unwrap(), "0123456789abc");
    }
}
