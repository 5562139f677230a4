//! The content of a request, and the message that it becomes.

use townhall::protocol::WORD_MARK_REFUSED;
use townhall::{Hub, Message, Request, Response};

use crate::denied::Denied;

/// Checks what the head says about the content.
///
/// # Errors
/// 411 if the request has no content (RFC 9110, section 15.5.12), 415 if it is encoded (section 15.5.16).
pub fn check(request: &Request<'_>) -> Result<(), (Denied, Response)> {
    let has = |name| request.header_values(name).next().is_some();
    if !has("Content-Length") && !has("Transfer-Encoding") {
        let reason = "the body is the message, but there is none";
        return Err((Denied::NoContent, Response::text(411, reason)));
    }
    let mut encodings = request.header_values("Content-Encoding");
    if !encodings.all(|encoding| encoding.eq_ignore_ascii_case(b"identity")) {
        let reason = "unsupported content coding: send the message without one";
        return Err((Denied::ContentCoding, Response::text(415, reason)));
    }
    Ok(())
}

/// The message: binary if its type is `application/octet-stream`, text otherwise.
///
/// # Errors
/// The response to text that is not UTF-8.
pub fn message<'b>(request: &Request<'_>, body: &'b [u8]) -> Result<Message<'b>, Response> {
    if is_binary(request) {
        return Ok(Message::Binary(body));
    }
    str::from_utf8(body).map(Message::Text).map_err(|_| {
        Response::text(400, "the message is not UTF-8: send it as application/octet-stream")
    })
}

/// Checks that clients will not take the message for the server's own.
///
/// # Errors
/// 400.
pub fn check_mark(hub: &Hub, message: Message<'_>) -> Result<(), Response> {
    if hub.is_reserved(message) {
        return Err(Response::text(400, WORD_MARK_REFUSED));
    }
    Ok(())
}

fn is_binary(request: &Request<'_>) -> bool {
    let media_type = request.header("Content-Type").and_then(|value| value.split(';').next());
    media_type.is_some_and(|name| name.trim().eq_ignore_ascii_case("application/octet-stream"))
}
