//! RFC 6455 and RFC 7692 without sockets: bytes and state only.
//!
//! Nothing here opens a socket, reads a clock or writes a log line, so that any transport can carry it
//! and every test is exact. [`Connection`] is all of one connection; the modules below it are its
//! parts, in the order in which a message meets them.
//!
//! ```
//! use std::sync::Arc;
//! use townhall::protocol::{Connection, Limits, Received, Request, Buffers, Terms};
//!
//! let mut connection = Connection::new(Arc::new(Limits::default()));
//! let mut buffers = Buffers::default();
//! let mut bytes = *b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
//!     Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
//!     Sec-WebSocket-Version: 13\r\n\r\n\x89\x82\0\0\0\0hi";
//! let (mut input, mut out) = (&mut bytes[..], Vec::new());
//!
//! let Ok(Some(Received::Head(head))) = connection.receive(&mut input, &mut buffers) else { panic!() };
//! let terms = Terms::negotiate(&Request::parse(&head, 100)?, &[], None)?;
//! connection.accept(&terms, &mut out);
//! assert!(out.starts_with(b"HTTP/1.1 101 "));
//!
//! let Ok(Some(Received::Frames(ping))) = connection.receive(&mut input, &mut buffers) else { panic!() };
//! println!("{ping:?}");
//! # Ok::<(), townhall::protocol::Refusal>(())
//! ```

mod close_code;
mod connection;
mod deflate;
pub(crate) mod frame;
mod handshake;
mod http;
mod limits;
mod message;
mod violation;

pub use close_code::CloseCode;
pub use connection::{Connection, Failure, Received};
#[cfg(test)]
pub(crate) use deflate::noise;
pub use deflate::{Deflate, DeflateTerms, Deflater, Malformed};
pub use frame::{CloseFrame, Opcode};
pub use handshake::{Terms, accept_key};
pub use http::{
    Authority, Forwarded, Host, InvalidHeader, InvalidHost, InvalidOrigin, Origin, Origins,
    Refusal, Request, Response, Site,
};
#[cfg(feature = "server")]
pub(crate) use http::{is_token_byte, normal_path};
pub use limits::Limits;
pub use message::{Buffers, Incoming, IncomingMessage, Message};
pub use violation::Violation;

/// What this crate's benchmarks, fuzzers and tests need besides the API. It may change at any time.
#[doc(hidden)]
pub mod internals {
    #[cfg(fuzzing)]
    pub use super::deflate::LongLivedInflater;
    pub use super::deflate::{Inflater, SlidingWindow};
    pub use super::frame::{
        ClientHeader, apply_mask, encode_close, encode_frame, encode_header, frame_size,
        header_size, is_control, rotate_mask,
    };
    pub use super::message::{TextAssembly, validate};
}
