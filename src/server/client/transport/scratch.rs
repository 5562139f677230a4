//! Buffers for TLS.

use std::mem;

/// Buffers that all TLS connections share. Without any, they take no memory.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(super) received: Vec<u8>,
    pub(super) sealed: Vec<u8>,
    pub(super) gathered: Vec<u8>,
    /// Whether they have been used since [`trim`](Self::trim).
    pub(super) used: bool,
}

impl Scratch {
    /// Gives the buffers back if they have not been used since the last call.
    pub(crate) fn trim(&mut self) {
        if !mem::take(&mut self.used) {
            *self = Self::default();
        }
    }

    /// Whether there are buffers to be given back, sooner or later.
    pub(crate) fn holds_memory(&self) -> bool {
        !(self.received.is_empty() && self.sealed.is_empty())
    }
}
