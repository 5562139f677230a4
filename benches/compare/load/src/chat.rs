//! A room with compressed JSON messages.
//!
//! A server may compress for each member separately, so the received bytes cannot be compared. A sample
//! of the members inflates everything and compares the messages; the others count them.

use std::collections::VecDeque;
use std::time::Instant;

use mio::event::Event;
use mio::{Events, Poll};
use serde_json::{Value, json};

use crate::Failure;
use crate::chatter::{self, Chatter};
use crate::connect;
use crate::deflate::{Deflater, Inflater, OFFER_NONE, OFFER_TAKEOVER, Terms};
use crate::flags::{Context, Deflate, Target};
use crate::frame::{self, Frames, Mask, Piece};
use crate::latency::Latency;
use crate::line::{BUFFER, Line};
use crate::meter::Meter;

/// The minimum number of members that inflate what they receive: the senders, and members that only
/// receive. A member that joins late inflates too.
const SAMPLE: u32 = 5;

#[derive(Debug)]
struct Chat<'a> {
    target: &'a Target,
    load: &'a Deflate,
    poll: Poll,
    members: Vec<Member>,
    buffer: Vec<u8>,
    talk: Talk,
    /// The number of messages that each sender may have sent.
    quota: u32,
    latency: Latency,
}

/// The messages of all senders, and the order in which they were received.
#[derive(Debug)]
struct Talk {
    chatter: Chatter,
    bytes: usize,
    /// The messages of each sender.
    sent: Vec<Vec<Vec<u8>>>,
    /// The senders and numbers of the messages, in the order in which the member furthest ahead received
    /// them.
    order: Vec<(u32, u32)>,
    /// The number of messages of each sender that this member has received.
    received: Vec<u32>,
}

#[derive(Debug)]
struct Member {
    line: Line,
    listener: Listener,
    voice: Option<Voice>,
}

#[derive(Debug)]
struct Listener {
    frames: Frames,
    /// The number of received messages.
    messages: u64,
    /// Their size on the wire in bytes.
    bytes: u64,
    ear: Option<Ear>,
    /// The member's number as a sender, if it sends.
    sender: Option<u32>,
}

/// The state of a member that inflates.
#[derive(Debug)]
struct Ear {
    inflater: Option<Inflater>,
    /// The first byte of the message that has begun, and its payload.
    first: Option<u8>,
    payload: Vec<u8>,
    position: Position,
    /// The number of received messages that were compressed.
    deflated: u64,
}

/// The position of a member in the sequence of messages.
#[derive(Debug)]
enum Position {
    /// The number of received messages, from the first on.
    FromTheFirst(usize),
    /// The received messages of a late member. Their position is known only at the end, because a late
    /// member may be the first to receive a message, and the messages before may still be on the way to
    /// the others.
    Late(Vec<(u32, u32)>),
}

/// The state of a member that sends.
#[derive(Debug)]
struct Voice {
    sender: u32,
    sent: u32,
    deflater: Option<Deflater>,
    /// The times at which it sent the messages that it has not received yet.
    waiting: VecDeque<Instant>,
}

/// A few members send, and all receive, in compressed JSON.
pub fn deflate(target: &Target, load: &Deflate) -> Result<Value, Failure> {
    let mut chat = Chat::open(target, load)?;
    let warm_up = load.warm_up.div_ceil(load.senders);
    chat.run(warm_up.div_ceil(2), false)?;
    chat.run(warm_up.div_ceil(2), true)?;
    let mut report = chat.measure(load.messages.div_ceil(load.senders))?;
    report["load"] = json!({
        "name": "deflate", "members": load.members, "senders": load.senders,
        "in_flight": load.in_flight, "bytes": load.bytes, "messages": load.messages,
        "context": format!("{:?}", load.context), "send_deflate": load.send_deflate,
        "draw": format!("{:?}", load.draw), "seed": load.seed,
    });
    Ok(report)
}

impl<'a> Chat<'a> {
    fn open(target: &'a Target, load: &'a Deflate) -> Result<Self, Failure> {
        if load.senders > load.members {
            return Err("there are fewer members than senders".into());
        }
        let mut chat = Self {
            target,
            load,
            poll: Poll::new()?,
            members: Vec::new(),
            buffer: vec![0; BUFFER],
            talk: Talk::new(load),
            quota: 0,
            latency: Latency::default(),
        };
        (0..load.members).try_for_each(|_| chat.enter())?;
        Ok(chat)
    }

    /// Opens the connection of a member. The first members send, and they, some others and late members
    /// inflate.
    fn enter(&mut self) -> Result<(), Failure> {
        let load = self.load;
        let index = self.members.len() as u32;
        let offer = match load.context {
            Context::Takeover => Some(OFFER_TAKEOVER),
            Context::None => Some(OFFER_NONE),
            Context::Off => None,
        };
        let mut opened = connect::open(self.target, connect::ROOM, offer)?;
        let received = std::mem::take(&mut opened.received);
        let terms = Terms::parse(opened.extensions.as_deref())?;
        if offer.is_some() && terms.is_none() {
            return Err("the server does not compress".into());
        }
        let late = index >= load.members;
        let samples = late || index < SAMPLE.max(load.senders + 1);
        let ear = samples.then(|| Ear::new(terms.as_ref(), late));
        let sender = (index < load.senders).then_some(index);
        let mut listener = Listener::new(ear, sender);
        listener.receive(&received, &mut self.talk)?;
        let voice = sender.map(|sender| Voice::new(sender, load, terms.as_ref())).transpose()?;
        let line = Line::new(opened.stream, &self.poll, index as usize)?;
        self.members.push(Member { line, listener, voice });
        Ok(())
    }

    /// Lets every sender send `messages` more, and reports the cost.
    fn measure(&mut self, messages: u32) -> Result<Value, Failure> {
        self.latency = Latency::default();
        let before = self.sums();
        let meter = Meter::start(&self.target.process)?;
        self.run(messages, false)?;
        self.verify_late()?;
        let after = self.sums();
        let deliveries = after.messages - before.messages;
        let mut report = meter.stop(&self.target.process, deliveries)?;
        let sampled = (after.sampled - before.sampled) as f64;
        report["wire_bytes_per_unit"] =
            json!((after.bytes - before.bytes) as f64 / deliveries as f64);
        report["deflated_share"] = json!((after.deflated - before.deflated) as f64 / sampled);
        report["latency"] = std::mem::take(&mut self.latency).report();
        Ok(report)
    }

    /// Lets every sender send `messages` more, until all members have received them. With `joins`,
    /// another member joins when about half of them have been received.
    fn run(&mut self, messages: u32, mut joins: bool) -> Result<(), Failure> {
        let start = self.talk.order.len();
        self.quota += messages;
        let goal = (self.quota * self.load.senders) as usize;
        for member in &mut self.members {
            member.send(self.load.in_flight, self.quota, &mut self.talk)?;
        }
        let mut events = Events::with_capacity(self.members.len().clamp(64, 4_096));
        while !self.is_at(goal) {
            self.poll.poll(&mut events, Some(self.target.time_left()?))?;
            events.iter().try_for_each(|event| self.deal_with(event))?;
            if joins && self.talk.order.len() > usize::midpoint(start, goal) {
                self.enter()?;
                joins = false;
            }
        }
        Ok(())
    }

    fn is_at(&self, goal: usize) -> bool {
        let order = &self.talk.order;
        order.len() == goal && self.members.iter().all(|member| member.listener.is_at(order))
    }

    /// Verifies that late members missed nothing since they joined.
    fn verify_late(&self) -> Result<(), Failure> {
        let ears = self.members.iter().filter_map(|member| member.listener.ear.as_ref());
        let late = ears.filter_map(|ear| match &ear.position {
            Position::Late(received) => Some(received),
            Position::FromTheFirst(_) => None,
        });
        if late.into_iter().all(|received| self.talk.order.ends_with(received)) {
            Ok(())
        } else {
            Err("a late member received messages in another order, or missed some".into())
        }
    }

    fn deal_with(&mut self, event: &Event) -> Result<(), Failure> {
        let member = &mut self.members[event.token().0];
        if event.is_readable() {
            let own = member.receive(&mut self.buffer, &mut self.talk)?;
            let now = Instant::now();
            let waiting = member.voice.iter_mut().flat_map(|voice| voice.waiting.drain(..own));
            waiting.for_each(|sent| self.latency.add(now - sent));
            member.send(own as u32, self.quota, &mut self.talk)?;
        }
        member.line.flush()
    }

    fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        for member in &self.members {
            let listener = &member.listener;
            sums.messages += listener.messages;
            sums.bytes += listener.bytes;
            sums.sampled += listener.ear.as_ref().map_or(0, |_| listener.messages);
            sums.deflated += listener.ear.as_ref().map_or(0, |ear| ear.deflated);
        }
        sums
    }
}

/// Totals over all members.
#[derive(Debug, Default)]
struct Sums {
    messages: u64,
    bytes: u64,
    /// The messages of members that inflate.
    sampled: u64,
    /// The compressed ones of these.
    deflated: u64,
}

impl Talk {
    fn new(load: &Deflate) -> Self {
        Self {
            chatter: Chatter::new(load.seed, load.draw),
            bytes: load.bytes as usize,
            sent: vec![Vec::new(); load.senders as usize],
            order: Vec::new(),
            received: vec![0; load.senders as usize],
        }
    }

    /// The next message of a sender.
    fn send(&mut self, sender: u32) -> &[u8] {
        let sent = &mut self.sent[sender as usize];
        sent.push(self.chatter.message(sender, sent.len() as u32, self.bytes));
        sent.last().expect("it was just sent")
    }

    /// Verifies a message; returns its sender and number.
    fn verify(&self, message: &[u8]) -> Result<(u32, u32), Failure> {
        let numbers = chatter::parse(message).ok_or("received something other than a message")?;
        let sent = self.sent.get(numbers.0 as usize).and_then(|sent| sent.get(numbers.1 as usize));
        if sent.is_some_and(|sent| sent == message) {
            Ok(numbers)
        } else {
            Err("received a message that was not sent".into())
        }
    }

    /// Verifies that the message with this sender and number is at `index` of the order.
    fn position(&mut self, index: usize, (sender, sequence): (u32, u32)) -> Result<(), Failure> {
        match self.order.get(index) {
            Some(&known) if known == (sender, sequence) => Ok(()),
            None if self.received[sender as usize] == sequence => {
                self.received[sender as usize] += 1;
                self.order.push((sender, sequence));
                Ok(())
            }
            _ => Err(format!("received message {sequence} of {sender} out of order").into()),
        }
    }
}

impl Member {
    /// Reads everything available, and returns the number of its own messages that it received.
    fn receive(&mut self, buffer: &mut [u8], talk: &mut Talk) -> Result<usize, Failure> {
        let mut own = 0;
        self.line.receive(buffer, |bytes| {
            own += self.listener.receive(bytes, talk)?;
            Ok(())
        })?;
        Ok(own)
    }

    /// Sends up to `messages` more, within the quota.
    fn send(&mut self, messages: u32, quota: u32, talk: &mut Talk) -> Result<(), Failure> {
        let Some(voice) = &mut self.voice else { return Ok(()) };
        for _ in 0..messages.min(quota - voice.sent) {
            voice.send(talk.send(voice.sender), &mut self.line.unsent)?;
        }
        self.line.flush()
    }
}

impl Listener {
    fn new(ear: Option<Ear>, sender: Option<u32>) -> Self {
        Self { frames: Frames::default(), messages: 0, bytes: 0, ear, sender }
    }

    /// Handles received bytes, and returns the number of its own messages in them.
    fn receive(&mut self, mut bytes: &[u8], talk: &mut Talk) -> Result<usize, Failure> {
        let mut own = 0;
        self.bytes += bytes.len() as u64;
        while let Some(piece) = self.frames.next(&mut bytes) {
            let sender =
                self.ear.as_mut().map(|ear| ear.receive(piece, talk)).transpose()?.flatten();
            own += usize::from(sender.is_some() && sender == self.sender);
            self.messages += u64::from(piece.ends_message());
        }
        Ok(own)
    }

    /// Whether it has received all messages up to the end of the order.
    fn is_at(&self, order: &[(u32, u32)]) -> bool {
        match self.ear.as_ref().map(|ear| &ear.position) {
            Some(Position::Late(received)) => received.last() == order.last(),
            Some(Position::FromTheFirst(_)) | None => self.messages == order.len() as u64,
        }
    }
}

impl Ear {
    fn new(terms: Option<&Terms>, late: bool) -> Self {
        Self {
            inflater: terms.map(Inflater::new),
            first: None,
            payload: Vec::new(),
            position: if late { Position::Late(Vec::new()) } else { Position::FromTheFirst(0) },
            deflated: 0,
        }
    }

    /// Handles a piece of a frame, and returns the sender of the message that it completes.
    fn receive(&mut self, piece: Piece, talk: &mut Talk) -> Result<Option<u32>, Failure> {
        if piece.is_control() {
            return Ok(None);
        }
        let first = *self.first.get_or_insert(piece.first);
        self.payload.extend_from_slice(piece.payload);
        if !piece.ends_message() {
            return Ok(None);
        }
        self.first = None;
        let mut message = std::mem::take(&mut self.payload);
        if first & frame::RSV1 != 0 {
            self.deflated += 1;
            let inflater = self.inflater.as_mut().ok_or("received a compressed message")?;
            message = inflater.inflate(&message)?;
        }
        let numbers = talk.verify(&message)?;
        match &mut self.position {
            Position::Late(received) => received.push(numbers),
            Position::FromTheFirst(index) => {
                talk.position(*index, numbers)?;
                *index += 1;
            }
        }
        Ok(Some(numbers.0))
    }
}

impl Voice {
    fn new(sender: u32, load: &Deflate, terms: Option<&Terms>) -> Result<Self, Failure> {
        let terms = terms.filter(|_| load.send_deflate);
        let deflater = terms.map(Deflater::new).transpose()?;
        Ok(Self { sender, sent: 0, deflater, waiting: VecDeque::new() })
    }

    fn send(&mut self, message: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
        out.extend(match &mut self.deflater {
            Some(deflater) => frame::from_client(
                Mask::SOME,
                frame::TEXT | frame::RSV1,
                &deflater.deflate(message)?,
            ),
            None => frame::from_client(Mask::SOME, frame::TEXT, message),
        });
        self.sent += 1;
        self.waiting.push_back(Instant::now());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chatter::Draw;

    fn talk() -> Talk {
        Talk::new(&Deflate {
            members: 3,
            senders: 2,
            in_flight: 1,
            bytes: 150,
            messages: 1,
            warm_up: 0,
            context: Context::Takeover,
            send_deflate: false,
            draw: Draw::Zipf,
            seed: 1,
        })
    }

    #[test]
    fn all_members_receive_what_was_sent_in_one_order() {
        let mut talk = talk();
        let sent = [0, 1, 0].map(|sender| talk.send(sender).to_vec());
        let [first, second, third] = sent.each_ref().map(|message| talk.verify(message).unwrap());
        assert_eq!([first, second, third], [(0, 0), (1, 0), (0, 1)]);
        talk.position(0, first).unwrap();
        talk.position(1, second).unwrap();
        talk.position(0, first).unwrap();
        assert!(talk.position(1, third).is_err());
        assert!(talk.position(2, first).is_err());
        talk.position(2, third).unwrap();
        assert!(talk.verify(b"{}").is_err());
        assert!(talk.verify(&sent[0].to_ascii_uppercase()).is_err());
    }
}
