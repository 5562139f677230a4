//! The forms of a request's target (RFC 9112, section 3.2).

use super::refusal::Refusal;
use super::uri::is_authority;

/// The schemes of an absolute form. The schemes of WebSocket are not HTTP, but clients send them.
const SCHEMES: [&str; 4] = ["http", "https", "ws", "wss"];

/// A request's target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target<'h> {
    /// A path, and a query if there is one.
    Origin(&'h str),
    /// A URI, as clients send it to proxies: its scheme in lower case, its authority, and its path and query,
    /// which may be empty.
    Absolute(&'static str, &'h str, &'h str),
    /// A host and a port, for a tunnel with CONNECT.
    Authority,
    /// The server itself, for OPTIONS.
    Asterisk,
}

impl<'h> Target<'h> {
    /// Parses the target of a request with this method.
    ///
    /// # Errors
    /// The refusal of a target in none of these forms, in a form that the method does not allow, with a
    /// fragment, or with user information (RFC 9110, section 4.2.4).
    pub(super) fn parse(method: &str, target: &'h str) -> Result<Self, Refusal> {
        let parsed = match method {
            "CONNECT" => is_authority(target).then_some(Self::Authority),
            "OPTIONS" if target == "*" => Some(Self::Asterisk),
            _ if target.contains('#') => None,
            _ if target.starts_with('/') => Some(Self::Origin(target)),
            _ => Self::absolute(target),
        };
        parsed.ok_or(Refusal::Malformed("the request's target is malformed"))
    }

    fn absolute(target: &'h str) -> Option<Self> {
        let (scheme, rest) = target.split_once("://")?;
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let scheme = SCHEMES.into_iter().find(|known| known.eq_ignore_ascii_case(scheme))?;
        is_authority(authority).then_some(Self::Absolute(scheme, authority, path))
    }

    /// The scheme of an absolute form, in lower case.
    pub(super) fn scheme(self) -> Option<&'static str> {
        match self {
            Self::Absolute(scheme, ..) => Some(scheme),
            _ => None,
        }
    }

    /// The authority of an absolute form.
    pub(super) fn authority(self) -> Option<&'h str> {
        match self {
            Self::Absolute(_, authority, _) => Some(authority),
            _ => None,
        }
    }

    /// The path, and the query if there is one. Both are empty in the forms that have none
    /// (RFC 9112, section 3.3).
    pub(super) fn path_and_query(self) -> (&'h str, Option<&'h str>) {
        let (whole, empty) = match self {
            Self::Origin(whole) => (whole, ""),
            // RFC 9110, section 4.2.3: "an empty path component is equivalent to an absolute
            // path of '/'".
            Self::Absolute(_, _, whole) => (whole, "/"),
            Self::Authority | Self::Asterisk => ("", ""),
        };
        let (path, query) = match whole.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (whole, None),
        };
        (if path.is_empty() { empty } else { path }, query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(target: &str) -> (Option<&str>, &str, Option<&str>) {
        let target = Target::parse("GET", target).unwrap();
        let (path, query) = target.path_and_query();
        (target.authority(), path, query)
    }

    #[test]
    fn the_origin_form_has_only_a_path() {
        assert_eq!(parts("/a/b?c=d?e"), (None, "/a/b", Some("c=d?e")));
        assert_eq!(parts("/a?"), (None, "/a", Some("")));
        assert_eq!(parts("//a/b"), (None, "//a/b", None));
        assert_eq!(parts("/a?u=ws://x/y"), (None, "/a", Some("u=ws://x/y")));
        assert_eq!(parts("/ws://x/y"), (None, "/ws://x/y", None));
    }

    #[test]
    fn the_absolute_form_has_the_schemes_of_http_and_of_websocket_in_any_case() {
        let root = (Some("example.com"), "/", None);
        for target in ["http://example.com", "HTTPS://example.com/", "ws://example.com"] {
            assert_eq!(parts(target), root, "{target}");
        }
        assert_eq!(parts("WsS://a:1/b?c"), (Some("a:1"), "/b", Some("c")));
        assert_eq!(parts("http://a?b=/c"), (Some("a"), "/", Some("b=/c")));
        assert_eq!(parts("ws://[::1]:8080/a://b"), (Some("[::1]:8080"), "/a://b", None));
    }

    #[test]
    fn each_method_has_its_forms() {
        for (method, target) in [
            ("GET", "*"),
            ("GET", "a"),
            ("GET", "/a#b"),
            ("GET", "a:80"),
            ("GET", "ftp://a/"),
            ("GET", "://a/"),
            ("GET", "http:///a"),
            ("GET", "http://user@a/"),
            ("GET", "http://a:b/"),
            ("GET", "http://a#b"),
            ("POST", "*"),
            ("OPTIONS", "**"),
            ("CONNECT", "/a"),
        ] {
            assert!(Target::parse(method, target).is_err(), "{method} {target}");
        }
        assert_eq!(Target::parse("CONNECT", "a:443"), Ok(Target::Authority));
        assert_eq!(Target::parse("OPTIONS", "*"), Ok(Target::Asterisk));
        assert_eq!(Target::parse("OPTIONS", "/a"), Ok(Target::Origin("/a")));
        assert_eq!(Target::Asterisk.path_and_query(), ("", None));
    }
}
