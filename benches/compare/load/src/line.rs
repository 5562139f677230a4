//! One client's socket, once the connection is open.

use std::io::{ErrorKind, Read, Write};

use mio::net::TcpStream;
use mio::{Interest, Poll, Token};

use crate::Failure;
use crate::connect::Opened;

/// How much is read at once, for all clients in turn.
pub const BUFFER: usize = 256 << 10;

/// A socket that does not block, and is registered for both directions once.
#[derive(Debug)]
pub struct Line {
    stream: TcpStream,
    /// What the socket has not taken yet.
    pub unsent: Vec<u8>,
}

impl Line {
    pub fn new(opened: Opened, poll: &Poll, token: usize) -> Result<Self, Failure> {
        opened.stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(opened.stream);
        let both = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, Token(token), both)?;
        Ok(Self { stream, unsent: Vec::new() })
    }

    /// Reads all that there is, in pieces.
    pub fn receive(
        &mut self,
        buffer: &mut [u8],
        mut each: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        loop {
            let count = match self.stream.read(buffer) {
                Ok(0) => return Err("the server ended a connection".into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            each(&buffer[..count])?;
            // Less than there was room for: the socket is empty, and will tell when it is not.
            if count < buffer.len() {
                return Ok(());
            }
        }
    }

    /// Sends what is unsent, as far as the socket takes it.
    pub fn flush(&mut self) -> Result<(), Failure> {
        while !self.unsent.is_empty() {
            match write(&mut self.stream, &self.unsent)? {
                0 => break,
                count => drop(self.unsent.drain(..count)),
            }
        }
        Ok(())
    }

    /// Sends some of `bytes` now, perhaps none.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        write(&mut self.stream, bytes)
    }
}

fn write(stream: &mut TcpStream, bytes: &[u8]) -> Result<usize, Failure> {
    match stream.write(bytes) {
        Ok(count) => Ok(count),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        Err(error) => Err(error.into()),
    }
}
