//! The members of a room, for those who count or watch them.

use std::thread;
use std::time::{Duration, Instant};

use super::admin::{self, ask};
use super::publish::{post, post_whole};
use super::tls::Folder;
use super::tokens::{closed, join_with, made, start};
use super::{Client, Program, connect, receive, run, send, status};

const JSON: &str = "Accept: application/json\r\n";

/// Somebody who has left counts as there for this long.
const GRACE: Duration = Duration::from_secs(5);

/// The status and the body of the answer to a question for the number of members.
fn count(address: &str, path: &str, fields: &str) -> (u16, String) {
    let (head, body) = ask(address, "GET", path, &format!("{JSON}{fields}"));
    (head[9..12].parse().unwrap(), body)
}

/// A token of this user, who may join these rooms.
fn token_of(folder: &Folder, user: &str, rooms: &str) -> String {
    made(&folder.path("secret"), &["--sub", user, "--join", rooms, "--publish", "/*"])
}

#[test]
fn a_get_that_accepts_json_counts_the_members() {
    let flags = ["--room", "/lobby,/", "--origin", "https://good.example"];
    let (_program, address) = Program::start(&flags);
    let members = ["/lobby", "/lobby", "/"].map(|room| connect(&address, room));
    let lobby = || (200, "{\"room\":\"/lobby\",\"members\":2}\n".to_owned());
    assert_eq!(count(&address, "/x/../lobby", ""), lobby());
    assert_eq!(count(&address, "/", ""), (200, "{\"room\":\"/\",\"members\":1}\n".to_owned()));
    assert_eq!(count(&address, "/hall", "").0, 404);
    assert_eq!(count(&address, "/health", "").1, "ok\n");
    assert_eq!(status(&address, "/lobby"), "426");
    let (head, page) = ask(&address, "GET", "/", "Accept: text/html, application/json\r\n");
    assert!(head.starts_with("HTTP/1.1 200 ") && page.starts_with("<!"), "{head}");
    let (head, body) = ask(&address, "HEAD", "/lobby", JSON);
    assert!(head.contains("\r\nContent-Type: application/json") && body.is_empty(), "{head}");
    assert_eq!(count(&address, "/lobby", "Origin: https://evil.example\r\n").0, 403);
    let fields = format!("{JSON}Origin: https://good.example\r\n");
    let (head, body) = ask(&address, "GET", "/lobby", &fields);
    assert!(head.contains("\r\nAccess-Control-Allow-Origin: https://good.example"), "{head}");
    assert_eq!(body, lobby().1);
    drop(members);
}

#[test]
fn with_tokens_only_those_who_may_join_a_room_learn_who_is_there() {
    let (folder, _program, address) = start("who-asks", &["--presence", "/*"]);
    let (lobby, below) = ("/lobby", "/lobby/*");
    let [lobby, below] = [lobby, below].map(|rooms| token_of(&folder, "a", rooms));
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    assert_eq!(count(&address, "/lobby", "").0, 401);
    assert_eq!(count(&address, "/lobby", &bearer(&below)).0, 403);
    assert_eq!(count(&address, "/lobby", &bearer(&lobby)).0, 200);
    assert_eq!(count(&address, "/lobby/@members", &bearer(&lobby)).0, 200);
    assert_eq!(count(&address, "/lobby/@members", &bearer(&below)).0, 403);
    assert!(join_with(&address, "/lobby/@members", &below).unwrap_err().starts_with("403 "));
    let mut watcher = join_with(&address, "/lobby/@members", &lobby).unwrap();
    assert_eq!(receive(&mut watcher), r#"{"members":[],"count":0}"#);
}

#[test]
fn watchers_learn_who_joins_and_who_leaves() {
    let (folder, _program, address) = start("comings", &["--presence", "/lobby"]);
    let [a, b] = ["a", "b"].map(|user| token_of(&folder, user, "/lobby"));
    let enter = |token: &str| join_with(&address, "/lobby", token).unwrap();
    let first = enter(&a);
    let mut watcher = join_with(&address, "/lobby/@members", &b).unwrap();
    assert_eq!(receive(&mut watcher), r#"{"members":["a"],"count":1}"#);
    // Neither another tab nor a reload is a change.
    let tab = enter(&a);
    drop((first, tab));
    let mut reloaded = enter(&a);
    let other = enter(&b);
    assert_eq!(receive(&mut watcher), r#"{"joined":["b"],"left":[],"count":2}"#);
    let started = Instant::now();
    drop(other);
    assert_eq!(receive(&mut watcher), r#"{"joined":[],"left":["b"],"count":1}"#);
    assert!(started.elapsed() >= GRACE, "{:?}", started.elapsed());
    reloaded.close(None).unwrap();
    assert_eq!(receive(&mut watcher), r#"{"joined":[],"left":["a"],"count":0}"#);
    let mut second = join_with(&address, "/lobby/@members", &b).unwrap();
    assert_eq!(receive(&mut second), r#"{"members":[],"count":0}"#);
    let bearer = format!("Authorization: Bearer {a}\r\n");
    assert_eq!(count(&address, "/lobby", &bearer).1, "{\"room\":\"/lobby\",\"members\":0}\n");
}

#[test]
fn a_room_can_be_watched_again() {
    let (_program, address) = Program::start(&["--presence", "/*"]);
    let mut members = Vec::new();
    for pause in [0, 0, 1500] {
        let mut watcher = connect(&address, "/a/@members");
        while receive(&mut watcher) != format!("{{\"count\":{}}}", members.len()) {}
        drop(watcher);
        // A second after its last watcher, the server keeps nothing about a room.
        thread::sleep(Duration::from_millis(pause));
        members.push(connect(&address, "/a"));
    }
    let mut watcher = connect(&address, "/a/@members");
    assert_eq!(receive(&mut watcher), r#"{"count":3}"#);
}

#[test]
fn a_crowd_is_counted_in_few_messages() {
    const CROWD: usize = 400;
    let (_program, address) = Program::start(&["--presence", "/lobby", "--room", "/lobby"]);
    let mut watcher = connect(&address, "/lobby/@members");
    assert_eq!(receive(&mut watcher), r#"{"count":0}"#);
    let started = Instant::now();
    let members: Vec<Client> = (0..CROWD).map(|_| connect(&address, "/lobby")).collect();
    let mut messages: u64 = 0;
    while receive(&mut watcher) != format!("{{\"count\":{CROWD}}}") {
        messages += 1;
    }
    assert!(messages <= started.elapsed().as_secs() + 1, "{messages}");
    drop(members);
}

#[test]
fn only_the_server_speaks_in_a_room_that_shows_members() {
    let flags = ["--presence", "/lobby", "--room", "/lobby,/hall/*"];
    let (_program, address, admin) = admin::start(&flags);
    let only = "only the server speaks in this room";
    let mut listener = connect(&address, "/lobby/@members");
    assert_eq!(receive(&mut listener), r#"{"count":0}"#);
    let mut speaker = connect(&address, "/lobby/@members");
    assert_eq!(receive(&mut speaker), r#"{"count":0}"#);
    send(&mut speaker, "hello");
    assert_eq!(closed(&mut speaker), (1008, only.to_owned()));
    let refused = post(&address, "/lobby/@members", "", "hello");
    assert_eq!(refused, (403, format!("{only}\n")));
    let line = br#"{"room":"/lobby/@members","text":"hello"}"#;
    let (_, answer) = post_whole(&admin, "/publish", "", line);
    assert_eq!(answer, format!("{{\"error\":\"room: {only}\"}}\n"));
    let _member = connect(&address, "/lobby");
    assert_eq!(receive(&mut listener), r#"{"count":1}"#);
    // Rooms that the flag does not name are like any other.
    let mut ordinary = connect(&address, "/hall/@members");
    send(&mut ordinary, "hello");
    assert_eq!(receive(&mut ordinary), "hello");
}

#[test]
fn a_pattern_that_is_none_is_refused() {
    let output = run(&["--presence", "lobby"]);
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("--presence") && stderr.contains("such as /lobby"), "{stderr}");
}
