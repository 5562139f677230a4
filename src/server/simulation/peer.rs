//! Peers that know what they must receive.

use std::collections::VecDeque;

use crate::protocol::internals::{Inflater, SlidingWindow};
use crate::protocol::{CloseCode, Terms, frame};
use crate::server::simulation::pipe::Pipe;

/// The state of a peer.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) pipe: Pipe,
    terms: Terms,
    inflater: Inflater,
    window: SlidingWindow,
    pub(super) room: Option<usize>,
    pub(super) expected: VecDeque<Vec<u8>>,
    /// The number of messages that the peer missed.
    pub(super) missed: usize,
    /// Whether the peer sent a close frame, and receives only the frame that had begun before.
    pub(super) leaving: bool,
    /// Whether the peer received a close frame.
    pub(super) closed: bool,
}

impl Peer {
    pub(super) fn new(pipe: Pipe, terms: Terms) -> Self {
        let window_bits = terms.deflate.map_or(15, |terms| terms.server_window_bits());
        Self {
            pipe,
            terms,
            inflater: Inflater::default(),
            window: SlidingWindow::new(window_bits),
            room: None,
            expected: VecDeque::new(),
            missed: 0,
            leaving: false,
            closed: false,
        }
    }

    /// Reads the complete frames, and compares their messages.
    pub(super) fn receive(&mut self, drops: bool) {
        let bytes = self.pipe.peek();
        let mut at = 0;
        while let Some(size) = frame::frame_size(&bytes[at..]) {
            let Some(frame) = bytes.get(at..at + size) else { break };
            self.take(frame, drops);
            at += size;
        }
        self.pipe.forget(at);
    }

    fn take(&mut self, frame: &[u8], drops: bool) {
        assert!(!self.closed, "a frame after the close frame");
        let payload = &frame[if frame.len() < 128 { 2 } else { 4 }..];
        let message = match frame[0] {
            0x88 => return self.take_close(payload, drops),
            0x82 => payload.to_vec(),
            0xc2 => self.inflate(payload),
            first => panic!("{first:x} is no frame that was sent"),
        };
        // A slow member may miss some messages, and receives the others in order.
        while drops && self.expected.front().is_some_and(|expected| *expected != message) {
            self.expected.pop_front();
            self.missed += 1;
        }
        assert_eq!(Some(message), self.expected.pop_front());
    }

    /// A member that is closed has received everything, unless it was too far behind.
    fn take_close(&mut self, payload: &[u8], drops: bool) {
        self.closed = true;
        let cut_off = payload.starts_with(&CloseCode::TRY_AGAIN_LATER.get().to_be_bytes());
        assert!(
            cut_off || drops || self.leaving || self.expected.is_empty(),
            "closed, and misses {:?}",
            self.expected
        );
    }

    fn inflate(&mut self, payload: &[u8]) -> Vec<u8> {
        let terms = self.terms.deflate.expect("permessage-deflate was negotiated");
        let inflated = if terms.server_context_takeover {
            self.inflater.inflate_in_context(payload, &mut self.window, 10_000)
        } else {
            self.inflater.inflate(payload, 10_000)
        };
        inflated.expect("valid DEFLATE")
    }
}
