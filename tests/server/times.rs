//! Timeouts that are off, and very long ones.

use std::io::{Read, Write};
use std::time::Duration;

use townhall::Config;

use crate::support::{Running, chat, config, frame, read_all};

/// A configuration in which every deadline that may be off is off. The one for the handshake is
/// short, for [`wait_for_the_handshake_timeout`].
fn endless() -> Config {
    let mut config = config();
    config.timeouts.handshake = Duration::from_secs(1);
    config.timeouts.ping_interval = None;
    config.timeouts.pong = None;
    config.timeouts.write = None;
    config.rates.throttle_timeout = None;
    config
}

/// Waits until the server has checked its deadlines and a second has passed.
fn wait_for_the_handshake_timeout(server: &Running) {
    let mut idle = server.stream();
    idle.write_all(b"GET /").unwrap();
    read_all(&mut idle);
}

#[test]
fn without_a_ping_interval_nobody_is_pinged_and_nobody_is_dropped_for_silence() {
    let server = Running::start(endless(), chat);
    let mut silent = server.raw("/");
    wait_for_the_handshake_timeout(&server);
    silent.write_all(&frame(0x81, b"still here")).unwrap();
    let mut echo = [0; 12];
    silent.read_exact(&mut echo).unwrap();
    assert_eq!(echo, *b"\x81\x0astill here");
}

#[test]
fn without_a_pong_timeout_pings_need_no_answer() {
    let mut config = endless();
    config.timeouts.ping_interval = Some(Duration::from_millis(200));
    let server = Running::start(config, chat);
    let mut silent = server.raw("/");
    let mut pings = [0; 8];
    silent.read_exact(&mut pings).unwrap();
    assert_eq!(pings, *b"\x89\x00\x89\x00\x89\x00\x89\x00");
}

#[test]
fn without_a_write_timeout_a_peer_need_not_read() {
    let server = Running::start(endless(), chat);
    let mut stalled = server.raw("/");
    let mut sender = server.connect("/");
    let text = "x".repeat(1 << 20);
    for _ in 0..24 {
        sender.send(&text);
        assert_eq!(sender.receive().len(), text.len());
    }
    wait_for_the_handshake_timeout(&server);
    let mut all = vec![0; 24 * (10 + text.len())];
    stalled.read_exact(&mut all).unwrap();
}

#[test]
fn without_a_throttle_timeout_a_client_over_its_rate_is_only_slowed_down() {
    let mut config = endless();
    config.rates.max_messages_per_second = 50;
    let server = Running::start(config, chat);
    let mut sender = server.connect("/");
    (0..150).for_each(|number| sender.send(&number.to_string()));
    (0..150).for_each(|number| assert_eq!(sender.receive(), number.to_string()));
}

#[test]
fn the_longest_timeouts_do_not_overflow() {
    let mut endless = config();
    endless.timeouts.handshake = Duration::MAX;
    endless.timeouts.ping_interval = Some(Duration::MAX);
    endless.timeouts.pong = Some(Duration::MAX);
    endless.timeouts.write = Some(Duration::MAX);
    endless.rates.throttle_timeout = Some(Duration::MAX);
    endless.timeouts.close = Duration::MAX;
    endless.shutdown.timeout = Duration::MAX;
    endless.shutdown.spread = Duration::MAX;
    endless.rates.max_messages_per_second = 50;
    let server = Running::start(endless, chat);
    let mut sender = server.connect("/");
    (0..100).for_each(|number| sender.send(&number.to_string()));
    (0..100).for_each(|number| assert_eq!(sender.receive(), number.to_string()));
    server.handle.stop();
    assert_eq!(sender.receive_close().0, 1001);
    sender.end();
    server.join();
}
