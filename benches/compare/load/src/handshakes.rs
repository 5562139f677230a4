//! New connections, each for its handshake only.

use std::io::{ErrorKind, Read, Write};
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde_json::{Value, json};

use crate::Failure;
use crate::connect::{Answer, ROOM, request};
use crate::flags::{Handshakes, Target};
use crate::latency::Latency;
use crate::meter::Meter;

#[derive(Debug)]
struct Crowd<'a> {
    target: &'a Target,
    request: String,
    poll: Poll,
    attempts: Vec<Option<Attempt>>,
    latency: Latency,
    begun: u32,
    done: u32,
}

/// A connection that is not open yet.
#[derive(Debug)]
struct Attempt {
    stream: TcpStream,
    start: Instant,
    asked: bool,
    answer: Vec<u8>,
}

/// Opens connections, some at a time, and ends each as soon as it is open.
pub fn handshakes(target: &Target, load: &Handshakes) -> Result<Value, Failure> {
    let mut crowd = Crowd::new(target, load)?;
    crowd.run(load.warm_up)?;
    crowd.latency = Latency::default();
    let meter = Meter::start(&target.process)?;
    crowd.run(load.count)?;
    let mut report = meter.stop(&target.process, u64::from(load.count))?;
    report["latency"] = crowd.latency.report();
    report["load"] =
        json!({ "name": "handshakes", "count": load.count, "in_flight": load.in_flight });
    Ok(report)
}

impl<'a> Crowd<'a> {
    fn new(target: &'a Target, load: &Handshakes) -> Result<Self, Failure> {
        Ok(Self {
            target,
            request: request(target, ROOM, None),
            poll: Poll::new()?,
            attempts: (0..load.in_flight).map(|_| None).collect(),
            latency: Latency::default(),
            begun: 0,
            done: 0,
        })
    }

    /// Opens and ends `count` connections.
    fn run(&mut self, count: u32) -> Result<(), Failure> {
        (self.begun, self.done) = (0, 0);
        (0..self.attempts.len()).try_for_each(|slot| self.begin(slot, count))?;
        let mut events = Events::with_capacity(self.attempts.len());
        while self.done < count {
            self.poll.poll(&mut events, Some(self.target.time_left()?))?;
            for event in &events {
                let slot = event.token().0;
                if self.go_on(slot)? {
                    self.begin(slot, count)?;
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, slot: usize, count: u32) -> Result<(), Failure> {
        if self.begun < count {
            self.begun += 1;
            let start = Instant::now();
            let mut stream = TcpStream::connect(self.target.address)?;
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(slot), both)?;
            self.attempts[slot] = Some(Attempt { stream, start, asked: false, answer: Vec::new() });
        }
        Ok(())
    }

    /// Goes on with an attempt, and returns whether that was all. An event may have been meant for
    /// the attempt before; then there is nothing to do yet.
    fn go_on(&mut self, slot: usize) -> Result<bool, Failure> {
        let Some(attempt) = &mut self.attempts[slot] else { return Ok(false) };
        if !attempt.ask(self.request.as_bytes())? || !attempt.receive()? {
            return Ok(false);
        }
        self.latency.add(attempt.start.elapsed());
        self.done += 1;
        self.attempts[slot] = None;
        Ok(true)
    }
}

impl Attempt {
    /// Sends the request, once the connection is there; returns whether it is sent.
    fn ask(&mut self, request: &[u8]) -> Result<bool, Failure> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error.into());
        }
        if !self.asked && self.stream.peer_addr().is_ok() {
            // A new socket takes a request as a whole.
            self.stream.write_all(request)?;
            self.asked = true;
        }
        Ok(self.asked)
    }

    /// Reads the answer; returns whether all of it is there.
    fn receive(&mut self) -> Result<bool, Failure> {
        let mut buffer = [0; 1_024];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err("the server ended a connection instead of answering".into()),
            Ok(count) => {
                self.answer.extend_from_slice(&buffer[..count]);
                Ok(Answer::parse(&self.answer)?.is_some())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
