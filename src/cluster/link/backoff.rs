//! How long to wait before another attempt.

use std::hash::{BuildHasher, RandomState};
use std::thread;
use std::time::Duration;

/// The first wait.
const MIN: Duration = Duration::from_millis(20);

/// The longest wait.
pub const MAX: Duration = Duration::from_secs(1);

/// Waits longer each time, and not as long as another process.
#[derive(Debug, Default)]
pub struct Backoff {
    attempts: u32,
    random: RandomState,
}

impl Backoff {
    /// Waits before another attempt.
    pub fn wait(&mut self) {
        let longest = MIN.saturating_mul(1 << self.attempts.min(10)).min(MAX);
        self.attempts += 1;
        let random = self.random.hash_one(self.attempts) as f64 / u64::MAX as f64;
        thread::sleep(longest.mul_f64(0.5 + random / 2.0));
    }

    /// Notes that an attempt has succeeded.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}
