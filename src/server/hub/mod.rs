//! The connected clients, the rooms that they are in, and what is sent to them.
//!
//! [`Hub`] holds the state. Each of the other files is for one thing that happens to clients or rooms.
//! The files form no circle: their `use` lines show what depends on what.

mod actions;
pub(crate) mod answering;
pub(crate) mod backlog;
pub(crate) mod backpressure;
mod client_data;
mod clients;
pub(crate) mod closing;
mod epochs;
mod forwarded;
pub(crate) mod handshake;
mod inspection;
pub(crate) mod keepalive;
pub(crate) mod lifecycle;
pub(crate) mod members;
pub(crate) mod overload;
mod pending;
pub(crate) mod proxied;
mod queries;
pub(crate) mod requests;
mod restoring;
mod sending;
mod site;
pub(crate) mod slow;
mod state;
pub(crate) mod throttle;
pub(crate) mod tls_handshake;
pub(crate) mod trim;
pub(crate) mod words;

pub use inspection::RoomInfo;
pub use restoring::RestoreError;
pub use state::Hub;
pub(crate) use state::{Application, Phase};
