//! The first packets of a connection: a wish for encryption, a cancel request, or the start of a session.

use bytes::Bytes;

use super::error::PgError;
use super::message::utf8;

const CANCEL_REQUEST: u32 = 80_877_102;
const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
/// The protocol version this server speaks: 3.0.
pub const PROTOCOL: u32 = 3 << 16;

/// A packet without a kind byte.
#[derive(Debug, PartialEq, Eq)]
pub enum StartupPacket {
    /// The client asks for TLS.
    Ssl,
    /// The client asks for GSSAPI encryption.
    Gss,
    /// Cancel the statement of another session.
    Cancel {
        /// The session's number.
        pid: i32,
        /// The session's secret.
        secret: i32,
    },
    /// Start a session.
    Startup(Startup),
}

/// What a client says of itself and wants of its session.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Startup {
    /// The role to log in as.
    pub user: String,
    /// The database; the user's name when the client names none.
    pub database: String,
    /// Settings for the session, those of `options` (`-c name=value`) before those given by name.
    pub settings: Vec<(String, String)>,
    /// The minor protocol version is newer than this server's, or options of the protocol are not known to it.
    pub negotiate: Option<Vec<String>>,
}

impl StartupPacket {
    /// Decodes the body of a startup packet.
    ///
    /// # Errors
    /// FATAL for another protocol, a malformed packet, a missing user.
    pub fn decode(body: &Bytes) -> Result<Self, PgError> {
        let Some((code, rest)) = body.split_first_chunk::<4>() else {
            return Err(malformed());
        };
        match (u32::from_be_bytes(*code), rest.len()) {
            (SSL_REQUEST, 0) => Ok(Self::Ssl),
            (GSS_REQUEST, 0) => Ok(Self::Gss),
            (CANCEL_REQUEST, _) => match rest.as_chunks::<4>() {
                ([pid, secret], []) => Ok(Self::Cancel {
                    pid: i32::from_be_bytes(*pid),
                    secret: i32::from_be_bytes(*secret),
                }),
                _ => Err(malformed()),
            },
            (version, _) if version >> 16 == PROTOCOL >> 16 => {
                Startup::decode(version & 0xffff, rest).map(Self::Startup)
            }
            (version, _) => Err(PgError::fatal(
                "0A000",
                format!(
                    "unsupported frontend protocol {}.{}: server supports 3.0 to 3.0",
                    version >> 16,
                    version & 0xffff
                ),
            )),
        }
    }
}

impl Startup {
    fn decode(minor: u32, parameters: &[u8]) -> Result<Self, PgError> {
        let mut startup = Self::default();
        let mut named = Vec::new();
        let mut unknown_protocol_options = Vec::new();
        // The packet ends with the zero byte of an empty name.
        let parameters = parameters.strip_suffix(b"\0").ok_or_else(malformed)?;
        let mut texts = parameters.split_inclusive(|byte| *byte == 0).map(|text| {
            let text = text.strip_suffix(b"\0").ok_or_else(malformed)?;
            utf8(text).map_err(PgError::into_fatal)
        });
        while let Some(name) = texts.next().transpose()? {
            let value = texts.next().transpose()?.ok_or_else(malformed)?;
            match name {
                "" => return Err(malformed()),
                "user" => value.clone_into(&mut startup.user),
                "database" => value.clone_into(&mut startup.database),
                "options" => startup.settings.extend(options(value)?),
                "replication" => {
                    if !matches!(value, "false" | "off" | "no" | "0") {
                        return Err(PgError::fatal("0A000", "replication is not supported"));
                    }
                }
                _ if name.starts_with("_pq_.") => unknown_protocol_options.push(name.to_owned()),
                "client_encoding" => named.push((name.to_owned(), encoding(value).to_owned())),
                _ => named.push((name.to_owned(), value.to_owned())),
            }
        }
        if startup.user.is_empty() {
            return Err(PgError::fatal(
                "28000",
                "no PostgreSQL user name specified in startup packet",
            ));
        }
        if startup.database.is_empty() {
            startup.database.clone_from(&startup.user);
        }
        startup.settings.append(&mut named);
        if minor > 0 || !unknown_protocol_options.is_empty() {
            startup.negotiate = Some(unknown_protocol_options);
        }
        Ok(startup)
    }
}

/// The usual name of an encoding: drivers write it in any case, with hyphens, even in quotes, and PostgreSQL looks at
/// letters and digits alone.
fn encoding(name: &str) -> &str {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    match letters
        .map(|c| c.to_ascii_lowercase())
        .collect::<String>()
        .as_str()
    {
        "utf8" | "unicode" => "UTF8",
        _ => name,
    }
}

/// The settings in an `options` text: `-c name=value`, `-cname=value` and `--name=value`, words parted by spaces, a
/// backslash keeping the next character as it is.
fn options(text: &str) -> Result<Vec<(String, String)>, PgError> {
    let mut words: Vec<String> = Vec::new();
    let mut characters = text.chars();
    let mut within = false;
    while let Some(character) = characters.next() {
        if character.is_whitespace() {
            within = false;
            continue;
        }
        if !within {
            words.push(String::new());
            within = true;
        }
        let kept = if character == '\\' {
            characters.next()
        } else {
            Some(character)
        };
        if let (Some(word), Some(kept)) = (words.last_mut(), kept) {
            word.push(kept);
        }
    }
    let mut settings = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let setting = if word == "-c" {
            words.next()
        } else {
            word.strip_prefix("--")
                .or_else(|| word.strip_prefix("-c"))
                .map(str::to_owned)
        };
        let (name, value) = setting
            .as_deref()
            .and_then(|setting| setting.split_once('='))
            .ok_or_else(|| {
                PgError::fatal(
                    "42601",
                    format!("invalid command-line argument for server process: {word}"),
                )
            })?;
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

fn malformed() -> PgError {
    PgError::fatal("08P01", "invalid startup packet layout")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(code: u32, rest: &[u8]) -> Result<StartupPacket, PgError> {
        StartupPacket::decode(&[&code.to_be_bytes(), rest].concat().into())
    }

    fn session(rest: &[u8]) -> Result<Startup, PgError> {
        decode(PROTOCOL, rest).map(|packet| match packet {
            StartupPacket::Startup(startup) => startup,
            other => panic!("expected a startup packet, got {other:?}"),
        })
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn the_special_requests_are_told_by_their_codes() {
        assert_eq!(decode(SSL_REQUEST, b"").unwrap(), StartupPacket::Ssl);
        assert_eq!(decode(GSS_REQUEST, b"").unwrap(), StartupPacket::Gss);
        assert_eq!(
            decode(CANCEL_REQUEST, b"\0\0\0\x07\xff\xff\xff\xff").unwrap(),
            StartupPacket::Cancel { pid: 7, secret: -1 }
        );
        assert!(decode(CANCEL_REQUEST, b"\0\0\0\x07").is_err());
        assert_eq!(decode(2 << 16, b"").unwrap_err().code, "0A000");
    }

    #[test]
    fn a_session_has_user_database_and_settings_in_order() {
        let startup = session(b"user\0ana\0database\0tributary\0application_name\0psql\0options\0-c a=1 --b-c=2\\ 3 -cd=4\0\0").unwrap();
        assert_eq!(startup.user, "ana");
        assert_eq!(startup.database, "tributary");
        assert_eq!(
            startup.settings,
            [
                pair("a", "1"),
                pair("b_c", "2 3"),
                pair("d", "4"),
                pair("application_name", "psql")
            ]
        );
        assert_eq!(startup.negotiate, None);
        assert_eq!(session(b"user\0ana\0\0").unwrap().database, "ana");
        let encoded = session(b"user\0ana\0client_encoding\0'utf-8'\0\0").unwrap();
        assert_eq!(encoded.settings, [pair("client_encoding", "UTF8")]);
    }

    #[test]
    fn newer_minor_versions_and_protocol_options_are_negotiated() {
        let body = [
            &(PROTOCOL + 2).to_be_bytes()[..],
            b"user\0ana\0_pq_.x\0y\0\0",
        ]
        .concat();
        match StartupPacket::decode(&body.into()).unwrap() {
            StartupPacket::Startup(startup) => {
                assert_eq!(startup.negotiate, Some(vec!["_pq_.x".to_owned()]));
                assert!(startup.settings.is_empty());
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn malformed_packets_are_fatal() {
        for (body, code) in [
            (b"".as_slice(), "08P01"),
            (b"user\0ana\0", "08P01"),
            (b"user\0ana", "08P01"),
            (b"user\0\0\0", "28000"),
            (b"\0", "28000"),
            (b"user\0ana\0\0x\0\0", "08P01"),
            (b"user\0\xff\0\0", "22021"),
            (b"user\0ana\0options\0-c\0\0", "42601"),
            (b"user\0ana\0options\0nonsense\0\0", "42601"),
            (b"user\0ana\0replication\0database\0\0", "0A000"),
        ] {
            let error = session(body).unwrap_err();
            assert_eq!(
                (error.code, error.severity),
                (code, super::super::error::Severity::Fatal),
                "{body:?}"
            );
        }
    }
}
