//! What takes the place of certificates without the feature `tls`.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use crate::config::TlsConfig;
use crate::server::handle::Handle;

/// What no connection begins with.
pub(crate) type ServerConfig = Infallible;

/// A type without values.
#[derive(Debug)]
pub(crate) struct Tls(Infallible);

impl Tls {
    /// # Errors
    /// Always: [`Config::check`](crate::Config::check) refuses a listener that needs a certificate.
    pub(crate) fn load(_config: &TlsConfig, _handle: Handle) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        match self.0 {}
    }

    pub(crate) fn reload(&self) {
        match self.0 {}
    }
}
