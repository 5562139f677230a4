//! Restarts after which nobody has missed anything.

use std::collections::HashMap;
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tungstenite::protocol::Message;

use super::activation::start_on;
use super::publish::post;
use super::tls::Folder;
use super::tokens::{SECRET, join, join_with, made};
use super::{Client, PATIENCE, Program, admin, assert_fails, history, receive, run, send, status};

/// A client that understands the server's words, and the first of them.
fn greeted(address: &str, target: &str) -> (Client, Value) {
    let (client, greeting) = history::greeted(address, target);
    (client, word(&greeting).unwrap())
}

/// The server's word in a text, if it is one.
fn word(text: &str) -> Option<Value> {
    Some(serde_json::from_str(text.strip_prefix('\0')?).unwrap())
}

/// The position of a greeting, this number of messages later.
fn after(greeting: &Value, count: u64) -> String {
    let (epoch, sequence) = greeting["position"].as_str().unwrap().split_once('.').unwrap();
    format!("{epoch}.{}", sequence.parse::<u64>().unwrap() + count)
}

/// A folder for a state file, and the flags for it.
fn state(name: &str) -> (Folder, [String; 3]) {
    let folder = Folder::new(name);
    let flags = ["--history-messages=1000".to_owned(), "--state".to_owned(), folder.path("state")];
    (folder, flags)
}

fn start(flags: &[String], more: &[&str]) -> (Program, String) {
    Program::start(&[&flags.iter().map(String::as_str).collect::<Vec<_>>(), more].concat())
}

/// Ends a program, and returns its log.
fn stop(mut program: Program) -> String {
    program.signal("TERM");
    let (status, log) = program.wait();
    assert_eq!(status, Some(0), "{log}");
    log
}

/// Checks whether a client that comes back recovers, and returns what it receives first.
fn assert_recovers(address: &str, target: &str, missed: &[&str]) {
    let (mut client, greeting) = greeted(address, target);
    let replay = missed.len().into();
    assert_eq!((&greeting["recovered"], &greeting["replay"]), (&true.into(), &replay), "{target}");
    missed.iter().for_each(|text| assert_eq!(receive(&mut client), *text));
    send(&mut client, "live");
    assert_eq!(receive(&mut client), "live");
}

#[test]
fn a_client_that_comes_back_after_a_restart_has_missed_nothing() {
    let (folder, flags) = state("state-restart");
    let file = folder.path("state");
    let (program, address) = start(&flags, &["--shutdown-delay", "15min"]);
    assert_eq!(fs::read(&file).unwrap(), b"", "nobody else can use it");
    let (mut client, greeting) = greeted(&address, "/lobby");
    let (_quiet, quiet) = greeted(&address, "/quiet");
    let (mut other, _) = greeted(&address, "/lobby");
    send(&mut other, "before");
    assert_eq!(receive(&mut client), "before");
    program.signal("TERM");
    let deadline = Instant::now() + PATIENCE;
    while status(&address, "/health") != "503" {
        assert!(Instant::now() < deadline);
    }
    send(&mut other, "while it stops");
    other.send(Message::binary(vec![0, 0xff])).unwrap();
    assert_eq!(receive(&mut other), "before");
    assert_eq!(receive(&mut other), "while it stops");
    assert_eq!(other.read().unwrap(), Message::binary(vec![0, 0xff]));
    let log = stop(program);
    assert!(log.contains(&format!("wrote the state file {file} in ")), "{log}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    let files: Vec<_> = fs::read_dir(folder.path("")).unwrap().collect();
    assert_eq!(files.len(), 1, "{files:?}");

    let (program, address) = start(&flags, &[]);
    let (mut client, again) = greeted(&address, &format!("/lobby?after={}", after(&greeting, 1)));
    assert_eq!((&again["recovered"], &again["replay"]), (&true.into(), &2.into()));
    assert_eq!(receive(&mut client), "while it stops");
    assert_eq!(client.read().unwrap(), Message::binary(vec![0, 0xff]));
    assert_recovers(&address, &format!("/quiet?after={}", after(&quiet, 0)), &[]);
    send(&mut client, "once more");
    assert_eq!(receive(&mut client), "once more");
    let log = stop(program);
    let restored = format!(
        "restored 2 rooms with 3 messages, 0 revocations and 0 answers to \
                            publishers from the state file {file}"
    );
    assert!(log.contains(&restored), "{log}");

    let (_program, address) = start(&flags, &[]);
    assert_recovers(&address, &format!("/lobby?after={}", after(&greeting, 3)), &["once more"]);
}

/// The number of clients that follow a room.
const FOLLOWERS: usize = 4;

/// Follows a room, through all restarts, up to the message "end". Returns what it has received.
fn follow(address: &str) -> Vec<String> {
    let mut place: Option<(String, u64)> = None;
    let mut received = Vec::new();
    loop {
        let after = |(epoch, sequence): &(String, u64)| format!("/lobby?after={epoch}.{sequence}");
        let target = place.as_ref().map_or_else(|| "/lobby?last=1000".to_owned(), after);
        let offer = [("Sec-WebSocket-Protocol", "townhall.v1")];
        let mut client = join(address, &target, &offer).expect("nobody is refused");
        while let Ok(message) = client.read() {
            let Message::Text(text) = message else { continue };
            if let Some(word) = word(&text) {
                assert_ne!(word["recovered"], false, "{word}");
                let (epoch, sequence) = word["position"].as_str().unwrap().split_once('.').unwrap();
                place = Some((epoch.to_owned(), sequence.parse().unwrap()));
            } else {
                place.as_mut().unwrap().1 += 1;
                received.push(text.to_string());
            }
            if text == "end" {
                return received;
            }
        }
    }
}

#[test]
fn with_socket_activation_nobody_is_refused_and_everybody_recovers() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = &listener.local_addr().unwrap().to_string();
    let (_folder, flags) = state("state-activation");
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let mut sent = Vec::new();
    thread::scope(|scope| {
        let mut program = start_on(&listener, &flags);
        let followers: Vec<_> =
            (0..FOLLOWERS).map(|_| scope.spawn(move || follow(address))).collect();
        let mut publish = |text: String| {
            let key = format!("Idempotency-Key: {}\r\n", sent.len());
            assert_eq!(post(address, "/lobby", &key, &text).0, 200);
            sent.push(text);
        };
        for restart in 0..3 {
            (0..20).for_each(|number| publish(format!("{restart} {number}")));
            program.signal("TERM");
            assert_eq!(program.wait().0, Some(0));
            program = start_on(&listener, &flags);
        }
        publish("end".to_owned());
        for follower in followers {
            assert_eq!(follower.join().unwrap(), sent);
        }
    });
}

#[test]
fn a_request_that_is_repeated_after_a_restart_gets_the_first_answer() {
    let (_folder, flags) = state("state-repeat");
    let (program, address) = start(&flags, &[]);
    let key = "Idempotency-Key: \"8e03978e\"\r\n";
    let first = post(&address, "/lobby", key, "hello");
    assert_eq!(first.0, 200);
    let position = serde_json::from_str::<Value>(&first.1).unwrap();
    stop(program);
    let (_program, address) = start(&flags, &[]);
    let _member = greeted(&address, "/lobby");
    assert_eq!(post(&address, "/lobby", key, "hello"), first);
    assert_eq!(post(&address, "/lobby", key, "other").0, 422);
    assert_recovers(&address, &format!("/lobby?after={}", after(&position, 0)), &[]);
}

#[test]
fn a_token_that_was_revoked_stays_revoked_after_a_restart() {
    let (folder, mut flags) = state("state-revoked");
    // Without history, too.
    flags[0] = format!("--auth-key-file={}", folder.path("secret"));
    fs::write(folder.path("secret"), SECRET).unwrap();
    let make = |sub: &str, jti: &str| {
        let flags = ["--sub", sub, "--jti", jti, "--join", "/a"];
        made(&folder.path("secret"), &flags)
    };
    let tokens = [make("42", "a"), make("43", "b"), make("44", "c")];
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let (program, _, admin) = admin::start(&flags);
    for query in ["jti=a", "sub=43"] {
        let (head, _) = admin::ask(&admin, "POST", &format!("/revoke?{query}"), "");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    }
    stop(program);
    let (program, _) = Program::start(&flags);
    let log = stop(program);
    assert!(log.contains("restored 0 rooms with 0 messages, 2 revocations and"), "{log}");
    let (_program, address) = Program::start(&flags);
    let refused = |token: &String| join_with(&address, "/a", token).err();
    for token in &tokens[..2] {
        assert!(refused(token).unwrap().contains("revoked"));
    }
    assert_eq!(refused(&tokens[2]), None);
}

#[test]
fn a_state_that_cannot_be_used_is_ignored_with_the_reason() {
    let (folder, flags) = state("state-odd");
    let file = folder.path("state");
    let (program, address) = start(&flags, &[]);
    let (_client, greeting) = greeted(&address, "/lobby");
    assert_eq!(post(&address, "/lobby", "", "hello").0, 200);
    stop(program);
    let target = &format!("/lobby?after={}", after(&greeting, 0));
    let state = fs::read(&file).unwrap();
    let recovers = |more: &[&str]| {
        let (program, address) = start(&flags, more);
        let (client, greeting) = greeted(&address, target);
        drop(client);
        (greeting["recovered"] == true, stop(program))
    };
    let put = |bytes: &[u8], mode: u32| {
        let _ = fs::remove_file(&file);
        fs::write(&file, bytes).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
    };
    put(&state, 0o600);
    assert!(recovers(&[]).0);
    let mut changed = state.clone();
    changed[state.len() / 2] ^= 1;
    let newer = [b"townhall state 2\n", &state[17..]].concat();
    let cases: [(&[u8], u32, &str); 5] = [
        (&changed, 0o600, "it is damaged"),
        (&state[..state.len() - 1], 0o600, "it is damaged"),
        (&newer, 0o600, "it is of another version"),
        (b"hello", 0o600, "it is not a state file"),
        (&state, 0o640, "its mode is 640, not 600"),
    ];
    for (bytes, mode, reason) in cases {
        put(bytes, mode);
        let (recovered, log) = recovers(&[]);
        let line = "WARN  [townhall::state";
        let reason = format!("the state file {file} is ignored: {reason}\n");
        assert!(!recovered && log.contains(line) && log.contains(&reason), "{log}");
    }
    put(&state, 0o600);
    // Time is the subject: the state is then older than the age.
    thread::sleep(Duration::from_millis(1_100));
    let (recovered, log) = recovers(&["--history-age", "1s"]);
    assert!(!recovered && log.contains("without 1 rooms that are too old"), "{log}");
    put(&state, 0o600);
    let (recovered, log) = recovers(&["--room", "/lobby", "--room", "/hall"]);
    assert!(recovered, "{log}");
    put(&state, 0o600);
    let (program, _) = start(&flags, &["--room", "/hall"]);
    assert!(stop(program).contains("without 1 rooms"));
}

#[test]
fn after_a_kill_and_beside_another_process_rooms_begin_anew() {
    let (_folder, flags) = state("state-killed");
    let file = &flags[2];
    let (program, address) = start(&flags, &[]);
    let (_client, greeting) = greeted(&address, "/lobby");
    stop(program);
    let (mut program, address) = start(&flags, &[]);
    assert_recovers(&address, &format!("/lobby?after={}", after(&greeting, 0)), &[]);
    program.signal("KILL");
    program.wait();
    let (first, address) = start(&flags, &[]);
    let target = format!("/lobby?after={}", after(&greeting, 1));
    assert_eq!(greeted(&address, &target).1["recovered"], false);

    let (second, address) = start(&flags, &[]);
    let (_client, greeting) = greeted(&address, "/lobby");
    let log = stop(first);
    let nothing = format!("nothing is in the state file {file}: the last process was killed, or");
    assert!(log.contains(&nothing), "{log}");
    let taken = format!("cannot write the state file {file}: another process has taken it over\n");
    assert!(log.contains(&taken), "{log}");
    stop(second);
    let (_program, address) = start(&flags, &[]);
    assert_recovers(&address, &format!("/lobby?after={}", after(&greeting, 0)), &[]);
}

#[test]
fn a_place_for_the_state_that_cannot_be_used_is_one_clear_line() {
    let folder = Folder::new("state-place");
    let missing = folder.path("missing/state");
    let cases = HashMap::from([
        (missing.clone(), "No such file or directory"),
        (folder.path(""), "is a directory"),
    ]);
    for (path, reason) in cases {
        let line = format!("townhall: cannot use the state file {path}: {reason}");
        let output = run(&["check", "--state", &path]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr.starts_with(&line) && stderr.lines().count() == 1, "{stderr}");
        assert_fails(&["--listen", "127.0.0.1:0", "--state", &path], 1, &line);
    }
    let path = folder.path("state");
    fs::write(&path, "as it was").unwrap();
    assert_eq!(run(&["check", "--state", &path]).status.code(), Some(0));
    assert_eq!(fs::read(&path).unwrap(), b"as it was");
}
