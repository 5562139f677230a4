//! How many messages are published in a room per second.

use crate::server::time::wheel::{GRAIN, Timestamp};

/// The number of grains of a period, and its length in seconds.
const PERIOD_GRAINS: u32 = 100;
const PERIOD_SECONDS: f64 = GRAIN.as_millis() as f64 * PERIOD_GRAINS as f64 / 1_000.0;

/// Counts messages in periods of ten seconds: those of the current period, and those of the one before.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct MessageRate {
    period: u32,
    current: u32,
    previous: u32,
}

impl MessageRate {
    pub(super) fn add(&mut self, now: Timestamp) {
        let (period, _) = now.divide(PERIOD_GRAINS);
        if period != self.period {
            *self = self.at(period);
        }
        self.current = self.current.saturating_add(1);
    }

    /// The average over the last ten seconds, as if the messages of the previous period had been spread
    /// evenly over it.
    pub(super) fn per_second(self, now: Timestamp) -> f64 {
        let (period, passed) = now.divide(PERIOD_GRAINS);
        let Self { current, previous, .. } = self.at(period);
        let rest = f64::from(PERIOD_GRAINS - passed) / f64::from(PERIOD_GRAINS);
        (f64::from(current) + f64::from(previous) * rest) / PERIOD_SECONDS
    }

    /// The counts as they are in a later period.
    fn at(self, period: u32) -> Self {
        match period - self.period {
            0 => self,
            1 => Self { period, current: 0, previous: self.current },
            _ => Self { period, ..Self::default() },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The moment this many grains after the start of a period.
    fn at(grains: u32) -> Timestamp {
        let first = Timestamp::default().after(Duration::ZERO);
        let (_, begun) = first.divide(PERIOD_GRAINS);
        Timestamp::default().after(GRAIN * (PERIOD_GRAINS - begun + grains))
    }

    #[test]
    fn it_is_the_average_over_ten_seconds() {
        let mut rate = MessageRate::default();
        assert_eq!(rate.per_second(at(0)), 0.0);
        (0..50).for_each(|grains| rate.add(at(grains)));
        assert_eq!(rate.per_second(at(50)), 5.0);
        assert_eq!(rate.per_second(at(99)), 5.0, "the rest of the period was silent");
        assert_eq!(rate.per_second(at(100)), 5.0);
        assert_eq!(rate.per_second(at(150)), 2.5);
        (150..200).for_each(|grains| rate.add(at(grains)));
        assert_eq!(rate.per_second(at(200)), 5.0);
        assert_eq!(rate.per_second(at(300)), 0.0);
        assert_eq!(rate.per_second(at(1_000_000)), 0.0);
        (0..10).for_each(|_| rate.add(at(1_000_000)));
        assert_eq!(rate.per_second(at(1_000_000)), 1.0, "after a long silence");
    }
}
