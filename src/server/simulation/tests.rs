//! Random steps, after each of which every peer has received what it must receive.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn action() -> impl Strategy<Value = Action> {
    let length = 0..6_000usize;
    prop_oneof![
        1 => (0..3usize).prop_map(Action::Join),
        1 => Just(Action::Leave),
        9 => length.clone().prop_map(Action::Publish),
        3 => length.clone().prop_map(Action::PublishToOthers),
        3 => length.clone().prop_map(Action::Send),
        1 => Just(Action::Close),
        1 => Just(Action::PeerClose),
        1 => Just(Action::Break),
        4 => length.prop_map(Action::Read),
        4 => Just(Action::Read(1_000_000)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (0..5usize, 0..3usize).prop_map(|(offer, room)| Step::Connect { offer, room }),
        10 => (0..20usize, action()).prop_map(|(peer, action)| Step::Peer(peer, action)),
        2 => Just(Step::Flush),
        1 => Just(Step::FlushEarly),
        1 => Just(Step::Rest),
        1 => (0..3usize, 0..6_000usize)
            .prop_map(|(room, length)| Step::Broadcast { room, length }),
    ]
}

fn run(slow: Slow, steps: &[Step]) {
    for max_total_backlog_bytes in [SCARCE_BYTES, usize::MAX] {
        let mut simulation = Simulation::new(slow, max_total_backlog_bytes);
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
            run(Slow::Drop, &[&comes, &talk[..], &departure, &whispers].concat());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn every_peer_receives_exactly_what_it_must(steps in vec(step(), 1..400)) {
        run(Slow::Close, &steps);
        run(Slow::Pause, &steps);
    }

    #[test]
    fn a_slow_member_may_miss_old_messages_but_not_the_newest(steps in vec(step(), 1..400)) {
        run(Slow::Drop, &steps);
    }
}
