//! SCRAM-SHA-256, with and without channel binding, over PostgreSQL's verifiers.
//!
//! The exchange itself is pgwire's; this module keeps the stored form, and keeps a role that does not exist, or has no
//! password, from being told apart from a wrong password: such a login runs the same exchange against a salt that is
//! derived from its name and a key of this server, and fails at the same step with the same words.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use pgwire::api::auth::sasl::scram::{
    SCRAM_ITERATIONS, ScramSecret, ScramServerAuth, ScramServerAuthWaitingForClientFinal,
    gen_salted_password,
};
use ring::hmac;

/// The mechanism without channel binding.
pub const SCRAM_SHA_256: &str = "SCRAM-SHA-256";
/// The mechanism with channel binding.
pub const SCRAM_SHA_256_PLUS: &str = "SCRAM-SHA-256-PLUS";

const SALT_BYTES: usize = 16;
const KEY_BYTES: usize = 32;

/// The stored form of a password, from which the password cannot be had:
/// `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, as in PostgreSQL's `pg_authid.rolpassword`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier {
    iterations: usize,
    salt: Vec<u8>,
    stored_key: Vec<u8>,
    server_key: Vec<u8>,
}

impl Verifier {
    /// The verifier of `password` with a fresh random salt.
    pub fn new(password: &str) -> Self {
        Self::with_salt(password, &rand::random::<[u8; SALT_BYTES]>())
    }

    /// The verifier of `password` with `salt` (RFC 5802, section 3).
    fn with_salt(password: &str, salt: &[u8]) -> Self {
        let salted = gen_salted_password(password, salt, SCRAM_ITERATIONS);
        let key = hmac::Key::new(hmac::HMAC_SHA256, &salted);
        let client_key = hmac::sign(&key, b"Client Key");
        Self {
            iterations: SCRAM_ITERATIONS,
            salt: salt.to_vec(),
            stored_key: ring::digest::digest(&ring::digest::SHA256, client_key.as_ref())
                .as_ref()
                .to_vec(),
            server_key: hmac::sign(&key, b"Server Key").as_ref().to_vec(),
        }
    }

    /// Reads the stored form; `None` when it is another kind of password.
    pub fn parse(text: &str) -> Option<Self> {
        let (iterations, rest) = text.strip_prefix("SCRAM-SHA-256$")?.split_once(':')?;
        let (salt, keys) = rest.split_once('$')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        let verifier = Self {
            iterations: iterations.parse().ok().filter(|count| *count > 0)?,
            salt: BASE64.decode(salt).ok()?,
            stored_key: BASE64.decode(stored_key).ok()?,
            server_key: BASE64.decode(server_key).ok()?,
        };
        (verifier.stored_key.len() == KEY_BYTES && verifier.server_key.len() == KEY_BYTES)
            .then_some(verifier)
    }
}

impl std::fmt::Display for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "SCRAM-SHA-256${}:{}${}:{}",
            self.iterations,
            BASE64.encode(&self.salt),
            BASE64.encode(&self.stored_key),
            BASE64.encode(&self.server_key),
        )
    }
}

/// What a server needs to run exchanges.
pub struct Authenticator {
    plain: ScramServerAuth,
    /// Set when the connection can be bound to the server's certificate.
    bound: Option<ScramServerAuth>,
    mock_key: hmac::Key,
}

/// One exchange, after the server's first message.
pub struct Exchange {
    waiting: ScramServerAuthWaitingForClientFinal,
    /// The role has a password; otherwise even a right proof, which nobody can make, would be refused.
    genuine: bool,
}

/// Why an exchange failed.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// The message is not SCRAM: 08P01.
    Malformed,
    /// The password is wrong, or the role has none, or there is no such role: 28P01.
    WrongPassword,
}

impl Authenticator {
    /// An authenticator; `certificate_pem` is the server's certificate when it speaks TLS.
    ///
    /// # Errors
    /// The certificate cannot be read, in words.
    pub fn new(certificate_pem: Option<&[u8]>) -> Result<Self, String> {
        let bound = match certificate_pem {
            None => None,
            Some(pem) => {
                let mut scram = ScramServerAuth::new();
                match scram.configure_certificate(pem) {
                    Ok(()) => Some(scram),
                    // A signature without a single hash, such as Ed25519, has no defined binding (RFC 5929): such a
                    // server does not offer it, as PostgreSQL's does not.
                    Err(pgwire::error::PgWireError::UnsupportedCertificateSignatureAlgorithm) => {
                        None
                    }
                    Err(error) => return Err(error.to_string()),
                }
            }
        };
        Ok(Self {
            plain: ScramServerAuth::new(),
            bound,
            mock_key: hmac::Key::new(hmac::HMAC_SHA256, &rand::random::<[u8; KEY_BYTES]>()),
        })
    }

    /// The mechanisms to offer on a connection, the preferred one first.
    pub fn mechanisms(&self, tls: bool) -> Vec<String> {
        let mut mechanisms = Vec::new();
        if tls && self.bound.is_some() {
            mechanisms.push(SCRAM_SHA_256_PLUS.to_owned());
        }
        mechanisms.push(SCRAM_SHA_256.to_owned());
        mechanisms
    }

    /// Answers the client's first message: the server's first message, and the exchange to go on with. `verifier` is the
    /// stored form of `user`'s password, if there is such a role with a password.
    ///
    /// # Errors
    /// [`Failure::Malformed`].
    pub fn begin(
        &self,
        user: &str,
        verifier: Option<&Verifier>,
        tls: bool,
        client_first: &[u8],
    ) -> Result<(String, Exchange), Failure> {
        let secret = match verifier {
            Some(verifier) => ScramSecret::Verifier {
                salt: verifier.salt.clone(),
                iterations: verifier.iterations,
                stored_key: verifier.stored_key.clone(),
                server_key: verifier.server_key.clone(),
            },
            None => self.mock_secret(user),
        };
        // The flags "n", "y" and "p" of the message are judged by whether binding was offered, so the state that knows
        // the certificate serves every connection on which it was.
        let scram = self.bound.as_ref().filter(|_| tls).unwrap_or(&self.plain);
        let (server_first, waiting) = scram
            .on_client_first_message_with_secret(client_first, secret)
            .map_err(|_| Failure::Malformed)?;
        Ok((
            server_first,
            Exchange {
                waiting,
                genuine: verifier.is_some(),
            },
        ))
    }

    /// The same salt for the same name as long as the server runs, and keys that no password has.
    fn mock_secret(&self, user: &str) -> ScramSecret {
        let salt = hmac::sign(&self.mock_key, user.as_bytes());
        ScramSecret::Verifier {
            salt: salt.as_ref().iter().copied().take(SALT_BYTES).collect(),
            iterations: SCRAM_ITERATIONS,
            stored_key: rand::random::<[u8; KEY_BYTES]>().to_vec(),
            server_key: rand::random::<[u8; KEY_BYTES]>().to_vec(),
        }
    }
}

impl Exchange {
    /// Checks the client's final message; the server's final message when the password is right.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn finish(self, client_final: &[u8]) -> Result<String, Failure> {
        match self.waiting.on_client_final_message(client_final) {
            Ok(server_final) if self.genuine => Ok(server_final),
            Ok(_) | Err(pgwire::error::PgWireError::InvalidPassword(_)) => {
                Err(Failure::WrongPassword)
            }
            Err(_) => Err(Failure::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's side of the exchange, written from RFC 5802 alone.
    fn log_in(
        authenticator: &Authenticator,
        user: &str,
        verifier: Option<&Verifier>,
        password: &str,
    ) -> Result<String, Failure> {
        let bare = "n=,r=rOprNGfwEbeRWgbNEkqO";
        let (server_first, exchange) =
            authenticator.begin(user, verifier, false, format!("n,,{bare}").as_bytes())?;
        let mut parts = server_first.split(',');
        let nonce = parts.next().unwrap();
        let salt = BASE64
            .decode(parts.next().unwrap().strip_prefix("s=").unwrap())
            .unwrap();
        assert_eq!(parts.next(), Some("i=4096"));
        let without_proof = format!("c=biws,{nonce}");
        let message = format!("{bare},{server_first},{without_proof}");
        let mut salted = [0_u8; 32];
        ring::pbkdf2::derive(
            ring::pbkdf2::PBKDF2_HMAC_SHA256,
            4096.try_into().unwrap(),
            &salt,
            password.as_bytes(),
            &mut salted,
        );
        let sign =
            |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text);
        let client_key = sign(&salted, b"Client Key");
        let stored_key = ring::digest::digest(&ring::digest::SHA256, client_key.as_ref());
        let signature = sign(stored_key.as_ref(), message.as_bytes());
        let proof: Vec<u8> = client_key
            .as_ref()
            .iter()
            .zip(signature.as_ref())
            .map(|(a, b)| a ^ b)
            .collect();
        let server_final =
            exchange.finish(format!("{without_proof},p={}", BASE64.encode(proof)).as_bytes())?;
        let server_key = sign(&salted, b"Server Key");
        let expected = BASE64.encode(sign(server_key.as_ref(), message.as_bytes()));
        assert_eq!(server_final, format!("v={expected}"));
        Ok(server_final)
    }

    #[test]
    fn the_right_password_logs_in_and_a_wrong_one_does_not() {
        let authenticator = Authenticator::new(None).unwrap();
        let verifier = Verifier::new("pencil");
        assert!(log_in(&authenticator, "user", Some(&verifier), "pencil").is_ok());
        assert_eq!(
            log_in(&authenticator, "user", Some(&verifier), "pencils"),
            Err(Failure::WrongPassword)
        );
    }

    #[test]
    fn a_role_that_does_not_exist_fails_as_a_wrong_password_does() {
        let authenticator = Authenticator::new(None).unwrap();
        assert_eq!(
            log_in(&authenticator, "nobody", None, "x"),
            Err(Failure::WrongPassword)
        );
        let salt_of = |user: &str| {
            let (first, _) = authenticator
                .begin(user, None, false, b"n,,n=,r=abc")
                .ok()
                .unwrap();
            first.split(',').nth(1).unwrap().to_owned()
        };
        assert_eq!(
            salt_of("nobody"),
            salt_of("nobody"),
            "no fresh salt gives a mock away"
        );
        assert_ne!(salt_of("nobody"), salt_of("somebody"));
        assert_eq!(
            salt_of("nobody").len(),
            "s=".len() + BASE64.encode([0_u8; 16]).len()
        );
    }

    #[test]
    fn malformed_messages_are_told_apart_from_wrong_passwords() {
        let authenticator = Authenticator::new(None).unwrap();
        for message in [
            b"".as_slice(),
            b"n",
            b"n,,",
            b"n,,n=u",
            b"x,,n=u,r=a",
            b"p=tls-unique,,n=u,r=a",
            b"\xff",
        ] {
            assert_eq!(
                authenticator.begin("u", None, false, message).err(),
                Some(Failure::Malformed)
            );
        }
        for message in [
            b"".as_slice(),
            b"c=biws",
            b"c=biws,r=other,p=AAAA",
            b",p=",
            b"\xff",
        ] {
            let (_, exchange) = authenticator
                .begin("u", None, false, b"n,,n=,r=abc")
                .ok()
                .unwrap();
            assert_eq!(exchange.finish(message), Err(Failure::Malformed));
        }
    }

    #[test]
    fn verifiers_are_read_and_written_as_postgresql_does() {
        // `ALTER ROLE .. PASSWORD 'pencil'` of PostgreSQL 15 with the salt of RFC 7677.
        let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let text = Verifier::with_salt("pencil", &salt).to_string();
        assert_eq!(
            text,
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
             WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
        assert_eq!(Verifier::parse(&text).unwrap().to_string(), text);
        for other in [
            "",
            "md5d41d8cd98f00b204e9800998ecf8427e",
            "SCRAM-SHA-256$0:AA==$AA==:AA==",
            "SCRAM-SHA-256$4096:AA==$AA==:AA==",
        ] {
            assert_eq!(Verifier::parse(other), None);
        }
    }
}
