//! The configuration of a server: every limit, with the reason for its default.

mod check;
mod error;
mod room_pattern;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};

use crate::protocol::{CloseCode, Deflate, Host, Limits, Origins};

pub use error::ConfigError;
pub use room_pattern::{InvalidRoomPattern, RoomPattern};

/// How far a member may be behind by default, whatever the size of messages: the event loop reads about
/// 1 MiB in a turn, and checks backlogs in the next one.
const MIN_BACKLOG_BYTES: usize = 4 << 20;

/// The configuration of a [`Server`](crate::Server).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The addresses to listen on; port 0 takes a free one. The loopback address by default, so that
    /// nothing is reachable from the network unless somebody asks for it. `[::]` takes IPv4 connections
    /// too, unless an IPv4 address with the same port is listed.
    pub listen: Vec<SocketAddr>,
    /// The subprotocols that the server speaks; the first of a client's offers that is in this list is
    /// chosen (RFC 6455, section 4.2.2).
    pub subprotocols: Vec<String>,
    /// The origins whose pages may connect; by default that of the host to which they connect. On a
    /// loopback address, a host other than `localhost` and the loopback addresses counts only if
    /// `hosts` names it or a trusted proxy forwarded the request: the name of a hostile page may point
    /// to such an address too (DNS rebinding).
    pub origins: Origins,
    /// The host names of the server. A request for another host is answered with 421, unless it is for
    /// the very address that the connection was made to, as the requests of load balancers are. If
    /// there are none, which is the default, every host is served.
    pub hosts: Vec<Host>,
    /// How messages are compressed with clients that offer permessage-deflate (RFC 7692); not at all if
    /// it is `None`.
    pub deflate: Option<Deflate>,
    /// The most memory in bytes for the windows of all clients that keep their compression context (RFC
    /// 7692, section 7.1.1). A window is reserved when it is agreed on; clients for which no memory is
    /// left keep no context. 64 MiB are the windows of 2,048 clients, or of 16,384 that let the server
    /// choose the window's size.
    pub max_deflate_context_bytes: usize,
    /// The limits on one peer's input.
    pub limits: Limits,
    /// The networks of trusted reverse proxies, to which the limits of a single address do not apply.
    /// Their `X-Forwarded-For` and `X-Forwarded-Host` are believed, and `Forwarded` (RFC 7239) where
    /// these fields are missing. By default the loopback addresses, since most proxies run on the same
    /// machine.
    pub trusted_proxies: Vec<IpNet>,
    /// The most connections that are open at once. The next request for an upgrade is answered with
    /// 503. 10,000 fit into the usual limit of file descriptors.
    pub max_connections: usize,
    /// The most connections from one address, which is a network of 64 bits in IPv6. The next is
    /// answered with 429. The default is a tenth of all connections, so that an office behind one
    /// address has room, and nobody can take all of them alone.
    pub max_connections_per_address: u32,
    /// The most new connections from one address in a second. The next is answered with 429.
    pub max_new_connections_per_second: u32,
    /// The most messages that one connection may send in a second, control frames included. Above it,
    /// the connection is not read for a while. The default is more than a person or a sensor sends, and
    /// no more than a room can receive.
    pub max_messages_per_second: u32,
    /// The most bytes of messages that one connection may send in a second, or in one message, if that
    /// is longer. Above it, the connection is not read for a while.
    pub max_bytes_per_second: u32,
    /// How long a connection may be over these rates without a break, before it is closed with 1008. If
    /// it is `None`, the connection is only slowed down.
    pub throttle_timeout: Option<Duration>,
    /// The least bytes of a frame or of fragments that must come in a second to count as activity,
    /// averaged over `ping_interval` and again over `pong_timeout`: a client on a slow line can answer
    /// no ping before its frame has ended. If it is 0, only whole frames count. A modem is faster than
    /// 1 KiB a second; a client that sends a byte at a time is not.
    pub min_frame_bytes_per_second: u32,
    /// The most memory in bytes for messages and request heads that have not arrived whole, over all
    /// connections. Above it, the client that holds most is closed with 1013, or answered with 503. The
    /// default is sixteen of the longest messages.
    pub max_incomplete_bytes: usize,
    /// The paths that are rooms; a request for an upgrade at any other is answered with 404. If there
    /// are none, which is the default, every path is a room. A name that the application chooses
    /// instead of the path is not compared with them.
    pub rooms: Vec<RoomPattern>,
    /// The most rooms that exist at once. The next is refused with 503.
    pub max_rooms: usize,
    /// The most rooms that clients from one address have made and that somebody is still in. The next
    /// is refused with 429. The default is a fiftieth of all rooms, so that a few strangers cannot take
    /// every room. It does not apply to clients for which a trusted proxy forwards no address, since
    /// these cannot be told apart.
    pub max_rooms_per_address: usize,
    /// The longest name of a room, in bytes of the [normal form](crate::protocol::Request::normal_path)
    /// of its path; a longer one is answered with 414.
    pub max_room_name_bytes: usize,
    /// The most bytes that a member may be behind its room, and that are kept for it. It must hold
    /// the longest message; the default holds two.
    pub max_backlog_bytes: usize,
    /// The most bytes that are kept for all members of all rooms. Above it, those that are furthest
    /// behind are closed with 1013. The default is thirty-two of the longest backlogs.
    pub max_total_backlog_bytes: usize,
    /// The most bytes that the system should keep unsent for one connection, on Linux
    /// (`TCP_NOTSENT_LOWAT`); 0 leaves it to the system, which keeps megabytes. The rest stays in the
    /// room's log, where one copy serves all, the limits above cover it, and no ping has to wait behind
    /// it. 128 KiB are enough to send while the server is busy for a moment, but an echo of 1 MiB costs
    /// a tenth to a quarter more CPU time than with 512 KiB. Data that was sent and is not acknowledged
    /// comes on top, up to the last value of `net.ipv4.tcp_wmem`.
    pub socket_unsent_bytes: u32,
    /// What happens to a member that is further behind than `max_backlog_bytes`.
    pub slow: Slow,
    /// How long a client may take to send the request's head. After that, the answer is 408; a
    /// connection that has sent nothing, such as those that browsers open in advance, is closed without
    /// an answer. It must be longer than zero: a connection without a deadline would hold its place
    /// forever.
    pub handshake_timeout: Duration,
    /// How long a peer may be silent before it is sent a ping. Any whole frame counts as activity.
    /// Thirty seconds are less than home routers and most proxies wait. If it is `None`, no pings are
    /// sent, and silence is never a reason to drop a connection.
    pub ping_interval: Option<Duration>,
    /// How long a peer may be silent after the ping before it is dropped. If it is `None`, pings are
    /// sent at every interval, and nobody has to answer them.
    pub pong_timeout: Option<Duration>,
    /// How long a peer may read nothing while there is something for it to read; forever if it is
    /// `None`.
    pub write_timeout: Option<Duration>,
    /// How long a peer may take to answer a close frame, and to end its side of the connection. It must
    /// be longer than zero, for the same reason as `handshake_timeout`.
    pub close_timeout: Duration,
    /// How long the server continues after it has been asked to stop, so that clients can answer its
    /// close frames. If it is zero, the server ends as soon as these are sent.
    pub drain_timeout: Duration,
    /// The time over which these close frames are spread, so that clients do not all come back at once;
    /// a hundred or fewer are always sent at once. It is half of `drain_timeout` at most.
    pub drain_spread: Duration,
    /// The code of these close frames: 1001, or 1012 to say that the server will soon be back.
    pub drain_code: CloseCode,
}

/// What happens to a member that is too far behind its room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Slow {
    /// The member is closed with 1013, and may come back.
    #[default]
    Close,
    /// The member misses the oldest messages, and goes on with the newest that fit into half of the
    /// limit, or with one. Control frames are kept.
    Drop,
    /// Nothing is read from anyone in its room until it has caught up, so that nobody misses anything.
    /// One member can hold up the whole room for as long as `write_timeout`: this is for trusted
    /// members.
    Pause,
}

impl Config {
    /// The default configuration for messages of up to `max_message_bytes`. The limits that hold
    /// messages grow with that size, and are never less than a busy room needs: `max_incomplete_bytes`
    /// is 16 times as much and at least 256 MiB, `max_backlog_bytes` twice as much and at least 4 MiB,
    /// and `max_total_backlog_bytes` 64 times as much and at least 1 GiB.
    pub fn with_max_message_bytes(max_message_bytes: usize) -> Self {
        let default = Self::default();
        let times = |factor, least| max_message_bytes.saturating_mul(factor).max(least);
        Self {
            limits: Limits { max_message_bytes, ..Limits::default() },
            max_incomplete_bytes: times(16, default.max_incomplete_bytes),
            max_backlog_bytes: times(2, MIN_BACKLOG_BYTES),
            max_total_backlog_bytes: times(64, default.max_total_backlog_bytes),
            ..default
        }
    }

    /// Whether a path, in normal form, may be a room.
    pub(crate) fn is_room(&self, path: &str) -> bool {
        self.rooms.is_empty() || self.rooms.iter().any(|pattern| pattern.matches(path))
    }
}

impl Default for Config {
    fn default() -> Self {
        let limits = Limits::default();
        let message = limits.max_message_bytes;
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 8080))],
            subprotocols: Vec::new(),
            origins: Origins::default(),
            hosts: Vec::new(),
            deflate: Some(Deflate::default()),
            max_deflate_context_bytes: 64 << 20,
            limits,
            trusted_proxies: vec![loopback_v4(), IpNet::from(IpAddr::from(Ipv6Addr::LOCALHOST))],
            max_connections: 10_000,
            max_connections_per_address: 1_000,
            max_new_connections_per_second: 100,
            max_messages_per_second: 10_000,
            max_bytes_per_second: 16 << 20,
            throttle_timeout: Some(Duration::from_secs(30)),
            min_frame_bytes_per_second: 1 << 10,
            max_incomplete_bytes: 16 * message,
            rooms: Vec::new(),
            max_rooms: 10_000,
            max_rooms_per_address: 200,
            max_room_name_bytes: 255,
            max_backlog_bytes: 2 * message,
            max_total_backlog_bytes: 64 * message,
            socket_unsent_bytes: 128 << 10,
            slow: Slow::default(),
            handshake_timeout: Duration::from_secs(10),
            ping_interval: Some(Duration::from_secs(30)),
            pong_timeout: Some(Duration::from_secs(20)),
            write_timeout: Some(Duration::from_secs(60)),
            close_timeout: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(5),
            drain_spread: Duration::from_secs(2),
            drain_code: CloseCode::GOING_AWAY,
        }
    }
}

/// 127.0.0.0/8.
fn loopback_v4() -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8))
}
