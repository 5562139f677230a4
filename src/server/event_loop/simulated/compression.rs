//! permessage-deflate, as peers speak it (RFC 7692).

use crate::protocol::Deflater;
use crate::protocol::internals::{Inflater, SlidingWindow};

use super::plan::MAX_MESSAGE_BYTES;

/// The smallest window of the compressor.
const MIN_WINDOW_BITS: u8 = 9;

/// What a connection has agreed on, and the contexts of both sides.
pub(super) struct Compression {
    inflater: Inflater,
    window: SlidingWindow,
    server_keeps_context: bool,
    client_window_bits: u8,
    client_keeps_context: bool,
    deflater: Option<Deflater>,
}

impl Compression {
    /// The terms in the server's answer.
    pub(super) fn new(answer: &str) -> Self {
        Self {
            inflater: Inflater::default(),
            window: SlidingWindow::new(window_bits(answer, "server_max_window_bits=")),
            server_keeps_context: !answer.contains("server_no_context_takeover"),
            client_window_bits: window_bits(answer, "client_max_window_bits="),
            client_keeps_context: !answer.contains("client_no_context_takeover"),
            deflater: None,
        }
    }

    /// Inflates what the server has sent.
    pub(super) fn inflate(&mut self, payload: &[u8]) -> Vec<u8> {
        let Self { inflater, window, .. } = self;
        let inflated = if self.server_keeps_context {
            inflater.inflate_in_context(payload, window, MAX_MESSAGE_BYTES)
        } else {
            inflater.inflate(payload, MAX_MESSAGE_BYTES)
        };
        inflated.expect("valid DEFLATE")
    }

    /// Deflates what the peer sends, unless it has no compressor with such a small window.
    pub(super) fn deflate(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let bits = self.client_window_bits;
        if bits < MIN_WINDOW_BITS {
            return None;
        }
        let deflater = self.deflater.get_or_insert_with(|| Deflater::new(1, bits));
        if !self.client_keeps_context {
            deflater.reset();
        }
        let mut deflated = Vec::new();
        deflater.deflate(message, &mut deflated);
        Some(deflated)
    }
}

/// The size of a window, after its name.
fn window_bits(answer: &str, name: &str) -> u8 {
    let value = answer.split_once(name).map(|(_, value)| value);
    let end = |value: &str| value.find(|letter: char| !letter.is_ascii_digit());
    let digits = value.map(|value| &value[..end(value).unwrap_or(value.len())]);
    digits.map_or(15, |digits| digits.parse().expect("a number of bits"))
}
