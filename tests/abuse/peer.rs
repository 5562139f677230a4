//! A client without a WebSocket library, which can break every rule.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use crate::support::PATIENCE;

/// A TCP connection to the program.
pub struct Peer(BufReader<TcpStream>);

impl Peer {
    pub fn connect(address: &str) -> Self {
        Self::of(TcpStream::connect(address).unwrap())
    }

    /// Connects from another address of this machine.
    pub fn connect_from(own: &str, address: &str) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let own = SocketAddr::new(own.parse().unwrap(), 0);
        socket.bind(&own.into()).unwrap();
        socket.connect(&address.parse::<SocketAddr>().unwrap().into()).unwrap();
        Self::of(socket.into())
    }

    fn of(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    /// Connects and requests an upgrade to the room `path`.
    pub fn ask(address: &str, path: &str) -> Self {
        let peer = Self::connect(address);
        peer.send(request(path).as_bytes());
        peer
    }

    /// Connects and joins the room `path`.
    pub fn join(address: &str, path: &str) -> Self {
        let mut peer = Self::ask(address, path);
        peer.receive_upgrade();
        peer
    }

    /// The client's own address.
    pub fn address(&self) -> String {
        self.0.get_ref().local_addr().unwrap().to_string()
    }

    pub fn send(&self, bytes: &[u8]) {
        self.try_send(bytes).unwrap();
    }

    /// Sends bytes, and returns an error if it is too late.
    pub fn try_send(&self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.get_ref().write_all(bytes)
    }

    /// Sends bytes of which the last is urgent (RFC 9293, section 3.8.5).
    pub fn send_urgent(&self, bytes: &[u8]) {
        let socket = SockRef::from(self.0.get_ref());
        assert_eq!(socket.send_out_of_band(bytes).unwrap(), bytes.len());
    }

    pub fn end_writing(&self) {
        self.0.get_ref().shutdown(Shutdown::Write).unwrap();
    }

    /// Ends the connection with a reset, which the system sends when a socket with unread data is closed.
    pub fn reset(self) {
        assert!(self.0.buffer().is_empty());
        self.wait_for_something();
    }

    /// Waits until there is something to be read.
    pub fn wait_for_something(&self) {
        assert_eq!(self.0.get_ref().peek(&mut [0]).unwrap(), 1);
    }

    pub fn receive_upgrade(&mut self) {
        let head = self.receive_head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    }

    /// Everything up to the first empty line.
    pub fn receive_head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") && self.0.read_line(&mut head).unwrap() > 0 {}
        head
    }

    /// The first byte and the payload of the next frame.
    pub fn receive(&mut self) -> (u8, Vec<u8>) {
        let mut header = [0; 2];
        self.0.read_exact(&mut header).unwrap();
        let length = match header[1] {
            126 => u64::from(u16::from_be_bytes(self.receive_bytes())),
            127 => u64::from_be_bytes(self.receive_bytes()),
            short => u64::from(short),
        };
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).unwrap();
        (header[0], payload)
    }

    fn receive_bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// The text of the next frame, which must be a text frame.
    pub fn receive_text(&mut self) -> String {
        let (first, payload) = self.receive();
        assert_eq!(first, 0x81);
        String::from_utf8(payload).unwrap()
    }

    /// The code and the reason of the close frame; frames before it are skipped.
    pub fn receive_close(&mut self) -> (u16, String) {
        loop {
            if let (0x88, payload) = self.receive() {
                let (code, reason) = payload.split_first_chunk().expect("there is a code");
                return (u16::from_be_bytes(*code), String::from_utf8_lossy(reason).into_owned());
            }
        }
    }

    /// The status and the body of an answer other than an upgrade.
    pub fn receive_refusal(&mut self) -> (u16, String) {
        let mut answer = String::new();
        self.0.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("there is an answer");
        (head[9..12].parse().unwrap(), body.trim_end().to_owned())
    }

    /// Waits for the end of the connection or a reset, and returns what arrived before it.
    pub fn receive_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
            _ => bytes,
        }
    }

    /// The next `size` bytes.
    pub fn receive_exactly(&mut self, size: usize) -> Vec<u8> {
        let mut bytes = vec![0; size];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Reads and discards `size` bytes.
    pub fn take(&mut self, size: usize) {
        self.0.read_exact(&mut vec![0; size]).unwrap();
    }

    /// Sends bytes one at a time, with a pause between them, until they or the connection end. Returns
    /// what was received by the end of the connection.
    pub fn trickle(&mut self, bytes: impl IntoIterator<Item = u8>, pause: Duration) -> Vec<u8> {
        self.0.get_ref().set_read_timeout(Some(pause)).unwrap();
        let mut bytes = bytes.into_iter();
        let mut received = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.0.read_to_end(&mut received) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    assert!(Instant::now() < deadline, "the connection does not end");
                    if let Some(byte) = bytes.next() {
                        // If this fails, the next read shows why.
                        let _ = self.try_send(&[byte]);
                    }
                }
                Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
                _ => return received,
            }
        }
    }
}

/// A request for an upgrade into the room `path`.
pub fn request(path: &str) -> String {
    request_with(path, "")
}

/// A request for an upgrade with further fields, each of which ends in CRLF.
pub fn request_with(path: &str, fields: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: townhall.example\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Version: 13\r\n{fields}\r\n"
    )
}

/// A frame whose mask is zero.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = match payload.len() {
        length @ 0..=125 => vec![first, 0x80 | length as u8],
        length @ 126..=0xffff => [&[first, 0xfe], &(length as u16).to_be_bytes()[..]].concat(),
        length => return [long_header(first, length as u64), payload.to_vec()].concat(),
    };
    bytes.extend([0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

/// The header of a frame that declares a length in 64 bits, and a mask of zero.
pub fn long_header(first: u8, length: u64) -> Vec<u8> {
    [&[first, 0xff], &length.to_be_bytes()[..], &[0; 4]].concat()
}
