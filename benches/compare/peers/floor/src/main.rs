//! The floor: a bare TCP program over mio that moves the same bytes as a server, without the work that a
//! protocol requires.
//!
//! It is given the size of the messages, sends the same response to every request, and forwards the
//! payload of a frame after a prepared header; its clients mask with zeros. It has two forms: one write
//! for each message and client, and one write for each client and poll. Over TLS it pays for the cipher,
//! too, and for nothing else of the protocol once the handshake is done.

mod tls;

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Parser, ValueEnum};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustls::{ServerConfig, ServerConnection};

use tls::Cipher;

const BUFFER: usize = 64 << 10;
const LISTENER: Token = Token(usize::MAX);

/// The response to the key of the RFC's example, which all clients send.
const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// The minimum size in bytes of a piece of a message that is sent directly from the receive buffer;
/// shorter pieces are gathered first.
const LONG: usize = 4_096;

#[derive(Debug, Parser)]
struct Flags {
    #[arg(value_enum)]
    mode: Mode,
    #[arg(value_enum)]
    form: Form,
    /// The length of a message
    bytes: usize,
    /// A certificate, to speak TLS
    #[arg(long, requires = "key")]
    cert: Option<PathBuf>,
    /// Its key
    #[arg(long)]
    key: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    Broadcast,
    Echo,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// One write for each message and client
    Message,
    /// One write for each client and poll
    Round,
}

struct Floor {
    mode: Mode,
    form: Form,
    shape: Shape,
    tls: Option<Arc<ServerConfig>>,
    listener: TcpListener,
    poll: Poll,
    clients: Vec<Option<Client>>,
    buffer: Vec<u8>,
    /// The frames that have not been sent to the clients yet.
    outgoing: Vec<u8>,
    /// What of them is sealed for one client.
    sealed: Vec<u8>,
}

/// The sizes and the header that all frames have in common.
struct Shape {
    /// The size of the header of a frame from a client.
    head: usize,
    /// The size of such a frame.
    frame: usize,
    /// The header of a frame to a client, without its first byte.
    header: Vec<u8>,
}

struct Client {
    stream: TcpStream,
    tls: Tls,
    /// Whether the request has been answered.
    open: bool,
    /// The number of bytes of the current frame that were received.
    position: usize,
    /// The received bytes of an incomplete frame.
    partial: Vec<u8>,
    /// The bytes that the socket has not taken.
    pending: Vec<u8>,
}

/// What a client's connection needs for TLS.
enum Tls {
    /// It is plain.
    None,
    /// The handshake is not complete. It is taken out of here for each step.
    Handshake(Option<Box<ServerConnection>>),
    Cipher(Box<Cipher>),
}

fn main() -> io::Result<()> {
    let mut floor = Floor::new(&Flags::parse())?;
    println!("listening on {}", floor.listener.local_addr()?.port());
    floor.run()
}

impl Shape {
    fn new(bytes: usize) -> Self {
        let (head, header) = match bytes {
            0..=125 => (6, vec![bytes as u8]),
            126..=0xffff => (8, [&[126], &(bytes as u16).to_be_bytes()[..]].concat()),
            _ => (14, [&[127], &(bytes as u64).to_be_bytes()[..]].concat()),
        };
        Self { head, frame: head + bytes, header }
    }
}

impl Floor {
    fn new(flags: &Flags) -> io::Result<Self> {
        let mut listener = TcpListener::bind("127.0.0.1:0".parse().expect("an address"))?;
        let poll = Poll::new()?;
        let files = flags.cert.as_deref().zip(flags.key.as_deref());
        let tls = files.map(|(certificate, key)| tls::config(certificate, key)).transpose()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            mode: flags.mode,
            form: flags.form,
            shape: Shape::new(flags.bytes),
            tls,
            listener,
            poll,
            clients: Vec::new(),
            buffer: vec![0; BUFFER],
            outgoing: Vec::new(),
            sealed: Vec::new(),
        })
    }

    fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(4_096);
        loop {
            self.poll.poll(&mut events, None)?;
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    Token(index) => self.serve(index),
                }
            }
            self.broadcast();
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let token = Token(self.clients.len());
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, token, both)?;
            let tls = match &self.tls {
                Some(config) => {
                    let tls = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
                    Tls::Handshake(Some(Box::new(tls)))
                }
                None => Tls::None,
            };
            self.clients.push(Some(Client::new(stream, tls)));
        }
    }

    /// Reads everything that a client has sent. A client that ends its side is dropped.
    fn serve(&mut self, index: usize) {
        let Some(mut client) = self.clients[index].take() else { return };
        client.flush();
        loop {
            match client.read(&mut self.buffer) {
                Ok((count, more)) => {
                    self.receive(&mut client, count);
                    if !more {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return,
            }
        }
        self.clients[index] = Some(client);
        if self.form == Form::Message {
            self.broadcast();
        }
    }

    /// Handles `count` bytes in the buffer.
    fn receive(&mut self, client: &mut Client, count: usize) {
        if !client.open {
            client.partial.extend_from_slice(&self.buffer[..count]);
            if client.partial.ends_with(b"\r\n\r\n") {
                client.partial.clear();
                client.open = true;
                client.send(&[ANSWER], &mut self.sealed);
            }
            return;
        }
        let bytes = &self.buffer[..count];
        match self.mode {
            Mode::Echo => {
                let buffers = (&mut self.outgoing, &mut self.sealed);
                echo(client, bytes, &self.shape, self.form, buffers);
            }
            Mode::Broadcast if client.partial.is_empty() => {
                let rest = gather(bytes, &self.shape, &mut self.outgoing);
                client.partial.extend_from_slice(rest);
            }
            Mode::Broadcast => {
                client.partial.extend_from_slice(bytes);
                let rest = gather(&client.partial, &self.shape, &mut self.outgoing).len();
                client.partial.drain(..client.partial.len() - rest);
            }
        }
    }

    /// Sends the outgoing frames to all clients.
    fn broadcast(&mut self) {
        let size = match self.form {
            Form::Message => self.shape.header.len() + 1 + self.shape.frame - self.shape.head,
            Form::Round => self.outgoing.len().max(1),
        };
        for portion in self.outgoing.chunks(size) {
            for client in self.clients.iter_mut().flatten().filter(|client| client.open) {
                client.send(&[portion], &mut self.sealed);
            }
        }
        self.outgoing.clear();
    }
}

/// Appends the complete frames to `outgoing`, with their new headers, and returns the rest.
fn gather<'a>(mut bytes: &'a [u8], shape: &Shape, outgoing: &mut Vec<u8>) -> &'a [u8] {
    while let Some((frame, rest)) = bytes.split_at_checked(shape.frame) {
        outgoing.push(frame[0]);
        outgoing.extend_from_slice(&shape.header);
        outgoing.extend_from_slice(&frame[shape.head..]);
        bytes = rest;
    }
    bytes
}

/// Echoes the bytes that have arrived.
fn echo(
    client: &mut Client,
    mut bytes: &[u8],
    shape: &Shape,
    form: Form,
    (outgoing, sealed): (&mut Vec<u8>, &mut Vec<u8>),
) {
    while !bytes.is_empty() {
        if client.position == 0 {
            outgoing.push(bytes[0]);
            outgoing.extend_from_slice(&shape.header);
        }
        let in_head = client.position < shape.head;
        let end = if in_head { shape.head } else { shape.frame };
        let (piece, rest) = bytes.split_at(bytes.len().min(end - client.position));
        client.position = (client.position + piece.len()) % shape.frame;
        bytes = rest;
        if !in_head && piece.len() >= LONG {
            client.send(&[outgoing, piece], sealed);
            outgoing.clear();
        } else if !in_head {
            outgoing.extend_from_slice(piece);
        }
        if client.position == 0 && form == Form::Message {
            client.send(&[outgoing], sealed);
            outgoing.clear();
        }
    }
    client.send(&[outgoing], sealed);
    outgoing.clear();
}

impl Client {
    fn new(stream: TcpStream, tls: Tls) -> Self {
        Self { stream, tls, open: false, position: 0, partial: Vec::new(), pending: Vec::new() }
    }

    /// Reads once. Returns the number of bytes, and whether more may be there.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<(usize, bool)> {
        if let Tls::Cipher(cipher) = &mut self.tls {
            return cipher.read(&mut self.stream, buffer);
        }
        let count = self.stream.read(buffer)?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let Tls::Handshake(tls) = &mut self.tls else {
            return Ok((count, count == buffer.len()));
        };
        let tls = *tls.take().expect("each step puts it back");
        let received = &buffer[..count];
        match tls::shake_hands(tls, &mut self.stream, received, &mut self.partial, ANSWER)? {
            Ok(cipher) => {
                self.partial.clear();
                self.open = true;
                self.tls = Tls::Cipher(Box::new(cipher));
            }
            Err(tls) => self.tls = Tls::Handshake(Some(Box::new(tls))),
        }
        Ok((0, false))
    }

    /// Sends one or two pieces after the pending bytes. A lost connection is noticed by the next read.
    fn send(&mut self, pieces: &[&[u8]], sealed: &mut Vec<u8>) {
        if let Tls::Cipher(cipher) = &mut self.tls {
            match pieces {
                [piece] => cipher.seal(piece, sealed),
                pieces => cipher.seal(&pieces.concat(), sealed),
            }
            return self.write(&[sealed]);
        }
        self.write(pieces);
    }

    fn write(&mut self, pieces: &[&[u8]]) {
        let mut sent = 0;
        if self.pending.is_empty() {
            let result = match pieces {
                [[]] => Ok(0),
                [piece] => self.stream.write(piece),
                pieces => {
                    let slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
                    self.stream.write_vectored(&slices)
                }
            };
            sent = result.unwrap_or(0);
        }
        for piece in pieces {
            let skip = sent.min(piece.len());
            self.pending.extend_from_slice(&piece[skip..]);
            sent -= skip;
        }
    }

    /// Sends the pending bytes, as far as the socket takes them.
    fn flush(&mut self) {
        while !self.pending.is_empty() {
            match self.stream.write(&self.pending) {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(_) => return,
            }
        }
    }
}
