//! A refusal of the opening handshake as it arrives.

use super::response::{HandshakeResponse, InvalidResponse};
use crate::protocol::http::{Body, Framing, elements, is_length};
use crate::protocol::limits::Limits;

/// A response without an upgrade, whose body is not complete.
#[derive(Debug)]
pub(super) struct Refused {
    response: HandshakeResponse,
    body: Body,
}

impl Refused {
    pub(super) fn new(
        response: HandshakeResponse,
        limits: &Limits,
    ) -> Result<Self, InvalidResponse> {
        let framing = framing(&response, limits.max_body_bytes)?;
        let body = Body::new(Vec::new(), framing, limits.max_body_bytes, limits.max_head_bytes);
        Ok(Self { response, body })
    }

    /// Takes the body off the front of `input`, and returns whether it is complete, or too long, or not
    /// valid: a refusal is shown with what has arrived.
    pub(super) fn receive(&mut self, input: &mut &mut [u8]) -> bool {
        match self.body.receive(input) {
            Ok(None) => false,
            Ok(Some((_, body))) => {
                self.response.body = body;
                true
            }
            Err(_) => true,
        }
    }

    /// The response, with the part of the body that has arrived.
    pub(super) fn into_response(self) -> HandshakeResponse {
        let mut response = self.response;
        response.body.extend(self.body.into_bytes());
        response
    }

    /// The memory in bytes for the body.
    pub(super) fn held_bytes(&self) -> usize {
        self.body.held_bytes()
    }
}

/// RFC 9112, section 6.3. A body without a length ends with the connection, or where it is too long.
fn framing(response: &HandshakeResponse, max_bytes: usize) -> Result<Framing, InvalidResponse> {
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let codings = || response.header_values("Transfer-Encoding");
    Ok(Framing::of_response(match response.status() {
        101 | 204 | 304 => Some(0),
        _ if codings().any(is_chunked) => None,
        _ if codings().next().is_some() => Some(max_bytes),
        _ => Some(length(response)?.unwrap_or(max_bytes).min(max_bytes)),
    }))
}

/// The value of Content-Length, which may be there several times if it is the same each time.
fn length(response: &HandshakeResponse) -> Result<Option<usize>, InvalidResponse> {
    let mut values = elements(response.header_values("Content-Length"));
    let Some(value) = values.next() else { return Ok(None) };
    if !is_length(value) || values.any(|other| other != value) {
        return Err(InvalidResponse::ContentLength(response.status()));
    }
    // A length that is too long for the type is longer than any limit.
    Ok(str::from_utf8(value).ok().and_then(|value| value.parse().ok()))
}
