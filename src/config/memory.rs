//! The limits on memory.

use crate::protocol::Limits;

/// The minimum default of a member's backlog, whatever the size of messages: the event loop reads about
/// 1 MiB in a turn, and checks backlogs in the next one.
const MIN_BACKLOG_BYTES: usize = 4 << 20;

/// The limits on memory that is held for clients.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryLimits {
    /// The maximum memory in bytes for incomplete messages and request heads, over all connections.
    /// Above it, the client that holds the most is closed with 1013, or gets 503. The default is 16
    /// times the longest message.
    pub max_incomplete_bytes: usize,
    /// The maximum size in bytes of the messages that a member has not received. Above it,
    /// [`Config::slow`](super::Config::slow) applies. It must hold the longest message; the default
    /// holds two.
    pub max_backlog_bytes: usize,
    /// The maximum memory in bytes for messages that members have not received, over all rooms. Above
    /// it, the members that are furthest behind are closed with 1013. The default is 32 times
    /// `max_backlog_bytes`.
    pub max_total_backlog_bytes: usize,
    /// The maximum memory in bytes for the compression windows of all clients that keep their context
    /// (RFC 7692, section 7.1.1). A window is reserved when it is negotiated; clients for which no
    /// memory is left keep no context. 64 MiB is enough for 2,048 clients, or for 16,384 that let the
    /// server choose the size of their window.
    pub max_deflate_context_bytes: usize,
    /// The maximum amount of unsent data in bytes that the system should hold per connection, on Linux
    /// only (`TCP_NOTSENT_LOWAT`). With 0, the system decides, and holds megabytes. The rest stays in
    /// the room's log, where one copy serves all members, the backlog limits apply, and no ping has to
    /// wait behind it. 128 KiB keeps the connection busy while the server does other work for a moment,
    /// but an echo of 1 MiB costs 10% to 25% more CPU time than with 512 KiB. Data that was sent but not
    /// acknowledged is not included; it can grow to the last value of `net.ipv4.tcp_wmem`. On a Unix
    /// socket, the limit is the system's, `net.core.wmem_default`.
    pub socket_unsent_bytes: u32,
}

impl MemoryLimits {
    /// The default limits for messages of up to `max_message_bytes`.
    pub(super) fn with_max_message_bytes(max_message_bytes: usize) -> Self {
        let default = Self::default();
        let times = |factor, least| max_message_bytes.saturating_mul(factor).max(least);
        Self {
            max_incomplete_bytes: times(16, default.max_incomplete_bytes),
            max_backlog_bytes: times(2, MIN_BACKLOG_BYTES),
            max_total_backlog_bytes: times(64, default.max_total_backlog_bytes),
            ..default
        }
    }
}

impl Default for MemoryLimits {
    fn default() -> Self {
        let message = Limits::default().max_message_bytes;
        Self {
            max_incomplete_bytes: 16 * message,
            max_backlog_bytes: 2 * message,
            max_total_backlog_bytes: 64 * message,
            max_deflate_context_bytes: 64 << 20,
            socket_unsent_bytes: 128 << 10,
        }
    }
}
