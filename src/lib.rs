//! A WebSocket server in which everyone in a room hears everyone: one process, one event loop
//! on one thread, no `unsafe`.
//!
//! A message travels like this:
//!
//! ```text
//! readable ─► one shared read buffer ─► Connection (no sockets, no clock)
//!               handshaking: head complete? parsed once ─► 101, or an HTTP answer
//!               open: header ─► unmask ─► [inflate, bounded] ─► UTF-8 ─► message, borrowed where
//!               it arrived whole
//! application(&mut Hub, ClientId, Event) ─► hub.say(client, message)
//!               encoded once per wire encoding in use, appended to the room's log
//! end of tick: for every member of a room that grew, ONE write from its place to the log's end
//! ```
//!
//! [`Server`] is all of this, and its application is one closure. [`protocol`] is RFC 6455 without
//! sockets, for use over any other transport.
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
pub use config::{Config, InvalidRoomPattern, RoomPattern, Slow};
#[cfg(feature = "server")]
pub use ipnet::IpNet;
pub use protocol::{
    CloseCode, Deflate, DeflateTerms, Host, InvalidHeader, InvalidHost, InvalidOrigin, Limits,
    Message, Origin, Origins, Request, Response,
};
#[cfg(all(fuzzing, feature = "server"))]
pub use server::simulation;
#[cfg(feature = "server")]
pub use server::{
    Cause, ClientId, Counts, Departure, Event, Exchange, Handle, HandleError, Hub, Server,
    SubprotocolNotOffered, Upgrade,
};
