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

/// The header of the PROXY protocol, version 2, for a connection that is not forwarded for a client.
const LOCAL_HEADER: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// The beginning of the answer of a server that serves.
const HEALTHY: &[u8] = b"HTTP/1.1 200 ";

/// Asks the server on the first of these addresses where it does not speak TLS, or over TLS if there is none.
/// Where it expects a PROXY header, it is asked only if there is no other address.
///
/// # Errors
/// There is no server, it does not answer, or it is about to stop.
pub fn ask(listen: &[Listen]) -> io::Result<()> {
    let first = listen.iter().min_by_key(|listen| (listen.proxy_protocol, listen.tls));
    let first = first.ok_or_else(|| io::Error::other("there is no address and no path to ask"))?;
    let address = reachable(&first.address);
    let explain = |error: io::Error| {
        io::Error::new(error.kind(), format!("cannot ask the server on {address}: {error}"))
    };
    let answer = request(&address, first).map_err(explain)?;
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
fn request(address: &ListenAddress, listen: &Listen) -> io::Result<Answer> {
    let header = if listen.proxy_protocol { LOCAL_HEADER } else { b"" };
    match address {
        ListenAddress::Tcp(address) => request_tcp(*address, header, listen.tls),
        ListenAddress::Unix(path) => request_unix(path, header),
        _ => Err(io::Error::other("the address is not known")),
    }
}

fn request_tcp(address: SocketAddr, header: &[u8], tls: bool) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(header)?;
    // The server accepts its own address as a host, whatever --host is.
    let host = address.to_string();
    if tls { exchange(tls::begin(stream, address.ip())?, &host) } else { exchange(stream, &host) }
}

fn request_unix(path: &Path, header: &[u8]) -> io::Result<Answer> {
    let mut socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Connecting waits until there is room in the accept queue.
    socket.set_write_timeout(Some(TIMEOUT))?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.connect(&SockAddr::unix(path)?)?;
    socket.write_all(header)?;
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
