//! RFC 7692: valid and invalid compressed messages.

use townhall::Limits;
use townhall::protocol::Deflater;
use townhall::protocol::Violation::{
    InvalidDeflate, InvalidUtf8, MessageTooBig, NoContext, OutsideWindow, ReservedBits,
};

use crate::peer::{BINARY, CLOSE, CONTINUATION, FIN, PING, Seen, Server, TEXT, frame, see, text};

const RSV1: u8 = 0x40;

/// "Hello", compressed (section 7.2.3.1).
const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

/// "Hello" as a reference to the one before (section 7.2.3.2).
const AGAIN: [u8; 5] = [0xf2, 0x00, 0x11, 0x00, 0x00];

fn deflate(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Deflater::new(9, 15).deflate(message, &mut out);
    out
}

fn server(max_message_bytes: usize) -> Server {
    let mut limits = Limits::default();
    limits.max_message_bytes = max_message_bytes;
    Server::deflating(limits, false)
}

/// What a server with a limit of 1,000 bytes receives from these frames.
fn see_deflating(frames: &[Vec<u8>]) -> Vec<Seen> {
    let mut server = server(1_000);
    server.take(&frames.concat());
    server.seen
}

#[test]
fn compressed_and_plain_messages_follow_each_other() {
    let frames = [
        frame(FIN | RSV1 | TEXT, &HELLO),
        frame(FIN | TEXT, b"plain"),
        frame(FIN | RSV1 | BINARY, &HELLO),
        frame(FIN | RSV1 | TEXT, &[0]),
    ];
    let hello = Seen::Binary(b"Hello".to_vec());
    assert_eq!(see_deflating(&frames), [text("Hello"), text("plain"), hello, text("")]);
}

#[test]
fn a_compressed_message_may_be_fragmented_anywhere_and_pinged_between() {
    for at in 0..=HELLO.len() {
        let frames = [
            frame(RSV1 | TEXT, &HELLO[..at]),
            frame(FIN | PING, b""),
            frame(CONTINUATION, b""),
            frame(FIN | CONTINUATION, &HELLO[at..]),
        ];
        assert_eq!(see_deflating(&frames), [Seen::Ping(Vec::new()), text("Hello")]);
    }
}

#[test]
fn rsv1_is_for_the_first_frame_of_a_message_and_after_negotiation_only() {
    let failed = [Seen::Failed(ReservedBits)];
    assert_eq!(see(&[frame(FIN | RSV1 | TEXT, &HELLO)]), failed);
    for opcode in [PING, CONTINUATION] {
        assert_eq!(see_deflating(&[frame(FIN | RSV1 | opcode, b"")]), failed);
    }
    // A close frame ends the peer's side, even if it is invalid.
    let close = see_deflating(&[frame(FIN | RSV1 | CLOSE, b"")]);
    assert_eq!(close, [Seen::Failed(ReservedBits), Seen::Close(None)]);
    let frames = [frame(RSV1 | TEXT, &HELLO), frame(FIN | RSV1 | CONTINUATION, b"")];
    assert_eq!(see_deflating(&frames), failed);
}

#[test]
fn invalid_data_and_invalid_text_are_1007() {
    assert_eq!(
        see_deflating(&[frame(FIN | RSV1 | TEXT, &[0xff; 9])]),
        [Seen::Failed(InvalidDeflate)]
    );
    let latin1 = deflate(b"caf\xe9");
    assert_eq!(see_deflating(&[frame(FIN | RSV1 | TEXT, &latin1)]), [Seen::Failed(InvalidUtf8)]);
}

#[test]
fn a_context_that_was_not_negotiated_is_not_kept() {
    let frames = [frame(FIN | RSV1 | TEXT, &HELLO), frame(FIN | RSV1 | TEXT, &AGAIN)];
    assert_eq!(see_deflating(&frames), [text("Hello"), Seen::Failed(NoContext)]);
}

#[test]
fn in_a_context_messages_refer_to_the_compressed_ones_before_them() {
    let frames = [
        frame(FIN | RSV1 | TEXT, &HELLO),
        frame(FIN | RSV1 | TEXT, &AGAIN),
        // Uncompressed data does not enter the window.
        frame(FIN | TEXT, b"uncompressed"),
        frame(RSV1 | TEXT, &AGAIN[..2]),
        frame(FIN | PING, b""),
        frame(FIN | CONTINUATION, &AGAIN[2..]),
    ];
    let mut server = Server::deflating(Limits::default(), true);
    server.take(&frames.concat());
    let hello = text("Hello");
    let ping = Seen::Ping(Vec::new());
    assert_eq!(server.seen, [hello.clone(), hello.clone(), text("uncompressed"), ping, hello]);
}

#[test]
fn a_reference_before_the_first_message_of_a_context_is_1007() {
    let mut server = Server::deflating(Limits::default(), true);
    server.take(&frame(FIN | RSV1 | TEXT, &AGAIN));
    assert_eq!(server.seen, [Seen::Failed(OutsideWindow)]);
}

#[test]
fn a_message_that_ends_its_stream_is_delivered_when_it_is_whole() {
    let hall = [0xcb, 0xc8, 0x54, 0xc8, 0x48, 0xcc, 0xc9, 0x01, 0x00];
    let frames = [frame(FIN | RSV1 | TEXT, &hall), frame(FIN | RSV1 | TEXT, &HELLO)];
    assert_eq!(see_deflating(&frames), [text("hi hall"), text("Hello")]);
    let broken = frame(FIN | RSV1 | TEXT, &[&hall[..], &[0xff; 9]].concat());
    assert_eq!(see_deflating(&[broken]), [Seen::Failed(InvalidDeflate)]);
}

#[test]
fn the_window_survives_the_end_of_a_stream() {
    // "Hello" in a block with BFINAL set (section 7.2.3.4), and a reference to it.
    let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let both = [&last[..], &AGAIN].concat();
    assert_eq!(see_deflating(&[frame(FIN | RSV1 | TEXT, &both)]), [text("HelloHello")]);
    let mut server = Server::deflating(Limits::default(), true);
    server.take(&[frame(FIN | RSV1 | TEXT, &last), frame(FIN | RSV1 | TEXT, &AGAIN)].concat());
    assert_eq!(server.seen, [text("Hello"), text("Hello")]);
}

#[test]
fn the_reasons_of_violations_fit_into_close_frames() {
    for violation in [InvalidDeflate, NoContext, OutsideWindow] {
        assert!(violation.to_string().len() <= 123, "{violation}");
    }
}

#[test]
fn a_message_of_exactly_the_limit_passes_however_well_it_compresses() {
    let mut state = 1u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let noise: Vec<u8> = (0..1_000).map(|_| random()).collect();
    assert!(deflate(&noise).len() > 1_000, "what does not compress is longer than the limit");
    for message in [vec![0; 1_000], noise] {
        let frames = [frame(FIN | RSV1 | BINARY, &deflate(&message))];
        assert_eq!(see_deflating(&frames), [Seen::Binary(message)]);
    }
    let frames = [frame(FIN | RSV1 | BINARY, &deflate(&[0; 1_001]))];
    assert_eq!(see_deflating(&frames), [Seen::Failed(MessageTooBig)]);
}

#[test]
fn a_bomb_in_many_small_fragments_is_1009() {
    let bomb = deflate(&vec![0; 10_000_000]);
    let mut server = server(1 << 20);
    server.take(&frame(RSV1 | BINARY, b""));
    for piece in bomb.chunks(7) {
        server.take(&frame(CONTINUATION, piece));
    }
    server.take(&frame(FIN | CONTINUATION, b""));
    assert_eq!(server.seen, [Seen::Failed(MessageTooBig)]);
}

#[test]
fn compressed_data_has_its_own_limit_before_it_is_inflated() {
    let mut server = server(1_000);
    server.take(&frame(RSV1 | BINARY, &[0; 2_000]));
    assert_eq!(server.seen, []);
    server.take(&frame(CONTINUATION, &[0; 1_000]));
    assert_eq!(server.seen, [Seen::Failed(MessageTooBig)]);
}
