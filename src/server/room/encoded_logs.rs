//! A room's logs: one for every wire encoding that its members need.

use std::time::Instant;

use crate::protocol::{Deflate, Deflater, Message};
use crate::server::counts::Compression;
use crate::server::room::compressor::{Compressors, Encoding};
use crate::server::room::frame_log::past::PastLimits;
use crate::server::room::frame_log::{Cursor, FrameLog};
use crate::server::room::segment_pool::SegmentPool;

/// The log of the shared context, whose members must receive every compressed frame in order.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) log: FrameLog,
    deflater: Deflater,
    /// The number of bytes that the room has sent since the context was reset.
    carried: usize,
    pub(crate) used: Instant,
}

/// The logs of a room.
#[derive(Debug, Default)]
pub(crate) struct EncodedLogs {
    pub(crate) plain: FrameLog,
    pub(crate) shared: Option<Box<Shared>>,
    independent: Vec<(u8, FrameLog)>,
    /// A reader of the plain log that keeps the newest messages there while a member of the shared log
    /// is behind, so that this member can continue in the plain log.
    keeper: Option<Cursor>,
}

impl EncodedLogs {
    /// Logs of which the plain one keeps its past.
    pub(crate) fn with_past(limits: PastLimits) -> Self {
        Self { plain: FrameLog::with_past(limits), ..Self::default() }
    }

    /// The log of an encoding, which is created if there is none. Only
    /// [`reset_context`](Self::reset_context) creates the shared one.
    #[inline]
    pub(crate) fn get_mut(&mut self, encoding: Encoding) -> &mut FrameLog {
        match encoding {
            Encoding::Independent { window_bits } => self.independent_mut(window_bits),
            Encoding::Shared if let Some(shared) = &mut self.shared => &mut shared.log,
            Encoding::Plain | Encoding::Shared => &mut self.plain,
        }
    }

    fn independent_mut(&mut self, window_bits: u8) -> &mut FrameLog {
        let known = self.independent.iter().position(|(bits, _)| *bits == window_bits);
        let at = known.unwrap_or_else(|| {
            self.independent.push((window_bits, FrameLog::default()));
            self.independent.len() - 1
        });
        &mut self.independent[at].1
    }

    /// The log of an encoding, if there is one.
    pub(crate) fn get(&self, encoding: Encoding) -> Option<&FrameLog> {
        match (encoding, &self.shared) {
            (Encoding::Shared, Some(shared)) => Some(&shared.log),
            (Encoding::Independent { window_bits }, _) => {
                let mut logs = self.independent.iter();
                logs.find(|(bits, _)| *bits == window_bits).map(|(_, log)| log)
            }
            (Encoding::Plain | Encoding::Shared, _) => Some(&self.plain),
        }
    }

    /// Whether everything has been written to all members.
    pub(crate) fn are_read(&self) -> bool {
        let mut independent = self.independent.iter().map(|(_, log)| log);
        self.plain.is_read()
            && self.shared.as_ref().is_none_or(|shared| shared.log.is_read())
            && independent.all(FrameLog::is_read)
    }

    /// The shared log, if there is one, and the plain one.
    pub(crate) fn shared_and_plain(&mut self) -> Option<(&mut FrameLog, &mut FrameLog)> {
        let shared = self.shared.as_mut()?;
        Some((&mut shared.log, &mut self.plain))
    }

    /// Drops what no member reads: the logs of members that keep no context, and the newest messages
    /// that are kept for members that are behind.
    pub(crate) fn forget_unread(&mut self, pool: &mut SegmentPool) {
        self.independent.retain(|(_, log)| log.has_readers());
        self.forget_newest(pool);
    }

    /// Drops the newest messages, if no member that might need them is behind in the shared log.
    pub(crate) fn forget_newest(&mut self, pool: &mut SegmentPool) {
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

    /// Keeps the newest messages in the plain log, up to `max_bytes` or one message, while a member is
    /// behind in the shared one.
    pub(crate) fn keep_newest(&mut self, max_bytes: usize, pool: &mut SegmentPool) {
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

    fn each(&mut self) -> impl Iterator<Item = &mut FrameLog> {
        let shared = self.shared.iter_mut().map(|shared| &mut shared.log);
        let independent = self.independent.iter_mut().map(|(_, log)| log);
        std::iter::once(&mut self.plain).chain(shared).chain(independent)
    }

    /// Notes the start of a flush, which will offer everything to the members.
    pub(crate) fn begin_offer(&mut self) {
        self.each().for_each(FrameLog::begin_offer);
    }

    /// Notes that everything up to the last [`begin_offer`](Self::begin_offer) has been offered to the
    /// members.
    pub(crate) fn offer(&mut self) {
        self.each().for_each(FrameLog::offer);
    }

    /// Appends a message to every log of compressed frames that has readers, encoded once for each.
    /// Returns the effect of compression.
    pub(crate) fn append_compressed(
        &mut self,
        message: Message<'_>,
        compressors: &mut Option<Compressors>,
        pool: &mut SegmentPool,
        now: Instant,
    ) -> Compression {
        let size = message.frame_size();
        let mut compression = Compression::default();
        let Some(compressors) = compressors else { return compression };
        for (window_bits, log) in &mut self.independent {
            let frame = compressors.encode_independent(message, *window_bits);
            compression.add(size, frame.len(), log.readers());
            append_frame(log, frame, pool);
        }
        if let Some(shared) = &mut self.shared {
            shared.carried += message.payload().len();
            if shared.log.has_readers() {
                shared.used = now;
                let frame = compressors.encode_shared(message, &mut shared.deflater);
                compression.add(size, frame.len(), shared.log.readers());
                append_frame(&mut shared.log, frame, pool);
            }
        }
        compression
    }

    /// Whether the shared context may be reset for new members: the room has sent about a window's worth
    /// since the last reset. Otherwise, frequent arrivals would spoil the compression for everyone.
    pub(crate) fn may_reset_context(&self, deflate: &Deflate) -> bool {
        let window = 1 << deflate.window_bits;
        self.shared.as_ref().is_none_or(|shared| shared.carried >= window)
    }

    /// Begins an epoch: no later frame of the shared log refers to an earlier one.
    pub(crate) fn reset_context(&mut self, deflate: &Deflate, now: Instant) {
        match &mut self.shared {
            Some(shared) => {
                shared.deflater.reset();
                shared.carried = 0;
            }
            None => {
                let deflater = Deflater::new(deflate.level, deflate.window_bits);
                let log = FrameLog::default();
                self.shared = Some(Box::new(Shared { log, deflater, carried: 0, used: now }));
            }
        }
    }
}

fn append_frame(log: &mut FrameLog, frame: &[u8], pool: &mut SegmentPool) {
    log.append(frame.len(), |out| out.extend_from_slice(frame), pool);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARED: Encoding = Encoding::Shared;
    const INDEPENDENT: Encoding = Encoding::Independent { window_bits: 9 };

    /// Logs with a shared one.
    fn logs() -> EncodedLogs {
        let mut logs = EncodedLogs::default();
        logs.reset_context(&Deflate::default(), Instant::now());
        logs
    }

    /// Appends 100 bytes.
    fn append(log: &mut FrameLog, pool: &mut SegmentPool) {
        append_frame(log, &[0; 100], pool);
    }

    #[test]
    fn a_rooms_logs_are_read_when_each_of_them_is() {
        let (mut logs, mut pool) = (logs(), SegmentPool::default());
        for encoding in [Encoding::Plain, SHARED, INDEPENDENT] {
            let log = logs.get_mut(encoding);
            let mut cursor = log.enter();
            append(log, &mut pool);
            assert!(!logs.are_read(), "{encoding:?}");
            let log = logs.get_mut(encoding);
            log.advance(&mut cursor, log.end(), &mut pool);
            assert!(logs.are_read());
        }
    }

    #[test]
    fn what_was_there_before_an_offer_is_offered_in_each_log() {
        let (mut logs, mut pool) = (logs(), SegmentPool::default());
        let encodings = [Encoding::Plain, SHARED, INDEPENDENT];
        encodings.iter().for_each(|&encoding| _ = logs.get_mut(encoding).enter());
        let append_to_all = |logs: &mut EncodedLogs, pool: &mut SegmentPool| {
            encodings.iter().for_each(|&encoding| append(logs.get_mut(encoding), pool));
        };
        append_to_all(&mut logs, &mut pool);
        logs.begin_offer();
        append_to_all(&mut logs, &mut pool);
        assert_eq!(encodings.map(|encoding| logs.get_mut(encoding).offered()), [0; 3]);
        logs.offer();
        assert_eq!(encodings.map(|encoding| logs.get_mut(encoding).offered()), [100; 3]);
    }

    #[test]
    fn the_effect_of_compression_counts_for_each_member() {
        let mut compressors = Some(Compressors::new(Deflate::default()));
        let (mut logs, mut pool) = (logs(), SegmentPool::default());
        (0..2).for_each(|_| _ = logs.get_mut(SHARED).enter());
        (0..3).for_each(|_| _ = logs.get_mut(INDEPENDENT).enter());
        let message = Message::Binary(&[b'a'; 1_000]);
        let effect = logs.append_compressed(message, &mut compressors, &mut pool, Instant::now());
        let [shared, independent] =
            [SHARED, INDEPENDENT].map(|encoding| logs.get_mut(encoding).end());
        assert_eq!(effect.plain_bytes, 5 * message.frame_size() as u64);
        assert_eq!(effect.sent_bytes, 2 * shared + 3 * independent);
    }

    #[test]
    fn a_context_is_reset_at_most_once_for_each_window_of_data() {
        let deflate = Deflate { window_bits: 9, ..Deflate::default() };
        let mut compressors = Some(Compressors::new(deflate.clone()));
        let (mut logs, mut pool) = (EncodedLogs::default(), SegmentPool::default());
        assert!(logs.may_reset_context(&deflate));
        for _ in 0..2 {
            logs.reset_context(&deflate, Instant::now());
            for (size, may) in [(0, false), (500, false), (11, false), (1, true)] {
                let message = Message::Binary(&[0; 500][..size]);
                logs.append_compressed(message, &mut compressors, &mut pool, Instant::now());
                assert_eq!(logs.may_reset_context(&deflate), may);
            }
        }
    }

    #[test]
    fn the_newest_messages_are_kept_while_a_member_is_behind_in_the_shared_log() {
        let (mut logs, mut pool) = (logs(), SegmentPool::default());
        logs.keep_newest(250, &mut pool);
        assert_eq!(logs.keeper, None, "nobody reads the shared log");
        let mut member = logs.get_mut(SHARED).enter();
        for end in [500, 1_000] {
            logs.keep_newest(250, &mut pool);
            let (shared, plain) = logs.shared_and_plain().unwrap();
            for log in [shared, plain] {
                (0..5).for_each(|_| append(log, &mut pool));
            }
            logs.keep_newest(250, &mut pool);
            assert_eq!(logs.keeper.unwrap().offset(), end - 200);
            logs.get_mut(SHARED).advance(&mut member, end, &mut pool);
            logs.forget_newest(&mut pool);
            assert_eq!((logs.keeper.unwrap().offset(), pool.held()), (end, 0));
        }
    }

    #[test]
    fn nothing_is_kept_for_members_that_have_left() {
        let (mut logs, mut pool) = (logs(), SegmentPool::default());
        let members = [SHARED, INDEPENDENT].map(|encoding| logs.get_mut(encoding).enter());
        logs.keep_newest(250, &mut pool);
        append(&mut logs.plain, &mut pool);
        logs.forget_unread(&mut pool);
        assert!(logs.keeper.is_some() && logs.get(INDEPENDENT).is_some());
        for (encoding, member) in [SHARED, INDEPENDENT].into_iter().zip(members) {
            logs.get_mut(encoding).leave(member, &mut pool);
        }
        logs.forget_unread(&mut pool);
        assert!(logs.keeper.is_none() && logs.get(INDEPENDENT).is_none());
        assert!(!logs.plain.has_readers() && pool.held() == 0);
    }
}
