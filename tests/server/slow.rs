//! Members that do not read, and the effect on others.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use townhall::{Cause, ClientId, Config, Event, Hub};

use crate::support::{Running, Seen, chat, config, frame, read_all};

/// A configuration without rate limits.
fn unhurried() -> Config {
    let mut config = config();
    config.rates.max_messages_per_second = u32::MAX;
    config.rates.max_bytes_per_second = u32::MAX;
    config
}

/// More than the system buffers for a peer that does not read.
const FLOOD: usize = 64 << 20;

#[test]
fn a_member_that_does_not_read_is_closed_and_the_others_miss_nothing() {
    let mut config = unhurried();
    config.memory.max_backlog_bytes = 16 << 20;
    let server = Running::start(config, chat);
    let mut stalled = server.raw("/");
    let deaf_id = server.opened();
    let mut sender = server.connect("/");
    let mut listener = server.connect("/");
    let text = "x".repeat(1 << 20);
    for _ in 0..FLOOD / text.len() {
        sender.send(&text);
        assert_eq!(sender.receive().len(), text.len());
        assert_eq!(listener.receive().len(), text.len());
    }
    let seen = std::iter::repeat_with(|| server.seen());
    let mut left = seen.filter_map(|seen| match seen {
        Seen::Close(id, departure) => Some((id, departure)),
        _ => None,
    });
    // The stalled member reads what was on its way: complete frames, then the close frame.
    let bytes = read_all(&mut stalled);
    assert!(bytes.ends_with(b"\x88\x10\x03\xf5too far behind"));
    assert_eq!(left.next().map(|(id, left)| (id, left.cause)), Some((deaf_id, Cause::TooSlow)));
    sender.send("still here");
    assert_eq!(listener.receive(), "still here");
}

#[test]
fn a_client_that_does_not_read_its_echo_is_closed_in_order() {
    let app = |hub: &mut Hub, client: ClientId, event: Event<'_>| {
        if let Event::Message(message) = event {
            hub.send(client, message);
        }
    };
    let mut config = unhurried();
    config.memory.max_backlog_bytes = 16 << 20;
    let server = Running::start(config, app);
    let mut greedy = server.raw("/");
    server.opened();
    let shout = [frame(0x82, &[1; 60_000]), frame(0x89, b"")].concat();
    (0..2_000).for_each(|_| greedy.write_all(&shout).unwrap());
    let bytes = read_all(&mut greedy);
    assert!(bytes.ends_with(b"\x88\x10\x03\xf5too far behind"));
}

#[test]
fn pings_between_messages_do_not_stall_the_others() {
    let server = Running::start(config(), chat);
    let mut stalled = server.raw("/stalled");
    let mut quiet = server.connect("/quiet");
    let flood = [frame(0x89, b""), frame(0x82, b"")].concat().repeat(5_000);
    thread::scope(|scope| {
        let flooding = scope.spawn(move || {
            stalled.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
            (0..100).take_while(|_| stalled.write_all(&flood).is_ok()).count()
        });
        let mut slowest = Duration::ZERO;
        while !flooding.is_finished() {
            let begin = Instant::now();
            quiet.send("hello");
            assert_eq!(quiet.receive(), "hello");
            slowest = slowest.max(begin.elapsed());
        }
        assert!(slowest < Duration::from_secs(10), "an answer took {slowest:?}");
    });
}

#[test]
fn a_peer_that_pings_and_does_not_read_gets_only_the_latest_pong() {
    let server = Running::start(config(), chat);
    let mut pinger = server.raw("/");
    let block = "x".repeat(60_000);
    // The room's messages fill the socket, then the pings arrive.
    let mut sender = server.connect("/");
    for _ in 0..256 {
        sender.send(&block);
        sender.receive();
    }
    for number in 0..10_000u32 {
        pinger.write_all(&frame(0x89, &number.to_be_bytes())).unwrap();
    }
    pinger.write_all(&frame(0x88, b"\x03\xe8")).unwrap();
    let mut bytes = Vec::new();
    pinger.read_to_end(&mut bytes).unwrap();
    let pongs = bytes.windows(2).filter(|pair| *pair == [0x8a, 4]).count();
    assert!(pongs < 5_000, "{pongs} pongs");
    assert!(bytes.ends_with(b"\x88\x02\x03\xe8"));
}

#[test]
fn a_reader_of_single_bytes_gets_every_frame_whole() {
    let server = Running::start(config(), |hub, client, event| match event {
        Event::Open { room, .. } => _ = hub.join(client, room),
        Event::Message(message) => {
            hub.publish(client, message);
            hub.send(client, "private");
        }
        _ => {}
    });
    let mut sender = server.connect("/");
    let mut slow = server.connect("/");
    for round in 0..200 {
        slow.send(&format!("{round}{}", "y".repeat(50_000)));
    }
    for round in 0..200 {
        assert!(sender.receive().starts_with(&format!("{round}y")));
        assert!(slow.receive().starts_with(&format!("{round}y")));
        assert_eq!(slow.receive(), "private");
    }
}

/// The first two bytes and the payload length of each frame until the end.
fn frames(mut bytes: &[u8]) -> Vec<([u8; 2], usize)> {
    let mut frames = Vec::new();
    while let [first, second, rest @ ..] = bytes {
        let (length, size) = match second {
            126 => (u16::from_be_bytes(*rest.first_chunk().unwrap()).into(), 2),
            127 => (u64::from_be_bytes(*rest.first_chunk().unwrap()) as usize, 8),
            short => (usize::from(*short), 0),
        };
        frames.push(([*first, *second], length));
        bytes = &rest[size + length..];
    }
    frames
}

/// What a member receives if it is 24 MiB behind when it sends `bytes`.
fn received_far_behind(bytes: &[u8]) -> Vec<([u8; 2], usize)> {
    let server = Running::start(unhurried(), chat);
    let mut slow = server.raw("/");
    let mut sender = server.connect("/");
    let text = "x".repeat(1 << 20);
    for _ in 0..24 {
        sender.send(&text);
        sender.receive();
    }
    slow.write_all(bytes).unwrap();
    // A peer that broke the protocol ends its side.
    slow.shutdown(Shutdown::Write).unwrap();
    frames(&read_all(&mut slow))
}

/// "It SHOULD do so as soon as practical" (RFC 6455, section 5.5.1). A violation is answered as soon.
#[test]
fn a_close_frame_is_answered_after_the_current_frame_and_before_the_backlog() {
    for (sent, answer) in [(frame(0x88, b"\x03\xe8"), 2), (vec![0x81, 0], 18)] {
        let frames = received_far_behind(&sent);
        let (last, messages) = frames.split_last().unwrap();
        assert_eq!(*last, ([0x88, answer], answer.into()));
        assert!(messages.len() < 19, "{} messages came before the answer", messages.len());
        assert!(messages.iter().all(|frame| *frame == ([0x81, 127], 1 << 20)));
    }
}
