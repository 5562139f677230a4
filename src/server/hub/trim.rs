//! Gives back memory that was needed under a higher load.

use std::time::Duration;

use crate::server::hub::state::Hub;
use crate::server::hub::{backpressure, epochs};

/// How long a room keeps a compression context that it does not use.
const IDLE_CONTEXT: Duration = Duration::from_secs(60);

/// Gives back the memory that has not been needed since the last call. The event loop calls it once a
/// second.
pub(crate) fn trim(hub: &mut Hub) {
    hub.rooms.forget_old(&mut hub.memory.segments, hub.time.timestamp);
    hub.memory.trim();
    hub.rooms.trim();
    hub.usage.addresses.trim(hub.clients.len(), hub.time.timestamp);
    epochs::retire_contexts(hub, IDLE_CONTEXT);
    backpressure::trim_suspended(hub);
    hub.pending.trim();
    if hub.clients.are_loose() {
        hub.clients.trim();
        hub.time.trim();
    }
}

/// Whether there is memory that [`trim`] will give back.
pub(crate) fn holds_spare(hub: &Hub) -> bool {
    hub.memory.holds_spare()
        || hub.memory.segments.past() > 0
        || hub.rooms.holds_spare()
        || hub.usage.addresses.are_loose(hub.clients.len())
        || hub.clients.are_loose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::server::capacity::MIN_CAPACITY;
    use crate::server::client::Reading;
    use crate::server::hub::lifecycle;
    use crate::server::room::compressor::Encoding;
    use crate::server::simulation::{connect, flush};

    #[test]
    fn the_memory_of_a_crowd_is_given_back_when_it_has_left() {
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
            lifecycle::lose(&mut hub, *id);
            lifecycle::remove(&mut hub, *id);
        }
        assert!(holds_spare(&hub));
        // Some memory is given back only after more than one check.
        (0..20).for_each(|_| trim(&mut hub));
        assert!(!holds_spare(&hub));
        assert!(hub.clients.capacity() >= 10_000, "the places are there");
        assert!(
            hub.pending.dirty_clients.capacity().max(hub.rooms.dirty.capacity()) <= MIN_CAPACITY
        );
        assert!(hub.time.deadlines.is_waiting(), "one has stayed");
        assert_eq!(hub.room_of(crowd[0].0), Some("0"));
    }

    #[test]
    fn clients_that_have_gone_do_not_wait_for_the_end_of_a_pause() {
        let mut hub = Hub::new(Config::default());
        hub.pause_reading();
        let mut suspend = || {
            let (id, ..) = connect(&mut hub, "x-none");
            assert!(backpressure::suspend_while_paused(&mut hub, id));
            hub.clients.get_mut(id).unwrap().reading = Reading::Suspended;
            id
        };
        let [stays, goes] = [(); 2].map(|()| suspend());
        lifecycle::lose(&mut hub, goes);
        lifecycle::remove(&mut hub, goes);
        trim(&mut hub);
        assert_eq!(hub.pending.suspended, [stays]);
        hub.resume_reading();
        assert_eq!(backpressure::take_resumed(&mut hub), [stays]);
        assert!(!backpressure::somebody_waits(&hub));
    }

    #[test]
    fn a_room_gives_back_the_memory_of_members_that_have_left() {
        let mut hub = Hub::new(Config::default());
        let crowd: Vec<_> = (0..1_000).map(|_| connect(&mut hub, "x-none").0).collect();
        crowd.iter().for_each(|id| _ = hub.join(*id, "/room"));
        crowd[3..].iter().for_each(|id| _ = hub.leave(*id));
        let room = hub.rooms.get(hub.rooms.find("/room").unwrap()).unwrap();
        assert!(room.members.len() == 3 && room.members.capacity() <= MIN_CAPACITY);
    }

    #[test]
    fn a_context_that_was_not_used_for_a_minute_is_removed_until_the_next_message() {
        let mut hub = Hub::new(Config::default());
        let (id, pipe, _) = connect(&mut hub, "permessage-deflate");
        pipe.allow(1_000);
        hub.join(id, "/room");
        for _ in 0..2 {
            hub.publish(id, "hello");
            flush(&mut hub);
            hub.time.now += IDLE_CONTEXT / 2;
            trim(&mut hub);
            assert!(
                hub.clients.get(id).unwrap().reads(Encoding::Shared)
                    && hub.rooms.contexts.len() == 1
            );
            hub.time.now += IDLE_CONTEXT;
            trim(&mut hub);
            flush(&mut hub);
            assert!(
                hub.clients.get(id).unwrap().reads(Encoding::Plain)
                    && hub.rooms.contexts.is_empty()
            );
        }
    }
}
