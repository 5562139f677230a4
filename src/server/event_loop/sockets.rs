//! The sockets that the server listens on, and those that it accepts.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use mio::net::{UnixListener, UnixStream};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Socket, Type};

use super::socket_file::{self, SocketFile};
use crate::config::{BoundSocket, Config, Listen, ListenAddress};
use crate::server::system::{TcpListener, TcpStream};

/// The length of the accept queue, if the system's limit (net.core.somaxconn) allows it. Thousands of
/// clients connect at once when a network is back. Those that do not fit try again after a second.
pub(super) const BACKLOG: i32 = 4096;

/// A socket that listens.
#[derive(Debug)]
pub(super) enum ListeningSocket {
    Tcp(TcpListener),
    /// A Unix socket, and its file if the server has made it.
    Unix(UnixListener, Option<SocketFile>),
}

impl ListeningSocket {
    /// Listens on one of the configured addresses, or uses a socket that listens already. Returns the
    /// address with the port that the system chose.
    ///
    /// # Errors
    /// The system's error, with the address.
    pub(super) fn open(listen: &Listen, config: &Config) -> io::Result<(Self, ListenAddress)> {
        let opened = match &listen.address {
            ListenAddress::Tcp(address) => bind_tcp(*address, config),
            ListenAddress::Unix(path) => bind_unix(path, config),
            ListenAddress::Bound(socket) | ListenAddress::Inherited(socket) => {
                listen.address.resolve().and_then(|address| adopt(socket, address, config))
            }
        };
        opened.map_err(|error| explain(&listen.address, error))
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => registry.register(socket, token, Interest::READABLE),
            Self::Unix(socket, _) => registry.register(socket, token, Interest::READABLE),
        }
    }

    pub(super) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => registry.deregister(socket),
            Self::Unix(socket, _) => registry.deregister(socket),
        }
    }

    /// Removes the file of a Unix socket, so that nobody else connects.
    pub(super) fn remove_file(&mut self) {
        if let Self::Unix(_, file) = self {
            *file = None;
        }
    }

    pub(super) fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(socket) => {
                let (stream, address) = socket.accept()?;
                Ok((Stream::Tcp(stream), Peer(Some(address))))
            }
            Self::Unix(socket, _) => {
                let (stream, _) = socket.accept()?;
                Ok((Stream::Unix(stream), Peer(None)))
            }
        }
    }
}

/// A socket that was accepted.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    pub(super) fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => registry.register(stream, token, interests),
            Self::Unix(stream) => registry.register(stream, token, interests),
        }
    }

    /// Sends every write at once.
    pub(super) fn set_nodelay(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nodelay(true),
            Self::Unix(_) => Ok(()),
        }
    }

    /// What a write and a read need.
    pub(super) fn as_io(&mut self) -> &mut dyn ReadWrite {
        match self {
            Self::Tcp(stream) => stream,
            Self::Unix(stream) => stream,
        }
    }
}

pub(super) trait ReadWrite: io::Read + io::Write {}

impl<T: io::Read + io::Write> ReadWrite for T {}

/// The peer of a connection, for log lines. The peer of a Unix socket has no address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) Option<SocketAddr>);

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("a Unix socket"),
        }
    }
}

type Opened = (ListeningSocket, ListenAddress);

/// Listens on an address. `[::]` accepts IPv4 connections too, whatever the system's default is, unless
/// an IPv4 address with the same port is listed.
fn bind_tcp(address: SocketAddr, config: &Config) -> io::Result<Opened> {
    #[cfg(test)]
    if let Some(socket) = TcpListener::simulated(address) {
        return Ok((ListeningSocket::Tcp(socket), ListenAddress::Tcp(address)));
    }
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        let port = address.port();
        let takes_v4 = |other: &Listen| match other.address {
            ListenAddress::Tcp(other) => port != 0 && other.is_ipv4() && other.port() == port,
            _ => false,
        };
        socket.set_only_v6(config.listen.iter().any(takes_v4))?;
    }
    // This lets a server start on an address where another one has just ended.
    socket.set_reuse_address(true)?;
    if config.sockets.reuse_port {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    bound_unsent(&socket, config.memory.socket_unsent_bytes)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let socket = TcpListener::from_std(socket.into());
    let address = ListenAddress::Tcp(socket.local_addr()?);
    Ok((ListeningSocket::Tcp(socket), address))
}

fn bind_unix(path: &Path, config: &Config) -> io::Result<Opened> {
    let (socket, file) = socket_file::bind(path, &config.sockets, BACKLOG)?;
    let address = ListenAddress::Unix(file.path().to_owned());
    Ok((ListeningSocket::Unix(socket, Some(file)), address))
}

/// Uses a socket that listens already.
fn adopt(bound: &BoundSocket, address: ListenAddress, config: &Config) -> io::Result<Opened> {
    let socket = Socket::from(bound.descriptor()?);
    if !listens(&socket)? {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the socket does not listen"));
    }
    socket.set_nonblocking(true)?;
    let socket = match address {
        ListenAddress::Tcp(_) => {
            bound_unsent(&socket, config.memory.socket_unsent_bytes)?;
            ListeningSocket::Tcp(TcpListener::from_std(socket.into()))
        }
        _ => ListeningSocket::Unix(UnixListener::from_std(socket.into()), None),
    };
    Ok((socket, address))
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn listens(socket: &Socket) -> io::Result<bool> {
    socket.is_listener()
}

/// Accepting will show it where socket2 cannot ask.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn listens(_: &Socket) -> io::Result<bool> {
    Ok(true)
}

/// Limits the unsent data of each connection. Accepted sockets inherit the option.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn bound_unsent(socket: &Socket, bytes: u32) -> io::Result<()> {
    if bytes > 0 { socket.set_tcp_notsent_lowat(bytes) } else { Ok(()) }
}

/// Does nothing where socket2 has no such option.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn bound_unsent(_: &Socket, _: u32) -> io::Result<()> {
    Ok(())
}

/// Adds the address to an error.
fn explain(address: &ListenAddress, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
}
