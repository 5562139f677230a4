//! Outgoing and incoming messages (RFC 6455, sections 5.4 and 5.6).

mod assembly;
mod buffers;
mod incoming;
mod outgoing;
mod partial_frame;
mod receiver;
mod utf8;

pub use buffers::Buffers;
pub use incoming::{Incoming, IncomingMessage};
pub use outgoing::Message;
pub(crate) use receiver::Receiver;
pub use utf8::{TextAssembly, validate};
