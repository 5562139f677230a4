//! A hub over memory instead of sockets, and peers that know what they must receive.
//!
//! The property test of this module and the fuzz target `room` drive it with the same steps.

mod peer;
mod pipe;
mod sequences;
mod step;
#[cfg(test)]
mod tests;
mod word;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::{Config, Slow};
use crate::protocol::{CloseCode, Deflate, SUBPROTOCOL, Start};
use crate::server::client::Client;
use crate::server::client_id::ClientId;
use crate::server::event_loop::flushing;
use crate::server::hub::Hub;
use crate::server::hub::closing::answer_close;
use crate::server::hub::{lifecycle, trim, words};
use crate::server::room::TurnEnd;
use crate::server::simulation::peer::{Expected, Peer};
use crate::server::simulation::pipe::connect_with;
use crate::server::simulation::sequences::Sequences;

pub(crate) use pipe::Pipe;
#[cfg(test)]
pub(crate) use pipe::{connect, flush};
pub use sequences::Kept;
pub use step::{Action, From, Step};
#[cfg(test)]
pub(crate) use word::Heard;

/// What a client offers in its handshake.
const OFFERS: [&str; 5] = [
    "x-none",
    "permessage-deflate",
    "permessage-deflate; server_no_context_takeover",
    "permessage-deflate; server_max_window_bits=9",
    "permessage-deflate; server_max_window_bits=10; server_no_context_takeover",
];

/// The number of rooms.
const ROOMS: usize = 3;

/// A restored room has fewer messages than this.
const MAX_RESTORED: usize = 6;

/// Of this number of peers, one hears no words of the server.
const WORDLESS: usize = 4;

/// A total limit under which some clients are closed: three segments of a log.
pub const SCARCE_BYTES: usize = 200_000;

/// A hub and its peers.
#[derive(Debug)]
pub struct Simulation {
    hub: Hub,
    peers: BTreeMap<ClientId, Peer>,
    sequences: Sequences,
    /// The number of messages that were sent.
    sent: usize,
}

impl Simulation {
    /// A hub with this policy for slow members, this total backlog limit, and this history.
    pub fn new(slow: Slow, max_total_backlog_bytes: usize, kept: Kept) -> Self {
        let deflate = Deflate { window_bits: 11, threshold_bytes: 8, ..Deflate::default() };
        let mut config = Config { deflate: Some(deflate), slow, ..Config::default() };
        // A limit under which members often miss messages, in compressed logs too.
        config.memory.max_backlog_bytes = match (slow, kept) {
            (Slow::Drop, Kept::Nothing) => 1_000,
            (Slow::Drop, _) => 16_000,
            _ => 40_000,
        };
        config.memory.max_total_backlog_bytes = max_total_backlog_bytes;
        config.limits.max_message_bytes = 10_000;
        config.history = kept.limits(config.memory.max_backlog_bytes / 2);
        let sequences = Sequences::new(kept);
        Self { hub: Hub::new(config), peers: BTreeMap::new(), sequences, sent: 0 }
    }

    /// Performs a step.
    pub fn step(&mut self, step: &Step) {
        match *step {
            Step::Connect { offer, room } => self.connect(offer, room % ROOMS, Start::Now),
            Step::Return { offer, place, from } => {
                if let Some((room, start)) = self.sequences.start(place, from) {
                    self.connect(offer, room, start);
                }
            }
            Step::Flush => self.flush_once(),
            Step::FlushEarly => flushing::flush(&mut self.hub, TurnEnd::Later),
            Step::Rest => {
                self.rest(Duration::from_secs(20));
            }
            Step::Replace { room, count } => self.replace(room % ROOMS, count % MAX_RESTORED),
            Step::Broadcast { room, length } => self.broadcast(room % ROOMS, length),
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
            assert!(peer.closed || peer.is_done(self.drops()), "{id} waits for {left} messages");
            let ended = self.hub.clients.get(*id).is_some_and(Client::has_ended_writing);
            assert_eq!(ended, peer.leaving, "{id} waits for the end of TCP");
        }
        assert_eq!(self.hub.memory.backlog(), 0, "bytes are kept for nobody");
        assert_eq!(
            (self.hub.clients.waits, self.hub.rooms.overdue),
            (0, false),
            "somebody is not read"
        );
        assert!(missed as u64 <= self.hub.counts.skipped, "{missed} are missed");
        self.check_positions();
        self.check_history();
    }

    /// Checks that every peer that counts has counted up to the end of its room's sequence.
    fn check_positions(&self) {
        for (id, peer) in self.peers.iter().filter(|(id, _)| self.is_open(**id)) {
            if let Some(room) = peer.room.filter(|_| peer.is_in_sequence && peer.hears_words()) {
                assert_eq!(peer.position, self.sequences.end(&self.hub, room), "{id}");
            }
        }
    }

    /// Checks that history is within its limits once everybody has read it, and that nothing is left of it
    /// when it is old.
    fn check_history(&mut self) {
        self.rest(Duration::ZERO);
        let past = self.hub.memory.segments.past();
        let max = self.hub.config.history.as_ref().map_or(0, |history| history.max_total_bytes);
        assert!(past <= max, "{past} bytes of history are more than {max}");
        while let Some(id) = self.peers.keys().next().copied() {
            self.remove(id);
        }
        self.rest(2 * Kept::MAX_AGE);
        let segments = &self.hub.memory.segments;
        assert_eq!((self.hub.rooms.len(), segments.past(), segments.held()), (0, 0, 0));
    }

    fn drops(&self) -> bool {
        self.hub.config.slow == Slow::Drop
    }

    fn act(&mut self, id: ClientId, action: &Action) {
        match *action {
            Action::Join(room) => self.join(id, room % ROOMS, Start::Now),
            Action::Move(place, from) => {
                if let Some((room, start)) = self.sequences.start(place, from) {
                    self.join(id, room, start);
                }
            }
            Action::Leave => {
                self.hub.leave(id);
                let drops = self.drops();
                self.edit(id, |peer| {
                    peer.room = None;
                    peer.leave_sequence(drops);
                });
            }
            Action::Publish(length) => self.publish(id, length, true),
            Action::PublishToOthers(length) => self.publish(id, length, false),
            Action::Send(length) => {
                let message = self.message(length);
                // It may be the frame that has begun when the limits close the connection.
                let expected = Expected::Message(message.clone());
                self.edit(id, |peer| peer.expected.push_back(expected));
                self.hub.send(id, &message[..]);
            }
            Action::Beat => {
                if self.is_open(id) {
                    words::beat(&mut self.hub, id);
                }
            }
            Action::Close => self.hub.close(id, CloseCode::NORMAL, "enough"),
            Action::PeerClose => self.leave(id),
            Action::Break => {
                lifecycle::lose(&mut self.hub, id);
                self.remove(id);
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

    fn connect(&mut self, offer: usize, room: usize, start: Start) {
        let extensions = OFFERS[offer % OFFERS.len()];
        let mut fields = format!("Sec-WebSocket-Extensions: {extensions}\r\n");
        if !(offer / OFFERS.len()).is_multiple_of(WORDLESS) {
            fields += &format!("Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n");
        }
        let (id, pipe, terms) = connect_with(&mut self.hub, &fields);
        self.peers.insert(id, Peer::new(pipe, terms));
        self.join(id, room, start);
    }

    fn join(&mut self, id: ClientId, room: usize, start: Start) {
        if !self.hub.join_from(id, &room.to_string(), start) {
            return;
        }
        let drops = self.drops();
        let entry = self.sequences.enter(&self.hub, room, start);
        self.edit(id, |peer| {
            peer.room = Some(room);
            match entry {
                Some(entry) => peer.enter_sequence(entry.greeting, entry.replayed),
                None => peer.leave_sequence(drops),
            }
        });
    }

    /// Replaces the sequence of a room, and moves its members to the new one.
    fn replace(&mut self, room: usize, count: usize) {
        let name = room.to_string();
        let old = self.sequences.end(&self.hub, room);
        let is_in = |peer: &Peer| peer.room == Some(room);
        let peers = self.peers.iter().filter(|(_, peer)| is_in(peer)).map(|(id, _)| *id);
        let members: Vec<_> = peers.filter(|id| self.is_open(*id)).collect();
        assert_eq!(self.hub.forget(&name), members.is_empty(), "members are in the way");
        for id in &members {
            self.hub.leave(*id);
        }
        assert!(self.hub.forget(&name) && self.hub.room(&name).is_none());
        let messages: Vec<_> = (0..count).map(|number| self.message(number * 500)).collect();
        self.sequences.restore(&mut self.hub, room, messages);
        for id in members {
            self.join(id, room, old.map_or(Start::Now, Start::After));
        }
    }

    /// Removes a peer that has gone.
    fn remove(&mut self, id: ClientId) {
        lifecycle::remove(&mut self.hub, id);
        let peer = self.peers.remove(&id);
        self.sequences.leave(peer.and_then(|peer| peer.position));
    }

    fn rest(&mut self, duration: Duration) {
        self.hub.time.now += duration;
        self.hub.time.timestamp = self.hub.time.timestamp.after(duration);
        trim::trim(&mut self.hub);
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
        let before = self.sequences.end(&self.hub, room);
        self.hub.broadcast(&room.to_string(), &message[..]);
        let expected = self.sequences.append(&self.hub, room, before, message);
        self.expect(room, None, &expected);
    }

    fn publish(&mut self, id: ClientId, length: usize, reflect: bool) {
        let message = self.message(length);
        let open = self.is_open(id);
        let Some(room) = self.peers[&id].room.filter(|_| open) else {
            self.hub.publish(id, &message[..]);
            return;
        };
        let before = self.sequences.end(&self.hub, room);
        if reflect {
            self.hub.publish(id, &message[..]);
        } else {
            self.hub.publish_to_others(id, &message[..]);
        }
        // A client's message is sent, even if the client falls too far behind because of it.
        let expected = self.sequences.append(&self.hub, room, before, message);
        self.expect(room, (!reflect).then_some(id), &expected);
    }

    /// Notes that all members of a room but one must receive a message, and that one its place.
    fn expect(&mut self, room: usize, except: Option<ClientId>, message: &Expected) {
        for (id, peer) in &mut self.peers {
            if !self.hub.is_open(*id) || peer.room != Some(room) {
                continue;
            }
            match *message {
                _ if Some(*id) != except => peer.expected.push_back(message.clone()),
                Expected::At(position) if peer.hears_words() => {
                    peer.expected.push_back(Expected::Receipt(position));
                }
                _ => {}
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
        flushing::flush(&mut self.hub, TurnEnd::Now);
        let drops = self.drops();
        for peer in self.peers.values_mut() {
            peer.receive(drops, &self.sequences.said);
        }
        for id in std::mem::take(&mut self.hub.pending.gone) {
            self.remove(id);
        }
    }
}
