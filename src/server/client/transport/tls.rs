//! TLS over a socket (RFC 8446, RFC 5246), with rustls as the state machine and the cipher.
//!
//! A connection between two records owns no buffer: what is received is opened in a buffer that all
//! share, and what is sent is sealed in one. Only the beginning of a record that has not arrived whole,
//! and sealed bytes that the socket has not taken, belong to the connection.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::mem;
use std::net::Shutdown;
use std::sync::Arc;

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, UnbufferedStatus, WriteTraffic};
use rustls::{HandshakeKind, ServerConfig};

use super::arrival::Arrival;
use super::encode::{
    MAX_RECORD, RECORD_OVERHEAD, append, buffer, encode, encrypt_size, gather, invalid,
};
use super::failure::failure;
use super::plaintext::refuse_plaintext;
use crate::server::limits::total::{Share, Total};
use crate::server::system::TcpStream;
use crate::server::tls_counts::TlsFailure;

pub(crate) use super::scratch::Scratch;

/// The most bytes that are sealed before they are written: what the socket does not take must be kept.
const MAX_SHARE: usize = 64 << 10;

/// The size of the buffer that records are sealed in.
const SEALED_BYTES: usize = MAX_SHARE + (MAX_SHARE / MAX_RECORD + 1) * RECORD_OVERHEAD;

/// The most bytes that are kept of what has not arrived whole after the handshake: the longest record (RFC
/// 5246, section 6.2.3). The messages of TLS that come then are short.
const MAX_HELD: usize = MAX_RECORD + 2048 + 5;

/// What the cryptography of a handshake costs, as a number of bytes that could be read instead. A turn of the
/// event loop has time for eight.
const HANDSHAKE_COST: usize = 128 << 10;

/// The content type of a handshake record, with which a client begins (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// How far the handshake of a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Handshake {
    /// Nothing has been received.
    Expected,
    /// It has begun.
    Begun,
    /// It is complete.
    Complete,
    /// The connection is not used any more.
    Over,
}

/// What processing records brought.
#[derive(Debug)]
struct Processed<T> {
    /// The size of the records.
    sealed: usize,
    /// The size of their plaintext.
    plain: usize,
    /// What was made of the opportunity to send, if there was one.
    sent: Option<T>,
}

/// The server's side of a TLS connection.
pub(crate) struct TlsStream {
    socket: TcpStream,
    tls: UnbufferedServerConnection,
    /// The beginning of a record that has not arrived whole.
    received: Vec<u8>,
    /// Sealed bytes that the socket has not taken.
    unsent: Vec<u8>,
    /// The memory taken by these bytes.
    unsent_share: Share,
    handshake: Handshake,
    /// Whether our side ends when everything is written.
    ending: bool,
    /// Whether the peer has said that it sends nothing more.
    peer_ended: bool,
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl TlsStream {
    /// What a stream is made with.
    ///
    /// # Errors
    /// The library's.
    pub(crate) fn begin(config: Arc<ServerConfig>) -> io::Result<UnbufferedServerConnection> {
        UnbufferedServerConnection::new(config).map_err(io::Error::other)
    }

    pub(crate) fn new(socket: TcpStream, tls: UnbufferedServerConnection) -> Self {
        Self {
            socket,
            tls,
            received: Vec::new(),
            unsent: Vec::new(),
            unsent_share: Share::default(),
            handshake: Handshake::Expected,
            ending: false,
            peer_ended: false,
        }
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// The memory in bytes that the connection takes for records that have not arrived whole.
    pub(crate) fn received_bytes(&self) -> usize {
        self.received.capacity()
    }

    /// Frees what has not arrived whole, and neither reads nor writes any more.
    pub(crate) fn abandon(&mut self) {
        self.received = Vec::new();
        self.handshake = Handshake::Over;
    }

    /// Counts the memory for what the socket has not taken.
    #[inline(never)]
    pub(crate) fn count_unsent(&mut self, total: &mut Total) {
        total.set(&mut self.unsent_share, self.unsent.capacity());
    }

    /// Stops counting that memory.
    pub(crate) fn release_unsent(&mut self, total: &mut Total) {
        total.set(&mut self.unsent_share, 0);
    }

    pub(crate) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Whether the handshake has begun and is not complete.
    pub(crate) fn is_in_handshake(&self) -> bool {
        self.handshake == Handshake::Begun
    }

    /// Whether the handshake resumed an earlier session (RFC 8446, section 2.2).
    pub(crate) fn was_resumed(&self) -> bool {
        self.tls.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Why the handshake failed, if the connection failed with this error in its handshake.
    pub(crate) fn handshake_failure(&self, error: &io::Error) -> Option<TlsFailure> {
        match self.handshake {
            Handshake::Complete | Handshake::Over => None,
            Handshake::Expected => {
                (error.kind() == ErrorKind::InvalidData).then_some(TlsFailure::Plaintext)
            }
            Handshake::Begun => Some(failure(error)),
        }
    }

    /// Reads once, and opens the records that have arrived whole.
    ///
    /// # Errors
    /// The socket's; [`ErrorKind::InvalidData`] if the peer breaks the protocol, which it has been told.
    #[inline(never)]
    pub(crate) fn read(&mut self, plain: &mut [u8], scratch: &mut Scratch) -> io::Result<Arrival> {
        if self.peer_ended || self.handshake == Handshake::Over {
            return Ok(Arrival::default());
        }
        let held = self.received.len();
        scratch.used = true;
        // What is opened is never longer than what was sealed.
        let sealed = buffer(&mut scratch.received, plain.len());
        let most = if self.handshake == Handshake::Complete { MAX_HELD } else { sealed.len() };
        if held >= most {
            let reason = "a handshake message is too long";
            return Err(io::Error::new(ErrorKind::InvalidData, reason));
        }
        sealed[..held].copy_from_slice(&self.received);
        let taken = self.socket.read(&mut sealed[held..])?;
        if taken == 0 {
            return Ok(Arrival::default());
        }
        // A read that did not fill the buffer has drained the socket.
        let full = held + taken == sealed.len();
        let sealed = &mut sealed[..held + taken];
        if self.handshake == Handshake::Expected {
            self.begin_handshake(sealed[0])?;
        }
        let (size, answered) = self.open(sealed, plain)?;
        let handshake = self.is_in_handshake();
        if handshake && !self.tls.is_handshaking() {
            self.handshake = Handshake::Complete;
        }
        let cost = if handshake && answered { HANDSHAKE_COST } else { taken };
        Ok(Arrival { size, taken, cost, more: full || self.peer_ended, handshake })
    }

    /// Begins the handshake with the first byte of the peer.
    fn begin_handshake(&mut self, first: u8) -> io::Result<()> {
        if first != HANDSHAKE {
            return Err(refuse_plaintext(&mut self.socket, first));
        }
        self.handshake = Handshake::Begun;
        Ok(())
    }

    /// Opens records, keeps what has not arrived whole, and sends what the library answers. Returns the
    /// size of the plaintext, and whether there was an answer.
    fn open(&mut self, sealed: &mut [u8], plain: &mut [u8]) -> io::Result<(usize, bool)> {
        let before = self.unsent.len();
        let processed = self.process(sealed, plain, |_| ());
        let answered = self.unsent.len() > before;
        let sent = self.send_unsent();
        let Processed { sealed: size, plain, .. } = processed?;
        sent?;
        self.keep(&sealed[size..]);
        Ok((plain, answered))
    }

    /// Sends with `send`, unless the connection is broken.
    fn prepare<T>(
        &mut self,
        send: impl FnOnce(WriteTraffic<'_, ServerConnectionData>) -> T,
    ) -> io::Result<T> {
        // The library refers to the beginning of a handshake message by its place.
        let mut received = mem::take(&mut self.received);
        let processed = self.process(&mut received, &mut [], send);
        self.received = received;
        Ok(processed?.sent.ok_or(ErrorKind::BrokenPipe)?)
    }

    /// Lets the library process records up to the first that has not arrived whole, and calls `send` if
    /// data can be sent. What the library itself has to send is unsent afterwards: its part of the
    /// handshake, key updates, or an alert if the peer breaks the protocol.
    ///
    /// # Errors
    /// The library's.
    fn process<T>(
        &mut self,
        sealed: &mut [u8],
        plain: &mut [u8],
        send: impl FnOnce(WriteTraffic<'_, ServerConnectionData>) -> T,
    ) -> io::Result<Processed<T>> {
        let mut processed = Processed { sealed: 0, plain: 0, sent: None };
        loop {
            let UnbufferedStatus { discard, state } =
                self.tls.process_tls_records(&mut sealed[processed.sealed..]);
            processed.sealed += discard;
            match state {
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, &mut self.unsent)?,
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let payload = record.map_err(invalid)?.payload;
                        let end = processed.plain + payload.len();
                        plain[processed.plain..end].copy_from_slice(payload);
                        processed.plain = end;
                    }
                }
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.peer_ended = true,
                Err(error) => {
                    self.encode_alert()?;
                    return Err(invalid(error));
                }
                Ok(ConnectionState::WriteTraffic(traffic)) => {
                    processed.sent = Some(send(traffic));
                    return Ok(processed);
                }
                Ok(_) => return Ok(processed),
            }
        }
    }

    /// Encodes what the library says to a peer that breaks the protocol. It must not see any records after the
    /// violation.
    #[cold]
    fn encode_alert(&mut self) -> io::Result<()> {
        while self.tls.wants_write()
            && let Ok(ConnectionState::EncodeTlsData(data)) =
                self.tls.process_tls_records(&mut []).state
        {
            encode(data, &mut self.unsent)?;
        }
        Ok(())
    }

    fn keep(&mut self, rest: &[u8]) {
        if rest.is_empty() {
            self.received = Vec::new();
        } else {
            self.received.clear();
            self.received.extend_from_slice(rest);
        }
    }

    /// Seals as much of the pieces as the socket takes, and writes it. What was sealed and not taken is
    /// kept. Returns how many bytes of the pieces were sealed.
    ///
    /// # Errors
    /// The socket's; [`ErrorKind::WouldBlock`] if nothing was sealed.
    #[inline(never)]
    pub(crate) fn write(
        &mut self,
        pieces: &[IoSlice<'_>],
        scratch: &mut Scratch,
    ) -> io::Result<usize> {
        if self.handshake != Handshake::Complete || !self.send_unsent()? {
            return Err(ErrorKind::WouldBlock.into());
        }
        scratch.used = true;
        let mut taken = 0;
        let mut pieces = pieces.iter().map(|piece| &**piece).peekable();
        while let Some(piece) = pieces.next() {
            let share = if piece.len() < MAX_RECORD && pieces.peek().is_some() {
                gather(piece, &mut pieces, &mut scratch.gathered)
            } else {
                piece
            };
            for share in share.chunks(MAX_SHARE) {
                taken += share.len();
                let sealed = buffer(&mut scratch.sealed, SEALED_BYTES);
                let size = self.seal(share, sealed)?;
                if !self.send(&sealed[..size])? {
                    return Ok(taken);
                }
            }
        }
        Ok(taken)
    }

    /// Seals bytes into as few records as possible, and returns the size of these.
    fn seal(&mut self, share: &[u8], sealed: &mut [u8]) -> io::Result<usize> {
        let encrypt = |mut traffic: WriteTraffic<'_, _>| traffic.encrypt(share, sealed);
        self.prepare(encrypt)?.map_err(io::Error::other)
    }

    /// Writes sealed bytes, and keeps what the socket does not take. Returns whether it took all.
    fn send(&mut self, sealed: &[u8]) -> io::Result<bool> {
        if !self.unsent.is_empty() {
            // The library had something to send first.
            self.unsent.extend_from_slice(sealed);
            return self.send_unsent();
        }
        let size = match self.socket.write(sealed) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) if error.kind() == ErrorKind::Interrupted => 0,
            outcome => outcome?,
        };
        self.unsent.extend_from_slice(&sealed[size..]);
        Ok(size == sealed.len())
    }

    /// Writes what the socket has not taken. Returns whether nothing is left.
    ///
    /// # Errors
    /// The socket's.
    #[inline(never)]
    pub(crate) fn send_unsent(&mut self) -> io::Result<bool> {
        while !self.unsent.is_empty() {
            match self.socket.write(&self.unsent) {
                Ok(size) => drop(self.unsent.drain(..size)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.unsent = Vec::new();
        if mem::take(&mut self.ending) {
            self.socket.shutdown(Shutdown::Write)?;
        }
        Ok(true)
    }

    /// Ends our side: with an alert (RFC 8446, section 6.1), and then of TCP, as soon as everything is
    /// written.
    #[inline(never)]
    pub(crate) fn shutdown(&mut self) -> io::Result<()> {
        self.ending = true;
        if self.handshake == Handshake::Complete {
            let mut alert = Vec::new();
            let encode = |mut traffic: WriteTraffic<'_, _>| {
                append(&mut alert, |out| traffic.queue_close_notify(out).map_err(encrypt_size))
            };
            self.prepare(encode)??;
            self.unsent.append(&mut alert);
        }
        self.send_unsent().map(drop)
    }
}
