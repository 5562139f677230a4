//! An application that reads nothing for a while.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use townhall::{Cause, ClientId, Config, Event};

use crate::support::{
    PATIENCE, Running, Seen, chat, config, counting_chat, frame, get, read_all, settle,
};

/// The number of clients, and of the messages that each sends during the pause.
const CLIENTS: usize = 20;
const MESSAGES: usize = 100;

const PING_INTERVAL: Duration = Duration::from_millis(500);

fn impatient() -> Config {
    let mut config = config();
    config.timeouts.ping_interval = Some(PING_INTERVAL);
    config.timeouts.pong = Some(PING_INTERVAL);
    config
}

/// Sends the messages of a client.
fn talk(client: &mut TcpStream, name: usize) {
    for number in 0..MESSAGES {
        client.write_all(&frame(0x81, format!("{name} {number}").as_bytes())).unwrap();
    }
}

/// What the application sees until all clients have said everything, and one has left.
fn heard(server: &Running) -> (Vec<(ClientId, String)>, Vec<ClientId>) {
    let (mut messages, mut left) = (Vec::new(), Vec::new());
    while messages.len() < CLIENTS * MESSAGES || left.is_empty() {
        match server.seen() {
            Seen::Message(client, text) => messages.push((client, text)),
            Seen::Close(client, departure) => {
                assert_eq!(departure.cause, Cause::Lost);
                left.push(client);
            }
            seen => panic!("{seen:?}"),
        }
    }
    (messages, left)
}

#[test]
fn what_clients_send_during_a_pause_arrives_after_it() {
    let server = Running::start(impatient(), |hub, client, event| match event {
        // Nobody reads the messages.
        Event::Message(_) => {}
        event => counting_chat(hub, client, event),
    });
    let mut clients: Vec<_> = (0..CLIENTS / 2).map(|_| server.raw("/")).collect();
    server.ask(|hub| (0..2).for_each(|_| hub.pause_reading()));
    clients.extend((0..CLIENTS / 2).map(|_| server.raw("/")));
    clients.iter_mut().enumerate().for_each(|(name, client)| talk(client, name));
    let _silent = server.raw("/");
    let ids: Vec<_> = (0..=CLIENTS).map(|_| server.opened()).collect();
    // It leaves, and nobody notices.
    drop(clients.remove(0));
    // Nothing arrives until others would have been taken for silent, as this one is.
    let (silent, departure) = server.departed();
    assert_eq!((silent, departure.cause), (ids[CLIENTS], Cause::Silent));
    assert!(get(&server, "/counts").starts_with("HTTP/1.1 200 "));
    assert_eq!((server.ask(|hub| hub.client_count()), settle(&server).received), (CLIENTS, 0));
    server.ask(|hub| (0..2).for_each(|_| hub.resume_reading()));
    let (messages, left) = heard(&server);
    assert_eq!(left, ids[..1]);
    for (name, id) in ids[..CLIENTS].iter().enumerate() {
        let said = messages.iter().filter(|(client, _)| client == id);
        let said: Vec<_> = said.map(|(_, text)| text.clone()).collect();
        let sent: Vec<_> = (0..MESSAGES).map(|number| format!("{name} {number}")).collect();
        assert_eq!(said, sent);
    }
    assert_eq!(server.ask(|hub| hub.client_count()), CLIENTS - 1);
}

#[test]
fn the_application_pauses_while_it_handles_a_message() {
    let server = Running::start(config(), |hub, client, event| match event {
        Event::Message(message) => {
            hub.publish(client, message);
            hub.pause_reading();
        }
        event => chat(hub, client, event),
    });
    let mut client = server.connect("/");
    for text in ["one", "two", "three"] {
        client.send(text);
        assert_eq!(client.receive(), text);
        server.ask(|hub| hub.resume_reading());
    }
}

#[test]
fn a_shutdown_during_a_pause_waits_for_close_handshakes_only() {
    let mut config = config();
    config.shutdown.timeout = 10 * PATIENCE;
    config.timeouts.close = 10 * PATIENCE;
    let server = Running::start(config, chat);
    server.ask(|hub| hub.pause_reading());
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| server.raw("/")).collect();
    clients.iter_mut().enumerate().for_each(|(name, client)| talk(client, name));
    settle(&server);
    let begin = Instant::now();
    server.handle.stop();
    for client in &mut clients {
        let mut head = [0; 2];
        client.read_exact(&mut head).unwrap();
        assert_eq!(head[0], 0x88);
        client.write_all(&frame(0x88, &1001_u16.to_be_bytes())).unwrap();
        read_all(client);
    }
    clients.clear();
    let seen = server.join();
    assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
    let clean = |seen: &&Seen| matches!(seen, Seen::Close(_, departure) if departure.was_clean);
    assert_eq!(seen.iter().filter(clean).count(), CLIENTS);
}
