//! The opening handshake: request, terms, answer (RFC 6455, section 4.2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use super::deflate::Deflate;
use super::extension::DeflateTerms;
use super::violation::Refusal;

/// What is appended to a key before it is hashed (RFC 6455, section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A request, parsed; borrowed from the bytes of its head.
#[derive(Debug)]
pub struct Request<'h> {
    method: &'h str,
    target: &'h str,
    headers: Vec<httparse::Header<'h>>,
}

impl<'h> Request<'h> {
    /// Parses a whole head, up to and including its empty line.
    ///
    /// # Errors
    /// Another version than HTTP/1.1, more than `max_headers` fields, not exactly one Host, or
    /// anything else that is not HTTP.
    pub fn parse(head: &'h [u8], max_headers: usize) -> Result<Self, Refusal> {
        let mut headers = vec![httparse::EMPTY_HEADER; max_headers.min(head.len())];
        let mut parsed = httparse::Request::new(&mut headers);
        let status = parsed.parse(head).map_err(refusal)?;
        let (Some(method), Some(target), Some(1), true) =
            (parsed.method, parsed.path, parsed.version, status.is_complete())
        else {
            let version = parsed.version.is_some_and(|version| version != 1);
            let malformed = Refusal::Malformed("the request's head is cut short");
            return Err(if version { Refusal::HttpVersion } else { malformed });
        };
        let count = parsed.headers.len();
        headers.truncate(count);
        let request = Self { method, target, headers };
        request.check_target()?;
        request.check_host()?;
        Ok(request)
    }

    /// The method.
    pub fn method(&self) -> &'h str {
        self.method
    }

    /// The target as it was sent, with its query.
    pub fn target(&self) -> &'h str {
        self.target
    }

    /// The path as it was sent, percent-encoding and all, without the query.
    pub fn path(&self) -> &'h str {
        let target = self.origin_form();
        match target.split_once('?') {
            Some(("", _)) => "/",
            Some((path, _)) => path,
            None => target,
        }
    }

    /// What follows the first `?` of the target.
    pub fn query(&self) -> Option<&'h str> {
        self.origin_form().split_once('?').map(|(_, query)| query)
    }

    /// The values of the fields of this name, which is compared without case, in their order.
    pub fn header_values(&self, name: &str) -> impl Iterator<Item = &'h [u8]> {
        let named =
            self.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
        named.map(|header| header.value)
    }

    /// The value of the field of this name, where there is exactly one and it is UTF-8.
    pub fn header(&self, name: &str) -> Option<&'h str> {
        let mut values = self.header_values(name);
        match (values.next(), values.next()) {
            (Some(value), None) => std::str::from_utf8(value).ok(),
            _ => None,
        }
    }

    /// The elements of a list field, over all its lines (RFC 9110, section 5.6.1).
    fn list(&self, name: &str) -> impl Iterator<Item = &'h str> {
        let lines = self.header_values(name).filter_map(|value| std::str::from_utf8(value).ok());
        lines.flat_map(|line| line.split(',')).map(str::trim_ascii).filter(|item| !item.is_empty())
    }

    fn lists_token(&self, name: &str, token: &str) -> bool {
        self.list(name).any(|item| item.eq_ignore_ascii_case(token))
    }

    /// Whether the request asks for a WebSocket.
    pub fn asks_for_upgrade(&self) -> bool {
        self.lists_token("Upgrade", "websocket")
    }

    /// The target without the scheme and authority that a proxy's request has
    /// (RFC 9112, section 3.2.2).
    fn origin_form(&self) -> &'h str {
        match self.target.split_once("://") {
            Some((_, rest)) if !self.target.starts_with('/') => {
                rest.find(['/', '?']).map_or("/", |end| &rest[end..])
            }
            _ => self.target,
        }
    }

    /// A path, or a proxy's absolute form; a fragment is never sent (RFC 9112, section 3.2).
    fn check_target(&self) -> Result<(), Refusal> {
        let known = ["/", "http://", "https://"].iter().any(|form| self.target.starts_with(form));
        // Methods with other forms are answered for their method.
        if (known || self.method != "GET") && !self.target.contains('#') {
            Ok(())
        } else {
            Err(Refusal::Malformed("the request's target is malformed"))
        }
    }

    /// RFC 9112, section 3.2: "A server MUST respond with a 400 (Bad Request) status code to any
    /// HTTP/1.1 request message that lacks a Host header field and to any request message that
    /// contains more than one Host header field line".
    fn check_host(&self) -> Result<(), Refusal> {
        let mut hosts = self.header_values("Host");
        match (hosts.next(), hosts.next()) {
            (Some(host), None) if host.iter().all(|&byte| is_authority_byte(byte)) => Ok(()),
            (Some(_), None) => Err(Refusal::Malformed("the Host field is malformed")),
            (None, _) => Err(Refusal::Malformed("the Host field is missing")),
            (Some(_), Some(_)) => Err(Refusal::Malformed("there is more than one Host field")),
        }
    }

    /// What followed the head of an upgrade as its body would be taken for frames.
    fn check_no_body(&self) -> Result<(), Refusal> {
        let lengths = self.header_values("Content-Length").all(|length| length == b"0");
        if lengths && self.header_values("Transfer-Encoding").next().is_none() {
            Ok(())
        } else {
            Err(Refusal::Malformed("a request for an upgrade has no body"))
        }
    }
}

/// Whether a byte may be in `uri-host [ ":" port ]` (RFC 9110, section 7.2; RFC 3986, section 3.2).
fn is_authority_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%:[]".contains(&byte)
}

fn refusal(error: httparse::Error) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => Refusal::TooManyHeaders,
        httparse::Error::Version => Refusal::HttpVersion,
        httparse::Error::HeaderName => Refusal::Malformed("a header field's name is malformed"),
        httparse::Error::HeaderValue => Refusal::Malformed("a header field's value is malformed"),
        _ => Refusal::Malformed("the request line is malformed"),
    }
}

/// What server and client agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    accept_key: String,
    /// The subprotocol, if one that the client offered is spoken here.
    pub subprotocol: Option<String>,
    /// How messages may be compressed, if they may.
    pub deflate: Option<DeflateTerms>,
}

impl Terms {
    /// Checks a request for an upgrade and settles the terms. `subprotocols` are those that the
    /// server speaks; the client's order decides. Without `deflate`, compression is declined.
    ///
    /// # Errors
    /// What in the request does not conform to RFC 6455, section 4.2.1.
    pub fn negotiate(
        request: &Request<'_>,
        subprotocols: &[String],
        deflate: Option<&Deflate>,
    ) -> Result<Self, Refusal> {
        if request.method() != "GET" {
            return Err(Refusal::Method);
        }
        if !request.asks_for_upgrade() {
            return Err(Refusal::NoUpgrade);
        }
        if !request.lists_token("Connection", "upgrade") {
            return Err(Refusal::Malformed("the Connection field does not list Upgrade"));
        }
        request.check_no_body()?;
        check_version(request)?;
        let mut offered = request.list("Sec-WebSocket-Protocol");
        let subprotocol = offered.find(|offer| subprotocols.iter().any(|ours| ours == offer));
        Ok(Self {
            accept_key: accept_key(key(request)?),
            subprotocol: subprotocol.map(str::to_owned),
            deflate: deflate.map_or(Ok(None), |deflate| negotiate_deflate(request, deflate))?,
        })
    }

    /// Appends the 101 answer to `out` (RFC 6455, section 4.2.2).
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(
            b"HTTP/1.1 101 Switching Protocols\r\n\
            Upgrade: websocket\r\n\
            Connection: Upgrade\r\n\
            Sec-WebSocket-Accept: ",
        );
        out.extend_from_slice(self.accept_key.as_bytes());
        if let Some(subprotocol) = &self.subprotocol {
            out.extend_from_slice(b"\r\nSec-WebSocket-Protocol: ");
            out.extend_from_slice(subprotocol.as_bytes());
        }
        if let Some(deflate) = &self.deflate {
            out.extend_from_slice(b"\r\nSec-WebSocket-Extensions: ");
            out.extend_from_slice(deflate.answer().as_bytes());
        }
        out.extend_from_slice(b"\r\n\r\n");
    }
}

/// "If this version does not match a version understood by the server, the server MUST abort the
/// WebSocket handshake [...] and instead send an appropriate HTTP error code (such as 426 Upgrade
/// Required) and a |Sec-WebSocket-Version| header field".
fn check_version(request: &Request<'_>) -> Result<(), Refusal> {
    match request.header("Sec-WebSocket-Version") {
        Some("13") => Ok(()),
        Some(_) => Err(Refusal::WebSocketVersion),
        None => Err(Refusal::Malformed("there must be one Sec-WebSocket-Version field")),
    }
}

fn negotiate_deflate(
    request: &Request<'_>,
    deflate: &Deflate,
) -> Result<Option<DeflateTerms>, Refusal> {
    let values = request.header_values("Sec-WebSocket-Extensions");
    let malformed = Refusal::Malformed("the Sec-WebSocket-Extensions field is malformed");
    DeflateTerms::negotiate(values, deflate).map_err(|_| malformed)
}

/// The one key, which "when decoded, is 16 bytes in length".
fn key<'h>(request: &Request<'h>) -> Result<&'h str, Refusal> {
    let malformed = Refusal::Malformed("there must be one Sec-WebSocket-Key field of 16 bytes");
    let key = request.header("Sec-WebSocket-Key").ok_or(malformed)?;
    match STANDARD.decode(key) {
        Ok(bytes) if bytes.len() == 16 => Ok(key),
        _ => Err(malformed),
    }
}

/// The value of Sec-WebSocket-Accept for a key (RFC 6455, section 4.2.2, step 5.4).
pub fn accept_key(key: &str) -> String {
    STANDARD.encode(Sha1::new_with_prefix(key).chain_update(GUID).finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = "GET /chat?a=b HTTP/1.1\r\n\
        Host: server.example.com\r\n\
        Upgrade: websocket\r\n\
        Connection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Protocol: chat, superchat\r\n\
        Sec-WebSocket-Version: 13\r\n\r\n";

    fn negotiate(head: &str, subprotocols: &[&str]) -> Result<Terms, Refusal> {
        let subprotocols: Vec<String> = subprotocols.iter().map(|&s| s.to_owned()).collect();
        Terms::negotiate(&Request::parse(head.as_bytes(), 16)?, &subprotocols, None)
    }

    fn status(from: &str, to: &str) -> u16 {
        let head = REQUEST.replacen(from, to, 1);
        assert_ne!(head, REQUEST);
        negotiate(&head, &[]).map_or_else(Refusal::status, |_| 101)
    }

    #[test]
    fn the_rfcs_own_example() {
        let mut out = Vec::new();
        negotiate(REQUEST, &["chat"]).unwrap().encode(&mut out);
        let answer = "HTTP/1.1 101 Switching Protocols\r\n\
            Upgrade: websocket\r\n\
            Connection: Upgrade\r\n\
            Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
            Sec-WebSocket-Protocol: chat\r\n\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), answer);
    }

    #[test]
    fn the_clients_first_known_subprotocol_is_picked() {
        let picked = |ours: &[&str]| negotiate(REQUEST, ours).unwrap().subprotocol;
        assert_eq!(picked(&["superchat", "chat"]).as_deref(), Some("chat"));
        assert_eq!(picked(&["superchat"]).as_deref(), Some("superchat"));
        assert_eq!(picked(&["CHAT"]), None);
        assert_eq!(picked(&[]), None);
    }

    #[test]
    fn fields_are_token_lists_whatever_their_case() {
        assert_eq!(status("Upgrade: websocket", "uPGRADE: h2c, , WebSocket"), 101);
        assert_eq!(
            status("Connection: Upgrade", "Connection: keep-alive\r\nconnection: UPGRADE"),
            101
        );
        assert_eq!(status("Upgrade: websocket", "Upgrade: websockets"), 426);
    }

    #[test]
    fn a_request_that_does_not_conform_gets_its_status() {
        assert_eq!(status("GET", "POST"), 405);
        assert_eq!(status("HTTP/1.1", "HTTP/1.0"), 505);
        assert_eq!(status("HTTP/1.1", "HTTP/2.0"), 505);
        assert_eq!(status("Host: server.example.com\r\n", ""), 400);
        assert_eq!(status("Host:", "Host: a\r\nHost:"), 400);
        assert_eq!(status("Upgrade: websocket\r\n", ""), 426);
        assert_eq!(status("Connection: Upgrade", "Connection: close"), 400);
        assert_eq!(status("Version: 13", "Version: 8"), 426);
        assert_eq!(status("Sec-WebSocket-Version: 13\r\n", ""), 400);
        assert_eq!(status("Version: 13", "Version: 13\r\nSec-WebSocket-Version: 13"), 400);
        assert_eq!(status("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j"), 400);
        assert_eq!(status("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ"), 400);
        assert_eq!(status("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), 400);
        assert_eq!(status("Host: ", &"A: b\r\n".repeat(20)), 431);
        assert_eq!(status("Host", "Ho st"), 400);
        assert_eq!(status("Host: server", "Host: a b, server"), 400);
        assert_eq!(status("Host: server", "Host: user@server"), 400);
        assert_eq!(status("Host:", "Content-Length: 5\r\nHost:"), 400);
        assert_eq!(status("Host:", "Content-Length: 0\r\nHost:"), 101);
        assert_eq!(status("Host:", "Transfer-Encoding: chunked\r\nHost:"), 400);
        assert_eq!(status("GET /chat", "GET chat"), 400);
        assert_eq!(status("GET /chat", "GET *"), 400);
        assert_eq!(status("GET /chat", "GET /chat#there"), 400);
    }

    #[test]
    fn path_and_query_in_origin_and_absolute_form() {
        for (target, path, query) in [
            ("/a/b?c=d?e", "/a/b", Some("c=d?e")),
            ("/a", "/a", None),
            ("http://example.com/a?u=ws://x/y", "/a", Some("u=ws://x/y")),
            ("http://example.com", "/", None),
            ("http://example.com?a=/b", "/", Some("a=/b")),
            ("/a?u=ws://x/y", "/a", Some("u=ws://x/y")),
        ] {
            let head = format!("GET {target} HTTP/1.1\r\nHost: example.com\r\n\r\n");
            let request = Request::parse(head.as_bytes(), 16).unwrap();
            assert_eq!((request.path(), request.query()), (path, query), "{target}");
        }
    }
}
