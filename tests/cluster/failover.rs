//! Other servers that take over.

use std::time::{Duration, Instant};

use crate::load::Load;
use crate::member::Member;
use crate::nodes::Nodes;
use crate::order::{PACE, ROOMS};
use crate::process::Process;
use crate::redis::Redis;
use crate::relay::Relay;
use crate::script::publish;
use crate::sentinels::Sentinels;

#[test]
fn everybody_is_told_what_a_new_master_has_never_had() {
    let mut master = Redis::start_on_port("");
    let link = Relay::to_port(master.port);
    let replica = Redis::start_on_port("");
    replica.follow(link.port);
    let sentinels = Sentinels::start(&master, 1);
    let [a, b] = [(); 2].map(|()| Process::start(&sentinels.urls()));
    let load = Load::begin(&[&a, &b], &ROOMS, PACE);
    load.go_on(200);
    link.pause(true);
    load.go_on(200);
    master.kill();
    link.cut();
    sentinels.wait_for_master(&replica);
    load.go_on(400);
    let outcome = load.finish();
    outcome.assert_honest();
    assert!(outcome.all_were_told());
    outcome.assert_stored(|_| &replica);
}

#[test]
fn nothing_is_lost_when_a_slot_moves_to_another_node() {
    let nodes = Nodes::start();
    let [a, b] = [(); 2].map(|()| Process::start(&nodes.urls()));
    let owner = |key: &str| Nodes::owner(nodes.slot(key));
    let [slot, other] = ["townhall:{/lobby}", "townhall:{/hall/1}"].map(|key| nodes.slot(key));
    let from = Nodes::owner(slot);
    let to = (from + 1) % 3;
    let load = Load::begin(&[&a, &b], &ROOMS, PACE);
    for (from, to) in [(from, to), (to, from), (from, to)] {
        load.go_on(200);
        nodes.move_slot(slot, from, to);
    }
    load.go_on(200);
    let outcome = load.finish();
    outcome.assert_complete();
    outcome.assert_stored(|key| &nodes.0[if key == "townhall:{/lobby}" { to } else { owner(key) }]);
    // Processes that only listen notice it, too, and not only when they next compare the room with its stream.
    let mut members = [&a, &b].map(|process| Member::join(&process.address, "/hall/1?last=1"));
    let from = Nodes::owner(other);
    let to = (from + 1) % 3;
    nodes.move_slot(other, from, to);
    let moved = Instant::now();
    publish(&nodes.0[to], "/hall/1", "text", "hello");
    for member in &mut members {
        assert!(member.hear_text().ends_with(" ends"));
        assert_eq!(member.hear_text(), "hello");
    }
    assert!(moved.elapsed() < Duration::from_secs(5), "{:?}", moved.elapsed());
}
