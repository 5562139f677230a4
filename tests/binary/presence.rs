//! The members of a room, for those who count or watch them.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::admin::{self, ask};
use super::publish::{post, post_whole};
use super::tls::Folder;
use super::tokens::{SECRET, closed, join_with, made, signed, start};
use super::{Client, PATIENCE, Program, connect, receive, run, send, status, status_of};

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
    let port = address.rsplit(':').next().unwrap();
    let rebound = format!("GET /lobby HTTP/1.1\r\nHost: evil.example:{port}\r\n{JSON}\r\n");
    assert_eq!(status_of(&address, &rebound), "403");
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
fn watchers_see_what_tokens_say_about_their_users() {
    let (folder, _program, address) = start("infos", &["--presence", "/lobby"]);
    let secret = folder.path("secret");
    let enter = |user: &str, info: &str| {
        let rights = ["--sub", user, "--join", "/lobby", "--info", info];
        join_with(&address, "/lobby", &made(&secret, &rights)).unwrap()
    };
    let watch = || join_with(&address, "/lobby/@members", &token_of(&folder, "w", "/lobby"));
    let _ann = enter("7", r#"{"name": "Ann"}"#);
    let mut watcher = watch().unwrap();
    let snapshot = r#"{"members":["7"],"info":{"7":{"name": "Ann"}},"count":1}"#;
    assert_eq!(receive(&mut watcher), snapshot);
    // Another name in another tab is no change, but those who come to watch later see it.
    let _tab = enter("7", r#"{"name":"Anna"}"#);
    let _bob = enter("8", r#"{"name":"Bob"}"#);
    let _nameless = join_with(&address, "/lobby", &token_of(&folder, "9", "/lobby")).unwrap();
    let mut joined = Vec::new();
    while joined.len() < 2 {
        let change: Value = serde_json::from_str(&receive(&mut watcher)).unwrap();
        for name in change["joined"].as_array().unwrap() {
            joined.push((name.clone(), change["info"].get(name.as_str().unwrap()).cloned()));
        }
        assert!(change["info"].get("7").is_none(), "{change}");
    }
    assert_eq!(joined, [(json!("8"), Some(json!({"name": "Bob"}))), (json!("9"), None)]);
    let later: Value = serde_json::from_str(&receive(&mut watch().unwrap())).unwrap();
    assert_eq!(later["info"], json!({"7": {"name": "Anna"}, "8": {"name": "Bob"}}));
}

#[test]
fn whoever_begins_to_watch_sees_the_info_of_the_newest_tab() {
    let (folder, _program, address) = start("newest", &["--presence", "/lobby"]);
    let mut tabs = Vec::new();
    for number in 0..4 {
        let info = format!("{{\"tab\":{number}}}");
        let rights = ["--sub", "7", "--join", "/lobby", "--info", &info];
        tabs.push(join_with(&address, "/lobby", &made(&folder.path("secret"), &rights)).unwrap());
        // The server knows the ages of connections in tenths of a second.
        thread::sleep(Duration::from_millis(250));
    }
    let watcher = token_of(&folder, "w", "/lobby");
    let mut watcher = join_with(&address, "/lobby/@members", &watcher).unwrap();
    let snapshot = r#"{"members":["7"],"info":{"7":{"tab":3}},"count":1}"#;
    assert_eq!(receive(&mut watcher), snapshot);
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

/// A watcher, and what it has learned so far.
struct Watcher {
    client: Client,
    names: BTreeSet<String>,
    count: u64,
}

impl Watcher {
    fn join(address: &str, room: &str, token: &str) -> Self {
        let client = join_with(address, room, token).unwrap();
        let mut watcher = Self { client, names: BTreeSet::new(), count: u64::MAX };
        watcher.learn();
        watcher
    }

    /// Receives a message, which must contain only news.
    fn learn(&mut self) {
        let text = receive(&mut self.client);
        let message: Value = serde_json::from_str(&text).unwrap();
        let names = |key: &str| {
            let names = message.get(key)?.as_array().unwrap().iter();
            Some(names.map(|name| name.as_str().unwrap().to_owned()).collect::<Vec<_>>())
        };
        let before = (self.names.clone(), self.count);
        if message.get("members").is_some() || message.get("joined").is_none() {
            self.names.clear();
        }
        for name in names("members").or(names("joined")).unwrap_or_default() {
            assert!(self.names.insert(name), "{text}");
        }
        for name in names("left").unwrap_or_default() {
            assert!(self.names.remove(&name), "{text}");
        }
        self.count = message["count"].as_u64().unwrap();
        assert_ne!((&self.names, self.count), (&before.0, before.1), "{text}");
    }

    /// Receives messages until this many are there, and checks that there is at most one a second.
    fn learn_until(&mut self, count: u64, since: Instant) {
        let mut messages = 0;
        while self.count != count {
            self.learn();
            messages += 1;
        }
        assert!(messages <= since.elapsed().as_secs() + 1, "{messages}");
    }
}

/// The name of a member by its number.
fn name(number: usize) -> String {
    format!("member \"{number}\"")
}

/// Members with these numbers, all of whom ask to join before the first is answered.
fn join_at_once(address: &str, numbers: Range<usize>) -> Vec<TcpStream> {
    let join = |number| {
        let sub = serde_json::to_string(&name(number)).unwrap();
        let claims =
            format!(r#"{{"sub":{sub},"exp":4000000000,"townhall":{{"join":["/lobby"]}}}}"#);
        let token = signed(SECRET, r#"{"alg":"HS256"}"#, &claims);
        let request = format!(
            "GET /lobby HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    };
    let mut members: Vec<_> = numbers.map(join).collect();
    for member in &mut members {
        let mut status = [0; 12];
        member.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 101");
    }
    members
}

#[test]
fn a_thousand_come_at_once_and_all_of_them_go_at_once() {
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let (folder, _program, address) = start(
        "thousand",
        &[
            "--presence",
            "/lobby",
            "--max-connections-per-address",
            "2000",
            "--max-new-connections-per-second",
            "2000",
        ],
    );
    let token = token_of(&folder, "watcher", "/lobby");
    let mut watcher = Watcher::join(&address, "/lobby/@members", &token);
    assert_eq!(watcher.count, 0);
    let started = Instant::now();
    let first = join_at_once(&address, 0..100);
    watcher.learn_until(100, started);
    assert_eq!(watcher.names, (0..100).map(name).collect());
    let started = Instant::now();
    let rest = join_at_once(&address, 100..1000);
    watcher.learn_until(1000, started);
    assert!(watcher.names.is_empty());
    let mut late = Watcher::join(&address, "/lobby/@members", &token);
    assert_eq!((&late.names, late.count), (&BTreeSet::new(), 1000));
    let started = Instant::now();
    drop((first, rest));
    for watcher in [&mut watcher, &mut late] {
        watcher.learn_until(0, started);
        assert!(watcher.names.is_empty());
    }
    assert!(started.elapsed() >= GRACE, "{:?}", started.elapsed());
    // They are named again.
    let started = Instant::now();
    let _members = join_at_once(&address, 0..2);
    watcher.learn_until(2, started);
    assert_eq!(watcher.names, [0, 1].map(name).into());
}

/// A watcher that is too far behind misses all messages but the newest.
#[test]
fn where_messages_are_dropped_each_one_has_all_names() {
    let (folder, _program, address) = start("drops", &["--presence", "/lobby", "--slow", "drop"]);
    let [a, b] = ["a", "b"].map(|user| token_of(&folder, user, "/lobby"));
    let _first = join_with(&address, "/lobby", &a).unwrap();
    let mut watcher = join_with(&address, "/lobby/@members", &b).unwrap();
    assert_eq!(receive(&mut watcher), r#"{"members":["a"],"count":1}"#);
    let second = join_with(&address, "/lobby", &b).unwrap();
    assert_eq!(receive(&mut watcher), r#"{"members":["a","b"],"count":2}"#);
    drop(second);
    assert_eq!(receive(&mut watcher), r#"{"members":["a"],"count":1}"#);
}

#[test]
fn each_room_that_is_named_has_its_member_room() {
    let flags = ["--presence", "/*", "--room", "/,/a/,/b,/b/@members"];
    let (_program, address) = Program::start(&flags);
    for room in ["/@members", "/a//@members", "/b/@members"] {
        assert_eq!(receive(&mut connect(&address, room)), r#"{"count":0}"#, "{room}");
    }
    for room in ["/a/@members", "/b//@members", "/b/@members/@members"] {
        assert_eq!(status(&address, room), "404", "{room}");
    }
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
