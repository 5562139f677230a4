//! The bytes of a client, and a server's side that records what it receives.

use townhall::protocol::internals::apply_mask;
use townhall::protocol::{
    Buffers, CloseFrame, Connection, Deflate, Failure, Incoming, Limits, Message, Received,
    Refusal, Request, Terms, Violation,
};

pub const REQUEST: &[u8] = b"GET /room HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

pub const FIN: u8 = 0x80;
pub const CONTINUATION: u8 = 0x0;
pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xa;

/// A masked frame with the shortest header.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(mask);
    let start = bytes.len();
    bytes.extend_from_slice(payload);
    apply_mask(&mut bytes[start..], mask);
    bytes
}

/// What a connection received, as owned values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    Head(String),
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<CloseFrame>),
    Refused(Refusal),
    Failed(Violation),
}

pub fn text(text: &str) -> Seen {
    Seen::Text(text.to_owned())
}

/// The server's side. It accepts every correct upgrade, answers pings and close frames, and records events.
pub struct Server {
    pub connection: Connection,
    buffers: Buffers,
    deflate: Option<Deflate>,
    pub seen: Vec<Seen>,
    /// The bytes that it sent.
    pub out: Vec<u8>,
}

impl Server {
    pub fn new(limits: Limits) -> Self {
        let connection = Connection::new(limits);
        Self {
            connection,
            buffers: Buffers::default(),
            deflate: None,
            seen: Vec::new(),
            out: Vec::new(),
        }
    }

    /// A server after the handshake, whose events are discarded.
    pub fn open(limits: Limits) -> Self {
        let mut server = Self::new(limits);
        server.take(REQUEST);
        server.seen.clear();
        server.out.clear();
        server
    }

    /// A server that negotiated permessage-deflate; the client may or may not keep its context.
    pub fn deflating(limits: Limits, client_context_takeover: bool) -> Self {
        let mut server = Self::new(limits);
        let mut deflate = Deflate::default();
        deflate.client_context_takeover = client_context_takeover;
        server.deflate = Some(deflate);
        let request = String::from_utf8_lossy(REQUEST);
        let offer = "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
        server.take(request.replace("\r\n\r\n", offer).as_bytes());
        server.seen.clear();
        server.out.clear();
        server
    }

    pub fn take(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        let mut input = &mut bytes[..];
        loop {
            match self.connection.receive(&mut input, &mut self.buffers) {
                Ok(None) => return,
                Ok(Some(received)) => self.note(received),
                Err(failure) => self.fail(failure),
            }
        }
    }

    fn note(&mut self, received: Received<'_>) {
        let seen = match received {
            Received::Head(head) => {
                self.answer(&head);
                Seen::Head(String::from_utf8_lossy(&head).into_owned())
            }
            Received::Frames(Incoming::Message(message)) => match message.as_message() {
                Message::Text(text) => Seen::Text(text.to_owned()),
                Message::Binary(bytes) => Seen::Binary(bytes.to_owned()),
            },
            Received::Frames(Incoming::Ping(payload)) => {
                self.connection.pong(&payload, &mut self.out);
                Seen::Ping(payload.into_owned())
            }
            Received::Frames(Incoming::Pong(payload)) => Seen::Pong(payload.into_owned()),
            Received::Frames(Incoming::Close(frame)) => {
                self.connection.answer_close(frame.as_ref(), &mut self.out);
                Seen::Close(frame)
            }
            received => panic!("{received:?}"),
        };
        self.seen.push(seen);
    }

    fn answer(&mut self, head: &[u8]) {
        let request = Request::parse(head, Limits::default().max_headers);
        let terms =
            request.and_then(|request| Terms::negotiate(&request, &[], self.deflate.as_ref()));
        match terms {
            Ok(terms) => self.connection.accept(&terms, &mut self.out),
            Err(refusal) => self.fail(refusal.into()),
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.seen.push(match failure {
            Failure::Handshake(refusal) => Seen::Refused(refusal),
            Failure::Protocol(violation) => Seen::Failed(violation),
            failure => panic!("{failure:?}"),
        });
        self.connection.fail(failure, &mut self.out);
    }
}

/// What an open connection with default limits receives from these frames.
pub fn see(frames: &[Vec<u8>]) -> Vec<Seen> {
    let mut server = Server::open(Limits::default());
    server.take(&frames.concat());
    server.seen
}
