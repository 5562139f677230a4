//! An HTTP response that is not an upgrade (RFC 9112).

use std::borrow::Cow;

use super::field::{self, InvalidHeader};
use super::refusal::{ALLOWED_METHODS, Refusal};

/// A complete HTTP/1.1 response.
///
/// ```
/// use townhall::protocol::{Refusal, Response};
///
/// let page = Response::new(200).header("Content-Type", "text/html")?.body(b"<!doctype html>...");
/// let text = Response::text(401, "a token is needed");
/// let refusal = Response::refusal(Refusal::Full);
/// assert_eq!((text.status(), refusal.status()), (401, 503));
///
/// let mut out = Vec::new();
/// Response::options().encode(&mut out);
/// assert!(out.starts_with(b"HTTP/1.1 204 No Content\r\nAllow: GET, HEAD, OPTIONS\r\n"));
///
/// let forged = Response::new(302).header("Location", "/lobby\r\nSet-Cookie: a=b");
/// assert!(forged.is_err());
/// # Ok::<(), townhall::protocol::InvalidHeader>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[must_use]
pub struct Response {
    status: u16,
    headers: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    body: Cow<'static, [u8]>,
}

impl Response {
    /// A response without a body. Its status is final, from 200 to 599 (RFC 9110, section 15); any other
    /// becomes 500.
    pub fn new(status: u16) -> Self {
        let status = if (200..600).contains(&status) { status } else { 500 };
        Self { status, headers: Vec::new(), body: Cow::Borrowed(b"") }
    }

    /// A response whose body is a line of plain text.
    pub fn text(status: u16, line: impl Into<String>) -> Self {
        let mut body = line.into();
        body.push('\n');
        let response = Self::new(status).with("Content-Type", "text/plain; charset=utf-8");
        response.body(body.into_bytes())
    }

    /// The response to OPTIONS, which lists the supported methods (RFC 9110, section 9.3.7).
    pub fn options() -> Self {
        Self::new(204).with("Allow", ALLOWED_METHODS)
    }

    /// The response to a refused request, with the reason as its body.
    pub fn refusal(refusal: Refusal) -> Self {
        let response = Self::text(refusal.status(), refusal.to_string());
        let headers = refusal.headers().iter();
        headers.fold(response, |response, &(name, value)| response.with(name, value))
    }

    /// Adds a header field.
    ///
    /// # Errors
    /// [`InvalidHeader`] if the name or the value is not valid, or if the field describes the connection
    /// or the length of the body, which [`encode`](Self::encode) writes itself.
    pub fn header(
        self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Result<Self, InvalidHeader> {
        let name = name.into();
        let value = value.into();
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
    pub fn body(mut self, body: impl Into<Cow<'static, [u8]>>) -> Self {
        self.body = body.into();
        self
    }

    /// The body's bytes.
    #[cfg(feature = "server")]
    pub(crate) fn body_bytes(&self) -> &[u8] {
        &self.body
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Appends the response to `out`, after which the connection closes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.encode_head(out);
        out.extend_from_slice(self.content());
    }

    /// Appends the response to `out` without its body, for a request with the method HEAD (RFC 9110,
    /// section 9.3.2). Content-Length is that of the body.
    ///
    /// ```
    /// use townhall::protocol::Response;
    ///
    /// let mut out = Vec::new();
    /// Response::text(200, "hello").encode_head(&mut out);
    /// assert!(out.ends_with(b"Content-Length: 6\r\n\r\n"));
    /// ```
    pub fn encode_head(&self, out: &mut Vec<u8>) {
        self.encode_head_with(Some("close"), out);
    }

    /// Appends the response to `out`, after which the connection persists (RFC 9112, section 9.3).
    pub(crate) fn encode_persistent(&self, is_head: bool, out: &mut Vec<u8>) {
        self.encode_head_with(None, out);
        if !is_head {
            out.extend_from_slice(self.content());
        }
    }

    fn encode_head_with(&self, connection: Option<&str>, out: &mut Vec<u8>) {
        let line = format!("HTTP/1.1 {} {}\r\n", self.status, phrase(self.status));
        out.extend_from_slice(line.as_bytes());
        for (name, value) in &self.headers {
            push_field(name, value, out);
        }
        // RFC 9110, section 7.8: a sender of Upgrade must send the connection option too.
        let upgrade = self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("upgrade"));
        let options: Vec<_> = connection.into_iter().chain(upgrade.then_some("Upgrade")).collect();
        if !options.is_empty() {
            push_field("Connection", &options.join(", "), out);
        }
        if self.has_length() {
            push_field("Content-Length", &self.content().len().to_string(), out);
        }
        out.extend_from_slice(b"\r\n");
    }

    /// The body, unless the status is of a response without content (RFC 9110, sections 15.3.5, 15.3.6 and
    /// 15.4.5).
    fn content(&self) -> &[u8] {
        match self.status {
            204 | 205 | 304 => &[],
            _ => &self.body,
        }
    }

    /// RFC 9110, section 8.6: "A server MUST NOT send a Content-Length header field in any response with
    /// a status code of 1xx (Informational) or 204 (No Content)." That of a 304 would be the length of another
    /// response.
    fn has_length(&self) -> bool {
        !matches!(self.status, 204 | 304)
    }
}

fn push_field(name: &str, value: &str, out: &mut Vec<u8>) {
    for part in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// The reason phrase (RFC 9110, section 15; RFC 6585; RFC 7725).
fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(response: &Response) -> String {
        let mut out = Vec::new();
        response.encode(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    #[cfg(feature = "server")]
    fn the_body_can_be_read() {
        assert_eq!(Response::text(200, "ok").body_bytes(), b"ok\n");
    }

    #[test]
    fn a_refusal_says_why() {
        let answer = encoded(&Response::refusal(Refusal::WebSocketVersion));
        assert!(answer.starts_with("HTTP/1.1 426 Upgrade Required\r\n"), "{answer}");
        assert!(answer.contains("\r\nSec-WebSocket-Version: 13\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nunsupported WebSocket version: use 13\n"), "{answer}");
    }

    /// RFC 9110, section 7.8.
    #[test]
    fn a_response_of_426_names_the_protocol() {
        for refusal in [Refusal::NoUpgrade, Refusal::UpgradeInHttp10, Refusal::WebSocketVersion] {
            let answer = encoded(&Response::refusal(refusal));
            assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
            assert!(answer.contains("\r\nUpgrade: websocket\r\n"), "{answer}");
            assert!(answer.contains("\r\nConnection: close, Upgrade\r\n"), "{answer}");
        }
    }

    #[test]
    fn a_head_request_gets_the_length_but_not_the_body() {
        let mut out = Vec::new();
        Response::text(200, "abc").encode_head(&mut out);
        assert!(out.ends_with(b"Content-Length: 4\r\n\r\n"), "{}", out.escape_ascii());
    }

    #[test]
    fn no_content_has_no_length() {
        assert_eq!(
            encoded(&Response::options()),
            "HTTP/1.1 204 No Content\r\nAllow: GET, HEAD, OPTIONS\r\nConnection: close\r\n\r\n"
        );
        assert_eq!(
            encoded(&Response::new(304).body(b"cached")),
            "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n"
        );
    }

    #[test]
    fn a_response_to_reset_a_view_is_empty() {
        assert_eq!(
            encoded(&Response::new(205).body(b"something")),
            "HTTP/1.1 205 Reset Content\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn a_status_is_final() {
        for (status, sent) in [(0, 500), (101, 500), (199, 500), (200, 200), (599, 599), (600, 500)]
        {
            assert_eq!(Response::new(status).status(), sent);
        }
    }

    #[test]
    fn a_field_cannot_forge_another_or_contradict_the_response() {
        let header = |name: &'static str, value: &'static str| {
            let response = Response::new(302).header(name, value)?;
            Ok(encoded(&response))
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
