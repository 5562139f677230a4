//! The deadlines that clients are given.

use std::time::Duration;

use clap::Args;
use townhall::{CloseCode, Config};

use super::number;

/// The deadlines.
#[derive(Debug, Args)]
#[command(next_help_heading = "Times")]
pub struct TimeFlags {
    /// How long a client may take to send the head of its request, in seconds. After that it is
    /// answered with 408, or closed without an answer if it has sent nothing
    #[arg(long, value_name = "SECONDS", env = "TOWNHALL_HANDSHAKE_TIMEOUT_SECONDS")]
    #[arg(default_value_t = Config::default().handshake_timeout.as_secs(), value_parser = number::seconds(1_u64))]
    handshake_timeout_seconds: u64,

    /// How long a client may be silent before the server pings it, in seconds. 0 turns pings off,
    /// so that silent clients stay
    #[arg(long, value_name = "SECONDS", env = "TOWNHALL_PING_INTERVAL_SECONDS")]
    #[arg(default_value_t = seconds(Config::default().ping_interval))]
    #[arg(value_parser = number::seconds(0_u64))]
    ping_interval_seconds: u64,

    /// How long a client may stay silent after a ping before it is dropped, in seconds. 0 means no
    /// limit
    #[arg(long, value_name = "SECONDS", env = "TOWNHALL_PONG_TIMEOUT_SECONDS")]
    #[arg(default_value_t = seconds(Config::default().pong_timeout))]
    #[arg(value_parser = number::seconds(0_u64))]
    pong_timeout_seconds: u64,

    /// How long a client may read nothing of what is waiting for it before it is dropped, in
    /// seconds. 0 means no limit
    #[arg(long, value_name = "SECONDS", env = "TOWNHALL_WRITE_TIMEOUT_SECONDS")]
    #[arg(default_value_t = seconds(Config::default().write_timeout))]
    #[arg(value_parser = number::seconds(0_u64))]
    write_timeout_seconds: u64,

    /// How long a client may send more than --max-messages-per-second or --max-bytes-per-second
    /// allow before it is closed with 1008, in seconds. With 0, such clients are only slowed down
    #[arg(long, value_name = "SECONDS", env = "TOWNHALL_THROTTLE_TIMEOUT_SECONDS")]
    #[arg(default_value_t = seconds(Config::default().throttle_timeout))]
    #[arg(value_parser = number::seconds(0_u64))]
    throttle_timeout_seconds: u64,

    /// How long a client may take to answer a close frame before it is dropped, in seconds
    #[arg(long, value_name = "SECONDS", env = "TOWNHALL_CLOSE_TIMEOUT_SECONDS")]
    #[arg(default_value_t = Config::default().close_timeout.as_secs(), value_parser = number::seconds(1_u64))]
    close_timeout_seconds: u64,

    /// How long to wait for clients to leave after SIGINT or SIGTERM, in seconds. With 0, the
    /// server ends as soon as it has sent their close frames
    #[arg(long, value_name = "SECONDS", env = "TOWNHALL_DRAIN_TIMEOUT_SECONDS")]
    #[arg(default_value_t = Config::default().drain_timeout.as_secs())]
    #[arg(value_parser = number::seconds(0_u64))]
    drain_timeout_seconds: u64,

    /// How long to spread the close frames after SIGINT or SIGTERM, in seconds, so that clients do
    /// not all come back at once. More than half of --drain-timeout-seconds is cut to half. 100
    /// clients or fewer are closed immediately
    #[arg(long, value_name = "SECONDS", env = "TOWNHALL_DRAIN_SPREAD_SECONDS")]
    #[arg(default_value_t = Config::default().drain_spread.as_secs())]
    #[arg(value_parser = number::seconds(0_u64))]
    drain_spread_seconds: u64,

    /// The code of the close frames after SIGINT or SIGTERM: 1001, or 1012 if the server will soon
    /// be back
    #[arg(long, value_name = "CODE", env = "TOWNHALL_DRAIN_CODE")]
    #[arg(default_value_t = Config::default().drain_code, value_parser = drain_code)]
    drain_code: CloseCode,
}

impl TimeFlags {
    /// Sets the deadlines in a configuration.
    pub fn set(&self, config: &mut Config) {
        config.handshake_timeout = Duration::from_secs(self.handshake_timeout_seconds);
        config.ping_interval = time(self.ping_interval_seconds);
        config.pong_timeout = time(self.pong_timeout_seconds);
        config.write_timeout = time(self.write_timeout_seconds);
        config.throttle_timeout = time(self.throttle_timeout_seconds);
        config.close_timeout = Duration::from_secs(self.close_timeout_seconds);
        config.drain_timeout = Duration::from_secs(self.drain_timeout_seconds);
        config.drain_spread = Duration::from_secs(self.drain_spread_seconds);
        config.drain_code = self.drain_code;
    }
}

/// The time that a number of seconds stands for, where 0 turns the deadline off.
fn time(seconds: u64) -> Option<Duration> {
    (seconds > 0).then_some(Duration::from_secs(seconds))
}

/// The number of seconds that stands for a time.
fn seconds(time: Option<Duration>) -> u64 {
    time.map_or(0, |time| time.as_secs())
}

fn drain_code(text: &str) -> Result<CloseCode, String> {
    let code = text.parse().ok().and_then(CloseCode::new);
    let fits =
        |code: &CloseCode| [CloseCode::GOING_AWAY, CloseCode::SERVICE_RESTART].contains(code);
    code.filter(fits).ok_or_else(|| "it is 1001 or 1012".into())
}
