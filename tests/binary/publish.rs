//! Publishing with HTTP.

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use tungstenite::protocol::Message;

use super::admin::{ask, start};
use super::{Client, PATIENCE, Program, connect, receive, run, send};

/// The status and the body of the answer to a POST with these fields.
pub fn post(address: &str, path: &str, fields: &str, body: &str) -> (u16, String) {
    let (head, body) = post_whole(address, path, fields, body.as_bytes());
    (head[9..12].parse().unwrap(), body)
}

pub fn post_whole(address: &str, path: &str, fields: &str, body: &[u8]) -> (String, String) {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Length: {length}\r\n{fields}\r\n"
    );
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// Checks that nothing but `expected` has been published since the last message.
fn assert_next(member: &mut Client, expected: &str) {
    send(member, "the end");
    assert_eq!(receive(member), expected);
    if expected != "the end" {
        assert_eq!(receive(member), "the end");
    }
}

#[test]
fn curl_publishes_a_message_as_the_server_starts() {
    let (_program, address) = Program::start(&[]);
    let mut members = [connect(&address, "/lobby"), connect(&address, "/lobby")];
    let mut elsewhere = connect(&address, "/hall");
    let url = format!("http://{address}/lobby");
    let curl = |arguments: &[&str]| {
        let output = Command::new("curl").args(["-sS", &url]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(curl(&["-d", "hello"]), "{\"members\":2}\n");
    assert_eq!(curl(&["-d", "again", "-H", "Transfer-Encoding: chunked"]), "{\"members\":2}\n");
    assert_eq!(curl(&["-d", "later", "-H", "Expect: 100-continue"]), "{\"members\":2}\n");
    for member in &mut members {
        assert_eq!(
            ["hello", "again", "later"],
            [(); 3].map(|()| receive(member)).each_ref().map(|s| &**s)
        );
    }
    curl(&["--data-binary", "\u{1}\u{2}", "-H", "Content-Type: application/octet-stream"]);
    assert_eq!(members[0].read().unwrap(), Message::binary(vec![1, 2]));
    let mut answers = String::new();
    for argument in ["-d", "--json"] {
        answers += &curl(&[argument, "{\"a\": 1}"]);
        assert_eq!(receive(&mut members[0]), "{\"a\": 1}");
    }
    assert_eq!(answers, "{\"members\":2}\n{\"members\":2}\n");
    assert_next(&mut elsewhere, "the end");
    assert_eq!(post(&address, "/nobody", "", "hello"), (200, "{\"members\":0}\n".into()));
}

#[test]
fn what_cannot_be_published_is_refused_with_a_reason() {
    let flags = ["--room", "/lobby", "--max-message-size", "1KiB"];
    let (_program, address) = Program::start(&flags);
    let mut member = connect(&address, "/lobby");
    let refused = |path: &str, fields: &str, body: &str| {
        let (status, reason) = post(&address, path, fields, body);
        assert!(reason.len() > 5, "{status} {reason}");
        status
    };
    assert_eq!(refused("/hall", "", "hello"), 404);
    assert_eq!(refused("/lobby", "Content-Encoding: gzip\r\n", "hello"), 415);
    assert_eq!(refused("/lobby", "", &"x".repeat(1_025)), 413);
    assert_eq!(post(&address, "/lobby", "", &"x".repeat(1_024)).0, 200);
    assert_eq!(receive(&mut member).len(), 1_024);
    let (head, body) = post_whole(&address, "/lobby", "", b"\xff");
    assert!(head.starts_with("HTTP/1.1 400 ") && body.contains("octet-stream"), "{head} {body}");
    let (head, _) = ask(&address, "POST", "/lobby", "");
    assert!(head.starts_with("HTTP/1.1 411 "), "{head}");
    let (head, _) = ask(&address, "DELETE", "/lobby", "");
    assert!(
        head.starts_with("HTTP/1.1 405 ") && head.contains("\r\nAllow: GET, HEAD, OPTIONS, POST")
    );
    let (head, _) = ask(&address, "post", "/lobby", "");
    assert!(head.starts_with("HTTP/1.1 501 "), "{head}");
    assert_next(&mut member, "the end");
}

#[test]
fn there_is_nothing_to_publish_where_everyone_hears_only_an_echo() {
    let (_program, address) = Program::start(&["--mode", "echo"]);
    let (head, _) = post_whole(&address, "/", "", b"");
    assert!(head.starts_with("HTTP/1.1 405 ") && !head.contains("POST"), "{head}");
}

#[test]
fn published_text_is_shortened_like_any_other() {
    let (_program, address) = Program::start(&["--truncate", "3"]);
    let mut member = connect(&address, "/");
    assert_eq!(post(&address, "/", "", "na\u{ef}ve").0, 200);
    assert_eq!(receive(&mut member), "na\u{ef}");
}

#[test]
fn with_a_key_nobody_publishes_without_it() {
    let file = env::temp_dir().join(format!("townhall-publish-key-{}", std::process::id()));
    fs::write(&file, "s3cret\n").unwrap();
    let (_program, address) = Program::start(&["--publish-key-file", file.to_str().unwrap()]);
    let mut member = connect(&address, "/");
    for wrong in ["", "Authorization: Bearer s3cre\r\n", "Authorization: Basic s3cret\r\n"] {
        let (head, _) = post_whole(&address, "/", wrong, b"hello");
        assert!(head.starts_with("HTTP/1.1 401 ") && head.contains("\r\nWWW-Authenticate: Bearer"));
    }
    assert_eq!(post(&address, "/", "Authorization: Bearer s3cret\r\n", "hello").0, 200);
    assert_next(&mut member, "hello");
    fs::remove_file(&file).unwrap();
    let missing = run(&["--listen", "127.0.0.1:0", "--publish-key-file", file.to_str().unwrap()]);
    let stderr = String::from_utf8(missing.stderr).unwrap();
    assert_eq!(missing.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("cannot use the key in "), "{stderr}");
}

#[test]
fn only_allowed_pages_publish() {
    let (_program, address) = Program::start(&["--origin", "https://good.example"]);
    let mut member = connect(&address, "/");
    let good = "Origin: https://good.example\r\n";
    let bad = "Origin: https://evil.example\r\n";
    let cors = "Access-Control-Allow-Origin: https://good.example";
    // A page can send this without asking first.
    let simple = format!("{bad}Content-Type: text/plain\r\n");
    let (head, _) = post_whole(&address, "/", &simple, b"hello");
    assert!(head.starts_with("HTTP/1.1 403 ") && !head.contains("Access-Control"), "{head}");
    let (head, _) = post_whole(&address, "/", good, b"hello");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains(cors), "{head}");
    let (head, _) = post_whole(&address, "/", &format!("{good}Content-Encoding: br\r\n"), b"hello");
    assert!(head.starts_with("HTTP/1.1 415 ") && head.contains(cors), "{head}");
    let asks = "Access-Control-Request-Method: POST\r\n";
    let (head, _) = ask(&address, "OPTIONS", "/", &format!("{good}{asks}"));
    assert!(head.starts_with("HTTP/1.1 204 ") && head.contains(cors), "{head}");
    assert!(head.contains("\r\nAccess-Control-Allow-Methods: POST\r\n"), "{head}");
    let (head, _) = ask(&address, "OPTIONS", "/", &format!("{bad}{asks}"));
    assert!(head.starts_with("HTTP/1.1 403 ") && !head.contains("Access-Control"), "{head}");
    assert_next(&mut member, "hello");
}

#[test]
fn a_request_that_is_repeated_publishes_once() {
    let (_program, address) = Program::start(&[]);
    let mut member = connect(&address, "/a");
    let key = "Idempotency-Key: \"8e03978e\"\r\n";
    let first = post(&address, "/a", key, "hello");
    assert_eq!(first, (200, "{\"members\":1}\n".into()));
    let _second = connect(&address, "/a");
    assert_eq!(post(&address, "/a", key, "hello"), first);
    assert_eq!(post(&address, "/a", key, "other").0, 422);
    assert_eq!(post(&address, "/b", key, "other").0, 200);
    assert_eq!(post(&address, "/a", "Idempotency-Key:\r\n", "hello").0, 400);
    assert_next(&mut member, "hello");
}

#[test]
fn a_stream_of_pipelined_publishes_is_delivered_in_order() {
    const COUNT: usize = 10_000;
    let (_program, address) = Program::start(&["--max-messages-per-second", "1000000"]);
    let mut member = connect(&address, "/lobby");
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut requests = String::new();
    let mut expected = Vec::new();
    for number in 0..COUNT {
        let body = number.to_string();
        let length = body.len();
        // Every third message is for an empty room, so the answers show their order.
        let members = usize::from(number % 3 != 0);
        let room = ["nobody", "lobby"][members];
        expected.push(format!("{{\"members\":{members}}}"));
        requests += &format!(
            "POST /{room} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
    }
    requests += &format!("GET / HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let mut reader = stream.try_clone().unwrap();
    let reading = std::thread::spawn(move || {
        let mut answers = String::new();
        reader.read_to_string(&mut answers).unwrap();
        answers
    });
    stream.write_all(requests.as_bytes()).unwrap();
    for number in (0..COUNT).filter(|number| number % 3 != 0) {
        assert_eq!(receive(&mut member), number.to_string());
    }
    let answers = reading.join().unwrap();
    let answers: Vec<_> = answers.lines().filter(|line| line.starts_with("{\"members")).collect();
    assert_eq!(answers, expected);
}

#[test]
fn a_back_end_publishes_lines_of_json_on_the_admin_listener() {
    let (_program, address, admin) = start(&["--room", "/a/*", "--truncate", "100"]);
    let mut members = ["/a/b", "/a/b", "/a/c"].map(|room| connect(&address, room));
    let lines = r#"{"room": "/a/b", "text": "one"}
{"room": "/a/c", "json": {"b": 1.0, "a": [true]}}

{"room": "/hall", "text": "nobody"}
nonsense
{"room": "/a/b", "base64": "AP8="}
"#;
    let (head, body) = post_whole(&admin, "/publish", "", lines.as_bytes());
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let answers: Vec<_> = body.lines().collect();
    assert_eq!(answers.len(), 5, "{body}");
    assert_eq!([answers[0], answers[1]], ["{\"members\":2}", "{\"members\":1}"]);
    assert_eq!(answers[2], "{\"error\":\"room: no such room\"}");
    assert!(answers[3].starts_with("{\"error\":\"not a JSON object"), "{body}");
    assert_eq!(receive(&mut members[0]), "one");
    assert_eq!(receive(&mut members[2]), r#"{"b": 1.0, "a": [true]}"#);
    assert_eq!(receive(&mut members[1]), "one");
    assert_eq!(members[1].read().unwrap(), Message::binary(vec![0, 255]));
    let page = "Origin: http://evil.example\r\nContent-Type: text/plain\r\n";
    assert_eq!(post(&admin, "/publish", page, lines).0, 403);
    assert!(ask(&admin, "GET", "/publish", "").0.starts_with("HTTP/1.1 405 "));
}
