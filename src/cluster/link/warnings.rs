//! Log lines about what Redis or other programs do, which could fill a disk.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use log::warn;

/// How many lines are written in each period.
const MAX_LINES: u32 = 20;
const PERIOD: Duration = Duration::from_secs(1);

/// A writer of such lines.
#[derive(Debug)]
pub struct Warnings {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When the current period began, and how many lines there were in it.
    since: Instant,
    lines: u32,
    /// What is wrong with each thing that goes on until it is well.
    troubles: HashMap<&'static str, String>,
}

impl Warnings {
    pub fn new() -> Self {
        let state = State { since: Instant::now(), lines: 0, troubles: HashMap::new() };
        Self { state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is locked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a line, unless there were too many in this period.
    pub fn log(&self, line: fmt::Arguments<'_>) {
        self.settle();
        let mut state = self.state();
        state.lines = state.lines.saturating_add(1);
        if state.lines <= MAX_LINES {
            warn!("{line}");
        }
    }

    /// Writes how many lines were left out in the last period, once that is over.
    pub fn settle(&self) {
        let mut state = self.state();
        if state.since.elapsed() >= PERIOD {
            let dropped = state.lines.saturating_sub(MAX_LINES);
            (state.since, state.lines) = (Instant::now(), 0);
            if dropped > 0 {
                warn!("Redis: {dropped} more such lines");
            }
        }
    }

    /// Writes what is wrong with something, once until it changes.
    pub fn note(&self, what: &'static str, trouble: Option<&str>) {
        let mut state = self.state();
        if state.troubles.get(what).map(String::as_str) == trouble {
            return;
        }
        match trouble {
            Some(trouble) => {
                warn!("Redis: {what:?}: {trouble}");
                state.troubles.insert(what, trouble.to_owned());
            }
            None => _ = state.troubles.remove(what),
        }
    }
}
