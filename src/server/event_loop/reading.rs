//! What clients send: bytes in, events out.

use std::io::ErrorKind;
use std::time::Instant;

use crate::protocol::{Buffers, Failure, Incoming, Received};
use crate::server::capacity::trim_queue;
use crate::server::client::transport::Arrival;
use crate::server::client::{Client, Reading};
use crate::server::client_id::ClientId;
use crate::server::event::Event;
use crate::server::event_loop::flushing::flush;
use crate::server::hub::answering::refuse;
use crate::server::hub::closing::{answer_close, end_of_input, fail};
use crate::server::hub::handshake::handshake;
use crate::server::hub::{Application, Hub};
use crate::server::hub::{backpressure, proxied, requests, throttle, tls_handshake, words};
use crate::server::limits::rate::ReadStats;
use crate::server::room::TurnEnd;
use crate::server::system;
use crate::server::time::wheel::Timestamp;

/// By how much tests divide the limits of a turn, so that a few clients reach them.
const SCALE: usize = if cfg!(test) { 64 } else { 1 };

/// The maximum size in bytes of a read: of input that may hold many messages, and of the rest of one
/// long message. The former holds 64 KiB of payload with its headers, so that messages whose size is a power
/// of two fit. The latter should arrive in few reads, but still be in the core's second-level cache when it
/// is processed.
const READ_BYTES: usize = (68 << 10) / SCALE;
const LONG_READ_BYTES: usize = (256 << 10) / SCALE;

/// The size of a page, in the middle of which the buffer for reading begins. The kernel's buffers begin where
/// pages do, and so does a large block from the allocator, but for a few bytes. Some processors copy slowly
/// between two addresses that are almost the same within their pages.
const PAGE_BYTES: usize = 4 << 10;

/// The maximum number of bytes that are read from one client in a turn. A long message should arrive in
/// one turn, because each incomplete one takes a buffer.
const MAX_CLIENT_BYTES: usize = (1 << 20) / SCALE;

/// The maximum number of bytes that are read in a turn before the resulting output is written.
const MAX_TURN_BYTES: usize = (1 << 20) / SCALE;

/// The maximum number of bytes that are queued before they are written, even in the middle of a turn. A
/// few bytes can inflate to many.
pub(crate) const MAX_GROWTH_BYTES: usize = (4 << 20) / SCALE;

/// The maximum number of timers that fire in a turn.
const MAX_TIMERS_PER_TURN: usize = 1_024;

/// How long unneeded memory is kept.
const TRIM_SECONDS: f32 = 1.0;

/// The queue of clients that have something to read.
#[derive(Debug)]
pub(crate) struct Reader {
    queue: Vec<ClientId>,
    /// The next value of `horizon`, and the number of clients in the queue that must be read before it
    /// is set.
    ahead: usize,
    asked: (Timestamp, Instant),
    /// The buffer for reading from all clients, which begins at `start`.
    buffer: Vec<u8>,
    start: usize,
    buffers: Buffers,
    /// When the buffers were last trimmed.
    trimmed: Timestamp,
}

impl Reader {
    pub(crate) fn new() -> Self {
        let buffer = vec![0; LONG_READ_BYTES + 2 * PAGE_BYTES];
        let start = middle_of_page(&buffer);
        Self {
            queue: Vec::new(),
            ahead: 0,
            asked: (Timestamp::default(), system::now()),
            buffer,
            start,
            buffers: Buffers::default(),
            trimmed: Timestamp::default(),
        }
    }

    /// Gives back the memory that has not been needed for some time, if the interval is over. Returns
    /// whether it was.
    pub(crate) fn trim(&mut self, now: Timestamp) -> bool {
        let due = now.seconds_since(self.trimmed) >= TRIM_SECONDS;
        if due {
            self.trimmed = now;
            self.buffers.trim();
            trim_queue(&mut self.queue);
        }
        due
    }

    /// Whether there may be memory to give back.
    pub(crate) fn holds_memory(&self) -> bool {
        self.buffers.held_bytes() > 0
    }

    /// Whether any client has something to read.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Notes that a client's socket is readable, and whether the poll reported something at which a read
    /// may stop.
    pub(crate) fn wake(&mut self, client: &mut Client, announced: bool) {
        client.announced |= announced;
        if client.reading == Reading::Idle {
            client.reading = Reading::Queued;
            self.queue.push(client.id);
        }
    }

    /// Reads from each client in the queue, within the turn's budget. A client that has more to read
    /// than its own budget goes to the end of the queue. Every client that had sent data at the time
    /// `asked`, that of the last poll, is in the queue.
    pub(crate) fn read(
        &mut self,
        hub: &mut Hub,
        asked: (Timestamp, Instant),
        app: &mut Application<'_>,
    ) {
        let mut budget = MAX_TURN_BYTES;
        if hub.pending.has_resumed() {
            budget = self.resume(hub, budget, app);
        }
        let queued = self.queue.len();
        if self.ahead == 0 {
            (self.ahead, self.asked) = (queued, asked);
        }
        let mut count = 0;
        while count < queued && budget > 0 {
            budget = budget.saturating_sub(self.read_client(hub, self.queue[count], app));
            count += 1;
        }
        self.queue.drain(..count);
        self.ahead = self.ahead.saturating_sub(count);
        if self.ahead == 0 {
            (hub.time.horizon, hub.time.read_until) = self.asked;
        }
    }

    /// Handles what was read after requests that have been answered since, and queues the clients that
    /// may be read again. Returns what is left of the budget.
    #[cold]
    fn resume(&mut self, hub: &mut Hub, budget: usize, app: &mut Application<'_>) -> usize {
        let mut left = budget;
        while left > 0
            && let Some((id, mut unread)) = hub.pending.answered.pop()
        {
            left = left.saturating_sub(unread.len());
            let stats = receive(hub, id, &mut unread, &mut self.buffers, app);
            // The bytes have been counted.
            let too_much = throttle::count_read(hub, id, &stats, 0);
            if !stats.held && !too_much {
                hub.pending.resumed.push(id);
            }
        }
        self.queue.extend(backpressure::take_resumed(hub));
        left
    }

    /// Reads from a client within its budget, and returns how many bytes it read.
    fn read_client(&mut self, hub: &mut Hub, id: ClientId, app: &mut Application<'_>) -> usize {
        let mut total = 0;
        let mut left = ReadMore::Something;
        while left == ReadMore::Something && total < MAX_CLIENT_BYTES {
            let (size, after) = self.read_if_allowed(hub, id, app);
            total += size;
            left = after;
        }
        if left != ReadMore::Nothing
            && let Some(client) = hub.clients.get_mut(id)
        {
            client.reading = match left {
                ReadMore::ForLater => Reading::Paused,
                ReadMore::AfterThePause => Reading::Suspended,
                ReadMore::Nothing | ReadMore::Something | ReadMore::ForNextTurn => {
                    self.queue.push(id);
                    Reading::Queued
                }
            };
        }
        total
    }

    /// Reads once from a client, unless its room must be flushed first, or waits for a member, or the
    /// application has paused the reading. Returns the number of bytes, and what is left.
    fn read_if_allowed(
        &mut self,
        hub: &mut Hub,
        id: ClientId,
        app: &mut Application<'_>,
    ) -> (usize, ReadMore) {
        if backpressure::is_overdue(hub, id) {
            return (0, ReadMore::ForNextTurn);
        }
        if backpressure::somebody_waits(hub) {
            if backpressure::suspend_while_paused(hub, id) {
                return (0, ReadMore::AfterThePause);
            }
            if backpressure::pause_while_room_waits(hub, id) {
                return (0, ReadMore::ForLater);
            }
        }
        self.read_once(hub, id, app)
    }

    /// Reads once from a client, and handles the input.
    fn read_once(
        &mut self,
        hub: &mut Hub,
        id: ClientId,
        app: &mut Application<'_>,
    ) -> (usize, ReadMore) {
        let Some(client) = hub.clients.get_mut(id) else { return (0, ReadMore::Nothing) };
        client.reading = Reading::Idle;
        let expected = usize::try_from(client.connection.expected_bytes()).unwrap_or(usize::MAX);
        let size = expected.clamp(READ_BYTES, LONG_READ_BYTES);
        let buffer = &mut self.buffer[self.start..self.start + size];
        match client.transport.read(buffer, &mut hub.memory.scratch) {
            Ok(Arrival { taken: 0, .. }) => end_of_input(hub, id),
            Ok(Arrival { size, taken, cost, more, handshake }) => {
                // A read also stops before the peer's end, and before an urgent byte.
                let drained = !more && !client.announced;
                if handshake {
                    proxied::advance(hub, id);
                }
                let input = &mut buffer[..size];
                let stats = receive(hub, id, input, &mut self.buffers, app);
                hub.counts.read_bytes += size as u64;
                let left = if drained { ReadMore::Nothing } else { ReadMore::Something };
                let too_much = throttle::count_read(hub, id, &stats, taken);
                // Inflated bytes count too.
                let cost = cost.max(stats.bytes);
                return (cost, if too_much || stats.held { ReadMore::ForLater } else { left });
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => client.announced = false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                return (0, ReadMore::Something);
            }
            Err(error) => tls_handshake::lose(hub, id, &error),
        }
        (0, ReadMore::Nothing)
    }
}

/// The offset in a buffer of two pages or more at which the second half of a page begins.
fn middle_of_page(buffer: &[u8]) -> usize {
    let page = buffer.as_ptr().align_offset(PAGE_BYTES);
    if page > PAGE_BYTES { 0 } else { page + PAGE_BYTES / 2 }
}

/// Calls the application for the timers that were due by `Time::read_until`.
#[cold]
pub(crate) fn fire_timers(hub: &mut Hub, app: &mut Application<'_>) {
    let end = hub.time.read_until;
    let mark = hub.time.timers.mark();
    for _ in 0..MAX_TIMERS_PER_TURN {
        if hub.pending.grown > MAX_GROWTH_BYTES {
            return;
        }
        let Some((client, token)) = hub.time.timers.take_due(end, mark) else { return };
        app(hub, client, Event::Timer { token });
    }
}

/// What is left to read from a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadMore {
    Nothing,
    Something,
    /// Possibly something, to be read once the room has been flushed.
    ForNextTurn,
    /// Possibly something, to be read once the client is resumed.
    ForLater,
    /// Possibly something, to be read once the application has resumed reading.
    AfterThePause,
}

/// Passes the input to the client's connection, and the resulting messages to the application.
#[inline]
fn receive(
    hub: &mut Hub,
    id: ClientId,
    mut input: &mut [u8],
    buffers: &mut Buffers,
    app: &mut Application<'_>,
) -> ReadStats {
    let mut stats = ReadStats::default();
    while !input.is_empty()
        && let Some(client) = hub.clients.get_mut(id)
    {
        match client.connection.receive(&mut input, buffers) {
            Ok(None) => {
                if client.awaits_request {
                    requests::begin_head(hub, id);
                }
                break;
            }
            Ok(Some(Received::Head(head))) => {
                handshake(hub, id, head, app);
                requests::settle(hub, id, &mut input, &mut stats);
            }
            Ok(Some(Received::Request { head, body })) => {
                requests::complete(hub, id, &head, &body, app);
                requests::settle(hub, id, &mut input, &mut stats);
            }
            Ok(Some(Received::Frames(incoming))) => {
                stats.messages += 1;
                if let Incoming::Message(message) = &incoming {
                    hub.was_compressed = message.was_compressed();
                    let message = message.as_message();
                    stats.bytes += message.payload().len();
                    hub.counts.received += 1;
                    if hub.is_reserved(message) {
                        words::refuse(hub, id);
                    } else {
                        app(hub, id, Event::Message(message));
                    }
                    buffers.recycle(incoming);
                } else {
                    control(hub, id, &incoming);
                }
            }
            Err(Failure::Handshake(refusal)) => refuse(hub, id, refusal),
            Err(Failure::Protocol(violation)) => fail(hub, id, violation),
        }
        if hub.pending.grown > MAX_GROWTH_BYTES {
            flush(hub, TurnEnd::Later);
        }
    }
    stats
}

/// Handles a control frame (RFC 6455, section 5.5).
#[cold]
fn control(hub: &mut Hub, id: ClientId, incoming: &Incoming<'_>) {
    match incoming {
        Incoming::Ping(payload) => {
            if let Some((client, at, memory)) = hub.recipient(id) {
                client.pong(payload, at, memory);
            }
        }
        Incoming::Close(frame) => answer_close(hub, id, frame.as_ref()),
        Incoming::Pong(_) | Incoming::Message(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_begins_in_the_middle_of_a_page_and_holds_a_long_read() {
        let reader = Reader::new();
        let buffer = &reader.buffer[reader.start..];
        assert_eq!(buffer.as_ptr().addr() % PAGE_BYTES, PAGE_BYTES / 2);
        assert!(buffer.len() >= LONG_READ_BYTES);
    }
}
