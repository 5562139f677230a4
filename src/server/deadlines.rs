//! Deadlines, coarse and cheap: a wheel of slots that are looked at when their time has come.

use std::time::{Duration, Instant};

use super::id::ClientId;

/// The time that a slot covers. A deadline is met at most two slots late, never early.
const GRAIN: Duration = Duration::from_millis(100);

/// The number of slots; a deadline beyond the last one is looked at on the way.
const SLOTS: usize = 128;

/// A moment, in grains since the server's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tick(u32);

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

    /// The tick after `delay`.
    pub(super) fn after(&self, now: Instant, delay: Duration) -> Tick {
        Tick(self.tick(now + delay).0 + 1)
    }

    /// Wants `id` to be returned by [`due`](Self::due) at `tick`, or before it if it is far away.
    pub(super) fn remind(&mut self, id: ClientId, tick: Tick) {
        let ahead = tick.0.saturating_sub(self.now.0).clamp(1, SLOTS as u32 - 1);
        let slot = (self.now.0 + ahead) as usize % SLOTS;
        self.slots[slot].push(id);
        self.waiting += 1;
    }

    /// The clients to look at, and the tick that it is.
    pub(super) fn due(&mut self, now: Instant) -> (Vec<ClientId>, Tick) {
        let end = self.tick(now);
        let mut due = Vec::new();
        while self.now < end {
            // After a long sleep each slot is emptied once.
            self.now.0 = (self.now.0 + 1).max(end.0.saturating_sub(SLOTS as u32));
            due.append(&mut self.slots[self.now.0 as usize % SLOTS]);
        }
        self.waiting -= due.len();
        (due, end)
    }

    /// How long the server may sleep; for ever where nobody waits.
    pub(super) fn timeout(&self, now: Instant) -> Option<Duration> {
        let next = self.start + GRAIN * (self.now.0 + 1);
        (self.waiting > 0).then(|| next.saturating_duration_since(now))
    }

    fn tick(&self, at: Instant) -> Tick {
        let grains = at.saturating_duration_since(self.start).as_millis() / GRAIN.as_millis();
        Tick(u32::try_from(grains).unwrap_or(u32::MAX - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: fn(usize) -> ClientId = |key| ClientId::new(key, 1);

    #[test]
    fn a_reminder_comes_when_it_is_due_and_not_before() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new(start);
        let tick = deadlines.after(start, Duration::from_secs(5));
        deadlines.remind(ID(1), tick);
        assert!(deadlines.due(start + Duration::from_millis(4_999)).0.is_empty());
        let (due, now) = deadlines.due(start + Duration::from_millis(5_200));
        assert_eq!(due, [ID(1)]);
        assert!(now >= tick);
        assert_eq!(deadlines.timeout(start), None);
    }

    #[test]
    fn a_far_deadline_is_looked_at_on_the_way() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new(start);
        let tick = deadlines.after(start, Duration::from_secs(60));
        deadlines.remind(ID(1), tick);
        let (due, now) = deadlines.due(start + Duration::from_secs(20));
        assert_eq!(due, [ID(1)]);
        assert!(now < tick);
    }

    #[test]
    fn after_a_long_sleep_everybody_is_looked_at_once() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new(start);
        for key in 0..300 {
            let delay = Duration::from_millis(50 * key as u64);
            deadlines.remind(ID(key), deadlines.after(start, delay));
        }
        let mut due = deadlines.due(start + Duration::from_secs(3600)).0;
        due.sort();
        assert_eq!(due, (0..300).map(ID).collect::<Vec<_>>());
    }

    #[test]
    fn the_server_sleeps_until_the_next_slot() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new(start);
        deadlines.remind(ID(1), deadlines.after(start, Duration::ZERO));
        assert_eq!(deadlines.timeout(start), Some(GRAIN));
    }
}
