//! The server's answer to the opening handshake (RFC 6455, section 4.1; RFC 9112, section 4).

use std::{fmt, mem};

use super::request::UpgradeRequest;
use crate::protocol::deflate::DeflateTerms;
use crate::protocol::http::{elements, single};
use crate::protocol::limits::Limits;

/// What every answer begins with.
const HTTP_1: &[u8] = b"HTTP/1.";

/// The head of a response as it arrives.
#[derive(Debug, Default)]
pub(super) struct ResponseHead {
    bytes: Vec<u8>,
    /// The number of bytes of the last line, which is not complete.
    line: usize,
    /// The number of bytes of the interim responses before this one.
    before: usize,
}

impl ResponseHead {
    /// Takes the head off the front of `input`, once it is complete. The bytes after it stay.
    ///
    /// # Errors
    /// The bytes are not those of an HTTP response, or this and the interim responses before it are
    /// longer than the limits allow.
    pub(super) fn receive(
        &mut self,
        input: &mut &mut [u8],
        limits: &Limits,
    ) -> Result<Option<HandshakeResponse>, InvalidResponse> {
        while let Some(end) = input.iter().position(|&byte| byte == b'\n') {
            let line = self.line + end + 1;
            self.push(input, end + 1, limits)?;
            self.line = 0;
            // The empty line has one byte or two.
            if line == 1 || line == 2 && self.bytes.ends_with(b"\r\n") {
                let head = mem::take(&mut self.bytes);
                self.before += head.len();
                return HandshakeResponse::parse(&head, limits.max_headers).map(Some);
            }
        }
        self.line += input.len();
        self.push(input, input.len(), limits)?;
        Ok(None)
    }

    fn push(
        &mut self,
        input: &mut &mut [u8],
        size: usize,
        limits: &Limits,
    ) -> Result<(), InvalidResponse> {
        let (taken, rest) = mem::take(input).split_at_mut(size);
        *input = rest;
        // Whichever is certain first, so that it does not matter in which pieces the bytes arrive.
        if self.bytes.iter().chain(&*taken).zip(HTTP_1).any(|(byte, expected)| byte != expected) {
            return Err(InvalidResponse::NotHttp);
        }
        if self.before + self.bytes.len() + size > limits.max_head_bytes {
            return Err(InvalidResponse::TooLong);
        }
        self.bytes.extend_from_slice(taken);
        Ok(())
    }

    /// The memory in bytes for the head.
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

/// A response to the opening handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandshakeResponse {
    status: u16,
    reason: String,
    headers: Vec<(String, Vec<u8>)>,
    pub(super) is_http_1_0: bool,
    pub(super) body: Vec<u8>,
}

impl HandshakeResponse {
    fn parse(head: &[u8], max_headers: usize) -> Result<Self, InvalidResponse> {
        let mut fields = vec![httparse::EMPTY_HEADER; max_headers];
        let mut response = httparse::Response::new(&mut fields);
        let mut parser = httparse::ParserConfig::default();
        parser.allow_obsolete_multiline_headers_in_responses(true);
        match parser.parse_response(&mut response, head) {
            Ok(httparse::Status::Complete(_)) => {}
            Err(httparse::Error::TooManyHeaders) => return Err(InvalidResponse::TooLong),
            _ => return Err(InvalidResponse::NotHttp),
        }
        let headers = response.headers.iter();
        Ok(Self {
            status: response.code.ok_or(InvalidResponse::NotHttp)?,
            reason: response.reason.unwrap_or_default().to_owned(),
            headers: headers.map(|field| (field.name.to_owned(), unfolded(field.value))).collect(),
            is_http_1_0: response.version == Some(0),
            body: Vec::new(),
        })
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase, possibly empty (RFC 9112, section 4).
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The values of all fields with this name, in any case.
    pub fn header_values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let named = move |(field, _): &&(String, Vec<u8>)| field.eq_ignore_ascii_case(name);
        self.headers.iter().filter(named).map(|(_, value)| value.as_slice())
    }

    /// The value of a field that is there once, and is UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        single(self.header_values(name))
    }

    /// The body, or the part of it that arrived within [`Limits::max_body_bytes`].
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Whether another response follows this one (RFC 9110, section 15.2).
    pub(super) fn is_interim(&self) -> bool {
        (100..200).contains(&self.status) && self.status != 101
    }

    /// Checks that this is the answer to a request with this accept key, and returns the terms (RFC 6455,
    /// section 4.1).
    ///
    /// # Errors
    /// The first requirement that the answer does not meet.
    pub(super) fn check(
        self,
        request: &UpgradeRequest,
        accept_key: &str,
    ) -> Result<Accepted, InvalidResponse> {
        let is_websocket = |value: &str| value.eq_ignore_ascii_case("websocket");
        if self.is_http_1_0 {
            return Err(InvalidResponse::Http10);
        }
        if !self.header("Upgrade").is_some_and(is_websocket) {
            return Err(InvalidResponse::Upgrade);
        }
        if !self.lists("Connection", "upgrade") {
            return Err(InvalidResponse::Connection);
        }
        if self.header("Sec-WebSocket-Accept") != Some(accept_key) {
            return Err(InvalidResponse::AcceptKey);
        }
        let extensions = self.header_values("Sec-WebSocket-Extensions");
        let deflate = DeflateTerms::agree(extensions, request.deflate.as_ref())
            .map_err(|_| InvalidResponse::Extensions)?;
        let subprotocol = self.subprotocol(&request.subprotocols)?;
        Ok(Accepted { subprotocol, deflate, response: self })
    }

    fn lists(&self, name: &str, token: &str) -> bool {
        let mut tokens = elements(self.header_values(name));
        tokens.any(|one| one.eq_ignore_ascii_case(token.as_bytes()))
    }

    fn subprotocol(&self, offered: &[String]) -> Result<Option<String>, InvalidResponse> {
        const NAME: &str = "Sec-WebSocket-Protocol";
        if self.header_values(NAME).next().is_none() {
            return Ok(None);
        }
        let chosen = self.header(NAME).filter(|&chosen| offered.iter().any(|one| one == chosen));
        chosen.map(|chosen| Some(chosen.to_owned())).ok_or(InvalidResponse::Subprotocol)
    }
}

/// A value with a space in place of each line folding (RFC 9112, section 5.2).
fn unfolded(value: &[u8]) -> Vec<u8> {
    let lines: Vec<_> = value.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).collect();
    lines.join(&b' ')
}

/// An upgrade that the server has accepted, after which messages go both ways.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accepted {
    /// The subprotocol that the server has chosen.
    pub subprotocol: Option<String>,
    /// The terms of permessage-deflate, if it was negotiated.
    pub deflate: Option<DeflateTerms>,
    /// The response.
    pub response: HandshakeResponse,
}

/// The reason why an answer to the opening handshake is not valid. The client must close the connection
/// (RFC 6455, section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InvalidResponse {
    /// The answer is not HTTP.
    NotHttp,
    /// The head is longer, or has more fields, than the limits allow.
    TooLong,
    /// The upgrade is one in HTTP/1.0, which does not support it.
    Http10,
    /// The Upgrade field is not `websocket`.
    Upgrade,
    /// The Connection field does not list `Upgrade`.
    Connection,
    /// The Sec-WebSocket-Accept field is not that of the key.
    AcceptKey,
    /// The Sec-WebSocket-Extensions field has an extension that was not offered, or terms that do not
    /// answer the offer.
    Extensions,
    /// The Sec-WebSocket-Protocol field has a subprotocol that was not offered.
    Subprotocol,
    /// A refusal with this status has an invalid Content-Length field (RFC 9112, section 6.3).
    ContentLength(u16),
}

impl fmt::Display for InvalidResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotHttp => "the answer is not HTTP",
            Self::TooLong => "the head of the answer is too long",
            Self::Http10 => "the answer is HTTP/1.0, which has no upgrade",
            Self::Upgrade => "the answer's Upgrade field is not websocket",
            Self::Connection => "the answer's Connection field does not list Upgrade",
            Self::AcceptKey => "the answer's Sec-WebSocket-Accept field does not match the key",
            Self::Extensions => "the answer's extensions do not match the offer",
            Self::Subprotocol => "the answer's subprotocol was not offered",
            Self::ContentLength(status) => {
                return write!(
                    f,
                    "the answer, with the status {status}, has an invalid Content-Length field"
                );
            }
        })
    }
}

impl std::error::Error for InvalidResponse {}
