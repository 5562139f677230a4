//! Deadlines, coarse and cheap: a wheel of slots that are looked at when their time has come.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::id::ClientId;

/// The time that a slot covers. A deadline is met at most two slots late, never early.
const GRAIN: Duration = Duration::from_millis(100);

/// The number of slots; a deadline beyond the last one is looked at on the way.
const SLOTS: usize = 512;

/// A moment, in grains since the server's start, which is 1: so an optional one takes no more memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tick(NonZeroU32);

impl Default for Tick {
    fn default() -> Self {
        Self(NonZeroU32::MIN)
    }
}

impl Tick {
    /// The first tick that is at least so much later.
    pub(super) fn after(self, delay: Duration) -> Self {
        let grains = delay.as_millis().div_ceil(GRAIN.as_millis());
        self.plus(u32::try_from(grains).unwrap_or(u32::MAX)).plus(1)
    }

    /// The seconds that have passed since an earlier tick.
    pub(super) fn seconds_since(self, earlier: Self) -> f32 {
        self.grains_since(earlier) as f32 * GRAIN.as_secs_f32()
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

/// The wheel. Its owner keeps the true deadline of each client, and asks the wheel only to be
/// reminded: moving a deadline back costs nothing.
#[derive(Debug)]
pub(super) struct Deadlines {
    start: Instant,
    /// The last tick whose slot was emptied.
    now: Tick,
    slots: Vec<Vec<ClientId>>,
    waiting: usize,
}

impl Deadlines {
    pub(super) fn new(start: Instant) -> Self {
        Self { start, now: Tick::default(), slots: vec![Vec::new(); SLOTS], waiting: 0 }
    }

    /// Wants `id` to be returned by [`due`](Self::due) at `tick`, or before it if it is far away.
    pub(super) fn remind(&mut self, id: ClientId, tick: Tick) {
        let ahead = tick.grains_since(self.now).clamp(1, SLOTS as u32 - 1);
        self.slots[self.now.plus(ahead).slot()].push(id);
        self.waiting += 1;
    }

    /// The clients to look at.
    pub(super) fn due(&mut self, end: Tick) -> Vec<ClientId> {
        let mut due = Vec::new();
        while self.now < end {
            // After a long sleep each slot is emptied once.
            let skipped = end.grains_since(self.now).saturating_sub(SLOTS as u32);
            self.now = self.now.plus(skipped.max(1));
            due.append(&mut self.slots[self.now.slot()]);
        }
        self.waiting -= due.len();
        due
    }

    /// How long the server may sleep; for ever where nobody waits.
    pub(super) fn timeout(&self, now: Instant) -> Option<Duration> {
        let next = self.start + GRAIN * self.now.0.get();
        (self.waiting > 0).then(|| next.saturating_duration_since(now))
    }

    /// The tick that it is.
    pub(super) fn tick(&self, at: Instant) -> Tick {
        let grains = at.saturating_duration_since(self.start).as_millis() / GRAIN.as_millis();
        Tick::default().plus(u32::try_from(grains).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: fn(usize) -> ClientId = |key| ClientId::new(key, 1);

    /// A wheel, and the tick that it is so many milliseconds after its start.
    fn begin() -> (Deadlines, impl Fn(&Deadlines, u64) -> Tick) {
        let start = Instant::now();
        (Deadlines::new(start), move |wheel, ms| wheel.tick(start + Duration::from_millis(ms)))
    }

    #[test]
    fn a_reminder_comes_when_it_is_due_and_not_before() {
        let (mut wheel, at) = begin();
        let tick = at(&wheel, 50).after(Duration::from_secs(5));
        wheel.remind(ID(1), tick);
        assert!(wheel.due(at(&wheel, 5_049)).is_empty());
        let now = at(&wheel, 5_200);
        assert_eq!(wheel.due(now), [ID(1)]);
        assert!(now >= tick);
        assert_eq!(wheel.timeout(Instant::now()), None);
    }

    #[test]
    fn a_far_deadline_is_looked_at_on_the_way() {
        let (mut wheel, at) = begin();
        let tick = at(&wheel, 0).after(Duration::from_secs(600));
        wheel.remind(ID(1), tick);
        let now = at(&wheel, 60_000);
        assert_eq!(wheel.due(now), [ID(1)]);
        assert!(now < tick);
    }

    #[test]
    fn after_a_long_sleep_everybody_is_looked_at_once() {
        let (mut wheel, at) = begin();
        for key in 0..1_000 {
            wheel.remind(ID(key), at(&wheel, 50 * key as u64));
        }
        let mut due = wheel.due(at(&wheel, 3_600_000));
        due.sort();
        assert_eq!(due, (0..1_000).map(ID).collect::<Vec<_>>());
    }

    #[test]
    fn the_server_sleeps_until_the_next_slot() {
        let (mut wheel, at) = begin();
        wheel.remind(ID(1), at(&wheel, 0));
        let timeout = wheel.timeout(wheel.start);
        assert_eq!(timeout, Some(GRAIN));
    }
}
