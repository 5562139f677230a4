//! What the application learns, and decides.

use std::fmt;
use std::net::IpAddr;

use crate::protocol::{DeflateTerms, InvalidHeader, Message, Request, Response, Terms};
use crate::server::departure::Departure;

/// What happened to a client. For each that opens: one [`Open`](Self::Open), any number of
/// [`Message`](Self::Message) and [`Timer`](Self::Timer), one [`Close`](Self::Close).
///
/// An application can keep something for a client as soon as [`Upgrade`](Self::Upgrade), with
/// [`Hub::set_data`](crate::Hub::set_data), and until [`Close`](Self::Close), which follows unless the
/// application itself refuses the upgrade.
///
/// [`Stop`](Self::Stop), [`Shutdown`](Self::Shutdown) and [`Reload`](Self::Reload) belong to no client, but
/// to [`ClientId::SERVER`](crate::ClientId::SERVER).
///
/// Only between `Open` and `Close` is the client open: in the other callbacks,
/// [`Hub::join`](crate::Hub::join) returns `false`, and messages to the client are dropped.
///
/// An application that uses all of them:
///
/// ```
/// use std::time::Duration;
/// use townhall::{ClientId, CloseCode, Event, Hub, Message, Response};
///
/// const TOO_QUIET: u64 = 1;
/// const PATIENCE: Duration = Duration::from_secs(60);
///
/// fn app(hub: &mut Hub, client: ClientId, event: Event<'_>) {
///     match event {
///         Event::Request(exchange) if exchange.request().path() == "/status" => {
///             let status = if hub.is_stopping() { 503 } else { 200 };
///             let clients = hub.client_count();
///             let rooms = hub.room_count();
///             let body = format!("{clients} clients, {rooms} rooms; {}", hub.counts());
///             exchange.respond(Response::text(status, body));
///         }
///         Event::Upgrade(upgrade) if upgrade.room() == "/staff" => {
///             upgrade.refuse(Response::text(403, "not for you"));
///         }
///         Event::Upgrade(mut upgrade) => {
///             let lobby = upgrade.request().path() == "/";
///             if lobby {
///                 upgrade.set_room("/lobby");
///             }
///             // Clients that do not offer it do without it.
///             let _ = upgrade.set_subprotocol("chat.example");
///         }
///         Event::Open { room, subprotocol, address, .. } => {
///             println!("{client} from {address:?} speaks {subprotocol:?}");
///             if hub.join(client, room) {
///                 let others = hub.members(room).filter(|&member| member != client).count();
///                 hub.send(client, &format!("{others} others are here"));
///             }
///             hub.set_timer(client, TOO_QUIET, PATIENCE);
///         }
///         Event::Message(Message::Text("/quit")) => {
///             hub.close(client, CloseCode::NORMAL, "goodbye");
///         }
///         Event::Message(message) => {
///             if let Some(room) = hub.room_of(client).map(str::to_owned) {
///                 hub.broadcast(&room, message);
///             }
///             hub.set_timer(client, TOO_QUIET, PATIENCE);
///         }
///         Event::Timer { token: TOO_QUIET, .. } => {
///             hub.leave(client);
///         }
///         Event::Close(departure) => println!("{client} left: {}", departure.cause),
///         _ => {}
///     }
/// }
/// # let _ = app;
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A plain GET or HEAD request. The application may answer it; by default it gets 426, or 404 if
    /// its path is not a room ([`RoomLimits::patterns`](crate::RoomLimits::patterns)). The server itself
    /// answers OPTIONS.
    Request(Exchange<'a>),
    /// A correct request for an upgrade, within all limits, including those of its path's room. The
    /// application may refuse it or choose its room; by default it is accepted into the room that the
    /// normal form of its path names. If a room that the application chose is refused,
    /// [`Close`](Self::Close) follows without [`Open`](Self::Open), with the cause
    /// [`Refused`](crate::Cause::Refused).
    Upgrade(Upgrade<'a>),
    /// The client is connected. It is a member of no room until the application makes it one.
    #[non_exhaustive]
    Open {
        /// The room that its path or the application chose.
        room: &'a str,
        /// The request for the upgrade: path, query and header fields. It is not kept; what is needed
        /// later can be kept with [`Hub::set_data`](crate::Hub::set_data).
        request: &'a Request<'a>,
        /// The subprotocol that was chosen, if any (RFC 6455, section 1.9). It is not kept either.
        subprotocol: Option<&'a str>,
        /// How messages may be compressed, if they may (RFC 7692, section 7).
        deflate: Option<DeflateTerms>,
        /// The client's address, as the limits for one address see it: the one that a trusted proxy
        /// forwards ([`Config::trusted_proxies`](crate::Config::trusted_proxies)), otherwise the
        /// peer's. `None` if the connection has ended already.
        address: Option<IpAddr>,
    },
    /// The client sent a message.
    Message(Message<'a>),
    /// A timer has expired, which the application has set for the client or, with
    /// [`ClientId::SERVER`](crate::ClientId::SERVER), for itself
    /// ([`Hub::set_timer`](crate::Hub::set_timer)).
    #[non_exhaustive]
    Timer {
        /// The number that the application has given to the timer.
        token: u64,
    },
    /// The client is gone; nothing more can be sent to it.
    Close(&'a Departure),
    /// The server has been asked to stop: [`Hub::is_stopping`](crate::Hub::is_stopping) is true from now
    /// on. [`Shutdown`](Self::Shutdown) follows after
    /// [`ShutdownConfig::delay`](crate::ShutdownConfig::delay).
    Stop,
    /// The shutdown begins: the listening sockets are closed after this, and so are all clients.
    Shutdown,
    /// SIGHUP arrived at a server that listens to signals
    /// ([`Server::listen_to_signals`](crate::Server::listen_to_signals)). An application may read its own
    /// settings again.
    Reload,
}

/// A plain HTTP request that awaits its answer. `examples/http.rs` serves a page
/// and a list of rooms.
///
/// ```
/// use townhall::{Event, Exchange, Response};
///
/// /// Answers requests of this machine alone; others get 426.
/// fn answer(exchange: Exchange<'_>) {
///     let is_local = exchange.address().is_some_and(|address| address.is_loopback());
///     if is_local && exchange.request().normal_path() == "/hello" {
///         exchange.respond(Response::text(200, "hello"));
///     }
/// }
/// # let _ = answer;
/// ```
#[derive(Debug)]
pub struct Exchange<'a> {
    pub(crate) request: &'a Request<'a>,
    pub(crate) address: Option<IpAddr>,
    pub(crate) answer: &'a mut Option<Response>,
}

impl<'a> Exchange<'a> {
    /// The request. Its method is GET or HEAD. An answer that depends on the path should go by its
    /// [normal form](Request::normal_path).
    pub fn request(&self) -> &'a Request<'a> {
        self.request
    }

    /// The client's address, as in [`Event::Open`].
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Answers the request.
    pub fn respond(self, response: Response) {
        *self.answer = Some(response);
    }
}

/// A request for an upgrade that awaits its answer: 101, unless the application refuses it.
///
/// ```
/// use townhall::{Response, Upgrade};
///
/// fn admit(mut upgrade: Upgrade<'_>) {
///     if upgrade.request().header("Authorization") != Some("Bearer secret") {
///         println!("{:?} has no token", upgrade.address());
///         return upgrade.refuse(Response::text(401, "a token is needed"));
///     }
///     if upgrade.set_subprotocol("chat.v2").is_err() && upgrade.subprotocol().is_none() {
///         return upgrade.refuse(Response::text(400, "no subprotocol in common"));
///     }
///     if upgrade.room() == "/" {
///         upgrade.set_room("/lobby");
///     }
///     upgrade.add_header("Set-Cookie", "seen=yes").expect("a valid header field");
/// }
/// # let _ = admit;
/// ```
#[derive(Debug)]
pub struct Upgrade<'a> {
    pub(crate) request: &'a Request<'a>,
    pub(crate) address: Option<IpAddr>,
    pub(crate) room: &'a mut String,
    pub(crate) terms: &'a mut Terms,
    pub(crate) refusal: &'a mut Option<Response>,
}

impl<'a> Upgrade<'a> {
    /// The request.
    pub fn request(&self) -> &'a Request<'a> {
        self.request
    }

    /// The room that [`Event::Open`] will name: the one that was chosen, or the [normal
    /// form](Request::normal_path) of the request's path. Decide by this name whether a client may
    /// enter, since one room has many paths.
    pub fn room(&self) -> &str {
        self.room
    }

    /// Chooses the room that [`Event::Open`] will name.
    pub fn set_room(&mut self, room: &str) {
        room.clone_into(self.room);
    }

    /// The client's address, as in [`Event::Open`].
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// The subprotocol that the answer will name: the one that was chosen, or the first of the client's
    /// that is in [`Config::subprotocols`](crate::Config::subprotocols).
    pub fn subprotocol(&self) -> Option<&str> {
        self.terms.subprotocol.as_deref()
    }

    /// Chooses the subprotocol, which need not be in
    /// [`Config::subprotocols`](crate::Config::subprotocols).
    ///
    /// # Errors
    /// The client has not offered it, so that it would fail the connection (RFC 6455, section 4.1).
    pub fn set_subprotocol(&mut self, name: &str) -> Result<(), SubprotocolNotOffered> {
        if !self.request.subprotocols().any(|offered| offered == name) {
            return Err(SubprotocolNotOffered);
        }
        self.terms.subprotocol = Some(name.to_owned());
        Ok(())
    }

    /// Adds a header field to the 101 answer, such as `Set-Cookie`.
    ///
    /// # Errors
    /// The name or the value is not one of a header field, or the field belongs to the handshake itself.
    pub fn add_header(&mut self, name: &str, value: &str) -> Result<(), InvalidHeader> {
        self.terms.add_header(name, value)
    }

    /// Refuses the upgrade with this answer.
    pub fn refuse(self, response: Response) {
        *self.refusal = Some(response);
    }
}

/// A subprotocol was chosen that the client did not offer: the error of [`Upgrade::set_subprotocol`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubprotocolNotOffered;

impl fmt::Display for SubprotocolNotOffered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client has not offered this subprotocol")
    }
}

impl std::error::Error for SubprotocolNotOffered {}
