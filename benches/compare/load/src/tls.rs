//! TLS below the connections, always with the same cipher, so that every server pays for the same.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::client::{
    ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection, NamedGroup, RootCertStore};

use crate::Failure;

/// What connections begin with: TLS 1.3 with AES-128-GCM, which browsers prefer, and X25519.
#[derive(Debug, Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    tickets: Arc<Tickets>,
    name: ServerName<'static>,
}

impl Tls {
    /// Trusts the certificate in a file, which is for `localhost`.
    pub fn new(certificate: &Path) -> Result<Self, Failure> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(certificate)?)?;
        let provider = CryptoProvider {
            cipher_suites: vec![TLS13_AES_128_GCM_SHA256],
            kx_groups: vec![ring::kx_group::X25519],
            ..ring::default_provider()
        };
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // A client that cannot resume a session gets no tickets, although browsers do.
        let tickets = Arc::new(Tickets::default());
        config.resumption = Resumption::store(tickets.clone());
        Ok(Self { config: Arc::new(config), tickets, name: ServerName::try_from("localhost")? })
    }

    /// Keeps up to this many tickets, without using any.
    pub fn keep_tickets(&self, most: usize) {
        self.tickets.most.store(most, Ordering::Relaxed);
    }

    /// How many tickets are kept.
    pub fn tickets(&self) -> usize {
        self.tickets.unused().len()
    }

    /// Uses a ticket for each connection from here on, as long as there are any.
    pub fn use_tickets(&self) {
        self.tickets.used.store(true, Ordering::Relaxed);
    }

    /// A connection that has not begun.
    pub fn connection(&self) -> Result<ClientConnection, Failure> {
        Ok(ClientConnection::new(self.config.clone(), self.name.clone())?)
    }
}

/// The tickets of all connections, which are to one server.
#[derive(Default)]
struct Tickets {
    /// The most that are kept.
    most: AtomicUsize,
    /// Whether they are used.
    used: AtomicBool,
    unused: Mutex<Vec<Tls13ClientSessionValue>>,
}

impl Tickets {
    fn unused(&self) -> MutexGuard<'_, Vec<Tls13ClientSessionValue>> {
        self.unused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").field("used", &self.used).finish_non_exhaustive()
    }
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        let mut unused = self.unused();
        if unused.len() < self.most.load(Ordering::Relaxed) {
            unused.push(ticket);
        }
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.used.load(Ordering::Relaxed).then(|| self.unused().pop()).flatten()
    }
}
