//! People at other processes.

use super::*;
use crate::presence::people::MAX_TOLD;

/// People with one connection each.
fn people<const N: usize>(names: [&str; N], nameless: usize) -> People {
    let names = names.map(|name| (name.into(), None));
    People::new(N + nameless, names.into_iter(), nameless)
}

fn nobody() -> People {
    People::default()
}

/// As many people with a name, and so many without. The later `first` is, the later are their names.
fn many(first: usize, named: usize, nameless: usize) -> People {
    let names: Vec<(Arc<str>, _)> =
        (first..first + named).map(|number| (format!("{number:09}").into(), None)).collect();
    People::new(named + nameless, names.into_iter(), nameless)
}

#[test]
fn somebody_at_several_processes_counts_once() {
    let now = Instant::now();
    let mut roster = Roster::new(GRACE, NAMED, [(client(1), user("a")), (client(2), None)]);
    roster.replace(&nobody(), &people(["a", "b"], 2), now);
    let change = r#"{"joined":["b"],"left":[],"count":5}"#;
    assert_eq!(take_change(&mut roster).as_deref(), Some(change));
    roster.replace(&nobody(), &people(["b"], 0), now);
    roster.leave(client(1), now);
    roster.expire(now + GRACE);
    assert_eq!(take_change(&mut roster), None);
    assert_eq!(snapshot(&roster), r#"{"members":["a","b"],"count":5}"#);
    // One of the processes has ended.
    let now = now + GRACE;
    roster.replace(&people(["a", "b"], 2), &nobody(), now);
    roster.expire(now);
    assert_eq!(take_change(&mut roster), None, "they have just left");
    assert!(roster.is_leaving());
    roster.expire(now + GRACE);
    let change = r#"{"joined":[],"left":["a"],"count":2}"#;
    assert_eq!(take_change(&mut roster).as_deref(), Some(change));
}

#[test]
fn going_from_one_process_to_another_is_not_noticed() {
    let now = Instant::now();
    let mut roster = Roster::new(GRACE, NAMED, [(client(1), user("a")), (client(2), None)]);
    roster.leave(client(1), now);
    roster.leave(client(2), now);
    roster.replace(&nobody(), &people(["a"], 1), now);
    roster.expire(now + GRACE);
    assert_eq!(take_change(&mut roster), None);
    roster.replace(&people(["a"], 1), &nobody(), now);
    roster.join(client(3), user("a"));
    roster.join(client(4), None);
    roster.expire(now + GRACE);
    assert_eq!(take_change(&mut roster), None);
}

#[test]
fn everything_may_be_told_again() {
    let now = Instant::now();
    let mut roster = empty();
    let all = many(0, 500, 5000);
    roster.replace(&nobody(), &all, now);
    assert_eq!(take_change(&mut roster).as_deref(), Some(r#"{"count":5500}"#));
    roster.replace(&all, &nobody(), now);
    roster.replace(&nobody(), &all, now);
    assert_eq!(take_change(&mut roster), None);
    roster.expire(now + GRACE);
    assert_eq!((take_change(&mut roster), roster.is_leaving()), (None, false));
}

#[test]
fn there_is_a_limit_on_those_who_leave_with_a_process() {
    let now = Instant::now();
    let mut roster = empty();
    let most = u32::MAX as usize;
    roster.replace(&nobody(), &People::new(most, [].into_iter(), most), now);
    assert_eq!(roster.count(), most);
    roster.replace(&People::new(most, [].into_iter(), most), &nobody(), now);
    assert_eq!(roster.count(), MAX_LEAVING);
}

#[test]
fn those_who_are_not_told_any_more_do_not_count_twice() {
    let now = Instant::now();
    let mut roster = empty();
    let before = many(10, MAX_TOLD, 0);
    roster.replace(&nobody(), &before, now);
    // Ten others come, and the last ten names are not told any more.
    let after = many(0, MAX_TOLD + 10, 0);
    roster.replace(&before, &after, now);
    assert_eq!((roster.count(), roster.is_leaving()), (MAX_TOLD + 10, false));
    // Those who really leave have some time: others are told in their place.
    roster.replace(&after, &before, now);
    assert_eq!(roster.count(), MAX_TOLD + 10);
    roster.expire(now + GRACE);
    assert_eq!(roster.count(), MAX_TOLD);
    // Some are here, too.
    roster.join(client(1), user("000000010"));
    roster.replace(&before, &many(20, MAX_TOLD, 0), now);
    assert_eq!((roster.count(), roster.is_leaving()), (MAX_TOLD + 1, false));
}

#[test]
fn what_a_process_tells_last_counts() {
    let now = Instant::now();
    let with = |json: &str| {
        let names = [(Arc::from("a"), Info::parse(json).ok())];
        People::new(1, names.into_iter(), 0)
    };
    let mut roster = Roster::new(GRACE, NAMED, [(client(1), user("a"))]);
    let [ann, bob] = ["{\"name\":\"Ann\"}", "{\"name\":\"Bob\"}"].map(with);
    roster.replace(&nobody(), &ann, now);
    let all = |info: &str| format!(r#"{{"members":["a"],{info}"count":1}}"#);
    assert_eq!(snapshot(&roster), all(r#""info":{"a":{"name":"Ann"}},"#));
    roster.replace(&ann, &bob, now);
    assert_eq!(take_change(&mut roster), None, "new info alone is not a change");
    assert_eq!(snapshot(&roster), all(r#""info":{"a":{"name":"Bob"}},"#));
    roster.join(client(2), user("a"));
    roster.replace(&bob, &bob, now);
    assert_eq!(snapshot(&roster), all(""));
}
