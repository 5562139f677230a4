//! Crowds that do not read.

use crate::peer::{Peer, frame};
use crate::support::{Bounds, KIB, MIB, Siege};

/// What a member that is closed for being slow gets last.
const TOO_SLOW: &[u8] = b"\x03\xf5you are too far behind";

/// A message that begins with its number.
fn message(number: u32, size: usize) -> Vec<u8> {
    frame(0x82, &[&number.to_be_bytes()[..], &vec![b'x'; size]].concat())
}

/// The number of the next message, or what the close frame says.
fn hear_number(member: &mut Peer) -> Result<u32, Vec<u8>> {
    match member.hear() {
        (0x82, payload) => Ok(u32::from_be_bytes(*payload.first_chunk().unwrap())),
        (0x88, payload) => Err(payload),
        other => panic!("{other:?}"),
    }
}

/// Says messages, which the two must hear, until so many others are gone.
fn talk_until_gone(siege: &Siege, two: &mut [Peer; 2], size: usize, gone: usize) {
    let left = siege.program.sockets() - gone;
    for number in 0.. {
        two[0].send(&message(number, size));
        two.iter_mut().for_each(|member| assert_eq!(hear_number(member), Ok(number)));
        if siege.program.sockets() <= left {
            return;
        }
        assert!(number < 100_000, "they are kept for ever");
    }
}

/// The log is kept once for all of them.
#[test]
fn a_thousand_members_that_do_not_read_cost_one_backlog() {
    const CROWD: usize = 1_000;
    // Each takes a file descriptor here too.
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let flags = ["--max-message-bytes", "65536", "--max-backlog-bytes", "1048576"];
    // What each has half of adds up, and is not what is asked about here.
    let other = ["--max-total-backlog-bytes", "67108864", "--close-timeout-seconds", "1"];
    let siege = Siege::begin(&[&flags[..], &other].concat());
    let mut two = [siege.join("/"), siege.join("/")];
    let _crowd: Vec<_> = (0..CROWD).map(|_| siege.join("/")).collect();
    talk_until_gone(&siege, &mut two, 16 * KIB, CROWD);
    (0..CROWD).for_each(|_| _ = siege.program.log_line("the peer fell too far behind"));
    siege.end(Bounds { memory: 32 * MIB, cpu: 20, time: 60 });
}

/// What was on its way they still get: whole messages, each of them, and why there are no more.
#[test]
fn members_that_read_too_late_get_whole_messages_and_1013() {
    let flags = ["--max-message-bytes", "300000", "--max-backlog-bytes", "1048576"];
    let siege = Siege::begin(&flags);
    let (mut talker, mut listener) = (siege.join("/"), siege.join("/"));
    let mut late: Vec<_> = (0..20).map(|_| siege.join("/")).collect();
    for number in 0..100 {
        talker.send(&message(number, 256 * KIB));
        assert_eq!(hear_number(&mut talker), Ok(number));
        assert_eq!(hear_number(&mut listener), Ok(number));
    }
    for member in &mut late {
        let mut numbers = 0..100;
        let close = loop {
            match hear_number(member) {
                Ok(number) => assert_eq!(Some(number), numbers.next()),
                Err(close) => break close,
            }
        };
        assert_eq!(close, TOO_SLOW);
        member.send(&frame(0x88, b"\x03\xf5"));
        assert_eq!(member.hear_end(), b"");
    }
    siege.end(Bounds { memory: 32 * MIB, cpu: 20, time: 60 });
}

/// Each of them stands in the middle of a long frame, whose rest it must get before the close
/// frame.
#[test]
fn members_in_the_middle_of_a_long_frame_cost_no_copy_of_it_each() {
    const CROWD: usize = 50;
    let siege = Siege::begin(&["--close-timeout-seconds", "1"]);
    let mut two = [siege.join("/"), siege.join("/")];
    let _crowd: Vec<_> = (0..CROWD).map(|_| siege.join("/")).collect();
    talk_until_gone(&siege, &mut two, 16_000 * KIB, CROWD);
    siege.end(Bounds { memory: 160 * MIB, cpu: 20, time: 60 });
}
