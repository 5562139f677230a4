//! The client that the Autobahn TestSuite's `fuzzingserver` tests: it runs every case of the server, and
//! echoes its messages.
//!
//! ```sh
//! autobahn_client ws://127.0.0.1:PORT AGENT
//! autobahn_client wss://localhost:PORT AGENT CERTIFICATE RELAY
//! ```
//!
//! The second form trusts a certificate in a PEM file, and connects to the address `RELAY` instead of the URL's.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, StreamOwned};
use townhall::protocol::{
    Buffers, ClientConnection, ClientReceived, DeflateOffer, Incoming, Limits, UpgradeRequest,
    WebSocketUri,
};

/// The time without any input after which a case is given up.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let (url, agent, connector) = match &arguments[..] {
        [url, agent] => (url, agent, Connector::Tcp),
        [url, agent, certificate, relay] => {
            (url, agent, Connector::tls(certificate.as_ref(), relay.clone())?)
        }
        _ => return Err("usage: autobahn_client URL AGENT [CERTIFICATE RELAY]".into()),
    };
    let count = run(&connector, &format!("{url}/getCaseCount"))?.ok_or("no count came")?;
    for case in 1..=count.parse()? {
        run(&connector, &format!("{url}/runCase?case={case}&agent={agent}"))?;
    }
    run(&connector, &format!("{url}/updateReports?agent={agent}"))?;
    Ok(())
}

/// How to connect.
enum Connector {
    Tcp,
    Tls { config: Arc<ClientConfig>, relay: String },
}

/// A connection over TCP or TLS.
trait Transport: Read + Write {}

impl<T: Read + Write> Transport for T {}

impl Connector {
    fn tls(certificate: &Path, relay: String) -> Result<Self, Box<dyn Error>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(certificate)?)?;
        let mut config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self::Tls { config: config.into(), relay })
    }

    fn connect(&self, uri: &WebSocketUri) -> Result<Box<dyn Transport>, Box<dyn Error>> {
        match self {
            Self::Tcp => Ok(Box::new(prepare(TcpStream::connect((uri.host(), uri.port()))?)?)),
            Self::Tls { config, relay } => {
                let name = ServerName::try_from(uri.host().to_owned())?;
                let connection = rustls::ClientConnection::new(config.clone(), name)?;
                let stream = prepare(TcpStream::connect(relay)?)?;
                Ok(Box::new(StreamOwned::new(connection, stream)))
            }
        }
    }
}

fn prepare(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Echoes messages until the connection closes, and returns the first text.
fn run(connector: &Connector, url: &str) -> Result<Option<String>, Box<dyn Error>> {
    let request = UpgradeRequest::new(url.parse()?).deflate(DeflateOffer::default());
    let mut stream = connector.connect(request.uri())?;
    let mut out = Vec::new();
    let mut connection = ClientConnection::new(request, Limits::default(), &mut out)?;
    let mut buffers = Buffers::default();
    let mut bytes = vec![0; 64 << 10];
    let mut first = None;
    stream.write_all(&out)?;
    loop {
        let read = match stream.read(&mut bytes) {
            Ok(0) => return Ok(first),
            Ok(read) => read,
            // Some cases end with a reset.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(first),
            Err(error) => return Err(format!("{url}: {error}").into()),
        };
        out.clear();
        receive(&mut connection, &mut bytes[..read], &mut buffers, &mut out, &mut first)?;
        let written = stream.write_all(&out);
        // A server that has broken the protocol on purpose may have gone. One that has not closes the
        // transport, because that is its part (RFC 6455, section 7.1.1).
        if written.is_err() || connection.is_closed() && !connection.was_clean() {
            return Ok(first);
        }
    }
}

fn receive(
    connection: &mut ClientConnection,
    mut input: &mut [u8],
    buffers: &mut Buffers,
    out: &mut Vec<u8>,
    first: &mut Option<String>,
) -> Result<(), Box<dyn Error>> {
    loop {
        match connection.receive(&mut input, buffers) {
            Ok(None) => return Ok(()),
            Ok(Some(ClientReceived::Refused(response))) => {
                return Err(format!("refused with {}", response.status()).into());
            }
            Ok(Some(ClientReceived::Frames(incoming))) => {
                match &incoming {
                    Incoming::Message(message) => {
                        let payload = message.as_message().payload();
                        first.get_or_insert_with(|| String::from_utf8_lossy(payload).into_owned());
                        connection.send(message, out);
                    }
                    Incoming::Ping(payload) => connection.pong(payload, out),
                    Incoming::Close(frame) => connection.answer_close(frame.as_ref(), out),
                    _ => {}
                }
                buffers.recycle(incoming);
            }
            Ok(Some(_)) => {}
            Err(failure) => connection.fail(failure, out),
        }
    }
}
