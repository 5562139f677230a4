//! TLS (RFC 8446, RFC 5246), with rustls as the client.

mod certificates;
mod handshakes;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::client::WantsClientCert;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, ConfigBuilder, RootCertStore, StreamOwned,
    SupportedProtocolVersion,
};
use townhall::{CertificateFiles, Config, Event};
use tungstenite::WebSocket;
use tungstenite::protocol::Message;

use crate::support::{PATIENCE, Running, chat, config, read_all, request, settle};

type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// A certificate that has signed itself, in files that are removed at the end.
struct Certificate {
    der: CertificateDer<'static>,
    folder: PathBuf,
}

impl Certificate {
    fn new(name: &str) -> Self {
        Self::for_names([name])
    }

    fn for_names<const N: usize>(names: [&str; N]) -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(names.map(str::to_owned)).unwrap();
        let key = signing_key.serialize_pem();
        let serial = key.bytes().fold(0u64, |sum, byte| sum.wrapping_mul(31) + u64::from(byte));
        let folder = std::env::temp_dir().join(format!("townhall-{serial:x}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("cert.pem"), cert.pem()).unwrap();
        fs::write(folder.join("key.pem"), key).unwrap();
        Self { der: cert.der().clone(), folder }
    }

    fn files(&self) -> CertificateFiles {
        CertificateFiles::new(self.folder.join("cert.pem"), self.folder.join("key.pem"))
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn tls_config(certificates: &[&Certificate]) -> Config {
    let mut config = config();
    config.listen[0].tls = true;
    config.tls.certificates = certificates.iter().map(|certificate| certificate.files()).collect();
    config
}

/// A client that trusts a certificate, before anything else is set.
fn client_config(
    trusted: &Certificate,
    versions: &[&'static SupportedProtocolVersion],
) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.der.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    builder.with_protocol_versions(versions).unwrap().with_root_certificates(roots)
}

fn connect(
    server: &Running,
    trusted: &Certificate,
    name: &'static str,
    versions: &[&'static SupportedProtocolVersion],
) -> TlsStream {
    let config = client_config(trusted, versions).with_no_client_auth();
    connect_with(server, Arc::new(config), name)
}

fn connect_with(server: &Running, config: Arc<ClientConfig>, name: &'static str) -> TlsStream {
    let name = ServerName::try_from(name).unwrap();
    StreamOwned::new(ClientConnection::new(config, name).unwrap(), server.stream())
}

#[test]
fn the_header_of_a_proxy_comes_before_tls() {
    let certificate = Certificate::new("localhost");
    let mut config = tls_config(&[&certificate]);
    config.listen[0].proxy_protocol = true;
    config.connections.max_per_address = 6;
    let server = Running::start(config, chat);
    let client = Arc::new(client_config(&certificate, &[&TLS13]).with_no_client_auth());
    let header = b"PROXY TCP4 192.0.2.7 198.51.100.1 50123 443\r\n";
    let mut clients = Vec::new();
    for split in [5, header.len() - 1, header.len(), header.len() + 1, header.len() + 5, 1_000] {
        let name = ServerName::try_from("localhost").unwrap();
        let mut tls = ClientConnection::new(client.clone(), name).unwrap();
        let mut bytes = header.to_vec();
        tls.write_tls(&mut bytes).unwrap();
        let (first, second) = bytes.split_at(split.min(bytes.len()));
        let mut stream = server.stream();
        stream.set_nodelay(true).unwrap();
        stream.write_all(first).unwrap();
        settle(&server);
        stream.write_all(second).unwrap();
        clients.push(join(StreamOwned::new(tls, stream), "/room"));
        let id = server.opened();
        let address = server.ask(move |hub| hub.peer_address(id));
        let expected = "192.0.2.7:50123".parse().unwrap();
        assert_eq!(address, Some(expected), "{split}");
    }
    // Too many from that address: a response would cost a handshake.
    let mut stream = server.stream();
    stream.write_all(header).unwrap();
    assert_eq!(read_all(&mut stream), b"");
    assert_eq!(settle(&server).dropped, 1);
}

fn join(stream: TlsStream, path: &str) -> WebSocket<TlsStream> {
    tungstenite::client(format!("wss://localhost{path}"), stream).unwrap().0
}

fn receive(client: &mut WebSocket<TlsStream>) -> Message {
    client.read().unwrap()
}

#[test]
fn clients_chat_over_both_versions_of_tls() {
    let certificate = Certificate::new("localhost");
    let server = Running::start(tls_config(&[&certificate]), chat);
    let mut clients = [&[&TLS12][..], &[&TLS13][..]]
        .map(|versions| join(connect(&server, &certificate, "localhost", versions), "/room"));
    (0..2).for_each(|_| _ = server.opened());
    // As long as nothing, some records, and many.
    for size in [0, 1, 125, 16_384, 16_385, 1_000_000] {
        for sender in 0..2 {
            let text = "x".repeat(size);
            clients[sender].send(Message::text(text.clone())).unwrap();
            for client in &mut clients {
                assert_eq!(receive(client), Message::text(text.clone()), "{size} bytes");
            }
        }
    }
}

/// RFC 9110, section 7.4.
#[test]
fn the_scheme_of_a_target_is_that_of_a_connection_with_tls() {
    let certificate = Certificate::new("localhost");
    let mut config = tls_config(&[&certificate]);
    config.trusted_proxies.clear();
    let server = Running::start(config, chat);
    for (scheme, status) in [("wss", "101"), ("HTTPS", "101"), ("ws", "421"), ("http", "421")] {
        let mut stream = connect(&server, &certificate, "localhost", &[&TLS13]);
        let target = format!("{scheme}://localhost/room");
        stream.write_all(request(&target).as_bytes()).unwrap();
        let mut line = [0; 12];
        stream.read_exact(&mut line).unwrap();
        assert_eq!(str::from_utf8(&line[9..]), Ok(status), "{scheme}");
    }
}

#[test]
fn a_member_that_does_not_read_for_a_while_misses_nothing() {
    let text = |number: usize| format!("{number} {}", "x".repeat(100_000));
    let certificate = Certificate::new("localhost");
    let mut config = tls_config(&[&certificate]);
    config.memory.max_backlog_bytes = 64 << 20;
    let server = Running::start(config, chat);
    let mut reader = join(connect(&server, &certificate, "localhost", &[&TLS13]), "/room");
    let mut sender = join(connect(&server, &certificate, "localhost", &[&TLS13]), "/room");
    for number in 0..200 {
        sender.send(Message::text(text(number))).unwrap();
        assert_eq!(receive(&mut sender), Message::text(text(number)));
    }
    for number in 0..200 {
        assert_eq!(receive(&mut reader), Message::text(text(number)));
    }
}

#[test]
fn a_close_ends_tls_before_tcp() {
    let certificate = Certificate::new("localhost");
    let server = Running::start(tls_config(&[&certificate]), chat);
    for (versions, updates) in [(&[&TLS12], 0), (&[&TLS13], 0), (&[&TLS13], 1)] {
        let mut client = join(connect(&server, &certificate, "localhost", versions), "/room");
        // The server has to update its own keys before it sends the next record.
        (0..updates).for_each(|_| client.get_mut().conn.refresh_traffic_keys().unwrap());
        client.close(None).unwrap();
        let end = loop {
            match client.read() {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert!(matches!(end, tungstenite::Error::ConnectionClosed), "{end}");
        // Without an alert before it, the end of TCP would be an error.
        assert_eq!(client.get_mut().read(&mut [0]).unwrap(), 0);
    }
}

#[test]
fn what_the_socket_does_not_take_of_a_direct_message_counts_at_once() {
    const SIZE: usize = 8 << 20;
    let certificate = Certificate::new("localhost");
    let (sender, counted) = channel();
    let server = Running::start(tls_config(&[&certificate]), move |hub, client, event| {
        if let Event::Message(_) = event {
            let before = hub.counts().written_bytes;
            hub.send(client, &vec![b'x'; SIZE][..]);
            let written = hub.counts().written_bytes - before;
            sender.send((written, hub.memory_usage().backlog_bytes)).unwrap();
        }
    });
    let mut client = join(connect(&server, &certificate, "localhost", &[&TLS13]), "/");
    client.send("more".into()).unwrap();
    let (written, backlog) = counted.recv_timeout(PATIENCE).unwrap();
    // Up to 64 KiB of what counts as written wait as records, because the socket took only a part of them.
    let unwritten = SIZE - written as usize;
    assert!(unwritten > SIZE / 4, "{written} bytes were written");
    assert!(backlog > unwritten + 1_000, "{unwritten} bytes were not written, {backlog} counted");
    assert_eq!(client.read().unwrap().len(), SIZE);
}

#[test]
fn what_is_no_tls_ends_with_an_alert_and_disturbs_nobody() {
    let certificate = Certificate::new("localhost");
    let server = Running::start(tls_config(&[&certificate]), chat);
    let mut member = join(connect(&server, &certificate, "localhost", &[&TLS13]), "/room");
    let hello = [22, 3, 1, 0, 4, 1, 0, 0, 0];
    for bytes in [&hello[..], &[22, 3, 1, 0xff, 0xff], &[22; 600], &[0; 100]] {
        let mut stream = server.stream();
        stream.write_all(bytes).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer[0] == 21, "{answer:?}");
    }
    member.send(Message::text("still here")).unwrap();
    assert_eq!(receive(&mut member), Message::text("still here"));
}

#[test]
fn a_member_that_reads_nothing_is_closed_as_without_tls() {
    let certificate = Certificate::new("localhost");
    let mut config = tls_config(&[&certificate]);
    config.memory.max_backlog_bytes = 1 << 20;
    config.limits.max_message_bytes = 1 << 19;
    // A busy machine may take long to read all that is written before the close frame.
    config.timeouts.close = Duration::from_secs(60);
    let server = Running::start(config, chat);
    let mut reader = join(connect(&server, &certificate, "localhost", &[&TLS13]), "/room");
    let mut sender = join(connect(&server, &certificate, "localhost", &[&TLS13]), "/room");
    let text = "x".repeat(500_000);
    // More than the limit and all buffers of the system hold.
    for _ in 0..100 {
        sender.send(Message::text(text.clone())).unwrap();
        receive(&mut sender);
    }
    let end = loop {
        match reader.read() {
            Ok(Message::Close(frame)) => break frame.unwrap(),
            message => assert_eq!(message.unwrap(), Message::text(text.clone())),
        }
    };
    assert_eq!((u16::from(end.code), end.reason.as_str()), (1013, "too far behind"));
}
