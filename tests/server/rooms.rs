//! Who hears what, and in which order.

use townhall::{Event, Message};

use crate::support::{Running, chat, config};

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
        Event::Open { room } => hub.join(client, room),
        Event::Message(message) => hub.say_to_others(client, message),
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
fn direct_messages_keep_their_place_among_those_of_the_room() {
    let server = Running::start(config(), |hub, client, event| match event {
        Event::Open { room } => hub.join(client, room),
        Event::Message(message) => {
            hub.say(client, "1");
            hub.send(client, message);
            hub.say(client, "3");
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
        Event::Open { room } => hub.join(client, room),
        Event::Message(Message::Text(text)) => match text.strip_prefix("go ") {
            Some(room) => {
                hub.say(client, "left");
                hub.join(client, room);
                hub.say(client, "came");
            }
            None => hub.say(client, text),
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
