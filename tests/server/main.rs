//! The server over real sockets, with tungstenite and with plain bytes as its clients.

mod auto_traits;
mod callbacks;
mod deflate;
mod departures;
mod embedding;
mod handle;
mod http;
mod life;
mod limits;
mod listeners;
mod places;
mod policies;
mod rooms;
mod shutdown;
mod sites;
mod slow;
mod support;
mod timers;
mod times;
mod upgrades;
