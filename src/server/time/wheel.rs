//! Coarse and cheap deadlines: a wheel of slots, each of which is checked when it is due.

use std::mem;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// The duration of a slot. A deadline takes effect at most four slots late, and never early.
pub(crate) const GRAIN: Duration = Duration::from_millis(100);

/// The number of slots.
const SLOTS: usize = 512;

/// A moment, in grains since the start of the server, which is 1, so that an `Option` of it takes no
/// extra memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timestamp(NonZeroU32);

impl Default for Timestamp {
    fn default() -> Self {
        Self(NonZeroU32::MIN)
    }
}

impl Timestamp {
    /// The first timestamp that is at least `delay` later.
    pub(crate) fn after(self, delay: Duration) -> Self {
        // Dividing 128 bits would take longer than everything else here.
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        let grains = millis.div_ceil(GRAIN.as_millis() as u64);
        self.plus(u32::try_from(grains).unwrap_or(u32::MAX)).plus(1)
    }

    /// The first timestamp that is at least `delay` later; without a delay, one that never comes.
    pub(crate) fn after_or_never(self, delay: Option<Duration>) -> Self {
        delay.map_or(Self(NonZeroU32::MAX), |delay| self.after(delay))
    }

    /// The seconds since an earlier timestamp.
    pub(crate) fn seconds_since(self, earlier: Self) -> f32 {
        self.grains_since(earlier) as f32 * GRAIN.as_secs_f32()
    }

    /// The time since an earlier timestamp.
    pub(crate) fn duration_since(self, earlier: Self) -> Duration {
        GRAIN * self.grains_since(earlier)
    }

    /// The number of whole periods of so many grains since the start of the server, and the rest.
    pub(crate) fn divide(self, period: u32) -> (u32, u32) {
        let grains = self.0.get();
        (grains / period, grains % period)
    }

    fn plus(self, grains: u32) -> Self {
        Self(self.0.saturating_add(grains))
    }

    fn grains_since(self, earlier: Self) -> u32 {
        self.0.get().saturating_sub(earlier.0.get())
    }

    fn slot(self) -> usize {
        self.0.get() as usize % SLOTS
    }
}

/// A key that belongs to no client.
const NOBODY: u32 = u32::MAX;

/// The wheel. A client has at most one reminder on it, because a new one replaces the previous one. The
/// wheel therefore takes 12 bytes per client, however often its deadline moves.
#[derive(Debug)]
pub(crate) struct TimerWheel {
    /// The last timestamp whose slot was checked.
    now: Timestamp,
    /// The key of the first client in each slot. A deadline is in the slot of its timestamp, even if it
    /// is several turns of the wheel away.
    slots: [u32; SLOTS],
    /// The clients' reminders, by the clients' keys.
    reminders: Vec<Reminder>,
    waiting: usize,
}

/// A client's entry in the list of its slot.
#[derive(Debug, Clone, Copy)]
struct Reminder {
    /// When the reminder is due; `None` if the client has none.
    timestamp: Option<Timestamp>,
    previous: u32,
    next: u32,
}

impl Reminder {
    const NONE: Self = Self { timestamp: None, previous: NOBODY, next: NOBODY };
}

impl TimerWheel {
    pub(crate) fn new() -> Self {
        Self {
            now: Timestamp::default(),
            slots: [NOBODY; SLOTS],
            reminders: Vec::new(),
            waiting: 0,
        }
    }

    /// Makes [`due`](Self::due) return a client's key at `timestamp`, and no longer at the previous
    /// timestamp.
    pub(crate) fn remind(&mut self, key: usize, timestamp: Timestamp) {
        self.forget(key);
        if self.reminders.len() <= key {
            self.reminders.resize(key + 1, Reminder::NONE);
        }
        let timestamp = timestamp.max(self.now.plus(1));
        let next = mem::replace(&mut self.slots[timestamp.slot()], key as u32);
        self.reminders[key] = Reminder { timestamp: Some(timestamp), previous: NOBODY, next };
        if let Some(next) = self.reminders.get_mut(next as usize) {
            next.previous = key as u32;
        }
        self.waiting += 1;
    }

    /// Gives back the memory after that of the last client that has a reminder.
    pub(crate) fn trim(&mut self) {
        let last = self.reminders.iter().rposition(|reminder| reminder.timestamp.is_some());
        self.reminders.truncate(last.map_or(0, |key| key + 1));
        self.reminders.shrink_to_fit();
    }

    /// Removes a client's reminder, if it has one.
    pub(crate) fn forget(&mut self, key: usize) {
        let Some(reminder) = self.reminders.get_mut(key) else { return };
        let Reminder { timestamp: Some(timestamp), previous, next } =
            mem::replace(reminder, Reminder::NONE)
        else {
            return;
        };
        match self.reminders.get_mut(previous as usize) {
            Some(previous) => previous.next = next,
            None => self.slots[timestamp.slot()] = next,
        }
        if let Some(next) = self.reminders.get_mut(next as usize) {
            next.previous = previous;
        }
        self.waiting -= 1;
    }

    /// Removes the reminders that are due, and returns the keys of their clients.
    pub(crate) fn due(&mut self, end: Timestamp) -> Vec<usize> {
        let mut due = Vec::new();
        while self.now < end {
            // After a long sleep, each slot is checked once.
            let skipped = end.grains_since(self.now).saturating_sub(SLOTS as u32);
            self.now = self.now.plus(skipped.max(1));
            let mut key = self.slots[self.now.slot()];
            while let Some(&Reminder { timestamp, next, .. }) = self.reminders.get(key as usize) {
                if timestamp.is_some_and(|timestamp| timestamp <= end) {
                    self.forget(key as usize);
                    due.push(key as usize);
                }
                key = next;
            }
        }
        due
    }

    /// Whether any client has a reminder.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting > 0
    }
}

/// The clock, in grains.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    timestamp: Timestamp,
    /// The moment at which the next timestamp begins.
    next: Instant,
}

impl Clock {
    pub(crate) fn new(start: Instant) -> Self {
        Self { start, timestamp: Timestamp::default(), next: start + GRAIN }
    }

    /// The timestamp at a moment.
    pub(crate) fn timestamp(&mut self, at: Instant) -> Timestamp {
        if at >= self.next {
            let grains = at.saturating_duration_since(self.start).as_millis() / GRAIN.as_millis();
            let grains = u32::try_from(grains).unwrap_or(u32::MAX - 1);
            self.timestamp = Timestamp::default().plus(grains);
            self.next = self.start + GRAIN * (grains + 1);
        }
        self.timestamp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The timestamp this many milliseconds after the start.
    fn at(milliseconds: u64) -> Timestamp {
        let start = Instant::now();
        Clock::new(start).timestamp(start + Duration::from_millis(milliseconds))
    }

    #[test]
    fn a_reminder_is_due_at_its_timestamp_and_not_before() {
        let mut wheel = TimerWheel::new();
        let timestamp = at(50).after(Duration::from_secs(5));
        wheel.remind(1, timestamp);
        assert!(wheel.due(at(5_049)).is_empty() && wheel.is_waiting());
        let now = at(5_200);
        assert_eq!(wheel.due(now), [1]);
        assert!(now >= timestamp && !wheel.is_waiting());
    }

    #[test]
    fn a_distant_deadline_is_skipped_until_its_turn() {
        let mut wheel = TimerWheel::new();
        let timestamp = at(0).after(Duration::from_secs(600));
        wheel.remind(1, timestamp);
        for second in 0..600 {
            assert_eq!(wheel.due(at(1_000 * second)), [0; 0]);
        }
        assert_eq!(wheel.due(at(600_200)), [1]);
    }

    #[test]
    fn after_a_long_sleep_each_client_is_due_once() {
        let mut wheel = TimerWheel::new();
        for key in 0..1_000 {
            wheel.remind(key, at(50 * key as u64));
        }
        let mut due = wheel.due(at(3_600_000));
        due.sort();
        assert_eq!(due, (0..1_000).collect::<Vec<_>>());
    }

    /// The number of reminders in the slots.
    fn count(wheel: &TimerWheel) -> usize {
        let next = |key: u32| wheel.reminders.get(key as usize).map(|reminder| reminder.next);
        let list = |&first| std::iter::successors(Some(first), |&key| next(key));
        wheel.slots.iter().flat_map(list).filter(|&key| key != NOBODY).count()
    }

    #[test]
    fn a_client_owns_one_reminder_however_often_its_deadline_moves() {
        let mut wheel = TimerWheel::new();
        for round in 1..1_000 {
            for key in 0..3 {
                wheel.remind(key, at(100 * (round * 37 % 1_000)));
            }
        }
        assert_eq!((count(&wheel), wheel.reminders.len()), (3, 3));
        wheel.remind(1, at(1_000));
        assert_eq!(wheel.due(at(1_000)), [1], "the last deadline counts, even if it is earlier");
        wheel.remind(1, at(90_000));
        wheel.forget(0);
        assert_eq!(wheel.due(at(1_000_000)), [1, 2]);
        assert_eq!((count(&wheel), wheel.is_waiting()), (0, false));
    }

    #[test]
    fn the_memory_of_removed_clients_is_given_back() {
        let mut wheel = TimerWheel::new();
        (0..1_000).for_each(|key| wheel.remind(key, at(1_000)));
        (0..1_000).filter(|key| *key != 7).for_each(|key| wheel.forget(key));
        wheel.trim();
        assert_eq!((wheel.reminders.len(), wheel.reminders.capacity()), (8, 8));
        wheel.remind(500, at(1_000));
        assert_eq!(wheel.due(at(2_000)), [500, 7]);
        wheel.trim();
        assert_eq!(wheel.reminders.capacity(), 0);
    }

    #[test]
    fn the_clock_advances_with_every_grain() {
        let start = Instant::now();
        let mut clock = Clock::new(start);
        let after = |milliseconds| start + Duration::from_millis(milliseconds);
        assert_eq!(clock.timestamp(after(99)), Timestamp::default());
        assert_eq!(clock.timestamp(after(1_250)), Timestamp::default().plus(12));
        assert_eq!(clock.timestamp(after(1_299)), Timestamp::default().plus(12));
        assert_eq!(clock.timestamp(after(1_300)), Timestamp::default().plus(13));
    }
}
