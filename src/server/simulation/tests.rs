//! Random steps, after each of which every peer has received what it must receive.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn action() -> impl Strategy<Value = Action> {
    let length = 0..6_000usize;
    prop_oneof![
        1 => (0..3usize).prop_map(Action::Join),
        1 => (0..9usize, from()).prop_map(|(place, from)| Action::Move(place, from)),
        1 => Just(Action::Beat),
        1 => Just(Action::Leave),
        9 => length.clone().prop_map(Action::Publish),
        3 => length.clone().prop_map(Action::PublishToOthers),
        3 => length.clone().prop_map(Action::Send),
        1 => Just(Action::Close),
        1 => Just(Action::PeerClose),
        2 => Just(Action::Break),
        4 => length.prop_map(Action::Read),
        4 => Just(Action::Read(1_000_000)),
    ]
}

fn from() -> impl Strategy<Value = From> {
    prop_oneof![
        1 => Just(From::Now),
        2 => (0..60usize).prop_map(From::Newest),
        6 => Just(From::Place),
        2 => (1..20usize).prop_map(From::Before),
        1 => (1..20usize).prop_map(From::After),
        1 => Just(From::OtherEpoch),
        1 => Just(From::OtherRoom),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (0..20usize, 0..3usize).prop_map(|(offer, room)| Step::Connect { offer, room }),
        1 => (0..20usize, 0..9usize, from())
            .prop_map(|(offer, place, from)| Step::Return { offer, place, from }),
        10 => (0..20usize, action()).prop_map(|(peer, action)| Step::Peer(peer, action)),
        2 => Just(Step::Flush),
        1 => Just(Step::FlushEarly),
        1 => Just(Step::Rest),
        1 => (0..3usize, 0..6_000usize)
            .prop_map(|(room, length)| Step::Broadcast { room, length }),
        1 => (0..3usize, 0..6usize).prop_map(|(room, count)| Step::Replace { room, count }),
    ]
}

fn run(slow: Slow, kept: Kept, steps: &[Step]) {
    for max_total_backlog_bytes in [SCARCE_BYTES, usize::MAX] {
        let mut simulation = Simulation::new(slow, max_total_backlog_bytes, kept);
        for step in steps {
            simulation.step(step);
        }
        simulation.finish();
    }
}

#[test]
fn a_member_can_inflate_its_backlog_from_a_shared_context_whatever_it_misses() {
    let comes = [
        Step::Connect { offer: 1, room: 0 },
        Step::Connect { offer: 1, room: 0 },
        Step::Peer(0, Action::Read(1_000_000)),
    ];
    let talk = [Step::Peer(0, Action::Publish(100)), Step::Flush];
    let whispers = [Step::Peer(1, Action::Send(20)), Step::Flush].repeat(12);
    // Some messages are below the limit, but exceed it together with later ones.
    for count in [60, 70, 80] {
        for departure in [Action::Leave, Action::Join(1), Action::PublishToOthers(10)] {
            let talk = talk.repeat(count);
            let departure = [Step::Peer(1, departure)];
            run(Slow::Drop, Kept::Nothing, &[&comes, &talk[..], &departure, &whispers].concat());
        }
    }
}

/// Two members that hear words, one of which reads everything, and some messages of 3 KB from it.
fn talk_to_a_deaf_member(messages: usize) -> Vec<Step> {
    let comes = [
        Step::Connect { offer: 5, room: 0 },
        Step::Connect { offer: 5, room: 0 },
        Step::Peer(1, Action::Read(1_000_000)),
    ];
    let talk = [Step::Peer(1, Action::Publish(3_000)), Step::Flush].repeat(messages);
    [&comes, &talk[..]].concat()
}

#[test]
fn nobody_comes_back_further_behind_than_a_slow_member_may_be() {
    let leaves = [
        Step::Connect { offer: 5, room: 0 },
        Step::Peer(0, Action::Read(1_000_000)),
        Step::Flush,
        Step::Peer(0, Action::Break),
    ];
    // What the slow member has not read is kept for it.
    let talk = talk_to_a_deaf_member(12);
    for from in [From::Place, From::Newest(100), From::Now] {
        let returns = [Step::Return { offer: 5, place: 0, from }, Step::Flush];
        run(Slow::Close, Kept::Everything, &[&leaves, &talk[..], &returns].concat());
    }
}

#[test]
fn a_member_that_misses_messages_of_the_room_that_it_has_left_is_told_where_it_is_now() {
    for room in [0, 1] {
        let moves = [
            Step::Peer(0, Action::Join(room)),
            Step::Peer(0, Action::Send(1_500)),
            Step::Peer(1, Action::Publish(30)),
            Step::Flush,
        ];
        run(Slow::Drop, Kept::Everything, &[&talk_to_a_deaf_member(5), &moves[..]].concat());
    }
}

#[test]
fn a_slow_sender_knows_its_place_after_its_own_messages() {
    let own = [Step::Peer(0, Action::PublishToOthers(30)); 2];
    let end = [Step::Peer(1, Action::Publish(30)), Step::Flush];
    for (sends, more) in [(1, 6), (2, 6), (6, 6), (8, 6), (6, 0), (9, 0), (12, 0), (15, 0)] {
        let send = [Step::Peer(0, Action::Send(3_000))];
        let later = if more > 0 { &own[..] } else { &[] };
        let steps = [
            &talk_to_a_deaf_member(1)[..],
            &own,
            &send.repeat(sends),
            later,
            &send.repeat(more),
            &end,
        ];
        run(Slow::Drop, Kept::Everything, &steps.concat());
    }
}

#[test]
fn a_slow_sender_that_moves_gets_no_place_of_its_last_room_in_the_next() {
    let own = [Step::Peer(0, Action::PublishToOthers(30))];
    let talk = [Step::Peer(1, Action::Publish(3_000)), Step::Flush].repeat(4);
    for room in [0, 1] {
        let moves = [Step::Peer(0, Action::Join(room)), Step::Peer(0, Action::Send(1_500))];
        let steps = [&talk_to_a_deaf_member(1)[..], &own, &talk, &moves, &own];
        run(Slow::Drop, Kept::Everything, &steps.concat());
    }
}

#[test]
fn a_member_that_loses_its_context_is_told_what_is_kept_no_more() {
    let comes = [
        Step::Connect { offer: 6, room: 0 },
        Step::Connect { offer: 6, room: 0 },
        Step::Peer(0, Action::Read(1_000_000)),
        Step::Peer(1, Action::Read(100)),
        Step::Flush,
    ];
    let talk = [
        Step::Peer(0, Action::Publish(2_400)),
        Step::Flush,
        // What the other room keeps takes the place of the past of this one.
        Step::Broadcast { room: 1, length: 5_001 },
        Step::Broadcast { room: 1, length: 5_001 },
        Step::Flush,
    ];
    // The other member falls too far behind between the first and the last of these.
    for count in [5, 40, 80, 160] {
        for end in [Action::Read(10), Action::PublishToOthers(30), Action::Join(0)] {
            let end = [Step::Peer(1, end), Step::Peer(0, Action::Publish(30)), Step::Flush];
            run(Slow::Drop, Kept::Little, &[&comes, &talk.repeat(count)[..], &end].concat());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn every_peer_receives_exactly_what_it_must(steps in vec(step(), 1..400)) {
        run(Slow::Close, Kept::Nothing, &steps);
        run(Slow::Pause, Kept::Nothing, &steps);
    }

    #[test]
    fn a_slow_member_may_miss_old_messages_but_not_the_newest(steps in vec(step(), 1..400)) {
        run(Slow::Drop, Kept::Nothing, &steps);
    }

    #[test]
    fn every_peer_that_comes_back_receives_what_it_has_missed(steps in vec(step(), 1..400)) {
        run(Slow::Close, Kept::Everything, &steps);
        run(Slow::Pause, Kept::Everything, &steps);
    }

    #[test]
    fn every_peer_that_comes_back_too_late_is_told(steps in vec(step(), 1..400)) {
        run(Slow::Close, Kept::Little, &steps);
        run(Slow::Pause, Kept::Little, &steps);
    }

    #[test]
    fn every_slow_member_that_counts_is_told_what_it_misses(steps in vec(step(), 1..400)) {
        run(Slow::Drop, Kept::Everything, &steps);
        run(Slow::Drop, Kept::Little, &steps);
    }
}
