//! A suspended program, as in a paused container or on a sleeping laptop.

use std::thread;
use std::time::Duration;

use crate::peer::{Peer, frame};
use crate::process::Program;

/// Waits until each member is pinged. No connection may end before that.
fn receive_pings(crowd: &mut [Peer]) {
    crowd.iter_mut().for_each(|member| assert_eq!(member.receive(), (0x89, vec![])));
}

/// When the program resumes, the pongs are in its sockets, and their deadlines have passed long ago.
#[test]
fn members_that_answered_in_time_are_kept_after_a_freeze() {
    let flags = ["--ping-interval", "1s", "--pong-timeout", "4s"];
    let program = Program::start(&flags);
    let mut crowd: Vec<_> = (0..40).map(|_| Peer::join(&program.address, "/")).collect();
    for _ in 0..2 {
        receive_pings(&mut crowd);
        program.at_once(|| {
            crowd.iter().for_each(|member| member.send(&frame(0x8a, b"")));
            thread::sleep(Duration::from_secs(5));
        });
    }
    receive_pings(&mut crowd);
}
