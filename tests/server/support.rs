//! A server in a thread, and clients that wait with a deadline.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use townhall::{ClientId, Config, Counts, Departure, Event, Handle, Hub, Response, Server};
use tungstenite::WebSocket;
use tungstenite::protocol::Message;

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// An event that the application saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    Open(ClientId, String),
    Message(ClientId, String),
    Close(ClientId, Departure),
}

/// A running server. It stops when it is dropped.
pub struct Running {
    pub address: SocketAddr,
    pub addresses: Vec<SocketAddr>,
    pub handle: Handle,
    seen: Receiver<Seen>,
    thread: Option<JoinHandle<()>>,
}

pub fn config() -> Config {
    let mut config = Config::default();
    config.listen = vec![SocketAddr::from(([127, 0, 0, 1], 0)).into()];
    config
}

/// The application of the README.
pub fn chat(hub: &mut Hub, client: ClientId, event: Event<'_>) {
    match event {
        Event::Open { room, .. } => _ = hub.join(client, room),
        Event::Message(message) => hub.publish(client, message),
        _ => {}
    }
}

/// The chat, with pages for the counts and for whether the server is shutting down.
pub fn counting_chat(hub: &mut Hub, client: ClientId, event: Event<'_>) {
    match event {
        Event::Request(exchange) => {
            let stopping = hub.is_stopping().to_string();
            let counts = hub.counts().to_string();
            let asked = exchange.request().path() == "/stopping";
            exchange.respond(Response::text(200, if asked { stopping } else { counts }));
        }
        event => chat(hub, client, event),
    }
}

/// The complete answer to a plain request.
pub fn get(server: &Running, path: &str) -> String {
    let mut stream = server.stream();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    String::from_utf8(read_all(&mut stream)).unwrap()
}

/// Waits until the server has read everything that was sent before, and returns its counts.
pub fn settle(server: &Running) -> Counts {
    server.ask(|hub| hub.counts().clone())
}

impl Running {
    pub fn start(
        config: Config,
        app: impl FnMut(&mut Hub, ClientId, Event<'_>) + Send + 'static,
    ) -> Self {
        Self::start_bound(Server::bind(config).unwrap(), app)
    }

    /// Starts a server that is bound already.
    pub fn start_bound(
        server: Server,
        mut app: impl FnMut(&mut Hub, ClientId, Event<'_>) + Send + 'static,
    ) -> Self {
        let addresses = server.addresses().to_vec();
        let handle = server.handle();
        let (reporter, seen) = channel();
        let thread = thread::spawn(move || {
            let app = |hub: &mut Hub, client: ClientId, event: Event<'_>| {
                report(&reporter, client, &event);
                app(hub, client, event);
            };
            server.run(app).unwrap();
        });
        Self { address: addresses[0], addresses, handle, seen, thread: Some(thread) }
    }

    /// The next event that the application sees.
    pub fn seen(&self) -> Seen {
        self.seen.recv_timeout(PATIENCE).expect("the application sees something")
    }

    /// The next event that the application sees within `time`, if there is one.
    pub fn seen_within(&self, time: Duration) -> Option<Seen> {
        match self.seen.recv_timeout(time) {
            Ok(seen) => Some(seen),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("the server has ended"),
        }
    }

    /// The next client that opens.
    pub fn opened(&self) -> ClientId {
        match self.seen() {
            Seen::Open(client, _) => client,
            seen => panic!("{seen:?} instead of an open"),
        }
    }

    /// The next departure.
    pub fn departed(&self) -> (ClientId, Departure) {
        match self.seen() {
            Seen::Close(client, departure) => (client, departure),
            seen => panic!("{seen:?} instead of a departure"),
        }
    }

    /// All events that the application sees until the server has ended.
    pub fn join(mut self) -> Vec<Seen> {
        self.thread.take().unwrap().join().unwrap();
        self.seen.iter().collect()
    }

    /// The answer of the event loop to a question.
    pub fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Hub) -> T + Send + 'static,
    ) -> T {
        let (sender, receiver) = channel();
        self.handle.run(move |hub| sender.send(question(hub)).unwrap()).unwrap();
        receiver.recv_timeout(PATIENCE).unwrap()
    }

    pub fn stream(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// A client in the room `path`, which begins with a slash.
    pub fn connect(&self, path: &str) -> Client {
        let url = format!("ws://{}{path}", self.address);
        Client(tungstenite::client(url, self.stream()).unwrap().0)
    }

    /// A client without a WebSocket library, after the handshake.
    pub fn raw(&self, path: &str) -> TcpStream {
        let mut stream = self.stream();
        stream.write_all(request(path).as_bytes()).unwrap();
        let head = read_head(&mut stream);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        stream
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.stop_now();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !thread::panicking()
        {
            panic!("the server's thread panicked");
        }
    }
}

fn report(reporter: &Sender<Seen>, client: ClientId, event: &Event<'_>) {
    let seen = match event {
        Event::Open { room, .. } => Seen::Open(client, (*room).to_owned()),
        Event::Message(message) => {
            Seen::Message(client, String::from_utf8_lossy(message.payload()).into_owned())
        }
        Event::Close(departure) => Seen::Close(client, (*departure).clone()),
        _ => return,
    };
    // When the test is over, nobody receives this.
    let _ = reporter.send(seen);
}

pub fn request(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

/// Everything up to the first empty line.
pub fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Everything until the server ends the connection.
pub fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// A masked frame with a mask of zeros, of at most 65,535 bytes.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u16;
    let mut bytes = match length {
        0..=125 => vec![first, 0x80 | length as u8],
        _ => [&[first, 0x80 | 126], &length.to_be_bytes()[..]].concat(),
    };
    bytes.extend([0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

/// A tungstenite client.
pub struct Client(pub WebSocket<TcpStream>);

impl Client {
    pub fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).unwrap();
    }

    /// The text of the next message.
    pub fn receive(&mut self) -> String {
        self.0.read().unwrap().into_text().unwrap().to_string()
    }

    /// The code and the reason of the next message, which must be a close frame.
    pub fn receive_close(&mut self) -> (u16, String) {
        match self.0.read().unwrap() {
            Message::Close(Some(frame)) => (frame.code.into(), frame.reason.to_string()),
            message => panic!("{message:?} instead of a close"),
        }
    }

    /// Reads until the connection has ended, and answers pings and close frames.
    pub fn end(mut self) {
        let deadline = Instant::now() + PATIENCE;
        while self.0.read().is_ok() {
            assert!(Instant::now() < deadline, "the connection does not end");
        }
    }
}
