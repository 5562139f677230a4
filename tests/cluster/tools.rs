//! What the other tests believe about the servers and the relay that they use.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::nodes::Nodes;
use crate::redis::Redis;
use crate::relay::{Direction, Relay};
use crate::sentinels::Sentinels;
use crate::support::eventually;

/// What redis-cli prints when it connects to a port.
fn cli(port: u16, arguments: &[&str]) -> Output {
    let mut command = Command::new("redis-cli");
    command.args(["-p", &port.to_string()]).args(arguments).output().unwrap()
}

fn stdout(output: Output) -> String {
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[test]
fn only_a_durable_server_remembers_what_was_written_before_it_was_killed() {
    for (mut redis, remembered) in [(Redis::start_durable(), "1"), (Redis::start(), "")] {
        redis.cli(&["set", "a", "1"]);
        redis.kill();
        assert!(redis.try_cli(&["ping"]).is_err());
        redis.restart();
        assert_eq!(redis.cli(&["get", "a"]), remembered);
    }
}

#[test]
fn a_relay_delays_loses_and_cuts() {
    let redis = Redis::start();
    let relay = Relay::to_socket(&redis.socket());
    assert_eq!(stdout(cli(relay.port, &["set", "a", "1"])), "OK");
    relay.delay(Duration::from_millis(100));
    let started = Instant::now();
    assert_eq!(stdout(cli(relay.port, &["get", "a"])), "1");
    assert!(started.elapsed() >= Duration::from_millis(200), "{:?}", started.elapsed());
    relay.delay(Duration::ZERO);
    for (direction, value) in [(Direction::Requests, "1"), (Direction::Replies, "2")] {
        relay.cut_after(direction, 3);
        assert_eq!(stdout(cli(relay.port, &["set", "a", "2"])), "");
        assert!(relay.has_cut());
        assert_eq!(redis.cli(&["get", "a"]), value);
    }
    relay.swallow_replies();
    let asking = std::thread::spawn({
        let port = relay.port;
        move || stdout(cli(port, &["set", "a", "3"]))
    });
    eventually("the request arrives", || redis.cli(&["get", "a"]) == "3");
    relay.cut();
    assert_eq!(asking.join().unwrap(), "");
    assert_eq!(stdout(cli(relay.port, &["get", "a"])), "3");
}

#[test]
fn a_replica_that_lags_behind_becomes_the_master() {
    let mut master = Redis::start_on_port("");
    let link = Relay::to_port(master.port);
    let replica = Redis::start_on_port("");
    master.cli(&["set", "a", "1"]);
    replica.follow(link.port);
    let sentinels = Sentinels::start(&master, 1);
    link.pause(true);
    master.cli(&["set", "a", "2"]);
    master.kill();
    link.cut();
    sentinels.wait_for_master(&replica);
    assert_eq!(replica.cli(&["get", "a"]), "1");
    let url = sentinels.urls();
    assert!(url.starts_with("redis://127.0.0.1:") && url.matches(',').count() == 2, "{url}");
}

#[test]
fn a_slot_moves_with_its_keys() {
    let nodes = Nodes::start();
    let slot = nodes.slot("{a}:1");
    let from = Nodes::owner(slot);
    let to = (from + 1) % 3;
    for key in ["{a}:1", "{a}:2"] {
        nodes.0[from].cli(&["set", key, "value"]);
    }
    nodes.move_slot(slot, from, to);
    assert_eq!(nodes.0[to].cli(&["get", "{a}:2"]), "value");
    let error = nodes.0[from].try_cli(&["get", "{a}:1"]).unwrap_err();
    assert!(error.contains(&format!("MOVED {slot} 127.0.0.1:{}", nodes.0[to].port)), "{error}");
    assert_eq!(nodes.urls().matches("redis://").count(), 3);
}
