//! Drops history that takes too much memory, or is too old.

use slab::Slab;

use super::history::Ticket;
use super::{Room, Rooms};
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
        let same = room.history.is_some_and(|history| history.epoch == self.epoch);
        same && plain.start() <= self.start && !plain.is_forgotten()
    }
}

impl Rooms {
    /// Drops the oldest segments of all while they take more memory than all rooms may.
    pub(super) fn forget_excess(&mut self, segments: &mut SegmentPool) {
        let Some(histories) = &mut self.histories else { return };
        // Some of them cannot be dropped, because a member reads them.
        let mut left = histories.order.len();
        while segments.past() > histories.limits.max_total_bytes
            && left > 0
            && let Some(ticket) = histories.order.pop_front()
        {
            left -= 1;
            let Some(room) = ticket.find(&mut self.rooms) else { continue };
            let oldest = room.logs.plain.start() == ticket.start;
            if !(oldest && room.logs.plain.forget_oldest(segments)) {
                histories.order.push_back(ticket);
            }
        }
    }

    /// Drops history that is too old, and the rooms of which nothing is left.
    pub(crate) fn forget_old(&mut self, segments: &mut SegmentPool, now: Timestamp) {
        let Some(histories) = &mut self.histories else { return };
        for (_, room) in &mut self.rooms {
            room.logs.plain.forget_old(now, segments);
        }
        if histories.order.len() > MIN_TICKETS.max(histories.order.capacity() / 2) {
            histories.order.retain(|ticket| ticket.find(&mut self.rooms).is_some());
            histories.order.shrink_to(MIN_TICKETS.max(histories.order.len() * 2));
        }
        let empty = self.rooms.iter().filter(|(_, room)| room.is_empty());
        let empty: Vec<_> = empty.map(|(key, _)| key).collect();
        for key in empty {
            self.remove_if_empty(key);
        }
    }
}
