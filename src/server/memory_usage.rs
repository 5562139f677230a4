//! The memory that is held for clients.

/// The memory that a server holds for its clients, in bytes. Each total has a limit in
/// [`MemoryLimits`](crate::MemoryLimits).
///
/// ```
/// use townhall::Hub;
///
/// fn is_filling_up(hub: &Hub, max_total_backlog_bytes: usize) -> bool {
///     hub.memory_usage().backlog_bytes > max_total_backlog_bytes / 2
/// }
/// # let _ = is_filling_up;
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryUsage {
    /// Messages and request heads that have not arrived whole; limited by
    /// [`max_incomplete_bytes`](crate::MemoryLimits::max_incomplete_bytes).
    pub incomplete_bytes: usize,
    /// Everything that clients have not received; limited by
    /// [`max_total_backlog_bytes`](crate::MemoryLimits::max_total_backlog_bytes).
    pub backlog_bytes: usize,
    /// The part of the backlog that the logs of rooms hold, in whole segments. The rest is for one client
    /// each.
    pub log_bytes: usize,
    /// The history of rooms, apart from what is part of the backlog; limited by
    /// [`max_total_bytes`](crate::HistoryLimits::max_total_bytes).
    pub history_bytes: usize,
    /// What is reserved for the windows of clients that keep their compression context; limited by
    /// [`max_deflate_context_bytes`](crate::MemoryLimits::max_deflate_context_bytes).
    pub deflate_context_bytes: usize,
}
