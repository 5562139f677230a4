//! The admin listener, with which operators see the state of the server, and change it.
//!
//! It is a second server on a thread of its own. It asks the first one through its handle, so the event
//! loop of the first one never waits for an operator's connection.

mod closing;
mod desk;
mod encoder;
mod key;
mod log_level;
mod members;
mod metrics;
mod parameters;
mod process;
mod question;
mod resource;
mod rooms;
mod site;

use std::io;
use std::net::SocketAddr;
use std::thread;

use log::warn;
use townhall::{Config, Event, Handle, Server};

use desk::Desk;
pub use key::Key;
pub use members::Subprotocol;

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
    pub fn bind(address: SocketAddr, key: Option<Key>) -> io::Result<Self> {
        let server = Server::bind(config(address, key.is_some()))?;
        Ok(Self { server, key })
    }

    /// The address that was bound, with its actual port.
    pub fn addresses(&self) -> &[SocketAddr] {
        self.server.addresses()
    }

    /// Serves on a separate thread, until the handle that this returns stops it. `handle` reaches the
    /// server to be shown.
    ///
    /// # Errors
    /// The system cannot start another thread.
    pub fn start(self, handle: Handle, limits: Config) -> io::Result<Handle> {
        let own_handle = self.server.handle();
        let desk = Desk { handle, limits, key: self.key, log_level: log::max_level() };
        let serve = move || {
            let served = self.server.run(|_, _, event| match event {
                Event::Request(exchange) => {
                    let response = desk.answer(exchange.request());
                    exchange.respond(response);
                }
                Event::Upgrade(upgrade) => upgrade.refuse(desk::not_found()),
                _ => {}
            });
            if let Err(error) = served {
                warn!("the admin listener has failed: {error}");
            }
        };
        thread::Builder::new().name("admin".to_owned()).spawn(serve)?;
        Ok(own_handle)
    }
}

/// The configuration of the listener. A web page can make its own name resolve to a loopback address,
/// and could then read what needs no key, so such requests must be for this machine by name or address.
fn config(address: SocketAddr, has_key: bool) -> Config {
    let mut config = Config::default();
    config.listen = vec![address.into()];
    config.trusted_proxies = Vec::new();
    config.connections.max = 1;
    config.any_method = true;
    if !has_key {
        config.hosts = vec!["localhost".parse().expect("a valid host")];
    }
    config
}
