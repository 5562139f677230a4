//! Compressed messages that are small only on the wire (RFC 7692).

use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;

use crate::peer::{Peer, frame, request_with};
use crate::support::{Bounds, MIB, Siege};

/// A compressed binary message, or the first frame of one.
const COMPRESSED: u8 = 0xc2;

fn join(siege: &Siege) -> Peer {
    let mut peer = siege.connect();
    let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    peer.send(request_with("/", offer).as_bytes());
    let head = peer.receive_head();
    assert!(head.contains("Sec-WebSocket-Extensions: permessage-deflate"), "{head}");
    peer
}

/// The compressed payload of a message of `mebibytes` MiB of zeros (RFC 7692, section 7.2.1).
fn deflated(mebibytes: usize) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    (0..mebibytes).for_each(|_| encoder.write_all(&vec![0; MIB]).unwrap());
    encoder.flush().unwrap();
    let bytes = encoder.get_ref();
    bytes.strip_suffix(&[0, 0, 0xff, 0xff]).unwrap().to_vec()
}

/// 256 MiB in 256 KiB. Inflating stops at the limit.
#[test]
fn a_message_that_inflates_beyond_the_limit_is_refused() {
    let siege = Siege::begin(&[]);
    let bomb = deflated(256);
    for _ in 0..20 {
        let mut peer = join(&siege);
        peer.send(&frame(COMPRESSED, &bomb));
        assert_eq!(peer.receive_close(), (1009, "message too big".into()));
    }
    siege.end(Bounds { memory: 80 * MIB, cpu: 20, time: 60 });
}

/// One frame per byte does not make it larger.
#[test]
fn an_incomplete_compressed_message_costs_what_was_sent() {
    let siege = Siege::begin(&[]);
    let bomb = deflated(16);
    let mut peers: Vec<_> = (0..20).map(|_| join(&siege)).collect();
    for peer in &mut peers {
        peer.send(&frame(COMPRESSED & 0x7f, &bomb[..1_000]));
        peer.send(&bomb[1_000..].iter().flat_map(|byte| frame(0, &[*byte])).collect::<Vec<_>>());
        peer.send(&frame(0x89, b"read?"));
        assert_eq!(peer.receive(), (0x8a, b"read?".to_vec()));
    }
    siege.end(Bounds { memory: 16 * MIB, cpu: 20, time: 60 });
}

/// 16 KB that inflate to 16 MB for every member, again and again, from a member that does not read.
#[test]
fn bombs_for_everybody_cost_no_more_than_the_backlog() {
    // It is not throttled, and its messages are not compressed again.
    let rate = ["--max-bytes-per-second", "1000000000"];
    let plain = ["--deflate-threshold", "1000000000", "--close-timeout", "1s"];
    let siege = Siege::begin(&[&rate[..], &plain].concat());
    let bomb = frame(COMPRESSED, &deflated(16));
    let thrower = join(&siege);
    for _ in 0..32 {
        let _ = thrower.try_send(&bomb);
    }
    siege.program.log_line("the peer fell too far behind");
    siege.end(Bounds { memory: 160 * MIB, cpu: 20, time: 60 });
}

/// In a compressed room, each message is inflated once and deflated once.
#[test]
fn bombs_that_are_forwarded_cost_little_memory() {
    let siege = Siege::begin(&["--max-bytes-per-second", "1000000000"]);
    let bomb = frame(COMPRESSED, &deflated(16));
    let mut thrower = join(&siege);
    for _ in 0..16 {
        thrower.send(&bomb);
    }
    for _ in 0..16 {
        let (first, payload) = thrower.receive();
        assert!(first == COMPRESSED && payload.len() < 64 << 10, "{} bytes", payload.len());
    }
    siege.end(Bounds { memory: 64 * MIB, cpu: 20, time: 60 });
}
