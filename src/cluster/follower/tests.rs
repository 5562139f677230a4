//! Each rule of a follower, and all of them together with a Redis that loses what it may.

mod node;
mod redis;
mod simulation;

use super::*;
use crate::cluster::entry::{Kind, Origin, Process};

const EPOCH: u64 = 1_000;
const NOW: u64 = 5_000;

fn at(sequence: u64) -> Position {
    Position::new(EPOCH, sequence)
}

fn entry(number: u64) -> Entry {
    let origin = Some(Origin { process: Process(1), number });
    Entry { kind: Kind::Text, payload: number.to_string().into(), origin }
}

fn entries(numbers: impl IntoIterator<Item = u64>) -> Vec<Entry> {
    numbers.into_iter().map(entry).collect()
}

/// The messages with these numbers, which are their sequence as well, added at the time of their number.
fn batch(first: u64, last: u64) -> Batch {
    Batch { epoch: EPOCH, first, at: last, entries: entries(first..=last) }
}

/// What is read of a stream that ends at `end`.
fn snapshot(end: Position, sequences: impl IntoIterator<Item = u64>) -> Snapshot {
    let place = |number| (Position::new(end.epoch(), number), entry(number), number);
    Snapshot { end, now: NOW, entries: sequences.into_iter().map(place).collect() }
}

fn read(ticket: u64, from: Option<Position>) -> Step {
    Step::Read(Read { ticket, from })
}

fn renew(lost: u64, floor: u64, after: Option<u64>) -> Step {
    Step::Renew { lost, floor, after }
}

fn replaced(position: Position, numbers: impl IntoIterator<Item = u64>) -> Step {
    let messages = numbers.into_iter().map(|number| (entry(number), number)).collect();
    Step::Replace { position, messages, now: NOW }
}

fn steps(take: impl FnOnce(&mut Vec<Step>)) -> Vec<Step> {
    let mut steps = Vec::new();
    take(&mut steps);
    steps
}

/// A follower, and what it does.
struct Test(Follower);

impl Test {
    /// One that has received everything up to the second message, and has read once.
    fn live() -> Self {
        let mut test = Self(Follower::new());
        assert_eq!(test.0.subscribed(), read(1, None));
        assert_eq!(test.complete(1, snapshot(at(2), [2, 1])), [replaced(at(2), [1, 2])]);
        assert!(test.0.is_live());
        test
    }

    /// The same, but its connection was lost and is back.
    fn returned() -> Self {
        let mut test = Self::live();
        assert_eq!(test.0.subscribed(), read(2, Some(at(2))));
        assert!(!test.0.is_live());
        test
    }

    fn receive(&mut self, batch: Batch) -> Vec<Step> {
        steps(|steps| self.0.receive(batch, steps))
    }

    fn complete(&mut self, ticket: u64, snapshot: Snapshot) -> Vec<Step> {
        steps(|steps| self.0.complete(ticket, snapshot, steps))
    }

    fn compare(&mut self, end: Position) -> Vec<Step> {
        steps(|steps| self.0.compare(end, steps))
    }
}

#[test]
fn what_arrives_before_the_confirmation_is_ignored() {
    let mut test = Test(Follower::new());
    assert_eq!(test.receive(batch(1, 1)), []);
    assert_eq!(test.0.subscribed(), read(1, None));
    assert_eq!(test.complete(1, snapshot(at(0), [])), [replaced(at(0), [])]);
    assert_eq!(test.0.position(), Some(at(0)));
}

#[test]
fn what_follows_is_sent_to_the_members() {
    let mut test = Test::live();
    assert_eq!(test.receive(batch(3, 4)), [Step::Append(entries(3..=4))]);
    assert_eq!(test.receive(batch(5, 5)), [Step::Append(entries(5..=5))]);
    assert_eq!(test.0.position(), Some(at(5)));
}

#[test]
fn what_was_read_may_arrive_on_the_channel_as_well() {
    let mut test = Test::live();
    assert_eq!(test.receive(batch(1, 1)), []);
    assert_eq!(test.receive(batch(2, 2)), []);
    assert_eq!(test.receive(batch(3, 3)), [Step::Append(entries(3..=3))]);
    // Since then, nothing older is on its way any more, unless Redis has lost it.
    assert_eq!(test.receive(batch(3, 3)), [read(2, Some(at(3)))]);
}

#[test]
fn another_message_in_the_place_of_the_last_one_is_noticed() {
    let strange = Entry { origin: None, ..entry(2) };
    for other in [
        Batch { entries: vec![entry(7)], ..batch(2, 2) },
        Batch { at: 77, ..batch(2, 2) },
        Batch { entries: vec![strange], ..batch(2, 2) },
    ] {
        assert_eq!(Test::live().receive(other), [read(2, Some(at(2)))]);
    }
}

#[test]
fn what_is_missing_is_read_before_what_follows_is_sent() {
    let mut test = Test::live();
    assert_eq!(test.receive(batch(4, 4)), [read(2, Some(at(2)))]);
    assert_eq!(test.receive(batch(5, 5)), []);
    assert_eq!(test.receive(batch(6, 6)), []);
    let step = [Step::Append(entries(3..=5)), Step::Append(entries(6..=6))];
    assert_eq!(test.complete(2, snapshot(at(5), 2..=5)), step);
    assert!(test.0.is_live());
}

#[test]
fn answers_to_earlier_questions_are_too_old() {
    let mut test = Test::returned();
    assert_eq!(test.0.subscribed(), read(3, Some(at(2))));
    assert_eq!(test.complete(2, snapshot(at(3), 2..=3)), []);
    assert_eq!(test.complete(3, snapshot(at(4), 2..=4)), [Step::Append(entries(3..=4))]);
    assert_eq!(test.complete(3, snapshot(at(5), 4..=5)), []);
}

#[test]
fn a_lost_connection_takes_with_it_what_was_held() {
    let mut test = Test::returned();
    assert_eq!(test.receive(batch(4, 4)), []);
    assert_eq!(test.0.subscribed(), read(3, Some(at(2))));
    assert_eq!(test.complete(3, snapshot(at(2), [2])), []);
    assert_eq!(test.receive(batch(3, 3)), [Step::Append(entries(3..=3))]);
}

#[test]
fn a_long_gap_is_read_in_several_parts() {
    let mut test = Test::returned();
    let step = [Step::Append(entries(3..=4)), read(3, Some(at(4)))];
    assert_eq!(test.complete(2, snapshot(at(6), 2..=4)), step);
    assert!(!test.0.is_live());
    assert_eq!(test.complete(3, snapshot(at(6), 4..=6)), [Step::Append(entries(5..=6))]);
    assert!(test.0.is_live());
}

#[test]
fn a_stream_that_does_not_reach_so_far_is_begun_anew() {
    // The third is the first that is left. It may follow another second one.
    for left in [3..=5, 4..=5] {
        let mut test = Test::returned();
        assert_eq!(test.complete(2, snapshot(at(5), left)), [read(3, None)]);
        // The fourth is missing between them.
        assert_eq!(test.complete(3, snapshot(at(6), [6, 5, 3])), [replaced(at(6), 5..=6)]);
        assert!(test.0.is_live());
    }
}

#[test]
fn messages_follow_the_beginning_of_an_epoch() {
    let mut test = Test(Follower::new());
    assert_eq!(test.0.subscribed(), read(1, None));
    assert_eq!(test.complete(1, snapshot(at(0), [])), [replaced(at(0), [])]);
    assert_eq!(test.receive(batch(2, 2)), [read(2, Some(at(0)))]);
    assert_eq!(test.complete(2, snapshot(at(2), 1..=2)), [Step::Append(entries(1..=2))]);
}

#[test]
fn another_epoch_is_begun_with() {
    let next = EPOCH + 1;
    let mut test = Test::live();
    let later = Batch { epoch: next, ..batch(3, 3) };
    assert_eq!(test.receive(later), [read(2, Some(at(2)))]);
    let mut test = Test::live();
    let begun = Batch { epoch: next, first: 1, at: NOW, entries: Vec::new() };
    assert_eq!(test.receive(begun), [read(2, Some(at(2)))]);
    assert_eq!(test.complete(2, snapshot(Position::new(next, 1), [1])), [read(3, None)]);
    let step = [replaced(Position::new(next, 1), [1])];
    assert_eq!(test.complete(3, snapshot(Position::new(next, 1), [1])), step);
    // What was on its way when the epoch began.
    assert_eq!(test.receive(batch(3, 3)), []);
    assert!(test.0.is_live());
}

#[test]
fn an_epoch_that_has_lost_messages_is_renewed() {
    let other_time = |mut snapshot: Snapshot| {
        snapshot.entries[0].2 = 77;
        snapshot
    };
    for lost in [
        snapshot(at(1), []),
        snapshot(at(0), []),
        // Another message has its number, or it was published again.
        Snapshot { end: at(3), now: NOW, entries: vec![(at(2), entry(7), 2)] },
        other_time(snapshot(at(3), 2..=3)),
    ] {
        let mut test = Test::returned();
        assert_eq!(test.complete(2, lost), [renew(EPOCH, EPOCH, Some(2))]);
        assert_eq!(test.receive(batch(3, 3)), []);
        assert_eq!(steps(|steps| test.0.renewed(steps)), [read(3, None)]);
        let end = Position::new(EPOCH + 1, 0);
        assert_eq!(test.complete(3, snapshot(end, [])), [replaced(end, [])]);
        assert_eq!(steps(|steps| test.0.renewed(steps)), []);
    }
}

#[test]
fn a_room_never_goes_back_to_an_earlier_place() {
    let earlier = Position::new(EPOCH - 1, 9);
    let mut test = Test::returned();
    assert_eq!(test.complete(2, snapshot(earlier, [])), [read(3, None)]);
    assert_eq!(test.complete(3, snapshot(earlier, [])), [renew(EPOCH - 1, EPOCH, Some(2))]);

    let mut test = Test::returned();
    assert_eq!(test.complete(2, snapshot(Position::new(EPOCH + 1, 0), [])), [read(3, None)]);
    assert_eq!(test.complete(3, snapshot(at(1), [1])), [renew(EPOCH, EPOCH, Some(2))]);
}

#[test]
fn a_room_without_members_begins_with_the_newest_messages() {
    let mut test = Test::live();
    assert_eq!(test.0.restart(), read(2, None));
    assert_eq!(test.receive(batch(4, 4)), []);
    let step = [replaced(at(3), 2..=3), Step::Append(entries(4..=4))];
    assert_eq!(test.complete(2, snapshot(at(3), [3, 2])), step);
}

#[test]
fn a_comparison_finds_what_was_lost_here() {
    let mut test = Test::live();
    assert!(test.0.ask());
    // It may still be on its way.
    assert_eq!(test.compare(at(3)), []);
    assert!(test.0.ask());
    assert_eq!(test.compare(at(3)), [read(2, Some(at(2)))]);
    assert_eq!(test.complete(2, snapshot(at(3), 2..=3)), [Step::Append(entries(3..=3))]);
    assert!(test.0.ask());
    assert_eq!(test.compare(at(4)), []);
}

#[test]
fn a_comparison_finds_what_was_lost_in_redis() {
    for end in [at(1), Position::new(EPOCH + 1, 2)] {
        let mut test = Test::live();
        assert!(test.0.ask());
        assert_eq!(test.compare(end), [read(2, Some(at(2)))]);
    }
}

#[test]
fn a_comparison_does_not_hurry_what_is_on_its_way() {
    let mut test = Test::live();
    assert_eq!(test.compare(at(1)), [], "nothing was asked");
    assert!(test.0.ask());
    assert_eq!(test.receive(batch(3, 3)), [Step::Append(entries(3..=3))]);
    assert_eq!(test.compare(at(2)), []);
    assert!(test.0.ask());
    assert_eq!(test.compare(at(4)), []);
    assert_eq!(test.receive(batch(4, 4)), [Step::Append(entries(4..=4))]);
    assert!(test.0.ask());
    assert_eq!(test.compare(at(5)), []);
}

#[test]
fn what_was_refused_is_asked_again() {
    let mut test = Test::returned();
    test.0.fail();
    assert_eq!(test.0.retry(), Some(read(3, Some(at(2)))));
    assert_eq!(test.0.retry(), None);
    assert_eq!(test.complete(3, snapshot(at(1), [])), [renew(EPOCH, EPOCH, Some(2))]);
    test.0.fail();
    assert_eq!(test.0.retry(), Some(read(4, Some(at(2)))));
}

#[test]
fn nothing_is_read_before_the_confirmation() {
    let mut test = Test(Follower::new());
    test.0.fail();
    assert_eq!(test.0.retry(), None);
}

#[test]
fn a_comparison_in_an_earlier_epoch_says_nothing_about_this_one() {
    let next = Position::new(EPOCH + 1, 1);
    let mut test = Test::live();
    assert!(test.0.ask());
    assert_eq!(test.compare(at(9)), []);
    assert_eq!(test.0.subscribed(), read(2, Some(at(2))));
    assert_eq!(test.complete(2, snapshot(next, [1])), [read(3, None)]);
    assert_eq!(test.complete(3, snapshot(next, [1])), [replaced(next, [1])]);
    assert!(test.0.ask());
    assert_eq!(test.compare(next), []);
}

#[test]
fn one_comparison_at_a_time_is_made() {
    let mut test = Test::live();
    assert!(test.0.ask());
    assert!(!test.0.ask());
    assert_eq!(test.receive(batch(3, 3)), [Step::Append(entries(3..=3))]);
    assert_eq!(test.compare(at(2)), [], "it was asked before the third message arrived");
    assert!(test.0.ask());
    test.0.fail();
    assert!(test.0.ask());
    assert_eq!(test.0.retry(), None);
}

#[test]
fn what_is_held_is_bounded() {
    let mut test = Test::returned();
    let large = |sequence| {
        let payload = vec![b'a'; MAX_HELD_BYTES / 4];
        let entries = vec![Entry { payload, ..entry(sequence) }];
        Batch { entries, ..batch(sequence, sequence) }
    };
    for sequence in 3..=98 {
        assert_eq!(test.receive(large(sequence)), []);
        assert!(test.0.held_bytes <= MAX_HELD_BYTES);
        assert_eq!(test.0.held_bytes, test.0.held.iter().map(Batch::size).sum::<usize>());
    }
    // More has arrived than was held, even if nothing is left of it: it is read.
    assert!(test.0.held.is_empty());
    let step = [Step::Append(entries(3..=10)), read(3, Some(at(10)))];
    assert_eq!(test.complete(2, snapshot(at(10), 2..=10)), step);
    assert_eq!(test.complete(3, snapshot(at(98), 10..=98)), [Step::Append(entries(11..=98))]);
    assert!(test.0.is_live());
}

#[test]
fn batches_without_messages_are_bounded_too() {
    let mut test = Test::returned();
    let begun = Batch { epoch: EPOCH, first: 1, at: NOW, entries: Vec::new() };
    for _ in 0..MAX_HELD_BYTES / size_of::<Batch>() + 1 {
        test.receive(begun.clone());
    }
    assert!(test.0.held.len() <= 1);
}
