//! Section 5.4: fragmentation, and the limits of section 10.4.

use townhall::Limits;
use townhall::protocol::Violation::{
    InterruptedMessage, MessageTooBig, TooManyFragments, UnexpectedContinuation,
};

use crate::peer::{BINARY, CONTINUATION, FIN, PING, Seen, Server, TEXT, frame, see, text};

#[test]
fn fragments_make_one_message_with_control_frames_between_them() {
    let frames = [
        frame(TEXT, b"every"),
        frame(FIN | PING, b"?"),
        frame(CONTINUATION, b""),
        frame(FIN | CONTINUATION, b"one"),
        frame(FIN | BINARY, b"\xff"),
    ];
    let seen = [Seen::Ping(b"?".to_vec()), text("everyone"), Seen::Binary(vec![0xff])];
    assert_eq!(see(&frames), seen);
}

#[test]
fn empty_messages_are_messages() {
    let frames = [frame(FIN | TEXT, b""), frame(BINARY, b""), frame(FIN | CONTINUATION, b"")];
    assert_eq!(see(&frames), [text(""), Seen::Binary(Vec::new())]);
}

#[test]
fn a_continuation_needs_a_message_to_continue() {
    assert_eq!(see(&[frame(FIN | CONTINUATION, b"x")]), [Seen::Failed(UnexpectedContinuation)]);
    let after = [frame(FIN | TEXT, b"a"), frame(CONTINUATION, b"b")];
    assert_eq!(see(&after), [text("a"), Seen::Failed(UnexpectedContinuation)]);
}

#[test]
fn messages_are_not_interleaved() {
    let frames = [frame(TEXT, b"a"), frame(FIN | TEXT, b"b")];
    assert_eq!(see(&frames), [Seen::Failed(InterruptedMessage)]);
}

#[test]
fn nothing_is_received_after_a_failure() {
    let frames = [frame(FIN | CONTINUATION, b"x"), frame(FIN | TEXT, b"a")];
    assert_eq!(see(&frames).len(), 1);
}

fn small() -> Server {
    let mut limits = Limits::default();
    limits.max_message_bytes = 10;
    limits.max_fragments = 4;
    Server::open(limits)
}

#[test]
fn a_message_of_exactly_the_limit_passes_and_a_byte_more_does_not() {
    let mut server = small();
    server.take(&frame(FIN | TEXT, b"0123456789"));
    server.take(&[frame(BINARY, b"01234"), frame(FIN | CONTINUATION, b"56789")].concat());
    assert_eq!(server.seen.len(), 2);
    server.take(&frame(FIN | BINARY, b"0123456789a"));
    assert_eq!(server.seen[2..], [Seen::Failed(MessageTooBig)]);
    assert_eq!(server.out[..4], [0x88, server.out[1], 0x03, 0xf1], "a close frame with 1009");
}

#[test]
fn a_message_is_refused_as_soon_as_a_length_shows_it() {
    let header = |bytes: &[u8]| [bytes, &[0; 4]].concat();
    let cases = [
        header(&[0x82, 0x80 | 11]),
        header(&[0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0]),
        header(&[0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
    ];
    for header in cases {
        let mut server = small();
        server.take(&header);
        assert_eq!(server.seen, [Seen::Failed(MessageTooBig)], "{header:x?}");
        let mut server = small();
        server.take(&frame(BINARY, b"0123456789"));
        let mut continuation = header.clone();
        continuation[0] = FIN | CONTINUATION;
        server.take(&continuation);
        assert_eq!(server.seen, [Seen::Failed(MessageTooBig)], "{header:x?} as a continuation");
    }
}

#[test]
fn empty_fragments_are_counted() {
    let mut server = small();
    server.take(&frame(TEXT, b"a"));
    for _ in 0..3 {
        server.take(&frame(CONTINUATION, b""));
    }
    assert_eq!(server.seen, []);
    server.take(&frame(CONTINUATION, b""));
    assert_eq!(server.seen, [Seen::Failed(TooManyFragments)]);
}
