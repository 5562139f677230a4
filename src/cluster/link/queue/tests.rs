use std::thread;

use super::*;
use crate::cluster::entry::Kind;

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(30);

fn message(number: u64, size: usize) -> Publication {
    let payload = vec![b'a'; size].into();
    Publication { channel: "a".into(), number, kind: Kind::Text, payload, answer: None }
}

fn publish(queue: &Queue, size: usize) -> Result<u64, Full> {
    queue.publish(|number| message(number, size))
}

fn numbers(taken: &Taken) -> Vec<u64> {
    taken.publications.iter().map(|publication| publication.number).collect()
}

#[test]
fn messages_are_numbered_and_keep_their_order() {
    let queue = Queue::new(1_000_000);
    for number in 1..=3 {
        assert_eq!(publish(&queue, 1), Ok(number));
    }
    assert_eq!(numbers(&queue.take(Duration::ZERO)), [1, 2, 3]);
    assert!(queue.take(Duration::ZERO).publications.is_empty());
    assert_eq!(publish(&queue, 1), Ok(4));
    assert_eq!(numbers(&queue.take(Duration::ZERO)), [4]);
}

#[test]
fn what_was_taken_counts_until_it_is_answered() {
    let size = message(0, 100).size();
    let queue = Queue::new(3 * size);
    for number in 1..=3 {
        assert_eq!(publish(&queue, 100), Ok(number));
    }
    assert_eq!(publish(&queue, 0), Err(Full));
    assert_eq!(queue.take(Duration::ZERO).publications.len(), 3);
    assert_eq!(queue.load(), (3, 3 * size));
    assert_eq!(publish(&queue, 0), Err(Full));
    queue.release(1, size);
    assert_eq!(queue.load(), (2, 2 * size));
    assert_eq!(publish(&queue, 100), Ok(4), "a refused message takes no number");
    queue.release(3, 3 * size);
    assert_eq!(queue.load(), (0, 0));
}

#[test]
fn as_much_is_taken_as_goes_out_at_once() {
    let queue = Queue::new(usize::MAX);
    for _ in 0..MAX_TAKEN + 1 {
        publish(&queue, 0).unwrap();
        queue.put(Job::Follow("a".into()));
    }
    let taken = queue.take(Duration::ZERO);
    assert_eq!((taken.publications.len(), taken.jobs.len()), (MAX_TAKEN, MAX_TAKEN));
    let taken = queue.take(Duration::ZERO);
    assert_eq!((taken.publications.len(), taken.jobs.len()), (1, 1));

    for _ in 0..3 {
        publish(&queue, MAX_TAKEN_BYTES / 2).unwrap();
    }
    assert_eq!(queue.take(Duration::ZERO).publications.len(), 2);
    assert_eq!(queue.take(Duration::ZERO).publications.len(), 1);
}

#[test]
fn who_waits_is_woken() {
    let wakers: [fn(&Queue); 3] = [
        |queue| _ = publish(queue, 1),
        |queue| queue.put(Job::Follow("a".into())),
        |queue| queue.end(Instant::now()),
    ];
    for wake in wakers {
        let queue = Queue::new(1_000_000);
        let begin = Instant::now();
        thread::scope(|scope| {
            let waits = scope.spawn(|| queue.take(PATIENCE));
            wake(&queue);
            let taken = waits.join().unwrap();
            let something = taken.publications.len() + taken.jobs.len();
            assert!(something == 1 || taken.ending.is_some());
        });
        assert!(begin.elapsed() < PATIENCE);
    }
}
