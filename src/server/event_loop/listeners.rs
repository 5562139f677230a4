//! Accepting connections.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::debug;
use mio::{Registry, Token};

use super::sockets::{BACKLOG, ListeningSocket, Peer, Stream};
use crate::config::{Config, Listen, ListenAddress};
use crate::protocol::{Refusal, Response};
use crate::server::handle::Commands;
use crate::server::system;
use crate::server::tls::{ServerConfig, Tls};

/// How long the server does not accept after an error that persists, such as a lack of file descriptors:
/// long enough not to spin, and short enough not to be noticed.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// The maximum number of attempts to accept in a turn, over all listeners, so that a flood of
/// connections does not keep the server from everything else. Tests have more peers than that.
const MAX_PER_TURN: usize = if cfg!(test) { 4 } else { 256 };

/// How many turns it takes to accept everything that waits on one socket.
pub(crate) const TURNS_PER_BACKLOG: usize = BACKLOG as usize / MAX_PER_TURN;

/// The alert `internal_error` as a record of its own (RFC 8446, sections 5.1 and 6.2): before the handshake,
/// nothing is encrypted.
const ALERT: [u8; 7] = [21, 3, 3, 0, 2, 2, 80];

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
    socket: ListeningSocket,
    /// Where it listens, with the port that the system chose, and what is spoken there.
    listen: Listen,
    /// Whether another process keeps the socket, and the next one uses it.
    inherited: bool,
    /// Whether a connection may be waiting to be accepted.
    ready: bool,
}

/// An accepted connection.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) stream: Stream,
    pub(crate) peer: Peer,
    /// What TLS begins with, if the listener speaks it.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// Whether a PROXY header comes first.
    pub(crate) proxy_protocol: bool,
}

/// The result of trying to accept a connection.
#[derive(Debug)]
pub(crate) enum Arrival {
    Accepted(Accepted),
    /// A peer that got 503, because there was no file descriptor for its connection.
    TurnedAway(Peer),
    /// An error after which nothing is accepted for [`PAUSE`].
    Failed(io::Error),
}

impl Listeners {
    /// Listens on each of the configured addresses. Tokens are their indices.
    ///
    /// # Errors
    /// The system's error, with the address.
    pub(crate) fn bind(
        config: &Config,
        registry: &Registry,
        commands: &Commands,
    ) -> io::Result<Self> {
        let mut listeners = Vec::new();
        for (index, listen) in config.listen.iter().enumerate() {
            let (mut socket, address) = ListeningSocket::open(listen, config)?;
            socket.register(registry, Token(index))?;
            let inherited = matches!(listen.address, ListenAddress::Inherited(_));
            let listen = Listen { address, ..listen.clone() };
            listeners.push(Listener { socket, listen, inherited, ready: false });
        }
        let has_tls = listeners.iter().any(|listener| listener.listen.tls);
        let tls = if has_tls { Some(Tls::load(&config.tls, commands.handle())?) } else { None };
        let reserve = Reserve::new();
        Ok(Self { listeners, tls, next: 0, budget: 0, paused_until: None, reserve })
    }

    /// Where the server listens, with the ports that the system chose.
    pub(crate) fn listening(&self) -> Vec<Listen> {
        self.listeners.iter().map(|listener| listener.listen.clone()).collect()
    }

    /// Whether another process keeps one of the sockets.
    pub(crate) fn have_inherited(&self) -> bool {
        self.listeners.iter().any(|listener| listener.inherited)
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

    /// Prepares for the end: notes that a connection may be waiting on every socket, and removes the
    /// files of Unix sockets, so that nobody else connects. What waits on inherited sockets is left to
    /// the next process.
    pub(crate) fn give_up(&mut self) {
        for listener in &mut self.listeners {
            listener.socket.remove_file();
            listener.ready = !listener.inherited;
        }
    }

    /// Closes the sockets, so that another process can bind their addresses. The system resets the
    /// connections that wait to be accepted, unless another process has the socket too.
    pub(crate) fn close(&mut self, registry: &Registry) {
        for mut listener in self.listeners.drain(..) {
            // The poll would still report a socket that another process has.
            if let Err(error) = listener.socket.deregister(registry) {
                debug!("deregister: {error}");
            }
        }
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
        let Listener { socket, listen, .. } = &self.listeners[index];
        match socket.accept() {
            Ok((stream, peer)) => {
                let tls = self.tls.as_ref().filter(|_| listen.tls).map(Tls::current);
                let proxy_protocol = listen.proxy_protocol;
                Ok(Arrival::Accepted(Accepted { stream, peer, tls, proxy_protocol }))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err(error),
            Err(error) if is_about_one_connection(&error) => Err(error),
            Err(error) => self.reserve.accept(socket, listen.tls, error),
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
struct Reserve(Option<system::Reserve>);

impl Reserve {
    fn new() -> Self {
        let mut reserve = Self(None);
        reserve.renew();
        reserve
    }

    /// Opens the reserve, unless it is open. If that fails, new connections must wait.
    fn renew(&mut self) {
        if self.0.is_none() {
            self.0 = system::reserve().ok();
        }
    }

    /// Accepts a connection for which there was no file descriptor, and turns it away.
    ///
    /// # Errors
    /// The system's error, if the reserve does not help: `refusal`, or the error of the second attempt.
    fn accept(
        &mut self,
        socket: &ListeningSocket,
        tls: bool,
        refusal: io::Error,
    ) -> io::Result<Arrival> {
        drop(self.0.take().ok_or(refusal)?);
        let accepted = socket.accept();
        let arrival = accepted.map(|(mut stream, peer)| {
            turn_away(&mut stream, tls);
            Arrival::TurnedAway(peer)
        });
        self.renew();
        arrival
    }
}

/// Answers a connection that is to be closed for lack of capacity: with 503, or with an alert if it would
/// begin with TLS, because a handshake takes capacity too. This takes one write, and does not wait.
pub(crate) fn turn_away(stream: &mut Stream, tls: bool) {
    let stream = stream.as_io();
    let mut answer = Vec::new();
    if tls {
        answer.extend_from_slice(&ALERT);
    } else {
        Response::refusal(Refusal::Full).encode(&mut answer);
    }
    // The answer fits into the buffer of a new socket. If the peer has disconnected, it is not needed.
    let _ = stream.write(&answer);
    // Closing a socket with unread bytes resets the connection, and the answer can be lost.
    let _ = stream.read(&mut [0; 4096]);
}

/// Whether the error concerns a single connection, unlike a lack of file descriptors.
fn is_about_one_connection(error: &io::Error) -> bool {
    use ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}
