//! Property: any head is answered, and every answer is well-formed HTTP. An upgrade carries the
//! accept key that two other libraries compute, a subprotocol only if it is spoken here and was
//! offered, and permessage-deflate only if it was offered (RFC 6455, section 4.2.2). A refusal's
//! Content-Length is that of its body.
//!
//! Input: a request's head.

#![no_main]

use libfuzzer_sys::fuzz_target;
use townhall::protocol::{Deflate, Refusal, Request, Response, Terms};

const MAX_HEADERS: usize = 24;

fuzz_target!(|head: &[u8]| {
    let ours = ["chat".to_owned(), "superchat".to_owned()];
    if let Err(refusal) = Request::parse(head, MAX_HEADERS).and_then(|request| {
        read_target(&request);
        let terms = Terms::negotiate(&request, &ours, Some(&Deflate::default()))?;
        check_upgrade(&request, &terms, &ours);
        Ok(())
    }) {
        check_refusal(refusal);
    }
});

/// Path and query are parts of the target.
fn read_target(request: &Request<'_>) {
    let query = request.query().map_or_else(String::new, |query| format!("?{query}"));
    let shown = [request.path(), &query].concat();
    // A target may have no path, which means the root.
    let root = request.path() == "/" && request.target().ends_with(&query);
    assert!(request.target().ends_with(&shown) || root);
}

fn check_upgrade(request: &Request<'_>, terms: &Terms, ours: &[String]) {
    let mut out = Vec::new();
    terms.encode(&mut out);
    let lines = lines(&out);
    assert_eq!(lines[0], "HTTP/1.1 101 Switching Protocols");
    assert_eq!(values(&lines, "Sec-WebSocket-Accept"), [accept_key(request)]);
    assert_eq!(values(&lines, "Sec-WebSocket-Protocol"), Vec::from_iter(&terms.subprotocol));
    if let Some(subprotocol) = &terms.subprotocol {
        assert!(ours.contains(subprotocol));
        assert!(offers(request, "Sec-WebSocket-Protocol", subprotocol));
    }
    let extensions = values(&lines, "Sec-WebSocket-Extensions");
    assert_eq!(extensions.len(), usize::from(terms.deflate.is_some()));
    if let [extension] = extensions[..] {
        assert_eq!(name(extension.as_bytes()), b"permessage-deflate");
        assert!(offers(request, "Sec-WebSocket-Extensions", "permessage-deflate"));
    }
}

fn check_refusal(refusal: Refusal) {
    for head_only in [false, true] {
        let mut out = Vec::new();
        Response::refusal(refusal).encode(head_only, &mut out);
        let end = out.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("an empty line") + 4;
        let lines = lines(&out[..end]);
        assert!(lines[0].starts_with(&format!("HTTP/1.1 {} ", refusal.status())));
        let body = refusal.to_string() + "\n";
        assert_eq!(values(&lines, "Content-Length"), [body.len().to_string()]);
        assert_eq!(&out[end..], if head_only { b"" } else { body.as_bytes() });
    }
}

/// The lines of a head, which must be printable ASCII, with one empty line at its end and none
/// before it.
fn lines(head: &[u8]) -> Vec<&str> {
    let head = std::str::from_utf8(head).expect("ASCII is UTF-8");
    let lines: Vec<&str> = head.strip_suffix("\r\n\r\n").expect("its end").split("\r\n").collect();
    for line in &lines {
        assert!(!line.is_empty() && line.bytes().all(|byte| matches!(byte, b' '..=b'~')));
    }
    lines
}

/// The values of the fields of this name.
fn values<'a>(lines: &[&'a str], name: &str) -> Vec<&'a str> {
    let fields = lines[1..].iter().map(|line| line.split_once(": ").expect("name and value"));
    fields.filter(|(key, _)| *key == name).map(|(_, value)| value).collect()
}

/// The accept key, by libraries that the server does not use.
fn accept_key(request: &Request<'_>) -> String {
    let key = request.header("Sec-WebSocket-Key").expect("an upgrade needs a key");
    let hash = sha1_smol::Sha1::from(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    data_encoding::BASE64.encode(&hash.digest().bytes())
}

/// Whether a list field of the request has an element of this name.
fn offers(request: &Request<'_>, field: &str, wanted: &str) -> bool {
    let mut items = request.header_values(field).flat_map(|line| line.split(|&byte| byte == b','));
    items.any(|item| name(item) == wanted.as_bytes())
}

/// An element without its parameters.
fn name(item: &[u8]) -> &[u8] {
    item.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii()
}
