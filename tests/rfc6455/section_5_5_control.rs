//! Section 5.5: control frames.

use townhall::Limits;
use townhall::protocol::Violation::{FragmentedControl, LongControl};

use crate::peer::{CLOSE, FIN, PING, PONG, Seen, Server, frame, see};

#[test]
fn a_ping_is_answered_with_its_payload() {
    let mut server = Server::open(Limits::default());
    server.take(&frame(FIN | PING, &[7; 125]));
    assert_eq!(server.out, [&[0x8a, 125][..], &[7; 125]].concat());
}

#[test]
fn an_unsolicited_pong_is_accepted() {
    let mut server = Server::open(Limits::default());
    server.take(&frame(FIN | PONG, b"here"));
    assert_eq!(server.seen, [Seen::Pong(b"here".to_vec())]);
    assert_eq!(server.out, []);
}

#[test]
fn control_frames_must_be_whole_and_short() {
    for opcode in [CLOSE, PING, PONG] {
        let (fragment, long) = (frame(opcode, b""), frame(FIN | opcode, &[b'x'; 126]));
        // A close frame ends the peer's side, even if it is invalid.
        let last: &[_] = if opcode == CLOSE { &[Seen::Close(None)] } else { &[] };
        assert_eq!(see(&[fragment]), [&[Seen::Failed(FragmentedControl)], last].concat());
        assert_eq!(see(&[long]), [&[Seen::Failed(LongControl)], last].concat());
    }
}
