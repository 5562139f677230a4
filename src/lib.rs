//! A WebSocket server in which everyone in a room hears everyone: one process, one event loop
//! on one thread, no `unsafe`.
//!
#![cfg_attr(feature = "server", doc = include_str!("guide.md"))]
//! # Features
//!
//! - `cli`, on by default: the program `townhall`, and what only it depends on, such as clap. It
//!   includes `server`.
//! - `server`: everything but [`protocol`]. A program with an application of its own depends on
//!   townhall with `default-features = false, features = ["server"]`.
//!
//! With neither, there is only [`protocol`], which depends on no sockets, signals or log.
//!
//! # Platforms
//!
//! The feature `server` needs a 64-bit Unix system, and is tested on Linux; it does not compile anywhere
//! else. [`protocol`] compiles wherever the standard library does. Both need Rust 1.95 or newer.
#![cfg_attr(docsrs, feature(doc_cfg))]

// Readiness and signals come from Unix, and a client's id fills a token of 64 bits.
#[cfg(all(feature = "server", not(all(unix, target_pointer_width = "64"))))]
compile_error!("the feature `server` of townhall needs a 64-bit Unix system");

pub mod protocol;

#[cfg(feature = "server")]
mod config;
#[cfg(feature = "server")]
mod server;

#[cfg(feature = "server")]
pub use config::{
    Config, ConfigError, ConnectionLimits, InvalidRoomPattern, MemoryLimits, RateLimits,
    RoomLimits, RoomPattern, ShutdownConfig, Slow, Timeouts,
};
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
