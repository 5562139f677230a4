//! What a server counts, and the memory that it shows.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use townhall::{ClientId, Event, Hub, MemoryUsage};

use crate::support::{PATIENCE, Running, chat, config, frame, read_head, request, settle};

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;

/// A client after the handshake with these additional fields, and the size of the response.
fn connect(server: &Running, fields: &str) -> (TcpStream, u64) {
    let mut stream = server.stream();
    let request = request("/room").replace("\r\n\r\n", &format!("\r\n{fields}\r\n"));
    stream.write_all(request.as_bytes()).unwrap();
    let head = read_head(&mut stream);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    (stream, head.len() as u64)
}

fn read(stream: &mut TcpStream, size: usize) {
    stream.read_exact(&mut vec![0; size]).unwrap();
}

#[test]
fn every_byte_write_and_delivery_counts() {
    let server = Running::start(config(), chat);
    let (mut a, head_size) = connect(&server, "");
    let (mut b, _) = connect(&server, "");
    a.write_all(&frame(TEXT, b"hello")).unwrap();
    read(&mut a, 7);
    read(&mut b, 7);
    let counts = settle(&server);
    assert_eq!((counts.received, counts.deliveries), (1, 2));
    assert_eq!(
        counts.read_bytes as usize,
        2 * request("/room").len() + frame(TEXT, b"hello").len()
    );
    assert_eq!((counts.writes, counts.written_bytes), (4, 2 * head_size + 2 * 7));
    assert_eq!(counts.compression.plain_bytes, 0);
    let turns: u64 = counts.turns.ranges().map(|(_, count)| count).sum();
    assert!(turns >= 3 && counts.turns.total() > Duration::ZERO);
}

/// Sends a long message to the sender alone, and a short one to the others.
fn answer(hub: &mut Hub, client: ClientId, event: Event<'_>) {
    match event {
        Event::Message(message) => {
            hub.send(client, &[0; 100_000][..]);
            hub.publish_to_others(client, message);
        }
        event => chat(hub, client, event),
    }
}

#[test]
fn a_message_to_one_client_counts_once_and_one_to_others_not_for_its_sender() {
    let server = Running::start(config(), answer);
    let [mut a, mut b, mut c] = [(); 3].map(|()| connect(&server, "").0);
    let before = settle(&server);
    a.write_all(&frame(TEXT, b"hello")).unwrap();
    read(&mut a, 100_010);
    read(&mut b, 7);
    read(&mut c, 7);
    let after = settle(&server);
    assert_eq!(after.deliveries - before.deliveries, 3);
    assert_eq!(after.written_bytes - before.written_bytes, 100_010 + 2 * 7);
}

#[test]
fn the_effect_of_compression_counts_for_each_client() {
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n";
    let server = Running::start(config(), answer);
    let mut clients = ["", offer, offer].map(|fields| connect(&server, fields).0);
    let before = settle(&server).written_bytes;
    clients[0].write_all(&frame(TEXT, &[b'a'; 1_000])).unwrap();
    read(&mut clients[0], 100_010);
    clients[1..].iter_mut().for_each(|client| read(client, 2));
    let counts = settle(&server);
    assert_eq!(counts.compression.plain_bytes, 2 * 1_004);
    assert_eq!(counts.compression.sent_bytes, counts.written_bytes - before - 100_010);
    assert!(counts.compression.sent_bytes < 100);
}

/// Waits until the memory is as `expected`.
fn wait(server: &Running, expected: impl Fn(&MemoryUsage) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let usage = server.ask(|hub| hub.memory_usage());
        if expected(&usage) {
            return;
        }
        assert!(Instant::now() < deadline, "{usage:?}");
    }
}

#[test]
fn the_memory_for_clients_is_shown_until_it_is_free() {
    let server = Running::start(config(), chat);
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    let (mut a, _) = connect(&server, offer);
    wait(&server, |usage| usage.deflate_context_bytes == 4 << 10 && usage.incomplete_bytes == 0);
    let message = frame(BINARY, &[0; 60_000]);
    a.write_all(&message[..50_000]).unwrap();
    wait(&server, |usage| usage.incomplete_bytes >= 50_000 && usage.backlog_bytes == 0);
    a.write_all(&message[50_000..]).unwrap();
    wait(&server, |usage| usage.incomplete_bytes == 0);
    let (b, _) = connect(&server, "");
    // Nobody reads this.
    server.ask(|hub| hub.broadcast("/room", &vec![0; 9 << 20][..]));
    wait(&server, |usage| usage.log_bytes > 0 && usage.backlog_bytes >= usage.log_bytes);
    drop((a, b));
    wait(&server, |usage| *usage == MemoryUsage::default());
}
