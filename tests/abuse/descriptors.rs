//! No more file descriptors.

use std::thread;
use std::time::{Duration, Instant};

use crate::peer::{Peer, frame};
use crate::process::Program;
use crate::support::{Bounds, MIB, Siege};

/// The program under attack may spend a part of a second, but not all of it.
fn assert_idle(siege: &Siege) {
    let before = siege.program.cpu();
    thread::sleep(Duration::from_secs(1));
    let spent = siege.program.cpu() - before;
    assert!(spent < Duration::from_millis(300), "{spent:?} of a second");
}

#[test]
fn without_file_descriptors_those_who_come_are_told_so_and_it_does_not_spin() {
    let siege = Siege::of(Program::start_after("ulimit -n 32"));
    let sockets = siege.program.sockets();
    // Their requests have arrived before they are turned away.
    let mut crowd = siege.program.at_once(|| (0..50).map(|_| siege.ask("/")).collect::<Vec<_>>());
    crowd[0].hear_upgrade();
    let turned_away = crowd.split_off(32);
    for mut peer in turned_away {
        let head = peer.hear_head();
        assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("\r\nRetry-After: "), "{head}");
        assert_eq!(peer.hear_end(), b"server full, try again later\n");
    }
    siege.program.log_line("refused with 503: out of file descriptors");
    assert_idle(&siege);
    siege.program.signal("HUP");
    let counts = siege.program.log_line("connections, ");
    assert!(counts.contains(" refused with 503"), "{counts}");
    // The next ones are served when others have gone.
    drop(crowd);
    siege.program.wait_for_sockets(sockets);
    let mut next = siege.connect();
    next.send(b"GET /room HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(next.hear_refusal().0, 426);
    siege.end(Bounds { memory: 4 * MIB, cpu: 5, time: 30 });
}

/// Members hear each other while others are turned away again and again.
#[test]
fn without_file_descriptors_members_stay_and_others_come_when_they_go() {
    let siege = Siege::of(Program::start_after("ulimit -n 32"));
    let sockets = siege.program.sockets();
    for round in 0..10 {
        let mut crowd: Vec<_> = (0..40).map(|_| siege.ask("/crowd")).collect();
        // The first to ask are the first to come in.
        crowd[0].hear_upgrade();
        crowd[0].send(&frame(0x81, format!("here in {round}").as_bytes()));
        assert_eq!(crowd[0].hear_text(), format!("here in {round}"));
        assert!(crowd[39].hear_head().starts_with("HTTP/1.1 503 "));
        drop(crowd);
        siege.program.wait_for_sockets(sockets);
    }
    siege.end(Bounds { memory: 4 * MIB, cpu: 5, time: 30 });
}

/// The descriptor that is kept for them helps nobody where the limit is below all that are open.
#[test]
fn those_who_cannot_even_be_turned_away_wait_and_it_does_not_spin() {
    let siege = Siege::begin(&[]);
    siege.program.limit_descriptors(5);
    let mut waiting: Vec<_> = (0..20).map(|_| siege.ask("/waiting")).collect();
    let begin = Instant::now();
    siege.program.log_line("accepting paused for 100ms: Too many open files");
    assert_idle(&siege);
    let tries = siege.program.log_so_far().filter(|line| line.contains("accepting paused"));
    let (tries, seconds) = (tries.count() as f32, begin.elapsed().as_secs_f32());
    assert!(tries < 20.0 * (1.0 + seconds), "it tried {tries} times in {seconds} s");
    siege.program.limit_descriptors(1_000);
    waiting.iter_mut().for_each(Peer::hear_upgrade);
    siege.end(Bounds { memory: 4 * MIB, cpu: 5, time: 30 });
}
