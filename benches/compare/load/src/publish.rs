//! A back end that publishes in a room with HTTP requests on one connection.
//!
//! A message is in flight until it is answered and every member has received it. Its latency counts from
//! its request until the last member has it.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Instant;

use mio::event::Event;
use mio::{Events, Poll};
use serde_json::{Value, json};

use crate::Failure;
use crate::connect;
use crate::flags::{Publish, Target};
use crate::latency::Latency;
use crate::line::{BUFFER, Line};
use crate::member::Member;
use crate::meter::Meter;
use crate::reference::Reference;
use crate::speech;
use crate::stream::Stream;

#[derive(Debug)]
struct Room<'a> {
    target: &'a Target,
    poll: Poll,
    members: Vec<Member>,
    reference: Reference,
    back_end: BackEnd,
    in_flight: u32,
    /// The messages that have not reached every member, in order.
    waiting: VecDeque<Waiting>,
    /// The number of messages that have reached every member.
    received: u32,
    latency: Latency,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Waiting {
    sent: Instant,
    /// How many members have it.
    members: u32,
}

/// The connection of the back end.
#[derive(Debug)]
struct BackEnd {
    line: Line,
    /// The request up to its body.
    head: Vec<u8>,
    bytes: usize,
    sent: u32,
    answered: u32,
    /// The beginning of an answer.
    answer: Vec<u8>,
}

/// Publishes messages, and verifies what the members receive.
pub fn publish(target: &Target, load: &Publish) -> Result<Value, Failure> {
    let mut room = Room::open(target, load)?;
    room.run(load.warm_up)?;
    room.latency = Latency::default();
    let meter = Meter::start(&target.process)?;
    room.run(load.messages)?;
    let mut report = meter.stop(&target.process, u64::from(load.messages))?;
    let deliveries = f64::from(load.messages) * f64::from(load.members);
    let cpu = report["server_cpu_ns"].as_f64();
    report["server_cpu_ns_per_delivery"] = json!(cpu.map(|cpu| cpu / deliveries));
    report["latency"] = room.latency.report();
    report["load"] = json!({
        "name": "publish", "members": load.members, "in_flight": load.in_flight,
        "bytes": load.bytes, "messages": load.messages,
    });
    Ok(report)
}

impl<'a> Room<'a> {
    fn open(target: &'a Target, load: &Publish) -> Result<Self, Failure> {
        let poll = Poll::new()?;
        let enter = |index| Member::enter(target, connect::ROOM, &poll, index);
        let members = (0..load.members as usize).map(enter).collect::<Result<Vec<_>, _>>()?;
        let back_end = BackEnd::open(target, &poll, members.len(), load.bytes)?;
        Ok(Self {
            target,
            poll,
            members,
            reference: Reference::new(1, load.bytes),
            back_end,
            in_flight: load.in_flight,
            waiting: VecDeque::new(),
            received: 0,
            latency: Latency::default(),
            buffer: vec![0; BUFFER],
        })
    }

    /// Publishes `messages` more, until all are answered and everybody has received them.
    fn run(&mut self, messages: u32) -> Result<(), Failure> {
        let quota = self.back_end.sent + messages;
        let mut events = Events::with_capacity(self.members.len().clamp(64, 4_096));
        while self.done() < quota {
            self.post(quota.min(self.done() + self.in_flight))?;
            self.poll.poll(&mut events, Some(self.target.time_left()?))?;
            events.iter().try_for_each(|event| self.deal_with(event))?;
            self.count();
        }
        Ok(())
    }

    /// How many messages are no longer in flight.
    fn done(&self) -> u32 {
        self.received.min(self.back_end.answered)
    }

    /// Sends the requests up to number `last`.
    fn post(&mut self, last: u32) -> Result<(), Failure> {
        let sent = Instant::now();
        let count = self.back_end.post(last)?;
        self.waiting.extend((0..count).map(|_| Waiting { sent, members: 0 }));
        Ok(())
    }

    fn deal_with(&mut self, event: &Event) -> Result<(), Failure> {
        let Some(member) = self.members.get_mut(event.token().0) else {
            return self.back_end.deal_with(event, &mut self.buffer);
        };
        if event.is_readable() {
            let before = self.reference.messages_until(member.position);
            member.receive(&mut self.buffer, &mut self.reference, || Ok(()))?;
            let after = self.reference.messages_until(member.position);
            for number in before..after {
                let waiting = self.waiting.get_mut((number - u64::from(self.received)) as usize);
                waiting.ok_or("received a message before it was sent")?.members += 1;
            }
        }
        member.line.flush()
    }

    /// Counts the messages that every member has received, and forgets their bytes.
    fn count(&mut self) {
        let now = Instant::now();
        let everyone = self.members.len() as u32;
        while let Some(first) = self.waiting.pop_front_if(|first| first.members == everyone) {
            self.latency.add(now - first.sent);
            self.received += 1;
        }
        if self.reference.is_long() {
            let slowest = self.members.iter().map(|member| member.position).min().unwrap_or(0);
            self.reference.own_received(0, slowest);
            self.reference.trim(slowest);
        }
    }
}

impl BackEnd {
    fn open(target: &Target, poll: &Poll, token: usize, bytes: usize) -> Result<Self, Failure> {
        Ok(Self {
            line: Line::new(Stream::connect(target)?, poll, token)?,
            head: request_head(target, bytes).into_bytes(),
            bytes,
            sent: 0,
            answered: 0,
            answer: Vec::new(),
        })
    }

    /// Sends the requests up to number `last`, and returns how many these are.
    fn post(&mut self, last: u32) -> Result<u32, Failure> {
        let first = self.sent;
        for number in first..last {
            self.line.unsent.extend_from_slice(&self.head);
            self.line.unsent.extend_from_slice(&speech::message(0, number, self.bytes));
            self.sent += 1;
        }
        self.line.flush()?;
        Ok(self.sent - first)
    }

    fn deal_with(&mut self, event: &Event, buffer: &mut [u8]) -> Result<(), Failure> {
        if event.is_readable() {
            self.line.receive(buffer, |bytes| {
                self.answer.extend_from_slice(bytes);
                Ok(())
            })?;
            let mut answers = &*self.answer;
            while let Some(body) = answer_body(answers)? {
                answers = &answers[body.end..];
                self.answered += 1;
            }
            self.answer.drain(..self.answer.len() - answers.len());
        }
        self.line.flush()
    }
}

/// The head of a request that publishes a message of this size. nchan answers in the form that is asked for.
pub fn request_head(target: &Target, bytes: usize) -> String {
    format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: text/plain;charset=UTF-8\r\n\
         Accept: application/json\r\nContent-Length: {bytes}\r\n\r\n",
        connect::ROOM,
        target.address
    )
}

/// Where the body of the answer is that `bytes` begin with, once all of it is there.
pub fn answer_body(bytes: &[u8]) -> Result<Option<Range<usize>>, Failure> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut answer = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = answer.parse(bytes)? else { return Ok(None) };
    let code = answer.code.unwrap_or(0);
    if !(200..300).contains(&code) {
        return Err(format!("the server answered with {code}").into());
    }
    let length = answer.headers.iter().find(|h| h.name.eq_ignore_ascii_case("content-length"));
    let length = length.ok_or("the server answered without a length")?.value;
    let body = head..head + str::from_utf8(length)?.parse::<usize>()?;
    Ok((body.end <= bytes.len()).then_some(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_head_and_a_body() {
        let answer = b"HTTP/1.1 201 Created\r\ncontent-length: 3\r\n\r\nabcHTTP/1.1";
        let body = answer_body(answer).unwrap().unwrap();
        assert_eq!(&answer[body.clone()], b"abc");
        assert_eq!(answer_body(&answer[..body.start - 1]).unwrap(), None);
        assert_eq!(answer_body(&answer[..body.end - 1]).unwrap(), None);
    }

    #[test]
    fn anything_but_success_is_a_failure() {
        assert!(answer_body(b"HTTP/1.1 429 X\r\nContent-Length: 0\r\n\r\n").is_err());
        assert!(answer_body(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(answer_body(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n").is_err());
    }
}
