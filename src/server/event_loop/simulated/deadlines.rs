//! Deadlines: each is kept, and none too early.

use std::time::Duration;

use crate::config::{Config, Slow};
use crate::server::departure::{Cause, Departure};
use crate::server::system;
use crate::server::time::MAX_TURN;
use crate::server::time::wheel::GRAIN;

use super::link::Link;
use super::pings;
use super::plan::MAX_MESSAGE_BYTES;
use super::proxies::State;
use super::record::{Member, Record};
use super::world::{Stage, World};

/// How late a deadline may take effect: it is rounded up to a slot of the wheel, takes effect at most four
/// slots later, and the turns may be as far apart.
pub(super) const LATE: Duration = GRAIN.saturating_mul(7);

/// Checks at the end of a turn, whose last wait began at this time, that no deadline has passed without an
/// effect.
pub(super) fn check_all(world: &mut World, now: Duration, began_waiting: Duration) {
    check_departures(world, (now, began_waiting));
    pings::note_due(world);
    let last_stop = system::with(|kernel| kernel.last_stop);
    if now < last_stop + 2 * LATE {
        return;
    }
    check_shutdown(world, now);
    let record = world.record.lock().expect("nobody has panicked");
    let puts_off = puts_off(&record, &world.config);
    for (id, link) in world.links.iter().enumerate() {
        if link.is_open_at_server()
            && let Some((what, deadline)) = deadline(link, &world.config, puts_off, last_stop)
        {
            assert!(now <= deadline + LATE, "{id}: {what} at {deadline:?}, and it is {now:?}");
        }
        if let Some(end) = end_of_age(link, &world.config) {
            assert!(now <= end + LATE, "{id} is too old since {end:?}, and it is {now:?}");
        }
    }
}

/// When a connection should have been closed because of its age, if its socket is not full.
fn end_of_age(link: &Link, config: &Config) -> Option<Duration> {
    let age = config.connections.max_age?;
    let is_closing = link.times.finished.is_some() || link.has_read_close();
    let opened = link.times.opened.filter(|_| !is_closing && link.is_open_at_server());
    opened.filter(|_| link.times.blocked.is_none()).map(|opened| opened + age + age / 10)
}

/// Whether clients may not be read for a while, so that they are not judged.
fn puts_off(record: &Record, config: &Config) -> bool {
    let is_slowed = config.rates.max_messages_per_second < 100;
    record.was_paused || config.slow == Slow::Pause || is_slowed
}

fn check_shutdown(world: &World, now: Duration) {
    let Some(deadline) = shutdown_deadline(world) else { return };
    assert!(now <= deadline + LATE, "it should have stopped at {deadline:?}, and it is {now:?}");
}

/// When the server should have stopped, if it was asked to.
fn shutdown_deadline(world: &World) -> Option<Duration> {
    let shutdown = &world.config.shutdown;
    world.hurried.or_else(|| Some(world.stopped? + shutdown.delay + shutdown.timeout))
}

/// What should happen to a connection, and when at the latest.
fn deadline(
    link: &Link,
    config: &Config,
    puts_off: bool,
    last_stop: Duration,
) -> Option<(&'static str, Duration)> {
    let times = &link.times;
    let timeouts = &config.timeouts;
    if link.is_refused() {
        return Some(("the PROXY header is refused", times.accepted.max(times.read)));
    }
    let is_read = !puts_off && times.blocked.is_none() && !link.posts;
    if let Some(ended_at) = link.ended_at.filter(|_| is_read) {
        let since = ended_at.max(times.accepted).max(times.read).max(times.active);
        return Some(("the peer has ended the connection", since));
    }
    if let (Some(finished), None) = (times.finished, times.blocked) {
        let since = times.ended.map_or(finished, |ended| ended.max(finished));
        return Some(("the time to disconnect is over", since + timeouts.close));
    }
    let is_slowed = config.rates.max_messages_per_second < 100;
    let Some(opened) = times.opened else {
        let is_blocked = times.blocked.is_some();
        // The turn may have been stopped after it began.
        let deadline = times.accepted.max(last_stop) + timeouts.handshake;
        return (!is_blocked && !is_slowed && !link.posts)
            .then_some(("the time for the handshake is over", deadline));
    };
    if puts_off {
        return None;
    }
    if let Some(blocked) = times.blocked {
        // A close frame may be queued meanwhile, for whose answer there is time too.
        let deadline = blocked.max(last_stop) + timeouts.write? + timeouts.close;
        return Some(("the time to read is over", deadline));
    }
    let interval = timeouts.ping_interval?;
    let since = times.active_by.max(opened);
    if link.is_within_frame() && config.rates.min_frame_bytes_per_second > 0 {
        // It may arrive fast enough, which shows only when a ping or the end is due.
        let since = times.read.max(since).max(times.pinged.unwrap_or_default()).max(last_stop);
        let shown = since + interval.max(timeouts.pong.unwrap_or_default());
        return Some(("the time for the rest of a frame is over", shown + interval));
    }
    if let Some((pinged, pong)) = times.pinged.zip(timeouts.pong) {
        return Some(("the time for the pong is over", pinged.max(last_stop) + pong));
    }
    let deadline = since.max(times.pinged.unwrap_or_default()) + interval;
    Some(("the time for a ping has come", deadline))
}

/// Checks that the server has a reason to close a socket now.
pub(super) fn check_close(world: &World, connection: usize, now: Duration) {
    let link = &world.links[connection];
    let times = &link.times;
    let timeouts = &world.config.timeouts;
    let is_refused = link.status == Some(503) || link.status == Some(429);
    // A connection that is turned away is closed at once.
    let is_new = link.is_accepted && times.accepted == world.turn.begun;
    // A shutdown waits for clients, but not for the end of TCP.
    let has_left = times.opened.is_none() || times.finished.is_some() && link.has_read_close();
    let is_late = shutdown_deadline(world).is_some_and(|deadline| now >= deadline);
    let is_over = is_late || world.stage == Stage::Stopping && has_left;
    // What is wrong with a header may show before its end.
    let is_broken = link.proxied.as_ref().is_some_and(|it| it.state == State::Broken);
    let is_refused = is_refused || is_broken && link.read > 0;
    if link.has_ended || is_refused || is_new || is_over {
        return;
    }
    let record = world.record.lock().expect("nobody has panicked");
    let departure = record.clients.get(&connection).map(|client| {
        let departure = record.members[client].departure.as_ref();
        departure.unwrap_or_else(|| panic!("{connection} has left unnoticed"))
    });
    let memory = &world.config.memory;
    let is_far_behind = record
        .clients
        .get(&connection)
        .is_some_and(|client| record.members[client].backlog() > memory.max_backlog_bytes);
    if is_far_behind || memory.max_total_backlog_bytes < 1 << 30 {
        return;
    }
    let is_dropped = departure.is_some_and(|(departure, _)| {
        let cause = departure.cause;
        matches!(cause, Cause::Silent | Cause::Stalled | Cause::TooSlow | Cause::Overload)
    });
    if is_dropped {
        return;
    }
    let least = match (times.finished, times.opened) {
        (Some(_), _) => times.finished_in + timeouts.close,
        // Its last response may wait to be written.
        (None, None) if times.blocked.is_some() => {
            times.accepted + timeouts.close.min(timeouts.keep_alive)
        }
        (None, None) => {
            let first = if link.posts { timeouts.keep_alive } else { timeouts.handshake };
            times.accepted + first.min(timeouts.handshake)
        }
        // It reads nothing, and has no time left.
        (None, Some(_)) => times.blocked.unwrap_or(now) + timeouts.close,
    };
    assert!(now >= least, "{connection} is closed at {now:?} instead of {least:?}: {departure:?}");
}

/// Checks the departures of this turn.
fn check_departures(world: &mut World, times: (Duration, Duration)) {
    let World { links, record, config, stage, .. } = world;
    let now = times.0;
    let mut record = record.lock().expect("nobody has panicked");
    let puts_off = puts_off(&record, config);
    for client in std::mem::take(&mut record.departed) {
        let member = &record.members[&client];
        let link = &links[member.connection];
        let (departure, _) = member.departure.as_ref().expect("it has left");
        let fits = match departure.cause {
            Cause::Application => member.is_dismissed,
            Cause::TooSlow => config.slow != Slow::Close || is_behind(member, config),
            cause => fits(departure, cause, link, config, *stage, times, puts_off),
        };
        let connection = member.connection;
        assert!(fits, "{connection} leaves at {now:?}: {departure}, {:?}", link.times);
    }
}

/// Whether a cause fits what has happened.
fn fits(
    departure: &Departure,
    cause: Cause,
    link: &Link,
    config: &Config,
    stage: Stage,
    (now, began_waiting): (Duration, Duration),
    puts_off: bool,
) -> bool {
    let times = &link.times;
    let timeouts = &config.timeouts;
    match cause {
        Cause::Peer => {
            let code = link.close.map(|(_, code)| code);
            link.has_read_close() && departure.was_clean && code == Some(departure.code)
        }
        Cause::Violation(_) => link.has_read_violation(),
        Cause::Lost => link.has_ended || stage == Stage::Stopping,
        Cause::TooFast => config.rates.throttle_timeout.is_some(),
        Cause::Overload => {
            config.memory.max_incomplete_bytes < 1 << 20
                || config.memory.max_total_backlog_bytes < 1 << 30
        }
        Cause::Silent => is_silent(link, config, (now, began_waiting), puts_off),
        Cause::Stalled => {
            let blocked = times.blocked.zip(timeouts.write);
            blocked.is_some_and(|(blocked, write)| now >= blocked + write)
        }
        Cause::TooOld => {
            // The response may have been written long after the connection was opened.
            let age = config.connections.max_age;
            age.is_some_and(|age| now >= times.accepted + age - age / 10)
        }
        Cause::Shutdown => stage == Stage::Stopping,
        Cause::Application | Cause::TooSlow | Cause::Refused(_) => false,
    }
}

/// Whether a peer has not answered a ping in time.
fn is_silent(
    link: &Link,
    config: &Config,
    (now, began_waiting): (Duration, Duration),
    puts_off: bool,
) -> bool {
    let times = &link.times;
    let Some((interval, pong)) = config.timeouts.ping_interval.zip(config.timeouts.pong) else {
        return false;
    };
    let silent_since = times.active + interval;
    let last_short_stop = system::with(|kernel| kernel.last_short_stop);
    // The ping may have waited for the end of a stop that the server does not notice, or it may still wait, also
    // because the socket is full.
    let was_delayed = silent_since <= last_short_stop + GRAIN;
    let waits = times.blocked.is_some() || was_delayed;
    let Some(pinged) = times.pinged.or(waits.then_some(silent_since)) else { return false };
    let early = if was_delayed { MAX_TURN } else { GRAIN };
    // Nothing that it had sent before the deadline, or before the wait, may be unread.
    let least = began_waiting.min(pinged + pong);
    let is_read = link.unread_since.is_none_or(|since| since >= least);
    (is_read || puts_off) && now + early >= pinged + pong
}

/// Whether a client has not received more than it may be behind, or there is no memory for a copy of that.
fn is_behind(member: &Member, config: &Config) -> bool {
    let memory = &config.memory;
    config.deflate.is_some()
        || memory.max_total_backlog_bytes < 1 << 30
        || member.backlog() + 2 * MAX_MESSAGE_BYTES >= memory.max_backlog_bytes
}
