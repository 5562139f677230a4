//! Clients that come back, and ask for what they have missed.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use townhall::protocol::{Position, Word};
use townhall::{ClientId, Config, Event, HistoryLimits, Hub, Slow};
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;
use tungstenite::protocol::Message;

use crate::support::{Client, PATIENCE, Running, config, frame, read_all, read_head, request};

/// The chat, in which clients begin where they want to.
pub fn chat(hub: &mut Hub, client: ClientId, event: Event<'_>) {
    match event {
        Event::Open { room, start, .. } => _ = hub.join_from(client, room, start),
        Event::Message(message) => hub.publish(client, message),
        _ => {}
    }
}

fn quiet_chat(hub: &mut Hub, client: ClientId, event: Event<'_>) {
    match event {
        Event::Message(message) => hub.publish_to_others(client, message),
        event => chat(hub, client, event),
    }
}

pub fn with_history() -> Config {
    let mut config = config();
    config.history = Some(HistoryLimits::default());
    config
}

/// A client that understands the server's words, and its greeting.
pub fn greeted(server: &Running, path: &str) -> (Client, Value) {
    let mut request = format!("ws://{}{path}", server.address).into_client_request().unwrap();
    let subprotocol = HeaderValue::from_static("townhall.v1");
    request.headers_mut().insert("Sec-WebSocket-Protocol", subprotocol);
    let (socket, response) = tungstenite::client(request, server.stream()).unwrap();
    assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "townhall.v1");
    let mut client = Client(socket);
    let greeting = word(&mut client);
    (client, greeting)
}

/// The next message, which must be a word of the server.
fn word(client: &mut Client) -> Value {
    let text = client.receive();
    let json = text.strip_prefix('\0').unwrap_or_else(|| panic!("{text} is no word"));
    serde_json::from_str(json).unwrap()
}

pub fn position(word: &Value) -> Position {
    word["position"].as_str().unwrap().parse().unwrap()
}

pub fn after(position: Position, count: u64) -> Position {
    Position::new(position.epoch(), position.sequence() + count)
}

fn broadcast(server: &Running, room: &'static str, messages: &'static [&'static str]) {
    server.ask(move |hub| messages.iter().for_each(|message| hub.broadcast(room, *message)));
}

#[test]
fn a_client_that_comes_back_receives_what_it_has_missed() {
    let server = Running::start(with_history(), chat);
    let (mut client, greeting) = greeted(&server, "/lobby");
    let begin = position(&greeting);
    assert_eq!((begin.sequence(), &greeting["replay"]), (0, &0.into()));
    assert_eq!((&greeting["recovered"], &greeting["beat"]), (&Value::Null, &30.into()));
    client.send("one");
    assert_eq!(client.receive(), "one");
    drop(client);
    broadcast(&server, "/lobby", &["two", "three"]);
    let (mut client, greeting) = greeted(&server, &format!("/lobby?after={}", after(begin, 1)));
    assert_eq!(position(&greeting), after(begin, 1));
    assert_eq!((&greeting["recovered"], &greeting["replay"]), (&true.into(), &2.into()));
    client.send("four");
    assert_eq!([(); 3].map(|()| client.receive()), ["two", "three", "four"]);
    assert_eq!(server.ask(|hub| hub.position("/lobby")), Some(after(begin, 4)));
}

#[test]
fn a_client_that_cannot_recover_is_told_and_receives_nothing_old() {
    let mut config = with_history();
    let history = config.history.as_mut().unwrap();
    history.max_messages = 5;
    history.max_bytes = 4 << 10;
    let server = Running::start(config, chat);
    let (mut client, greeting) = greeted(&server, "/lobby");
    let begin = position(&greeting);
    server.ask(|hub| (0..500).for_each(|_| hub.broadcast("/lobby", &"x".repeat(100))));
    (0..500).for_each(|_| _ = client.receive());
    let unknown =
        [Position::new(begin.epoch() + 1, 500), begin, after(begin, 501), after(begin, u64::MAX)];
    for lost in unknown {
        let (mut client, greeting) = greeted(&server, &format!("/lobby?after={lost}"));
        assert!(position(&greeting).sequence() >= 500, "{lost}");
        assert_eq!((&greeting["recovered"], &greeting["replay"]), (&false.into(), &0.into()));
        client.send("next");
        assert_eq!(client.receive(), "next");
    }
}

#[test]
fn the_newest_messages_come_first_if_a_client_asks_for_them() {
    let server = Running::start(with_history(), chat);
    broadcast(&server, "/lobby", &["one", "two", "three"]);
    let (mut client, greeting) = greeted(&server, "/lobby?last=2");
    assert_eq!((position(&greeting).sequence(), &greeting["replay"]), (1, &2.into()));
    assert_eq!([(); 2].map(|()| client.receive()), ["two", "three"]);
    let (_, greeting) = greeted(&server, "/lobby?last=99");
    assert_eq!((position(&greeting).sequence(), &greeting["replay"]), (0, &3.into()));
    // Without the subprotocol, there are no words.
    let mut other = server.connect("/lobby?last=1");
    other.send("four");
    assert_eq!([(); 2].map(|()| other.receive()), ["three", "four"]);
}

#[test]
fn a_query_that_cannot_be_understood_is_refused() {
    let server = Running::start(with_history(), chat);
    for query in ["after=7", "last=many", "last=1&last=2"] {
        let mut stream = server.stream();
        let head = request(&format!("/lobby?{query}"));
        stream.write_all(head.as_bytes()).unwrap();
        let answer = String::from_utf8(read_all(&mut stream)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("parameter"), "{answer}");
    }
    let without = Running::start(config(), chat);
    without.raw("/lobby?after=7");
}

#[test]
fn only_the_server_may_speak_as_the_server() {
    let server = Running::start(with_history(), chat);
    let (mut client, _) = greeted(&server, "/lobby");
    let mut forger = server.connect("/lobby");
    forger.send("\0{\"position\":\"1.1\"}");
    assert_eq!(forger.receive_close().0, 1008);
    let mut forger = server.raw("/lobby");
    let pieces = [frame(0x01, b"\0"), frame(0x80, b"{}")].concat();
    forger.write_all(&pieces).unwrap();
    assert!(read_all(&mut forger).windows(2).any(|code| code == 1008_u16.to_be_bytes()));
    client.0.send(Message::binary(&b"\0"[..])).unwrap();
    assert_eq!(client.0.read().unwrap(), Message::binary(&b"\0"[..]));
    // Without history, nothing is the server's.
    let without = Running::start(config(), chat);
    let mut member = without.connect("/lobby");
    member.send("\0{}");
    assert_eq!(member.receive(), "\0{}");
}

#[test]
fn a_sender_gets_a_receipt_where_its_message_is() {
    let server = Running::start(with_history(), quiet_chat);
    let (mut client, greeting) = greeted(&server, "/lobby");
    let (mut other, _) = greeted(&server, "/lobby");
    let begin = position(&greeting);
    other.send("one");
    assert_eq!(client.receive(), "one");
    client.send("two");
    let receipt = Word::Published(after(begin, 2)).to_string();
    assert_eq!(client.receive(), receipt);
    assert_eq!(word(&mut other)["published"], after(begin, 1).to_string());
    assert_eq!(other.receive(), "two");
}

#[test]
fn a_silent_client_hears_a_beat_with_each_ping() {
    let mut config = with_history();
    config.timeouts.ping_interval = Some(Duration::from_millis(200));
    let server = Running::start(config, chat);
    let (mut client, greeting) = greeted(&server, "/lobby");
    assert_eq!(greeting["beat"], 1);
    broadcast(&server, "/lobby", &["one"]);
    assert_eq!(client.receive(), "one");
    let mut beats = 0;
    while beats < 2 {
        match client.0.read().unwrap() {
            Message::Text(text) => {
                let beat = Word::Beat(after(position(&greeting), 1)).to_string();
                assert_eq!(text.as_str(), beat);
                beats += 1;
            }
            Message::Ping(_) => {}
            message => panic!("{message:?}"),
        }
    }
}

#[test]
fn a_client_that_sends_all_the_time_hears_beats_too() {
    let mut config = with_history();
    config.timeouts.ping_interval = Some(Duration::from_millis(200));
    let server = Running::start(config, |hub, client, event| match event {
        Event::Message(_) => {}
        event => chat(hub, client, event),
    });
    let (mut client, _) = greeted(&server, "/lobby");
    client.0.get_ref().set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "there is no beat");
        client.send("I am here");
        match client.0.read() {
            Ok(Message::Text(text)) => break assert!(text.starts_with("\0{\"position\":")),
            Ok(message) => panic!("{message:?}, although the client is not silent"),
            Err(tungstenite::Error::Io(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_room_outlives_its_members_until_its_history_is_old() {
    let mut config = with_history();
    config.history.as_mut().unwrap().max_age = Duration::from_millis(300);
    let server = Running::start(config, chat);
    broadcast(&server, "/lobby", &["one"]);
    let rooms = |server: &Running| server.ask(|hub| hub.room_count());
    assert_eq!(rooms(&server), 1);
    let deadline = Instant::now() + PATIENCE;
    while rooms(&server) > 0 {
        assert!(Instant::now() < deadline, "the room stays");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_client_recovers_in_a_room_whose_history_is_old() {
    let mut config = with_history();
    config.history.as_mut().unwrap().max_age = Duration::from_secs(4);
    let server = Running::start(config, chat);
    let (mut client, _) = greeted(&server, "/lobby");
    server.opened();
    client.send("one");
    assert_eq!(client.receive(), "one");
    let deadline = Instant::now() + PATIENCE;
    while server.ask(|hub| hub.memory_usage().history_bytes) > 0 {
        assert!(Instant::now() < deadline, "the history stays");
        thread::sleep(Duration::from_millis(50));
    }
    let position = server.ask(|hub| hub.position("/lobby")).unwrap();
    drop(client);
    let (_, greeting) = greeted(&server, &format!("/lobby?after={position}"));
    assert_eq!(greeting["recovered"], true);
    // Nothing has been said here, so nothing can have been missed.
    let (quiet, _) = greeted(&server, "/quiet");
    drop(quiet);
    while server.ask(|hub| hub.position("/quiet").is_some()) {
        assert!(Instant::now() < deadline, "the room stays");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn rooms_count_towards_the_limits_as_long_as_they_have_history() {
    let mut config = with_history();
    config.rooms.max = 2;
    let server = Running::start(config, chat);
    broadcast(&server, "/a", &["one"]);
    broadcast(&server, "/b", &["one"]);
    broadcast(&server, "/c", &["one"]);
    let positions = server.ask(|hub| ["/a", "/b", "/c"].map(|room| hub.position(room).is_some()));
    assert_eq!(positions, [true, true, false]);
    let refused = server.ask(|hub| hub.broadcast_for(ClientId::SERVER, "/c", "one"));
    assert_eq!(refused, Err(townhall::Refusal::TooManyRooms));
}

#[test]
fn a_member_that_misses_messages_is_told_where_it_continues() {
    let mut config = with_history();
    config.slow = Slow::Drop;
    config.memory.max_backlog_bytes = 16 << 20;
    config.deflate = None;
    let server = Running::start(config, chat);
    let (mut client, greeting) = greeted(&server, "/lobby");
    let begin = position(&greeting);
    let big = |hub: &mut Hub| hub.broadcast("/lobby", &vec![b'x'; 1 << 20][..]);
    for _ in 0..60 {
        server.ask(big);
    }
    let total = server.ask(|hub| hub.position("/lobby")).unwrap();
    let mut at = begin;
    let mut skipped = 0;
    while at != total {
        match client.0.read().unwrap() {
            Message::Binary(_) => at = after(at, 1),
            Message::Text(text) => {
                let word: Value = serde_json::from_str(&text[1..]).unwrap();
                let missed = word["skipped"].as_u64().unwrap();
                assert_eq!(position(&word), after(at, missed));
                at = position(&word);
                skipped += missed;
            }
            _ => {}
        }
    }
    assert!(skipped > 0, "it was not slow enough");
    assert_eq!(server.ask(|hub| hub.counts().skipped), skipped);
}

#[test]
fn clients_with_compression_receive_the_past_and_then_the_present() {
    for offer in ["permessage-deflate", "permessage-deflate; server_no_context_takeover"] {
        let server = Running::start(with_history(), chat);
        broadcast(&server, "/lobby", &["one", "two"]);
        let mut stream = server.stream();
        let end = format!("\r\nSec-WebSocket-Extensions: {offer}\r\n\r\n");
        let head = request("/lobby?last=2").replacen("\r\n\r\n", &end, 1);
        stream.write_all(head.as_bytes()).unwrap();
        read_head(&mut stream);
        assert_eq!(next_frame(&mut stream), (0x81, b"one".to_vec()));
        assert_eq!(next_frame(&mut stream), (0x81, b"two".to_vec()));
        // Once it has received the past, it receives compressed messages.
        let text = "live ".repeat(200);
        let mut opcodes = (0..100).map(|_| {
            let text = text.clone();
            server.ask(move |hub| hub.broadcast("/lobby", &*text));
            next_frame(&mut stream).0
        });
        assert!(opcodes.any(|opcode| opcode == 0xc1), "{offer}");
    }
}

/// The first byte of a frame, and its payload.
fn next_frame(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    let mut long = [0; 2];
    let length = match head[1] {
        126 => {
            stream.read_exact(&mut long).unwrap();
            u16::from_be_bytes(long).into()
        }
        short => usize::from(short),
    };
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).unwrap();
    (head[0], payload)
}
