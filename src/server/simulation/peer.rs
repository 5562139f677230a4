//! Peers that know what they must receive.

use std::collections::{HashMap, VecDeque};

use crate::protocol::internals::{Inflater, SlidingWindow};
use crate::protocol::{CloseCode, Position, Terms, frame};
use crate::server::simulation::pipe::Pipe;
use crate::server::simulation::word::Heard;

/// All messages of all rooms with history, by the place after them.
pub(super) type Said = HashMap<Position, Vec<u8>>;

/// A message, or a word, that a peer must receive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expected {
    /// A message that is not in the sequence of a room with history.
    Message(Vec<u8>),
    /// The message before this place.
    At(Position),
    /// The greeting in a room with history.
    Greeting(Heard),
    /// The place of the peer's own message.
    Receipt(Position),
}

/// The state of a peer.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) pipe: Pipe,
    terms: Terms,
    inflater: Inflater,
    window: SlidingWindow,
    pub(super) room: Option<usize>,
    pub(super) expected: VecDeque<Expected>,
    /// The message that the peer received last.
    last: Option<Expected>,
    /// The place in the sequence up to which the peer has counted, if it counts.
    pub(super) position: Option<Position>,
    /// Whether the peer may miss messages without being told: it hears no words, or has been in a room
    /// without history, or in none.
    pub(super) may_be_untold: bool,
    /// Whether the peer is in a room with history.
    pub(super) is_in_sequence: bool,
    /// Missed messages of which the peer has not been told yet.
    untold: u64,
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
            may_be_untold: terms.subprotocol.is_none(),
            terms,
            inflater: Inflater::default(),
            window: SlidingWindow::new(window_bits),
            room: None,
            expected: VecDeque::new(),
            last: None,
            position: None,
            is_in_sequence: false,
            untold: 0,
            missed: 0,
            leaving: false,
            closed: false,
        }
    }

    pub(super) fn hears_words(&self) -> bool {
        self.terms.subprotocol.is_some()
    }

    /// Reads the complete frames, and compares their messages.
    pub(super) fn receive(&mut self, drops: bool, said: &Said) {
        let bytes = self.pipe.peek();
        let mut at = 0;
        while let Some(size) = frame::frame_size(&bytes[at..]) {
            let Some(frame) = bytes.get(at..at + size) else { break };
            self.take(frame, drops, said);
            at += size;
        }
        self.pipe.forget(at);
    }

    fn take(&mut self, frame: &[u8], drops: bool, said: &Said) {
        assert!(!self.closed, "a frame after the close frame");
        let payload = &frame[if frame.len() < 128 { 2 } else { 4 }..];
        let message = match frame[0] {
            0x88 => return self.take_close(payload, drops),
            0x81 => return self.take_word(payload, drops),
            0x82 => payload.to_vec(),
            0xc2 => self.inflate(payload),
            first => panic!("{first:x} is no frame that was sent"),
        };
        assert_eq!(self.untold, 0, "the peer is told before the next message");
        let is_it = |expected: &Expected| match expected {
            Expected::Message(expected) => *expected == message,
            Expected::At(position) => said[position] == message,
            Expected::Greeting(_) | Expected::Receipt(_) => false,
        };
        // A slow member may miss some messages, and receives the others in order.
        while drops && self.may_be_untold && self.expected.front().is_some_and(|next| !is_it(next))
        {
            self.miss();
        }
        let expected = self.expected.pop_front();
        assert!(expected.as_ref().is_some_and(is_it), "{message:?} instead of {expected:?}");
        if let Some(Expected::At(position)) = expected {
            self.count(position);
        }
        self.last = expected;
    }

    /// Whether the peer has received everything that it must. One that may miss messages without being told,
    /// and receives some of them a second time from the past, cannot tell which of the two it has missed.
    pub(super) fn is_done(&self, drops: bool) -> bool {
        let is_newest = self.expected.back() == self.last.as_ref();
        self.expected.is_empty() || drops && self.may_be_untold && is_newest
    }

    /// Counts one message, after which the peer is at this place.
    fn count(&mut self, position: Position) {
        if let Some(before) = self.position {
            assert_eq!(next(before), position, "the peer has counted right");
            self.position = Some(position);
        }
    }

    /// Misses what is expected next.
    fn miss(&mut self) -> bool {
        let missed = self.expected.pop_front();
        let is_message = matches!(missed, Some(Expected::Message(_) | Expected::At(_)));
        self.missed += usize::from(is_message);
        is_message
    }

    fn take_word(&mut self, payload: &[u8], drops: bool) {
        let word = Heard::of(payload).expect("a word");
        assert!(self.hears_words(), "{word:?} to a peer that hears none");
        match word {
            Heard::Greeting { position, .. } => {
                while drops && !matches!(self.expected.front(), None | Some(Expected::Greeting(_)))
                {
                    self.untold += u64::from(self.miss() && !self.may_be_untold);
                }
                assert_eq!(self.expected.pop_front(), Some(Expected::Greeting(word)));
                self.position = self.counts(drops).then_some(position);
            }
            Heard::Skipped { count, position } => self.skip(count, position, drops),
            Heard::Published(position) => {
                while drops
                    && self.may_be_untold
                    && self.expected.front() != Some(&Expected::Receipt(position))
                {
                    assert!(!self.expected.is_empty(), "{word:?} without a message");
                    self.miss();
                }
                // A slow sender may miss the places of its messages before this one.
                let is_earlier = |next: &mut Expected| {
                    drops && matches!(next, Expected::Receipt(place) if *place != position)
                };
                while self.expected.pop_front_if(is_earlier).is_some() {}
                assert_eq!(self.expected.pop_front(), Some(Expected::Receipt(position)));
                if drops {
                    self.position = self.position.map(|_| position);
                } else {
                    self.count(position);
                }
            }
            Heard::Beat(position) => {
                assert!(self.position.is_none_or(|counted| counted == position), "{word:?}");
            }
        }
    }

    /// Whether the peer can count from the greeting that it has just received.
    fn counts(&self, drops: bool) -> bool {
        let greetings = self.expected.iter().filter(|next| matches!(next, Expected::Greeting(_)));
        !(drops && self.may_be_untold) || self.is_in_sequence && greetings.count() == 0
    }

    /// Notes that the peer has entered a room with history, and receives these messages from its past.
    pub(super) fn enter_sequence(&mut self, greeting: Heard, replayed: Vec<Expected>) {
        self.is_in_sequence = true;
        if self.hears_words() {
            self.expected.push_back(Expected::Greeting(greeting));
        }
        self.expected.extend(replayed);
    }

    /// Notes that the peer is in no room, or in one without history. What it misses from now on because it
    /// is slow, it is not told.
    pub(super) fn leave_sequence(&mut self, drops: bool) {
        self.is_in_sequence = false;
        self.may_be_untold |= drops;
        if drops {
            self.position = None;
        }
    }

    /// Misses this number of messages, and continues at this place.
    fn skip(&mut self, count: u64, position: Position, drops: bool) {
        assert!(drops && count > 0, "a skip of {count}");
        if !self.may_be_untold {
            let mut left = count.checked_sub(self.untold).expect("the peer is told of all");
            self.untold = 0;
            let mut receipt = None;
            while left > 0 {
                match self.expected.front() {
                    Some(Expected::Receipt(place)) => receipt = Some(*place),
                    next => assert!(next.is_some(), "{left} of {count} messages are not missed"),
                }
                left -= u64::from(self.miss());
            }
            // If the peer's own messages are next, it receives the last of their places.
            let is_next = |place: &Position| {
                place.epoch() == position.epoch() && place.sequence() > position.sequence()
            };
            let receipt = receipt.filter(is_next).map(Expected::Receipt);
            receipt.into_iter().for_each(|receipt| self.expected.push_front(receipt));
            // Receipts in the hole are missed too.
            let in_hole = |next: &mut Expected| match next {
                Expected::Receipt(at) => {
                    at.epoch() == position.epoch() && at.sequence() <= position.sequence()
                }
                _ => false,
            };
            while self.expected.pop_front_if(in_hole).is_some() {}
        }
        if self.position.is_some() {
            self.position = Some(position);
        }
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

/// The place after the next message.
pub(super) fn next(position: Position) -> Position {
    Position::new(position.epoch(), position.sequence() + 1)
}
