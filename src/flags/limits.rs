//! How much is taken of anybody.

use clap::Args;
use townhall::{Config, Limits};

use super::number::at_least;

/// What a member may at least be behind by default: a tick reads about 1 MiB, and is judged in the
/// next.
const MIN_BACKLOG_BYTES: usize = 4 << 20;

/// The limits in bytes, in numbers, and per second.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitFlags {
    /// The longest head of a request in bytes; a longer one is answered with 431, or with 414 where
    /// its first line alone is longer
    #[arg(long, value_name = "BYTES", env = "TOWNHALL_MAX_HEAD_BYTES")]
    #[arg(default_value_t = Limits::default().max_head_bytes, value_parser = at_least(200_usize))]
    max_head_bytes: usize,

    /// The most header fields of a request; one with more is answered with 431
    #[arg(long, value_name = "N", env = "TOWNHALL_MAX_HEADERS")]
    #[arg(default_value_t = Limits::default().max_headers, value_parser = at_least(5_usize))]
    max_headers: usize,

    /// The longest message in bytes; a longer one closes its connection with 1009
    #[arg(long, value_name = "BYTES", env = "TOWNHALL_MAX_MESSAGE_BYTES")]
    #[arg(default_value_t = Limits::default().max_message_bytes, value_parser = at_least(1_usize))]
    max_message_bytes: usize,

    /// The most fragments of a message; one with more closes its connection with 1008
    #[arg(long, value_name = "N", env = "TOWNHALL_MAX_FRAGMENTS")]
    #[arg(default_value_t = Limits::default().max_fragments, value_parser = at_least(1_u32))]
    max_fragments: u32,

    /// The most bytes of messages that have not arrived whole, over all connections; over it, who
    /// holds most is closed with 1013. 16 times the longest message by default, and 256 MiB at least
    #[arg(long, value_name = "BYTES", env = "TOWNHALL_MAX_INCOMPLETE_BYTES")]
    max_incomplete_bytes: Option<usize>,

    /// The most connections at once; the next is answered with 503
    #[arg(long, value_name = "N", env = "TOWNHALL_MAX_CONNECTIONS")]
    #[arg(default_value_t = Config::default().max_connections, value_parser = at_least(1_usize))]
    max_connections: usize,

    /// The most connections from one address; the next is answered with 429
    #[arg(long, value_name = "N", env = "TOWNHALL_MAX_CONNECTIONS_PER_ADDRESS")]
    #[arg(default_value_t = Config::default().max_connections_per_address, value_parser = at_least(1_u32))]
    max_connections_per_address: u32,

    /// The most new connections from one address in a second; the next is answered with 429
    #[arg(long, value_name = "N", env = "TOWNHALL_MAX_NEW_CONNECTIONS_PER_SECOND")]
    #[arg(default_value_t = Config::default().max_new_connections_per_second, value_parser = at_least(1_u32))]
    max_new_connections_per_second: u32,

    /// The most messages that a connection may say in a second; who says more is read later, and
    /// closed with 1008 when that does not help
    #[arg(long, value_name = "N", env = "TOWNHALL_MAX_MESSAGES_PER_SECOND")]
    #[arg(default_value_t = Config::default().max_messages_per_second, value_parser = at_least(1_u32))]
    max_messages_per_second: u32,

    /// The most bytes that a connection may say in a second; the same
    #[arg(long, value_name = "BYTES", env = "TOWNHALL_MAX_BYTES_PER_SECOND")]
    #[arg(default_value_t = Config::default().max_bytes_per_second, value_parser = at_least(1_u32))]
    max_bytes_per_second: u32,

    /// The least bytes of an unfinished message that must come in a second for its sender to count as
    /// alive while it cannot answer a ping; 0 lets only whole frames count
    #[arg(long, value_name = "BYTES", env = "TOWNHALL_MIN_FRAME_BYTES_PER_SECOND")]
    #[arg(default_value_t = Config::default().min_frame_bytes_per_second)]
    min_frame_bytes_per_second: u32,

    /// The most rooms at once; the next is refused with 503
    #[arg(long, value_name = "N", env = "TOWNHALL_MAX_ROOMS")]
    #[arg(default_value_t = Config::default().max_rooms, value_parser = at_least(1_usize))]
    max_rooms: usize,

    /// The most rooms made by clients from one address; the next is refused with 429
    #[arg(long, value_name = "N", env = "TOWNHALL_MAX_ROOMS_PER_ADDRESS")]
    #[arg(default_value_t = Config::default().max_rooms_per_address, value_parser = at_least(1_usize))]
    max_rooms_per_address: usize,

    /// The longest name of a room in bytes, percent-encoding included; a longer one is answered with
    /// 414
    #[arg(long, value_name = "BYTES", env = "TOWNHALL_MAX_ROOM_NAME_BYTES")]
    #[arg(default_value_t = Config::default().max_room_name_bytes, value_parser = at_least(1_usize))]
    max_room_name_bytes: usize,

    /// The most bytes that a member may be behind its room; --slow says what follows. Twice the
    /// longest message by default
    #[arg(long, value_name = "BYTES", env = "TOWNHALL_MAX_BACKLOG_BYTES")]
    max_backlog_bytes: Option<usize>,

    /// The most bytes that are kept for all members that are behind; over it, those furthest behind
    /// are closed with 1013. 64 times the longest message by default, and 1 GiB at least
    #[arg(long, value_name = "BYTES", env = "TOWNHALL_MAX_TOTAL_BACKLOG_BYTES")]
    max_total_backlog_bytes: Option<usize>,

    /// The most bytes that the system should keep unsent for a connection, on Linux
    /// (TCP_NOTSENT_LOWAT); 0 leaves it to the system
    #[arg(long, value_name = "BYTES", env = "TOWNHALL_SOCKET_UNSENT_BYTES")]
    #[arg(default_value_t = Config::default().socket_unsent_bytes, value_parser = clap::value_parser!(u32).range(..=i64::from(i32::MAX)))]
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
