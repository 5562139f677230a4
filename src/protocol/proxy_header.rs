//! The PROXY protocol, versions 1 and 2: what a proxy says about a connection before the bytes of the
//! client (`proxy-protocol.txt` in HAProxy's documentation).

#[cfg(test)]
mod tests;

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// How a header of version 1 begins (section 2.1).
const TEXT: &[u8] = b"PROXY ";

/// The minimum and the maximum size of a header of version 1, with its CRLF (section 2.1).
const MIN_TEXT_BYTES: usize = 15;
const MAX_TEXT_BYTES: usize = 107;

/// The number of spaces in a header of version 1 that names addresses.
const TEXT_SPACES: usize = 5;

/// How a header of version 2 begins (section 2.2).
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The size of the part of version 2 that every header has: the signature, the version and the command,
/// the family and the transport protocol, and the size of the rest.
const FIXED_BYTES: usize = 16;

/// The header with which a proxy begins a connection.
///
/// ```
/// use townhall::protocol::{ProxyHeader, ProxyStatus};
///
/// let begin = b"PROXY TCP4 192.0.2.7 198.51.100.1 50123 443\r\nGET / HTTP/1.1\r\n";
/// let ProxyStatus::Complete(header) = ProxyHeader::parse(begin)? else { panic!("it is there") };
/// assert_eq!(&begin[header.size..], b"GET / HTTP/1.1\r\n");
/// let endpoints = header.endpoints.expect("the addresses of a client's connection");
/// assert_eq!(endpoints.source, "192.0.2.7:50123".parse()?);
/// assert_eq!(endpoints.destination, "198.51.100.1:443".parse()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ProxyHeader {
    /// The size in bytes, after which the client's own bytes follow. The end of a long header may not have
    /// arrived yet, and is to be skipped.
    pub size: usize,
    /// The addresses of the client's connection to the proxy. `None` if there is no such connection, as
    /// for a health check (`LOCAL`), or if the proxy does not name IP addresses (`UNKNOWN`, `AF_UNSPEC`,
    /// `AF_UNIX`).
    pub endpoints: Option<Endpoints>,
}

/// What has arrived of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProxyStatus {
    /// The header, or all of it that matters.
    Complete(ProxyHeader),
    /// The beginning of a header.
    Partial {
        /// The number of bytes that are missing at least. Whoever reads no more than these reads nothing of
        /// what follows the header.
        missing: usize,
    },
}

/// The two ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Endpoints {
    /// The client's address.
    pub source: SocketAddr,
    /// The address that the client connected to.
    pub destination: SocketAddr,
}

/// The reason why a connection is closed that should begin with a PROXY header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ProxyRefusal {
    /// The peer is not a trusted proxy. What it sends is not read.
    Untrusted,
    /// The connection begins with something else.
    Missing,
    /// The header breaks a rule of its format.
    Malformed,
    /// The header is longer than [`ProxyHeader::MAX_BYTES`], or than the 107 bytes of version 1.
    TooLong,
    /// The connection ended, or the time was over, in the middle of the header.
    Incomplete,
}

impl fmt::Display for ProxyRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Untrusted => "not a trusted proxy",
            Self::Missing => "no PROXY header",
            Self::Malformed => "malformed PROXY header",
            Self::TooLong => "PROXY header too long",
            Self::Incomplete => "incomplete PROXY header",
        })
    }
}

impl Error for ProxyRefusal {}

impl ProxyHeader {
    /// The maximum size of a header in bytes. Version 2 allows 65,551, but senders keep to the 536 that fit
    /// into every TCP segment (section 2), apart from long names in certificates.
    pub const MAX_BYTES: usize = 4 << 10;

    /// Parses the header at the beginning of a connection.
    ///
    /// # Errors
    /// [`Missing`](ProxyRefusal::Missing), [`Malformed`](ProxyRefusal::Malformed) or
    /// [`TooLong`](ProxyRefusal::TooLong). More bytes do not change that.
    pub fn parse(bytes: &[u8]) -> Result<ProxyStatus, ProxyRefusal> {
        let begins = |with: &[u8]| bytes.iter().zip(with).all(|(byte, other)| byte == other);
        if begins(TEXT) {
            parse_text(bytes)
        } else if begins(SIGNATURE) {
            parse_binary(bytes)
        } else {
            Err(ProxyRefusal::Missing)
        }
    }
}

/// Parses a header of version 1 (section 2.1).
fn parse_text(bytes: &[u8]) -> Result<ProxyStatus, ProxyRefusal> {
    let longest = &bytes[..bytes.len().min(MAX_TEXT_BYTES)];
    let Some(end) = longest.windows(2).position(|pair| pair == b"\r\n") else {
        return match missing_text(longest) {
            0 => Err(ProxyRefusal::TooLong),
            missing => Ok(ProxyStatus::Partial { missing }),
        };
    };
    let line = &bytes[TEXT.len()..end];
    let endpoints = match str::from_utf8(line) {
        _ if is_unknown(line) => None,
        Ok(line) => Some(Endpoints::from_text(line).ok_or(ProxyRefusal::Malformed)?),
        Err(_) => return Err(ProxyRefusal::Malformed),
    };
    Ok(ProxyStatus::Complete(ProxyHeader { size: end + 2, endpoints }))
}

/// Whether a line names no addresses: "the receiver must ignore anything presented before the CRLF".
fn is_unknown(line: &[u8]) -> bool {
    line == b"UNKNOWN" || line.starts_with(b"UNKNOWN ")
}

/// The least number of bytes after the beginning of a line; 0 if the line is too long.
fn missing_text(begin: &[u8]) -> usize {
    if begin.len() < MIN_TEXT_BYTES {
        return MIN_TEXT_BYTES - begin.len();
    }
    let spaces = begin.iter().filter(|&&byte| byte == b' ').count();
    // Each space has a word after it.
    let words = match is_unknown(&begin[TEXT.len()..]) {
        true => 0,
        false => 2 * TEXT_SPACES.saturating_sub(spaces),
    };
    let end = if begin.ends_with(b"\r") { 1 } else { 2 };
    (words + end).min(MAX_TEXT_BYTES - begin.len())
}

/// Parses a header of version 2 (section 2.2). What follows the addresses (TLVs) is of no interest.
fn parse_binary(bytes: &[u8]) -> Result<ProxyStatus, ProxyRefusal> {
    let Some((&[.., command, family, high, low], rest)) = bytes.split_first_chunk::<FIXED_BYTES>()
    else {
        return Ok(ProxyStatus::Partial { missing: FIXED_BYTES - bytes.len() });
    };
    let rest_size = usize::from(u16::from_be_bytes([high, low]));
    let size = FIXED_BYTES + rest_size;
    let family = match (command, family) {
        // LOCAL: "discard the protocol block including the family".
        (0x20, _) => None,
        (0x21, 0x11 | 0x12) => Some(Family::V4),
        (0x21, 0x21 | 0x22) => Some(Family::V6),
        // Unspecified, or the paths of Unix sockets.
        (0x21, 0x00..=0x02 | 0x10 | 0x20 | 0x30..=0x32) => None,
        _ => return Err(ProxyRefusal::Malformed),
    };
    if size > ProxyHeader::MAX_BYTES {
        return Err(ProxyRefusal::TooLong);
    }
    let addresses = family.map_or(0, Family::size);
    if rest_size < addresses {
        return Err(ProxyRefusal::Malformed);
    }
    if rest.len() < addresses {
        return Ok(ProxyStatus::Partial { missing: addresses - rest.len() });
    }
    let endpoints = family.and_then(|family| family.endpoints(rest));
    Ok(ProxyStatus::Complete(ProxyHeader { size, endpoints }))
}

/// The family of two IP addresses in a header of version 2.
#[derive(Debug, Clone, Copy)]
enum Family {
    V4,
    V6,
}

impl Family {
    /// The size of two addresses, each with a port.
    fn size(self) -> usize {
        match self {
            Self::V4 => 2 * (4 + 2),
            Self::V6 => 2 * (16 + 2),
        }
    }

    /// Reads both addresses, and then both ports.
    fn endpoints(self, bytes: &[u8]) -> Option<Endpoints> {
        let (source, destination, ports) = match self {
            Self::V4 => take_two::<4, Ipv4Addr>(bytes)?,
            Self::V6 => take_two::<16, Ipv6Addr>(bytes)?,
        };
        let (&[high, low, other_high, other_low], _) = ports.split_first_chunk()?;
        let source = SocketAddr::new(source, u16::from_be_bytes([high, low]));
        let port = u16::from_be_bytes([other_high, other_low]);
        Some(Endpoints { source, destination: SocketAddr::new(destination, port) })
    }
}

/// Two addresses, and what follows them.
fn take_two<const N: usize, A>(bytes: &[u8]) -> Option<(IpAddr, IpAddr, &[u8])>
where
    A: From<[u8; N]> + Into<IpAddr>,
{
    let (&first, rest) = bytes.split_first_chunk::<N>()?;
    let (&second, rest) = rest.split_first_chunk::<N>()?;
    Some((A::from(first).into(), A::from(second).into(), rest))
}

impl Endpoints {
    /// Parses what follows `PROXY ` in a line.
    fn from_text(line: &str) -> Option<Self> {
        let words: Vec<_> = line.split(' ').collect();
        let [family, source, destination, source_port, destination_port] = words[..] else {
            return None;
        };
        let address = |text: &str| match family {
            "TCP4" => Ipv4Addr::from_str(text).map(IpAddr::from).ok(),
            "TCP6" => Ipv6Addr::from_str(text).map(IpAddr::from).ok(),
            _ => None,
        };
        Some(Self {
            source: SocketAddr::new(address(source)?, port(source_port)?),
            destination: SocketAddr::new(address(destination)?, port(destination_port)?),
        })
    }
}

/// A decimal number without a sign and without leading zeros.
fn port(text: &str) -> Option<u16> {
    let is_plain = text == "0" || text.starts_with(|first| matches!(first, '1'..='9'));
    text.parse().ok().filter(|_| is_plain)
}
