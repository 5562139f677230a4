//! The configuration of a server: every limit, with the reason for its default.

mod bound_socket;
mod check;
mod connections;
mod error;
mod history;
mod listen;
mod memory;
mod rates;
mod room_pattern;
mod rooms;
mod shutdown;
mod slow;
mod sockets;
mod timeouts;
mod tls;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net};

use crate::protocol::{Deflate, Host, Limits, Origins};

pub use bound_socket::BoundSocket;
pub use connections::ConnectionLimits;
pub use error::ConfigError;
pub use history::HistoryLimits;
pub use listen::{InvalidListen, Listen, ListenAddress};
pub use memory::MemoryLimits;
pub use rates::RateLimits;
pub use room_pattern::{InvalidRoomPattern, RoomPattern};
pub use rooms::RoomLimits;
pub use shutdown::ShutdownConfig;
pub use slow::Slow;
pub use sockets::SocketConfig;
pub use timeouts::Timeouts;
pub use tls::{CertificateFiles, TlsConfig};

/// The configuration of a [`Server`](crate::Server). Fields may be added to it and to its parts: start
/// from a default, and assign the fields that should be different.
///
/// ```
/// use std::time::Duration;
/// use townhall::Config;
///
/// let mut config = Config::default();
/// config.listen = vec!["[::]:8080".parse()?];
/// config.timeouts.handshake = Duration::from_secs(5);
/// # assert_eq!(config.check(), Ok(()));
/// # Ok::<(), townhall::InvalidListen>(())
/// ```
///
/// Two rooms for many readers, behind a proxy on another machine:
///
/// ```
/// use std::time::Duration;
/// use townhall::{CloseCode, Config, Slow};
///
/// let mut config = Config::with_max_message_bytes(64 << 10);
/// config.trusted_proxies = vec!["192.0.2.10/32".parse()?];
/// config.hosts = vec!["chat.example".parse()?];
/// config.rooms.patterns = vec!["/news".parse()?, "/talk".parse()?];
///
/// config.connections.max = 100_000;
/// config.connections.max_per_address = 100;
/// config.connections.max_new_per_address_per_second = 10;
/// config.rates.max_messages_per_second = 20;
/// config.rates.max_bytes_per_second = 64 << 10;
/// config.rates.throttle_timeout = Some(Duration::from_secs(10));
///
/// // A reader that does not keep up misses messages instead of being closed.
/// config.slow = Slow::Drop;
/// config.memory.max_backlog_bytes = 1 << 20;
/// config.memory.max_total_backlog_bytes = 256 << 20;
/// // The proxy pings its clients itself.
/// config.timeouts.ping_interval = None;
/// config.timeouts.write = Some(Duration::from_secs(20));
///
/// config.shutdown.timeout = Duration::from_secs(30);
/// config.shutdown.spread = Duration::from_secs(15);
/// config.shutdown.code = CloseCode::SERVICE_RESTART;
/// config.check()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The addresses to listen on. Port 0 picks a free port. The default is the loopback address, so
    /// that nothing is reachable from the network by accident. `[::]` accepts IPv4 connections too,
    /// unless an IPv4 address with the same port is listed.
    pub listen: Vec<Listen>,
    /// Options of the sockets that the server binds itself.
    pub sockets: SocketConfig,
    /// The certificates for the listeners that speak TLS.
    pub tls: TlsConfig,
    /// The subprotocols that the server supports. It chooses the first of a client's offers that is in
    /// this list (RFC 6455, section 4.2.2).
    pub subprotocols: Vec<String>,
    /// The origins whose pages may connect. The default is the origin of the host that the page connects
    /// to. On a loopback address, a host other than `localhost` and the loopback addresses counts only
    /// if `hosts` names it or a trusted proxy forwarded the request, because the owner of a hostile page
    /// can make its name resolve to a loopback address (DNS rebinding).
    pub origins: Origins,
    /// The host names of the server. A request for another host gets 421, unless it is for the IP
    /// address that the client connected to, as the requests of load balancers are. If the list is
    /// empty, which is the default, every host is served.
    pub hosts: Vec<Host>,
    /// The networks of trusted reverse proxies, which are exempt from the limits per address. The server
    /// uses their `X-Forwarded-For` and `X-Forwarded-Host`, and `Forwarded` (RFC 7239) where these
    /// fields are missing. On listeners with [`Listen::proxy_protocol`], they send PROXY headers; the
    /// fields are then used only if the address in the header is in these networks too. Requests of others for
    /// a URI with `https` or `wss` get 421 on connections without TLS. The default is the loopback addresses,
    /// because most proxies run on the same machine. Peers on Unix sockets are always trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether plain requests with any method reach the application as
    /// [`Event::Request`](crate::Event::Request). By default, only GET and HEAD do; OPTIONS gets 204, POST, PUT
    /// and DELETE get 405, and other methods get 501. A request with a body gets 413, unless `request_bodies`
    /// is set. CONNECT always gets 501.
    pub any_method: bool,
    /// Whether the application reads the bodies of plain requests, of up to
    /// [`limits.max_body_bytes`](Limits::max_body_bytes). Requests with any method then reach it, as with
    /// `any_method`. Those with GET or HEAD may still have no body. After the response to another method,
    /// the connection persists, and clients may send requests without waiting for the responses.
    pub request_bodies: bool,
    /// How messages are compressed for clients that offer permessage-deflate (RFC 7692). If it is
    /// `None`, they are not compressed.
    pub deflate: Option<Deflate>,
    /// The limits on the input of one client.
    pub limits: Limits,
    /// The limits on connections.
    pub connections: ConnectionLimits,
    /// The limits on how fast one connection sends.
    pub rates: RateLimits,
    /// The limits on rooms.
    pub rooms: RoomLimits,
    /// The limits on memory that is held for clients.
    pub memory: MemoryLimits,
    /// What is kept of a room's messages for clients that come back, if anything. Clients may then use the
    /// subprotocol [`townhall.v1`](crate::protocol::SUBPROTOCOL), and a text that begins with U+0000 closes
    /// its sender with 1008, because the server's own words to such clients begin with it.
    pub history: Option<HistoryLimits>,
    /// What happens to a member that is more than `memory.max_backlog_bytes` behind its room.
    pub slow: Slow,
    /// How long the server waits for a client.
    pub timeouts: Timeouts,
    /// How the server stops.
    pub shutdown: ShutdownConfig,
}

impl Config {
    /// The default configuration for messages and bodies of up to `max_message_bytes`. The limits on memory
    /// for messages grow with that size, and are never less than a busy room needs: in `memory`,
    /// `max_incomplete_bytes` is 16 times as much and at least 256 MiB, `max_backlog_bytes` is twice as
    /// much and at least 4 MiB, and `max_total_backlog_bytes` is 64 times as much and at least 1 GiB.
    pub fn with_max_message_bytes(max_message_bytes: usize) -> Self {
        Self {
            limits: Limits {
                max_message_bytes,
                max_body_bytes: max_message_bytes,
                ..Limits::default()
            },
            memory: MemoryLimits::with_max_message_bytes(max_message_bytes),
            ..Self::default()
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 8080)).into()],
            sockets: SocketConfig::default(),
            tls: TlsConfig::default(),
            subprotocols: Vec::new(),
            origins: Origins::default(),
            hosts: Vec::new(),
            trusted_proxies: vec![loopback_v4(), IpNet::from(IpAddr::from(Ipv6Addr::LOCALHOST))],
            any_method: false,
            request_bodies: false,
            deflate: Some(Deflate::default()),
            limits: Limits::default(),
            connections: ConnectionLimits::default(),
            rates: RateLimits::default(),
            rooms: RoomLimits::default(),
            memory: MemoryLimits::default(),
            history: None,
            slow: Slow::default(),
            timeouts: Timeouts::default(),
            shutdown: ShutdownConfig::default(),
        }
    }
}

/// 127.0.0.0/8.
fn loopback_v4() -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8))
}
