//! The client's opening handshake (RFC 6455, section 4.1).

use super::uri::WebSocketUri;
use crate::protocol::deflate::DeflateOffer;
use crate::protocol::http::{InvalidHeader, check_upgrade_field, is_token_byte};

/// The request that asks for an upgrade (RFC 6455, section 4.1).
///
/// ```
/// use townhall::protocol::{DeflateOffer, UpgradeRequest};
///
/// let request = UpgradeRequest::new("wss://chat.example/lobby".parse()?)
///     .subprotocol("townhall.v1")?
///     .header("Authorization", "Bearer e30")?
///     .deflate(DeflateOffer::default());
/// assert_eq!(request.uri().host(), "chat.example");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct UpgradeRequest {
    uri: WebSocketUri,
    pub(super) subprotocols: Vec<String>,
    pub(super) deflate: Option<DeflateOffer>,
    headers: Vec<(String, String)>,
}

impl UpgradeRequest {
    /// A request that offers no subprotocol and no extension.
    pub fn new(uri: WebSocketUri) -> Self {
        Self { uri, subprotocols: Vec::new(), deflate: None, headers: Vec::new() }
    }

    /// The URI that it is for.
    pub fn uri(&self) -> &WebSocketUri {
        &self.uri
    }

    /// Offers a subprotocol, after those that were offered before.
    ///
    /// # Errors
    /// [`InvalidHeader::Value`] if the name is not a token, or has been offered.
    pub fn subprotocol(mut self, name: &str) -> Result<Self, InvalidHeader> {
        let is_token = !name.is_empty() && name.bytes().all(is_token_byte);
        if !is_token || self.subprotocols.iter().any(|offered| offered == name) {
            return Err(InvalidHeader::Value);
        }
        self.subprotocols.push(name.to_owned());
        Ok(self)
    }

    /// Offers permessage-deflate.
    pub fn deflate(self, offer: DeflateOffer) -> Self {
        Self { deflate: Some(offer), ..self }
    }

    /// Adds a header field, such as Authorization, Cookie or Origin.
    ///
    /// # Errors
    /// The name or the value is not valid, or the field belongs to the handshake itself.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, InvalidHeader> {
        check_upgrade_field(name, value)?;
        if name.eq_ignore_ascii_case("Host") {
            return Err(InvalidHeader::Reserved);
        }
        self.headers.push((name.to_owned(), value.to_owned()));
        Ok(self)
    }

    /// Appends the request with this key to `out`.
    pub(super) fn encode(&self, key: &str, out: &mut Vec<u8>) {
        let mut line = |parts: [&str; 3]| {
            parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
            out.extend_from_slice(b"\r\n");
        };
        line(["GET ", self.uri.resource(), " HTTP/1.1"]);
        line(["Host", ": ", &self.uri.authority()]);
        line(["Upgrade", ": ", "websocket"]);
        line(["Connection", ": ", "Upgrade"]);
        line(["Sec-WebSocket-Key", ": ", key]);
        line(["Sec-WebSocket-Version", ": ", "13"]);
        if !self.subprotocols.is_empty() {
            line(["Sec-WebSocket-Protocol", ": ", &self.subprotocols.join(", ")]);
        }
        if let Some(deflate) = &self.deflate {
            line(["Sec-WebSocket-Extensions", ": ", &deflate.to_string()]);
        }
        for (name, value) in &self.headers {
            line([name, ": ", value]);
        }
        line([""; 3]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> UpgradeRequest {
        UpgradeRequest::new("ws://server.example.com:8080/chat?a=b".parse().unwrap())
    }

    fn encoded(request: &UpgradeRequest) -> String {
        let mut out = Vec::new();
        request.encode("dGhlIHNhbXBsZSBub25jZQ==", &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_request_has_the_fields_of_the_handshake() {
        assert_eq!(
            encoded(&request()),
            "GET /chat?a=b HTTP/1.1\r\n\
            Host: server.example.com:8080\r\n\
            Upgrade: websocket\r\n\
            Connection: Upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
            Sec-WebSocket-Version: 13\r\n\r\n"
        );
    }

    #[test]
    fn a_request_has_what_was_added() {
        let request = request()
            .subprotocol("chat")
            .and_then(|request| request.subprotocol("superchat"))
            .and_then(|request| request.header("Origin", "http://example.com"))
            .unwrap()
            .deflate(DeflateOffer::default());
        assert!(encoded(&request).ends_with(
            "Sec-WebSocket-Protocol: chat, superchat\r\n\
            Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
            Origin: http://example.com\r\n\r\n"
        ));
    }

    #[test]
    fn what_would_forge_the_request_is_refused() {
        for (name, value, error) in [
            ("Host", "a", InvalidHeader::Reserved),
            ("upgrade", "h2c", InvalidHeader::Reserved),
            ("Sec-WebSocket-Key", "a", InvalidHeader::Reserved),
            ("Content-Length", "1", InvalidHeader::Reserved),
            ("A B", "c", InvalidHeader::Name),
            ("A", "b\r\nC: d", InvalidHeader::Value),
        ] {
            assert_eq!(request().header(name, value), Err(error), "{name}: {value}");
        }
        for name in ["", "a b", "a,b", "a\r\n"] {
            assert_eq!(request().subprotocol(name), Err(InvalidHeader::Value), "{name}");
        }
        let twice = request().subprotocol("chat").unwrap().subprotocol("chat");
        assert_eq!(twice, Err(InvalidHeader::Value));
    }
}
