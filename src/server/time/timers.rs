//! The timers that the application sets.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::server::client_id::ClientId;

/// Stands in for a delay that is too long for an `Instant`.
const FOREVER: Duration = Duration::from_secs(1 << 32);

/// The moment that is `delay` later, or one that never comes.
pub(crate) fn after(now: Instant, delay: Duration) -> Instant {
    now.checked_add(delay).unwrap_or(now + FOREVER)
}

/// When a timer is due, and the number of the call that set it: timers that are due at the same time
/// fire in the order in which they were set.
type Due = (Instant, u64);

/// A timer: whose it is, and the application's name for it.
type Timer = (ClientId, u64);

/// All timers that are set. Without any, it takes no memory.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    queue: BTreeMap<Due, Timer>,
    due: BTreeMap<Timer, Due>,
    /// How often a timer has been set.
    set: u64,
}

impl Timers {
    /// Sets a timer, in place of the same one if that is set.
    pub(crate) fn set(&mut self, client: ClientId, token: u64, at: Instant) {
        self.cancel(client, token);
        self.set += 1;
        self.queue.insert((at, self.set), (client, token));
        self.due.insert((client, token), (at, self.set));
    }

    /// Takes a timer away, and returns whether it was set.
    pub(crate) fn cancel(&mut self, client: ClientId, token: u64) -> bool {
        let due = self.due.remove(&(client, token));
        due.is_some_and(|due| self.queue.remove(&due).is_some())
    }

    /// Takes all timers of a client away.
    pub(crate) fn cancel_all(&mut self, client: ClientId) {
        while let Some((&(_, token), _)) = self.due.range((client, 0)..=(client, u64::MAX)).next() {
            self.cancel(client, token);
        }
    }

    /// When the next timer is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.queue.first_key_value().map(|(&(at, _), _)| at)
    }

    /// A mark between the timers that are set so far and those that are set later.
    pub(crate) fn mark(&self) -> u64 {
        self.set
    }

    /// Takes away the first timer that is due by `end`, if it was set before the `mark`: a timer that is
    /// set again as soon as it fires must not keep the caller busy for ever.
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
    fn timers_fire_in_the_order_in_which_they_are_due_and_then_were_set() {
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
