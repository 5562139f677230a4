//! Peers that do not speak TLS where they should.

use std::io::{self, ErrorKind, Write};

use crate::protocol::Response;

/// Answers a request without TLS, which is probably a mistake, so that one can read what is wrong. `first` is
/// its first byte.
#[cold]
pub(super) fn refuse_plaintext(socket: &mut impl Write, first: u8) -> io::Error {
    if first.is_ascii_uppercase() {
        let text = "this port speaks TLS: use https:// or wss:// here";
        let response = Response::new(400).header("Content-Type", "text/plain; charset=utf-8");
        let mut answer = Vec::new();
        response.expect("a valid field").body(text.as_bytes()).encode(&mut answer);
        // If the peer has gone, the answer is not needed.
        let _ = socket.write(&answer);
    }
    io::Error::new(ErrorKind::InvalidData, "no TLS")
}
