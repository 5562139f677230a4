//! Section 7: closing, failing, and what happens afterwards.

use townhall::protocol::{CloseFrame, Violation};
use townhall::{CloseCode, Limits};

use crate::peer::{BINARY, CLOSE, CONTINUATION, FIN, PING, Seen, Server, TEXT, frame, see};

fn close(code: CloseCode, reason: &str) -> Option<CloseFrame> {
    Some(CloseFrame { code, reason: reason.to_owned() })
}

#[test]
fn a_close_is_echoed_with_code_and_reason() {
    let mut server = Server::open(Limits::default());
    server.take(&frame(FIN | CLOSE, b"\x0f\xa1later"));
    let later = CloseCode::new(4001).unwrap();
    assert_eq!(server.seen, [Seen::Close(close(later, "later"))]);
    assert_eq!(server.out, b"\x88\x07\x0f\xa1later");
    assert!(server.connection.is_closed());
}

#[test]
fn an_empty_close_is_answered_with_an_empty_close() {
    let mut server = Server::open(Limits::default());
    server.take(&frame(FIN | CLOSE, b""));
    assert_eq!((server.seen, &server.out[..]), (vec![Seen::Close(None)], &b"\x88\x00"[..]));
}

#[test]
fn frames_after_a_close_are_ignored() {
    let frames = [frame(FIN | CLOSE, b""), frame(FIN | TEXT, b"a"), vec![0xff; 100]];
    assert_eq!(see(&frames), [Seen::Close(None)]);
}

#[test]
fn an_invalid_close_fails_the_connection() {
    let cases: [(&[u8], Violation); 4] = [
        (b"\x03", Violation::TruncatedCloseCode),
        (b"\x03\xed", Violation::InvalidCloseCode(1005)),
        (b"\x13\x88", Violation::InvalidCloseCode(5000)),
        (b"\x03\xe8\xc3", Violation::InvalidCloseReason),
    ];
    for (payload, violation) in cases {
        assert_eq!(see(&[frame(FIN | CLOSE, payload)]), [Seen::Failed(violation)]);
    }
}

#[test]
fn after_our_close_only_the_peers_close_counts() {
    let mut server = Server::open(Limits::default());
    server.connection.close(CloseCode::NORMAL, "Bye!", &mut server.out);
    assert_eq!(server.out, b"\x88\x06\x03\xe8Bye!");
    server.take(&[frame(FIN | TEXT, b"late"), frame(FIN | PING, b"?")].concat());
    assert!(!server.connection.is_closed());
    server.take(&frame(FIN | CLOSE, b"\x03\xe8"));
    assert_eq!(server.seen, [Seen::Close(close(CloseCode::NORMAL, ""))]);
    assert!(server.connection.is_closed());
    assert_eq!(server.out.len(), 8, "there is one close frame from us, and no pong");
}

#[test]
fn a_second_close_sends_nothing() {
    let mut server = Server::open(Limits::default());
    server.connection.close(CloseCode::NORMAL, "", &mut server.out);
    server.connection.close(CloseCode::GOING_AWAY, "", &mut server.out);
    assert_eq!(server.out, b"\x88\x02\x03\xe8");
}

#[test]
fn a_failure_sends_the_peer_its_code_and_reason() {
    let mut server = Server::open(Limits::default());
    server.take(&[0x81, 0x00]);
    assert_eq!(server.seen, [Seen::Failed(Violation::Unmasked)]);
    assert_eq!(server.out, b"\x88\x12\x03\xeaframe not masked");
}

/// Violations, after each of which the peer's frames continue.
fn violations() -> Vec<(Vec<u8>, Violation)> {
    let long = [&[0x82, 0x80 | 126, 0, 5][..], &[0; 4], b"short"].concat();
    let interrupted = [frame(TEXT, b"a"), frame(FIN | TEXT, b"b")].concat();
    let broken = [frame(TEXT, b"a"), frame(CONTINUATION, b"b\xffc")].concat();
    vec![
        (b"\x81\x03abc".to_vec(), Violation::Unmasked),
        (b"\x88\x00".to_vec(), Violation::Unmasked),
        (frame(FIN | 0x20 | TEXT, b"abc"), Violation::ReservedBits),
        (frame(FIN | 0x3, &[0; 300]), Violation::ReservedOpcode(3)),
        (frame(PING, b"abc"), Violation::FragmentedControl),
        (frame(FIN | PING, &[0; 126]), Violation::LongControl),
        (long, Violation::NonMinimalLength),
        (frame(FIN | CONTINUATION, b"abc"), Violation::UnexpectedContinuation),
        (interrupted, Violation::InterruptedMessage),
        (frame(FIN | TEXT, b"ab\xffcd"), Violation::InvalidUtf8),
        (broken, Violation::InvalidUtf8),
        (frame(FIN | BINARY, &[0; 70_000]), Violation::MessageTooBig),
        (
            frame(BINARY, b"")
                .iter()
                .chain(&frame(CONTINUATION, b"a").repeat(4))
                .copied()
                .collect(),
            Violation::TooManyFragments,
        ),
    ]
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_message_bytes = 60_000;
    limits.max_fragments = 4;
    limits
}

#[test]
fn after_a_violation_the_peers_close_frame_is_awaited() {
    for (bytes, violation) in violations() {
        let answered_already = bytes[0] == FIN | CLOSE;
        let behind = [frame(FIN | TEXT, &[b'x'; 1_000]), frame(FIN | PING, b"?")].concat();
        for size in [1, 7, usize::MAX] {
            let mut server = Server::open(limits());
            bytes.chunks(size).chain(behind.chunks(size)).for_each(|piece| server.take(piece));
            assert_eq!(server.seen.first(), Some(&Seen::Failed(violation)), "{size}");
            assert_eq!(server.connection.is_closed(), answered_already, "{violation}, {size}");
            let code = violation.close_code();
            frame(FIN | CLOSE, &code.get().to_be_bytes())
                .chunks(size)
                .for_each(|piece| server.take(piece));
            let answer = (!answered_already).then(|| CloseFrame { code, reason: String::new() });
            assert_eq!(server.seen[1..], [Seen::Close(answer)], "{violation}, {size}");
            assert!(server.connection.was_clean(), "{violation}, {size}");
            assert_eq!(server.out[..2], [0x88, server.out.len() as u8 - 2], "one close frame");
        }
    }
}

#[test]
fn an_invalid_close_frame_still_ends_the_peers_side() {
    for payload in [&b"\x03"[..], b"\x03\xed", b"\x03\xe8\xc3"] {
        let mut server = Server::open(Limits::default());
        server.take(&frame(FIN | CLOSE, payload));
        assert!(server.connection.is_closed() && !server.connection.was_clean());
    }
}

#[test]
fn an_invalid_answer_to_our_close_is_an_answer() {
    let mut server = Server::open(Limits::default());
    server.connection.close(CloseCode::NORMAL, "", &mut server.out);
    server.take(&frame(FIN | CLOSE, b"\x03"));
    assert_eq!(server.seen, [Seen::Close(None)]);
}

/// The rest of the current frame is skipped or received, wherever it was interrupted.
#[test]
fn after_our_close_the_peers_close_is_found_behind_any_frame() {
    let ours = [frame(FIN | TEXT, &[b'x'; 300]), frame(FIN | PING, b"ping"), frame(TEXT, b"part")];
    let theirs = frame(FIN | CLOSE, b"\x03\xe8Bye!");
    let bytes = [ours.concat(), theirs].concat();
    for at in 0..bytes.len() {
        let mut server = Server::open(Limits::default());
        server.take(&bytes[..at]);
        server.seen.clear();
        server.connection.close(CloseCode::GOING_AWAY, "", &mut server.out);
        server.take(&bytes[at..]);
        assert_eq!(server.seen, [Seen::Close(close(CloseCode::NORMAL, "Bye!"))], "at {at}");
    }
}

/// Later bytes cannot be distinguished from its payload.
#[test]
fn after_an_impossible_length_no_close_is_found() {
    let mut server = Server::open(Limits::default());
    server.take(&[&[0x82, 0xff][..], &[0xff; 8], &[0; 4]].concat());
    server.take(&frame(FIN | CLOSE, b"\x03\xea").repeat(1_000));
    assert_eq!(server.seen, [Seen::Failed(Violation::LengthTopBit)]);
}
