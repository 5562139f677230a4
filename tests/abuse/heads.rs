//! Request heads that try to be expensive.

use std::thread;
use std::time::{Duration, Instant};

use crate::peer::{Peer, frame, request, request_with};
use crate::process::own_cpu;
use crate::support::{Bounds, MIB, Siege};

/// A request head of nearly 16 KiB, the default limit, with nearly the maximum number of fields.
fn long_head() -> String {
    let head = request_with("/", &"X-Some-Field: some value\r\n".repeat(90));
    let padding = "x".repeat(16_300 - head.len());
    head.replace("some value\r\n\r\n", &format!("{padding}\r\n\r\n"))
}

/// Waits until the server has read everything that was sent before.
fn receive_echo(member: &mut Peer) {
    member.send(&frame(0x81, b"?"));
    assert_eq!(member.receive_text(), "?");
}

/// The CPU time for parsing a head again with every byte that arrives.
fn quadratic_cost(head: &[u8]) -> Duration {
    let before = own_cpu();
    for end in 0..head.len() {
        let mut fields = [httparse::EMPTY_HEADER; 100];
        assert!(httparse::Request::new(&mut fields).parse(&head[..end]).unwrap().is_partial());
    }
    own_cpu() - before
}

/// CVE-2023-43669. If the second half of a head costs more than the first, the cost grows with the bytes
/// before it.
#[test]
fn a_head_sent_one_byte_at_a_time_costs_linear_time() {
    const HEADS: u32 = 8;
    let siege = Siege::begin(&[]);
    let head = long_head();
    let mut clock = siege.join("/clock");
    let mut peers: Vec<_> = (0..HEADS).map(|_| siege.connect()).collect();
    let mut send = |bytes: &[u8]| {
        let before = siege.program.cpu();
        for byte in bytes {
            peers.iter().for_each(|peer| peer.send(&[*byte]));
            receive_echo(&mut clock);
        }
        siege.program.cpu() - before
    };
    let (first, second) = head.as_bytes().split_at(head.len() / 2);
    let first = send(first);
    let second = send(second);
    peers.iter_mut().for_each(Peer::receive_upgrade);
    // A quadratic parser spends three quarters of this on the second half and one on the first.
    let quadratic = HEADS * quadratic_cost(head.as_bytes());
    let more = second.saturating_sub(first);
    assert!(more < quadratic / 4, "{more:?} of {quadratic:?}: {first:?}, then {second:?}");
    siege.end(Bounds { memory: 4 * MIB, cpu: 20, time: 60 });
}

/// CVE-2024-37890. The head is shorter than its limit.
#[test]
fn two_thousand_headers_are_refused() {
    let siege = Siege::begin(&[]);
    let fields = |count: usize| {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "a:\r\n".repeat(count));
        let mut peer = siege.connect();
        peer.send(head.as_bytes());
        peer.receive_refusal()
    };
    let refusal = "too many header fields";
    for _ in 0..200 {
        assert_eq!(fields(2_000), (431, refusal.into()));
    }
    assert_eq!(fields(99).0, 200);
    assert_eq!(fields(100).0, 431);
    siege.end(Bounds { memory: 4 * MIB, cpu: 5, time: 30 });
}

#[test]
fn an_endless_head_is_refused_at_its_limit() {
    let siege = Siege::begin(&[]);
    let endless = |beginning: &str, rest: &str| {
        let mut peer = siege.connect();
        peer.send(beginning.as_bytes());
        // Its end arrives after the connection has ended.
        let _ = peer.try_send(rest.repeat(100_000).as_bytes());
        peer.receive_refusal()
    };
    for _ in 0..20 {
        let long = (431, "request head too long".into());
        assert_eq!(endless("GET / HTTP/1.1\r\n", "a: b\r\n"), long);
        let target = (414, "request line too long".into());
        assert_eq!(endless("GET /", "aaaaaa"), target);
    }
    siege.end(Bounds { memory: 4 * MIB, cpu: 5, time: 30 });
}

/// CVE-2021-32640 and similar: lists on which a careless parser backtracks.
#[test]
fn lists_of_subprotocols_and_extensions_cost_linear_time() {
    let siege = Siege::begin(&["--subprotocol", "chat", "--subprotocol", "other"]);
    let answer = |name: &str, value: &str| {
        let mut peer = siege.connect();
        peer.send(request_with("/", &format!("{name}: {value}\r\n")).as_bytes());
        peer.receive_head()[9..12].to_owned()
    };
    let spaces = " ".repeat(15_500);
    for _ in 0..50 {
        let subprotocols = |value: &str| answer("Sec-WebSocket-Protocol", value);
        assert_eq!(subprotocols(&format!("a{spaces}b")), "400");
        assert_eq!(subprotocols(&"a,".repeat(7_700)), "101");
        assert_eq!(subprotocols(&",".repeat(15_500)), "101");
        let extensions = |value: &str| answer("Sec-WebSocket-Extensions", value);
        assert_eq!(extensions(&format!("a{spaces}b")), "400");
        assert_eq!(extensions(&"a,".repeat(7_700)), "101");
        assert_eq!(extensions(&",".repeat(15_500)), "101");
        assert_eq!(extensions(&format!("a{}", ";a".repeat(7_700))), "101");
        assert_eq!(extensions(&"permessage-deflate;a,".repeat(730)), "101");
        assert_eq!(extensions(&format!("a;b=\"{}\"", "\\a".repeat(7_700))), "101");
        assert_eq!(extensions(&format!("a;b=\"{}", "\\a".repeat(7_700))), "400");
    }
    siege.end(Bounds { memory: 8 * MIB, cpu: 15, time: 60 });
}

/// Arriving header fields do not give a client more time.
#[test]
fn a_head_that_trickles_is_answered_with_408_in_time() {
    let siege = Siege::begin(&["--handshake-timeout", "1s"]);
    let pause = Duration::from_millis(20);
    let fields = request("/").replace("\r\n\r\n", &"\r\nX-Slow: yes".repeat(500));
    let begin = Instant::now();
    thread::scope(|scope| {
        for _ in 0..20 {
            let mut peer = siege.connect();
            let bytes = fields.bytes();
            scope.spawn(move || {
                let answer = String::from_utf8(peer.trickle(bytes, pause)).unwrap();
                assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
                assert!(answer.ends_with("request timed out\n"), "{answer}");
            });
        }
    });
    assert!(begin.elapsed() >= Duration::from_secs(1), "they had their second");
    siege.end(Bounds { memory: 4 * MIB, cpu: 2, time: 30 });
}

/// Browsers open such connections in advance. There is nothing to answer or to log.
#[test]
fn connections_without_a_request_are_closed_in_time_without_an_answer() {
    let siege = Siege::begin(&["--handshake-timeout", "1s"]);
    let before = siege.program.sockets();
    let mut peers: Vec<_> = (0..200).map(|_| siege.connect()).collect();
    for (peer, lines) in peers.iter().zip(["", "\r\n", "\r\n\r\n\r", "\n\n"].iter().cycle()) {
        peer.send(lines.as_bytes());
    }
    for peer in &mut peers {
        assert_eq!(peer.receive_end(), b"");
    }
    drop(peers);
    siege.program.wait_for_sockets(before);
    let program = siege.end(Bounds { memory: 4 * MIB, cpu: 2, time: 30 });
    let mut hello = Peer::connect(&program.address);
    hello.send(TLS_HELLO);
    hello.receive_refusal();
    let mut asked_nothing = 0;
    let mut lines = 0;
    loop {
        let line = program.log_line(" ");
        lines += u32::from(line.contains("INFO") && !line.contains("file descriptor limit"));
        asked_nothing += u32::from(line.contains("DEBUG") && line.contains("sent no request"));
        if line.contains("TLS") {
            break;
        }
    }
    assert_eq!((asked_nothing, lines), (200, 1), "but for the line of the hello");
}

/// The first bytes of a TLS client: a record with a ClientHello (RFC 8446, sections 5.1 and 4.1.2).
const TLS_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and random bytes";

/// RFC 9112, section 2.2. The handshake timeout is longer than the test's, so an answer is a reaction to
/// these bytes.
#[test]
fn invalid_requests_are_refused_at_their_first_invalid_byte() {
    let siege = Siege::begin(&["--handshake-timeout", "3600s"]);
    for bytes in [
        TLS_HELLO,
        b"\x05\x01\x00",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"PING\r\n",
        b"\0\0\0\x0cMessage",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"\r\n\r\n\0\r\nQUIT\n",
        b"\xff\xfb\x1f",
        b"GET / and more\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\x81\x80",
    ] {
        let mut whole = siege.connect();
        whole.send(bytes);
        let (status, reason) = whole.receive_refusal();
        assert_eq!(status, 400, "{}: {reason}", bytes.escape_ascii());
        let mut pieces = siege.connect();
        let answer = pieces.trickle(bytes.iter().copied(), Duration::from_millis(2));
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n{reason}\n")), "{answer}");
    }
    let program = siege.end(Bounds { memory: 4 * MIB, cpu: 2, time: 30 });
    let line = program.log_line("TLS");
    assert!(line.contains("refused with 400: TLS on a port for plain HTTP"), "{line}");
}

/// A few empty lines may precede a request (RFC 9112, section 2.2), but not until the handshake times out.
#[test]
fn endless_empty_lines_are_refused() {
    let siege = Siege::begin(&["--handshake-timeout", "3600s"]);
    for _ in 0..20 {
        let mut peer = siege.connect();
        // Its end arrives after the connection has ended.
        let _ = peer.try_send("\r\n".repeat(100_000).as_bytes());
        let many = "too many empty lines come before the request";
        assert_eq!(peer.receive_refusal(), (400, many.into()));
        let mut few = siege.connect();
        few.send(["\r\n\r\n", &request("/")].concat().as_bytes());
        few.receive_upgrade();
    }
    siege.end(Bounds { memory: 4 * MIB, cpu: 5, time: 30 });
}
