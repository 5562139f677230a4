//! A room's logs: one for every wire encoding that its members need.

use std::time::Instant;

use super::log::{Cursor, Log};
use super::pool::Pool;
use crate::protocol::{Deflate, DeflateTerms, Deflater, Message};

/// The encoding of a member's frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Uncompressed.
    Plain,
    /// Compressed in a context that all members of the room share.
    Shared,
    /// Each message compressed on its own, for members that keep no context or have a smaller window.
    Independent {
        /// The window in bits, 9 to 15.
        window_bits: u8,
    },
}

impl Encoding {
    /// The best encoding that the terms allow.
    pub(super) fn of(terms: Option<DeflateTerms>) -> Self {
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

/// The shortest message that is tried on a sample first, and the length of the sample, in bytes. An
/// image or an archive would take long to compress, to no avail, and push everything useful out of the
/// window.
const LONG_BYTES: usize = 4 << 10;
const SAMPLE_BYTES: usize = 1 << 10;

/// How many times a compressor may be found unused before it is given up. It is checked once a second.
const MAX_RESTS: u32 = 10;

/// A compressor that keeps nothing of one message for the next.
#[derive(Debug)]
struct Compressor {
    deflater: Deflater,
    /// How many times in a row the compressor was found unused.
    rests: u32,
}

impl Compressor {
    fn new(level: u32, window_bits: u8) -> Self {
        Self { deflater: Deflater::new(level, window_bits), rests: 0 }
    }

    /// The compressor, without a context.
    fn begin(&mut self) -> &mut Deflater {
        self.rests = 0;
        self.deflater.reset();
        &mut self.deflater
    }

    /// Notes a check, and returns whether the compressor has been unused for long.
    fn rests(&mut self) -> bool {
        self.rests += 1;
        self.rests > MAX_RESTS
    }
}

/// The compressors that all rooms use, for messages that are compressed on their own.
#[derive(Debug)]
pub(super) struct Codecs {
    deflate: Deflate,
    /// A fast compressor, for samples.
    taster: Option<Compressor>,
    independent: Vec<(u8, Compressor)>,
    /// A compressed frame, before it is appended.
    frame: Vec<u8>,
}

impl Codecs {
    pub(super) fn new(deflate: Deflate) -> Self {
        Self { deflate, taster: None, independent: Vec::new(), frame: Vec::new() }
    }

    pub(super) fn deflate(&self) -> &Deflate {
        &self.deflate
    }

    /// Gives up the compressors that have not been needed for a while.
    pub(super) fn trim(&mut self) {
        self.taster.take_if(|taster| taster.rests());
        self.independent.retain_mut(|(_, compressor)| !compressor.rests());
    }

    /// Whether there is a compressor that is given up when it is not needed.
    pub(super) fn holds_spare(&self) -> bool {
        self.taster.is_some() || !self.independent.is_empty()
    }

    /// An empty buffer, which does not keep the size of the longest message forever.
    fn clear_frame(&mut self) {
        self.frame.clear();
        self.frame.shrink_to(LONG_BYTES);
    }

    /// Whether compressing is likely to gain anything.
    fn is_worth_it(&mut self, message: Message<'_>) -> bool {
        let payload = message.payload();
        let long_enough = payload.len() >= self.deflate.threshold_bytes.max(1);
        long_enough && (payload.len() < LONG_BYTES || self.shrinks(&payload[..SAMPLE_BYTES]))
    }

    /// Whether a sample gets shorter by a tenth at least.
    fn shrinks(&mut self, sample: &[u8]) -> bool {
        self.frame.clear();
        // Level 1 would not adapt its codes to the sample.
        let make = || Compressor::new(2, self.deflate.window_bits);
        self.taster.get_or_insert_with(make).begin().deflate(sample, &mut self.frame);
        let shrinks = self.frame.len() < sample.len() * 9 / 10;
        self.frame.clear();
        shrinks
    }

    /// The message as a compressed frame that refers to none before it, if that makes it shorter.
    pub(super) fn compress(&mut self, message: Message<'_>, encoding: Encoding) -> Option<&[u8]> {
        let window_bits = encoding.window_bits(&self.deflate)?;
        self.compress_independent(message, window_bits).then_some(&self.frame)
    }

    /// The message as a frame, compressed without context if that makes it shorter.
    fn encode_independent(&mut self, message: Message<'_>, window_bits: u8) -> &[u8] {
        if !self.compress_independent(message, window_bits) {
            self.frame.clear();
            message.encode(&mut self.frame);
        }
        &self.frame
    }

    /// Makes the message a compressed frame without context, and returns whether that is shorter.
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
    fn encode_shared(&mut self, message: Message<'_>, deflater: &mut Deflater) -> &[u8] {
        self.clear_frame();
        if self.is_worth_it(message) {
            message.encode_compressed(deflater, &mut self.frame);
        } else {
            message.encode(&mut self.frame);
        }
        &self.frame
    }
}

/// The log of the shared context, whose members must see every compressed frame in order.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) log: Log,
    deflater: Deflater,
    /// How many bytes the room has sent since the context was reset.
    carried: usize,
    pub(super) used: Instant,
}

/// The logs of a room.
#[derive(Debug, Default)]
pub(super) struct Logs {
    pub(super) plain: Log,
    pub(super) shared: Option<Box<Shared>>,
    independent: Vec<(u8, Log)>,
    /// A reader of the plain log that stays behind as the slowest member of the shared one does, so
    /// that this member can go on in the plain one with the newest messages.
    keeper: Option<Cursor>,
}

impl Logs {
    /// The log of an encoding, made if there is none. The shared one is made by
    /// [`reset_context`](Self::reset_context) alone.
    #[inline]
    pub(super) fn get_mut(&mut self, encoding: Encoding) -> &mut Log {
        match encoding {
            Encoding::Independent { window_bits } => self.independent_mut(window_bits),
            Encoding::Shared if let Some(shared) = &mut self.shared => &mut shared.log,
            Encoding::Plain | Encoding::Shared => &mut self.plain,
        }
    }

    fn independent_mut(&mut self, window_bits: u8) -> &mut Log {
        let known = self.independent.iter().position(|(bits, _)| *bits == window_bits);
        let at = known.unwrap_or_else(|| {
            self.independent.push((window_bits, Log::default()));
            self.independent.len() - 1
        });
        &mut self.independent[at].1
    }

    /// The log of an encoding, if there is one.
    pub(super) fn get(&self, encoding: Encoding) -> Option<&Log> {
        match (encoding, &self.shared) {
            (Encoding::Shared, Some(shared)) => Some(&shared.log),
            (Encoding::Independent { window_bits }, _) => {
                let mut logs = self.independent.iter();
                logs.find(|(bits, _)| *bits == window_bits).map(|(_, log)| log)
            }
            (Encoding::Plain | Encoding::Shared, _) => Some(&self.plain),
        }
    }

    /// The offset after the last byte of an encoding's log.
    pub(super) fn end(&self, encoding: Encoding) -> u64 {
        self.get(encoding).map_or(0, Log::end)
    }

    /// The shared log, if there is one, and the plain one.
    pub(super) fn shared_and_plain(&mut self) -> Option<(&mut Log, &mut Log)> {
        let shared = self.shared.as_mut()?;
        Some((&mut shared.log, &mut self.plain))
    }

    /// Forgets what nobody reads: the logs of members that keep no context, and the newest messages
    /// that are kept for members that are behind.
    pub(super) fn forget_unread(&mut self, pool: &mut Pool) {
        self.independent.retain(|(_, log)| log.has_readers());
        self.forget_newest(pool);
    }

    /// Forgets the newest messages, if no member that might need them is behind in the shared log.
    pub(super) fn forget_newest(&mut self, pool: &mut Pool) {
        let Some(keeper) = &mut self.keeper else { return };
        match &self.shared {
            Some(shared) if !shared.log.is_read() => {}
            Some(shared) if shared.log.has_readers() => {
                let end = self.plain.end();
                self.plain.advance(keeper, end, pool);
            }
            _ => {
                self.plain.leave(*keeper, pool);
                self.keeper = None;
            }
        }
    }

    /// Keeps the newest messages, `max_bytes` of them or one, in the plain log, while somebody is
    /// behind in the shared one.
    pub(super) fn keep_newest(&mut self, max_bytes: usize, pool: &mut Pool) {
        self.forget_newest(pool);
        let Some(shared) = self.shared.as_ref().filter(|shared| shared.log.has_readers()) else {
            return;
        };
        let keeper = self.keeper.get_or_insert_with(|| self.plain.enter());
        if !shared.log.is_read() {
            let newest = self.plain.newest_from(keeper.offset(), self.plain.end(), max_bytes, true);
            self.plain.advance(keeper, newest, pool);
        }
    }

    fn each(&mut self) -> impl Iterator<Item = &mut Log> {
        let shared = self.shared.iter_mut().map(|shared| &mut shared.log);
        let independent = self.independent.iter_mut().map(|(_, log)| log);
        std::iter::once(&mut self.plain).chain(shared).chain(independent)
    }

    /// Notes that the members are about to be given the chance to take everything.
    pub(super) fn begin_offer(&mut self) {
        self.each().for_each(Log::begin_offer);
    }

    /// Notes that the members have been given the chance to take what there was at
    /// [`begin_offer`](Self::begin_offer).
    pub(super) fn offer(&mut self) {
        self.each().for_each(Log::offer);
    }

    /// Appends a message to every log that somebody reads, encoded once for each.
    pub(super) fn append(
        &mut self,
        message: Message<'_>,
        codecs: &mut Option<Codecs>,
        pool: &mut Pool,
        now: Instant,
    ) {
        self.plain.append(message.frame_size(), |out| message.encode(out), pool);
        let Some(codecs) = codecs else { return };
        for (window_bits, log) in &mut self.independent {
            append_frame(log, codecs.encode_independent(message, *window_bits), pool);
        }
        if let Some(shared) = &mut self.shared {
            shared.carried += message.payload().len();
            if shared.log.has_readers() {
                shared.used = now;
                let frame = codecs.encode_shared(message, &mut shared.deflater);
                append_frame(&mut shared.log, frame, pool);
            }
        }
    }

    /// Whether newcomers may have the shared context reset: it has carried about a window's worth since
    /// the last time, so that newcomers cannot keep the others' messages from being compressed well.
    pub(super) fn may_reset_context(&self, deflate: &Deflate) -> bool {
        let window = 1 << deflate.window_bits;
        self.shared.as_ref().is_none_or(|shared| shared.carried >= window)
    }

    /// Begins an epoch: nothing that is appended to the shared log after this refers to anything before
    /// it.
    pub(super) fn reset_context(&mut self, deflate: &Deflate, now: Instant) {
        match &mut self.shared {
            Some(shared) => {
                shared.deflater.reset();
                shared.carried = 0;
            }
            None => {
                let deflater = Deflater::new(deflate.level, deflate.window_bits);
                let log = Log::default();
                self.shared = Some(Box::new(Shared { log, deflater, carried: 0, used: now }));
            }
        }
    }
}

fn append_frame(log: &mut Log, frame: &[u8], pool: &mut Pool) {
    log.append(frame.len(), |out| out.extend_from_slice(frame), pool);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::noise;

    const RSV1: u8 = 0x40;

    fn is_compressed(frame: &[u8]) -> bool {
        frame[0] & RSV1 != 0
    }

    #[test]
    fn what_is_short_or_does_not_shrink_is_sent_plain_to_those_without_context() {
        let mut codecs = Codecs::new(Deflate { threshold_bytes: 10, ..Deflate::default() });
        let mut compressed =
            |payload: &[u8]| is_compressed(codecs.encode_independent(Message::Binary(payload), 15));
        assert!(!compressed(b""));
        assert!(!compressed(b"aaaaaaaaa"));
        assert!(compressed(b"aaaaaaaaaaaaaaaaaaaa"));
        assert!(!compressed(&noise(200)));
        assert!(!compressed(&noise(100_000)));
        assert!(compressed(&[b'a'; 100_000]));
        let digits: Vec<u8> = noise(100_000).iter().map(|byte| b'0' + byte % 10).collect();
        assert!(compressed(&digits), "without a repetition, but of few letters");
    }

    #[test]
    fn what_does_not_enter_the_shared_window_does_not_push_anything_out_of_it() {
        let mut codecs = Codecs::new(Deflate::default());
        let mut deflater = Deflater::new(6, 15);
        let known = noise(1_000);
        let mut encode = |payload: &[u8]| {
            let frame = codecs.encode_shared(Message::Binary(payload), &mut deflater);
            (is_compressed(frame), frame.len())
        };
        assert!(encode(&known).1 > 1_000);
        assert_eq!(encode(&noise(100_000)), (false, 100_010));
        assert!(encode(&known).1 < 50);
    }

    #[test]
    fn compressors_that_nobody_needs_are_given_up() {
        let mut codecs = Codecs::new(Deflate::default());
        assert!(!codecs.holds_spare());
        let long = [b'a'; LONG_BYTES];
        for _ in 0..3 {
            // The first takes a sample, too.
            codecs.encode_independent(Message::Binary(&long), 15);
            codecs.encode_independent(Message::Binary(&long[..100]), 9);
            (0..MAX_RESTS).for_each(|_| codecs.trim());
            assert!(codecs.taster.is_some() && codecs.independent.len() == 2);
            codecs.encode_independent(Message::Binary(&long[..100]), 9);
            codecs.trim();
            let windows: Vec<_> = codecs.independent.iter().map(|(bits, _)| *bits).collect();
            assert!(codecs.taster.is_none() && windows == [9]);
        }
        (0..MAX_RESTS).for_each(|_| codecs.trim());
        assert!(!codecs.holds_spare());
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
