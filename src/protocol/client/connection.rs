//! One connection, from the request of a client to the last byte of the close.

use std::sync::Arc;
use std::{fmt, mem};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::compression::Compression;
use super::masks::{Masks, NoRandomness};
use super::refused::Refused;
use super::request::UpgradeRequest;
use super::response::{Accepted, HandshakeResponse, InvalidResponse, ResponseHead};
use crate::protocol::close_code::CloseCode;
use crate::protocol::deflate::Inflation;
use crate::protocol::frame::{CloseFrame, FromServer, Opcode, encode_masked_frame};
use crate::protocol::handshake::accept_key;
use crate::protocol::limits::Limits;
use crate::protocol::message::{Buffers, Incoming, Message};
use crate::protocol::session::Session;
use crate::protocol::violation::Violation;

/// A complete unit that a client has received.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientReceived<'a> {
    /// The server has accepted the upgrade. Messages go both ways from now on.
    Accepted(Box<Accepted>),
    /// The server has refused the upgrade. The connection is closed.
    Refused(Box<HandshakeResponse>),
    /// A message or a control frame.
    Frames(Incoming<'a>),
}

/// An error of the server that ends a connection. [`ClientConnection::fail`] answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientFailure {
    /// Before the upgrade: an answer that is not valid.
    Handshake(InvalidResponse),
    /// After the upgrade: a violation of the rules for frames and messages.
    Protocol(Violation),
}

impl fmt::Display for ClientFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handshake(response) => response.fmt(f),
            Self::Protocol(violation) => violation.fmt(f),
        }
    }
}

impl std::error::Error for ClientFailure {}

/// The client's side of a connection.
///
/// It is driven as the server's side is: the [module](crate::protocol) shows the loop. The caller
/// connects to the host of the URI, with TLS if the URI [asks for it](super::WebSocketUri::is_secure),
/// and writes what is appended to `out`. After the close handshake, it waits for the server to close the
/// transport (RFC 6455, section 7.1.1), for a few seconds at most.
///
/// ```
/// use townhall::protocol::{
///     Buffers, ClientConnection, ClientFailure, ClientReceived, CloseCode, Incoming, Limits,
///     UpgradeRequest,
/// };
///
/// /// Takes bytes from the server, and appends the bytes for it to `out`.
/// fn drive(
///     connection: &mut ClientConnection,
///     mut input: &mut [u8],
///     buffers: &mut Buffers,
///     out: &mut Vec<u8>,
/// ) {
///     loop {
///         match connection.receive(&mut input, buffers) {
///             Ok(None) => return,
///             Ok(Some(ClientReceived::Accepted(_))) => connection.send("hello", out),
///             Ok(Some(ClientReceived::Refused(answer))) => eprintln!("{}", answer.status()),
///             Ok(Some(ClientReceived::Frames(incoming))) => match &incoming {
///                 Incoming::Message(_) => connection.close(CloseCode::NORMAL, "", out),
///                 Incoming::Ping(payload) => connection.pong(payload, out),
///                 Incoming::Close(frame) => connection.answer_close(frame.as_ref(), out),
///                 _ => {}
///             },
///             Ok(Some(_)) => {}
///             Err(failure) => connection.fail(failure, out),
///         }
///     }
/// }
///
/// let request = UpgradeRequest::new("ws://localhost/lobby".parse()?);
/// let mut out = Vec::new();
/// let mut connection = ClientConnection::new(request, Limits::default(), &mut out)?;
/// assert!(out.starts_with(b"GET /lobby HTTP/1.1\r\nHost: localhost\r\n"));
///
/// let mut answer = *b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
/// drive(&mut connection, &mut answer, &mut Buffers::default(), &mut out);
/// assert!(connection.is_closed());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ClientConnection {
    limits: Arc<Limits>,
    masks: Masks,
    compression: Option<Box<Compression>>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The head of the server's answer is not complete.
    Handshaking(Box<Handshake>),
    /// The server has refused, and the body of its answer is not complete.
    Refused(Box<Refused>),
    /// The handshake is over.
    Session(Session<FromServer>),
}

#[derive(Debug)]
struct Handshake {
    request: UpgradeRequest,
    /// The value of Sec-WebSocket-Accept that answers the request.
    accept_key: String,
    head: ResponseHead,
}

impl State {
    const ENDED: Self = Self::Session(Session::Closed { clean: false });
}

impl ClientConnection {
    /// A new connection, whose request is appended to `out`. The key of the request and the masking keys
    /// of the frames come from the system's random number generator.
    ///
    /// # Errors
    /// [`NoRandomness`] if the system has none. If that happens later, the connection is closed instead
    /// of a frame being sent with a predictable key.
    pub fn new(
        request: UpgradeRequest,
        limits: impl Into<Arc<Limits>>,
        out: &mut Vec<u8>,
    ) -> Result<Self, NoRandomness> {
        let mut masks = Masks::new();
        let key = STANDARD.encode(masks.take::<16>()?);
        request.encode(&key, out);
        let accept_key = accept_key(&key);
        let handshake = Handshake { request, accept_key, head: ResponseHead::default() };
        let state = State::Handshaking(Box::new(handshake));
        Ok(Self { limits: limits.into(), masks, compression: None, state })
    }

    /// Takes bytes off the front of `input` until a unit is complete, and returns it, or `None` when the
    /// input is used up. Any number of connections can share `buffers`.
    ///
    /// # Errors
    /// What the server did wrong, which [`fail`](Self::fail) must answer. After a failure of an open
    /// connection, only the server's close frame is received.
    pub fn receive<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        buffers: &mut Buffers,
    ) -> Result<Option<ClientReceived<'a>>, ClientFailure> {
        if let State::Handshaking(_) = self.state
            && let Some(accepted) = self.receive_answer(input).map_err(ClientFailure::Handshake)?
        {
            return Ok(Some(ClientReceived::Accepted(Box::new(accepted))));
        }
        match &mut self.state {
            State::Handshaking(_) => Ok(None),
            State::Refused(refused) => {
                let refusal = refused.receive(input).then(|| self.take_refusal()).flatten();
                Ok(refusal.map(Box::new).map(ClientReceived::Refused))
            }
            State::Session(session) => {
                let incoming = match session.receive_whole(input) {
                    Some(whole) => whole.map(Some),
                    None => session.receive(input, buffers),
                };
                incoming
                    .map(|incoming| incoming.map(ClientReceived::Frames))
                    .map_err(ClientFailure::Protocol)
            }
        }
    }

    /// Receives the head of the answer, and skips interim responses before it.
    fn receive_answer(
        &mut self,
        input: &mut &mut [u8],
    ) -> Result<Option<Accepted>, InvalidResponse> {
        let State::Handshaking(handshake) = &mut self.state else { return Ok(None) };
        let response = loop {
            match handshake.head.receive(input, &self.limits)? {
                Some(response) if response.is_interim() => {}
                Some(response) => break response,
                None => return Ok(None),
            }
        };
        if response.status() != 101 {
            self.state = State::Refused(Box::new(Refused::new(response, &self.limits)?));
            return Ok(None);
        }
        let Handshake { request, accept_key, .. } = &**handshake;
        let accepted = response.check(request, accept_key)?;
        let both = request.deflate.as_ref().zip(accepted.deflate.as_ref());
        let compression = both.and_then(|(offer, terms)| Compression::new(offer, terms));
        self.compression = compression.map(Box::new);
        let inflation = Inflation::of_server(accepted.deflate);
        self.state = State::Session(Session::new(self.limits.clone(), inflation));
        Ok(Some(accepted))
    }

    /// The refusal, with the part of its body that has arrived.
    fn take_refusal(&mut self) -> Option<HandshakeResponse> {
        if !matches!(self.state, State::Refused(_)) {
            return None;
        }
        match mem::replace(&mut self.state, State::ENDED) {
            State::Refused(refused) => Some(refused.into_response()),
            _ => None,
        }
    }

    /// Sends a message as one frame, compressed if that was negotiated and the message is long enough, if
    /// messages may be sent.
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>, out: &mut Vec<u8>) {
        if !self.is_open() {
            return;
        }
        let message = message.into();
        let Ok(mask) = self.masks.take() else { return self.abandon() };
        let payload = message.payload();
        let compression = self.compression.as_mut();
        match compression.and_then(|compression| compression.compress(payload)) {
            Some(compressed) => {
                encode_masked_frame(message.opcode(), true, &compressed, mask, out);
            }
            None => encode_masked_frame(message.opcode(), false, payload, mask, out),
        }
    }

    /// Answers a ping with its payload (RFC 6455, section 5.5.3), if messages may be sent.
    pub fn pong(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        self.act(out, |session, send| session.send_control(Opcode::Pong, payload, send));
    }

    /// Sends a ping (RFC 6455, section 5.5.2), if messages may be sent. A payload of more than 125 bytes
    /// is shortened, because no control frame may have more.
    pub fn ping(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        self.act(out, |session, send| session.send_control(Opcode::Ping, payload, send));
    }

    /// Begins the close handshake, if messages may be sent. After that, nothing else is sent (RFC 6455,
    /// section 7.1.2). A reason of more than 123 bytes is shortened.
    pub fn close(&mut self, code: CloseCode, reason: &str, out: &mut Vec<u8>) {
        self.act(out, |session, send| session.close(code, reason, send));
    }

    /// Completes the close handshake after the server's close frame has arrived. If the server began, the
    /// answer echoes its code and reason.
    pub fn answer_close(&mut self, frame: Option<&CloseFrame>, out: &mut Vec<u8>) {
        self.act(out, |session, send| session.answer_close(frame, send));
    }

    /// Fails the connection (RFC 6455, section 7.1.7). Before the upgrade, it is closed. After the
    /// upgrade, a close frame with the reason is sent, and the connection waits for the server's, unless
    /// that frame was the violation.
    pub fn fail(&mut self, failure: ClientFailure, out: &mut Vec<u8>) {
        match failure {
            ClientFailure::Handshake(_) => self.abandon(),
            ClientFailure::Protocol(violation) => {
                self.act(out, |session, send| session.fail(violation, send));
            }
        }
    }

    /// Does something that may send a frame, and ends the connection if there is no key for it.
    fn act(
        &mut self,
        out: &mut Vec<u8>,
        action: impl FnOnce(&mut Session<FromServer>, &mut dyn FnMut(Opcode, &[u8])),
    ) {
        let State::Session(session) = &mut self.state else { return };
        let mut has_keys = true;
        action(session, &mut |opcode, payload| match self.masks.take() {
            Ok(mask) => encode_masked_frame(opcode, false, payload, mask, out),
            Err(NoRandomness) => has_keys = false,
        });
        if !has_keys {
            self.abandon();
        }
    }

    /// Ends the connection without a close frame, because its transport has ended. The refusal of an
    /// upgrade may end this way (RFC 9112, section 6.3), and is returned then.
    pub fn end(&mut self) -> Option<HandshakeResponse> {
        let refusal = self.take_refusal();
        self.abandon();
        refusal
    }

    /// Ends the connection without a close frame.
    pub fn abandon(&mut self) {
        self.state = match self.state {
            State::Session(Session::Closed { clean }) => State::Session(Session::Closed { clean }),
            _ => State::ENDED,
        };
    }

    /// The memory in bytes for an incomplete answer or message.
    pub fn held_bytes(&self) -> usize {
        match &self.state {
            State::Handshaking(handshake) => handshake.head.held_bytes(),
            State::Refused(refused) => refused.held_bytes(),
            State::Session(session) => session.held_bytes(),
        }
    }

    /// The number of bytes that have not arrived of the frame that has begun; 0 if none has begun.
    pub fn expected_bytes(&self) -> u64 {
        match &self.state {
            State::Session(session) => session.expected_bytes(),
            _ => 0,
        }
    }

    /// Whether the connection waits for the server's answer.
    pub fn is_handshaking(&self) -> bool {
        matches!(self.state, State::Handshaking(_) | State::Refused(_))
    }

    /// Whether messages may be sent.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Session(Session::Open(_)))
    }

    /// Whether nothing more is to be sent or received.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Session(Session::Closed { .. }))
    }

    /// Whether the connection closed with a close frame from each side (RFC 6455, section 7.1.4).
    pub fn was_clean(&self) -> bool {
        matches!(self.state, State::Session(Session::Closed { clean: true }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> ClientConnection {
        let request = UpgradeRequest::new("ws://a/".parse().unwrap());
        let mut client =
            ClientConnection::new(request, Limits::default(), &mut Vec::new()).unwrap();
        client.state =
            State::Session(Session::new(client.limits.clone(), Inflation::of_server(None)));
        client
    }

    #[test]
    fn without_a_key_nothing_is_sent_and_the_connection_ends() {
        for send in [
            |client: &mut ClientConnection, out: &mut Vec<u8>| client.send("hello", out),
            |client: &mut ClientConnection, out: &mut Vec<u8>| client.ping(b"", out),
            |client: &mut ClientConnection, out: &mut Vec<u8>| {
                client.close(CloseCode::NORMAL, "", out);
            },
        ] {
            let mut client = open();
            client.masks = Masks::without_randomness();
            let mut out = Vec::new();
            send(&mut client, &mut out);
            assert!(out.is_empty() && client.is_closed() && !client.was_clean());
        }
    }

    #[test]
    fn a_connection_says_what_it_holds_and_expects() {
        let mut client = open();
        assert_eq!((client.held_bytes(), client.expected_bytes()), (0, 0));
        let mut bytes = b"\x81\x05He".to_vec();
        client.receive(&mut &mut bytes[..], &mut Buffers::default()).unwrap();
        assert!(client.held_bytes() > 0);
        assert_eq!(client.expected_bytes(), 3);
    }
}
