//! townhall as a receiver.

use townhall::protocol::{
    Buffers, ClientConnection, ClientFailure, ClientReceived, CloseFrame, Connection, Deflate,
    DeflateOffer, DeflateTerms, Failure, Incoming, Limits, Message, Received, Request,
    Terms as Negotiated, UpgradeRequest, Violation, accept_key,
};

use crate::answer::{Answer, End, Event, MAX_MESSAGE_BYTES, OurAnswer, Question, Role, Terms};
use crate::frames::mirrored;

/// One side of a connection.
enum Side {
    Server(Connection),
    Client(Box<ClientConnection>),
}

/// What our side makes of the bytes after its handshake.
pub fn receive(question: &Question) -> OurAnswer {
    let mut buffers = Buffers::default();
    let mut side = match question.setting.role {
        Role::Server => Side::Server(open_server(question.setting.deflate, &mut buffers)),
        Role::Client => Side::Client(Box::new(open_client(question.setting.deflate, &mut buffers))),
    };
    let mut bytes = question.bytes.clone();
    let mut input = &mut bytes[..];
    let mut received = Vec::new();
    loop {
        match side.receive(&mut input, &mut buffers) {
            Ok(None) => return accepted(received, End::Open),
            Ok(Some(Incoming::Close(frame))) => {
                return accepted(received, End::Closed(side.echoed(frame.as_ref())));
            }
            Ok(Some(incoming)) => received.push(event(&incoming)),
            Err(violation) => {
                let end = End::Failed(violation.close_code().get());
                return OurAnswer { answer: Answer { received, end }, violation: Some(violation) };
            }
        }
    }
}

fn accepted(received: Vec<Event>, end: End) -> OurAnswer {
    OurAnswer { answer: Answer { received, end }, violation: None }
}

impl Side {
    fn receive<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        buffers: &mut Buffers,
    ) -> Result<Option<Incoming<'a>>, Violation> {
        match self {
            Self::Server(connection) => match connection.receive(input, buffers) {
                Ok(Some(Received::Frames(incoming))) => Ok(Some(incoming)),
                Ok(None) => Ok(None),
                Err(Failure::Protocol(violation)) => Err(violation),
                other => panic!("{other:?}"),
            },
            Self::Client(connection) => match connection.receive(input, buffers) {
                Ok(Some(ClientReceived::Frames(incoming))) => Ok(Some(incoming)),
                Ok(None) => Ok(None),
                Err(ClientFailure::Protocol(violation)) => Err(violation),
                other => panic!("{other:?}"),
            },
        }
    }

    /// The code in the close frame that answers this one.
    fn echoed(&mut self, frame: Option<&CloseFrame>) -> Option<u16> {
        let mut out = Vec::new();
        match self {
            Self::Server(connection) => connection.answer_close(frame, &mut out),
            Self::Client(connection) => {
                connection.answer_close(frame, &mut out);
                out = mirrored(&out);
            }
        }
        assert_eq!(out[0], 0x88, "a close frame");
        out[2..].first_chunk().map(|code| u16::from_be_bytes(*code))
    }
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_message_bytes = MAX_MESSAGE_BYTES;
    limits
}

/// The server's side, whose client compresses with these terms.
fn open_server(terms: Option<Terms>, buffers: &mut Buffers) -> Connection {
    let mut connection = Connection::new(limits());
    let mut request = request(terms).into_bytes();
    let received = connection.receive(&mut &mut request[..], buffers);
    let Ok(Some(Received::Head(head))) = received else { panic!("a request") };
    let mut deflate = Deflate::default();
    deflate.client_window_bits = 15;
    let request = Request::parse(&head, 100).expect("a request");
    let negotiated = Negotiated::negotiate(&request, &[], Some(&deflate)).expect("an upgrade");
    let agreed = |agreed: DeflateTerms| Terms {
        window_bits: agreed.client_window_bits(),
        context_takeover: agreed.client_context_takeover,
    };
    assert_eq!(negotiated.deflate.map(agreed), terms, "the client gets what it asks for");
    connection.accept(&negotiated, &mut Vec::new());
    connection
}

fn request(terms: Option<Terms>) -> String {
    "GET /room HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        .to_owned()
        + &extension("client", terms)
        + "\r\n"
}

/// The field with the terms of this side's compression.
fn extension(sender: &str, terms: Option<Terms>) -> String {
    let Some(Terms { window_bits, context_takeover }) = terms else { return String::new() };
    let context =
        if context_takeover { String::new() } else { format!("; {sender}_no_context_takeover") };
    format!(
        "Sec-WebSocket-Extensions: permessage-deflate; \
        {sender}_max_window_bits={window_bits}{context}\r\n"
    )
}

/// The client's side, whose server compresses with these terms.
fn open_client(terms: Option<Terms>, buffers: &mut Buffers) -> ClientConnection {
    let request = UpgradeRequest::new("ws://localhost/room".parse().expect("a URI"));
    let request = match terms {
        Some(_) => request.deflate(DeflateOffer::default()),
        None => request,
    };
    let mut sent = Vec::new();
    let mut connection =
        ClientConnection::new(request, limits(), &mut sent).expect("random numbers");
    let request = Request::parse(&sent, 100).expect("a request");
    let key = accept_key(request.header("Sec-WebSocket-Key").expect("a key"));
    let mut answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: {key}\r\n{}\r\n",
        extension("server", terms)
    )
    .into_bytes();
    let received = connection.receive(&mut &mut answer[..], buffers);
    assert!(matches!(received, Ok(Some(ClientReceived::Accepted(_)))), "{received:?}");
    connection
}

fn event(incoming: &Incoming<'_>) -> Event {
    match incoming {
        Incoming::Ping(payload) => Event::Ping(payload.to_vec()),
        Incoming::Pong(payload) => Event::Pong(payload.to_vec()),
        incoming => match incoming.message().expect("no other control frames") {
            Message::Text(text) => Event::Text(text.to_owned()),
            Message::Binary(bytes) => Event::Binary(bytes.to_vec()),
        },
    }
}
