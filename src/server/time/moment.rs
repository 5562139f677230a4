//! Times that take little memory.

use std::num::NonZeroU32;
use std::time::Duration;

/// A moment to a precision of two microseconds, in microseconds since the start of the server. An
/// `Option` of it takes no extra memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(NonZeroU32);

impl Moment {
    /// The moment when this time has passed since the start.
    pub(super) fn after(since_start: Duration) -> Self {
        // The number begins again after 71 minutes, as the differences do.
        Self(NonZeroU32::MIN | since_start.as_micros() as u32)
    }

    /// The time since an earlier moment, if that is less than 71 minutes ago.
    pub(crate) fn duration_since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.get().wrapping_sub(earlier.0.get()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_right_even_when_the_number_has_begun_again() {
        let wrap = Duration::from_micros(1 << 32);
        for start in [Duration::ZERO, Duration::from_secs(1), wrap - Duration::from_millis(5)] {
            let earlier = Moment::after(start);
            assert_eq!(earlier.duration_since(earlier), Duration::ZERO);
            let later = Moment::after(start + Duration::from_millis(10));
            assert_eq!(later.duration_since(earlier), Duration::from_millis(10));
        }
        assert_eq!(size_of::<Option<Moment>>(), 4);
    }
}
