//! How long the turns of the event loop took.

use std::time::Duration;

const fn microseconds(count: u64) -> Duration {
    Duration::from_micros(count)
}

/// The longest turn of each range but the last.
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

/// How long the turns of the event loop took, without the time that it waited for events: a histogram.
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
pub struct TurnTimes {
    ranges: [u64; BOUNDS.len() + 1],
    total: Duration,
}

impl TurnTimes {
    pub(crate) fn add(&mut self, time: Duration) {
        let range = BOUNDS.iter().position(|bound| time <= *bound).unwrap_or(BOUNDS.len());
        self.ranges[range] += 1;
        self.total += time;
    }

    /// The sum of all turns.
    pub fn total(&self) -> Duration {
        self.total
    }

    /// The number of turns in each range, with the longest time of that range. The last range has no end.
    pub fn ranges(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let bounds = BOUNDS.into_iter().map(Some).chain([None]);
        bounds.zip(self.ranges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_counts_in_the_range_that_it_fits_into() {
        let mut turns = TurnTimes::default();
        let times = [50, 51, 100, 1_000_000, 1_000_001, 10_000_000];
        times.into_iter().for_each(|time| turns.add(microseconds(time)));
        let ranges: Vec<_> = turns.ranges().filter(|(_, count)| *count > 0).collect();
        let bound = |time| Some(microseconds(time));
        let expected = [(bound(50), 1), (bound(100), 2), (bound(1_000_000), 1), (None, 2)];
        assert_eq!(ranges, expected);
        assert_eq!(turns.total(), microseconds(12_000_202));
    }
}
