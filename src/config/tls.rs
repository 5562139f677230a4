//! Certificates for TLS.

use std::path::PathBuf;

/// What the server needs for the listeners that speak TLS ([`Listen::tls`](crate::Listen::tls)): TLS 1.2
/// and 1.3, with the protocol `http/1.1` (RFC 7301) and session tickets. The crate's feature `tls` must be
/// enabled.
///
/// The files are read again when they have changed, which is looked at once a minute. New connections use
/// what they hold then; if that cannot be used, the reason is logged and nothing changes.
///
/// ```
/// use townhall::{CertificateFiles, Config};
///
/// let mut config = Config::default();
/// config.listen = vec!["https://0.0.0.0:8443".parse()?];
/// config.tls.certificates = vec![CertificateFiles::new("cert.pem", "key.pem")];
/// # Ok::<(), townhall::InvalidListen>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsConfig {
    /// The server's certificates. A client gets the first that is valid for the name it asks for (SNI,
    /// RFC 6066, section 3), or else the first.
    pub certificates: Vec<CertificateFiles>,
    /// A PEM file of authorities. If there is one, a client must present a certificate that one of them
    /// has issued.
    pub client_ca: Option<PathBuf>,
}

/// A certificate and its key, as PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateFiles {
    /// The certificate, followed by those of intermediate authorities.
    pub chain: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
}

impl CertificateFiles {
    /// A certificate's chain and its key.
    pub fn new(chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { chain: chain.into(), key: key.into() }
    }
}
