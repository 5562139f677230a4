//! What an application sees of its clients, and the values that it keeps for them.

use std::io::Write;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::channel;

use townhall::{ClientId, CloseCode, Event, Hub, InvalidHeader, Response};

use crate::support::{PATIENCE, Running, chat, config, frame, get, read_all, read_head, request};

/// Sends a request for an upgrade with further fields, and returns the head of the answer.
fn upgrade(server: &Running, target: &str, fields: &str) -> String {
    let mut stream = server.stream();
    let request = request(target).replace("Host:", &format!("{fields}Host:"));
    stream.write_all(request.as_bytes()).unwrap();
    read_head(&mut stream)
}

#[test]
fn open_carries_the_request_the_terms_and_the_address() {
    let (sender, receiver) = channel();
    let mut config = config();
    config.subprotocols = vec!["chat".into()];
    let server = Running::start(config, move |_, _, event| {
        if let Event::Open { room, request, subprotocol, deflate, address, .. } = event {
            let path = request.path().to_owned();
            let rest = (request.query().map(str::to_owned), request.header("Cookie").is_some());
            let terms = (subprotocol.map(str::to_owned), deflate.is_some());
            sender.send((room.to_owned(), path, rest, terms, address)).unwrap();
        }
    });
    let offers = "Cookie: a=b\r\nSec-WebSocket-Protocol: mqtt, chat\r\n\
        Sec-WebSocket-Extensions: permessage-deflate\r\nX-Forwarded-For: 192.0.2.7\r\n";
    for (target, fields, expected) in [
        ("/a/../b%2f?c=d", offers, (("c=d", true), Some("chat"), true, "192.0.2.7")),
        ("/b%2F?c=d", "", (("c=d", false), None, false, "127.0.0.1")),
    ] {
        assert!(upgrade(&server, target, fields).starts_with("HTTP/1.1 101 "));
        let (room, path, (query, cookie), (subprotocol, deflate), address) =
            receiver.recv_timeout(PATIENCE).unwrap();
        assert_eq!(room, "/b%2F");
        assert_eq!(path, target.split('?').next().unwrap());
        let found = ((query.as_deref().unwrap(), cookie), subprotocol.as_deref(), deflate);
        assert_eq!((found.0, found.1, found.2), (expected.0, expected.1, expected.2));
        assert_eq!(address, expected.3.parse::<IpAddr>().ok());
    }
}

#[test]
fn an_upgrade_can_have_header_fields_and_a_subprotocol_that_the_client_offered() {
    let server = Running::start(config(), |_, _, event| {
        if let Event::Upgrade(mut upgrade) = event {
            assert_eq!(upgrade.subprotocol(), None);
            assert!(upgrade.set_subprotocol("v3").is_err());
            upgrade.set_subprotocol("v2").unwrap();
            upgrade.add_header("Set-Cookie", "seen=yes").unwrap();
            let forged = upgrade.add_header("X-Y", "a\r\nX-Z: b");
            assert_eq!(forged, Err(InvalidHeader::Value));
            assert_eq!(upgrade.add_header("Upgrade", "h2c"), Err(InvalidHeader::Reserved));
        }
    });
    let head = upgrade(&server, "/", "Sec-WebSocket-Protocol: v1, v2\r\n");
    assert!(head.contains("\r\nSec-WebSocket-Protocol: v2\r\n"), "{head}");
    assert!(head.ends_with("\r\nSet-Cookie: seen=yes\r\n\r\n"), "{head}");
    assert!(!head.contains("X-"), "{head}");
}

#[test]
fn plain_requests_and_upgrades_carry_the_address_that_limits_use() {
    let answer = |address: Option<IpAddr>| {
        Response::text(403, address.map_or("none".into(), |address| address.to_string()))
    };
    let server = Running::start(config(), move |_, _, event| match event {
        Event::Request(exchange) => {
            let address = exchange.address();
            exchange.respond(answer(address));
        }
        Event::Upgrade(upgrade) => {
            let address = upgrade.address();
            upgrade.refuse(answer(address));
        }
        _ => {}
    });
    assert!(get(&server, "/").ends_with("\r\n\r\n127.0.0.1\n"));
    let mut stream = server.stream();
    let request = request("/").replace("Host:", "X-Forwarded-For: 192.0.2.7\r\nHost:");
    stream.write_all(request.as_bytes()).unwrap();
    assert!(read_all(&mut stream).ends_with(b"\r\n\r\n192.0.2.7\n"));
}

#[test]
fn the_address_of_a_peer_is_known_while_it_is_connected() {
    let (sender, receiver) = channel();
    let server = Running::start(config(), move |hub, client, event| {
        if let Event::Open { .. } | Event::Close(_) = event {
            sender.send(hub.peer_address(client)).unwrap();
        }
    });
    let client = server.raw("/");
    let address = client.local_addr().unwrap();
    assert_eq!(receiver.recv_timeout(PATIENCE), Ok(Some(address)));
}

/// Counts a client's messages in its data, and answers with the count.
fn count(hub: &mut Hub, client: ClientId) {
    let count = hub.data_mut::<u32>(client).map(|count| {
        *count += 1;
        *count
    });
    hub.send(client, count.map_or("none".into(), |count| count.to_string()).as_str());
}

#[test]
fn each_client_keeps_its_own_value_until_its_close_is_handled() {
    let (sender, receiver) = channel();
    let value = Arc::new(());
    let kept = value.clone();
    let server = Running::start(config(), move |hub, client, event| match event {
        Event::Upgrade(upgrade) => {
            assert_eq!(hub.data::<u32>(client), None);
            assert!(hub.set_data(client, 10_u32) && hub.set_data(client, 100_u32));
            if upgrade.request().path() == "/refused" {
                hub.set_data(client, kept.clone());
                upgrade.refuse(Response::new(403));
            }
        }
        Event::Message(_) => count(hub, client),
        Event::Close(_) => {
            assert_eq!(hub.data::<String>(client), None, "it has another type");
            assert_eq!(hub.take_data::<String>(client), None);
            sender.send((client, hub.data::<u32>(client).copied())).unwrap();
            assert!(!hub.set_data(client, kept.clone()), "it has left");
        }
        _ => {}
    });
    let mut one = server.connect("/");
    let mut other = server.connect("/");
    let first = server.opened();
    let second = server.opened();
    for (is_first, text) in [(true, "101"), (true, "102"), (false, "101")] {
        let member = if is_first { &mut one } else { &mut other };
        member.send("count");
        server.seen();
        assert_eq!(member.receive(), text);
    }
    one.0.close(None).unwrap();
    one.end();
    assert_eq!(receiver.recv_timeout(PATIENCE), Ok((first, Some(102))));
    other.0.close(None).unwrap();
    other.end();
    assert_eq!(receiver.recv_timeout(PATIENCE), Ok((second, Some(101))));
    let mut refused = server.stream();
    refused.write_all(request("/refused").as_bytes()).unwrap();
    read_all(&mut refused);
    drop(refused);
    server.handle.run(move |hub| assert_eq!(hub.data::<u32>(first), None)).unwrap();
    server.handle.stop();
    server.join();
    assert_eq!(Arc::strong_count(&value), 1, "the values are dropped");
}

#[test]
fn rooms_are_listed_with_their_member_counts() {
    let server = Running::start(config(), chat);
    let clients = ["/a", "/b", "/a"].map(|path| server.connect(path));
    clients.iter().for_each(|_| _ = server.opened());
    let (sender, receiver) = channel();
    let list = move |hub: &mut Hub| {
        let mut rooms: Vec<_> =
            hub.rooms().map(|room| (room.name().to_owned(), room.member_count())).collect();
        rooms.sort();
        sender.send(rooms).unwrap();
    };
    server.handle.run(list).unwrap();
    let rooms = receiver.recv_timeout(PATIENCE).unwrap();
    assert_eq!(rooms, [("/a".to_owned(), 2), ("/b".to_owned(), 1)]);
}

#[test]
fn a_call_that_is_too_early_or_too_late_has_no_effect() {
    let server = Running::start(config(), |hub, client, event| match event {
        Event::Upgrade(_) => {
            assert!(!hub.is_open(client) && !hub.join(client, "/a") && !hub.leave(client));
        }
        Event::Open { .. } => {
            assert!(hub.is_open(client) && !hub.leave(client));
            assert!(hub.join(client, "/a") && hub.join(client, "/b"));
            assert_eq!(hub.room_of(client), Some("/b"));
            assert!(hub.leave(client) && !hub.leave(client));
            hub.close(client, CloseCode::NORMAL, "");
            assert!(!hub.is_open(client) && !hub.join(client, "/a"));
        }
        Event::Close(_) => {
            assert!(!hub.is_open(client) && !hub.join(client, "/a") && !hub.leave(client));
        }
        _ => {}
    });
    let mut client = server.raw("/");
    server.opened();
    client.write_all(&frame(0x88, b"")).unwrap();
    server.departed();
}

#[test]
fn a_room_that_the_limits_refuse_is_not_joined() {
    let (sender, receiver) = channel();
    let app = move |hub: &mut Hub, client: ClientId, event: Event<'_>| {
        if let Event::Open { request, .. } = event {
            sender.send(hub.join(client, request.query().unwrap())).unwrap();
        }
    };
    let mut config = config();
    config.rooms.max = 1;
    let server = Running::start(config, app);
    let _members = ["/a?/a", "/a?/b", "/a?/a"].map(|target| server.raw(target));
    let joined: Vec<_> = (0..3).map(|_| receiver.recv_timeout(PATIENCE).unwrap()).collect();
    assert_eq!(joined, [true, false, true]);
}
