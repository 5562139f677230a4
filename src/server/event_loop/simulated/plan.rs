//! What a seed decides before anything happens.

use std::time::Duration;

use crate::config::{Config, ConnectionLimits, HistoryLimits, RateLimits, Slow};
use crate::protocol::Deflate;
use crate::server::system::{Faults, Random};

use super::proxies::NETWORK;

/// The rooms, of which the last has no history.
pub(super) const ROOMS: [&str; 3] = ["/a", "/b", "/live"];

/// The maximum size of a message.
pub(super) const MAX_MESSAGE_BYTES: usize = 3_000;

/// With so much backlog, history keeps everything.
pub(super) const STRICT_BACKLOG: usize = 8 << 20;

/// How the server is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Handle,
    Signal,
    /// A second signal comes soon after the first.
    TwoSignals,
    HandleNow,
}

/// What most peers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crowd {
    /// Each does something else.
    Mixed,
    /// All say as much as they can.
    Floods,
    /// All begin a message, and do not end it.
    Hoards,
    /// There are many. They say nothing, and answer pings after some time, while the process is often stopped.
    Waits,
}

/// What happens in a run.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) config: Config,
    pub(super) faults: Faults,
    pub(super) max_descriptors: usize,
    pub(super) peers: usize,
    /// How long peers do what they like, before all is calm.
    pub(super) span: Duration,
    pub(super) ending: Ending,
    /// Whether the application pauses the reading now and then.
    pub(super) pauses: bool,
    pub(super) crowd: Crowd,
    /// Whether another service keeps the messages of rooms.
    pub(super) are_rooms_elsewhere: bool,
}

impl Plan {
    pub(super) fn new(random: &mut Random) -> Self {
        let config = config(random);
        let scarce = random.happens(100);
        let peers = random.within(1..14);
        let plan = Self {
            config,
            faults: faults(random),
            max_descriptors: if scarce { random.within(3..10) } else { 1_000 },
            peers,
            span: milliseconds(random, 500..20_000),
            ending: random.pick(&[
                Ending::Handle,
                Ending::Signal,
                Ending::TwoSignals,
                Ending::HandleNow,
            ]),
            pauses: random.happens(300),
            are_rooms_elsewhere: random.happens(500),
            crowd: match random.below(100) {
                0..8 => Crowd::Floods,
                8..12 => Crowd::Hoards,
                12..19 => Crowd::Waits,
                _ => Crowd::Mixed,
            },
        };
        let plan = plan.for_crowd(random);
        plan.config.check().expect("a valid configuration");
        plan
    }

    /// Changes what does not suit the peers.
    fn for_crowd(mut self, random: &mut Random) -> Self {
        match self.crowd {
            Crowd::Hoards => {
                self.peers = random.within(10..14);
                self.config.memory.max_incomplete_bytes = 8_000;
            }
            Crowd::Waits => {
                self.peers = random.within(30..45);
                (self.max_descriptors, self.pauses) = (1_000, false);
                self.span = milliseconds(random, 2_000..9_000);
                self.faults = Faults { stops: 200, ..Faults::default() };
                self.config.slow = Slow::Close;
                self.config.rates = RateLimits::default();
                self.config.connections = ConnectionLimits { max: 100, ..Default::default() };
                self.config.timeouts.ping_interval = Some(milliseconds(random, 300..1_000));
                self.config.timeouts.pong = Some(milliseconds(random, 150..400));
            }
            Crowd::Mixed | Crowd::Floods => {}
        }
        self
    }
}

/// The faults of a run; in half of the runs, there are none.
fn faults(random: &mut Random) -> Faults {
    let some = random.happens(500);
    let mut rate =
        |most| if some && random.happens(400) { random.within(0..most) as u32 } else { 0 };
    Faults {
        interrupted: rate(100),
        short_writes: rate(300),
        lacks: rate(300),
        aborted: rate(300),
        spurious: rate(200),
        stops: rate(50),
        sleeps: rate(50),
        steps: rate(100),
        idle_polls: rate(100),
    }
}

fn milliseconds(random: &mut Random, range: std::ops::Range<usize>) -> Duration {
    Duration::from_millis(random.within(range) as u64)
}

fn config(random: &mut Random) -> Config {
    let mut config = Config { listen: listen(random), ..Config::default() };
    config.trusted_proxies = vec![NETWORK.parse().expect("a network")];
    config.slow = random.pick(&[Slow::Close, Slow::Drop, Slow::Pause]);
    config.limits.max_message_bytes = MAX_MESSAGE_BYTES;
    config.limits.max_body_bytes = MAX_MESSAGE_BYTES;
    config.limits.max_head_bytes = 1_000;
    config.deflate = random.happens(600).then(|| Deflate {
        window_bits: random.within(9..13) as u8,
        threshold_bytes: 8,
        client_context_takeover: random.happens(800),
        client_window_bits: random.within(9..16) as u8,
        ..Deflate::default()
    });
    config.memory.max_backlog_bytes = random.pick(&[7_000, 20_000, 60_000, STRICT_BACKLOG]);
    let least = config.memory.max_backlog_bytes;
    config.memory.max_total_backlog_bytes = random.pick(&[200_000.max(least), 1 << 30]);
    config.memory.max_incomplete_bytes = random.pick(&[8_000, 1 << 20]);
    if random.happens(500) {
        config.history = Some(HistoryLimits {
            max_messages: usize::MAX,
            max_bytes: config.memory.max_backlog_bytes / 2,
            live_only: vec![ROOMS[2].to_owned()],
            ..HistoryLimits::default()
        });
    }
    let mut maybe = |range| {
        let some = random.happens(700);
        some.then(|| milliseconds(random, range))
    };
    config.timeouts.ping_interval = maybe(500..6_000);
    config.timeouts.pong = maybe(300..4_000);
    config.timeouts.write = maybe(500..6_000);
    config.connections.max_age = maybe(1_000..20_000).filter(|age| age.as_millis() % 3 == 0);
    config.timeouts.handshake = milliseconds(random, 500..5_000);
    config.timeouts.close = milliseconds(random, 200..3_000);
    config.timeouts.keep_alive = milliseconds(random, 500..5_000);
    config.timeouts.answer = milliseconds(random, 300..4_000);
    config.request_bodies = random.happens(700);
    config.shutdown.delay = milliseconds(random, 0..2_000) * u32::from(random.happens(300));
    config.shutdown.timeout = milliseconds(random, 0..4_000);
    config.shutdown.spread = milliseconds(random, 0..3_000);
    config.connections.max = random.pick(&[4, 40]);
    if random.happens(100) {
        config.connections.max_per_address = random.within(1..4) as u32;
    }
    if random.happens(100) {
        config.rates.max_messages_per_second = random.within(2..40) as u32;
        config.rates.throttle_timeout = random.pick(&[None, Some(Duration::from_secs(2))]);
    }
    config.rates.min_frame_bytes_per_second = random.pick(&[0, 100, 1_000]);
    config
}

fn listen(random: &mut Random) -> Vec<crate::config::Listen> {
    let addresses = ["10.0.0.1:80", "10.0.0.1:81", "proxy+http://10.0.0.1:82"];
    let count = random.within(1..4);
    addresses[..count].iter().map(|address| address.parse().expect("an address")).collect()
}
