//! Rooms in which so much is said that others could wait for their turn.

use crate::peer::frame;
use crate::support::{Bounds, KIB, MIB, Siege};

/// A turn of the event loop ends before a flooded room has heard everything, so that the next room
/// is read, and answered, meanwhile.
#[test]
fn a_flooded_room_does_not_hear_everything_before_another_is_answered() {
    const CROWD: usize = 100;
    let siege = Siege::begin(&[]);
    let members: Vec<_> = (0..CROWD).map(|_| siege.join("/loud")).collect();
    let flooders: Vec<_> = (0..40).map(|_| siege.join("/loud")).collect();
    let mut quiet = siege.join("/quiet");
    siege.program.at_once(|| {
        flooders.iter().for_each(|flooder| flooder.send(&frame(0x82, &[1; 40 * KIB])));
        quiet.send(&frame(0x81, b"hello"));
    });
    assert_eq!(quiet.hear_text(), "hello");
    let heard = members.iter().filter(|member| member.has_something()).count();
    assert!(heard < CROWD / 2, "{heard} of {CROWD} members have heard the flood");
    members.iter().for_each(|member| member.wait_for_something());
    siege.end(Bounds { memory: 16 * MIB, cpu: 20, time: 60 });
}
