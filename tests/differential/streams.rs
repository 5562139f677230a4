//! Streams of frames: made by hand, recorded, and random.

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::answer::{MAX_MESSAGE_BYTES, Question, Role, Setting};
use crate::frames::{
    BINARY, CLOSE, CONTINUATION, FIN, LengthForm, PING, TEXT, close, frame, frame_in_form, header,
    unmasked,
};

pub const PLAIN: Setting = Setting { role: Role::Server, deflate: None };
const RESERVED: u8 = 0x70;

/// A stream, and what it is.
#[derive(Debug, Clone)]
pub struct Stream {
    pub name: String,
    pub question: Question,
}

fn stream(name: impl Into<String>, parts: &[&[u8]]) -> Stream {
    Stream { name: name.into(), question: Question { setting: PLAIN, bytes: parts.concat() } }
}

/// Every first byte of a header with every form of its length, between messages and in the middle of one.
pub fn headers() -> Vec<Stream> {
    let begun = frame(TEXT, b"begun");
    let after = frame(FIN | BINARY, b"after");
    let mut streams = Vec::new();
    for (first, (second, rest)) in
        (0..=255).flat_map(|first| rests(first).into_iter().map(move |rest| (first, rest)))
    {
        let name = format!("header {first:02x}, {second}");
        streams.push(stream(&*name, &[&rest, &after]));
        streams.push(stream(format!("{name}, in a message"), &[&begun, &rest, &after]));
    }
    streams
}

/// Frames with this first byte, and how their lengths are encoded.
fn rests(first: u8) -> Vec<(String, Vec<u8>)> {
    use LengthForm::{Bits7, Bits16, Bits64};
    let lengths = [
        (Bits7, 0),
        (Bits7, 1),
        (Bits7, 2),
        (Bits7, 125),
        (Bits16, 0),
        (Bits16, 125),
        (Bits16, 126),
        (Bits16, 0xffff),
        (Bits64, 0),
        (Bits64, 0xffff),
        (Bits64, 0x1_0000),
        (Bits64, MAX_MESSAGE_BYTES as u64 + 1),
        (Bits64, 1 << 32),
        (Bits64, u64::MAX >> 1),
        (Bits64, 1 << 63),
        (Bits64, u64::MAX),
    ];
    let mut frames = vec![("not masked".to_owned(), unmasked(first, b"payload"))];
    for (form, length) in lengths {
        // Long payloads take long, and a reserved bit is refused whatever follows it.
        if length > 1000 && first & RESERVED != 0 {
            continue;
        }
        let name = format!("{length} in {form:?}");
        frames.push((
            name,
            match length {
                0..=0x1_0000 => frame_in_form(first, form, &payload(first, length as usize)),
                length => header(first, form, length),
            },
        ));
    }
    frames
}

/// A payload that breaks no rule itself.
fn payload(first: u8, length: usize) -> Vec<u8> {
    let mut payload = vec![b'x'; length];
    if first & 0x0f == CLOSE && length >= 2 {
        payload[..2].copy_from_slice(&1000_u16.to_be_bytes());
    }
    payload
}

/// Close frames with each code, and with what else may be wrong with one.
pub fn closes() -> Vec<Stream> {
    let codes = (0..=5100).chain((5100..=u16::MAX).step_by(997)).chain([u16::MAX]);
    let mut streams: Vec<_> = codes
        .map(|code| stream(format!("close code {code}"), &[&close(code, b"reason")]))
        .collect();
    for text in texts() {
        let reason = &text[..text.len().min(123)];
        let name = format!("close reason {}", text.escape_ascii());
        streams.push(stream(&*name, &[&close(1000, reason)]));
        streams.push(stream(format!("{name}, code 1005"), &[&close(1005, reason)]));
    }
    streams.push(stream("empty close frame", &[&frame(FIN | CLOSE, b"")]));
    streams.push(stream("close frame of one byte", &[&frame(FIN | CLOSE, &[3])]));
    streams.push(stream("close frame in a message", &[&frame(TEXT, b"begun"), &close(1000, b"")]));
    streams.push(stream(
        "frames after a close frame",
        &[&close(1001, b""), &frame(FIN | TEXT, b"after")],
    ));
    streams
}

/// Bytes at the edges of UTF-8 (RFC 3629, section 3), valid and not.
fn texts() -> Vec<Vec<u8>> {
    let ranges: &[&[u8]] = &[
        b"",
        b"a",
        b"\0",
        b"\x7f",
        b"\x80",
        b"\xbf",
        b"\xc0\x80",
        b"\xc1\xbf",
        b"\xc2\x80",
        b"\xc2",
        b"\xc2\xc2",
        b"\xdf\xbf",
        b"\xe0\x80\x80",
        b"\xe0\x9f\xbf",
        b"\xe0\xa0\x80",
        b"\xe0\xa0",
        b"\xe2\x82\xac",
        b"\xe2\x82a",
        b"\xed\x9f\xbf",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xee\x80\x80",
        b"\xef\xbf\xbf",
        b"\xef\xbb\xbf",
        b"\xf0\x80\x80\x80",
        b"\xf0\x8f\xbf\xbf",
        b"\xf0\x90\x80\x80",
        b"\xf0\x9f\x98\x80",
        b"\xf0\x9f\x98",
        b"\xf4\x8f\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xfe",
        b"\xff",
    ];
    let within = ranges.iter().map(|bytes| [b"ab", *bytes, b"cd"].concat());
    let long = [&[b'x'; 200][..], "é".as_bytes()].concat();
    ranges.iter().map(|bytes| bytes.to_vec()).chain(within).chain([long]).collect()
}

/// Texts in one frame and in two, with a ping between them.
pub fn text_messages() -> Vec<Stream> {
    let mut streams = Vec::new();
    for text in texts() {
        let name = format!("text {}", text.escape_ascii());
        streams.push(stream(&*name, &[&frame(FIN | TEXT, &text), &frame(FIN | PING, b"after")]));
        for at in 0..=text.len() {
            let (begin, end) = text.split_at(at);
            let frames = [frame(TEXT, begin), frame(FIN | PING, b"ping"), frame(FIN, end)];
            let frames: Vec<_> = frames.iter().map(|frame| &frame[..]).collect();
            streams.push(stream(format!("{name}, split at {at}"), &frames));
        }
    }
    streams
}

/// Messages of up to the size limit and beyond it, in one frame and in many.
pub fn sizes() -> Vec<Stream> {
    let mut streams = Vec::new();
    for length in [MAX_MESSAGE_BYTES - 1, MAX_MESSAGE_BYTES, MAX_MESSAGE_BYTES + 1] {
        let payload = vec![b'x'; length];
        streams.push(stream(format!("{length} bytes"), &[&frame(FIN | TEXT, &payload)]));
        let mut frames: Vec<_> =
            payload.chunks(1000).map(|piece| frame(CONTINUATION, piece)).collect();
        frames[0][0] = BINARY;
        frames.push(frame(FIN, b""));
        let frames: Vec<_> = frames.iter().map(|frame| &frame[..]).collect();
        streams.push(stream(format!("{length} bytes in fragments"), &frames));
    }
    streams
}

/// Each stream, cut short at every byte.
pub fn cut(streams: Vec<Stream>) -> Vec<Stream> {
    let cut = |stream: &Stream, end| Stream {
        name: format!("{}, cut after {end} bytes", stream.name),
        question: Question {
            setting: stream.question.setting,
            bytes: stream.question.bytes[..end].to_vec(),
        },
    };
    streams
        .iter()
        .flat_map(|stream| (0..stream.question.bytes.len()).map(move |end| cut(stream, end)))
        .collect()
}

/// What the corpora of the fuzz targets have after the handshake, and what the fuzzer has found.
pub fn recorded() -> Vec<Stream> {
    let inputs = |target| [corpus(target), found(target)].concat();
    let mut streams = Vec::new();
    for (name, conversation) in inputs("connection") {
        let end = conversation.windows(4).position(|bytes| bytes == b"\r\n\r\n").map(|at| at + 4);
        streams.extend(end.map(|end| stream(name, &[&conversation[end..]])));
    }
    streams.extend(inputs("frame").into_iter().map(|(name, bytes)| stream(name, &[&bytes])));
    for (name, bytes) in inputs("utf8") {
        // Sizes of pieces come first.
        let text = &bytes[4.min(bytes.len())..];
        streams.push(stream(name, &[&frame(FIN | TEXT, text)]));
    }
    streams
}

/// The seeds of a fuzz target, by their paths.
pub fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut seeds = files(&format!("fuzz/corpus/{target}"));
    seeds.retain(|(path, _)| path.ends_with(".bin"));
    assert!(!seeds.is_empty(), "{target} has seeds");
    seeds
}

/// What the fuzzer has found for a target, by its paths.
pub fn found(target: &str) -> Vec<(String, Vec<u8>)> {
    files(&format!("fuzz/found/{target}"))
}

fn files(folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        paths.map(|path| (path.display().to_string(), fs::read(&path).unwrap())).collect();
    files.sort();
    files
}

/// Streams that are mostly right, with a few frames of which anything may be wrong.
pub fn random() -> impl Strategy<Value = Question> {
    let part = prop_oneof![
        6 => message(),
        2 => control(),
        1 => close_frame(),
        1 => broken_frame(),
        1 => vec(any::<u8>(), 0..20),
    ];
    (vec(part, 1..6), any::<prop::sample::Index>(), prop::bool::weighted(0.2)).prop_map(
        |(parts, at, is_cut)| {
            let mut bytes = parts.concat();
            if is_cut && !bytes.is_empty() {
                bytes.truncate(at.index(bytes.len()));
            }
            Question { setting: PLAIN, bytes }
        },
    )
}

/// Texts that are nearly always valid.
fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => "\\PC{0,40}".prop_map(String::into_bytes),
        1 => prop::sample::select(texts()),
        1 => vec(any::<u8>(), 0..300),
    ]
}

/// A message in up to four fragments, with pings between them.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let cuts = vec(any::<prop::sample::Index>(), 0..4);
    (prop::sample::select(vec![TEXT, BINARY]), text(), cuts, any::<bool>()).prop_map(
        |(opcode, payload, cuts, pings)| {
            let mut cuts: Vec<_> = cuts.iter().map(|at| at.index(payload.len() + 1)).collect();
            cuts.sort_unstable();
            let ends = cuts.iter().copied().chain([payload.len()]);
            let begins = [0].into_iter().chain(cuts.iter().copied());
            let mut bytes = Vec::new();
            for (number, (begin, end)) in begins.zip(ends).enumerate() {
                let opcode = if number == 0 { opcode } else { CONTINUATION };
                let fin = if number == cuts.len() { FIN } else { 0 };
                bytes.extend(frame(fin | opcode, &payload[begin..end]));
                if pings && fin == 0 {
                    bytes.extend(frame(FIN | PING, b"between"));
                }
            }
            bytes
        },
    )
}

fn control() -> impl Strategy<Value = Vec<u8>> {
    (PING..=PING + 1, vec(any::<u8>(), 0..=125))
        .prop_map(|(opcode, payload)| frame(FIN | opcode, &payload))
}

fn close_frame() -> impl Strategy<Value = Vec<u8>> {
    let code = prop_oneof![Just(1000), 900..1100_u16, any::<u16>()];
    (code, text()).prop_map(|(code, reason)| close(code, &reason[..reason.len().min(123)]))
}

/// A frame whose first byte, form of length and mask are arbitrary.
fn broken_frame() -> impl Strategy<Value = Vec<u8>> {
    use LengthForm::{Bits7, Bits16, Bits64};
    let form = prop::sample::select(vec![Bits7, Bits16, Bits64]);
    (any::<u8>(), form, vec(any::<u8>(), 0..126), prop::bool::weighted(0.8)).prop_map(
        |(first, form, payload, is_masked)| {
            if is_masked { frame_in_form(first, form, &payload) } else { unmasked(first, &payload) }
        },
    )
}
