//! What the server shows of its rooms and clients.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use townhall::{ClientId, Hub};

use crate::support::{PATIENCE, Running, chat, config, frame, read_head, request};

/// Waits for something to become true.
fn wait_for(server: &Running, condition: impl Fn(&mut Hub) -> bool + Clone + Send + 'static) {
    let deadline = Instant::now() + PATIENCE;
    while !server.ask(condition.clone()) {
        assert!(Instant::now() < deadline);
    }
}

#[test]
fn the_rate_of_a_room_is_that_of_its_messages_and_not_of_its_deliveries() {
    let server = Running::start(config(), chat);
    let mut clients = ["/busy", "/busy", "/quiet"].map(|room| server.connect(room));
    for _ in 0..20 {
        clients[0].send("hello");
        assert_eq!(clients[1].receive(), "hello");
    }
    let rates = server
        .ask(|hub| ["/busy", "/quiet"].map(|name| hub.room(name).unwrap().messages_per_second()));
    // The test may take longer than ten seconds on a very slow machine.
    assert!(rates[0] > 0.0 && rates[0] <= 2.0, "{rates:?}");
    assert_eq!(rates[1], 0.0);
    assert!(server.ask(|hub| hub.room("/nowhere").is_none()));
}

#[test]
fn the_backlog_of_a_room_is_that_of_its_slowest_member() {
    const SIZE: usize = 60_000;
    let server = Running::start(config(), chat);
    let mut reader = server.raw("/room");
    let readers = server.opened();
    let slow = server.raw("/room");
    let slows = server.opened();
    let mut sent = 0;
    let backlogs = move |hub: &mut Hub| {
        (hub.room("/room").unwrap().backlog(), hub.backlog(slows), hub.backlog(readers))
    };
    assert_eq!(server.ask(backlogs), (0, Some(0), Some(0)));
    let deadline = Instant::now() + PATIENCE;
    while server.ask(backlogs).0 < 2 * SIZE as u64 {
        assert!(Instant::now() < deadline);
        reader.write_all(&frame(0x82, &[b'x'; SIZE])).unwrap();
        reader.read_exact(&mut [0; SIZE + 4]).unwrap();
        sent += SIZE as u64 + 4;
    }
    let (room, slow_backlog, backlog) = server.ask(backlogs);
    assert_eq!((slow_backlog, backlog), (Some(room), Some(0)));
    assert!(room < sent);
    server.ask(move |hub| hub.send(slows, "for you alone"));
    let alone = server.ask(backlogs).1.unwrap() - room;
    assert!((15..100).contains(&alone), "{alone}");
    drop(slow);
    wait_for(&server, |hub| hub.room("/room").unwrap().backlog() == 0);
}

#[test]
fn a_clients_age_address_and_compression_are_known_while_it_is_open() {
    let server = Running::start(config(), chat);
    let connect = |fields: &str| -> (ClientId, TcpStream) {
        let mut stream = server.stream();
        let request = request("/").replace("\r\n\r\n", &format!("\r\n{fields}\r\n"));
        stream.write_all(request.as_bytes()).unwrap();
        assert!(read_head(&mut stream).starts_with("HTTP/1.1 101 "));
        (server.opened(), stream)
    };
    let start = Instant::now();
    let (direct, _a) = connect("");
    let (v4, _b) = connect("X-Forwarded-For: 192.0.2.7\r\n");
    let fields =
        "X-Forwarded-For: 2001:db8:1:2:3::4\r\nSec-WebSocket-Extensions: permessage-deflate\r\n";
    let (v6, c) = connect(fields);
    let networks =
        server.ask(move |hub| [direct, v4, v6].map(|client| hub.limited_network(client)));
    let expected = [None, Some("192.0.2.7/32"), Some("2001:db8:1:2::/64")];
    assert_eq!(networks, expected.map(|network| network.map(|text| text.parse().unwrap())));
    let compressed =
        server.ask(move |hub| [direct, v4, v6].map(|client| hub.is_compressed(client)));
    assert_eq!(compressed, [Some(false), Some(false), Some(true)]);
    wait_for(&server, move |hub| hub.open_for(v6) >= Some(Duration::from_millis(200)));
    let age = server.ask(move |hub| hub.open_for(v6).unwrap());
    assert!(age <= start.elapsed() + Duration::from_millis(100), "{age:?}");
    drop(c);
    wait_for(&server, move |hub| !hub.is_open(v6));
    assert_eq!(server.ask(move |hub| (hub.open_for(v6), hub.backlog(v6))), (None, None));
}
