//! The cost of the protocol without sockets. See README.md in this folder.

use std::hint::black_box;
use std::str;
use std::sync::Arc;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use criterion::{criterion_group, criterion_main};
use townhall::protocol::internals::{
    FrameHeader, FromClient, Inflater, SlidingWindow, TextAssembly, apply_mask, validate,
};
use townhall::protocol::{
    Buffers, Connection, Deflater, Limits, Message, Opcode, Received, Request, Terms,
};

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A memcpy beside each shows what the memory itself allows.
fn mask(c: &mut Criterion) {
    let mut group = c.benchmark_group("mask");
    for size in [16, 125, 4 << 10, 64 << 10, 1 << 20] {
        group.throughput(Throughput::Bytes(size as u64));
        let source = vec![0xa5; size];
        let mut bytes = source.clone();
        group.bench_function(BenchmarkId::new("apply_mask", size), |b| {
            b.iter(|| apply_mask(black_box(&mut bytes), black_box(MASK)));
        });
        group.bench_function(BenchmarkId::new("memcpy", size), |b| {
            b.iter(|| black_box(&mut bytes).copy_from_slice(black_box(&source)));
        });
    }
}

fn header(c: &mut Criterion) {
    let mut group = c.benchmark_group("header");
    group.throughput(Throughput::Elements(1));
    for (form, length) in [("7-bit", 125), ("16-bit", 1 << 10), ("64-bit", 1 << 20)] {
        let bytes = client_header(true, Opcode::Text, length);
        group.bench_function(BenchmarkId::new("parse", form), |b| {
            b.iter(|| FrameHeader::parse::<FromClient>(black_box(&bytes), false));
        });
    }
}

/// The standard library beside ours, and pieces that cut characters.
fn utf8(c: &mut Criterion) {
    const PIECE: usize = 1021;
    let mut group = c.benchmark_group("utf8");
    for (kind, text) in [("ascii", ascii(64 << 10)), ("mixed", mixed(64 << 10))] {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(BenchmarkId::new("validate", kind), |b| {
            b.iter(|| validate(black_box(text.as_bytes())).is_ok());
        });
        group.bench_function(BenchmarkId::new("std", kind), |b| {
            b.iter(|| str::from_utf8(black_box(text.as_bytes())).is_ok());
        });
        group.bench_function(BenchmarkId::new("pieces", kind), |b| {
            b.iter(|| assemble(black_box(text.as_bytes()).chunks(PIECE)));
        });
    }
}

fn assemble<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> String {
    let mut assembly = TextAssembly::default();
    pieces.for_each(|piece| assembly.push(piece).expect("a piece of a text"));
    assembly.finish().expect("a text")
}

fn encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode");
    for size in [20, 1 << 10, 64 << 10] {
        let text = ascii(size);
        let mut out = Vec::with_capacity(size + 10);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::new("text", size), |b| {
            b.iter(|| {
                out.clear();
                Message::Text(black_box(&text)).encode(black_box(&mut out));
            });
        });
    }
}

/// Compressed messages that refer to nothing before them: without context, and in contexts whose full
/// window must be given to the inflater first, and moved on.
fn inflate(c: &mut Criterion) {
    let mut group = c.benchmark_group("inflate");
    for size in [150, 1 << 10, 16 << 10] {
        let text = mixed(size);
        let mut compressed = Vec::new();
        let mut inflater = Inflater::default();
        Deflater::new(6, 12).deflate(text.as_bytes(), &mut compressed);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::new("without context", size), |b| {
            b.iter(|| inflater.inflate(black_box(&compressed), size).expect("a message"));
        });
        for (name, bits) in [("window of 4 KiB", 12), ("window of 32 KiB", 15)] {
            let mut window = SlidingWindow::new(bits);
            let mut inflate = || inflater.inflate_in_context(&compressed, &mut window, size);
            (0..=(1 << bits) / size).for_each(|_| assert!(inflate().is_ok()));
            group.bench_function(BenchmarkId::new(name, size), |b| {
                b.iter(|| black_box(inflate()).expect("a message"));
            });
        }
    }
}

/// Many messages that lie one behind the other, as a client sends them that does not wait.
fn connection(c: &mut Criterion) {
    let mut group = c.benchmark_group("connection");
    for (size, count) in [(20, 1000), (1 << 10, 64), (64 << 10, 4)] {
        let text = mixed(size);
        for (name, opcode) in [("text", Opcode::Text), ("binary", Opcode::Binary)] {
            let bytes = client_message(opcode, text.as_bytes(), 1).repeat(count);
            receive_all(&mut group, name, (size, count), &bytes, usize::MAX);
        }
        let bytes = client_message(Opcode::Text, text.as_bytes(), 4).repeat(count);
        receive_all(&mut group, "text in 4 fragments", (size, count), &bytes, usize::MAX);
        let bytes = client_message(Opcode::Text, text.as_bytes(), 1).repeat(count);
        receive_all(&mut group, "text in reads of 1460", (size, count), &bytes, 1460);
    }
}

/// A request for an upgrade as a browser sends it.
const BROWSERS_HEAD: &str = "GET /lobby HTTP/1.1\r\n\
    Host: chat.example:8080\r\n\
    Connection: Upgrade\r\n\
    Pragma: no-cache\r\n\
    Cache-Control: no-cache\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/140.0.0.0 Safari/537.36\r\n\
    Upgrade: websocket\r\n\
    Origin: http://chat.example:8080\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Accept-Encoding: gzip, deflate\r\n\
    Accept-Language: en-US,en;q=0.9\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

fn handshake(c: &mut Criterion) {
    let mut group = c.benchmark_group("handshake");
    group.throughput(Throughput::Bytes(BROWSERS_HEAD.len() as u64));
    let limits = Arc::new(Limits::default());
    let mut buffers = Buffers::default();
    let mut bytes = BROWSERS_HEAD.as_bytes().to_vec();
    group.bench_function("receive", |b| {
        b.iter(|| {
            let mut connection = Connection::new(limits.clone());
            let received = connection.receive(&mut black_box(&mut bytes[..]), &mut buffers);
            assert!(matches!(received, Ok(Some(Received::Head(_)))));
        });
    });
    group.bench_function("parse", |b| {
        b.iter(|| Request::parse(black_box(BROWSERS_HEAD.as_bytes()), 100).is_ok());
    });
}

/// Measures how a connection receives `count` messages of `size` bytes, from reads of at most
/// `read` bytes.
///
/// Receiving unmasks in place, so that the input must be made anew each time. It is copied within
/// the measured time, everywhere alike: so does the kernel when the server reads, and the messages
/// are as warm in the cache as they are there. "mask/memcpy" tells what the copy costs.
fn receive_all(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    (size, count): (usize, usize),
    bytes: &[u8],
    read: usize,
) {
    let mut connection = open_connection();
    let mut buffers = Buffers::default();
    let mut buffer = bytes.to_vec();
    group.throughput(Throughput::ElementsAndBytes {
        elements: count as u64,
        bytes: (size * count) as u64,
    });
    group.bench_function(BenchmarkId::new(name, size), |b| {
        b.iter(|| {
            buffer.copy_from_slice(bytes);
            let mut messages = 0;
            for input in buffer.chunks_mut(read) {
                messages += receive(&mut connection, input, &mut buffers);
            }
            assert_eq!(messages, count);
        });
    });
}

fn receive(connection: &mut Connection, mut input: &mut [u8], buffers: &mut Buffers) -> usize {
    let mut messages = 0;
    while let Some(received) = connection.receive(&mut input, buffers).expect("no failure") {
        black_box(received);
        messages += 1;
    }
    messages
}

fn open_connection() -> Connection {
    let mut request = *b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\n\r\n";
    let mut connection = Connection::new(Limits::default());
    let received = connection.receive(&mut &mut request[..], &mut Buffers::default());
    let Ok(Some(Received::Head(head))) = received else { panic!("{received:?}") };
    let request = Request::parse(&head, 64).expect("a request");
    let terms = Terms::negotiate(&request, &[], None).expect("an upgrade");
    connection.accept(&terms, &mut Vec::new());
    connection
}

/// A masked message in `fragments` frames of about the same length.
fn client_message(opcode: Opcode, payload: &[u8], fragments: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for (i, piece) in payload.chunks(payload.len().div_ceil(fragments)).enumerate() {
        let opcode = if i == 0 { opcode } else { Opcode::Continuation };
        out.extend(client_header(i + 1 == fragments, opcode, piece.len()));
        let start = out.len();
        out.extend_from_slice(piece);
        apply_mask(&mut out[start..], MASK);
    }
    out
}

fn client_header(fin: bool, opcode: Opcode, length: usize) -> Vec<u8> {
    let first = u8::from(fin) << 7 | opcode as u8;
    let mut out = match length {
        0..=125 => vec![first, 0x80 | length as u8],
        126..=0xffff => [&[first, 0xfe], &(length as u16).to_be_bytes()[..]].concat(),
        _ => [&[first, 0xff], &(length as u64).to_be_bytes()[..]].concat(),
    };
    out.extend_from_slice(&MASK);
    out
}

fn ascii(bytes: usize) -> String {
    "The quick brown fox jumps over the lazy dog. ".chars().cycle().take(bytes).collect()
}

/// Characters of one to four bytes, and spaces where no other fits.
fn mixed(bytes: usize) -> String {
    let mut text = String::new();
    for character in "Grüße, 世界! Καλημέρα, мир 😀 ".chars().cycle() {
        if text.len() + character.len_utf8() > bytes {
            break;
        }
        text.push(character);
    }
    let rest = bytes - text.len();
    text + &" ".repeat(rest)
}

criterion_group!(benches, mask, header, utf8, encode, inflate, handshake, connection);
criterion_main!(benches);
