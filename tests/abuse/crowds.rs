//! Crowds that have gone, and the memory that they needed.

use crate::peer::{Peer, frame, request_with};
use crate::process::Program;
use crate::support::{KIB, MIB, eventually};

/// What may be kept of a crowd: places for those who are there, and what an allocator is slow to give
/// back. What the crowds below need is many times as much.
const KEPT: usize = 4 * MIB;

/// Waits until the program has little more memory than it had.
fn wait_for_memory(program: &Program, before: u64) {
    let most = before + KEPT as u64;
    eventually(&format!("{} KiB", most >> 10), || program.memory() <= most);
}

/// One that is in the room `path`, and is answered in compressed messages.
fn join_compressed(program: &Program, path: &str) -> Peer {
    let mut peer = Peer::connect(&program.address);
    let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    peer.send(request_with(path, offer).as_bytes());
    peer.hear_upgrade();
    peer
}

fn say_and_hear(peer: &mut Peer) {
    peer.send(&frame(0x81, &[b'x'; 100]));
    assert!(!peer.hear().1.is_empty());
}

/// Each of the first ones has a compressor of its own. Those who stay are the last of each crowd, so
/// that what they need lies behind what the others needed.
#[test]
fn what_a_crowd_needed_is_given_back_when_it_has_gone() {
    const CROWD: usize = 400;
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let program = Program::start(&[]);
    say_and_hear(&mut join_compressed(&program, "/first"));
    let before = program.memory();
    let mut staying = Vec::new();
    for round in 0..3 {
        let join = |n| join_compressed(&program, &format!("/{round}-{n}"));
        let mut crowd: Vec<_> = (0..CROWD).map(join).collect();
        crowd.iter_mut().for_each(say_and_hear);
        assert!(program.memory() > before + 2 * KEPT as u64, "it needs more than may be kept");
        staying.extend(crowd.split_off(CROWD - 5));
        crowd.iter().for_each(|peer| peer.send(&frame(0x88, b"")));
        crowd.iter_mut().for_each(|peer| _ = peer.hear_end());
        wait_for_memory(&program, before);
    }
    staying.iter_mut().for_each(say_and_hear);
}

/// Others come while the log grows, so that what they need lies between its segments.
#[test]
fn what_was_kept_for_a_laggard_is_given_back_when_it_has_gone() {
    for size in [20 * KIB, 200 * KIB] {
        let program = Program::start(&[]);
        let mut talker = Peer::join(&program.address, "/");
        say_and_hear(&mut talker);
        let before = program.memory();
        let laggard = Peer::join(&program.address, "/");
        let mut staying = Vec::new();
        for number in 0..24 * MIB / size {
            talker.send(&frame(0x82, &vec![b'x'; size]));
            assert_eq!(talker.hear().1.len(), size);
            if number % 8 == 0 {
                let mut peer = Peer::join(&program.address, &format!("/{number}"));
                say_and_hear(&mut peer);
                staying.push(peer);
            }
        }
        assert!(program.memory() > before + 2 * KEPT as u64, "it is kept");
        drop(laggard);
        wait_for_memory(&program, before);
        staying.iter_mut().for_each(say_and_hear);
    }
}
