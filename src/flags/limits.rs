//! Limits on what the server accepts from clients and holds for them.

use clap::Args;
use townhall::{Config, Limits};

use super::number::number;
use super::size::{show, size, size_or_off};

/// The flags for sizes, numbers and rates.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitFlags {
    /// The maximum size of a request head. A larger one gets 431, or 414 if its first line alone is too
    /// long
    #[arg(long, value_name = "SIZE", env = "TOWNHALL_MAX_HEAD_SIZE")]
    #[arg(default_value = show(Limits::default().max_head_bytes as u64))]
    #[arg(value_parser = size::<usize>)]
    max_head_size: usize,

    /// The maximum number of header fields in a request. A request with more gets 431
    #[arg(long, value_name = "N", env = "TOWNHALL_MAX_HEADERS")]
    #[arg(default_value_t = Limits::default().max_headers, value_parser = number::<usize>)]
    max_headers: usize,

    /// The maximum size of a message. A client that sends a larger one is closed with 1009, or gets 413 if
    /// it publishes with POST
    #[arg(long, value_name = "SIZE", env = "TOWNHALL_MAX_MESSAGE_SIZE")]
    #[arg(default_value = show(Limits::default().max_message_bytes as u64))]
    #[arg(value_parser = size::<usize>)]
    pub max_message_size: usize,

    /// The maximum number of fragments in a message. A client that sends more is closed with 1008
    #[arg(long, value_name = "N", env = "TOWNHALL_MAX_FRAGMENTS")]
    #[arg(default_value_t = Limits::default().max_fragments, value_parser = number::<u32>)]
    max_fragments: u32,

    /// The maximum memory for incomplete messages and requests, over all connections. Above it,
    /// the client that holds the most is closed with 1013, or gets 503. The default is 16 times
    /// --max-message-size, and at least 256MiB
    #[arg(long, value_name = "SIZE", env = "TOWNHALL_MAX_INCOMPLETE_SIZE")]
    #[arg(value_parser = size::<usize>)]
    max_incomplete_size: Option<usize>,

    /// The maximum number of open connections. Further clients get 503
    #[arg(long, value_name = "N", env = "TOWNHALL_MAX_CONNECTIONS")]
    #[arg(default_value_t = Config::default().connections.max, value_parser = number::<usize>)]
    max_connections: usize,

    /// The maximum number of open connections from one IPv4 address or IPv6 /64 network. Further
    /// clients get 429. Trusted proxies (by default, loopback addresses) are exempt: the limit applies
    /// to the addresses that they forward in X-Forwarded-For
    #[arg(long, value_name = "N", env = "TOWNHALL_MAX_CONNECTIONS_PER_ADDRESS")]
    #[arg(default_value_t = Config::default().connections.max_per_address)]
    #[arg(value_parser = number::<u32>)]
    max_connections_per_address: u32,

    /// The maximum number of new connections per second from one IPv4 address or IPv6 /64 network.
    /// Further clients get 429. Trusted proxies (by default, loopback addresses) are exempt: the limit
    /// applies to the addresses that they forward in X-Forwarded-For
    #[arg(long, value_name = "N", env = "TOWNHALL_MAX_NEW_CONNECTIONS_PER_SECOND")]
    #[arg(default_value_t = Config::default().connections.max_new_per_address_per_second)]
    #[arg(value_parser = number::<u32>)]
    max_new_connections_per_second: u32,

    /// The maximum number of messages per second from one client, including control frames and requests. A client
    /// that sends more is slowed down, and closed with 1008 after --throttle-timeout
    #[arg(long, value_name = "N", env = "TOWNHALL_MAX_MESSAGES_PER_SECOND")]
    #[arg(default_value_t = Config::default().rates.max_messages_per_second)]
    #[arg(value_parser = number::<u32>)]
    max_messages_per_second: u32,

    /// The maximum number of bytes per second from one client. A client that sends more is slowed
    /// down, and closed with 1008 after --throttle-timeout
    #[arg(long, value_name = "SIZE", env = "TOWNHALL_MAX_BYTES_PER_SECOND")]
    #[arg(default_value = show(Config::default().rates.max_bytes_per_second.into()))]
    #[arg(value_parser = size::<u32>)]
    max_bytes_per_second: u32,

    /// The minimum rate at which an incomplete frame counts as activity, because a client cannot answer
    /// a ping in the middle of a frame. A slower body of a request gets 408. With `off` or 0, only complete frames count as activity
    #[arg(long, value_name = "SIZE", env = "TOWNHALL_MIN_FRAME_BYTES_PER_SECOND")]
    #[arg(default_value = show(Config::default().rates.min_frame_bytes_per_second.into()))]
    #[arg(value_parser = size_or_off::<u32>)]
    min_frame_bytes_per_second: u32,

    /// The maximum number of rooms. A request that would create another room gets 503
    #[arg(long, value_name = "N", env = "TOWNHALL_MAX_ROOMS")]
    #[arg(default_value_t = Config::default().rooms.max, value_parser = number::<usize>)]
    max_rooms: usize,

    /// The maximum number of rooms created from one IPv4 address or IPv6 /64 network. A request that
    /// would create another room gets 429. Trusted proxies (by default, loopback addresses) are exempt:
    /// the limit applies to the addresses that they forward in X-Forwarded-For
    #[arg(long, value_name = "N", env = "TOWNHALL_MAX_ROOMS_PER_ADDRESS")]
    #[arg(default_value_t = Config::default().rooms.max_per_address)]
    #[arg(value_parser = number::<usize>)]
    max_rooms_per_address: usize,

    /// The maximum length of a room's name, including percent-encoding. A longer one gets 414
    #[arg(long, value_name = "SIZE", env = "TOWNHALL_MAX_ROOM_NAME_LENGTH")]
    #[arg(default_value = show(Config::default().rooms.max_name_bytes as u64))]
    #[arg(value_parser = size::<usize>)]
    max_room_name_length: usize,

    /// The maximum size of the messages that a member has not received yet. Above it, --slow applies.
    /// The default is twice --max-message-size, and at least 4MiB
    #[arg(long, value_name = "SIZE", env = "TOWNHALL_MAX_BACKLOG_SIZE")]
    #[arg(value_parser = size::<usize>)]
    max_backlog_size: Option<usize>,

    /// The maximum memory for messages that members have not received yet, over all rooms. Above it,
    /// the members that are furthest behind are closed with 1013. The default is 64 times
    /// --max-message-size, and at least 1GiB
    #[arg(long, value_name = "SIZE", env = "TOWNHALL_MAX_TOTAL_BACKLOG_SIZE")]
    #[arg(value_parser = size::<usize>)]
    max_total_backlog_size: Option<usize>,

    /// The maximum amount of unsent data that the operating system should hold per connection, on
    /// Linux only (TCP_NOTSENT_LOWAT). With `off` or 0, the system decides
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
        config.limits.max_body_bytes = self.max_message_size;
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

/// Replaces a value with that of a flag, if the flag is set.
fn set<T>(value: &mut T, flag: Option<T>) {
    if let Some(flag) = flag {
        *value = flag;
    }
}
