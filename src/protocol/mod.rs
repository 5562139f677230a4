//! RFC 6455 and RFC 7692 without sockets: bytes and state only.
//!
//! Nothing here opens a socket, reads a clock or writes a log line, so that any transport can carry it
//! and every test is exact. [`Connection`] is all of one connection; the modules below it are its
//! parts, in the order in which a message meets them.
//!
//! ```
//! use std::sync::Arc;
//! use townhall::protocol::{Connection, Limits, Received, Request, Scratch, Terms};
//!
//! let mut connection = Connection::new(Arc::new(Limits::default()));
//! let mut scratch = Scratch::default();
//! let mut bytes = *b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
//!     Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
//!     Sec-WebSocket-Version: 13\r\n\r\n\x89\x82\0\0\0\0hi";
//! let (mut input, mut out) = (&mut bytes[..], Vec::new());
//!
//! let Ok(Some(Received::Head(head))) = connection.receive(&mut input, &mut scratch) else { panic!() };
//! let terms = Terms::negotiate(&Request::parse(&head, 100)?, &[], None)?;
//! connection.accept(&terms, &mut out);
//! assert!(out.starts_with(b"HTTP/1.1 101 "));
//!
//! let Ok(Some(Received::Frames(ping))) = connection.receive(&mut input, &mut scratch) else { panic!() };
//! println!("{ping:?}");
//! # Ok::<(), townhall::protocol::Refusal>(())
//! ```

pub mod frame;
pub mod mask;
pub mod utf8;

mod close;
mod closing;
mod connection;
mod deflate;
mod extension;
mod field;
mod forwarded;
mod handshake;
mod head;
mod host;
mod inflater;
mod inflation;
mod limits;
mod message;
mod origin;
mod origins;
mod receiver;
mod request;
mod response;
mod scratch;
mod site;
mod target;
mod uri;
mod violation;

pub use close::{CloseCode, CloseFrame, encode_close};
pub use connection::{Connection, Failure, Received};
#[cfg(test)]
pub(crate) use deflate::noise;
pub use deflate::{Deflate, Deflater};
#[cfg(feature = "server")]
pub(crate) use extension::is_token_byte;
pub use extension::{DeflateTerms, Malformed};
pub use field::InvalidHeader;
pub use forwarded::Forwarded;
pub use frame::{ClientHeader, Opcode};
pub use handshake::{Terms, accept_key};
pub use host::{Authority, Host, InvalidHost};
pub use inflater::{Inflater, SlidingWindow};
pub use limits::Limits;
pub use message::Message;
pub use origin::{InvalidOrigin, Origin};
pub use origins::Origins;
pub use receiver::{Incoming, Receiver};
pub use request::Request;
pub use response::Response;
pub use scratch::Scratch;
pub use site::Site;
#[cfg(feature = "server")]
pub(crate) use uri::normal_path;
pub use violation::{Refusal, Violation};
