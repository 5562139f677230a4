//! Where the server listens.

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// An address to listen on, and what is spoken there.
///
/// ```
/// use townhall::Listen;
///
/// let plain: Listen = "127.0.0.1:8080".parse()?;
/// let tls: Listen = "https://[::]:8443".parse()?;
/// assert!(!plain.tls && tls.tls);
/// # Ok::<(), townhall::InvalidListen>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listen {
    /// The address; port 0 takes a free one.
    pub address: SocketAddr,
    /// Whether connections begin with TLS (RFC 8446), with the certificates of
    /// [`Config::tls`](crate::Config::tls): `wss://` and `https://`. It needs the crate's feature `tls`.
    pub tls: bool,
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Self { address, tls: false }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.address)
    }
}

impl FromStr for Listen {
    type Err = InvalidListen;

    /// Parses an address with its port, such as `127.0.0.1:8080`, after `http://` or `https://` or
    /// without either.
    fn from_str(text: &str) -> Result<Self, InvalidListen> {
        let (address, tls) = match text.strip_prefix("https://") {
            Some(address) => (address, true),
            None => (text.strip_prefix("http://").unwrap_or(text), false),
        };
        let address = address.parse().map_err(|_| InvalidListen(text.to_owned()))?;
        Ok(Self { address, tls })
    }
}

/// A text that is no [`Listen`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidListen(String);

impl fmt::Display for InvalidListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not an address with a port, such as 127.0.0.1:8080", self.0)
    }
}

impl Error for InvalidListen {}
