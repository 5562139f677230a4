//! The tick: wait, accept, read, flush, deadlines, departures. Nothing else.

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use log::{debug, info, warn};
use mio::event::Event as Readiness;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use signal_hook_mio::v1_0::Signals;

use super::departure::Cause;
use super::event::Event;
use super::hub::Hub;
use super::id::ClientId;
use super::inbound::{App, Inbound, refuse};
use super::listeners::Listeners;
use super::stopper::Stopper;
use super::transport::Transport;
use crate::protocol::{CloseCode, Refusal};

/// The token of what tells the server to stop. Listeners have those from 0 on, clients those
/// from 2^32 on.
pub(super) const STOP: Token = Token(u32::MAX as usize);

/// The most events taken from the system at once. Rooms in which more members than this talk at the
/// same time need a second tick, and so a second write to each of them.
const MAX_EVENTS: usize = 4096;

/// In place of a time that is too far away to be told.
const FOREVER: Duration = Duration::from_secs(1 << 32);

/// How many connections there may be beside the most that may be open, for their handshakes, their
/// refusals and their last moments; the next are dropped without an answer.
const SPARE_CONNECTIONS: usize = 256;

/// Everything that a running server owns.
pub(super) struct EventLoop {
    pub(super) poll: Poll,
    pub(super) listeners: Listeners,
    pub(super) hub: Hub,
    pub(super) inbound: Inbound,
    pub(super) signals: Option<Signals>,
    pub(super) stopper: Stopper,
    /// The time to end at, once the server was told to stop.
    pub(super) drain_deadline: Option<Instant>,
}

impl EventLoop {
    /// Runs until the server was told to stop and everybody has left.
    ///
    /// # Errors
    /// The system's, where waiting for events fails.
    pub(super) fn run(mut self, app: &mut App<'_>) -> io::Result<()> {
        let mut events = Events::with_capacity(MAX_EVENTS);
        while !self.is_over() {
            self.wait(&mut events)?;
            self.note(&events);
            self.accept();
            self.inbound.read(&mut self.hub, app);
            self.hub.flush();
            self.expire();
            self.announce(app);
        }
        self.abandon(app);
        Ok(())
    }

    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let timeout = self.timeout();
        if let Err(error) = self.poll.poll(events, timeout)
            && error.kind() != io::ErrorKind::Interrupted
        {
            return Err(error);
        }
        self.hub.now = Instant::now();
        self.hub.tick = self.hub.deadlines.tick(self.hub.now);
        Ok(())
    }

    fn timeout(&self) -> Option<Duration> {
        if self.inbound.is_waiting() || self.hub.is_dirty() {
            return Some(Duration::ZERO);
        }
        let now = Instant::now();
        let drain = self.drain_deadline.map(|deadline| deadline.saturating_duration_since(now));
        let timeouts = [self.hub.deadlines.timeout(now), self.listeners.timeout(now), drain];
        timeouts.into_iter().flatten().min()
    }

    fn note(&mut self, events: &Events) {
        for event in events {
            match ClientId::from_token(event.token()) {
                Some(id) => self.note_client(id, event),
                None if event.token() == STOP => self.note_stop(),
                None => self.listeners.wake(),
            }
        }
    }

    fn note_client(&mut self, id: ClientId, event: &Readiness) {
        if event.is_writable() {
            self.hub.unblock(id);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.inbound.wake(&mut self.hub, id, event.is_read_closed() || event.is_error());
        }
    }

    fn note_stop(&mut self) {
        for signal in self.signals.iter_mut().flat_map(Signals::pending) {
            info!("signal {signal}");
            self.stopper.ask();
        }
        if self.stopper.asked() > 0 && self.drain_deadline.is_none() {
            self.drain();
        }
        // Who asks twice does not want to wait.
        if self.stopper.asked() > 1 {
            self.drain_deadline = Some(self.hub.now);
        }
    }

    /// Closes everybody's connection with 1001, drops those who have not asked for anything yet, and
    /// listens no more.
    fn drain(&mut self) {
        info!("stopping, {} connections open", self.hub.client_count());
        self.listeners.close();
        let deadline = self.hub.now.checked_add(self.hub.config.drain_timeout);
        self.drain_deadline = Some(deadline.unwrap_or(self.hub.now + FOREVER));
        for id in self.hub.ids() {
            let reason = "the server stops";
            self.hub.close_because(id, CloseCode::GOING_AWAY, reason, Cause::Shutdown);
            if self.hub.get(id).is_some_and(|client| client.connection.is_handshaking()) {
                self.hub.lose(id);
            }
        }
    }

    fn accept(&mut self) {
        let max = self.hub.config.max_connections.saturating_add(SPARE_CONNECTIONS);
        for (stream, address) in self.listeners.accept(self.hub.now) {
            if self.hub.clients.len() >= max {
                debug!("{address} dropped: there are {max} connections");
            } else if let Err(error) = self.admit(stream, address) {
                warn!("{address} dropped: {error}");
            }
        }
    }

    fn admit(&mut self, mut stream: TcpStream, address: SocketAddr) -> io::Result<()> {
        let id = self.hub.next_id();
        debug!("{id} connected from {address}");
        // It fails where the peer has gone, which reading will show.
        let _ = stream.set_nodelay(true);
        // Edge-triggered, once for all.
        let interests = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, id.token(), interests)?;
        self.hub.insert(id, Transport::Tcp(stream));
        Ok(())
    }

    /// Looks at those whose time may have come.
    fn expire(&mut self) {
        let now = self.hub.tick;
        for id in self.hub.deadlines.due(now) {
            let Some(client) = self.hub.get(id) else { continue };
            match client.deadline {
                Some(deadline) if deadline > now => self.hub.deadlines.remind(id, deadline),
                Some(_) if client.connection.is_handshaking() => {
                    refuse(&mut self.hub, id, Refusal::Timeout, false);
                }
                Some(_) if client.connection.is_open() => self.hub.check_life(id),
                Some(_) => self.hub.check_end(id),
                None => {}
            }
        }
    }

    /// Tells the application who left, and frees what is over.
    fn announce(&mut self, app: &mut App<'_>) {
        for (id, departure) in mem::take(&mut self.hub.departures) {
            debug!("{id} left: {departure}");
            app(&mut self.hub, id, Event::Close(&departure));
        }
        for id in mem::take(&mut self.hub.gone) {
            self.hub.remove(id);
        }
    }

    fn is_over(&self) -> bool {
        let over = |deadline| self.hub.clients.is_empty() || self.hub.now >= deadline;
        self.drain_deadline.is_some_and(over)
    }

    /// Gives up those who did not leave in time.
    fn abandon(&mut self, app: &mut App<'_>) {
        for id in self.hub.ids() {
            self.hub.lose(id);
        }
        self.announce(app);
    }
}
