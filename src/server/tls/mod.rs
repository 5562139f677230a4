//! The certificates of the server, read from files and again when these change.

mod files;
mod watcher;

use std::io;
use std::sync::{Arc, RwLock};

pub(crate) use rustls::ServerConfig;

use crate::config::TlsConfig;
use crate::server::handle::Handle;
use files::Loader;
use watcher::Watcher;

/// What new TLS connections begin with.
#[derive(Debug)]
pub(crate) struct Tls {
    current: Arc<RwLock<Arc<ServerConfig>>>,
    watcher: Watcher,
}

impl Tls {
    /// Reads the certificates. The handle reaches the server's counts.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub(crate) fn load(config: &TlsConfig, handle: Handle) -> io::Result<Self> {
        let loader = Loader::new(config.clone())?;
        // What changes while the files are read is noticed later.
        let modified = loader.modified();
        let current = Arc::new(RwLock::new(Arc::new(loader.load()?)));
        let watcher = Watcher::start(loader, modified, current.clone(), handle)?;
        Ok(Self { current, watcher })
    }

    /// What the next connection begins with.
    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        let current = self.current.read();
        // Nobody panics while holding the lock; what it holds is whole in any case.
        current.unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// Reads the certificates again, on a thread of its own.
    pub(crate) fn reload(&self) {
        self.watcher.reload();
    }
}

impl TlsConfig {
    /// Reads the files, and returns everything that is wrong with them, for a program that checks its
    /// configuration. [`Server::bind`](crate::Server::bind) fails with the first of these errors.
    ///
    /// ```
    /// use townhall::{CertificateFiles, Config};
    ///
    /// let mut config = Config::default();
    /// config.tls.certificates = vec![CertificateFiles::new("/nowhere/cert.pem", "/nowhere/key.pem")];
    /// let faults = config.tls.faults();
    /// assert!(faults[0].to_string().starts_with("cannot use the certificate in /nowhere/cert.pem: "));
    /// ```
    pub fn faults(&self) -> Vec<io::Error> {
        match Loader::new(self.clone()) {
            Ok(loader) => loader.faults(),
            Err(error) => vec![error],
        }
    }
}
