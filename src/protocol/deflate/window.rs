//! The window of an inflater between two messages.

use std::collections::VecDeque;

use super::config::MAX_WINDOW_BITS;

/// The LZ77 sliding window of a peer that keeps its context (RFC 7692, section 7.1.1): the end of the
/// data that it has sent compressed.
///
/// Between two messages, no other state of an inflater is needed.
#[derive(Debug, Default)]
pub struct SlidingWindow {
    /// The maximum number of bytes, a power of two.
    size: usize,
    bytes: VecDeque<u8>,
}

impl SlidingWindow {
    /// An empty window of `bits`, 8 to 15. It takes no memory before the first message.
    pub fn new(bits: u8) -> Self {
        Self { size: 1 << bits.min(MAX_WINDOW_BITS), bytes: VecDeque::new() }
    }

    /// The largest window, filled.
    pub(super) fn of_zeros() -> Self {
        let size = 1 << MAX_WINDOW_BITS;
        Self { size, bytes: vec![0; size].into() }
    }

    /// The bytes, in two pieces.
    pub(super) fn as_slices(&self) -> (&[u8], &[u8]) {
        self.bytes.as_slices()
    }

    /// Whether the window takes no more memory than its size.
    #[cfg(test)]
    pub(super) fn is_within_its_size(&self) -> bool {
        self.bytes.capacity() <= self.size
    }

    /// Appends a message to the window. The memory grows by doubling, so that short messages do not
    /// reallocate it each time, but never beyond the window.
    pub(super) fn slide(&mut self, message: &[u8]) {
        let last = &message[message.len().saturating_sub(self.size)..];
        let over = (self.bytes.len() + last.len()).saturating_sub(self.size);
        self.bytes.drain(..over);
        let length = self.bytes.len() + last.len();
        if length > self.bytes.capacity() {
            self.bytes.reserve_exact(length.next_power_of_two() - self.bytes.len());
        }
        self.bytes.extend(last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_takes_at_most_its_contents_rounded_up_and_at_most_its_size() {
        for (length, times, most) in
            [(100, 1, 128), (20, 10, 256), (20, 1_000, 4_096), (100_000, 1, 4_096), (0, 5, 0)]
        {
            let mut window = SlidingWindow::new(12);
            (0..times).for_each(|_| window.slide(&vec![b'a'; length]));
            assert_eq!(window.bytes.capacity(), most, "{times} messages of {length} bytes");
        }
    }
}
