//! A hub over memory instead of sockets, and peers that know what they must receive.
//!
//! The property test below and the fuzz target `room` drive it with the same steps.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, IoSlice};
use std::rc::Rc;
use std::time::Duration;

use crate::config::{Config, Slow};
use crate::protocol::internals::{Inflater, SlidingWindow};
use crate::protocol::{Buffers, CloseCode, Deflate, Received, Request, Terms, frame};
use crate::server::client::Client;
use crate::server::client::transport::Transport;
use crate::server::client_id::ClientId;
use crate::server::event_loop::reading::answer_close;
use crate::server::hub::Hub;
use crate::server::room::TurnEnd;

/// One end of a connection in memory: what was written, and how much more it takes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pipe(Rc<RefCell<(VecDeque<u8>, usize)>>);

impl Pipe {
    pub(crate) fn write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let (bytes, room) = &mut *self.0.borrow_mut();
        let before = *room;
        for piece in pieces {
            let size = piece.len().min(*room);
            bytes.extend(&piece[..size]);
            *room -= size;
        }
        if before == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(before - *room) }
    }

    /// Takes out what was written.
    #[cfg(test)]
    pub(crate) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.borrow_mut().0).into()
    }

    /// Lets `size` more bytes be written.
    pub(crate) fn allow(&self, size: usize) {
        let room = &mut self.0.borrow_mut().1;
        *room = room.saturating_add(size);
    }
}

/// What a client offers in its handshake.
const OFFERS: [&str; 5] = [
    "x-none",
    "permessage-deflate",
    "permessage-deflate; server_no_context_takeover",
    "permessage-deflate; server_max_window_bits=9",
    "permessage-deflate; server_max_window_bits=10; server_no_context_takeover",
];

/// So little memory for all clients that some are closed because of it: three segments of a log.
pub const SCARCE_BYTES: usize = 200_000;

/// A thing that happens. Peers and rooms are numbers, taken modulo how many there are.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    /// A peer comes, with one of the offers, and joins a room.
    Connect {
        /// What the peer offers.
        offer: usize,
        /// The room that the peer joins.
        room: usize,
    },
    /// The turn ends.
    Flush,
    /// What was said is written in the middle of a turn.
    FlushEarly,
    /// Time passes and nothing happens.
    Rest,
    /// The application sends a message to a room.
    Broadcast {
        /// The room that the message is sent to.
        room: usize,
        /// The length of the message in bytes.
        length: usize,
    },
    /// A peer that is there does something, or something is done to it.
    Peer(usize, Action),
}

/// What a peer does, or what is done to it. Lengths are in bytes.
#[derive(Debug, Clone, Copy)]
pub enum Action {
    /// The peer joins a room.
    Join(usize),
    /// The peer leaves its room.
    Leave,
    /// The peer sends a message to its room.
    Say(usize),
    /// The peer sends a message to the others in its room.
    SayToOthers(usize),
    /// A message is sent to the peer alone.
    Send(usize),
    /// The server closes the peer's connection.
    Close,
    /// The peer closes its connection.
    PeerClose,
    /// The peer's connection breaks.
    Break,
    /// The peer takes this many more bytes.
    Read(usize),
}

/// A hub and its peers.
#[derive(Debug)]
pub struct Simulation {
    hub: Hub,
    peers: BTreeMap<ClientId, Peer>,
    /// The words that messages are made of, and how many were said.
    said: usize,
}

/// What a peer knows.
#[derive(Debug)]
struct Peer {
    pipe: Pipe,
    terms: Terms,
    inflater: Inflater,
    window: SlidingWindow,
    room: Option<usize>,
    expected: VecDeque<Vec<u8>>,
    /// How many messages the peer did not get.
    missed: usize,
    /// Whether the peer sent a close frame, and receives only what had begun before.
    leaving: bool,
    /// Whether the peer received a close frame.
    closed: bool,
}

impl Simulation {
    /// A hub that treats slow members this way, and keeps this much for all clients.
    pub fn new(slow: Slow, max_total_backlog_bytes: usize) -> Self {
        let deflate = Deflate { window_bits: 11, threshold_bytes: 8, ..Deflate::default() };
        let mut config = Config { deflate: Some(deflate), slow, ..Config::default() };
        // So little that members often miss messages, in compressed logs too.
        config.memory.max_backlog_bytes = if slow == Slow::Drop { 1_000 } else { 40_000 };
        config.memory.max_total_backlog_bytes = max_total_backlog_bytes;
        config.limits.max_message_bytes = 10_000;
        let mut hub = Hub::new(config);
        hub.long_bytes = 2_000;
        Self { hub, peers: BTreeMap::new(), said: 0 }
    }

    /// Lets a thing happen.
    pub fn step(&mut self, step: &Step) {
        match *step {
            Step::Connect { offer, room } => self.connect(OFFERS[offer % OFFERS.len()], room % 3),
            Step::Flush => self.flush_once(),
            Step::FlushEarly => self.hub.flush(TurnEnd::Later),
            Step::Rest => {
                self.hub.time.now += Duration::from_secs(20);
                self.hub.trim();
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

    /// Everybody reads everything, and has received what it must have.
    ///
    /// # Panics
    /// If somebody has not.
    pub fn finish(mut self) {
        for peer in self.peers.values() {
            peer.pipe.allow(usize::MAX);
        }
        let ids: Vec<_> = self.peers.keys().copied().collect();
        for id in ids {
            self.hub.unblock(id);
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
            Action::Say(length) => self.say(id, length, true),
            Action::SayToOthers(length) => self.say(id, length, false),
            Action::Send(length) => {
                let message = self.message(length);
                // It may be the frame that has begun when the limits close the connection.
                self.edit(id, |peer| peer.expected.push_back(message.clone()));
                self.hub.send(id, &message[..]);
            }
            Action::Close => self.hub.close(id, CloseCode::NORMAL, "enough"),
            Action::PeerClose => self.leave(id),
            Action::Break => {
                self.hub.lose(id);
                self.hub.remove(id);
                self.peers.remove(&id);
            }
            Action::Read(size) => {
                self.edit(id, |peer| peer.pipe.allow(size));
                self.hub.unblock(id);
            }
        }
    }

    fn is_open(&self, id: ClientId) -> bool {
        self.hub.is_open(id)
    }

    fn edit(&mut self, id: ClientId, edit: impl FnOnce(&mut Peer)) {
        let open = self.is_open(id);
        self.peers.get_mut(&id).filter(|_| open).map(edit);
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

    fn say(&mut self, id: ClientId, length: usize, reflect: bool) {
        let (message, open) = (self.message(length), self.is_open(id));
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

    /// Notes that everybody in a room but one must receive a message.
    fn expect(&mut self, room: usize, except: Option<ClientId>, message: &[u8]) {
        for (id, peer) in &mut self.peers {
            let open = self.hub.is_open(*id);
            if open && peer.room == Some(room) && Some(*id) != except {
                peer.expected.push_back(message.to_vec());
            }
        }
    }

    /// A message that differs from all others, and shares something with some.
    fn message(&mut self, length: usize) -> Vec<u8> {
        self.said += 1;
        let noise = |at: usize| (self.said * 31 + at).wrapping_mul(2_654_435_761) >> 16;
        let words = format!("{} says something, and {} ", self.said, self.said % 7);
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
        self.hub.flush(TurnEnd::Now);
        let drops = self.drops();
        for peer in self.peers.values_mut() {
            peer.receive(drops);
        }
        for id in std::mem::take(&mut self.hub.pending.gone) {
            self.hub.remove(id);
            self.peers.remove(&id);
        }
    }
}

/// A client that has just opened, with these extensions, and takes nothing.
pub(crate) fn connect(hub: &mut Hub, offer: &str) -> (ClientId, Pipe, Terms) {
    let head = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Extensions: {offer}\r\n\r\n"
    );
    let request = Request::parse(head.as_bytes(), 10).expect("a correct head");
    let deflate = hub.config.deflate.as_ref();
    let mut terms = Terms::negotiate(&request, &[], deflate).expect("a correct request");
    let (id, pipe) = (hub.clients.next_id(), Pipe::default());
    hub.insert(id, Transport::Pipe(pipe.clone()), None);
    let client = hub.clients.get_mut(id).expect("it was inserted");
    let mut input = head.into_bytes();
    let received = client.connection.receive(&mut &mut input[..], &mut Buffers::default());
    assert!(matches!(received, Ok(Some(Received::Head(_)))));
    hub.open(id, &mut terms);
    // The answer to the handshake is not looked at.
    pipe.allow(usize::MAX);
    hub.write_now(id);
    *pipe.0.borrow_mut() = (VecDeque::new(), 0);
    (id, pipe, terms)
}

impl Peer {
    fn new(pipe: Pipe, terms: Terms) -> Self {
        let window_bits = terms.deflate.map_or(15, |terms| terms.server_window_bits());
        Self {
            pipe,
            terms,
            inflater: Inflater::default(),
            window: SlidingWindow::new(window_bits),
            room: None,
            expected: VecDeque::new(),
            missed: 0,
            leaving: false,
            closed: false,
        }
    }

    /// Reads the frames that have arrived whole, and compares their messages.
    fn receive(&mut self, drops: bool) {
        let bytes = self.pipe.0.borrow_mut().0.make_contiguous().to_vec();
        let mut at = 0;
        while let Some(size) = frame::frame_size(&bytes[at..]) {
            let Some(frame) = bytes.get(at..at + size) else { break };
            self.take(frame, drops);
            at += size;
        }
        self.pipe.0.borrow_mut().0.drain(..at);
    }

    fn take(&mut self, frame: &[u8], drops: bool) {
        assert!(!self.closed, "a frame after the close frame");
        let payload = &frame[if frame.len() < 128 { 2 } else { 4 }..];
        let message = match frame[0] {
            0x88 => return self.take_close(payload, drops),
            0x82 => payload.to_vec(),
            0xc2 => self.inflate(payload),
            first => panic!("{first:x} is no frame that was sent"),
        };
        // A slow member may miss some messages, and gets the others in order.
        while drops && self.expected.front().is_some_and(|expected| *expected != message) {
            self.expected.pop_front();
            self.missed += 1;
        }
        assert_eq!(Some(message), self.expected.pop_front());
    }

    /// A member that is closed has received everything, unless it was too far behind.
    fn take_close(&mut self, payload: &[u8], drops: bool) {
        self.closed = true;
        let cut_off = payload.starts_with(&CloseCode::TRY_AGAIN_LATER.get().to_be_bytes());
        assert!(
            cut_off || drops || self.leaving || self.expected.is_empty(),
            "closed, and misses {:?}",
            self.expected
        );
    }

    fn inflate(&mut self, payload: &[u8]) -> Vec<u8> {
        let terms = self.terms.deflate.expect("permessage-deflate was negotiated");
        let inflated = if terms.server_context_takeover {
            self.inflater.inflate_in_context(payload, &mut self.window, 10_000)
        } else {
            self.inflater.inflate(payload, 10_000)
        };
        inflated.expect("what can be inflated")
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn action() -> impl Strategy<Value = Action> {
        let length = 0..6_000usize;
        prop_oneof![
            1 => (0..3usize).prop_map(Action::Join),
            1 => Just(Action::Leave),
            9 => length.clone().prop_map(Action::Say),
            3 => length.clone().prop_map(Action::SayToOthers),
            3 => length.clone().prop_map(Action::Send),
            1 => Just(Action::Close),
            1 => Just(Action::PeerClose),
            1 => Just(Action::Break),
            4 => length.prop_map(Action::Read),
            4 => Just(Action::Read(1_000_000)),
        ]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            1 => (0..5usize, 0..3usize).prop_map(|(offer, room)| Step::Connect { offer, room }),
            10 => (0..20usize, action()).prop_map(|(peer, action)| Step::Peer(peer, action)),
            2 => Just(Step::Flush),
            1 => Just(Step::FlushEarly),
            1 => Just(Step::Rest),
            1 => (0..3usize, 0..6_000usize)
                .prop_map(|(room, length)| Step::Broadcast { room, length }),
        ]
    }

    fn run(slow: Slow, steps: &[Step]) {
        for max_total_backlog_bytes in [SCARCE_BYTES, usize::MAX] {
            let mut simulation = Simulation::new(slow, max_total_backlog_bytes);
            for step in steps {
                simulation.step(step);
            }
            simulation.finish();
        }
    }

    #[test]
    fn what_a_member_takes_along_from_a_shared_context_can_be_inflated_whatever_it_misses() {
        let comes = [
            Step::Connect { offer: 1, room: 0 },
            Step::Connect { offer: 1, room: 0 },
            Step::Peer(0, Action::Read(1_000_000)),
        ];
        let talk = [Step::Peer(0, Action::Say(100)), Step::Flush];
        let whispers = [Step::Peer(1, Action::Send(20)), Step::Flush].repeat(12);
        // Some messages are below the limit, and exceed it together with what is sent after them.
        for count in [60, 70, 80] {
            for departure in [Action::Leave, Action::Join(1), Action::SayToOthers(10)] {
                let (talk, departure) = (talk.repeat(count), [Step::Peer(1, departure)]);
                run(Slow::Drop, &[&comes, &talk[..], &departure, &whispers].concat());
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn everybody_receives_exactly_what_it_must(steps in vec(step(), 1..400)) {
            run(Slow::Close, &steps);
            run(Slow::Pause, &steps);
        }

        #[test]
        fn a_slow_member_may_miss_old_messages_but_not_the_newest(steps in vec(step(), 1..400)) {
            run(Slow::Drop, &steps);
        }
    }
}
