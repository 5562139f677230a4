//! The limits on memory.

use crate::protocol::Limits;

/// How far a member may be behind by default, whatever the size of messages: the event loop reads about
/// 1 MiB in a turn, and checks backlogs in the next one.
const MIN_BACKLOG_BYTES: usize = 4 << 20;

/// The limits on what is kept for clients.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryLimits {
    /// The most memory in bytes for messages and request heads that have not arrived whole, over all
    /// connections. Above it, the client that holds most is closed with 1013, or answered with 503. The
    /// default is sixteen of the longest messages.
    pub max_incomplete_bytes: usize,
    /// The most bytes that a member may be behind its room, and that are kept for it. It must hold
    /// the longest message; the default holds two.
    pub max_backlog_bytes: usize,
    /// The most bytes that are kept for all members of all rooms. Above it, those that are furthest
    /// behind are closed with 1013. The default is thirty-two of the longest backlogs.
    pub max_total_backlog_bytes: usize,
    /// The most memory in bytes for the windows of all clients that keep their compression context (RFC
    /// 7692, section 7.1.1). A window is reserved when it is agreed on; clients for which no memory is
    /// left keep no context. 64 MiB are the windows of 2,048 clients, or of 16,384 that let the server
    /// choose the window's size.
    pub max_deflate_context_bytes: usize,
    /// The most bytes that the system should keep unsent for one connection, on Linux
    /// (`TCP_NOTSENT_LOWAT`); 0 leaves it to the system, which keeps megabytes. The rest stays in the
    /// room's log, where one copy serves all, the limits on backlogs cover it, and no ping has to wait
    /// behind it. 128 KiB are enough to send while the server is busy for a moment, but an echo of
    /// 1 MiB costs a tenth to a quarter more CPU time than with 512 KiB. Data that was sent and is not
    /// acknowledged comes on top, up to the last value of `net.ipv4.tcp_wmem`.
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
