//! The events that the application handles, and the requests that it answers.

mod exchange;

use std::fmt;
use std::net::IpAddr;

use crate::protocol::{DeflateTerms, InvalidHeader, Message, Request, Response, Start, Terms};
use crate::server::departure::Departure;

pub(crate) use exchange::Answer;
pub use exchange::{Deferred, Exchange, RequestHead};

/// An event of a client. A client that opens causes one [`Open`](Self::Open), any number of
/// [`Message`](Self::Message) and [`Timer`](Self::Timer), and one [`Close`](Self::Close).
///
/// An application can keep a value for a client with [`Hub::set_data`](crate::Hub::set_data), from
/// [`Upgrade`](Self::Upgrade) until [`Close`](Self::Close), which follows unless the application itself
/// refuses the upgrade.
///
/// [`Begin`](Self::Begin), [`Stop`](Self::Stop), [`Shutdown`](Self::Shutdown), [`End`](Self::End) and
/// [`Reload`](Self::Reload) belong to no client, but to [`ClientId::SERVER`](crate::ClientId::SERVER).
///
/// The client is open only from `Open` until `Close`: during the other events,
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
///             // Clients that do not offer it connect without it.
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
    /// The server begins to serve: no client has been accepted yet. The application may
    /// [restore](crate::Hub::restore) rooms, and set timers.
    Begin,
    /// A plain GET or HEAD request. The application may answer it. Otherwise it gets 426, or 404 if its
    /// path is not a room ([`RoomLimits::patterns`](crate::RoomLimits::patterns)). With
    /// [`Config::any_method`](crate::Config::any_method), requests with other methods come too, and with
    /// [`Config::request_bodies`](crate::Config::request_bodies) their bodies. If the application does not
    /// answer them, OPTIONS gets 204, POST, PUT and DELETE get 405, and others get 501.
    Request(Exchange<'a>),
    /// The head of a plain request with a body, with
    /// [`Config::request_bodies`](crate::Config::request_bodies). The application may refuse it before the
    /// body is read. Otherwise, [`Request`](Self::Request) follows once the body is complete.
    Head(RequestHead<'a>),
    /// A valid upgrade request within all limits, including the limits on the room of its path. The
    /// application may refuse it or choose its room. By default, it is accepted, and its room is the
    /// normal form of its path. If the application chooses a room that the limits do not allow,
    /// [`Close`](Self::Close) follows without [`Open`](Self::Open), with the cause
    /// [`Refused`](crate::Cause::Refused).
    Upgrade(Upgrade<'a>),
    /// The client is connected. It is in no room until the application calls
    /// [`Hub::join`](crate::Hub::join).
    #[non_exhaustive]
    Open {
        /// The room that the application chose, or the normal form of the request's path.
        room: &'a str,
        /// The upgrade request: path, query and header fields. The server does not keep it;
        /// [`Hub::set_data`](crate::Hub::set_data) keeps what the application needs later.
        request: &'a Request<'a>,
        /// The subprotocol, if one was chosen (RFC 6455, section 1.9). The server does not keep it
        /// either.
        subprotocol: Option<&'a str>,
        /// The terms of permessage-deflate, if it was negotiated (RFC 7692, section 7).
        deflate: Option<DeflateTerms>,
        /// The client's address, to which the limits per address apply: the one that a trusted proxy
        /// forwards ([`Config::trusted_proxies`](crate::Config::trusted_proxies)) in a field of the request
        /// or in a PROXY header, otherwise that of the
        /// TCP connection. `None` if the connection has already ended, or if a peer on a Unix socket
        /// forwards no address.
        address: Option<IpAddr>,
        /// What the client wants to receive first, from the query of the request, for
        /// [`Hub::join_from`](crate::Hub::join_from). Without history
        /// ([`Config::history`](crate::Config::history)), it is always [`Start::Now`].
        start: Start,
    },
    /// The client sent a message.
    Message(Message<'a>),
    /// A timer of [`Hub::set_timer`](crate::Hub::set_timer) has expired. The client is
    /// [`ClientId::SERVER`](crate::ClientId::SERVER) if the application set the timer for itself.
    #[non_exhaustive]
    Timer {
        /// The application's own number for the timer.
        token: u64,
    },
    /// The client has left. Messages to it are dropped.
    Close(&'a Departure),
    /// The server has been asked to stop: [`Hub::is_stopping`](crate::Hub::is_stopping) is true from now
    /// on. [`Shutdown`](Self::Shutdown) follows after
    /// [`ShutdownConfig::delay`](crate::ShutdownConfig::delay).
    Stop,
    /// The shutdown begins: the listening sockets are closed after this, and so are all clients.
    Shutdown,
    /// The server has ended: every client has left. The application may take a last look at the
    /// [rooms](crate::Hub::rooms): those with history that existed when the shutdown began are there
    /// for as long as history is kept, even if they are empty. The server waits for it.
    End,
    /// SIGHUP arrived at a server that listens to signals
    /// ([`Server::listen_to_signals`](crate::Server::listen_to_signals)). An application may read its own
    /// settings again.
    Reload,
}

/// An upgrade request. The response is 101, unless the application refuses it.
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

    /// The room that [`Event::Open`] will name: the one that the application chose, or the [normal
    /// form](Request::normal_path) of the request's path. Use this name to decide whether a client may
    /// enter, because different paths can name one room.
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

    /// The subprotocol that the response will name: the one that the application chose, or the first of
    /// the client's offers that is in [`Config::subprotocols`](crate::Config::subprotocols).
    pub fn subprotocol(&self) -> Option<&str> {
        self.terms.subprotocol.as_deref()
    }

    /// Chooses the subprotocol, which need not be in
    /// [`Config::subprotocols`](crate::Config::subprotocols).
    ///
    /// # Errors
    /// The client has not offered it, and would fail the connection (RFC 6455, section 4.1).
    pub fn set_subprotocol(&mut self, name: &str) -> Result<(), SubprotocolNotOffered> {
        if !self.request.subprotocols().any(|offered| offered == name) {
            return Err(SubprotocolNotOffered);
        }
        self.terms.subprotocol = Some(name.to_owned());
        Ok(())
    }

    /// Adds a header field to the 101 response, such as `Set-Cookie`.
    ///
    /// # Errors
    /// The name or the value is not valid, or the field belongs to the handshake itself.
    pub fn add_header(&mut self, name: &str, value: &str) -> Result<(), InvalidHeader> {
        self.terms.add_header(name, value)
    }

    /// Refuses the upgrade with this response.
    pub fn refuse(self, response: Response) {
        *self.refusal = Some(response);
    }
}

/// The error of [`Upgrade::set_subprotocol`]: the client has not offered the subprotocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubprotocolNotOffered;

impl fmt::Display for SubprotocolNotOffered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client has not offered this subprotocol")
    }
}

impl std::error::Error for SubprotocolNotOffered {}
