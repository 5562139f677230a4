//! Certificates and keys from PEM files.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use log::warn;
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, ParsedCertificate, ProducesTickets, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, RootCertStore, ServerConfig};

use crate::config::{CertificateFiles, TlsConfig};

/// What marks an encrypted key (RFC 7468, section 11; RFC 1421, section 4.6.1.1).
const ENCRYPTED: &[u8] = b"ENCRYPTED";

/// When each file was last changed, if it can be read.
pub(super) type Modified = Vec<Option<SystemTime>>;

/// Makes configurations from files.
#[derive(Debug)]
pub(super) struct Loader {
    config: TlsConfig,
    provider: Arc<CryptoProvider>,
    /// Tickets that were issued before the certificates changed stay valid.
    ticketer: Arc<dyn ProducesTickets>,
}

impl Loader {
    pub(super) fn new(config: TlsConfig) -> io::Result<Self> {
        let ticketer = aws_lc_rs::Ticketer::new().map_err(io::Error::other)?;
        Ok(Self { config, provider: Arc::new(aws_lc_rs::default_provider()), ticketer })
    }

    /// When each file was last changed.
    pub(super) fn modified(&self) -> Modified {
        let modified = |path: &PathBuf| fs::metadata(path).and_then(|data| data.modified()).ok();
        let pairs = self.config.certificates.iter().flat_map(|files| [&files.chain, &files.key]);
        pairs.chain(&self.config.client_ca).map(modified).collect()
    }

    /// Reads all files.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub(super) fn load(&self) -> io::Result<ServerConfig> {
        let certificates = self.config.certificates.iter().map(|files| self.certificate(files));
        let certificates = Certificates(certificates.collect::<io::Result<_>>()?);
        let builder = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let builder = match self.client_verifier()? {
            None => builder.with_no_client_auth(),
            Some(verifier) => builder.with_client_cert_verifier(verifier),
        };
        let mut config = builder.with_cert_resolver(Arc::new(certificates));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.ticketer = self.ticketer.clone();
        Ok(config)
    }

    /// Everything that is wrong with the files.
    pub(super) fn faults(&self) -> Vec<io::Error> {
        let pairs = self.config.certificates.iter();
        let pairs = pairs.filter_map(|files| self.certificate(files).err());
        pairs.chain(self.client_verifier().err()).collect()
    }

    fn client_verifier(&self) -> io::Result<Option<Arc<dyn ClientCertVerifier>>> {
        let Some(path) = &self.config.client_ca else { return Ok(None) };
        let explain = |error: &dyn fmt::Display| unusable("the authorities", path, error);
        let mut roots = RootCertStore::empty();
        for certificate in read_certificates(path).map_err(|error| explain(&error))? {
            roots.add(certificate).map_err(|error| explain(&error))?;
        }
        let provider = self.provider.clone();
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.build().map(Some).map_err(|error| explain(&error))
    }

    fn certificate(&self, files: &CertificateFiles) -> io::Result<Arc<CertifiedKey>> {
        let CertificateFiles { chain: path, key: key_path } = files;
        let explain = |error: &dyn fmt::Display| unusable("the certificate", path, error);
        let chain = read_certificates(path).map_err(|error| explain(&error))?;
        self.warn_of_dates(path, &chain);
        let key = read_key(key_path).map_err(|error| unusable("the key", key_path, &error))?;
        let key =
            CertifiedKey::from_der(chain, key, &self.provider).map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => {
                    explain(&format_args!("the key in {} is that of another", key_path.display()))
                }
                rustls::Error::InvalidCertificate(_) => explain(&"it is malformed"),
                error => unusable("the key", key_path, &error),
            })?;
        Ok(Arc::new(key))
    }

    /// Warns of a certificate that clients will not accept because of its dates. It is used all the same: a
    /// clock may be wrong.
    fn warn_of_dates(&self, path: &Path, chain: &[CertificateDer<'_>]) {
        use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
        let Some(Ok(certificate)) = chain.first().map(ParsedCertificate::try_from) else { return };
        let algorithms = self.provider.signature_verification_algorithms.all;
        // The dates are checked before the issuer, which is not known.
        let roots = RootCertStore::empty();
        let now = UnixTime::now();
        let verified =
            verify_server_cert_signed_by_trust_anchor(&certificate, &roots, &[], now, algorithms);
        let why = match verified {
            Err(rustls::Error::InvalidCertificate(Expired | ExpiredContext { .. })) => {
                "has expired"
            }
            Err(rustls::Error::InvalidCertificate(NotValidYet | NotValidYetContext { .. })) => {
                "is not valid yet"
            }
            _ => return,
        };
        warn!("the certificate in {} {why}, so clients will not accept it", path.display());
    }
}

fn read_certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let pem = fs::read(path)?;
    let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| invalid(describe(error)))?;
    if chain.is_empty() {
        return Err(invalid("there is none in it".to_owned()));
    }
    Ok(chain)
}

fn read_key(path: &Path) -> io::Result<PrivateKeyDer<'static>> {
    let pem = fs::read(path)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| {
        let encrypted = pem.windows(ENCRYPTED.len()).any(|part| part == ENCRYPTED);
        invalid(if encrypted { "it is encrypted".to_owned() } else { describe(error) })
    })
}

/// The library's own text has the markers as lists of numbers.
fn describe(error: pem::Error) -> String {
    match error {
        pem::Error::NoItemsFound => "there is none in it".to_owned(),
        pem::Error::MissingSectionEnd { .. } => "the end of a section is missing".to_owned(),
        pem::Error::IllegalSectionStart { .. } => {
            "the beginning of a section is malformed".to_owned()
        }
        error => error.to_string(),
    }
}

fn unusable(what: &str, path: &Path, error: &dyn fmt::Display) -> io::Error {
    invalid(format!("cannot use {what} in {}: {error}", path.display()))
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// The server's certificates, of which a client gets the first that is valid for the name it asks for.
#[derive(Debug)]
struct Certificates(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let fits = |key: &&Arc<CertifiedKey>| name.as_ref().is_some_and(|name| is_for(key, name));
        self.0.iter().find(fits).or(self.0.first()).cloned()
    }
}

fn is_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let certificate = key.end_entity_cert().and_then(ParsedCertificate::try_from);
    certificate.is_ok_and(|certificate| verify_server_name(&certificate, name).is_ok())
}
