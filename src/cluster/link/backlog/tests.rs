use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::cluster::entry::Kind;
use crate::cluster::link::job::Job;

const ROOMS: [&str; 3] = ["a", "b", "c"];

fn message(room: &str, number: u64, size: usize) -> Publication {
    let payload = vec![b'a'; size].into();
    Publication { channel: room.into(), number, kind: Kind::Text, payload, answer: None }
}

fn backlog() -> Backlog {
    Backlog::new(2 * MAX_TAKEN)
}

fn accept(backlog: &mut Backlog, taken: Taken) -> Vec<Work> {
    backlog.accept(taken, &Permit { may_read: true, may_publish: |_: &_| true })
}

fn taken(publications: Vec<Publication>) -> Taken {
    Taken { publications, ..Taken::default() }
}

/// The rooms and the numbers of what is published.
fn published(works: &[Work]) -> Vec<(String, Vec<u64>)> {
    let messages = works.iter().filter_map(|work| match &work.task {
        Task::Publish(messages) => Some(messages),
        Task::Job(_) => None,
    });
    let place = |messages: &Vec<Publication>| {
        assert!(messages.iter().all(|message| message.channel == messages[0].channel));
        let numbers = messages.iter().map(|message| message.number).collect();
        (messages[0].channel.to_string(), numbers)
    };
    messages.map(place).collect()
}

#[test]
fn messages_of_a_room_go_out_together() {
    let mut backlog = backlog();
    let messages = [("a", 1), ("b", 2), ("a", 3), ("b", 4)];
    let messages = messages.map(|(room, number)| message(room, number, 1)).into();
    let works = accept(&mut backlog, taken(messages));
    let mut published = published(&works);
    published.sort();
    assert_eq!(published, [("a".to_owned(), vec![1, 3]), ("b".to_owned(), vec![2, 4])]);
    assert!(backlog.is_empty());
}

#[test]
fn what_is_repeated_stays_as_it_was() {
    let mut backlog = backlog();
    let works = accept(&mut backlog, taken(vec![message("a", 1, 1), message("a", 2, 1)]));
    backlog.put_back(works);
    let works = accept(&mut backlog, taken(vec![message("a", 3, 1), message("b", 4, 1)]));
    assert_eq!(published(&works), [("a".to_owned(), vec![1, 2]), ("b".to_owned(), vec![4])]);
    assert!(backlog.is_done() && !backlog.is_empty());
    assert_eq!(published(&accept(&mut backlog, taken(Vec::new()))), [("a".to_owned(), vec![3])]);
    assert!(backlog.is_empty());
}

#[test]
fn a_room_does_not_keep_others_waiting() {
    let mut backlog = backlog();
    let many = (1..=MAX_TAKEN as u64 + 5).map(|number| message("a", number, 0)).collect();
    let first = published(&accept(&mut backlog, taken(many)));
    assert_eq!(first[0].1.len(), MAX_TAKEN);
    let rest = published(&accept(&mut backlog, taken(vec![message("a", 9_999, 0)])));
    assert_eq!(rest[0].1, [2_001, 2_002, 2_003, 2_004, 2_005, 9_999]);

    // A small one does not overtake those that are too large.
    let large = (1..=3).map(|number| message("b", number, MAX_TAKEN_BYTES / 2));
    let works = accept(&mut backlog, taken(large.chain([message("b", 4, 0)]).collect()));
    assert_eq!(published(&works), [("b".to_owned(), vec![1, 2])]);
    assert_eq!(published(&accept(&mut backlog, Taken::default())), [("b".to_owned(), vec![3, 4])]);
}

#[test]
fn no_more_goes_out_than_a_stream_keeps() {
    let mut backlog = Backlog::new(4);
    let works =
        accept(&mut backlog, taken((1..=5).map(|number| message("a", number, 1)).collect()));
    assert_eq!(published(&works), [("a".to_owned(), vec![1, 2])]);
    assert!(!backlog.is_held());
    assert_eq!(published(&accept(&mut backlog, Taken::default())), [("a".to_owned(), vec![3, 4])]);
}

#[test]
fn a_room_that_is_held_keeps_its_order_and_does_not_keep_others_waiting() {
    let mut backlog = backlog();
    let new = taken(vec![message("a", 1, 1), message("b", 2, 1)]);
    let works = backlog
        .accept(new, &Permit { may_read: true, may_publish: |room: &Arc<str>| **room != *"a" });
    assert_eq!(published(&works), [("b".to_owned(), vec![2])]);
    assert!(
        backlog
            .accept(
                taken(vec![message("a", 3, 1)]),
                &Permit { may_read: true, may_publish: |_: &_| false }
            )
            .is_empty()
    );
    assert!(backlog.is_held());
    let works = accept(&mut backlog, Taken::default());
    assert_eq!(published(&works), [("a".to_owned(), vec![1, 3])]);
    assert!(backlog.is_empty() && !backlog.is_held());
}

#[test]
fn jobs_keep_their_order_and_beats_are_not_repeated() {
    let mut backlog = backlog();
    let beat = || Task::Job(Job::Commands { key: "", ticket: 0, commands: Vec::new() });
    backlog.put_back([beat().into(), Task::Job(Job::Follow("a".into())).into()]);
    let jobs = vec![Job::Unfollow("a".into()), Job::Follow("b".into())];
    let works = accept(&mut backlog, Taken { jobs, ..Taken::default() });
    let jobs: Vec<_> = works.into_iter().map(|work| format!("{:?}", work.task)).collect();
    assert_eq!(jobs, [r#"Job(Follow("a"))"#, r#"Job(Unfollow("a"))"#, r#"Job(Follow("b"))"#]);
}

#[test]
fn what_was_to_be_read_of_a_room_is_forgotten_with_it() {
    let mut backlog = backlog();
    let read =
        |room: &str, ticket| Job::Read { channel: room.into(), ticket, from: None, max_count: 1 };
    backlog.put_back([read("a", 1), read("b", 2)].map(|job| Task::Job(job).into()));
    let jobs = vec![Job::Unfollow("a".into()), Job::Follow("a".into()), read("a", 3)];
    let works = accept(&mut backlog, Taken { jobs, ..Taken::default() });
    let tickets = works.iter().filter_map(|work| match work.task {
        Task::Job(Job::Read { ticket, .. }) => Some(ticket),
        _ => None,
    });
    assert_eq!(tickets.collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn few_streams_are_read_at_once_and_none_while_that_is_not_possible() {
    let mut backlog = backlog();
    let read = |number: usize, max_count| Job::Read {
        channel: number.to_string().into(),
        ticket: 1,
        from: None,
        max_count,
    };
    let jobs = (0..MAX_AT_ONCE + 5).map(|number| read(number, 100)).collect();
    let held = Permit { may_read: false, may_publish: |_: &_| true };
    assert!(backlog.accept(Taken { jobs, ..Taken::default() }, &held).is_empty());
    assert!(backlog.is_held());
    let numbers = vec![read(1, 0), read(2, 0)];
    assert_eq!(backlog.accept(Taken { jobs: numbers, ..Taken::default() }, &held).len(), 2);
    let first = accept(&mut backlog, Taken::default());
    assert_eq!(first.len(), MAX_AT_ONCE);
    backlog.put_back(first);
    assert_eq!(accept(&mut backlog, Taken::default()).len(), MAX_AT_ONCE);
    assert_eq!(accept(&mut backlog, Taken::default()).len(), 5);
    assert!(backlog.is_empty());
}

#[derive(Debug, Clone)]
struct Round {
    /// The rooms and the sizes of new messages.
    new: Vec<(usize, usize)>,
    /// Which works are not answered.
    lost: Vec<bool>,
}

fn round() -> impl Strategy<Value = Round> {
    let size = prop_oneof![5 => 0..100usize, 1 => Just(MAX_TAKEN_BYTES / 3)];
    let new = vec((0..ROOMS.len(), size), 0..12);
    (new, vec(any::<bool>(), 1..4)).prop_map(|(new, lost)| Round { new, lost })
}

proptest! {
    #[test]
    fn nothing_overtakes_and_nothing_is_lost(rounds in vec(round(), 1..20)) {
        let mut backlog = backlog();
        let mut number = 0;
        let mut done: HashMap<String, Vec<u64>> = HashMap::new();
        let mut expected = done.clone();
        let mut repeated: Vec<(String, Vec<u64>)> = Vec::new();
        let last = Round { new: Vec::new(), lost: vec![false] };
        for Round { new, lost } in rounds.into_iter().chain(vec![last; 100]) {
            let new = new.into_iter().map(|(room, size)| {
                number += 1;
                expected.entry(ROOMS[room].to_owned()).or_default().push(number);
                message(ROOMS[room], number, size)
            });
            let works = accept(&mut backlog, taken(new.collect()));
            let sent = published(&works);
            prop_assert!(sent.starts_with(&repeated), "what is repeated comes first");
            let mut rooms: Vec<_> = sent.iter().map(|(room, _)| room).collect();
            rooms.sort();
            rooms.dedup();
            prop_assert_eq!(rooms.len(), sent.len(), "one part of each room");
            repeated.clear();
            for ((work, part), lost) in works.into_iter().zip(sent).zip(lost.iter().cycle()) {
                if *lost {
                    backlog.put_back([work]);
                    repeated.push(part);
                } else {
                    done.entry(part.0).or_default().extend(part.1);
                }
            }
        }
        prop_assert!(backlog.is_empty());
        prop_assert_eq!(done, expected);
    }
}
