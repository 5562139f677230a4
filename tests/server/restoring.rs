//! Rooms that continue in another server.

use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use townhall::protocol::internals::{Inflater, SlidingWindow};
use townhall::{ClientId, CloseCode, Config, Event, Hub, Message, Position, RestoreError, Start};

use crate::deflate::receive;
use crate::history::{after, chat, greeted, position, with_history};
use crate::support::{PATIENCE, Running, read_head, request};

const BEGIN: Position = Position::new(36 * 36, 0);

/// A message of this age in seconds.
fn aged(text: &str, age: u64) -> (Message<'_>, Duration) {
    (Message::Text(text), Duration::from_secs(age))
}

/// The texts that a room keeps, with their ages.
fn kept(hub: &Hub, room: &str) -> Vec<(String, Duration)> {
    let text = |message: Message<'_>| String::from_utf8(message.payload().to_vec()).unwrap();
    let history = hub.room(room).into_iter().flat_map(|room| room.history());
    history.map(|(message, age)| (text(message), age)).collect()
}

fn texts(hub: &Hub, room: &str) -> Vec<String> {
    kept(hub, room).into_iter().map(|(text, _)| text).collect()
}

/// Runs a server with these limits, without a client, and asks it.
fn ask<T: Send + 'static>(
    config: Config,
    question: impl FnOnce(&mut Hub) -> T + Send + 'static,
) -> T {
    Running::start(config, chat).ask(question)
}

#[test]
fn the_history_of_a_room_is_what_was_said_in_order() {
    let long = "x".repeat(100_000);
    let middle = "y".repeat(300);
    let expected = ["one", &long, &middle, "", "two"].map(str::to_owned);
    let messages = expected.clone();
    let (history, position) = ask(with_history(), move |hub| {
        messages.iter().for_each(|text| hub.broadcast("/lobby", text));
        hub.broadcast("/lobby", b"\xff");
        let room = hub.room("/lobby").unwrap();
        let last = room.history().last().unwrap();
        assert_eq!(last.0, Message::Binary(b"\xff"));
        assert!(room.history().all(|(_, age)| age < Duration::from_secs(1)));
        let texts = room.history().filter_map(|(message, _)| match message {
            Message::Text(text) => Some(text.to_owned()),
            Message::Binary(_) => None,
        });
        (texts.collect::<Vec<_>>(), room.position())
    });
    assert_eq!(history, expected);
    assert_eq!(position.unwrap().sequence(), 6);
}

#[test]
fn a_client_comes_back_to_a_room_that_was_restored() {
    let server = Running::start(with_history(), |hub, client, event| match event {
        Event::Begin => {
            assert_eq!(client, ClientId::SERVER);
            let messages = [aged("eight", 9), aged("nine", 5), aged("ten", 0)];
            hub.restore("/lobby", after(BEGIN, 10), &messages).unwrap();
        }
        event => chat(hub, client, event),
    });
    let (mut client, greeting) = greeted(&server, &format!("/lobby?after={}", after(BEGIN, 8)));
    assert_eq!((&greeting["recovered"], &greeting["replay"]), (&true.into(), &2.into()));
    client.send("eleven");
    assert_eq!([(); 3].map(|()| client.receive()), ["nine", "ten", "eleven"]);
    assert_eq!(server.ask(|hub| hub.position("/lobby")), Some(after(BEGIN, 11)));
    let (_, greeting) = greeted(&server, &format!("/lobby?after={}", after(BEGIN, 6)));
    assert_eq!(greeting["recovered"], false, "the seventh message is not kept");
}

#[test]
fn a_room_without_messages_waits_for_its_members_as_long_as_history_is_kept() {
    let mut config = with_history();
    config.history.as_mut().unwrap().max_age = Duration::from_secs(3);
    let server = Running::start(config, chat);
    let restored = server.ask(|hub| hub.restore("/lobby", after(BEGIN, 10), &[]));
    assert_eq!(restored, Ok(()));
    for _ in 0..2 {
        let (client, greeting) = greeted(&server, &format!("/lobby?after={}", after(BEGIN, 10)));
        assert_eq!((&greeting["recovered"], &greeting["replay"]), (&true.into(), &0.into()));
        drop(client);
        wait_for_none(&server, |hub| hub.client_count());
    }
    wait_for_none(&server, |hub| hub.room_count());
}

/// Waits until this number is 0.
fn wait_for_none(server: &Running, number: fn(&mut Hub) -> usize) {
    let deadline = Instant::now() + PATIENCE;
    while server.ask(number) > 0 {
        assert!(Instant::now() < deadline, "some are left");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_the_limits_do_not_allow_is_dropped_the_oldest_first() {
    let mut config = with_history();
    let limits = config.history.as_mut().unwrap();
    limits.max_age = Duration::from_secs(80);
    limits.max_messages = 30;
    let (old, many) = ask(config, |hub| {
        let messages = [aged("too old", 80), aged("old", 79), aged("new", 2)];
        hub.restore("/old", after(BEGIN, 3), &messages).unwrap();
        let texts: Vec<_> = (0..90).map(|number| format!("{number:0>1000}")).collect();
        let messages: Vec<_> = texts.iter().map(|text| aged(text, 0)).collect();
        hub.restore("/many", after(BEGIN, 90), &messages).unwrap();
        (kept(hub, "/old"), texts_of(hub, "/many", &texts))
    });
    let ages: Vec<_> = old.iter().map(|(text, age)| (&**text, age.as_secs())).collect();
    assert!(matches!(ages[..], [("old", 78..=79), ("new", 1..=2)]), "{ages:?}");
    assert!((30..90).contains(&many), "{many}");
}

/// The number of messages that a room keeps, which must be the last of these.
fn texts_of(hub: &Hub, room: &str, all: &[String]) -> usize {
    let kept = texts(hub, room);
    assert_eq!(kept, all[all.len() - kept.len()..]);
    kept.len()
}

#[test]
fn the_oldest_messages_of_all_rooms_go_whichever_was_restored_first() {
    let mut config = with_history();
    config.history.as_mut().unwrap().max_total_bytes = 1_400_000;
    config.history.as_mut().unwrap().max_bytes = 1 << 20;
    let [old, new, middle] = ask(config, |hub| {
        let text = "x".repeat(10_000);
        for (room, age) in [("/new", 10), ("/old", 200), ("/middle", 100)] {
            let messages = vec![aged(&text, age); 50];
            hub.restore(room, after(BEGIN, 50), &messages).unwrap();
        }
        ["/old", "/new", "/middle"].map(|room| kept(hub, room).len())
    });
    assert_eq!((new, middle), (50, 50));
    assert!(old < 40, "{old}");
}

#[test]
fn a_room_that_cannot_be_restored_is_refused_with_the_reason() {
    let mut config = with_history();
    config.rooms.max = 2;
    config.history.as_mut().unwrap().live_only = vec!["/@members".to_owned()];
    let results = ask(config, |hub| {
        hub.broadcast("/there", "hello");
        let mut restore = |room: &str, sequence| {
            hub.restore(room, after(BEGIN, sequence), &[aged("one", 0), aged("two", 0)])
        };
        let results = [
            restore("/there", 2),
            restore("/lobby/@members", 2),
            restore("/lobby", 1),
            restore("/lobby", 1 << 53),
            restore("/lobby", 2),
            restore("/hall", 2),
        ];
        assert_eq!(hub.room_count(), 2);
        results
    });
    use RestoreError::{NoHistory, RoomExists, TooManyRooms, WrongPosition};
    let wrong = Err(WrongPosition);
    assert_eq!(results, [Err(RoomExists), Err(NoHistory), wrong, wrong, Ok(()), Err(TooManyRooms)]);
    let without = ask(crate::support::config(), |hub| hub.restore("/lobby", BEGIN, &[]));
    assert_eq!(without, Err(NoHistory));
}

#[test]
fn the_application_looks_at_the_rooms_before_and_after_everyone() {
    let (sender, events) = channel();
    let server = Running::start(with_history(), move |hub, client, event| {
        let what = match &event {
            Event::Begin => "begin".to_owned(),
            Event::Open { .. } => "open".to_owned(),
            Event::Close(_) => "close".to_owned(),
            Event::End => {
                let position = hub.position("/quiet").map(Position::sequence);
                format!("end {position:?} {:?} {}", texts(hub, "/lobby"), hub.client_count())
            }
            _ => String::new(),
        };
        sender.send(what).unwrap();
        chat(hub, client, event);
    });
    let mut client = server.connect("/lobby");
    let quiet = server.connect("/quiet");
    client.send("hello");
    assert_eq!(client.receive(), "hello");
    server.handle.stop();
    client.receive_close();
    drop((client, quiet));
    server.join();
    let mut seen: Vec<_> = events.iter().filter(|event| !event.is_empty()).collect();
    assert_eq!(seen.remove(0), "begin");
    assert_eq!(seen.pop().unwrap(), "end Some(0) [\"hello\"] 0");
    seen.sort();
    assert_eq!(seen, ["close", "close", "open", "open"]);
}

#[test]
fn positions_go_on_from_server_to_server() {
    let first = Running::start(with_history(), chat);
    let (mut client, greeting) = greeted(&first, "/lobby");
    client.send("one");
    client.send("two");
    assert_eq!([(); 2].map(|()| client.receive()), ["one", "two"]);
    let place = position(&greeting);
    let (last, history) = first.ask(|hub| (hub.position("/lobby").unwrap(), kept(hub, "/lobby")));
    let second = Running::start(with_history(), chat);
    second.ask(move |hub| {
        let messages: Vec<_> =
            history.iter().map(|(text, age)| (Message::Text(text), *age)).collect();
        hub.restore("/lobby", last, &messages).unwrap();
        hub.broadcast("/lobby", "three");
    });
    let (mut client, greeting) = greeted(&second, &format!("/lobby?after={}", after(place, 1)));
    assert_eq!((&greeting["recovered"], &greeting["replay"]), (&true.into(), &2.into()));
    assert_eq!([(); 2].map(|()| client.receive()), ["two", "three"]);
}

const MIB: usize = 1 << 20;

/// The number of messages of 1 MiB that are sent before the sequence is replaced: more than the system
/// buffers for a member that does not read.
const BEFORE: u8 = 12;

/// A member that reads nothing until it is asked.
struct Member {
    stream: TcpStream,
    speaks: bool,
    inflater: Inflater,
    window: SlidingWindow,
}

impl Member {
    fn new(server: &Running, path: &str, speaks: bool, offer: &str) -> Self {
        let mut stream = server.stream();
        let mut fields = format!("\r\nSec-WebSocket-Extensions: {offer}\r\n");
        if speaks {
            fields += "Sec-WebSocket-Protocol: townhall.v1\r\n";
        }
        let head = request(path).replace("\r\n\r\n", &format!("{fields}\r\n"));
        stream.write_all(head.as_bytes()).unwrap();
        let head = read_head(&mut stream);
        assert_eq!(head.contains("permessage-deflate"), offer != "x-none", "{head}");
        let mut member =
            Self { stream, speaks, inflater: Inflater::default(), window: SlidingWindow::new(15) };
        if speaks {
            member.greeting();
        }
        member
    }

    fn receive(&mut self) -> Vec<u8> {
        match receive(&mut self.stream) {
            (0x82 | 0x81, payload) => payload,
            (0xc2 | 0xc1, payload) => {
                self.inflater.inflate_in_context(&payload, &mut self.window, 2 * MIB).unwrap()
            }
            (first, payload) => panic!("{first:x} {payload:?}"),
        }
    }

    fn greeting(&mut self) -> Value {
        serde_json::from_slice(self.receive().strip_prefix(b"\0").unwrap()).unwrap()
    }

    /// The code of the next frame, which must be a close frame.
    fn close_code(&mut self) -> u16 {
        let (first, payload) = receive(&mut self.stream);
        assert_eq!(first, 0x88);
        u16::from_be_bytes(*payload.first_chunk().unwrap())
    }
}

/// Replaces the sequence of the room with a shorter one in the same epoch, as an application does that has
/// lost it, and closes the members that cannot learn of it.
fn replace(hub: &mut Hub) -> Position {
    let old = hub.position("/lobby").unwrap();
    let new = Position::new(old.epoch(), 3);
    let members: Vec<_> = hub.members("/lobby").collect();
    assert!(!hub.forget("/lobby"), "it has members");
    assert_eq!(hub.position("/lobby"), Some(old));
    assert!(members.iter().all(|&member| hub.leave(member)));
    assert!(hub.forget("/lobby") && hub.room("/lobby").is_none() && hub.forget("/lobby"));
    hub.restore("/lobby", new, &[aged("two", 9), aged("three", 0)]).unwrap();
    for member in members {
        if hub.data::<bool>(member) == Some(&true) {
            assert!(hub.join_from(member, "/lobby", Start::After(old)));
        } else {
            hub.close(member, CloseCode::SERVICE_RESTART, "the room begins anew");
        }
    }
    hub.broadcast("/lobby", "four");
    new
}

#[test]
fn a_sequence_is_replaced_and_members_learn_of_it_after_what_was_sent_before() {
    let mut config = with_history();
    let limits = config.history.as_mut().unwrap();
    limits.max_bytes = 16 * MIB;
    // A busy machine may take long to read all that is written before a close frame.
    config.timeouts.close = Duration::from_secs(60);
    let server = Running::start(config, |hub, client, event| {
        if let Event::Open { subprotocol, .. } = &event {
            hub.set_data(client, subprotocol.is_some());
        }
        chat(hub, client, event);
    });
    let offers = ["x-none", "permessage-deflate", "permessage-deflate; server_no_context_takeover"];
    let kinds = offers.iter().flat_map(|offer| [(true, *offer), (false, *offer)]);
    let live = kinds.clone().map(|(speaks, offer)| Member::new(&server, "/lobby", speaks, offer));
    let mut members: Vec<_> = live.collect();
    let mut closing = Member::new(&server, "/lobby", false, "x-none");
    let ids: Vec<_> = (0..7).map(|_| server.opened()).collect();
    let id = ids[6];
    for number in 0..BEFORE {
        server.ask(move |hub| hub.broadcast("/lobby", &vec![number; MIB][..]));
    }
    // These are in the middle of their replays.
    let path = format!("/lobby?last={BEFORE}");
    members.extend(kinds.map(|(speaks, offer)| Member::new(&server, &path, speaks, offer)));
    let backlog = server.ask(|hub| hub.room("/lobby").unwrap().backlog());
    assert!(backlog > 2 * MIB as u64, "{backlog}");
    let new = server.ask(move |hub| {
        hub.close(id, CloseCode::NORMAL, "enough");
        replace(hub)
    });
    for member in members.iter_mut().chain([&mut closing]) {
        (0..BEFORE).for_each(|number| assert!(member.receive() == vec![number; MIB], "{number}"));
    }
    for member in &mut members {
        if member.speaks {
            let greeting = member.greeting();
            assert_eq!(position(&greeting), new);
            let told = (&greeting["recovered"], &greeting["replay"]);
            assert_eq!(told, (&false.into(), &0.into()));
            assert_eq!(member.receive(), b"four");
        } else {
            assert_eq!(member.close_code(), 1012);
        }
    }
    assert_eq!(closing.close_code(), 1000);
    assert_eq!(server.ask(|hub| texts(hub, "/lobby")), ["two", "three", "four"]);
    assert_eq!(server.ask(|hub| hub.position("/lobby")), Some(after(new, 1)));
    let backlog = server.ask(|hub| hub.memory_usage().backlog_bytes);
    assert_eq!(backlog, 0, "everything has been read");
}
