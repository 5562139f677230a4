//! How Redis is, for metrics and readiness.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use log::{info, warn};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// How long Redis may be silent before the server counts as not ready.
const PATIENCE: Duration = Duration::from_secs(5);

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Sending commands.
    Commands,
    /// Receiving what others publish.
    Messages,
}

/// What is known about Redis.
#[derive(Debug)]
pub struct Status {
    state: Mutex<State>,
    round_trips: Histogram,
}

#[derive(Debug)]
struct State {
    answered: Instant,
    /// What is wrong with each part, and since when, if it ever worked.
    troubles: [Option<(String, Option<Instant>)>; 2],
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
        let troubles = ["not connected yet", "not connected yet"];
        let troubles = troubles.map(|trouble| Some((trouble.to_owned(), None)));
        let state = State { answered: now, troubles, figures: Figures::default() };
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

    /// Notes that a part works.
    pub fn recover(&self, part: Part) {
        if self.state().troubles[part as usize].take().is_some() {
            info!("Redis: {}", part.success());
        }
    }

    /// Notes what is wrong with a part. The log says each thing once.
    pub fn fail(&self, part: Part, trouble: String) {
        let mut state = self.state();
        let known = &mut state.troubles[part as usize];
        if known.as_ref().is_none_or(|(known, _)| *known != trouble) {
            warn!("Redis: {trouble}");
            let since = known.take().map_or_else(|| Some(Instant::now()), |(_, since)| since);
            *known = Some((trouble, since));
        }
    }

    /// Counts something.
    pub fn count(&self, change: impl FnOnce(&mut Figures)) {
        change(&mut self.state().figures);
    }

    /// Adds the metrics to a registry.
    pub fn register(&self, registry: &mut Registry) {
        let state = self.state();
        let Figures { repaired, renewed, refused, disconnects } = state.figures;
        let up = i64::from(state.troubles.iter().all(Option::is_none));
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
        let mut troubles = state.troubles.iter().flatten();
        let old = troubles.find(|(_, since)| since.is_none_or(|since| since.elapsed() > PATIENCE));
        let silent = state.answered.elapsed() > PATIENCE;
        old.map(|(trouble, _)| format!("Redis: {trouble}"))
            .or_else(|| silent.then(|| "Redis does not answer".to_owned()))
    }
}

impl Part {
    fn success(self) -> &'static str {
        match self {
            Self::Commands => "connected",
            Self::Messages => "receiving",
        }
    }
}
