//! What the other tests believe about the servers and the relays that they use.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::redis::Redis;
use crate::relay::{Direction, Relay};
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
