//! What a peer asks for.

use std::net::SocketAddr;

use super::super::link::Link;
use super::super::log;
use super::super::manner::Request;
use super::super::plan::{Crowd, ROOMS};
use super::super::proxies::{Header, Proxied, State};
use super::super::record::{CONNECTION, Record};
use super::Peer;
use crate::protocol::SUBPROTOCOL;

impl Peer {
    /// Where a connection over a proxy comes from; rarely, it is none that the server trusts.
    pub(super) fn proxy(&mut self) -> SocketAddr {
        let is_trusted = !self.random.happens(50);
        if is_trusted {
            SocketAddr::from(([10, 9, 0, 1], self.address.port()))
        } else {
            self.address
        }
    }

    /// Says on whose behalf the proxy connects.
    pub(super) fn introduce(
        &mut self,
        connection: usize,
        link: &mut Link,
        record: &mut Record,
        proxy: SocketAddr,
    ) {
        let header = Header::new(&mut self.random, self.address);
        log(format_args!("{connection} is proxied by {proxy}: {header:?}"));
        let is_trusted = proxy != self.address;
        self.append(link, &header.bytes);
        link.proxied = Some(Proxied { is_trusted, end: link.queued, state: header.state });
        if let Some(client) = header.client {
            record.addresses.insert(connection, client);
        }
        if header.state == State::Half {
            self.manner.request = Request::Nothing;
        }
    }

    pub(super) fn request(&mut self, connection: usize, link: &mut Link, record: &mut Record) {
        let hears_words = self.manner.hears_words;
        let place = self.place.filter(|_| hears_words && self.random.happens(800));
        let rooms = if self.crowd == Crowd::Floods { 1 } else { ROOMS.len() };
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
    pub(super) fn post(&mut self, connection: usize, link: &mut Link, record: &mut Record) {
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
}
