//! A Redis that refuses what it is asked for.

use std::thread;
use std::time::Duration;

use crate::member::Member;
use crate::process::Process;
use crate::redis::Redis;
use crate::relay::Relay;
use crate::support::eventually;

/// Checks that a process says in one line what Redis refuses, that its members stay, and that everything is
/// delivered once it is mended.
fn assert_mended(redis: &Redis, refuse: &[&str], reason: &str, mend: &[&str]) {
    let [a, b] = [(); 2].map(|()| Process::start(&redis.url()));
    let mut members = [&a, &b].map(|process| Member::join(&process.address, "/lobby"));
    members[0].send("before");
    assert_eq!(members[1].hear_text(), "before");
    redis.cli(refuse);
    a.log_so_far();
    for number in 0..10 {
        members[0].send(&number.to_string());
    }
    let lines = a.log_until(reason);
    assert!(lines.last().unwrap().contains("Redis"), "{lines:?}");
    // Further attempts say nothing new.
    thread::sleep(Duration::from_secs(2));
    let further = a.log_so_far();
    let warnings = lines.iter().chain(&further).filter(|line| line.contains("WARN"));
    assert_eq!(warnings.count(), 1, "{lines:?} {further:?}");
    redis.cli(mend);
    for number in 0..10 {
        assert_eq!(members[1].hear_text(), number.to_string());
    }
    assert_eq!(members[0].hear_text(), "before");
    eventually("it is ready again", || a.is_ready() && b.is_ready());
}

#[test]
fn a_redis_without_memory_is_one_line_in_the_log() {
    let full = ["config", "set", "maxmemory", "1"];
    let empty = ["config", "set", "maxmemory", "0"];
    assert_mended(&Redis::start(), &full, "OOM", &empty);
}

#[test]
fn a_redis_that_is_read_only_is_one_line_in_the_log() {
    let redis = Redis::start_on_port("");
    let nowhere = ["replicaof", "127.0.0.1", "1"];
    assert_mended(&redis, &nowhere, "READONLY", &["replicaof", "no", "one"]);
}

#[test]
fn a_wrong_password_is_one_line_in_the_log_without_the_password() {
    let redis = Redis::start_on_port("");
    redis.cli(&["acl", "setuser", "townhall", "on", ">right", "~*", "&*", "+@all"]);
    let url = format!("redis://townhall:wrong@127.0.0.1:{}", redis.port);
    let process = Process::launch(&url);
    let lines = process.log_until("WRONGPASS");
    thread::sleep(Duration::from_secs(2));
    let further = process.log_so_far();
    assert!(!further.iter().any(|line| line.contains("WARN")), "{further:?}");
    assert!(!lines.iter().chain(&further).any(|line| line.contains("wrong@")), "{lines:?}");
    eventually("nobody is sent here", || !process.is_ready());
    redis.cli(&["acl", "setuser", "townhall", ">wrong"]);
    eventually("it is ready", || process.is_ready());
    process.post("/lobby", "hello").position();
}

#[test]
fn a_redis_that_is_too_old_is_one_line_in_the_log() {
    let redis = Redis::start();
    let relay = Relay::to_socket(&redis.socket());
    relay.disguise(Some(["redis_version:7", "redis_version:6"]));
    let process = Process::launch(&relay.url());
    process.log_until("too old");
    thread::sleep(Duration::from_secs(2));
    let further = process.log_so_far();
    assert!(!further.iter().any(|line| line.contains("WARN")), "{further:?}");
    relay.disguise(None);
    eventually("it is ready", || process.is_ready());
}
