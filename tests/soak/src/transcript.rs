//! What was said in a room, and the one order in which everybody hears it.
//!
//! Whoever hears a message first appends it to the order, where it must be its sender's next; what
//! all others hear must follow the order. So each member hears a run of one sequence, in which no
//! sender's message is missing, twice, or out of place. That the run begins and ends where it should
//! is checked when it begins and when it ends.

use std::hash::{DefaultHasher, Hasher};

use crate::Failure;

/// A room's messages.
#[derive(Debug, Default)]
pub struct Transcript {
    /// In the order in which they were said; a message's ordinal is its index.
    said: Vec<Said>,
    /// In the order in which they are heard; a message's position is its index.
    heard: Vec<Heard>,
    senders: Vec<Sender>,
}

#[derive(Debug)]
struct Said {
    digest: u64,
    sender: usize,
    sequence: u32,
    position: Option<usize>,
}

#[derive(Debug)]
struct Heard {
    ordinal: usize,
    /// One more than the greatest ordinal up to here.
    bound: usize,
}

/// Somebody who speaks, from joining to leaving.
#[derive(Debug, Default)]
struct Sender {
    said: u32,
    heard: u32,
}

/// A member's place in the order.
#[derive(Debug)]
pub struct Reader {
    /// The room had heard so much before the member asked to join.
    floor: usize,
    /// The room had said so much when the member was in.
    joined: usize,
    /// The position of what it hears next, once it has heard something.
    next: Option<usize>,
    sender: Option<usize>,
    /// The ordinal of what it said last.
    last_said: Option<usize>,
}

impl Reader {
    /// A member that is in now, and asked to join when the room had [heard](Transcript::heard)
    /// `floor` messages.
    pub fn new(floor: usize, transcript: &Transcript) -> Self {
        Self { floor, joined: transcript.said.len(), next: None, sender: None, last_said: None }
    }
}

impl Transcript {
    /// How many messages somebody has heard.
    pub fn heard(&self) -> usize {
        self.heard.len()
    }

    /// How many messages were said that nobody has heard.
    pub fn unheard(&self) -> usize {
        self.said.len() - self.heard.len()
    }

    /// The text of a member's next message, which is to be sent with this opcode.
    pub fn say(&mut self, reader: &mut Reader, opcode: u8, words: &str) -> String {
        let senders = &mut self.senders;
        let sender = *reader.sender.get_or_insert_with(|| {
            senders.push(Sender::default());
            senders.len() - 1
        });
        let (ordinal, sequence) = (self.said.len(), senders[sender].said);
        senders[sender].said += 1;
        reader.last_said = Some(ordinal);
        let text = format!(
            r#"{{"ordinal":{ordinal},"sender":{sender},"sequence":{sequence},"text":"{words}"}}"#
        );
        let digest = digest(opcode, text.as_bytes());
        self.said.push(Said { digest, sender, sequence, position: None });
        text
    }

    /// Checks a message that a member heard.
    pub fn hear(&mut self, reader: &mut Reader, opcode: u8, message: &[u8]) -> Result<(), Failure> {
        let digest = digest(opcode, message);
        let position = match reader.next {
            Some(position) => position,
            None => self.begin(reader, message)?,
        };
        match self.heard.get(position) {
            Some(heard) if self.said[heard.ordinal].digest == digest => {}
            Some(heard) => {
                let [heard, instead] = [heard.ordinal, ordinal(message)?].map(|at| self.name(at));
                return Err(format!("{instead} was heard where others heard {heard}").into());
            }
            None => self.extend(message, digest)?,
        }
        reader.next = Some(position + 1);
        Ok(())
    }

    /// The position of the first message that a member hears: behind what was heard before it asked
    /// to join, and before everything that was said when it was in.
    fn begin(&self, reader: &Reader, message: &[u8]) -> Result<usize, Failure> {
        let ordinal = ordinal(message)?;
        let known = self.said.get(ordinal).and_then(|said| said.position);
        let position = known.unwrap_or(self.heard.len());
        if position < reader.floor {
            return Err(format!("{} was heard before joining", self.name(ordinal)).into());
        }
        self.check_begin(reader, position)?;
        Ok(position)
    }

    /// Whether nothing was missed by a member that hears nothing before `position`.
    fn check_begin(&self, reader: &Reader, position: usize) -> Result<(), Failure> {
        match self.heard[..position].last() {
            Some(heard) if heard.bound > reader.joined => {
                let missed = self.name(heard.bound - 1);
                Err(format!("{missed} was missed, though it was said after joining").into())
            }
            _ => Ok(()),
        }
    }

    /// Appends a message that nobody has heard before.
    fn extend(&mut self, message: &[u8], digest: u64) -> Result<(), Failure> {
        let (ordinal, position) = (ordinal(message)?, self.heard.len());
        let name = self.name(ordinal);
        let Some(said) = self.said.get_mut(ordinal) else {
            return Err(format!("nobody said {name}").into());
        };
        if said.position.is_some() {
            return Err(format!("{name} was heard twice").into());
        }
        if said.digest != digest {
            return Err(format!("{name} is not what was said").into());
        }
        let sender = &mut self.senders[said.sender];
        if said.sequence != sender.heard {
            return Err(format!("{name} was heard, but {} should be next", sender.heard).into());
        }
        sender.heard += 1;
        said.position = Some(position);
        let bound = self.heard.last().map_or(0, |heard| heard.bound).max(ordinal + 1);
        self.heard.push(Heard { ordinal, bound });
        Ok(())
    }

    /// Checks that a member has heard everything up to `position`, and all that it said itself.
    pub fn check_end(&self, reader: &Reader, position: usize) -> Result<(), Failure> {
        if reader.next.is_none() {
            self.check_begin(reader, position)?;
        }
        if let Some(next) = reader.next.filter(|&next| next < position) {
            let missed = self.name(self.heard[next].ordinal);
            return Err(format!("{missed} and what follows was missed in the end").into());
        }
        match reader.last_said {
            Some(last) if !self.has_heard_own(reader) => {
                Err(format!("{}, its own, was not heard", self.name(last)).into())
            }
            _ => Ok(()),
        }
    }

    /// Whether a member has heard all that it said itself; the last message shows it.
    pub fn has_heard_own(&self, reader: &Reader) -> bool {
        let Some(last) = reader.last_said else { return true };
        let position = self.said[last].position;
        position.zip(reader.next).is_some_and(|(position, next)| position < next)
    }

    /// Checks that a member has heard everything that was said, so that nothing is to come.
    pub fn check_settled(&self, reader: &Reader) -> Result<(), Failure> {
        if self.unheard() > 0 {
            let unheard = self.said.iter().position(|said| said.position.is_none());
            return Err(format!("nobody has heard {}", self.name(unheard.unwrap_or(0))).into());
        }
        self.check_end(reader, self.heard.len())
    }

    /// A message's name in a failure.
    fn name(&self, ordinal: usize) -> String {
        match self.said.get(ordinal) {
            Some(Said { sender, sequence, .. }) => {
                format!("message {sequence} of sender {sender} ({ordinal} of the room)")
            }
            None => format!("message {ordinal} of the room"),
        }
    }
}

/// The ordinal that a message tells.
fn ordinal(message: &[u8]) -> Result<usize, Failure> {
    let text = str::from_utf8(message).ok().and_then(|text| text.strip_prefix(r#"{"ordinal":"#));
    let ordinal = text.and_then(|rest| rest.split_once(',')?.0.parse().ok());
    ordinal.ok_or_else(|| {
        let start = String::from_utf8_lossy(&message[..message.len().min(40)]);
        format!("{start:?} was heard, which nobody said").into()
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

    /// A room in which one member has said messages and heard none.
    fn room(count: usize) -> (Transcript, Reader, Vec<String>) {
        let mut transcript = Transcript::default();
        let mut reader = Reader::new(0, &transcript);
        let said = (0..count).map(|_| transcript.say(&mut reader, TEXT, "x")).collect();
        (transcript, reader, said)
    }

    fn hear(transcript: &mut Transcript, reader: &mut Reader, text: &str) -> Result<(), String> {
        transcript.hear(reader, TEXT, text.as_bytes()).map_err(|failure| failure.to_string())
    }

    #[test]
    fn who_hears_everything_is_settled() {
        let (mut transcript, mut one, said) = room(3);
        let mut other = Reader::new(0, &Transcript::default());
        for text in &said {
            assert!(transcript.check_settled(&one).is_err());
            hear(&mut transcript, &mut one, text).unwrap();
        }
        transcript.check_settled(&one).unwrap();
        assert!(transcript.check_settled(&other).is_err());
        for text in &said {
            hear(&mut transcript, &mut other, text).unwrap();
        }
        transcript.check_settled(&other).unwrap();
    }

    #[test]
    fn a_gap_a_repetition_and_a_swap_are_found() {
        for order in [[0, 2], [0, 0], [1, 0]] {
            let (mut transcript, mut reader, said) = room(3);
            let mut heard = order.iter().map(|&at| hear(&mut transcript, &mut reader, &said[at]));
            assert!(heard.any(|outcome| outcome.is_err()), "{order:?}");
        }
    }

    #[test]
    fn all_hear_the_same_order() {
        let (mut transcript, mut one, said) = room(1);
        let mut other = Reader::new(0, &transcript);
        let answer = transcript.say(&mut other, TEXT, "x");
        for text in [&said[0], &answer] {
            hear(&mut transcript, &mut one, text).unwrap();
        }
        hear(&mut transcript, &mut other, &answer).unwrap();
        assert!(hear(&mut transcript, &mut other, &said[0]).is_err());
    }

    #[test]
    fn what_was_altered_is_found() {
        let (mut transcript, mut reader, said) = room(1);
        assert!(transcript.hear(&mut reader, BINARY, said[0].as_bytes()).is_err());
        assert!(hear(&mut transcript, &mut reader, &said[0].replace('x', "y")).is_err());
        assert!(hear(&mut transcript, &mut reader, "x").is_err());
    }

    #[test]
    fn a_newcomer_hears_all_that_is_said_from_then_on_and_nothing_of_before() {
        let (mut transcript, mut one, mut said) = room(1);
        hear(&mut transcript, &mut one, &said[0]).unwrap();
        let mut early = Reader::new(transcript.heard(), &transcript);
        assert!(hear(&mut transcript, &mut early, &said[0]).is_err());
        for _ in 1..3 {
            said.push(transcript.say(&mut one, TEXT, "x"));
            hear(&mut transcript, &mut one, said.last().unwrap()).unwrap();
        }
        assert!(hear(&mut transcript, &mut early, &said[2]).unwrap_err().contains("missed"));
        hear(&mut transcript, &mut early, &said[1]).unwrap();
    }

    #[test]
    fn who_leaves_too_early_is_found() {
        let (mut transcript, mut one, said) = room(2);
        let (mut other, deaf) =
            (Reader::new(0, &Transcript::default()), Reader::new(0, &Transcript::default()));
        hear(&mut transcript, &mut one, &said[0]).unwrap();
        assert!(transcript.check_end(&one, 1).is_err(), "of its own messages one is missing");
        hear(&mut transcript, &mut one, &said[1]).unwrap();
        transcript.check_end(&one, 2).unwrap();
        hear(&mut transcript, &mut other, &said[0]).unwrap();
        transcript.check_end(&other, 1).unwrap();
        assert!(transcript.check_end(&other, 2).is_err());
        assert!(transcript.check_end(&deaf, 1).is_err());
    }
}
