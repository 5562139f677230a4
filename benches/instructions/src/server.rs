//! Paths through the whole server, on a thread of its own with real sockets. Only that thread's instructions
//! are counted. What a turn of its event loop finds depends on chance now and then, so their counts vary.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use townhall::{Config, Event, HistoryLimits, Server};

use crate::Path;
use crate::protocol::frame;

/// The number of members who receive a broadcast.
const MEMBERS: usize = 100;

/// The number of messages that a client that comes back receives.
const MISSED: usize = 100;

/// A message, and the frame in which it arrives.
const MESSAGE: &[u8] = &[b'x'; 50];
const FRAME_BYTES: usize = 2 + MESSAGE.len();

/// The paths of this file.
pub const PATHS: &[Path] = &[
    ("echo", || speak("/echo", 1, Config::default())),
    ("publish", || speak("/", 1, Config::default())),
    ("publish-with-history", || speak("/", 1, with_history())),
    ("broadcast", || speak("/", MEMBERS, Config::default())),
    ("resume", resume),
];

fn with_history() -> Config {
    let mut config = Config::default();
    config.history = Some(HistoryLimits::default());
    config
}

/// One of the clients at this path says something, and all hear it.
fn speak(path: &str, clients: usize, config: Config) -> Box<dyn FnMut()> {
    let address = start(config);
    let mut clients: Vec<_> = (0..clients).map(|_| connect(address, path)).collect();
    Box::new(move || {
        say(&mut clients[0]);
        clients.iter_mut().for_each(|client| hear(client, 1));
    })
}

/// A client comes back and hears what it has missed.
fn resume() -> Box<dyn FnMut()> {
    let address = start(with_history());
    let mut first = connect(address, "/");
    for _ in 0..MISSED {
        say(&mut first);
        hear(&mut first, 1);
    }
    // They stay, so that no departure is counted.
    let mut returned = Vec::new();
    Box::new(move || {
        let mut client = connect(address, &format!("/?last={MISSED}"));
        hear(&mut client, MISSED);
        returned.push(client);
    })
}

/// Starts a server whose clients are all in one room, except those at `/echo`, who hear only themselves.
fn start(mut config: Config) -> SocketAddr {
    config.listen = vec!["127.0.0.1:0".parse().expect("an address")];
    let server = Server::bind(config).expect("a server");
    let address = server.addresses()[0];
    thread::spawn(|| serve(server));
    address
}

/// callgrind counts the instructions of the thread that is in this function.
#[inline(never)]
fn serve(server: Server) {
    let result = server.run(|hub, client, event| match event {
        Event::Open { room: "/", start, .. } => _ = hub.join_from(client, "/", start),
        Event::Message(message) if hub.room_of(client).is_some() => hub.publish(client, message),
        Event::Message(message) => hub.send(client, message),
        _ => {}
    });
    result.expect("a server that runs");
}

/// Connects a client, which has received the response to its handshake and nothing more.
fn connect(address: SocketAddr, target: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time limit");
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("a request");
    let mut response = Vec::new();
    while !response.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a response");
        response.extend(byte);
    }
    stream
}

fn say(stream: &mut TcpStream) {
    stream.write_all(&frame(0x81, MESSAGE)).expect("a message");
}

fn hear(stream: &mut TcpStream, messages: usize) {
    stream.read_exact(&mut vec![0; messages * FRAME_BYTES]).expect("messages");
}
