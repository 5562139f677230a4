//! Random numbers that depend only on a seed.

use std::time::Duration;

/// A random number generator (`SplitMix64`), whose state is one number.
#[derive(Debug)]
pub struct Dice(u64);

/// The words of messages. Some are not ASCII, so that UTF-8 is tested too.
const WORDS: [&str; 24] = [
    "the",
    "town",
    "hall",
    "meets",
    "on",
    "Tuesday",
    "and",
    "everyone",
    "receives",
    "everyone",
    "süß",
    "naïve",
    "日本",
    "road",
    "bridge",
    "school",
    "vote",
    "against",
    "for",
    "budget",
    "🌍",
    "more",
    "less",
    "questions",
];

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Returns true with a probability of one in `count`.
    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// A time from `least` up to `most`, to the millisecond.
    pub fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let span = (most - least).as_millis() as usize + 1;
        least + Duration::from_millis(self.below(span) as u64)
    }

    /// A text of about `bytes` bytes.
    pub fn words(&mut self, bytes: usize) -> String {
        let mut text = String::with_capacity(bytes + 16);
        while text.len() < bytes {
            text.push_str(WORDS[self.below(WORDS.len())]);
            text.push(' ');
        }
        text
    }

    /// A frame's mask (RFC 6455, section 5.3).
    pub fn mask(&mut self) -> [u8; 4] {
        (self.next() as u32).to_be_bytes()
    }
}
