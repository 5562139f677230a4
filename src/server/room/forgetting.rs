//! Drops history that takes too much memory, is too old, or is to be replaced.

use slab::Slab;

use super::history::Ticket;
use super::{Room, Rooms};
use crate::server::capacity::{capacity_to_keep, is_loose};
use crate::server::room::segment_pool::SegmentPool;
use crate::server::time::wheel::Timestamp;

/// The number of tickets from which those of segments that are gone are dropped.
const MIN_TICKETS: usize = 1_024;

impl Ticket {
    /// The room of the segment, if the room keeps it.
    fn find<'r>(&self, rooms: &'r mut Slab<Room>) -> Option<&'r mut Room> {
        rooms.get_mut(self.room).filter(|room| self.is_in(room))
    }

    fn is_in(&self, room: &Room) -> bool {
        let plain = &room.logs.plain;
        let same = room.history.is_some_and(|history| history.id == self.history);
        same && plain.start() <= self.start && !plain.is_forgotten()
    }
}

impl Rooms {
    /// Drops the oldest segments of all while they take more memory than all rooms may.
    pub(crate) fn forget_excess(&mut self, segments: &mut SegmentPool) {
        let Some(histories) = &mut self.histories else { return };
        // Those that a member reads cannot be dropped, nor those that follow them in the same room.
        let mut needed = Vec::new();
        while segments.past() > histories.limits.max_total_bytes
            && let Some(ticket) = histories.pop_oldest()
        {
            let Some(room) = ticket.find(&mut self.rooms) else { continue };
            let oldest = room.logs.plain.start() == ticket.start;
            if !(oldest && room.logs.plain.forget_oldest(segments)) {
                needed.push(ticket);
            }
        }
        needed.into_iter().rev().for_each(|ticket| histories.order.push_front(ticket));
    }

    /// Removes a room that has no members, with its history.
    pub(crate) fn forget(&mut self, key: usize, segments: &mut SegmentPool) {
        let Some(room) = self.rooms.get_mut(key).filter(|room| room.members.is_empty()) else {
            return;
        };
        // Nobody reads the log, so all of it is past.
        while room.logs.plain.forget_oldest(segments) {}
        room.kept_until = None;
        self.remove_if_empty(key);
    }

    /// Drops history that is too old, and the rooms of which nothing is left.
    pub(crate) fn forget_old(&mut self, segments: &mut SegmentPool, now: Timestamp) {
        let Some(histories) = &mut self.histories else { return };
        histories.keeps_empty = false;
        for (_, room) in &mut self.rooms {
            room.logs.plain.forget_old(now, segments);
            room.kept_until = room.kept_until.filter(|&until| now < until);
            histories.keeps_empty |= room.kept_until.is_some();
        }
        let order = &mut histories.order;
        if order.len() > MIN_TICKETS {
            order.retain(|ticket| ticket.find(&mut self.rooms).is_some());
        }
        if is_loose(order.capacity(), order.len()) {
            order.shrink_to(capacity_to_keep(order.len()));
        }
        let empty = self.rooms.iter().filter(|(_, room)| room.is_empty());
        let empty: Vec<_> = empty.map(|(key, _)| key).collect();
        for key in empty {
            self.remove_if_empty(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Config, HistoryLimits};
    use crate::protocol::{Message, Position, Start, noise};
    use crate::server::client_id::ClientId;
    use crate::server::hub::{Hub, lifecycle};
    use crate::server::simulation::{Pipe, connect, flush};

    /// The size of the messages, and a limit for about four of them.
    const SIZE: usize = 10_000;
    const MAX_TOTAL: usize = 48_000;

    fn hub(max_total_backlog_bytes: usize) -> Hub {
        let limits = HistoryLimits { max_total_bytes: MAX_TOTAL, ..HistoryLimits::default() };
        let mut config = Config { history: Some(limits), deflate: None, ..Config::default() };
        config.memory.max_total_backlog_bytes = max_total_backlog_bytes;
        Hub::new(config)
    }

    /// A member that reads nothing.
    fn join(hub: &mut Hub, room: &str) -> (ClientId, Pipe) {
        let (id, pipe, _) = connect(hub, "x-none");
        hub.join_from(id, room, Start::Newest(1));
        (id, pipe)
    }

    fn read_all(hub: &mut Hub, (id, pipe): &(ClientId, Pipe)) {
        pipe.allow(usize::MAX);
        lifecycle::unblock(hub, *id);
        flush(hub);
    }

    fn say(hub: &mut Hub, room: &str) {
        hub.broadcast(room, &noise(SIZE)[..]);
        flush(hub);
    }

    fn keeps(hub: &Hub, room: &str) -> bool {
        let room = hub.rooms.find(room).and_then(|key| hub.rooms.get(key));
        room.is_some_and(|room| room.logs.plain.kept_frames() > 0)
    }

    #[test]
    fn the_oldest_segment_goes_first_even_if_a_member_has_read_it_until_now() {
        let mut hub = hub(usize::MAX);
        let member = join(&mut hub, "a");
        for room in ["a", "b", "c", "d", "e", "f"] {
            say(&mut hub, room);
        }
        assert!(keeps(&hub, "a") && !keeps(&hub, "b") && keeps(&hub, "c"));
        read_all(&mut hub, &member);
        say(&mut hub, "g");
        assert!(!keeps(&hub, "a") && keeps(&hub, "d") && hub.memory.segments.past() <= MAX_TOTAL);
    }

    #[test]
    fn a_room_that_was_forgotten_and_restored_is_as_young_as_what_was_restored() {
        let mut hub = hub(usize::MAX);
        for room in ["a", "b", "c", "d"] {
            say(&mut hub, room);
        }
        let position = hub.position("a").unwrap();
        assert!(hub.forget("a"));
        let message = noise(SIZE);
        hub.restore("a", position, &[(Message::Binary(&message), Duration::ZERO)]).unwrap();
        say(&mut hub, "e");
        assert!(keeps(&hub, "a") && !keeps(&hub, "b") && keeps(&hub, "c"));
    }

    #[test]
    fn restored_messages_go_before_newer_ones_that_a_member_reads_later() {
        let mut hub = hub(usize::MAX);
        let member = join(&mut hub, "new");
        say(&mut hub, "new");
        let message = noise(SIZE);
        let old = (Message::Binary(&message), Duration::from_secs(100));
        hub.restore("old", Position::new(1, 4), &[old; 4]).unwrap();
        read_all(&mut hub, &member);
        assert!(hub.memory.segments.past() <= MAX_TOTAL && keeps(&hub, "new"));
    }

    #[test]
    fn what_members_have_read_is_within_the_limit_without_another_message() {
        let mut hub = hub(usize::MAX);
        let rooms = ["a", "b", "c", "d", "e", "f"];
        let members = rooms.map(|room| join(&mut hub, room));
        rooms.iter().for_each(|room| say(&mut hub, room));
        assert_eq!(hub.memory.segments.past(), 0, "nobody has read it");
        members.iter().for_each(|member| read_all(&mut hub, member));
        let past = hub.memory.segments.past();
        assert!((1..=MAX_TOTAL).contains(&past), "{past}");
        assert_eq!(hub.memory.backlog(), 0);
    }

    #[test]
    fn many_tickets_of_segments_that_are_gone_are_dropped() {
        let mut hub = hub(usize::MAX);
        hub.rooms.histories.as_mut().unwrap().past.max_bytes = SIZE;
        let mut tickets_after = |messages| {
            (0..messages).for_each(|_| say(&mut hub, "a"));
            hub.rooms.forget_old(&mut hub.memory.segments, hub.time.timestamp);
            let order = &hub.rooms.histories.as_ref().unwrap().order;
            (order.len(), is_loose(order.capacity(), order.len()))
        };
        assert_eq!(tickets_after(MIN_TICKETS), (MIN_TICKETS, false));
        assert_eq!(tickets_after(1), (0, false));
    }

    #[test]
    fn the_last_segment_of_a_room_is_backlog_while_a_member_has_not_read_it() {
        const MAX_BACKLOG: usize = 60_000;
        let mut hub = hub(MAX_BACKLOG);
        let members: Vec<_> = (0..20).map(|room| join(&mut hub, &room.to_string())).collect();
        for room in 0..20 {
            say(&mut hub, &room.to_string());
            assert!(
                hub.memory.backlog() <= MAX_BACKLOG,
                "{} {} {} {room}",
                hub.memory.backlog(),
                hub.memory.segments.held(),
                hub.memory.unsent.get()
            );
            assert!(hub.memory.segments.past() <= MAX_TOTAL, "{}", hub.memory.segments.past());
        }
        let open = members.iter().filter(|(id, _)| hub.is_open(*id)).count();
        assert!((1..20).contains(&open), "{open} of 20 are open");
    }
}
