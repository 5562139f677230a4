//! Limits on rates.

use std::time::Duration;

use crate::config::Config;
use crate::server::time::wheel::Timestamp;

/// The maximum duration of one pause of a connection, however much it has sent.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// The longest time in seconds for which an address can be charged in advance.
const MAX_CHARGE: f32 = 10.0;

/// A leaky bucket: it fills with what is counted, and leaks at a rate. Its level is the time in seconds
/// until it is empty.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bucket(f32);

impl Bucket {
    fn leak(&mut self, seconds: f32) {
        self.0 = (self.0 - seconds).max(0.0);
    }

    /// Adds an amount that takes this many seconds to leak.
    fn fill(&mut self, seconds: f32) {
        self.0 += seconds;
    }
}

/// The rates at which one connection may send, as times in seconds.
#[derive(Debug)]
pub(crate) struct Allowance {
    /// The time for a message, and for a byte.
    message: f32,
    byte: f32,
    /// The time for what may be sent at once: a second, or the time for the longest message and its
    /// frames.
    burst: f32,
}

impl Allowance {
    pub(crate) fn new(config: &Config) -> Self {
        let byte = 1.0 / config.rates.max_bytes_per_second as f32;
        let longest = config.limits.max_message_bytes as f32 * 9.0 / 8.0 + 1024.0;
        let message = 1.0 / config.rates.max_messages_per_second as f32;
        Self { message, byte, burst: (longest * byte).max(1.0) }
    }
}

/// The rate of new connections from one address.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Arrivals {
    bucket: Bucket,
    at: Timestamp,
}

impl Arrivals {
    /// Counts one more connection if that makes at most `per_second` within a second. Returns whether it
    /// did.
    pub(crate) fn admit(&mut self, now: Timestamp, per_second: u32) -> bool {
        self.leak(now);
        let mut bucket = self.bucket;
        bucket.fill(1.0 / per_second as f32);
        // A little more, because of rounding.
        let admitted = bucket.0 <= 1.0 + 0.5 / per_second as f32;
        if admitted {
            self.bucket = bucket;
        }
        admitted
    }

    /// Counts as many connections, whether they fit or not. The address has to wait for ten seconds at most.
    pub(crate) fn charge(&mut self, count: u32, now: Timestamp, per_second: u32) {
        self.leak(now);
        self.bucket.fill(count as f32 / per_second as f32);
        self.bucket.0 = self.bucket.0.min(MAX_CHARGE);
    }

    /// Whether no connection counts any longer.
    pub(crate) fn are_over(&mut self, now: Timestamp) -> bool {
        self.leak(now);
        self.bucket.0 == 0.0
    }

    fn leak(&mut self, now: Timestamp) {
        self.bucket.leak(now.seconds_since(self.at));
        self.at = now;
    }
}

/// The result of a read. Requests count as messages, without their bytes.
#[derive(Debug, Default)]
pub(crate) struct ReadStats {
    /// The number of messages and control frames.
    pub(crate) messages: u32,
    /// The bytes of messages.
    pub(crate) bytes: usize,
    /// Whether the connection is not to be read until it is resumed.
    pub(crate) held: bool,
}

/// The rate at which one connection sends.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SendRate {
    messages: Bucket,
    bytes: Bucket,
    /// The number of bytes read so far of an incomplete message.
    uncounted: u32,
    at: Timestamp,
}

impl SendRate {
    /// Counts a read of `size` bytes, and returns how long the connection must pause if that was too
    /// much. A message counts when it is complete, with its size before or after inflation, whichever is
    /// larger.
    pub(crate) fn count(
        &mut self,
        stats: &ReadStats,
        size: usize,
        now: Timestamp,
        allowance: &Allowance,
    ) -> Option<Duration> {
        self.leak(now);
        self.uncounted = self.uncounted.saturating_add(u32::try_from(size).unwrap_or(u32::MAX));
        if stats.messages > 0 {
            let bytes = stats.bytes.max(std::mem::take(&mut self.uncounted) as usize);
            self.messages.fill(stats.messages as f32 * allowance.message);
            self.bytes.fill(bytes as f32 * allowance.byte);
        }
        let messages = self.messages.0 - 1.0;
        let bytes = self.bytes.0 - allowance.burst;
        if messages <= 0.0 && bytes <= 0.0 {
            return None;
        }
        Some(Duration::from_secs_f32(messages.max(bytes).min(MAX_PAUSE.as_secs_f32())))
    }

    /// Whether the connection has had a break: half of what may be sent at once is free. A client that
    /// keeps sending has no break, even if its socket is empty for a moment.
    pub(crate) fn is_rested(&mut self, now: Timestamp, allowance: &Allowance) -> bool {
        self.leak(now);
        self.messages.0 <= 0.5 && self.bytes.0 <= 0.5 * allowance.burst
    }

    fn leak(&mut self, now: Timestamp) {
        if now != self.at {
            let elapsed = now.seconds_since(self.at);
            self.at = now;
            self.messages.leak(elapsed);
            self.bytes.leak(elapsed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: u64) -> Timestamp {
        Timestamp::default().after(Duration::from_secs(seconds))
    }

    #[test]
    fn an_address_may_open_a_limited_number_of_connections_per_second() {
        let mut arrivals = Arrivals::default();
        let mut come = |now, count| (0..count).filter(|_| arrivals.admit(now, 100)).count();
        assert_eq!(come(Timestamp::default(), 1_000), 100);
        assert_eq!(come(after(1), 1_000), 100);
        assert_eq!((come(after(100), 40), come(after(100), 70)), (40, 60));
        assert!(!arrivals.are_over(after(100)));
        assert!(arrivals.are_over(after(101)));
    }

    #[test]
    fn a_connection_pauses_as_long_as_it_takes_to_be_within_its_rate() {
        let mut config = Config::default();
        config.rates.max_messages_per_second = 10;
        let mut rate = SendRate::default();
        let allowance = Allowance::new(&config);
        let mut count = |messages, now| {
            rate.count(&ReadStats { messages, ..ReadStats::default() }, 0, now, &allowance)
        };
        assert_eq!(count(10, Timestamp::default()), None);
        assert_eq!(count(5, Timestamp::default()).unwrap().as_secs_f32(), 0.5);
        assert_eq!(count(0, after(1)), None);
        assert_eq!(count(1_000_000, after(1)), Some(MAX_PAUSE));
    }

    #[test]
    fn a_connection_that_sends_at_its_limit_has_no_break() {
        let mut config = Config::default();
        config.rates.max_messages_per_second = 10;
        let mut rate = SendRate::default();
        let allowance = Allowance::new(&config);
        let stats = ReadStats { messages: 10, ..ReadStats::default() };
        for second in 0..60 {
            rate.count(&stats, 0, after(second), &allowance);
            assert!(!rate.is_rested(after(second), &allowance));
        }
        assert!(rate.is_rested(after(61), &allowance));
    }

    #[test]
    fn one_message_may_have_the_maximum_size() {
        let mut config = Config::default();
        config.rates.max_bytes_per_second = 1_000;
        let mut rate = SendRate::default();
        let allowance = Allowance::new(&config);
        let mut read = |messages, size| {
            rate.count(
                &ReadStats { messages, ..ReadStats::default() },
                size,
                Timestamp::default(),
                &allowance,
            )
        };
        // The message counts once, when it is complete.
        assert_eq!((read(0, 8 << 20), read(1, 8 << 20)), (None, None));
        assert_eq!((read(0, 4 << 20), read(0, 4 << 20)), (None, None));
        assert!(read(1, 10).is_some());
    }
}
