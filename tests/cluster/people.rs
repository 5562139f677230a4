//! Who is in a room, over all processes.

use std::fs;

use crate::member::{Heard, Member, Plain};
use crate::process::{Process, ask};
use crate::redis::Redis;
use crate::support::{Folder, eventually};

/// Tokens of a secret that all processes have.
struct Tokens(Folder);

impl Tokens {
    fn new() -> Self {
        let folder = Folder::new();
        fs::write(folder.path("secret"), "a secret of this test, which is long enough\n").unwrap();
        Self(folder)
    }

    fn start(&self, redis: &Redis, flags: &[&str]) -> Process {
        let flag = ["--auth-key-file", &self.0.path("secret")];
        Process::start_with(&redis.url(), &[&flag, flags].concat())
    }

    /// A token of this user, for all rooms.
    fn of(&self, user: &str) -> String {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_townhall"));
        command.args(["token", "--key-file", &self.0.path("secret"), "--sub", user]);
        let output = command.args(["--join", "/*", "--publish", "/*"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }
}

#[test]
fn members_are_counted_over_all_processes() {
    let redis = Redis::start();
    let [a, b, mut c] =
        [(); 3].map(|()| Process::start_with(&redis.url(), &["--presence", "/lobby"]));
    let mut watcher = Plain::join(&a.address, "/lobby/@members");
    let mut wait_for = |count: u64| {
        let text = format!("{{\"count\":{count}}}");
        while watcher.hear_text() != text {}
        for process in [&a, &b] {
            eventually("the others count them", || process.members("/lobby") == count);
        }
    };
    let mut members: Vec<_> =
        [&a, &b, &c].iter().map(|process| Plain::join(&process.address, "/lobby")).collect();
    wait_for(3);
    let more = Plain::join(&c.address, "/lobby");
    wait_for(4);
    members.remove(1);
    wait_for(3);
    c.kill();
    wait_for(1);
    drop(more);
}

#[test]
fn watchers_learn_who_is_at_other_processes() {
    let redis = Redis::start();
    let tokens = Tokens::new();
    let [a, b] = [(); 2].map(|()| tokens.start(&redis, &["--presence", "/lobby"]));
    let join =
        |process: &Process, user| Plain::join_with(&process.address, "/lobby", &tokens.of(user));
    let mut watcher = Plain::join_with(&a.address, "/lobby/@members", &tokens.of("watcher"));
    let mut wait_for = |expected: &str| {
        while watcher.hear_text() != expected {}
    };
    wait_for(r#"{"members":[],"count":0}"#);
    let ann = join(&b, "ann");
    wait_for(r#"{"joined":["ann"],"left":[],"count":1}"#);
    // Somebody with connections to several processes counts once.
    let second = join(&a, "ann");
    let bob = join(&a, "bob");
    wait_for(r#"{"joined":["bob"],"left":[],"count":2}"#);
    drop(ann);
    drop(bob);
    wait_for(r#"{"joined":[],"left":["bob"],"count":1}"#);
    drop(second);
    wait_for(r#"{"joined":[],"left":["ann"],"count":0}"#);
}

#[test]
fn a_revocation_holds_at_all_processes() {
    let redis = Redis::start();
    let tokens = Tokens::new();
    let [a, b, c] = [(); 3].map(|()| tokens.start(&redis, &[]));
    let token = tokens.of("42");
    let mut member = Plain::join_with(&b.address, "/lobby", &token);
    let mut other = Plain::join_with(&b.address, "/lobby", &tokens.of("43"));
    assert_eq!(ask(&a.admin, "POST", "/revoke?sub=42", "", "").status, 200);
    assert_eq!(member.closed(), 4403);
    let late = tokens.start(&redis, &[]);
    for process in [&a, &b, &c, &late] {
        eventually("the token is refused", || process.count("/lobby", &token).status == 403);
    }
    other.send("still here");
    assert_eq!(other.hear_text(), "still here");
}

#[test]
fn a_sender_does_not_hear_itself_unless_it_is_to() {
    let redis = Redis::start();
    let [a, b] = [(); 2].map(|()| Process::start_with(&redis.url(), &["--no-reflect"]));
    let mut sender = Member::join(&a.address, "/lobby");
    let mut near = Member::join(&a.address, "/lobby");
    let mut far = Member::join(&b.address, "/lobby");
    for number in 1..=3 {
        sender.send("hello");
        let Heard::Published(position) = sender.hear() else { panic!("no receipt") };
        assert_eq!(position.number, number);
        for member in [&mut near, &mut far] {
            assert_eq!(member.hear(), Heard::Message(position.clone(), "hello".to_owned()));
        }
    }
    far.send("answer");
    assert_eq!(sender.hear_text(), "answer");
    assert_eq!(sender.position.number, 4);
}
