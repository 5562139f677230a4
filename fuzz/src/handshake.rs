//! Property: every head gets an answer, and every answer is well-formed HTTP. The answer to an upgrade has the
//! accept key that two other libraries compute, a subprotocol only if it is supported and was offered, and
//! permessage-deflate only if it was offered (RFC 6455, section 4.2.2). The Content-Length of a refusal is
//! the length of its body.
//!
//! A head that arrives one byte at a time is refused as malformed at the first byte that another parser
//! rejects, and not earlier. A path and its normal form have the same normal form.
//!
//! Input: the head of a request.

use townhall::protocol::{
    Buffers, Connection, Deflate, Failure, Limits, Received, Refusal, Request, Response, Terms,
};

const MAX_HEADERS: usize = 24;

pub fn check(head: &[u8]) {
    let ours = ["chat".to_owned(), "superchat".to_owned()];
    if let Err(refusal) = Request::parse(head, MAX_HEADERS).and_then(|request| {
        read_target(&request);
        let terms = Terms::negotiate(&request, &ours, Some(&Deflate::default()))?;
        check_upgrade(&request, &terms, &ours);
        Ok(())
    }) {
        check_refusal(refusal);
    }
    check_first_impossible_byte(head);
}

/// Path, query and authority are parts of the target, and the path has a normal form.
fn read_target(request: &Request<'_>) {
    let query = request.query().map_or_else(String::new, |query| format!("?{query}"));
    let shown = [request.path(), &query].concat();
    // A target may have no path, which means the root.
    let root = request.path() == "/" && request.target().ends_with(&query);
    assert!(request.target().ends_with(&shown) || root);
    if !request.target().starts_with('/') && request.method() == "GET" {
        let authority = request.authority().expect("the absolute form has an authority");
        assert!(request.target().contains(&format!("://{authority}")));
    }
    check_normal_form(&request.normal_path());
}

/// A normal form is a path in which nothing is to be changed (RFC 3986, sections 3.3 and 6.2.2).
fn check_normal_form(path: &str) {
    let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let request = Request::parse(head.as_bytes(), 1).expect("a normal form is a target");
    assert_eq!(request.normal_path(), path);
    assert_eq!(request.path(), path);
    assert!(
        path.starts_with('/') && path.split('/').all(|segment| segment != "." && segment != "..")
    );
    let is_allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&byte);
    assert!(path.bytes().all(is_allowed));
    for encoded in path.split('%').skip(1) {
        let byte = u8::from_str_radix(&encoded[..2], 16).expect("two digits");
        assert!(!encoded[..2].bytes().any(|digit| digit.is_ascii_lowercase()));
        assert!(!byte.is_ascii_alphanumeric() && !b"-._~".contains(&byte));
    }
}

/// RFC 9112, section 2.2.
fn check_first_impossible_byte(bytes: &[u8]) {
    let mut limits = Limits::default();
    limits.max_head_bytes = usize::MAX;
    let mut connection = Connection::new(limits);
    let mut buffers = Buffers::default();
    for (at, byte) in bytes.iter().enumerate() {
        let so_far = &bytes[..=at];
        match connection.receive(&mut &mut [*byte][..], &mut buffers) {
            Ok(None) => assert!(is_possible(so_far), "it is refused too late"),
            Ok(Some(Received::Head(head))) => return assert!(so_far.ends_with(&head)),
            Err(Failure::Handshake(Refusal::Malformed(_) | Refusal::Tls)) => {
                // This parser takes any number of empty lines.
                let empty = so_far.iter().all(|byte| b"\r\n".contains(byte));
                return assert!(empty || !is_possible(so_far), "it is refused too early");
            }
            Err(Failure::Handshake(Refusal::HttpVersion)) => return,
            other => panic!("{other:?}"),
        }
    }
}

/// Whether a request can begin with these bytes, as another parser sees it.
fn is_possible(bytes: &[u8]) -> bool {
    let mut headers = vec![httparse::EMPTY_HEADER; bytes.len()];
    httparse::Request::new(&mut headers).parse(&simplified(bytes)).is_ok()
}

/// The bytes with what the other parser does not take changed into what it does: a target that is not
/// ASCII, which counts only when it is whole, and the minor versions from 2 to 9.
fn simplified(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let begin = bytes.iter().position(|byte| !b"\r\n".contains(byte)).unwrap_or_default();
    let line = bytes[begin..].split_mut(|byte| *byte == b'\n').next().unwrap_or_default();
    let target = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
    for byte in line[target..].iter_mut().filter(|byte| !byte.is_ascii()) {
        *byte = b'x';
    }
    for at in target..line.len() {
        if line[..at].ends_with(b" HTTP/1.") && line[at].is_ascii_digit() {
            line[at] = b'1';
        }
    }
    bytes
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
        let response = Response::refusal(refusal);
        if head_only {
            response.encode_head(&mut out)
        } else {
            response.encode(&mut out)
        }
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
