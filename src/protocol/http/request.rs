//! A parsed request (RFC 9112).

#[cfg(feature = "server")]
use super::field::is_length;
use super::field::single;
use super::head;
use super::refusal::Refusal;
use super::target::Target;
use super::uri::{is_authority, normal_path};

const MALFORMED_LINE: Refusal = Refusal::Malformed("the request line is malformed");

/// A parsed request, which borrows from the bytes of its head.
///
/// ```
/// use townhall::protocol::{Refusal, Request};
///
/// let head = b"GET /caf%c3%a9?table=4 HTTP/1.1\r\nHost: chat.example:8080\r\n\
///     Cookie: seen=yes\r\nCookie: name=Ada\r\nUser-Agent: example\r\n\r\n";
/// let request = Request::parse(head, 100)?;
///
/// assert_eq!(request.method(), "GET");
/// assert_eq!(request.target(), "/caf%c3%a9?table=4");
/// assert_eq!((request.path(), request.query()), ("/caf%c3%a9", Some("table=4")));
/// assert_eq!(request.normal_path(), "/caf%C3%A9");
/// assert_eq!(request.authority(), Some("chat.example:8080"));
///
/// assert_eq!(request.header("user-agent"), Some("example"));
/// assert_eq!(request.header("cookie"), None, "there are two");
/// assert!(request.header_values("cookie").eq([&b"seen=yes"[..], b"name=Ada"]));
/// assert_eq!(request.header_names().count(), 4);
///
/// assert!(!request.asks_for_upgrade());
/// assert_eq!(request.missing_upgrade(), Refusal::NoUpgrade);
/// assert_eq!(request.unserved_method(), Refusal::Method);
/// assert_eq!(request.subprotocols().next(), None);
/// # Ok::<(), Refusal>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'h> {
    method: &'h str,
    target: &'h str,
    form: Target<'h>,
    is_http_1_0: bool,
    headers: Vec<httparse::Header<'h>>,
}

impl<'h> Request<'h> {
    /// Parses a complete head, up to and including its empty line.
    ///
    /// # Errors
    /// The refusal of a head with another major version than HTTP/1.1, with more than `max_headers`
    /// fields, without exactly one Host field where it is required, or that is not HTTP.
    pub fn parse(head: &'h [u8], max_headers: usize) -> Result<Self, Refusal> {
        head::check(head)?;
        Self::parse_received(head, max_headers)
    }

    /// Parses a head that a [`Connection`](crate::protocol::Connection) has received, and has therefore
    /// checked byte by byte.
    ///
    /// # Errors
    /// As for [`parse`](Self::parse).
    pub(crate) fn parse_received(head: &'h [u8], max_headers: usize) -> Result<Self, Refusal> {
        let (line, fields) = split_line(head);
        let line = std::str::from_utf8(line).map_err(|_| MALFORMED_LINE)?;
        // The line has these three words, because it was checked.
        let mut words = line.splitn(3, ' ');
        let mut word = || words.next().ok_or(MALFORMED_LINE);
        let method = word()?;
        let target = word()?;
        let version = word()?;
        let form = Target::parse(method, target)?;
        let headers = parse_fields(fields, max_headers)?;
        let request = Self { method, target, form, is_http_1_0: version == "HTTP/1.0", headers };
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

    /// The path as it was sent, with its percent-encoding and without the query. Different paths can be
    /// equivalent, so a room is named by the [normal form](Self::normal_path).
    pub fn path(&self) -> &'h str {
        self.form.path_and_query().0
    }

    /// The normal form of the path, which all equivalent paths share (RFC 3986, section 6.2.2):
    /// `/caf%C3%A9` for `/caf%c3%a9`, `/c%61f%C3%A9` and `/a/../café`. Its `%` always begins a
    /// percent-encoded octet; a `%` that was sent alone becomes `%25`. `%2F` is not `/`.
    pub fn normal_path(&self) -> String {
        normal_path(self.path())
    }

    /// The part of the target after the first `?`.
    pub fn query(&self) -> Option<&'h str> {
        self.form.path_and_query().1
    }

    /// The scheme of a target in absolute form: `http`, `https`, `ws` or `wss`. A server must refuse one that
    /// is not that of the connection, unless a trusted proxy may have ended TLS (RFC 9110, section 7.4).
    pub fn scheme(&self) -> Option<&'static str> {
        self.form.scheme()
    }

    /// The host that the request is for, and the port if there is one: from the target, which takes
    /// precedence (RFC 9112, section 3.2.2), otherwise from the Host field. `None` if neither has a
    /// host.
    pub fn authority(&self) -> Option<&'h str> {
        let host = || self.header("Host").filter(|host| !host.is_empty());
        self.form.authority().or_else(host)
    }

    /// The values of the fields with this name, in their order. Names are compared case-insensitively.
    pub fn header_values(&self, name: &str) -> impl Iterator<Item = &'h [u8]> {
        let named =
            self.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
        named.map(|header| header.value)
    }

    /// The value of the field with this name, if there is exactly one and it is UTF-8.
    pub fn header(&self, name: &str) -> Option<&'h str> {
        single(self.header_values(name))
    }

    /// The names of the fields as they were sent, in their order.
    pub fn header_names(&self) -> impl Iterator<Item = &'h str> {
        self.headers.iter().map(|header| header.name)
    }

    /// The names of the subprotocols that the client offers, in its order of preference
    /// (RFC 6455, section 11.3.4).
    pub fn subprotocols(&self) -> impl Iterator<Item = &'h str> {
        self.list("Sec-WebSocket-Protocol")
    }

    /// The elements of a list field, from all its lines (RFC 9110, section 5.6.1).
    pub(crate) fn list(&self, name: &str) -> impl Iterator<Item = &'h str> {
        let lines = self.header_values(name).filter_map(|value| std::str::from_utf8(value).ok());
        lines.flat_map(|line| line.split(',')).map(str::trim_ascii).filter(|item| !item.is_empty())
    }

    pub(crate) fn lists_token(&self, name: &str, token: &str) -> bool {
        self.list(name).any(|item| item.eq_ignore_ascii_case(token))
    }

    /// Whether the version is HTTP/1.0.
    pub(crate) fn is_http_1_0(&self) -> bool {
        self.is_http_1_0
    }

    /// Whether the client may send another request after the response (RFC 9112, section 9.3). HTTP/1.0
    /// clients would have to ask for that, and get no persistent connections.
    pub fn is_persistent(&self) -> bool {
        !self.is_http_1_0 && !self.lists_token("Connection", "close")
    }

    /// Whether the request asks for a WebSocket. RFC 9110, section 7.8: "A server MUST ignore an
    /// Upgrade header field that is received in an HTTP/1.0 request."
    pub fn asks_for_upgrade(&self) -> bool {
        self.lists_token("Upgrade", "websocket") && !self.is_http_1_0
    }

    /// The refusal of a request that does not ask for a WebSocket, where nothing else is served. Some
    /// proxies turn an upgrade request into HTTP/1.0, and the response should name that cause.
    pub fn missing_upgrade(&self) -> Refusal {
        if self.is_http_1_0 && self.lists_token("Upgrade", "websocket") {
            Refusal::UpgradeInHttp10
        } else {
            Refusal::NoUpgrade
        }
    }

    /// The refusal of a method that the target does not have: 405 if others may have it, otherwise 501
    /// (RFC 9110, section 9.1).
    pub fn unserved_method(&self) -> Refusal {
        Refusal::of_method(self.method)
    }

    /// RFC 9112, section 3.2: "A server MUST respond with a 400 (Bad Request) status code to any
    /// HTTP/1.1 request message that lacks a Host header field and to any request message that
    /// contains more than one Host header field line".
    fn check_host(&self) -> Result<(), Refusal> {
        let mut hosts = self.header_values("Host");
        match (hosts.next(), hosts.next()) {
            (Some(host), None) if is_host_field(host) => Ok(()),
            (Some(_), None) => Err(Refusal::Malformed("the Host field is malformed")),
            (None, _) if self.is_http_1_0 => Ok(()),
            (None, _) => Err(Refusal::Malformed("the Host field is missing")),
            (Some(_), Some(_)) => Err(Refusal::Malformed("there is more than one Host field")),
        }
    }

    /// A body after the head of an upgrade would be taken for frames.
    pub(crate) fn check_no_body(&self) -> Result<(), Refusal> {
        let lengths = self.header_values("Content-Length").all(|length| length == b"0");
        if lengths && self.header_values("Transfer-Encoding").next().is_none() {
            Ok(())
        } else {
            Err(Refusal::Malformed("a request for an upgrade has no body"))
        }
    }

    /// Checks that a plain request has no body (RFC 9112, section 6.3).
    ///
    /// # Errors
    /// [`Refusal::HasBody`]; [`Refusal::Malformed`] if its length is not certain, because a proxy may
    /// then take another part of what follows for the next request (section 11.2).
    #[cfg(feature = "server")]
    pub(crate) fn check_empty(&self) -> Result<(), Refusal> {
        let mut lengths = self.header_values("Content-Length");
        let is_coded = self.header_values("Transfer-Encoding").next().is_some();
        match (lengths.next(), lengths.next()) {
            (None, _) if is_coded => Err(Refusal::HasBody),
            (None, _) => Ok(()),
            (Some(length), None) if !is_coded && is_length(length) => {
                let is_empty = length.iter().all(|&digit| digit == b'0');
                if is_empty { Ok(()) } else { Err(Refusal::HasBody) }
            }
            _ => Err(Refusal::Malformed("the length of the request's body is not certain")),
        }
    }
}

/// Whether this is a valid value of the Host field: an authority, or an empty value, which a client
/// sends if its target has no authority (RFC 9112, section 3.2).
fn is_host_field(value: &[u8]) -> bool {
    value.is_empty() || std::str::from_utf8(value).is_ok_and(is_authority)
}

/// The first line that is not empty, without its end, and the rest of the head.
fn split_line(head: &[u8]) -> (&[u8], &[u8]) {
    let begin = head.iter().position(|byte| !b"\r\n".contains(byte)).unwrap_or_default();
    let end =
        head[begin..].iter().position(|byte| *byte == b'\n').map_or(head.len(), |end| begin + end);
    let line = &head[begin..end];
    (line.strip_suffix(b"\r").unwrap_or(line), head.get(end + 1..).unwrap_or_default())
}

fn parse_fields(fields: &[u8], max_headers: usize) -> Result<Vec<httparse::Header<'_>>, Refusal> {
    // Each field is a line, and the empty line at the end is one too.
    let lines = fields.iter().filter(|&&byte| byte == b'\n').count();
    let mut headers = vec![httparse::EMPTY_HEADER; max_headers.min(lines)];
    let count = match httparse::parse_headers(fields, &mut headers) {
        Ok(httparse::Status::Complete((_, parsed))) => parsed.len(),
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooManyHeaders),
        _ => return Err(Refusal::Malformed("the header fields are malformed")),
    };
    headers.truncate(count);
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(head: &str) -> Result<Request<'_>, Refusal> {
        Request::parse(head.as_bytes(), 16)
    }

    #[test]
    fn path_and_query_are_those_of_the_target_in_any_form() {
        for (target, path, query) in [
            ("/a/b?c=d?e", "/a/b", Some("c=d?e")),
            ("http://example.com/a?u=ws://x/y", "/a", Some("u=ws://x/y")),
            ("WSS://example.com", "/", None),
            ("ws://example.com?a=/b", "/", Some("a=/b")),
            ("/caf%c3%a9/../b", "/caf%c3%a9/../b", None),
        ] {
            let head = format!("GET {target} HTTP/1.1\r\nHost: example.com\r\n\r\n");
            let request = parse(&head).unwrap();
            assert_eq!((request.path(), request.query()), (path, query), "{target}");
            assert_eq!(request.target(), target);
        }
    }

    #[test]
    fn the_authority_of_the_target_takes_precedence_over_the_host_field() {
        for (target, host, scheme, authority) in [
            ("/", "a:80", None, Some("a:80")),
            ("/", "", None, None),
            ("ws://b:90/", "a:80", Some("ws"), Some("b:90")),
            ("HTTPS://b", "", Some("https"), Some("b")),
        ] {
            let head = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            let request = parse(&head).unwrap();
            assert_eq!((request.scheme(), request.authority()), (scheme, authority), "{head}");
        }
    }

    #[test]
    fn an_invalid_host_is_refused_whatever_the_target() {
        let malformed = Refusal::Malformed("the Host field is malformed");
        for host in
            ["a:b:c", "a b", "user@a", "http://a", "a/b", ":80", "a, b", "[::1", "gr\u{fc}n"]
        {
            for target in ["/", "http://a/"] {
                let head = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
                assert_eq!(parse(&head).unwrap_err(), malformed, "{head}");
            }
        }
    }

    #[test]
    fn a_missing_upgrade_names_http_1_0_only_if_it_is_the_cause() {
        for (version, upgrade, refusal) in [
            ("1.0", "websocket", Refusal::UpgradeInHttp10),
            ("1.0", "h2c", Refusal::NoUpgrade),
            ("1.1", "h2c", Refusal::NoUpgrade),
        ] {
            let head = format!("GET / HTTP/{version}\r\nHost: a\r\nUpgrade: {upgrade}\r\n\r\n");
            let request = parse(&head).unwrap();
            assert!(!request.asks_for_upgrade());
            assert_eq!(request.missing_upgrade(), refusal, "{head}");
        }
    }

    #[test]
    #[cfg(feature = "server")]
    fn a_request_without_a_body_says_so_or_nothing() {
        let uncertain = Refusal::Malformed("the length of the request's body is not certain");
        for (fields, outcome) in [
            ("", Ok(())),
            ("Content-Length: 00\r\n", Ok(())),
            ("Content-Length: 10\r\n", Err(Refusal::HasBody)),
            ("Transfer-Encoding: chunked\r\n", Err(Refusal::HasBody)),
            ("Content-Length:\r\n", Err(uncertain)),
            ("Content-Length: 0x0\r\n", Err(uncertain)),
            ("Content-Length: 0\r\nContent-Length: 0\r\n", Err(uncertain)),
            ("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", Err(uncertain)),
        ] {
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
            assert_eq!(parse(&head).unwrap().check_empty(), outcome, "{fields}");
        }
    }

    #[test]
    fn equivalent_targets_name_one_room() {
        for target in ["/caf%C3%A9", "/caf%c3%a9", "ws://b/x/../caf%c3%a9?a=/b", "/café"] {
            let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(parse(&head).unwrap().normal_path(), "/caf%C3%A9", "{target}");
        }
    }
}
