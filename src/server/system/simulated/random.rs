//! Random numbers from a seed.

use std::hash::{BuildHasher, DefaultHasher, Hasher};
use std::ops::Range;

use super::state;

/// A generator (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(crate) fn within(&mut self, range: Range<usize>) -> usize {
        range.start + self.below(range.len())
    }

    /// Whether something happens that does so this many times in a thousand.
    pub(crate) fn happens(&mut self, per_mille: u32) -> bool {
        per_mille > 0 && self.below(1_000) < per_mille as usize
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// Keys of hashes: the system's, or those of the seed.
#[derive(Debug, Clone)]
pub(crate) enum RandomState {
    System(std::hash::RandomState),
    Simulated(u64),
}

impl RandomState {
    pub(crate) fn new() -> Self {
        if state::is_installed() {
            Self::Simulated(state::with(|kernel| kernel.random.next()))
        } else {
            Self::System(std::hash::RandomState::new())
        }
    }

    pub(super) fn hasher(&self) -> DefaultHasher {
        match self {
            Self::System(state) => state.build_hasher(),
            Self::Simulated(key) => {
                let mut hasher = DefaultHasher::new();
                hasher.write_u64(*key);
                hasher
            }
        }
    }
}
