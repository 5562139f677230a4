//! Peers: they speak the protocol from outside, more or less well.

mod leaving;
mod requesting;
mod sending;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use crate::protocol::Position;
use crate::server::simulation::Heard;
use crate::server::system::{self, Random, Received};

use super::frames::message;
use super::link::Link;
use super::log;
use super::manner::{Exit, Manner, Reads, Request};
use super::plan::Crowd;
use super::record::Record;
use super::tap::Unit;

#[derive(Debug)]
pub(super) struct Peer {
    actor: usize,
    random: Random,
    address: SocketAddr,
    /// For each listener, whether it takes PROXY headers.
    listen: Vec<bool>,
    manner: Manner,
    pub(super) connection: Option<usize>,
    /// What it has to send.
    out: VecDeque<u8>,
    received: u64,
    is_upgraded: bool,
    /// Whether its close frame is queued.
    is_closing: bool,
    /// Whether it sends nothing more.
    has_ended: bool,
    /// Whether it does nothing any more on this connection.
    is_gone: bool,
    /// Where it is in the room that it was in last.
    place: Option<(usize, Position)>,
    room: usize,
    said: usize,
    next_word: Duration,
    next_act: Duration,
    crowd: Crowd,
    /// How many more times it connects.
    lives: usize,
}

impl Peer {
    pub(super) fn new(actor: usize, mut random: Random, listen: &[bool], crowd: Crowd) -> Self {
        let host = random.pick(&[1, 2, 3, 4, 5, 6, 7, 8]);
        Self {
            actor,
            address: SocketAddr::from(([10, 1, host, 1], 1_000 + actor as u16)),
            manner: Manner::new(&mut random, crowd),
            listen: listen.to_vec(),
            crowd,
            lives: random.within(1..6),
            random,
            connection: None,
            out: VecDeque::new(),
            received: 0,
            is_upgraded: false,
            is_closing: false,
            has_ended: false,
            is_gone: false,
            place: None,
            room: 0,
            said: 0,
            next_word: Duration::ZERO,
            next_act: Duration::ZERO,
        }
    }

    /// Does something. If all is calm, it reads everything and begins nothing new.
    pub(super) fn act(&mut self, links: &mut Vec<Link>, record: &mut Record, is_calm: bool) {
        if system::with(|kernel| kernel.elapsed()) < self.next_act {
            // It has decided to act later.
            return;
        }
        let Some(connection) = self.connection else {
            return self.connect(links, record, is_calm);
        };
        if self.is_gone {
            return self.return_later(is_calm);
        }
        let link = &mut links[connection];
        self.read(connection, link, is_calm);
        if self.is_gone {
            return self.return_later(is_calm);
        }
        if self.is_upgraded && !is_calm && !self.is_closing {
            self.speak(connection, link, record);
        }
        self.send(connection, link);
        if !self.is_gone {
            self.wait();
        }
    }

    /// Acts again because the server has written something.
    pub(super) fn notice(&mut self) {
        let delay = Duration::from_micros(self.random.within(1..self.manner.notices) as u64);
        if system::with(|kernel| kernel.elapsed()) + delay < self.next_act {
            self.schedule(delay);
        }
    }

    fn schedule(&mut self, delay: Duration) {
        system::with(|kernel| {
            kernel.schedule(self.actor, delay);
            self.next_act = kernel.elapsed() + delay;
        });
    }

    fn wait(&mut self) {
        let most = if self.out.is_empty() { 500_000 } else { 20_000 };
        let delay = Duration::from_micros(self.random.within(10..most) as u64);
        self.schedule(delay);
    }

    fn connect(&mut self, links: &mut Vec<Link>, record: &mut Record, is_calm: bool) {
        if is_calm || self.lives == 0 {
            return;
        }
        self.lives -= 1;
        self.manner = Manner::new(&mut self.random, self.crowd);
        let capacities =
            [self.random.pick(&[200, 5_000, 50_000]), self.random.pick(&[700, 3_000, 50_000])];
        let capacities = if self.crowd != Crowd::Mixed { [50_000; 2] } else { capacities };
        let listener = self.random.below(self.listen.len());
        let is_proxied = self.listen[listener];
        let address = if is_proxied { self.proxy() } else { self.address };
        let connected = system::with(|kernel| kernel.connect(listener, address, capacities.into()));
        if let Some(connection) = connected {
            assert_eq!(connection, links.len());
            self.connection = Some(connection);
            links.push(Link::new(self.manner.request == Request::Posts));
            log(format_args!("{connection} connects with {capacities:?}, {:?}", self.manner));
            record.addresses.insert(connection, address.ip());
            let link = &mut links[connection];
            if is_proxied {
                self.introduce(connection, link, record, address);
            }
            self.request(connection, link, record);
        }
        self.wait();
    }

    fn return_later(&mut self, is_calm: bool) {
        self.connection = None;
        self.out.clear();
        self.received = 0;
        (self.is_upgraded, self.is_closing) = (false, false);
        (self.has_ended, self.is_gone) = (false, false);
        self.said = 0;
        if !is_calm {
            let delay = Duration::from_millis(self.random.within(1..3_000) as u64);
            self.schedule(delay);
        }
    }

    fn read(&mut self, connection: usize, link: &mut Link, is_calm: bool) {
        let most = match self.manner.reads {
            _ if is_calm => usize::MAX,
            Reads::Eagerly => usize::MAX,
            Reads::Slowly => self.random.within(1..60),
            Reads::Never => return,
        };
        match system::with(|kernel| kernel.receive(connection, most)) {
            Received::Bytes(bytes) => {
                log(format_args!("{connection} peer receives {}", bytes.len()));
                self.received += bytes.len() as u64;
                let received = self.received;
                while let Some(written) = link.inbox.pop_front_if(|next| next.end <= received) {
                    self.take(link, written.unit);
                }
            }
            Received::Nothing => {}
            Received::End => {
                self.leave(connection, link, Exit::ClosesSocket);
            }
            Received::Reset => {
                link.has_ended = true;
                self.is_gone = true;
            }
        }
    }

    fn take(&mut self, link: &mut Link, unit: Unit) {
        match unit {
            Unit::Response { status, .. } => self.is_upgraded = status == 101,
            Unit::Ping(payload) if self.manner.answers_pings && !self.is_closing => {
                self.queue_frame(link, 0x8a, &payload);
            }
            Unit::Text(word) => {
                let heard = Heard::of(&word);
                if let Some(Heard::Greeting { position, .. } | Heard::Skipped { position, .. }) =
                    heard
                {
                    self.place = Some((self.room, position));
                }
            }
            Unit::Binary(payload) if payload[0] != b'd' => self.count(),
            Unit::Close(code) if !self.is_closing && self.manner.answers_close => {
                self.close(link, code);
            }
            Unit::Binary(_) | Unit::Ping(_) | Unit::Pong(_) | Unit::Close(_) => {}
        }
    }

    fn count(&mut self) {
        if let Some((_, place)) = &mut self.place {
            *place = Position::new(place.epoch(), place.sequence() + 1);
        }
    }

    /// Says something, or leaves when everything has been said.
    fn speak(&mut self, connection: usize, link: &mut Link, record: &mut Record) {
        let now = system::with(|kernel| kernel.elapsed());
        if now < self.next_word || self.has_ended {
            return;
        }
        let pause = Duration::from_millis(self.random.within(0..self.manner.pause) as u64);
        self.next_word = now + pause;
        if self.manner.hoards {
            return self.hoard(link);
        }
        if self.said >= self.manner.messages {
            return self.leave(connection, link, self.manner.exit);
        }
        self.said += 1;
        let message = self.message(connection);
        record.sent.entry(connection).or_default().push_back(message.clone());
        let (begin, payload) = self.encode(link, message);
        if self.random.happens(200) && payload.len() > 1 {
            let (first, rest) = payload.split_at(payload.len() / 2);
            self.queue_part(link, begin, first);
            self.queue_frame(link, 0x89, b"?");
            link.ping.get_or_insert(link.queued);
            self.queue_frame(link, 0x80, rest);
        } else {
            self.queue_frame(link, 0x80 | begin, &payload);
        }
        if self.manner.is_urgent {
            // The urgent byte is not in the stream. More follows it at once.
            self.send_some(connection, link, self.out.len() / 2);
            system::with(|kernel| kernel.send_urgent(connection, b'!'));
        }
    }

    /// The first byte of a message, without FIN, and its payload, which may be compressed.
    fn encode(&mut self, link: &mut Link, message: Vec<u8>) -> (u8, Vec<u8>) {
        let compresses = self.random.happens(self.manner.compresses);
        let compression = link.tap.compression.as_mut().filter(|_| compresses);
        let compressed = compression.and_then(|compression| compression.deflate(&message));
        compressed.map_or((0x02, message), |compressed| (0x42, compressed))
    }

    fn message(&mut self, connection: usize) -> Vec<u8> {
        message(&mut self.random, (connection, self.said), self.manner.size, self.manner.kinds)
    }
}
