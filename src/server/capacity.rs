//! When collections give back memory that they needed when there was more to do.

/// The capacity up to which giving memory back is not worth it.
pub(crate) const MIN_CAPACITY: usize = 256;

/// Whether a collection has places for many more than are in it. They are given back at a quarter,
/// so that one that shrinks and grows is not moved all the time.
pub(crate) fn is_loose(capacity: usize, taken: usize) -> bool {
    capacity > MIN_CAPACITY && capacity / 4 > taken
}

/// How many places a loose collection keeps. A map makes up to 2.3 times as many of it.
pub(crate) fn capacity_to_keep(taken: usize) -> usize {
    (MIN_CAPACITY / 2).max(taken + taken / 2)
}

/// Gives back what a queue grew by in a turn with much to do.
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
