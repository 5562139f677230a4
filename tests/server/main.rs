//! The server over real sockets, with tungstenite and with plain bytes as its clients.

mod callbacks;
mod departures;
mod http;
mod life;
mod places;
mod rooms;
mod slow;
mod support;
