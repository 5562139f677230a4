//! `WebsocketFrameDecoder`, which gives pieces of frames: messages that came in more than one are
//! put together here. Texts are not validated.

use std::io::Read;
use std::ops::Range;

use websocket_sans_io::{WebsocketFrameDecoder, WebsocketFrameEvent};

use crate::{Parser, READ, Source};

pub struct SansIo {
    source: Source,
    decoder: WebsocketFrameDecoder,
    buffer: Vec<u8>,
    /// What of the buffer was read and is not parsed.
    unparsed: Range<usize>,
    /// The last piece of payload in the buffer.
    piece: Range<usize>,
    /// The pieces before it.
    message: Vec<u8>,
}

impl SansIo {
    pub fn new(source: Source) -> Self {
        Self {
            source,
            decoder: WebsocketFrameDecoder::default(),
            buffer: vec![0; READ],
            unparsed: 0..0,
            piece: 0..0,
            message: Vec::new(),
        }
    }

    /// Gives the next message to `each`, if it ends in what was read.
    fn next(&mut self, each: &mut dyn FnMut(&[u8])) -> bool {
        loop {
            let start = self.unparsed.start;
            let result = self.decoder.add_data(&mut self.buffer[self.unparsed.clone()]);
            let Ok(result) = result;
            self.unparsed.start += result.consumed_bytes;
            match result.event {
                None if result.consumed_bytes == 0 => return false,
                None | Some(WebsocketFrameEvent::Start { .. }) => {}
                Some(WebsocketFrameEvent::PayloadChunk { .. }) => {
                    self.keep();
                    self.piece = start..self.unparsed.start;
                }
                Some(WebsocketFrameEvent::End { frame_info, .. }) if frame_info.fin => {
                    self.finish(each);
                    return true;
                }
                Some(WebsocketFrameEvent::End { .. }) => {}
            }
        }
    }

    fn keep(&mut self) {
        self.message.extend_from_slice(&self.buffer[std::mem::take(&mut self.piece)]);
    }

    fn finish(&mut self, each: &mut dyn FnMut(&[u8])) {
        if self.message.is_empty() {
            each(&self.buffer[std::mem::take(&mut self.piece)]);
        } else {
            self.keep();
            each(&self.message);
            self.message.clear();
        }
    }
}

impl Parser for SansIo {
    fn name(&self) -> &'static str {
        "websocket-sans-io"
    }

    fn parse(&mut self, count: usize, each: &mut dyn FnMut(&[u8])) {
        for _ in 0..count {
            while !self.next(each) {
                self.keep();
                self.unparsed = 0..self.source.read(&mut self.buffer).expect("a source");
            }
        }
    }
}
