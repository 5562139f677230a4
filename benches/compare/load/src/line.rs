//! One client's socket, once the connection is open.

use std::net;

use mio::net::TcpStream;
use mio::{Interest, Poll, Token};

use crate::Failure;
use crate::stream::Stream;

/// How much is read at once, for all clients in turn.
pub const BUFFER: usize = 256 << 10;

/// A socket that does not block, and is registered for both directions once.
#[derive(Debug)]
pub struct Line {
    stream: Stream<TcpStream>,
    /// What the socket has not taken yet.
    pub unsent: Vec<u8>,
}

impl Line {
    pub fn new(stream: Stream<net::TcpStream>, poll: &Poll, token: usize) -> Result<Self, Failure> {
        let mut stream = stream.into_nonblocking()?;
        let both = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream.socket, Token(token), both)?;
        Ok(Self { stream, unsent: Vec::new() })
    }

    /// Reads all that there is, in pieces.
    pub fn receive(
        &mut self,
        buffer: &mut [u8],
        each: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.stream.receive(buffer, each)
    }

    /// Sends what is unsent, as far as the socket takes it.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.stream.send_sealed()?;
        while !self.unsent.is_empty() {
            match self.stream.send(&self.unsent)? {
                0 => break,
                count => drop(self.unsent.drain(..count)),
            }
        }
        Ok(())
    }

    /// Sends some of `bytes` now, perhaps none.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        self.stream.send_sealed()?;
        self.stream.send(bytes)
    }
}
