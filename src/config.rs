//! What a server is told before it starts: every limit, with a reason for its default.

use std::net::SocketAddr;
use std::time::Duration;

use crate::protocol::{Deflate, Limits, Origins, is_token_byte};

/// The configuration of a [`Server`](crate::Server).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The addresses to listen on; port 0 takes a free one. The loopback address by default, so
    /// that nothing is on the network that was not put there.
    pub listen: Vec<SocketAddr>,
    /// The subprotocols that the server speaks; of those that a client offers, its first in this
    /// list is chosen (RFC 6455, section 4.2.2).
    pub subprotocols: Vec<String>,
    /// Whose pages may connect; by default those of the host that they connect to.
    pub origins: Origins,
    /// How messages are compressed with clients that offer permessage-deflate (RFC 7692); not at
    /// all where it is `None`.
    pub deflate: Option<Deflate>,
    /// What is taken of one peer's input.
    pub limits: Limits,
    /// The most connections that are open at once. The next request for an upgrade is answered
    /// with 503. 10,000 leave room in the usual limit of file descriptors.
    pub max_connections: usize,
    /// The most bytes that a member may be behind its room, and that are kept for it. One that
    /// falls further behind is closed with 1013. It must hold the longest message; the default
    /// holds two.
    pub max_backlog_bytes: usize,
    /// How long a client may take for the request's head, from the first byte to the last.
    pub handshake_timeout: Duration,
    /// How long a peer may be silent before it is sent a ping. Any whole frame counts as life.
    /// Thirty seconds are below what home routers and most proxies wait.
    pub ping_interval: Duration,
    /// How long a peer may be silent after the ping, before it is given up.
    pub pong_timeout: Duration,
    /// How long a peer may take nothing while there is something for it to take.
    pub write_timeout: Duration,
    /// How long a peer may take to answer a close frame, and to end its side of the connection.
    pub close_timeout: Duration,
    /// How long the server goes on after it was told to stop, so that clients can answer its
    /// close frames.
    pub drain_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 8080))],
            subprotocols: Vec::new(),
            origins: Origins::default(),
            deflate: Some(Deflate::default()),
            max_connections: 10_000,
            max_backlog_bytes: 2 * limits.max_message_bytes,
            limits,
            handshake_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(30),
            pong_timeout: Duration::from_secs(20),
            write_timeout: Duration::from_secs(60),
            close_timeout: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(5),
        }
    }
}

impl Config {
    /// Whether the limits go together.
    ///
    /// # Errors
    /// One line that says which do not.
    pub(crate) fn check(&self) -> Result<(), String> {
        let (message, backlog) = (self.limits.max_message_bytes, self.max_backlog_bytes);
        if self.listen.is_empty() {
            return Err("there is no address to listen on".into());
        }
        if backlog < message {
            return Err(format!(
                "the backlog limit, {backlog} bytes, does not hold the longest message, {message} bytes"
            ));
        }
        if self.deflate.as_ref().is_some_and(|deflate| !(9..=15).contains(&deflate.window_bits)) {
            return Err("a compression window has 9 to 15 bits".into());
        }
        match self.subprotocols.iter().find(|name| !is_token(name)) {
            Some(name) => Err(format!("{name:?} cannot be the name of a subprotocol")),
            None => Ok(()),
        }
    }
}

/// Whether `name` is a token (RFC 9110, section 5.6.2), as a subprotocol's name must be
/// (RFC 6455, section 4.1).
fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(is_token_byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_goes_together() {
        assert_eq!(Config::default().check(), Ok(()));
    }

    #[test]
    fn what_does_not_go_together_is_named() {
        let small = Config { max_backlog_bytes: 1, ..Config::default() };
        assert!(small.check().unwrap_err().contains("backlog"));
        let window = Deflate { window_bits: 8, ..Deflate::default() };
        let tiny = Config { deflate: Some(window), ..Config::default() };
        assert!(tiny.check().unwrap_err().contains("window"));
        let nowhere = Config { listen: Vec::new(), ..Config::default() };
        assert!(nowhere.check().unwrap_err().contains("address"));
        let forged = Config { subprotocols: vec!["a\r\nb".into()], ..Config::default() };
        assert!(forged.check().unwrap_err().contains("subprotocol"));
    }
}
