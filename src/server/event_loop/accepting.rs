//! New connections: counted, limited by address, and registered.

use std::io;

use log::debug;
use mio::Interest;

use super::EventLoop;
use super::listeners::{Accepted, Arrival, PAUSE, turn_away};
use super::sockets::Stream;
use crate::protocol::{ProxyRefusal, Refusal};
use crate::server::client::transport::{TlsStream, Transport};
use crate::server::hub::answering::refuse;
use crate::server::hub::{lifecycle, proxied};
use crate::server::limits::address::{AddressKey, Admission};

/// The events of a client's socket, edge-triggered, for which it is registered once.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const INTERESTS: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// The events of a client's socket, edge-triggered, for which it is registered once. A read stops at an
/// urgent byte, which only Linux reports.
#[cfg(any(target_os = "linux", target_os = "android"))]
const INTERESTS: Interest = Interest::READABLE.add(Interest::WRITABLE).add(Interest::PRIORITY);

/// The maximum number of connections in addition to the open ones: handshakes, refusals and closing
/// connections. Further connections get 503, whatever they request.
const SPARE_CONNECTIONS: usize = 256;

impl EventLoop {
    #[cold]
    pub(super) fn accept(&mut self) {
        self.listeners.begin_turn();
        while let Some(arrival) = self.listeners.accept(self.hub.time.now) {
            match arrival {
                Arrival::Accepted(accepted) => self.welcome(accepted),
                Arrival::TurnedAway(peer) => {
                    self.count_turned_away();
                    let reason = "out of file descriptors";
                    self.hub.warn(format_args!("{peer} refused with 503: {reason}"));
                }
                Arrival::Failed(error) => {
                    self.hub.warn(format_args!("accepting paused for {PAUSE:?}: {error}"));
                }
            }
        }
    }

    fn welcome(&mut self, mut accepted: Accepted) {
        let peer = accepted.peer;
        let max = self.hub.config.connections.max.saturating_add(SPARE_CONNECTIONS);
        if self.hub.clients.len() >= max {
            turn_away(&mut accepted.stream, accepted.tls.is_some());
            self.count_turned_away();
            let reason = format_args!("{max} connections are open");
            return self.hub.log_refusal(format_args!("{peer} refused with 503: {reason}"));
        }
        self.hub.counts.accepted += 1;
        if let Err(error) = self.admit(accepted) {
            self.hub.counts.dropped += 1;
            debug!("{peer} dropped: {error}");
        }
    }

    fn count_turned_away(&mut self) {
        self.hub.counts.accepted += 1;
        *self.hub.counts.refused.entry(Refusal::Full).or_default() += 1;
    }

    fn admit(&mut self, accepted: Accepted) -> io::Result<()> {
        let Accepted { mut stream, peer, tls, proxy_protocol } = accepted;
        let now = self.hub.time.timestamp;
        let config = &self.hub.config;
        let key = peer.0.and_then(|address| AddressKey::of_peer(address.ip(), config));
        if let Some(address) = peer.0.filter(|_| proxy_protocol && key.is_some()) {
            proxied::refuse_untrusted(&mut self.hub, address);
            return Err(io::Error::other(ProxyRefusal::Untrusted));
        }
        let enter = |key| self.hub.usage.addresses.enter(key, now, config);
        let mut admission = key.map_or(Admission::Admitted, enter);
        if let Some(key) = key.filter(|_| tls.is_some() && admission == Admission::Refused) {
            // A response would cost a handshake.
            self.hub.usage.addresses.leave(key);
            turn_away(&mut stream, true);
            admission = Admission::Dropped;
        }
        if admission == Admission::Dropped {
            return Err(io::Error::other("too many connections from this address"));
        }
        let tls = tls.map(TlsStream::begin).transpose()?;
        let id = self.hub.clients.next_id();
        debug!("{id} connected from {peer}");
        // This fails if the peer has disconnected, which the next read reports.
        let _ = stream.set_nodelay();
        let registered = stream.register(self.poll.registry(), id.token(), INTERESTS);
        let transport = match (stream, tls) {
            (Stream::Tcp(stream), Some(tls)) => {
                Transport::Tls(Box::new(TlsStream::new(stream, tls)))
            }
            (Stream::Tcp(stream), None) => Transport::Tcp(stream),
            // The configuration has been checked: no Unix socket speaks TLS.
            (Stream::Unix(stream), _) => Transport::Unix(stream),
        };
        let transport = if proxy_protocol { transport.behind_proxy() } else { transport };
        lifecycle::insert(&mut self.hub, id, transport, key);
        match registered {
            Err(_) => lifecycle::lose(&mut self.hub, id),
            Ok(()) if admission == Admission::Refused => {
                refuse(&mut self.hub, id, Refusal::TooManyFromAddress);
            }
            Ok(()) => {}
        }
        registered
    }
}
