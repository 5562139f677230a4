//! What the application can learn about clients and rooms, and keep for clients.

use std::any::Any;
use std::net::SocketAddr;
use std::time::Duration;

use crate::protocol::Request;
use crate::server::client_id::ClientId;
use crate::server::counts::Counts;
use crate::server::hub::site;
use crate::server::hub::state::{Hub, Phase};
use crate::server::memory_usage::MemoryUsage;
use crate::server::time::timers;

impl Hub {
    /// Whether messages can be sent to a client: it has opened, and neither side has begun to close it.
    ///
    /// ```
    /// use townhall::{ClientId, Handle, HandleError};
    ///
    /// /// Returns a result from another thread.
    /// fn finish(handle: &Handle, client: ClientId, result: String) -> Result<(), HandleError> {
    ///     handle.run(move |hub| {
    ///         if hub.is_open(client) {
    ///             hub.send(client, &result);
    ///         } else {
    ///             println!("{client} did not wait for its result");
    ///         }
    ///     })
    /// }
    /// # let _ = finish;
    /// ```
    pub fn is_open(&self, client: ClientId) -> bool {
        self.clients.get_open(client).is_some()
    }

    /// The address of a client's TCP connection: the client's own, or that of the last proxy before the
    /// server. Where that proxy has sent a PROXY header
    /// ([`Listen::proxy_protocol`](crate::Listen::proxy_protocol)), it is the client's address in the
    /// header. An IPv4 address is returned as such, even if it connected to an IPv6 socket. The peer of a
    /// Unix socket has none. Each call asks the system, which returns `None` once the peer has ended the
    /// connection. Use [`set_data`](Self::set_data) to keep an address that is needed at
    /// [`Event::Close`](crate::Event::Close).
    ///
    /// ```
    /// use std::net::SocketAddr;
    /// use townhall::{ClientId, Event, Hub};
    ///
    /// fn app(hub: &mut Hub, client: ClientId, event: Event<'_>) {
    ///     match event {
    ///         Event::Open { .. } => {
    ///             if let Some(address) = hub.peer_address(client) {
    ///                 hub.set_data(client, address);
    ///             }
    ///         }
    ///         Event::Close(departure) => {
    ///             println!("{:?}: {departure}", hub.data::<SocketAddr>(client));
    ///         }
    ///         _ => {}
    ///     }
    /// }
    /// # let _ = app;
    /// ```
    pub fn peer_address(&self, client: ClientId) -> Option<SocketAddr> {
        let address = self.clients.get(client)?.transport.peer_address()?;
        Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }

    /// Whether the page that sent a plain request may connect, by the rules for WebSockets
    /// ([`Config::origins`](crate::Config::origins)). A request that no page has sent may. Browsers send no
    /// origin with GET and HEAD to the page's own host. On a loopback address, such a request may therefore
    /// name only a host that always means this machine, or that the configuration names. If the answer is
    /// no, the log says why, and [`Refusal::Origin`](crate::protocol::Refusal::Origin) is counted.
    ///
    /// ```
    /// use townhall::protocol::Refusal;
    /// use townhall::{ClientId, Exchange, Hub, Response};
    ///
    /// fn answer(hub: &mut Hub, client: ClientId, exchange: Exchange<'_>) {
    ///     if !hub.allows_page(client, exchange.request()) {
    ///         return exchange.respond(Response::refusal(Refusal::Origin));
    ///     }
    ///     exchange.respond(Response::new(204));
    /// }
    /// # let _ = answer;
    /// ```
    pub fn allows_page(&mut self, client: ClientId, request: &Request<'_>) -> bool {
        let checked = site::check_page(self, client, request);
        if let Err(refusal) = checked {
            *self.counts.refused.entry(refusal).or_default() += 1;
        }
        checked.is_ok()
    }

    /// The room that a client is in, if the client [is open](Self::is_open).
    pub fn room_of(&self, client: ClientId) -> Option<&str> {
        let membership = self.membership_of(client)?;
        self.rooms.get(membership.room).map(|room| &*room.name)
    }

    /// Whether a client speaks [`townhall.v1`](crate::protocol::SUBPROTOCOL), and is told where it begins in
    /// a room with history and what it misses.
    pub fn hears_words(&self, client: ClientId) -> bool {
        self.clients.get(client).is_some_and(|client| client.hears_words)
    }

    /// The members of a room that [are open](Self::is_open), in no particular order. The iterator
    /// borrows the hub: collect the ids before you change the hub.
    pub fn members(&self, room: &str) -> impl Iterator<Item = ClientId> {
        let room = self.rooms.find(room).and_then(|key| self.rooms.get(key));
        let members = room.into_iter().flat_map(|room| &room.members);
        let members = members.map(|&key| &self.clients[key]);
        members.filter(|client| client.connection.is_open()).map(|client| client.id)
    }

    /// The number of rooms that have members.
    pub fn room_count(&self) -> usize {
        self.rooms.len()
    }

    /// The number of WebSocket connections, including those that are closing.
    pub fn client_count(&self) -> usize {
        self.clients.open_count()
    }

    /// Whether the message that is being handled arrived compressed (RFC 7692, section 6). Outside of
    /// [`Event::Message`](crate::Event::Message), this refers to the last message.
    ///
    /// ```
    /// use townhall::{ClientId, Event, Hub};
    ///
    /// fn app(hub: &mut Hub, client: ClientId, event: Event<'_>) {
    ///     if let Event::Message(message) = event {
    ///         let how = if hub.was_compressed() { "compressed" } else { "plain" };
    ///         println!("{client} sent {} bytes, {how}", message.payload().len());
    ///     }
    /// }
    /// # let _ = app;
    /// ```
    pub fn was_compressed(&self) -> bool {
        self.was_compressed
    }

    /// Whether the server has been asked to stop. It still answers requests, and opens connections until
    /// [`ShutdownConfig::delay`](crate::ShutdownConfig::delay) is over.
    pub fn is_stopping(&self) -> bool {
        self.phase != Phase::Serving
    }

    /// Counts of events since the start of the server.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The memory that is held for clients now.
    pub fn memory_usage(&self) -> MemoryUsage {
        MemoryUsage {
            incomplete_bytes: self.memory.incomplete.get(),
            backlog_bytes: self.memory.backlog(),
            log_bytes: self.memory.segments.held(),
            history_bytes: self.memory.segments.past(),
            deflate_context_bytes: self.usage.windows.reserved(),
        }
    }

    /// Keeps a value for a client, and drops the previous one. This works from
    /// [`Event::Upgrade`](crate::Event::Upgrade) on. The value is dropped once
    /// [`Event::Close`](crate::Event::Close) has been handled. Returns whether the client exists; if it
    /// does not, the value is dropped at once.
    ///
    /// ```
    /// use townhall::{Event, Hub};
    ///
    /// struct User {
    ///     name: String,
    ///     messages: u64,
    /// }
    ///
    /// fn app(hub: &mut Hub, client: townhall::ClientId, event: Event<'_>) {
    ///     match event {
    ///         Event::Open { request, .. } => {
    ///             let name = request.query().unwrap_or("somebody").to_owned();
    ///             hub.set_data(client, User { name, messages: 0 });
    ///         }
    ///         Event::Message(_) => {
    ///             if let Some(user) = hub.data_mut::<User>(client) {
    ///                 user.messages += 1;
    ///             }
    ///         }
    ///         Event::Close(_) => {
    ///             if let Some(User { name, messages }) = hub.take_data(client) {
    ///                 println!("{name} sent {messages} messages");
    ///             }
    ///         }
    ///         _ => {}
    ///     }
    /// }
    /// # let _ = app;
    /// ```
    pub fn set_data<T: Any + Send>(&mut self, client: ClientId, value: T) -> bool {
        let there = self.is_there(client);
        if there {
            self.data.insert(client, value);
        }
        there
    }

    /// The value that is kept for a client; `None` if there is none, or if it has another type.
    pub fn data<T: Any + Send>(&self, client: ClientId) -> Option<&T> {
        self.data.get(client)
    }

    /// The value that is kept for a client, mutably; `None` if there is none, or if it has another type.
    pub fn data_mut<T: Any + Send>(&mut self, client: ClientId) -> Option<&mut T> {
        self.data.get_mut(client)
    }

    /// Removes and returns the value that is kept for a client; `None` if there is none, or if it has
    /// another type. In the latter case, it is kept.
    pub fn take_data<T: Any + Send>(&mut self, client: ClientId) -> Option<T> {
        self.data.take(client)
    }

    /// Sets a timer: the application gets [`Event::Timer`](crate::Event::Timer) for this client once
    /// `after` has passed since the beginning of the event loop's turn. With [`ClientId::SERVER`], the
    /// timer belongs to the application itself.
    ///
    /// The `token` is the application's own number for the timer. A timer that is already set for the
    /// same client and token is replaced. A timer fires once, never early, and usually within two
    /// milliseconds, but not before the server has read everything that clients had sent when the timer
    /// was due. Messages that the application sends then are written in the same turn. At most 1,024
    /// timers fire in one turn. No timer of a client fires after its
    /// [`Event::Close`](crate::Event::Close).
    ///
    /// The number of timers is not limited. A timer takes about 100 bytes while it is set, and a server
    /// without timers does no work for them. Returns whether the timer was set; it is not set if the
    /// client has left.
    ///
    /// ```
    /// use std::time::Duration;
    /// use townhall::{ClientId, Config, Event, Server};
    ///
    /// const TICK: u64 = 1;
    ///
    /// let mut config = Config::default();
    /// config.listen = vec!["127.0.0.1:0".parse()?];
    /// let server = Server::bind(config)?;
    /// let handle = server.handle();
    /// handle.run(|hub| {
    ///     hub.set_timer(ClientId::SERVER, TICK, Duration::from_millis(1));
    /// })?;
    /// let mut turns = 0;
    /// server.run(|hub, client, event| {
    ///     if let Event::Timer { token: TICK, .. } = event {
    ///         turns += 1;
    ///         hub.broadcast("/clock", &turns.to_string());
    ///         hub.set_timer(client, TICK, Duration::from_millis(1));
    ///     }
    ///     if turns == 3 {
    ///         handle.stop();
    ///     }
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_timer(&mut self, client: ClientId, token: u64, after: Duration) -> bool {
        let there = client == ClientId::SERVER || self.is_there(client);
        if there {
            self.time.timers.set(client, token, timers::after(self.time.now, after));
        }
        there
    }

    /// Cancels a timer. Returns whether it was set.
    ///
    /// ```
    /// use std::time::Duration;
    /// use townhall::{ClientId, CloseCode, Event, Hub, Message};
    ///
    /// const LOG_IN: u64 = 1;
    ///
    /// /// Closes clients that do not log in.
    /// fn app(hub: &mut Hub, client: ClientId, event: Event<'_>) {
    ///     match event {
    ///         Event::Open { .. } => {
    ///             hub.set_timer(client, LOG_IN, Duration::from_secs(10));
    ///         }
    ///         Event::Message(Message::Text("secret")) => {
    ///             if hub.cancel_timer(client, LOG_IN) {
    ///                 hub.send(client, "welcome");
    ///             }
    ///         }
    ///         Event::Timer { token: LOG_IN, .. } => {
    ///             hub.close(client, CloseCode::POLICY_VIOLATION, "no login");
    ///         }
    ///         _ => {}
    ///     }
    /// }
    /// # let _ = app;
    /// ```
    pub fn cancel_timer(&mut self, client: ClientId, token: u64) -> bool {
        self.time.timers.cancel(client, token)
    }

    /// Whether a client exists and has not departed.
    fn is_there(&self, client: ClientId) -> bool {
        self.clients.get(client).is_some_and(|client| client.presence.is_there())
    }
}
