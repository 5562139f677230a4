//! The admin listener, with which operators see the state of the server, and change it.
//!
//! It is a second server on a thread of its own. It asks the first one through its handle, so the event
//! loop of the first one never waits for an operator's connection.

mod closing;
mod desk;
mod encoder;
mod log_level;
mod members;
mod metrics;
mod parameters;
mod process;
mod publishing;
mod question;
mod resource;
mod revoking;
mod rooms;
mod site;
mod watching;

use std::io;
use std::thread::{self, JoinHandle};

use log::warn;
use townhall::{Config, Event, Handle, Listen, ListenAddress, Server};

use crate::key::Key;
use crate::presence::Requests;
use desk::Desk;

pub use desk::Shown;

/// How many clients may watch the rooms.
const MAX_WATCHERS: usize = 100;

/// The admin listener, bound to its address.
#[derive(Debug)]
pub struct Admin {
    server: Server,
    key: Option<Key>,
}

impl Admin {
    /// Binds the address. With a key, every request must present it.
    ///
    /// # Errors
    /// The system's, with the address.
    pub fn bind(address: ListenAddress, key: Option<Key>) -> io::Result<Self> {
        let server = Server::bind(config(address, key.is_some()))?;
        Ok(Self { server, key })
    }

    /// Where it listens, with its actual port.
    pub fn listening(&self) -> &[Listen] {
        self.server.listening()
    }

    /// Reaches the clients of the listener.
    pub fn handle(&self) -> Handle {
        self.server.handle()
    }

    /// Serves on a separate thread, until what this returns stops it. `requests` are those of clients that
    /// watch the rooms of the server that is shown.
    ///
    /// # Errors
    /// The system cannot start another thread.
    pub fn start(self, shown: Shown, requests: Requests) -> io::Result<Running> {
        let own_handle = self.server.handle();
        let log_level = log::max_level();
        let desk = Desk { shown, key: self.key, log_level };
        let serve = move || {
            let served = self.server.run(|hub, client, event| match event {
                Event::Request(exchange) => {
                    let response = desk.answer(exchange.request(), exchange.body());
                    exchange.respond(response);
                }
                Event::Head(head) => {
                    if let Err(response) = desk.admit_body(head.request()) {
                        head.refuse(response);
                    }
                }
                Event::Upgrade(upgrade) => watching::admit(&desk, hub, client, upgrade),
                Event::Open { .. } => watching::open(&requests, hub, client),
                Event::Message(_) => watching::silence(hub, client),
                Event::Close(_) => watching::close(&requests, hub, client),
                _ => {}
            });
            if let Err(error) = served {
                warn!("the admin listener has failed: {error}");
            }
        };
        let thread = thread::Builder::new().name("admin".to_owned()).spawn(serve)?;
        Ok(Running { handle: own_handle, thread })
    }
}

/// The admin listener on its thread.
#[derive(Debug)]
pub struct Running {
    handle: Handle,
    thread: JoinHandle<()>,
}

impl Running {
    /// Closes the listening socket, and stops serving.
    pub fn stop(&self) {
        self.handle.stop();
    }

    /// Stops, and waits until the file of a Unix socket is removed.
    pub fn finish(self) {
        self.handle.stop_now();
        // A panic is reported where it happens.
        let _ = self.thread.join();
    }
}

/// The configuration of the listener. A web page can make its own name resolve to a loopback address,
/// and could then read what needs no key, so such requests must be for this machine by name or address.
fn config(address: ListenAddress, has_key: bool) -> Config {
    let mut config = Config::default();
    if !has_key && !address.is_unix() {
        config.hosts = vec!["localhost".parse().expect("a valid host")];
    }
    config.listen = vec![address.into()];
    // Whoever may connect may close rooms.
    config.sockets.unix_mode = 0o600;
    config.trusted_proxies = Vec::new();
    config.connections.max = MAX_WATCHERS;
    config.request_bodies = true;
    config
}
