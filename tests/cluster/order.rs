//! One order for the members of all processes, and coming back to any of them.

use std::time::Duration;

use tungstenite::protocol::Message;

use crate::load::Load;
use crate::member::{Heard, Member, Plain, Position};
use crate::process::Process;
use crate::redis::Redis;
use crate::script::publish;

pub const ROOMS: [&str; 4] = ["/lobby", "/hall/1", "/hall/2", "/caf%C3%A9"];

pub const PACE: Duration = Duration::from_millis(10);

#[test]
fn members_of_three_processes_hear_everything_in_one_order() {
    let redis = Redis::start();
    let processes = [(); 3].map(|()| Process::start(&redis.url()));
    let load = Load::begin(&processes.each_ref(), &ROOMS, PACE);
    load.go_on(2_000);
    let outcome = load.finish();
    outcome.assert_complete();
    outcome.assert_stored(|_| &redis);
    assert!(outcome.fewest() > 400);
}

#[test]
fn messages_of_any_kind_and_size_arrive_as_they_were() {
    let redis = Redis::start();
    let [a, b] = [(); 2].map(|()| Process::start(&redis.url()));
    let mut members = [&a, &b, &b].map(|process| Plain::join(&process.address, "/lobby"));
    let bytes: Vec<_> = (0..3 << 20).map(|number: u32| (number % 251) as u8).collect();
    for size in [0, 1, 70_000, bytes.len()] {
        members[0].send_binary(bytes[..size].to_vec());
        members[0].send(&"\u{1F680}\r\n".repeat(size / 6));
        for member in &mut members {
            assert!(member.hear() == Message::binary(bytes[..size].to_vec()), "{size} bytes");
            assert!(member.hear_text() == "\u{1F680}\r\n".repeat(size / 6), "{size} bytes");
        }
    }
}

/// Publishes numbered texts, and returns the position of the last.
fn publish_numbers(process: &Process, numbers: std::ops::Range<usize>) -> Position {
    let answers: Vec<_> =
        numbers.map(|number| process.post("/lobby", &number.to_string())).collect();
    Position::parse(&answers.last().unwrap().position())
}

fn assert_hears_numbers(member: &mut Member, numbers: std::ops::Range<usize>) {
    for number in numbers {
        assert_eq!(member.hear_text(), number.to_string());
    }
}

#[test]
fn a_member_resumes_at_another_process() {
    let redis = Redis::start();
    let [a, b, c] = [(); 3].map(|()| Process::start(&redis.url()));
    let mut member = Member::join(&a.address, "/lobby");
    let mut stays = Member::join(&b.address, "/lobby");
    publish_numbers(&b, 0..3);
    assert_hears_numbers(&mut member, 0..3);
    let position = member.position.clone();
    drop(member);
    let last = publish_numbers(&b, 3..8);
    // One has members of the room, one had some, and one has never heard of it.
    for process in [&b, &a, &c] {
        let mut member = Member::join(&process.address, &format!("/lobby?after={position}"));
        assert_eq!(member.recovered, Some(true));
        assert_hears_numbers(&mut member, 3..8);
        assert_eq!(member.position, last);
    }
    assert_hears_numbers(&mut stays, 0..8);
    let new = Process::start(&redis.url());
    let mut member = Member::join(&new.address, "/lobby?last=2");
    assert_eq!(member.replay, 2);
    assert_hears_numbers(&mut member, 6..8);
    member.send("8");
    assert_hears_numbers(&mut stays, 8..9);
    assert_hears_numbers(&mut member, 8..9);
    assert_eq!(member.position, stays.position);
}

#[test]
fn who_comes_back_too_late_is_told() {
    let redis = Redis::start();
    let flags = ["--history-messages", "10"];
    let [a, b] = [(); 2].map(|()| Process::start_with(&redis.url(), &flags));
    let first = publish_numbers(&a, 0..1);
    // Redis drops entries in groups of a hundred.
    let last = publish_numbers(&a, 1..300);
    let mut member = Member::join(&b.address, &format!("/lobby?after={first}"));
    assert_eq!((member.recovered, member.replay), (Some(false), 0));
    assert_eq!(member.position, last);
    a.post("/lobby", "next");
    assert_eq!(member.hear_text(), "next");
    let mut newest = Member::join(&b.address, "/lobby?last=10");
    assert_eq!(newest.replay, 10);
    assert_hears_numbers(&mut newest, 291..300);
    assert_eq!(newest.hear_text(), "next");
}

#[test]
fn nobody_misses_anything_while_going_from_process_to_process() {
    let redis = Redis::start();
    let processes = [(); 3].map(|()| Process::start(&redis.url()));
    let load = Load::begin(&[&processes[0], &processes[1]], &ROOMS[..2], PACE);
    let mut record = Vec::new();
    let mut guest = Member::join(&processes[2].address, "/lobby");
    for process in processes.iter().cycle().take(30) {
        for _ in 0..10 {
            record.push(guest.hear());
        }
        let target = format!("/lobby?after={}", guest.position);
        drop(guest);
        guest = Member::join(&process.address, &target);
        assert_eq!(guest.recovered, Some(true), "at {}", guest.position);
    }
    let outcome = load.finish();
    outcome.assert_complete();
    outcome.assert_heard("/lobby", &record);
}

#[test]
fn the_documented_script_publishes() {
    let redis = Redis::start();
    let [a, b] = [(); 2].map(|()| Process::start(&redis.url()));
    let mut members = [&a, &b].map(|process| Member::join(&process.address, "/lobby"));
    publish(&redis, "/lobby", "text", "hello");
    let position = a.post("/lobby", "again").position();
    publish(&redis, "/lobby", "text", "and again");
    for member in &mut members {
        assert_eq!(member.hear_text(), "hello");
        let again = Heard::Message(Position::parse(&position), "again".to_owned());
        assert_eq!(member.hear(), again);
        assert_eq!(member.hear_text(), "and again");
    }
    // In a room that no process has heard of yet.
    publish(&redis, "/hall", "text", "early");
    let mut late = Member::join(&b.address, "/hall?last=5");
    assert_eq!((late.replay, late.hear_text()), (1, "early".to_owned()));
}
