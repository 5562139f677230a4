//! A network between the processes and Redis that delays, stops, loses and cuts.

use std::fs;
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};

use crate::load::Load;
use crate::member::{Heard, Member, Plain};
use crate::order::{PACE, ROOMS};
use crate::process::Process;
use crate::redis::Redis;
use crate::relay::{Direction, Relay};
use crate::support::{Folder, eventually, free_port};

/// Two processes, of which the first uses a relay, under load while something happens.
fn assert_harmless(happens: impl FnOnce(&Relay, &Load)) {
    let redis = Redis::start();
    let relay = Relay::to_socket(&redis.socket());
    let [a, b] = [relay.url(), redis.url()].map(|url| Process::start(&url));
    let load = Load::begin(&[&a, &b], &ROOMS, PACE);
    load.go_on(100);
    happens(&relay, &load);
    load.go_on(100);
    let outcome = load.finish();
    outcome.assert_complete();
    outcome.assert_stored(|_| &redis);
}

#[test]
fn delays_cost_nothing_but_time() {
    assert_harmless(|relay, load| {
        relay.delay(Duration::from_millis(50));
        load.go_on(300);
        relay.delay(Duration::ZERO);
        for _ in 0..3 {
            relay.pause(true);
            load.go_on(200);
            relay.pause(false);
            load.go_on(50);
        }
    });
}

#[test]
fn a_connection_may_end_after_any_byte() {
    assert_harmless(|relay, load| {
        for (direction, bytes) in [
            (Direction::Requests, 1),
            (Direction::Replies, 1),
            (Direction::Requests, 3_001),
            (Direction::Replies, 3_001),
            (Direction::Requests, 10_007),
            (Direction::Replies, 10_007),
        ] {
            load.go_on(50);
            relay.cut_after(direction, bytes);
            eventually("the connection ends", || relay.has_cut());
        }
    });
}

#[test]
fn a_message_whose_answer_is_lost_is_not_published_twice() {
    assert_harmless(|relay, load| {
        for _ in 0..4 {
            relay.swallow_replies();
            load.go_on(100);
            relay.cut();
            load.go_on(50);
        }
    });
}

#[test]
fn a_message_that_does_not_arrive_is_read_before_the_next() {
    let redis = Redis::start();
    let relay = Relay::to_socket(&redis.socket());
    let [a, b] = [relay.url(), redis.url()].map(|url| Process::start(&url));
    let mut member = Member::join(&a.address, "/lobby");
    let mut speaker = Member::join(&b.address, "/lobby");
    let mut say = |text: &str| {
        speaker.send(text);
        assert_eq!(speaker.hear_text(), text);
    };
    say("one");
    assert_eq!(member.hear_text(), "one");
    relay.lose_messages(true);
    say("two");
    say("three");
    // What has left Redis before has been lost once the answer to this is here.
    a.post("/hall", "to somebody else").position();
    relay.lose_messages(false);
    say("four");
    for text in ["two", "three", "four"] {
        assert_eq!(member.hear_text(), text);
    }
    assert_eq!(a.metric("townhall_redis_repaired_gaps_total"), 1.0);
}

#[test]
fn who_misses_more_than_redis_keeps_is_told() {
    let redis = Redis::start();
    let relay = Relay::to_socket(&redis.socket());
    let flags = ["--history-messages", "100"];
    let [a, b] = [relay.url(), redis.url()].map(|url| Process::start_with(&url, &flags));
    let mut member = Member::join(&a.address, "/lobby");
    let mut plain = Plain::join(&a.address, "/lobby");
    let mut speaker = Member::join(&b.address, "/lobby");
    speaker.send("first");
    assert_eq!(member.hear_text(), "first");
    relay.pause(true);
    relay.cut();
    for number in 0..1_000 {
        speaker.send(&number.to_string());
    }
    while speaker.hear_text() != "999" {}
    relay.pause(false);
    let Heard::Lost(position) = member.hear() else { panic!("it has missed many") };
    assert!((100..1_000).contains(&position.number), "{position}");
    // What follows the greeting is what Redis has kept.
    for number in position.number - 1..1_000 {
        assert_eq!(member.hear_text(), number.to_string());
    }
    assert_eq!(member.position, speaker.position);
    assert_eq!(plain.closed(), 1012);
}

#[test]
fn a_process_that_is_asked_to_stop_publishes_what_it_has_received() {
    let redis = Redis::start();
    let relay = Relay::to_socket(&redis.socket());
    let [a, b] = [relay.url(), redis.url()].map(|url| Process::start(&url));
    let mut member = Member::join(&b.address, "/lobby");
    let mut speaker = Member::join(&a.address, "/lobby");
    relay.delay(Duration::from_millis(100));
    for number in 0..50 {
        speaker.send(&number.to_string());
    }
    let received = || a.metric("townhall_received_messages_total");
    eventually("it has received everything", || received() == 50.0);
    a.signal("TERM");
    for number in 0..50 {
        assert_eq!(member.hear_text(), number.to_string());
    }
}

#[test]
fn with_tls_the_certificate_of_redis_is_checked() {
    let folder = Folder::new();
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let [cert_file, key_file] = ["cert.pem", "key.pem"].map(|name| folder.path(name));
    fs::write(&cert_file, cert.pem()).unwrap();
    fs::write(&key_file, signing_key.serialize_pem()).unwrap();
    let port = free_port();
    let lines = format!(
        "tls-port {port}\ntls-cert-file {cert_file}\ntls-key-file {key_file}\ntls-auth-clients no\n"
    );
    let _redis = Redis::start_on_port(&lines);
    let url = format!("rediss://127.0.0.1:{port}");
    let mut command = Process::command(&url);
    // The certificates of the system are those of a file that this variable names.
    command.env("SSL_CERT_FILE", &cert_file);
    Process::spawn(command).post("/lobby", "hello").position();
    let stranger = Process::launch(&url);
    stranger.log_until("certificate");
    eventually("nobody is sent there", || !stranger.is_ready());
}
