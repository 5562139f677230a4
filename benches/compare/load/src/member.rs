//! A member of a room in which everybody receives the same.

use mio::Poll;

use crate::Failure;
use crate::connect::{self, Opened};
use crate::flags::Target;
use crate::line::Line;
use crate::reference::Reference;

#[derive(Debug)]
pub struct Member {
    pub line: Line,
    /// The number of received bytes.
    pub position: u64,
}

impl Member {
    /// Enters a room in which nobody has sent anything.
    pub fn enter(target: &Target, room: &str, poll: &Poll, token: usize) -> Result<Self, Failure> {
        Self::new(connect::open(target, room, None)?, poll, token)
    }

    /// Has entered a room in which nobody has sent anything.
    pub fn new(opened: Opened, poll: &Poll, token: usize) -> Result<Self, Failure> {
        if !opened.received.is_empty() {
            return Err("a member received something before anybody sent".into());
        }
        Ok(Self { line: Line::new(opened.stream, poll, token)?, position: 0 })
    }

    /// Reads and verifies everything available, and calls `after` after every piece.
    pub fn receive(
        &mut self,
        buffer: &mut [u8],
        reference: &mut Reference,
        mut after: impl FnMut() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.line.receive(buffer, |bytes| {
            reference.receive(self.position, bytes)?;
            self.position += bytes.len() as u64;
            after()
        })
    }
}
