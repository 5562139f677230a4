//! Paths through the protocol, without sockets. Their counts do not vary at all.

use std::hint::black_box;

use townhall::protocol::internals::{apply_mask, validate};
use townhall::protocol::{
    Buffers, Connection, Deflate, Deflater, Limits, Message, Position, Received, Request, Terms,
};

use crate::Path;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;

/// What browsers offer.
const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

/// The paths of this file.
pub const PATHS: &[Path] = &[
    ("receive-text", || receive(frame(FIN | TEXT, &mixed(64)), usize::MAX)),
    ("receive-binary", || receive(frame(FIN | BINARY, &[0xa5; 16 << 10]), usize::MAX)),
    ("receive-fragments", || receive(fragments(&mixed(4 << 10), 16), usize::MAX)),
    ("receive-bytewise", || receive(frame(FIN | TEXT, &mixed(200)), 1)),
    ("receive-compressed", receive_compressed),
    ("compress", compress),
    ("handshake", handshake),
    ("encode", encode),
    ("validate", || {
        let text = mixed(4 << 10);
        Box::new(move || assert!(validate(black_box(&text)).is_ok()))
    }),
    ("position", || Box::new(|| assert!(black_box("k3v9q2.1042").parse::<Position>().is_ok()))),
];

/// Receives one message, in reads of at most `read` bytes. It is copied for each walk, because receiving unmasks
/// it in place.
fn receive(message: Vec<u8>, read: usize) -> Box<dyn FnMut()> {
    receive_on(open(""), message, read)
}

fn receive_on(mut connection: Connection, message: Vec<u8>, read: usize) -> Box<dyn FnMut()> {
    let mut buffers = Buffers::default();
    let mut buffer = message.clone();
    Box::new(move || {
        buffer.copy_from_slice(&message);
        let mut messages = 0;
        for mut input in buffer.chunks_mut(read) {
            let mut receive = || connection.receive(&mut input, &mut buffers).expect("frames");
            while let Some(received) = receive() {
                black_box(received);
                messages += 1;
            }
        }
        assert_eq!(messages, 1);
    })
}

/// A message with the context of those before it.
fn receive_compressed() -> Box<dyn FnMut()> {
    let mut compressed = Vec::new();
    Deflater::new(6, 12).deflate(&json(0), &mut compressed);
    receive_on(open(OFFER), frame(FIN | RSV1 | TEXT, &compressed), usize::MAX)
}

/// Compresses messages in one context, as the members of a room share it.
fn compress() -> Box<dyn FnMut()> {
    let mut deflater = Deflater::new(6, 15);
    let mut number = 0;
    let messages: Vec<_> = (0..32).map(json).collect();
    let mut out = Vec::new();
    Box::new(move || {
        out.clear();
        deflater.deflate(black_box(&messages[number % messages.len()]), &mut out);
        number += 1;
    })
}

/// Parses, negotiates and answers a browser's request.
fn handshake() -> Box<dyn FnMut()> {
    let request = head(OFFER);
    let mut buffer = request.clone();
    let mut buffers = Buffers::default();
    let mut out = Vec::new();
    Box::new(move || {
        buffer.copy_from_slice(&request);
        out.clear();
        let mut connection = Connection::new(Limits::default());
        upgrade(&mut connection, &mut buffer, &mut buffers, &mut out);
        black_box(connection);
    })
}

fn encode() -> Box<dyn FnMut()> {
    let text = String::from_utf8(mixed(1 << 10)).expect("a text");
    let mut out = Vec::new();
    Box::new(move || {
        out.clear();
        Message::Text(black_box(&text)).encode(black_box(&mut out));
    })
}

/// An open connection, with these fields in its request.
fn open(fields: &str) -> Connection {
    let mut connection = Connection::new(Limits::default());
    upgrade(&mut connection, &mut head(fields), &mut Buffers::default(), &mut Vec::new());
    connection
}

fn upgrade(
    connection: &mut Connection,
    mut request: &mut [u8],
    buffers: &mut Buffers,
    out: &mut Vec<u8>,
) {
    let received = connection.receive(&mut request, buffers);
    let Ok(Some(Received::Head(head))) = received else { panic!("{received:?}") };
    let request = Request::parse(&head, 64).expect("a request");
    let terms = Terms::negotiate(&request, &[], Some(&Deflate::default())).expect("an upgrade");
    connection.accept(&terms, out);
}

fn head(fields: &str) -> Vec<u8> {
    let head = format!(
        "GET /lobby HTTP/1.1\r\n\
         Host: chat.example:8080\r\n\
         Connection: keep-alive, Upgrade\r\n\
         Cache-Control: no-cache\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
         Upgrade: websocket\r\n\
         Origin: http://chat.example:8080\r\n\
         Sec-WebSocket-Version: 13\r\n\
         Accept-Language: en-US,en;q=0.5\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         {fields}\r\n"
    );
    head.into_bytes()
}

fn fragments(payload: &[u8], count: usize) -> Vec<u8> {
    let pieces: Vec<_> = payload.chunks(payload.len().div_ceil(count)).collect();
    let frame = |(i, piece): (usize, &&[u8])| {
        let opcode = if i == 0 { TEXT } else { 0 };
        frame(opcode | if i + 1 == pieces.len() { FIN } else { 0 }, piece)
    };
    pieces.iter().enumerate().flat_map(frame).collect()
}

/// A masked frame with this first byte.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = match payload.len() {
        length @ 0..=125 => vec![first, 0x80 | length as u8],
        length => [&[first, 0xfe], &(length as u16).to_be_bytes()[..]].concat(),
    };
    out.extend(MASK);
    let begin = out.len();
    out.extend_from_slice(payload);
    apply_mask(&mut out[begin..], MASK);
    out
}

/// A text with characters of one to four bytes.
fn mixed(bytes: usize) -> Vec<u8> {
    let mut text = String::new();
    for character in "Grüße, 世界! Καλημέρα, мир 😀 ".chars().cycle() {
        if text.len() + character.len_utf8() > bytes {
            break;
        }
        text.push(character);
    }
    format!("{text:bytes$}").into_bytes()
}

/// About 600 bytes that an application may say, other ones for each number.
fn json(number: usize) -> Vec<u8> {
    let entry = |at: usize| {
        let id = 15 * number + at;
        format!("{{\"id\":{id},\"user\":\"user{}\",\"x\":{}}}", id % 7, id * 37 % 1_000)
    };
    (0..20).map(entry).collect::<String>().into_bytes()
}
