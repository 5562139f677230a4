//! Many clients that connect and disconnect at once.

use std::time::Instant;

use crate::peer::{Peer, frame, request};
use crate::process::Program;
use crate::support::{Bounds, MIB, Siege, eventually};

#[test]
fn a_flood_of_resets_leaves_nothing_behind() {
    let siege = Siege::begin(&[]);
    let before = siege.program.sockets();
    for round in 0..2_000 {
        let peer = siege.connect();
        match round % 4 {
            // It ends without a byte.
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

/// All of them are in the first batch of events after the program was suspended. The system queues 128
/// connections.
#[test]
fn connections_that_ended_before_they_were_accepted_leave_nothing_behind() {
    let siege = Siege::begin(&[]);
    let before = siege.program.sockets();
    for _ in 0..20 {
        let mut stayed = siege.program.at_once(|| {
            for number in 0..100 {
                let peer = siege.ask("/");
                if number % 2 == 0 {
                    peer.send(&frame(0x81, b"nobody receives this"));
                }
            }
            (0..10).map(|_| siege.ask("/stay")).collect::<Vec<_>>()
        });
        stayed.iter_mut().for_each(Peer::receive_upgrade);
        drop(stayed);
        siege.program.wait_for_sockets(before);
    }
    siege.end(Bounds { memory: 16 * MIB, cpu: 10, time: 60 });
}

#[test]
fn a_flood_on_one_listener_does_not_lock_out_clients_of_another() {
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

/// The spare connections for refusals can be used up too.
#[test]
fn clients_of_a_full_server_get_503() {
    let program = Program::start(&["--max-connections", "1"]);
    let mut crowd: Vec<_> = (0..300).map(|_| Peer::connect(&program.address)).collect();
    let (status, reason) = crowd.pop().unwrap().receive_refusal();
    assert_eq!((status, &*reason), (503, "server full, try again later"));
    program.log_line("refused with 503: 257 connections are open");
}

/// Two members that are alone in their room, and receive their own text once and nothing else.
struct Pair {
    words: String,
    members: [Peer; 2],
}

impl Pair {
    fn ask(siege: &Siege, room: usize, words: &str) -> Self {
        let words = format!("{words} in {room}");
        Self { words, members: [(); 2].map(|()| siege.ask(&format!("/{room}"))) }
    }

    fn receive_upgrade(&mut self) {
        self.members.iter_mut().for_each(Peer::receive_upgrade);
    }

    fn send(&self) {
        self.members[0].send(&frame(0x81, self.words.as_bytes()));
    }

    fn receive(&mut self) {
        self.members.iter_mut().for_each(|member| assert_eq!(member.receive_text(), self.words));
    }

    /// The member with unread data leaves with a reset, the other with a close frame.
    fn leave(self) {
        let [one, other] = self.members;
        one.reset();
        other.send(&frame(0x88, b""));
    }
}

/// While the program is suspended, half of the pairs leave and others take their rooms, so that events for
/// the old and the new client of a slot arrive together.
#[test]
fn slots_are_reused_within_one_batch_of_events_without_mixing_up_messages() {
    const HALF: usize = 40;
    let siege = Siege::begin(&[]);
    let before = siege.program.sockets();
    let mut stay: Vec<_> = (0..HALF).map(|n| Pair::ask(&siege, n, "stay")).collect();
    stay.iter_mut().for_each(Pair::receive_upgrade);
    let mut come: Vec<Pair> = Vec::new();
    for round in 0..12 {
        come.iter().for_each(Pair::send);
        come.iter().for_each(|pair| pair.members[0].wait_for_something());
        siege.program.at_once(|| {
            stay.iter().for_each(Pair::send);
            for (n, pair) in come.drain(..).enumerate() {
                pair.leave();
                // A client that has already left again takes a slot too.
                drop(siege.ask(&format!("/visit/{n}")));
            }
            let rooms = HALF..2 * HALF;
            come.extend(rooms.map(|n| Pair::ask(&siege, n, &format!("come {round}"))));
        });
        stay.iter_mut().for_each(Pair::receive);
        come.iter_mut().for_each(Pair::receive_upgrade);
    }
    come.iter().for_each(Pair::send);
    come.iter_mut().for_each(Pair::receive);
    drop((stay, come));
    siege.program.wait_for_sockets(before);
    siege.end(Bounds { memory: 8 * MIB, cpu: 10, time: 60 });
}

/// If the program logged each refusal, it would fill its disk.
#[test]
fn a_flood_of_refusals_is_logged_in_a_few_lines() {
    const CROWD: usize = 200;
    let siege = Siege::begin(&[]);
    let begin = Instant::now();
    let ask = || {
        let peer = siege.connect();
        peer.send(b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n");
        peer
    };
    let mut crowd = siege.program.at_once(|| (0..CROWD).map(|_| ask()).collect::<Vec<_>>());
    crowd.iter_mut().for_each(|peer| assert_eq!(peer.receive_refusal().0, 501));
    let mut lines = Vec::new();
    // This needs no further request.
    eventually("it logs how many lines it dropped", || {
        lines.extend(siege.program.log_so_far());
        lines.iter().any(|line| line.contains("more lines like these were dropped"))
    });
    let logged = lines.iter().filter(|line| line.contains("refused with 501")).count();
    // Twenty per second, including the current one.
    let most = 20 * (2 + begin.elapsed().as_secs() as usize);
    assert!((1..=most).contains(&logged), "{logged} lines of at most {most}");
    siege.end(Bounds { memory: 8 * MIB, cpu: 10, time: 60 });
}
