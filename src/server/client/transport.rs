//! The transport that carries a client's bytes.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};

use mio::net::TcpStream;

#[cfg(any(test, fuzzing))]
use crate::server::simulation::Pipe;

/// A connection below the WebSocket protocol.
#[derive(Debug)]
pub(crate) enum Transport {
    /// Plain TCP.
    Tcp(TcpStream),
    /// Memory, for tests.
    #[cfg(any(test, fuzzing))]
    Pipe(Pipe),
}

impl Transport {
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            #[cfg(any(test, fuzzing))]
            Self::Pipe(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Writes as many of the bytes as the transport takes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            _ if bytes.is_empty() => Ok(0),
            Self::Tcp(stream) => stream.write(bytes),
            #[cfg(any(test, fuzzing))]
            Self::Pipe(pipe) => pipe.write(&[IoSlice::new(bytes)]),
        }
    }

    /// Writes as many bytes of the pieces as the transport takes, in one system call.
    pub(crate) fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            _ if pieces.is_empty() => Ok(0),
            Self::Tcp(stream) => stream.write_vectored(pieces),
            #[cfg(any(test, fuzzing))]
            Self::Pipe(pipe) => pipe.write(pieces),
        }
    }

    /// The peer's address, if there is one and the connection has not ended.
    pub(crate) fn peer_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            #[cfg(any(test, fuzzing))]
            Self::Pipe(_) => None,
        }
    }

    /// The address that the peer connected to, if there is one.
    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.local_addr().ok(),
            #[cfg(any(test, fuzzing))]
            Self::Pipe(_) => None,
        }
    }

    /// Ends our side of the connection.
    pub(crate) fn shutdown(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            #[cfg(any(test, fuzzing))]
            Self::Pipe(_) => Ok(()),
        }
    }
}
