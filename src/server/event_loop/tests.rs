//! The event loop, driven turn by turn on the thread of the test, over real sockets.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::config::{Config, Listen, ListenAddress};
use crate::protocol::{Message, Response};
use crate::server::Server;
use crate::server::client::transport::Transport;

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server on which nothing happens between two turns.
struct Turns {
    event_loop: EventLoop,
    events: Events,
    address: SocketAddr,
}

impl Turns {
    fn new() -> Self {
        Self::on(vec!["127.0.0.1:0".parse().unwrap()])
    }

    fn on(listen: Vec<Listen>) -> Self {
        Self::with(Config { listen, ..Config::default() })
    }

    fn with(config: Config) -> Self {
        let server = Server::bind(config).unwrap();
        let address = server.addresses()[0];
        Self { event_loop: server.event_loop, events: Events::with_capacity(MAX_EVENTS), address }
    }

    /// One turn, and the texts that were published in it.
    fn turn(&mut self) -> Vec<String> {
        let mut texts = Vec::new();
        let app = &mut |hub: &mut Hub, client, event: Event<'_>| match event {
            Event::Open { room, .. } => _ = hub.join(client, room),
            Event::Message(message) => {
                if let Message::Text(text) = message {
                    texts.push(text.to_owned());
                }
                hub.publish(client, message);
            }
            _ => {}
        };
        self.event_loop.turn(&mut self.events, app).unwrap();
        texts
    }

    /// Runs turns until there is nothing left to write.
    fn settle(&mut self) {
        while self.event_loop.hub.is_dirty() {
            self.turn();
        }
    }

    /// A client that has joined a room and has read the answer to its handshake.
    fn join(&mut self, room: &str) -> TcpStream {
        let mut client = TcpStream::connect(self.address).unwrap();
        client.set_nodelay(true).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            client,
            "GET {room} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        .unwrap();
        let members = self.event_loop.hub.members(room).count();
        let deadline = Instant::now() + PATIENCE;
        while self.event_loop.hub.members(room).count() == members {
            assert!(Instant::now() < deadline, "the client does not join");
            self.turn();
        }
        self.settle();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        client
    }

    /// Sends a text of up to 125 bytes, and returns once it is in the server's socket.
    fn send(&self, mut client: &TcpStream, text: &str) {
        // The masking key is zero.
        let header = [0x81, 0x80 | text.len() as u8, 0, 0, 0, 0];
        client.write_all(&[&header, text.as_bytes()].concat()).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while !self.has_input() {
            assert!(Instant::now() < deadline, "the text does not arrive");
            thread::yield_now();
        }
    }

    /// Whether any of the server's sockets has something to read.
    fn has_input(&self) -> bool {
        self.event_loop.hub.clients.iter().any(|client| match &client.transport {
            Transport::Tcp(stream) => stream.peek(&mut [0]).is_ok(),
            _ => false,
        })
    }
}

fn receive(mut client: &TcpStream) -> String {
    let mut header = [0; 2];
    client.read_exact(&mut header).unwrap();
    let mut text = vec![0; usize::from(header[1])];
    client.read_exact(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

fn has_received(client: &TcpStream) -> bool {
    client.set_nonblocking(true).unwrap();
    let received = client.peek(&mut [0]).is_ok();
    client.set_nonblocking(false).unwrap();
    received
}

/// A test's turn may write to two members of a room (`MAX_FLUSH_COST`).
#[test]
fn a_turn_ends_in_the_middle_of_a_large_room_so_that_other_clients_are_answered() {
    const MEMBERS: usize = 20;
    let mut turns = Turns::new();
    let members: Vec<_> = (0..MEMBERS).map(|_| turns.join("/loud")).collect();
    let quiet = turns.join("/quiet");

    turns.send(&members[0], "news");
    assert_eq!(turns.turn(), ["news"]);
    assert!(turns.event_loop.hub.is_dirty(), "one turn wrote to all members");
    turns.send(&quiet, "hello");
    assert_eq!(turns.turn(), ["hello"], "a client of another room is read in the next turn");
    // The rooms take turns: the quiet room comes first in the turn after this.
    turns.turn();
    assert_eq!(receive(&quiet), "hello");
    let received = members.iter().filter(|member| has_received(member)).count();
    assert!(received < MEMBERS / 2, "{received} of {MEMBERS} members have received the news");

    turns.settle();
    for member in &members {
        assert_eq!(receive(member), "news");
    }
}

#[test]
fn the_bytes_of_the_request_do_not_count_as_a_frame_that_arrives() {
    let mut turns = Turns::new();
    let _client = turns.join("/room");
    let arrived: Vec<_> =
        turns.event_loop.hub.clients.iter().map(|client| client.arrived).collect();
    assert_eq!(arrived, [0]);
}

#[test]
fn a_client_whose_request_waits_is_not_read_when_its_pause_ends() {
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    let mut turns = Turns::with(Config { listen, request_bodies: true, ..Config::default() });
    let mut client = TcpStream::connect(turns.address).unwrap();
    let mut post = |body: &str| {
        write!(client, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n{body}").unwrap();
    };
    let (mut bodies, mut deferred) = (Vec::new(), Vec::new());
    let turn = |turns: &mut Turns, bodies: &mut Vec<String>, deferred: &mut Vec<_>| {
        let app = &mut |_: &mut Hub, _, event: Event<'_>| {
            if let Event::Request(exchange) = event {
                bodies.push(String::from_utf8_lossy(exchange.body()).into_owned());
                deferred.push(exchange.defer());
            }
        };
        turns.event_loop.turn(&mut turns.events, app).unwrap();
    };
    post("one");
    let deadline = Instant::now() + PATIENCE;
    while deferred.is_empty() {
        assert!(Instant::now() < deadline, "the request does not arrive");
        turn(&mut turns, &mut bodies, &mut deferred);
    }
    post("two");
    while !turns.has_input() {
        assert!(Instant::now() < deadline, "the second request does not arrive");
    }
    // It was paused for its rate too, and that pause is over now.
    let ids = turns.event_loop.hub.clients.ids();
    turns.event_loop.hub.pending.resumed.extend(ids);
    turn(&mut turns, &mut bodies, &mut deferred);
    assert!(turns.has_input(), "the second request is read, and nobody handles it");
    assert!(turns.event_loop.hub.answer(deferred.remove(0), &Response::new(200)));
    turn(&mut turns, &mut bodies, &mut deferred);
    assert_eq!(bodies, ["one", "two"]);
}

/// The precision of a wait.
const PRECISION: Duration = Duration::from_micros(2);

/// How many flushes were counted, and the sum of their waits.
fn waits(turns: &Turns) -> (u64, Duration) {
    let waits = &turns.event_loop.hub.counts.delivery_waits;
    (waits.ranges().map(|(_, count)| count).sum(), waits.total())
}

#[test]
fn the_wait_of_a_message_ends_with_the_turn_in_which_every_member_has_it() {
    let mut turns = Turns::new();
    let members: Vec<_> = (0..10).map(|_| turns.join("/loud")).collect();
    let quiet = turns.join("/quiet");

    turns.send(&quiet, "hello");
    turns.turn();
    let prompt = waits(&turns);
    assert_eq!((prompt.0, receive(&quiet)), (1, "hello".to_owned()));
    assert!(prompt.1 > Duration::ZERO);

    turns.send(&members[0], "news");
    turns.turn();
    assert_eq!(waits(&turns), prompt, "some members have nothing");
    let read = turns.event_loop.hub.time.now;
    let outside = Duration::from_millis(20);
    // The time between two turns counts too.
    thread::sleep(outside);
    turns.settle();
    let (count, total) = waits(&turns);
    assert_eq!(count, 2);
    let most = read.elapsed() + PRECISION;
    assert!((outside..=most).contains(&(total - prompt.1)), "{total:?}");
}

#[test]
fn a_message_that_comes_during_a_flush_waits_from_its_own_turn_on() {
    let mut turns = Turns::new();
    let members: Vec<_> = (0..10).map(|_| turns.join("/loud")).collect();
    turns.send(&members[0], "first");
    turns.turn();
    let first = turns.event_loop.hub.time.now;
    assert!(turns.event_loop.hub.is_dirty(), "one turn wrote to all members");
    let before = Duration::from_millis(200);
    // Only the first message waits during this.
    thread::sleep(before);
    turns.event_loop.hub.time.advance();
    turns.event_loop.hub.broadcast("/loud", "second");
    let second = turns.event_loop.hub.time.now;
    turns.settle();
    let (count, total) = waits(&turns);
    assert_eq!(count, 2);
    let most = first.elapsed() + second.elapsed() + 2 * PRECISION;
    assert!((before..=most).contains(&total), "{total:?}");
}

#[test]
fn what_waits_on_an_inherited_socket_is_left_to_the_next_process() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let inherited = Listen::inherited(listener.try_clone().unwrap());
    let mut turns = Turns::on(vec!["127.0.0.1:0".parse().unwrap(), inherited]);
    let _own = TcpStream::connect(turns.address).unwrap();
    let connect = || TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let waiting = connect();
    turns.event_loop.stop_listening();
    assert_eq!(turns.event_loop.hub.clients.len(), 1, "only this server can accept the first one");
    assert_eq!(listener.accept().unwrap().1, waiting.local_addr().unwrap());
    // Whoever connects now does not wake this server.
    let Turns { event_loop, events, .. } = &mut turns;
    let mut poll =
        |events: &mut Events| event_loop.poll.poll(events, Some(Duration::ZERO)).unwrap();
    poll(events);
    let _next = connect();
    poll(events);
    assert_eq!(events.iter().count(), 0);
}

#[test]
fn nobody_connects_to_a_unix_socket_that_is_given_up_and_whoever_has_is_accepted() {
    let path = std::env::temp_dir().join(format!("townhall-given-up-{}", std::process::id()));
    let unix = ListenAddress::Unix(path.clone()).into();
    let mut turns = Turns::on(vec!["127.0.0.1:0".parse().unwrap(), unix]);
    let _waiting = UnixStream::connect(&path).unwrap();
    turns.event_loop.listeners.give_up();
    assert!(!path.exists(), "the next one would be reset");
    turns.event_loop.stop_listening();
    assert_eq!(turns.event_loop.hub.clients.len(), 1);
}
