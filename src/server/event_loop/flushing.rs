//! Flushing: one write for every member of a room that grew.

use std::io;

use crate::server::client::{Client, Progress, Retain, Written};
use crate::server::client_id::ClientId;
use crate::server::hub::Hub;
use crate::server::hub::requests::MAX_RESPONSE_BYTES;
use crate::server::hub::{
    backlog, backpressure, lifecycle, members, overload, slow, tls_handshake,
};
use crate::server::room::TurnEnd;
use crate::server::room::frame_log::FrameLog;

/// The maximum cost of a flush of rooms, or of clients, in bytes, and the cost of a write in addition to
/// its bytes. A flush takes one or two milliseconds, so that one busy room does not delay all other
/// clients for longer than that: the rest of its members follow in the next turn. Tests use less, so
/// that even a few members do not fit into a turn.
const MAX_FLUSH_COST: u64 = if cfg!(any(test, fuzzing)) { 4 << 10 } else { 2 << 20 };
const WRITE_COST: u64 = 2 << 10;

/// Writes as much of the queued data as one turn may write. Single clients come first, so that a busy
/// room does not delay a response.
pub(crate) fn flush(hub: &mut Hub, end: TurnEnd) {
    hub.pending.grown = 0;
    if !hub.pending.dirty_clients.is_empty() {
        flush_clients(hub);
    }
    if !hub.rooms.dirty.is_empty() {
        flush_rooms(hub, end);
    }
    overload::evict_until_within_limit(hub);
    // What the members have just read, or will not read, is past.
    hub.rooms.forget_excess(&mut hub.memory.segments);
}

fn flush_clients(hub: &mut Hub) {
    // Clients that are queued meanwhile follow in the next turn.
    let queued = hub.pending.dirty_clients.len();
    let mut written = Written::default();
    let mut count = 0;
    while count < queued && cost(&written) < MAX_FLUSH_COST {
        let id = hub.pending.dirty_clients[count];
        flush_client(hub, id, &mut written);
        count += 1;
    }
    hub.count_written(&written);
    hub.pending.dirty_clients.drain(..count);
}

/// Writes to a client, and adds that to `written`.
fn flush_client(hub: &mut Hub, id: ClientId, written: &mut Written) {
    let now = hub.time.timestamp;
    let max = hub.config.memory.max_backlog_bytes;
    let Hub { clients, rooms, memory, .. } = hub;
    let Some(client) = clients.get_mut(id) else { return };
    let log = rooms.log_of_mut(client.membership);
    client.flush_queued = false;
    let progress = client.flush(log, memory, now, written);
    let membership = client.membership;
    let outcome = outcome_of(progress, client, log, max);
    backlog::forget_newest(hub, membership);
    if let Some(outcome) = outcome {
        apply(hub, id, outcome);
    }
}

/// What it has cost to write this, in bytes.
fn cost(written: &Written) -> u64 {
    written.bytes + WRITE_COST * written.writes
}

/// Flushes the rooms that grew, in turn. Rooms that do not fit into this turn are overdue.
fn flush_rooms(hub: &mut Hub, end: TurnEnd) {
    let mut written = Written::default();
    let mut unreached = hub.rooms.dirty.len();
    hub.rooms.overdue = false;
    while cost(&written) < MAX_FLUSH_COST
        && unreached > 0
        && let Some(key) = hub.rooms.dirty.pop_front()
    {
        unreached -= 1;
        let unusual = flush_room(hub, key, end, &mut written);
        backlog::keep_newest(hub, key);
        for (id, outcome) in unusual {
            apply(hub, id, outcome);
        }
        if let Some(room) = hub.rooms.get_mut(key).filter(|room| room.dirty) {
            // After a complete flush, the members may be read, even if the room has grown again: other
            // members may send all the time.
            room.overdue = room.flushed > 0;
            hub.rooms.overdue |= room.overdue;
            hub.rooms.dirty.push_back(key);
        }
    }
    hub.rooms.mark_overdue(unreached);
    hub.count_written(&written);
}

/// Writes to the members of a room, starting where the last flush stopped, until the budget for what is
/// `written` is used up. Returns the members that need more than a write.
fn flush_room(
    hub: &mut Hub,
    key: usize,
    end: TurnEnd,
    written: &mut Written,
) -> Vec<(ClientId, Outcome)> {
    let Hub { clients, rooms, memory, config, time, pending, .. } = hub;
    let Some(room) = rooms.get_mut(key).filter(|room| room.dirty) else { return Vec::new() };
    if room.flushed == 0 {
        room.begin_flush();
    }
    let mut unusual = Vec::new();
    for &member in room.members.get(room.flushed..).unwrap_or_default() {
        if cost(written) >= MAX_FLUSH_COST {
            return unusual;
        }
        room.flushed += 1;
        let client = &mut clients[member];
        let Some(membership) = client.membership else { continue };
        let log = room.logs.get_mut(membership.encoding);
        let progress = client.flush(log, memory, time.timestamp, written);
        let max = config.memory.max_backlog_bytes;
        if let Some(outcome) = outcome_of(progress, client, log, max) {
            unusual.push((client.id, outcome));
        }
    }
    if let Some(grown) = room.end_flush(end) {
        pending.flushed.add(grown, time.moment());
    }
    unusual
}

#[cold]
fn apply(hub: &mut Hub, id: ClientId, outcome: Outcome) {
    match outcome {
        Outcome::Finished => end_writing(hub, id),
        Outcome::CaughtUp => backpressure::resume_room(hub, id),
        Outcome::Behind => slow::fall_behind(hub, id),
        Outcome::Lost(error) => tls_handshake::lose(hub, id, &error),
    }
}

fn end_writing(hub: &mut Hub, id: ClientId) {
    if hub.clients.get(id).is_none_or(Client::has_ended_writing) {
        return;
    }
    members::leave(hub, id, Retain::Nothing);
    if hub.clients.get_mut(id).is_some_and(Client::end_writing) {
        // The peer's time to answer begins when everything has been written, and its time to end its
        // side when ours has ended. Nothing else restarts it.
        lifecycle::expect_within(hub, id, hub.config.timeouts.close);
    }
    if let Some(client) = hub.clients.get_mut(id) {
        if client.is_over() {
            hub.pending.gone.push(id);
        }
        if client.connection.was_clean() {
            hub.clients.note_clean_end(id);
        }
    }
}

/// What a flush requires besides the write.
#[derive(Debug)]
enum Outcome {
    /// The client has received everything, and nothing will follow.
    Finished,
    /// The client is too far behind.
    Behind,
    /// The client was too far behind, and has caught up.
    CaughtUp,
    /// The client's connection is lost.
    Lost(io::Error),
}

/// The outcome of a flush, from the result of the write.
#[inline]
fn outcome_of(
    progress: io::Result<Progress>,
    client: &Client,
    log: &FrameLog,
    max_backlog_bytes: usize,
) -> Option<Outcome> {
    if !client.lagging && matches!(progress, Ok(Progress::Written)) {
        return None;
    }
    // A client that is closing still has a frame to receive, and keeps the log until then.
    let times = if client.is_finishing() { 2 } else { 1 };
    let max = (max_backlog_bytes as u64).saturating_mul(times);
    match progress {
        Ok(Progress::Written) => Some(Outcome::CaughtUp),
        // It sends requests faster than it reads the responses, and is not read until then.
        Ok(Progress::Blocked) if client.connection.is_handshaking() => {
            let caught_up = client.lagging && client.private_bytes() <= MAX_RESPONSE_BYTES / 2;
            caught_up.then_some(Outcome::CaughtUp)
        }
        Ok(Progress::Blocked) if client.backlog(log) > max => Some(Outcome::Behind),
        Ok(Progress::Blocked) => {
            let caught_up = client.lagging && client.backlog(log) <= max / 2;
            caught_up.then_some(Outcome::CaughtUp)
        }
        Ok(Progress::Finished) => Some(Outcome::Finished),
        Err(error) => Some(Outcome::Lost(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::protocol::noise;
    use crate::server::client::Requester;
    use crate::server::simulation::{Pipe, connect};

    /// A hub, and members of one room that are too many for one turn, and whose sockets take everything.
    fn crowd() -> (Hub, Vec<(ClientId, Pipe)>) {
        let mut hub = Hub::new(Config::default());
        let mut connect = |_| {
            let (id, pipe, _) = connect(&mut hub, "x-none");
            hub.join(id, "/room");
            pipe.allow(usize::MAX);
            (id, pipe)
        };
        let members = (0..10).map(&mut connect).collect();
        (hub, members)
    }

    #[test]
    fn a_room_in_which_others_send_all_the_time_is_read_after_each_complete_flush() {
        let (mut hub, members) = crowd();
        let mut read = 0;
        for _ in 0..100 {
            hub.broadcast("/room", "news");
            flush(&mut hub, TurnEnd::Now);
            read += usize::from(!backpressure::is_overdue(&hub, members[0].0));
        }
        assert!((10..50).contains(&read), "read in {read} of 100 turns");
    }

    #[test]
    fn members_are_read_after_a_complete_flush_in_the_middle_of_a_turn() {
        let (mut hub, members) = crowd();
        hub.broadcast("/room", "news");
        let flushes = (0..100).take_while(|_| {
            flush(&mut hub, TurnEnd::Later);
            backpressure::is_overdue(&hub, members[0].0)
        });
        assert!((1..10).contains(&flushes.count()));
    }

    #[test]
    fn those_who_publish_with_requests_wait_for_the_flush_of_their_room() {
        let (mut hub, members) = crowd();
        let mut publish_to = |room: &str| {
            let (id, ..) = connect(&mut hub, "x-none");
            let requester = Requester { peer: None, room: hub.rooms.find(room) };
            let client = hub.clients.get_mut(id).expect("it was inserted");
            client.requester = Some(Box::new(requester));
            id
        };
        let [here, elsewhere] = ["/room", "/other"].map(&mut publish_to);
        hub.broadcast("/room", "news");
        flush(&mut hub, TurnEnd::Now);
        for (id, waits) in [(members[0].0, true), (here, true), (elsewhere, false)] {
            assert_eq!(backpressure::is_overdue(&hub, id), waits);
        }
        (0..10).for_each(|_| flush(&mut hub, TurnEnd::Now));
        assert!(!backpressure::is_overdue(&hub, here));
    }

    #[test]
    fn private_bytes_of_members_count_towards_the_budget_of_their_room() {
        let (mut hub, members) = crowd();
        for (id, _) in &members {
            (0..10).for_each(|_| hub.send(*id, &noise(1_000)[..]));
        }
        hub.broadcast("/room", "news");
        flush(&mut hub, TurnEnd::Now);
        let written = members.iter().filter(|(_, pipe)| !pipe.take().is_empty());
        // One turn for the clients, and one for the rooms.
        assert_eq!(written.count(), 2);
    }
}
