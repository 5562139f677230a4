//! townhall as a receiver.

use townhall::protocol::{
    Buffers, CloseFrame, Connection, Deflate, DeflateTerms, Failure, Incoming, Limits, Message,
    Received, Request, Terms as Negotiated,
};

use crate::answer::{Answer, End, Event, MAX_MESSAGE_BYTES, OurAnswer, Question, Setting, Terms};

/// What the server's side of a connection makes of the bytes after its handshake.
pub fn receive(question: &Question) -> OurAnswer {
    let mut buffers = Buffers::default();
    let mut connection = open(question.setting, &mut buffers);
    let mut bytes = question.bytes.clone();
    let mut input = &mut bytes[..];
    let mut received = Vec::new();
    loop {
        let incoming = match connection.receive(&mut input, &mut buffers) {
            Ok(Some(Received::Frames(incoming))) => incoming,
            Ok(None) => return accepted(received, End::Open),
            Err(Failure::Protocol(violation)) => {
                let end = End::Failed(violation.close_code().get());
                return OurAnswer { answer: Answer { received, end }, violation: Some(violation) };
            }
            other => panic!("{other:?}"),
        };
        if let Incoming::Close(frame) = &incoming {
            return accepted(received, End::Closed(echoed(&mut connection, frame.as_ref())));
        }
        received.push(event(&incoming));
    }
}

fn accepted(received: Vec<Event>, end: End) -> OurAnswer {
    OurAnswer { answer: Answer { received, end }, violation: None }
}

fn open(setting: Setting, buffers: &mut Buffers) -> Connection {
    let mut limits = Limits::default();
    limits.max_message_bytes = MAX_MESSAGE_BYTES;
    let mut connection = Connection::new(limits);
    let mut request = request(setting).into_bytes();
    let received = connection.receive(&mut &mut request[..], buffers);
    let Ok(Some(Received::Head(head))) = received else { panic!("a request") };
    let mut deflate = Deflate::default();
    deflate.client_window_bits = 15;
    let request = Request::parse(&head, 100).expect("a request");
    let terms = Negotiated::negotiate(&request, &[], Some(&deflate)).expect("an upgrade");
    assert_eq!(terms.deflate.map(agreed), setting.deflate, "the client gets what it asks for");
    connection.accept(&terms, &mut Vec::new());
    connection
}

/// A request that asks for these terms of its own compression.
fn request(setting: Setting) -> String {
    let offer = setting.deflate.map(|Terms { window_bits, context_takeover }| {
        let context = if context_takeover { "" } else { "; client_no_context_takeover" };
        let offer = format!("permessage-deflate; client_max_window_bits={window_bits}{context}");
        format!("Sec-WebSocket-Extensions: {offer}\r\n")
    });
    "GET /room HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        .to_owned()
        + &offer.unwrap_or_default()
        + "\r\n"
}

fn agreed(terms: DeflateTerms) -> Terms {
    Terms {
        window_bits: terms.client_window_bits(),
        context_takeover: terms.client_context_takeover,
    }
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

/// The code in the close frame that answers this one.
fn echoed(connection: &mut Connection, frame: Option<&CloseFrame>) -> Option<u16> {
    let mut out = Vec::new();
    connection.answer_close(frame, &mut out);
    assert_eq!(out[0], 0x88, "a close frame");
    out[2..].first_chunk().map(|code| u16::from_be_bytes(*code))
}
