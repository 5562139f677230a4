//! The one sequence of messages that all members of a room receive.

use std::collections::VecDeque;

use crate::frame::{self, Head};
use crate::speech::{self, Envelope, SHORTEST};

/// The most bytes by which the slowest member may be behind the first one.
const MOST: usize = 256 << 20;

/// Bytes that every member has received are forgotten when there are this many.
const TRIM: usize = 1 << 20;

/// The bytes that the member furthest ahead has received.
///
/// Only what that member adds is parsed. The bytes of the others are compared with it, which costs no more
/// than memcmp, so that a generator on one core can check thousands of members.
#[derive(Debug)]
pub struct Reference {
    bytes: Vec<u8>,
    /// The offset of the first of `bytes`.
    start: u64,
    /// The offset up to which frames were parsed.
    parsed: u64,
    /// What every frame looks like, but for its numbers.
    frame: Vec<u8>,
    /// The position of the numbers in a frame.
    digits: usize,
    messages: u64,
    senders: Vec<Sender>,
    /// Where each round ended: as many messages as there are senders.
    rounds: Vec<u64>,
}

/// What was received from a sender.
#[derive(Debug, Default)]
struct Sender {
    /// The number of its next message.
    next: u32,
    /// Where those of its messages end that it has not received itself.
    ends: VecDeque<u64>,
}

impl Reference {
    /// Expects messages of `bytes` bytes from each of `senders`.
    pub fn new(senders: u32, bytes: usize) -> Self {
        Self::within(Envelope::NONE, senders, bytes)
    }

    /// The same in an envelope.
    pub fn within(envelope: Envelope, senders: u32, bytes: usize) -> Self {
        let payload = envelope.wrap(&speech::message(0, 0, bytes));
        let frame = frame::from_server(frame::TEXT, &payload);
        Self {
            bytes: Vec::new(),
            start: 0,
            parsed: 0,
            digits: frame.len() - payload.len() + envelope.before.len(),
            frame,
            messages: 0,
            senders: (0..senders).map(|_| Sender::default()).collect(),
            rounds: Vec::new(),
        }
    }

    /// How many messages the member furthest ahead has received.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// How many messages end up to `position`.
    pub fn messages_until(&self, position: u64) -> u64 {
        position / self.frame.len() as u64
    }

    /// The numbers of the sender and of the message at an index of the sequence, unless it has not been
    /// received or is forgotten.
    pub fn numbers(&self, index: u64) -> Option<(u32, u32)> {
        let at = (index * self.frame.len() as u64).checked_sub(self.start)? as usize;
        speech::parse(self.bytes.get(at + self.digits..)?)
    }

    /// Where they end.
    pub fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Where round number `index` ended, if it did.
    pub fn round_end(&self, index: usize) -> Option<u64> {
        self.rounds.get(index).copied()
    }

    /// How many more of its own messages a sender has received, now that it has received everything up to
    /// `position`.
    pub fn own_received(&mut self, sender: u32, position: u64) -> usize {
        let ends = &mut self.senders[sender as usize].ends;
        let received = ends.iter().take_while(|&&end| end <= position).count();
        ends.drain(..received);
        received
    }

    /// Verifies what a member received at `position`.
    pub fn receive(&mut self, position: u64, received: &[u8]) -> Result<(), String> {
        let known = &self.bytes[(position - self.start) as usize..];
        let (old, new) = received.split_at(received.len().min(known.len()));
        if old != &known[..old.len()] {
            return Err("two members received different messages".into());
        }
        if new.is_empty() { Ok(()) } else { self.extend(new) }
    }

    fn extend(&mut self, new: &[u8]) -> Result<(), String> {
        self.bytes.extend_from_slice(new);
        if self.bytes.len() > MOST {
            return Err(format!("a member is {MOST} bytes behind the first one"));
        }
        let mut at = (self.parsed - self.start) as usize;
        while let Some(frame) = self.bytes.get(at..at + self.frame.len()) {
            let (sender, sequence) = verify(frame, &self.frame, self.digits)?;
            at += self.frame.len();
            self.note(sender, sequence, self.start + at as u64)?;
        }
        self.parsed = self.start + at as u64;
        Ok(())
    }

    fn note(&mut self, sender: u32, sequence: u32, end: u64) -> Result<(), String> {
        let known = self.senders.get_mut(sender as usize);
        let known = known.ok_or_else(|| format!("received sender {sender}, which there is not"))?;
        if sequence != known.next {
            let next = known.next;
            return Err(format!(
                "received message {sequence} of sender {sender} instead of {next}"
            ));
        }
        known.next += 1;
        known.ends.push_back(end);
        self.messages += 1;
        if self.messages.is_multiple_of(self.senders.len() as u64) {
            self.rounds.push(end);
        }
        Ok(())
    }

    /// Whether it is worth while to find out who is slowest.
    pub fn is_long(&self) -> bool {
        self.bytes.len() > TRIM
    }

    /// Forgets what everybody has received: the bytes before `slowest`.
    pub fn trim(&mut self, slowest: u64) {
        let slowest = slowest.min(self.parsed);
        // Moving the rest to the front is worth while when it is the smaller part.
        let received = (slowest - self.start) as usize;
        if received > self.bytes.len() / 2 {
            self.bytes.drain(..received);
            self.start = slowest;
        }
    }
}

/// The numbers, from `digits` on, in a frame that must be like `expected` in all else.
fn verify(frame: &[u8], expected: &[u8], digits: usize) -> Result<(u32, u32), String> {
    let head = Head::parse(expected).map_or(0, |head| head.size);
    let end = digits + SHORTEST;
    if frame[..head] != expected[..head] {
        return Err(format!("received a frame that begins {:02x?}", &frame[..head]));
    }
    if frame[head..digits] != expected[head..digits] || frame[end..] != expected[end..] {
        return Err("received a message that nobody sent".into());
    }
    speech::parse(&frame[digits..]).ok_or_else(|| "received a message without its numbers".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: usize = 20;
    const FRAME: u64 = 22;

    fn frames(numbers: &[(u32, u32)]) -> Vec<u8> {
        let frame = |&(sender, sequence): &(u32, u32)| {
            let payload = format!("{sender:08x}{sequence:08x}abcd");
            frame::from_server(frame::TEXT, payload.as_bytes())
        };
        numbers.iter().flat_map(frame).collect()
    }

    #[test]
    fn members_may_receive_in_pieces_of_any_size() {
        let received = frames(&[(0, 0), (1, 0), (1, 1), (0, 1)]);
        for size in 1..received.len() {
            let mut reference = Reference::new(2, BYTES);
            let mut position = 0;
            for piece in received.chunks(size) {
                reference.receive(position, piece).unwrap();
                position += piece.len() as u64;
            }
            for piece in received.chunks(size + 1) {
                reference.receive(position - received.len() as u64, piece).unwrap();
                position += piece.len() as u64;
            }
            assert_eq!((reference.messages(), reference.end()), (4, 4 * FRAME));
            assert_eq!(reference.round_end(1), Some(4 * FRAME));
            assert_eq!(reference.own_received(1, 3 * FRAME - 1), 1);
            assert_eq!(reference.own_received(1, 3 * FRAME), 1);
        }
    }

    #[test]
    fn a_message_that_differs_from_what_was_sent_is_refused() {
        let refusal = |received: &[u8]| Reference::new(2, BYTES).receive(0, received).unwrap_err();
        assert!(refusal(&frames(&[(0, 1)])).contains("instead of 0"));
        assert!(refusal(&frames(&[(2, 0)])).contains("which there is not"));
        let mut received = frames(&[(0, 0)]);
        received[21] = b'x';
        assert!(refusal(&received).contains("nobody sent"));
        received[0] = 0x88;
        assert!(refusal(&received).contains("88"));
    }

    #[test]
    fn a_message_has_its_numbers_in_its_envelope() {
        let envelope = Envelope { before: "[\"", after: "\"]" };
        let payload = |before: &str| format!("{before}0000000100000000abcd\"]");
        let frame = |before| frame::from_server(frame::TEXT, payload(before).as_bytes());
        let mut reference = Reference::within(envelope, 2, BYTES);
        reference.receive(0, &frame("[\"")).unwrap();
        assert_eq!((reference.numbers(0), reference.numbers(1)), (Some((1, 0)), None));
        let mut reference = Reference::within(envelope, 2, BYTES);
        assert!(reference.receive(0, &frame("(\"")).unwrap_err().contains("nobody sent"));
    }

    #[test]
    fn members_must_receive_the_same() {
        let mut reference = Reference::new(2, BYTES);
        reference.receive(0, &frames(&[(0, 0), (1, 0)])).unwrap();
        assert!(reference.receive(0, &frames(&[(1, 0)])).is_err());
    }

    #[test]
    fn bytes_that_all_have_received_are_forgotten() {
        let mut reference = Reference::new(1, BYTES);
        reference.receive(0, &frames(&[(0, 0), (0, 1), (0, 2)])).unwrap();
        reference.trim(2 * FRAME);
        reference.receive(2 * FRAME, &frames(&[(0, 2), (0, 3)])).unwrap();
        assert_eq!((reference.messages(), reference.end()), (4, 4 * FRAME));
    }
}
