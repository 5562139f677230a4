//! History, as the flags turn it on.

use super::admin::{ask, start};
use super::publish::post;
use super::tokens::join;
use super::{Client, Program, assert_fails, connect, receive, send};

const HISTORY: [&str; 2] = ["--history-messages", "100"];

/// A client that understands the server's words, and its first message.
pub fn greeted(address: &str, target: &str) -> (Client, String) {
    let mut client = join(address, target, &[("Sec-WebSocket-Protocol", "townhall.v1")]).unwrap();
    let greeting = receive(&mut client);
    (client, greeting)
}

/// The value of a string in JSON.
fn string<'j>(json: &'j str, name: &str) -> &'j str {
    let begin = json.split_once(&format!("\"{name}\":\"")).unwrap_or_else(|| panic!("{json}")).1;
    begin.split_once('"').unwrap().0
}

#[test]
fn a_position_is_the_same_in_a_response_in_a_query_and_in_a_greeting() {
    let (_program, address) = Program::start(&HISTORY);
    let (status, body) = post(&address, "/lobby", "", "one");
    let first = string(&body, "position").to_owned();
    assert!(status == 200 && first.ends_with(".1"), "{status} {body}");
    post(&address, "/lobby", "", "two");
    let (mut client, greeting) = greeted(&address, &format!("/lobby?after={first}"));
    assert_eq!(
        greeting,
        format!("\0{{\"position\":\"{first}\",\"recovered\":true,\"replay\":1,\"beat\":30}}")
    );
    assert_eq!(receive(&mut client), "two");
    send(&mut client, "three");
    assert_eq!(receive(&mut client), "three");
    let (_, body) = post(&address, "/lobby", "Idempotency-Key: a\r\n", "four");
    let again = post(&address, "/lobby", "Idempotency-Key: a\r\n", "four");
    assert_eq!(again, (200, body));
    assert_eq!(receive(&mut client), "four");
}

#[test]
fn nothing_but_the_server_can_publish_its_words() {
    let (_program, address, admin) = start(&HISTORY);
    let (status, body) = post(&address, "/lobby", "", "\0{}");
    assert!(status == 400 && body.contains("U+0000"), "{status} {body}");
    let lines =
        "{\"room\":\"/lobby\",\"text\":\"\\u0000{}\"}\n{\"room\":\"/lobby\",\"text\":\"a\"}\n";
    let (_, answer) = post(&admin, "/publish", "", lines);
    assert!(answer.contains("U+0000") && answer.contains(".1\"}"), "{answer}");
    let (_, rooms) = ask(&admin, "GET", "/rooms", "");
    assert_eq!(string(&answer, "position"), string(&rooms, "position"));
    let mut client = connect(&address, "/lobby?last=5");
    assert_eq!(receive(&mut client), "a");
}

#[test]
fn rooms_that_show_members_have_no_history_and_no_words() {
    let flags = [&HISTORY[..], &["--presence", "/lobby"]].concat();
    let (_program, address) = Program::start(&flags);
    let (_watcher, first) = greeted(&address, "/lobby/@members");
    assert_eq!(first, "{\"count\":0}");
}

#[test]
fn history_without_rooms_is_an_error() {
    let flags = ["--history-age", "1h", "--mode", "echo"];
    assert_fails(&flags, 2, "error: with --mode echo, there are no rooms for --history-age");
    let line =
        "error: --max-backlog-size is 33554432, but must be at least 2 times --history-bytes";
    assert_fails(&["--history-bytes", "17MiB"], 2, line);
}
