//! The addresses to listen on, as people type them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::os::unix::net::SocketAddr as UnixAddress;
use std::path::PathBuf;
use std::str::FromStr;

use townhall::{Listen, ListenAddress};

use super::inherited::Inherited;

/// The port if none is given.
const DEFAULT_PORT: u16 = 8080;

/// One item of `--listen`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenFlag {
    /// Whether TLS is spoken there.
    tls: bool,
    /// Whether connections begin with a PROXY header.
    proxy_protocol: bool,
    on: On,
}

/// Where an item of `--listen` listens.
#[derive(Debug, Clone, PartialEq, Eq)]
enum On {
    /// One address.
    Address(SocketAddr),
    /// A port on every address of this machine.
    Everywhere(u16),
    /// A port on the loopback addresses.
    Localhost(u16),
    /// A port on every address that a name resolves to.
    Name(String, u16),
    /// A Unix socket.
    Unix(PathBuf),
    /// The sockets that were passed under a name, or all those that no other item names.
    Inherited(Option<String>),
}

impl FromStr for ListenFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.strip_prefix("proxy+");
        let proxy_protocol = bare.is_some();
        let bare = bare.unwrap_or(text);
        let (tls, address) = match bare.split_once("://") {
            Some(("https" | "wss", address)) => (true, address),
            Some(("http" | "ws", address)) => (false, address),
            _ => (false, bare),
        };
        let on = address.parse()?;
        if tls && matches!(on, On::Unix(_)) {
            return Err(format!("a Unix socket cannot speak TLS; use {address}"));
        }
        Ok(Self { tls, proxy_protocol, on })
    }
}

impl FromStr for On {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Self::unix(path);
        }
        if text == "systemd" {
            return Ok(Self::Inherited(None));
        }
        if let Some(name) = text.strip_prefix("systemd:") {
            return Self::inherited(name);
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if let Ok(ip) = bare.parse() {
            return Ok(Self::Address(SocketAddr::new(ip, DEFAULT_PORT)));
        }
        match text.rsplit_once(':') {
            Some((host, port)) => Self::new(host, parse_port(port)?),
            None if is_number(text) => Self::new("", parse_port(text)?),
            None => Self::new(text, DEFAULT_PORT),
        }
    }
}

impl On {
    fn unix(path: &str) -> Result<Self, String> {
        if path.is_empty() {
            return Err("unix: needs a path".to_owned());
        }
        if UnixAddress::from_pathname(path).is_err() {
            return Err(format!("a path of {} bytes is too long for a Unix socket", path.len()));
        }
        Ok(Self::Unix(path.into()))
    }

    fn inherited(name: &str) -> Result<Self, String> {
        // systemd.socket(5), FileDescriptorName=
        let is_valid = |name: &str| (1..=255).contains(&name.len()) && !name.contains(':');
        match is_valid(name) {
            true => Ok(Self::Inherited(Some(name.to_owned()))),
            false => Err(format!("{name:?} is not the name of a descriptor")),
        }
    }

    fn new(host: &str, port: u16) -> Result<Self, String> {
        if host.is_empty() {
            return Ok(Self::Everywhere(port));
        }
        if host.eq_ignore_ascii_case("localhost") {
            return Ok(Self::Localhost(port));
        }
        // A host that ends in a number is not a name (RFC 1123, section 2.1), but may be a mistyped
        // address.
        let is_letter = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
        if host.chars().all(is_letter) && !last.is_empty() && !is_number(last) {
            Ok(Self::Name(host.to_owned(), port))
        } else {
            Err(format!("{host:?} is neither an IP address nor a host name"))
        }
    }

    /// The addresses, except those of inherited sockets. "Every address" and "loopback" are one IPv4 and one IPv6 address, if
    /// this machine has both.
    ///
    /// # Errors
    /// The name cannot be resolved.
    fn resolve(&self) -> io::Result<Vec<ListenAddress>> {
        let both = |ips: [IpAddr; 2], port| {
            let here: Vec<_> = ips.into_iter().filter(|&ip| has_address(ip)).collect();
            let ips = if here.is_empty() { ips.to_vec() } else { here };
            ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect()
        };
        let addresses: Vec<_> = match self {
            Self::Unix(path) => return Ok(vec![ListenAddress::Unix(path.clone())]),
            Self::Inherited(_) => Vec::new(),
            Self::Address(address) => vec![*address],
            Self::Everywhere(port) => {
                both([Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()], *port)
            }
            Self::Localhost(port) => {
                both([Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()], *port)
            }
            Self::Name(name, port) => {
                let explain = |error: io::Error| {
                    io::Error::new(error.kind(), format!("cannot resolve the host {name}: {error}"))
                };
                (name.as_str(), *port).to_socket_addrs().map_err(explain)?.collect()
            }
        };
        Ok(addresses.into_iter().map(ListenAddress::Tcp).collect())
    }
}

impl ListenFlag {
    /// Whether TLS is spoken there.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Whether it is a Unix socket that the server makes.
    pub fn is_unix(&self) -> bool {
        matches!(self.on, On::Unix(_))
    }

    /// Whether it is a TCP address that the server binds.
    pub fn is_tcp(&self) -> bool {
        !matches!(self.on, On::Unix(_) | On::Inherited(_))
    }

    /// Whether its sockets are inherited.
    pub fn is_inherited(&self) -> bool {
        matches!(self.on, On::Inherited(_))
    }

    /// This place, with what is spoken there.
    fn on_place(&self, mut place: Listen) -> Listen {
        place.tls = self.tls;
        place.proxy_protocol = self.proxy_protocol;
        place
    }

    /// The inherited sockets of all items.
    ///
    /// # Errors
    /// A socket is missing, or no item names it.
    pub fn inherit_all(items: &[Self], sockets: &Inherited) -> io::Result<Vec<Listen>> {
        let name = |item: &Self| match &item.on {
            On::Inherited(Some(name)) => Some(name.clone()),
            _ => None,
        };
        let names: Vec<_> = items.iter().filter_map(name).collect();
        let mut listen = Vec::new();
        let mut used = Vec::new();
        for item in items.iter().filter(|item| item.is_inherited()) {
            for socket in sockets.find(name(item).as_deref(), &names)? {
                if !used.contains(&socket) {
                    listen.push(item.on_place(Listen::inherited(socket.clone())));
                    used.push(socket);
                }
            }
        }
        sockets.check_use(&used)?;
        Ok(listen)
    }

    /// The addresses of all items that are not inherited, without duplicates.
    ///
    /// # Errors
    /// A name cannot be resolved.
    pub fn resolve_all(items: &[Self]) -> io::Result<Vec<Listen>> {
        let mut listen: Vec<Listen> = Vec::new();
        for item in items {
            for address in item.on.resolve()? {
                // Port 0 is a different port each time.
                let is_new_port = matches!(address, ListenAddress::Tcp(tcp) if tcp.port() == 0);
                if is_new_port || listen.iter().all(|other| other.address != address) {
                    listen.push(item.on_place(Listen::from(address)));
                }
            }
        }
        Ok(listen)
    }
}

fn parse_port(text: &str) -> Result<u16, String> {
    // `parse` would accept a sign.
    let digits = Some(text).filter(|text| is_number(text));
    let port = digits.and_then(|digits| digits.parse().ok());
    port.ok_or_else(|| format!("{text:?} is not a port, which is a number up to 65535"))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether this machine has the address.
fn has_address(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_spellings_of_addresses_are_parsed() {
        let address = |text: &str| On::Address(text.parse().unwrap());
        let cases = [
            ("127.0.0.1:80", address("127.0.0.1:80")),
            ("127.0.0.1", address("127.0.0.1:8080")),
            ("[::1]:80", address("[::1]:80")),
            ("[::1]", address("[::1]:8080")),
            ("::1", address("[::1]:8080")),
            ("::", address("[::]:8080")),
            ("0.0.0.0", address("0.0.0.0:8080")),
            ("8081", On::Everywhere(8081)),
            (":8081", On::Everywhere(8081)),
            ("localhost", On::Localhost(8080)),
            ("LocalHost:8081", On::Localhost(8081)),
            ("chat.example:8081", On::Name("chat.example".into(), 8081)),
            ("web", On::Name("web".into(), 8080)),
            ("systemd", On::Inherited(None)),
            ("systemd:web", On::Inherited(Some("web".into()))),
        ];
        for (text, listen) in cases {
            for (scheme, tls, proxy_protocol) in [
                ("", false, false),
                ("http://", false, false),
                ("https://", true, false),
                ("wss://", true, false),
                ("proxy+", false, true),
                ("proxy+http://", false, true),
                ("proxy+https://", true, true),
            ] {
                let on = listen.clone();
                let parsed = format!("{scheme}{text}").parse();
                assert_eq!(parsed, Ok(ListenFlag { tls, proxy_protocol, on }), "{scheme}{text}");
            }
        }
    }

    #[test]
    fn an_invalid_address_is_an_error() {
        let wrong = [
            ("99999", "\"99999\" is not a port"),
            ("localhost:http", "\"http\" is not a port"),
            ("localhost:", "\"\" is not a port"),
            ("127.0.0.1:+80", "\"+80\" is not a port"),
            ("127.0.0.256:80", "\"127.0.0.256\" is neither"),
            ("8080:80", "\"8080\" is neither"),
            ("[::1:80", "\"[::1\" is neither"),
            ("ftp://localhost:80", "\"ftp://localhost\" is neither"),
            ("a b:80", "\"a b\" is neither"),
            ("unix:", "unix: needs a path"),
            ("systemd:", "\"\" is not the name of a descriptor"),
            ("systemd:a:b", "\"a:b\" is not the name of a descriptor"),
            ("https://unix:/run/a.sock", "a Unix socket cannot speak TLS; use unix:/run/a.sock"),
            (".", "\".\" is neither"),
        ];
        for (text, reason) in wrong {
            let error = text.parse::<ListenFlag>().unwrap_err();
            assert!(error.starts_with(reason), "{text}: {error}");
        }
    }

    #[test]
    fn a_duplicate_address_is_resolved_once() {
        let both = ["127.0.0.1:80", "127.0.0.1:0", "unix:/run/a.sock"];
        let items = [both, both].concat().into_iter().map(|text| text.parse().unwrap());
        let items: Vec<_> = items.collect();
        assert_eq!(ListenFlag::resolve_all(&items).unwrap().len(), 4);
    }
}
