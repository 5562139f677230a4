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
    connection.respond(&Response::new(204), &mut out);
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
