//! Whether a client is still there, and whether it may stay.

use std::hash::BuildHasher;
use std::time::Duration;

use crate::config::Config;
use crate::protocol::CloseCode;
use crate::server::client::Client;
use crate::server::client_id::ClientId;
use crate::server::departure::Cause;
use crate::server::hub::state::Hub;
use crate::server::hub::{lifecycle, words};
use crate::server::system::RandomState;
use crate::server::time::Time;
use crate::server::time::wheel::{GRAIN, Timestamp};

/// What is due for a client.
enum Due {
    /// Nothing, until this time.
    Nothing(Timestamp),
    /// A ping, and the next check at this time.
    Ping(Timestamp),
    /// The client must be dropped.
    End(Cause),
}

/// When the connection of a client will be too old. The time varies by a tenth of `max_age` in both
/// directions, so that connections that were opened together are not closed together. It is always the
/// same for one client, so that it need not be kept.
fn expiry(
    max_age: Option<Duration>,
    id: ClientId,
    opened: Timestamp,
    random: &RandomState,
) -> Option<Timestamp> {
    let max_age = max_age?;
    let least = max_age - max_age / 10;
    let random = random.hash_one(id) as f64 / u64::MAX as f64;
    Some(opened.after(least.saturating_add((max_age / 5).mul_f64(random))))
}

/// Closes a client whose connection is too old, pings a silent one, drops one that does not answer or
/// that reads nothing, and sets the time of the next check.
pub(crate) fn check(hub: &mut Hub, id: ClientId) {
    let Some(client) = hub.clients.get_mut(id) else { return };
    if client.reading.is_put_off() {
        // It may have sent data that has not been read.
        client.note_activity(hub.time.timestamp);
    }
    let expiry = expiry(hub.config.connections.max_age, id, client.opened, &hub.random);
    if expiry.is_some_and(|expiry| expiry <= hub.time.horizon) {
        return close_old(hub, id);
    }
    let first = |next: Timestamp| expiry.map_or(next, |expiry| next.min(expiry));
    match due(client, &hub.config, &hub.time) {
        Due::Nothing(next) => lifecycle::expect_by(hub, id, first(next)),
        Due::Ping(next) => {
            ping(hub, id);
            lifecycle::expect_by(hub, id, first(next));
        }
        Due::End(cause) => return give_up(hub, id, cause),
    }
    // A web page sees no pings, and may not be pinged because it sends all the time.
    words::beat(hub, id);
}

fn close_old(hub: &mut Hub, id: ClientId) {
    let code = CloseCode::SERVICE_RESTART;
    lifecycle::close_because(hub, id, code, "maximum connection age reached", Cause::TooOld);
}

/// Decides what is due for a client. Bytes of a long frame that arrive fast enough are activity, because
/// the client can send nothing else before the end of the frame.
fn due(client: &mut Client, config: &Config, time: &Time) -> Due {
    let timeouts = &config.timeouts;
    let now = time.timestamp;
    let write_deadline = client.blocked.unwrap_or(now).after_or_never(timeouts.write);
    // The ping may have been written only after a stop.
    let pong_deadline =
        client.pinged.zip(timeouts.pong).map(|(at, timeout)| at.max(time.resumed).after(timeout));
    let silent_since = client.pinged.unwrap_or(client.last_active);
    let deadline =
        pong_deadline.unwrap_or_else(|| silent_since.after_or_never(timeouts.ping_interval));
    if write_deadline <= time.horizon {
        return Due::End(Cause::Stalled);
    }
    if deadline > time.horizon {
        // The client may answer the ping long before the deadline, and needs the next one then.
        let next = deadline.min(now.after_or_never(timeouts.ping_interval));
        return Due::Nothing(write_deadline.min(next));
    }
    if client.arrives_at(config.rates.min_frame_bytes_per_second, now) {
        client.note_activity(now);
        return Due::Nothing(write_deadline.min(now.after_or_never(timeouts.ping_interval)));
    }
    if pong_deadline.is_some() {
        return Due::End(Cause::Silent);
    }
    let next = [timeouts.ping_interval, timeouts.pong].into_iter().flatten().min();
    Due::Ping(write_deadline.min(now.after_or_never(next)))
}

/// Drops a client whose time to disconnect is over, unless it is still reading its last bytes.
pub(crate) fn check_end(hub: &mut Hub, id: ClientId) {
    let horizon = hub.time.horizon;
    let timeout = hub.config.timeouts.close;
    let client = hub.clients.get(id);
    if client.is_some_and(|client| client.flush_queued && !client.has_ended_writing()) {
        // Its socket takes more now, and it is its turn soon.
        return lifecycle::expect_within(hub, id, GRAIN);
    }
    let blocked = client.and_then(|client| client.blocked);
    match blocked.map(|since| since.after(timeout)) {
        Some(deadline) if deadline > horizon => lifecycle::expect_by(hub, id, deadline),
        _ => lifecycle::lose(hub, id),
    }
}

fn ping(hub: &mut Hub, id: ClientId) {
    let now = hub.time.timestamp;
    if let Some((client, at, memory)) = hub.recipient(id) {
        client.pinged = Some(now);
        client.arrived = 0;
        client.queue_control(at, memory, |connection, out| connection.ping(b"", out));
    }
}

fn give_up(hub: &mut Hub, id: ClientId, cause: Cause) {
    if let Some(client) = hub.clients.get_mut(id) {
        client.pending_departure.get_or_insert_default().cause = Some(cause);
        lifecycle::lose(hub, id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::simulation::{connect, flush};

    /// Lets time pass, and reads everything that has arrived by then.
    fn pass(hub: &mut Hub, time: Duration) {
        hub.time.timestamp = hub.time.timestamp.after(time);
        hub.time.horizon = hub.time.timestamp;
    }

    #[test]
    fn an_interval_begins_when_a_ping_is_answered_long_before_its_deadline() {
        let mut config = Config::default();
        config.timeouts.ping_interval = Some(Duration::from_secs(1));
        config.timeouts.pong = Some(Duration::from_secs(9));
        let mut hub = Hub::new(config);
        let (id, ..) = connect(&mut hub, "x-none");
        let pinged_at = |hub: &mut Hub| {
            while hub.clients.get(id).is_some_and(|client| client.pinged.is_none()) {
                pass(hub, Duration::ZERO);
                let due = hub.time.deadlines.due(hub.time.horizon);
                due.iter().for_each(|_| check(hub, id));
            }
            hub.time.timestamp
        };
        pinged_at(&mut hub);
        // The deadline of the pong is set, and then the pong comes.
        pass(&mut hub, Duration::from_secs(2));
        let due = hub.time.deadlines.due(hub.time.horizon);
        due.iter().for_each(|_| check(&mut hub, id));
        let answered = hub.time.timestamp;
        hub.clients.get_mut(id).expect("it is there").note_activity(answered);
        let waited = pinged_at(&mut hub).duration_since(answered);
        let expected = Duration::from_millis(1_000)..=Duration::from_millis(1_300);
        assert!(expected.contains(&waited), "{waited:?}");
    }

    #[test]
    fn a_client_whose_last_bytes_are_about_to_be_written_is_not_dropped() {
        let mut hub = Hub::new(Config::default());
        let (id, pipe, _) = connect(&mut hub, "x-none");
        hub.close(id, CloseCode::NORMAL, "enough");
        flush(&mut hub);
        let timeout = hub.config.timeouts.close;
        pass(&mut hub, 2 * timeout);
        pipe.allow(1_000);
        lifecycle::unblock(&mut hub, id);
        check_end(&mut hub, id);
        flush(&mut hub);
        assert!(pipe.take().ends_with(b"\x88\x08\x03\xe8enough"));
        assert!(hub.pending.gone.is_empty(), "it has time to answer");
    }

    #[test]
    fn the_time_for_a_pong_begins_anew_when_the_process_goes_on_after_a_stop() {
        let mut config = Config::default();
        config.timeouts.ping_interval = Some(Duration::from_secs(1));
        config.timeouts.pong = Some(Duration::from_secs(3));
        let mut hub = Hub::new(config);
        let (id, ..) = connect(&mut hub, "x-none");
        ping(&mut hub, id);
        let mut is_there_after = |delay| {
            pass(&mut hub, Duration::from_secs(delay));
            check(&mut hub, id);
            let is_there = hub.pending.gone.is_empty();
            hub.time.resumed = hub.time.timestamp;
            is_there
        };
        assert!(is_there_after(1));
        assert!(is_there_after(2));
        assert!(!is_there_after(4));
    }

    #[test]
    fn connections_expire_within_a_tenth_of_the_maximum_age() {
        let opened = Timestamp::default();
        let after = |seconds| opened.after(Duration::from_secs(seconds));
        let random = RandomState::new();
        let expiry = |age, key| expiry(age, ClientId::new(key, 1), opened, &random);
        let age = Some(Duration::from_secs(1_000));
        let mut expiries: Vec<_> = (0..100).filter_map(|key| expiry(age, key)).collect();
        expiries.sort();
        assert!(expiries[0] >= after(900) && expiries[99] <= after(1_100), "{expiries:?}");
        assert!(expiries[0] < after(980) && expiries[99] > after(1_020), "{expiries:?}");
        assert_eq!(expiry(age, 7), expiry(age, 7));
        assert!(expiry(Some(Duration::MAX), 7) > Some(after(1 << 28)));
        assert_eq!(expiry(None, 7), None);
    }
}
