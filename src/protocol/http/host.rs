//! Hosts and authorities: how a request names the server (RFC 9110, section 7.2).

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// The maximum length of a name in bytes (RFC 1035, section 2.3.4, in the notation with dots).
const MAX_NAME_BYTES: usize = 253;

/// A host in canonical form, which can be compared: an IP address, or a name in lower case without the
/// dot of the root. Non-ASCII names are in Punycode (RFC 3492), as browsers send them.
///
/// ```
/// use townhall::protocol::Host;
///
/// let host: Host = "Chat.Example.".parse()?;
/// assert_eq!(host.to_string(), "chat.example");
///
/// let host: Host = "::1".parse()?;
/// assert!(host.is_loopback() && host.is_address("::1".parse()?));
/// assert!("chat.example:80".parse::<Host>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Host(Kind);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Kind {
    Address(IpAddr),
    Name(Box<str>),
}

impl Host {
    /// Parses `uri-host` (RFC 3986, section 3.2.2), with an IPv6 address in brackets.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(literal) = text.strip_prefix('[') {
            let address: Ipv6Addr = literal.strip_suffix(']')?.parse().ok()?;
            return Some(Self::from(IpAddr::from(address)));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        match name.parse() {
            Ok(address) => Some(Self::from(IpAddr::V4(address))),
            Err(_) => is_name(name).then(|| Self(Kind::Name(name.to_ascii_lowercase().into()))),
        }
    }

    /// Whether the host always refers to the client's own machine: `localhost`, a name below it (RFC
    /// 6761, section 6.3), or a loopback address. No name server decides what these names resolve to.
    pub fn is_loopback(&self) -> bool {
        match &self.0 {
            Kind::Address(address) => address.to_canonical().is_loopback(),
            Kind::Name(name) => {
                let label = name.strip_suffix("localhost");
                label.is_some_and(|label| label.is_empty() || label.ends_with('.'))
            }
        }
    }

    /// Whether the host is this address. An IPv4-mapped IPv6 address equals its IPv4 address.
    pub fn is_address(&self, address: IpAddr) -> bool {
        matches!(self.0, Kind::Address(own) if own.to_canonical() == address.to_canonical())
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        Self(Kind::Address(address))
    }
}

impl FromStr for Host {
    type Err = InvalidHost;

    /// Parses a name or an IP address, which needs no brackets.
    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        let text = text.trim_ascii();
        let address = text.parse().map(|address: IpAddr| Self::from(address)).ok();
        address.or_else(|| Self::parse(text)).ok_or(InvalidHost(()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Address(IpAddr::V4(address)) => address.fmt(f),
            Kind::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Kind::Name(name) => f.write_str(name),
        }
    }
}

/// The error of a text that is not a [`Host`]. Its message explains the form of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidHost(());

impl fmt::Display for InvalidHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a host is a name such as chat.example, or an IP address, without a scheme, a port or \
             a path; a name that is not ASCII is written in Punycode, xn--...",
        )
    }
}

impl std::error::Error for InvalidHost {}

/// Whether this can be the name of a host. A name cannot end in a number, because browsers would parse
/// it as an IPv4 address (WHATWG URL, section 3.5), in forms that other parsers do not support.
fn is_name(name: &str) -> bool {
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(is_name_byte);
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_hex = last.strip_prefix("0x").or(last.strip_prefix("0X")).is_some();
    let is_number = is_hex || last.bytes().all(|byte| byte.is_ascii_digit());
    name.len() <= MAX_NAME_BYTES && name.split('.').all(is_label) && !is_number
}

/// A host, and a port if there is one: `uri-host [ ":" port ]` (RFC 9110, section 7.2).
///
/// ```
/// use townhall::protocol::Authority;
///
/// let authority: Authority = "Chat.Example:8080".parse()?;
/// assert_eq!(authority.host.to_string(), "chat.example");
/// assert_eq!(authority.port, Some(8080));
/// assert_eq!(authority.to_string(), "chat.example:8080");
/// # Ok::<(), townhall::protocol::InvalidAuthority>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Authority {
    /// The host.
    pub host: Host,
    /// The port, if there is one. `chat.example:` has none.
    pub port: Option<u16>,
}

impl Authority {
    pub(super) fn parse(text: &str) -> Option<Self> {
        // The colons of an IPv6 address are inside its brackets.
        let bracket = text.find(']').unwrap_or_default();
        let (host, port) = match text[bracket..].find(':') {
            Some(colon) => (&text[..bracket + colon], &text[bracket + colon + 1..]),
            None => (text, ""),
        };
        // `parse` would accept a sign.
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = match port {
            "" => None,
            port if is_number => Some(port.parse().ok()?),
            _ => return None,
        };
        Some(Self { host: Host::parse(host)?, port })
    }
}

impl FromStr for Authority {
    type Err = InvalidAuthority;

    /// Parses an authority without user information. An IPv6 address is in brackets.
    fn from_str(text: &str) -> Result<Self, InvalidAuthority> {
        Self::parse(text).ok_or(InvalidAuthority(()))
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => self.host.fmt(f),
        }
    }
}

/// The error of a text that is not an [`Authority`]. Its message explains the form of an authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidAuthority(());

impl fmt::Display for InvalidAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an authority is a host, or a host and a port, such as chat.example:8080")
    }
}

impl std::error::Error for InvalidAuthority {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_form() {
        for (text, form) in [
            ("chat.example", "chat.example"),
            (" Chat.EXAMPLE. ", "chat.example"),
            ("a_b-c", "a_b-c"),
            ("127.0.0.1", "127.0.0.1"),
            ("[0:0::1]", "[::1]"),
            ("0:0::1", "[::1]"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("0x.example", "0x.example"),
        ] {
            assert_eq!(text.parse::<Host>().unwrap().to_string(), form, "{text}");
        }
        let long = format!("{}.example", "a.".repeat(123));
        for text in [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a b",
            "a/",
            "http://a",
            "a:80",
            "[::1]:80",
            "[::1",
            "*",
            "*.example",
            "bücher.example",
            "user@a",
            "127.1",
            "2130706433",
            "0x7f.0x1",
            "1.2.3.256",
            &long,
        ] {
            assert!(text.parse::<Host>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_names_that_no_name_server_resolves_are_loopback() {
        let is_loopback = |text: &str| text.parse::<Host>().unwrap().is_loopback();
        for text in [
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "127.0.0.1",
            "127.255.1.2",
            "::1",
            "::ffff:127.0.0.1",
        ] {
            assert!(is_loopback(text), "{text}");
        }
        for text in
            ["evil.example", "notlocalhost", "localhost.evil.example", "10.0.0.1", "0.0.0.0", "::"]
        {
            assert!(!is_loopback(text), "{text}");
        }
    }

    #[test]
    fn an_authority_may_name_a_port() {
        let read = |text: &str| {
            let Authority { host, port } = text.parse().ok()?;
            Some((host.to_string(), port))
        };
        assert_eq!(read("a"), Some(("a".into(), None)));
        assert_eq!(read("a:"), Some(("a".into(), None)));
        assert_eq!(read("a:80"), Some(("a".into(), Some(80))));
        assert_eq!(read("[::1]:080"), Some(("[::1]".into(), Some(80))));
        for text in ["", ":80", "a:b", "a:b:c", "a:+80", "a:65536", "::1", "[::1]x", "u@a"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
