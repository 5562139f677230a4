//! A client's socket.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::{Domain, SockRef, Socket, Type};

/// How many loopback addresses clients come from.
const SOURCES: usize = 8;

/// Linux's number for a connection that is under way; the standard library has no stable name.
const EINPROGRESS: i32 = 115;

/// A socket that does not block, registered for both directions once, edge-triggered.
#[derive(Debug)]
pub struct Line {
    stream: TcpStream,
    /// What the socket has not taken yet.
    pub unsent: Vec<u8>,
    /// What was received and is not used yet.
    pub unread: Vec<u8>,
}

impl Line {
    /// Begins to connect, from one of the source addresses.
    ///
    /// With a `receive_buffer`, the system keeps only about this many unread bytes.
    pub fn connect(
        server: SocketAddr,
        token: usize,
        registry: &Registry,
        receive_buffer: Option<usize>,
    ) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if let Some(size) = receive_buffer {
            socket.set_recv_buffer_size(size)?;
        }
        let source = Ipv4Addr::new(127, 0, 0, 1 + (token % SOURCES) as u8);
        socket.bind(&SocketAddr::from((source, 0)).into())?;
        match socket.connect(&server.into()) {
            Err(error) if error.raw_os_error() != Some(EINPROGRESS) => return Err(error),
            _ => {}
        }
        let mut stream = TcpStream::from_std(socket.into());
        let both = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut stream, Token(token), both)?;
        Ok(Self { stream, unsent: Vec::new(), unread: Vec::new() })
    }

    /// Receives everything available, and returns whether the server has ended its side.
    pub fn receive(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Ok(true),
                Ok(count) => self.unread.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends what is unsent, as far as the socket takes it.
    pub fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() && self.send(self.unsent.len())? > 0 {}
        Ok(())
    }

    /// Sends up to `most` unsent bytes, and returns how many.
    pub fn send(&mut self, most: usize) -> io::Result<usize> {
        let bytes = &self.unsent[..most.min(self.unsent.len())];
        match self.stream.write(bytes) {
            Ok(count) => {
                self.unsent.drain(..count);
                Ok(count)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Ends the connection with a reset.
    pub fn reset(self) -> io::Result<()> {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))
    }
}
