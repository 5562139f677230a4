//! The limits on what the server accepts from clients and keeps for them.

use clap::Args;
use townhall::{Config, Limits};

use super::number::number;
use super::size::{show, size, size_or_off};

/// The flags for sizes, numbers and rates.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitFlags {
    /// The largest head of a request. A larger one is answered with 431, or with 414 if its first
    /// line alone is too long
    #[arg(long, value_name = "SIZE", env = "TOWNHALL_MAX_HEAD_SIZE")]
    #[arg(default_value = show(Limits::default().max_head_bytes as u64))]
    #[arg(value_parser = size::<usize>)]
    max_head_size: usize,

    /// The most header fields of a request. A request with more is answered with 431
    #[arg(long, value_name = "N", env = "TOWNHALL_MAX_HEADERS")]
    #[arg(default_value_t = Limits::default().max_headers, value_parser = number::<usize>)]
    max_headers: usize,

    /// The largest message. A client that sends a larger one is closed with 1009
    #[arg(long, value_name = "SIZE", env = "TOWNHALL_MAX_MESSAGE_SIZE")]
    #[arg(default_value = show(Limits::default().max_message_bytes as u64))]
    #[arg(value_parser = size::<usize>)]
    pub max_message_size: usize,

    /// The most fragments of a message. A client that sends more is closed with 1008
    #[arg(long, value_name = "N", env = "TOWNHALL_MAX_FRAGMENTS")]
    #[arg(default_value_t = Limits::default().max_fragments, value_parser = number::<u32>)]
    max_fragments: u32,

    /// The most memory for messages and heads of requests that have not arrived completely, over all
    /// connections. Above it, the connection that holds the most is closed with 1013, or answered
    /// with 503. The default is 16 times --max-message-size, and at least 256MiB
    #[arg(long, value_name = "SIZE", env = "TOWNHALL_MAX_INCOMPLETE_SIZE")]
    #[arg(value_parser = size::<usize>)]
    max_incomplete_size: Option<usize>,

    /// The most open connections. Further clients are answered with 503
    #[arg(long, value_name = "N", env = "TOWNHALL_MAX_CONNECTIONS")]
    #[arg(default_value_t = Config::default().connections.max, value_parser = number::<usize>)]
    max_connections: usize,

    /// The most open connections from one address. An IPv6 network of 64 bits counts as one address.
    /// Further clients are answered with 429. The limit does not apply to trusted proxies, which
    /// loopback addresses are by default, but to the addresses that they forward in X-Forwarded-For
    #[arg(long, value_name = "N", env = "TOWNHALL_MAX_CONNECTIONS_PER_ADDRESS")]
    #[arg(default_value_t = Config::default().connections.max_per_address)]
    #[arg(value_parser = number::<u32>)]
    max_connections_per_address: u32,

    /// The most new connections from one address in a second. Further clients are answered with 429.
    /// The limit does not apply to trusted proxies, which loopback addresses are by default, but to
    /// the addresses that they forward in X-Forwarded-For
    #[arg(long, value_name = "N", env = "TOWNHALL_MAX_NEW_CONNECTIONS_PER_SECOND")]
    #[arg(default_value_t = Config::default().connections.max_new_per_address_per_second)]
    #[arg(value_parser = number::<u32>)]
    max_new_connections_per_second: u32,

    /// The most messages that a client may send in a second, control frames included. A client that
    /// sends more is slowed down, and closed with 1008 after --throttle-timeout
    #[arg(long, value_name = "N", env = "TOWNHALL_MAX_MESSAGES_PER_SECOND")]
    #[arg(default_value_t = Config::default().rates.max_messages_per_second)]
    #[arg(value_parser = number::<u32>)]
    max_messages_per_second: u32,

    /// The most bytes that a client may send in a second. A client that sends more is slowed down,
    /// and closed with 1008 after --throttle-timeout
    #[arg(long, value_name = "SIZE", env = "TOWNHALL_MAX_BYTES_PER_SECOND")]
    #[arg(default_value = show(Config::default().rates.max_bytes_per_second.into()))]
    #[arg(value_parser = size::<u32>)]
    max_bytes_per_second: u32,

    /// The rate at which an unfinished message must arrive for its sender to count as active: it
    /// cannot answer pings before the message ends. With `off` or 0, only whole frames count
    #[arg(long, value_name = "SIZE", env = "TOWNHALL_MIN_FRAME_BYTES_PER_SECOND")]
    #[arg(default_value = show(Config::default().rates.min_frame_bytes_per_second.into()))]
    #[arg(value_parser = size_or_off::<u32>)]
    min_frame_bytes_per_second: u32,

    /// The most rooms. A request that would create another room is answered with 503
    #[arg(long, value_name = "N", env = "TOWNHALL_MAX_ROOMS")]
    #[arg(default_value_t = Config::default().rooms.max, value_parser = number::<usize>)]
    max_rooms: usize,

    /// The most rooms created by clients from one address. A request that would create another room
    /// is answered with 429. The limit does not apply to trusted proxies, which loopback addresses
    /// are by default, but to the addresses that they forward in X-Forwarded-For
    #[arg(long, value_name = "N", env = "TOWNHALL_MAX_ROOMS_PER_ADDRESS")]
    #[arg(default_value_t = Config::default().rooms.max_per_address)]
    #[arg(value_parser = number::<usize>)]
    max_rooms_per_address: usize,

    /// The longest name of a room, percent-encoding included. A longer one is answered with 414
    #[arg(long, value_name = "SIZE", env = "TOWNHALL_MAX_ROOM_NAME_LENGTH")]
    #[arg(default_value = show(Config::default().rooms.max_name_bytes as u64))]
    #[arg(value_parser = size::<usize>)]
    max_room_name_length: usize,

    /// How far a member may be behind its room before --slow applies. The default is twice
    /// --max-message-size, and at least 4MiB
    #[arg(long, value_name = "SIZE", env = "TOWNHALL_MAX_BACKLOG_SIZE")]
    #[arg(value_parser = size::<usize>)]
    max_backlog_size: Option<usize>,

    /// The most memory for what members have not received yet, over all rooms. Above it, the members
    /// that are furthest behind are closed with 1013. The default is 64 times --max-message-size, and
    /// at least 1GiB
    #[arg(long, value_name = "SIZE", env = "TOWNHALL_MAX_TOTAL_BACKLOG_SIZE")]
    #[arg(value_parser = size::<usize>)]
    max_total_backlog_size: Option<usize>,

    /// How much unsent data the operating system should hold for each connection, on Linux
    /// (TCP_NOTSENT_LOWAT). With `off` or 0, the system decides
    #[arg(long, value_name = "SIZE", env = "TOWNHALL_SOCKET_UNSENT_SIZE")]
    #[arg(default_value = show(Config::default().memory.socket_unsent_bytes.into()))]
    #[arg(value_parser = size_or_off::<u32>)]
    socket_unsent_size: u32,
}

impl LimitFlags {
    /// Applies the flags to a configuration that fits the largest message.
    pub fn set(&self, config: &mut Config) {
        config.limits.max_head_bytes = self.max_head_size;
        config.limits.max_headers = self.max_headers;
        config.limits.max_message_bytes = self.max_message_size;
        config.limits.max_fragments = self.max_fragments;
        config.connections.max = self.max_connections;
        config.connections.max_per_address = self.max_connections_per_address;
        config.connections.max_new_per_address_per_second = self.max_new_connections_per_second;
        config.rates.max_messages_per_second = self.max_messages_per_second;
        config.rates.max_bytes_per_second = self.max_bytes_per_second;
        config.rates.min_frame_bytes_per_second = self.min_frame_bytes_per_second;
        config.rooms.max = self.max_rooms;
        config.rooms.max_per_address = self.max_rooms_per_address;
        config.rooms.max_name_bytes = self.max_room_name_length;
        config.memory.socket_unsent_bytes = self.socket_unsent_size;
        set(&mut config.memory.max_incomplete_bytes, self.max_incomplete_size);
        set(&mut config.memory.max_backlog_bytes, self.max_backlog_size);
        set(&mut config.memory.max_total_backlog_bytes, self.max_total_backlog_size);
    }
}

/// Replaces a value with that of a flag, if the flag is there.
fn set<T>(value: &mut T, flag: Option<T>) {
    if let Some(flag) = flag {
        *value = flag;
    }
}
