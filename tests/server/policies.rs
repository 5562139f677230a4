//! What becomes of slow members where they are not closed.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use townhall::{Config, Slow};

use crate::support::{PATIENCE, Running, config, counting_chat, frame, get};

/// The length of a numbered message.
const LENGTH: usize = 60_000;

/// More messages than the system keeps for one that does not read.
const MANY: u32 = 400;

fn with(slow: Slow) -> Config {
    let mut config = config();
    config.slow = slow;
    config.memory.max_backlog_bytes = 1 << 20;
    config.limits.max_message_bytes = 1 << 20;
    config.rates.max_messages_per_second = u32::MAX;
    config.rates.max_bytes_per_second = u32::MAX;
    config
}

fn numbered(number: u32) -> Vec<u8> {
    let mut payload = vec![0; LENGTH];
    payload[..4].copy_from_slice(&number.to_be_bytes());
    frame(0x82, &payload)
}

/// The next frame: its first byte and its payload.
fn read_frame(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    let mut length = usize::from(head[1]);
    if length == 126 {
        let mut long = [0; 2];
        stream.read_exact(&mut long).unwrap();
        length = u16::from_be_bytes(long).into();
    }
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).unwrap();
    (head[0], payload)
}

/// The number in the next frame, which must be a numbered message.
fn read_number(stream: &mut TcpStream) -> u32 {
    let (first, payload) = read_frame(stream);
    assert_eq!((first, payload.len()), (0x82, LENGTH));
    u32::from_be_bytes(*payload.first_chunk().unwrap())
}

#[test]
fn who_may_miss_messages_goes_on_with_the_newest_and_keeps_its_pongs() {
    let server = Running::start(with(Slow::Drop), counting_chat);
    let (mut slow, mut talker) = (server.raw("/"), server.raw("/"));
    for number in 0..MANY {
        talker.write_all(&numbered(number)).unwrap();
        assert_eq!(read_number(&mut talker), number);
        if number == MANY / 2 {
            slow.write_all(&frame(0x89, b"still there?")).unwrap();
        }
    }
    let (mut heard, mut pongs) = (Vec::new(), 0);
    while heard.last() != Some(&MANY) || pongs == 0 {
        match read_frame(&mut slow) {
            (0x8a, payload) => {
                assert_eq!(payload, b"still there?");
                pongs += 1;
            }
            (_, payload) => heard.push(u32::from_be_bytes(*payload.first_chunk().unwrap())),
        }
        if heard == [0] {
            // It has begun to read: what is said from now on reaches it.
            talker.write_all(&numbered(MANY)).unwrap();
        }
    }
    assert!(heard.is_sorted() && heard.len() < MANY as usize / 2, "{heard:?}");
    let counts = get(&server, "/counts");
    let skipped = MANY as usize + 1 - heard.len();
    assert!(counts.contains(&format!(" {skipped} messages skipped")), "{skipped}: {counts}");
}

#[test]
fn where_a_room_waits_nobody_misses_anything() {
    let server = Running::start(with(Slow::Pause), counting_chat);
    let (mut slow, mut talker) = (server.raw("/"), server.raw("/"));
    let mut elsewhere = server.connect("/elsewhere");
    let mut ears = talker.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            (0..MANY).for_each(|number| talker.write_all(&numbered(number)).unwrap());
        });
        scope
            .spawn(move || (0..MANY).for_each(|number| assert_eq!(read_number(&mut ears), number)));
        let deadline = Instant::now() + PATIENCE;
        while get(&server, "/counts").contains(" 0 paused") {
            assert!(Instant::now() < deadline, "the room does not wait");
            elsewhere.say("not my room");
            assert_eq!(elsewhere.hear(), "not my room");
        }
        (0..MANY).for_each(|number| assert_eq!(read_number(&mut slow), number));
    });
}

#[test]
fn a_room_does_not_wait_for_ever() {
    let mut config = with(Slow::Pause);
    config.timeouts.write = Some(Duration::from_secs(1));
    let server = Running::start(config, counting_chat);
    let (_deaf, mut talker) = (server.raw("/"), server.raw("/"));
    let mut ears = talker.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            (0..MANY).for_each(|number| talker.write_all(&numbered(number)).unwrap());
        });
        (0..MANY).for_each(|number| assert_eq!(read_number(&mut ears), number));
    });
    let counts = get(&server, "/counts");
    assert!(counts.contains(" 1 left (stalled)") && !counts.contains(" 0 paused"), "{counts}");
}

#[test]
fn a_member_that_lagged_in_a_burst_hears_the_end_of_it() {
    let server = Running::start(with(Slow::Drop), counting_chat);
    let (mut slow, mut talker) = (server.raw("/"), server.raw("/"));
    let mut said = 0;
    // The burst ends just when the member misses something.
    while get(&server, "/counts").contains(" 0 messages skipped") {
        assert!(said < MANY, "nothing is missed");
        talker.write_all(&numbered(said)).unwrap();
        assert_eq!(read_number(&mut talker), said);
        said += 1;
    }
    let mut heard = vec![read_number(&mut slow)];
    while heard.last() != Some(&(said - 1)) {
        heard.push(read_number(&mut slow));
    }
    assert!(heard.is_sorted() && heard.len() < said as usize, "{heard:?}");
    // Half of the limit holds eight.
    assert!(heard[heard.len() - 8..].iter().copied().eq(said - 8..said), "{heard:?}");
}
