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

use mio::net::TcpStream;
use rustls::ServerConfig;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, UnbufferedStatus};

use super::arrival::Arrival;
use super::encode::{
    MAX_RECORD, RECORD_OVERHEAD, append, buffer, encode, encrypt_size, gather, invalid,
};
use crate::protocol::Response;
use crate::server::limits::total::{Share, Total};

/// The most bytes that are sealed before they are written: what the socket does not take must be kept.
const MAX_SHARE: usize = 64 << 10;

/// The size of the buffer that records are sealed in.
const SEALED_BYTES: usize = MAX_SHARE + (MAX_SHARE / MAX_RECORD + 1) * RECORD_OVERHEAD;

/// The content type of a handshake record, with which a client begins (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// Buffers that all TLS connections share. Without any, they take no memory.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    received: Vec<u8>,
    sealed: Vec<u8>,
    gathered: Vec<u8>,
    /// Whether they have been used since [`trim`](Self::trim).
    used: bool,
}

impl Scratch {
    /// Gives the buffers back if they have not been used since the last call.
    pub(crate) fn trim(&mut self) {
        if !mem::take(&mut self.used) {
            *self = Self::default();
        }
    }

    /// Whether there are buffers to be given back, sooner or later.
    pub(crate) fn holds_memory(&self) -> bool {
        !(self.received.is_empty() && self.sealed.is_empty())
    }
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
    /// Whether anything has been received.
    begun: bool,
    /// Whether the handshake is complete.
    established: bool,
    /// Whether a write came too early, and is to be repeated when the handshake is complete.
    awaited: bool,
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
            begun: false,
            established: false,
            awaited: false,
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

    /// Reads once, and opens the records that have arrived whole.
    ///
    /// # Errors
    /// The socket's; [`ErrorKind::Interrupted`] if no record has arrived whole;
    /// [`ErrorKind::InvalidData`] if the peer breaks the protocol, which it has been told.
    #[inline(never)]
    pub(crate) fn read(&mut self, plain: &mut [u8], scratch: &mut Scratch) -> io::Result<Arrival> {
        if self.peer_ended {
            return Ok(Arrival::default());
        }
        let held = self.received.len();
        scratch.used = true;
        // What is opened is never longer than what was sealed.
        let sealed = buffer(&mut scratch.received, plain.len());
        sealed[..held].copy_from_slice(&self.received);
        let size = self.socket.read(&mut sealed[held..])?;
        if size == 0 {
            return Ok(Arrival::default());
        }
        let sealed = &mut sealed[..held + size];
        if !self.begun && sealed[0] != HANDSHAKE {
            return Err(self.refuse_plaintext(sealed[0]));
        }
        self.begun = true;
        let size = self.open(sealed, plain)?;
        self.send_unsent()?;
        match size {
            0 if self.peer_ended => Ok(Arrival::default()),
            0 if self.established && mem::take(&mut self.awaited) => {
                Ok(Arrival { unblocked: true, ..Arrival::default() })
            }
            0 => Err(ErrorKind::Interrupted.into()),
            _ => Ok(Arrival { size, more: true, unblocked: false }),
        }
    }

    /// Answers a request without TLS, which is probably a mistake, so that one can read what is wrong.
    #[cold]
    fn refuse_plaintext(&mut self, first: u8) -> io::Error {
        if first.is_ascii_uppercase() {
            let text = "this port speaks TLS: use https:// or wss:// here";
            let response = Response::new(400).header("Content-Type", "text/plain; charset=utf-8");
            let mut answer = Vec::new();
            response.expect("a valid field").body(text.as_bytes()).encode(&mut answer);
            // If the peer has gone, the answer is not needed.
            let _ = self.socket.write(&answer);
        }
        io::Error::new(ErrorKind::InvalidData, "no TLS")
    }

    /// Opens records, and keeps what has not arrived whole. Returns the size of the plaintext.
    fn open(&mut self, sealed: &mut [u8], plain: &mut [u8]) -> io::Result<usize> {
        let mut begin = 0;
        let mut size = 0;
        loop {
            let UnbufferedStatus { discard, state } =
                self.tls.process_tls_records(&mut sealed[begin..]);
            let waits = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let payload = record.map_err(invalid)?.payload;
                        plain[size..size + payload.len()].copy_from_slice(payload);
                        size += payload.len();
                    }
                    false
                }
                Ok(ConnectionState::EncodeTlsData(data)) => {
                    encode(data, &mut self.unsent)?;
                    false
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    false
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.peer_ended = true;
                    false
                }
                Ok(ConnectionState::WriteTraffic(_)) => {
                    self.established = true;
                    true
                }
                Ok(_) => true,
                Err(error) => {
                    self.send_alert();
                    return Err(invalid(error));
                }
            };
            begin += discard;
            if waits {
                self.keep(&sealed[begin..]);
                return Ok(size);
            }
        }
    }

    /// Sends what the library says to a peer that breaks the protocol, if the socket takes it.
    #[cold]
    fn send_alert(&mut self) {
        loop {
            match self.tls.process_tls_records(&mut []).state {
                Ok(ConnectionState::EncodeTlsData(data)) => {
                    let _ = encode(data, &mut self.unsent);
                }
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                _ => break,
            }
        }
        let _ = self.send_unsent();
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
        if !self.established {
            self.awaited = true;
            return Err(ErrorKind::WouldBlock.into());
        }
        if !self.send_unsent()? {
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
        let mut size = 0;
        loop {
            match self.tls.process_tls_records(&mut []).state.map_err(invalid)? {
                ConnectionState::EncodeTlsData(mut data) => {
                    size += data.encode(&mut sealed[size..]).map_err(io::Error::other)?;
                }
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::WriteTraffic(mut traffic) => {
                    let written = traffic.encrypt(share, &mut sealed[size..]);
                    return Ok(size + written.map_err(io::Error::other)?);
                }
                ConnectionState::PeerClosed => self.peer_ended = true,
                _ => return Err(ErrorKind::BrokenPipe.into()),
            }
        }
    }

    /// Writes sealed bytes, and keeps what the socket does not take. Returns whether it took all.
    fn send(&mut self, sealed: &[u8]) -> io::Result<bool> {
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
        if self.established
            && let Ok(ConnectionState::WriteTraffic(mut traffic)) =
                self.tls.process_tls_records(&mut []).state
        {
            let encode = |out: &mut [u8]| traffic.queue_close_notify(out).map_err(encrypt_size);
            append(&mut self.unsent, encode)?;
        }
        self.send_unsent().map(drop)
    }
}
