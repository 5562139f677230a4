//! Limits that are counted by address, by connection and over all clients.

pub(crate) mod address;
pub(crate) mod log_rate;
pub(crate) mod rate;
pub(crate) mod total;
pub(crate) mod windows;
