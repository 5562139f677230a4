//! What a log keeps of its past, and how much.

use std::time::Duration;

/// What a log keeps.
#[derive(Debug)]
pub(crate) struct Past {
    pub(super) limits: PastLimits,
    /// The number of segments at the beginning that every reader has passed.
    pub(super) passed: usize,
    /// The memory in bytes of these segments.
    pub(super) bytes: usize,
    /// The number of frames in all segments.
    pub(super) frames: u64,
}

/// How much of its past a log keeps. Whole segments are dropped, so a log may keep somewhat more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PastLimits {
    /// The number of frames up to which none is dropped for their number.
    pub(crate) max_frames: u64,
    /// The maximum memory in bytes.
    pub(crate) max_bytes: usize,
    /// The age at which frames are dropped.
    pub(crate) max_age: Duration,
}

impl PastLimits {
    /// The maximum time between the oldest and the newest frame of a segment, by which a frame may become
    /// older than `max_age` because of newer ones in its segment.
    pub(super) fn max_span(&self) -> Duration {
        self.max_age / 8
    }
}
