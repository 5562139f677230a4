//! Upgrades that the application or the server refuses, and the events that the application sees.

use std::collections::HashMap;
use std::io::Write;
use std::net::TcpStream;

use townhall::{Cause, Config, Event, Response};

use crate::support::{Running, Seen, config, get, read_head, request};

/// An application that keeps a value for each client from its upgrade, moves clients to another room on
/// request, and reports how many values it keeps and how many upgrades it saw.
fn start(config: Config) -> Running {
    let mut kept = HashMap::new();
    let mut asked = 0;
    Running::start(config, move |hub, client, event| match event {
        Event::Request(exchange) => {
            exchange.respond(Response::text(200, format!("{} of {asked}", kept.len())));
        }
        Event::Upgrade(mut upgrade) => {
            asked += 1;
            if let Some(room) = upgrade.request().query() {
                upgrade.set_room(room);
            }
            assert!(kept.insert(client, upgrade.request().path().to_owned()).is_none());
        }
        Event::Open { room, .. } => _ = hub.join(client, room),
        Event::Close(_) => assert!(kept.remove(&client).is_some(), "it was never asked about"),
        _ => {}
    })
}

fn knock(server: &Running, target: &str, field: &str) -> (String, TcpStream) {
    let mut stream = server.stream();
    let request = request(target).replace("Host:", &format!("{field}Host:"));
    stream.write_all(request.as_bytes()).unwrap();
    (read_head(&mut stream)[9..12].to_owned(), stream)
}

fn status(server: &Running, target: &str, field: &str) -> String {
    knock(server, target, field).0
}

fn assert_kept(server: &Running, expected: &str) {
    let answer = get(server, "/");
    assert!(answer.ends_with(&format!("\r\n\r\n{expected}\n")), "{expected} expected: {answer}");
}

#[test]
fn the_application_does_not_see_upgrades_that_the_server_refuses() {
    let mut config = config();
    config.rooms.patterns = vec!["/room*".parse().unwrap()];
    config.rooms.max = 2;
    config.rooms.max_name_bytes = 8;
    config.connections.max = 3;
    config.connections.max_per_address = 1;
    let server = start(config);
    let from = "X-Forwarded-For: 192.0.2.1\r\n";
    let _first = knock(&server, "/room1", from).1;
    let _second = knock(&server, "/room2", "").1;
    for (target, field, expected) in [
        ("/room1", from, "429"),
        ("/room3", "", "503"),
        ("/room56789", "", "414"),
        ("/hall", "", "404"),
        ("/room1", "Origin: http://evil.example\r\n", "403"),
    ] {
        assert_eq!(status(&server, target, field), expected, "{target} {field}");
        assert_kept(&server, "2 of 2");
    }
    let _third = knock(&server, "/room1", "").1;
    assert_eq!(status(&server, "/room1", ""), "503", "the server is full");
    assert_kept(&server, "3 of 3");
}

#[test]
fn a_client_refused_in_the_room_that_the_application_chose_departs() {
    let mut config = config();
    config.rooms.max = 1;
    config.rooms.max_name_bytes = 8;
    let server = start(config);
    let _first = knock(&server, "/a", "").1;
    assert!(matches!(server.seen(), Seen::Open(..)));
    for (target, expected, kept) in [("/a?b", "503", "1 of 2"), ("/a?123456789", "414", "1 of 3")] {
        assert_eq!(status(&server, target, ""), expected, "{target}");
        let departure = server.departed().1;
        let Cause::Refused(refusal) = departure.cause else { panic!("{departure}") };
        assert_eq!((refusal.status().to_string(), departure.code), (expected.into(), 1006));
        assert_kept(&server, kept);
    }
    assert_eq!(status(&server, "/a?/a", ""), "101");
    assert!(matches!(server.seen(), Seen::Open(_, room) if room == "/a"));
}

#[test]
fn only_paths_that_match_a_pattern_are_rooms() {
    let mut config = config();
    config.rooms.patterns =
        ["/caf%c3%a9", "/team/*"].map(|pattern| pattern.parse().unwrap()).to_vec();
    let server = Running::start(config, crate::support::chat);
    for path in ["/caf%C3%A9", "/c%61f%c3%a9?who=a", "/x/../caf%C3%A9", "/team/", "/team/a/b"] {
        assert_eq!(status(&server, path, ""), "101", "{path}");
    }
    for path in ["/", "/caf", "/caf%C3%A9/", "/team", "/team%2Fa", "/x/team/a", "/team/../a"] {
        assert_eq!(status(&server, path, ""), "404", "{path}");
    }
    let answer = get(&server, "/hall");
    assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
    assert!(get(&server, "/team/a").starts_with("HTTP/1.1 426 "));
}

#[test]
fn one_address_cannot_create_every_room() {
    let mut config = config();
    config.rooms.max_per_address = 2;
    let server = Running::start(config, crate::support::chat);
    let here = "X-Forwarded-For: 192.0.2.1\r\n";
    let there = "Forwarded: for=192.0.2.2\r\n";
    let mut members = vec![knock(&server, "/a", here), knock(&server, "/b", here)];
    assert_eq!(status(&server, "/c", here), "429");
    // It may enter rooms that others created. Its own rooms count until they are empty.
    members.push(knock(&server, "/lobby", there));
    members.extend(["/lobby", "/a"].map(|room| knock(&server, room, here)));
    members.push(knock(&server, "/c", ""));
    assert!(members.iter().all(|(status, _)| status == "101"), "{members:?}");
    members.drain(..1);
    assert_eq!(status(&server, "/d", here), "429", "somebody is still in /a");
    (0..6).for_each(|_| _ = server.opened());
    server.departed();
    members.clear();
    (0..5).for_each(|_| _ = server.departed());
    assert_eq!(status(&server, "/d", here), "101");
}
