//! Peers: they speak the protocol from outside, more or less well.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use crate::protocol::{CloseCode, Position, SUBPROTOCOL};
use crate::server::simulation::Heard;
use crate::server::system::{self, Random, Received};

use super::frames::{masked, message};
use super::link::Link;
use super::log;
use super::manner::{Exit, Manner, Reads, Request};
use super::plan::ROOMS;
use super::record::{CONNECTION, Record};
use super::tap::Unit;

#[derive(Debug)]
pub(super) struct Peer {
    actor: usize,
    random: Random,
    address: SocketAddr,
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
    /// Whether it says as much as it can.
    floods: bool,
    /// How many more times it connects.
    lives: usize,
}

impl Peer {
    pub(super) fn new(actor: usize, mut random: Random, floods: bool) -> Self {
        let host = random.pick(&[1, 2, 3, 4, 5, 6, 7, 8]);
        Self {
            actor,
            address: SocketAddr::from(([10, 1, host, 1], 1_000 + actor as u16)),
            manner: Manner::new(&mut random, floods),
            floods,
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
        let delay = Duration::from_micros(self.random.within(1..3_000) as u64);
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
        self.manner = Manner::new(&mut self.random, self.floods);
        let capacities =
            [self.random.pick(&[200, 5_000, 50_000]), self.random.pick(&[700, 3_000, 50_000])];
        let capacities = if self.floods { [50_000; 2] } else { capacities };
        let listener = self.random.below(2);
        let connected =
            system::with(|kernel| kernel.connect(listener, self.address, capacities.into()));
        if let Some(connection) = connected {
            assert_eq!(connection, links.len());
            self.connection = Some(connection);
            links.push(Link::new(self.manner.request == Request::Posts));
            log(format_args!("{connection} connects with {capacities:?}, {:?}", self.manner));
            self.request(connection, &mut links[connection], record);
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

    fn request(&mut self, connection: usize, link: &mut Link, record: &mut Record) {
        let hears_words = self.manner.hears_words;
        let place = self.place.filter(|_| hears_words && self.random.happens(800));
        let rooms = if self.floods { 1 } else { ROOMS.len() };
        self.room = place.map_or_else(|| self.random.below(rooms), |(room, _)| room);
        let after = place.map(|(_, position)| format!("?after={position}")).unwrap_or_default();
        let room = ROOMS[self.room];
        let mut head = format!("GET {room}{after} HTTP/1.1\r\nHost: a\r\n");
        if self.manner.request != Request::Plain {
            let offer = self.manner.offer;
            head += &format!(
                "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{CONNECTION}: {connection}\r\n\
                 Sec-WebSocket-Extensions: {offer}\r\n"
            );
        }
        if self.manner.hears_words {
            head += &format!("Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n");
        }
        head += "\r\n";
        match self.manner.request {
            Request::Upgrade | Request::Plain => self.queue(link, head.as_bytes()),
            Request::Half => self.out.extend(&head.as_bytes()[..head.len() / 2]),
            Request::Posts => {
                let count = self.manner.messages.clamp(1, 12);
                (0..count).for_each(|_| self.post(connection, link, record));
            }
            Request::Nothing => {}
            Request::Nonsense => self.out.extend(b"What is this?\r\n\r\n"),
        }
    }

    /// Queues a request with a body.
    fn post(&mut self, connection: usize, link: &mut Link, record: &mut Record) {
        self.said += 1;
        let body = self.message(connection);
        let (room, length) = (ROOMS[self.room], body.len());
        let head = format!(
            "POST {room} HTTP/1.1\r\nHost: a\r\n{CONNECTION}: {connection}\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        self.queue(link, &[head.as_bytes(), &body].concat());
        record.posts.entry(connection).or_default().push_back(body);
    }

    /// Queues a request or a frame.
    fn queue(&mut self, link: &mut Link, bytes: &[u8]) {
        self.out.extend(bytes);
        link.queued += bytes.len() as u64;
        link.ends.push_back(link.queued);
    }

    fn queue_frame(&mut self, link: &mut Link, first: u8, payload: &[u8]) {
        let frame = masked(&mut self.random, first, payload);
        self.queue(link, &frame);
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

    fn close(&mut self, link: &mut Link, code: u16) {
        self.is_closing = true;
        // 1005 stands for a frame without a code.
        let code = CloseCode::new(code).map(CloseCode::get);
        let payload = code.map(|code| code.to_be_bytes().to_vec()).unwrap_or_default();
        self.queue_frame(link, 0x88, &payload);
        link.close = Some((link.queued, code.unwrap_or(1005)));
    }

    /// Says something, or leaves when everything has been said.
    fn speak(&mut self, connection: usize, link: &mut Link, record: &mut Record) {
        let now = system::with(|kernel| kernel.elapsed());
        if now < self.next_word || self.has_ended {
            return;
        }
        let pause = Duration::from_millis(self.random.within(0..self.manner.pause) as u64);
        self.next_word = now + pause;
        if self.said >= self.manner.messages {
            return self.leave(connection, link, self.manner.exit);
        }
        self.said += 1;
        let message = self.message(connection);
        record.sent.entry(connection).or_default().push_back(message.clone());
        if self.random.happens(200) && message.len() > 1 {
            let (first, rest) = message.split_at(message.len() / 2);
            // A part of a message shows no activity.
            let frame = masked(&mut self.random, 0x02, first);
            self.out.extend(&frame);
            link.queued += frame.len() as u64;
            self.queue_frame(link, 0x89, b"?");
            link.ping.get_or_insert(link.queued);
            self.queue_frame(link, 0x80, rest);
        } else {
            self.queue_frame(link, 0x82, &message);
        }
        if self.manner.is_urgent {
            // The urgent byte is not in the stream. More follows it at once.
            self.send_some(connection, link, self.out.len() / 2);
            system::with(|kernel| kernel.send_urgent(connection, b'!'));
        }
    }

    fn message(&mut self, connection: usize) -> Vec<u8> {
        message(&mut self.random, (connection, self.said), self.manner.size, self.manner.kinds)
    }

    fn leave(&mut self, connection: usize, link: &mut Link, exit: Exit) {
        log(format_args!("{connection} peer leaves: {exit:?}"));
        match exit {
            Exit::Stays => {}
            Exit::Closes => {
                let code = self.random.pick(&[1000, 1001, 4000, 1005]);
                self.close(link, code);
            }
            Exit::EndsItsSide | Exit::ClosesSocket => {
                // What it has to say may be lost.
                self.has_ended = true;
                self.out.clear();
                link.note_end();
                if exit == Exit::EndsItsSide {
                    system::with(|kernel| kernel.end_sending(connection));
                } else {
                    system::with(|kernel| kernel.close_peer(connection));
                    self.is_gone = true;
                }
            }
            Exit::Resets => {
                let error = self.random.pick(&[
                    ErrorKind::ConnectionReset,
                    ErrorKind::TimedOut,
                    ErrorKind::BrokenPipe,
                ]);
                link.note_end();
                self.is_gone = true;
                system::with(|kernel| kernel.reset(connection, error));
            }
            Exit::Vanishes => {
                link.has_vanished = true;
                self.is_gone = true;
            }
            Exit::Breaks => self.violate(link),
        }
    }

    /// Breaks the protocol.
    fn violate(&mut self, link: &mut Link) {
        link.violation = Some(link.queued);
        let first = self.random.pick(&[0x83, 0xf2, 0x80, 0x09, 0x82]);
        let mut frame = masked(&mut self.random, first, b"a violation");
        if first == 0x82 {
            // It is not masked.
            frame[1] &= 0x7f;
        }
        self.queue(link, &frame);
        self.is_closing = true;
    }

    fn send(&mut self, connection: usize, link: &mut Link) {
        self.send_some(connection, link, self.manner.chunk);
    }

    fn send_some(&mut self, connection: usize, link: &mut Link, most: usize) {
        let chunk = most.min(self.out.len());
        if chunk == 0 || self.has_ended {
            return;
        }
        let bytes = self.out.make_contiguous()[..chunk].to_vec();
        match system::with(|kernel| kernel.send(connection, &bytes)) {
            Some(size) => {
                log(format_args!("{connection} peer sends {size}"));
                if size > 0 {
                    link.sent_at = system::with(|kernel| kernel.elapsed());
                }
                link.sent += size as u64;
                self.out.drain(..size);
            }
            None => {
                // The connection has ended; what the server has written may still be read.
                link.has_ended = true;
                self.has_ended = true;
                self.out.clear();
            }
        }
    }
}
