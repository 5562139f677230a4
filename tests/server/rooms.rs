//! Who hears what, and in which order.

use std::io::{Read, Write};

use townhall::{Event, Message, Response};

use crate::support::{Running, Told, chat, config, frame, get, read_head, request};

#[test]
fn everyone_hears_everyone_in_the_same_order() {
    let server = Running::start(config(), chat);
    let mut clients: Vec<_> = (0..5).map(|_| server.connect("/lobby")).collect();
    clients.iter().for_each(|_| _ = server.opened());
    for round in 0..100 {
        for (index, client) in clients.iter_mut().enumerate() {
            client.say(&format!("{index}: {round}"));
        }
    }
    let heard: Vec<Vec<_>> =
        clients.iter_mut().map(|client| (0..500).map(|_| client.hear()).collect()).collect();
    assert!(heard.iter().all(|one| *one == heard[0]));
    for index in 0..5 {
        let prefix = format!("{index}: ");
        let rounds: Vec<_> =
            heard[0].iter().filter_map(|text| text.strip_prefix(&prefix)).collect();
        assert_eq!(rounds, (0..100).map(|round| round.to_string()).collect::<Vec<_>>());
    }
}

#[test]
fn rooms_are_apart() {
    let server = Running::start(config(), chat);
    let (mut here, mut there) = (server.connect("/here?who=a"), server.connect("/there"));
    here.say("here");
    there.say("there");
    assert_eq!((here.hear(), there.hear()), ("here".into(), "there".into()));
}

/// RFC 3986, section 6.2.2.
#[test]
fn equivalent_paths_are_one_room_and_its_name_is_their_normal_form() {
    let server = Running::start(config(), chat);
    let paths =
        ["/caf%C3%A9/100%25", "/caf%c3%a9/100%25", "/%63af%C3%A9/100%", "/a/../café/./100%"];
    let mut members: Vec<_> = paths.iter().map(|path| server.raw(path)).collect();
    for path in paths {
        let told = server.told();
        assert!(matches!(&told, Told::Open(_, room) if room == paths[0]), "{path}: {told:?}");
    }
    for path in ["/caf%C3%A9%2F100%25", "/caf%C3%A9/100%25/", "/cafe%CC%81/100%25"] {
        server.raw(path);
        assert!(matches!(server.told(), Told::Open(_, room) if room == path));
        server.departed();
    }
    members[3].write_all(&frame(0x81, b"everybody")).unwrap();
    for member in &mut members {
        let mut heard = [0; 11];
        member.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"\x81\x09everybody");
    }
}

/// What guards a room by a path as it was sent would not see all the paths that lead there.
#[test]
fn an_application_is_asked_about_the_room_and_not_about_one_spelling_of_it() {
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
fn a_newcomer_hears_what_is_said_from_now_on() {
    let server = Running::start(config(), chat);
    let mut early = server.connect("/");
    early.say("before");
    assert_eq!(early.hear(), "before");
    let mut late = server.connect("/");
    late.say("after");
    assert_eq!((early.hear(), late.hear()), ("after".into(), "after".into()));
}

#[test]
fn others_hear_what_the_sender_does_not() {
    let server = Running::start(config(), |hub, client, event| match event {
        Event::Open { room, .. } => _ = hub.join(client, room),
        Event::Message(message) => hub.publish_to_others(client, message),
        _ => {}
    });
    let mut clients = [server.connect("/"), server.connect("/")];
    clients.iter().for_each(|_| _ = server.opened());
    for round in 0..50 {
        clients[0].say(&format!("a{round}"));
        clients[1].say(&format!("b{round}"));
    }
    for round in 0..50 {
        assert_eq!(clients[0].hear(), format!("b{round}"));
        assert_eq!(clients[1].hear(), format!("a{round}"));
    }
}

#[test]
fn a_broadcast_may_leave_out_any_one_client() {
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
    outside.say("from outside");
    assert_eq!([one.hear(), two.hear()], ["from outside"; 2]);
    one.say("from one");
    assert_eq!(two.hear(), "from one");
    two.say("from two");
    assert_eq!([one.hear(), one.hear()], ["sent", "from two"]);
    assert_eq!([two.hear(), outside.hear()], ["sent"; 2]);
}

#[test]
fn direct_messages_keep_their_place_among_those_of_the_room() {
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
        client.say("2");
    }
    for _ in 0..100 {
        assert_eq!([(); 4].map(|()| client.hear()).concat(), "1234");
    }
}

#[test]
fn a_client_that_changes_rooms_misses_and_repeats_nothing() {
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
    let (mut mover, mut stayer) = (server.connect("/a"), server.connect("/a"));
    server.opened();
    server.opened();
    mover.say("one");
    mover.say("go /b");
    mover.say("two");
    assert_eq!([(); 4].map(|()| mover.hear()), ["one", "left", "came", "two"]);
    assert_eq!([(); 2].map(|()| stayer.hear()), ["one", "left"]);
    stayer.say("three");
    assert_eq!(stayer.hear(), "three");
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
