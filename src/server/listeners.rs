//! Accepting connections.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use log::{debug, warn};
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Socket, Type};

/// How long nothing is accepted after the system refused, as it does when file descriptors are
/// used up: long enough not to spin, short enough not to be noticed.
const PAUSE: Duration = Duration::from_millis(100);

/// How many connections may wait to be accepted, if the system's limit (net.core.somaxconn) allows:
/// thousands come at once when a network is back. Those that find no place try again after a second.
const BACKLOG: i32 = 4096;

/// The most connections accepted in one tick, so that a storm of them does not silence the rest.
const MAX_PER_TICK: usize = 256;

/// The sockets that new connections come from.
#[derive(Debug)]
pub(super) struct Listeners {
    sockets: Vec<TcpListener>,
    /// Somebody may be waiting to be accepted.
    ready: bool,
    paused_until: Option<Instant>,
}

impl Listeners {
    /// Listens on each address. Tokens are the addresses' indices.
    ///
    /// # Errors
    /// The system's, with the address that it is about.
    pub(super) fn bind(addresses: &[SocketAddr], registry: &Registry) -> io::Result<Self> {
        let mut sockets = Vec::new();
        for (index, &address) in addresses.iter().enumerate() {
            let explain = |error| explain(address, error);
            let mut socket = listen(address).map_err(explain)?;
            registry.register(&mut socket, Token(index), Interest::READABLE).map_err(explain)?;
            sockets.push(socket);
        }
        Ok(Self { sockets, ready: false, paused_until: None })
    }

    /// The addresses that were bound, with the ports that the system chose.
    pub(super) fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.sockets.iter().map(TcpListener::local_addr).collect()
    }

    /// Notes that a socket is readable.
    pub(super) fn wake(&mut self) {
        self.ready = true;
    }

    /// How long the event loop may sleep before it accepts again.
    pub(super) fn timeout(&self, now: Instant) -> Option<Duration> {
        let until = self.ready.then(|| self.paused_until.unwrap_or(now));
        until.map(|until| until.saturating_duration_since(now))
    }

    /// Whether somebody may be waiting, and may be accepted now.
    pub(super) fn are_ready(&self, now: Instant) -> bool {
        self.ready && self.paused_until.is_none_or(|until| until <= now)
    }

    /// Accepts those who wait, in their order.
    pub(super) fn accept(&mut self, now: Instant) -> Vec<(TcpStream, SocketAddr)> {
        let mut accepted = Vec::new();
        self.paused_until = None;
        for socket in &self.sockets {
            while accepted.len() < MAX_PER_TICK {
                match socket.accept() {
                    Ok(connection) => accepted.push(connection),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) if is_about_one_connection(&error) => debug!("accept: {error}"),
                    Err(error) => {
                        warn!("nothing is accepted for {PAUSE:?}: {error}");
                        self.paused_until = Some(now + PAUSE);
                        return accepted;
                    }
                }
            }
        }
        self.ready = accepted.len() == MAX_PER_TICK;
        accepted
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // So that a server can start where one has just ended.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// Whether the error, in contrast to used-up file descriptors, goes away with the connection.
fn is_about_one_connection(error: &io::Error) -> bool {
    use ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// The error with the address that it is about.
fn explain(address: SocketAddr, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
}
