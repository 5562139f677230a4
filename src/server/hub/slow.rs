//! Members that are too far behind.

use log::debug;

use crate::config::Slow;
use crate::protocol::{CloseCode, Word};
use crate::server::client_id::ClientId;
use crate::server::departure::Cause;
use crate::server::hub::state::Hub;
use crate::server::hub::{backlog, backpressure, lifecycle, overload, words};
use crate::server::room::frame_log::FrameLog;
use crate::server::room::history::History;

/// Applies [`Slow`] to a member that is too far behind.
pub(crate) fn fall_behind(hub: &mut Hub, id: ClientId) {
    let open = hub.is_open(id);
    match hub.config.slow {
        Slow::Drop if open => skip_messages(hub, id),
        Slow::Pause if open => backpressure::pause_room(hub, id),
        _ => cut_off(hub, id),
    }
}

/// Applies the backlog limits to a client with too many private bytes: writes what the socket takes, and
/// if that is not enough, treats the client as too far behind.
#[cold]
pub(crate) fn limit_unsent(hub: &mut Hub, id: ClientId) {
    backlog::write_now(hub, id);
    let max = hub.config.memory.max_backlog_bytes;
    if hub.clients.get(id).is_some_and(|client| client.private_bytes() > max) {
        fall_behind(hub, id);
    }
    overload::evict_until_within_limit(hub);
}

/// Closes a member that is too far behind. A member that is closing already is dropped.
fn cut_off(hub: &mut Hub, id: ClientId) {
    if !hub.is_open(id) {
        return lifecycle::lose(hub, id);
    }
    backlog::skip_unbegun(hub, id);
    let reason = "too far behind";
    lifecycle::close_because(hub, id, CloseCode::TRY_AGAIN_LATER, reason, Cause::TooSlow);
}

/// Lets a member miss the oldest messages, and continue with the newest that fit into half of its limit.
/// A member of a shared context has lost the context then, and continues in the plain log.
fn skip_messages(hub: &mut Hub, id: ClientId) {
    if !backlog::may_copy_rest(hub, id) {
        return cut_off(hub, id);
    }
    let max_bytes = hub.config.memory.max_backlog_bytes / 2;
    let mut skipped = backlog::go_plain(hub, id);
    let history = words::history_of(hub, id);
    if let Some((client, log, memory)) = hub.client_and_log(id) {
        let lost = skipped;
        skipped += client.skip_oldest(log, memory, max_bytes, |log, missed, offset, out| {
            note_hole(history, lost + missed, log, offset, out);
        });
    }
    hub.counts.skipped += skipped;
    debug!("{id} is too far behind and misses {skipped} messages");
}

/// Appends the word for a client that misses this many messages and continues at `offset`, if its room has
/// history.
fn note_hole(
    history: Option<History>,
    missed: u64,
    log: &FrameLog,
    offset: u64,
    out: &mut Vec<u8>,
) {
    if let Some(history) = history.filter(|_| missed > 0) {
        Word::skipped(missed, history.position_at(log, offset)).encode(out);
    }
}

/// Moves a member from the shared log to the plain one, where it may miss messages.
fn go_plain(hub: &mut Hub, id: ClientId) {
    let skipped = backlog::go_plain(hub, id);
    hub.counts.skipped += skipped;
    if skipped == 0 {
        return;
    }
    let history = words::history_of(hub, id);
    if let Some((client, log, memory)) = hub.client_and_log(id) {
        let offset = client.offset();
        client.put_first(memory, |out| note_hole(history, skipped, log, offset, out));
    }
}

/// Takes a member that is too far behind out of the shared log, or closes it, depending on the
/// configuration.
pub(crate) fn leave_backlog(hub: &mut Hub, id: ClientId) {
    if hub.config.slow == Slow::Drop {
        skip_messages(hub, id);
    } else {
        cut_off(hub, id);
    }
}

/// Whether a member may leave its log, and take along what it has not received as private bytes. If the
/// limits do not allow that copy, the member misses messages or is closed, depending on the
/// configuration.
pub(crate) fn may_leave_log(hub: &mut Hub, id: ClientId) -> bool {
    leave_context(hub, id);
    if hub.is_open(id) && !backlog::covers_backlog(hub, id) {
        leave_backlog(hub, id);
    }
    // A member that is closed here gets its last bytes from the log.
    if hub.is_open(id) && !backlog::covers_backlog(hub, id) {
        cut_off(hub, id);
    }
    hub.is_open(id)
}

/// Moves a member that may miss messages from the shared log to the plain log, if it has not received
/// everything. Otherwise, its private bytes would contain frames that refer to one another, none of
/// which it could miss.
pub(crate) fn leave_context(hub: &mut Hub, id: ClientId) {
    let may_miss = hub.config.slow == Slow::Drop && hub.shares_context(id);
    if !may_miss || backlog::unread_bytes(hub, id) == 0 {
        return;
    }
    if backlog::may_copy_rest(hub, id) {
        go_plain(hub, id);
    } else {
        cut_off(hub, id);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Config;
    use crate::protocol::noise;
    use crate::server::hub::closing::answer_close;
    use crate::server::hub::lifecycle;
    use crate::server::room::compressor::Encoding;
    use crate::server::simulation::{Pipe, connect, flush};

    const MIB: usize = 1 << 20;

    /// A hub, and members of one room that share a compression context and have received everything.
    fn room(config: Config, members: usize) -> (Hub, Vec<(ClientId, Pipe)>) {
        let mut hub = Hub::new(config);
        let mut connect = |_| {
            let (id, pipe, _) = connect(&mut hub, "permessage-deflate");
            hub.join(id, "/room");
            pipe.allow(MIB);
            (id, pipe)
        };
        let members: Vec<_> = (0..members).map(&mut connect).collect();
        hub.broadcast("/room", "hello");
        flush(&mut hub);
        assert!(
            members.iter().all(|(id, _)| hub.clients.get(*id).unwrap().reads(Encoding::Shared))
        );
        (hub, members)
    }

    /// Sends bytes that do not compress, and lets every member take what it can.
    fn flood(hub: &mut Hub, bytes: usize) {
        for _ in 0..bytes / MIB {
            hub.broadcast("/room", &noise(MIB)[..]);
            flush(hub);
        }
    }

    #[test]
    fn a_context_is_not_taken_over_if_that_would_copy_a_backlog() {
        let (mut hub, _members) = room(Config::default(), 3);
        flood(&mut hub, 20 * MIB);
        let before = hub.memory.backlog();
        hub.time.now += Duration::from_secs(20);
        for number in 0..64 {
            let name = format!("/{number}");
            let (id, pipe, _) = connect(&mut hub, "permessage-deflate");
            hub.join(id, &name);
            pipe.allow(MIB);
            hub.broadcast(&name, "hello");
            flush(&mut hub);
        }
        assert!(hub.memory.backlog() < before + MIB, "{} of {before}", hub.memory.backlog());
    }

    #[test]
    fn senders_without_their_own_messages_leave_the_context_within_the_limits() {
        let mut config = Config::default();
        config.memory.max_total_backlog_bytes = 64 * MIB;
        let (mut hub, members) = room(config, 10);
        flood(&mut hub, 20 * MIB);
        for (id, _) in &members {
            hub.publish_to_others(*id, "hello");
            assert!(hub.memory.backlog() <= 66 * MIB, "{}", hub.memory.backlog());
        }
        assert!(members.iter().any(|(id, _)| hub.is_open(*id)), "some copies are covered");
        assert!(members.iter().any(|(id, _)| !hub.is_open(*id)), "all of them are not");
    }

    #[test]
    fn a_client_takes_a_backlog_to_another_room_only_within_the_limits() {
        let mut config = Config::default();
        config.memory.max_backlog_bytes = 32 * MIB;
        let (mut hub, members) = room(config, 2);
        flood(&mut hub, 20 * MIB);
        let [(light, _), (heavy, _)] = members[..] else { panic!() };
        hub.join(light, "/other");
        assert_eq!(hub.room_of(light), Some("/other"));
        assert!(hub.clients.get(light).unwrap().unsent.get() > 18 * MIB);
        flood(&mut hub, 12 * MIB);
        hub.broadcast("/room", &noise(MIB)[..]);
        let before = hub.memory.backlog();
        hub.join(heavy, "/other");
        assert_eq!((hub.room_of(heavy), hub.is_open(heavy)), (None, false));
        assert!(hub.memory.backlog() < before);
    }

    #[test]
    fn messages_to_one_client_are_limited_while_they_are_queued() {
        let (mut hub, members) = room(Config::default(), 1);
        let (id, _) = members[0];
        for _ in 0..100 {
            hub.send(id, &noise(MIB)[..]);
        }
        assert!(!hub.is_open(id));
        assert!(hub.memory.backlog() <= 34 * MIB, "{}", hub.memory.backlog());
    }

    #[test]
    fn a_close_frame_that_crosses_the_peers_close_frame_is_kept_without_the_messages_before_it() {
        // The rest of the longer one stays in the log.
        for message in [MIB, 3 * MIB] {
            let (mut hub, members) = room(Config::default(), 1);
            let (id, pipe) = &members[0];
            pipe.take();
            hub.broadcast("/room", &noise(message)[..]);
            flush(&mut hub);
            let begun = pipe.take().len();
            hub.broadcast("/room", &noise(MIB)[..]);
            hub.close(*id, CloseCode::NORMAL, "enough");
            answer_close(&mut hub, *id, None);
            hub.broadcast("/room", "not for it");
            pipe.allow(10 * MIB);
            lifecycle::unblock(&mut hub, *id);
            flush(&mut hub);
            let rest = pipe.take();
            let close = b"\x88\x08\x03\xe8enough";
            let ends = rest.len() == message + 10 - begun + close.len() && rest.ends_with(close);
            assert!(ends, "{} bytes behind {begun}", rest.len());
            assert!(hub.clients.get(*id).unwrap().has_ended_writing());
        }
    }

    #[test]
    fn a_member_that_cannot_leave_with_the_rest_of_a_long_frame_gets_it_before_it_is_closed() {
        let mut config = Config::default();
        config.memory.max_backlog_bytes = 2 * MIB;
        let (mut hub, members) = room(config, 1);
        let (id, pipe) = &members[0];
        hub.broadcast("/room", &noise(4 * MIB)[..]);
        flush(&mut hub);
        hub.leave(*id);
        assert!(hub.pending.gone.is_empty(), "it is not lost");
        pipe.allow(10 * MIB);
        lifecycle::unblock(&mut hub, *id);
        flush(&mut hub);
        let written = pipe.take();
        assert!(written.len() > 4 * MIB && written.ends_with(b"too far behind"));
    }

    #[test]
    fn the_plain_log_is_empty_when_no_member_is_behind_in_the_shared_log() {
        let config = || Config { slow: Slow::Drop, ..Config::default() };
        let caught_up = |hub: &mut Hub, id, pipe: &Pipe| {
            pipe.allow(10 * MIB);
            lifecycle::unblock(hub, id);
            flush(hub);
        };
        let lost = |hub: &mut Hub, id, _: &Pipe| {
            lifecycle::lose(hub, id);
            lifecycle::remove(hub, id);
        };
        let ends: [fn(&mut Hub, ClientId, &Pipe); 2] = [caught_up, lost];
        for end in ends {
            let (mut hub, members) = room(config(), 2);
            let [(laggard, slow), (_, fast)] = &members[..] else { panic!() };
            fast.allow(10 * MIB);
            flood(&mut hub, 4 * MIB);
            assert!(hub.memory.backlog() > 4 * MIB);
            end(&mut hub, *laggard, slow);
            assert_eq!(hub.memory.backlog(), 0);
        }
    }

    #[test]
    fn the_counts_are_exact_after_every_step() {
        let (mut hub, members) = room(Config::default(), 4);
        flood(&mut hub, 3 * MIB);
        let unsent =
            |hub: &Hub| hub.clients.iter().map(|client| client.unsent.get()).sum::<usize>();
        for (id, _) in &members {
            hub.send(*id, "private");
            hub.leave(*id);
            assert_eq!(hub.memory.unsent.get(), unsent(&hub));
        }
        assert!(hub.memory.unsent.get() > 8 * MIB);
        let [(closed, _), (lost, _), ..] = members[..] else { panic!() };
        hub.close(closed, CloseCode::NORMAL, "");
        lifecycle::lose(&mut hub, lost);
        lifecycle::remove(&mut hub, lost);
        assert_eq!(hub.memory.unsent.get(), unsent(&hub));
        for (id, pipe) in &members[2..] {
            pipe.allow(100 * MIB);
            lifecycle::unblock(&mut hub, *id);
        }
        flush(&mut hub);
        lifecycle::remove(&mut hub, closed);
        assert_eq!(hub.memory.backlog(), 0);
    }
}
