//! An HTTP answer that is not an upgrade (RFC 9112).

use std::borrow::Cow;

use super::refusal::{ALLOWED_METHODS, Refusal};

/// A whole HTTP/1.1 answer, after which the connection closes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    status: u16,
    headers: Vec<(&'static str, Cow<'static, str>)>,
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
        Self::new(status)
            .header("Content-Type", "text/plain; charset=utf-8")
            .body(body.into_bytes())
    }

    /// The answer to OPTIONS, which lists the methods that are served (RFC 9110, section 9.3.7).
    pub fn options() -> Self {
        Self::new(204).header("Allow", ALLOWED_METHODS)
    }

    /// The answer that a refused request gets, with the reason as its body.
    pub fn refusal(refusal: Refusal) -> Self {
        let response = Self::text(refusal.status(), refusal.to_string());
        let headers = refusal.headers().iter();
        headers.fold(response, |response, &(name, value)| response.header(name, value))
    }

    /// Adds a field. `Content-Length` and `Connection: close` are there already. A value is cut at the
    /// first control character, so that it cannot forge another field.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
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
            let value = value.split(char::is_control).next().unwrap_or_default();
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
        assert!(answer.ends_with("\r\n\r\nonly WebSocket version 13 is spoken here\n"), "{answer}");
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
    fn a_value_cannot_forge_a_field() {
        let answer = encoded(&Response::new(302).header("Location", "/a\r\nX: y"), false);
        assert!(answer.contains("\r\nLocation: /a\r\nConnection"), "{answer}");
    }
}
