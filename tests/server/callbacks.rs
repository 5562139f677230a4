//! Calls in every callback, and clients that keep the server busy.

use std::io::Write;
use std::thread;

use townhall::{ClientId, CloseCode, Event, Message};

use crate::support::{Running, Seen, chat, config, frame};

#[test]
fn every_call_is_allowed_in_every_callback() {
    let mut known: Vec<ClientId> = Vec::new();
    let server = Running::start(config(), move |hub, client, event| {
        let others: Vec<_> = hub.members("/").collect();
        match event {
            Event::Open { .. } => {
                hub.join(client, "/");
                hub.join(client, "/");
                known.push(client);
            }
            Event::Message(Message::Text("out")) => {
                for other in others {
                    hub.publish(other, "going");
                    hub.close(other, CloseCode::NORMAL, "out");
                    hub.close(other, CloseCode::GOING_AWAY, "again");
                    hub.publish(other, "gone");
                    hub.send(other, "gone");
                    hub.leave(other);
                    hub.join(other, "/elsewhere");
                }
            }
            Event::Message(message) => hub.broadcast("/", message),
            Event::Close(_) => {
                hub.publish(client, "somebody left");
                // The ids of former clients refer to no client.
                for &id in &known {
                    hub.send(id, "are you there?");
                    hub.close(client, CloseCode::NORMAL, "");
                    hub.leave(client);
                }
            }
            _ => {}
        }
    });
    for _ in 0..3 {
        let mut clients: Vec<_> = (0..4).map(|_| server.connect("/")).collect();
        clients.iter().for_each(|_| _ = server.opened());
        clients[0].send("out");
        for (index, client) in clients.iter_mut().enumerate() {
            // A member receives what was sent before its own close, but nothing from a closed member.
            (0..=index).for_each(|_| assert_eq!(client.receive(), "going"));
            assert_eq!(client.receive_close(), (1000, "out".into()));
        }
        clients.into_iter().for_each(|client| client.end());
        assert!(matches!(server.seen(), Seen::Message(..)));
        for _ in 0..4 {
            assert_eq!(server.departed().1.code, 1000);
        }
    }
}

#[test]
fn a_busy_client_does_not_starve_the_others() {
    let server = Running::start(config(), chat);
    let mut loud = server.raw("/loud");
    let mut quiet = server.connect("/quiet");
    let shout = frame(0x82, &[0; 60_000]);
    thread::scope(|scope| {
        let mut reader = loud.try_clone().unwrap();
        scope.spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
        let shouting = scope.spawn(move || {
            for _ in 0..2_000 {
                loud.write_all(&shout).unwrap();
            }
            loud.shutdown(std::net::Shutdown::Both).unwrap();
        });
        let mut received = 0;
        while !shouting.is_finished() {
            quiet.send("hello");
            assert_eq!(quiet.receive(), "hello");
            received += 1;
        }
        assert!(received > 10, "{received} answers while 120 MB were shouted");
    });
}

#[test]
fn slots_are_reused_by_other_clients() {
    let server = Running::start(config(), chat);
    let mut ids = Vec::new();
    for _ in 0..50 {
        let mut client = server.raw("/");
        ids.push(server.opened());
        client.write_all(&frame(0x88, b"")).unwrap();
        assert_eq!(server.departed().0, ids[ids.len() - 1]);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 50);
}
