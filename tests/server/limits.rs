//! Limits on connections, rooms, rates and memory.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use townhall::{Cause, ClientId, CloseCode, Config, Event, Hub};

use crate::support::{
    PATIENCE, Running, Seen, chat, config, counting_chat, frame, get, read_all, read_head, request,
};

/// The status of the answer to a request for an upgrade, and the connection.
fn knock(address: SocketAddr, path: &str, field: &str) -> (String, TcpStream) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = request(path).replace("Host:", &format!("{field}Host:"));
    stream.write_all(request.as_bytes()).unwrap();
    let head = read_head(&mut stream);
    (head[9..12].to_owned(), stream)
}

#[test]
fn one_address_cannot_take_the_connections_of_others() {
    let mut strict = Config::default();
    strict.listen = vec!["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()];
    strict.trusted_proxies = Vec::new();
    strict.connections.max_per_address = 2;
    let server = Running::start(strict, counting_chat);
    let first = server.raw("/");
    let _second = server.raw("/");
    let mut third = server.stream();
    let mut answer = String::new();
    third.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 429 ") && answer.contains("\r\nRetry-After: 5\r\n"));
    assert_eq!(knock(server.addresses[1], "/", "").0, "101", "another address");
    // A connection that has ended no longer counts.
    drop((first, third));
    let deadline = Instant::now() + PATIENCE;
    while knock(server.address, "/", "").0 != "101" {
        assert!(Instant::now() < deadline);
    }
}

#[test]
fn behind_a_proxy_the_forwarded_address_counts() {
    let mut config = config();
    config.connections.max_per_address = 1;
    let server = Running::start(config, chat);
    let come = |from: &str| knock(server.address, "/", &format!("X-Forwarded-For: {from}\r\n"));
    let _first = come("192.0.2.1");
    assert_eq!(_first.0, "101");
    assert_eq!(come("198.51.100.1, 192.0.2.1").0, "429", "what the client wrote itself is ignored");
    assert_eq!(come("192.0.2.2").0, "101");
    let _a = server.raw("/");
    let _b = server.raw("/");
}

#[test]
fn new_connections_from_one_address_are_limited() {
    let mut strict = config();
    strict.trusted_proxies = Vec::new();
    strict.connections.max_new_per_address_per_second = 5;
    let server = Running::start(strict, chat);
    let statuses: Vec<_> = (0..10).map(|_| knock(server.address, "/", "").0).collect();
    let admitted = statuses.iter().filter(|status| *status == "101").count();
    assert!((5..10).contains(&admitted), "{statuses:?}");
    let deadline = Instant::now() + PATIENCE;
    while knock(server.address, "/", "").0 != "101" {
        assert!(Instant::now() < deadline);
    }
}

#[test]
fn rooms_and_the_length_of_their_names_are_limited() {
    let mut config = config();
    config.rooms.max = 2;
    config.rooms.max_name_bytes = 5;
    let server = Running::start(config, chat);
    let a = server.connect("/a");
    let _b = server.connect("/b");
    let first = server.opened();
    let _ = server.opened();
    assert_eq!(knock(server.address, "/c", "").0, "503");
    assert_eq!(knock(server.address, "/123456", "").0, "414");
    assert_eq!(knock(server.address, "/é", "").0, "414", "its name is /%C3%A9");
    assert_eq!(knock(server.address, "/%31%32%33%34%35", "").0, "414", "its name is /12345");
    let _in_a = server.connect("/a");
    server.opened();
    drop((a, _in_a));
    assert_eq!(server.departed().0, first);
    server.departed();
    let longest = "/%31%32%33%34";
    assert_eq!(
        knock(server.address, longest, "").0,
        "101",
        "the room that is empty now no longer counts"
    );
}

#[test]
fn a_client_that_joins_one_room_too_many_is_closed() {
    let app = |hub: &mut Hub, client: ClientId, event: Event<'_>| match event {
        Event::Open { room, .. } => _ = hub.join(client, room),
        Event::Message(message) => {
            let room = String::from_utf8_lossy(message.payload()).into_owned();
            hub.join(client, &room);
            hub.send(client, message);
        }
        _ => {}
    };
    let mut config = config();
    config.rooms.max = 2;
    let server = Running::start(config, app);
    let mut wanderer = server.connect("/a");
    let _other = server.connect("/b");
    // It leaves its own room each time, so the limit is not reached.
    for room in ["/c", "/d", "/b", "/b"] {
        wanderer.send(room);
        assert_eq!(wanderer.receive(), room);
    }
    let _third = server.connect("/e");
    wanderer.send("/f");
    assert_eq!(wanderer.receive_close(), (1013, "too many rooms".into()));
}

#[test]
fn a_client_over_its_rate_is_read_later_and_loses_nothing() {
    let mut config = config();
    config.rates.max_messages_per_second = 100;
    let server = Running::start(config, counting_chat);
    let mut sender = server.connect("/");
    let begin = Instant::now();
    (0..250).for_each(|number| sender.send(&number.to_string()));
    (0..250).for_each(|number| assert_eq!(sender.receive(), number.to_string()));
    sender.send("later");
    assert_eq!(sender.receive(), "later");
    assert!(begin.elapsed() > Duration::from_secs(1), "two and a half seconds' worth was sent");
    assert!(get(&server, "/counts").contains(", 1 throttled"), "one spell of too much");
}

#[test]
fn bytes_are_limited_like_messages() {
    let mut strict = config();
    strict.rates.max_bytes_per_second = 10_000;
    strict.limits.max_message_bytes = 5_000;
    let server = Running::start(strict, chat);
    let mut sender = server.connect("/");
    let begin = Instant::now();
    let text = "x".repeat(5_000);
    for _ in 0..5 {
        sender.send(&text);
        assert_eq!(sender.receive(), text);
    }
    assert!(begin.elapsed() > Duration::from_secs(1));
}

#[test]
fn a_client_that_stays_over_its_rate_is_closed() {
    let mut strict = config();
    strict.rates.max_messages_per_second = 100;
    strict.rates.throttle_timeout = Some(Duration::from_secs(1));
    let server = Running::start(strict, chat);
    let mut sender = server.raw("/");
    let id = server.opened();
    let mut writer = sender.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || while writer.write_all(&frame(0x89, b"")).is_ok() {});
        let mut bytes = Vec::new();
        // A reset may follow the close frame, because the sender keeps sending.
        let _ = sender.read_to_end(&mut bytes);
        let close = b"\x88\x17\x03\xf0message rate exceeded";
        assert!(bytes.windows(close.len()).any(|window| window == close));
        sender.shutdown(std::net::Shutdown::Both).unwrap_or_default();
    });
    let (left, departure) = server.departed();
    assert_eq!((left, departure.cause), (id, Cause::TooFast));
}

/// The header of a text frame of 64 KiB, and the first bytes of its payload.
fn beginning(bytes: usize) -> Vec<u8> {
    [&[0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &vec![b'x'; bytes]].concat()
}

#[test]
fn incomplete_messages_are_limited_in_total_and_the_largest_holder_is_closed() {
    let mut strict = config();
    strict.memory.max_incomplete_bytes = 140_000;
    strict.limits.max_message_bytes = 70_000;
    let server = Running::start(strict, chat);
    let mut most = server.raw("/");
    let id = server.opened();
    let mut others: Vec<_> = (0..3).map(|_| server.raw("/")).collect();
    (0..3).for_each(|_| _ = server.opened());
    most.write_all(&beginning(50_000)).unwrap();
    others[0].write_all(&beginning(40_000)).unwrap();
    others[1].write_all(&beginning(40_000)).unwrap();
    others[2].write_all(&beginning(20_000)).unwrap();
    let (left, departure) = server.departed();
    assert_eq!((left, departure.cause), (id, Cause::Overload));
    let close = b"\x88\x28\x03\xf5too much unfinished data on the server";
    assert_eq!(read_all(&mut most), &close[..]);
    // Freed memory no longer counts.
    let mut small = server.connect("/");
    small.send("hello");
    assert_eq!(small.receive(), "hello");
}

#[test]
fn backlogs_are_limited_in_total_and_the_members_furthest_behind_are_closed() {
    let mut strict = config();
    strict.memory.max_total_backlog_bytes = 16 << 20;
    strict.limits.max_message_bytes = 1 << 20;
    strict.memory.max_backlog_bytes = 16 << 20;
    let server = Running::start(strict, chat);
    // Each member is alone in its room, so that no log is shared.
    let mut stalled: Vec<_> = (0..4).map(|number| server.raw(&format!("/{number}"))).collect();
    let mut well = server.connect("/well");
    (0..5).for_each(|_| _ = server.opened());
    let block = frame(0x82, &[0; 60_000]);
    let deadline = Instant::now() + PATIENCE;
    let departure = 'talk: loop {
        assert!(Instant::now() < deadline);
        for stream in &mut stalled {
            stream.write_all(&block).unwrap_or_default();
        }
        well.send("hello");
        assert_eq!(well.receive(), "hello");
        loop {
            match server.seen() {
                Seen::Close(_, departure) => break 'talk departure,
                Seen::Message(_, text) if text == "hello" => break,
                _ => {}
            }
        }
    };
    assert_eq!(departure.cause, Cause::Overload);
}

#[test]
fn the_incomplete_message_of_a_closed_client_no_longer_counts() {
    let mut config = config();
    config.memory.max_incomplete_bytes = 100_000;
    config.limits.max_message_bytes = 50_000;
    let mut ids = Vec::new();
    let server = Running::start(config, move |hub, client, event| match event {
        Event::Open { .. } => ids.push(client),
        Event::Message(message) => {
            if message.payload() == b"close the first" {
                hub.close(ids[1], CloseCode::NORMAL, "");
            }
            hub.send(client, message);
        }
        _ => {}
    });
    let mut watcher = server.connect("/");
    let message = frame(0x82, &[0; 40_000]);
    let mut begin = |size, text: &str| {
        let mut stream = server.raw("/");
        stream.write_all(&message[..size]).unwrap();
        // This answer shows that everything before it has been read.
        watcher.send(text);
        watcher.receive();
        (stream, size)
    };
    let _first = begin(30_000, "");
    let others = [begin(30_000, ""), begin(35_000, "close the first"), begin(30_000, "")];
    for (mut stream, size) in others {
        stream.write_all(&message[size..]).unwrap();
        let mut head = [0; 4];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(head, [0x82, 126, 0x9c, 0x40], "its message comes back");
    }
}
