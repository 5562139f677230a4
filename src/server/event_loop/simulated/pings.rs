//! Pings: none comes too early.

use std::time::Duration;

use super::world::World;

/// The number of turns within which a ping is written, unless the socket is full: more than there are clients.
const TURNS: usize = 50;

/// The pings that a connection may be sent.
#[derive(Debug, Default)]
pub(super) struct Pings {
    /// How many the server may have decided on, and not written.
    due: usize,
    /// When it may have decided on the last one.
    decided: Duration,
    /// In how many more turns they may be written.
    turns: usize,
}

/// Notes at the end of a turn which connections the server may ping. It decides on a ping after everything has
/// been written, so the ping is written in a later turn: each turn writes to one client at least, and a socket
/// that is full takes nothing.
pub(super) fn note_due(world: &mut World) {
    let Some(interval) = world.config.timeouts.ping_interval else { return };
    let begun = world.turn.begun;
    for link in world.links.iter_mut().filter(|link| link.is_open_at_server()) {
        let (times, pings) = (&link.times, &mut link.pings);
        let is_silent = link.has_asked && times.active + interval <= begun;
        if is_silent && pings.decided + interval <= begun {
            (pings.due, pings.decided) = (pings.due + 1, begun);
        }
        if is_silent || times.blocked.is_some() {
            pings.turns = TURNS;
        }
        pings.turns = pings.turns.saturating_sub(1);
        if pings.turns == 0 {
            pings.due = 0;
        }
    }
}

/// Checks that a ping comes after the interval, and notes the time for its pong. If the peer has sent something
/// since the server decided on the ping, the server does not wait for that pong.
pub(super) fn check(world: &mut World, connection: usize, now: Duration) {
    let interval = world.config.timeouts.ping_interval.expect("there are pings");
    let link = &mut world.links[connection];
    let (times, pings) = (&mut link.times, &mut link.pings);
    let due = times.active + interval;
    assert!(pings.due > 0, "{connection} is pinged at {now:?} instead of {due:?}");
    pings.due -= 1;
    // One that was begun before the socket became writable is not waited for either.
    if now >= due && times.unblocked < Some(world.turn.began_waiting) {
        times.pinged = Some(now);
    }
}
