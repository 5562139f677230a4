//! The turn: wait, accept, read, run timers and commands, flush, check deadlines, announce departures.

#[cfg(test)]
mod simulated;
#[cfg(test)]
mod tests;

mod accepting;
pub(crate) mod flushing;
pub(crate) mod listeners;
pub(crate) mod reading;
mod shutdown;
mod socket_file;
pub(crate) mod sockets;

use std::io;
use std::mem;
use std::time::Duration;

use log::{debug, info};
use mio::Token;
use signal_hook::consts::SIGHUP;

use crate::protocol::ProxyRefusal;
use crate::server::client::Reading;
use crate::server::client_id::ClientId;
use crate::server::event::Event;
use crate::server::event_loop::flushing::flush;
use crate::server::event_loop::listeners::{Listeners, TURNS_PER_BACKLOG};
use crate::server::event_loop::reading::{MAX_GROWTH_BYTES, Reader, fire_timers};
use crate::server::event_loop::shutdown::Shutdown;
use crate::server::handle::{Commands, Stop};
use crate::server::hub::closing::drop_untouched;
use crate::server::hub::{Application, Hub, Phase};
use crate::server::hub::{keepalive, lifecycle, proxied, requests, throttle, trim};
use crate::server::room::TurnEnd;
use crate::server::system::{self, Events, Poll, Readiness, Signals};
use crate::server::time::wheel::{GRAIN, Timestamp};

/// The token of signals. Listeners have tokens from 0, clients from 2^32.
pub(crate) const SIGNALS: Token = Token(u32::MAX as usize);

/// The token of the waker that announces commands from handles.
pub(crate) const WAKE: Token = Token(u32::MAX as usize - 1);

/// The maximum number of events that one poll returns. Tests have more sockets than that.
const MAX_EVENTS: usize = if cfg!(test) { 8 } else { 4096 };

/// The state of a running server.
pub(crate) struct EventLoop {
    pub(crate) poll: Poll,
    pub(crate) listeners: Listeners,
    pub(crate) hub: Hub,
    pub(crate) reader: Reader,
    pub(crate) signals: Option<Signals>,
    pub(crate) commands: Commands,
    /// The turn whose deadlines were checked last.
    pub(crate) expired: Timestamp,
    /// Whether SIGHUP came and the application has not learned of it.
    pub(crate) hung_up: bool,
    /// The shutdown in progress, once the server has been asked to stop.
    pub(crate) shutdown: Option<Shutdown>,
}

impl EventLoop {
    /// Runs until the server has been asked to stop and the shutdown is complete.
    ///
    /// # Errors
    /// The system's error, if waiting for events fails.
    pub(crate) fn run(mut self, app: &mut Application<'_>) -> io::Result<()> {
        let mut events = Events::with_capacity(MAX_EVENTS);
        app(&mut self.hub, ClientId::SERVER, Event::Begin);
        while !self.is_over() {
            self.turn(&mut events, app)?;
        }
        self.abandon(app);
        app(&mut self.hub, ClientId::SERVER, Event::End);
        self.hub.log_rate.finish();
        Ok(())
    }

    /// Runs one turn.
    fn turn(&mut self, events: &mut Events, app: &mut Application<'_>) -> io::Result<()> {
        let asked = (self.hub.time.timestamp, self.hub.time.now);
        self.wait(events)?;
        if self.listeners.are_ready(self.hub.time.now) {
            self.accept();
        }
        self.reader.read(&mut self.hub, asked, app);
        if self.hub.time.timers.next_due().is_some() {
            fire_timers(&mut self.hub, app);
        }
        if self.commands.are_waiting() {
            self.commands.run(&mut self.hub, MAX_GROWTH_BYTES);
        }
        if mem::take(&mut self.hung_up) {
            app(&mut self.hub, ClientId::SERVER, Event::Reload);
        }
        if self.commands.stop() > Stop::No {
            self.shut_down(app);
        }
        flush(&mut self.hub, TurnEnd::Now);
        if self.hub.time.timestamp != self.expired {
            self.expire();
        }
        if self.hub.pending.has_departures() {
            self.announce(app);
        }
        self.note_times();
        Ok(())
    }

    /// Counts how long the turn took, and how long the messages waited that it has delivered.
    fn note_times(&mut self) {
        let Hub { counts, pending, time, .. } = &mut self.hub;
        let turn = system::now().saturating_duration_since(time.now);
        counts.turns.add(turn, 1);
        if pending.flushed.prompt > 0 {
            counts.delivery_waits.add(turn, mem::take(&mut pending.flushed.prompt));
        }
        if !pending.flushed.late.is_empty() {
            let late = pending.flushed.late.drain(..);
            late.for_each(|before| counts.delivery_waits.add(before + turn, 1));
        }
    }

    /// Waits for events, and notes all of them. If more sockets are ready than fit in one list, it polls
    /// again; the system then returns the other sockets first.
    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let mut timeout = self.timeout();
        let mut lists = self.hub.clients.len() / MAX_EVENTS + 1;
        while lists > 0 {
            match self.poll.poll(events, timeout) {
                // A signal or a stop interrupted the poll, so it returned no events.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => {
                    outcome?;
                    self.hub.time.advance();
                    let full = self.note(events) >= MAX_EVENTS;
                    lists = if full { lists - 1 } else { 0 };
                }
            }
            timeout = Some(Duration::ZERO);
        }
        Ok(())
    }

    fn timeout(&self) -> Option<Duration> {
        let waiting = self.reader.is_waiting() || self.commands.are_waiting();
        if waiting || self.hub.is_dirty() || self.hub.pending.is_unsettled() {
            return Some(Duration::ZERO);
        }
        let now = self.hub.time.now;
        let shutdown = self.shutdown.as_ref().map(|shutdown| shutdown.timeout(now).min(GRAIN));
        let waiting = self.hub.time.is_waiting()
            || self.reader.holds_memory()
            || trim::holds_spare(&self.hub);
        let timer = self.hub.time.timers.next_due().map(|due| due.saturating_duration_since(now));
        [timer, self.listeners.timeout(now), shutdown]
            .into_iter()
            .fold(waiting.then_some(GRAIN), shorter)
    }

    /// Notes all events, and returns their number.
    fn note(&mut self, events: &Events) -> usize {
        let mut count = 0;
        for event in events {
            count += 1;
            match ClientId::from_token(event.token()) {
                Some(id) => self.note_client(id, event),
                None if event.token() == WAKE => self.commands.note_wake(),
                None if event.token() == SIGNALS => self.note_signals(),
                None => self.listeners.wake(event.token()),
            }
        }
        count
    }

    fn note_client(&mut self, id: ClientId, event: &Readiness) {
        let Some(client) = self.hub.clients.get_mut(id) else { return };
        let announced = event.is_read_closed() || event.is_error() || event.is_priority();
        if event.is_readable() || announced {
            self.reader.wake(client, announced);
        }
        if client.blocked.is_some() && event.is_writable() {
            lifecycle::unblock(&mut self.hub, id);
        }
    }

    #[cold]
    fn note_signals(&mut self) {
        for signal in self.signals.iter_mut().flat_map(Signals::pending) {
            if signal == SIGHUP {
                self.listeners.reload_certificates();
                let clients = self.hub.client_count();
                let rooms = self.hub.room_count();
                info!("{clients} connections, {rooms} rooms; {}", self.hub.counts);
                self.hung_up = true;
            } else {
                info!("received signal {signal}");
                self.commands.note_signal();
            }
        }
    }

    /// Closes the listeners and all clients, once the server has been asked to stop and the delay is over.
    #[cold]
    fn shut_down(&mut self, app: &mut Application<'_>) {
        let now = self.hub.time.now;
        let shutdown = self.shutdown.get_or_insert_with(|| {
            let shutdown = Shutdown::begin(&mut self.hub);
            app(&mut self.hub, ClientId::SERVER, Event::Stop);
            shutdown
        });
        if self.commands.stop() == Stop::Now {
            shutdown.hurry(now);
        }
        if shutdown.is_delayed(now) {
            return;
        }
        if self.hub.phase == Phase::Delayed {
            app(&mut self.hub, ClientId::SERVER, Event::Shutdown);
            shutdown.begin_closing(&mut self.hub);
            self.stop_listening();
        }
        if let Some(shutdown) = &mut self.shutdown {
            shutdown.step(&mut self.hub);
        }
    }

    /// Accepts the connections that are waiting, except on inherited sockets, and closes the listeners.
    fn stop_listening(&mut self) {
        self.listeners.give_up();
        for _ in 0..TURNS_PER_BACKLOG {
            if self.listeners.are_ready(self.hub.time.now) {
                self.accept();
            }
        }
        self.listeners.close(self.poll.registry());
    }

    /// Checks the clients that are due, once everything that they had sent by then has been read.
    #[cold]
    fn expire(&mut self) {
        let now = self.hub.time.timestamp;
        self.expired = now;
        if self.reader.trim(now) {
            trim::trim(&mut self.hub);
        }
        self.hub.log_rate.settle(now);
        throttle::resume_due(&mut self.hub);
        for key in self.hub.time.deadlines.due(self.hub.time.horizon) {
            let client = &self.hub.clients[key];
            let id = client.id;
            let connection = &client.connection;
            if client.reading == Reading::Queued {
                // Its input has not been read, because its room has not been flushed yet.
                lifecycle::expect_within(&mut self.hub, id, GRAIN);
            } else if client.transport.has_partial_header() {
                proxied::refuse(&mut self.hub, id, ProxyRefusal::Incomplete);
            } else if connection.is_untouched() && !client.is_held() {
                drop_untouched(&mut self.hub, id);
            } else if connection.is_handshaking() {
                requests::expire(&mut self.hub, id);
            } else if connection.is_open() {
                keepalive::check(&mut self.hub, id);
            } else {
                keepalive::check_end(&mut self.hub, id);
            }
        }
    }

    /// Announces departures to the application, and frees the connections.
    #[cold]
    fn announce(&mut self, app: &mut Application<'_>) {
        for (id, departure) in mem::take(&mut self.hub.pending.departures) {
            debug!("{id} left: {departure}");
            self.hub.time.timers.cancel_all(id);
            app(&mut self.hub, id, Event::Close(&departure));
            self.hub.data.remove(id);
        }
        for id in mem::take(&mut self.hub.pending.gone) {
            lifecycle::remove(&mut self.hub, id);
        }
    }

    fn is_over(&self) -> bool {
        self.shutdown.as_ref().is_some_and(|shutdown| shutdown.is_over(&self.hub))
    }

    /// Drops the clients that did not disconnect in time.
    #[cold]
    fn abandon(&mut self, app: &mut Application<'_>) {
        for id in self.hub.clients.ids() {
            lifecycle::lose(&mut self.hub, id);
        }
        self.announce(app);
    }
}

/// The shorter of two times, if there are any.
fn shorter(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        _ => one.or(other),
    }
}
