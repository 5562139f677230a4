//! A histogram of durations.

use std::time::Duration;

const fn microseconds(count: u64) -> Duration {
    Duration::from_micros(count)
}

/// The longest duration of each range but the last.
const BOUNDS: [Duration; 13] = [
    microseconds(50),
    microseconds(100),
    microseconds(250),
    microseconds(500),
    microseconds(1_000),
    microseconds(2_500),
    microseconds(5_000),
    microseconds(10_000),
    microseconds(25_000),
    microseconds(50_000),
    microseconds(100_000),
    microseconds(250_000),
    microseconds(1_000_000),
];

/// A histogram of durations, such as those of the turns of the event loop.
///
/// ```
/// use std::time::Duration;
/// use townhall::Counts;
///
/// /// The share of the time between two calls that the event loop was busy.
/// fn busy(before: &Counts, now: &Counts, between: Duration) -> f64 {
///     let worked = now.turns.total().saturating_sub(before.turns.total());
///     worked.as_secs_f64() / between.as_secs_f64()
/// }
/// # assert_eq!(busy(&Counts::default(), &Counts::default(), Duration::from_secs(1)), 0.0);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DurationHistogram {
    ranges: [u64; BOUNDS.len() + 1],
    total_nanoseconds: u64,
}

impl DurationHistogram {
    /// Adds the same duration `count` times.
    pub(crate) fn add(&mut self, time: Duration, count: u32) {
        let range = BOUNDS.iter().position(|bound| time <= *bound).unwrap_or(BOUNDS.len());
        self.ranges[range] += u64::from(count);
        self.total_nanoseconds += time.as_nanos() as u64 * u64::from(count);
    }

    /// The sum of all durations.
    pub fn total(&self) -> Duration {
        Duration::from_nanos(self.total_nanoseconds)
    }

    /// The number of durations in each range, with the longest duration of that range. The last range has
    /// no end.
    pub fn ranges(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let bounds = BOUNDS.into_iter().map(Some).chain([None]);
        bounds.zip(self.ranges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_the_range_that_it_fits_into() {
        let mut times = DurationHistogram::default();
        let added = [(50, 1), (51, 0), (51, 1), (100, 2), (1_000_000, 1), (1_000_001, 2)];
        added.into_iter().for_each(|(time, count)| times.add(microseconds(time), count));
        let ranges: Vec<_> = times.ranges().filter(|(_, count)| *count > 0).collect();
        let bound = |time| Some(microseconds(time));
        let expected = [(bound(50), 1), (bound(100), 3), (bound(1_000_000), 1), (None, 2)];
        assert_eq!(ranges, expected);
        assert_eq!(times.total(), microseconds(3_000_303));
    }
}
