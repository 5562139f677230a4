//! The encodings of messages on the wire, and the compressors for them.

use crate::protocol::{Deflate, DeflateTerms, Deflater, Message};

/// The encoding of a member's frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Uncompressed.
    Plain,
    /// Compressed in a context that all members of the room share.
    Shared,
    /// Each message is compressed on its own, for members that keep no context or have a smaller window.
    Independent {
        /// The window in bits, 9 to 15.
        window_bits: u8,
    },
}

impl Encoding {
    /// The best encoding that the terms allow.
    pub(crate) fn of(terms: Option<DeflateTerms>) -> Self {
        match terms {
            None => Self::Plain,
            Some(terms) if terms.server_context_takeover => Self::Shared,
            Some(terms) => Self::Independent { window_bits: terms.server_window_bits() },
        }
    }

    /// The window, in bits, for compressing a message that refers to none before it.
    fn window_bits(self, deflate: &Deflate) -> Option<u8> {
        match self {
            Self::Plain => None,
            Self::Shared => Some(deflate.window_bits),
            Self::Independent { window_bits } => Some(window_bits),
        }
    }
}

/// The minimum size in bytes of a message of which a sample is compressed first, and the size of the
/// sample. An image or an archive would take long to compress, without a gain, and push everything
/// useful out of the window.
const LONG_BYTES: usize = 4 << 10;
const SAMPLE_BYTES: usize = 1 << 10;

/// The number of checks, one per second, after which an unused compressor is dropped.
const MAX_RESTS: u32 = 10;

/// A compressor without a context.
#[derive(Debug)]
struct Compressor {
    deflater: Deflater,
    /// The number of consecutive checks that found the compressor unused.
    rests: u32,
}

impl Compressor {
    fn new(level: u32, window_bits: u8) -> Self {
        Self { deflater: Deflater::new(level, window_bits), rests: 0 }
    }

    /// The compressor, after a reset.
    fn begin(&mut self) -> &mut Deflater {
        self.rests = 0;
        self.deflater.reset();
        &mut self.deflater
    }

    /// Notes a check, and returns whether the compressor has been unused for too long.
    fn rests(&mut self) -> bool {
        self.rests += 1;
        self.rests > MAX_RESTS
    }
}

/// The compressors that all rooms use, for messages that are compressed on their own.
#[derive(Debug)]
pub(crate) struct Compressors {
    deflate: Deflate,
    /// A fast compressor, for samples.
    probe: Option<Compressor>,
    independent: Vec<(u8, Compressor)>,
    /// A compressed frame, before it is appended.
    frame: Vec<u8>,
}

impl Compressors {
    pub(crate) fn new(deflate: Deflate) -> Self {
        Self { deflate, probe: None, independent: Vec::new(), frame: Vec::new() }
    }

    /// Drops the compressors that have not been needed for a while.
    pub(crate) fn trim(&mut self) {
        self.probe.take_if(|probe| probe.rests());
        self.independent.retain_mut(|(_, compressor)| !compressor.rests());
    }

    /// Whether there is a compressor that is dropped when it is not needed.
    pub(crate) fn holds_spare(&self) -> bool {
        self.probe.is_some() || !self.independent.is_empty()
    }

    /// An empty buffer, whose capacity does not stay that of the longest message.
    fn clear_frame(&mut self) {
        self.frame.clear();
        self.frame.shrink_to(LONG_BYTES);
    }

    /// Whether compression is likely to make a message shorter.
    fn is_worth_it(&mut self, message: Message<'_>) -> bool {
        let payload = message.payload();
        let long_enough = payload.len() >= self.deflate.threshold_bytes.max(1);
        long_enough && (payload.len() < LONG_BYTES || self.shrinks(&payload[..SAMPLE_BYTES]))
    }

    /// Whether compression makes a sample at least a tenth shorter.
    fn shrinks(&mut self, sample: &[u8]) -> bool {
        self.frame.clear();
        // Level 1 would not adapt its codes to the sample.
        let make = || Compressor::new(2, self.deflate.window_bits);
        self.probe.get_or_insert_with(make).begin().deflate(sample, &mut self.frame);
        let shrinks = self.frame.len() * 10 <= sample.len() * 9;
        self.frame.clear();
        shrinks
    }

    /// The message as a compressed frame without context, if that makes it shorter.
    pub(crate) fn compress(&mut self, message: Message<'_>, encoding: Encoding) -> Option<&[u8]> {
        let window_bits = encoding.window_bits(&self.deflate)?;
        self.compress_independent(message, window_bits).then_some(&self.frame)
    }

    /// The message as a frame, compressed without context if that makes it shorter.
    pub(crate) fn encode_independent(&mut self, message: Message<'_>, window_bits: u8) -> &[u8] {
        if !self.compress_independent(message, window_bits) {
            self.frame.clear();
            message.encode(&mut self.frame);
        }
        &self.frame
    }

    /// Compresses the message into a frame without context, and returns whether that is shorter.
    fn compress_independent(&mut self, message: Message<'_>, window_bits: u8) -> bool {
        self.clear_frame();
        if !self.is_worth_it(message) {
            return false;
        }
        let known = self.independent.iter().position(|(bits, _)| *bits == window_bits);
        let at = known.unwrap_or_else(|| {
            let compressor = Compressor::new(self.deflate.level, window_bits);
            self.independent.push((window_bits, compressor));
            self.independent.len() - 1
        });
        message.encode_compressed(self.independent[at].1.begin(), &mut self.frame);
        self.frame.len() < message.frame_size()
    }

    /// The message as a frame in the shared context. A message that has passed through the compressor
    /// is in its window, and must be in the members' windows too, even if it did not get shorter.
    pub(crate) fn encode_shared(&mut self, message: Message<'_>, deflater: &mut Deflater) -> &[u8] {
        self.clear_frame();
        if self.is_worth_it(message) {
            message.encode_compressed(deflater, &mut self.frame);
        } else {
            message.encode(&mut self.frame);
        }
        &self.frame
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::*;
    use crate::protocol::noise;

    const RSV1: u8 = 0x40;

    fn is_compressed(frame: &[u8]) -> bool {
        frame[0] & RSV1 != 0
    }

    #[test]
    fn short_and_incompressible_messages_are_sent_plain_to_members_without_context() {
        let mut compressors =
            Compressors::new(Deflate { threshold_bytes: 10, ..Deflate::default() });
        let mut compressed = |payload: &[u8]| {
            is_compressed(compressors.encode_independent(Message::Binary(payload), 15))
        };
        assert!(!compressed(b""));
        assert!(!compressed(b"aaaaaaaaa"));
        assert!(compressed(b"aaaaaaaaaaaaaaaaaaaa"));
        assert!(!compressed(&noise(200)));
        assert!(!compressed(&noise(100_000)));
        assert!(compressed(&[b'a'; 100_000]));
        let begins_with_noise = |size| [&noise(size)[..], &[b'a'; 100_000]].concat();
        assert!(!compressed(&begins_with_noise(SAMPLE_BYTES * 93 / 100)), "it hardly shrinks");
        assert!(compressed(&begins_with_noise(SAMPLE_BYTES * 75 / 100)));
        let digits: Vec<u8> = noise(100_000).iter().map(|byte| b'0' + byte % 10).collect();
        assert!(compressed(&digits), "without a repetition, but of few letters");
    }

    #[test]
    fn a_message_that_compression_does_not_make_shorter_is_sent_plain() {
        let deflate = Deflate { threshold_bytes: 0, ..Deflate::default() };
        let mut deflater = Deflater::new(deflate.level, 15);
        let mut compressors = Compressors::new(deflate);
        let mut compare = |length| {
            let message = Message::Binary(&[b'a'; 20][..length]);
            let mut frame = Vec::new();
            deflater.reset();
            message.encode_compressed(&mut deflater, &mut frame);
            let difference = frame.len().cmp(&message.frame_size());
            let sent = is_compressed(compressors.encode_independent(message, 15));
            assert_eq!(sent, difference.is_lt(), "{length}");
            difference
        };
        let differences: Vec<_> = (1..20).map(&mut compare).collect();
        assert!(differences.is_sorted_by(|before, after| before >= after));
        assert!(differences.contains(&Ordering::Equal));
    }

    #[test]
    fn messages_that_bypass_the_shared_window_push_nothing_out_of_it() {
        let mut compressors = Compressors::new(Deflate::default());
        let mut deflater = Deflater::new(6, 15);
        let known = noise(1_000);
        let mut encode = |payload: &[u8]| {
            let frame = compressors.encode_shared(Message::Binary(payload), &mut deflater);
            (is_compressed(frame), frame.len())
        };
        assert!(encode(&known).1 > 1_000);
        assert_eq!(encode(&noise(100_000)), (false, 100_010));
        assert!(encode(&known).1 < 50);
    }

    #[test]
    fn unused_compressors_are_dropped() {
        let mut compressors = Compressors::new(Deflate::default());
        assert!(!compressors.holds_spare());
        let long = [b'a'; LONG_BYTES];
        for _ in 0..3 {
            // The first message needs a sample, too.
            compressors.encode_independent(Message::Binary(&long), 15);
            compressors.encode_independent(Message::Binary(&long[..100]), 9);
            (0..MAX_RESTS).for_each(|_| compressors.trim());
            assert!(compressors.probe.is_some() && compressors.independent.len() == 2);
            compressors.encode_independent(Message::Binary(&long[..100]), 9);
            compressors.trim();
            let windows: Vec<_> = compressors.independent.iter().map(|(bits, _)| *bits).collect();
            assert!(compressors.probe.is_none() && windows == [9]);
        }
        (0..MAX_RESTS).for_each(|_| compressors.trim());
        assert!(!compressors.holds_spare());
    }

    #[test]
    fn a_message_for_one_member_is_compressed_with_the_window_of_its_encoding() {
        let mut compressors = Compressors::new(Deflate { window_bits: 12, ..Deflate::default() });
        let encodings =
            [Encoding::Plain, Encoding::Shared, Encoding::Independent { window_bits: 9 }];
        let long = [b'a'; 1_000];
        let is_compressed = encodings
            .map(|encoding| compressors.compress(Message::Binary(&long), encoding).is_some());
        assert_eq!(is_compressed, [false, true, true]);
        let windows: Vec<_> = compressors.independent.iter().map(|(bits, _)| *bits).collect();
        assert_eq!(windows, [12, 9]);
    }

    #[test]
    fn terms_lead_to_an_encoding() {
        let encoding = |offer: &str| {
            let values = [offer.as_bytes()].into_iter();
            Encoding::of(DeflateTerms::negotiate(values, &Deflate::default()).unwrap())
        };
        let independent = |window_bits| Encoding::Independent { window_bits };
        assert_eq!(encoding("x"), Encoding::Plain);
        assert_eq!(encoding("permessage-deflate"), Encoding::Shared);
        assert_eq!(encoding("permessage-deflate; server_max_window_bits=15"), Encoding::Shared);
        assert_eq!(encoding("permessage-deflate; server_no_context_takeover"), independent(15));
        assert_eq!(encoding("permessage-deflate; server_max_window_bits=11"), independent(11));
    }
}
