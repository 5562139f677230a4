//! Many who come and go at once.

use std::time::Instant;

use crate::peer::{Peer, frame, request};
use crate::process::Program;
use crate::support::{Bounds, MIB, Siege, eventually};

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

#[test]
fn a_storm_on_one_address_does_not_shut_out_those_who_come_to_another() {
    let mut siege = Siege::begin(&["--listen", "127.0.0.1:0"]);
    let quiet = siege.program.next_address();
    let (crowd, peer) = siege.program.at_once(|| {
        let crowd: Vec<_> = (0..300).map(|_| siege.connect()).collect();
        (crowd, Peer::connect(&quiet))
    });
    let crowd: Vec<_> = crowd.iter().map(|peer| (peer, peer.address())).collect();
    let mut before = 0;
    loop {
        let line = siege.program.log_line("connected from");
        if line.ends_with(&peer.address()) {
            break;
        }
        before += usize::from(crowd.iter().any(|(_, address)| line.ends_with(address)));
    }
    assert!(before <= 2, "{before} of the crowd were served first");
    siege.end(Bounds { memory: 8 * MIB, cpu: 10, time: 60 });
}

/// There are places for refusals beside those for connections, and they can be used up too.
#[test]
fn those_who_come_when_every_place_is_taken_are_told_so() {
    let program = Program::start(&["--max-connections", "1"]);
    let mut crowd: Vec<_> = (0..300).map(|_| Peer::connect(&program.address)).collect();
    let (status, reason) = crowd.pop().unwrap().hear_refusal();
    assert_eq!((status, &*reason), (503, "server full, try again later"));
    program.log_line("refused with 503: 257 connections are open");
}

/// Two members who are alone in their room, and hear their own words once and no others.
struct Pair {
    words: String,
    members: [Peer; 2],
}

impl Pair {
    fn ask(siege: &Siege, room: usize, words: &str) -> Self {
        let words = format!("{words} in {room}");
        Self { words, members: [(); 2].map(|()| siege.ask(&format!("/{room}"))) }
    }

    fn hear_upgrade(&mut self) {
        self.members.iter_mut().for_each(Peer::hear_upgrade);
    }

    fn say(&self) {
        self.members[0].send(&frame(0x81, self.words.as_bytes()));
    }

    fn hear(&mut self) {
        self.members.iter_mut().for_each(|member| assert_eq!(member.hear_text(), self.words));
    }

    /// The one that has something unread leaves with a reset, the other with a close frame.
    fn leave(self) {
        let [one, other] = self.members;
        one.reset();
        other.send(&frame(0x88, b""));
    }
}

/// While the program stands still, half of the pairs leave and others take their rooms, so that
/// events for the old and the new ones of a place come together.
#[test]
fn places_are_used_again_within_one_batch_of_events_and_nobody_receives_the_words_of_others() {
    const HALF: usize = 40;
    let siege = Siege::begin(&[]);
    let before = siege.program.sockets();
    let mut stay: Vec<_> = (0..HALF).map(|n| Pair::ask(&siege, n, "stay")).collect();
    stay.iter_mut().for_each(Pair::hear_upgrade);
    let mut come: Vec<Pair> = Vec::new();
    for round in 0..12 {
        come.iter().for_each(Pair::say);
        come.iter().for_each(|pair| pair.members[0].wait_for_something());
        siege.program.at_once(|| {
            stay.iter().for_each(Pair::say);
            for (n, pair) in come.drain(..).enumerate() {
                pair.leave();
                // A visitor that is gone again takes a place too.
                drop(siege.ask(&format!("/visit/{n}")));
            }
            let rooms = HALF..2 * HALF;
            come.extend(rooms.map(|n| Pair::ask(&siege, n, &format!("come {round}"))));
        });
        stay.iter_mut().for_each(Pair::hear);
        come.iter_mut().for_each(Pair::hear_upgrade);
    }
    come.iter().for_each(Pair::say);
    come.iter_mut().for_each(Pair::hear);
    drop((stay, come));
    siege.program.wait_for_sockets(before);
    siege.end(Bounds { memory: 8 * MIB, cpu: 10, time: 60 });
}

/// A program that logged each of them would fill its disk.
#[test]
fn a_storm_of_refusals_is_logged_in_a_few_lines() {
    const CROWD: usize = 200;
    let siege = Siege::begin(&[]);
    let begin = Instant::now();
    let ask = || {
        let peer = siege.connect();
        peer.send(b"POST / HTTP/1.1\r\nHost: a\r\n\r\n");
        peer
    };
    let mut crowd = siege.program.at_once(|| (0..CROWD).map(|_| ask()).collect::<Vec<_>>());
    crowd.iter_mut().for_each(|peer| assert_eq!(peer.hear_refusal().0, 405));
    let mut lines = Vec::new();
    // No further request is needed for that.
    eventually("it logs how many lines it left out", || {
        lines.extend(siege.program.log_so_far());
        lines.iter().any(|line| line.contains("more lines like these were left out"))
    });
    let logged = lines.iter().filter(|line| line.contains("refused with 405")).count();
    // Twenty in each second that has begun.
    let most = 20 * (2 + begin.elapsed().as_secs() as usize);
    assert!((1..=most).contains(&logged), "{logged} lines of at most {most}");
    siege.end(Bounds { memory: 8 * MIB, cpu: 10, time: 60 });
}
