//! The client's side of permessage-deflate (RFC 7692).

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::Failure;

/// The offer of a client that keeps the server's context, and lets the server choose the client's window.
pub const OFFER_TAKEOVER: &str = "permessage-deflate; client_max_window_bits";
/// The offer of a client that wants each message compressed independently.
pub const OFFER_NO_TAKEOVER: &str =
    "permessage-deflate; server_no_context_takeover; client_max_window_bits";

/// The smallest window that a server may choose and zlib can compress with, in bits.
const WINDOW_BITS: u8 = 9;

/// The end of every flushed block, which messages leave out (section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The maximum length of an inflated message.
const LONGEST: usize = 1 << 20;

/// Inflates one server's messages.
#[derive(Debug)]
pub struct Inflater {
    stream: Decompress,
    anew: bool,
}

impl Inflater {
    /// An inflater on the terms of the server's answer; none if it does not compress.
    pub fn agreed(extensions: Option<&str>) -> Result<Option<Self>, Failure> {
        let Some(extensions) = extensions else { return Ok(None) };
        let mut parameters = extensions.split(';').map(str::trim);
        if parameters.next() != Some("permessage-deflate") {
            return Err(format!("the server wants {extensions}").into());
        }
        let anew = parameters.any(|parameter| parameter == "server_no_context_takeover");
        Ok(Some(Self { stream: Decompress::new(false), anew }))
    }

    pub fn inflate(&mut self, payload: &[u8]) -> Result<Vec<u8>, Failure> {
        if self.anew {
            self.stream.reset(false);
        }
        let input = [payload, &TAIL].concat();
        let mut message = Vec::with_capacity(4 * payload.len() + 64);
        let start = self.stream.total_in();
        loop {
            let rest = &input[(self.stream.total_in() - start) as usize..];
            // If the output has space left, the input is used up.
            if rest.is_empty() && message.len() < message.capacity() {
                return Ok(message);
            }
            if message.len() > LONGEST {
                return Err("a message is too long when it is inflated".into());
            }
            if message.len() == message.capacity() {
                message.reserve(message.len());
            }
            let flush = FlushDecompress::Sync;
            if self.stream.decompress_vec(rest, &mut message, flush)? == Status::StreamEnd {
                return Err("the server has ended its DEFLATE stream".into());
            }
        }
    }
}

/// Deflates messages independently, so that one deflater serves all members.
#[derive(Debug)]
pub struct Deflater(Compress);

impl Deflater {
    pub fn new() -> Self {
        Self(Compress::new_with_window_bits(Compression::fast(), false, WINDOW_BITS))
    }

    pub fn deflate(&mut self, message: &[u8]) -> Result<Vec<u8>, Failure> {
        self.0.reset();
        // Enough for any message, so that one call is enough.
        let mut payload = Vec::with_capacity(message.len() + message.len() / 8 + 64);
        let status = self.0.compress_vec(message, &mut payload, FlushCompress::Sync)?;
        match payload.strip_suffix(&TAIL) {
            Some(rest) if status == Status::Ok => Ok(rest.to_vec()),
            _ => Err("a message could not be deflated".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_deflated_is_inflated() {
        let mut deflater = Deflater::new();
        let mut inflater = Inflater::agreed(Some(OFFER_NO_TAKEOVER)).unwrap().unwrap();
        for length in [0, 1, 100, 100_000] {
            let message = vec![b'x'; length];
            let payload = deflater.deflate(&message).unwrap();
            assert_eq!(inflater.inflate(&payload).unwrap(), message);
        }
    }

    /// Section 7.2.3.2: the second "Hello" refers to the first.
    #[test]
    fn the_context_is_kept_unless_agreed_otherwise() {
        let first = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        let second = [0xf2, 0x00, 0x11, 0x00, 0x00];
        let mut keeps = Inflater::agreed(Some(OFFER_TAKEOVER)).unwrap().unwrap();
        assert_eq!(keeps.inflate(&first).unwrap(), b"Hello");
        assert_eq!(keeps.inflate(&second).unwrap(), b"Hello");
        let mut forgets = Inflater::agreed(Some(OFFER_NO_TAKEOVER)).unwrap().unwrap();
        assert_eq!(forgets.inflate(&first).unwrap(), b"Hello");
        assert!(forgets.inflate(&second).is_err());
    }

    #[test]
    fn no_other_extension_is_agreed_to() {
        assert!(Inflater::agreed(None).unwrap().is_none());
        assert!(Inflater::agreed(Some("x-other")).is_err());
    }
}
