//! Frames that declare too much, carry too little, or arrive too slowly.

use std::thread;
use std::time::Duration;

use crate::peer::{Peer, frame, long_header};
use crate::support::{Bounds, MIB, Siege};

const TOO_BIG: (u16, &str) = (1009, "message too big");
const TOO_MANY: (u16, &str) = (1008, "too many fragments in a message");

/// The first frame of a message, and one that neither begins nor ends it.
const BEGIN: u8 = 0x02;
const CONTINUE: u8 = 0x00;

fn assert_closed(peer: &mut Peer, (code, reason): (u16, &str)) {
    assert_eq!(peer.receive_close(), (code, reason.to_owned()));
}

/// RFC 6455, section 5.2: "the most significant bit MUST be 0".
#[test]
fn a_length_with_its_top_bit_set_is_a_protocol_error() {
    let siege = Siege::begin(&[]);
    for length in [1 << 63, u64::MAX, (1 << 63) + 5] {
        for first in [0x81, 0x82, BEGIN] {
            let mut peer = siege.join("/");
            peer.send(&long_header(first, length));
            assert_closed(&mut peer, (1002, "frame length out of range"));
        }
    }
    siege.end(Bounds { memory: 4 * MIB, cpu: 2, time: 30 });
}

#[test]
fn a_header_that_declares_too_much_is_refused_at_once() {
    let siege = Siege::begin(&[]);
    for length in [1 << 62, (1 << 63) - 1, 1 << 32, 1 << 30, (16 << 20) + 1] {
        for first in [0x81, 0x82, BEGIN] {
            let mut peer = siege.join("/");
            peer.send(&long_header(first, length));
            assert_closed(&mut peer, TOO_BIG);
        }
    }
    siege.end(Bounds { memory: 4 * MIB, cpu: 2, time: 30 });
}

/// Three gigabytes are declared, and three megabytes sent. The answer to a control frame inside the message
/// shows that everything was read.
#[test]
fn a_declared_length_takes_no_memory() {
    let siege = Siege::begin(&[]);
    let mut peers: Vec<_> = (0..200).map(|_| siege.join("/")).collect();
    for peer in &mut peers {
        peer.send(&frame(BEGIN, &[0; 16_000]));
        peer.send(&frame(0x89, b"read?"));
        assert_eq!(peer.receive(), (0x8a, b"read?".to_vec()));
        peer.send(&long_header(CONTINUE, (16 << 20) - 16_000));
        peer.send(b"begun");
    }
    siege.end(Bounds { memory: 16 * MIB, cpu: 2, time: 30 });
}

/// CVE-2020-27813. A sum of lengths that overflows could pass a comparison.
#[test]
fn lengths_whose_sum_overflows_are_too_big() {
    let siege = Siege::begin(&["--max-message-size", "100000"]);
    let sums = [
        (60_000, 60_000),
        (1, 100_000),
        (1, (1 << 63) - 1),
        (60_000, (1 << 63) - 60_000),
        (60_000, (1 << 32) - 60_000),
    ];
    for (first, second) in sums {
        let mut peer = siege.join("/");
        peer.send(&frame(BEGIN, &vec![0; first]));
        match u16::try_from(second) {
            Ok(short) => peer.send(&frame(CONTINUE, &vec![0; short.into()])),
            Err(_) => peer.send(&long_header(CONTINUE, second)),
        }
        assert_closed(&mut peer, TOO_BIG);
    }
    siege.end(Bounds { memory: 4 * MIB, cpu: 2, time: 30 });
}

/// CVE-2026-48779. The overhead of fragments must not add up.
#[test]
fn a_message_in_one_byte_fragments_is_refused_for_their_number() {
    let siege = Siege::begin(&[]);
    for first in [0x01, BEGIN] {
        let mut peer = siege.join("/");
        peer.send(&frame(first, b"a"));
        // The last ones arrive after the connection has ended.
        let _ = peer.try_send(&frame(CONTINUE, b"a").repeat(131_000));
        assert_closed(&mut peer, TOO_MANY);
    }
    siege.end(Bounds { memory: 8 * MIB, cpu: 8, time: 30 });
}

/// They are empty, so no limit in bytes applies.
#[test]
fn a_million_empty_fragments_are_refused_for_their_number() {
    let siege = Siege::begin(&[]);
    for first in [0x01, BEGIN] {
        let mut peer = siege.join("/");
        peer.send(&frame(first, b""));
        let _ = peer.try_send(&frame(CONTINUE, b"").repeat(1_000_000));
        assert_closed(&mut peer, TOO_MANY);
    }
    siege.end(Bounds { memory: 4 * MIB, cpu: 8, time: 30 });
}

/// A peer that sends many messages may send as many fragments.
#[test]
fn fragments_are_counted_for_each_message() {
    let siege = Siege::begin(&[]);
    let mut peer = siege.join("/");
    let message = [frame(0x01, b"a"), frame(CONTINUE, b"b").repeat(60_000), frame(0x80, b"c")];
    for _ in 0..3 {
        peer.send(&message.concat());
        assert_eq!(peer.receive_text().len(), 60_002);
    }
    siege.end(Bounds { memory: 8 * MIB, cpu: 8, time: 30 });
}

/// Only complete frames count as activity: the peer is pinged, and dropped when it does not answer.
#[test]
fn single_bytes_of_a_frame_are_no_activity() {
    let siege = Siege::begin(&["--ping-interval", "1s", "--pong-timeout", "1s"]);
    let begun = [frame(0x82, &[0; 60_000]), frame(BEGIN, &[0; 60_000])];
    thread::scope(|scope| {
        for bytes in begun.iter().cycle().take(20) {
            let mut peer = siege.join("/slow");
            scope.spawn(move || {
                let received = peer.trickle(bytes.iter().copied(), Duration::from_millis(20));
                assert_eq!(received, b"\x89\x00", "a ping, and the end");
            });
        }
    });
    (0..20).for_each(|_| _ = siege.program.log_line("the peer did not answer a ping"));
    siege.end(Bounds { memory: 4 * MIB, cpu: 3, time: 30 });
}

/// A read stops at the urgent byte, and the system does not report the socket again for the data after it.
#[test]
fn data_after_an_urgent_byte_is_read_at_once() {
    let siege = Siege::begin(&[]);
    let mut peer = siege.join("/");
    siege.program.at_once(|| {
        peer.send(&frame(0x81, b"before"));
        peer.send_urgent(b"!");
        peer.send(&[frame(0x81, b"after"), frame(0x81, b"and more")].concat());
    });
    for text in ["before", "after", "and more"] {
        assert_eq!(peer.receive_text(), text);
    }
    siege.end(Bounds { memory: 4 * MIB, cpu: 2, time: 30 });
}
