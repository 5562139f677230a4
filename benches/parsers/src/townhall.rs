//! `Receiver`, with a buffer that is read into as the server does.

use std::io::Read;
use std::sync::Arc;

use townhall::protocol::{Limits, Receiver, Scratch};

use crate::{Parser, READ, Source};

pub struct Townhall {
    source: Source,
    receiver: Receiver,
    scratch: Scratch,
    buffer: Vec<u8>,
    /// What of the buffer was read and is not parsed.
    unparsed: std::ops::Range<usize>,
}

impl Townhall {
    pub fn new(source: Source) -> Self {
        Self {
            source,
            receiver: Receiver::new(Arc::new(Limits::default())),
            scratch: Scratch::default(),
            buffer: vec![0; READ],
            unparsed: 0..0,
        }
    }
}

impl Parser for Townhall {
    fn name(&self) -> &'static str {
        "townhall"
    }

    fn parse(&mut self, count: usize, each: &mut dyn FnMut(&[u8])) {
        let mut left = count;
        while left > 0 {
            if self.unparsed.is_empty() {
                self.unparsed = 0..self.source.read(&mut self.buffer).expect("a source");
            }
            let mut input = &mut self.buffer[self.unparsed.clone()];
            while left > 0
                && let Some(incoming) =
                    self.receiver.receive(&mut input, &mut self.scratch).expect("messages")
            {
                each(incoming.message().expect("a message").payload());
                self.scratch.recycle(incoming);
                left -= 1;
            }
            self.unparsed.start = self.unparsed.end - input.len();
        }
    }
}
