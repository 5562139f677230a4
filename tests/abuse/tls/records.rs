//! A client whose records of TLS are made by hand, after a handshake by rustls.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider};
use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, Iv, MessageDecrypter, MessageEncrypter, OutboundChunks,
    OutboundPlainMessage,
};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, ConnectionTrafficSecrets, ContentType, ProtocolVersion,
    RootCertStore, StreamOwned, SupportedCipherSuite, SupportedProtocolVersion,
};

use crate::support::PATIENCE;

/// TLS 1.3 and 1.2 with the same cipher, which needs no nonce in its records.
pub const NEW: (SupportedCipherSuite, &SupportedProtocolVersion) =
    (cipher_suite::TLS13_CHACHA20_POLY1305_SHA256, &TLS13);
pub const OLD: (SupportedCipherSuite, &SupportedProtocolVersion) =
    (cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, &TLS12);

/// A connection after its handshake.
pub struct Records {
    stream: TcpStream,
    encrypter: Box<dyn MessageEncrypter>,
    decrypter: Box<dyn MessageDecrypter>,
    /// The sequence numbers of the next records.
    sent: u64,
    received: u64,
}

/// A connection over TLS, which rustls has begun.
pub fn connect(
    address: &str,
    certificate: &CertificateDer<'static>,
    (suite, version): (SupportedCipherSuite, &'static SupportedProtocolVersion),
) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = CryptoProvider { cipher_suites: vec![suite], ..default_provider() };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.enable_secret_extraction = true;
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    StreamOwned::new(connection, stream)
}

impl Records {
    pub fn connect(
        address: &str,
        certificate: &CertificateDer<'static>,
        with: (SupportedCipherSuite, &'static SupportedProtocolVersion),
    ) -> Self {
        let mut stream = connect(address, certificate, with);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).unwrap();
        }
        let secrets = stream.conn.dangerous_extract_secrets().unwrap();
        let (sent, (key, iv)) = (secrets.tx.0, key(secrets.tx.1));
        let (received, (other_key, other_iv)) = (secrets.rx.0, self::key(secrets.rx.1));
        let (encrypter, decrypter) = match with.0 {
            SupportedCipherSuite::Tls12(suite) => (
                suite.aead_alg.encrypter(key, iv.as_ref(), &[]),
                suite.aead_alg.decrypter(other_key, other_iv.as_ref()),
            ),
            SupportedCipherSuite::Tls13(suite) => {
                (suite.aead_alg.encrypter(key, iv), suite.aead_alg.decrypter(other_key, other_iv))
            }
        };
        Self { stream: stream.sock, encrypter, decrypter, sent, received }
    }

    /// The record of this type with this content.
    pub fn seal(&mut self, typ: ContentType, content: &[u8]) -> Vec<u8> {
        let payload = OutboundChunks::Single(content);
        let message = OutboundPlainMessage { typ, version: ProtocolVersion::TLSv1_2, payload };
        self.sent += 1;
        self.encrypter.encrypt(message, self.sent - 1).unwrap().encode()
    }

    /// Sends data in records of at most this size.
    pub fn send(&mut self, data: &[u8], size: usize) {
        let seal = |part| self.seal(ContentType::ApplicationData, part);
        let records: Vec<_> = data.chunks(size).flat_map(seal).collect();
        self.send_raw(&records).unwrap();
    }

    /// Sends bytes as they are. Returns an error if it is too late.
    pub fn send_raw(&self, bytes: &[u8]) -> std::io::Result<()> {
        (&self.stream).write_all(bytes)
    }

    pub fn end_writing(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// The type and the content of the next record, if there is one.
    pub fn receive(&mut self) -> Option<(ContentType, Vec<u8>)> {
        let mut header = [0; 5];
        match self.stream.read_exact(&mut header) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("it takes too long"),
            outcome => outcome.ok()?,
        }
        let mut payload = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
        self.stream.read_exact(&mut payload).ok()?;
        let version = ProtocolVersion::TLSv1_2;
        let message = InboundOpaqueMessage::new(header[0].into(), version, &mut payload);
        let message = self.decrypter.decrypt(message, self.received).unwrap();
        self.received += 1;
        Some((message.typ, message.payload.to_vec()))
    }

    /// The next data, up to an end. Tickets are skipped.
    pub fn receive_until(&mut self, end: &[u8]) -> Vec<u8> {
        let mut data = Vec::new();
        while !data.ends_with(end) {
            match self.receive().expect("the connection goes on") {
                (ContentType::ApplicationData, more) => data.extend(more),
                (typ, content) => assert_eq!(typ, ContentType::Handshake, "{content:?}"),
            }
        }
        data
    }

    /// Waits for the end of the connection, and returns the last alert before it.
    pub fn receive_end(&mut self) -> Option<u8> {
        let mut alert = None;
        while let Some((typ, content)) = self.receive() {
            if typ == ContentType::Alert {
                alert = content.last().copied();
            }
        }
        alert
    }
}

fn key(secrets: ConnectionTrafficSecrets) -> (AeadKey, Iv) {
    match secrets {
        ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (key, iv),
        _ => panic!("another cipher"),
    }
}
