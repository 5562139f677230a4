//! The admin listener, which shows operators the state of the server.
//!
//! It is a second server on a thread of its own. It asks the first one through its handle, so the event
//! loop of the first one never waits for an operator's connection.

mod encoder;
mod key;
mod metrics;
mod process;
mod question;
mod rooms;

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::thread;

use log::warn;
use townhall::{Config, Event, Handle, Request, Response, Server};

pub use key::Key;
use question::ask;

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
        let desk = Desk { handle, limits, key: self.key };
        let serve = move || {
            let served = self.server.run(|_, _, event| match event {
                Event::Request(exchange) => {
                    let response = desk.answer(exchange.request());
                    exchange.respond(response);
                }
                Event::Upgrade(upgrade) => upgrade.refuse(not_found()),
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
    if !has_key {
        config.hosts = vec!["localhost".parse().expect("a valid host")];
    }
    config
}

/// Answers the requests of operators.
#[derive(Debug)]
struct Desk {
    handle: Handle,
    limits: Config,
    key: Option<Key>,
}

impl Desk {
    fn answer(&self, request: &Request<'_>) -> Response {
        if self.key.as_ref().is_some_and(|key| !key.admits(request)) {
            return Key::challenge();
        }
        let path = request.normal_path();
        match path.as_str() {
            "/live" => self.live(),
            "/ready" => self.ready(),
            "/metrics" => self.metrics(),
            "/rooms" => self.rooms(request),
            _ => not_found(),
        }
    }

    /// Whether the event loop turns.
    fn live(&self) -> Response {
        let live = ask(&self.handle, |_| Response::text(200, "live"));
        live.unwrap_or_else(unavailable)
    }

    /// Whether the server accepts new clients.
    fn ready(&self) -> Response {
        match ask(&self.handle, |hub| hub.is_stopping()) {
            Ok(false) => Response::text(200, "ready"),
            Ok(true) => unavailable("stopping"),
            Err(reason) => unavailable(reason),
        }
    }

    fn metrics(&self) -> Response {
        match ask(&self.handle, |hub| metrics::Snapshot::of(hub)) {
            Ok(snapshot) => metrics::response(snapshot, &self.limits),
            Err(reason) => unavailable(reason),
        }
    }

    fn rooms(&self, request: &Request<'_>) -> Response {
        let query = match rooms::Query::parse(request.query().unwrap_or_default()) {
            Ok(query) => query,
            Err(reason) => return Response::text(400, reason),
        };
        match ask(&self.handle, move |hub| query.find(hub)) {
            Ok(rooms) => rooms.response(),
            Err(reason) => unavailable(reason),
        }
    }
}

fn unavailable(reason: impl Display) -> Response {
    Response::text(503, reason.to_string())
}

fn not_found() -> Response {
    Response::text(404, "not found: there are /metrics, /live, /ready and /rooms")
}
