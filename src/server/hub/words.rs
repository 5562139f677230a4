//! The server's own words to clients that speak `townhall.v1`.

use std::time::Duration;

use crate::protocol::{CloseCode, WORD_MARK_REFUSED, Word};
use crate::server::client_id::ClientId;
use crate::server::hub::state::Hub;
use crate::server::room::history::{Entry, History};

/// Closes a client that has sent a message that could be taken for a word.
#[cold]
pub(crate) fn refuse(hub: &mut Hub, id: ClientId) {
    hub.close(id, CloseCode::POLICY_VIOLATION, WORD_MARK_REFUSED);
}

/// Greets a client that has entered a room with history. The greeting is the first that it receives from
/// the room.
pub(super) fn greet(hub: &mut Hub, id: ClientId, entry: &Entry) {
    let beat = hub.config.timeouts.ping_interval.map(whole_seconds);
    let word = Word::greeting(entry.position, entry.recovered, entry.replay, beat);
    hub.counts.recovered += u64::from(entry.recovered == Some(true));
    hub.counts.unrecovered += u64::from(entry.recovered == Some(false));
    let Some(client) = hub.clients.get_mut(id) else { return };
    if client.hears_words {
        client.greet(&mut hub.memory, |out| word.encode(out));
    }
    hub.pending.mark_dirty(client);
}

/// Says to a client where the end of its room's sequence is.
pub(crate) fn beat(hub: &mut Hub, id: ClientId) {
    if let Some(history) = history_of(hub, id) {
        say(hub, id, Word::Beat(history.position()));
    }
}

/// Says to a client where its own message is, which it does not receive.
pub(super) fn receipt(hub: &mut Hub, id: ClientId) {
    if let Some(history) = history_of(hub, id) {
        say(hub, id, Word::Published(history.position()));
    }
}

/// The sequence of the room of an open client that hears words. Nothing may follow a close frame.
pub(super) fn history_of(hub: &Hub, id: ClientId) -> Option<History> {
    let client = hub.clients.get_open(id).filter(|client| client.hears_words)?;
    hub.rooms.history_of(client.membership)
}

/// A duration in seconds, rounded up.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

fn say(hub: &mut Hub, id: ClientId, word: Word) {
    if let Some((client, at, memory)) = hub.recipient(id) {
        client.queue(at, memory, |out| word.encode(out));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, HistoryLimits, Slow};
    use crate::protocol::noise;
    use crate::server::hub::lifecycle;
    use crate::server::simulation::{connect, flush};

    const MIB: usize = 1 << 20;

    #[test]
    fn a_sender_that_its_own_message_closes_gets_no_receipt_after_the_close_frame() {
        let history = Some(HistoryLimits::default());
        let mut config = Config { slow: Slow::Drop, history, ..Config::default() };
        config.memory.max_backlog_bytes = 2 * MIB;
        let mut hub = Hub::new(config);
        let (id, pipe, _) = connect(&mut hub, "permessage-deflate");
        hub.clients.get_mut(id).unwrap().hears_words = true;
        hub.join(id, "/room");
        pipe.allow(MIB);
        hub.broadcast("/room", "hello");
        flush(&mut hub);
        // It cannot leave the shared log with the rest of this one.
        hub.broadcast("/room", &noise(4 * MIB)[..]);
        flush(&mut hub);
        hub.publish_to_others(id, "hello");
        assert!(!hub.is_open(id));
        pipe.allow(10 * MIB);
        lifecycle::unblock(&mut hub, id);
        flush(&mut hub);
        assert!(pipe.take().ends_with(b"too far behind"));
    }
}
