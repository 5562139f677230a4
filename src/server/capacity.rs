//! When collections give back the memory that they needed under a higher load.

/// The capacity up to which it is not worth giving memory back.
pub(crate) const MIN_CAPACITY: usize = 256;

/// Whether less than a quarter of a collection's capacity is in use. The margin is large, so that a
/// collection that shrinks and grows is not moved all the time.
pub(crate) fn is_loose(capacity: usize, taken: usize) -> bool {
    capacity > MIN_CAPACITY && capacity / 4 > taken
}

/// The capacity that a loose collection keeps. A map makes up to 2.3 times as much of it.
pub(crate) fn capacity_to_keep(taken: usize) -> usize {
    (MIN_CAPACITY / 2).max(taken + taken / 2)
}

/// Gives back the memory by which a queue grew in a busy turn.
pub(crate) fn trim_queue<T>(queue: &mut Vec<T>) {
    if is_loose(queue.capacity(), queue.len()) {
        queue.shrink_to(MIN_CAPACITY);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn what_is_given_back_to_is_not_loose() {
        for taken in 0..10_000 {
            let map: HashSet<u8> = HashSet::with_capacity(capacity_to_keep(taken));
            assert!(!is_loose(map.capacity(), taken), "{taken}");
        }
    }

    #[test]
    fn a_collection_is_moved_only_when_it_holds_a_quarter_or_less() {
        assert!(is_loose(4_000, 999) && !is_loose(4_000, 1_000));
        assert!(!is_loose(MIN_CAPACITY, 0), "there is nothing to gain");
    }
}
