use super::*;
use crate::protocol::http::Request;

const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

fn terms() -> Terms {
    Terms::negotiate(&Request::parse(UPGRADE.as_bytes(), 16).unwrap(), &[], None).unwrap()
}

#[test]
fn nothing_is_received_between_a_request_and_its_response() {
    let mut connection = Connection::new(Limits::default());
    let mut bytes = format!("{UPGRADE}GET / HTTP/1.1\r\n").into_bytes();
    let mut input = &mut bytes[..];
    let mut buffers = Buffers::default();
    let head = connection.receive(&mut input, &mut buffers);
    assert_eq!(head, Ok(Some(Received::Head(UPGRADE.into()))));
    assert_eq!(connection.receive(&mut input, &mut buffers), Ok(None));
    assert_eq!(input, b"GET / HTTP/1.1\r\n");
}

#[test]
fn a_request_is_answered_once_and_only_after_it_has_arrived() {
    let mut connection = Connection::new(Limits::default());
    let mut out = Vec::new();
    connection.accept(&terms(), &mut out);
    assert!(out.is_empty() && !connection.is_open());
    let mut bytes = UPGRADE.as_bytes().to_vec();
    connection.receive(&mut &mut bytes[..], &mut Buffers::default()).unwrap();
    assert!(connection.is_handshaking());
    connection.respond(&Response::new(204), &mut out);
    assert!(!connection.is_handshaking());
    let answer = out.clone();
    connection.accept(&terms(), &mut out);
    connection.respond(&Response::new(404), &mut out);
    assert!(out == answer && connection.is_closed());
}

#[test]
fn only_the_response_to_head_has_no_body() {
    for (method, body) in [("GET", "found\n"), ("HEAD", ""), ("HEADER", "found\n")] {
        let mut connection = Connection::new(Limits::default());
        let mut out = Vec::new();
        let mut bytes = format!("\r\n{method} / HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes();
        connection.receive(&mut &mut bytes[..], &mut Buffers::default()).unwrap();
        connection.respond(&Response::text(200, "found"), &mut out);
        let answer = String::from_utf8(out).unwrap();
        let (head, rest) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("\r\nContent-Length: 6"), "{method}: {head}");
        assert_eq!(rest, body, "{method}");
    }
}

#[test]
fn a_control_frame_has_125_bytes_at_most() {
    let mut connection = Connection::new(Limits::default());
    let mut bytes = UPGRADE.as_bytes().to_vec();
    let mut out = Vec::new();
    connection.receive(&mut &mut bytes[..], &mut Buffers::default()).unwrap();
    connection.accept(&terms(), &mut out);
    for (length, sent) in [(0, 0), (125, 125), (126, 125), (70_000, 125)] {
        out.clear();
        connection.ping(&vec![b'a'; length], &mut out);
        assert_eq!(out[..2], [0x89, sent]);
        assert_eq!(out.len(), 2 + usize::from(sent));
    }
}

/// A connection with an upgrade, and further bytes that it has received.
fn open(bytes: &[u8]) -> Connection {
    let mut connection = Connection::new(Limits::default());
    let mut head = UPGRADE.as_bytes().to_vec();
    connection.receive(&mut &mut head[..], &mut Buffers::default()).unwrap();
    connection.accept(&terms(), &mut Vec::new());
    let mut bytes = bytes.to_vec();
    let received = connection.receive(&mut &mut bytes[..], &mut Buffers::default());
    assert_eq!(received, Ok(None));
    connection
}

#[test]
fn a_connection_says_what_it_holds_and_expects() {
    let mut connection = Connection::new(Limits::default());
    assert!(connection.is_untouched() && connection.is_handshaking());
    let mut part = b"\r\nGET".to_vec();
    connection.receive(&mut &mut part[..], &mut Buffers::default()).unwrap();
    assert!(!connection.is_untouched() && connection.held_bytes() >= 3);
    assert_eq!(connection.expected_bytes(), 0);

    assert_eq!((open(b"").held_bytes(), open(b"").expected_bytes()), (0, 0));
    for (bytes, expected) in [
        (&b"\x81"[..], 0),
        (b"\x82\xfe\x01\x00\0\0\0\0abc", 253),
        (b"\x01\x83\0\0\0\0abc", 0),
        (b"\x01\x83\0\0\0\0ab", 1),
        (b"\x89\x83\0\0\0\0ab", 1),
    ] {
        let mut connection = open(bytes);
        assert_eq!(connection.expected_bytes(), expected, "{}", bytes.escape_ascii());
        assert!(connection.held_bytes() > 0, "{}", bytes.escape_ascii());
        connection.close(CloseCode::NORMAL, "", &mut Vec::new());
        assert_eq!(connection.expected_bytes(), 0);
        connection.abandon();
        assert!(connection.is_closed() && !connection.was_clean() && connection.held_bytes() == 0);
    }
    let mut connection = open(b"\x81");
    connection.close(CloseCode::NORMAL, "", &mut Vec::new());
    assert!(connection.held_bytes() > 0, "the header that has begun");
}

#[test]
fn a_body_is_read_if_the_application_asks_for_it() {
    let limits = Limits { max_body_bytes: 100, ..Limits::default() };
    let mut connection = Connection::new(limits);
    let mut bytes = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\
        Expect: 100-continue\r\n\r\nhelloGET / HTTP/1.1"
        .to_vec();
    // Three bytes of the body are missing.
    let split = bytes.len() - "lloGET / HTTP/1.1".len();
    let (mut input, mut rest) = bytes.split_at_mut(split);
    let mut buffers = Buffers::default();
    let mut out = Vec::new();
    let received = connection.receive(&mut input, &mut buffers).unwrap();
    let Some(Received::Head(head)) = received else { panic!("{received:?}") };
    let request = Request::parse(&head, 16).unwrap();
    let framing = super::super::http::Framing::of(&request, &head, 100).unwrap();
    connection.read_body(head, framing, &mut out);
    assert_eq!(out, b"HTTP/1.1 100 Continue\r\n\r\n");
    assert!(connection.is_reading_body() && connection.is_handshaking());
    assert_eq!(connection.receive(&mut input, &mut buffers), Ok(None));
    assert_eq!(connection.expected_bytes(), 3);
    assert!(connection.held_bytes() > 0);

    let received = connection.receive(&mut rest, &mut buffers).unwrap();
    assert!(matches!(received, Some(Received::Request { body, .. }) if body == b"hello"));
    connection.keep_unread(rest);
    assert!(!connection.is_reading_body() && connection.held_bytes() >= 14);
    assert_eq!(connection.take_unread(), b"GET / HTTP/1.1");
    out.clear();
    connection.respond_and_persist(&Response::text(200, "ok"), &mut out);
    connection.respond_and_persist(&Response::text(200, "twice"), &mut out);
    assert_eq!(
        out,
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n\
        Content-Length: 3\r\n\r\nok\n"
    );
    assert!(connection.is_handshaking() && connection.take_unread().is_empty());
    connection.keep_unread(b"not after a request");
    assert!(connection.take_unread().is_empty());
}

#[test]
fn a_body_that_is_not_valid_is_refused() {
    let mut connection = Connection::new(Limits::default());
    let mut bytes =
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n".to_vec();
    let mut input = &mut bytes[..];
    let mut buffers = Buffers::default();
    let received = connection.receive(&mut input, &mut buffers).unwrap();
    let Some(Received::Head(head)) = received else { panic!("{received:?}") };
    let request = Request::parse(&head, 16).unwrap();
    let framing = super::super::http::Framing::of(&request, &head, 100).unwrap();
    connection.read_body(head, framing, &mut Vec::new());
    let failure = connection.receive(&mut input, &mut buffers).unwrap_err();
    let mut out = Vec::new();
    connection.fail(failure, &mut out);
    assert!(out.starts_with(b"HTTP/1.1 400 ") && connection.is_closed());
}

#[test]
fn a_message_says_whether_it_was_compressed_and_can_be_sent_again() {
    let mut connection = open(b"");
    let mut bytes = b"\x81\x82\0\0\0\0hi\x8a\x81\0\0\0\0!".to_vec();
    let mut input = &mut bytes[..];
    let mut buffers = Buffers::default();
    let received = connection.receive(&mut input, &mut buffers).unwrap();
    let Some(Received::Frames(incoming)) = received else { panic!("{received:?}") };
    let Incoming::Message(message) = &incoming else { panic!("{incoming:?}") };
    assert!(!message.was_compressed());
    let mut out = Vec::new();
    connection.send(message, &mut out);
    assert_eq!(out, b"\x81\x02hi");
    let received = connection.receive(&mut input, &mut buffers).unwrap();
    let Some(Received::Frames(incoming)) = received else { panic!("{received:?}") };
    assert_eq!(incoming.message(), None);
    assert_eq!(incoming.into_owned(), Incoming::Pong(b"!".into()));
}
