//! Every client that opened departs once, with the right code, reason and cause.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use townhall::protocol::Violation;
use townhall::{Cause, CloseCode, Departure, Event};
use tungstenite::protocol::CloseFrame;

use crate::support::{Running, Seen, chat, config, frame, read_all};

/// The fields of a departure.
type Fields<'a> = (u16, &'a str, bool, Cause, Option<&'a str>);

fn departure(code: u16, reason: &str, was_clean: bool, cause: Cause) -> Fields<'_> {
    (code, reason, was_clean, cause, Some("/"))
}

fn fields(departure: &Departure) -> Fields<'_> {
    let Departure { code, reason, was_clean, cause, room, .. } = departure;
    (*code, reason, *was_clean, *cause, room.as_deref())
}

#[test]
fn a_peer_that_closes_departs_cleanly_with_its_code_and_reason() {
    let server = Running::start(config(), chat);
    let mut client = server.connect("/");
    let id = server.opened();
    client.0.close(Some(CloseFrame { code: 4001.into(), reason: "later".into() })).unwrap();
    client.end();
    let (client, left) = server.departed();
    assert_eq!((client, fields(&left)), (id, departure(4001, "later", true, Cause::Peer)));
}

#[test]
fn a_close_without_a_code_is_1005() {
    let server = Running::start(config(), chat);
    let mut client = server.connect("/");
    server.opened();
    client.0.close(None).unwrap();
    client.end();
    assert_eq!(fields(&server.departed().1), departure(1005, "", true, Cause::Peer));
}

#[test]
fn a_connection_that_ends_without_a_close_is_1006() {
    let server = Running::start(config(), chat);
    let abrupt = server.raw("/");
    server.opened();
    drop(abrupt);
    assert_eq!(fields(&server.departed().1), departure(1006, "", false, Cause::Lost));
}

#[test]
fn a_peer_that_ends_its_side_departs_with_1006() {
    let server = Running::start(config(), chat);
    let mut half = server.raw("/");
    server.opened();
    half.write_all(&frame(0x81, b"last words")[..8]).unwrap();
    half.shutdown(Shutdown::Write).unwrap();
    assert_eq!(fields(&server.departed().1), departure(1006, "", false, Cause::Lost));
    assert_eq!(read_all(&mut half), b"");
}

#[test]
fn a_close_frame_between_data_and_the_end_is_answered() {
    let server = Running::start(config(), chat);
    let mut client = server.raw("/");
    let id = server.opened();
    client.write_all(&[frame(0x81, b"bye"), frame(0x88, b"\x03\xe8")].concat()).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut client), b"\x81\x03bye\x88\x02\x03\xe8");
    assert_eq!(server.seen(), Seen::Message(id, "bye".into()));
    let (client, left) = server.departed();
    assert_eq!((client, fields(&left)), (id, departure(1000, "", true, Cause::Peer)));
}

#[test]
fn a_violation_is_answered_and_reported() {
    let server = Running::start(config(), chat);
    let mut client = server.raw("/");
    server.opened();
    client.write_all(&[0x81, 0x00]).unwrap();
    assert_eq!(read_all(&mut client), b"\x88\x12\x03\xeaframe not masked");
    let cause = Cause::Violation(Violation::Unmasked);
    assert_eq!(fields(&server.departed().1), departure(1006, "", false, cause));
}

#[test]
fn a_client_that_the_application_closes_answers() {
    let server = Running::start(config(), |hub, client, event| match event {
        Event::Open { room, .. } => _ = hub.join(client, room),
        Event::Message(_) => {
            hub.send(client, "Hello from server, John!");
            hub.close(client, CloseCode::NORMAL, "Bye!");
            hub.send(client, "never sent");
        }
        _ => {}
    });
    let mut client = server.connect("/");
    let id = server.opened();
    client.send("My name is John");
    assert_eq!(client.receive(), "Hello from server, John!");
    assert_eq!(client.receive_close(), (1000, "Bye!".into()));
    client.end();
    assert!(matches!(server.seen(), Seen::Message(..)));
    let (client, left) = server.departed();
    assert_eq!((client, fields(&left)), (id, departure(1000, "Bye!", true, Cause::Application)));
}

#[test]
fn a_peer_that_does_not_answer_a_close_is_dropped() {
    let mut config = config();
    config.timeouts.close = Duration::from_millis(300);
    let server = Running::start(config, |hub, client, event| {
        if let Event::Open { .. } = event {
            hub.join(client, "/");
            hub.close(client, CloseCode::NORMAL, "");
        }
    });
    let mut mute = server.raw("/");
    server.opened();
    assert_eq!(read_all(&mut mute), b"\x88\x02\x03\xe8");
    assert_eq!(fields(&server.departed().1), departure(1006, "", false, Cause::Application));
}

#[test]
fn a_stop_closes_everyone_with_1001() {
    let server = Running::start(config(), chat);
    let mut clients: Vec<_> = (0..3).map(|_| server.connect("/")).collect();
    clients.iter().for_each(|_| _ = server.opened());
    server.handle.stop();
    for client in &mut clients {
        assert_eq!(client.receive_close(), (1001, "server shutting down".into()));
    }
    clients.into_iter().for_each(|client| client.end());
    let seen = server.join();
    assert_eq!(seen.len(), 3);
    for seen in seen {
        let Seen::Close(_, left) = seen else { panic!("{seen:?}") };
        assert_eq!(fields(&left), departure(1001, "server shutting down", true, Cause::Shutdown));
    }
}

#[test]
fn stop_now_cuts_a_graceful_stop_short() {
    let mut config = config();
    config.shutdown.timeout = Duration::MAX;
    let server = Running::start(config, chat);
    let _mute = server.raw("/");
    server.opened();
    server.handle.stop();
    server.handle.stop_now();
    assert_eq!(server.join().len(), 1);
}

#[test]
fn a_slow_reader_gets_a_long_answer_and_its_close() {
    let mut config = config();
    config.timeouts.close = Duration::from_secs(2);
    let server = Running::start(config, |hub, client, event| {
        if let Event::Open { .. } = event {
            hub.send(client, &vec![7; 16 << 20][..]);
            hub.close(client, CloseCode::NORMAL, "Bye!");
        }
    });
    let mut slow = server.raw("/");
    server.opened();
    let (mut bytes, mut piece) = (Vec::new(), vec![0; 512 << 10]);
    while let Ok(size @ 1..) = slow.read(&mut piece) {
        bytes.extend_from_slice(&piece[..size]);
        assert_eq!(server.seen_within(Duration::from_millis(100)), None);
    }
    assert_eq!(bytes.len(), (16 << 20) + 10 + 8);
    assert!(bytes.ends_with(b"\x88\x06\x03\xe8Bye!"));
}

#[test]
fn a_shutdown_does_not_wait_forever() {
    let mut config = config();
    config.shutdown.timeout = Duration::from_millis(300);
    let server = Running::start(config, chat);
    let _mute = server.raw("/");
    server.opened();
    let mut silent = server.stream();
    server.handle.stop();
    let seen = server.join();
    assert!(!matches!(silent.read(&mut [0]), Ok(1..)), "a connection without a request is dropped");
    let [Seen::Close(_, left)] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(fields(left), departure(1006, "", false, Cause::Shutdown));
}
