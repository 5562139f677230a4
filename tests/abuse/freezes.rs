//! A program that stands still for a while, as in a paused container or a suspended laptop.

use std::thread;
use std::time::Duration;

use crate::peer::{Peer, frame};
use crate::process::Program;

/// Waits until each of them is pinged, whose connections must not end before.
fn hear_pings(crowd: &mut [Peer]) {
    crowd.iter_mut().for_each(|member| assert_eq!(member.hear(), (0x89, vec![])));
}

/// Their pongs lie in the program's sockets when it goes on, and it is long past their time.
#[test]
fn members_that_answered_in_time_are_kept_by_a_program_that_stood_still() {
    let flags = ["--ping-interval", "1s", "--pong-timeout", "4s"];
    let program = Program::start(&flags);
    let mut crowd: Vec<_> = (0..40).map(|_| Peer::join(&program.address, "/")).collect();
    for _ in 0..2 {
        hear_pings(&mut crowd);
        program.at_once(|| {
            crowd.iter().for_each(|member| member.send(&frame(0x8a, b"")));
            thread::sleep(Duration::from_secs(5));
        });
    }
    hear_pings(&mut crowd);
}
