//! The state of a server: clients, rooms, and what they share.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use log::Level;

use crate::config::Config;
use crate::protocol::{Limits, Refusal, SUBPROTOCOL};
use crate::server::client::memory::Memory;
use crate::server::client::{Client, Written};
use crate::server::client_id::ClientId;
use crate::server::counts::Counts;
use crate::server::event::Event;
use crate::server::hub::client_data::ClientData;
use crate::server::hub::clients::Clients;
use crate::server::hub::pending::Pending;
use crate::server::limits::Usage;
use crate::server::limits::log_rate::LogRate;
use crate::server::room::compressor::Encoding;
use crate::server::room::frame_log::FrameLog;
use crate::server::room::{Membership, Rooms};
use crate::server::system::RandomState;
use crate::server::time::Time;

/// The application.
pub(crate) type Application<'a> = dyn FnMut(&mut Hub, ClientId, Event<'_>) + 'a;

/// How far a server's shutdown has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nobody has asked the server to stop.
    Serving,
    /// The server has been asked to stop, and serves as before for the configured delay.
    Delayed,
    /// No client may open any more, and those that are open are closed.
    Closing,
}

/// The clients of a server, and the rooms that they are in.
///
/// Messages are queued, and written at the end of the event loop's turn; a long message to one client
/// may be written at once. A message to a client that is not open, or has left, is dropped.
///
/// An application in which clients choose their rooms, and do not receive their own messages:
///
/// ```
/// use townhall::{ClientId, CloseCode, Event, Hub, Message};
///
/// fn app(hub: &mut Hub, client: ClientId, event: Event<'_>) {
///     match event {
///         Event::Message(Message::Text("/quit")) => hub.close(client, CloseCode::NORMAL, "goodbye"),
///         Event::Message(Message::Text("/leave")) => {
///             if !hub.leave(client) {
///                 hub.send(client, "you are in no room");
///             }
///         }
///         Event::Message(Message::Text(text)) if let Some(room) = text.strip_prefix("/join ") => {
///             if hub.join(client, room) {
///                 hub.broadcast(room, &format!("{client} is here"));
///             }
///         }
///         Event::Message(message) => hub.publish_to_others(client, message),
///         _ => {}
///     }
/// }
/// # let _ = app;
/// ```
#[derive(Debug)]
pub struct Hub {
    pub(crate) config: Config,
    pub(crate) limits: Arc<Limits>,
    /// The addresses that the server listens on, with their actual ports.
    pub(crate) listening: Vec<SocketAddr>,
    pub(crate) clients: Clients,
    pub(crate) rooms: Rooms,
    pub(crate) memory: Memory,
    pub(crate) time: Time,
    pub(crate) usage: Usage,
    pub(crate) pending: Pending,
    pub(crate) counts: Counts,
    pub(crate) log_rate: LogRate,
    /// The values that the application keeps for its clients.
    pub(crate) data: ClientData,
    /// Whether the message that is being handled arrived compressed.
    pub(crate) was_compressed: bool,
    /// How far the shutdown has come.
    pub(crate) phase: Phase,
    /// Whether the application has paused the reading of open clients.
    pub(crate) is_reading_paused: bool,
    /// Makes the maximum ages of clients differ.
    pub(crate) random: RandomState,
    /// Whether another process will accept the connections that the shutdown leaves waiting, so that
    /// nobody who connects needs to be refused.
    pub(crate) hands_over: bool,
}

impl Hub {
    pub(crate) fn new(mut config: Config) -> Self {
        if config.history.is_some() && !config.subprotocols.iter().any(|name| name == SUBPROTOCOL) {
            config.subprotocols.push(SUBPROTOCOL.to_owned());
        }
        Self {
            limits: Arc::new(config.limits.clone()),
            listening: Vec::new(),
            clients: Clients::new(config.connections.max),
            rooms: Rooms::new(config.deflate.clone(), config.history.clone()),
            memory: Memory::default(),
            time: Time::new(),
            usage: Usage::new(&config),
            pending: Pending::default(),
            counts: Counts::default(),
            log_rate: LogRate::default(),
            data: ClientData::default(),
            was_compressed: false,
            phase: Phase::Serving,
            is_reading_paused: false,
            random: RandomState::new(),
            hands_over: false,
            config,
        }
    }

    /// Whether data is queued whose writing does not depend on a socket event.
    pub(crate) fn is_dirty(&self) -> bool {
        !self.rooms.dirty.is_empty() || !self.pending.dirty_clients.is_empty()
    }

    /// Notes that a client has private bytes to be written.
    pub(crate) fn mark_dirty(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut(id) {
            self.pending.mark_dirty(client);
        }
    }

    /// The client for which private bytes are about to be queued, the end of its log, and the memory for
    /// them. The client will be flushed.
    #[inline]
    pub(crate) fn recipient(&mut self, id: ClientId) -> Option<(&mut Client, u64, &mut Memory)> {
        let client = self.clients.get_mut(id)?;
        self.pending.mark_dirty(client);
        let end = self.rooms.log_of(client.membership).end();
        Some((client, end, &mut self.memory))
    }

    /// A client, the log that it reads, and the memory for both.
    #[inline]
    pub(crate) fn client_and_log(
        &mut self,
        id: ClientId,
    ) -> Option<(&mut Client, &mut FrameLog, &mut Memory)> {
        let client = self.clients.get_mut(id)?;
        let log = self.rooms.log_of_mut(client.membership);
        Some((client, log, &mut self.memory))
    }

    /// The log that a client reads.
    pub(crate) fn log_of(&self, id: ClientId) -> &FrameLog {
        self.rooms.log_of(self.clients.get(id).and_then(|client| client.membership))
    }

    /// The membership of an open client.
    pub(crate) fn membership_of(&self, id: ClientId) -> Option<Membership> {
        self.clients.get_open(id)?.membership
    }

    /// The name of the room that the client is in, whether it is open or not.
    pub(crate) fn room_name(&self, client: ClientId) -> Option<Box<str>> {
        let membership = self.clients.get(client)?.membership?;
        self.rooms.get(membership.room).map(|room| room.name.clone())
    }

    /// Whether a client is open, and reads the shared log of its room.
    pub(crate) fn shares_context(&self, id: ClientId) -> bool {
        self.clients.get_open(id).is_some_and(|client| client.reads(Encoding::Shared))
    }

    /// Whether the maximum number of WebSocket connections is open.
    pub(crate) fn is_full(&self) -> bool {
        self.clients.open_count() >= self.config.connections.max
    }

    /// Checks that the room exists, or that the client may create it.
    pub(crate) fn admit_to(&self, room: &str, client: ClientId) -> Result<(), Refusal> {
        let maker = self.clients.get(client).and_then(|client| client.address_key);
        self.rooms.admit(room, maker, &self.config)
    }

    /// The room of this name. If there is history, it is created for a client, or for nobody.
    ///
    /// # Errors
    /// The limits do not allow another room.
    pub(crate) fn room_for_publishing(
        &mut self,
        room: &str,
        client: Option<ClientId>,
    ) -> Result<Option<usize>, Refusal> {
        let known = self.rooms.find(room);
        if known.is_some() || !self.keeps_history(room) {
            return Ok(known);
        }
        let maker = client.and_then(|client| self.clients.get(client)?.address_key);
        self.rooms.admit(room, maker, &self.config)?;
        Ok(Some(self.rooms.find_or_make(room, maker, self.time.moment())))
    }

    /// Whether a room of this name has history.
    pub(crate) fn keeps_history(&self, room: &str) -> bool {
        self.config.history.as_ref().is_some_and(|history| history.apply_to(room))
    }

    /// Counts what was written to clients.
    pub(crate) fn count_written(&mut self, written: &Written) {
        self.counts.writes += written.writes;
        self.counts.written_bytes += written.bytes;
    }

    /// Logs at the level `info` that a peer is refused, within the limit on such lines: strangers can
    /// cause them. What a peer sent should not be in the line, or be escaped and short.
    ///
    /// ```
    /// use townhall::{ClientId, Hub, Response, Upgrade};
    ///
    /// fn admit(hub: &mut Hub, client: ClientId, upgrade: Upgrade<'_>) {
    ///     if upgrade.request().header("Authorization") != Some("Bearer secret") {
    ///         hub.log_refusal(format_args!("{client} has no token"));
    ///         upgrade.refuse(Response::text(401, "a token is needed"));
    ///     }
    /// }
    /// # let _ = admit;
    /// ```
    pub fn log_refusal(&mut self, line: fmt::Arguments<'_>) {
        self.log_rate.log(Level::Info, self.time.timestamp, line);
    }

    /// Counts a refusal of the application in
    /// [`Counts::refused_by_application`](crate::Counts::refused_by_application), where operators find it
    /// beside those of the server. The reason is one of a few fixed texts, because each has its own count.
    ///
    /// ```
    /// use townhall::{Hub, Response, Upgrade};
    ///
    /// fn admit(hub: &mut Hub, upgrade: Upgrade<'_>) {
    ///     if upgrade.request().header("Authorization") != Some("Bearer secret") {
    ///         hub.count_refusal("no token");
    ///         upgrade.refuse(Response::text(401, "a token is needed"));
    ///     }
    /// }
    /// # let _ = admit;
    /// ```
    pub fn count_refusal(&mut self, reason: &'static str) {
        *self.counts.refused_by_application.entry(reason).or_default() += 1;
    }

    /// Logs a problem that an operator should fix, within the same limit, because strangers can cause
    /// it.
    pub(crate) fn warn(&mut self, line: fmt::Arguments<'_>) {
        self.log_rate.log(Level::Warn, self.time.timestamp, line);
    }
}
