//! Certificates and keys from PEM files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{
    ClientHello, ParsedCertificate, ProducesTickets, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};

use crate::config::{CertificateFiles, TlsConfig};

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
        let ticketer = ring::Ticketer::new().map_err(io::Error::other)?;
        Ok(Self { config, provider: Arc::new(ring::default_provider()), ticketer })
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
        let builder = match &self.config.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let roots = Arc::new(authorities(path)?);
                let provider = self.provider.clone();
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|error| about(path, error))?)
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(certificates));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.ticketer = self.ticketer.clone();
        Ok(config)
    }

    fn certificate(&self, files: &CertificateFiles) -> io::Result<Arc<CertifiedKey>> {
        let chain = certificates(&files.chain)?;
        let key =
            PrivateKeyDer::from_pem_file(&files.key).map_err(|error| about(&files.key, error))?;
        let key = CertifiedKey::from_der(chain, key, &self.provider).map_err(|error| {
            let (chain, key) = (files.chain.display(), files.key.display());
            invalid(format!("the certificate {chain} and the key {key}: {error}"))
        })?;
        Ok(Arc::new(key))
    }
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let chain = CertificateDer::pem_file_iter(path).map_err(|error| about(path, error))?;
    let chain: Vec<_> = chain.collect::<Result<_, _>>().map_err(|error| about(path, error))?;
    if chain.is_empty() {
        return Err(about(path, "there is no certificate in it"));
    }
    Ok(chain)
}

fn authorities(path: &Path) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| about(path, error))?;
    }
    Ok(roots)
}

fn about(path: &Path, error: impl std::fmt::Display) -> io::Error {
    invalid(format!("{}: {error}", path.display()))
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
