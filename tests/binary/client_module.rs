//! The module for pages at `/townhall.js`, and the subprotocol that it offers.

use std::net::TcpStream;

use tungstenite::client::IntoClientRequest;

use super::admin::ask;
use super::{Program, townhall};

/// The value of a field in the head of an answer.
fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(found, _)| *found == name).map(|(_, value)| value)
}

#[test]
fn pages_of_every_origin_may_import_the_module() {
    let (_program, address) = Program::start(&["--room", "/lobby"]);
    let get = |method, fields| ask(&address, method, "/townhall.js", fields);
    let (head, body) = get("GET", "Origin: https://other.example\r\n");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(body.contains("export class Townhall extends EventTarget"), "{body}");
    for (name, value) in [
        ("Content-Type", "text/javascript; charset=utf-8"),
        ("Access-Control-Allow-Origin", "*"),
        ("Cache-Control", "no-cache"),
        ("X-Content-Type-Options", "nosniff"),
    ] {
        assert_eq!(field(&head, name), Some(value), "{head}");
    }
    let (only_head, nothing) = get("HEAD", "");
    assert_eq!(field(&only_head, "Content-Length"), Some(&*body.len().to_string()), "{only_head}");
    assert_eq!(nothing, "");
}

#[test]
fn a_page_that_has_the_module_gets_304() {
    let (_program, address) = Program::start(&[]);
    let get = |fields: &str| ask(&address, "GET", "/townhall.js", fields);
    let tag = field(&get("").0, "ETag").unwrap().to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    for known in [tag.clone(), format!("\"other\", W/{tag}"), "*".to_owned()] {
        let (head, body) = get(&format!("If-None-Match: {known}\r\n"));
        assert!(head.starts_with("HTTP/1.1 304 ") && body.is_empty(), "{known}: {head}");
        assert_eq!(field(&head, "ETag"), Some(&*tag), "{head}");
        assert_eq!(field(&head, "Access-Control-Allow-Origin"), Some("*"), "{head}");
    }
    let (head, body) = get("If-None-Match: \"other\"\r\n");
    assert!(head.starts_with("HTTP/1.1 200 ") && !body.is_empty(), "{head}");
}

/// The subprotocol that the server chooses from these.
fn chosen(address: &str, offers: &'static str) -> Option<String> {
    let mut request = format!("ws://{address}/lobby").into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", offers.parse().unwrap());
    let stream = TcpStream::connect(address).unwrap();
    let response = tungstenite::client(request, stream).ok()?.1;
    let chosen = response.headers().get("Sec-WebSocket-Protocol")?;
    Some(chosen.to_str().unwrap().to_owned())
}

#[test]
fn the_subprotocol_of_the_module_is_chosen_with_and_without_others() {
    let (_program, address) = Program::start(&[]);
    assert_eq!(chosen(&address, "townhall.v1, bearer.x").as_deref(), Some("townhall.v1"));
    assert_eq!(chosen(&address, "other, townhall.v1").as_deref(), Some("townhall.v1"));
    let mut command = townhall(&["--listen", "127.0.0.1:0"]);
    command.env("TOWNHALL_SUBPROTOCOL", "chat");
    let (_program, address) = Program::start_with(command);
    assert_eq!(chosen(&address, "chat, townhall.v1").as_deref(), Some("chat"));
    assert_eq!(chosen(&address, "townhall.v1").as_deref(), Some("townhall.v1"));
}
