//! No more file descriptors.

use std::thread;
use std::time::Duration;

use crate::peer::frame;
use crate::process::Program;
use crate::support::{Bounds, MIB, Siege};

#[test]
fn without_file_descriptors_it_goes_on_serving_and_does_not_spin() {
    let siege = Siege::of(Program::start_after("ulimit -n 32"));
    let mut crowd: Vec<_> = (0..50).map(|_| siege.connect()).collect();
    siege.program.log_line("nothing is accepted for 100ms: Too many open files");
    // It has a second to spin in.
    let before = siege.program.cpu();
    thread::sleep(Duration::from_secs(1));
    let spent = siege.program.cpu() - before;
    assert!(spent < Duration::from_millis(300), "{spent:?} of a second");
    let tries = siege.program.log_so_far().filter(|line| line.contains("nothing is accepted"));
    assert!(tries.count() < 100, "it tries ten times in a second");
    // Who waited is served when others have gone.
    let mut last = crowd.pop().unwrap();
    drop(crowd);
    last.send(b"GET /room HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(last.hear_refusal().0, 426);
    siege.end(Bounds { memory: 4 * MIB, cpu: 5, time: 20 });
}

/// Members hear each other while others are turned away again and again.
#[test]
fn without_file_descriptors_members_stay_and_others_come_when_they_go() {
    let siege = Siege::of(Program::start_after("ulimit -n 32"));
    for round in 0..10 {
        let mut crowd: Vec<_> = (0..40).map(|_| siege.ask("/crowd")).collect();
        siege.program.log_line("nothing is accepted for 100ms: Too many open files");
        // The first to ask are the first to come in.
        crowd[0].hear_upgrade();
        crowd[0].send(&frame(0x81, format!("here in {round}").as_bytes()));
        assert_eq!(crowd[0].hear_text(), format!("here in {round}"));
    }
    siege.end(Bounds { memory: 4 * MIB, cpu: 5, time: 30 });
}
