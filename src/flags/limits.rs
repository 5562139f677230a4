//! The limits on what the server accepts from clients and keeps for them.

use clap::Args;
use townhall::{Config, Limits};

use super::number::{at_least, bytes, within};

/// The least that a member may be behind by default: a tick reads about 1 MiB, and a backlog is judged
/// in the next tick.
const MIN_BACKLOG_BYTES: usize = 4 << 20;

/// The limits in bytes, in numbers, and per second.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitFlags {
    /// The largest head of a request, in bytes. A larger one is answered with 431, or with 414 if
    /// its first line alone is too long
    #[arg(long, value_name = "BYTES", env = "TOWNHALL_MAX_HEAD_BYTES")]
    #[arg(default_value_t = Limits::default().max_head_bytes, value_parser = bytes(200_usize))]
    max_head_bytes: usize,

    /// The most header fields of a request. A request with more is answered with 431
    #[arg(long, value_name = "N", env = "TOWNHALL_MAX_HEADERS")]
    #[arg(default_value_t = Limits::default().max_headers, value_parser = at_least(5_usize))]
    max_headers: usize,

    /// The largest message, in bytes. A larger one closes its connection with 1009
    #[arg(long, value_name = "BYTES", env = "TOWNHALL_MAX_MESSAGE_BYTES")]
    #[arg(default_value_t = Limits::default().max_message_bytes, value_parser = bytes(1_usize))]
    max_message_bytes: usize,

    /// The most fragments of a message. A message with more closes its connection with 1008
    #[arg(long, value_name = "N", env = "TOWNHALL_MAX_FRAGMENTS")]
    #[arg(default_value_t = Limits::default().max_fragments, value_parser = at_least(1_u32))]
    max_fragments: u32,

    /// The most memory, in bytes, for messages and heads of requests that have not arrived
    /// completely, over all connections. Beyond it, the connection that holds the most is closed
    /// with 1013, or answered with 503. The default is 16 times --max-message-bytes, and at least
    /// 256 MiB
    #[arg(long, value_name = "BYTES", env = "TOWNHALL_MAX_INCOMPLETE_BYTES")]
    #[arg(value_parser = bytes(0_usize))]
    max_incomplete_bytes: Option<usize>,

    /// The most open connections. Further clients are answered with 503
    #[arg(long, value_name = "N", env = "TOWNHALL_MAX_CONNECTIONS")]
    #[arg(default_value_t = Config::default().max_connections, value_parser = at_least(1_usize))]
    max_connections: usize,

    /// The most open connections from one address; an IPv6 network of 64 bits counts as one
    /// address. Further clients are answered with 429. Trusted proxies, which loopback addresses
    /// are by default, are bound only by the addresses that they forward in X-Forwarded-For
    #[arg(long, value_name = "N", env = "TOWNHALL_MAX_CONNECTIONS_PER_ADDRESS")]
    #[arg(default_value_t = Config::default().max_connections_per_address, value_parser = at_least(1_u32))]
    max_connections_per_address: u32,

    /// The most new connections from one address in a second. Further clients are answered with
    /// 429. Trusted proxies, which loopback addresses are by default, are bound only by the
    /// addresses that they forward in X-Forwarded-For
    #[arg(long, value_name = "N", env = "TOWNHALL_MAX_NEW_CONNECTIONS_PER_SECOND")]
    #[arg(default_value_t = Config::default().max_new_connections_per_second, value_parser = at_least(1_u32))]
    max_new_connections_per_second: u32,

    /// The most messages that a client may send in a second, control frames included. A client that
    /// sends more is slowed down, and closed with 1008 if it goes on for --throttle-timeout-seconds
    #[arg(long, value_name = "N", env = "TOWNHALL_MAX_MESSAGES_PER_SECOND")]
    #[arg(default_value_t = Config::default().max_messages_per_second, value_parser = at_least(1_u32))]
    max_messages_per_second: u32,

    /// The most bytes of messages that a client may send in a second. A client that sends more is
    /// slowed down, and closed with 1008 if it goes on for --throttle-timeout-seconds
    #[arg(long, value_name = "BYTES", env = "TOWNHALL_MAX_BYTES_PER_SECOND")]
    #[arg(default_value_t = Config::default().max_bytes_per_second, value_parser = bytes(1_u32))]
    max_bytes_per_second: u32,

    /// How many bytes of an unfinished message must arrive in a second for its sender, which cannot
    /// answer pings meanwhile, to count as alive. With 0, only whole frames count
    #[arg(long, value_name = "BYTES", env = "TOWNHALL_MIN_FRAME_BYTES_PER_SECOND")]
    #[arg(default_value_t = Config::default().min_frame_bytes_per_second)]
    #[arg(value_parser = bytes(0_u32))]
    min_frame_bytes_per_second: u32,

    /// The most rooms. A request that would make another room is answered with 503
    #[arg(long, value_name = "N", env = "TOWNHALL_MAX_ROOMS")]
    #[arg(default_value_t = Config::default().max_rooms, value_parser = at_least(1_usize))]
    max_rooms: usize,

    /// The most rooms made by clients from one address. A request that would make another room is
    /// answered with 429. Trusted proxies, which loopback addresses are by default, are bound only
    /// by the addresses that they forward in X-Forwarded-For
    #[arg(long, value_name = "N", env = "TOWNHALL_MAX_ROOMS_PER_ADDRESS")]
    #[arg(default_value_t = Config::default().max_rooms_per_address, value_parser = at_least(1_usize))]
    max_rooms_per_address: usize,

    /// The longest name of a room, in bytes, percent-encoding included. A longer one is answered
    /// with 414
    #[arg(long, value_name = "BYTES", env = "TOWNHALL_MAX_ROOM_NAME_BYTES")]
    #[arg(default_value_t = Config::default().max_room_name_bytes, value_parser = bytes(1_usize))]
    max_room_name_bytes: usize,

    /// How many bytes a member may be behind its room before --slow applies. The default is twice
    /// --max-message-bytes, and at least 4 MiB
    #[arg(long, value_name = "BYTES", env = "TOWNHALL_MAX_BACKLOG_BYTES")]
    #[arg(value_parser = bytes(0_usize))]
    max_backlog_bytes: Option<usize>,

    /// The most memory, in bytes, for what members have not yet read, over all rooms. Beyond it,
    /// the members furthest behind are closed with 1013. The default is 64 times
    /// --max-message-bytes, and at least 1 GiB
    #[arg(long, value_name = "BYTES", env = "TOWNHALL_MAX_TOTAL_BACKLOG_BYTES")]
    #[arg(value_parser = bytes(0_usize))]
    max_total_backlog_bytes: Option<usize>,

    /// How many unsent bytes the operating system should hold for each connection; 0 leaves this to
    /// the system. Works on Linux only (TCP_NOTSENT_LOWAT)
    #[arg(long, value_name = "BYTES", env = "TOWNHALL_SOCKET_UNSENT_BYTES")]
    #[arg(default_value_t = Config::default().socket_unsent_bytes, value_parser = within(0..=i32::MAX.unsigned_abs()))]
    socket_unsent_bytes: u32,
}

impl LimitFlags {
    /// Sets the limits in a configuration. Those that hold messages grow with the longest one, but
    /// do not shrink below what holds the talk of a tick or two.
    pub fn set(&self, config: &mut Config) {
        let message = self.max_message_bytes;
        let times =
            |limit: Option<usize>, n, least| limit.unwrap_or(message.saturating_mul(n).max(least));
        let default = Config::default();
        config.limits = Limits {
            max_head_bytes: self.max_head_bytes,
            max_headers: self.max_headers,
            max_message_bytes: message,
            max_fragments: self.max_fragments,
        };
        config.max_incomplete_bytes =
            times(self.max_incomplete_bytes, 16, default.max_incomplete_bytes);
        config.max_connections = self.max_connections;
        config.max_connections_per_address = self.max_connections_per_address;
        config.max_new_connections_per_second = self.max_new_connections_per_second;
        config.max_messages_per_second = self.max_messages_per_second;
        config.max_bytes_per_second = self.max_bytes_per_second;
        config.min_frame_bytes_per_second = self.min_frame_bytes_per_second;
        config.max_rooms = self.max_rooms;
        config.max_rooms_per_address = self.max_rooms_per_address;
        config.max_room_name_bytes = self.max_room_name_bytes;
        config.max_backlog_bytes = times(self.max_backlog_bytes, 2, MIN_BACKLOG_BYTES);
        config.max_total_backlog_bytes =
            times(self.max_total_backlog_bytes, 64, default.max_total_backlog_bytes);
        config.socket_unsent_bytes = self.socket_unsent_bytes;
    }
}
