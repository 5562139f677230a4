//! Members that are too far behind, and which part of their backlog members take along when they leave
//! a log.

use log::debug;

use crate::config::Slow;
use crate::protocol::CloseCode;
use crate::server::client::Retain;
use crate::server::client_id::ClientId;
use crate::server::departure::Cause;
use crate::server::hub::Hub;
use crate::server::room::Membership;
use crate::server::room::compressor::Encoding;

/// The longest rest of a frame in bytes that is copied for a member that leaves its room's log, in any
/// case, and if there is memory. Thousands may be in the middle of one frame. In tests, messages are
/// shorter.
const SHORT_REST_BYTES: u64 = if cfg!(any(test, fuzzing)) { 500 } else { 64 << 10 };
const MAX_REST_BYTES: u64 = if cfg!(any(test, fuzzing)) { 3_000 } else { 1 << 20 };

impl Hub {
    /// Treats a member that is too far behind as the configuration says.
    pub(crate) fn fall_behind(&mut self, id: ClientId) {
        let open = self.is_open(id);
        match self.config.slow {
            Slow::Drop if open => self.skip_messages(id),
            Slow::Pause if open => self.pause_room(id),
            _ => self.cut_off(id),
        }
    }

    /// Writes what the socket takes to a client that was sent more than the limits allow, and treats
    /// it as one that is too far behind if that does not help.
    #[cold]
    pub(crate) fn limit_unsent(&mut self, id: ClientId) {
        self.write_now(id);
        let max = self.config.memory.max_backlog_bytes;
        if self.clients.get(id).is_some_and(|client| client.private_bytes() > max) {
            self.fall_behind(id);
        }
        self.evict_until_within_limit();
    }

    /// Closes a member that is too far behind. A member that is closing already is dropped.
    fn cut_off(&mut self, id: ClientId) {
        if !self.is_open(id) {
            return self.lose(id);
        }
        self.skip_unbegun(id);
        let reason = "too far behind";
        self.close_because(id, CloseCode::TRY_AGAIN_LATER, reason, Cause::TooSlow);
    }

    /// Makes way for a close frame: writes what the socket takes, and if that is not everything, drops
    /// all but the frame that has begun.
    pub(crate) fn make_way(&mut self, id: ClientId) {
        self.write_now(id);
        if self.clients.get(id).is_some_and(|client| client.blocked.is_some()) {
            self.skip_unbegun(id);
        }
    }

    /// Drops everything for a client except what is half written. A short remainder becomes private; a
    /// long one stays in the log, of which there is one for all.
    pub(crate) fn skip_unbegun(&mut self, id: ClientId) {
        self.note_room(id);
        if self.may_copy_rest(id) {
            self.leave_room(id, Retain::UnfinishedFrame);
            return;
        }
        if let Some((client, log, memory)) = self.with_log(id) {
            client.skip_unbegun(log, memory);
        }
    }

    /// Makes a member miss the oldest messages, and go on with the newest that fit into half of its
    /// limit. One that shares a compression context loses its place in it, and goes on in the plain
    /// log.
    fn skip_messages(&mut self, id: ClientId) {
        if !self.may_copy_rest(id) {
            return self.cut_off(id);
        }
        let max_bytes = self.config.memory.max_backlog_bytes / 2;
        let mut skipped = self.go_plain(id);
        if let Some((client, log, memory)) = self.with_log(id) {
            skipped += client.skip_oldest(log, memory, max_bytes);
        }
        self.counts.skipped += skipped;
        debug!("{id} is too far behind and misses {skipped} messages");
    }

    /// Keeps in a room's plain log what members of its shared log go on with when they fall too far
    /// behind, if they miss messages then.
    pub(crate) fn keep_newest(&mut self, key: usize) {
        if self.config.slow == Slow::Drop
            && let Some(room) = self.rooms.get_mut(key)
        {
            room.logs
                .keep_newest(self.config.memory.max_backlog_bytes / 2, &mut self.memory.segments);
        }
    }

    /// Gives up the newest messages that a room keeps when the member that has just been written to
    /// was the last one to be behind.
    pub(crate) fn forget_newest(&mut self, membership: Option<Membership>) {
        if self.config.slow == Slow::Drop
            && let Some(room) = self.rooms.of_mut(membership)
        {
            room.logs.forget_newest(&mut self.memory.segments);
        }
    }

    /// Takes a member that reads the shared log to the plain one, to the oldest message that it has not
    /// received and that is kept there. Returns how many it misses.
    fn go_plain(&mut self, id: ClientId) -> u64 {
        let client = self.clients.get_mut(id).filter(|client| client.reads(Encoding::Shared));
        let Some(client) = client else { return 0 };
        let Some(room) = self.rooms.of_mut(client.membership) else { return 0 };
        let Some((shared, plain)) = room.logs.shared_and_plain() else { return 0 };
        let missed = client.go_plain(shared, plain, &mut self.memory);
        room.logs.forget_newest(&mut self.memory.segments);
        room.waiting += usize::from(client.waits());
        missed
    }

    /// Takes a member that has fallen too far behind out of the shared log, or closes it, as the
    /// configuration says.
    pub(crate) fn leave_backlog(&mut self, id: ClientId) {
        if self.config.slow == Slow::Drop {
            self.skip_messages(id);
        } else {
            self.cut_off(id);
        }
    }

    /// Whether a member may leave its log, and take along, as private bytes, what it has not received
    /// of it. If the limits do not cover that copy, the member misses messages or is closed, as the
    /// configuration says.
    pub(crate) fn may_leave_log(&mut self, id: ClientId) -> bool {
        self.leave_context(id);
        if self.is_open(id) && !self.covers_backlog(id) {
            self.leave_backlog(id);
        }
        // A member that is closed by this gets its last bytes from where they are.
        if self.is_open(id) && !self.covers_backlog(id) {
            self.cut_off(id);
        }
        self.is_open(id)
    }

    /// Takes a member that has not received everything of the shared log, and may miss messages, to the
    /// plain log. As private bytes it would take along frames that refer to one another, none of which
    /// it could miss.
    pub(crate) fn leave_context(&mut self, id: ClientId) {
        let may_miss = self.config.slow == Slow::Drop && self.shares_context(id);
        if !may_miss || self.unread_bytes(id) == 0 {
            return;
        }
        if self.may_copy_rest(id) {
            self.counts.skipped += self.go_plain(id);
        } else {
            self.cut_off(id);
        }
    }

    /// Whether the limits cover a copy of what a member has not received of its log, after its socket
    /// has taken what it can.
    pub(crate) fn covers_backlog(&mut self, id: ClientId) -> bool {
        if self.unread_bytes(id) > SHORT_REST_BYTES {
            self.write_now(id);
        }
        let Some(client) = self.clients.get(id) else { return false };
        let unread = usize::try_from(self.unread_bytes(id)).unwrap_or(usize::MAX);
        let own = unread.saturating_add(client.private_bytes());
        let all = unread.saturating_add(self.memory.backlog());
        let max = self.config.memory.max_backlog_bytes;
        let max_all = self.config.memory.max_total_backlog_bytes;
        unread == 0 || own <= max && all <= max_all
    }

    /// Whether a client may have a copy of what is half written to it: a short one always, a longer
    /// one while there is memory for it.
    pub(crate) fn may_copy_rest(&self, id: ClientId) -> bool {
        let rest = self.clients.get(id).map_or(0, |client| client.unfinished_size(self.log_of(id)));
        let free = self.config.memory.max_total_backlog_bytes.saturating_sub(self.memory.backlog());
        rest <= SHORT_REST_BYTES || rest <= MAX_REST_BYTES.min(free as u64)
    }

    /// How many bytes of its log a client has not received.
    fn unread_bytes(&self, id: ClientId) -> u64 {
        self.clients.get(id).map_or(0, |client| client.unread_bytes(self.log_of(id)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Config;
    use crate::protocol::noise;
    use crate::server::event_loop::reading::answer_close;
    use crate::server::room::TurnEnd;
    use crate::server::simulation::{Pipe, connect};

    const MIB: usize = 1 << 20;

    /// A hub, and members of one room that compress, share a context, and have received everything.
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

    fn flush(hub: &mut Hub) {
        while hub.is_dirty() {
            hub.flush(TurnEnd::Now);
        }
    }

    /// Sends bytes that do not compress, and lets every member take what it can.
    fn flood(hub: &mut Hub, bytes: usize) {
        for _ in 0..bytes / MIB {
            hub.broadcast("/room", &noise(MIB)[..]);
            flush(hub);
        }
    }

    #[test]
    fn a_context_stays_where_taking_it_would_copy_a_backlog() {
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
    fn members_that_do_not_hear_themselves_leave_the_context_only_with_what_the_limits_cover() {
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
    fn a_client_goes_to_another_room_only_with_a_backlog_that_the_limits_cover() {
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
    fn what_one_client_is_sent_is_limited_while_it_is_sent() {
        let (mut hub, members) = room(Config::default(), 1);
        let (id, _) = members[0];
        for _ in 0..100 {
            hub.send(id, &noise(MIB)[..]);
        }
        assert!(!hub.is_open(id));
        assert!(hub.memory.backlog() <= 34 * MIB, "{}", hub.memory.backlog());
    }

    #[test]
    fn a_close_frame_that_crosses_the_peers_outlives_the_messages_before_it() {
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
            hub.unblock(*id);
            flush(&mut hub);
            let (rest, close) = (pipe.take(), b"\x88\x08\x03\xe8enough");
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
        hub.unblock(*id);
        flush(&mut hub);
        let written = pipe.take();
        assert!(written.len() > 4 * MIB && written.ends_with(b"too far behind"));
    }

    #[test]
    fn nothing_is_kept_in_the_plain_log_when_nobody_is_behind_in_the_shared_one() {
        let config = || Config { slow: Slow::Drop, ..Config::default() };
        let caught_up = |hub: &mut Hub, id, pipe: &Pipe| {
            pipe.allow(10 * MIB);
            hub.unblock(id);
            flush(hub);
        };
        let lost = |hub: &mut Hub, id, _: &Pipe| {
            hub.lose(id);
            hub.remove(id);
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
    fn what_is_counted_is_what_is_there_after_every_step() {
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
        hub.lose(lost);
        hub.remove(lost);
        assert_eq!(hub.memory.unsent.get(), unsent(&hub));
        for (id, pipe) in &members[2..] {
            pipe.allow(100 * MIB);
            hub.unblock(*id);
        }
        flush(&mut hub);
        hub.remove(closed);
        assert_eq!(hub.memory.backlog(), 0);
    }
}
