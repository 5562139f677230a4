//! Counts of what has happened so far.

use std::collections::BTreeMap;
use std::fmt;

/// How often things have happened since the server's start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Connections that were accepted.
    pub accepted: u64,
    /// Accepted connections that were dropped at once, without an answer.
    pub dropped: u64,
    /// Upgrades to WebSocket.
    pub opened: u64,
    /// Requests that the server refused, by the status of the answer.
    pub refused: BTreeMap<u16, u64>,
    /// Departures, by the name of their cause ([`Cause::name`](crate::Cause::name)).
    pub departed: BTreeMap<&'static str, u64>,
    /// How often a connection was not read for a while because it sent too much.
    pub throttled: u64,
    /// How often a room began to wait for a member that was too far behind.
    pub paused: u64,
    /// Messages that a member missed because it was too far behind.
    pub skipped: u64,
    /// Upgrades of clients that may keep no compression context, because the windows of other clients
    /// take all the memory that is allowed for windows.
    pub contextless: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} accepted, {} dropped, {} opened", self.accepted, self.dropped, self.opened)?;
        for (status, count) in &self.refused {
            write!(f, ", {count} refused with {status}")?;
        }
        for (cause, count) in &self.departed {
            write!(f, ", {count} left ({cause})")?;
        }
        write!(
            f,
            ", {} throttled, {} paused, {} messages skipped, {} without compression context",
            self.throttled, self.paused, self.skipped, self.contextless
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_fit_into_a_line_of_the_log() {
        let mut counts = Counts { accepted: 3, opened: 2, ..Counts::default() };
        counts.refused.insert(429, 1);
        counts.departed.insert("peer", 2);
        let line = "3 accepted, 0 dropped, 2 opened, 1 refused with 429, 2 left (peer), 0 throttled, \
            0 paused, 0 messages skipped, 0 without compression context";
        assert_eq!(counts.to_string(), line);
    }
}
