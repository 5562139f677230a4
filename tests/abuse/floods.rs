//! Rooms with so many messages that they could block others. The tests of the event loop check that a turn
//! ends before it has written to all members of such a room.

use crate::peer::frame;
use crate::support::{Bounds, KIB, MIB, Siege};

#[test]
fn a_room_with_many_busy_senders_costs_little_and_blocks_nobody() {
    const FLOODERS: usize = 40;
    let message = frame(0x82, &[1; 40 * KIB]);
    let siege = Siege::begin(&[]);
    let mut members: Vec<_> = (0..100).map(|_| siege.join("/loud")).collect();
    let flooders: Vec<_> = (0..FLOODERS).map(|_| siege.join("/loud")).collect();
    let mut quiet = siege.join("/quiet");
    siege.program.at_once(|| {
        flooders.iter().for_each(|flooder| flooder.send(&message));
        quiet.send(&frame(0x81, b"hello"));
    });
    assert_eq!(quiet.receive_text(), "hello");
    for member in &mut members {
        for _ in 0..FLOODERS {
            assert_eq!(member.receive(), (0x82, vec![1; 40 * KIB]));
        }
    }
    siege.end(Bounds { memory: 16 * MIB, cpu: 20, time: 60 });
}
