//! TLS from a certificate and a key file. Whatever is wrong with them is an error at the start, never a server without
//! encryption.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::StartError;

/// Where certificate and key are.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate chain, the server's own first, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

/// What a server needs to accept TLS.
pub struct Tls {
    /// Performs the handshake.
    pub acceptor: TlsAcceptor,
    /// The certificate file, for binding passwords to it.
    pub certificate_pem: Vec<u8>,
}

impl TlsFiles {
    /// Reads the files.
    ///
    /// # Errors
    /// A file that cannot be read, holds nothing of use, does not fit the other, or a key that others may read.
    pub fn load(&self) -> Result<Tls, StartError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|source| StartError::Tls {
                path: path.to_owned(),
                reason: source.to_string(),
            })
        };
        let certificate_pem = read(&self.certificate)?;
        let certificate_error = |reason: String| StartError::Tls {
            path: self.certificate.clone(),
            reason,
        };
        let chain = CertificateDer::pem_slice_iter(&certificate_pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| certificate_error(error.to_string()))?;
        if chain.is_empty() {
            return Err(certificate_error("it holds no certificate".to_owned()));
        }
        let key_error = |reason: String| StartError::Tls {
            path: self.key.clone(),
            reason,
        };
        self.check_key_is_private()?;
        let key = PrivateKeyDer::from_pem_slice(&read(&self.key)?)
            .map_err(|error| key_error(format!("it holds no private key: {error}")))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|error| key_error(format!("certificate and key are not accepted: {error}")))?;
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        Ok(Tls {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            certificate_pem,
        })
    }

    /// A key that other users can read is no secret; root's may be read by a group, as in PostgreSQL.
    #[cfg(unix)]
    fn check_key_is_private(&self) -> Result<(), StartError> {
        use std::os::unix::fs::MetadataExt;
        let metadata = std::fs::metadata(&self.key).map_err(|source| StartError::Tls {
            path: self.key.clone(),
            reason: source.to_string(),
        })?;
        let open = if metadata.uid() == 0 { 0o037 } else { 0o077 };
        if metadata.mode() & open != 0 {
            return Err(StartError::Tls {
                path: self.key.clone(),
                reason: "group or others may read it; its permissions must be 0600 or less"
                    .to_owned(),
            });
        }
        Ok(())
    }

    #[cfg(not(unix))]
    fn check_key_is_private(&self) -> Result<(), StartError> {
        Ok(())
    }
}
