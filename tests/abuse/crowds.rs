//! The memory of many clients that have left.

use crate::peer::{Peer, frame, request_with};
use crate::process::Program;
use crate::support::{KIB, MIB, eventually};

/// The memory that may remain: slots of clients, and what the allocator keeps. The clients below need many
/// times as much.
const KEPT: usize = 4 * MIB;

/// Waits until the program's memory is nearly down to what it was.
fn wait_for_memory(program: &Program, before: u64) {
    let most = before + KEPT as u64;
    eventually(&format!("{} KiB", most >> 10), || program.memory() <= most);
}

/// A member of the room `path` that receives compressed messages.
fn join_compressed(program: &Program, path: &str) -> Peer {
    let mut peer = Peer::connect(&program.address);
    let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    peer.send(request_with(path, offer).as_bytes());
    peer.receive_upgrade();
    peer
}

fn send_and_receive(peer: &mut Peer) {
    peer.send(&frame(0x81, &[b'x'; 100]));
    assert!(!peer.receive().1.is_empty());
}

/// Each of the first clients has its own compressor. The last ones of each crowd stay, so their memory lies
/// after that of the others in the heap.
#[test]
fn the_memory_of_a_crowd_is_given_back_after_it_leaves() {
    const CROWD: usize = 400;
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let program = Program::start(&[]);
    send_and_receive(&mut join_compressed(&program, "/first"));
    let before = program.memory();
    let mut staying = Vec::new();
    for round in 0..3 {
        let join = |n| join_compressed(&program, &format!("/{round}-{n}"));
        let mut crowd: Vec<_> = (0..CROWD).map(join).collect();
        crowd.iter_mut().for_each(send_and_receive);
        assert!(program.memory() > before + 2 * KEPT as u64, "it needs more than may be kept");
        staying.extend(crowd.split_off(CROWD - 5));
        crowd.iter().for_each(|peer| peer.send(&frame(0x88, b"")));
        crowd.iter_mut().for_each(|peer| _ = peer.receive_end());
        wait_for_memory(&program, before);
    }
    staying.iter_mut().for_each(send_and_receive);
}

/// Clients join while the log grows, so their memory lies between its segments.
#[test]
fn the_backlog_of_a_slow_member_is_given_back_after_it_leaves() {
    for size in [20 * KIB, 200 * KIB] {
        let program = Program::start(&[]);
        let mut sender = Peer::join(&program.address, "/");
        send_and_receive(&mut sender);
        let before = program.memory();
        let laggard = Peer::join(&program.address, "/");
        let mut staying = Vec::new();
        for number in 0..24 * MIB / size {
            sender.send(&frame(0x82, &vec![b'x'; size]));
            assert_eq!(sender.receive().1.len(), size);
            if number % 8 == 0 {
                let mut peer = Peer::join(&program.address, &format!("/{number}"));
                send_and_receive(&mut peer);
                staying.push(peer);
            }
        }
        assert!(program.memory() > before + 2 * KEPT as u64, "it is kept");
        drop(laggard);
        wait_for_memory(&program, before);
        staying.iter_mut().for_each(send_and_receive);
    }
}
