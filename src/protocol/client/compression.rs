//! Compression of a client's messages (RFC 7692, section 7.2.1).

use crate::protocol::deflate::{DeflateOffer, DeflateTerms, Deflater};

/// How a client compresses. The compressor takes no memory before the first message.
#[derive(Debug)]
pub(super) struct Compression {
    level: u32,
    window_bits: u8,
    threshold_bytes: usize,
    keeps_context: bool,
    deflater: Option<Deflater>,
}

impl Compression {
    /// The compression under these terms; `None` if messages are sent uncompressed.
    pub(super) fn new(offer: &DeflateOffer, terms: &DeflateTerms) -> Option<Self> {
        Some(Self {
            level: offer.level,
            window_bits: offer.window_bits(terms)?,
            threshold_bytes: offer.threshold_bytes,
            keeps_context: terms.client_context_takeover,
            deflater: None,
        })
    }

    /// The message, compressed; `None` if it is too short for that.
    pub(super) fn compress(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        if message.len() < self.threshold_bytes {
            return None;
        }
        let deflater =
            self.deflater.get_or_insert_with(|| Deflater::new(self.level, self.window_bits));
        if !self.keeps_context {
            deflater.reset();
        }
        let mut compressed = Vec::new();
        deflater.deflate(message, &mut compressed);
        Some(compressed)
    }
}
