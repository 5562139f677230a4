//! RFC 6455 and RFC 7692 without sockets: bytes and state only.
//!
//! Nothing here opens a socket, reads a clock or writes a log line, so it works with any transport, and
//! every test is deterministic. [`Connection`] is the server's side of one connection, and
//! `ClientConnection` the client's, with the feature `client`. Their caller moves the bytes and owns the
//! clock. There are examples of both on tokio.
//!
//! # The driving loop
//!
//! 1. Pass what the transport read to [`Connection::receive`], again and again, until it returns `None`.
//!    It takes bytes off the front of the input, and unmasks payloads in place.
//! 2. Answer what it returns. A [`Received::Head`] needs [`accept`](Connection::accept),
//!    [`respond`](Connection::respond) or [`fail`](Connection::fail); a ping needs
//!    [`pong`](Connection::pong); a close frame needs [`answer_close`](Connection::answer_close); an error
//!    needs [`fail`](Connection::fail). [`Connection::send`] sends a message. Each of these methods appends
//!    bytes to a buffer, and does nothing where the protocol does not allow it.
//! 3. Write the buffer to the transport.
//! 4. Once [`Connection::is_closed`], write what is left, and close the transport. If the transport ends
//!    first, call [`Connection::abandon`].
//!
//! The loop of a client is the same. It begins with the request, which `ClientConnection::new` appends to
//! the buffer; instead of a head, it receives the server's answer; and if the transport ends, it calls
//! `ClientConnection::end`, because an answer without a length ends that way.
//!
//! The caller is responsible for timeouts, because it owns the clock; [`Connection`] has an example.
//!
//! ```
//! use townhall::protocol::{
//!     Buffers, Connection, Incoming, Limits, Received, Refusal, Request, Terms,
//! };
//!
//! /// Takes bytes from a client, and appends the bytes for it to `out`: an echo server.
//! fn drive(
//!     connection: &mut Connection,
//!     mut input: &mut [u8],
//!     buffers: &mut Buffers,
//!     out: &mut Vec<u8>,
//! ) {
//!     loop {
//!         match connection.receive(&mut input, buffers) {
//!             Ok(None) => return,
//!             Ok(Some(Received::Head(head))) => match negotiate(&head) {
//!                 Ok(terms) => connection.accept(&terms, out),
//!                 Err(refusal) => connection.fail(refusal, out),
//!             },
//!             Ok(Some(Received::Frames(incoming))) => {
//!                 match &incoming {
//!                     Incoming::Message(message) => connection.send(message, out),
//!                     Incoming::Ping(payload) => connection.pong(payload, out),
//!                     Incoming::Close(frame) => connection.answer_close(frame.as_ref(), out),
//!                     _ => {}
//!                 }
//!                 buffers.recycle(incoming);
//!             }
//!             Ok(Some(_)) => {}
//!             Err(failure) => connection.fail(failure, out),
//!         }
//!     }
//! }
//!
//! fn negotiate(head: &[u8]) -> Result<Terms, Refusal> {
//!     let request = Request::parse(head, Limits::default().max_headers)?;
//!     Terms::negotiate(&request, &[], None)
//! }
//!
//! let mut connection = Connection::new(Limits::default());
//! let mut buffers = Buffers::default();
//! let mut out = Vec::new();
//!
//! let mut request = *b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
//!     Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
//!     Sec-WebSocket-Version: 13\r\n\r\n";
//! drive(&mut connection, &mut request, &mut buffers, &mut out);
//! assert!(out.starts_with(b"HTTP/1.1 101 Switching Protocols\r\n"));
//! assert!(connection.is_open());
//!
//! // The message "Hello", masked (RFC 6455, section 5.7), in two pieces.
//! out.clear();
//! let mut hello = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
//! let (first, second) = hello.split_at_mut(3);
//! drive(&mut connection, first, &mut buffers, &mut out);
//! assert!(out.is_empty());
//! drive(&mut connection, second, &mut buffers, &mut out);
//! assert_eq!(out, b"\x81\x05Hello");
//!
//! // A close frame with the code 1000 is echoed.
//! out.clear();
//! let mut close = *b"\x88\x82\0\0\0\0\x03\xe8";
//! drive(&mut connection, &mut close, &mut buffers, &mut out);
//! assert_eq!(out, b"\x88\x02\x03\xe8");
//! assert!(connection.is_closed() && connection.was_clean());
//! ```
//!
//! # Other requests
//!
//! [`Request`] also describes plain requests, and [`Origins`] decides which pages may connect. A server
//! behind a proxy that it trusts can parse [`Forwarded`] fields, and a [`ProxyHeader`] before them.
//!
//! # Compression
//!
//! [`Terms::negotiate`] negotiates permessage-deflate if it is given a [`Deflate`]. Compressed messages
//! from the client are then inflated automatically. [`DeflateTerms`] has an example of sending them.

#[cfg(feature = "client")]
mod client;
mod close_code;
mod connection;
mod deflate;
mod failure;
pub(crate) mod frame;
mod handshake;
mod http;
mod limits;
mod message;
mod position;
mod proxy_header;
mod session;
mod violation;
mod word;

#[cfg(feature = "client")]
pub use client::{
    Accepted, ClientConnection, ClientFailure, ClientReceived, HandshakeResponse, InvalidResponse,
    InvalidUri, NoRandomness, UpgradeRequest, WebSocketUri,
};
pub use close_code::CloseCode;
pub use connection::{Connection, Received};
#[cfg(feature = "client")]
pub use deflate::DeflateOffer;
#[cfg(test)]
pub(crate) use deflate::noise;
pub use deflate::{Deflate, DeflateTerms, Deflater, InvalidExtensions};
pub use failure::Failure;
pub use frame::{CloseFrame, Opcode};
pub use handshake::{Terms, accept_key};
#[cfg(feature = "server")]
pub(crate) use http::is_token_byte;
pub use http::{
    Authority, Forwarded, Framing, Host, InvalidAuthority, InvalidHeader, InvalidHost,
    InvalidOrigin, Origin, Origins, Refusal, Request, Response, Site, normal_path,
};
pub use limits::Limits;
pub use message::{Buffers, Incoming, IncomingMessage, Message};
pub use position::{InvalidPosition, Position, Start};
pub use proxy_header::{Endpoints, ProxyHeader, ProxyRefusal, ProxyStatus};
pub use violation::Violation;
pub use word::{SUBPROTOCOL, WORD_MARK, WORD_MARK_REFUSED, Word};

/// Items for this crate's benchmarks, fuzzers and tests, which are not part of the API and may change at
/// any time.
#[doc(hidden)]
pub mod internals {
    #[cfg(any(test, fuzzing))]
    pub use super::deflate::LongLivedInflater;
    pub use super::deflate::{Inflater, SlidingWindow};
    #[cfg(feature = "client")]
    pub use super::frame::FromServer;
    pub use super::frame::{
        FrameHeader, FromClient, apply_mask, encode_frame, encode_header, frame_size, header_size,
        is_control, rotate_mask,
    };
    pub use super::message::{TextAssembly, validate};
}

#[cfg(test)]
mod tests;
