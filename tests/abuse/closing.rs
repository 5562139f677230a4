//! Connections that do not end, or end in the middle of something.

use std::thread;
use std::time::{Duration, Instant};

use crate::peer::{Peer, frame, long_header};
use crate::support::{Bounds, MIB, Siege};

/// A frame that no client may send.
const UNMASKED: &[u8] = b"\x81\x01a";

#[test]
fn a_peer_that_neither_answers_a_close_frame_nor_ends_its_side_is_dropped_in_time() {
    let siege = Siege::begin(&["--close-timeout", "2s"]);
    let before = siege.program.sockets();
    let mut peers: Vec<_> = (0..100).map(|_| siege.join("/")).collect();
    let begin = Instant::now();
    for peer in &mut peers {
        peer.send(UNMASKED);
        assert_eq!(peer.receive_close(), (1002, "frame not masked".into()));
    }
    assert!(siege.program.sockets() > before, "their answers are awaited");
    siege.program.wait_for_sockets(before);
    assert!(begin.elapsed() >= Duration::from_secs(2), "they had their time");
    siege.end(Bounds { memory: 4 * MIB, cpu: 2, time: 30 });
}

/// Browsers then report a clean close.
#[test]
fn a_peer_that_broke_the_protocol_may_answer_before_the_connection_ends() {
    let siege = Siege::begin(&["--close-timeout", "30s", "--max-message-size", "1000"]);
    let before = siege.program.sockets();
    let too_big = frame(0x82, &[0; 5_000]);
    for (violation, code) in [(UNMASKED, 1002), (&too_big, 1009), (&frame(0x81, b"\xff"), 1007)] {
        let mut peer = siege.join("/");
        peer.send(violation);
        assert_eq!(peer.receive_close().0, code);
        // It sends more before it notices.
        peer.send(&frame(0x81, b"unheard").repeat(100));
        peer.send(&frame(0x88, &u16::to_be_bytes(code)));
        assert_eq!(peer.receive_end(), b"");
        let line = siege.program.log_line(" left: ");
        assert!(line.contains(&format!("left: {code} (clean): ")), "{line}");
    }
    siege.program.wait_for_sockets(before);
    siege.end(Bounds { memory: 4 * MIB, cpu: 2, time: 30 });
}

/// It cannot answer any more.
#[test]
fn a_peer_that_ends_its_side_after_a_violation_is_not_waited_for() {
    let siege = Siege::begin(&["--close-timeout", "30s"]);
    let before = siege.program.sockets();
    let mut peer = siege.join("/");
    peer.send(UNMASKED);
    peer.end_writing();
    assert_eq!(peer.receive_close(), (1002, "frame not masked".into()));
    assert_eq!(peer.receive_end(), b"");
    siege.program.log_line("left: 1006 (not clean): frame not masked");
    siege.program.wait_for_sockets(before);
    siege.end(Bounds { memory: 4 * MIB, cpu: 2, time: 30 });
}

/// Data after the end is discarded, and does not extend the deadline.
#[test]
fn a_peer_that_sends_after_the_end_is_dropped_in_time() {
    let siege = Siege::begin(&["--close-timeout", "1s"]);
    let before = siege.program.sockets();
    let mut peer = siege.join("/");
    peer.send(UNMASKED);
    assert_eq!(peer.receive_close(), (1002, "frame not masked".into()));
    let noise = frame(0x81, &[b'x'; 60_000]);
    let begin = Instant::now();
    while peer.try_send(&noise).is_ok() {
        assert!(begin.elapsed() < Duration::from_secs(15), "it goes on and on");
    }
    siege.program.wait_for_sockets(before);
    siege.end(Bounds { memory: 4 * MIB, cpu: 10, time: 30 });
}

/// The server waits for its close frame, but reads no faster than before.
#[test]
fn a_peer_that_was_closed_for_its_rate_is_read_at_that_rate() {
    let flags = ["--max-bytes-per-second", "1048576", "--max-message-size", "65536"];
    let times = ["--throttle-timeout", "1s", "--close-timeout", "3s"];
    let siege = Siege::begin(&[&flags[..], &times].concat());
    let mut peer = siege.join("/");
    // Unsolicited pongs, which need no answer.
    let noise = frame(0x8a, &[b'x'; 125]).repeat(500);
    let sent = (0..).take_while(|_| peer.try_send(&noise).is_ok()).count() * noise.len();
    assert_eq!(peer.receive_close(), (1008, "message rate exceeded".into()));
    // A part of it is still in the system's buffers.
    assert!(sent < 40 * MIB, "{} MiB were taken", sent / MIB);
    siege.end(Bounds { memory: 4 * MIB, cpu: 2, time: 30 });
}

/// The server drops a peer that has ended its side, but delivers its last message.
#[test]
fn the_messages_of_a_peer_that_ends_its_side_are_delivered() {
    let siege = Siege::begin(&[]);
    let before = siege.program.sockets();
    let mut listener = siege.join("/");
    for number in 0..100 {
        let mut peer = siege.join("/");
        peer.send(&frame(0x81, format!("last words {number}").as_bytes()));
        peer.end_writing();
        assert_eq!(listener.receive_text(), format!("last words {number}"));
        peer.receive_end();
    }
    siege.program.wait_for_sockets(before + 1);
    siege.end(Bounds { memory: 4 * MIB, cpu: 2, time: 30 });
}

/// A request gets an answer even if the client can send nothing more.
#[test]
fn a_half_closed_request_is_answered() {
    let siege = Siege::begin(&[]);
    let mut peer = siege.connect();
    peer.send(b"GET /room HTTP/1.1\r\nHost: localhost\r\n\r\n");
    peer.end_writing();
    assert_eq!(peer.receive_refusal().0, 426);
    siege.end(Bounds { memory: 4 * MIB, cpu: 2, time: 30 });
}

/// A member with unread data, so that dropping it resets the connection.
fn unread(siege: &Siege) -> Peer {
    let peer = siege.join("/");
    peer.send(&frame(0x89, b"unread"));
    peer
}

#[test]
fn a_reset_in_the_middle_of_a_frame_leaves_nothing_behind() {
    let siege = Siege::begin(&[]);
    let before = siege.program.sockets();
    let message = frame(0x82, &vec![1; 4 * MIB]);
    let pieces = [&[0x82][..], &[0x82, 0xff, 0], &long_header(0x02, 9 << 20), &message[..MIB]];
    for piece in pieces.iter().cycle().take(200) {
        let peer = unread(&siege);
        peer.send(piece);
        peer.reset();
        siege.program.log_line("left: 1006 (not clean): the connection was lost");
    }
    siege.program.wait_for_sockets(before);
    siege.end(Bounds { memory: 16 * MIB, cpu: 8, time: 30 });
}

#[test]
fn messages_before_a_close_frame_are_delivered_and_later_ones_are_not() {
    let siege = Siege::begin(&[]);
    let mut listener = siege.join("/");
    for number in 0..50 {
        let mut peer = siege.join("/");
        let words = |text: &str| frame(0x81, format!("{text} {number}").as_bytes());
        let close = frame(0x88, b"\x03\xe8bye");
        peer.send(&[words("before").repeat(3), close.clone(), words("after"), close].concat());
        for _ in 0..3 {
            assert_eq!(peer.receive_text(), format!("before {number}"));
            assert_eq!(listener.receive_text(), format!("before {number}"));
        }
        assert_eq!(peer.receive_close(), (1000, "bye".into()));
        assert_eq!(peer.receive_end(), b"");
    }
    siege.end(Bounds { memory: 4 * MIB, cpu: 2, time: 30 });
}

/// The other members receive everything that was sent before it. The answer waits only for the frame that is
/// being written.
#[test]
fn a_close_frame_after_much_data_is_answered_ahead_of_the_backlog() {
    const MESSAGES: usize = 64;
    let siege = Siege::begin(&[]);
    let mut peer = siege.join("/");
    let mut listener = siege.join("/");
    thread::scope(|scope| {
        let reading = scope.spawn(|| {
            (0..MESSAGES).for_each(|_| assert_eq!(listener.receive().1.len(), 100_000));
        });
        (0..MESSAGES).for_each(|_| peer.send(&frame(0x82, &[1; 100_000])));
        peer.send(&frame(0x88, b"\x03\xe8bye"));
        reading.join().unwrap();
    });
    let close = loop {
        match peer.receive() {
            (0x82, payload) => assert_eq!(payload.len(), 100_000),
            other => break other,
        }
    };
    assert_eq!(close, (0x88, b"\x03\xe8bye".to_vec()));
    siege.end(Bounds { memory: 32 * MIB, cpu: 5, time: 30 });
}
