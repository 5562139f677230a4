//! Clients that are not read for a while. A room waits for a member that is too far behind: the server
//! reads none of its members until that member has caught up. The application may pause the reading of all.

use std::mem;

use crate::server::client::{Client, Reading};
use crate::server::client_id::ClientId;
use crate::server::hub::state::Hub;

/// Makes a client's room, or the client itself if it is in none, wait until the client has caught
/// up.
pub(crate) fn pause_room(hub: &mut Hub, id: ClientId) {
    hub.counts.paused += u64::from(wait_for(hub, id));
}

/// Notes that a client is too far behind, and returns whether that is new.
pub(super) fn wait_for(hub: &mut Hub, id: ClientId) -> bool {
    let Some(client) = hub.clients.get_mut(id).filter(|client| !client.lagging) else {
        return false;
    };
    client.lagging = true;
    if let Some(room) = hub.rooms.of_mut(client.membership) {
        room.laggards += 1;
    }
    hub.clients.waits += 1;
    true
}

/// Ends the wait for a client.
pub(crate) fn resume_room(hub: &mut Hub, id: ClientId) {
    let Some(client) = hub.clients.get_mut(id).filter(|client| client.lagging) else { return };
    client.lagging = false;
    hub.pending.resumed.push(id);
    if let Some(room) = hub.rooms.of_mut(client.membership) {
        room.laggards -= 1;
        if room.laggards == 0 {
            hub.pending.resumed.append(&mut room.paused);
        }
    }
    hub.clients.waits -= 1;
}

/// Pauses the reading of open clients.
pub(super) fn pause_reading(hub: &mut Hub) {
    let Hub { clients, pending, .. } = hub;
    if !mem::replace(&mut hub.is_reading_paused, true) {
        clients.waits += 1;
        // Those that have not been read since the last pause wait for the end of this one.
        let is_suspended = |client: &Client| client.reading == Reading::Suspended;
        let unread =
            pending.resumed.iter().filter(|&&id| clients.get(id).is_some_and(is_suspended));
        pending.suspended.extend(unread);
    }
}

/// Ends the pause of the reading of open clients.
pub(super) fn resume_reading(hub: &mut Hub) {
    if mem::take(&mut hub.is_reading_paused) {
        hub.clients.waits -= 1;
        let suspended = mem::take(&mut hub.pending.suspended);
        hub.pending.resumed.extend(suspended);
    }
}

/// Whether some room waits for a member, or the application has paused the reading.
#[inline]
pub(crate) fn somebody_waits(hub: &Hub) -> bool {
    hub.clients.waits > 0
}

/// Whether a client is to be read later because the application has paused the reading of open clients.
pub(crate) fn suspend_while_paused(hub: &mut Hub, id: ClientId) -> bool {
    let suspends = hub.is_reading_paused && hub.is_open(id);
    if suspends {
        hub.pending.suspended.push(id);
    }
    suspends
}

/// Drops clients that have gone from the list of those that are not read, if it may contain many.
pub(super) fn trim_suspended(hub: &mut Hub) {
    let Hub { pending, clients, .. } = hub;
    if pending.suspended.len() > clients.open_count() {
        let is_suspended = |client: &Client| client.reading == Reading::Suspended;
        pending.suspended.retain(|&id| clients.get(id).is_some_and(is_suspended));
    }
}

/// Whether a client is to be read later because its room waits for a member.
pub(crate) fn pause_while_room_waits(hub: &mut Hub, id: ClientId) -> bool {
    let room = room_of(hub, id);
    let may_wait =
        |client: &&Client| client.connection.is_open() || client.request_room().is_some();
    let Some(client) = hub.clients.get(id).filter(may_wait) else { return false };
    match room.and_then(|key| hub.rooms.get_mut(key)) {
        Some(room) if room.laggards > 0 => {
            room.paused.push(id);
            true
        }
        Some(_) => false,
        None => client.lagging,
    }
}

/// The room that a client is in, or for which it sends requests.
fn room_of(hub: &Hub, id: ClientId) -> Option<usize> {
    let client = hub.clients.get(id)?;
    match client.membership {
        Some(membership) => Some(membership.room),
        None => client.request_room(),
    }
}

/// Whether a client's room did not fit into the last flush. Its members are not read until it has been
/// flushed, so that a flush gives the same messages to all members. Nor are those that publish there with
/// requests.
pub(crate) fn is_overdue(hub: &Hub, id: ClientId) -> bool {
    let room = || hub.rooms.get(room_of(hub, id)?);
    hub.rooms.overdue && room().is_some_and(|room| room.overdue)
}

/// The clients that may be read again.
#[cold]
pub(crate) fn take_resumed(hub: &mut Hub) -> Vec<ClientId> {
    let mut resumed = mem::take(&mut hub.pending.resumed);
    let is_reading_paused = hub.is_reading_paused;
    let answered = &hub.pending.answered;
    // What was read after a request comes before what is in the socket, even if the reason for another
    // pause is over.
    let is_held = |client: &Client| {
        client.connection.is_answering() || answered.iter().any(|(id, _)| *id == client.id)
    };
    let may_be_read = |client: &&mut Client| match client.reading {
        Reading::Paused => !is_held(client),
        Reading::Suspended => !(is_reading_paused && client.connection.is_open()),
        Reading::Idle | Reading::Queued => false,
    };
    resumed.retain(|&id| {
        let client = hub.clients.get_mut(id).filter(may_be_read);
        client.map(|client| client.reading = Reading::Queued).is_some()
    });
    resumed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::server::simulation::connect;

    #[test]
    fn clients_that_were_not_read_between_two_pauses_are_read_after_the_second() {
        let mut hub = Hub::new(Config::default());
        let (id, ..) = connect(&mut hub, "x-none");
        hub.pause_reading();
        assert!(suspend_while_paused(&mut hub, id));
        hub.clients.get_mut(id).unwrap().reading = Reading::Suspended;
        for _ in 0..2 {
            hub.resume_reading();
            hub.pause_reading();
            assert_eq!(take_resumed(&mut hub), []);
        }
        hub.resume_reading();
        assert_eq!(take_resumed(&mut hub), [id]);
    }
}
