//! Peers that say nothing, and those that are there.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use townhall::{Cause, ClientId, CloseCode, Config, Event, Hub, Message};

use crate::support::{PATIENCE, Running, Told, chat, config, frame, read_all};

fn impatient() -> Config {
    let ping_interval = Some(Duration::from_millis(300));
    let mut config = config();
    config.timeouts.ping_interval = ping_interval;
    config.timeouts.pong = ping_interval;
    config
}

#[test]
fn a_silent_peer_is_pinged_and_then_given_up() {
    let server = Running::start(impatient(), chat);
    let mut silent = server.raw("/");
    server.opened();
    let begin = Instant::now();
    assert_eq!(read_all(&mut silent), b"\x89\x00");
    let left = server.departed().1;
    assert_eq!((left.code, left.was_clean, left.cause), (1006, false, Cause::Silent));
    assert!(begin.elapsed() >= Duration::from_millis(500));
}

#[test]
fn bytes_of_a_frame_that_does_not_end_are_no_life() {
    let server = Running::start(impatient(), chat);
    let mut trickler = server.raw("/");
    server.opened();
    let long = frame(0x82, &[0; 60_000]);
    // Each byte waits for nothing but the server's patience.
    let mut bytes = long.chunks(1).take_while(|byte| {
        thread::sleep(Duration::from_millis(10));
        trickler.write_all(byte).is_ok()
    });
    let taken = bytes.by_ref().count();
    assert!(taken < 1_000, "{taken} bytes were taken");
    assert_eq!(server.departed().1.cause, Cause::Silent);
}

/// A pong cannot be sent in the middle of a frame, but between fragments.
#[test]
fn a_long_message_on_a_slow_line_is_life_while_it_comes() {
    // Each piece comes well before the deadline, even where this thread waits for a CPU.
    let second = Some(Duration::from_secs(1));
    let mut config = config();
    config.timeouts.ping_interval = second;
    config.timeouts.pong = second;
    config.rates.min_frame_bytes_per_second = 2_000;
    let server = Running::start(config, chat);
    let (mut slow, mut fragments) = (server.raw("/"), server.raw("/"));
    let message = frame(0x81, &[b'x'; 60_000]);
    let begin = Instant::now();
    for (at, piece) in message.chunks(300).enumerate() {
        slow.write_all(piece).unwrap();
        fragments.write_all(&frame(u8::from(at == 0), &[b'x'; 300])).unwrap();
        thread::sleep(Duration::from_millis(10));
    }
    fragments.write_all(&frame(0x80, b"")).unwrap();
    assert!(begin.elapsed() > Duration::from_secs(2));
    let told = std::iter::repeat_with(|| server.told());
    let heard = told.filter_map(|told| match told {
        Told::Message(_, text) => Some(text),
        Told::Close(_, departure) => panic!("{departure}"),
        Told::Open(..) => None,
    });
    heard.take(2).for_each(|text| assert!(text.len() >= 60_000));
}

#[test]
fn a_peer_that_answers_pings_stays() {
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
fn a_peer_that_takes_nothing_is_given_up_however_much_it_says() {
    let mut config = config();
    config.timeouts.write = Some(Duration::from_secs(2));
    let server = Running::start(config, chat);
    let mut deaf = server.raw("/");
    let id = server.opened();
    let mut talker = server.connect("/");
    server.opened();
    let text = "x".repeat(1 << 20);
    for _ in 0..24 {
        talker.say(&text);
        assert_eq!(talker.hear().len(), text.len());
    }
    // It goes on to ping; what ends it is that it does not read.
    while deaf.write_all(&frame(0x89, b"")).is_ok() {
        thread::sleep(Duration::from_millis(5));
    }
    let departure = loop {
        if let Told::Close(left, departure) = server.told() {
            assert_eq!(left, id);
            break departure;
        }
    };
    assert_eq!(departure.cause, Cause::Stalled);
}

#[test]
fn a_closing_client_departs_in_time_however_often_it_is_sent_something() {
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
    let mut talker = server.connect("/");
    server.opened();
    let _silent = server.raw("/closed");
    let id = server.opened();
    let begin = Instant::now();
    let departure = loop {
        talker.say("psst");
        match server.told() {
            Told::Close(left, departure) if left == id => break departure,
            _ => assert!(begin.elapsed() < PATIENCE, "it never departs"),
        }
        // Far more often than its time runs out.
        thread::sleep(Duration::from_millis(50));
    };
    assert_eq!((departure.code, departure.cause), (1006, Cause::Application));
}

fn hear_ping(member: &mut TcpStream) {
    let mut ping = [0; 2];
    member.read_exact(&mut ping).unwrap();
    assert_eq!(ping, *b"\x89\x00");
}

/// The turn after it begins with more talk than a turn reads.
#[test]
fn members_that_answered_in_time_are_kept_where_a_turn_took_long() {
    let mut config = impatient();
    config.timeouts.pong = Some(Duration::from_secs(4));
    config.rates.max_messages_per_second = u32::MAX;
    config.rates.max_bytes_per_second = u32::MAX;
    let server = Running::start(config, |_, _, event| {
        if let Event::Message(Message::Text("take long")) = event {
            thread::sleep(Duration::from_secs(5));
        }
    });
    let mut talkers: Vec<_> = (0..30).map(|_| server.raw("/")).collect();
    let mut members: Vec<_> = (0..5).map(|_| server.raw("/")).collect();
    (0..35).for_each(|_| _ = server.opened());
    members.iter_mut().for_each(hear_ping);
    talkers[0].write_all(&frame(0x81, b"take long")).unwrap();
    assert!(matches!(server.told(), Told::Message(_, text) if text == "take long"));
    let talk = frame(0x82, &[0; 60_000]);
    for talker in &mut talkers {
        talker.set_nonblocking(true).unwrap();
        while talker.write_all(&talk).is_ok() {}
    }
    members.iter_mut().for_each(|member| member.write_all(&frame(0x8a, b"")).unwrap());
    members.iter_mut().for_each(hear_ping);
}
