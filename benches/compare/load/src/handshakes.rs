//! New connections, each for its handshake only.

use std::time::Instant;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde_json::{Value, json};

use crate::Failure;
use crate::connect::{Answer, ROOM, field, request};
use crate::flags::{Handshakes, Target};
use crate::latency::Latency;
use crate::meter::Meter;
use crate::stream::Stream;

/// How many connections are opened before tickets are counted.
const BATCH: u32 = 100;

#[derive(Debug)]
struct Crowd<'a> {
    target: &'a Target,
    request: String,
    poll: Poll,
    attempts: Vec<Option<Attempt>>,
    latency: Latency,
    begun: u32,
    done: u32,
    /// How many have resumed a session of TLS.
    resumed: u32,
}

/// A connection that is not open yet.
#[derive(Debug)]
struct Attempt {
    stream: Stream<TcpStream>,
    start: Instant,
    /// How much of the request is sent.
    asked: usize,
    answer: Vec<u8>,
}

/// Opens connections, some at a time, and ends each as soon as it is open.
pub fn handshakes(target: &Target, load: &Handshakes) -> Result<Value, Failure> {
    let mut crowd = Crowd::new(target, load)?;
    if load.resume {
        crowd.collect_tickets((load.warm_up + load.count) as usize)?;
    }
    crowd.run(load.warm_up)?;
    crowd.latency = Latency::default();
    let meter = Meter::start(&target.process)?;
    crowd.run(load.count)?;
    let mut report = meter.stop(&target.process, u64::from(load.count))?;
    if load.resume && crowd.resumed < load.count {
        return Err(format!("{} of {} sessions were resumed", crowd.resumed, load.count).into());
    }
    report["latency"] = crowd.latency.report();
    report["load"] = json!({ "name": "handshakes", "count": load.count, "in_flight": load.in_flight,
            "resume": load.resume });
    Ok(report)
}

impl<'a> Crowd<'a> {
    fn new(target: &'a Target, load: &Handshakes) -> Result<Self, Failure> {
        let bearer = |token| field("Authorization", &format!("Bearer {token}"));
        let fields = load.token.as_ref().map(bearer).unwrap_or_default();
        Ok(Self {
            target,
            request: request(target, ROOM, &fields),
            poll: Poll::new()?,
            attempts: (0..load.in_flight).map(|_| None).collect(),
            latency: Latency::default(),
            begun: 0,
            done: 0,
            resumed: 0,
        })
    }

    /// Opens and ends connections until the server has given so many tickets, and uses them from there on:
    /// not every server gives a ticket when it takes one.
    fn collect_tickets(&mut self, tickets: usize) -> Result<(), Failure> {
        let tls = self.target.tls.as_ref().ok_or("only sessions of TLS can be resumed")?;
        tls.keep_tickets(tickets);
        while tls.tickets() < tickets {
            let before = tls.tickets();
            self.run(BATCH)?;
            if tls.tickets() == before {
                return Err("the server gives no tickets".into());
            }
        }
        tls.use_tickets();
        Ok(())
    }

    /// Opens and ends `count` connections.
    fn run(&mut self, count: u32) -> Result<(), Failure> {
        (self.begun, self.done, self.resumed) = (0, 0, 0);
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
            let mut stream = Stream::begin(self.target)?;
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream.socket, Token(slot), both)?;
            self.attempts[slot] = Some(Attempt { stream, start, asked: 0, answer: Vec::new() });
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
        self.resumed += u32::from(attempt.stream.has_resumed());
        self.latency.add(attempt.start.elapsed());
        self.done += 1;
        self.attempts[slot] = None;
        Ok(true)
    }
}

impl Attempt {
    /// Sends the request, once the connection is there; returns whether it is sent, or waits for the
    /// handshake of TLS.
    fn ask(&mut self, request: &[u8]) -> Result<bool, Failure> {
        if let Some(error) = self.stream.socket.take_error()? {
            return Err(error.into());
        }
        if self.stream.socket.peer_addr().is_err() {
            return Ok(false);
        }
        self.asked += self.stream.send(&request[self.asked..])?;
        Ok(self.asked == request.len())
    }

    /// Reads the answer; returns whether all of it is there.
    fn receive(&mut self) -> Result<bool, Failure> {
        let mut buffer = [0; 4_096];
        self.stream.receive(&mut buffer, |bytes| {
            self.answer.extend_from_slice(bytes);
            Ok(())
        })?;
        self.stream.send_sealed()?;
        Ok(Answer::parse(&self.answer)?.is_some())
    }
}
