//! Section 8.1: text is UTF-8, and a byte that cannot be is refused at once.

use townhall::Limits;
use townhall::protocol::Violation::InvalidUtf8;

use crate::peer::{CONTINUATION, FIN, Seen, Server, TEXT, frame, see, text};

#[test]
fn a_character_may_be_split_across_fragments() {
    let bytes = "κόσμε😀".as_bytes();
    for at in 0..=bytes.len() {
        let frames = [frame(TEXT, &bytes[..at]), frame(FIN | CONTINUATION, &bytes[at..])];
        assert_eq!(see(&frames), [text("κόσμε😀")]);
    }
}

#[test]
fn a_text_may_not_end_inside_a_character() {
    assert_eq!(see(&[frame(FIN | TEXT, b"a\xe2\x82")]), [Seen::Failed(InvalidUtf8)]);
    let frames = [frame(TEXT, b"a\xe2"), frame(FIN | CONTINUATION, b"\x82")];
    assert_eq!(see(&frames), [Seen::Failed(InvalidUtf8)]);
}

#[test]
fn invalid_utf8_is_refused_inside_an_incomplete_frame() {
    // As in Autobahn's 6.4: "κόσμε", a surrogate, "edited".
    let payload = b"\xce\xba\xcf\x8c\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited";
    let whole = frame(FIN | TEXT, payload);
    for arrived in 6..=whole.len() {
        let mut server = Server::open(Limits::default());
        server.take(&whole[..arrived]);
        let impossible = arrived >= 6 + 12;
        assert_eq!(server.seen.len(), usize::from(impossible), "after {arrived} bytes");
    }
}
