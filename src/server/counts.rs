//! Counts of events since the start of the server.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

use crate::protocol::{ProxyRefusal, Refusal};
use crate::server::departure::CauseKind;
use crate::server::duration_histogram::DurationHistogram;
use crate::server::tls_counts::TlsCounts;

/// Counts of events since the start of the server. Their text fits in a log line.
///
/// ```
/// use townhall::{CauseKind, Counts, Refusal};
///
/// /// Whether the server seems to be under attack.
/// fn is_under_siege(before: &Counts, now: &Counts) -> bool {
///     let refused = |counts: &Counts| -> u64 {
///         let reasons = [Refusal::TooManyFromAddress, Refusal::Full];
///         reasons.iter().filter_map(|reason| counts.refused.get(reason)).sum()
///     };
///     let violations = |counts: &Counts| {
///         counts.departed.get(&CauseKind::Violation).copied().unwrap_or_default()
///     };
///     refused(now) - refused(before) + violations(now) - violations(before) > 100
/// }
/// # let counts = Counts::default();
/// # assert!(!is_under_siege(&counts, &counts));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Accepted connections.
    pub accepted: u64,
    /// Accepted connections that were dropped at once, without a response.
    pub dropped: u64,
    /// Upgrades to WebSocket.
    pub opened: u64,
    /// Refused requests, by reason.
    pub refused: BTreeMap<Refusal, u64>,
    /// What the application has refused, by its own reasons
    /// ([`Hub::count_refusal`](crate::Hub::count_refusal)).
    pub refused_by_application: BTreeMap<&'static str, u64>,
    /// Connections that were dropped because they did not begin with the PROXY header of a trusted proxy
    /// ([`Listen::proxy_protocol`](crate::Listen::proxy_protocol)), by reason.
    pub refused_headers: BTreeMap<ProxyRefusal, u64>,
    /// Departures, by the kind of their cause ([`Cause::kind`](crate::Cause::kind)).
    pub departed: BTreeMap<CauseKind, u64>,
    /// How often a connection was not read for a while because it sent too much.
    pub throttled: u64,
    /// How often a room began to wait for a member that was too far behind.
    pub paused: u64,
    /// Messages that members missed because they were too far behind.
    pub skipped: u64,
    /// Clients that entered a room with history and named a position, and received everything since.
    pub recovered: u64,
    /// Clients that entered a room with history and named a position, and could not receive everything since.
    pub unrecovered: u64,
    /// Upgrades of clients that had to give up their compression context, because the windows of other
    /// clients took all the memory that is allowed for windows.
    pub contextless: u64,
    /// Messages that clients sent.
    pub received: u64,
    /// Bytes that were read from connections.
    pub read_bytes: u64,
    /// Messages that were queued for a client. One that is published to a room counts once for each of its
    /// members.
    pub deliveries: u64,
    /// How often something was written to a connection. One write can carry many messages.
    pub writes: u64,
    /// Bytes that were written to connections.
    pub written_bytes: u64,
    /// The effect of compression.
    pub compression: Compression,
    /// TLS handshakes and certificates.
    pub tls: TlsCounts,
    /// How long the turns of the event loop took, without the time that it waited for events.
    pub turns: DurationHistogram,
    /// How long messages waited, from when the server read them or the application sent them until they
    /// had been written to every member of the room whose socket takes everything. Messages of one room
    /// that are written together count once, with the wait of the first one. A wait ends with the turn of
    /// the event loop.
    pub delivery_waits: DurationHistogram,
}

/// The frames for clients that accept compressed messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compression {
    /// Their size in bytes if none were compressed.
    pub plain_bytes: u64,
    /// Their size in bytes. A frame that did not shrink may be sent uncompressed.
    pub sent_bytes: u64,
}

impl Compression {
    /// Adds a frame for this number of clients.
    pub(crate) fn add(&mut self, plain_size: usize, size: usize, clients: usize) {
        self.plain_bytes += (plain_size * clients) as u64;
        self.sent_bytes += (size * clients) as u64;
    }
}

impl AddAssign for Compression {
    fn add_assign(&mut self, other: Self) {
        self.plain_bytes += other.plain_bytes;
        self.sent_bytes += other.sent_bytes;
    }
}

impl Counts {
    /// Requests that the server refused, by the status of the answer.
    pub fn refused_by_status(&self) -> BTreeMap<u16, u64> {
        let mut statuses = BTreeMap::new();
        for (refusal, count) in &self.refused {
            *statuses.entry(refusal.status()).or_default() += count;
        }
        statuses
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} accepted, {} dropped, {} opened", self.accepted, self.dropped, self.opened)?;
        for (status, count) in self.refused_by_status() {
            write!(f, ", {count} refused with {status}")?;
        }
        for (reason, count) in &self.refused_by_application {
            write!(f, ", {count} refused ({reason})")?;
        }
        for (refusal, count) in &self.refused_headers {
            write!(f, ", {count} dropped ({refusal})")?;
        }
        for (cause, count) in &self.departed {
            write!(f, ", {count} left ({cause})")?;
        }
        for (failure, count) in &self.tls.failed {
            write!(f, ", {count} TLS handshakes failed ({failure})")?;
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
    use crate::server::tls_counts::TlsFailure;

    #[test]
    fn they_fit_into_a_line_of_the_log() {
        let mut counts = Counts { accepted: 3, opened: 2, ..Counts::default() };
        counts.refused.insert(Refusal::TooManyFromAddress, 1);
        counts.refused.insert(Refusal::TooManyRoomsFromAddress, 2);
        counts.refused_by_application.insert("no token", 5);
        counts.refused_headers.insert(ProxyRefusal::Missing, 4);
        counts.departed.insert(CauseKind::Peer, 2);
        counts.tls.failed.insert(TlsFailure::Alert, 4);
        let line = "3 accepted, 0 dropped, 2 opened, 3 refused with 429, 5 refused (no token), \
            4 dropped (no PROXY header), \
            2 left (peer), 4 TLS handshakes failed (alert), 0 throttled, 0 paused, 0 messages skipped, \
            0 without compression context";
        assert_eq!(counts.to_string(), line);
    }
}
