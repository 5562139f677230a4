//! The timers that the application sets.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::server::client_id::ClientId;

/// Replaces a delay that is too long for an `Instant`.
const FOREVER: Duration = Duration::from_secs(1 << 32);

/// The moment that is `delay` later, or one that never comes.
pub(crate) fn after(now: Instant, delay: Duration) -> Instant {
    now.checked_add(delay).unwrap_or(now + FOREVER)
}

/// The time at which a timer is due, and the number of the call that set it, because timers that are due
/// at the same time fire in the order in which they were set.
type Due = (Instant, u64);

/// A timer: the client that it belongs to, and the application's token.
type Timer = (ClientId, u64);

/// All timers that are set. Without timers, it takes no memory.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    queue: BTreeMap<Due, Timer>,
    due: BTreeMap<Timer, Due>,
    /// The number of calls that set a timer.
    set: u64,
}

impl Timers {
    /// Sets a timer. If it is already set, it is replaced.
    pub(crate) fn set(&mut self, client: ClientId, token: u64, at: Instant) {
        self.cancel(client, token);
        self.set += 1;
        self.queue.insert((at, self.set), (client, token));
        self.due.insert((client, token), (at, self.set));
    }

    /// Removes a timer, and returns whether it was set.
    pub(crate) fn cancel(&mut self, client: ClientId, token: u64) -> bool {
        let due = self.due.remove(&(client, token));
        due.is_some_and(|due| self.queue.remove(&due).is_some())
    }

    /// Removes all timers of a client.
    pub(crate) fn cancel_all(&mut self, client: ClientId) {
        while let Some((&(_, token), _)) = self.due.range((client, 0)..=(client, u64::MAX)).next() {
            self.cancel(client, token);
        }
    }

    /// The time at which the next timer is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.queue.first_key_value().map(|(&(at, _), _)| at)
    }

    /// A mark between the timers that are set so far and those that are set later.
    pub(crate) fn mark(&self) -> u64 {
        self.set
    }

    /// Removes the first timer that is due by `end`, if it was set before the `mark`. A timer that is
    /// set again as soon as it fires must not keep the caller busy forever.
    pub(crate) fn take_due(&mut self, end: Instant, mark: u64) -> Option<Timer> {
        let first = self.queue.first_entry()?;
        let (at, set) = *first.key();
        if at > end || set > mark {
            return None;
        }
        let timer = first.remove();
        self.due.remove(&timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(key: usize) -> ClientId {
        ClientId::new(key, 1)
    }

    /// The tokens of the timers that are due by `end`, in the order in which they fire.
    fn fire(timers: &mut Timers, end: Instant) -> Vec<u64> {
        let mark = timers.mark();
        std::iter::from_fn(|| timers.take_due(end, mark)).map(|(_, token)| token).collect()
    }

    #[test]
    fn timers_fire_in_the_order_of_their_due_times_and_then_of_the_calls() {
        let mut timers = Timers::default();
        let now = Instant::now();
        let at = |milliseconds| now + Duration::from_millis(milliseconds);
        for (token, milliseconds) in [(1, 30), (2, 10), (3, 20), (4, 10)] {
            timers.set(client(0), token, at(milliseconds));
        }
        assert_eq!(timers.next_due(), Some(at(10)));
        assert!(fire(&mut timers, at(9)).is_empty());
        assert_eq!(fire(&mut timers, at(20)), [2, 4, 3]);
        assert_eq!(fire(&mut timers, at(99)), [1]);
        assert_eq!(timers.next_due(), None);
    }

    #[test]
    fn a_timer_that_is_set_again_fires_once_at_its_last_time() {
        let mut timers = Timers::default();
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        timers.set(client(0), 7, now);
        timers.set(client(0), 7, later);
        assert!(fire(&mut timers, now).is_empty());
        assert_eq!(fire(&mut timers, later), [7]);
        assert!(timers.queue.is_empty() && timers.due.is_empty());
    }

    #[test]
    fn the_timers_of_one_client_are_cancelled_without_those_of_others() {
        let mut timers = Timers::default();
        let now = Instant::now();
        for key in 0..3 {
            for token in [0, 5, u64::MAX] {
                timers.set(client(key), token, now);
            }
        }
        assert!(timers.cancel(client(0), 5) && !timers.cancel(client(0), 5));
        timers.cancel_all(client(1));
        assert_eq!(fire(&mut timers, now), [0, u64::MAX, 0, 5, u64::MAX]);
        assert!(timers.due.is_empty());
    }

    #[test]
    fn what_is_set_while_timers_fire_waits_for_the_next_round() {
        let mut timers = Timers::default();
        let now = Instant::now();
        timers.set(client(0), 1, now);
        let mark = timers.mark();
        assert!(timers.take_due(now, mark).is_some());
        timers.set(client(0), 1, now);
        assert_eq!(timers.take_due(now, mark), None);
        assert_eq!(fire(&mut timers, now), [1]);
    }
}
