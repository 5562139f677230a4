//! Back ends that watch all rooms.

use std::fs;
use std::net::TcpStream;
use std::time::Instant;

use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest;

use super::admin::{ask, start};
use super::tokens::{closed, join_with, made, secret};
use super::{Client, PATIENCE, connect, receive, send, status_of};

fn next(watcher: &mut Client) -> Value {
    serde_json::from_str(&receive(watcher)).unwrap()
}

#[test]
fn back_ends_learn_which_rooms_are_occupied_and_vacated() {
    let (_program, address, admin) = start(&[]);
    let mut watcher = connect(&admin, "/events");
    assert_eq!(receive(&mut watcher), r#"{"rooms":[],"count":0}"#);
    let lobby = ["/lobby", "/x/../lobby"].map(|path| connect(&address, path));
    assert_eq!(receive(&mut watcher), r#"{"occupied":["/lobby"],"vacated":[],"count":1}"#);
    let mut second = connect(&admin, "/events?members=0");
    assert_eq!(receive(&mut second), r#"{"rooms":["/lobby"],"count":1}"#);
    let [one, other] = lobby;
    drop(one);
    let game = connect(&address, "/game/7");
    for watcher in [&mut watcher, &mut second] {
        assert_eq!(receive(watcher), r#"{"occupied":["/game/7"],"vacated":[],"count":2}"#);
    }
    drop((other, game));
    // Both may have been noticed in different seconds.
    let mut vacated = Vec::new();
    while vacated.len() < 2 {
        vacated.extend(next(&mut watcher)["vacated"].as_array().unwrap().clone());
    }
    vacated.sort_by_key(Value::to_string);
    assert_eq!(vacated, ["/game/7", "/lobby"]);
    assert_eq!(receive(&mut connect(&admin, "/events")), r#"{"rooms":[],"count":0}"#);
}

#[test]
fn there_is_at_most_one_message_a_second_and_none_about_what_is_as_before() {
    let (_program, address, admin) = start(&[]);
    let mut watcher = connect(&admin, "/events");
    assert_eq!(receive(&mut watcher), r#"{"rooms":[],"count":0}"#);
    let started = Instant::now();
    let mut members = Vec::new();
    for number in 0..30 {
        members.push(connect(&address, &format!("/room/{number}")));
        let mut visitor = connect(&address, "/short");
        visitor.close(None).unwrap();
        while visitor.read().is_ok() {}
    }
    let (mut messages, mut count) = (0, 0);
    let mut occupied = Vec::new();
    while count != 30 || occupied.len() != 30 {
        let message = next(&mut watcher);
        let named = |key: &str| message[key].as_array().unwrap().clone();
        assert!(!named("occupied").is_empty() || !named("vacated").is_empty(), "{message}");
        let lasting = |room: &Value| room.as_str().unwrap() != "/short";
        occupied.extend(named("occupied").into_iter().filter(lasting));
        count = message["count"].as_u64().unwrap();
        messages += 1;
    }
    assert!(messages <= started.elapsed().as_secs() + 1, "{messages}");
}

#[test]
fn with_members_they_learn_who_is_where() {
    let (folder, flag) = secret("who-is-where");
    let (_program, address, admin) = start(&[&flag[0], &flag[1]]);
    let enter = |user: &str, room: &str, more: &[&str]| {
        let flags = [&["--sub", user, "--join", "/*"], more].concat();
        join_with(&address, room, &made(&folder.path("secret"), &flags)).unwrap()
    };
    let ann = enter("7", "/lobby", &["--info", r#"{"name":"Ann"}"#]);
    let mut watcher = connect(&admin, "/events?members=1");
    let all = r#"{"rooms":["/lobby"],"members":{"/lobby":{"members":["7"],"info":{"7":{"name":"Ann"}},"count":1}},"count":1}"#;
    assert_eq!(receive(&mut watcher), all);
    let mut rooms = connect(&admin, "/events");
    assert_eq!(receive(&mut rooms), r#"{"rooms":["/lobby"],"count":1}"#);
    let bob = enter("8", "/lobby", &["--info", r#"{"name":"Bob"}"#]);
    let change = r#"{"occupied":[],"vacated":[],"members":{"/lobby":{"joined":["8"],"left":[],"info":{"8":{"name":"Bob"}},"count":2}},"count":1}"#;
    assert_eq!(receive(&mut watcher), change);
    // Another tab is no change.
    let _tab = enter("7", "/lobby", &[]);
    let _hall = enter("9", "/hall", &[]);
    let change = r#"{"occupied":["/hall"],"vacated":[],"members":{"/hall":{"joined":["9"],"left":[],"count":1}},"count":2}"#;
    assert_eq!(receive(&mut watcher), change);
    assert_eq!(receive(&mut rooms), r#"{"occupied":["/hall"],"vacated":[],"count":2}"#);
    drop((ann, bob));
    let change = r#"{"occupied":[],"vacated":[],"members":{"/lobby":{"joined":[],"left":["8"],"count":1}},"count":2}"#;
    assert_eq!(receive(&mut watcher), change);
    let room: Value = serde_json::from_str(&ask(&admin, "GET", "/rooms/lobby", "").1).unwrap();
    assert_eq!(room["connections"][0]["sub"], "7");
}

#[test]
fn without_tokens_members_are_only_counted() {
    let (_program, address, admin) = start(&["--presence", "/*"]);
    let _members = [(); 2].map(|()| connect(&address, "/a"));
    let _watching = connect(&address, "/a/@members");
    let mut watcher = connect(&admin, "/events?members=1");
    let members = json!({"/a": {"count": 2}, "/a/@members": {"count": 1}});
    let all = json!({"rooms": ["/a", "/a/@members"], "members": members, "count": 2});
    assert_eq!(next(&mut watcher), all);
    let _more = connect(&address, "/a");
    let change =
        json!({"occupied": [], "vacated": [], "members": {"/a": {"count": 3}}, "count": 2});
    assert_eq!(next(&mut watcher), change);
}

#[test]
fn above_a_thousand_rooms_the_first_message_has_only_their_number() {
    const ROOMS: usize = 1001;
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let limits = ["--max-connections-per-address", "2000", "--max-rooms-per-address", "2000"];
    let rate = ["--max-new-connections-per-second", "2000"];
    let (_program, address, admin) = start(&[&limits[..], &rate].concat());
    let mut members: Vec<_> =
        (0..ROOMS).map(|number| connect(&address, &format!("/{number:04}"))).collect();
    let mut watchers = ["", "?members=1"].map(|query| connect(&admin, &format!("/events{query}")));
    for watcher in &mut watchers {
        assert_eq!(receive(watcher), r#"{"count":1001}"#);
    }
    let list: Value = serde_json::from_str(&ask(&admin, "GET", "/rooms?limit=2000", "").1).unwrap();
    assert_eq!(list["rooms"].as_array().unwrap().len(), ROOMS);
    drop(members.pop());
    assert_eq!(receive(&mut watchers[0]), r#"{"occupied":[],"vacated":["/1000"],"count":1000}"#);
    let mut late = connect(&admin, "/events");
    assert_eq!(next(&mut late)["rooms"].as_array().unwrap().len(), 1000);
}

#[test]
fn only_the_server_speaks_to_them() {
    let (_program, address, admin) = start(&[]);
    let mut speaker = connect(&admin, "/events");
    let mut listener = connect(&admin, "/events");
    for watcher in [&mut speaker, &mut listener] {
        assert_eq!(receive(watcher), r#"{"rooms":[],"count":0}"#);
    }
    send(&mut speaker, "hello");
    assert_eq!(closed(&mut speaker), (1008, "only the server speaks in this room".to_owned()));
    let _member = connect(&address, "/a");
    assert_eq!(receive(&mut listener), r#"{"occupied":["/a"],"vacated":[],"count":1}"#);
}

/// The status of the answer to an upgrade with these fields.
fn upgrade(admin: &str, target: &str, fields: &str) -> String {
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {admin}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
    );
    status_of(admin, &request)
}

#[test]
fn the_rules_of_the_listener_hold_for_upgrades() {
    let (_program, _, admin) = start(&[]);
    for (target, fields, status) in [
        ("/events", "", "101"),
        ("/events?members=1&other=2", "", "101"),
        ("/events?members=yes", "", "400"),
        ("/events/", "", "404"),
        ("/rooms/lobby", "", "404"),
        ("/events", "Origin: http://evil.example\r\n", "403"),
        ("/events", "Origin: null\r\n", "403"),
        ("/events", "Sec-Fetch-Site: cross-site\r\n", "403"),
    ] {
        assert_eq!(upgrade(&admin, target, fields), status, "{target} {fields}");
    }
    let own = format!("Origin: http://{admin}\r\nSec-Fetch-Site: same-origin\r\n");
    assert_eq!(upgrade(&admin, "/events", &own), "101");
    let (head, _) = ask(&admin, "GET", "/events", "");
    assert!(head.starts_with("HTTP/1.1 426 ") && head.contains("\r\nUpgrade: websocket"), "{head}");
    let (head, _) = ask(&admin, "POST", "/events", "");
    assert!(
        head.starts_with("HTTP/1.1 405 ") && head.contains("\r\nAllow: GET, OPTIONS"),
        "{head}"
    );
    let rebound = "GET /events HTTP/1.1\r\nHost: evil.example\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    assert_eq!(status_of(&admin, rebound), "421");
}

#[test]
fn with_a_key_only_those_who_have_it_watch() {
    let (folder, _) = secret("watch-key");
    fs::write(folder.path("key"), "s3cret").unwrap();
    let (_program, _, admin) = start(&["--admin-key-file", &folder.path("key")]);
    assert_eq!(upgrade(&admin, "/events", ""), "401");
    assert_eq!(upgrade(&admin, "/events", "Authorization: Bearer s3cre\r\n"), "401");
    let mut request = format!("ws://{admin}/events").into_client_request().unwrap();
    request.headers_mut().insert("Authorization", "Bearer s3cret".parse().unwrap());
    let stream = TcpStream::connect(&admin).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut watcher = tungstenite::client(request, stream).unwrap().0;
    assert_eq!(receive(&mut watcher), r#"{"rooms":[],"count":0}"#);
}

#[test]
fn watchers_are_closed_with_the_listener_and_their_number_is_limited() {
    let (mut program, address, admin) = start(&[]);
    let mut watchers: Vec<_> = (0..100).map(|_| connect(&admin, "/events")).collect();
    // An address may open a hundred connections a second.
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        match upgrade(&admin, "/events", "").as_str() {
            "429" => assert!(Instant::now() < deadline),
            status => break status.to_owned(),
        }
    };
    assert_eq!(status, "503");
    // Other requests are still answered, and so are members.
    assert!(ask(&admin, "GET", "/live", "").0.starts_with("HTTP/1.1 200 "));
    let mut member = connect(&address, "/a");
    send(&mut member, "hello");
    assert_eq!(receive(&mut member), "hello");
    program.signal("TERM");
    for watcher in &mut watchers {
        let end = loop {
            match watcher.read().unwrap() {
                tungstenite::Message::Close(frame) => break frame.unwrap(),
                tungstenite::Message::Text(_) => {}
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(u16::from(end.code), 1001);
    }
    while member.read().is_ok() {}
    assert_eq!(program.wait().0, Some(0));
}
