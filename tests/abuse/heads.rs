//! Heads of requests that cost more than they are worth.

use std::thread;
use std::time::{Duration, Instant};

use crate::peer::{Peer, frame, request, request_with};
use crate::process::own_cpu;
use crate::support::{Bounds, MIB, Siege};

/// A request's head of nearly 8 KiB, the default limit, with most of the fields that it may have.
fn long_head() -> String {
    let head = request_with("/", &"X-Some-Field: some value\r\n".repeat(50));
    let padding = "x".repeat(8_150 - head.len());
    head.replace("some value\r\n\r\n", &format!("{padding}\r\n\r\n"))
}

/// Waits until the server has read everything that was sent before.
fn hear_echo(member: &mut Peer) {
    member.send(&frame(0x81, b"?"));
    assert_eq!(member.hear_text(), "?");
}

/// What it takes to parse a head again with every byte that comes.
fn quadratic_cost(head: &[u8]) -> Duration {
    let before = own_cpu();
    for end in 0..head.len() {
        let mut fields = [httparse::EMPTY_HEADER; 64];
        assert!(httparse::Request::new(&mut fields).parse(&head[..end]).unwrap().is_partial());
    }
    own_cpu() - before
}

/// CVE-2023-43669. What the second half of a head costs more than the first is what grows with
/// the bytes before it.
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
            hear_echo(&mut clock);
        }
        siege.program.cpu() - before
    };
    let (first, second) = head.as_bytes().split_at(head.len() / 2);
    let (first, second) = (send(first), send(second));
    peers.iter_mut().for_each(Peer::hear_upgrade);
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
        peer.hear_refusal()
    };
    let refusal = "the request has more header fields than the limit";
    for _ in 0..200 {
        assert_eq!(fields(2_000), (431, refusal.into()));
    }
    assert_eq!(fields(63).0, 200);
    assert_eq!(fields(64).0, 431);
    siege.end(Bounds { memory: 4 * MIB, cpu: 5, time: 30 });
}

#[test]
fn a_head_without_end_is_refused_at_its_limit() {
    let siege = Siege::begin(&[]);
    let endless = |beginning: &str, rest: &str| {
        let mut peer = siege.connect();
        peer.send(beginning.as_bytes());
        // The end of it meets a connection that is over.
        let _ = peer.try_send(rest.repeat(100_000).as_bytes());
        peer.hear_refusal()
    };
    for _ in 0..20 {
        let long = (431, "the request's head is longer than the limit".into());
        assert_eq!(endless("GET / HTTP/1.1\r\n", "a: b\r\n"), long);
        let target = (414, "the request line is longer than the limit".into());
        assert_eq!(endless("GET /", "aaaaaa"), target);
    }
    siege.end(Bounds { memory: 4 * MIB, cpu: 5, time: 30 });
}

/// CVE-2021-32640, and its like: lists at which a careless parser backtracks.
#[test]
fn lists_of_subprotocols_and_extensions_cost_linear_time() {
    let siege = Siege::begin(&["--subprotocol", "chat", "--subprotocol", "other"]);
    let answer = |name: &str, value: &str| {
        let mut peer = siege.connect();
        peer.send(request_with("/", &format!("{name}: {value}\r\n")).as_bytes());
        peer.hear_head()[9..12].to_owned()
    };
    let spaces = " ".repeat(7_500);
    for _ in 0..50 {
        let subprotocols = |value: &str| answer("Sec-WebSocket-Protocol", value);
        assert_eq!(subprotocols(&format!("a{spaces}b")), "101");
        assert_eq!(subprotocols(&"a,".repeat(3_700)), "101");
        assert_eq!(subprotocols(&",".repeat(7_500)), "101");
        let extensions = |value: &str| answer("Sec-WebSocket-Extensions", value);
        assert_eq!(extensions(&format!("a{spaces}b")), "400");
        assert_eq!(extensions(&"a,".repeat(3_700)), "101");
        assert_eq!(extensions(&",".repeat(7_500)), "101");
        assert_eq!(extensions(&format!("a{}", ";a".repeat(3_700))), "101");
        assert_eq!(extensions(&"permessage-deflate;a,".repeat(350)), "101");
        assert_eq!(extensions(&format!("a;b=\"{}\"", "\\a".repeat(3_700))), "101");
        assert_eq!(extensions(&format!("a;b=\"{}", "\\a".repeat(3_700))), "400");
    }
    siege.end(Bounds { memory: 8 * MIB, cpu: 15, time: 60 });
}

/// Bytes that come, be they header fields or the empty lines that may be before a request, do
/// not give a client more time.
#[test]
fn a_head_that_trickles_is_answered_with_408_in_time() {
    let siege = Siege::begin(&["--handshake-timeout-seconds", "1"]);
    let pause = Duration::from_millis(20);
    let fields = request("/").replace("\r\n\r\n", &"\r\nX-Slow: yes".repeat(500));
    let kinds = [fields, "\r\n".repeat(5_000)];
    let begin = Instant::now();
    thread::scope(|scope| {
        for bytes in kinds.iter().cycle().take(20) {
            let mut peer = siege.connect();
            scope.spawn(move || {
                let answer = String::from_utf8(peer.trickle(bytes.bytes(), pause)).unwrap();
                assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
                assert!(
                    answer.ends_with("the request's head did not arrive in time\n"),
                    "{answer}"
                );
            });
        }
    });
    assert!(begin.elapsed() >= Duration::from_secs(1), "they had their second");
    siege.end(Bounds { memory: 4 * MIB, cpu: 2, time: 10 });
}

/// Who says nothing at all has no more time either, and takes no place for ever.
#[test]
fn connections_that_say_nothing_are_ended_in_time() {
    let siege = Siege::begin(&["--handshake-timeout-seconds", "1"]);
    let before = siege.program.sockets();
    let mut peers: Vec<_> = (0..200).map(|_| siege.connect()).collect();
    for peer in &mut peers {
        assert_eq!(peer.hear_refusal().0, 408);
    }
    drop(peers);
    siege.program.wait_for_sockets(before);
    siege.end(Bounds { memory: 4 * MIB, cpu: 2, time: 10 });
}
