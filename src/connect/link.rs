//! The transport: TCP, or TLS over it, without blocking.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use townhall::protocol::WebSocketUri;

use super::events::Events;

/// How long to wait for each address of the host.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A connected transport.
#[derive(Debug)]
pub enum Link {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// The certificates that are trusted, if the URI asks for TLS.
#[derive(Debug)]
pub struct Trust(Option<Arc<ClientConfig>>);

impl Trust {
    /// Those of a file, or the system's.
    ///
    /// # Errors
    /// The file cannot be read, or has no certificate.
    pub fn new(uri: &WebSocketUri, file: Option<&Path>) -> io::Result<Self> {
        if !uri.is_secure() {
            return Ok(Self(None));
        }
        let mut roots = RootCertStore::empty();
        let certificates = match file {
            Some(path) => read(path).map_err(|error| explain(path, &error))?,
            None => rustls_native_certs::load_native_certs().certs,
        };
        roots.add_parsable_certificates(certificates);
        if roots.is_empty() {
            return Err(io::Error::other("there are no certificates to trust: use --tls-ca"));
        }
        let mut config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Some(config.into())))
    }
}

fn read(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_reader_iter(BufReader::new(File::open(path)?));
    certificates.collect::<Result<_, _>>().map_err(io::Error::other)
}

fn explain(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Connects to the first address of the host that answers.
///
/// # Errors
/// The host has no address, or the error of the last one.
pub fn connect(uri: &WebSocketUri, trust: &Trust, events: &mut Events) -> io::Result<Link> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in (uri.host(), uri.port()).to_socket_addrs()? {
        match connect_to(address, events) {
            Ok(stream) => return secure(stream, uri, trust),
            Err(error) => last = io::Error::new(error.kind(), format!("{address}: {error}")),
        }
    }
    Err(last)
}

fn connect_to(address: SocketAddr, events: &mut Events) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    events.register(&mut stream)?;
    let end = Instant::now() + TIMEOUT;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        events.wait(left)?;
        if events.is_interrupted() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        match stream.peer_addr() {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
            connected => return connected.map(|_| stream),
        }
    }
}

fn secure(stream: TcpStream, uri: &WebSocketUri, trust: &Trust) -> io::Result<Link> {
    stream.set_nodelay(true)?;
    let Some(config) = &trust.0 else { return Ok(Link::Plain(stream)) };
    let name = ServerName::try_from(uri.host().to_owned()).map_err(io::Error::other)?;
    let connection = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
    Ok(Link::Tls(Box::new(StreamOwned::new(connection, stream))))
}

impl Link {
    /// Tells the server that nothing else comes. With TLS, this is an alert (RFC 9112, section 9.8).
    pub fn end(&mut self) {
        if let Self::Tls(stream) = self {
            stream.conn.send_close_notify();
            // The server may have gone.
            let _ = stream.flush();
        }
    }

    /// Reads what has arrived, 0 bytes at the end of the transport, or nothing if nothing has arrived.
    ///
    /// # Errors
    /// The transport's.
    pub fn read_available(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            match self.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read.map(Some),
            }
        }
    }
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
