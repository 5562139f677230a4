//! Where the server listens.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::str::FromStr;

use socket2::SockAddr;

use super::bound_socket::BoundSocket;

/// A place to listen on, and what is spoken there.
///
/// ```
/// use townhall::Listen;
///
/// let plain: Listen = "127.0.0.1:8080".parse()?;
/// let tls: Listen = "https://[::]:8443".parse()?;
/// let unix: Listen = "unix:/run/townhall.sock".parse()?;
/// assert!(!plain.tls && tls.tls && !unix.tls);
/// assert_eq!(unix.to_string(), "unix:/run/townhall.sock");
/// # Ok::<(), townhall::InvalidListen>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listen {
    /// The place.
    pub address: ListenAddress,
    /// Whether connections begin with TLS (RFC 8446), with the certificates of
    /// [`Config::tls`](crate::Config::tls): `wss://` and `https://`. It needs the crate's feature `tls`, and
    /// TCP.
    pub tls: bool,
    /// Whether connections begin with a PROXY header, version 1 or 2, before TLS if there is TLS: they come
    /// from proxies that forward bytes and not requests. The address that the header names counts as the
    /// client's in limits, logs and events. A connection that does not come from one of the
    /// [`Config::trusted_proxies`](crate::Config::trusted_proxies), or does not begin with a valid header,
    /// is dropped and counted ([`Counts::refused_headers`](crate::Counts::refused_headers)).
    pub proxy_protocol: bool,
}

/// A place to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenAddress {
    /// An IP address and a port; port 0 takes a free one.
    Tcp(SocketAddr),
    /// The path of a Unix socket. The server replaces a socket there on which nobody listens, but nothing
    /// else, and removes its own at the end. Peers count as trusted proxies
    /// ([`Config::trusted_proxies`](crate::Config::trusted_proxies)): they have no address, and the server
    /// believes the one that they forward.
    Unix(PathBuf),
    /// A socket that the program has bound itself. It becomes non-blocking. Its other options do not
    /// change, except that
    /// [`MemoryLimits::socket_unsent_bytes`](crate::MemoryLimits::socket_unsent_bytes) applies to TCP.
    Bound(BoundSocket),
    /// Like [`Bound`](Self::Bound), but another process has bound the socket and keeps it, such as a
    /// service manager (sd_listen_fds(3)). When the server stops, it leaves the connections that wait
    /// there to the next process. Clients that it has accepted by then can still connect for a second,
    /// and are closed at once with the code of [`Config::shutdown`](crate::Config::shutdown).
    Inherited(BoundSocket),
}

impl Listen {
    /// A socket that another process has bound and keeps.
    pub fn inherited(socket: impl Into<BoundSocket>) -> Self {
        ListenAddress::Inherited(socket.into()).into()
    }
}

impl From<ListenAddress> for Listen {
    fn from(address: ListenAddress) -> Self {
        Self { address, tls: false, proxy_protocol: false }
    }
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        ListenAddress::Tcp(address).into()
    }
}

impl From<TcpListener> for Listen {
    fn from(socket: TcpListener) -> Self {
        ListenAddress::Bound(socket.into()).into()
    }
}

impl From<UnixListener> for Listen {
    fn from(socket: UnixListener) -> Self {
        ListenAddress::Bound(socket.into()).into()
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.address.is_unix() {
            true => "",
            false if self.tls => "https://",
            false => "http://",
        };
        let proxy = if self.proxy_protocol { "proxy+" } else { "" };
        write!(f, "{proxy}{scheme}{}", self.address)
    }
}

impl ListenAddress {
    /// Whether it is a Unix socket.
    pub fn is_unix(&self) -> bool {
        match self {
            Self::Tcp(_) => false,
            Self::Unix(_) => true,
            Self::Bound(socket) | Self::Inherited(socket) => socket.is_unix(),
        }
    }

    /// The address or the path that a socket is bound to. The path of a Unix socket without one is empty,
    /// and that of an abstract one begins with `@`.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn resolve(&self) -> io::Result<Self> {
        let (Self::Bound(socket) | Self::Inherited(socket)) = self else { return Ok(self.clone()) };
        let address = socket.local_address()?;
        Ok(address.as_socket().map_or_else(|| Self::Unix(path(&address)), Self::Tcp))
    }
}

fn path(address: &SockAddr) -> PathBuf {
    let name = |name: &[u8]| PathBuf::from(format!("@{}", String::from_utf8_lossy(name)));
    let by_path = address.as_pathname().map(PathBuf::from);
    by_path.or_else(|| address.as_abstract_namespace().map(name)).unwrap_or_default()
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Bound(_) | Self::Inherited(_) => match self.resolve() {
                Ok(address) => address.fmt(f),
                Err(error) => write!(f, "a socket without an address ({error})"),
            },
        }
    }
}

impl FromStr for Listen {
    type Err = InvalidListen;

    /// Parses an address with its port, such as `127.0.0.1:8080`, after `http://` or `https://` or
    /// without either, or `unix:` and a path. With `proxy+` before it, connections begin with a PROXY
    /// header.
    fn from_str(text: &str) -> Result<Self, InvalidListen> {
        let (bare, proxy_protocol) = strip(text, "proxy+");
        if let Some(path) = bare.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self { proxy_protocol, ..ListenAddress::Unix(path.into()).into() });
        }
        let (address, tls) = strip(bare, "https://");
        let address = strip(address, "http://").0.parse();
        let address = address.map_err(|_| InvalidListen(text.to_owned()))?;
        Ok(Self { address: ListenAddress::Tcp(address), tls, proxy_protocol })
    }
}

/// What follows a prefix, and whether it is there.
fn strip<'t>(text: &'t str, prefix: &str) -> (&'t str, bool) {
    text.strip_prefix(prefix).map_or((text, false), |rest| (rest, true))
}

/// A text that is no [`Listen`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidListen(String);

impl fmt::Display for InvalidListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is neither an address with a port, such as 127.0.0.1:8080, nor unix: and a path",
            self.0
        )
    }
}

impl Error for InvalidListen {}
