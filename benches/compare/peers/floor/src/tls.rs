//! TLS as a cipher alone. rustls makes the handshake and gives its keys away; then records are sealed and
//! opened with AWS-LC, as rustls does, without anything around it.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use mio::net::TcpStream;
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ConnectionTrafficSecrets, ServerConfig, ServerConnection};

/// The most plaintext in a record (RFC 8446, section 5.1).
const MAX_RECORD: usize = 16 << 10;
const HEADER: usize = 5;
const TAG: usize = 16;
/// The type of a record with application data.
const APPLICATION_DATA: u8 = 23;

/// What connections begin with.
pub fn config(certificate: &Path, key: &Path) -> io::Result<Arc<ServerConfig>> {
    let chain = vec![CertificateDer::from_pem_file(certificate).map_err(io::Error::other)?];
    let key = PrivateKeyDer::from_pem_file(key).map_err(io::Error::other)?;
    let builder = ServerConfig::builder().with_no_client_auth();
    let mut config = builder.with_single_cert(chain, key).map_err(io::Error::other)?;
    config.enable_secret_extraction = true;
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// The cipher of one connection.
pub struct Cipher {
    seal: Half,
    open: Half,
    /// The beginning of a record that has not arrived whole.
    rest: Vec<u8>,
}

/// The cipher in one direction.
struct Half {
    key: LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
}

/// Takes a step of a handshake, at the end of which a request is read and answered. Returns the keys when
/// that is done.
pub fn shake_hands(
    mut tls: ServerConnection,
    socket: &mut TcpStream,
    mut received: &[u8],
    request: &mut Vec<u8>,
    answer: &[u8],
) -> io::Result<Result<Cipher, ServerConnection>> {
    while !received.is_empty() {
        tls.read_tls(&mut received)?;
        tls.process_new_packets().map_err(io::Error::other)?;
        let mut plain = [0; 4_096];
        if let Ok(count) = tls.reader().read(&mut plain) {
            request.extend_from_slice(&plain[..count]);
        }
    }
    let done = request.ends_with(b"\r\n\r\n");
    if done {
        tls.writer().write_all(answer)?;
    }
    while tls.wants_write() {
        tls.write_tls(socket)?;
    }
    if !done {
        return Ok(Err(tls));
    }
    let secrets = tls.dangerous_extract_secrets().map_err(io::Error::other)?;
    Ok(Ok(Cipher { seal: Half::new(secrets.tx)?, open: Half::new(secrets.rx)?, rest: Vec::new() }))
}

impl Half {
    fn new((sequence, secrets): (u64, ConnectionTrafficSecrets)) -> io::Result<Self> {
        let ConnectionTrafficSecrets::Aes128Gcm { key, iv } = secrets else {
            return Err(io::Error::other("the cipher is not AES-128-GCM"));
        };
        let key = UnboundKey::new(&AES_128_GCM, key.as_ref()).map_err(broken)?;
        let iv = iv.as_ref().try_into().map_err(io::Error::other)?;
        Ok(Self { key: LessSafeKey::new(key), iv, sequence })
    }

    /// The nonce of the next record (RFC 8446, section 5.3).
    fn nonce(&mut self) -> Nonce {
        let mut nonce = self.iv;
        for (byte, sequence) in nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= sequence;
        }
        self.sequence += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}

impl Cipher {
    /// Seals bytes into records, which replace what is in `sealed`.
    pub fn seal(&mut self, bytes: &[u8], sealed: &mut Vec<u8>) {
        sealed.clear();
        for plain in bytes.chunks(MAX_RECORD) {
            let size = (plain.len() + 1 + TAG) as u16;
            let header = [APPLICATION_DATA, 3, 3, (size >> 8) as u8, size as u8];
            sealed.extend_from_slice(&header);
            let begin = sealed.len();
            sealed.extend_from_slice(plain);
            sealed.push(APPLICATION_DATA);
            let nonce = self.seal.nonce();
            let record = &mut sealed[begin..];
            let tag = self.seal.key.seal_in_place_separate_tag(nonce, Aad::from(header), record);
            sealed.extend_from_slice(tag.expect("a record is short enough").as_ref());
        }
    }

    /// Reads once. Returns how many bytes the buffer begins with then, and whether more may be there.
    pub fn read(&mut self, socket: &mut TcpStream, buffer: &mut [u8]) -> io::Result<(usize, bool)> {
        let held = self.rest.len();
        buffer[..held].copy_from_slice(&self.rest);
        let count = socket.read(&mut buffer[held..])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let received = held + count;
        let more = received == buffer.len();
        Ok((self.open(&mut buffer[..received])?, more))
    }

    /// Opens the records that have arrived whole, and moves the plaintext to the beginning.
    fn open(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut at = 0;
        let mut plain = 0;
        while let Some(header) = buffer[at..].first_chunk::<HEADER>() {
            let header = *header;
            let end = at + HEADER + usize::from(u16::from_be_bytes([header[3], header[4]]));
            let Some(record) = buffer.get_mut(at + HEADER..end) else { break };
            let nonce = self.open.nonce();
            let opened = self.open.key.open_in_place(nonce, Aad::from(header), record);
            // The last byte is the type.
            let size = opened.map_err(broken)?.len() - 1;
            buffer.copy_within(at + HEADER..at + HEADER + size, plain);
            plain += size;
            at = end;
        }
        self.rest.clear();
        self.rest.extend_from_slice(&buffer[at..]);
        Ok(plain)
    }
}

fn broken(_: Unspecified) -> io::Error {
    io::Error::other("the cipher refused a key or a record")
}
