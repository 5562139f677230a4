//! The client's side of a connection (RFC 6455, section 4.1).

mod compression;
mod connection;
mod masks;
mod refused;
mod request;
mod response;
mod uri;

pub use connection::{ClientConnection, ClientFailure, ClientReceived};
pub use masks::NoRandomness;
pub use request::UpgradeRequest;
pub use response::{Accepted, HandshakeResponse, InvalidResponse};
pub use uri::{InvalidUri, WebSocketUri};

#[cfg(test)]
mod tests;
