//! A reference inflater for tests and fuzzers.

use flate2::{Decompress, FlushDecompress, Status};

use super::config::TAIL;
use super::inflater::LAST_BLOCK;

/// A byte of DEFLATE inflates to at most 1,032 bytes.
const MAX_EXPANSION: usize = 1_100;

/// An inflater of the kind that other servers have for each connection: it keeps its state from one
/// message to the next. When a stream ends, all the data that was inflated so far becomes the dictionary
/// of the next one.
#[derive(Debug)]
pub struct LongLivedInflater {
    stream: Decompress,
    inflated: Vec<u8>,
    /// The length of the data that was inflated up to the last byte that was sent.
    sent: usize,
}

impl Default for LongLivedInflater {
    fn default() -> Self {
        Self { stream: Decompress::new(false), inflated: Vec::new(), sent: 0 }
    }
}

impl LongLivedInflater {
    /// Inflates the next message; `None` if it is not DEFLATE. A message that ends inside a block is
    /// inflated as far as it goes.
    pub fn inflate(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let before = self.inflated.len();
        let ended = self.feed(message)?;
        self.sent = self.inflated.len();
        if !ended {
            self.feed(&TAIL)?;
        }
        Some(self.inflated[before..].to_vec())
    }

    /// Feeds all of `input`, and returns whether it ended with a stream.
    fn feed(&mut self, mut input: &[u8]) -> Option<bool> {
        self.inflated.reserve(MAX_EXPANSION * (input.len() + 4));
        loop {
            let before = self.stream.total_in();
            let flush = FlushDecompress::Sync;
            let status = self.stream.decompress_vec(input, &mut self.inflated, flush).ok()?;
            input = &input[(self.stream.total_in() - before) as usize..];
            let ended = status == Status::StreamEnd;
            if ended {
                self.stream.reset(false);
                self.stream.set_dictionary(&self.inflated).expect("a raw stream takes any");
            }
            if input.is_empty() {
                return Some(ended);
            }
        }
    }

    /// Whether the last message ended at a block boundary, so that the omitted bytes add nothing.
    pub fn is_between_blocks(&mut self) -> bool {
        self.feed(&LAST_BLOCK) == Some(true) && self.inflated.len() == self.sent
    }
}
