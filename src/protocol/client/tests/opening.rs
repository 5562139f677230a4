//! The opening handshake: requests, and answers that conform or do not.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;

/// RFC 6455, section 4.1: "a randomly selected 16-byte value that has been base64-encoded".
#[test]
fn each_connection_has_a_key_of_its_own() {
    let keys: BTreeSet<_> = (0..100).map(|_| client_of(request(), Limits::default()).1).collect();
    assert_eq!(keys.len(), 100);
    assert!(keys.iter().all(|key| STANDARD.decode(key).unwrap().len() == 16));
}

#[test]
fn nothing_is_sent_before_the_answer() {
    let (mut client, key) = client_of(request(), Limits::default());
    let mut out = Vec::new();
    for part in [&answer(&key, "")[..20], &answer(&key, "")[20..]] {
        client.send("too early", &mut out);
        client.ping(b"", &mut out);
        client.close(CloseCode::NORMAL, "", &mut out);
        assert!(out.is_empty());
        receive(&mut client, part.as_bytes()).unwrap();
    }
    client.send("", &mut out);
    assert_eq!(out.len(), 6);
}

#[test]
fn an_answer_that_does_not_conform_is_a_failure() {
    let good = answer("KEY", "");
    for (from, to, expected) in [
        ("HTTP/1.1", "HTTP/1.0", InvalidResponse::Http10),
        ("HTTP/1.1", "SSH-2.0-OpenSSH", InvalidResponse::NotHttp),
        ("HTTP/1.1", "HTTP/2", InvalidResponse::NotHttp),
        ("101", "abc", InvalidResponse::NotHttp),
        ("Upgrade: WebSocket", "Upgrade: h2c", InvalidResponse::Upgrade),
        ("Upgrade: WebSocket\r\n", "", InvalidResponse::Upgrade),
        ("keep-alive, Upgrade", "keep-alive", InvalidResponse::Connection),
        ("Connection: keep-alive, Upgrade\r\n", "", InvalidResponse::Connection),
        ("Accept: ", "Accept: x", InvalidResponse::AcceptKey),
        ("Sec-WebSocket-Accept", "X", InvalidResponse::AcceptKey),
        ("\r\n\r\n", "\r\nSec-WebSocket-Protocol: a\r\n\r\n", InvalidResponse::Subprotocol),
        ("\r\n\r\n", "\r\nSec-WebSocket-Extensions: a\r\n\r\n", InvalidResponse::Extensions),
        ("Upgrade: WebSocket", "Up grade: a", InvalidResponse::NotHttp),
        ("Upgrade: WebSocket", " Upgrade: WebSocket", InvalidResponse::NotHttp),
        ("Upgrade: WebSocket", "Upgrade: Web\r\n Socket", InvalidResponse::Upgrade),
    ] {
        let (mut client, key) = client_of(request(), Limits::default());
        let text = good.replacen(&accept_key("KEY"), &accept_key(&key), 1).replacen(from, to, 1);
        let failure = receive(&mut client, text.as_bytes()).unwrap_err();
        assert_eq!(failure, ClientFailure::Handshake(expected), "{text}");
        assert_eq!(failure.to_string(), expected.to_string());
        let mut out = Vec::new();
        client.fail(failure, &mut out);
        assert!(out.is_empty() && client.is_closed());
    }
}

/// RFC 9112, section 5.2: a user agent "MUST replace each received obs-fold with one or more SP octets".
#[test]
fn a_folded_line_of_an_answer_is_one_line_with_spaces() {
    let (mut client, key) = client_of(request(), Limits::default());
    let answer = answer(&key, "X-Lobby: a \r\n \t\r\n\t b\n c \r\n \r\n")
        .replace("Upgrade: WebSocket", "Upgrade:\r\n WebSocket")
        .replace("keep-alive, Upgrade", "keep-alive,\r\n\tUpgrade");
    let received = receive(&mut client, answer.as_bytes());
    let Ok(Some(ClientReceived::Accepted(accepted))) = received else { panic!("{received:?}") };
    assert_eq!(accepted.response.header("X-Lobby"), Some("a  b c"));
    assert_eq!(accepted.response.header("Connection"), Some("keep-alive, Upgrade"));
}

#[test]
fn an_answer_may_arrive_byte_by_byte_after_interim_responses_and_with_a_message() {
    let (mut client, key) = client_of(request(), Limits::default());
    let answer = answer(&key, "X-Lobby: a\r\nX-Lobby: b\r\n");
    let bytes = format!(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\nLink: </a>\n\n{answer}\u{1}"
    );
    let last = bytes.len() - 2;
    for byte in &bytes.as_bytes()[..last] {
        assert_eq!(receive(&mut client, &[*byte]), Ok(None));
        assert!(client.is_handshaking() && client.held_bytes() < 1_000);
        assert!(client.held_bytes() > 0 || *byte == b'\n');
    }
    let mut rest = b"\n\x81\x02hi".to_vec();
    let mut input = &mut rest[..];
    let mut buffers = Buffers::default();
    let received = client.receive(&mut input, &mut buffers);
    let Ok(Some(ClientReceived::Accepted(accepted))) = received else { panic!("{received:?}") };
    assert_eq!(accepted.response.header("x-lobby"), None, "there are two");
    assert!(accepted.response.header_values("x-lobby").eq([b"a", b"b"]));
    let received = client.receive(&mut input, &mut buffers);
    let Ok(Some(ClientReceived::Frames(incoming))) = received else { panic!("{received:?}") };
    assert_is(&incoming, Message::Text("hi"));
}

#[test]
fn an_answer_has_limits() {
    let limits = Limits { max_head_bytes: 1_000, max_headers: 10, ..Limits::default() };
    let interim = "HTTP/1.1 102 Processing\r\n\r\n".repeat(50);
    for bytes in [
        format!("HTTP/1.1 101 {}", "a".repeat(1_000)),
        format!("HTTP/1.1 101 a\r\n{}\r\n", "a: b\r\n".repeat(11)),
        interim,
    ] {
        let (mut client, _) = client_of(request(), limits.clone());
        let failure = receive(&mut client, bytes.as_bytes());
        assert_eq!(failure, Err(ClientFailure::Handshake(InvalidResponse::TooLong)), "{bytes}");
    }
    for (excess, fits) in [(0, true), (1, false)] {
        let (mut client, key) = client_of(request(), limits.clone());
        let interim = "HTTP/1.1 102 Processing\r\n\r\n";
        let rest = 1_000 + excess - interim.len() - answer(&key, "a: \r\n").len();
        let bytes = interim.to_owned() + &answer(&key, &format!("a: {}\r\n", "b".repeat(rest)));
        let pieces = bytes.as_bytes().chunks(300);
        let mut received = pieces.map(|piece| receive(&mut client, piece));
        assert_eq!(received.any(|received| received.is_err()), !fits);
    }
    // It is not HTTP in smaller pieces either.
    let (mut client, _) = client_of(request(), limits);
    let failure = receive(&mut client, "SSH-2.0-".repeat(200).as_bytes());
    assert_eq!(failure, Err(ClientFailure::Handshake(InvalidResponse::NotHttp)));
}

#[test]
fn a_refusal_holds_what_has_arrived_of_its_body() {
    let (mut client, _) = client_of(request(), Limits::default());
    assert_eq!(client.held_bytes(), 0);
    let part = b"HTTP/1.1 404 a\r\nContent-Length: 9\r\n\r\nabc";
    assert_eq!(receive(&mut client, part), Ok(None));
    assert!(client.held_bytes() >= 3 && client.expected_bytes() == 0);
    client.abandon();
    assert_eq!(client.held_bytes(), 0);
    assert_eq!(request().uri().host(), "localhost");
}

fn refusal(bytes: &str) -> Option<HandshakeResponse> {
    let (mut client, _) = client_of(request(), Limits::default());
    match receive(&mut client, bytes.as_bytes()) {
        Ok(Some(ClientReceived::Refused(response))) => {
            assert!(client.is_closed());
            Some(*response)
        }
        Ok(None) => {
            assert!(client.is_handshaking());
            let response = client.end();
            assert!(client.is_closed());
            response
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_refusal_has_a_status_fields_and_a_body() {
    let mut out = Vec::new();
    Response::refusal(Refusal::Full).encode(&mut out);
    let response = refusal(std::str::from_utf8(&out).unwrap()).unwrap();
    assert_eq!((response.status(), response.reason()), (503, "Service Unavailable"));
    assert_eq!(response.header("retry-after"), Some("5"));
    assert_eq!(response.body(), b"server full, try again later\n");
}

#[test]
fn the_body_of_a_refusal_ends_by_its_framing_or_with_the_connection() {
    for (rest, body) in [
        ("HTTP/1.1 404 a\r\nContent-Length: 3\r\n\r\nabcdef", "abc"),
        ("HTTP/1.1 404 a\r\nContent-Length: 9\r\n\r\nabc", "abc"),
        ("HTTP/1.1 404 a\r\n\r\nabc", "abc"),
        ("HTTP/1.0 404\r\n\r\nabc", "abc"),
        ("HTTP/1.1 404 a\r\nContent-Length: 3, 3\r\nContent-Length: 3\r\n\r\nabcd", "abc"),
        ("HTTP/1.1 404 a\r\nContent-Length: 99999999999999999999\r\n\r\nabc", "abc"),
        ("HTTP/1.1 404 a\r\nContent-Length: 1\r\nTransfer-Encoding: gzip\r\n\r\nabc", "abc"),
        ("HTTP/1.1 304 a\r\nContent-Length: x\r\n\r\nabc", ""),
        ("HTTP/1.1 404 a\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "abc"),
        ("HTTP/1.1 404 a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nx\r\n", "abc"),
        ("HTTP/1.1 404 a\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc", "abc"),
        ("HTTP/1.1 304 a\r\nContent-Length: 3\r\n\r\nabc", ""),
        ("HTTP/1.1 204 a\r\n\r\nabc", ""),
        ("HTTP/1.1 200 a\r\nContent-Length: 0\r\n\r\nabc", ""),
    ] {
        assert_eq!(refusal(rest).unwrap().body(), body.as_bytes(), "{rest}");
    }
    assert_eq!(refusal("HTTP/1.1 404 a\r\n"), None, "the head is not complete");
}

/// RFC 9112, section 6.3: the client "MUST close the connection to the server and discard the received response".
#[test]
fn a_refusal_with_an_invalid_length_is_a_failure() {
    for length in ["x", "", "-3", "+3", "3 3", "0x3", "3,", "3, 4", "3\r\nContent-Length: 4"] {
        let (mut client, _) = client_of(request(), Limits::default());
        let bytes = format!("HTTP/1.1 404 a\r\nContent-Length: {length}\r\n\r\nabc");
        let failure = receive(&mut client, bytes.as_bytes()).unwrap_err();
        let expected = InvalidResponse::ContentLength(404);
        assert_eq!(failure, ClientFailure::Handshake(expected), "{length}");
        client.fail(failure, &mut Vec::new());
        assert!(client.is_closed() && client.held_bytes() == 0);
    }
}

#[test]
fn a_long_body_of_a_refusal_is_cut_off() {
    let limits = Limits { max_body_bytes: 4, ..Limits::default() };
    for fields in ["Content-Length: 9\r\n", "", "Transfer-Encoding: chunked\r\n"] {
        let (mut client, _) = client_of(request(), limits.clone());
        let chunk =
            if fields.starts_with('T') { "4\r\nabcd\r\n5\r\nefghi\r\n" } else { "abcdefghi" };
        let bytes = format!("HTTP/1.1 403 a\r\n{fields}\r\n{chunk}");
        let received = receive(&mut client, bytes.as_bytes());
        let Ok(Some(ClientReceived::Refused(response))) = received else { panic!("{received:?}") };
        assert_eq!(response.body(), b"abcd", "{fields}");
    }
}
