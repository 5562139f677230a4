//! Section 4.2: the server's side of the opening handshake, and the HTTP that it is written in.

use townhall::Limits;
use townhall::protocol::{Refusal, accept_key};

use crate::peer::{REQUEST, Seen, Server};

/// What a server receives and answers if one part of a valid request is replaced.
fn answer(from: &str, to: &str) -> (Vec<Seen>, String) {
    let usual = String::from_utf8_lossy(REQUEST);
    let request = usual.replacen(from, to, 1);
    assert_ne!(request, usual);
    let mut server = Server::new(Limits::default());
    server.take(request.as_bytes());
    (server.seen, String::from_utf8(server.out).unwrap())
}

fn status(from: &str, to: &str) -> u16 {
    answer(from, to).1[9..12].parse().unwrap()
}

/// Section 4.2.1 asks for a "value that, when decoded, is 16 bytes in length". The bits to spare in the
/// last symbol do not change that, and in the example of section 4.1 they are set.
#[test]
fn a_key_must_decode_to_16_bytes() {
    let with = |key| answer("dGhlIHNhbXBsZSBub25jZQ==", key).1;
    for key in ["AQIDBAUGBwgJCgsMDQ4PEC==", "thequickbrownfoxjumped==", "0123456789012345678901=="]
    {
        let answer = with(key);
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        assert!(answer.contains(&format!("Sec-WebSocket-Accept: {}\r\n", accept_key(key))));
    }
    for key in
        ["", "==", "AQIDBAUGBwgJCgsMDQ4PEBE=", "AQIDBAUGBwgJCgsMDQ4P", "AQIDBAUGBwgJCgsMDQ4PEC"]
    {
        assert!(with(key).starts_with("HTTP/1.1 400 "), "{key}");
    }
}

/// Section 4.2.1: "An HTTP/1.1 or higher GET request".
#[test]
fn an_upgrade_needs_http_1_1_and_get() {
    assert_eq!(status("HTTP/1.1", "HTTP/1.9"), 101);
    assert_eq!(answer("HTTP/1.1", "HTTP/1.0").0[0], Seen::Refused(Refusal::UpgradeInHttp10));
    assert_eq!(answer("HTTP/1.1", "HTTP/2.0").0, [Seen::Refused(Refusal::HttpVersion)]);
    assert_eq!(answer("GET", "POST").0[0], Seen::Refused(Refusal::Method));
    assert_eq!(answer("GET", "get").0[0], Seen::Refused(Refusal::MethodNotImplemented));
}

/// Section 4.2.1: "or an absolute HTTP/HTTPS URI containing the /resource name/". Clients send those of
/// WebSocket too.
#[test]
fn the_target_may_be_an_absolute_uri() {
    for target in ["http://localhost/room", "HTTPS://localhost/room", "ws://a", "Wss://a:1/room"] {
        assert_eq!(status("/room", target), 101, "{target}");
    }
    for target in ["ftp://localhost/room", "ws://", "ws:///room", "room", "*"] {
        assert_eq!(status("/room", target), 400, "{target}");
    }
}

/// Section 4.2.1: the server refuses "any violations of the ABNF grammar", by which subprotocols are "1#token", and
/// extensions an "extension-list". It does so even if it supports none. An empty list offers nothing.
#[test]
fn subprotocols_and_extensions_must_be_lists() {
    let with = |field: &str| status("\r\n\r\n", &format!("\r\n{field}\r\n\r\n"));
    for names in ["", "chat", "a.b!, , chat,", "a\r\nSec-WebSocket-Protocol: b"] {
        assert_eq!(with(&format!("Sec-WebSocket-Protocol: {names}")), 101, "{names}");
    }
    for names in ["a b", "a, b/c", "\"a\"", "caf\u{e9}", "a\r\nSec-WebSocket-Protocol: b c"] {
        assert_eq!(with(&format!("Sec-WebSocket-Protocol: {names}")), 400, "{names}");
    }
    for names in ["", "x-a; b=c, permessage-deflate; d=\"e\""] {
        assert_eq!(with(&format!("Sec-WebSocket-Extensions: {names}")), 101, "{names}");
    }
    for names in ["permessage-deflate; =1", "a b", "caf\u{e9}"] {
        assert_eq!(with(&format!("Sec-WebSocket-Extensions: {names}")), 400, "{names}");
    }
}

/// RFC 9112, section 2.2. The server does not wait for bytes after the first invalid one.
#[test]
fn invalid_requests_are_refused_at_once() {
    let seen = |bytes: &[u8]| {
        let mut server = Server::new(Limits::default());
        server.take(bytes);
        server.seen
    };
    assert_eq!(seen(b"\x16"), [Seen::Refused(Refusal::Tls)]);
    for bytes in [&b"\0"[..], b"GET\r", b"GET /a b", b"GET / HTTP/1.1\r\n:", b"\n\n\n\n\n"] {
        let seen = seen(bytes);
        assert!(matches!(seen[..], [Seen::Refused(Refusal::Malformed(_))]), "{seen:?}");
    }
    for bytes in [&b""[..], b"G", b"\r\n\n\r", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\n\r"] {
        assert_eq!(seen(bytes), []);
    }
}
