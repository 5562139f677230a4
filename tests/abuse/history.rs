//! History that is to take too much memory, and clients that ask for it again and again.

use crate::peer::{Peer, frame, request_with};
use crate::support::{Bounds, KIB, MIB, Siege, eventually};

/// Enough for everything that a test publishes.
const FAST: [&str; 4] =
    ["--max-messages-per-second", "1000000", "--max-bytes-per-second", "4000000000"];

fn post(path: &str, size: usize) -> Vec<u8> {
    let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n");
    [head.as_bytes(), &vec![b'x'; size]].concat()
}

/// Publishes with a request, and returns the status and the position of the message.
fn publish(peer: &mut Peer, path: &str, size: usize) -> (u16, String) {
    peer.send(&post(path, size));
    let head = peer.receive_head();
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let body = peer.receive_exactly(length.expect(&head).parse().unwrap());
    let body = String::from_utf8(body).unwrap();
    let position = body.split("\"position\":\"").nth(1).and_then(|rest| rest.split('"').next());
    (head[9..12].parse().unwrap(), position.unwrap_or_default().to_owned())
}

/// Joins as a client that hears the server's words, and returns the greeting too.
fn greeted(siege: &Siege, path: &str) -> (Peer, String) {
    let mut peer = siege.connect();
    peer.send(request_with(path, "Sec-WebSocket-Protocol: townhall.v1\r\n").as_bytes());
    peer.receive_upgrade();
    let greeting = peer.receive_text();
    (peer, greeting)
}

/// The number of messages that a greeting announces.
fn replay(greeting: &str) -> usize {
    let rest = greeting.split("\"replay\":").nth(1).expect(greeting);
    rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

/// One log serves all of them. What they have not read counts as their backlog, so they are closed like
/// others that do not read.
#[test]
fn five_hundred_that_ask_for_the_past_at_once_and_read_nothing_cost_one_backlog() {
    const CROWD: usize = 500;
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let history = ["--history-bytes", "4MiB", "--history-messages", "100000"];
    let backlog = ["--max-message-size", "1MiB", "--max-backlog-size", "8MiB"];
    let siege = Siege::begin(&[&history[..], &backlog, &["--close-timeout", "1s"], &FAST].concat());
    let mut sender = siege.connect();
    for _ in 0..200 {
        assert_eq!(publish(&mut sender, "/lobby", 64 * KIB).0, 200);
    }
    let before = siege.program.sockets();
    let crowd = siege.program.at_once(|| {
        let asks = (0..100).map(|_| siege.ask("/lobby?last=100000"));
        asks.collect::<Vec<_>>()
    });
    let rest: Vec<_> = (100..CROWD).map(|_| siege.ask("/lobby?last=100000")).collect();
    siege.program.wait_for_sockets(before + CROWD);
    let (mut reader, greeting) = greeted(&siege, "/lobby?last=10");
    assert_eq!(replay(&greeting), 10);
    (0..10).for_each(|_| assert_eq!(reader.receive().1.len(), 64 * KIB));
    for number in 0.. {
        assert_eq!(publish(&mut sender, "/lobby", 64 * KIB).0, 200);
        assert_eq!(reader.receive().1.len(), 64 * KIB);
        if siege.program.sockets() <= before + 1 {
            break;
        }
        assert!(number < 10_000, "they are kept forever");
    }
    drop((crowd, rest));
    siege.end(Bounds { memory: 48 * MIB, cpu: 30, time: 90 });
}

/// A room with history stays without members, so it counts for whoever has made it.
#[test]
fn rooms_made_by_requests_count_for_their_address_until_they_are_old() {
    const MOST: usize = 20;
    let flags = ["--max-rooms-per-address", "20", "--history-age", "2s"];
    let listen = ["--listen", "proxy+http://127.0.0.1:0"];
    let mut siege = Siege::begin(&[&flags[..], &listen, &FAST].concat());
    let address = siege.program.next_address();
    let connect = |from: &str| {
        let peer = Peer::connect(&address);
        peer.send(format!("PROXY TCP4 {from} 198.51.100.1 50000 80\r\n").as_bytes());
        peer
    };
    let mut peer = connect("192.0.2.1");
    for room in 0..MOST {
        let (status, position) = publish(&mut peer, &format!("/{room}"), 100);
        assert!(status == 200 && position.ends_with(".1"), "{status} {position}");
    }
    assert_eq!(publish(&mut peer, "/more", 100).0, 429);
    // The limit is on new rooms.
    assert!(publish(&mut connect("192.0.2.1"), "/3", 100).1.ends_with(".2"));
    assert_eq!(publish(&mut connect("192.0.2.2"), "/more", 100).0, 200);
    eventually("the rooms are old", || publish(&mut connect("192.0.2.1"), "/next", 100).0 == 200);
    siege.end(Bounds { memory: 4 * MIB, cpu: 10, time: 60 });
}

/// The history of a thousand rooms would take 256 MB.
#[test]
fn a_thousand_rooms_of_long_messages_share_one_limit() {
    let limits = ["--history-bytes", "1MiB", "--max-history-bytes", "16MiB"];
    let rooms = ["--max-rooms-per-address", "2000"];
    let siege = Siege::begin(&[&limits[..], &rooms, &FAST].concat());
    let mut peer = siege.connect();
    for room in 0..1_000 {
        assert_eq!(publish(&mut peer, &format!("/{room}"), 256 * KIB).0, 200);
    }
    let asked = |room| replay(&greeted(&siege, &format!("/{room}?last=5")).1);
    assert_eq!((asked(999), asked(960), asked(900), asked(0)), (1, 1, 0, 0));
    siege.end(Bounds { memory: 24 * MIB, cpu: 20, time: 60 });
}

#[test]
fn a_hostile_position_is_refused_or_leads_to_nothing_old() {
    let siege = Siege::begin(&["--history-messages", "100"]);
    let (_, position) = publish(&mut siege.connect(), "/lobby", 5);
    let (epoch, _) = position.split_once('.').unwrap();
    let long = "1".repeat(5_000);
    for hostile in [
        "",
        ".",
        "1",
        "-1.1",
        "1.-1",
        "+1.1",
        "1.+1",
        "01.1",
        "1.01",
        "A.1",
        "a.1.1",
        "a.1%00",
        "a%2e1",
        "%00",
        "3w5e11264sgsg.1",
        "a.18446744073709551616",
        "a.1e3",
        "NaN",
        "\u{661}.1",
        &format!("{long}.1"),
        &format!("a.{long}"),
        &format!("{position}&last=1"),
        &format!("{position}&after={position}"),
    ] {
        let mut peer = siege.ask(&format!("/lobby?after={hostile}"));
        assert_eq!(peer.receive_refusal().0, 400, "{hostile}");
    }
    for hostile in [
        format!("{epoch}.2"),
        format!("{epoch}.18446744073709551615"),
        format!("{}.1", &epoch[..epoch.len() - 1]),
        "3w5e11264sgsf.18446744073709551615".into(),
        "0.0".into(),
    ] {
        let (mut peer, greeting) = greeted(&siege, &format!("/lobby?after={hostile}"));
        assert!(greeting.contains("\"recovered\":false,\"replay\":0"), "{hostile}: {greeting}");
        peer.send(&frame(0x81, b"next"));
        assert_eq!(peer.receive_text(), "next");
    }
    for last in ["-1", "1.5", "18446744073709551616", "0x10", "%31"] {
        assert_eq!(siege.ask(&format!("/lobby?last={last}")).receive_refusal().0, 400, "{last}");
    }
    let (_, greeting) = greeted(&siege, "/lobby?last=18446744073709551615");
    assert_eq!(replay(&greeting), 6);
    siege.end(Bounds { memory: 4 * MIB, cpu: 10, time: 60 });
}

/// The limits of history hold again as soon as the reader is gone. Until then, nobody else is sent so much
/// that it would be too far behind.
#[test]
fn a_reader_of_the_oldest_segment_keeps_it_only_for_itself() {
    const SIZE: usize = 64 * KIB;
    let limits = ["--history-bytes", "1MiB", "--history-messages", "100000"];
    let backlog = ["--max-backlog-size", "16MiB"];
    let siege = Siege::begin(&[&limits[..], &backlog, &FAST].concat());
    let mut sender = siege.connect();
    for _ in 0..10 {
        assert_eq!(publish(&mut sender, "/lobby", SIZE).0, 200);
    }
    let (holder, greeting) = greeted(&siege, "/lobby?last=100000");
    assert_eq!(replay(&greeting), 10);
    for _ in 0..150 {
        assert_eq!(publish(&mut sender, "/lobby", SIZE).0, 200);
    }
    let (mut reader, greeting) = greeted(&siege, "/lobby?last=100000");
    let replayed = replay(&greeting);
    assert!((100..=8 * MIB / SIZE).contains(&replayed), "{replayed}");
    (0..replayed).for_each(|_| assert_eq!(reader.receive().1.len(), SIZE));
    let before = siege.program.sockets();
    drop(holder);
    siege.program.wait_for_sockets(before - 1);
    let (_, greeting) = greeted(&siege, "/lobby?last=100000");
    assert!((14..=16).contains(&replay(&greeting)), "{greeting}");
    siege.end(Bounds { memory: 40 * MIB, cpu: 20, time: 60 });
}

/// What some member has not read is no history, even if it is the newest in its room.
#[test]
fn rooms_whose_members_do_not_read_count_as_backlog() {
    const ROOMS: usize = 60;
    let limits = ["--history-bytes", "8MiB", "--max-history-bytes", "16MiB"];
    let backlog = ["--max-backlog-size", "16MiB", "--max-total-backlog-size", "32MiB"];
    let siege = Siege::begin(&[&limits[..], &backlog, &FAST].concat());
    let mut sender = siege.connect();
    let _members: Vec<_> = (0..ROOMS)
        .map(|room| {
            let path = format!("/{room}");
            let member = siege.join(&path);
            assert_eq!(publish(&mut sender, &path, 4 * MIB).0, 200);
            member
        })
        .collect();
    siege.end(Bounds { memory: 80 * MIB, cpu: 20, time: 60 });
}
