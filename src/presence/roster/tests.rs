use std::sync::Arc;

use super::*;

mod processes;
mod property;

const GRACE: Duration = Duration::from_secs(5);
const NAMED: Audience = Audience { names: true, may_miss: false };

fn client(number: u32) -> ClientId {
    format!("{number}.1").parse().unwrap()
}

/// Somebody about whom nothing is known but the name.
fn user(name: &str) -> Option<User<'_>> {
    Some(User { name, info: None })
}

fn empty() -> Roster {
    Roster::new(GRACE, NAMED, [])
}

/// The change since the last call.
fn take_change(roster: &mut Roster) -> Option<String> {
    let change = roster.change().map(|change| change.encode());
    roster.settle();
    change
}

fn snapshot(roster: &Roster) -> String {
    roster.snapshot().encode()
}

#[test]
fn a_snapshot_and_the_changes_add_up() {
    let members = [(client(1), user("b")), (client(2), user("a")), (client(3), None)];
    let mut roster = Roster::new(GRACE, NAMED, members);
    assert_eq!(snapshot(&roster), r#"{"members":["a","b"],"count":3}"#);
    assert_eq!(take_change(&mut roster), None);
    roster.join(client(4), user("c\""));
    let known = r#"{"members":["a","b"],"count":3}"#;
    assert_eq!(snapshot(&roster), known, "the change is still to come");
    let change = r#"{"joined":["c\""],"left":[],"count":4}"#;
    assert_eq!(take_change(&mut roster).as_deref(), Some(change));
    assert_eq!(snapshot(&roster), r#"{"members":["a","b","c\""],"count":4}"#);
    let now = Instant::now();
    roster.leave(client(2), now);
    roster.expire(now + GRACE);
    assert_eq!(snapshot(&roster), r#"{"members":["a","b","c\""],"count":4}"#);
    let change = r#"{"joined":[],"left":["a"],"count":3}"#;
    assert_eq!(take_change(&mut roster).as_deref(), Some(change));
    assert_eq!(snapshot(&roster), r#"{"members":["b","c\""],"count":3}"#);
}

#[test]
fn a_reload_is_not_noticed() {
    let now = Instant::now();
    let at = |seconds| now + Duration::from_secs(seconds);
    let mut roster = Roster::new(GRACE, NAMED, [(client(1), user("a")), (client(2), None)]);
    for (number, somebody) in [(1, user("a")), (2, None)] {
        roster.leave(client(number), now);
        roster.expire(at(4));
        assert!(roster.is_leaving());
        roster.join(client(number + 2), somebody);
        roster.leave(client(number + 2), at(4));
        // The first time that they left counts for nothing.
        roster.expire(at(8));
        assert_eq!(take_change(&mut roster), None, "{somebody:?}");
        roster.join(client(number + 4), somebody);
        roster.expire(at(20));
        assert_eq!(take_change(&mut roster), None, "{somebody:?}");
        assert!(!roster.is_leaving());
    }
}

#[test]
fn somebody_with_several_tabs_is_one_person() {
    let now = Instant::now();
    let mut roster = empty();
    for number in 1..=3 {
        roster.join(client(number), user("a"));
    }
    let change = r#"{"joined":["a"],"left":[],"count":1}"#;
    assert_eq!(take_change(&mut roster).as_deref(), Some(change));
    roster.leave(client(1), now);
    roster.leave(client(2), now);
    roster.leave(client(2), now);
    roster.expire(now + GRACE);
    assert_eq!(take_change(&mut roster), None);
    roster.leave(client(3), now);
    roster.expire(now + GRACE);
    let change = r#"{"joined":[],"left":["a"],"count":0}"#;
    assert_eq!(take_change(&mut roster).as_deref(), Some(change));
    assert_eq!(roster.connections().count(), 0);
}

#[test]
fn somebody_who_leaves_and_comes_back_between_two_changes_is_no_change() {
    let now = Instant::now();
    let mut roster = Roster::new(GRACE, NAMED, [(client(1), user("a"))]);
    roster.leave(client(1), now);
    roster.expire(now + GRACE);
    roster.join(client(2), user("a"));
    assert_eq!(take_change(&mut roster), None);
    roster.join(client(3), user("b"));
    roster.leave(client(3), now);
    roster.expire(now + GRACE);
    assert_eq!(take_change(&mut roster), None);
}

#[test]
fn above_a_hundred_only_the_count_is_sent() {
    let now = Instant::now();
    let mut roster = empty();
    let names: Vec<_> = (0..=100).map(|number| number.to_string()).collect();
    for (number, name) in (1..).zip(&names) {
        roster.join(client(number), user(name));
    }
    assert_eq!(take_change(&mut roster).as_deref(), Some(r#"{"count":101}"#));
    assert_eq!(snapshot(&roster), r#"{"count":101}"#);
    assert_eq!(take_change(&mut roster), None);
    roster.leave(client(1), now);
    roster.expire(now + GRACE);
    // The watchers do not know the names, so they get all.
    let all = take_change(&mut roster).unwrap();
    assert!(all.starts_with(r#"{"members":["1","10","100","11","#), "{all}");
    assert!(all.ends_with(r#","99"],"count":100}"#), "{all}");
    assert_eq!(snapshot(&roster), all);
}

#[test]
fn those_who_may_miss_messages_get_all_names_each_time() {
    let audience = Audience { may_miss: true, ..NAMED };
    let mut roster = Roster::new(GRACE, audience, [(client(1), user("a"))]);
    assert_eq!(take_change(&mut roster), None);
    roster.join(client(2), user("b"));
    let all = r#"{"members":["a","b"],"count":2}"#;
    assert_eq!(take_change(&mut roster).as_deref(), Some(all));
}

#[test]
fn without_tokens_there_is_only_a_count() {
    let mut roster =
        Roster::new(GRACE, Audience { names: false, may_miss: false }, [(client(1), None)]);
    assert_eq!(snapshot(&roster), r#"{"count":1}"#);
    roster.join(client(2), None);
    assert_eq!(take_change(&mut roster).as_deref(), Some(r#"{"count":2}"#));
    assert_eq!(take_change(&mut roster), None);
}

#[test]
fn there_is_a_limit_on_those_who_are_leaving() {
    let now = Instant::now();
    let mut roster = empty();
    for number in 1..=MAX_LEAVING as u32 + 1 {
        for (client, name) in [(number, Some(number.to_string())), (number + 10_000, None)] {
            roster.join(super::tests::client(client), name.as_deref().and_then(user));
        }
    }
    for number in 1..=MAX_LEAVING as u32 + 1 {
        roster.leave(client(number), now);
        roster.leave(client(number + 10_000), now);
    }
    assert_eq!(roster.leaving.len(), MAX_LEAVING);
    assert_eq!(roster.nameless_leaving.len(), MAX_LEAVING);
    assert_eq!(take_change(&mut roster).as_deref(), Some(r#"{"count":2000}"#));
}

#[test]
fn names_come_with_the_info_of_the_newest_connection() {
    let infos = ["{\"name\":\"Ann\"}", "{\"name\":\"Bob\"}"].map(|json| Info::parse(json).unwrap());
    let with = |name, info| Some(User { name, info: Some(info) });
    let now = Instant::now();
    let mut roster =
        Roster::new(GRACE, NAMED, [(client(1), with("a", &infos[0])), (client(2), user("b"))]);
    let known = r#"{"members":["a","b"],"info":{"a":{"name":"Ann"}},"count":2}"#;
    assert_eq!(snapshot(&roster), known);
    roster.join(client(3), with("c", &infos[1]));
    assert_eq!(snapshot(&roster), known);
    let change = r#"{"joined":["c"],"left":[],"info":{"c":{"name":"Bob"}},"count":3}"#;
    assert_eq!(take_change(&mut roster).as_deref(), Some(change));
    // New info alone is no change, and stays when its connection ends before others.
    roster.join(client(4), with("a", &infos[1]));
    roster.join(client(5), with("b", &infos[0]));
    roster.join(client(6), user("c"));
    roster.leave(client(4), now);
    roster.expire(now + GRACE);
    assert_eq!(take_change(&mut roster), None);
    let all =
        r#"{"members":["a","b","c"],"info":{"a":{"name":"Bob"},"b":{"name":"Ann"}},"count":3}"#;
    assert_eq!(snapshot(&roster), all);
    // A watcher that comes before the change still learns who has left.
    roster.leave(client(1), now);
    roster.expire(now + GRACE);
    assert_eq!(snapshot(&roster), all);
    let change = r#"{"joined":[],"left":["a"],"count":2}"#;
    assert_eq!(take_change(&mut roster).as_deref(), Some(change));
}
