//! Whose pages may connect (RFC 6455, section 10.2; RFC 6454).
//!
//! Browsers let any page open a WebSocket to any server, with the visitor's cookies, and tell the
//! page's origin. A server that does not look at it can be used by every page that its users visit.

use core::net::{IpAddr, Ipv6Addr};

use super::request::Request;
use super::violation::Refusal;

/// The origins from which a browser's page may connect. Clients that send no Origin, which
/// browsers always do, are not asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origins {
    /// Whether every origin may.
    pub any: bool,
    /// Those that may beside the server's own, each as a browser sends it: `https://example.com`,
    /// `http://localhost:3000`, `null`.
    pub also: Vec<String>,
}

impl Origins {
    /// Whether the page that a request comes from, if it comes from one, may connect.
    ///
    /// # Errors
    /// [`Refusal::Origin`] where it may not, or where there is more than one Origin.
    pub fn check(&self, request: &Request<'_>) -> Result<(), Refusal> {
        if request.header_values("Origin").next().is_none() {
            return Ok(());
        }
        let allowed = match (request.header("Origin"), request.authority()) {
            (Some(origin), Some(host)) => self.allow(origin, host),
            _ => false,
        };
        if allowed { Ok(()) } else { Err(Refusal::Origin) }
    }

    /// Whether a page of this origin may connect to this host, as its request names it.
    pub fn allow(&self, origin: &str, host: &str) -> bool {
        self.any || is_same_host(origin, host) || self.also.iter().any(|one| is_same(one, origin))
    }
}

/// Whether two origins are the same one.
fn is_same(one: &str, other: &str) -> bool {
    match (Parsed::origin(one), Parsed::origin(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

/// Whether the origin's host and port are those of a Host field. Behind a proxy that ends TLS the
/// server does not know its own scheme, so that the origin's decides what no port means.
fn is_same_host(origin: &str, host: &str) -> bool {
    let Some(origin) = Parsed::origin(origin) else { return false };
    Parsed::authority(origin.scheme, host) == Some(origin)
}

/// A scheme, a host and a port, in the one form that can be compared.
#[derive(Debug, PartialEq, Eq)]
struct Parsed {
    scheme: Scheme,
    host: Host,
    port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

#[derive(Debug, PartialEq, Eq)]
enum Host {
    Address(IpAddr),
    /// In lower case, without the dot of the root.
    Name(String),
}

impl Parsed {
    /// Reads `scheme://host[:port]` (RFC 6454, section 7); `null` is `None`.
    fn origin(origin: &str) -> Option<Self> {
        let (scheme, authority) = origin.split_once("://")?;
        if scheme.eq_ignore_ascii_case("http") {
            Self::authority(Scheme::Http, authority)
        } else if scheme.eq_ignore_ascii_case("https") {
            Self::authority(Scheme::Https, authority)
        } else {
            None
        }
    }

    /// Reads `host[:port]` (RFC 9110, section 7.2).
    fn authority(scheme: Scheme, authority: &str) -> Option<Self> {
        // The colons of an IPv6 address are inside its brackets.
        let bracket = authority.find(']').unwrap_or_default();
        let (host, port) = match authority[bracket..].find(':') {
            Some(colon) => authority.split_at(bracket + colon),
            None => (authority, ""),
        };
        let port = match (port, scheme) {
            ("" | ":", Scheme::Http) => 80,
            ("" | ":", Scheme::Https) => 443,
            (port, _) if port[1..].bytes().all(|byte| byte.is_ascii_digit()) => {
                port[1..].parse().ok()?
            }
            _ => return None,
        };
        Some(Self { scheme, host: Host::parse(host)?, port })
    }
}

impl Host {
    fn parse(host: &str) -> Option<Self> {
        if let Some(literal) = host.strip_prefix('[') {
            let address: Ipv6Addr = literal.strip_suffix(']')?.parse().ok()?;
            return Some(Self::Address(address.into()));
        }
        let name = host.strip_suffix('.').unwrap_or(host);
        if let Ok(address) = name.parse() {
            return Some(Self::Address(IpAddr::V4(address)));
        }
        // Browsers send names that are not ASCII in Punycode (RFC 3492).
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let valid = !name.is_empty() && name.bytes().all(is_name);
        valid.then(|| Self::Name(name.to_ascii_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(origin: &str, host: &str) -> bool {
        Origins::default().allow(origin, host)
    }

    #[test]
    fn a_page_of_the_same_host_may() {
        for (origin, host) in [
            ("http://example.com", "example.com"),
            ("https://example.com", "example.com"),
            ("http://example.com", "example.com:80"),
            ("https://example.com", "example.com:443"),
            ("https://example.com:443", "example.com"),
            ("http://localhost:8080", "localhost:8080"),
            ("HTTP://Example.COM", "eXample.com."),
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://[::1]:8080", "[::1]:8080"),
            ("http://[0:0:0:0:0:0:0:1]", "[::1]"),
            ("https://xn--bcher-kva.example", "XN--BCHER-KVA.example"),
        ] {
            assert!(allowed(origin, host), "{origin} at {host}");
        }
    }

    #[test]
    fn no_other_page_may() {
        for (origin, host) in [
            ("http://evil.example", "example.com"),
            ("http://example.com.evil.example", "example.com"),
            ("http://evil-example.com", "example.com"),
            ("http://example.com@evil.example", "example.com"),
            ("http://evil.example/example.com", "example.com"),
            ("http://sub.example.com", "example.com"),
            ("null", "example.com"),
            ("null", "null"),
            ("", "example.com"),
            ("file://", ""),
            ("http://", ""),
            ("ftp://example.com", "example.com"),
            ("http://example.com:8080", "example.com"),
            ("http://example.com", "example.com:8080"),
            ("https://example.com", "example.com:80"),
            ("http://example.com:", "example.com:99999"),
            ("http://example.com:+80", "example.com"),
            ("http://127.0.0.1", "localhost"),
            ("http://[::1]", "[::2]"),
            ("http://[::1", "[::1"),
            ("http://bücher.example", "bücher.example"),
        ] {
            assert!(!allowed(origin, host), "{origin} at {host}");
        }
    }

    #[test]
    fn those_that_are_named_may_and_a_star_is_everybody() {
        let also = vec!["https://app.example".into(), "http://[::1]:3000".into(), "null".into()];
        let origins = Origins { any: false, also };
        for origin in
            ["https://app.example", "https://APP.example:443", "null", "http://[0::1]:3000"]
        {
            assert!(origins.allow(origin, "chat.example"), "{origin}");
        }
        assert!(!origins.allow("http://app.example", "chat.example"));
        assert!(!origins.allow("https://app.example:8443", "chat.example"));
        let any = Origins { any: true, also: Vec::new() };
        assert!(any.allow("http://evil.example", "chat.example"));
    }
}
