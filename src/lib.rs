//! A WebSocket server that sends every message to everyone in the room: one process, one event loop
//! on one thread, no `unsafe`.
//!
#![cfg_attr(feature = "server", doc = include_str!("guide.md"))]
//! # Features
//!
//! - `cli` (default): the binary `townhall` and its dependencies, such as clap. It includes the others.
//! - `server`: everything but [`protocol`]. A program that uses the library depends on townhall with
//!   `default-features = false, features = ["server"]`.
//! - `tls`: addresses that begin with `https://`, and rustls. It includes `server`, which does not need it.
//! - `client`: [`protocol`] has the client role too, whose masking keys come from the system.
//!
//! Without these, the crate is only the server role of [`protocol`], without sockets, signals and logging.
//!
//! # Platforms
//!
//! The feature `server` needs a 64-bit Unix system, and is tested on Linux; it does not compile anywhere
//! else. [`protocol`] compiles wherever the standard library does. Both need Rust 1.95 or newer.
#![cfg_attr(docsrs, feature(doc_cfg))]

// Readiness and signals come from Unix, and a client's id fills a token of 64 bits.
#[cfg(all(feature = "server", not(all(unix, target_pointer_width = "64"))))]
compile_error!("the feature `server` of townhall needs a 64-bit Unix system");

/// Makes the compiler see the example of the README.
#[cfg(all(doctest, feature = "server"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// The fuzz targets, which the tests contain, name this crate as from outside.
#[cfg(all(test, feature = "cli"))]
extern crate self as townhall;

pub mod protocol;

#[cfg(feature = "server")]
mod config;
#[cfg(all(test, feature = "cli"))]
mod corpus;
#[cfg(feature = "server")]
mod server;

#[cfg(feature = "server")]
pub use config::{
    BoundSocket, CertificateFiles, Config, ConfigError, ConnectionLimits, HistoryLimits,
    InvalidListen, InvalidRoomPattern, Listen, ListenAddress, MemoryLimits, RateLimits, RoomLimits,
    RoomPattern, ShutdownConfig, Slow, SocketConfig, Timeouts, TlsConfig,
};
#[cfg(feature = "server")]
pub use ipnet::IpNet;
pub use protocol::{
    CloseCode, Deflate, DeflateTerms, Host, InvalidHeader, InvalidHost, InvalidOrigin,
    InvalidPosition, Limits, Message, Origin, Origins, Position, ProxyRefusal, Refusal, Request,
    Response, Start, Violation,
};
#[cfg(all(any(test, fuzzing), feature = "server"))]
pub use server::simulation;
#[cfg(feature = "server")]
pub use server::{
    Cause, CauseKind, ClientId, Compression, Counts, Deferred, Departure, DurationHistogram, Event,
    Exchange, Handle, HandleError, Hub, InvalidClientId, MemoryUsage, RequestHead, RestoreError,
    RoomInfo, Server, SubprotocolNotOffered, TlsCounts, TlsFailure, Upgrade,
};
