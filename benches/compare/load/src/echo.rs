//! Clients that receive only their own messages.

use std::collections::VecDeque;
use std::time::Instant;

use mio::event::Event;
use mio::{Events, Poll};
use serde_json::{Value, json};

use crate::Failure;
use crate::connect;
use crate::flags::{Echo, Target};
use crate::frame::{self, Mask};
use crate::latency::Latency;
use crate::line::{BUFFER, Line};
use crate::meter::Meter;
use crate::speech;

/// About how many bytes of messages are prepared.
const PREPARED: usize = 64 << 10;

/// The messages that every client sends repeatedly, each client from another position. Both directions are
/// prepared: sending is a write from one buffer, and verifying is a comparison with another.
#[derive(Debug)]
struct Script {
    messages: u64,
    sent: Vec<u8>,
    received: Vec<u8>,
}

#[derive(Debug)]
struct Echoes<'a> {
    target: &'a Target,
    poll: Poll,
    script: Script,
    in_flight: u64,
    clients: Vec<Client>,
    buffer: Vec<u8>,
    latency: Latency,
    /// How many messages each client sends.
    quota: u64,
    /// How many clients have not received them all.
    busy: usize,
}

#[derive(Debug)]
struct Client {
    line: Line,
    /// The number of its first message in the script.
    first: u64,
    /// How many messages are scheduled so far.
    scheduled: u64,
    /// How many bytes of them are sent.
    sent: u64,
    /// How many bytes it has received.
    received: u64,
    /// When the messages were scheduled that it has not received yet.
    waiting: VecDeque<Instant>,
}

/// Each client keeps some messages in flight.
pub fn echo(target: &Target, load: &Echo) -> Result<Value, Failure> {
    let mut echoes = Echoes::open(target, load)?;
    echoes.run(u64::from(load.warm_up.div_ceil(load.connections)))?;
    let mut report = echoes.measure(u64::from(load.messages.div_ceil(load.connections)))?;
    report["load"] = json!({
        "name": "echo", "connections": load.connections, "in_flight": load.in_flight,
        "bytes": load.bytes, "messages": load.messages, "binary": load.binary,
        "fragments": load.fragments,
    });
    Ok(report)
}

impl Script {
    fn new(load: &Echo, mask: Mask) -> Self {
        let messages = (PREPARED / load.bytes).clamp(4, 256) as u32;
        let opcode = if load.binary { frame::BINARY } else { frame::TEXT };
        let mut sent = Vec::new();
        let mut received = Vec::new();
        for number in 0..messages {
            let message = speech::message(0, number, load.bytes);
            sent.extend(frame::fragments(mask, opcode, &message, load.fragments as usize));
            received.extend(frame::from_server(opcode, &message));
        }
        Self { messages: u64::from(messages), sent, received }
    }

    /// The size of `messages` as sent.
    fn sent_size(&self, messages: u64) -> u64 {
        messages * (self.sent.len() as u64 / self.messages)
    }

    /// The size of `messages` as received.
    fn received_size(&self, messages: u64) -> u64 {
        messages * (self.received.len() as u64 / self.messages)
    }

    /// The bytes to send at `position`: up to `most` bytes, or up to the script's end.
    fn sent_at(&self, position: u64, most: u64) -> &[u8] {
        let rest = &self.sent[(position % self.sent.len() as u64) as usize..];
        &rest[..rest.len().min(most as usize)]
    }

    /// Whether these are the bytes to receive at `position`.
    fn is_received_at(&self, position: u64, mut bytes: &[u8]) -> bool {
        let mut at = (position % self.received.len() as u64) as usize;
        while !bytes.is_empty() {
            let count = bytes.len().min(self.received.len() - at);
            if bytes[..count] != self.received[at..at + count] {
                return false;
            }
            bytes = &bytes[count..];
            at = 0;
        }
        true
    }
}

impl<'a> Echoes<'a> {
    fn open(target: &'a Target, load: &Echo) -> Result<Self, Failure> {
        let poll = Poll::new()?;
        let script = Script::new(load, target.mask);
        let client = |index: u32| {
            let line = Line::new(
                connect::open(target, connect::ROOM, None)?.stream,
                &poll,
                index as usize,
            )?;
            Ok(Client::new(line, u64::from(index) % script.messages))
        };
        let clients = (0..load.connections).map(client).collect::<Result<_, Failure>>()?;
        Ok(Self {
            target,
            poll,
            script,
            in_flight: u64::from(load.in_flight),
            clients,
            buffer: vec![0; BUFFER],
            latency: Latency::default(),
            quota: 0,
            busy: 0,
        })
    }

    /// Lets every client send `messages` more, and reports the cost.
    fn measure(&mut self, messages: u64) -> Result<Value, Failure> {
        self.latency = Latency::default();
        let meter = Meter::start(&self.target.process)?;
        self.run(messages)?;
        let mut report = meter.stop(&self.target.process, messages * self.clients.len() as u64)?;
        report["latency"] = std::mem::take(&mut self.latency).report();
        Ok(report)
    }

    /// Lets every client send `messages` more, until each has received its own.
    fn run(&mut self, messages: u64) -> Result<(), Failure> {
        if messages == 0 {
            return Ok(());
        }
        self.quota += messages;
        self.busy = self.clients.len();
        let now = Instant::now();
        for client in &mut self.clients {
            client.schedule(self.in_flight, self.quota, now);
            client.send(&self.script)?;
        }
        let mut events = Events::with_capacity(self.clients.len().clamp(64, 4_096));
        while self.busy > 0 {
            self.poll.poll(&mut events, Some(self.target.time_left()?))?;
            events.iter().try_for_each(|event| self.deal_with(event))?;
        }
        Ok(())
    }

    fn deal_with(&mut self, event: &Event) -> Result<(), Failure> {
        let client = &mut self.clients[event.token().0];
        if event.is_readable() {
            client.receive(&mut self.buffer, &self.script)?;
            let count = client.count(&self.script);
            let now = Instant::now();
            client.waiting.drain(..count).for_each(|sent| self.latency.add(now - sent));
            client.schedule(count as u64, self.quota, now);
            self.busy -= usize::from(count > 0 && client.has_received_all(self.quota));
        }
        client.send(&self.script)
    }
}

impl Client {
    fn new(line: Line, first: u64) -> Self {
        Self { line, first, scheduled: 0, sent: 0, received: 0, waiting: VecDeque::new() }
    }

    /// Schedules up to `messages` more, as far as the quota allows.
    fn schedule(&mut self, messages: u64, quota: u64, now: Instant) {
        let messages = messages.min(quota - self.scheduled);
        self.scheduled += messages;
        self.waiting.extend((0..messages).map(|_| now));
    }

    /// Sends what is scheduled, as far as the socket accepts it.
    fn send(&mut self, script: &Script) -> Result<(), Failure> {
        self.line.flush()?;
        let first = script.sent_size(self.first);
        let end = script.sent_size(self.scheduled);
        while self.sent < end {
            match self.line.write(script.sent_at(first + self.sent, end - self.sent))? {
                0 => break,
                count => self.sent += count as u64,
            }
        }
        Ok(())
    }

    /// Reads what there is, and verifies it.
    fn receive(&mut self, buffer: &mut [u8], script: &Script) -> Result<(), Failure> {
        let first = script.received_size(self.first);
        self.line.receive(buffer, |bytes| {
            if !script.is_received_at(first + self.received, bytes) {
                return Err("a client received what it did not send".into());
            }
            self.received += bytes.len() as u64;
            Ok(())
        })
    }

    /// How many of the awaited messages it has received.
    fn count(&self, script: &Script) -> usize {
        let received = self.received / script.received_size(1);
        (received - (self.scheduled - self.waiting.len() as u64)) as usize
    }

    fn has_received_all(&self, quota: u64) -> bool {
        self.waiting.is_empty() && self.scheduled == quota
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(bytes: usize, fragments: u32) -> Echo {
        Echo {
            connections: 1,
            in_flight: 1,
            bytes,
            messages: 1,
            warm_up: 0,
            binary: true,
            fragments,
        }
    }

    #[test]
    fn a_script_has_messages_of_one_size_that_differ() {
        let script = Script::new(&load(1_024, 3), Mask::SOME);
        assert_eq!(script.messages, 64);
        assert_eq!(script.received_size(64), script.received.len() as u64);
        assert_eq!(script.sent_size(64), 64 * (1_024 + 4 * 3 + 3 * 4));
        assert!(script.is_received_at(0, &script.received));
        assert!(!script.is_received_at(script.received_size(1), &script.received));
        let turned = script.received_size(1) as usize;
        let around = [&script.received[turned..], &script.received[..turned]].concat();
        assert!(script.is_received_at(script.received_size(65), &around));
    }
}
