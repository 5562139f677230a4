//! Deadlines, coarse and cheap: a wheel of slots that are looked at when their time has come.

use std::time::{Duration, Instant};

use super::id::ClientId;

/// The time that a slot covers. A deadline is met at most two slots late, never early.
const GRAIN: Duration = Duration::from_millis(100);

/// The number of slots; a deadline beyond the last one is looked at on the way.
const SLOTS: usize = 512;

/// A moment, in grains since the server's start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tick(u32);

impl Tick {
    /// The first tick that is at least so much later.
    pub(super) fn after(self, delay: Duration) -> Self {
        let grains = delay.as_millis().div_ceil(GRAIN.as_millis());
        Self(self.0.saturating_add(u32::try_from(grains).unwrap_or(u32::MAX)).saturating_add(1))
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
        Self { start, now: Tick(0), slots: vec![Vec::new(); SLOTS], waiting: 0 }
    }

    /// Wants `id` to be returned by [`due`](Self::due) at `tick`, or before it if it is far away.
    pub(super) fn remind(&mut self, id: ClientId, tick: Tick) {
        let ahead = tick.0.saturating_sub(self.now.0).clamp(1, SLOTS as u32 - 1);
        let slot = (self.now.0 + ahead) as usize % SLOTS;
        self.slots[slot].push(id);
        self.waiting += 1;
    }

    /// The clients to look at.
    pub(super) fn due(&mut self, end: Tick) -> Vec<ClientId> {
        let mut due = Vec::new();
        while self.now < end {
            // After a long sleep each slot is emptied once.
            self.now.0 = (self.now.0 + 1).max(end.0.saturating_sub(SLOTS as u32));
            due.append(&mut self.slots[self.now.0 as usize % SLOTS]);
        }
        self.waiting -= due.len();
        due
    }

    /// How long the server may sleep; for ever where nobody waits.
    pub(super) fn timeout(&self, now: Instant) -> Option<Duration> {
        let next = self.start + GRAIN * (self.now.0 + 1);
        (self.waiting > 0).then(|| next.saturating_duration_since(now))
    }

    /// The tick that it is.
    pub(super) fn tick(&self, at: Instant) -> Tick {
        let grains = at.saturating_duration_since(self.start).as_millis() / GRAIN.as_millis();
        Tick(u32::try_from(grains).unwrap_or(u32::MAX - 1))
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
