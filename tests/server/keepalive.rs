//! Pings, and what counts as activity.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use townhall::{Cause, ClientId, CloseCode, Config, Event, Hub, Message};

use crate::support::{PATIENCE, Running, Seen, chat, config, frame, read_all};

fn impatient() -> Config {
    let ping_interval = Some(Duration::from_millis(300));
    let mut config = config();
    config.timeouts.ping_interval = ping_interval;
    config.timeouts.pong = ping_interval;
    config
}

#[test]
fn a_silent_peer_is_pinged_and_then_dropped() {
    let server = Running::start(impatient(), chat);
    let mut silent = server.raw("/");
    server.opened();
    let begin = Instant::now();
    assert_eq!(read_all(&mut silent), b"\x89\x00");
    let left = server.departed().1;
    assert_eq!((left.code, left.was_clean, left.cause), (1006, false, Cause::Silent));
    assert!(begin.elapsed() >= Duration::from_millis(500));
}

/// Whether the connection ends before the read timeout. A ping may arrive before that.
fn ends(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 2]) {
        Ok(size) => size == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

#[test]
fn an_old_connection_is_closed_with_1012_however_busy_it_is() {
    let age = Duration::from_secs(1);
    let mut config = config();
    config.connections.max_age = Some(age);
    let server = Running::start(config, chat);
    let begin = Instant::now();
    let mut client = server.connect("/");
    let close = loop {
        client.send("hello");
        match client.0.read().unwrap() {
            tungstenite::Message::Close(frame) => break frame.unwrap(),
            message => assert_eq!(message.into_text().unwrap(), "hello"),
        }
        assert!(begin.elapsed() < PATIENCE);
    };
    assert_eq!(u16::from(close.code), 1012);
    assert!(begin.elapsed() >= age * 9 / 10, "{:?}", begin.elapsed());
    client.end();
    let departure = loop {
        if let Seen::Close(_, departure) = server.seen() {
            break departure;
        }
    };
    assert_eq!((departure.code, departure.cause), (1012, Cause::TooOld));
}

#[test]
fn bytes_of_an_endless_frame_are_no_activity() {
    let server = Running::start(impatient(), chat);
    let mut trickler = server.raw("/");
    server.opened();
    trickler.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let long = frame(0x82, &[0; 60_000]);
    let mut bytes =
        long.chunks(1).take_while(|byte| trickler.write_all(byte).is_ok() && !ends(&mut trickler));
    let taken = bytes.by_ref().count();
    assert!(taken < 1_000, "{taken} bytes were taken");
    assert_eq!(server.departed().1.cause, Cause::Silent);
}

/// A pong can be sent between fragments, but not in the middle of a frame.
#[test]
fn a_long_message_on_a_slow_line_is_activity_while_it_arrives() {
    // Each piece arrives well before the deadline, even if this thread has to wait for a CPU.
    let second = Some(Duration::from_secs(1));
    let mut config = config();
    config.timeouts.ping_interval = second;
    config.timeouts.pong = second;
    config.rates.min_frame_bytes_per_second = 2_000;
    let server = Running::start(config, chat);
    let mut slow = server.raw("/");
    let mut fragments = server.raw("/");
    (0..2).for_each(|_| _ = server.opened());
    let message = frame(0x81, &[b'x'; 60_000]);
    let begin = Instant::now();
    for (at, piece) in message.chunks(300).enumerate() {
        assert_eq!(server.seen_within(Duration::from_millis(10)), None);
        slow.write_all(piece).unwrap();
        fragments.write_all(&frame(u8::from(at == 0), &[b'x'; 300])).unwrap();
    }
    fragments.write_all(&frame(0x80, b"")).unwrap();
    assert!(begin.elapsed() > Duration::from_secs(2));
    let seen = std::iter::repeat_with(|| server.seen());
    let received = seen.filter_map(|seen| match seen {
        Seen::Message(_, text) => Some(text),
        Seen::Close(_, departure) => panic!("{departure}"),
        Seen::Open(..) => None,
    });
    received.take(2).for_each(|text| assert!(text.len() >= 60_000));
}

#[test]
fn a_peer_that_answers_pings_is_kept() {
    let mut patient = impatient();
    patient.timeouts.pong = Some(Duration::from_secs(5));
    let server = Running::start(patient, chat);
    let mut quiet = server.raw("/");
    server.opened();
    for _ in 0..5 {
        let mut ping = [0; 2];
        quiet.read_exact(&mut ping).unwrap();
        assert_eq!(ping, *b"\x89\x00");
        quiet.write_all(&frame(0x8a, b"")).unwrap();
    }
    quiet.write_all(&frame(0x81, b"still here")).unwrap();
    let mut echo = [0; 12];
    quiet.read_exact(&mut echo).unwrap();
    assert_eq!(echo, *b"\x81\x0astill here");
}

#[test]
fn a_peer_that_does_not_read_is_dropped_however_much_it_sends() {
    let mut config = config();
    config.timeouts.write = Some(Duration::from_secs(2));
    let server = Running::start(config, chat);
    let mut stalled = server.raw("/");
    let id = server.opened();
    let mut sender = server.connect("/");
    server.opened();
    let text = "x".repeat(1 << 20);
    for _ in 0..24 {
        sender.send(&text);
        assert_eq!(sender.receive().len(), text.len());
    }
    // It keeps pinging, but it is dropped because it does not read.
    let begin = Instant::now();
    let departure = loop {
        // This fails once the server has dropped the connection.
        let _ = stalled.write_all(&frame(0x89, b""));
        match server.seen_within(Duration::from_millis(5)) {
            Some(Seen::Close(left, departure)) if left == id => break departure,
            _ => assert!(begin.elapsed() < PATIENCE, "it never departs"),
        }
    };
    assert_eq!(departure.cause, Cause::Stalled);
}

#[test]
fn a_closing_client_departs_in_time_however_much_is_sent_to_it() {
    let mut closed = None;
    let app = move |hub: &mut Hub, client: ClientId, event: Event<'_>| match event {
        Event::Open { room: "/closed", .. } => {
            closed = Some(client);
            hub.close(client, CloseCode::NORMAL, "");
        }
        Event::Message(message) => hub.send(closed.unwrap(), message),
        _ => {}
    };
    let mut config = config();
    config.timeouts.close = Duration::from_millis(300);
    let server = Running::start(config, app);
    let mut sender = server.connect("/");
    server.opened();
    let _silent = server.raw("/closed");
    let id = server.opened();
    let begin = Instant::now();
    let departure = loop {
        sender.send("psst");
        match server.seen() {
            Seen::Close(left, departure) if left == id => break departure,
            _ => assert!(begin.elapsed() < PATIENCE, "it never departs"),
        }
    };
    assert_eq!((departure.code, departure.cause), (1006, Cause::Application));
}

fn receive_ping(member: &mut TcpStream) {
    let mut ping = [0; 2];
    member.read_exact(&mut ping).unwrap();
    assert_eq!(ping, *b"\x89\x00");
}

/// The next turn begins with more input than one turn reads.
#[test]
fn members_that_answered_in_time_are_kept_after_a_long_turn() {
    let mut config = impatient();
    config.timeouts.pong = Some(Duration::from_secs(4));
    config.rates.max_messages_per_second = u32::MAX;
    config.rates.max_bytes_per_second = u32::MAX;
    let server = Running::start(config, |_, _, event| {
        if let Event::Message(Message::Text("take long")) = event {
            // The turn must take longer than the deadline, and only time can do that.
            thread::sleep(Duration::from_secs(5));
        }
    });
    let mut talkers: Vec<_> = (0..30).map(|_| server.raw("/")).collect();
    let mut members: Vec<_> = (0..5).map(|_| server.raw("/")).collect();
    (0..35).for_each(|_| _ = server.opened());
    members.iter_mut().for_each(receive_ping);
    talkers[0].write_all(&frame(0x81, b"take long")).unwrap();
    assert!(matches!(server.seen(), Seen::Message(_, text) if text == "take long"));
    let talk = frame(0x82, &[0; 60_000]);
    for sender in &mut talkers {
        sender.set_nonblocking(true).unwrap();
        while sender.write_all(&talk).is_ok() {}
    }
    members.iter_mut().for_each(|member| member.write_all(&frame(0x8a, b"")).unwrap());
    members.iter_mut().for_each(receive_ping);
}
