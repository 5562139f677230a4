//! One connection, from the first byte of the handshake to the last of the close
//! (RFC 6455, sections 4.2 and 7), without a socket and without a clock.

mod requests;

use std::sync::Arc;

use super::close_code::CloseCode;
use super::deflate::Inflation;
use super::failure::Failure;
use super::frame::{CloseFrame, FromClient, Opcode, encode_frame};
use super::handshake::Terms;
use super::http::{Body, Head, Response};
use super::limits::Limits;
use super::message::{Buffers, Incoming, Message};
use super::session::Session;

/// A complete unit that a connection has received.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Received<'a> {
    /// A complete request head. Nothing more is received until [`Connection::accept`],
    /// [`Connection::respond`] or [`Connection::fail`] has answered it, or [`Connection::read_body`] has
    /// asked for its body.
    Head(Vec<u8>),
    /// A request whose body has been asked for, complete. Nothing more is received until it has been
    /// answered.
    Request {
        /// The head, as in [`Head`](Self::Head).
        head: Vec<u8>,
        /// The body, without its transfer coding.
        body: Vec<u8>,
    },
    /// A message or a control frame.
    Frames(Incoming<'a>),
}

/// The server's side of a connection.
///
/// [`receive`](Self::receive) takes the bytes that arrived. The other methods append the bytes to be
/// sent to a buffer. The caller owns the transport and the clock. The [module](super) shows how to move
/// the bytes; this example handles timeouts and a lack of memory:
///
/// ```
/// use townhall::protocol::{CloseCode, Connection, Limits, Refusal};
///
/// /// Called when nothing has arrived for 20 seconds.
/// fn handle_silence(connection: &mut Connection, out: &mut Vec<u8>) {
///     if connection.is_untouched() {
///         // Browsers open connections in advance, and expect no response if they send nothing.
///         connection.abandon();
///     } else if connection.is_handshaking() {
///         connection.fail(Refusal::Timeout, out);
///     } else if connection.is_open() && connection.expected_bytes() == 0 {
///         connection.ping(b"", out);
///     } else {
///         // The client is in the middle of a frame, or does not answer our close frame.
///         connection.abandon();
///     }
/// }
///
/// /// Called when memory is short.
/// fn handle_overload(connection: &mut Connection, out: &mut Vec<u8>) {
///     if connection.held_bytes() > 1 << 20 {
///         connection.close(CloseCode::TRY_AGAIN_LATER, "server busy", out);
///     }
/// }
///
/// let mut connection = Connection::new(Limits::default());
/// let mut out = Vec::new();
/// handle_overload(&mut connection, &mut out);
/// handle_silence(&mut connection, &mut out);
/// assert!(out.is_empty() && connection.is_closed() && !connection.was_clean());
/// ```
#[derive(Debug)]
pub struct Connection {
    limits: Arc<Limits>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The request head is not complete.
    Handshaking(Head),
    /// The body of a request is not complete.
    ReadingBody(Box<Body>),
    /// The request has been returned, and the connection waits for the response to it. The bytes after it
    /// are not read.
    Answering {
        /// Whether the method is HEAD, whose response has no body (RFC 9110, section 9.3.2).
        is_head: bool,
        /// The bytes after the request, if they have been read.
        unread: Vec<u8>,
    },
    /// The handshake is over.
    Session(Session<FromClient>),
}

impl State {
    const ENDED: Self = Self::Session(Session::Closed { clean: false });
}

impl Connection {
    /// A new connection. Connections can share their limits in an [`Arc`].
    pub fn new(limits: impl Into<Arc<Limits>>) -> Self {
        Self { limits: limits.into(), state: State::Handshaking(Head::default()) }
    }

    /// Takes bytes off the front of `input` until a unit is complete, and returns it, or `None` when the
    /// input is used up. Payloads are unmasked in place. Any number of connections can share `buffers`.
    ///
    /// # Errors
    /// What the peer did wrong, which [`fail`](Self::fail) must answer. After a failure of an open
    /// connection, only the peer's close frame is received.
    pub fn receive<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        buffers: &mut Buffers,
    ) -> Result<Option<Received<'a>>, Failure> {
        if let State::Session(session) = &self.state
            && let Some(message) = session.receive_whole(input)
        {
            return match message {
                Ok(message) => Ok(Some(Received::Frames(message))),
                Err(violation) => Err(Failure::Protocol(violation)),
            };
        }
        self.receive_any(input, buffers)
    }

    /// Handles everything except the usual case, which stays short this way.
    #[inline(never)]
    fn receive_any<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        buffers: &mut Buffers,
    ) -> Result<Option<Received<'a>>, Failure> {
        let received = match &mut self.state {
            State::Handshaking(head) => {
                let max_bytes = self.limits.max_head_bytes;
                let head = head.receive(input, max_bytes).map_err(Failure::Handshake)?;
                if let Some(head) = &head {
                    self.state = State::answering(head);
                }
                head.map(Received::Head)
            }
            State::ReadingBody(body) => {
                let request = body.receive(input).map_err(Failure::Handshake)?;
                if let Some((head, _)) = &request {
                    self.state = State::answering(head);
                }
                request.map(|(head, body)| Received::Request { head, body })
            }
            State::Answering { .. } => None,
            State::Session(session) => {
                let incoming = session.receive(input, buffers).map_err(Failure::Protocol)?;
                incoming.map(Received::Frames)
            }
        };
        Ok(received)
    }

    /// Answers a [`Received::Head`] with an upgrade, which opens the connection (RFC 6455, section
    /// 4.2.2). Does nothing unless a request waits for its response.
    pub fn accept(&mut self, terms: &Terms, out: &mut Vec<u8>) {
        if self.is_answering() {
            terms.encode(out);
            let inflation = Inflation::of_client(terms.deflate);
            self.state = State::Session(Session::new(self.limits.clone(), inflation));
        }
    }

    /// Answers a request without an upgrade, and ends the connection. The response to HEAD has no body
    /// (RFC 9110, section 9.3.2). Does nothing once the request has been answered.
    ///
    /// ```
    /// use townhall::protocol::{Buffers, Connection, Limits, Received, Response};
    ///
    /// let mut connection = Connection::new(Limits::default());
    /// let mut request = *b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    /// let received = connection.receive(&mut &mut request[..], &mut Buffers::default())?;
    /// assert!(matches!(received, Some(Received::Head(_))));
    ///
    /// let mut out = Vec::new();
    /// connection.respond(&Response::text(200, "ok"), &mut out);
    /// assert!(out.ends_with(b"\r\n\r\nok\n"));
    /// assert!(connection.is_closed());
    /// # Ok::<(), townhall::protocol::Failure>(())
    /// ```
    pub fn respond(&mut self, response: &Response, out: &mut Vec<u8>) {
        match self.state {
            State::Answering { is_head: true, .. } => response.encode_head(out),
            State::Handshaking(_) | State::ReadingBody(_) | State::Answering { .. } => {
                response.encode(out);
            }
            State::Session(_) => return,
        }
        self.state = State::ENDED;
    }

    /// Sends a message as one uncompressed frame (RFC 6455, section 5.6), if messages may be sent.
    pub fn send<'m>(&self, message: impl Into<Message<'m>>, out: &mut Vec<u8>) {
        if self.is_open() {
            message.into().encode(out);
        }
    }

    /// Answers a ping with its payload (RFC 6455, section 5.5.3), if messages may be sent.
    pub fn pong(&self, payload: &[u8], out: &mut Vec<u8>) {
        self.send_control(Opcode::Pong, payload, out);
    }

    /// Sends a ping (RFC 6455, section 5.5.2), if messages may be sent. A payload of more than 125 bytes
    /// is shortened, because no control frame may have more.
    pub fn ping(&self, payload: &[u8], out: &mut Vec<u8>) {
        self.send_control(Opcode::Ping, payload, out);
    }

    fn send_control(&self, opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
        if let State::Session(session) = &self.state {
            session.send_control(opcode, payload, unmasked(out));
        }
    }

    /// Begins the close handshake, if messages may be sent. After that, nothing else is sent (RFC 6455,
    /// section 7.1.2). A reason of more than 123 bytes is shortened.
    pub fn close(&mut self, code: CloseCode, reason: &str, out: &mut Vec<u8>) {
        if let State::Session(session) = &mut self.state {
            session.close(code, reason, unmasked(out));
        }
    }

    /// Completes the close handshake after the peer's close frame has arrived. If the peer began, the
    /// answer echoes its code and reason.
    pub fn answer_close(&mut self, frame: Option<&CloseFrame>, out: &mut Vec<u8>) {
        if let State::Session(session) = &mut self.state {
            session.answer_close(frame, unmasked(out));
        }
    }

    /// Fails the connection. Before the upgrade, it sends an HTTP response with the reason, and the
    /// connection is closed. After the upgrade, it sends a close frame with the reason, and the
    /// connection waits for the peer's close frame (RFC 6455, section 7.1.7), unless that frame was the
    /// violation.
    pub fn fail(&mut self, failure: impl Into<Failure>, out: &mut Vec<u8>) {
        match failure.into() {
            Failure::Handshake(refusal) => self.respond(&Response::refusal(refusal), out),
            Failure::Protocol(violation) => {
                if let State::Session(session) = &mut self.state {
                    session.fail(violation, unmasked(out));
                }
            }
        }
    }

    /// Ends the connection without a close frame, because its transport has ended.
    pub fn abandon(&mut self) {
        self.state = State::ENDED;
    }

    /// The memory in bytes for an incomplete request or message.
    pub fn held_bytes(&self) -> usize {
        match &self.state {
            State::Handshaking(head) => head.held_bytes(),
            State::ReadingBody(body) => body.held_bytes(),
            State::Session(session) => session.held_bytes(),
            State::Answering { unread, .. } => unread.capacity(),
        }
    }

    /// The number of bytes that have not arrived of the frame, or of the body or chunk, that has begun; 0
    /// if none has begun.
    #[inline]
    pub fn expected_bytes(&self) -> u64 {
        match &self.state {
            State::Session(session) => session.expected_bytes(),
            State::ReadingBody(body) => body.expected_bytes(),
            _ => 0,
        }
    }

    /// Whether the connection waits for a request or for its response.
    pub fn is_handshaking(&self) -> bool {
        use State::{Answering, Handshaking, ReadingBody};
        matches!(self.state, Handshaking(_) | ReadingBody(_) | Answering { .. })
    }

    /// Whether nothing has arrived, except for the empty lines that may precede a request.
    pub fn is_untouched(&self) -> bool {
        matches!(&self.state, State::Handshaking(head) if !head.has_begun())
    }

    /// Whether messages may be sent.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Session(Session::Open(_)))
    }

    /// Whether nothing more is to be sent or received.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Session(Session::Closed { .. }))
    }

    /// Whether the connection closed with a close frame from each side, after which the peer sends
    /// nothing (RFC 6455, section 7.1.4).
    pub fn was_clean(&self) -> bool {
        matches!(self.state, State::Session(Session::Closed { clean: true }))
    }
}

/// Appends frames to `out` as a server sends them.
fn unmasked(out: &mut Vec<u8>) -> impl FnOnce(Opcode, &[u8]) {
    |opcode, payload| encode_frame(opcode, payload, out)
}

#[cfg(test)]
mod tests;
