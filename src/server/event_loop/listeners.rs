//! Accepting connections.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::debug;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use socket2::{Domain, SockRef, Socket, Type};

use crate::config::{Config, Listen};
use crate::protocol::{Refusal, Response};
use crate::server::tls::{ServerConfig, Tls};

/// How long the server does not accept after an error that persists, such as a lack of file descriptors:
/// long enough not to spin, and short enough not to be noticed.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// The length of the accept queue, if the system's limit (net.core.somaxconn) allows it. Thousands of
/// clients connect at once when a network is back. Those that do not fit try again after a second.
const BACKLOG: i32 = 4096;

/// The maximum number of attempts to accept in a turn, over all listeners, so that a flood of
/// connections does not keep the server from everything else.
const MAX_PER_TURN: usize = 256;

/// How many turns it takes to accept everything that waits on one socket.
pub(crate) const TURNS_PER_BACKLOG: usize = BACKLOG as usize / MAX_PER_TURN;

/// The listeners, from which new connections are accepted.
#[derive(Debug)]
pub(crate) struct Listeners {
    listeners: Vec<Listener>,
    /// What TLS connections begin with, if there are any.
    tls: Option<Tls>,
    /// The listener to try first: the one after the last from which a connection was accepted.
    next: usize,
    /// The number of attempts that this turn has left.
    budget: usize,
    paused_until: Option<Instant>,
    reserve: Reserve,
}

#[derive(Debug)]
struct Listener {
    socket: TcpListener,
    /// Whether connections begin with TLS.
    tls: bool,
    /// Whether a connection may be waiting to be accepted.
    ready: bool,
}

/// The result of trying to accept a connection.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// A connection, its peer's address, and what it begins with if that is TLS.
    Accepted(TcpStream, SocketAddr, Option<Arc<ServerConfig>>),
    /// A peer that got 503, because there was no file descriptor for its connection.
    TurnedAway(SocketAddr),
    /// An error after which nothing is accepted for [`PAUSE`].
    Failed(io::Error),
}

impl Listeners {
    /// Listens on each of the configured addresses. Tokens are the addresses' indices.
    ///
    /// # Errors
    /// The system's error, with the address.
    pub(crate) fn bind(config: &Config, registry: &Registry) -> io::Result<Self> {
        let mut sockets = Vec::new();
        for &Listen { address, tls, .. } in &config.listen {
            let socket = listen(address, config).map_err(|error| explain(address, error))?;
            sockets.push((socket, tls));
        }
        Self::register(sockets, config, registry)
    }

    /// Uses sockets that already listen. Tokens are their indices.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn adopt(
        sockets: Vec<std::net::TcpListener>,
        config: &Config,
        registry: &Registry,
    ) -> io::Result<Self> {
        for socket in &sockets {
            socket.set_nonblocking(true)?;
            bound_unsent(&SockRef::from(socket), config.memory.socket_unsent_bytes)?;
        }
        let sockets = sockets.into_iter().map(|socket| (TcpListener::from_std(socket), false));
        Self::register(sockets, config, registry)
    }

    fn register(
        sockets: impl IntoIterator<Item = (TcpListener, bool)>,
        config: &Config,
        registry: &Registry,
    ) -> io::Result<Self> {
        let mut listeners = Vec::new();
        for (index, (mut socket, tls)) in sockets.into_iter().enumerate() {
            registry.register(&mut socket, Token(index), Interest::READABLE)?;
            listeners.push(Listener { socket, tls, ready: false });
        }
        let has_tls = listeners.iter().any(|listener| listener.tls);
        let tls = if has_tls { Some(Tls::load(&config.tls)?) } else { None };
        let reserve = Reserve::new();
        Ok(Self { listeners, tls, next: 0, budget: 0, paused_until: None, reserve })
    }

    /// The addresses that were bound, with the ports that the system chose.
    pub(crate) fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.listeners.iter().map(|listener| listener.socket.local_addr()).collect()
    }

    /// Has the certificates read again.
    pub(crate) fn reload_certificates(&self) {
        if let Some(tls) = &self.tls {
            tls.reload();
        }
    }

    /// Notes that the listener of this token is readable.
    pub(crate) fn wake(&mut self, Token(index): Token) {
        if let Some(listener) = self.listeners.get_mut(index) {
            listener.ready = true;
        }
    }

    /// Notes that a connection may be waiting on every socket.
    pub(crate) fn wake_all(&mut self) {
        self.listeners.iter_mut().for_each(|listener| listener.ready = true);
    }

    /// Closes the sockets, so that another process can bind their addresses. The system resets the
    /// connections that wait to be accepted.
    pub(crate) fn close(&mut self) {
        self.listeners.clear();
    }

    /// How long the event loop may sleep before it accepts again.
    pub(crate) fn timeout(&self, now: Instant) -> Option<Duration> {
        let ready = self.listeners.iter().any(|listener| listener.ready);
        let until = ready.then(|| self.paused_until.unwrap_or(now));
        until.map(|until| until.saturating_duration_since(now))
    }

    /// Whether a connection may be waiting, and may be accepted now.
    pub(crate) fn are_ready(&self, now: Instant) -> bool {
        self.timeout(now) == Some(Duration::ZERO)
    }

    /// Resets the number of attempts for a new turn.
    pub(crate) fn begin_turn(&mut self) {
        self.budget = MAX_PER_TURN;
        self.paused_until = None;
        self.reserve.renew();
    }

    /// Accepts one of the waiting connections, within the turn's budget. The listeners take turns, so
    /// that a flood on one does not lock out clients of another.
    pub(crate) fn accept(&mut self, now: Instant) -> Option<Arrival> {
        while self.budget > 0
            && let Some(index) = self.find_ready()
        {
            self.budget -= 1;
            match self.accept_from(index) {
                Ok(arrival) => {
                    self.next = index + 1;
                    return Some(arrival);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.listeners[index].ready = false;
                }
                Err(error) if is_about_one_connection(&error) => debug!("accept: {error}"),
                Err(error) => {
                    self.budget = 0;
                    self.paused_until = Some(now + PAUSE);
                    return Some(Arrival::Failed(error));
                }
            }
        }
        None
    }

    fn accept_from(&mut self, index: usize) -> io::Result<Arrival> {
        let Listener { socket, tls, .. } = &self.listeners[index];
        match socket.accept() {
            Ok((stream, address)) => {
                let tls = self.tls.as_ref().filter(|_| *tls).map(Tls::current);
                Ok(Arrival::Accepted(stream, address, tls))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err(error),
            Err(error) if is_about_one_connection(&error) => Err(error),
            Err(error) => self.reserve.accept(socket, error),
        }
    }

    fn find_ready(&self) -> Option<usize> {
        let next = self.next.min(self.listeners.len());
        let mut in_turn = (next..self.listeners.len()).chain(0..next);
        in_turn.find(|&index| self.listeners[index].ready)
    }
}

/// A file descriptor in reserve. When there is no other, it is freed for a moment to accept a
/// connection, which would otherwise wait without an answer, and to answer it.
#[derive(Debug)]
struct Reserve(Option<File>);

impl Reserve {
    fn new() -> Self {
        let mut reserve = Self(None);
        reserve.renew();
        reserve
    }

    /// Opens the reserve, unless it is open. If that fails, new connections must wait.
    fn renew(&mut self) {
        if self.0.is_none() {
            self.0 = File::open("/dev/null").ok();
        }
    }

    /// Accepts a connection for which there was no file descriptor, and answers it with 503.
    ///
    /// # Errors
    /// The system's error, if the reserve does not help: `refusal`, or the error of the second attempt.
    fn accept(&mut self, socket: &TcpListener, refusal: io::Error) -> io::Result<Arrival> {
        drop(self.0.take().ok_or(refusal)?);
        let accepted = socket.accept();
        let arrival = accepted.map(|(stream, address)| {
            turn_away(stream);
            Arrival::TurnedAway(address)
        });
        self.renew();
        arrival
    }
}

/// Answers a connection for which there is no capacity with 503, and closes it. This takes one write,
/// and does not wait.
pub(crate) fn turn_away(mut stream: TcpStream) {
    let mut answer = Vec::new();
    Response::refusal(Refusal::Full).encode(&mut answer);
    // The response fits into the buffer of a new socket. If the peer has disconnected, it is not needed.
    let _ = stream.write(&answer);
    // Closing a socket with unread bytes resets the connection, and the response can be lost.
    let _ = stream.read(&mut [0; 4096]);
}

/// Listens on one of the addresses. `[::]` accepts IPv4 connections too, whatever the system's default
/// is, unless an IPv4 address with the same port is listed.
fn listen(address: SocketAddr, config: &Config) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        let port = address.port();
        let fixed = address.port() != 0;
        let takes_v4 =
            |other: &Listen| fixed && other.address.is_ipv4() && other.address.port() == port;
        socket.set_only_v6(config.listen.iter().any(takes_v4))?;
    }
    // This lets a server start on an address where another one has just ended.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    bound_unsent(&socket, config.memory.socket_unsent_bytes)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
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

/// Whether the error concerns a single connection, unlike a lack of file descriptors.
fn is_about_one_connection(error: &io::Error) -> bool {
    use ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// Adds the address to an error.
fn explain(address: SocketAddr, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
}
