//! Floods of control frames.

use crate::peer::{Peer, frame};
use crate::support::{Bounds, MIB, Siege};

/// Disables throttling, which would otherwise stop the flood.
const UNTHROTTLED: [&str; 4] =
    ["--max-messages-per-second", "1000000000", "--max-bytes-per-second", "1000000000"];

/// The message after a flood.
const END: &[u8] = b"all of them are read";

/// Numbered pings of the maximum length.
fn pings(numbers: std::ops::Range<u32>) -> Vec<u8> {
    let ping = |number: u32| frame(0x89, &[&number.to_be_bytes()[..], &[b'x'; 121]].concat());
    numbers.flat_map(ping).collect()
}

/// The number of the next pong, or `None` if the message after the flood arrives instead.
fn receive_pong(peer: &mut Peer) -> Option<u32> {
    match peer.receive() {
        (0x8a, payload) => Some(u32::from_be_bytes(*payload.first_chunk().unwrap())),
        other => {
            assert_eq!(other, (0x81, END.to_vec()));
            None
        }
    }
}

/// RFC 6455, section 5.5.3: an endpoint "MAY elect to send a Pong frame for only the most recently
/// processed Ping frame."
#[test]
fn pongs_for_a_peer_that_does_not_read_do_not_pile_up() {
    const PINGS: u32 = 300_000;
    let siege = Siege::begin(&UNTHROTTLED);
    let mut peer = siege.join("/");
    for number in (0..PINGS).step_by(1_000) {
        peer.send(&pings(number..number + 1_000));
    }
    peer.send(&frame(0x81, END));
    let pongs: Vec<_> = std::iter::from_fn(|| receive_pong(&mut peer)).collect();
    assert!(pongs.is_sorted_by(|a, b| a < b), "each pong answers a later ping");
    assert!(pongs.len() < PINGS as usize, "some were left out");
    siege.end(Bounds { memory: 8 * MIB, cpu: 20, time: 60 });
}

/// The socket becomes writable and more pings arrive in one batch of events: the waiting pong must not be
/// sent after those for later pings.
#[test]
fn pongs_stay_in_order_when_a_peer_reads_again() {
    let siege = Siege::begin(&UNTHROTTLED);
    let mut peer = siege.join("/");
    let mut listener = siege.join("/");
    peer.send(&[pings(0..100_000), frame(0x81, END)].concat());
    assert_eq!(receive_pong(&mut listener), None);
    // Reads most of what the system holds, but not what waits for the socket.
    let mut pongs: Vec<_> = siege.program.at_once(|| {
        let pongs = (0..1_000).map(|_| receive_pong(&mut peer).unwrap()).collect();
        peer.send(&[pings(100_000..100_010), frame(0x81, END)].concat());
        pongs
    });
    for _ in 0..2 {
        pongs.extend(std::iter::from_fn(|| receive_pong(&mut peer)));
    }
    // Nothing waits after these pings.
    peer.send(&[pings(200_000..200_001), frame(0x81, END)].concat());
    pongs.extend(std::iter::from_fn(|| receive_pong(&mut peer)));
    let latest = &pongs[pongs.len() - 20..];
    assert!(pongs.is_sorted_by(|a, b| a < b), "each pong answers a later ping: {latest:?}");
    siege.end(Bounds { memory: 8 * MIB, cpu: 10, time: 60 });
}

#[test]
fn many_peers_that_flood_at_once_starve_nobody() {
    let siege = Siege::begin(&UNTHROTTLED);
    let flood = pings(0..10_000);
    std::thread::scope(|scope| {
        for _ in 0..10 {
            let mut peer = siege.join("/");
            let flood = &flood;
            scope.spawn(move || {
                peer.send(flood);
                peer.send(&frame(0x8a, b"a pong that nobody asked for").repeat(10_000));
                peer.send(&frame(0x88, b"\x03\xe8enough"));
                assert_eq!(peer.receive_close(), (1000, "enough".into()));
            });
        }
    });
    siege.end(Bounds { memory: 16 * MIB, cpu: 20, time: 60 });
}

#[test]
fn a_control_frame_longer_than_125_bytes_is_refused_before_it_arrives() {
    let siege = Siege::begin(&[]);
    for first in [0x88, 0x89, 0x8a] {
        for second in [0xfe, 0xff] {
            let mut peer = siege.join("/");
            peer.send(&[first, second]);
            let reason = "control frame longer than 125 bytes";
            assert_eq!(peer.receive_close(), (1002, reason.into()));
        }
    }
    siege.end(Bounds { memory: 4 * MIB, cpu: 2, time: 30 });
}
