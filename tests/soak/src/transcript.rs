//! The messages that were sent to a room, and the one order in which all members receive them.
//!
//! The first member that receives a message appends it to the order, where it must be its sender's next
//! message. All other members must follow that order. Each member therefore receives a part of one sequence,
//! in which no message of a sender is missing, duplicated or out of order. The beginning and the end of the
//! part are checked when the member joins and leaves.

use std::hash::{DefaultHasher, Hasher};

use crate::Failure;

/// A room's messages.
#[derive(Debug, Default)]
pub struct Transcript {
    /// In the order in which they were sent; a message's ordinal is its index.
    sent: Vec<Sent>,
    /// In the order in which they are received; a message's position is its index.
    received: Vec<Received>,
    senders: Vec<Sender>,
}

#[derive(Debug)]
struct Sent {
    digest: u64,
    sender: usize,
    sequence: u32,
    position: Option<usize>,
}

#[derive(Debug)]
struct Received {
    ordinal: usize,
    /// One more than the greatest ordinal up to here.
    bound: usize,
}

/// A member that sends, from joining to leaving.
#[derive(Debug, Default)]
struct Sender {
    sent: u32,
    received: u32,
}

/// A member's position in the order.
#[derive(Debug)]
pub struct Reader {
    /// How many messages the room had received before the member asked to join.
    floor: usize,
    /// How many messages the room had sent when the member had joined.
    joined: usize,
    /// The position of the next message, once the member has received one.
    next: Option<usize>,
    sender: Option<usize>,
    /// The ordinal of the last message that it sent.
    last_sent: Option<usize>,
}

impl Reader {
    /// A member that has joined now, and asked to join when the room had
    /// [received](Transcript::received) `floor` messages.
    pub fn new(floor: usize, transcript: &Transcript) -> Self {
        Self { floor, joined: transcript.sent.len(), next: None, sender: None, last_sent: None }
    }
}

impl Transcript {
    /// The number of messages that any member has received.
    pub fn received(&self) -> usize {
        self.received.len()
    }

    /// The number of messages that were sent and that nobody has received.
    pub fn not_received(&self) -> usize {
        self.sent.len() - self.received.len()
    }

    /// Whether a member that has received nothing cannot know yet where it begins. It may have joined behind
    /// messages that were sent before and that nobody has received.
    pub fn is_undecided(&self, reader: &Reader) -> bool {
        let is_outstanding = |sent: &Sent| sent.position.is_none();
        reader.next.is_none() && self.sent[..reader.joined].iter().any(is_outstanding)
    }

    /// The text of a member's next message, to be sent with this opcode.
    pub fn send(&mut self, reader: &mut Reader, opcode: u8, words: &str) -> String {
        let senders = &mut self.senders;
        let sender = *reader.sender.get_or_insert_with(|| {
            senders.push(Sender::default());
            senders.len() - 1
        });
        let ordinal = self.sent.len();
        let sequence = senders[sender].sent;
        senders[sender].sent += 1;
        reader.last_sent = Some(ordinal);
        let text = format!(
            r#"{{"ordinal":{ordinal},"sender":{sender},"sequence":{sequence},"text":"{words}"}}"#
        );
        let digest = digest(opcode, text.as_bytes());
        self.sent.push(Sent { digest, sender, sequence, position: None });
        text
    }

    /// Checks a message that a member received.
    pub fn receive(
        &mut self,
        reader: &mut Reader,
        opcode: u8,
        message: &[u8],
    ) -> Result<(), Failure> {
        let digest = digest(opcode, message);
        let position = match reader.next {
            Some(position) => position,
            None => self.begin(reader, message)?,
        };
        match self.received.get(position) {
            Some(received) if self.sent[received.ordinal].digest == digest => {}
            Some(received) => {
                let [received, instead] =
                    [received.ordinal, ordinal(message)?].map(|at| self.name(at));
                return Err(
                    format!("{instead} was received where others received {received}").into()
                );
            }
            None => self.extend(message, digest)?,
        }
        reader.next = Some(position + 1);
        Ok(())
    }

    /// The position of the first message that a member receives: after everything that was received before
    /// it asked to join, and before everything that was sent after it had joined.
    fn begin(&self, reader: &Reader, message: &[u8]) -> Result<usize, Failure> {
        let ordinal = ordinal(message)?;
        let known = self.sent.get(ordinal).and_then(|sent| sent.position);
        let position = known.unwrap_or(self.received.len());
        if position < reader.floor {
            return Err(format!("{} was received before joining", self.name(ordinal)).into());
        }
        self.check_begin(reader, position)?;
        Ok(position)
    }

    /// Checks that a member that receives nothing before `position` has missed nothing.
    fn check_begin(&self, reader: &Reader, position: usize) -> Result<(), Failure> {
        match self.received[..position].last() {
            Some(received) if received.bound > reader.joined => {
                let missed = self.name(received.bound - 1);
                Err(format!("{missed} was missed, though it was sent after joining").into())
            }
            _ => Ok(()),
        }
    }

    /// Appends a message that nobody has received before.
    fn extend(&mut self, message: &[u8], digest: u64) -> Result<(), Failure> {
        let ordinal = ordinal(message)?;
        let position = self.received.len();
        let name = self.name(ordinal);
        let Some(sent) = self.sent.get_mut(ordinal) else {
            return Err(format!("nobody sent {name}").into());
        };
        if sent.position.is_some() {
            return Err(format!("{name} was received twice").into());
        }
        if sent.digest != digest {
            return Err(format!("{name} differs from what was sent").into());
        }
        let sender = &mut self.senders[sent.sender];
        if sent.sequence != sender.received {
            return Err(
                format!("{name} was received, but {} should be next", sender.received).into()
            );
        }
        sender.received += 1;
        sent.position = Some(position);
        let bound = self.received.last().map_or(0, |received| received.bound).max(ordinal + 1);
        self.received.push(Received { ordinal, bound });
        Ok(())
    }

    /// Checks that a member has received everything up to `position`, and all its own messages.
    pub fn check_end(&self, reader: &Reader, position: usize) -> Result<(), Failure> {
        if reader.next.is_none() {
            self.check_begin(reader, position)?;
        }
        if let Some(next) = reader.next.filter(|&next| next < position) {
            let missed = self.name(self.received[next].ordinal);
            return Err(format!("{missed} and everything after it was missed at the end").into());
        }
        match reader.last_sent {
            Some(last) if !self.has_received_own(reader) => {
                Err(format!("{}, its own, was not received", self.name(last)).into())
            }
            _ => Ok(()),
        }
    }

    /// Whether a member has received all its own messages; the last one shows it.
    pub fn has_received_own(&self, reader: &Reader) -> bool {
        let Some(last) = reader.last_sent else { return true };
        let position = self.sent[last].position;
        position.zip(reader.next).is_some_and(|(position, next)| position < next)
    }

    /// Checks that a member has received everything that was sent, so that nothing is outstanding.
    pub fn check_settled(&self, reader: &Reader) -> Result<(), Failure> {
        if self.not_received() > 0 {
            let not_received = self.sent.iter().position(|sent| sent.position.is_none());
            return Err(
                format!("nobody has received {}", self.name(not_received.unwrap_or(0))).into()
            );
        }
        self.check_end(reader, self.received.len())
    }

    /// A message's name in a failure.
    fn name(&self, ordinal: usize) -> String {
        match self.sent.get(ordinal) {
            Some(Sent { sender, sequence, .. }) => {
                format!("message {sequence} of sender {sender} ({ordinal} of the room)")
            }
            None => format!("message {ordinal} of the room"),
        }
    }
}

/// The ordinal in a message.
fn ordinal(message: &[u8]) -> Result<usize, Failure> {
    let text = str::from_utf8(message).ok().and_then(|text| text.strip_prefix(r#"{"ordinal":"#));
    let ordinal = text.and_then(|rest| rest.split_once(',')?.0.parse().ok());
    ordinal.ok_or_else(|| {
        let start = String::from_utf8_lossy(&message[..message.len().min(40)]);
        format!("{start:?} was received, which nobody sent").into()
    })
}

fn digest(opcode: u8, message: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u8(opcode);
    hasher.write(message);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{BINARY, TEXT};

    /// A room in which one member has sent messages and received none.
    fn room(count: usize) -> (Transcript, Reader, Vec<String>) {
        let mut transcript = Transcript::default();
        let mut reader = Reader::new(0, &transcript);
        let sent = (0..count).map(|_| transcript.send(&mut reader, TEXT, "x")).collect();
        (transcript, reader, sent)
    }

    fn receive(transcript: &mut Transcript, reader: &mut Reader, text: &str) -> Result<(), String> {
        transcript.receive(reader, TEXT, text.as_bytes()).map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_member_that_received_everything_is_settled() {
        let (mut transcript, mut one, sent) = room(3);
        let mut other = Reader::new(0, &Transcript::default());
        for text in &sent {
            assert!(transcript.check_settled(&one).is_err());
            receive(&mut transcript, &mut one, text).unwrap();
        }
        transcript.check_settled(&one).unwrap();
        assert!(transcript.check_settled(&other).is_err());
        for text in &sent {
            receive(&mut transcript, &mut other, text).unwrap();
        }
        transcript.check_settled(&other).unwrap();
    }

    #[test]
    fn a_member_that_joined_behind_a_message_begins_when_others_have_received_it() {
        let (mut transcript, mut one, sent) = room(1);
        let mut late = Reader::new(0, &transcript);
        let second = transcript.send(&mut one, TEXT, "x");
        assert!(transcript.is_undecided(&late) && !transcript.is_undecided(&one));
        receive(&mut transcript, &mut one, &sent[0]).unwrap();
        assert!(!transcript.is_undecided(&late));
        receive(&mut transcript, &mut late, &second).unwrap();
        receive(&mut transcript, &mut one, &second).unwrap();
        transcript.check_settled(&late).unwrap();
    }

    #[test]
    fn a_gap_a_repetition_and_a_swap_are_found() {
        for order in [[0, 2], [0, 0], [1, 0]] {
            let (mut transcript, mut reader, sent) = room(3);
            let mut received =
                order.iter().map(|&at| receive(&mut transcript, &mut reader, &sent[at]));
            assert!(received.any(|outcome| outcome.is_err()), "{order:?}");
        }
    }

    #[test]
    fn all_members_receive_the_same_order() {
        let (mut transcript, mut one, sent) = room(1);
        let mut other = Reader::new(0, &transcript);
        let answer = transcript.send(&mut other, TEXT, "x");
        for text in [&sent[0], &answer] {
            receive(&mut transcript, &mut one, text).unwrap();
        }
        receive(&mut transcript, &mut other, &answer).unwrap();
        assert!(receive(&mut transcript, &mut other, &sent[0]).is_err());
    }

    #[test]
    fn an_altered_message_is_found() {
        let (mut transcript, mut reader, sent) = room(1);
        assert!(transcript.receive(&mut reader, BINARY, sent[0].as_bytes()).is_err());
        assert!(receive(&mut transcript, &mut reader, &sent[0].replace('x', "y")).is_err());
        assert!(receive(&mut transcript, &mut reader, "x").is_err());
    }

    #[test]
    fn a_new_member_receives_everything_after_joining_and_nothing_before() {
        let (mut transcript, mut one, mut sent) = room(1);
        receive(&mut transcript, &mut one, &sent[0]).unwrap();
        let mut early = Reader::new(transcript.received(), &transcript);
        assert!(receive(&mut transcript, &mut early, &sent[0]).is_err());
        for _ in 1..3 {
            sent.push(transcript.send(&mut one, TEXT, "x"));
            receive(&mut transcript, &mut one, sent.last().unwrap()).unwrap();
        }
        assert!(receive(&mut transcript, &mut early, &sent[2]).unwrap_err().contains("missed"));
        receive(&mut transcript, &mut early, &sent[1]).unwrap();
    }

    #[test]
    fn a_member_that_leaves_too_early_is_found() {
        let (mut transcript, mut one, sent) = room(2);
        let mut other = Reader::new(0, &Transcript::default());
        let stalled = Reader::new(0, &Transcript::default());
        receive(&mut transcript, &mut one, &sent[0]).unwrap();
        assert!(transcript.check_end(&one, 1).is_err(), "of its own messages one is missing");
        receive(&mut transcript, &mut one, &sent[1]).unwrap();
        transcript.check_end(&one, 2).unwrap();
        receive(&mut transcript, &mut other, &sent[0]).unwrap();
        transcript.check_end(&other, 1).unwrap();
        assert!(transcript.check_end(&other, 2).is_err());
        assert!(transcript.check_end(&stalled, 1).is_err());
    }
}
