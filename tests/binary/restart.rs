//! A program that takes the place of another.

use tungstenite::protocol::Message;

use super::{Program, connect, receive, send};

#[test]
fn the_next_program_starts_while_the_last_one_still_has_clients() {
    let patient = ["--shutdown-timeout", "15min", "--close-timeout", "15min"];
    let (mut last, address) = Program::start(&patient);
    let mut old = connect(&address, "/");
    last.signal("TERM");
    let Message::Close(Some(frame)) = old.read().unwrap() else { panic!("no close") };
    assert_eq!(u16::from(frame.code), 1001);
    let next = super::townhall(&["--listen", &address]);
    let (_next, same) = Program::start_with(next);
    assert_eq!(same, address);
    let mut new = connect(&address, "/");
    send(&mut new, "hello");
    assert_eq!(receive(&mut new), "hello");
    assert!(last.child.try_wait().unwrap().is_none(), "the last program still waits");
    while old.read().is_ok() {}
    assert_eq!(last.wait().0, Some(0));
}
