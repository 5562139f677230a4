//! WebSocket URIs (RFC 6455, section 3).

use std::fmt::{self, Write};
use std::str::FromStr;

use crate::protocol::http::{is_authority, is_unreserved};

/// A `ws` or `wss` URI (RFC 6455, section 3). `http` and `https` mean the same, as in browsers.
///
/// ```
/// use townhall::protocol::WebSocketUri;
///
/// let uri: WebSocketUri = "wss://Chat.Example/lobby?name=Ada".parse()?;
/// assert!(uri.is_secure());
/// assert_eq!((uri.host(), uri.port()), ("chat.example", 443));
/// assert_eq!(uri.resource(), "/lobby?name=Ada");
/// assert_eq!(uri.authority(), "chat.example");
///
/// let uri: WebSocketUri = "ws://[::1]:8080".parse()?;
/// assert_eq!((uri.host(), uri.port(), uri.resource()), ("::1", 8080, "/"));
/// assert_eq!(uri.authority(), "[::1]:8080");
/// # Ok::<(), townhall::protocol::InvalidUri>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WebSocketUri {
    is_secure: bool,
    /// The host, with the brackets of an IPv6 address.
    host: String,
    port: u16,
    resource: String,
}

impl WebSocketUri {
    /// Whether the connection uses TLS.
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// The host to connect to: a name in lower case, or an IP address without brackets.
    pub fn host(&self) -> &str {
        let inner = self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        inner.unwrap_or(&self.host)
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The value of the Host field: the host, and the port unless it is the default of the scheme.
    pub fn authority(&self) -> String {
        if self.port == default_port(self.is_secure) {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The resource name: the path and the query (RFC 6455, section 3).
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// The same URI with another parameter at the end of its query. The value is percent-encoded.
    ///
    /// ```
    /// use townhall::protocol::WebSocketUri;
    ///
    /// let uri: WebSocketUri = "ws://localhost/lobby".parse()?;
    /// let uri = uri.with_parameter("last", "10").with_parameter("name", "a&b");
    /// assert_eq!(uri.to_string(), "ws://localhost/lobby?last=10&name=a%26b");
    /// # Ok::<(), townhall::protocol::InvalidUri>(())
    /// ```
    #[must_use]
    pub fn with_parameter(mut self, name: &str, value: &str) -> Self {
        self.resource.push(if self.resource.contains('?') { '&' } else { '?' });
        encode(name, is_unreserved, &mut self.resource);
        self.resource.push('=');
        encode(value, is_unreserved, &mut self.resource);
        self
    }
}

impl fmt::Display for WebSocketUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure { "wss" } else { "ws" };
        write!(f, "{scheme}://{}{}", self.authority(), self.resource)
    }
}

impl FromStr for WebSocketUri {
    type Err = InvalidUri;

    /// Parses a URI. Characters that no URI may contain are percent-encoded.
    fn from_str(text: &str) -> Result<Self, InvalidUri> {
        let (scheme, rest) = text.split_once("://").ok_or(InvalidUri::Scheme)?;
        let is_secure = match scheme.to_ascii_lowercase().as_str() {
            "ws" | "http" => false,
            "wss" | "https" => true,
            _ => return Err(InvalidUri::Scheme),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, resource) = rest.split_at(end);
        if resource.contains('#') {
            return Err(InvalidUri::Fragment);
        }
        let (host, port) = split_authority(authority)?;
        Ok(Self {
            is_secure,
            host: host.to_ascii_lowercase(),
            port: port.unwrap_or(default_port(is_secure)),
            resource: resource_name(resource),
        })
    }
}

fn default_port(is_secure: bool) -> u16 {
    if is_secure { 443 } else { 80 }
}

fn split_authority(authority: &str) -> Result<(&str, Option<u16>), InvalidUri> {
    if authority.contains('@') {
        return Err(InvalidUri::UserInfo);
    }
    if !is_authority(authority) {
        return Err(InvalidUri::Authority);
    }
    // The colons of an IPv6 address are inside its brackets.
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => match port {
            "" => Ok((host, None)),
            port => port.parse().map(|port| (host, Some(port))).map_err(|_| InvalidUri::Authority),
        },
        _ => Ok((authority, None)),
    }
}

/// "If the path is empty", the resource name begins with "/".
fn resource_name(resource: &str) -> String {
    let mut name = if resource.starts_with('/') { String::new() } else { "/".to_owned() };
    encode(resource, |byte| byte.is_ascii_graphic(), &mut name);
    name
}

/// Appends a text to `out`, with every byte percent-encoded that is not allowed (RFC 3986, section 2.1).
fn encode(text: &str, is_allowed: fn(u8) -> bool, out: &mut String) {
    for byte in text.bytes() {
        if is_allowed(byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// The reason why a text is not a WebSocket URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidUri {
    /// The scheme is neither `ws` nor `wss`.
    Scheme,
    /// The host or the port is not valid.
    Authority,
    /// There is a user or a password, for which a WebSocket URI has no place.
    UserInfo,
    /// There is a fragment: "Fragment identifiers are meaningless in the context of WebSocket URIs and
    /// MUST NOT be used".
    Fragment,
}

impl fmt::Display for InvalidUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "the URL must begin with ws:// or wss://",
            Self::Authority => "invalid host or port",
            Self::UserInfo => "a WebSocket URL has no user and no password",
            Self::Fragment => "a WebSocket URL has no fragment (#)",
        })
    }
}

impl std::error::Error for InvalidUri {}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<WebSocketUri, InvalidUri> {
        text.parse()
    }

    #[test]
    fn a_uri_has_a_host_a_port_and_a_resource() {
        for (text, shown) in [
            ("ws://localhost", "ws://localhost/"),
            ("WS://LOCALHOST:80/", "ws://localhost/"),
            ("http://localhost:", "ws://localhost/"),
            ("wss://a.example:443/b?c=d", "wss://a.example/b?c=d"),
            ("https://a.example:8443?c", "wss://a.example:8443/?c"),
            ("ws://[::1]", "ws://[::1]/"),
            ("ws://[::1]:8080/a", "ws://[::1]:8080/a"),
            ("wss://127.0.0.1:80/", "wss://127.0.0.1:80/"),
            ("ws://a/caf\u{e9} b", "ws://a/caf%C3%A9%20b"),
            ("ws://a/%2F?%", "ws://a/%2F?%"),
            ("ws://a/%23?%23", "ws://a/%23?%23"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn a_uri_says_where_to_connect() {
        let parts = |text| {
            let uri = parse(text).unwrap();
            (uri.is_secure(), uri.host().to_owned(), uri.port())
        };
        assert_eq!(parts("wss://A.example/"), (true, "a.example".to_owned(), 443));
        assert_eq!(parts("ws://[::1]:8080/"), (false, "::1".to_owned(), 8080));
        assert_eq!(parts("ws://127.0.0.1"), (false, "127.0.0.1".to_owned(), 80));
    }

    #[test]
    fn a_text_that_is_no_uri_is_refused() {
        for (text, error) in [
            ("localhost:8080", InvalidUri::Scheme),
            ("ftp://localhost", InvalidUri::Scheme),
            ("ws:/localhost", InvalidUri::Scheme),
            ("ws://", InvalidUri::Authority),
            ("ws:///a", InvalidUri::Authority),
            ("ws://a b/", InvalidUri::Authority),
            ("ws://a:65536", InvalidUri::Authority),
            ("ws://a:b", InvalidUri::Authority),
            ("ws://::1/", InvalidUri::Authority),
            ("ws://b\u{fc}cher.example/", InvalidUri::Authority),
            ("ws://a:b@c/", InvalidUri::UserInfo),
            ("ws://a/#b", InvalidUri::Fragment),
            ("ws://a#b", InvalidUri::Fragment),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_parameter_is_added_to_the_query_there_is() {
        let uri = parse("ws://a/b?c").unwrap().with_parameter("d", "1 \u{fc}=&#");
        assert_eq!(uri.resource(), "/b?c&d=1%20%C3%BC%3D%26%23");
    }
}
