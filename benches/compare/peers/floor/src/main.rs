//! The floor: a bare TCP program over mio that moves the same bytes as a server, and does nothing
//! that a protocol would ask for.
//!
//! It is told how long the messages are, answers every request with the same words, and gives the
//! payload of a frame on under a prepared head; its clients mask with zeros. It comes in two forms:
//! one write for each message and client, and one write for each client and round of polling.

use std::io::{self, ErrorKind, IoSlice, Read, Write};

use clap::{Parser, ValueEnum};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const BUFFER: usize = 64 << 10;
const LISTENER: Token = Token(usize::MAX);

/// The answer to the key of the RFC's example, which all clients send.
const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A piece of a message is sent from where it was received, if it is so long; a shorter one is
/// gathered with others.
const LONG: usize = 4_096;

#[derive(Debug, Parser)]
struct Flags {
    #[arg(value_enum)]
    mode: Mode,
    #[arg(value_enum)]
    form: Form,
    /// The length of a message
    bytes: usize,
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
    /// One write for each client and round of polling
    Round,
}

struct Floor {
    mode: Mode,
    form: Form,
    shape: Shape,
    listener: TcpListener,
    poll: Poll,
    clients: Vec<Option<Client>>,
    buffer: Vec<u8>,
    /// What was said, and not yet given to those who hear it.
    said: Vec<u8>,
}

/// What all frames have in common.
struct Shape {
    /// How long the head of a frame from a client is.
    head: usize,
    /// How long such a frame is.
    frame: usize,
    /// The head of a frame to a client, without its first byte.
    outgoing: Vec<u8>,
}

struct Client {
    stream: TcpStream,
    /// It was answered.
    open: bool,
    /// How much of the current frame was echoed.
    position: usize,
    /// What was received of a frame that is not complete.
    partial: Vec<u8>,
    /// What the socket has not taken.
    pending: Vec<u8>,
}

fn main() -> io::Result<()> {
    let mut floor = Floor::new(&Flags::parse())?;
    println!("listening on {}", floor.listener.local_addr()?.port());
    floor.run()
}

impl Shape {
    fn new(bytes: usize) -> Self {
        let (head, outgoing) = match bytes {
            0..=125 => (6, vec![bytes as u8]),
            126..=0xffff => (8, [&[126], &(bytes as u16).to_be_bytes()[..]].concat()),
            _ => (14, [&[127], &(bytes as u64).to_be_bytes()[..]].concat()),
        };
        Self { head, frame: head + bytes, outgoing }
    }
}

impl Floor {
    fn new(flags: &Flags) -> io::Result<Self> {
        let mut listener = TcpListener::bind("127.0.0.1:0".parse().expect("an address"))?;
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            mode: flags.mode,
            form: flags.form,
            shape: Shape::new(flags.bytes),
            listener,
            poll,
            clients: Vec::new(),
            buffer: vec![0; BUFFER],
            said: Vec::new(),
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
            self.give();
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
            self.clients.push(Some(Client::new(stream)));
        }
    }

    /// Reads what a client has sent, until there is no more. One that ends its side is forgotten.
    fn serve(&mut self, index: usize) {
        let Some(mut client) = self.clients[index].take() else { return };
        client.flush();
        loop {
            match client.stream.read(&mut self.buffer) {
                Ok(0) => return,
                Ok(count) => {
                    self.hear(&mut client, count);
                    if count < BUFFER {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return,
            }
        }
        self.clients[index] = Some(client);
        if self.form == Form::Message {
            self.give();
        }
    }

    /// Deals with what is in the buffer.
    fn hear(&mut self, client: &mut Client, count: usize) {
        if !client.open {
            client.partial.extend_from_slice(&self.buffer[..count]);
            if client.partial.ends_with(b"\r\n\r\n") {
                client.partial.clear();
                client.open = true;
                client.send(&[ANSWER]);
            }
            return;
        }
        let bytes = &self.buffer[..count];
        match self.mode {
            Mode::Echo => echo(client, bytes, &self.shape, self.form, &mut self.said),
            Mode::Broadcast if client.partial.is_empty() => {
                let rest = gather(bytes, &self.shape, &mut self.said);
                client.partial.extend_from_slice(rest);
            }
            Mode::Broadcast => {
                client.partial.extend_from_slice(bytes);
                let rest = gather(&client.partial, &self.shape, &mut self.said).len();
                client.partial.drain(..client.partial.len() - rest);
            }
        }
    }

    /// Gives everybody what was said.
    fn give(&mut self) {
        let size = match self.form {
            Form::Message => self.shape.outgoing.len() + 1 + self.shape.frame - self.shape.head,
            Form::Round => self.said.len().max(1),
        };
        for portion in self.said.chunks(size) {
            for client in self.clients.iter_mut().flatten().filter(|client| client.open) {
                client.send(&[portion]);
            }
        }
        self.said.clear();
    }
}

/// Appends the complete frames, as they are sent on; returns what is left.
fn gather<'a>(mut bytes: &'a [u8], shape: &Shape, said: &mut Vec<u8>) -> &'a [u8] {
    while let Some((frame, rest)) = bytes.split_at_checked(shape.frame) {
        said.push(frame[0]);
        said.extend_from_slice(&shape.outgoing);
        said.extend_from_slice(&frame[shape.head..]);
        bytes = rest;
    }
    bytes
}

/// Sends a client what it has said, as far as it has arrived.
fn echo(client: &mut Client, mut bytes: &[u8], shape: &Shape, form: Form, said: &mut Vec<u8>) {
    while !bytes.is_empty() {
        if client.position == 0 {
            said.push(bytes[0]);
            said.extend_from_slice(&shape.outgoing);
        }
        let in_head = client.position < shape.head;
        let end = if in_head { shape.head } else { shape.frame };
        let (piece, rest) = bytes.split_at(bytes.len().min(end - client.position));
        client.position = (client.position + piece.len()) % shape.frame;
        bytes = rest;
        if !in_head && piece.len() >= LONG {
            client.send(&[said, piece]);
            said.clear();
        } else if !in_head {
            said.extend_from_slice(piece);
        }
        if client.position == 0 && form == Form::Message {
            client.send(&[said]);
            said.clear();
        }
    }
    client.send(&[said]);
    said.clear();
}

impl Client {
    fn new(stream: TcpStream) -> Self {
        Self { stream, open: false, position: 0, partial: Vec::new(), pending: Vec::new() }
    }

    /// Sends one or two pieces, behind what is pending. A client that is lost shows when reading.
    fn send(&mut self, pieces: &[&[u8]]) {
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

    /// Sends what is pending, as far as the socket takes it.
    fn flush(&mut self) {
        while !self.pending.is_empty() {
            match self.stream.write(&self.pending) {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(_) => return,
            }
        }
    }
}
