//! Section 7: closing, failing, and what is said and heard after it.

use townhall::protocol::{CloseFrame, Violation};
use townhall::{CloseCode, Limits};

use crate::peer::{CLOSE, FIN, PING, Seen, Server, TEXT, frame, see};

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
fn what_follows_a_close_is_ignored() {
    let frames = [frame(FIN | CLOSE, b""), frame(FIN | TEXT, b"a"), vec![0xff; 100]];
    assert_eq!(see(&frames), [Seen::Close(None)]);
}

#[test]
fn a_broken_close_fails_the_connection() {
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
fn a_second_close_of_ours_says_nothing() {
    let mut server = Server::open(Limits::default());
    server.connection.close(CloseCode::NORMAL, "", &mut server.out);
    server.connection.close(CloseCode::GOING_AWAY, "", &mut server.out);
    assert_eq!(server.out, b"\x88\x02\x03\xe8");
}

#[test]
fn a_failure_tells_the_peer_its_code_and_why() {
    let mut server = Server::open(Limits::default());
    server.take(&[0x81, 0x00]);
    assert_eq!(server.seen, [Seen::Failed(Violation::Unmasked)]);
    assert_eq!(server.out, b"\x88\x17\x03\xeaa frame is not masked");
}
