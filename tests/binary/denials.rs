//! How many requests and connections the rules for access have refused.

use std::collections::BTreeMap;
use std::fs;

use super::admin::{self, ask, metrics};
use super::publish::post;
use super::tokens::{closed, join, join_with, made, secret};
use super::{receive, send, status_of};

/// The counts that are not zero, by reason. All reasons are there from the start.
fn denials(admin: &str) -> BTreeMap<String, u64> {
    let body = metrics(admin);
    let lines =
        body.lines().filter_map(|line| line.strip_prefix("townhall_denials_total{reason=\""));
    let counts = lines.map(|line| line.split_once("\"} ").unwrap());
    let counts: BTreeMap<_, u64> =
        counts.map(|(reason, count)| (reason.to_owned(), count.parse().unwrap())).collect();
    assert_eq!(counts.len(), 13, "{counts:?}");
    counts.into_iter().filter(|(_, count)| *count > 0).collect()
}

fn counted(expected: &[(&str, u64)]) -> BTreeMap<String, u64> {
    expected.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect()
}

#[test]
fn what_tokens_refuse_is_counted_by_reason() {
    let (folder, flag) = secret("denials");
    let flags = ["--presence", "/a", "--room", "/a,/b"];
    let (_program, address, admin) = admin::start(&[&[&*flag[0], &*flag[1]], &flags[..]].concat());
    assert_eq!(denials(&admin), counted(&[]));
    let make = |rights: &[&str]| made(&folder.path("secret"), &[&["--sub", "42"], rights].concat());
    let (listening, ending) = (make(&["--join", "/a"]), make(&["--join", "/a", "--ttl", "1s"]));
    let bearer = format!("Authorization: Bearer {listening}\r\n");
    // With a status, and with a close code.
    assert!(join(&address, "/a", &[]).is_err());
    assert_eq!(closed(&mut join(&address, "/a", &[V1]).unwrap()).0, 4401);
    assert_eq!(ask(&address, "GET", "/a", "Accept: application/json\r\n").0[9..12], *"401");
    assert!(join_with(&address, "/a", "x").is_err());
    assert!(join_with(&address, "/b", &listening).is_err());
    let offered = format!("bearer.x, bearer.{listening}");
    assert!(join(&address, "/a", &[("Sec-WebSocket-Protocol", &offered)]).is_err());
    assert_eq!(post(&address, "/a", &bearer, "hello").0, 403);
    let mut speaker = join_with(&address, "/a", &listening).unwrap();
    send(&mut speaker, "hello");
    assert_eq!(closed(&mut speaker).0, 1008);
    let mut watcher = join_with(&address, "/a/@members", &listening).unwrap();
    assert_eq!(receive(&mut watcher), r#"{"members":[],"count":0}"#);
    send(&mut watcher, "hello");
    assert_eq!(closed(&mut watcher).0, 1008);
    assert_eq!(post(&address, "/a/@members", &bearer, "hello").0, 403);
    let mut client = join_with(&address, "/a", &ending).unwrap();
    assert_eq!(closed(&mut client).0, 4401);
    let mut revoked = join_with(&address, "/a", &listening).unwrap();
    assert!(ask(&admin, "POST", "/revoke?sub=42", "").0.starts_with("HTTP/1.1 200 "));
    assert_eq!(closed(&mut revoked).0, 4403);
    assert!(join_with(&address, "/a", &listening).is_err());
    let expected = [
        ("no_token", 3),
        ("invalid_token", 1),
        ("no_right_to_join", 1),
        ("several_tokens", 1),
        ("no_right_to_publish", 2),
        ("only_the_server_speaks", 2),
        ("ended_token", 1),
        ("revoked_token", 2),
    ];
    assert_eq!(denials(&admin), counted(&expected));
}

const V1: (&str, &str) = ("Sec-WebSocket-Protocol", "townhall.v1");

#[test]
fn requests_that_cannot_be_published_are_counted_and_logged_by_reason() {
    let (folder, _) = secret("unpublished");
    fs::write(folder.path("publish-key"), "key").unwrap();
    let key = folder.path("publish-key");
    let flags = ["--room", "/*", "--room", "/a", "--publish-key-file", &key];
    let limits = ["--max-room-name-length", "9", "--presence", "/*"];
    let (mut program, address, admin) = admin::start(&[&flags[..], &limits].concat());
    let bearer = "Authorization: Bearer key\r\n";
    assert_eq!(post(&address, "/a", "", "hello").0, 401);
    assert_eq!(post(&address, "/a-long-name", bearer, "hello").0, 414);
    assert_eq!(post(&address, "/@members", bearer, "hello").0, 403);
    let coded = format!("{bearer}Content-Encoding: gzip\r\n");
    assert_eq!(post(&address, "/a", &coded, "hello").0, 415);
    let empty = format!("POST /a HTTP/1.1\r\nHost: {address}\r\n{bearer}\r\n");
    assert_eq!(status_of(&address, &empty), "411");
    assert_eq!(post(&address, "/a", bearer, "hello").0, 200);
    let expected = [
        ("no_publish_key", 1),
        ("long_room_name", 1),
        ("only_the_server_speaks", 1),
        ("content_coding", 1),
        ("no_content", 1),
    ];
    assert_eq!(denials(&admin), counted(&expected));
    program.signal("TERM");
    let (_, log) = program.wait();
    assert!(log.contains("refused with 415: content coding"), "{log}");
}

#[test]
fn requests_for_what_is_no_room_are_counted() {
    let (_program, address, admin) = admin::start(&["--room", "/a"]);
    assert_eq!(post(&address, "/b", "", "hello").0, 404);
    assert_eq!(ask(&address, "GET", "/b", "Accept: application/json\r\n").0[9..12], *"404");
    assert_eq!(denials(&admin), counted(&[("no_such_room", 2)]));
}
