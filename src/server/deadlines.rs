//! Deadlines, coarse and cheap: a wheel of slots that are looked at when their time has come.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::id::ClientId;

/// The time that a slot covers. A deadline is met at most three slots late, never early.
pub(super) const GRAIN: Duration = Duration::from_millis(100);

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

    /// The first tick that is at least so much later; without a delay, one that never comes.
    pub(super) fn after_or_never(self, delay: Option<Duration>) -> Self {
        delay.map_or(Self(NonZeroU32::MAX), |delay| self.after(delay))
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
    /// The last tick whose slot was emptied.
    now: Tick,
    slots: Vec<Vec<ClientId>>,
    waiting: usize,
}

impl Deadlines {
    pub(super) fn new() -> Self {
        Self { now: Tick::default(), slots: vec![Vec::new(); SLOTS], waiting: 0 }
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

    /// Whether somebody waits.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting > 0
    }
}

/// The time, in grains.
#[derive(Debug)]
pub(super) struct Clock {
    start: Instant,
    tick: Tick,
    /// When the next tick begins.
    next: Instant,
}

impl Clock {
    pub(super) fn new(start: Instant) -> Self {
        Self { start, tick: Tick::default(), next: start + GRAIN }
    }

    /// The tick that it is at a moment.
    pub(super) fn tick(&mut self, at: Instant) -> Tick {
        if at >= self.next {
            let grains = at.saturating_duration_since(self.start).as_millis() / GRAIN.as_millis();
            let grains = u32::try_from(grains).unwrap_or(u32::MAX - 1);
            self.tick = Tick::default().plus(grains);
            self.next = self.start + GRAIN * (grains + 1);
        }
        self.tick
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: fn(usize) -> ClientId = |key| ClientId::new(key, 1);

    /// The tick that it is so many milliseconds after the start.
    fn at(milliseconds: u64) -> Tick {
        let start = Instant::now();
        Clock::new(start).tick(start + Duration::from_millis(milliseconds))
    }

    #[test]
    fn a_reminder_comes_when_it_is_due_and_not_before() {
        let mut wheel = Deadlines::new();
        let tick = at(50).after(Duration::from_secs(5));
        wheel.remind(ID(1), tick);
        assert!(wheel.due(at(5_049)).is_empty() && wheel.is_waiting());
        let now = at(5_200);
        assert_eq!(wheel.due(now), [ID(1)]);
        assert!(now >= tick && !wheel.is_waiting());
    }

    #[test]
    fn a_far_deadline_is_looked_at_on_the_way() {
        let mut wheel = Deadlines::new();
        let tick = at(0).after(Duration::from_secs(600));
        wheel.remind(ID(1), tick);
        let now = at(60_000);
        assert_eq!(wheel.due(now), [ID(1)]);
        assert!(now < tick);
    }

    #[test]
    fn after_a_long_sleep_everybody_is_looked_at_once() {
        let mut wheel = Deadlines::new();
        for key in 0..1_000 {
            wheel.remind(ID(key), at(50 * key as u64));
        }
        let mut due = wheel.due(at(3_600_000));
        due.sort();
        assert_eq!(due, (0..1_000).map(ID).collect::<Vec<_>>());
    }

    #[test]
    fn the_clock_goes_on_with_every_grain() {
        let start = Instant::now();
        let mut clock = Clock::new(start);
        let after = |milliseconds| start + Duration::from_millis(milliseconds);
        assert_eq!(clock.tick(after(99)), Tick::default());
        assert_eq!(clock.tick(after(1_250)), Tick::default().plus(12));
        assert_eq!(clock.tick(after(1_299)), Tick::default().plus(12));
        assert_eq!(clock.tick(after(1_300)), Tick::default().plus(13));
    }
}
