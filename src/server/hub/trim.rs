//! Memory that was needed when there was more to do, and is given back.

use std::time::Duration;

use super::{Hub, reserved_clients};
use crate::server::capacity::{MIN_CAPACITY, is_loose, trim_queue};

/// How long a room may not have used its compression context before the context is given up.
const IDLE_CONTEXT: Duration = Duration::from_secs(60);

impl Hub {
    /// Gives back what has not been needed since the last call. It is called once a second.
    pub(crate) fn trim(&mut self) {
        self.memory.trim();
        self.rooms.trim();
        self.addresses.trim(self.clients.len(), self.timestamp);
        if let Some(compressors) = &mut self.compressors {
            compressors.trim();
        }
        self.retire_contexts(IDLE_CONTEXT);
        self.trim_clients();
        self.trim_queues();
    }

    /// Whether there is memory that [`trim`](Self::trim) will give back.
    pub(crate) fn holds_spare(&self) -> bool {
        self.memory.holds_spare()
            || self.compressors.as_ref().is_some_and(|compressors| compressors.holds_spare())
            || self.rooms.are_loose()
            || self.addresses.are_loose(self.clients.len())
            || is_loose(self.peak, self.clients.len())
    }

    /// Gives back the memory of clients that are gone, as far as it lies after that of the last client.
    /// The places themselves stay: the system gives them memory when they are taken again.
    fn trim_clients(&mut self) {
        let count = self.clients.len();
        if is_loose(self.peak, count) {
            self.clients.shrink_to_fit();
            self.clients.reserve_exact(reserved_clients(&self.config).saturating_sub(count));
            self.deadlines.trim();
            self.resumptions.trim();
            self.peak = count;
        }
    }

    fn trim_queues(&mut self) {
        if is_loose(self.dirty_rooms.capacity(), self.dirty_rooms.len()) {
            self.dirty_rooms.shrink_to(MIN_CAPACITY);
        }
        for queue in [&mut self.dirty_clients, &mut self.resumed] {
            trim_queue(queue);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::server::room::TurnEnd;
    use crate::server::room::compressor::Encoding;
    use crate::server::simulation::connect;

    fn flush(hub: &mut Hub) {
        while hub.is_dirty() {
            hub.flush(TurnEnd::Now);
        }
    }

    #[test]
    fn nothing_that_a_crowd_needed_is_held_when_it_has_gone() {
        let mut hub = Hub::new(Config::default());
        let offer = "permessage-deflate; server_no_context_takeover";
        let crowd: Vec<_> = (0..1_000).map(|_| connect(&mut hub, offer)).collect();
        for (room, (id, pipe, _)) in crowd.iter().enumerate() {
            pipe.allow(1_000);
            hub.join(*id, &room.to_string());
            hub.publish(*id, &[b'x'; 100][..]);
        }
        flush(&mut hub);
        for (id, ..) in &crowd[1..] {
            hub.lose(*id);
            hub.remove(*id);
        }
        assert!(hub.holds_spare());
        // Some things are checked more than once.
        (0..20).for_each(|_| hub.trim());
        assert!(!hub.holds_spare());
        assert!(hub.clients.capacity() >= 10_000, "the places are there");
        assert!(hub.dirty_clients.capacity().max(hub.dirty_rooms.capacity()) <= MIN_CAPACITY);
        assert!(hub.deadlines.is_waiting(), "one has stayed");
        assert_eq!(hub.room_of(crowd[0].0), Some("0"));
    }

    #[test]
    fn a_room_gives_back_the_places_of_members_that_have_left() {
        let mut hub = Hub::new(Config::default());
        let crowd: Vec<_> = (0..1_000).map(|_| connect(&mut hub, "x-none").0).collect();
        crowd.iter().for_each(|id| _ = hub.join(*id, "/room"));
        crowd[3..].iter().for_each(|id| _ = hub.leave(*id));
        let room = hub.rooms.get(hub.rooms.find("/room").unwrap()).unwrap();
        assert!(room.members.len() == 3 && room.members.capacity() <= MIN_CAPACITY);
    }

    #[test]
    fn a_context_that_was_not_used_for_a_minute_is_given_up_until_something_is_said() {
        let mut hub = Hub::new(Config::default());
        let (id, pipe, _) = connect(&mut hub, "permessage-deflate");
        pipe.allow(1_000);
        hub.join(id, "/room");
        for _ in 0..2 {
            hub.publish(id, "hello");
            flush(&mut hub);
            hub.now += IDLE_CONTEXT / 2;
            hub.trim();
            assert!(hub.get(id).unwrap().reads(Encoding::Shared) && hub.contexts.len() == 1);
            hub.now += IDLE_CONTEXT;
            hub.trim();
            flush(&mut hub);
            assert!(hub.get(id).unwrap().reads(Encoding::Plain) && hub.contexts.is_empty());
        }
    }
}
