//! permessage-deflate (RFC 7692), the client's side.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::Failure;

/// What a browser offers.
pub const OFFER_TAKEOVER: &str = "permessage-deflate; client_max_window_bits";
/// What a client offers that wants no context kept in either direction.
pub const OFFER_NONE: &str =
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// What ends every flushed block, and is left out of messages (section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The longest message that is inflated.
const LONGEST: usize = 1 << 20;

/// What client and server have agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The server begins every message anew.
    pub server_no_context: bool,
    /// The base-2 logarithm of how far back our messages may refer.
    window_bits: u8,
}

impl Terms {
    /// The terms of the server's answer; none if it does not compress.
    pub fn parse(extensions: Option<&str>) -> Result<Option<Self>, Failure> {
        let Some(extensions) = extensions else { return Ok(None) };
        let mut parameters = extensions.split(';').map(str::trim);
        if parameters.next() != Some("permessage-deflate") {
            return Err(format!("the server wants {extensions}").into());
        }
        let mut terms = Self { server_no_context: false, window_bits: 15 };
        for parameter in parameters {
            match parameter.split_once('=') {
                None if parameter == "server_no_context_takeover" => terms.server_no_context = true,
                Some(("client_max_window_bits", bits)) => terms.window_bits = bits.parse()?,
                // Our messages never refer to one another, and any window of the server's fits
                // into ours.
                None if parameter == "client_no_context_takeover" => {}
                Some(("server_max_window_bits", _)) => {}
                _ => return Err(format!("the server wants {parameter}").into()),
            }
        }
        Ok(Some(terms))
    }
}

/// Inflates a server's messages.
#[derive(Debug)]
pub struct Inflater {
    stream: Decompress,
    anew: bool,
}

impl Inflater {
    /// Keeps the context from message to message, unless the server has agreed to do without.
    pub fn new(terms: &Terms) -> Self {
        Self { stream: Decompress::new(false), anew: terms.server_no_context }
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
            // With room left in the output, all that the input holds has come out.
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

/// Deflates our messages, each for itself.
#[derive(Debug)]
pub struct Deflater {
    stream: Compress,
}

impl Deflater {
    pub fn new(terms: &Terms) -> Result<Self, Failure> {
        if !(9..=15).contains(&terms.window_bits) {
            return Err(format!("the server wants a window of {} bits", terms.window_bits).into());
        }
        let level = Compression::default();
        Ok(Self { stream: Compress::new_with_window_bits(level, false, terms.window_bits) })
    }

    pub fn deflate(&mut self, message: &[u8]) -> Result<Vec<u8>, Failure> {
        self.stream.reset();
        // More than any message can become, so that one call does it.
        let mut payload = Vec::with_capacity(message.len() + message.len() / 8 + 64);
        let status = self.stream.compress_vec(message, &mut payload, FlushCompress::Sync)?;
        match payload.strip_suffix(&TAIL) {
            Some(rest) if status == Status::Ok => Ok(rest.to_vec()),
            _ => Err("a message could not be deflated".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(answer: &str) -> Terms {
        Terms::parse(Some(answer)).unwrap().unwrap()
    }

    #[test]
    fn terms_are_parsed() {
        assert_eq!(Terms::parse(None).unwrap(), None);
        let agreed = terms("permessage-deflate; client_max_window_bits=12");
        assert_eq!(agreed, Terms { server_no_context: false, window_bits: 12 });
        assert!(terms(OFFER_NONE).server_no_context);
        assert!(Terms::parse(Some("permessage-deflate; x")).is_err());
        assert!(Terms::parse(Some("x")).is_err());
    }

    #[test]
    fn what_is_deflated_is_inflated() {
        let terms = terms(OFFER_NONE);
        let mut deflater = Deflater::new(&terms).unwrap();
        let mut inflater = Inflater::new(&terms);
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
        let mut inflater = Inflater::new(&terms(OFFER_TAKEOVER.split(';').next().unwrap()));
        assert_eq!(inflater.inflate(&first).unwrap(), b"Hello");
        assert_eq!(inflater.inflate(&second).unwrap(), b"Hello");
        let mut forgetful = Inflater::new(&terms(OFFER_NONE));
        assert_eq!(forgetful.inflate(&first).unwrap(), b"Hello");
        assert!(forgetful.inflate(&second).is_err());
    }
}
