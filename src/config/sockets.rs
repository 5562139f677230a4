//! Options of the listening sockets.

/// Options of the sockets that the server binds itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketConfig {
    /// The permissions of Unix sockets, as in `chmod`. Whoever may write may connect. Before they hold,
    /// nobody can connect. The default is 0o660: the owner and the group.
    pub unix_mode: u32,
    /// The user who owns Unix sockets, by number. `None` is the user of the process.
    pub unix_owner: Option<u32>,
    /// The group of Unix sockets, by number. `None` is the group of the process.
    pub unix_group: Option<u32>,
    /// Whether other processes of the same user may listen on the same TCP addresses, if they set this
    /// too (`SO_REUSEPORT`). On Linux, the system then distributes connections over the processes. Each of
    /// them has its own rooms, so members of one room may not see each other.
    pub reuse_port: bool,
}

impl Default for SocketConfig {
    fn default() -> Self {
        Self { unix_mode: 0o660, unix_owner: None, unix_group: None, reuse_port: false }
    }
}
