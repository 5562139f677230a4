//! Streams with permessage-deflate (RFC 7692): made by hand, recorded, and random.

use proptest::collection::vec;
use proptest::prelude::*;
use townhall::protocol::Deflater;

use crate::answer::{MAX_MESSAGE_BYTES, Question, Role, Setting, Terms};
use crate::frames::{BINARY, CONTINUATION, FIN, PING, TEXT, close, frame};
use crate::streams::{Stream, corpus, found};

const RSV1: u8 = 0x40;

const fn setting(window_bits: u8, context_takeover: bool) -> Setting {
    Setting { role: Role::Server, deflate: Some(Terms { window_bits, context_takeover }) }
}

/// The largest window, and a context.
pub const SHARED: Setting = setting(15, true);
/// No context.
pub const ALONE: Setting = setting(15, false);
/// The smallest window that zlib supports, and a context.
pub const SMALL: Setting = setting(9, true);

/// "Hello", as RFC 7692, section 7.2.3, compresses it: in one block, without compression, with a last
/// block, and after a message with the same text.
pub const HELLO: &[u8] = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
const STORED: &[u8] = b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00";
pub const LAST_BLOCK: &[u8] = b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00";
pub const AGAIN: &[u8] = b"\xf2\x00\x11\x00\x00";

/// A compressed text in one frame.
pub fn text(payload: &[u8]) -> Vec<u8> {
    frame(FIN | RSV1 | TEXT, payload)
}

/// A message that refers to its first bytes from behind the smallest window.
pub fn far_reference() -> Vec<u8> {
    let noise: Vec<u8> =
        (0..2_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let message = [&noise[..], &noise[..100]].concat();
    in_fragments(BINARY, &compress(&[message], 15, true).concat(), 1_000)
}

fn stream(name: String, setting: Setting, bytes: Vec<u8>) -> Stream {
    Stream { name, question: Question { setting, bytes } }
}

/// Each of these under several terms.
pub fn by_hand() -> Vec<Stream> {
    let messages: &[(&str, &[&[u8]])] = &[
        ("a message", &[HELLO]),
        ("a stored block", &[STORED]),
        ("a last block", &[LAST_BLOCK]),
        ("a last block, and a message", &[LAST_BLOCK, HELLO]),
        ("a last block, and a reference to it", &[LAST_BLOCK, AGAIN]),
        ("a reference", &[HELLO, AGAIN, AGAIN]),
        ("a reference to nothing", &[AGAIN]),
        ("an empty message", &[b"\x00", HELLO]),
        ("an empty message of no bytes", &[b"", HELLO]),
        ("a message that is cut short", &[b"\xf2\x48\xcd\xc9\xc9", HELLO]),
        ("a reserved type of block", &[b"\x07", HELLO]),
        ("a stored block of a wrong length", &[b"\x00\x05\x00\x00\x00\x48\x00", HELLO]),
        ("noise", &[b"\xff\xff\xff\xff"]),
        ("bytes that are not UTF-8", &[b"\x00\x01\x00\xfe\xff\xff\x00"]),
        ("a block and its flush", &[b"\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff", HELLO]),
        ("two streams", &[b"\xf3\x48\xcd\xc9\xc9\x07\x00\xf3\x48\xcd\xc9\xc9\x07\x00\x00"]),
    ];
    let mut streams = Vec::new();
    for setting in [SHARED, ALONE, SMALL] {
        let terms = setting.deflate.unwrap();
        for (name, messages) in messages {
            let bytes = messages.iter().flat_map(|message| text(message)).collect();
            streams.push(stream(format!("{name}, {terms:?}"), setting, bytes));
        }
        for (name, frames) in frames_by_hand() {
            streams.push(stream(format!("{name}, {terms:?}"), setting, frames.concat()));
        }
    }
    streams.extend(bombs());
    streams
}

fn frames_by_hand() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let (begin, end) = HELLO.split_at(3);
    vec![
        ("fragments", vec![frame(RSV1 | TEXT, begin), frame(FIN, end)]),
        (
            "fragments and a ping",
            vec![frame(RSV1 | TEXT, begin), frame(FIN | PING, b"ping"), frame(FIN, end)],
        ),
        ("empty fragments", vec![frame(RSV1 | BINARY, b""), frame(0, HELLO), frame(FIN, b"")]),
        (
            "an uncompressed message between",
            vec![text(HELLO), frame(FIN | TEXT, b"hi"), text(AGAIN)],
        ),
        ("a compressed continuation", vec![frame(RSV1 | TEXT, begin), frame(FIN | RSV1, end)]),
        (
            "a continuation that alone is compressed",
            vec![frame(TEXT, b"hi"), frame(FIN | RSV1, HELLO)],
        ),
        ("a compressed ping", vec![frame(FIN | RSV1 | PING, HELLO)]),
        ("a compressed close frame", vec![frame(FIN | RSV1 | 8, HELLO)]),
        ("a close frame after a message", vec![text(HELLO), close(1000, b"bye")]),
        ("other reserved bits", vec![frame(FIN | RSV1 | 0x20 | TEXT, HELLO)]),
        ("a reserved opcode", vec![frame(FIN | RSV1 | 3, HELLO)]),
    ]
}

/// Messages about as long as the limit, once inflated.
fn bombs() -> impl Iterator<Item = Stream> {
    [MAX_MESSAGE_BYTES - 1, MAX_MESSAGE_BYTES, MAX_MESSAGE_BYTES + 1, 20 * MAX_MESSAGE_BYTES]
        .into_iter()
        .flat_map(|size| {
            let payload = compress(&[vec![b'x'; size]], 15, true).concat();
            let (begin, end) = payload.split_at(payload.len() / 2);
            let fragments = [frame(RSV1 | BINARY, begin), frame(FIN, end)].concat();
            let name = format!("{size} bytes when inflated");
            [
                stream(format!("{name}, in fragments"), SHARED, fragments),
                stream(name, SHARED, frame(FIN | RSV1 | BINARY, &payload)),
            ]
        })
}

/// The messages, each compressed after those before it, or alone.
fn compress(messages: &[Vec<u8>], window_bits: u8, context_takeover: bool) -> Vec<Vec<u8>> {
    let mut deflater = Deflater::new(6, window_bits);
    let compress = |message: &Vec<u8>| {
        if !context_takeover {
            deflater.reset();
        }
        let mut out = Vec::new();
        deflater.deflate(message, &mut out);
        out
    };
    messages.iter().map(compress).collect()
}

/// The messages that the fuzz target `deflate` inflates.
pub fn recorded() -> Vec<Stream> {
    let mut streams = Vec::new();
    for (name, input) in [corpus("deflate"), found("deflate")].concat() {
        let Some((&[what, _], rest)) = input.split_first_chunk::<2>() else { continue };
        let bytes = match what % 4 {
            1 => frame(FIN | RSV1 | BINARY, rest),
            3 => in_context(rest),
            _ => continue,
        };
        let named = |setting| stream(format!("{name}, {setting:?}"), setting, bytes.clone());
        streams.extend([SHARED, ALONE].map(named));
    }
    streams
}

/// A frame for each of the messages, which have their lengths before them.
fn in_context(mut messages: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some((&length, rest)) = messages.split_first() {
        let (message, rest) = rest.split_at(usize::from(length).min(rest.len()));
        bytes.extend(frame(FIN | RSV1 | BINARY, message));
        messages = rest;
    }
    bytes
}

/// Messages that are compressed with terms which may be others than those that were agreed. Some have a bit
/// that is wrong.
pub fn random() -> impl Strategy<Value = Question> {
    let agreed = (8..=15_u8, any::<bool>());
    let used = (9..=15_u8, any::<bool>(), prop::bool::weighted(0.7));
    let wrong_bit = prop::option::weighted(0.2, any::<prop::sample::Index>());
    let fragment_bytes = prop_oneof![Just(usize::MAX), 1..200_usize];
    (agreed, used, vec(message(), 1..6), wrong_bit, fragment_bytes).prop_map(
        |(
            (window_bits, context),
            (other_bits, other_context, is_agreed),
            messages,
            wrong_bit,
            size,
        )| {
            // Without a context, no window is agreed.
            let setting = if context { setting(window_bits, true) } else { ALONE };
            let terms = setting.deflate.unwrap();
            let messages = match is_agreed {
                true => compress(&messages, terms.window_bits.max(9), terms.context_takeover),
                false => compress(&messages, other_bits, other_context),
            };
            let frames = messages.iter().enumerate().map(|(number, message)| {
                let opcode = if std::str::from_utf8(message).is_ok() { TEXT } else { BINARY };
                in_fragments(if number % 2 == 0 { BINARY } else { opcode }, message, size)
            });
            let mut bytes: Vec<u8> = frames.flatten().collect();
            if let Some(at) = wrong_bit {
                let bit = at.index(bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            Question { setting, bytes }
        },
    )
}

fn in_fragments(opcode: u8, payload: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut first = RSV1 | opcode;
    let mut rest = payload;
    while rest.len() > size {
        let (piece, behind) = rest.split_at(size);
        bytes.extend(frame(first, piece));
        first = CONTINUATION;
        rest = behind;
    }
    bytes.extend(frame(FIN | first, rest));
    bytes
}

/// Words that repeat, near and far.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let words = vec!["{\"user\":\"ann\",", "\"text\":\"hello\"}", "x", "\u{e4}"];
    let word = prop_oneof![
        3 => prop::sample::select(words).prop_map(|word| word.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..400),
    ];
    (vec(word, 0..12), 1..4_usize).prop_map(|(words, times)| words.concat().repeat(times))
}
