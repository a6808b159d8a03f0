//! The messages a client sends, decoded from a frame's body.
//!
//! pgwire's own decoders are not used for these: they index past a short body, which is a panic, and replace bytes that
//! are not UTF-8, which changes the statement. Here a body that ends early is an error of the statement, and so is text
//! in another encoding; the session lives on.

use bytes::{Buf, Bytes};

use super::error::PgError;

/// A decoded frontend message.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    /// A string of statements to run at once.
    Query(String),
    /// A statement to prepare.
    Parse(Parse),
    /// Parameters for a prepared statement, making a portal.
    Bind(Bind),
    /// A question about a statement's or portal's result.
    Describe(Target),
    /// A request for a portal's rows.
    Execute {
        /// The portal's name, empty for the unnamed one.
        portal: String,
        /// How many rows at most; 0 for all.
        rows_max: usize,
    },
    /// A statement or portal to forget.
    Close(Target),
    /// The end of a group of messages.
    Sync,
    /// A wish to have what is ready now.
    Flush,
    /// The old call of a function by number.
    FunctionCall,
    /// A piece of COPY data.
    CopyData(Bytes),
    /// The end of COPY data.
    CopyDone,
    /// The client gives its COPY up, with its reason.
    CopyFail(String),
    /// The client takes its leave.
    Terminate,
}

/// The body of a Parse message.
#[derive(Debug, PartialEq, Eq)]
pub struct Parse {
    /// The statement's name, empty for the unnamed one.
    pub name: String,
    /// Its text.
    pub sql: String,
    /// Type numbers of the first parameters; 0 leaves one to the server.
    pub parameter_types: Vec<u32>,
}

/// The body of a Bind message.
#[derive(Debug, PartialEq, Eq)]
pub struct Bind {
    /// The portal's name, empty for the unnamed one.
    pub portal: String,
    /// The prepared statement's name.
    pub statement: String,
    /// Formats of the parameters: none, one for all, or one each.
    pub parameter_formats: Vec<i16>,
    /// The parameters' bytes; `None` is NULL.
    pub parameters: Vec<Option<Bytes>>,
    /// Formats of the result's columns: none, one for all, or one each.
    pub result_formats: Vec<i16>,
}

/// What Describe and Close are about.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    /// A prepared statement.
    Statement(String),
    /// A portal.
    Portal(String),
}

impl Message {
    /// Decodes the `body` of a frame of `kind`.
    ///
    /// # Errors
    /// 08P01 when the body is shorter or longer than its parts say, 22021 for text that is not UTF-8.
    pub fn decode(kind: u8, body: Bytes) -> Result<Self, PgError> {
        let mut body = Body(body);
        let message = match kind {
            b'Q' => Self::Query(body.string()?),
            b'P' => Self::Parse(body.parse()?),
            b'B' => Self::Bind(body.bind()?),
            b'D' => Self::Describe(body.target("DESCRIBE")?),
            b'E' => Self::Execute {
                portal: body.string()?,
                // A negative count means no limit, as zero does.
                rows_max: usize::try_from(body.i32()?).unwrap_or(0),
            },
            b'C' => Self::Close(body.target("CLOSE")?),
            b'S' => Self::Sync,
            b'H' => Self::Flush,
            b'F' => return Ok(Self::FunctionCall),
            b'd' => return Ok(Self::CopyData(body.0)),
            b'c' => Self::CopyDone,
            b'f' => Self::CopyFail(body.string()?),
            b'X' => Self::Terminate,
            _ => {
                return Err(PgError::fatal(
                    "08P01",
                    format!("invalid frontend message type {kind}"),
                ));
            }
        };
        if body.0.is_empty() {
            Ok(message)
        } else {
            Err(PgError::error("08P01", "invalid message format"))
        }
    }

    /// Whether an error in a message of `kind` makes the server skip what follows until Sync.
    pub fn is_extended(kind: u8) -> bool {
        matches!(kind, b'P' | b'B' | b'D' | b'E' | b'C' | b'H')
    }
}

/// The undecoded rest of a body.
struct Body(Bytes);

impl Body {
    fn parse(&mut self) -> Result<Parse, PgError> {
        let name = self.string()?;
        let sql = self.string()?;
        let count = self.count(4)?;
        let parameter_types = (0..count).map(|_| self.u32()).collect::<Result<_, _>>()?;
        Ok(Parse {
            name,
            sql,
            parameter_types,
        })
    }

    fn bind(&mut self) -> Result<Bind, PgError> {
        let portal = self.string()?;
        let statement = self.string()?;
        let count = self.count(2)?;
        let parameter_formats = (0..count)
            .map(|_| self.format())
            .collect::<Result<_, _>>()?;
        let count = self.count(4)?;
        let parameters = (0..count).map(|_| self.value()).collect::<Result<_, _>>()?;
        let count = self.count(2)?;
        let result_formats = (0..count)
            .map(|_| self.format())
            .collect::<Result<_, _>>()?;
        Ok(Bind {
            portal,
            statement,
            parameter_formats,
            parameters,
            result_formats,
        })
    }

    fn target(&mut self, what: &str) -> Result<Target, PgError> {
        let kind = self.array::<1>()?;
        let name = self.string()?;
        match kind {
            [b'S'] => Ok(Target::Statement(name)),
            [b'P'] => Ok(Target::Portal(name)),
            [kind] => Err(PgError::error(
                "08P01",
                format!("invalid {what} message subtype {kind}"),
            )),
        }
    }

    /// A text that ends with a zero byte.
    fn string(&mut self) -> Result<String, PgError> {
        let end = self
            .0
            .iter()
            .position(|byte| *byte == 0)
            .ok_or_else(|| PgError::error("08P01", "invalid string in message"))?;
        let text = self.0.split_to(end);
        self.0.advance(1);
        utf8(&text).map(str::to_owned)
    }

    /// A count of elements that take at least `element_bytes` each in what is left.
    fn count(&mut self, element_bytes: usize) -> Result<usize, PgError> {
        let count = usize::from(u16::from_be_bytes(self.array()?));
        if count * element_bytes > self.0.len() {
            return Err(insufficient());
        }
        Ok(count)
    }

    fn format(&mut self) -> Result<i16, PgError> {
        self.array().map(i16::from_be_bytes)
    }

    fn value(&mut self) -> Result<Option<Bytes>, PgError> {
        match self.i32()? {
            -1 => Ok(None),
            length => match usize::try_from(length) {
                Ok(length) if length <= self.0.len() => Ok(Some(self.0.split_to(length))),
                _ => Err(insufficient()),
            },
        }
    }

    fn i32(&mut self) -> Result<i32, PgError> {
        self.array().map(i32::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, PgError> {
        self.array().map(u32::from_be_bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PgError> {
        let array = *self.0.first_chunk::<N>().ok_or_else(insufficient)?;
        self.0.advance(N);
        Ok(array)
    }
}

fn insufficient() -> PgError {
    PgError::error("08P01", "insufficient data left in message")
}

/// `bytes` as text.
///
/// # Errors
/// 22021, naming the first bytes that are not UTF-8.
pub fn utf8(bytes: &[u8]) -> Result<&str, PgError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let bad = bytes.get(error.valid_up_to()..).unwrap_or_default();
        let shown: Vec<String> = bad
            .iter()
            .take(error.error_len().unwrap_or(bad.len()))
            .map(|byte| format!("0x{byte:02x}"))
            .collect();
        PgError::error(
            "22021",
            format!(
                "invalid byte sequence for encoding \"UTF8\": {}",
                shown.join(" ")
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(kind: u8, body: &'static [u8]) -> Result<Message, PgError> {
        Message::decode(kind, Bytes::from_static(body))
    }

    #[test]
    fn messages_decode_to_their_parts() {
        assert_eq!(
            decode(b'Q', b"select 1\0").unwrap(),
            Message::Query("select 1".into())
        );
        assert_eq!(
            decode(b'P', b"s\0select $1\0\0\x02\0\0\0\x17\0\0\0\0").unwrap(),
            Message::Parse(Parse {
                name: "s".into(),
                sql: "select $1".into(),
                parameter_types: vec![23, 0],
            })
        );
        assert_eq!(
            decode(
                b'B',
                b"p\0s\0\0\x01\0\x01\0\x02\0\0\0\x01x\xff\xff\xff\xff\0\x01\0\0"
            )
            .unwrap(),
            Message::Bind(Bind {
                portal: "p".into(),
                statement: "s".into(),
                parameter_formats: vec![1],
                parameters: vec![Some(Bytes::from_static(b"x")), None],
                result_formats: vec![0],
            })
        );
        assert_eq!(
            decode(b'E', b"\0\0\0\0\x05").unwrap(),
            Message::Execute {
                portal: String::new(),
                rows_max: 5
            }
        );
        assert_eq!(
            decode(b'E', b"\0\xff\xff\xff\xff").unwrap(),
            Message::Execute {
                portal: String::new(),
                rows_max: 0
            }
        );
        assert_eq!(
            decode(b'D', b"Ss\0").unwrap(),
            Message::Describe(Target::Statement("s".into()))
        );
        assert_eq!(
            decode(b'C', b"P\0").unwrap(),
            Message::Close(Target::Portal(String::new()))
        );
    }

    #[test]
    fn every_cut_of_a_body_is_an_error_and_never_a_panic() {
        let parse: &'static [u8] = b"s\0select $1\0\0\x02\0\0\0\x17\0\0\0\0";
        let bind: &'static [u8] = b"p\0s\0\0\x01\0\x01\0\x02\0\0\0\x01x\xff\xff\xff\xff\0\x01\0\0";
        for (kind, body) in [
            (b'P', parse),
            (b'B', bind),
            (b'E', b"p\0\0\0\0\x05"),
            (b'D', b"Ss\0"),
            (b'Q', b"a\0"),
        ] {
            for end in 0..body.len() {
                let error = decode(kind, &body[..end]).unwrap_err();
                assert_eq!(error.code, "08P01");
            }
        }
        assert_eq!(
            decode(b'S', b"x").unwrap_err().message,
            "invalid message format"
        );
    }

    #[test]
    fn counts_and_lengths_that_lie_are_refused() {
        assert_eq!(
            decode(b'P', b"\0\0\xff\xff").unwrap_err().message,
            "insufficient data left in message"
        );
        assert_eq!(
            decode(b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff\0\0")
                .unwrap_err()
                .message,
            "insufficient data left in message"
        );
        assert_eq!(
            decode(b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0")
                .unwrap_err()
                .code,
            "08P01"
        );
        assert_eq!(
            decode(b'D', b"Zs\0").unwrap_err().message,
            "invalid DESCRIBE message subtype 90"
        );
    }

    #[test]
    fn text_in_another_encoding_is_an_error_of_the_statement() {
        let error = decode(b'Q', b"select '\xe9'\0").unwrap_err();
        assert_eq!(error.code, "22021");
        assert_eq!(
            error.message,
            "invalid byte sequence for encoding \"UTF8\": 0xe9"
        );
    }

    #[test]
    fn random_bodies_never_panic() {
        // A small linear congruential generator: the same bytes in every run.
        let mut state = 0x2545_f491_u64;
        let mut byte = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        for _ in 0..20_000 {
            let kind = *b"QPBDECSHFdcfX".get(usize::from(byte()) % 13).unwrap();
            let length = usize::from(byte()) % 64;
            let body: Vec<u8> = (0..length)
                .map(|_| byte() & if byte() & 1 == 0 { 0x03 } else { 0xff })
                .collect();
            let _ = Message::decode(kind, Bytes::from(body));
        }
    }
}
