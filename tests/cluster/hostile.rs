//! What other programs, or mistakes, leave in Redis.

use tungstenite::protocol::Message;

use crate::member::{Member, Plain};
use crate::nodes::Nodes;
use crate::process::Process;
use crate::redis::Redis;
use crate::script;
use crate::support::eventually;

const PUBLISH: &str = include_str!("../../src/cluster/script/publish.lua");
const READ: &str = include_str!("../../src/cluster/script/read.lua");

const RENEW: &str = include_str!("../../src/cluster/script/renew.lua");

const STREAM: &str = "townhall:{/lobby}";
const META: &str = "townhall:{/lobby}:meta";

/// Publishes a text as a back end does, and returns the epoch and the number.
fn publish(redis: &Redis, text: &str) -> (u64, u64) {
    let answer = redis.cli(&["eval", PUBLISH, "2", STREAM, META, "text", text]);
    place(&answer)
}

/// Reads the newest entries as a process does: the epoch, the last number, and the texts.
fn read(redis: &Redis) -> (u64, u64, Vec<String>) {
    let answer = redis.cli(&["eval", READ, "2", STREAM, META, "60000", "", "10", "10000"]);
    let (epoch, number) = place(&answer);
    let lines: Vec<_> = answer.lines().collect();
    let texts = lines.windows(2).filter(|pair| pair[0] == "text").map(|pair| pair[1].to_owned());
    (epoch, number, texts.collect())
}

fn place(answer: &str) -> (u64, u64) {
    let mut numbers = answer.lines().map(|line| line.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// The number of members of the room, as a process knows it.
fn members(process: &Process) -> u64 {
    let body: serde_json::Value = serde_json::from_str(&process.count("/lobby", "").body).unwrap();
    body["members"].as_u64().unwrap()
}

#[test]
fn a_room_to_which_something_else_has_added_an_entry_begins_anew() {
    let redis = Redis::start();
    for id in ["*", "18446744073709551615-18446744073709551615"] {
        let (epoch, number) = publish(&redis, "before");
        redis.cli(&["xadd", STREAM, id, "anything", "else"]);
        assert_eq!(read(&redis), (epoch, number, vec!["before".to_owned()]));
        let (next, first) = publish(&redis, "after");
        assert!(next > epoch && first == 1, "{next}-{first} after {epoch}-{number}");
        assert_eq!(read(&redis), (next, 1, vec!["after".to_owned()]));
        redis.cli(&["flushall"]);
    }
}

#[test]
fn an_entry_before_the_first_one_is_not_read() {
    let redis = Redis::start();
    let (epoch, ..) = read(&redis);
    redis.cli(&["xadd", STREAM, &format!("{epoch}-0"), "text", "x", "from", "-", "at", "1"]);
    assert_eq!(read(&redis), (epoch, 0, Vec::new()));
    assert_eq!(publish(&redis, "first"), (epoch, 1));
}

#[test]
fn a_state_with_which_nobody_can_count_is_replaced() {
    let redis = Redis::start();
    for (field, value) in [
        ("epoch", "18446744073709551615"),
        ("epoch", "9007199254740992"),
        ("epoch", "x"),
        ("epoch", ""),
        ("seq", "18446744073709551615"),
        ("seq", "9007199254740992"),
        ("seq", "-1"),
        ("seq", "1.5"),
        ("seq", ""),
    ] {
        let (epoch, _) = publish(&redis, "before");
        redis.cli(&["hset", META, field, value]);
        let (next, number) = publish(&redis, "after");
        assert!(next >= epoch && number == 1, "{field} {value:?}: {next}-{number}");
        redis.cli(&["hset", META, field, value]);
        let (last, number, texts) = read(&redis);
        assert!(last >= next && number == 0 && texts.is_empty(), "{field} {value:?}: {last}");
    }
}

#[test]
fn arguments_that_are_no_message_change_nothing() {
    let redis = Redis::start();
    let (epoch, _) = publish(&redis, "before");
    for arguments in [&["text"][..], &["json", "{}"], &[]] {
        let call = ["eval", PUBLISH, "2", STREAM, META];
        let error = redis.try_cli(&[&call, arguments].concat()).unwrap_err();
        assert!(error.contains("the arguments are text or binary, and the message"), "{error}");
    }
    assert_eq!(read(&redis), (epoch, 1, vec!["before".to_owned()]));
}

/// When the newest entry was added.
fn newest(redis: &Redis) -> u64 {
    let entry = redis.cli(&["xrevrange", STREAM, "+", "-", "count", "1"]);
    entry.lines().last().unwrap().parse().unwrap()
}

#[test]
fn a_new_epoch_keeps_what_was_added_after_the_last_message_that_members_have() {
    let redis = Redis::start();
    publish(&redis, "heard");
    let heard = newest(&redis);
    let mut missed = Vec::new();
    while missed.len() < 3 {
        let (epoch, number) = publish(&redis, "missed");
        if newest(&redis) > heard {
            missed.push((epoch, number));
        } else {
            // It was added in the same millisecond.
            redis.cli(&["xdel", STREAM, &format!("{epoch}-{number}")]);
        }
    }
    let epoch = missed[0].0.to_string();
    let renew = |after: &str| {
        let ask = ["eval", RENEW, "2", STREAM, META, &epoch, &epoch, "60000", after];
        place(&redis.cli(&ask))
    };
    let (next, number) = renew(&heard.to_string());
    assert!(next > missed[0].0 && number == 3, "{next}-{number}");
    assert_eq!(read(&redis), (next, 3, vec!["missed".to_owned(); 3]));
    assert_eq!(renew(""), (next, 3), "another process comes too late");
    assert_eq!(publish(&redis, "after"), (next, 4));
}

#[test]
fn a_stream_takes_little_more_memory_than_it_may() {
    let redis = Redis::start();
    let publish = |size: usize, number: u64| {
        let (text, number) = ("x".repeat(size), number.to_string());
        let rest = ["00000000000000ff", &number, "1000", "60000", "1000"];
        redis.cli(&[&["eval", PUBLISH, "2", STREAM, META, "text", &text][..], &rest].concat());
        redis.cli(&["xlen", STREAM]).trim().parse::<usize>().unwrap()
    };
    let lengths: Vec<_> = (1..=60).map(|number| publish(100, number)).collect();
    assert!(lengths.iter().all(|length| *length <= 20), "{lengths:?}");
    assert!(lengths[20..].iter().all(|length| *length >= 10), "{lengths:?}");
    assert_eq!(publish(5_000, 61), 1, "the newest message is always kept");
    assert_eq!(publish(100, 62), 1, "what is too long goes first");
}

#[test]
fn a_client_hears_what_it_says_before_it_is_a_member() {
    let redis = Redis::start();
    let [a, b] = [(); 2].map(|()| Process::start(&redis.url()));
    for number in 0..50 {
        let process = [&a, &b][number % 2];
        let mut client = Plain::join(&process.address, &format!("/{}", number / 2));
        client.send("at once");
        assert_eq!(client.hear_text(), "at once");
    }
}

#[test]
fn a_text_that_is_not_utf_8_arrives_as_a_binary_message() {
    let redis = Redis::start();
    let process = Process::start(&redis.url());
    let mut member = Plain::join(&process.address, "/lobby");
    eventually("it is a member", || members(&process) == 1);
    // redis-cli would take the byte for something else.
    let broken = PUBLISH.replacen("local stream", "ARGV[2] = '\\255'\nlocal stream", 1);
    redis.cli(&["eval", &broken, "2", STREAM, META, "text", ""]);
    script::publish(&redis, "/lobby", "text", "next");
    let mut newcomer = Plain::join(&process.address, "/lobby?last=2");
    for member in [&mut member, &mut newcomer] {
        assert_eq!(member.hear(), Message::binary(&[255][..]));
        assert_eq!(member.hear(), Message::text("next"));
    }
}

#[test]
fn more_messages_than_a_stream_keeps_survive_an_interruption() {
    const COUNT: usize = 3_000;
    let mut redis = Redis::start_durable();
    let flags = ["--history-messages", "100"];
    let [a, b] = [(); 2].map(|()| Process::start_with(&redis.url(), &flags));
    let mut sender = Member::join(&a.address, "/lobby");
    let mut listener = Member::join(&b.address, "/lobby");
    sender.send("before");
    assert_eq!(listener.hear_text(), "before");
    redis.kill();
    for number in 0..COUNT {
        sender.send(&number.to_string());
    }
    eventually("all of them wait", || a.metric("townhall_redis_queued_messages") == COUNT as f64);
    redis.restart();
    assert_eq!(sender.hear_text(), "before");
    for number in 0..COUNT {
        assert_eq!(sender.hear_text(), number.to_string());
        assert_eq!(listener.hear_text(), number.to_string());
    }
}

#[test]
fn a_right_that_is_missing_in_the_script_leaves_no_half_of_a_message() {
    let redis = Redis::start();
    let process = Process::start(&redis.url());
    let mut member = Member::join(&process.address, "/lobby");
    redis.cli(&["acl", "setuser", "default", "-spublish"]);
    member.send("late");
    process.log_until("NOPERM");
    eventually("the message waits", || process.metric("townhall_redis_queued_messages") == 1.0);
    assert_eq!(redis.cli(&["exists", STREAM]), "0");
    redis.cli(&["acl", "setuser", "default", "+spublish"]);
    assert_eq!(member.hear_text(), "late");
    assert_eq!(read(&redis).2, ["late"]);
}

#[test]
fn a_flood_on_a_channel_does_not_fill_the_log() {
    let redis = Redis::start();
    let process = Process::start(&redis.url());
    let mut member = Member::join(&process.address, "/lobby");
    let flood = "for i = 1, 5000 do redis.call('SPUBLISH', KEYS[1], 'junk') end";
    redis.cli(&["eval", flood, "1", STREAM]);
    member.send("after it");
    assert_eq!(member.hear_text(), "after it");
    let mut lines = process.log_until("more such lines");
    lines.retain(|line| line.contains("is ignored"));
    assert!((1..=100).contains(&lines.len()), "{} lines", lines.len());
}

#[test]
fn presence_survives_what_something_else_writes_to_its_keys() {
    const PROCESSES: &str = "townhall:{presence}";
    let redis = Redis::start();
    let a = Process::start(&redis.url());
    let mut b = Process::start(&redis.url());
    let names = redis.cli(&["zrange", PROCESSES, "0", "-1"]);
    let _here = Member::join(&a.address, "/lobby");
    let _there = Member::join(&b.address, "/lobby");
    eventually("both are counted", || members(&a) == 2);
    // A name that is not UTF-8, and that stays.
    let add = "redis.call('ZADD', KEYS[1], 1e15, '\\255')";
    redis.cli(&["eval", add, "1", PROCESSES]);
    b.kill();
    for name in names.lines() {
        redis.cli(&["zrem", PROCESSES, name]);
    }
    eventually("the members of the other process have gone", || members(&a) == 1);
    redis.cli(&["set", PROCESSES, "something else"]);
    let lines = a.log_until(r#""townhall:{presence}": WRONGTYPE"#);
    assert_eq!(lines.iter().filter(|line| line.contains("WRONGTYPE")).count(), 1);
}

#[test]
fn rooms_of_other_nodes_can_be_entered_while_a_node_is_gone() {
    let mut nodes = Nodes::start();
    for node in &nodes.0 {
        node.cli(&["config", "set", "cluster-require-full-coverage", "no"]);
    }
    let process = Process::start(&nodes.urls());
    let owner = |room: &String| Nodes::owner(nodes.slot(&format!("townhall:{{{room}}}")));
    let room = (0..).map(|number| format!("/{number}")).find(|room| owner(room) == 0).unwrap();
    nodes.0[2].kill();
    eventually("the process counts as not ready", || !process.is_ready());
    let mut member = Member::join(&process.address, &room);
    member.send("hello");
    assert_eq!(member.hear_text(), "hello");
}
