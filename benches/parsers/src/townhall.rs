//! `Connection`, with a buffer that is read into as the server does.

use std::io::Read;

use townhall::protocol::{Buffers, Connection, Limits, Received, Request, Terms};

use crate::{Parser, READ, Source};

pub struct Townhall {
    source: Source,
    connection: Connection,
    buffers: Buffers,
    buffer: Vec<u8>,
    /// The part of the buffer that was read and is not parsed.
    unparsed: std::ops::Range<usize>,
}

impl Townhall {
    pub fn new(source: Source) -> Self {
        Self {
            source,
            connection: open_connection(),
            buffers: Buffers::default(),
            buffer: vec![0; READ],
            unparsed: 0..0,
        }
    }
}

fn open_connection() -> Connection {
    let mut request = *b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\n\r\n";
    let mut connection = Connection::new(Limits::default());
    let received = connection.receive(&mut &mut request[..], &mut Buffers::default());
    let Ok(Some(Received::Head(head))) = received else { panic!("{received:?}") };
    let request = Request::parse(&head, 64).expect("a request");
    let terms = Terms::negotiate(&request, &[], None).expect("an upgrade");
    connection.accept(&terms, &mut Vec::new());
    connection
}

impl Parser for Townhall {
    fn name(&self) -> &'static str {
        "townhall"
    }

    fn parse(&mut self, count: usize, each: &mut dyn FnMut(&[u8])) {
        let mut left = count;
        while left > 0 {
            if self.unparsed.is_empty() {
                self.unparsed = 0..self.source.read(&mut self.buffer).expect("a source");
            }
            let mut input = &mut self.buffer[self.unparsed.clone()];
            while left > 0
                && let Some(received) =
                    self.connection.receive(&mut input, &mut self.buffers).expect("messages")
            {
                let Received::Frames(incoming) = received else { panic!("{received:?}") };
                each(incoming.message().expect("a message").payload());
                self.buffers.recycle(incoming);
                left -= 1;
            }
            self.unparsed.start = self.unparsed.end - input.len();
        }
    }
}
