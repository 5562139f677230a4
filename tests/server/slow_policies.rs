//! Slow members that drop messages or pause their room.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use townhall::{Config, Event, Response, Slow};

use crate::support::{PATIENCE, Running, chat, config, counting_chat, frame, get};

/// The length of a numbered message.
const LENGTH: usize = 60_000;

/// More messages than the system buffers for a member that does not read.
const MANY: u32 = 400;

fn with(slow: Slow) -> Config {
    let mut config = config();
    config.slow = slow;
    config.memory.max_backlog_bytes = 1 << 20;
    config.limits.max_message_bytes = 1 << 20;
    config.rates.max_messages_per_second = u32::MAX;
    config.rates.max_bytes_per_second = u32::MAX;
    config
}

fn numbered(number: u32) -> Vec<u8> {
    let mut payload = vec![0; LENGTH];
    payload[..4].copy_from_slice(&number.to_be_bytes());
    frame(0x82, &payload)
}

/// The first byte and the payload of the next frame.
fn read_frame(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    let mut length = usize::from(head[1]);
    if length == 126 {
        let mut long = [0; 2];
        stream.read_exact(&mut long).unwrap();
        length = u16::from_be_bytes(long).into();
    }
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).unwrap();
    (head[0], payload)
}

/// The number in the next frame, which must be a numbered message.
fn read_number(stream: &mut TcpStream) -> u32 {
    let (first, payload) = read_frame(stream);
    assert_eq!((first, payload.len()), (0x82, LENGTH));
    u32::from_be_bytes(*payload.first_chunk().unwrap())
}

#[test]
fn a_member_that_drops_messages_continues_with_the_newest_and_keeps_its_pongs() {
    let server = Running::start(with(Slow::Drop), counting_chat);
    let mut slow = server.raw("/");
    let mut sender = server.raw("/");
    for number in 0..MANY {
        sender.write_all(&numbered(number)).unwrap();
        assert_eq!(read_number(&mut sender), number);
        if number == MANY / 2 {
            slow.write_all(&frame(0x89, b"still there?")).unwrap();
        }
    }
    let mut received = Vec::new();
    let mut pongs = 0;
    while received.last() != Some(&MANY) || pongs == 0 {
        match read_frame(&mut slow) {
            (0x8a, payload) => {
                assert_eq!(payload, b"still there?");
                pongs += 1;
            }
            (_, payload) => received.push(u32::from_be_bytes(*payload.first_chunk().unwrap())),
        }
        if received == [0] {
            // It has begun to read, so it receives all later messages.
            sender.write_all(&numbered(MANY)).unwrap();
        }
    }
    assert!(received.is_sorted() && received.len() < MANY as usize / 2, "{received:?}");
    let counts = get(&server, "/counts");
    let skipped = MANY as usize + 1 - received.len();
    assert!(counts.contains(&format!(" {skipped} messages skipped")), "{skipped}: {counts}");
}

#[test]
fn in_a_paused_room_nobody_misses_a_message() {
    let server = Running::start(with(Slow::Pause), counting_chat);
    let mut slow = server.raw("/");
    let mut sender = server.raw("/");
    let mut elsewhere = server.connect("/elsewhere");
    let mut reader = sender.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            (0..MANY).for_each(|number| sender.write_all(&numbered(number)).unwrap());
        });
        scope.spawn(move || {
            (0..MANY).for_each(|number| assert_eq!(read_number(&mut reader), number))
        });
        let deadline = Instant::now() + PATIENCE;
        while get(&server, "/counts").contains(" 0 paused") {
            assert!(Instant::now() < deadline, "the room does not wait");
            elsewhere.send("not my room");
            assert_eq!(elsewhere.receive(), "not my room");
        }
        (0..MANY).for_each(|number| assert_eq!(read_number(&mut slow), number));
    });
}

#[test]
fn a_room_does_not_pause_forever() {
    let mut config = with(Slow::Pause);
    config.timeouts.write = Some(Duration::from_secs(1));
    let server = Running::start(config, counting_chat);
    let _stalled = server.raw("/");
    let mut sender = server.raw("/");
    let mut reader = sender.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            (0..MANY).for_each(|number| sender.write_all(&numbered(number)).unwrap());
        });
        (0..MANY).for_each(|number| assert_eq!(read_number(&mut reader), number));
    });
    let counts = get(&server, "/counts");
    assert!(counts.contains(" 1 left (stalled)") && !counts.contains(" 0 paused"), "{counts}");
}

#[test]
fn a_member_that_fell_behind_in_a_burst_receives_its_end() {
    let server = Running::start(with(Slow::Drop), counting_chat);
    let mut slow = server.raw("/");
    let mut sender = server.raw("/");
    let mut sent = 0;
    // The burst ends as soon as the member misses a message.
    while get(&server, "/counts").contains(" 0 messages skipped") {
        assert!(sent < MANY, "nothing is missed");
        sender.write_all(&numbered(sent)).unwrap();
        assert_eq!(read_number(&mut sender), sent);
        sent += 1;
    }
    let mut received = vec![read_number(&mut slow)];
    while received.last() != Some(&(sent - 1)) {
        received.push(read_number(&mut slow));
    }
    assert!(received.is_sorted() && received.len() < sent as usize, "{received:?}");
    // Half of the limit holds eight messages.
    assert!(received[received.len() - 8..].iter().copied().eq(sent - 8..sent), "{received:?}");
}

/// Requests that publish in a room are read no faster than its slowest member.
#[test]
fn a_room_that_waits_is_not_published_to_either() {
    let mut config = with(Slow::Pause);
    config.request_bodies = true;
    config.timeouts.handshake = Duration::from_millis(300);
    config.timeouts.keep_alive = Duration::from_millis(300);
    let (handled, published) = channel();
    let server = Running::start(config, move |hub, client, event| match event {
        Event::Request(exchange) => {
            hub.broadcast("/room", exchange.body());
            handled.send(()).unwrap();
            exchange.respond(Response::new(204));
        }
        event => chat(hub, client, event),
    });
    let mut slow = server.raw("/room");
    let mut publisher = server.stream();
    let publishing = thread::spawn(move || {
        for number in 0..MANY {
            let mut body = vec![0; LENGTH];
            body[..4].copy_from_slice(&number.to_be_bytes());
            let head =
                format!("POST /room HTTP/1.1\r\nHost: a\r\nContent-Length: {LENGTH}\r\n\r\n");
            publisher.write_all(&[head.as_bytes(), &body].concat()).unwrap();
        }
        publisher
    });
    let mut count = 0;
    while published.recv_timeout(Duration::from_secs(1)).is_ok() {
        count += 1;
    }
    assert!(count < MANY / 2, "{count} messages were published");
    for number in 0..MANY {
        assert_eq!(read_number(&mut slow), number);
    }
    drop(publishing.join().unwrap());
}
