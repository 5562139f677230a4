//! Rooms and their creators, and the memory for them.

use super::*;
use crate::protocol::Position;

/// Creates rooms of these names until one is refused.
fn make(rooms: &mut Rooms, names: &str, maker: Option<AddressKey>) -> Result<(), Refusal> {
    let mut config = Config::default();
    config.rooms.max = 20;
    config.rooms.max_per_address = 3;
    for name in names.split_whitespace() {
        rooms.admit(name, maker, &config)?;
        rooms.find_or_make(name, maker, Time::new().moment());
    }
    Ok(())
}

fn key(address: &str) -> Option<AddressKey> {
    Some(AddressKey::of(address.parse().unwrap()))
}

#[test]
fn an_address_creates_a_limited_number_of_rooms_and_enters_any() {
    let mut rooms = Rooms::default();
    let here = key("192.0.2.1");
    let there = key("192.0.2.2");
    assert_eq!(make(&mut rooms, "a b c", here), Ok(()));
    assert_eq!(make(&mut rooms, "d", here), Err(Refusal::TooManyRoomsFromAddress));
    assert_eq!(make(&mut rooms, "a b c d e f", there), Ok(()));
    assert_eq!(make(&mut rooms, "d", here), Ok(()), "others have made it");
    rooms.remove_if_empty(rooms.find("a").unwrap());
    assert_eq!(make(&mut rooms, "g h", here), Err(Refusal::TooManyRoomsFromAddress));
    assert!(rooms.find("g").is_some() && rooms.find("h").is_none());
}

#[test]
fn creators_without_an_address_have_only_the_total_limit() {
    let mut rooms = Rooms::default();
    let many: Vec<_> = (0..21).map(|number| number.to_string()).collect();
    assert_eq!(make(&mut rooms, &many.join(" "), None), Err(Refusal::TooManyRooms));
    assert_eq!(rooms.len(), 20);
}

#[test]
fn the_memory_of_many_rooms_is_given_back_when_few_are_left() {
    let mut rooms = Rooms::default();
    let now = Time::new().moment();
    let keys: Vec<_> = (0..4_000).map(|n| rooms.find_or_make(&n.to_string(), None, now)).collect();
    rooms.trim();
    assert!(rooms.rooms.capacity() >= 4_000 && rooms.names.capacity() >= 4_000);
    keys[1..].iter().for_each(|&key| rooms.remove_if_empty(key));
    assert!(rooms.are_loose());
    rooms.trim();
    assert!(rooms.rooms.capacity() < 1_000 && rooms.names.capacity() < 1_000);
    assert_eq!((rooms.find("0"), rooms.are_loose()), (Some(keys[0]), false));
    assert_eq!(rooms.find_or_make("new", None, now), 1, "its key is free again");
}

#[test]
fn nothing_is_kept_of_removed_rooms() {
    let mut rooms = Rooms::default();
    for maker in [None, key("192.0.2.1")] {
        let key = rooms.find_or_make("a", maker, Time::new().moment());
        rooms.remove_if_empty(key);
    }
    assert_eq!((rooms.len(), rooms.made.len()), (0, 0));
}

#[test]
fn a_flush_is_for_what_came_before_it_and_leaves_the_rest_to_the_next() {
    let mut rooms = Rooms::default();
    let mut time = Time::new();
    let mut append = |rooms: &mut Rooms, key| {
        time.now += Duration::from_secs(1);
        rooms.append(key, Message::Text("a"), &mut SegmentPool::default(), &time);
        time.moment()
    };
    let key = rooms.find_or_make("a", None, Time::new().moment());
    let first = append(&mut rooms, key);
    append(&mut rooms, key);
    rooms.get_mut(key).unwrap().begin_flush();
    let second = append(&mut rooms, key);
    append(&mut rooms, key);
    let room = rooms.get_mut(key).unwrap();
    assert_eq!((room.end_flush(TurnEnd::Now), room.dirty), (Some(first), true));
    room.begin_flush();
    assert_eq!((room.end_flush(TurnEnd::Now), room.dirty), (Some(second), false));
    assert_eq!(rooms.dirty, [key]);
    assert_eq!(rooms.get(key).unwrap().messages_per_second(time.timestamp), 0.4);
}

#[test]
fn rooms_that_a_flush_did_not_reach_are_overdue() {
    let mut rooms = Rooms::default();
    let time = Time::new();
    let keys = ["a", "b", "c"].map(|name| rooms.find_or_make(name, None, time.moment()));
    for key in keys {
        rooms.append(key, Message::Text("a"), &mut SegmentPool::default(), &time);
    }
    rooms.mark_overdue(0);
    assert!(!rooms.overdue);
    for _ in 0..2 {
        rooms.mark_overdue(2);
        assert!(rooms.overdue);
        assert_eq!(keys.map(|key| rooms.get(key).unwrap().overdue), [true, true, false]);
    }
}

#[test]
fn memory_is_spare_as_long_as_some_will_be_given_back() {
    let mut rooms = Rooms::new(Some(Deflate::default()), Some(HistoryLimits::default()));
    assert!(!rooms.holds_spare());
    let compressors = rooms.compressors.as_mut().unwrap();
    compressors.encode_independent(Message::Binary(&[b'a'; 1_000]), 15);
    assert!(rooms.holds_spare());
    (0..20).for_each(|_| rooms.trim());
    assert!(!rooms.holds_spare());
    let (time, mut segments) = (Time::new(), SegmentPool::default());
    rooms.restore(("a", None), Position::new(0, 0), &[], &mut segments, &time);
    rooms.forget_old(&mut segments, time.timestamp);
    assert!(rooms.holds_spare(), "the room is empty, and kept for a while");
    rooms.forget_old(&mut segments, time.timestamp.after(HistoryLimits::default().max_age));
    assert!(!rooms.holds_spare());
    let make = |number: usize| rooms.find_or_make(&number.to_string(), None, time.moment());
    let keys: Vec<_> = (0..1_000).map(make).collect();
    keys.into_iter().for_each(|key| rooms.remove_if_empty(key));
    assert!(rooms.holds_spare());
    rooms.trim();
    assert!(!rooms.holds_spare());
}
