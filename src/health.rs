//! Asks a running server for its health.

mod tls;

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use townhall::{Listen, ListenAddress};

/// How long to wait for the connection, and for each part of the answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The beginning of the answer of a server that serves.
const HEALTHY: &[u8] = b"HTTP/1.1 200 ";

/// Asks the server on the first of these addresses where it does not speak TLS, or over TLS if there is none.
///
/// # Errors
/// There is no server, it does not answer, or it is about to stop.
pub fn ask(listen: &[Listen]) -> io::Result<()> {
    let first = listen.iter().min_by_key(|listen| listen.tls);
    let first = first.ok_or_else(|| io::Error::other("there is no address and no path to ask"))?;
    let address = reachable(&first.address);
    let explain = |error: io::Error| {
        io::Error::new(error.kind(), format!("cannot ask the server on {address}: {error}"))
    };
    let answer = request(&address, first.tls).map_err(explain)?;
    if answer == HEALTHY {
        return Ok(());
    }
    let answer = answer.escape_ascii();
    Err(io::Error::other(format!(
        "the server on {address} does not serve: it answered \"{answer}\""
    )))
}

type Answer = [u8; HEALTHY.len()];

/// The beginning of the answer.
fn request(address: &ListenAddress, tls: bool) -> io::Result<Answer> {
    match address {
        ListenAddress::Tcp(address) => request_tcp(*address, tls),
        ListenAddress::Unix(path) => request_unix(path),
        _ => Err(io::Error::other("the address is not known")),
    }
}

fn request_tcp(address: SocketAddr, tls: bool) -> io::Result<Answer> {
    let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    // The server accepts its own address as a host, whatever --host is.
    let host = address.to_string();
    if tls { exchange(tls::begin(stream, address.ip())?, &host) } else { exchange(stream, &host) }
}

fn request_unix(path: &Path) -> io::Result<Answer> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Connecting waits until there is room in the accept queue.
    socket.set_write_timeout(Some(TIMEOUT))?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.connect(&SockAddr::unix(path)?)?;
    // RFC 9110, section 7.2: without a host, the field is empty.
    exchange(socket, "")
}

fn exchange(mut stream: impl Read + Write, host: &str) -> io::Result<Answer> {
    let request = format!("GET /health HTTP/1.1\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Answer::default();
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

/// The address itself, or loopback for a server that listens on all addresses.
fn reachable(listening: &ListenAddress) -> ListenAddress {
    let ListenAddress::Tcp(listening) = listening else { return listening.clone() };
    let ip = match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    ListenAddress::Tcp(SocketAddr::new(ip, listening.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_all_addresses_is_asked_on_loopback() {
        let cases = [
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "[::1]:8080"),
            ("192.0.2.1:80", "192.0.2.1:80"),
        ];
        for (listening, address) in cases {
            let tcp = |text: &str| ListenAddress::Tcp(text.parse().unwrap());
            assert_eq!(reachable(&tcp(listening)), tcp(address));
        }
    }
}
