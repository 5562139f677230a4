//! Running out of file descriptors.

use std::thread;
use std::time::{Duration, Instant};

use crate::peer::{Peer, frame};
use crate::process::Program;
use crate::support::{Bounds, MIB, Siege};

/// The program may use a part of each second, but must not spin.
fn assert_idle(siege: &Siege) {
    let before = siege.program.cpu();
    thread::sleep(Duration::from_secs(1));
    let spent = siege.program.cpu() - before;
    assert!(spent < Duration::from_millis(300), "{spent:?} of a second");
}

#[test]
fn without_file_descriptors_new_clients_get_503_and_the_server_does_not_spin() {
    let siege = Siege::of(Program::start_after("ulimit -n 32"));
    let sockets = siege.program.sockets();
    // Their requests arrive before they are refused.
    let mut crowd = siege.program.at_once(|| (0..50).map(|_| siege.ask("/")).collect::<Vec<_>>());
    crowd[0].receive_upgrade();
    let turned_away = crowd.split_off(32);
    for mut peer in turned_away {
        let head = peer.receive_head();
        assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("\r\nRetry-After: "), "{head}");
        assert_eq!(peer.receive_end(), b"server full, try again later\n");
    }
    siege.program.log_line("refused with 503: out of file descriptors");
    assert_idle(&siege);
    siege.program.signal("HUP");
    let counts = siege.program.log_line("connections, ");
    assert!(counts.contains(" refused with 503"), "{counts}");
    // New clients are served after others have left.
    drop(crowd);
    siege.program.wait_for_sockets(sockets);
    let mut next = siege.connect();
    next.send(b"GET /room HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(next.receive_refusal().0, 426);
    siege.end(Bounds { memory: 4 * MIB, cpu: 5, time: 30 });
}

/// Members exchange messages while other clients are refused again and again.
#[test]
fn without_file_descriptors_members_stay_and_others_join_when_they_leave() {
    let siege = Siege::of(Program::start_after("ulimit -n 32"));
    let sockets = siege.program.sockets();
    for round in 0..10 {
        let mut crowd: Vec<_> = (0..40).map(|_| siege.ask("/crowd")).collect();
        // Clients are served in order.
        crowd[0].receive_upgrade();
        crowd[0].send(&frame(0x81, format!("here in {round}").as_bytes()));
        assert_eq!(crowd[0].receive_text(), format!("here in {round}"));
        assert!(crowd[39].receive_head().starts_with("HTTP/1.1 503 "));
        drop(crowd);
        siege.program.wait_for_sockets(sockets);
    }
    siege.end(Bounds { memory: 4 * MIB, cpu: 5, time: 30 });
}

/// The spare descriptor does not help if the limit is below the number of open descriptors.
#[test]
fn clients_that_cannot_even_get_503_wait_and_the_server_does_not_spin() {
    let siege = Siege::begin(&[]);
    siege.program.limit_descriptors(5);
    let mut waiting: Vec<_> = (0..20).map(|_| siege.ask("/waiting")).collect();
    let begin = Instant::now();
    siege.program.log_line("accepting paused for 100ms: Too many open files");
    assert_idle(&siege);
    let tries = siege.program.log_so_far().filter(|line| line.contains("accepting paused"));
    let tries = tries.count() as f32;
    let seconds = begin.elapsed().as_secs_f32();
    assert!(tries < 20.0 * (1.0 + seconds), "it tried {tries} times in {seconds} s");
    siege.program.limit_descriptors(1_000);
    waiting.iter_mut().for_each(Peer::receive_upgrade);
    siege.end(Bounds { memory: 4 * MIB, cpu: 5, time: 30 });
}
