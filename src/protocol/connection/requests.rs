//! Requests without an upgrade: their bodies, and the requests that follow them.

use std::mem;

use super::{Connection, State};
use crate::protocol::http::{Body, Framing, Head, Response};
use crate::protocol::limits::Limits;

impl State {
    /// The state after the request with this head.
    pub(super) fn answering(head: &[u8]) -> Self {
        Self::Answering { is_head: head.starts_with(b"HEAD "), unread: Vec::new() }
    }
}

impl Connection {
    /// Reads the body of a [`Received::Head`](super::Received::Head) next. A client that waits for it gets 100 (Continue). A
    /// [`Received::Request`](super::Received::Request) follows; an error is the refusal of a body that is malformed or longer than
    /// [`Limits::max_body_bytes`]. Does nothing unless a request waits for its response.
    ///
    /// ```
    /// use townhall::protocol::{Buffers, Connection, Framing, Limits, Received, Request, Response};
    ///
    /// let limits = Limits::default();
    /// let mut connection = Connection::new(limits.clone());
    /// let mut buffers = Buffers::default();
    /// let mut bytes = *b"POST /news HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello\
    ///     GET / HTTP/1.1\r\n";
    /// let mut input = &mut bytes[..];
    /// let mut out = Vec::new();
    ///
    /// let received = connection.receive(&mut input, &mut buffers)?;
    /// let Some(Received::Head(head)) = received else { panic!("{received:?}") };
    /// let request = Request::parse(&head, limits.max_headers)?;
    /// let framing = Framing::of(&request, &head, limits.max_body_bytes)?;
    /// let is_persistent = request.is_persistent();
    /// connection.read_body(head, framing, &mut out);
    ///
    /// let received = connection.receive(&mut input, &mut buffers)?;
    /// assert!(matches!(received, Some(Received::Request { body, .. }) if body == b"hello"));
    /// if is_persistent {
    ///     connection.respond_and_persist(&Response::new(204), &mut out);
    /// }
    /// assert_eq!(out, b"HTTP/1.1 204 No Content\r\n\r\n");
    /// assert!(input.starts_with(b"GET /") && connection.is_handshaking());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read_body(&mut self, head: Vec<u8>, framing: Framing, out: &mut Vec<u8>) {
        if self.is_answering() {
            if framing.awaits_continue() {
                out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            }
            let Limits { max_body_bytes, max_head_bytes, .. } = *self.limits;
            let body = Body::new(head, framing, max_body_bytes, max_head_bytes);
            self.state = State::ReadingBody(Box::new(body));
        }
    }

    /// Answers a request without an upgrade, and waits for the next request (RFC 9112, section 9.3). Does
    /// nothing unless a request waits for its response.
    pub fn respond_and_persist(&mut self, response: &Response, out: &mut Vec<u8>) {
        if let State::Answering { is_head, .. } = self.state {
            response.encode_persistent(is_head, out);
            self.state = State::Handshaking(Head::default());
        }
    }

    /// Whether a complete request waits for its response.
    pub fn is_answering(&self) -> bool {
        matches!(self.state, State::Answering { .. })
    }

    /// Whether the body of a request is not complete.
    pub fn is_reading_body(&self) -> bool {
        matches!(self.state, State::ReadingBody(_))
    }

    /// Keeps the bytes after a request that waits for its response, so that the caller can read other
    /// connections with the same buffer. [`take_unread`](Self::take_unread) gives them back. Does nothing
    /// unless a request waits.
    pub fn keep_unread(&mut self, input: &[u8]) {
        if let State::Answering { unread, .. } = &mut self.state {
            unread.extend_from_slice(input);
        }
    }

    /// The bytes that were kept, which must be received after the response.
    pub fn take_unread(&mut self) -> Vec<u8> {
        match &mut self.state {
            State::Answering { unread, .. } => mem::take(unread),
            _ => Vec::new(),
        }
    }
}
