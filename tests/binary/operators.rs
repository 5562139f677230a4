//! What operators see of rooms and connections, and what they do with them.

use std::io::Write;
use std::net::TcpStream;
use std::time::Instant;

use serde_json::{Value, json};
use tungstenite::protocol::Message;

use super::admin::{ask, start};
use super::{Client, PATIENCE, connect, receive, send, status, status_of};

/// The answer to a request, which must be JSON.
fn json(admin: &str, method: &str, path: &str) -> Value {
    let (head, body) = ask(admin, method, path, "");
    assert!(head.starts_with("HTTP/1.1 200 "), "{method} {path}: {head}\n{body}");
    assert!(head.contains("\r\nContent-Type: application/json\r\n"), "{head}");
    assert!(body.ends_with("}\n"), "{body}");
    serde_json::from_str(&body).unwrap()
}

/// The status and the reason of an answer with an error.
fn error(admin: &str, method: &str, path: &str) -> (String, String) {
    let (head, body) = ask(admin, method, path, "");
    (head[9..12].to_owned(), body)
}

/// The names of the rooms in a list.
fn names(list: &Value) -> Vec<&str> {
    let rooms = list["rooms"].as_array().unwrap();
    rooms.iter().map(|room| room["room"].as_str().unwrap()).collect()
}

/// The code and the reason of the close frame that comes next.
fn closed(client: &mut Client) -> (u16, String) {
    match client.read().unwrap() {
        Message::Close(Some(frame)) => (frame.code.into(), frame.reason.to_string()),
        message => panic!("{message:?} instead of a close"),
    }
}

/// A client after a handshake with these additional fields.
fn connect_with(address: &str, path: &str, fields: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut status = [0; 12];
    std::io::Read::read_exact(&mut stream, &mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 101");
    stream
}

#[test]
fn the_largest_rooms_are_listed() {
    let (_program, address, admin) = start(&[]);
    let _clients = ["/lobby", "/team/a", "/team/b", "/team/b"].map(|room| connect(&address, room));
    let list = json(&admin, "GET", "/rooms?prefix=/team/&limit=1");
    let room =
        json!({"room": "/team/b", "members": 2, "messages_per_second": 0.0, "backlog_bytes": 0});
    assert_eq!(list, json!({"rooms": [room], "total": 2}));
    assert_eq!(status(&admin, "/rooms?limit=many"), "400");
    assert_eq!(status(&admin, "/rooms?sort=name"), "400");
}

#[test]
fn the_busiest_rooms_and_those_with_the_largest_backlogs_come_first_on_request() {
    let (_program, address, admin) = start(&[]);
    let _crowd = [(); 3].map(|()| connect(&address, "/crowd"));
    let mut busy = connect(&address, "/busy");
    for _ in 0..50 {
        send(&mut busy, "hello");
        assert_eq!(receive(&mut busy), "hello");
    }
    let _slow = connect(&address, "/z/behind");
    let mut fast = connect(&address, "/z/behind");
    let text = "x".repeat(60_000);
    let deadline = Instant::now() + PATIENCE;
    let mut list = Value::Null;
    while list["rooms"][0]["backlog_bytes"].as_u64() <= Some(0) {
        assert!(Instant::now() < deadline, "{list}");
        send(&mut fast, &text);
        assert_eq!(receive(&mut fast), text);
        list = json(&admin, "GET", "/rooms?sort=backlog");
    }
    assert_eq!(names(&list), ["/z/behind", "/busy", "/crowd"], "{list}");
    let list = json(&admin, "GET", "/rooms?sort=rate");
    assert!(list["rooms"][0]["messages_per_second"].as_f64() >= Some(1.0), "{list}");
    assert_eq!(names(&list)[2], "/crowd", "{list}");
    assert_eq!(names(&json(&admin, "GET", "/rooms"))[0], "/crowd");
}

#[test]
fn a_room_shows_its_members() {
    let (_program, address, admin) = start(&["--subprotocol", "chat"]);
    let lobby = connect(&address, "/caf%c3%a9");
    let own = lobby.get_ref().local_addr().unwrap();
    let fields = "X-Forwarded-For: 192.0.2.7\r\nSec-WebSocket-Protocol: chat\r\n\
        Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let _other = connect_with(&address, "/caf%c3%a9", fields);
    let mut room = json(&admin, "GET", "/rooms/caf%C3%A9");
    let mut members: Vec<_> = room["connections"].as_array().unwrap().clone();
    members.sort_by_key(|member| member["address"].to_string());
    for member in &mut members {
        let age = member["open_seconds"].take().as_f64().unwrap();
        assert!((0.0..PATIENCE.as_secs_f64()).contains(&age), "{age}");
        let id = member["id"].take();
        assert!(id.as_str().unwrap().split_once('.').is_some(), "{id}");
    }
    let other_peer = members[1]["peer"].take();
    assert!(other_peer.as_str().unwrap().starts_with("127.0.0.1:"), "{other_peer}");
    let plain = json!({
        "id": null, "address": "127.0.0.1", "peer": own.to_string(), "open_seconds": null,
        "backlog_bytes": 0, "compressed": false, "subprotocol": null, "sub": null,
    });
    let forwarded = json!({
        "id": null, "address": "192.0.2.7", "peer": null, "open_seconds": null,
        "backlog_bytes": 0, "compressed": true, "subprotocol": "chat", "sub": null,
    });
    assert_eq!(members, [plain, forwarded]);
    room["connections"].take();
    let figures = json!({
        "room": "/caf%C3%A9", "members": 2, "messages_per_second": 0.0, "backlog_bytes": 0,
        "connections": null,
    });
    assert_eq!(room, figures);
    let one = json(&admin, "GET", "/rooms/x/../caf%c3%a9?limit=1");
    assert_eq!((&one["members"], one["connections"].as_array().unwrap().len()), (&json!(2), 1));
    let no_room = ("404".to_owned(), "no such room\n".to_owned());
    assert_eq!(error(&admin, "GET", "/rooms/"), no_room);
    let _root = connect(&address, "/");
    assert_eq!(json(&admin, "GET", "/rooms/")["room"], "/");
    assert_eq!(status(&admin, "/rooms/?limit=1001"), "400");
}

#[test]
fn everyone_in_a_room_is_closed_and_nobody_else() {
    let (_program, address, admin) = start(&[]);
    let mut hall = connect(&address, "/hall");
    // More than are closed in one turn.
    let mut lobby: Vec<_> = (0..510).map(|_| connect(&address, "/lobby")).collect();
    let answer = json(&admin, "DELETE", "/rooms/lobby?code=4001&reason=we+moved+%E2%9C%93");
    assert_eq!(answer, json!({"closed": 510}));
    for client in &mut lobby {
        assert_eq!(closed(client), (4001, "we moved \u{2713}".to_owned()));
    }
    send(&mut hall, "still here");
    assert_eq!(receive(&mut hall), "still here");
    assert_eq!(json(&admin, "DELETE", "/rooms/hall"), json!({"closed": 1}));
    assert_eq!(closed(&mut hall), (1000, String::new()));
    while hall.read().is_ok() {}
    let deadline = Instant::now() + PATIENCE;
    while error(&admin, "DELETE", "/rooms/hall").0 != "404" {
        assert!(Instant::now() < deadline);
    }
}

#[test]
fn one_connection_is_closed_by_its_id() {
    let (_program, address, admin) = start(&[]);
    let mut clients = ["/lobby", "/lobby"].map(|room| connect(&address, room));
    let peer = clients[1].get_ref().local_addr().unwrap().to_string();
    let room = json(&admin, "GET", "/rooms/lobby");
    let mut members = room["connections"].as_array().unwrap().iter();
    let member = members.find(|member| member["peer"] == peer.as_str()).unwrap();
    let path = format!("/connections/{}", member["id"].as_str().unwrap());
    assert_eq!(error(&admin, "DELETE", &format!("{path}?code=1006")).0, "400");
    let answer = json(&admin, "DELETE", &format!("{path}?code=1008&reason=spam"));
    assert_eq!(answer, json!({"closed": 1}));
    assert_eq!(closed(&mut clients[1]), (1008, "spam".to_owned()));
    let gone = ("404".to_owned(), "no such connection\n".to_owned());
    for path in [&*path, "/connections/", "/connections/lobby", "/connections/0.0"] {
        assert_eq!(error(&admin, "DELETE", path), gone, "{path}");
    }
    send(&mut clients[0], "still here");
    assert_eq!(receive(&mut clients[0]), "still here");
}

#[test]
fn an_order_that_is_wrong_closes_nobody_and_says_what_is_wrong() {
    let (_program, address, admin) = start(&[]);
    let mut client = connect(&address, "/lobby");
    let long = "x".repeat(124);
    for (query, reason) in [
        ("code=1005", "code is \"1005\", but must be"),
        ("code=1010", "code is \"1010\", but must be"),
        ("code=none", "code is \"none\", but must be"),
        (&*format!("reason={long}"), "reason has 124 bytes, but must have at most 123"),
    ] {
        let (status, body) = error(&admin, "DELETE", &format!("/rooms/lobby?{query}"));
        assert_eq!(status, "400", "{query}");
        assert!(body.starts_with(reason), "{query}: {body}");
    }
    let (head, _) = ask(&admin, "DELETE", "/rooms/lobby", "Content-Length: 2\r\n");
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    send(&mut client, "still here");
    assert_eq!(receive(&mut client), "still here");
}

#[test]
fn each_path_has_its_methods() {
    let (_program, _, admin) = start(&[]);
    for (path, allowed) in [
        ("/metrics", "GET, HEAD, OPTIONS"),
        ("/rooms", "GET, HEAD, OPTIONS"),
        ("/rooms/a", "GET, HEAD, DELETE, OPTIONS"),
        ("/connections/7.3", "DELETE, OPTIONS"),
        ("/log-level", "GET, HEAD, PUT, DELETE, OPTIONS"),
    ] {
        let allow = format!("\r\nAllow: {allowed}\r\n");
        let (head, _) = ask(&admin, "OPTIONS", path, "");
        assert!(head.starts_with("HTTP/1.1 204 ") && head.contains(&allow), "{path}: {head}");
        let (head, _) = ask(&admin, "POST", path, "");
        assert!(head.starts_with("HTTP/1.1 405 ") && head.contains(&allow), "{path}: {head}");
    }
    assert_eq!(error(&admin, "DELETE", "/rooms").0, "405");
    assert_eq!(error(&admin, "GET", "/connections/7.3").0, "405");
    assert_eq!(error(&admin, "delete", "/rooms/a").0, "501");
    assert_eq!(error(&admin, "DELETE", "/nothing").0, "404");
    assert_eq!(ask(&admin, "HEAD", "/rooms", "").1, "");
}

/// A browser asks with OPTIONS before it lets a page send DELETE or PUT to another site.
#[test]
fn a_page_of_another_site_can_do_nothing() {
    let (_program, address, admin) = start(&[]);
    let mut client = connect(&address, "/lobby");
    for (page, site) in [
        ("http://evil.example", "cross-site"),
        ("http://localhost:5173", "same-site"),
        ("null", "cross-site"),
    ] {
        let origin = format!("Origin: {page}\r\n");
        let asked = format!("{origin}Access-Control-Request-Method: DELETE\r\n");
        let (head, _) = ask(&admin, "OPTIONS", "/rooms/lobby", &asked);
        assert!(!head.to_lowercase().contains("access-control-"), "{page}: {head}");
        for fields in [origin.clone(), format!("{origin}Sec-Fetch-Site: {site}\r\n")] {
            for (method, path) in [
                ("OPTIONS", "/rooms/lobby"),
                ("DELETE", "/rooms/lobby"),
                ("PUT", "/log-level?level=off"),
                ("GET", "/rooms"),
            ] {
                let (head, _) = ask(&admin, method, path, &fields);
                assert!(head.starts_with("HTTP/1.1 403 "), "{method} {fields}: {head}");
            }
        }
    }
    let (head, _) = ask(&admin, "DELETE", "/rooms/lobby", "Sec-Fetch-Site: cross-site\r\n");
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    send(&mut client, "still here");
    assert_eq!(receive(&mut client), "still here");
    assert_eq!(json(&admin, "GET", "/log-level")["level"], "info");

    let port = admin.rsplit(':').next().unwrap();
    let rebound = format!(
        "DELETE /rooms/lobby HTTP/1.1\r\nHost: evil.example:{port}\r\n\
         Origin: http://evil.example:{port}\r\nSec-Fetch-Site: same-origin\r\n\r\n"
    );
    assert_eq!(status_of(&admin, &rebound), "421");
    let own = format!("Origin: http://{admin}\r\nSec-Fetch-Site: same-origin\r\n");
    let (head, _) = ask(&admin, "DELETE", "/rooms/lobby", &own);
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(closed(&mut client).0, 1000);
}

#[test]
fn the_log_level_is_changed_and_reset() {
    let (mut program, address, admin) = start(&[]);
    let connect = || connect(&address, "/");
    let level = |method: &str, path: &str| json(&admin, method, path)["level"].clone();
    assert_eq!(json(&admin, "GET", "/log-level"), json!({"level": "info", "default": "info"}));
    let before = connect();
    assert_eq!(level("PUT", "/log-level?level=debug"), "debug");
    assert_eq!(level("GET", "/log-level"), "debug");
    let during = connect();
    assert_eq!(level("PUT", "/log-level?level=Warn"), "warn");
    assert_eq!(level("DELETE", "/log-level"), "info");
    let after = connect();
    for query in ["?level=loud", "?level=", "", "?levels=debug"] {
        let (status, body) = error(&admin, "PUT", &format!("/log-level{query}"));
        assert!(status == "400" && body.contains("level"), "{query}: {status} {body}");
    }
    assert_eq!(level("GET", "/log-level"), "info");
    let peers = [before, during, after].map(|client| client.get_ref().local_addr().unwrap());
    program.signal("TERM");
    let (_, log) = program.wait();
    let logged = peers.map(|peer| log.contains(&format!("connected from {peer}")));
    assert_eq!(logged, [false, true, false], "{log}");
    for change in ["INFO to DEBUG", "DEBUG to WARN", "WARN to INFO"] {
        let line = format!("an operator set the log level from {change}");
        assert!(log.contains(&line), "{line} is missing: {log}");
    }
}
