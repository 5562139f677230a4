//! Where a request has its token.

use std::borrow::Cow;

use townhall::Request;

/// The beginning of a subprotocol that is a token, because a page cannot set a header field.
const SUBPROTOCOL_PREFIX: &str = "bearer.";

/// A request has two different tokens.
#[derive(Debug, PartialEq, Eq)]
pub struct Ambiguous;

/// Where a request may have its token, besides Authorization and Sec-WebSocket-Protocol.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The name of a cookie.
    pub cookie: Option<String>,
    /// The name of a parameter of the query.
    pub query: Option<String>,
}

impl Sources {
    /// The token of a request, if it has one.
    ///
    /// # Errors
    /// The request has two different tokens, and it is not certain which of them counts.
    pub fn find<'h>(&self, request: &Request<'h>) -> Result<Option<Cow<'h, str>>, Ambiguous> {
        let mut tokens = from_fields(request);
        if let Some(name) = &self.cookie {
            tokens.extend(from_cookies(request, name));
        }
        if let Some(name) = &self.query {
            let query = request.query().unwrap_or_default();
            let parameters = form_urlencoded::parse(query.as_bytes());
            tokens.extend(parameters.filter(|(found, _)| found == name).map(|(_, value)| value));
        }
        tokens.dedup();
        let token = tokens.pop();
        if tokens.is_empty() { Ok(token) } else { Err(Ambiguous) }
    }
}

/// The tokens in Authorization (RFC 6750, section 2.1) and among the subprotocols.
fn from_fields<'h>(request: &Request<'h>) -> Vec<Cow<'h, str>> {
    let fields = request.header_values("Authorization").map(String::from_utf8_lossy);
    let fields = fields.filter_map(bearer);
    let offered = request.subprotocols().filter_map(|name| name.strip_prefix(SUBPROTOCOL_PREFIX));
    fields.chain(offered.map(Cow::from)).collect()
}

/// The token in the value of Authorization. RFC 9110, section 11.1: the scheme is compared without case.
fn bearer(credentials: Cow<'_, str>) -> Option<Cow<'_, str>> {
    let (scheme, token) = credentials.split_once(' ')?;
    let is_bearer = scheme.eq_ignore_ascii_case("bearer");
    is_bearer.then(|| Cow::from(token.trim().to_owned()))
}

/// The values of the cookies with this name (RFC 6265, section 4.1.1).
fn from_cookies<'h>(request: &Request<'h>, name: &str) -> Vec<Cow<'h, str>> {
    let fields = request.header_values("Cookie").filter_map(|field| str::from_utf8(field).ok());
    let pairs = fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.split_once('='));
    let named = pairs.filter(|(found, _)| found.trim() == name);
    named.map(|(_, value)| Cow::from(value.trim().trim_matches('"'))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(target: &str, fields: &str) -> Result<Option<String>, Ambiguous> {
        let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let request = Request::parse(head.as_bytes(), 10).unwrap();
        let sources =
            Sources { cookie: Some("session".to_owned()), query: Some("token".to_owned()) };
        sources.find(&request).map(|token| token.map(Cow::into_owned))
    }

    #[test]
    fn a_token_is_found_wherever_it_may_be() {
        for (target, fields) in [
            ("/", "Authorization: Bearer a.b.c\r\n"),
            ("/", "authorization: bearer  a.b.c \r\n"),
            ("/", "Sec-WebSocket-Protocol: chat, bearer.a.b.c\r\n"),
            ("/", "Cookie: other=x; session=a.b.c; last=y\r\n"),
            ("/", "Cookie: session=\"a.b.c\"\r\n"),
            ("/?room=x&token=a.b.c", ""),
            ("/?token=a%2Eb.c", "Authorization: Bearer a.b.c\r\nCookie: session=a.b.c\r\n"),
        ] {
            assert_eq!(find(target, fields), Ok(Some("a.b.c".to_owned())), "{target} {fields}");
        }
    }

    #[test]
    fn what_is_no_token_is_none() {
        for (target, fields) in [
            ("/", ""),
            ("/", "Authorization: Basic YTpi\r\n"),
            ("/", "Authorization: Bearer\r\n"),
            ("/", "Sec-WebSocket-Protocol: Bearer.a, bearer\r\n"),
            ("/", "Cookie: sessions=a; Session=a; session\r\n"),
            ("/?tokens=a", ""),
        ] {
            assert_eq!(find(target, fields), Ok(None), "{target} {fields}");
        }
        let (head, none) =
            ("GET /?token=a HTTP/1.1\r\nHost: a\r\nCookie: session=b\r\n\r\n", Sources::default());
        assert_eq!(none.find(&Request::parse(head.as_bytes(), 10).unwrap()), Ok(None));
    }

    #[test]
    fn two_different_tokens_are_an_error() {
        for (target, fields) in [
            ("/", "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n"),
            ("/", "Authorization: Bearer a\r\nSec-WebSocket-Protocol: bearer.b\r\n"),
            ("/", "Sec-WebSocket-Protocol: bearer.a, chat, bearer.b\r\n"),
            ("/?token=b", "Cookie: session=a\r\n"),
            ("/?token=a&token=b", ""),
            ("/?token=a", "Cookie: session=b\r\nAuthorization: Bearer a\r\n"),
        ] {
            assert_eq!(find(target, fields), Err(Ambiguous), "{target} {fields}");
        }
    }
}
