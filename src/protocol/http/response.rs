//! An HTTP answer that is not an upgrade (RFC 9112).

use std::borrow::Cow;

use super::field::{self, InvalidHeader};
use super::refusal::{ALLOWED_METHODS, Refusal};

/// A whole HTTP/1.1 answer, after which the connection closes.
///
/// ```
/// use townhall::protocol::Response;
///
/// let response = Response::new(302).header("Location", "/lobby")?;
/// let forged = Response::new(302).header("Location", "/lobby\r\nSet-Cookie: a=b");
/// assert!(forged.is_err());
/// # Ok::<(), townhall::protocol::InvalidHeader>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    status: u16,
    headers: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    body: Cow<'static, [u8]>,
}

impl Response {
    /// An answer with no body.
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Cow::Borrowed(b"") }
    }

    /// An answer whose body is a line of plain text.
    pub fn text(status: u16, line: impl Into<String>) -> Self {
        let mut body = line.into();
        body.push('\n');
        let response = Self::new(status).with("Content-Type", "text/plain; charset=utf-8");
        response.body(body.into_bytes())
    }

    /// The answer to OPTIONS, which lists the methods that are served (RFC 9110, section 9.3.7).
    pub fn options() -> Self {
        Self::new(204).with("Allow", ALLOWED_METHODS)
    }

    /// The answer that a refused request gets, with the reason as its body.
    pub fn refusal(refusal: Refusal) -> Self {
        let response = Self::text(refusal.status(), refusal.to_string());
        let headers = refusal.headers().iter();
        headers.fold(response, |response, &(name, value)| response.with(name, value))
    }

    /// Adds a header field.
    ///
    /// # Errors
    /// [`InvalidHeader`] if the name or the value is not one of a header field, or the field describes the
    /// connection or the length of the body: those are written by [`encode`](Self::encode).
    pub fn header(
        self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Result<Self, InvalidHeader> {
        let (name, value) = (name.into(), value.into());
        field::check_answer(&name, &value)?;
        Ok(self.with(name, value))
    }

    /// Adds a header field that is known to be valid.
    fn with(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Cow<'static, [u8]>>) -> Self {
        self.body = body.into();
        self
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Appends the answer to `out`, without the body if the request's method is HEAD.
    pub fn encode(&self, head_only: bool, out: &mut Vec<u8>) {
        let line = format!("HTTP/1.1 {} {}", self.status, phrase(self.status));
        push_line(&line, out);
        for (name, value) in &self.headers {
            push_line(&format!("{name}: {value}"), out);
        }
        // RFC 9110, section 7.8: a sender of Upgrade must send the connection option too.
        let upgrade = self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("upgrade"));
        push_line(if upgrade { "Connection: close, Upgrade" } else { "Connection: close" }, out);
        // RFC 9110, section 8.6: "A server MUST NOT send a Content-Length header field in any
        // response with a status code of 1xx (Informational) or 204 (No Content)."
        let has_body = self.status >= 200 && self.status != 204;
        if has_body {
            push_line(&format!("Content-Length: {}", self.body.len()), out);
        }
        push_line("", out);
        if has_body && !head_only {
            out.extend_from_slice(&self.body);
        }
    }
}

fn push_line(line: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(line.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The reason phrase (RFC 9110, section 15; RFC 6585).
fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        414 => "URI Too Long",
        410 => "Gone",
        421 => "Misdirected Request",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(response: &Response, head_only: bool) -> String {
        let mut out = Vec::new();
        response.encode(head_only, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_refusal_says_why() {
        let answer = encoded(&Response::refusal(Refusal::WebSocketVersion), false);
        assert!(answer.starts_with("HTTP/1.1 426 Upgrade Required\r\n"), "{answer}");
        assert!(answer.contains("\r\nSec-WebSocket-Version: 13\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nunsupported WebSocket version: use 13\n"), "{answer}");
    }

    #[test]
    fn a_head_request_gets_the_length_but_not_the_body() {
        let answer = encoded(&Response::text(200, "abc"), true);
        assert!(answer.ends_with("Content-Length: 4\r\n\r\n"), "{answer}");
    }

    #[test]
    fn no_content_has_no_length() {
        assert_eq!(
            encoded(&Response::options(), false),
            "HTTP/1.1 204 No Content\r\nAllow: GET, HEAD, OPTIONS\r\nConnection: close\r\n\r\n"
        );
    }

    #[test]
    fn a_field_cannot_forge_another_or_contradict_the_answer() {
        let header = |name: &'static str, value: &'static str| {
            let response = Response::new(302).header(name, value)?;
            Ok(encoded(&response, false))
        };
        assert_eq!(header("Location", "/a\r\nX: y"), Err(InvalidHeader::Value));
        assert_eq!(header("Loca tion", "/a"), Err(InvalidHeader::Name));
        assert_eq!(header("content-length", "9"), Err(InvalidHeader::Reserved));
        let answer = header("Location", "/a").unwrap();
        assert!(answer.contains("\r\nLocation: /a\r\nConnection"), "{answer}");
        let answer = header("Upgrade", "websocket").unwrap();
        assert!(answer.contains("\r\nConnection: close, Upgrade\r\n"), "{answer}");
    }
}
