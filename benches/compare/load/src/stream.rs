//! A connection's bytes, with or without TLS.

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::net;

use rustls::ClientConnection;

use crate::Failure;
use crate::flags::Target;

/// A socket, and TLS above it if the server speaks that.
#[derive(Debug)]
pub struct Stream<S> {
    pub socket: S,
    tls: Option<Box<ClientConnection>>,
}

impl Stream<net::TcpStream> {
    /// Connects, and waits until that is done.
    pub fn connect(target: &Target) -> Result<Self, Failure> {
        let mut socket = net::TcpStream::connect_timeout(&target.address, target.time_left()?)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(target.time_left()?))?;
        let mut tls = target.tls.as_ref().map(|tls| tls.connection()).transpose()?;
        if let Some(tls) = &mut tls {
            while tls.is_handshaking() {
                tls.complete_io(&mut socket)?;
            }
        }
        Ok(Self { socket, tls: tls.map(Box::new) })
    }

    /// The same connection for a poll.
    pub fn into_nonblocking(self) -> io::Result<Stream<mio::net::TcpStream>> {
        self.socket.set_nonblocking(true)?;
        Ok(Stream { socket: mio::net::TcpStream::from_std(self.socket), tls: self.tls })
    }
}

impl Read for Stream<net::TcpStream> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            Some(tls) => rustls::Stream::new(&mut **tls, &mut self.socket).read(buffer),
            None => self.socket.read(buffer),
        }
    }
}

impl Write for Stream<net::TcpStream> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            Some(tls) => rustls::Stream::new(&mut **tls, &mut self.socket).write(bytes),
            None => self.socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

impl Stream<mio::net::TcpStream> {
    /// Begins to connect.
    pub fn begin(target: &Target) -> Result<Self, Failure> {
        let tls = target.tls.as_ref().map(|tls| tls.connection()).transpose()?;
        Ok(Self { socket: mio::net::TcpStream::connect(target.address)?, tls: tls.map(Box::new) })
    }

    /// Reads all that there is, in pieces.
    pub fn receive(
        &mut self,
        buffer: &mut [u8],
        mut each: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        loop {
            let count = match self.socket.read(buffer) {
                Ok(0) => return Err("the server ended a connection".into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            match &mut self.tls {
                Some(tls) => open(tls, &buffer[..count], &mut each)?,
                None => each(&buffer[..count])?,
            }
            // Less than there was room for: the socket is empty, and will tell when it is not.
            if count < buffer.len() {
                return Ok(());
            }
        }
    }

    /// Sends some of `bytes` now, perhaps none.
    pub fn send(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        let Some(tls) = &mut self.tls else { return or_none(self.socket.write(bytes)) };
        if !tls.is_handshaking() && tls.wants_write() {
            return Ok(0);
        }
        let count = tls.writer().write(bytes)?;
        self.send_sealed()?;
        Ok(count)
    }

    /// Sends what TLS has made of earlier bytes and of the handshake, as far as the socket takes it.
    pub fn send_sealed(&mut self) -> Result<(), Failure> {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() && or_none(tls.write_tls(&mut self.socket))? > 0 {}
        }
        Ok(())
    }

    /// Whether this is TLS that has resumed a session.
    pub fn has_resumed(&self) -> bool {
        let kind = self.tls.as_ref().and_then(|tls| tls.handshake_kind());
        kind == Some(rustls::HandshakeKind::Resumed)
    }
}

/// Opens what was received.
fn open(
    tls: &mut ClientConnection,
    mut sealed: &[u8],
    mut each: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    while !sealed.is_empty() {
        tls.read_tls(&mut sealed)?;
        tls.process_new_packets()?;
        let mut reader = tls.reader();
        loop {
            let plain = match reader.fill_buf() {
                Ok([]) => return Err("the server ended a connection".into()),
                Ok(plain) => plain,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            };
            each(plain)?;
            let count = plain.len();
            reader.consume(count);
        }
    }
    Ok(())
}

fn or_none(written: io::Result<usize>) -> Result<usize, Failure> {
    match written {
        Ok(count) => Ok(count),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        Err(error) => Err(error.into()),
    }
}
