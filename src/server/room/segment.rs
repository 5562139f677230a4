//! Memory for frames of a log, with the offsets at which they begin.

/// The size of a segment in bytes. A busy room fills and frees segments all the time, so two of them
/// should fit into a core's cache.
pub(crate) const SEGMENT_BYTES: usize = 64 << 10;

/// The number of entries that the index first grows by. After that, it doubles.
const MIN_INDEX_GROWTH: usize = 512;

/// Complete frames, one after another. A frame that is longer than [`SEGMENT_BYTES`] is alone.
#[derive(Debug)]
pub(crate) struct SegmentBuffer {
    bytes: Vec<u8>,
    /// The offset of each frame. Two bytes are enough, because nothing follows a longer frame.
    starts: Vec<u16>,
}

impl SegmentBuffer {
    /// An empty buffer for `size` bytes, which are never moved.
    pub(crate) fn with_capacity(size: usize) -> Self {
        Self { bytes: Vec::with_capacity(size), starts: Vec::new() }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The number of frames.
    pub(crate) fn count(&self) -> usize {
        self.starts.len()
    }

    /// The number of frames that begin before the byte at `offset`.
    pub(crate) fn count_before(&self, offset: u64) -> usize {
        self.starts.partition_point(|&start| u64::from(start) < offset)
    }

    /// The offset of a frame in [`bytes`](Self::bytes); their end for the frame after the last one.
    pub(crate) fn start_of(&self, index: usize) -> usize {
        self.starts.get(index).map_or(self.bytes.len(), |&start| start.into())
    }

    /// Whether one more frame of `size` bytes fits. The first one always does, because the buffer was
    /// made for it.
    pub(crate) fn fits(&self, size: usize) -> bool {
        let capacity = self.bytes.capacity().min(SEGMENT_BYTES);
        self.bytes.len() + size <= capacity || self.bytes.is_empty()
    }

    /// Appends one frame, which `encode` writes to the end of the buffer.
    pub(crate) fn push(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        debug_assert!(self.bytes.len() < SEGMENT_BYTES, "the start fits into two bytes");
        self.starts.push(self.bytes.len() as u16);
        encode(&mut self.bytes);
    }

    /// Whether the next frame makes the index grow.
    pub(crate) fn is_index_full(&self) -> bool {
        self.starts.len() == self.starts.capacity()
    }

    pub(crate) fn grow_index(&mut self) {
        self.starts.reserve(MIN_INDEX_GROWTH);
    }

    /// The number of bytes of frames that the buffer can hold.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// The memory in bytes for the frames and for the index.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.capacity() + self.starts.capacity() * size_of::<u16>()
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.starts.clear();
    }
}
