//! An input gives the same events and answers wherever it is split.

use townhall::Limits;

use crate::peer::{
    BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, REQUEST, Seen, Server, TEXT, frame,
};

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_head_bytes = 1_000;
    limits.max_message_bytes = 1_000;
    limits.max_fragments = 4;
    limits
}

/// Conversations with good and bad endings, as the client's bytes.
fn conversations() -> Vec<Vec<u8>> {
    let with = |frames: &[Vec<u8>]| [REQUEST.to_vec(), frames.concat()].concat();
    vec![
        with(&[
            frame(FIN | TEXT, "Hello, κόσμε".as_bytes()),
            frame(FIN | PING, b"ping"),
            frame(BINARY, &[0xaa; 200]),
            frame(FIN | PONG, b""),
            frame(FIN | CONTINUATION, &[0xbb; 300]),
            frame(TEXT, b"caf\xc3"),
            frame(CONTINUATION, b""),
            frame(FIN | CONTINUATION, b"\xa9"),
            frame(FIN | CLOSE, b"\x03\xe8Bye!"),
            frame(FIN | TEXT, b"late"),
        ]),
        with(&[frame(FIN | TEXT, b"a"), frame(FIN | TEXT, b"b\xffc"), frame(FIN | TEXT, b"d")]),
        with(&[frame(FIN | BINARY, &[1; 999]), frame(FIN | BINARY, &[2; 1_001])]),
        with(&[frame(TEXT, b"a"), frame(FIN | TEXT, b"b")]),
        with(&[frame(FIN | 0x3, b"a")]),
        with(&[vec![0x81, 0x01, b'a']]),
        with(&[frame(FIN | CLOSE, b"\x03\xed")]),
        b"\r\nGET / HTTP/1.1\nHost: localhost\n\nwhat follows".to_vec(),
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc".to_vec(),
        b"nonsense\r\n\r\n".to_vec(),
        [&b"GET / HTTP/1.1\r\nCookie: "[..], &[b'x'; 2_000], b"\r\n\r\n"].concat(),
        [&b"GET /"[..], &[b'x'; 2_000], b" HTTP/1.1\r\n\r\n"].concat(),
        b"GET WS://a:80/b?c HTTP/1.1\r\nHost: d\r\n\r\n".to_vec(),
        b"OPTIONS * HTTP/1.0\r\n\r\n".to_vec(),
        b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"\r\n\n\r\n\n\r\n\r\nGET / HTTP/1.1\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nHost: a\r\n\x81\x82".to_vec(),
    ]
}

fn outcome(pieces: &[&[u8]]) -> (Vec<Seen>, Vec<u8>) {
    let mut server = Server::new(limits());
    for piece in pieces {
        server.take(piece);
    }
    (server.seen, server.out)
}

#[test]
fn a_conversation_is_the_same_split_anywhere() {
    for bytes in conversations() {
        let whole = outcome(&[&bytes]);
        assert!(!whole.0.is_empty());
        for at in 0..=bytes.len() {
            let (first, second) = bytes.split_at(at);
            assert_eq!(outcome(&[first, second]), whole, "split at {at}");
        }
    }
}

#[test]
fn a_conversation_is_the_same_in_single_bytes() {
    for bytes in conversations() {
        let pieces: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(outcome(&pieces), outcome(&[&bytes]));
    }
}

/// Messages that are complete in the input take a separate code path, as do short and long frames.
#[test]
fn a_message_of_any_size_is_the_same_whole_and_in_single_bytes() {
    let text = "Hello, κόσμε, 世界! 😀".repeat(9);
    let mut broken = text.clone().into_bytes();
    broken[200] = 0xff;
    for size in (0..300).chain(995..1_005) {
        let cut = &text.as_bytes()[..size.min(text.len())];
        for frames in [
            [frame(FIN | TEXT, &vec![b'a'; size]), frame(FIN | BINARY, &vec![0xff; size])],
            [frame(FIN | TEXT, cut), frame(FIN | TEXT, b"after")],
            [frame(FIN | TEXT, &broken[..cut.len()]), frame(FIN | TEXT, b"after")],
            [frame(FIN | CONTINUATION, cut), frame(FIN | TEXT, b"after")],
            [frame(TEXT, cut), frame(FIN | TEXT, b"after")],
            [frame(FIN | TEXT, b"before"), frame(FIN | TEXT | 0x40, cut)],
        ] {
            let bytes = [REQUEST, &frames.concat()].concat();
            let pieces: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(outcome(&pieces), outcome(&[&bytes]), "{size} bytes");
        }
    }
}

#[test]
fn fragments_of_any_size_make_the_same_message_whole_and_in_single_bytes() {
    let mut limits = limits();
    limits.max_fragments = 300;
    let ascii = "Hello, world. ".repeat(20);
    let mixed = [&ascii, "κόσμε, 世界! 😀", &ascii].concat();
    let mut broken = mixed.clone().into_bytes();
    broken[290] = 0xff;
    let texts =
        [(TEXT, ascii.as_bytes()), (TEXT, mixed.as_bytes()), (TEXT, &broken), (BINARY, &broken)];
    for (opcode, payload) in texts {
        let outcome = |pieces: &mut dyn Iterator<Item = &[u8]>| {
            let mut server = Server::open(limits.clone());
            pieces.for_each(|piece| server.take(piece));
            server.seen
        };
        let whole = outcome(&mut [&frame(FIN | opcode, payload)[..]].into_iter());
        for size in 2..=140 {
            let mut frames: Vec<_> =
                payload.chunks(size).map(|piece| frame(CONTINUATION, piece)).collect();
            frames[0][0] |= opcode;
            frames.push(frame(FIN | CONTINUATION, b""));
            let bytes = frames.concat();
            assert_eq!(outcome(&mut [&bytes[..]].into_iter()), whole, "{size} bytes each");
            assert_eq!(outcome(&mut bytes.chunks(1)), whole, "{size} bytes each, in single bytes");
        }
    }
}
