//! permessage-deflate (RFC 7692) over real sockets.

use std::io::{Read, Write};
use std::net::TcpStream;

use townhall::protocol::Deflater;
use townhall::protocol::internals::{Inflater, SlidingWindow};
use townhall::{ClientId, Event, Hub};

use crate::support::{Running, Seen, chat, config, counting_chat, frame, get, read_head, request};

const RSV1: u8 = 0x40;
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const COMPRESSED_TEXT: u8 = TEXT | RSV1;

/// "Hello", compressed, and a reference to it (RFC 7692, sections 7.2.3.1 and 7.2.3.2).
const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
const AGAIN: [u8; 5] = [0xf2, 0x00, 0x11, 0x00, 0x00];

/// A client that offers permessage-deflate, and the server's answer to the offer.
fn offer(server: &Running, parameters: &str) -> (TcpStream, String) {
    let mut stream = server.stream();
    let offer = format!("\r\nSec-WebSocket-Extensions: permessage-deflate{parameters}\r\n\r\n");
    stream.write_all(request("/room").replace("\r\n\r\n", &offer).as_bytes()).unwrap();
    let head = read_head(&mut stream);
    let answer = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Extensions: "));
    (stream, answer.unwrap_or_else(|| panic!("{head}")).to_owned())
}

fn send(stream: &mut TcpStream, first: u8, payload: &[u8]) {
    stream.write_all(&frame(first, payload)).unwrap();
}

/// The first byte and the payload of the next frame.
pub fn receive(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut header = [0; 2];
    stream.read_exact(&mut header).unwrap();
    let mut length = u64::from(header[1]);
    if length >= 126 {
        let mut bytes = [0; 8];
        let size = if length == 126 { 2 } else { 8 };
        stream.read_exact(&mut bytes[8 - size..]).unwrap();
        length = u64::from_be_bytes(bytes);
    }
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload).unwrap();
    (header[0], payload)
}

/// The code and the reason of the next frame, which must be a close frame.
fn receive_close(stream: &mut TcpStream) -> (u16, String) {
    let (first, payload) = receive(stream);
    assert_eq!(first, 0x88);
    let (code, reason) = payload.split_first_chunk().unwrap();
    (u16::from_be_bytes(*code), String::from_utf8(reason.to_vec()).unwrap())
}

fn received(server: &Running) -> String {
    loop {
        if let Seen::Message(_, text) = server.seen() {
            return text;
        }
    }
}

/// The application: a message that begins with a star goes only to its sender, any other to the room.
fn whisper(hub: &mut Hub, client: ClientId, event: Event<'_>) {
    match event {
        Event::Open { room, .. } => _ = hub.join(client, room),
        Event::Message(message) if message.payload().starts_with(b"*") => hub.send(client, message),
        Event::Message(message) => hub.publish(client, message),
        _ => {}
    }
}

#[test]
fn direct_messages_are_compressed_for_a_client_without_a_shared_context() {
    let server = Running::start(config(), whisper);
    let (mut client, answer) = offer(&server, "");
    assert_eq!(answer, "permessage-deflate");
    let mut inflater = Inflater::default();
    let mut window = SlidingWindow::new(15);
    let private = "*for me ".repeat(20);
    let public = "for everyone ".repeat(20);
    for (sent, compressed) in
        [(&private, true), (&public, true), (&private, false), (&public, true)]
    {
        send(&mut client, TEXT, sent.as_bytes());
        let (first, mut payload) = receive(&mut client);
        assert_eq!(first, if compressed { COMPRESSED_TEXT } else { TEXT }, "{sent}");
        if compressed {
            assert!(payload.len() < 30);
            payload = inflater.inflate_in_context(&payload, &mut window, 1_000).unwrap();
        }
        assert_eq!(payload, sent.as_bytes());
    }
}

#[test]
fn direct_messages_are_compressed_with_the_window_that_the_client_demands() {
    let server = Running::start(config(), whisper);
    let (mut client, answer) = offer(&server, "; server_max_window_bits=9");
    assert!(answer.contains("server_no_context_takeover"));
    // A repetition after 600 bytes cannot be compressed with a window of 512 bytes.
    let mut state = 1_u32;
    let noise = (0..600).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    let noise: Vec<u8> = std::iter::once(b'*').chain(noise).collect();
    for (sent, compressed) in [(vec![b'*'; 600], true), (noise.repeat(2), false)] {
        send(&mut client, BINARY, &sent);
        let (first, payload) = receive(&mut client);
        assert_eq!(first, if compressed { BINARY | RSV1 } else { BINARY });
        let inflated = || Inflater::default().inflate(&payload, 1_000).unwrap();
        assert_eq!(if compressed { inflated() } else { payload.clone() }, sent);
    }
}

#[test]
fn clients_that_send_in_turns_keep_separate_contexts() {
    let server = Running::start(config(), |_, _, _| {});
    let mut clients = ["ann", "bob", "eve"].map(|name| {
        let (stream, answer) = offer(&server, "; client_max_window_bits=10");
        assert_eq!(answer, "permessage-deflate; client_max_window_bits=10");
        (stream, name, Deflater::new(6, 10))
    });
    for turn in 0..50 {
        for (stream, name, deflater) in &mut clients {
            let text = format!("{name} says something for the {turn}. time, as {name} always does");
            let mut compressed = Vec::new();
            deflater.deflate(text.as_bytes(), &mut compressed);
            assert!(turn == 0 || compressed.len() < 30, "it refers to what was sent before");
            send(stream, COMPRESSED_TEXT, &compressed);
            assert_eq!(received(&server), text);
            // Uncompressed data does not enter the window.
            send(stream, TEXT, b"something else");
            assert_eq!(received(&server), "something else");
        }
    }
}

#[test]
fn when_no_memory_is_left_for_windows_new_clients_keep_no_context() {
    let mut limited = config();
    limited.memory.max_deflate_context_bytes = 36 << 10;
    let server = Running::start(limited, counting_chat);
    let none = "permessage-deflate; client_no_context_takeover";
    let (large, answer) = offer(&server, "");
    assert_eq!(answer, "permessage-deflate");
    let (_next, answer) = offer(&server, "");
    assert_eq!(answer, none);
    let (_small, answer) = offer(&server, "; client_max_window_bits");
    assert_eq!(answer, "permessage-deflate; client_max_window_bits=12");
    let (mut late, answer) = offer(&server, "; client_max_window_bits");
    assert_eq!(answer, none);
    send(&mut late, COMPRESSED_TEXT, &HELLO);
    assert_eq!(received(&server), "Hello");
    assert!(get(&server, "/").contains(", 2 without compression context"));
    // A window is freed when its client leaves.
    drop(large);
    server.departed();
    assert_eq!(offer(&server, "").1, "permessage-deflate");
}

#[test]
fn the_close_reason_names_a_forbidden_reference_or_data_that_is_not_deflate() {
    let server = Running::start(config(), chat);
    let none = "; client_no_context_takeover";
    for (parameters, payload, reason) in [
        (
            none,
            &AGAIN[..],
            "compressed message refers to an earlier one, despite the agreed no_context_takeover",
        ),
        ("", &AGAIN, "compressed message refers back beyond the agreed window"),
        ("", &[0xff; 5], "invalid compressed data"),
    ] {
        let (mut client, _) = offer(&server, parameters);
        send(&mut client, COMPRESSED_TEXT, payload);
        let expected = (1007, reason.to_owned());
        assert_eq!(receive_close(&mut client), expected);
    }
}

#[test]
fn a_message_that_ends_its_stream_is_delivered() {
    let server = Running::start(config(), chat);
    let mut client = offer(&server, "").0;
    let mut other = offer(&server, "").0;
    let hall = [0xcb, 0xc8, 0x54, 0xc8, 0x48, 0xcc, 0xc9, 0x01, 0x00];
    send(&mut client, COMPRESSED_TEXT, &hall);
    assert_eq!(received(&server), "hi hall");
    send(&mut other, COMPRESSED_TEXT, &HELLO);
    assert_eq!(received(&server), "Hello");
}

#[test]
fn the_application_learns_whether_a_message_was_compressed() {
    let server = Running::start(config(), |hub, client, event| {
        if let Event::Message(_) = event {
            hub.send(client, if hub.was_compressed() { "yes" } else { "no" });
        }
    });
    let (mut client, _) = offer(&server, "");
    for (first, payload, answer) in [
        (COMPRESSED_TEXT, &HELLO[..], "yes"),
        (TEXT, b"Hello", "no"),
        (COMPRESSED_TEXT, &AGAIN[..], "yes"),
        (BINARY, b"", "no"),
    ] {
        send(&mut client, first, payload);
        assert_eq!(receive(&mut client), (TEXT, answer.into()));
    }
}
