//! A WebSocket server in which everyone in a room hears everyone: one process, one event loop
//! on one thread, no `unsafe`.
//!
//! A [`Server`] calls one closure, the application, with everything that happens to its clients, and a
//! [`Hub`], which does what the application wants:
//!
//! ```
//! # #[cfg(feature = "server")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use townhall::{Config, Event, Server};
//!
//! let config = Config { listen: vec!["127.0.0.1:0".parse()?], ..Config::default() };
//! let server = Server::bind(config)?;
//! println!("listening on ws://{}", server.addresses()[0]);
//! # let handle = server.handle();
//! # std::thread::spawn(move || handle.stop());
//! server.run(|hub, client, event| match event {
//!     Event::Open { room, .. } => {
//!         hub.join(client, room);
//!     }
//!     Event::Message(message) => hub.publish(client, message),
//!     _ => {}
//! })?;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "server"))]
//! # fn main() {}
//! ```
//!
//! # The way in
//!
//! | to | use |
//! |---|---|
//! | answer plain HTTP requests on the same port | [`Event::Request`] |
//! | refuse an upgrade, choose its room or subprotocol, set a cookie | [`Event::Upgrade`] |
//! | see the path, the query, the header fields and the address of a client | [`Event::Open`] |
//! | keep something for a client | [`Hub::set_data`] |
//! | send to a room or to one client | [`Hub::broadcast`], [`Hub::send`] |
//! | be called after a time | [`Hub::set_timer`] |
//! | publish, or do anything else, from other threads | [`Handle`] |
//! | stop | [`Handle::stop`], [`Server::listen_to_signals`] |
//! | change the limits | [`Config`] |
//! | speak RFC 6455 over a transport of your own | [`protocol`] |
//!
//! # One room at a time
//!
//! A room is a URL path, and a client is a member of one room at a time. A room keeps one log of encoded
//! frames, and a member is a position in that log: a message is encoded once, and what a member has not
//! received yet costs no queue of its own. A member of two rooms would need two positions, and an order
//! between the two logs that no other member shares. An application with topics of its own lets a client
//! open a connection for each, or sends to the subscribers of a topic one by one with [`Hub::send`].
//!
//! # One thread
//!
//! The event loop, with the application in it, runs on the thread that calls [`Server::run`]. While the
//! application works, nobody else is served: what takes long belongs on another thread, which returns
//! its result through a [`Handle`]. No lock is held and nothing is awaited, and messages are written at
//! the end of the loop's turn: for every member of a room that grew, one write of everything that is new.
//!
//! # Features
//!
//! - `cli`, on by default: the program `townhall`, and what only it depends on, such as clap. It
//!   includes `server`.
//! - `server`: everything but [`protocol`]. A program with an application of its own depends on
//!   townhall with `default-features = false, features = ["server"]`.
//!
//! With neither, there is only [`protocol`], which depends on no sockets, signals or log.

pub mod protocol;

#[cfg(feature = "server")]
mod config;
#[cfg(feature = "server")]
mod server;

#[cfg(feature = "server")]
pub use config::{Config, ConfigError, InvalidRoomPattern, RoomPattern, Slow};
#[cfg(feature = "server")]
pub use ipnet::IpNet;
pub use protocol::{
    CloseCode, Deflate, DeflateTerms, Host, InvalidHeader, InvalidHost, InvalidOrigin, Limits,
    Message, Origin, Origins, Refusal, Request, Response, Violation,
};
#[cfg(all(fuzzing, feature = "server"))]
pub use server::simulation;
#[cfg(feature = "server")]
pub use server::{
    Cause, ClientId, Counts, Departure, Event, Exchange, Handle, HandleError, Hub, Server,
    SubprotocolNotOffered, Upgrade,
};
