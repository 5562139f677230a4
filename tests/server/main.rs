//! The server over real sockets, with tungstenite and raw bytes as clients.

mod auto_traits;
mod bodies;
mod callbacks;
mod calls;
mod counts;
mod deflate;
mod departures;
mod embedding;
mod handle;
mod history;
mod http;
mod inspection;
mod keepalive;
mod limits;
mod listeners;
mod methods;
mod pausing;
mod proxied;
mod restoring;
mod rooms;
mod shutdown;
mod sites;
mod slow;
mod slow_policies;
mod support;
mod timers;
mod times;
#[cfg(feature = "tls")]
mod tls;
mod unix;
mod upgrades;
