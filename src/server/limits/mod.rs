//! Limits that are counted by address, by connection and over all clients.

pub(crate) mod address;
pub(crate) mod log_rate;
pub(crate) mod rate;
pub(crate) mod total;
pub(crate) mod windows;

use crate::config::Config;
use crate::server::limits::address::Addresses;
use crate::server::limits::rate::Allowance;
use crate::server::limits::windows::Windows;

/// The counts of all limits that are not counted in a room or in one client.
#[derive(Debug)]
pub(crate) struct Usage {
    pub(crate) addresses: Addresses,
    /// The rates at which one connection may send.
    pub(crate) allowance: Allowance,
    /// The memory that is reserved for clients that keep their compression context.
    pub(crate) windows: Windows,
}

impl Usage {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            addresses: Addresses::default(),
            allowance: Allowance::new(config),
            windows: Windows::new(config.memory.max_deflate_context_bytes),
        }
    }
}
