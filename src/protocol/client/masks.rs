//! Masking keys (RFC 6455, sections 5.3 and 10.3).

use std::fmt;

/// The number of bytes that are taken from the system at once, so that a key costs no system call of its
/// own.
const BATCH_BYTES: usize = 256;

/// Fills a buffer with random bytes.
type Source = fn(&mut [u8]) -> Result<(), getrandom::Error>;

/// Random bytes from the system: "The masking key needs to be unpredictable".
pub(super) struct Masks {
    source: Source,
    bytes: [u8; BATCH_BYTES],
    used: usize,
}

impl Masks {
    pub(super) fn new() -> Self {
        Self::from_source(getrandom::fill)
    }

    fn from_source(source: Source) -> Self {
        Self { source, bytes: [0; BATCH_BYTES], used: BATCH_BYTES }
    }

    /// Those of a system that has none.
    #[cfg(test)]
    pub(super) fn without_randomness() -> Self {
        Self::from_source(|_| Err(getrandom::Error::UNSUPPORTED))
    }

    /// The next random bytes, which are used once. `N` divides the size of a batch.
    ///
    /// # Errors
    /// The system has none.
    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], NoRandomness> {
        if self.used == BATCH_BYTES {
            (self.source)(&mut self.bytes).map_err(|_| NoRandomness)?;
            self.used = 0;
        }
        let bytes = self.bytes[self.used..].first_chunk().ok_or(NoRandomness)?;
        self.used += N;
        Ok(*bytes)
    }
}

/// Shows no key.
impl fmt::Debug for Masks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Masks")
    }
}

/// The system has no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct NoRandomness;

impl fmt::Display for NoRandomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the system has no random bytes")
    }
}

impl std::error::Error for NoRandomness {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_key_is_used_once() {
        let mut masks = Masks::new();
        masks.take::<16>().unwrap();
        let keys: BTreeSet<[u8; 4]> = (0..1_000).map(|_| masks.take().unwrap()).collect();
        assert!(keys.len() > 990, "{}", keys.len());
    }

    #[test]
    fn the_bytes_of_a_batch_are_used_in_order_and_then_replaced() {
        let mut masks = Masks::from_source(|bytes| {
            let next = bytes[0].wrapping_add(1);
            bytes.fill(next);
            Ok(())
        });
        let keys: Vec<[u8; 4]> = (0..BATCH_BYTES / 4 + 1).map(|_| masks.take().unwrap()).collect();
        assert_eq!(
            (keys[0], keys[BATCH_BYTES / 4 - 1], keys[BATCH_BYTES / 4]),
            ([1; 4], [1; 4], [2; 4])
        );
    }

    #[test]
    fn without_randomness_there_is_no_key() {
        let mut masks = Masks::without_randomness();
        assert_eq!(masks.take::<4>(), Err(NoRandomness));
        assert_eq!(format!("{masks:?}"), "Masks");
    }
}
