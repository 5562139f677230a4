//! The transport that carries a client's bytes.

mod arrival;
#[cfg(feature = "tls")]
mod encode;
#[cfg(feature = "tls")]
mod failure;
#[cfg(feature = "tls")]
mod plaintext;
mod proxied;
#[cfg(feature = "tls")]
mod scratch;
#[cfg_attr(not(feature = "tls"), path = "without_tls.rs")]
mod tls;

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};

use mio::net::UnixStream;

use crate::protocol::{Endpoints, ProxyRefusal};
use crate::server::limits::total::Total;
#[cfg(any(test, fuzzing))]
use crate::server::simulation::Pipe;
use crate::server::system::TcpStream;
use crate::server::tls_counts::TlsFailure;
use proxied::ProxiedStream;

pub(crate) use arrival::Arrival;
pub(crate) use tls::{Scratch, TlsStream};

/// A connection below the WebSocket protocol.
#[derive(Debug)]
pub(crate) enum Transport {
    /// Plain TCP.
    Tcp(TcpStream),
    /// A Unix socket, without TLS.
    Unix(UnixStream),
    /// TLS over TCP.
    Tls(Box<TlsStream>),
    /// Any of these, after a PROXY header.
    Proxied(Box<ProxiedStream<Self>>),
    /// Memory, for tests.
    #[cfg(any(test, fuzzing))]
    Pipe(Pipe),
}

impl Transport {
    /// The same transport, after a PROXY header.
    pub(crate) fn behind_proxy(self) -> Self {
        Self::Proxied(Box::new(ProxiedStream::new(self)))
    }

    /// Reads into a buffer, with others in which records are opened.
    #[inline]
    pub(crate) fn read(&mut self, buffer: &mut [u8], scratch: &mut Scratch) -> io::Result<Arrival> {
        match self {
            Self::Tcp(stream) => read(stream, buffer),
            Self::Unix(stream) => read(stream, buffer),
            Self::Tls(stream) => stream.read(buffer, scratch),
            Self::Proxied(stream) => stream.read(buffer, scratch),
            #[cfg(any(test, fuzzing))]
            Self::Pipe(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Writes as many of the bytes as the transport takes.
    #[inline]
    pub(crate) fn write(&mut self, bytes: &[u8], scratch: &mut Scratch) -> io::Result<usize> {
        match self {
            _ if bytes.is_empty() => Ok(0),
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(&[IoSlice::new(bytes)], scratch),
            Self::Proxied(stream) => stream.write(bytes, scratch),
            #[cfg(any(test, fuzzing))]
            Self::Pipe(pipe) => pipe.write(&[IoSlice::new(bytes)]),
        }
    }

    /// Writes as many bytes of the pieces as the transport takes, in one system call if it is plain.
    pub(crate) fn write_vectored(
        &mut self,
        pieces: &[IoSlice<'_>],
        scratch: &mut Scratch,
    ) -> io::Result<usize> {
        match self {
            _ if pieces.is_empty() => Ok(0),
            Self::Tcp(stream) => stream.write_vectored(pieces),
            Self::Unix(stream) => stream.write_vectored(pieces),
            Self::Tls(stream) => stream.write(pieces, scratch),
            Self::Proxied(stream) => stream.write_vectored(pieces, scratch),
            #[cfg(any(test, fuzzing))]
            Self::Pipe(pipe) => pipe.write(pieces),
        }
    }

    pub(crate) fn is_unix(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Proxied(stream) => stream.inner.is_unix(),
            _ => false,
        }
    }

    pub(crate) fn is_tls(&self) -> bool {
        match self {
            Self::Tls(_) => true,
            Self::Proxied(stream) => stream.inner.is_tls(),
            _ => false,
        }
    }

    /// Whether TLS or a PROXY header is between the client's bytes and the socket.
    #[inline]
    pub(crate) fn is_layered(&self) -> bool {
        matches!(self, Self::Tls(_) | Self::Proxied(_))
    }

    /// Whether bytes wait that were taken and not written.
    #[inline]
    pub(crate) fn has_unsent(&self) -> bool {
        self.is_layered() && self.unsent_bytes_wait()
    }

    #[inline(never)]
    fn unsent_bytes_wait(&self) -> bool {
        match self {
            Self::Tls(stream) => stream.has_unsent(),
            Self::Proxied(stream) => stream.inner.has_unsent(),
            _ => false,
        }
    }

    /// Writes what was taken and not written. Returns whether nothing is left.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn send_unsent(&mut self) -> io::Result<bool> {
        match self {
            Self::Tls(stream) => stream.send_unsent(),
            Self::Proxied(stream) => stream.inner.send_unsent(),
            _ => Ok(true),
        }
    }

    /// Counts the memory for what was taken and not written.
    #[inline]
    pub(crate) fn count_unsent(&mut self, total: &mut Total) {
        match self {
            Self::Tls(stream) => stream.count_unsent(total),
            Self::Proxied(stream) => stream.inner.count_unsent(total),
            _ => {}
        }
    }

    /// Stops counting that memory.
    pub(crate) fn release_unsent(&mut self, total: &mut Total) {
        match self {
            Self::Tls(stream) => stream.release_unsent(total),
            Self::Proxied(stream) => stream.inner.release_unsent(total),
            _ => {}
        }
    }

    /// Frees the memory for what has not arrived whole. Over TLS, nothing is read or written any more.
    pub(crate) fn abandon(&mut self) {
        match self {
            Self::Tls(stream) => stream.abandon(),
            Self::Proxied(stream) => stream.inner.abandon(),
            _ => {}
        }
    }

    /// The memory in bytes for what has not arrived whole.
    #[inline]
    pub(crate) fn received_bytes(&self) -> usize {
        if self.is_layered() { self.incomplete_record_bytes() } else { 0 }
    }

    #[inline(never)]
    fn incomplete_record_bytes(&self) -> usize {
        match self {
            Self::Tls(stream) => stream.received_bytes(),
            Self::Proxied(stream) => stream.inner.received_bytes(),
            _ => 0,
        }
    }

    /// Whether a TLS handshake has begun and is not complete.
    pub(crate) fn is_in_handshake(&self) -> bool {
        match self {
            Self::Tls(stream) => stream.is_in_handshake(),
            Self::Proxied(stream) => stream.inner.is_in_handshake(),
            _ => false,
        }
    }

    /// Whether the TLS handshake resumed an earlier session.
    pub(crate) fn was_resumed(&self) -> bool {
        match self {
            Self::Tls(stream) => stream.was_resumed(),
            Self::Proxied(stream) => stream.inner.was_resumed(),
            _ => false,
        }
    }

    /// Why the TLS handshake failed, if the connection failed with this error in its handshake.
    pub(crate) fn handshake_failure(&self, error: &io::Error) -> Option<TlsFailure> {
        match self {
            Self::Tls(stream) => stream.handshake_failure(error),
            Self::Proxied(stream) => stream.inner.handshake_failure(error),
            _ => None,
        }
    }

    /// The client's address: the one that a PROXY header names, or the peer's, if there is one and the
    /// connection has not ended.
    pub(crate) fn peer_address(&self) -> Option<SocketAddr> {
        match self.endpoints() {
            Some(endpoints) => Some(endpoints.source),
            None => self.socket()?.peer_addr().ok(),
        }
    }

    /// The address that the client connected to, if there is one: the one that a PROXY header names, or
    /// the server's own.
    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        match self.endpoints() {
            Some(endpoints) => Some(endpoints.destination),
            None => self.socket()?.local_addr().ok(),
        }
    }

    /// The addresses that a PROXY header names.
    pub(crate) fn endpoints(&self) -> Option<&Endpoints> {
        match self {
            Self::Proxied(stream) => stream.endpoints(),
            _ => None,
        }
    }

    /// Whether a PROXY header has begun to arrive, and is not complete.
    pub(crate) fn has_partial_header(&self) -> bool {
        matches!(self, Self::Proxied(stream) if stream.has_partial_header())
    }

    /// What became of a PROXY header, once.
    pub(crate) fn take_header(&mut self) -> Option<Result<(), ProxyRefusal>> {
        match self {
            Self::Proxied(stream) => stream.take_header(),
            _ => None,
        }
    }

    /// Reads from the socket itself, below TLS.
    fn read_raw(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(buffer),
            _ => self.socket().map_or(Ok(0), |mut socket| socket.read(buffer)),
        }
    }

    fn socket(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(stream) => Some(stream),
            Self::Unix(_) => None,
            Self::Tls(stream) => Some(stream.socket()),
            Self::Proxied(stream) => stream.inner.socket(),
            #[cfg(any(test, fuzzing))]
            Self::Pipe(_) => None,
        }
    }

    /// Ends our side of the connection.
    pub(crate) fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
            Self::Tls(stream) => stream.shutdown(),
            Self::Proxied(stream) => stream.inner.shutdown(),
            #[cfg(any(test, fuzzing))]
            Self::Pipe(_) => Ok(()),
        }
    }
}

/// What is called for every message. These are functions of their own, because the compiler would not inline
/// functions of the transport that call themselves.
impl ProxiedStream<Transport> {
    #[inline(never)]
    fn read(&mut self, buffer: &mut [u8], scratch: &mut Scratch) -> io::Result<Arrival> {
        match self.read_header(Transport::read_raw, buffer)? {
            Some(arrival) => Ok(arrival),
            None => self.inner.read(buffer, scratch),
        }
    }

    #[inline(never)]
    fn write(&mut self, bytes: &[u8], scratch: &mut Scratch) -> io::Result<usize> {
        self.inner.write(bytes, scratch)
    }

    #[inline(never)]
    fn write_vectored(
        &mut self,
        pieces: &[IoSlice<'_>],
        scratch: &mut Scratch,
    ) -> io::Result<usize> {
        self.inner.write_vectored(pieces, scratch)
    }
}

#[inline]
fn read(stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<Arrival> {
    let size = stream.read(buffer)?;
    // A read that did not fill the buffer has drained the socket.
    let more = size == buffer.len();
    Ok(Arrival { size, taken: size, cost: size, more, handshake: false })
}
