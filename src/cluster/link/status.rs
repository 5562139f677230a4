//! How Redis is, for metrics and readiness.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use log::{info, warn};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::servers::Address;

/// How long Redis may be silent before the server counts as not ready.
const PATIENCE: Duration = Duration::from_secs(5);

/// What can go wrong.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Part {
    /// Sending commands.
    Commands,
    /// Receiving what is published at a server.
    Messages(Address),
}

/// What is wrong, and since when, if it ever worked.
#[derive(Debug)]
struct Trouble {
    what: String,
    since: Option<Instant>,
}

/// What is known about Redis.
#[derive(Debug)]
pub struct Status {
    state: Mutex<State>,
    round_trips: Histogram,
}

#[derive(Debug)]
struct State {
    /// When everything was last answered, and when anything was.
    answered: Instant,
    heard: Option<Instant>,
    /// How each part is: since when it works, or what is wrong.
    parts: HashMap<Part, Result<Instant, Trouble>>,
    /// Whether anything was ever received.
    has_received: bool,
    figures: Figures,
}

/// The bounds of the histogram of round trips, in seconds.
const ROUND_TRIPS: [f64; 9] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.05, 0.25, 1.0];

/// Counts since the start of the server.
#[derive(Debug, Clone, Copy, Default)]
pub struct Figures {
    /// How often a stream was read because messages had not arrived.
    pub repaired: u64,
    /// How often a room had lost messages, and began anew.
    pub renewed: u64,
    /// The number of messages that were refused for good.
    pub refused: u64,
    /// How often a connection to Redis was lost.
    pub disconnects: u64,
}

impl Status {
    pub fn new() -> Self {
        let now = Instant::now();
        let state = State {
            answered: now,
            heard: None,
            parts: HashMap::new(),
            has_received: false,
            figures: Figures::default(),
        };
        Self { state: Mutex::new(state), round_trips: Histogram::new(ROUND_TRIPS) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is locked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that everything was answered.
    pub fn answer(&self, took: Duration) {
        self.state().answered = Instant::now();
        self.round_trips.observe(took.as_secs_f64());
    }

    /// Notes that something was answered.
    pub fn hear(&self) {
        self.state().heard = Some(Instant::now());
    }

    /// Whether nothing was answered for some time. Otherwise, some servers of a cluster may be well, and what
    /// only reads may be allowed.
    pub fn is_away(&self) -> bool {
        self.state().heard.is_none_or(|heard| heard.elapsed() > PATIENCE)
    }

    /// Notes that a part works.
    pub fn recover(&self, part: Part) {
        let word = part.success();
        let mut state = self.state();
        state.has_received |= part != Part::Commands;
        if matches!(state.parts.get(&part), Some(Ok(_))) {
            return;
        }
        state.parts.insert(part, Ok(Instant::now()));
        info!("Redis: {word}");
    }

    /// Notes what is wrong with a part. The log says each thing once.
    pub fn fail(&self, part: Part, what: String) {
        let mut state = self.state();
        let since = match state.parts.get(&part) {
            Some(Err(known)) if known.what == what => return,
            Some(Err(known)) => known.since,
            Some(Ok(_)) => Some(Instant::now()),
            None => None,
        };
        warn!("Redis: {what}");
        state.parts.insert(part, Err(Trouble { what, since }));
    }

    /// Notes that a part is not needed any more.
    pub fn forget(&self, part: &Part) {
        self.state().parts.remove(part);
    }

    /// Whether what is published at a server is received here, and has been for some time.
    pub fn receives(&self, at: &Address, time: Duration) -> bool {
        let state = self.state();
        let part = state.parts.get(&Part::Messages(at.clone()));
        part.is_none_or(|part| part.as_ref().is_ok_and(|since| since.elapsed() >= time))
    }

    /// Counts something.
    pub fn count(&self, change: impl FnOnce(&mut Figures)) {
        change(&mut self.state().figures);
    }

    /// Adds the metrics to a registry.
    pub fn register(&self, registry: &mut Registry) {
        let state = self.state();
        let Figures { repaired, renewed, refused, disconnects } = state.figures;
        let up = i64::from(state.has_received && state.parts.values().all(Result::is_ok));
        let age = state.answered.elapsed().as_secs_f64();
        registry.register("up", "Whether Redis does what it is asked to do", ConstGauge::new(up));
        let help = "Time since Redis last answered everything";
        registry.register("last_answer_age_seconds", help, ConstGauge::new(age));
        let help = "Time from commands to their answers";
        registry.register("round_trip_seconds", help, self.round_trips.clone());
        let counters = [
            ("repaired_gaps", "Times that missing messages were read from a stream", repaired),
            ("lost_rooms", "Times that a room had lost messages and began anew", renewed),
            ("refused_messages", "Messages that Redis refused for good", refused),
            ("disconnects", "Connections to Redis that were lost or failed", disconnects),
        ];
        for (name, help, count) in counters {
            registry.register(name, help, ConstCounter::new(count));
        }
    }

    /// Why clients should not be sent here, if Redis has been away for some time.
    pub fn fault(&self) -> Option<String> {
        let state = self.state();
        let mut troubles = state.parts.values().filter_map(|part| part.as_ref().err());
        let is_old = |since: Instant| since.elapsed() > PATIENCE;
        if let Some(old) = troubles.find(|trouble| trouble.since.is_none_or(is_old)) {
            Some(format!("Redis: {}", old.what))
        } else if !state.has_received {
            Some("Redis: not connected yet".to_owned())
        } else {
            is_old(state.answered).then(|| "Redis does not answer".to_owned())
        }
    }
}

impl Part {
    fn success(&self) -> &'static str {
        match self {
            Self::Commands => "connected",
            Self::Messages(_) => "receiving",
        }
    }
}
