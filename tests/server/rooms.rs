//! Which members receive which messages, and in which order.

use std::io::{Read, Write};

use townhall::{Event, Message, Response};

use crate::support::{Running, Seen, chat, config, frame, get, read_head, request};

#[test]
fn everyone_receives_everything_in_the_same_order() {
    let server = Running::start(config(), chat);
    let mut clients: Vec<_> = (0..5).map(|_| server.connect("/lobby")).collect();
    clients.iter().for_each(|_| _ = server.opened());
    for round in 0..100 {
        for (index, client) in clients.iter_mut().enumerate() {
            client.send(&format!("{index}: {round}"));
        }
    }
    let received: Vec<Vec<_>> =
        clients.iter_mut().map(|client| (0..500).map(|_| client.receive()).collect()).collect();
    assert!(received.iter().all(|one| *one == received[0]));
    for index in 0..5 {
        let prefix = format!("{index}: ");
        let rounds: Vec<_> =
            received[0].iter().filter_map(|text| text.strip_prefix(&prefix)).collect();
        assert_eq!(rounds, (0..100).map(|round| round.to_string()).collect::<Vec<_>>());
    }
}

#[test]
fn rooms_are_separate() {
    let server = Running::start(config(), chat);
    let mut here = server.connect("/here?who=a");
    let mut there = server.connect("/there");
    here.send("here");
    there.send("there");
    assert_eq!((here.receive(), there.receive()), ("here".into(), "there".into()));
}

/// RFC 3986, section 6.2.2.
#[test]
fn equivalent_paths_name_one_room_by_their_normal_form() {
    let server = Running::start(config(), chat);
    let paths =
        ["/caf%C3%A9/100%25", "/caf%c3%a9/100%25", "/%63af%C3%A9/100%", "/a/../café/./100%"];
    let mut members: Vec<_> = paths.iter().map(|path| server.raw(path)).collect();
    for path in paths {
        let seen = server.seen();
        assert!(matches!(&seen, Seen::Open(_, room) if room == paths[0]), "{path}: {seen:?}");
    }
    for path in ["/caf%C3%A9%2F100%25", "/caf%C3%A9/100%25/", "/cafe%CC%81/100%25"] {
        server.raw(path);
        assert!(matches!(server.seen(), Seen::Open(_, room) if room == path));
        server.departed();
    }
    members[3].write_all(&frame(0x81, b"everybody")).unwrap();
    for member in &mut members {
        let mut received = [0; 11];
        member.read_exact(&mut received).unwrap();
        assert_eq!(&received, b"\x81\x09everybody");
    }
}

/// A check of the path as it was sent would miss other spellings of the same room.
#[test]
fn an_application_decides_by_the_room_and_not_by_the_spelling_of_its_path() {
    let server = Running::start(config(), |_, _, event| match event {
        Event::Upgrade(upgrade) if upgrade.room() == "/vault" => {
            upgrade.refuse(Response::text(403, "members only"));
        }
        Event::Request(exchange) if exchange.request().normal_path() == "/about" => {
            exchange.respond(Response::text(200, "about"));
        }
        _ => {}
    });
    for path in ["/vault", "/%76ault", "/lobby/../vault", "/./vault?a=b"] {
        let mut stream = server.stream();
        stream.write_all(request(path).as_bytes()).unwrap();
        assert_eq!(&read_head(&mut stream)[9..12], "403", "{path}");
    }
    assert!(get(&server, "/lobby/%2e%2E/%61bout").ends_with("about\n"));
}

#[test]
fn a_new_member_receives_only_later_messages() {
    let server = Running::start(config(), chat);
    let mut early = server.connect("/");
    early.send("before");
    assert_eq!(early.receive(), "before");
    let mut late = server.connect("/");
    late.send("after");
    assert_eq!((early.receive(), late.receive()), ("after".into(), "after".into()));
}

#[test]
fn publish_to_others_skips_the_sender() {
    let server = Running::start(config(), |hub, client, event| match event {
        Event::Open { room, .. } => _ = hub.join(client, room),
        Event::Message(message) => hub.publish_to_others(client, message),
        _ => {}
    });
    let mut clients = [server.connect("/"), server.connect("/")];
    clients.iter().for_each(|_| _ = server.opened());
    for round in 0..50 {
        clients[0].send(&format!("a{round}"));
        clients[1].send(&format!("b{round}"));
    }
    for round in 0..50 {
        assert_eq!(clients[0].receive(), format!("b{round}"));
        assert_eq!(clients[1].receive(), format!("a{round}"));
    }
}

#[test]
fn a_broadcast_can_skip_one_client() {
    let server = Running::start(config(), |hub, client, event| match event {
        Event::Open { room, .. } => _ = hub.join(client, room),
        Event::Message(message) => {
            hub.broadcast_except("/", client, message);
            hub.send(client, "sent");
        }
        _ => {}
    });
    let [mut one, mut two, mut outside] = ["/", "/", "/other"].map(|room| server.connect(room));
    (0..3).for_each(|_| _ = server.opened());
    outside.send("from outside");
    assert_eq!([one.receive(), two.receive()], ["from outside"; 2]);
    one.send("from one");
    assert_eq!(two.receive(), "from one");
    two.send("from two");
    assert_eq!([one.receive(), one.receive()], ["sent", "from two"]);
    assert_eq!([two.receive(), outside.receive()], ["sent"; 2]);
}

#[test]
fn direct_messages_keep_their_order_among_those_of_the_room() {
    let server = Running::start(config(), |hub, client, event| match event {
        Event::Open { room, .. } => _ = hub.join(client, room),
        Event::Message(message) => {
            hub.publish(client, "1");
            hub.send(client, message);
            hub.publish(client, "3");
            hub.send(client, "4");
        }
        _ => {}
    });
    let mut client = server.connect("/");
    for _ in 0..100 {
        client.send("2");
    }
    for _ in 0..100 {
        assert_eq!([(); 4].map(|()| client.receive()).concat(), "1234");
    }
}

#[test]
fn a_client_that_changes_rooms_misses_nothing_and_gets_nothing_twice() {
    let server = Running::start(config(), |hub, client, event| match event {
        Event::Open { room, .. } => _ = hub.join(client, room),
        Event::Message(Message::Text(text)) => match text.strip_prefix("go ") {
            Some(room) => {
                hub.publish(client, "left");
                hub.join(client, room);
                hub.publish(client, "came");
            }
            None => hub.publish(client, text),
        },
        _ => {}
    });
    let mut mover = server.connect("/a");
    let mut stayer = server.connect("/a");
    server.opened();
    server.opened();
    mover.send("one");
    mover.send("go /b");
    mover.send("two");
    assert_eq!([(); 4].map(|()| mover.receive()), ["one", "left", "came", "two"]);
    assert_eq!([(); 2].map(|()| stayer.receive()), ["one", "left"]);
    stayer.send("three");
    assert_eq!(stayer.receive(), "three");
}

#[test]
fn binary_stays_binary_and_long_messages_arrive_whole() {
    let server = Running::start(config(), chat);
    let mut client = server.connect("/");
    for size in [0, 1, 125, 126, 65_535, 65_536, 5_000_000] {
        let bytes: Vec<u8> = (0..size).map(|at| (at * 7 % 251) as u8).collect();
        client.0.send(tungstenite::Message::binary(bytes.clone())).unwrap();
        assert_eq!(client.0.read().unwrap(), tungstenite::Message::binary(bytes));
    }
}
