//! The transport that carries a client's bytes.

mod arrival;
#[cfg(feature = "tls")]
mod encode;
#[cfg(feature = "tls")]
mod failure;
#[cfg(feature = "tls")]
mod plaintext;
#[cfg(feature = "tls")]
mod scratch;
#[cfg_attr(not(feature = "tls"), path = "without_tls.rs")]
mod tls;

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};

use mio::net::{TcpStream, UnixStream};

use crate::server::limits::total::Total;
#[cfg(any(test, fuzzing))]
use crate::server::simulation::Pipe;
use crate::server::tls_counts::TlsFailure;

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
    /// Memory, for tests.
    #[cfg(any(test, fuzzing))]
    Pipe(Pipe),
}

impl Transport {
    /// Reads into a buffer, with others in which records are opened.
    #[inline]
    pub(crate) fn read(&mut self, buffer: &mut [u8], scratch: &mut Scratch) -> io::Result<Arrival> {
        match self {
            Self::Tcp(stream) => read(stream, buffer),
            Self::Unix(stream) => read(stream, buffer),
            Self::Tls(stream) => stream.read(buffer, scratch),
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
            #[cfg(any(test, fuzzing))]
            Self::Pipe(pipe) => pipe.write(pieces),
        }
    }

    #[inline]
    pub(crate) fn is_unix(&self) -> bool {
        matches!(self, Self::Unix(_))
    }

    #[inline]
    pub(crate) fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Whether bytes wait that were taken and not written.
    #[inline]
    pub(crate) fn has_unsent(&self) -> bool {
        match self {
            Self::Tls(stream) => stream.has_unsent(),
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
            _ => Ok(true),
        }
    }

    /// Counts the memory for what was taken and not written.
    #[inline]
    pub(crate) fn count_unsent(&mut self, total: &mut Total) {
        if let Self::Tls(stream) = self {
            stream.count_unsent(total);
        }
    }

    /// Stops counting that memory.
    pub(crate) fn release_unsent(&mut self, total: &mut Total) {
        if let Self::Tls(stream) = self {
            stream.release_unsent(total);
        }
    }

    /// Frees the memory for what has not arrived whole. Over TLS, nothing is read or written any more.
    pub(crate) fn abandon(&mut self) {
        if let Self::Tls(stream) = self {
            stream.abandon();
        }
    }

    /// The memory in bytes for what has not arrived whole.
    #[inline]
    pub(crate) fn received_bytes(&self) -> usize {
        match self {
            Self::Tls(stream) => stream.received_bytes(),
            _ => 0,
        }
    }

    /// Whether a TLS handshake has begun and is not complete.
    pub(crate) fn is_in_handshake(&self) -> bool {
        matches!(self, Self::Tls(stream) if stream.is_in_handshake())
    }

    /// Whether the TLS handshake resumed an earlier session.
    pub(crate) fn was_resumed(&self) -> bool {
        matches!(self, Self::Tls(stream) if stream.was_resumed())
    }

    /// Why the TLS handshake failed, if the connection failed with this error in its handshake.
    pub(crate) fn handshake_failure(&self, error: &io::Error) -> Option<TlsFailure> {
        match self {
            Self::Tls(stream) => stream.handshake_failure(error),
            _ => None,
        }
    }

    /// The peer's address, if there is one and the connection has not ended.
    pub(crate) fn peer_address(&self) -> Option<SocketAddr> {
        self.socket()?.peer_addr().ok()
    }

    /// The address that the peer connected to, if there is one.
    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        self.socket()?.local_addr().ok()
    }

    fn socket(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(stream) => Some(stream),
            Self::Unix(_) => None,
            Self::Tls(stream) => Some(stream.socket()),
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
            #[cfg(any(test, fuzzing))]
            Self::Pipe(_) => Ok(()),
        }
    }
}

#[inline]
fn read(stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<Arrival> {
    let size = stream.read(buffer)?;
    // A read that did not fill the buffer has drained the socket.
    let more = size == buffer.len();
    Ok(Arrival { size, taken: size, cost: size, more, handshake: false })
}
