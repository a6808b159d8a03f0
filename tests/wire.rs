//! A PostgreSQL client of the few messages that the tests need, written from the protocol's
//! documentation and independent of the server's codec, so that both do not share a mistake.

use std::fmt::{self, Display, Formatter};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::{digest, hmac, pbkdf2};

/// How long the server may be silent.
const PATIENCE: Duration = Duration::from_secs(120);

/// A connection.
pub struct Wire {
    stream: TcpStream,
}

/// A column of a result: its name and the OID of its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub type_oid: u32,
}

/// What a statement came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// `None` for a statement that gives no rows.
    pub columns: Option<Vec<Column>>,
    pub rows: Vec<Vec<Option<String>>>,
    /// The tag of the last statement, such as `INSERT 0 2`.
    pub tag: String,
}

/// An error as the server reports it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub severity: String,
    pub code: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// In characters from 1.
    pub position: Option<usize>,
}

/// Why a request failed.
#[derive(Debug)]
pub enum Failure {
    /// The server says so.
    Report(Report),
    /// The connection broke, or what came is no protocol.
    Broken(String),
}

impl Wire {
    /// Logs in with SCRAM-SHA-256, or as the server asks.
    pub fn connect(address: &str, user: &str, password: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let mut wire = Self { stream };
        let mut startup = 196_608_u32.to_be_bytes().to_vec();
        for text in ["user", user, "database", "tributary", ""] {
            startup.extend_from_slice(text.as_bytes());
            startup.push(0);
        }
        wire.send(None, &startup)?;
        wire.log_in(password)?;
        wire.until_ready(|_, _| Ok(()))?;
        Ok(wire)
    }

    /// Runs SQL by the simple protocol.
    pub fn query(&mut self, sql: &str) -> Result<Answer, Failure> {
        self.send(Some(b'Q'), &c_string(sql))?;
        let mut answer = Answer::default();
        self.until_ready(|tag, body| {
            match tag {
                b'T' => answer.columns = Some(columns(body)?),
                b'D' => answer.rows.push(row(body)?),
                b'C' => answer.tag = body.text()?,
                b'I' | b'1' | b'2' | b'n' => {}
                other => return Err(unexpected(other)),
            }
            Ok(())
        })?;
        Ok(answer)
    }

    /// What the extended protocol says a statement will give, without running it.
    pub fn describe(&mut self, sql: &str) -> Result<Option<Vec<Column>>, Failure> {
        // Without a name, and without types for parameters.
        self.send(
            Some(b'P'),
            &[&[0], c_string(sql).as_slice(), &[0, 0]].concat(),
        )?;
        self.send(Some(b'D'), b"S\0")?;
        self.send(Some(b'S'), b"")?;
        let mut described = None;
        self.until_ready(|tag, body| {
            match tag {
                b'T' => described = Some(columns(body)?),
                b'1' | b't' | b'n' => {}
                other => return Err(unexpected(other)),
            }
            Ok(())
        })?;
        Ok(described)
    }

    fn log_in(&mut self, password: &str) -> Result<(), Failure> {
        let mut scram = Scram::new(password);
        loop {
            let (tag, mut body) = self.receive()?;
            if tag != b'R' {
                return Err(unexpected(tag));
            }
            match body.number()? {
                0 => return Ok(()),
                10 => {
                    let offered = body.text()?;
                    if offered != "SCRAM-SHA-256" {
                        return Err(Failure::Broken(format!("offered first is {offered}")));
                    }
                    let first = scram.first();
                    let length = u32::try_from(first.len()).unwrap().to_be_bytes();
                    let response = [&c_string(&offered), &length[..], first.as_bytes()].concat();
                    self.send(Some(b'p'), &response)?;
                }
                11 => {
                    let last = scram.last(&body.rest())?;
                    self.send(Some(b'p'), last.as_bytes())?;
                }
                12 => scram.check(&body.rest())?,
                other => return Err(Failure::Broken(format!("authentication request {other}"))),
            }
        }
    }

    /// Hands messages to `take` until the server is ready; an error of the server is returned then.
    fn until_ready(
        &mut self,
        mut take: impl FnMut(u8, &mut Body) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut outcome = Ok(());
        loop {
            let (tag, mut body) = match self.receive() {
                Err(Failure::Report(report)) if report.severity != "FATAL" => {
                    outcome = outcome.and(Err(Failure::Report(report)));
                    continue;
                }
                other => other?,
            };
            match tag {
                b'Z' => return outcome,
                // Parameters, the key for cancelling, notices.
                b'S' | b'K' | b'N' => {}
                _ => take(tag, &mut body)?,
            }
        }
    }

    fn send(&mut self, tag: Option<u8>, body: &[u8]) -> Result<(), Failure> {
        let mut message: Vec<u8> = tag.into_iter().collect();
        message.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
        message.extend_from_slice(body);
        Ok(self.stream.write_all(&message)?)
    }

    fn receive(&mut self) -> Result<(u8, Body), Failure> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head)?;
        let [tag, length @ ..] = head;
        let length = u32::from_be_bytes(length).checked_sub(4);
        let length = length.ok_or_else(|| Failure::Broken("a message of no length".into()))?;
        let mut bytes = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut bytes)?;
        let mut body = Body { bytes, at: 0 };
        if tag == b'E' {
            return Err(Failure::Report(report(&mut body)?));
        }
        Ok((tag, body))
    }
}

/// The rest of a message.
struct Body {
    bytes: Vec<u8>,
    at: usize,
}

impl Body {
    fn take(&mut self, length: usize) -> Result<&[u8], Failure> {
        let part = self.bytes.get(self.at..self.at + length);
        self.at += length;
        part.ok_or_else(|| Failure::Broken("a message ends too early".into()))
    }

    fn number(&mut self) -> Result<i32, Failure> {
        Ok(i32::from_be_bytes(self.take(4)?.try_into().unwrap()))
    }

    fn short(&mut self) -> Result<i16, Failure> {
        Ok(i16::from_be_bytes(self.take(2)?.try_into().unwrap()))
    }

    /// A text that ends with a zero byte.
    fn text(&mut self) -> Result<String, Failure> {
        let length = self.bytes.iter().skip(self.at).position(|byte| *byte == 0);
        let length = length.ok_or_else(|| Failure::Broken("a text without an end".into()))?;
        let text = utf8(self.take(length)?)?;
        self.take(1)?;
        Ok(text)
    }

    fn rest(&self) -> String {
        String::from_utf8_lossy(self.bytes.get(self.at..).unwrap_or_default()).into_owned()
    }
}

fn columns(body: &mut Body) -> Result<Vec<Column>, Failure> {
    (0..body.short()?)
        .map(|_| {
            let name = body.text()?;
            // Table, column number, type, its size, its modifier, format.
            body.take(6)?;
            let type_oid = body.number()?.cast_unsigned();
            body.take(8)?;
            Ok(Column { name, type_oid })
        })
        .collect()
}

fn row(body: &mut Body) -> Result<Vec<Option<String>>, Failure> {
    (0..body.short()?)
        .map(|_| match usize::try_from(body.number()?) {
            Ok(length) => utf8(body.take(length)?).map(Some),
            Err(_) => Ok(None),
        })
        .collect()
}

fn report(body: &mut Body) -> Result<Report, Failure> {
    let mut report = Report::default();
    loop {
        let field = body.take(1)?.first().copied().unwrap_or(0);
        if field == 0 {
            return Ok(report);
        }
        let text = body.text()?;
        match field {
            b'V' => report.severity = text,
            b'C' => report.code = text,
            b'M' => report.message = text,
            b'D' => report.detail = Some(text),
            b'H' => report.hint = Some(text),
            b'P' => report.position = text.parse().ok(),
            _ => {}
        }
    }
}

fn c_string(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

fn utf8(bytes: &[u8]) -> Result<String, Failure> {
    String::from_utf8(bytes.to_vec()).map_err(|error| Failure::Broken(error.to_string()))
}

fn unexpected(tag: u8) -> Failure {
    Failure::Broken(format!("an unexpected message {:?}", char::from(tag)))
}

/// The client's side of SCRAM-SHA-256 (RFC 5802 and 7677), without channel binding.
struct Scram {
    password: String,
    first_bare: String,
    expected: Vec<u8>,
}

impl Scram {
    fn new(password: &str) -> Self {
        // What a tester types need not be unguessable; it differs by process and by call.
        let nonce = format!("{}+{:p}", std::process::id(), &password);
        Self {
            password: password.to_owned(),
            first_bare: format!("n=,r={nonce}"),
            expected: Vec::new(),
        }
    }

    fn first(&self) -> String {
        format!("n,,{}", self.first_bare)
    }

    /// The answer to the server's first message.
    fn last(&mut self, server_first: &str) -> Result<String, Failure> {
        let part = |name: &str| {
            let mut parts = server_first.split(',');
            let found = parts.find_map(|part| part.strip_prefix(name));
            found.ok_or_else(|| Failure::Broken(format!("SCRAM without {name}")))
        };
        let nonce = part("r=")?;
        let salt = BASE64
            .decode(part("s=")?)
            .map_err(|error| Failure::Broken(error.to_string()))?;
        let iterations = part("i=")?
            .parse()
            .map_err(|_| Failure::Broken("SCRAM: iterations".into()))?;
        let mut salted = [0; 32];
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            iterations,
            &salt,
            self.password.as_bytes(),
            &mut salted,
        );
        let client_key = sign(&salted, b"Client Key");
        let stored_key = digest::digest(&digest::SHA256, &client_key);
        let without_proof = format!("c=biws,r={nonce}");
        let exchange = format!("{},{server_first},{without_proof}", self.first_bare);
        let signature = sign(stored_key.as_ref(), exchange.as_bytes());
        let proof: Vec<u8> = client_key
            .iter()
            .zip(&signature)
            .map(|(key, sign)| key ^ sign)
            .collect();
        self.expected = sign(&sign(&salted, b"Server Key"), exchange.as_bytes());
        Ok(format!("{without_proof},p={}", BASE64.encode(proof)))
    }

    /// Checks that the server knows the password as well.
    fn check(&self, server_last: &str) -> Result<(), Failure> {
        let signature = server_last
            .strip_prefix("v=")
            .and_then(|text| BASE64.decode(text).ok());
        if signature.as_ref() == Some(&self.expected) {
            return Ok(());
        }
        Err(Failure::Broken(format!(
            "the server's signature is wrong: {server_last}"
        )))
    }
}

fn sign(key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message)
        .as_ref()
        .to_vec()
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

impl Display for Failure {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(reason) => write!(formatter, "the connection broke: {reason}"),
            Self::Report(report) => {
                write!(formatter, "{}: {}", report.code, report.message)?;
                for (label, part) in [("DETAIL", &report.detail), ("HINT", &report.hint)] {
                    if let Some(part) = part {
                        write!(formatter, "\n{label}:  {part}")?;
                    }
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for Failure {}
