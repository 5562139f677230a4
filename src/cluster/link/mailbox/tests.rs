use std::sync::mpsc;

use townhall::{Config, Server};

use super::*;
use crate::cluster::entry::{Batch, Entry, Kind};

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long something may take that must not happen.
const MOMENT: Duration = Duration::from_millis(50);

/// A mailbox, and the server whose event loop does not run.
fn mailbox() -> (Mailbox, Server) {
    let mut config = Config::default();
    config.listen = vec!["127.0.0.1:0".parse().unwrap()];
    let server = Server::bind(config).unwrap();
    (Mailbox::new(server.handle()), server)
}

/// A report of half of what may wait, with this number.
fn large(first: u64) -> Report {
    let entry = Entry { kind: Kind::Text, payload: vec![b'a'; MAX_BYTES / 2], origin: None };
    Report::Batch("a".into(), Batch { epoch: 1, first, at: 1, entries: vec![entry] })
}

fn number(report: Option<Report>) -> Option<u64> {
    match report? {
        Report::Batch(_, batch) => Some(batch.first),
        _ => None,
    }
}

/// Calls `free` once a thread waits for room, and expects that it continues then.
fn expect_freed(mailbox: &Mailbox, free: impl FnOnce()) {
    thread::scope(|scope| {
        let (done, is_done) = mpsc::channel();
        scope.spawn(move || {
            mailbox.put(large(3));
            done.send(()).unwrap();
        });
        assert!(is_done.recv_timeout(MOMENT).is_err(), "it is full");
        // Answers were asked for, and do not wait.
        mailbox.answer(Report::Subscribed("a".into()));
        free();
        let freed = is_done.recv_timeout(PATIENCE);
        if freed.is_err() {
            // Otherwise the thread would never end.
            while mailbox.take().is_some() {}
        }
        assert_eq!(freed, Ok(()));
    });
}

#[test]
fn who_receives_too_much_waits_until_it_is_taken() {
    let (mailbox, _server) = mailbox();
    mailbox.put(large(1));
    mailbox.put(large(2));
    expect_freed(&mailbox, || assert_eq!(number(mailbox.take()), Some(1)));
    assert_eq!(number(mailbox.take()), Some(2));
    assert!(matches!(mailbox.take(), Some(Report::Subscribed(_))));
    assert_eq!(number(mailbox.take()), Some(3));
    assert!(mailbox.take().is_none());
    assert_eq!(mailbox.content().bytes, 0);
}

#[test]
fn nobody_waits_at_the_end() {
    let (mailbox, _server) = mailbox();
    mailbox.put(large(1));
    mailbox.put(large(2));
    expect_freed(&mailbox, || mailbox.close());
}

#[test]
fn the_event_loop_is_told_once_until_it_has_taken_everything() {
    let (mailbox, _server) = mailbox();
    mailbox.put(large(1));
    assert!(mailbox.content().announced);
    mailbox.put(large(2));
    assert_eq!(number(mailbox.take()), Some(1));
    assert_eq!(number(mailbox.take()), Some(2));
    assert!(mailbox.content().announced);
    assert!(mailbox.take().is_none());
    assert!(!mailbox.content().announced);
}
