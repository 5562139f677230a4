//! Many members that do not read.

use std::thread;
use std::time::{Duration, Instant};

use crate::peer::{Peer, frame};
use crate::support::{Bounds, KIB, MIB, Siege};

/// The close frame for a slow member.
const TOO_SLOW: &[u8] = b"\x03\xf5too far behind";

/// A message that begins with its number.
fn message(number: u32, size: usize) -> Vec<u8> {
    frame(0x82, &[&number.to_be_bytes()[..], &vec![b'x'; size]].concat())
}

/// The number of the next message, or the payload of the close frame.
fn receive_number(member: &mut Peer) -> Result<u32, Vec<u8>> {
    match member.receive() {
        (0x82, payload) => Ok(u32::from_be_bytes(*payload.first_chunk().unwrap())),
        (0x88, payload) => Err(payload),
        other => panic!("{other:?}"),
    }
}

/// Sends messages, which both members must receive, until this many other members have departed.
fn talk_until_gone(siege: &Siege, two: &mut [Peer; 2], size: usize, gone: usize) {
    let left = siege.program.sockets() - gone;
    for number in 0.. {
        two[0].send(&message(number, size));
        two.iter_mut().for_each(|member| assert_eq!(receive_number(member), Ok(number)));
        if siege.program.sockets() <= left {
            return;
        }
        assert!(number < 100_000, "they are kept forever");
    }
}

/// One log serves all of them.
#[test]
fn a_thousand_members_that_do_not_read_cost_one_backlog() {
    const CROWD: usize = 1_000;
    // Each member takes a file descriptor in this process too.
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let flags = ["--max-message-size", "65536", "--max-backlog-size", "1048576"];
    // The rests of partly written frames add up, but this test is not about them.
    let other = ["--max-total-backlog-size", "67108864", "--close-timeout", "1s"];
    let siege = Siege::begin(&[&flags[..], &other].concat());
    let mut two = [siege.join("/"), siege.join("/")];
    let _crowd: Vec<_> = (0..CROWD).map(|_| siege.join("/")).collect();
    talk_until_gone(&siege, &mut two, 16 * KIB, CROWD);
    (0..CROWD).for_each(|_| _ = siege.program.log_line("the peer fell too far behind"));
    siege.end(Bounds { memory: 32 * MIB, cpu: 20, time: 60 });
}

/// They still get what was on its way: complete messages, then the reason for the close.
#[test]
fn members_that_read_too_late_get_complete_messages_and_1013() {
    let flags = ["--max-message-size", "300000", "--max-backlog-size", "1048576"];
    let siege = Siege::begin(&flags);
    let mut sender = siege.join("/");
    let mut listener = siege.join("/");
    let mut late: Vec<_> = (0..20).map(|_| siege.join("/")).collect();
    for number in 0..100 {
        sender.send(&message(number, 256 * KIB));
        assert_eq!(receive_number(&mut sender), Ok(number));
        assert_eq!(receive_number(&mut listener), Ok(number));
    }
    for member in &mut late {
        let mut numbers = 0..100;
        let close = loop {
            match receive_number(member) {
                Ok(number) => assert_eq!(Some(number), numbers.next()),
                Err(close) => break close,
            }
        };
        assert_eq!(close, TOO_SLOW);
        member.send(&frame(0x88, b"\x03\xf5"));
        assert_eq!(member.receive_end(), b"");
    }
    siege.end(Bounds { memory: 32 * MIB, cpu: 20, time: 60 });
}

/// Each member is in the middle of a long frame, and must get the rest of it before the close frame.
#[test]
fn members_in_the_middle_of_a_long_frame_cost_no_copy_of_it_each() {
    const CROWD: usize = 50;
    let siege = Siege::begin(&["--close-timeout", "1s"]);
    let mut two = [siege.join("/"), siege.join("/")];
    let _crowd: Vec<_> = (0..CROWD).map(|_| siege.join("/")).collect();
    talk_until_gone(&siege, &mut two, 16_000 * KIB, CROWD);
    siege.end(Bounds { memory: 160 * MIB, cpu: 20, time: 60 });
}

/// The bytes in the send queues of a program's connections (proc(5), `/proc/net/tcp`).
fn send_queues(address: &str) -> usize {
    let port: u16 = address.rsplit(':').next().unwrap().parse().unwrap();
    let local = format!("0100007F:{port:04X}");
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let fields = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let queues = fields.filter(|fields| fields[1] == local).map(|fields| {
        let (sent, _) = fields[4].split_once(':').unwrap();
        usize::from_str_radix(sent, 16).unwrap()
    });
    queues.sum()
}

/// They hold positions in the log, not copies of it in the system's memory.
#[test]
fn members_that_do_not_read_fill_no_send_queues() {
    const CROWD: usize = 100;
    let siege = Siege::begin(&["--max-total-backlog-size", "41943040"]);
    let mut two = [siege.join("/"), siege.join("/")];
    let _crowd: Vec<_> = (0..CROWD).map(|_| siege.join("/")).collect();
    for number in 0..160 {
        two[0].send(&message(number, 64 * KIB));
        two.iter_mut().for_each(|member| assert_eq!(receive_number(member), Ok(number)));
    }
    let queues = send_queues(&siege.program.address);
    println!("{} KiB in each send queue", queues / CROWD / KIB);
    assert!(queues > 0, "the system shows them");
    assert!(queues <= CROWD * 512 * KIB, "{} KiB each", queues / CROWD / KIB);
    siege.end(Bounds { memory: 32 * MIB, cpu: 20, time: 60 });
}

/// Little data is ahead of a ping, and any progress counts as activity.
#[test]
fn a_slow_reader_is_kept_while_it_reads() {
    let silence = ["--ping-interval", "3s"];
    let write = ["--write-timeout", "3s"];
    let siege = Siege::begin(&[&silence[..], &write, &["--pong-timeout", "2s"]].concat());
    let mut sender = siege.join("/");
    let mut slow = siege.join("/");
    for number in 0..128 {
        sender.send(&message(number, 64 * KIB));
        assert_eq!(receive_number(&mut sender), Ok(number));
    }
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(8) {
        slow.take(20 * KIB);
        sender.send(&frame(0x8a, b""));
        thread::sleep(Duration::from_millis(100));
    }
    let left = siege.program.log_so_far().find(|line| line.contains("left:"));
    assert_eq!(left, None);
    siege.end(Bounds { memory: 16 * MIB, cpu: 20, time: 30 });
}
