//! A hub over memory instead of sockets, and peers that know what they must receive.
//!
//! The property test of this module and the fuzz target `room` drive it with the same steps.

mod peer;
mod pipe;
mod step;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::{Config, Slow};
use crate::protocol::{CloseCode, Deflate};
use crate::server::client::Client;
use crate::server::client_id::ClientId;
use crate::server::event_loop::flushing::flush;
use crate::server::hub::Hub;
use crate::server::hub::closing::answer_close;
use crate::server::hub::{lifecycle, trim};
use crate::server::room::TurnEnd;
use crate::server::simulation::peer::Peer;

pub(crate) use pipe::{Pipe, connect};
pub use step::{Action, Step};

/// What a client offers in its handshake.
const OFFERS: [&str; 5] = [
    "x-none",
    "permessage-deflate",
    "permessage-deflate; server_no_context_takeover",
    "permessage-deflate; server_max_window_bits=9",
    "permessage-deflate; server_max_window_bits=10; server_no_context_takeover",
];

/// A total limit under which some clients are closed: three segments of a log.
pub const SCARCE_BYTES: usize = 200_000;

/// A hub and its peers.
#[derive(Debug)]
pub struct Simulation {
    hub: Hub,
    peers: BTreeMap<ClientId, Peer>,
    /// The number of messages that were sent.
    sent: usize,
}

impl Simulation {
    /// A hub with this policy for slow members, and this total backlog limit.
    pub fn new(slow: Slow, max_total_backlog_bytes: usize) -> Self {
        let deflate = Deflate { window_bits: 11, threshold_bytes: 8, ..Deflate::default() };
        let mut config = Config { deflate: Some(deflate), slow, ..Config::default() };
        // A limit under which members often miss messages, in compressed logs too.
        config.memory.max_backlog_bytes = if slow == Slow::Drop { 1_000 } else { 40_000 };
        config.memory.max_total_backlog_bytes = max_total_backlog_bytes;
        config.limits.max_message_bytes = 10_000;
        Self { hub: Hub::new(config), peers: BTreeMap::new(), sent: 0 }
    }

    /// Performs a step.
    pub fn step(&mut self, step: &Step) {
        match *step {
            Step::Connect { offer, room } => self.connect(OFFERS[offer % OFFERS.len()], room % 3),
            Step::Flush => self.flush_once(),
            Step::FlushEarly => flush(&mut self.hub, TurnEnd::Later),
            Step::Rest => {
                self.hub.time.now += Duration::from_secs(20);
                trim::trim(&mut self.hub);
            }
            Step::Broadcast { room, length } => self.broadcast(room % 3, length),
            Step::Peer(peer, ref action) => {
                let peers = self.peers.len().max(1);
                if let Some(id) = self.peers.keys().nth(peer % peers).copied() {
                    self.act(id, action);
                }
            }
        }
    }

    /// Makes every peer read everything, and checks that it has received what it must receive.
    ///
    /// # Panics
    /// If a peer has not.
    pub fn finish(mut self) {
        for peer in self.peers.values() {
            peer.pipe.allow(usize::MAX);
        }
        let ids: Vec<_> = self.peers.keys().copied().collect();
        for id in ids {
            lifecycle::unblock(&mut self.hub, id);
        }
        self.flush();
        let there = self.peers.values().filter(|peer| !peer.closed);
        let missed: usize = there.map(|peer| peer.missed).sum();
        for (id, peer) in &self.peers {
            assert!(peer.closed || self.is_open(*id), "{id} waits for a close frame");
            let left = peer.expected.len();
            assert!(peer.closed || left == 0, "{id} waits for {left} messages");
            let ended = self.hub.clients.get(*id).is_some_and(Client::has_ended_writing);
            assert_eq!(ended, peer.leaving, "{id} waits for the end of TCP");
        }
        assert_eq!(self.hub.memory.backlog(), 0, "bytes are kept for nobody");
        assert_eq!(
            (self.hub.clients.laggards, self.hub.rooms.overdue),
            (0, false),
            "somebody is not read"
        );
        assert!(missed as u64 <= self.hub.counts.skipped, "{missed} are missed");
    }

    fn drops(&self) -> bool {
        self.hub.config.slow == Slow::Drop
    }

    fn act(&mut self, id: ClientId, action: &Action) {
        match *action {
            Action::Join(room) => self.join(id, room % 3),
            Action::Leave => {
                self.hub.leave(id);
                self.edit(id, |peer| peer.room = None);
            }
            Action::Publish(length) => self.publish(id, length, true),
            Action::PublishToOthers(length) => self.publish(id, length, false),
            Action::Send(length) => {
                let message = self.message(length);
                // It may be the frame that has begun when the limits close the connection.
                self.edit(id, |peer| peer.expected.push_back(message.clone()));
                self.hub.send(id, &message[..]);
            }
            Action::Close => self.hub.close(id, CloseCode::NORMAL, "enough"),
            Action::PeerClose => self.leave(id),
            Action::Break => {
                lifecycle::lose(&mut self.hub, id);
                lifecycle::remove(&mut self.hub, id);
                self.peers.remove(&id);
            }
            Action::Read(size) => {
                self.edit(id, |peer| peer.pipe.allow(size));
                lifecycle::unblock(&mut self.hub, id);
            }
        }
    }

    fn is_open(&self, id: ClientId) -> bool {
        self.hub.is_open(id)
    }

    fn edit(&mut self, id: ClientId, edit: impl FnOnce(&mut Peer)) {
        if self.is_open(id)
            && let Some(peer) = self.peers.get_mut(&id)
        {
            edit(peer);
        }
    }

    fn connect(&mut self, offer: &str, room: usize) {
        let (id, pipe, terms) = connect(&mut self.hub, offer);
        self.peers.insert(id, Peer::new(pipe, terms));
        self.join(id, room);
    }

    fn join(&mut self, id: ClientId, room: usize) {
        self.hub.join(id, &room.to_string());
        self.edit(id, |peer| peer.room = Some(room));
    }

    fn leave(&mut self, id: ClientId) {
        if self.hub.clients.get(id).is_some_and(|client| !client.connection.is_closed()) {
            answer_close(&mut self.hub, id, None);
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.leaving = true;
            }
        }
    }

    fn broadcast(&mut self, room: usize, length: usize) {
        let message = self.message(length);
        self.hub.broadcast(&room.to_string(), &message[..]);
        self.expect(room, None, &message);
    }

    fn publish(&mut self, id: ClientId, length: usize, reflect: bool) {
        let message = self.message(length);
        let open = self.is_open(id);
        if reflect {
            self.hub.publish(id, &message[..]);
        } else {
            self.hub.publish_to_others(id, &message[..]);
        }
        // A client's message is sent, even if the client falls too far behind because of it.
        if !open {
            return;
        }
        let Some(room) = self.peers[&id].room else { return };
        self.expect(room, (!reflect).then_some(id), &message);
    }

    /// Notes that all members of a room but one must receive a message.
    fn expect(&mut self, room: usize, except: Option<ClientId>, message: &[u8]) {
        for (id, peer) in &mut self.peers {
            let open = self.hub.is_open(*id);
            if open && peer.room == Some(room) && Some(*id) != except {
                peer.expected.push_back(message.to_vec());
            }
        }
    }

    /// A message that differs from all others, and has something in common with some.
    fn message(&mut self, length: usize) -> Vec<u8> {
        self.sent += 1;
        let noise = |at: usize| (self.sent * 31 + at).wrapping_mul(2_654_435_761) >> 16;
        let words = format!("{} says something, and {} ", self.sent, self.sent % 7);
        let bytes = words.bytes().chain(words.bytes().cycle().take(length % 6_000));
        let noisy = length.is_multiple_of(3);
        bytes.enumerate().map(|(at, byte)| if noisy { noise(at) as u8 } else { byte }).collect()
    }

    fn flush(&mut self) {
        self.flush_once();
        while self.hub.is_dirty() {
            self.flush_once();
        }
    }

    /// One turn of the event loop.
    fn flush_once(&mut self) {
        flush(&mut self.hub, TurnEnd::Now);
        let drops = self.drops();
        for peer in self.peers.values_mut() {
            peer.receive(drops);
        }
        for id in std::mem::take(&mut self.hub.pending.gone) {
            lifecycle::remove(&mut self.hub, id);
            self.peers.remove(&id);
        }
    }
}
