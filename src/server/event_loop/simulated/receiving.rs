//! What clients must receive.

use std::collections::VecDeque;
use std::time::Duration;

use crate::config::Slow;
use crate::protocol::{Position, Start};
use crate::server::simulation::Heard;
use crate::server::system;

use super::deadlines;
use super::link::Link;
use super::pings;
use super::plan::STRICT_BACKLOG;
use super::record::{Expected, Member, Record, Said};
use super::tap::Unit;
use super::world::{Stage, World};

/// Checks what the server has written to a connection.
pub(super) fn check(world: &mut World, connection: usize, unit: &Unit, now: Duration) {
    if let Unit::Ping(_) = unit {
        pings::check(world, connection, now);
    }
    let drops = world.config.slow == Slow::Drop;
    let max_history = world.config.memory.max_backlog_bytes / 2;
    let begun = world.turn.begun;
    let link = &mut world.links[connection];
    let mut record = world.record.lock().expect("nobody has panicked");
    let Record { clients, members, said, answers, .. } = &mut *record;
    let client = clients.get(&connection);
    if let Some(left) = link.units_before_close.as_mut().filter(|_| !matches!(unit, Unit::Close(_)))
    {
        let may_come = left.checked_sub(1);
        *left = may_come.unwrap_or_else(|| panic!("{connection}: {unit:?} before a close frame"));
    }
    match unit {
        Unit::Response { status: 101, .. } => {
            assert!(client.is_some() && link.has_asked, "nobody has asked for an upgrade");
            link.times.opened = Some(now);
        }
        Unit::Response { status: 200, body } => {
            let answer = answers.get_mut(&connection).and_then(VecDeque::pop_front);
            assert_eq!(answer.as_ref(), Some(body), "{connection} gets another answer");
            if link.tap.is_over {
                (link.times.finished, link.times.finished_in) = (Some(now), begun);
            }
        }
        Unit::Response { status, .. } => {
            let awaits_answer = answers.get(&connection).is_some_and(|answers| !answers.is_empty());
            let is_full = world.config.connections.max < 10
                || world.config.memory.max_incomplete_bytes < 1 << 20
                || world.is_scarce
                || awaits_answer;
            let is_turned_away = *status == 503 && link.read == 0;
            assert!(!is_turned_away || world.is_scarce, "{connection} is turned away");
            assert!(*status != 503 || is_full || world.stage == Stage::Stopping);
            assert!(client.is_none(), "{status} to a client that is open");
            link.status = Some(*status);
            (link.times.finished, link.times.finished_in) = (Some(now), begun);
        }
        Unit::Ping(_) => {}
        Unit::Pong(payload) => {
            assert_eq!(payload, b"?");
            link.has_pong = true;
        }
        Unit::Close(code) => {
            (link.times.finished, link.times.finished_in) = (Some(now), begun);
            let member = client.and_then(|client| members.get(client)).expect("a client");
            check_last(link, member, *code, drops);
        }
        Unit::Text(word) => {
            let member = client.and_then(|client| members.get_mut(client)).expect("a client");
            let word = Heard::of(word).expect("a word");
            if !link.has_ended {
                hear(member, said, word, drops, max_history);
            }
        }
        Unit::Binary(message) => {
            let member = client.and_then(|client| members.get_mut(client)).expect("a client");
            if !link.has_ended {
                receive(connection, member, message, drops);
            }
        }
    }
}

fn receive(connection: usize, member: &mut Member, message: &[u8], drops: bool) {
    assert_eq!(member.untold, 0, "{connection} is not told what it misses");
    let is_it = |next: &Expected| matches!(next, Expected::Message(_, next) if next == message);
    while drops && !member.is_told() && member.expected.front().is_some_and(|next| !is_it(next)) {
        member.expected.pop_front();
    }
    let next = member.expected.pop_front();
    if member.expected.is_empty() {
        member.size_for_others = 0;
    }
    assert!(
        next.as_ref().is_some_and(is_it),
        "{connection} receives {:?} instead of {next:?}",
        String::from_utf8_lossy(message)
    );
}

fn hear(member: &mut Member, said: &Said, word: Heard, drops: bool, max_history: usize) {
    assert!(member.hears_words, "{word:?} to a client that hears none");
    match word {
        Heard::Greeting { position, recovered, replay } => {
            let is_greeting = |next: &Expected| matches!(next, Expected::Greeting { .. });
            let at = member.expected.iter().position(is_greeting);
            let at = at.unwrap_or_else(|| panic!("{word:?} without a reason"));
            assert!(drops || at == 0, "{word:?} instead of {:?}", member.expected[0]);
            member.untold = at;
            let replayed = replayed(&member.expected[at], (position, recovered), said, max_history);
            assert_eq!(replayed.len() as u64, replay, "{word:?}");
            member.expected.remove(at);
            for (number, message) in replayed.into_iter().enumerate() {
                member.expected.insert(at + number, message);
            }
        }
        Heard::Skipped { count, position } => {
            assert!(drops && count > 0, "{word:?}");
            skip(member, count, position);
        }
        Heard::Published(_) => panic!("{word:?} without a reason"),
        Heard::Beat(_) => {}
    }
}

/// Notes that a client misses this number of messages: those of its room up to a place, and the oldest of others:
/// those that were sent to it alone, and those of its room before that began anew.
fn skip(member: &mut Member, count: u64, position: Position) {
    let (epoch, last) = (position.epoch(), position.sequence());
    let is_passed = |at: (u64, u64)| at.0 == epoch && at.1 <= last;
    let is_passed =
        |next: &Expected| matches!(next, Expected::Message(Some(at), _) if is_passed(*at));
    let before = member.expected.len();
    member.expected.retain(|next| !is_passed(next));
    let passed = (before - member.expected.len()) as u64;
    let private = count.checked_sub(passed).expect("it is told of all that it misses");
    for _ in 0..private {
        let is_other = |at: Option<(u64, u64)>| at.is_none_or(|at| at.0 != epoch);
        let is_other = |next: &Expected| matches!(next, Expected::Message(at, _) if is_other(*at));
        let missed = member.expected.iter().position(is_other);
        let missed = missed.expect("it does not miss more than was sent");
        member.expected.remove(missed);
    }
    member.untold = 0;
}

/// The messages that a client receives after a greeting with this position, if that is right.
fn replayed(
    expected: &Expected,
    (position, recovered): (Position, Option<bool>),
    said: &Said,
    max_history: usize,
) -> Vec<Expected> {
    let Expected::Greeting { start, end, floor, replay_bytes } = *expected else {
        panic!("{expected:?} is no greeting");
    };
    let replay = end.sequence().checked_sub(position.sequence()).expect("it begins before the end");
    assert_eq!(position.epoch(), end.epoch());
    assert!(replay == 0 || position.sequence() >= floor, "{position} is before {floor}");
    let keeps_all = replay_bytes == 0 || max_history >= STRICT_BACKLOG / 2;
    let kept = end.sequence() - floor;
    match (start, recovered) {
        (Start::Now, None) => assert_eq!(replay, 0),
        (Start::After(asked), Some(true)) => assert_eq!(position, asked),
        (Start::After(asked), Some(false)) => {
            assert_eq!(replay, 0, "all or nothing");
            let is_known = asked.epoch() == end.epoch();
            let is_kept = (floor..=end.sequence()).contains(&asked.sequence());
            assert!(
                !(keeps_all && is_known && is_kept),
                "what follows {asked} is kept up to {end}"
            );
        }
        (Start::Rest(count), Some(false)) => {
            assert!(replay <= count.min(kept), "{replay} messages of {count}");
            assert!(
                !keeps_all || replay == count.min(kept),
                "{replay} messages of {count} are all"
            );
        }
        _ => panic!("{start:?} leads to {recovered:?}"),
    }
    let at = |number| (end.epoch(), number);
    let numbers = position.sequence() + 1..=end.sequence();
    numbers.map(|number| Expected::Message(Some(at(number)), said[&at(number)].clone())).collect()
}

/// Checks that a client that is closed has received everything, unless there is a reason.
fn check_last(link: &Link, member: &Member, code: u16, drops: bool) {
    let is_polite = [1000, 1001, 1012].contains(&code);
    let is_cut = link.has_ended || link.has_read_close() || link.has_read_violation() || drops;
    assert!(
        !is_polite || is_cut || member.expected.is_empty(),
        "{} is closed with {code} and misses {:?}",
        member.connection,
        member.expected
    );
}

/// Checks that all clients have received everything, and that all that they said was heard.
pub(super) fn check_all(world: &World, now: Duration) {
    let record = world.record.lock().expect("nobody has panicked");
    // Those that are slowed down may still say something.
    let is_quiet = record.said_at + deadlines::LATE < now;
    for member in record.members.values().filter(|member| member.departure.is_none()) {
        let link = &world.links[member.connection];
        let is_leaving = link.has_vanished || link.has_ended;
        if is_leaving || link.times.finished.is_some() || link.times.closed.is_some() {
            continue;
        }
        let connection = member.connection;
        assert!(
            !is_quiet || member.expected.is_empty() || world.config.slow == Slow::Drop,
            "{connection} still waits at {now:?} for {:?}",
            member.expected
        );
        assert!(!is_quiet || !link.tap.is_within(), "{connection} has received a part of a frame");
        assert!(!is_quiet || link.times.blocked.is_none(), "{connection} is blocked at {now:?}");
        // A room may wait for somebody who has vanished.
        let waits = world.config.slow == Slow::Pause && world.links.iter().any(Link::is_stuck);
        let is_new = link.sent_at + deadlines::LATE > now;
        let was_pinged = link.ping.is_some_and(|end| end <= link.read);
        assert!(!is_quiet || !was_pinged || link.has_pong, "{connection} waits for a pong");
        let is_slowed = world.config.rates.max_messages_per_second < 100
            && link.times.read + Duration::from_secs(3) > now;
        if is_slowed || waits || is_new {
            continue;
        }
        let heard = record.sent.get(&connection).is_none_or(|sent| sent.is_empty());
        let all = link.sent == link.read;
        assert!(all, "{connection} has sent {} and {} are read", link.sent, link.read);
        assert!(heard || link.sent < link.queued, "{connection} is not heard");
    }
    for (id, _) in record.answers.iter().filter(|(_, answers)| !answers.is_empty()) {
        let link = &world.links[*id];
        let times = &link.times;
        let is_sending = link.sent < link.queued;
        let is_over = times.closed.is_some() || times.finished.is_some();
        let is_over = is_over || is_sending || !is_quiet;
        assert!(is_over || times.blocked.is_some(), "{id} waits for an answer");
    }
    assert_eq!(record.run, world.sent, "closures have not run");
    let waiting = system::with(|kernel| kernel.waiting());
    assert_eq!(waiting, 0, "{waiting} connections are not accepted at {now:?}");
}
