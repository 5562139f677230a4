//! Members that come back all at once, as after a restart of the network, and receive what they have missed.
//!
//! A back end has published in the meantime. Each member names the place up to which it has received, and
//! must receive exactly what was published since, and then what is published to all.

use std::io::{Read, Write};
use std::net;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde_json::{Value, json};

use crate::Failure;
use crate::connect::{Answer, ROOM, field, request};
use crate::flags::{Resume, Target};
use crate::frame::{self, Head};
use crate::idle::wait_until_at_rest;
use crate::latency::Latency;
use crate::line::BUFFER;
use crate::meter::Meter;
use crate::publish::{answer_body, request_head};
use crate::speech;
use crate::stream::Stream;

/// How many messages members have received before they were gone.
const SEEN: u32 = 100;

/// How many connections are begun before those that have begun are dealt with.
const BATCH: usize = 64;

#[derive(Debug)]
struct Storm<'a> {
    target: &'a Target,
    back_end: BackEnd<'a>,
    request: String,
    past: Past,
    poll: Poll,
    members: Vec<Member>,
    /// How many members have received everything.
    done: usize,
    start: Instant,
    latency: Latency,
    buffer: Vec<u8>,
}

/// What members have missed.
#[derive(Debug)]
struct Past {
    frames: Vec<u8>,
    /// How many messages the server says that it sends again, if it is to say that first.
    greeting: Option<u32>,
}

/// A member that comes back.
#[derive(Debug)]
struct Member {
    stream: Stream<TcpStream>,
    /// How much of its request is sent.
    asked: usize,
    /// What precedes the messages, until all of it is there.
    preface: Option<Vec<u8>>,
    /// How much it has received of what it has missed.
    position: usize,
}

/// The back end, which publishes one message after the other.
#[derive(Debug)]
struct BackEnd<'a> {
    target: &'a Target,
    stream: Stream<net::TcpStream>,
    bytes: usize,
    published: u32,
}

/// Lets members come back, and verifies what they receive.
pub fn resume(target: &Target, load: &Resume) -> Result<Value, Failure> {
    let mut storm = Storm::new(target, load)?;
    storm.run(load.warm_up)?;
    storm.leave();
    wait_until_at_rest(&target.process)?;
    target.process.reset_peak()?;
    let before = target.process.peak()?;
    let meter = Meter::start(&target.process)?;
    storm.run(load.members)?;
    let mut report = meter.stop(&target.process, u64::from(load.members))?;
    let peak = target.process.peak()?;
    report["peak_bytes_per_unit"] = json!((peak - before) as f64 / f64::from(load.members));
    report["latency"] = std::mem::take(&mut storm.latency).report();
    storm.publish_to_all()?;
    report["load"] = json!({
        "name": "resume", "members": load.members, "behind": load.behind, "bytes": load.bytes,
        "words": load.words,
    });
    Ok(report)
}

impl<'a> Storm<'a> {
    fn new(target: &'a Target, load: &Resume) -> Result<Self, Failure> {
        let mut back_end = BackEnd::new(target, load.bytes)?;
        let mut seen = String::new();
        for _ in 0..SEEN {
            seen = back_end.publish()?.1;
        }
        let mut frames = Vec::new();
        for _ in 0..load.behind {
            frames.extend(back_end.publish()?.0);
        }
        let words = load.words.then(|| field("Sec-WebSocket-Protocol", "townhall.v1"));
        Ok(Self {
            target,
            back_end,
            request: request(target, &format!("{ROOM}?after={seen}"), &words.unwrap_or_default()),
            past: Past { frames, greeting: load.words.then_some(load.behind) },
            poll: Poll::new()?,
            members: Vec::new(),
            done: 0,
            start: Instant::now(),
            latency: Latency::default(),
            buffer: vec![0; BUFFER],
        })
    }

    /// Lets this number of members come back, until each has received what it has missed.
    fn run(&mut self, members: u32) -> Result<(), Failure> {
        let members = members as usize;
        let mut events = Events::with_capacity(members.clamp(64, 4_096));
        self.latency = Latency::default();
        self.start = Instant::now();
        while self.done < members {
            let more = BATCH.min(members - self.members.len());
            (0..more).try_for_each(|_| self.begin())?;
            let wait = if more > 0 { Duration::ZERO } else { self.target.time_left()? };
            self.deal_with_events(&mut events, wait)?;
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), Failure> {
        let mut stream = Stream::begin(self.target)?;
        let both = Interest::READABLE | Interest::WRITABLE;
        let token = Token(self.members.len());
        self.poll.registry().register(&mut stream.socket, token, both)?;
        self.members.push(Member { stream, asked: 0, preface: Some(Vec::new()), position: 0 });
        Ok(())
    }

    fn deal_with_events(&mut self, events: &mut Events, wait: Duration) -> Result<(), Failure> {
        self.poll.poll(events, Some(wait))?;
        for event in &*events {
            let member = &mut self.members[event.token().0];
            if member.go_on(self.request.as_bytes(), &self.past, &mut self.buffer)? {
                self.latency.add(self.start.elapsed());
                self.done += 1;
            }
        }
        Ok(())
    }

    /// Publishes one more message, which must be the next one of every member.
    fn publish_to_all(&mut self) -> Result<(), Failure> {
        // Node ends a connection that was silent for five seconds.
        self.back_end.stream = Stream::connect(self.target)?;
        let (frame, _) = self.back_end.publish()?;
        self.past.frames.extend(frame);
        self.done = 0;
        let mut events = Events::with_capacity(self.members.len().clamp(64, 4_096));
        while self.done < self.members.len() {
            self.deal_with_events(&mut events, self.target.time_left()?)?;
        }
        Ok(())
    }

    /// Ends all connections.
    fn leave(&mut self) {
        self.members.clear();
        self.done = 0;
    }
}

impl Member {
    /// Goes on after an event, and returns whether the member now has received everything.
    fn go_on(&mut self, request: &[u8], past: &Past, buffer: &mut [u8]) -> Result<bool, Failure> {
        if let Some(error) = self.stream.socket.take_error()? {
            return Err(error.into());
        }
        if self.asked < request.len() {
            if self.stream.socket.peer_addr().is_err() {
                return Ok(false);
            }
            self.asked += self.stream.send(&request[self.asked..])?;
        }
        let before = self.position;
        let Self { stream, preface, position, .. } = self;
        stream.receive(buffer, |bytes| receive(preface, position, bytes, past))?;
        stream.send_sealed()?;
        Ok(self.position > before && self.position == past.frames.len())
    }
}

/// Verifies what a member has received.
fn receive(
    preface: &mut Option<Vec<u8>>,
    position: &mut usize,
    bytes: &[u8],
    past: &Past,
) -> Result<(), Failure> {
    let Some(begun) = preface else { return past.verify(position, bytes) };
    begun.extend_from_slice(bytes);
    let Some(size) = past.preface_size(begun)? else { return Ok(()) };
    let messages = begun.split_off(size);
    *preface = None;
    past.verify(position, &messages)
}

impl Past {
    /// How long what precedes the messages is, once all of it is there: the server's answer, and its
    /// greeting.
    fn preface_size(&self, bytes: &[u8]) -> Result<Option<usize>, Failure> {
        let Some(answer) = Answer::parse(bytes)? else { return Ok(None) };
        let Some(replay) = self.greeting else { return Ok(Some(answer.size)) };
        let rest = &bytes[answer.size..];
        let Some(head) = Head::parse(rest) else { return Ok(None) };
        let Some(word) = rest.get(head.size..head.size + head.payload) else { return Ok(None) };
        let word: Value = serde_json::from_slice(word.strip_prefix(b"\0").unwrap_or_default())?;
        if word["recovered"] == true && word["replay"] == replay {
            Ok(Some(answer.size + head.size + head.payload))
        } else {
            Err(format!("the server said {word}").into())
        }
    }

    /// Verifies that the messages at this position are these bytes, and moves on.
    fn verify(&self, position: &mut usize, bytes: &[u8]) -> Result<(), Failure> {
        let end = *position + bytes.len();
        if self.frames.get(*position..end) != Some(bytes) {
            return Err("a member received something other than what it has missed".into());
        }
        *position = end;
        Ok(())
    }
}

impl<'a> BackEnd<'a> {
    fn new(target: &'a Target, bytes: usize) -> Result<Self, Failure> {
        Ok(Self { target, stream: Stream::connect(target)?, bytes, published: 0 })
    }

    /// Publishes a message; returns the frame in which members receive it, and the place after it.
    fn publish(&mut self) -> Result<(Vec<u8>, String), Failure> {
        let message = speech::message(0, self.published, self.bytes);
        self.published += 1;
        let head = request_head(self.target, self.bytes);
        self.stream.write_all(&[head.as_bytes(), &message].concat())?;
        Ok((frame::from_server(frame::TEXT, &message), position(&self.answer()?)?))
    }

    fn answer(&mut self) -> Result<Value, Failure> {
        let mut answer = Vec::new();
        let mut buffer = [0; 1_024];
        loop {
            match self.stream.read(&mut buffer)? {
                0 => return Err("the server did not answer to the end".into()),
                count => answer.extend_from_slice(&buffer[..count]),
            }
            if let Some(body) = answer_body(&answer)? {
                return Ok(serde_json::from_slice(&answer[body])?);
            }
        }
    }
}

/// The place in the answer to a request that has published: nchan has a name of its own for it.
fn position(answer: &Value) -> Result<String, Failure> {
    let place =
        [&answer["position"], &answer["last_message_id"]].into_iter().find(|it| !it.is_null());
    match place {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(number) => Ok(number.to_string()),
        None => Err(format!("the server answered without a position: {answer}").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

    fn past(greeting: Option<u32>) -> Past {
        Past { frames: b"\x81\x01a\x81\x01b".to_vec(), greeting }
    }

    fn received(past: &Past, pieces: &[&[u8]]) -> Result<usize, Failure> {
        let (mut preface, mut position) = (Some(Vec::new()), 0);
        for piece in pieces {
            receive(&mut preface, &mut position, piece, past)?;
        }
        Ok(position)
    }

    #[test]
    fn a_member_receives_what_it_has_missed_however_it_arrives() {
        let greeting = frame::from_server(frame::TEXT, b"\0{\"recovered\":true,\"replay\":2}");
        for (greeting, past) in [(greeting, past(Some(2))), (Vec::new(), past(None))] {
            let all = [ANSWER, &greeting, &past.frames].concat();
            for size in 1..=all.len() {
                let pieces: Vec<_> = all.chunks(size).collect();
                assert_eq!(received(&past, &pieces).unwrap(), past.frames.len());
            }
        }
    }

    #[test]
    fn anything_else_is_a_failure() {
        assert!(received(&past(None), &[ANSWER, b"\x81\x01b"]).is_err());
        assert!(received(&past(None), &[ANSWER, b"\x81\x01a\x81\x01b\x81\x01c"]).is_err());
        for word in
            ["\0{\"recovered\":false,\"replay\":0}", "\0{\"recovered\":true,\"replay\":1}", "a"]
        {
            let greeting = frame::from_server(frame::TEXT, word.as_bytes());
            assert!(received(&past(Some(2)), &[ANSWER, &greeting]).is_err(), "{word}");
        }
    }

    #[test]
    fn an_answer_names_a_place() {
        assert_eq!(position(&json!({"position": "a.1"})).unwrap(), "a.1");
        assert_eq!(position(&json!({"members": 0, "position": 7})).unwrap(), "7");
        assert_eq!(position(&json!({"last_message_id": "1:0"})).unwrap(), "1:0");
        assert!(position(&json!({"members": 0})).is_err());
    }
}
