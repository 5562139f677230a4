//! The PROXY protocol: what proxies say about a connection before the bytes of its client.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::server::system::Random;

/// The network of the trusted proxies.
pub(super) const NETWORK: &str = "10.9.0.0/16";

/// How a header of version 2 begins.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Where the client has connected to.
const DESTINATION: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 443);
const DESTINATION_V6: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 443);

/// What a connection to a listener for proxies begins with.
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub(super) bytes: Vec<u8>,
    /// The address of the client, if the header names it.
    pub(super) client: Option<IpAddr>,
    pub(super) state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Whole,
    /// The rest never comes.
    Half,
    Broken,
}

impl Header {
    pub(super) fn new(random: &mut Random, client: SocketAddr) -> Self {
        let client = if random.happens(300) { as_v6(client) } else { client };
        let named = |bytes| Self { bytes, client: Some(client.ip()), state: State::Whole };
        let unnamed = |bytes| Self { bytes, client: None, state: State::Whole };
        match random.below(10) {
            0..3 => named(text(client)),
            3..6 => named(binary(0x21, &addresses(client), 0)),
            6 => named(binary(0x21, &addresses(client), random.within(1..3_000))),
            // A check of the proxy's own.
            7 => unnamed(binary(0x20, &[0], random.within(0..50))),
            8 => unnamed(b"PROXY UNKNOWN and more\r\n".to_vec()),
            _ => Self { client: None, ..named(text(client)).spoilt(random) },
        }
    }

    /// The header without its end, or with something that is not allowed.
    fn spoilt(mut self, random: &mut Random) -> Self {
        self.state = State::Broken;
        match random.below(5) {
            0 => {
                self.state = State::Half;
                self.bytes.truncate(random.within(1..self.bytes.len()));
            }
            1 => self.bytes[6] = b'U',
            2 => self.bytes = [b"PROXY TCP4 ", &[b'1'; 100][..]].concat(),
            3 => self.bytes = binary(0x21, &[0x11, 1, 2, 3], 0),
            _ => self.bytes = binary(0x22, &[0x11], 12),
        }
        self
    }
}

/// An IPv6 address for each IPv4 address.
fn as_v6(address: SocketAddr) -> SocketAddr {
    let IpAddr::V4(v4) = address.ip() else { return address };
    let [.., host, last] = v4.octets().map(u16::from);
    let ip = Ipv6Addr::new(0x2001, 0xdb8, 0, host, 0, 0, 0, last);
    SocketAddr::new(ip.into(), address.port())
}

/// A header of version 1.
fn text(client: SocketAddr) -> Vec<u8> {
    let (family, to) =
        if client.is_ipv4() { ("TCP4", DESTINATION) } else { ("TCP6", DESTINATION_V6) };
    let (source, destination) = (client.ip(), to.ip());
    let ports = (client.port(), to.port());
    format!("PROXY {family} {source} {destination} {} {}\r\n", ports.0, ports.1).into_bytes()
}

/// A header of version 2 with this command, the family and addresses, and more that is of no interest.
fn binary(command: u8, family: &[u8], more: usize) -> Vec<u8> {
    let size = (family.len() - 1 + more) as u16;
    let begin = [SIGNATURE, &[command, family[0]], &size.to_be_bytes()].concat();
    [&begin, &family[1..], &vec![0; more]].concat()
}

/// The family and the addresses in a header of version 2.
fn addresses(client: SocketAddr) -> Vec<u8> {
    let octets = |ip| match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let (family, to) = if client.is_ipv4() { (0x11, DESTINATION) } else { (0x21, DESTINATION_V6) };
    let ports = [client.port().to_be_bytes(), to.port().to_be_bytes()].concat();
    [vec![family], octets(client.ip()), octets(to.ip()), ports].concat()
}

/// The bytes before those of the client, as the server must treat them.
#[derive(Debug)]
pub(super) struct Proxied {
    pub(super) is_trusted: bool,
    pub(super) end: u64,
    pub(super) state: State,
}

impl Proxied {
    /// Whether the server may answer once it has read this many bytes.
    pub(super) fn may_be_answered(&self, read: u64) -> bool {
        self.is_trusted && self.state == State::Whole && read >= self.end
    }

    /// Whether the server has read everything that is wrong.
    pub(super) fn is_refused(&self, read: u64) -> bool {
        !self.is_trusted || self.state == State::Broken && read >= self.end
    }
}
