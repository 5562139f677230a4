//! The opening handshake: terms and response (RFC 6455, section 4.2).

use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use base64::{Engine, alphabet};
use sha1::{Digest, Sha1};

use super::deflate::{Deflate, DeflateTerms};
use super::http::{InvalidHeader, Refusal, Request, check_upgrade_field, elements, is_token_byte};

/// The text that is appended to a key before it is hashed (RFC 6455, section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Decodes keys. Sixteen bytes leave four bits of the last symbol unused. These bits are set in the
/// example of RFC 6455, section 4.1, and by clients that generate random letters instead of bytes.
const KEY_DECODER: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// The result of the negotiation between server and client.
///
/// ```
/// use townhall::protocol::{Deflate, Request, Terms};
///
/// let head = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
///     Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
///     Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Version: 13\r\n\r\n";
/// let request = Request::parse(head, 100)?;
/// let mut terms = Terms::negotiate(&request, &["superchat".to_owned()], Some(&Deflate::default()))?;
/// assert_eq!(terms.subprotocol.as_deref(), Some("superchat"));
/// assert_eq!(terms.deflate, None, "it was not offered");
///
/// terms.add_header("Set-Cookie", "seen=yes")?;
/// // `Connection::accept` writes the response.
/// let mut answer = Vec::new();
/// terms.encode(&mut answer);
/// assert!(answer.starts_with(b"HTTP/1.1 101 ") && answer.ends_with(b"seen=yes\r\n\r\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    accept_key: String,
    /// The subprotocol, if the server supports one that the client offered.
    pub subprotocol: Option<String>,
    /// The terms of permessage-deflate, if it was negotiated.
    pub deflate: Option<DeflateTerms>,
    /// Further fields of the response.
    headers: Vec<(String, String)>,
}

impl Terms {
    /// Checks an upgrade request, and negotiates the terms. `subprotocols` are those that the server
    /// supports; the client's order of preference decides. Without `deflate`, compression is declined.
    ///
    /// # Errors
    /// The refusal of a request that does not conform to RFC 6455, section 4.2.1.
    pub fn negotiate(
        request: &Request<'_>,
        subprotocols: &[String],
        deflate: Option<&Deflate>,
    ) -> Result<Self, Refusal> {
        if request.method() != "GET" {
            return Err(request.unserved_method());
        }
        if !request.asks_for_upgrade() {
            return Err(request.missing_upgrade());
        }
        if !request.lists_token("Connection", "upgrade") {
            return Err(Refusal::Malformed("the Connection field does not list Upgrade"));
        }
        request.check_no_body()?;
        check_version(request)?;
        check_subprotocols(request)?;
        let mut offered = request.subprotocols();
        let subprotocol = offered.find(|offer| subprotocols.iter().any(|ours| ours == offer));
        Ok(Self {
            accept_key: accept_key(key(request)?),
            subprotocol: subprotocol.map(str::to_owned),
            deflate: negotiate_deflate(request, deflate)?,
            headers: Vec::new(),
        })
    }

    /// Adds a header field to the 101 response, after those of the handshake.
    ///
    /// # Errors
    /// The name or the value is not valid, or the field belongs to the handshake itself.
    pub fn add_header(&mut self, name: &str, value: &str) -> Result<(), InvalidHeader> {
        check_upgrade_field(name, value)?;
        self.headers.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    /// Appends the 101 response to `out` (RFC 6455, section 4.2.2).
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
        for (name, value) in &self.headers {
            out.extend_from_slice(format!("\r\n{name}: {value}").as_bytes());
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

/// "Sec-WebSocket-Protocol-Client = 1#token" (RFC 6455, section 4.3). Empty elements are skipped.
fn check_subprotocols(request: &Request<'_>) -> Result<(), Refusal> {
    let mut names = elements(request.header_values("Sec-WebSocket-Protocol"));
    if names.all(|name| name.iter().all(|&byte| is_token_byte(byte))) {
        Ok(())
    } else {
        Err(Refusal::Malformed("the Sec-WebSocket-Protocol field is malformed"))
    }
}

/// RFC 6455, section 9.1: a recipient of extensions that do not conform to the grammar "MUST immediately _Fail
/// the WebSocket Connection_", so they are read even if compression is off.
fn negotiate_deflate(
    request: &Request<'_>,
    deflate: Option<&Deflate>,
) -> Result<Option<DeflateTerms>, Refusal> {
    let values = request.header_values("Sec-WebSocket-Extensions");
    let malformed = Refusal::Malformed("the Sec-WebSocket-Extensions field is malformed");
    let terms = DeflateTerms::negotiate(values, deflate.unwrap_or(&Deflate::default()));
    terms.map(|terms| terms.filter(|_| deflate.is_some())).map_err(|_| malformed)
}

/// The one key, which "when decoded, is 16 bytes in length".
fn key<'h>(request: &Request<'h>) -> Result<&'h str, Refusal> {
    let malformed = Refusal::Malformed("there must be one Sec-WebSocket-Key field of 16 bytes");
    let key = request.header("Sec-WebSocket-Key").ok_or(malformed)?;
    match KEY_DECODER.decode(key) {
        Ok(bytes) if bytes.len() == 16 => Ok(key),
        _ => Err(malformed),
    }
}

/// The value of Sec-WebSocket-Accept for a key (RFC 6455, section 4.2.2, step 5.4).
///
/// ```
/// let accept = townhall::protocol::accept_key("dGhlIHNhbXBsZSBub25jZQ==");
/// assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
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
    fn a_field_that_was_added_is_part_of_the_response() {
        let mut terms = negotiate(REQUEST, &[]).unwrap();
        let mut out = Vec::new();
        terms.add_header("Set-Cookie", "seen=yes").unwrap();
        assert_eq!(terms.add_header("Connection", "close"), Err(InvalidHeader::Reserved));
        terms.encode(&mut out);
        assert!(
            out.ends_with(b"Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSet-Cookie: seen=yes\r\n\r\n")
        );
    }

    #[test]
    fn the_clients_first_supported_subprotocol_is_chosen() {
        let picked = |ours: &[&str]| negotiate(REQUEST, ours).unwrap().subprotocol;
        assert_eq!(picked(&["superchat", "chat"]).as_deref(), Some("chat"));
        assert_eq!(picked(&["superchat"]).as_deref(), Some("superchat"));
        assert_eq!(picked(&["CHAT"]), None);
        assert_eq!(picked(&[]), None);
    }

    /// Section 11.3.2: a request may have several such fields, and a response has one.
    #[test]
    fn the_extensions_that_are_accepted_are_one_field() {
        let offers = "Sec-WebSocket-Extensions: x-other\r\n\
            Sec-WebSocket-Extensions: permessage-deflate\r\nHost:";
        let head = REQUEST.replacen("Host:", offers, 1);
        let request = Request::parse(head.as_bytes(), 16).unwrap();
        let mut out = Vec::new();
        Terms::negotiate(&request, &[], Some(&Deflate::default())).unwrap().encode(&mut out);
        let answer = String::from_utf8(out).unwrap();
        assert_eq!(answer.matches("Sec-WebSocket-Extensions").count(), 1, "{answer}");
        assert!(
            answer.contains("\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"),
            "{answer}"
        );
    }

    #[test]
    fn upgrade_fields_are_token_lists_of_any_case() {
        assert_eq!(status("Upgrade: websocket", "uPGRADE: h2c, , WebSocket"), 101);
        assert_eq!(
            status("Connection: Upgrade", "Connection: keep-alive\r\nconnection: UPGRADE"),
            101
        );
        assert_eq!(status("Upgrade: websocket", "Upgrade: websockets"), 426);
    }

    /// Section 4.2.1 only requires that a key decodes to 16 bytes.
    #[test]
    fn a_key_may_have_unused_bits_set() {
        let with = |key: &str| status("dGhlIHNhbXBsZSBub25jZQ==", key);
        // The example of section 4.1.
        assert_eq!(with("AQIDBAUGBwgJCgsMDQ4PEC=="), 101);
        for last in ["A", "Q", "g", "w", "z", "/", "+", "9"] {
            assert_eq!(with(&format!("abcdefghijklmnopqrstu{last}==")), 101, "{last}");
        }
        for wrong in [
            "abcdefghijklmnopqrstu==",
            "abcdefghijklmnopqrstuvw=",
            "abcdefghijklmnopqrstuv",
            "=",
            "-",
        ] {
            assert_eq!(with(wrong), 400, "{wrong}");
        }
        assert_eq!(accept_key("AQIDBAUGBwgJCgsMDQ4PEC=="), "OfS0wDaT5NoxF2gqm7Zj2YtetzM=");
    }

    #[test]
    fn a_request_that_does_not_conform_gets_its_status() {
        assert_eq!(status("GET", "POST"), 405);
        assert_eq!(status("GET", "get"), 501);
        assert_eq!(status("HTTP/1.1", "HTTP/1.0"), 426);
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
        assert_eq!(status("Host: ", &("A: b\r\n".repeat(20) + "Host: ")), 431);
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
}
