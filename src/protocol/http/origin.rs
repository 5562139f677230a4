//! The origin of a page (RFC 6454).

use std::fmt;
use std::str::FromStr;

use super::host::{Authority, Host};

/// An origin as browsers send it: `https://example.com`, `http://localhost:3000` or `null`.
///
/// It is kept in canonical form, which can be compared, without the default port of its scheme.
///
/// ```
/// use townhall::protocol::Origin;
///
/// let origin: Origin = "HTTPS://Chat.Example:443/".parse()?;
/// assert_eq!(origin.to_string(), "https://chat.example");
/// # Ok::<(), townhall::protocol::InvalidOrigin>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin(Kind);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Kind {
    /// The origin of a page without one, such as a local file or a sandboxed frame.
    Null,
    Web {
        scheme: Scheme,
        host: Host,
        port: u16,
    },
    /// An origin with another scheme, in lower case, such as that of a browser extension, or of an app
    /// that shows pages.
    Other(String),
}

/// The schemes of web pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    pub(super) fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    /// Parses `scheme://host[:port]` (RFC 6454, section 7), or `null`. White space around it and a slash
    /// at its end are ignored.
    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let text = text.trim_ascii();
        let invalid = |problem| InvalidOrigin { text: text.to_owned(), problem };
        if text.eq_ignore_ascii_case("null") {
            return Ok(Self(Kind::Null));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(invalid(Problem::NoScheme));
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let scheme = match &*scheme.to_ascii_lowercase() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "ws" | "wss" => return Err(invalid(Problem::WebSocketScheme)),
            other => return Self::other(other, rest).ok_or(invalid(Problem::Scheme)),
        };
        if rest.contains(['/', '?', '#']) {
            return Err(invalid(Problem::Path));
        }
        if rest.contains('*') {
            return Err(invalid(Problem::Wildcard));
        }
        let authority = Authority::parse(rest).ok_or(invalid(Problem::Host))?;
        Ok(Self(Kind::web(scheme, authority)))
    }
}

impl Kind {
    fn web(scheme: Scheme, Authority { host, port }: Authority) -> Self {
        Self::Web { scheme, host, port: port.unwrap_or(scheme.default_port()) }
    }
}

impl Origin {
    /// An origin with another scheme than http and https (RFC 3986, section 3.1). `scheme` is in lower
    /// case.
    fn other(scheme: &str, rest: &str) -> Option<Self> {
        let is_scheme_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        let is_rest_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:[]%".contains(&byte);
        let begins = scheme.starts_with(|first: char| first.is_ascii_alphabetic());
        let valid = begins && scheme.bytes().all(is_scheme_byte) && rest.bytes().all(is_rest_byte);
        let origin = || Self(Kind::Other(format!("{scheme}://{}", rest.to_ascii_lowercase())));
        valid.then(origin)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Null => f.write_str("null"),
            Kind::Other(origin) => f.write_str(origin),
            Kind::Web { scheme, host, port } => {
                write!(f, "{}://{host}", scheme.name())?;
                if *port == scheme.default_port() { Ok(()) } else { write!(f, ":{port}") }
            }
        }
    }
}

/// The error of a text that is not an [`Origin`], with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidOrigin {
    text: String,
    problem: Problem,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Problem {
    NoScheme,
    WebSocketScheme,
    Scheme,
    Path,
    Wildcard,
    Host,
}

impl InvalidOrigin {
    /// The reason, without the text.
    pub fn reason(&self) -> &'static str {
        match self.problem {
            Problem::NoScheme => "it has no scheme, as in https://chat.example",
            Problem::WebSocketScheme => {
                "the scheme is that of the page that connects: http or https"
            }
            Problem::Scheme => "it is not of the form scheme://host or scheme://host:port",
            Problem::Path => "an origin ends after the host and port, without a path",
            Problem::Wildcard => "an origin cannot contain a *",
            Problem::Host => {
                "what follows the scheme is not a host, or a host and a port; a name that is not \
                 ASCII is written in Punycode, xn--..."
            }
        }
    }
}

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not an origin: {}", self.text, self.reason())
    }
}

impl std::error::Error for InvalidOrigin {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_origin_has_one_form() {
        for (text, form) in [
            ("https://Chat.Example/", "https://chat.example"),
            ("HTTP://chat.example.:80", "http://chat.example"),
            ("http://[::0:1]:8080", "http://[::1]:8080"),
            ("NULL", "null"),
            ("file://", "file://"),
            ("moz-extension://AB12/", "moz-extension://ab12"),
        ] {
            assert_eq!(text.parse::<Origin>().unwrap().to_string(), form);
        }
    }

    proptest! {
        #[test]
        fn the_canonical_form_parses_as_itself_and_can_be_quoted(
            text in "\\PC{0,20}|(https?|app|file)://[a-zA-Z0-9.:_\\[\\]-]{0,12}/?",
        ) {
            if let Ok(origin) = text.parse::<Origin>() {
                let form = origin.to_string();
                prop_assert_eq!(form.parse(), Ok(origin));
                let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\'';
                prop_assert!(form.bytes().all(is_plain), "{}", form);
            }
        }
    }

    #[test]
    fn an_invalid_origin_is_refused_with_the_reason() {
        for (text, reason) in [
            ("chat.example", "no scheme"),
            ("", "no scheme"),
            ("*", "no scheme"),
            ("wss://chat.example", "http or https"),
            ("https://chat.example/app", "without a path"),
            ("https://chat.example?a", "without a path"),
            ("https://*.chat.example", "cannot contain a *"),
            ("https://chat .example", "not a host"),
            ("https://user@chat.example", "not a host"),
            ("https://bücher.example", "Punycode"),
            ("https://chat.example:0x50", "not a host"),
            ("https://", "not a host"),
            ("a b://c", "form scheme://host"),
            ("app://a'b", "form scheme://host"),
            ("app://a/b", "form scheme://host"),
        ] {
            let error = text.parse::<Origin>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{text:?} is not an origin: ")), "{error}");
            assert!(error.contains(reason), "{error}");
        }
    }
}
