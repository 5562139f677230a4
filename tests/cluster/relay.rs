//! A relay between two programs, which does to their connection what a network may do.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

/// A relay from a TCP port of its own. Its connections end when it is dropped.
pub struct Relay {
    pub port: u16,
    shared: Arc<Shared>,
}

/// The two directions of a connection, from the one who has connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Requests,
    Replies,
}

struct Shared {
    target: SockAddr,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Bytes wait in the relay.
    is_paused: bool,
    /// Replies vanish.
    swallows: bool,
    /// Replies that bring messages of a channel vanish.
    loses_messages: bool,
    /// How long each piece is on its way.
    delay: Duration,
    /// The connection over which this number of bytes goes next in a direction is cut after them.
    budget: Option<(Direction, usize)>,
    /// What is written instead of something else of the same length in replies.
    disguise: Option<[&'static str; 2]>,
    has_ended: bool,
    sockets: Vec<Arc<Socket>>,
}

impl Relay {
    /// A relay to a Unix socket.
    pub fn to_socket(path: &str) -> Self {
        Self::to(SockAddr::unix(path).unwrap())
    }

    /// A relay to a TCP port.
    pub fn to_port(port: u16) -> Self {
        Self::to(SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())
    }

    fn to(target: SockAddr) -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        listener.listen(128).unwrap();
        let port = listener.local_addr().unwrap().as_socket().unwrap().port();
        let shared = Arc::new(Shared { target, state: Mutex::default(), changed: Condvar::new() });
        let relay = Self { port, shared: shared.clone() };
        thread::spawn(move || accept(&listener, &shared));
        relay
    }

    /// The URL for `--redis`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.shared.state.lock().unwrap());
        self.shared.changed.notify_all();
    }

    /// Keeps all bytes from now on, or lets them go.
    pub fn pause(&self, is_paused: bool) {
        self.set(|state| state.is_paused = is_paused);
    }

    /// Loses all replies from now on, which only a connection that ends afterwards may do.
    pub fn swallow_replies(&self) {
        self.set(|state| state.swallows = true);
    }

    /// Loses pieces with messages of a channel from now on, or does not any more.
    pub fn lose_messages(&self, loses_messages: bool) {
        self.set(|state| state.loses_messages = loses_messages);
    }

    /// Delays each piece from now on.
    pub fn delay(&self, delay: Duration) {
        self.set(|state| state.delay = delay);
    }

    /// Writes a text instead of another one of the same length in replies, from now on.
    pub fn disguise(&self, disguise: Option<[&'static str; 2]>) {
        self.set(|state| state.disguise = disguise);
    }

    /// Ends all connections. What is in the relay is lost; new connections are as at the beginning.
    pub fn cut(&self) {
        self.set(|state| {
            state.swallows = false;
            cut_all(state);
        });
    }

    /// Ends all connections after this number of further bytes in a direction.
    pub fn cut_after(&self, direction: Direction, bytes: usize) {
        self.set(|state| state.budget = Some((direction, bytes)));
    }

    /// Whether the cut of `cut_after` has happened.
    pub fn has_cut(&self) -> bool {
        self.shared.state.lock().unwrap().budget.is_none()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.set(|state| {
            state.has_ended = true;
            cut_all(state);
        });
        // The thread that accepts sees that the relay has ended.
        let port = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let _ = std::net::TcpStream::connect(port);
    }
}

fn cut_all(state: &mut State) {
    state.budget = None;
    for socket in state.sockets.drain(..) {
        // This fails if the peer has already ended the connection.
        let _ = socket.shutdown(Shutdown::Both);
    }
}

fn accept(listener: &Socket, shared: &Arc<Shared>) {
    while let Ok((near, _)) = listener.accept() {
        let far = Socket::new(shared.target.domain(), Type::STREAM, None).unwrap();
        let mut state = shared.state.lock().unwrap();
        if state.has_ended {
            return;
        }
        if far.connect(&shared.target).is_err() {
            continue;
        }
        let [near, far] = [near, far].map(Arc::new);
        state.sockets.extend([near.clone(), far.clone()]);
        for (from, to, direction) in [
            (near.clone(), far.clone(), Direction::Requests),
            (far.clone(), near.clone(), Direction::Replies),
        ] {
            let shared = shared.clone();
            thread::spawn(move || {
                carry(&from, &to, direction, &shared);
                for socket in [from, to] {
                    let _ = socket.shutdown(Shutdown::Both);
                }
            });
        }
    }
}

/// Carries bytes in one direction until the connection has ended.
fn carry(mut from: &Socket, mut to: &Socket, direction: Direction, shared: &Shared) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        thread::sleep(shared.state.lock().unwrap().delay);
        let (length, is_cut) = admit(&mut buffer[..length], direction, shared);
        if to.write_all(&buffer[..length]).is_err() {
            return;
        }
        if is_cut {
            cut_all(&mut shared.state.lock().unwrap());
        }
    }
}

/// How many of these bytes go on, and whether all connections end after them. Waits while they may not.
fn admit(bytes: &mut [u8], direction: Direction, shared: &Shared) -> (usize, bool) {
    let length = bytes.len();
    let waits = |state: &mut State| state.is_paused && !state.has_ended;
    let state = shared.state.lock().unwrap();
    let mut state = shared.changed.wait_while(state, waits).unwrap();
    let finds = |text: &[u8]| bytes.windows(text.len()).position(|window| window == text);
    let is_lost = state.swallows || state.loses_messages && finds(b"smessage\r\n").is_some();
    if direction == Direction::Replies && is_lost {
        return (0, false);
    }
    if let (Some([real, other]), Direction::Replies) = (state.disguise, direction)
        && let Some(at) = finds(real.as_bytes())
    {
        bytes[at..at + other.len()].copy_from_slice(other.as_bytes());
    }
    match &mut state.budget {
        Some((wanted, left)) if *wanted == direction => {
            let taken = length.min(*left);
            *left -= taken;
            (taken, *left == 0)
        }
        _ => (length, false),
    }
}
