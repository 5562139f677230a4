//! Many who come and go at once.

use crate::peer::{Peer, frame, request};
use crate::support::{Bounds, MIB, Siege};

#[test]
fn a_storm_of_resets_leaves_nothing_behind() {
    let siege = Siege::begin(&[]);
    let before = siege.program.sockets();
    for round in 0..2_000 {
        let peer = siege.connect();
        match round % 4 {
            // It ends without a word.
            0 => {}
            1 => peer.send(&request("/").as_bytes()[..50]),
            // The unread 101 makes the end a reset.
            2 => {
                peer.send(request("/").as_bytes());
                peer.reset();
            }
            _ => {
                peer.send(&[request("/").as_bytes(), &frame(0x81, b"cut")[..5]].concat());
                peer.reset();
            }
        }
    }
    siege.program.wait_for_sockets(before);
    siege.end(Bounds { memory: 8 * MIB, cpu: 10, time: 60 });
}

/// All of them are in the first events that the program gets after it stood still. The system
/// lets 128 wait to be accepted.
#[test]
fn connections_that_came_and_went_unseen_leave_nothing_behind() {
    let siege = Siege::begin(&[]);
    let before = siege.program.sockets();
    for _ in 0..20 {
        let mut stayed = siege.program.at_once(|| {
            for number in 0..100 {
                let peer = siege.ask("/");
                if number % 2 == 0 {
                    peer.send(&frame(0x81, b"nobody hears this"));
                }
            }
            (0..10).map(|_| siege.ask("/stay")).collect::<Vec<_>>()
        });
        stayed.iter_mut().for_each(Peer::hear_upgrade);
        drop(stayed);
        siege.program.wait_for_sockets(before);
    }
    siege.end(Bounds { memory: 16 * MIB, cpu: 10, time: 60 });
}

/// A pair in its own room, which hears what is said there once, and nothing of the others.
struct Pair {
    room: String,
    members: [Peer; 2],
}

impl Pair {
    /// Asks to come in and says a message at once.
    fn ask(siege: &Siege, room: String) -> Self {
        let members = [siege.ask(&room), siege.ask(&room)];
        Self { room, members }
    }

    fn hear_upgrade(&mut self) {
        self.members.iter_mut().for_each(Peer::hear_upgrade);
    }

    fn say(&self) {
        self.members[0].send(&frame(0x81, self.room.as_bytes()));
    }

    fn hear(&mut self) {
        self.members.iter_mut().for_each(|member| assert_eq!(member.hear_text(), self.room));
    }

    /// The one that has something unread leaves with a reset, the other with a close frame.
    fn leave(self) {
        let [one, other] = self.members;
        one.reset();
        other.send(&frame(0x88, b""));
    }
}

/// Places of those who leave are taken by others while events for them are under way: while the
/// program stands still, half of the pairs talk, leave, and are replaced, and the rest talk.
#[test]
fn places_are_used_again_within_one_batch_of_events_and_nobody_hears_anothers_words() {
    const PAIRS: usize = 80;
    let siege = Siege::begin(&[]);
    let before = siege.program.sockets();
    let mut pairs: Vec<_> = (0..PAIRS).map(|n| Pair::ask(&siege, format!("/first/{n}"))).collect();
    pairs.iter_mut().for_each(Pair::hear_upgrade);
    for round in 0..10 {
        pairs.iter().for_each(Pair::say);
        pairs[..PAIRS / 2].iter().for_each(|pair| pair.members[0].wait_for_something());
        pairs[PAIRS / 2..].iter_mut().for_each(Pair::hear);
        siege.program.at_once(|| {
            for (n, pair) in pairs.drain(..PAIRS / 2).enumerate() {
                pair.say();
                pair.leave();
                // Some are replaced by nobody but a visitor that is gone again.
                drop(siege.ask(&format!("/visit/{round}/{n}")));
            }
            pairs.iter().for_each(Pair::say);
            let newcomers = (0..PAIRS / 2).map(|n| Pair::ask(&siege, format!("/{round}/{n}")));
            pairs.extend(newcomers);
        });
        let (stayed, came) = pairs.split_at_mut(PAIRS / 2);
        stayed.iter_mut().for_each(Pair::hear);
        came.iter_mut().for_each(Pair::hear_upgrade);
    }
    pairs.iter().for_each(Pair::say);
    pairs.iter_mut().for_each(Pair::hear);
    drop(pairs);
    siege.program.wait_for_sockets(before);
    siege.end(Bounds { memory: 8 * MIB, cpu: 10, time: 60 });
}
