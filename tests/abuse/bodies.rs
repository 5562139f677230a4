//! Requests with bodies that try to be expensive, or to be taken for something else.

use std::thread;
use std::time::Duration;

use crate::peer::{frame, request};
use crate::support::{Bounds, KIB, MIB, Siege};

fn post(fields: &str, rest: &str) -> Vec<u8> {
    format!("POST /lobby HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n{rest}").into_bytes()
}

/// RFC 9112, section 11.2. What follows the request would publish a message.
#[test]
fn no_part_of_a_body_is_taken_for_a_request() {
    let siege = Siege::begin(&[]);
    let mut member = siege.join("/lobby");
    let hidden = "POST /lobby HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nsmuggled";
    let chunked = "Transfer-Encoding: chunked\r\n";
    for (fields, rest, status) in [
        ("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "0\r\n\r\n", 400),
        ("Content-Length: 0\r\nContent-Length: 90\r\n", "", 400),
        ("Content-Length: +0\r\n", "", 400),
        ("Content-Length: 0x0\r\n", "", 400),
        ("Content-Length: 0, 90\r\n", "", 400),
        ("X: y\nContent-Length: 1\r\n", "x", 400),
        ("Transfer-Encoding: identity\r\n", "", 400),
        ("Transfer-Encoding: xchunked\r\n", "", 400),
        ("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n", 501),
        (chunked, "0\n\n", 400),
        (chunked, "1;a\n5c\r\nx\r\n0\r\n\r\n", 400),
        (chunked, "\r\n0\r\n\r\n", 400),
        (chunked, "10000000000000000\r\n", 400),
        (chunked, "0\r\n folded: trailer\r\n\r\n", 400),
    ] {
        let mut peer = siege.connect();
        peer.send(&[&post(fields, rest), hidden.as_bytes()].concat());
        assert_eq!(peer.receive_refusal().0, status, "{fields} {rest:?}");
    }
    for upgrade in ["Content-Length: 90\r\n", chunked] {
        let head = request("/lobby").replace("\r\n\r\n", &format!("\r\n{upgrade}\r\n"));
        let mut peer = siege.connect();
        peer.send(&[head.as_bytes(), hidden.as_bytes()].concat());
        assert_eq!(peer.receive_refusal().0, 400);
    }
    let mut peer = siege.connect();
    peer.send(&post("Connection: close\r\nContent-Length: 4\r\n", "last"));
    assert_eq!(peer.receive_refusal(), (200, "{\"members\":1}".into()));
    assert_eq!(member.receive_text(), "last");
    siege.end(Bounds { memory: 4 * MIB, cpu: 10, time: 60 });
}

/// A length costs nothing until the bytes have come.
#[test]
fn a_thousand_bodies_that_are_only_announced_cost_little() {
    const CROWD: usize = 1_000;
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let siege = Siege::begin(&["--handshake-timeout", "60s"]);
    let mut peers: Vec<_> = (0..CROWD).map(|_| siege.connect()).collect();
    for (number, peer) in peers.iter().enumerate() {
        let (fields, rest) = match number % 2 {
            0 => ("Content-Length: 16000000\r\n", "x"),
            _ => ("Transfer-Encoding: chunked\r\n", "f00000\r\nx"),
        };
        peer.send(&post(fields, rest));
    }
    let mut member = siege.join("/lobby");
    let mut last = siege.connect();
    last.send(&post("Connection: close\r\nContent-Length: 2\r\n", "hi"));
    assert_eq!(last.receive_refusal().0, 200);
    assert_eq!(member.receive_text(), "hi");
    peers.clear();
    siege.end(Bounds { memory: 8 * MIB, cpu: 10, time: 60 });
}

/// A byte now and then does not keep a connection.
#[test]
fn a_body_that_trickles_in_gets_408() {
    let siege = Siege::begin(&["--handshake-timeout", "1s"]);
    for (fields, bytes) in [
        ("Content-Length: 1000000\r\n", "x".repeat(1_000)),
        ("Transfer-Encoding: chunked\r\n", "1\r\nx\r\n".repeat(1_000)),
        ("Transfer-Encoding: chunked\r\n", format!("0\r\n{}", "a: b\r\n".repeat(1_000))),
    ] {
        let mut peer = siege.connect();
        peer.send(&post(fields, ""));
        let answer = peer.trickle(bytes.into_bytes(), Duration::from_millis(20));
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    siege.end(Bounds { memory: 4 * MIB, cpu: 10, time: 60 });
}

/// Everything around the content of a chunked body is limited, however little content there is.
#[test]
fn extensions_and_trailers_without_end_are_refused() {
    let siege = Siege::begin(&[]);
    for (rest, status) in [
        (format!("1;{}", "a".repeat(MIB)), 400),
        (format!("1;{}\r\nx\r\n", "a".repeat(200)).repeat(10 * KIB), 400),
        (format!("0\r\n{}", "a: b\r\n".repeat(100 * KIB)), 431),
        (format!("0\r\na: {}", "b".repeat(MIB)), 431),
    ] {
        let mut peer = siege.connect();
        let bytes = post("Transfer-Encoding: chunked\r\n", &rest);
        // If this fails, the server has answered and does not read the rest.
        let _ = peer.try_send(&bytes);
        let answer = String::from_utf8_lossy(&peer.receive_end()).into_owned();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
    siege.end(Bounds { memory: 8 * MIB, cpu: 10, time: 60 });
}

/// One that reads nothing is not read either.
#[test]
fn a_stream_of_publishes_whose_answers_are_not_read_stops() {
    let siege = Siege::begin(&["--max-messages-per-second", "1000000"]);
    let peer = siege.connect();
    let burst = post("Content-Length: 1\r\n", "x").repeat(1_000);
    // About 100 MB of requests, which would have 250 MB of answers.
    let sending = thread::spawn(move || {
        let sent = (0..1_500).take_while(|_| peer.try_send(&burst).is_ok()).count();
        (peer, sent)
    });
    let mut other = siege.join("/other");
    for _ in 0..20 {
        thread::sleep(Duration::from_millis(50));
        other.send(&frame(0x81, b"?"));
        assert_eq!(other.receive_text(), "?");
    }
    let program = siege.end(Bounds { memory: 16 * MIB, cpu: 20, time: 60 });
    drop(program);
    let (_, sent) = sending.join().unwrap();
    assert!(sent < 1_500, "everything was read");
}
