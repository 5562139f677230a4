//! Processes and servers that die, stop, or forget.

use std::thread;
use std::time::{Duration, Instant};

use crate::load::Load;
use crate::member::{Heard, Member, Plain};
use crate::order::{PACE, ROOMS};
use crate::process::{Process, ask};
use crate::redis::Redis;
use crate::support::eventually;

/// Hears everything until the connection ends.
fn hear_until_the_end(mut member: Member) -> (Member, Vec<Heard>) {
    let mut record = Vec::new();
    loop {
        match member.hear() {
            Heard::Closed(_) => return (member, record),
            heard => record.push(heard),
        }
    }
}

#[test]
fn members_of_a_process_that_is_killed_go_on_at_another_one() {
    let redis = Redis::start();
    let [a, b, mut c] = [(); 3].map(|()| Process::start(&redis.url()));
    let load = Load::begin(&[&a, &b], &ROOMS[..2], PACE);
    let guest = Member::join(&c.address, "/lobby");
    let hearing = thread::spawn(move || hear_until_the_end(guest));
    let mut speaker = Member::join(&c.address, "/lobby");
    for number in 0..50 {
        speaker.send(&format!("guest says {number}"));
    }
    load.go_on(200);
    c.kill();
    let (guest, mut record) = hearing.join().unwrap();
    let mut guest = Member::join(&b.address, &format!("/lobby?after={}", guest.position));
    assert_eq!(guest.recovered, Some(true));
    load.go_on(200);
    record.extend((0..guest.replay + 50).map(|_| guest.hear()));
    let outcome = load.finish();
    outcome.assert_complete();
    outcome.assert_heard("/lobby", &record);
    outcome.assert_guest_in_order("/lobby");
}

#[test]
fn what_is_said_while_redis_stands_still_is_heard_afterwards() {
    let redis = Redis::start();
    let [a, b] = [(); 2].map(|()| Process::start(&redis.url()));
    let load = Load::begin(&[&a, &b], &ROOMS[..2], Duration::from_millis(50));
    load.go_on(40);
    redis.signal("STOP");
    let stopped = Instant::now();
    load.go_on(40);
    assert!(a.is_ready(), "only after five seconds, it is not");
    eventually("nobody is sent here", || [&a, &b].iter().all(|process| !process.is_ready()));
    eventually("the metrics show it", || a.metric("townhall_redis_up") == 0.0);
    assert!(a.metric("townhall_redis_queued_messages") > 0.0);
    // Such a pause is longer than any time limit of a connection.
    thread::sleep(Duration::from_secs(10).saturating_sub(stopped.elapsed()));
    redis.signal("CONT");
    eventually("both are ready again", || [&a, &b].iter().all(|process| process.is_ready()));
    load.go_on(40);
    let outcome = load.finish();
    outcome.assert_complete();
    outcome.assert_stored(|_| &redis);
    assert!(a.metric("townhall_redis_up") == 1.0);
    eventually("nothing waits", || a.metric("townhall_redis_queued_messages") == 0.0);
}

#[test]
fn when_too_much_waits_for_redis_requests_are_refused_for_now() {
    const SIZE: usize = 4 << 20;
    let redis = Redis::start();
    let process = Process::start(&redis.url());
    process.post("/lobby", "before").position();
    redis.signal("STOP");
    let address = process.address.clone();
    let post = move || {
        let address = address.clone();
        thread::spawn(move || ask(&address, "POST", "/lobby", "", &"x".repeat(SIZE)))
    };
    let posts: Vec<_> = (0..32).map(|_| post()).collect();
    eventually("some are refused", || posts.iter().any(thread::JoinHandle::is_finished));
    redis.signal("CONT");
    let answers: Vec<_> = posts.into_iter().map(|post| post.join().unwrap()).collect();
    let (published, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status == 200);
    assert!(!published.is_empty() && !refused.is_empty());
    for answer in refused {
        assert!(answer.status == 503 && answer.head.contains("\r\nRetry-After: "), "{answer:?}");
    }
    let mut numbers: Vec<_> = published.iter().map(|answer| answer.number()).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(2..published.len() as u64 + 2));
    assert_eq!(process.post("/lobby", "after").number(), published.len() as u64 + 2);
}

#[test]
fn nothing_is_lost_when_redis_ends_and_remembers() {
    let mut redis = Redis::start_durable();
    let [a, b] = [(); 2].map(|()| Process::start(&redis.url()));
    let load = Load::begin(&[&a, &b], &ROOMS, PACE);
    for _ in 0..3 {
        load.go_on(200);
        redis.kill();
        load.go_on(100);
        redis.restart();
    }
    load.go_on(200);
    let outcome = load.finish();
    outcome.assert_complete();
    outcome.assert_stored(|_| &redis);
}

#[test]
fn everybody_is_told_when_redis_ends_and_forgets() {
    let mut redis = Redis::start();
    let [a, b] = [(); 2].map(|()| Process::start(&redis.url()));
    let mut plain = [&a, &b].map(|process| Plain::join(&process.address, "/hall/1"));
    let mut silent = Member::join(&b.address, "/silent");
    a.post("/silent", "once");
    assert_eq!(silent.hear_text(), "once");
    let before = silent.position.clone();
    let load = Load::begin(&[&a, &b], &ROOMS, PACE);
    load.go_on(200);
    redis.kill();
    load.go_on(100);
    redis.restart();
    let Heard::Lost(after) = silent.hear() else { panic!("nothing was said there") };
    assert_ne!(after.epoch, before.epoch);
    load.go_on(200);
    let outcome = load.finish();
    outcome.assert_honest();
    assert!(outcome.all_were_told());
    outcome.assert_stored(|_| &redis);
    for plain in &mut plain {
        assert_eq!(plain.closed(), 1012);
    }
    let late = Member::join(&a.address, &format!("/silent?after={before}"));
    assert_eq!((late.recovered, late.position.epoch), (Some(false), after.epoch));
    assert_eq!(b.metric("townhall_redis_lost_rooms_total"), ROOMS.len() as f64 + 1.0);
}

#[test]
fn everybody_is_told_when_somebody_deletes_a_room() {
    let redis = Redis::start();
    let [a, b] = [(); 2].map(|()| Process::start(&redis.url()));
    let load = Load::begin(&[&a, &b], &ROOMS, PACE);
    load.go_on(200);
    redis.cli(&["flushall"]);
    load.go_on(200);
    let outcome = load.finish();
    outcome.assert_honest();
    assert!(outcome.all_were_told());
    outcome.assert_stored(|_| &redis);
}

#[test]
fn connections_that_redis_ends_and_scripts_that_it_forgets_cost_nothing() {
    let redis = Redis::start();
    let [a, b] = [(); 2].map(|()| Process::start(&redis.url()));
    let load = Load::begin(&[&a, &b], &ROOMS, PACE);
    for _ in 0..4 {
        load.go_on(100);
        redis.cli(&["client", "kill", "type", "pubsub"]);
        load.go_on(100);
        redis.cli(&["client", "kill", "type", "normal"]);
        load.go_on(100);
        redis.cli(&["script", "flush"]);
    }
    let outcome = load.finish();
    outcome.assert_complete();
    outcome.assert_stored(|_| &redis);
}
