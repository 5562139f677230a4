//! The timers that an application sets.

use std::io::Write;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use townhall::{ClientId, Event, Hub};

use crate::support::{PATIENCE, Running, config, frame, read_all, request};

const SHORT: Duration = Duration::from_millis(30);
const LONG: Duration = Duration::from_millis(200);

#[test]
fn a_timer_fires_once_for_its_client_and_not_early() {
    let (sender, receiver) = channel();
    let server = Running::start(config(), move |hub, client, event| match event {
        Event::Open { .. } => {
            assert!(hub.set_timer(client, 7, SHORT));
            assert!(hub.set_timer(client, u64::MAX, 2 * SHORT));
            assert!(hub.set_timer(client, 8, Duration::MAX));
            sender.send((client, 0, Instant::now())).unwrap();
        }
        Event::Timer { token, .. } => sender.send((client, token, Instant::now())).unwrap(),
        _ => {}
    });
    let begin = Instant::now();
    let _client = server.raw("/");
    let next = || receiver.recv_timeout(PATIENCE).unwrap();
    let (client, ..) = next();
    for (token, delay) in [(7, SHORT), (u64::MAX, 2 * SHORT)] {
        let (whose, fired, at) = next();
        assert_eq!((whose, fired), (client, token));
        assert!(at - begin >= delay, "{:?} instead of {delay:?}", at - begin);
    }
    assert!(receiver.recv_timeout(LONG).is_err());
}

#[test]
fn a_timer_can_be_replaced_and_cancelled() {
    let (sender, receiver) = channel();
    let server = Running::start(config(), move |hub, client, event| match event {
        Event::Open { .. } => {
            (1..=3).for_each(|token| _ = hub.set_timer(client, token, SHORT));
            hub.set_timer(client, 1, LONG);
            assert!(hub.cancel_timer(client, 2) && !hub.cancel_timer(client, 2));
        }
        Event::Timer { token, .. } => sender.send(token).unwrap(),
        _ => {}
    });
    let _client = server.raw("/");
    let fired = || receiver.recv_timeout(PATIENCE).unwrap();
    assert_eq!([fired(), fired()], [3, 1]);
}

#[test]
fn the_timers_of_a_client_end_with_it_and_those_of_the_application_do_not() {
    let (sender, receiver) = channel();
    let server = Running::start(config(), move |hub, client, event| match event {
        Event::Open { .. } => assert!(hub.set_timer(client, 1, SHORT)),
        Event::Close(_) => {
            assert!(!hub.cancel_timer(client, 1), "its timers have ended");
            assert!(!hub.set_timer(client, 2, Duration::ZERO), "it has left");
            assert!(hub.set_timer(ClientId::SERVER, 3, 2 * SHORT));
        }
        Event::Timer { token, .. } => sender.send((client, token)).unwrap(),
        _ => {}
    });
    let mut client = server.stream();
    client.write_all(request("/").as_bytes()).unwrap();
    client.write_all(&frame(0x88, b"")).unwrap();
    read_all(&mut client);
    assert_eq!(receiver.recv_timeout(PATIENCE), Ok((ClientId::SERVER, 3)));
}

#[test]
fn a_timer_fires_after_everything_that_clients_had_sent_by_then() {
    let (sender, receiver) = channel();
    let server = Running::start(config(), move |_, _, event| match event {
        Event::Message(_) => sender.send("message").unwrap(),
        Event::Timer { .. } => sender.send("timer").unwrap(),
        _ => {}
    });
    let mut client = server.raw("/");
    let id = server.opened();
    let (release, released) = channel::<()>();
    let wait = move |hub: &mut Hub| {
        assert!(hub.set_timer(id, 1, SHORT));
        released.recv_timeout(PATIENCE).unwrap();
    };
    server.handle.run(wait).unwrap();
    client.write_all(&frame(0x81, b"in time")).unwrap();
    // The server is busy until long after the timer is due.
    std::thread::sleep(LONG);
    release.send(()).unwrap();
    let next = || receiver.recv_timeout(PATIENCE).unwrap();
    assert_eq!([next(), next()], ["message", "timer"]);
}

#[test]
fn timers_that_are_set_again_at_once_block_nobody() {
    let server = Running::start(config(), |hub, client, event| match event {
        Event::Open { .. } => {
            (0..3_000).for_each(|token| _ = hub.set_timer(client, token, Duration::ZERO));
        }
        Event::Timer { token, .. } => _ = hub.set_timer(client, token, Duration::ZERO),
        Event::Message(message) => hub.send(client, message),
        _ => {}
    });
    let mut client = server.connect("/");
    for number in 0..20 {
        client.send(&number.to_string());
        assert_eq!(client.receive(), number.to_string());
    }
}
