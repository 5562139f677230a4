//! Connections in memory.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::rc::Rc;

use crate::config::Config;
use crate::protocol::{Buffers, Received, Request, Terms};
use crate::server::client::transport::Transport;
use crate::server::client_id::ClientId;
#[cfg(test)]
use crate::server::event_loop::flushing;
use crate::server::hub::Hub;
use crate::server::hub::{backlog, handshake, lifecycle};
#[cfg(test)]
use crate::server::room::TurnEnd;

/// One end of a connection in memory: the written bytes, and the free capacity.
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

    /// Takes out the written bytes.
    #[cfg(test)]
    pub(crate) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.borrow_mut().0).into()
    }

    /// A copy of the written bytes that have not been taken out.
    pub(super) fn peek(&self) -> Vec<u8> {
        self.0.borrow_mut().0.make_contiguous().to_vec()
    }

    /// Takes out the first `size` written bytes.
    pub(super) fn forget(&self, size: usize) {
        self.0.borrow_mut().0.drain(..size);
    }

    /// Empties the pipe, which takes no more bytes.
    fn reset(&self) {
        *self.0.borrow_mut() = (VecDeque::new(), 0);
    }

    /// Lets `size` more bytes be written.
    pub(crate) fn allow(&self, size: usize) {
        let room = &mut self.0.borrow_mut().1;
        *room = room.saturating_add(size);
    }
}

/// A client that has just opened, with these extensions, and whose pipe takes no bytes.
#[cfg(test)]
pub(crate) fn connect(hub: &mut Hub, offer: &str) -> (ClientId, Pipe, Terms) {
    connect_with(hub, &format!("Sec-WebSocket-Extensions: {offer}\r\n"))
}

/// Turns the event loop until everything is written that the pipes take.
#[cfg(test)]
pub(crate) fn flush(hub: &mut Hub) {
    while hub.is_dirty() {
        flushing::flush(hub, TurnEnd::Now);
    }
}

/// A client that has just opened, with these fields in its request, and whose pipe takes no bytes.
pub(super) fn connect_with(hub: &mut Hub, fields: &str) -> (ClientId, Pipe, Terms) {
    let head = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
         {fields}\r\n"
    );
    let request = Request::parse(head.as_bytes(), 10).expect("a correct head");
    let Config { subprotocols, deflate, .. } = &hub.config;
    let terms = Terms::negotiate(&request, subprotocols, deflate.as_ref());
    let mut terms = terms.expect("a correct request");
    let id = hub.clients.next_id();
    let pipe = Pipe::default();
    lifecycle::insert(hub, id, Transport::Pipe(pipe.clone()), None);
    let client = hub.clients.get_mut(id).expect("it was inserted");
    let mut input = head.into_bytes();
    let received = client.connection.receive(&mut &mut input[..], &mut Buffers::default());
    assert!(matches!(received, Ok(Some(Received::Head(_)))));
    handshake::open(hub, id, &mut terms);
    // The response to the handshake is not checked.
    pipe.allow(usize::MAX);
    backlog::write_now(hub, id);
    pipe.reset();
    (id, pipe, terms)
}
