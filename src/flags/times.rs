//! How long anybody is waited for.

use std::time::Duration;

use clap::Args;
use townhall::{CloseCode, Config};

/// The deadlines.
#[derive(Debug, Args)]
#[command(next_help_heading = "Times")]
pub struct TimeFlags {
    /// How long a client may take for the head of its request, in seconds
    #[arg(long, value_name = "SECONDS", env = "TOWNHALL_HANDSHAKE_TIMEOUT_SECONDS")]
    #[arg(default_value_t = Config::default().handshake_timeout.as_secs())]
    handshake_timeout_seconds: u64,

    /// How long a client may be silent before it is sent a ping, in seconds
    #[arg(long, value_name = "SECONDS", env = "TOWNHALL_PING_INTERVAL_SECONDS")]
    #[arg(default_value_t = Config::default().ping_interval.as_secs())]
    ping_interval_seconds: u64,

    /// How long it may stay silent after that, in seconds
    #[arg(long, value_name = "SECONDS", env = "TOWNHALL_PONG_TIMEOUT_SECONDS")]
    #[arg(default_value_t = Config::default().pong_timeout.as_secs())]
    pong_timeout_seconds: u64,

    /// How long a client may take nothing of what there is for it, in seconds
    #[arg(long, value_name = "SECONDS", env = "TOWNHALL_WRITE_TIMEOUT_SECONDS")]
    #[arg(default_value_t = Config::default().write_timeout.as_secs())]
    write_timeout_seconds: u64,

    /// How long a client may say more than it may in a second, before it is closed with 1008, in
    /// seconds
    #[arg(long, value_name = "SECONDS", env = "TOWNHALL_THROTTLE_TIMEOUT_SECONDS")]
    #[arg(default_value_t = Config::default().throttle_timeout.as_secs())]
    throttle_timeout_seconds: u64,

    /// How long a client may take to answer a close frame, in seconds
    #[arg(long, value_name = "SECONDS", env = "TOWNHALL_CLOSE_TIMEOUT_SECONDS")]
    #[arg(default_value_t = Config::default().close_timeout.as_secs())]
    close_timeout_seconds: u64,

    /// How long to wait for clients after a signal to stop, in seconds
    #[arg(long, value_name = "SECONDS", env = "TOWNHALL_DRAIN_TIMEOUT_SECONDS")]
    #[arg(default_value_t = Config::default().drain_timeout.as_secs())]
    drain_timeout_seconds: u64,

    /// Over what time to spread the close frames then, in seconds, half of the former at most; up
    /// to a hundred are sent at once
    #[arg(long, value_name = "SECONDS", env = "TOWNHALL_DRAIN_SPREAD_SECONDS")]
    #[arg(default_value_t = Config::default().drain_spread.as_secs())]
    drain_spread_seconds: u64,

    /// The code of these close frames: 1001, or 1012 to tell clients that the server is soon back
    #[arg(long, value_name = "CODE", env = "TOWNHALL_DRAIN_CODE")]
    #[arg(default_value_t = Config::default().drain_code, value_parser = drain_code)]
    drain_code: CloseCode,
}

impl TimeFlags {
    /// Sets the deadlines in a configuration.
    pub fn set(&self, config: &mut Config) {
        config.handshake_timeout = Duration::from_secs(self.handshake_timeout_seconds);
        config.ping_interval = Duration::from_secs(self.ping_interval_seconds);
        config.pong_timeout = Duration::from_secs(self.pong_timeout_seconds);
        config.write_timeout = Duration::from_secs(self.write_timeout_seconds);
        config.throttle_timeout = Duration::from_secs(self.throttle_timeout_seconds);
        config.close_timeout = Duration::from_secs(self.close_timeout_seconds);
        config.drain_timeout = Duration::from_secs(self.drain_timeout_seconds);
        config.drain_spread = Duration::from_secs(self.drain_spread_seconds);
        config.drain_code = self.drain_code;
    }
}

fn drain_code(text: &str) -> Result<CloseCode, String> {
    let code = text.parse().ok().and_then(CloseCode::new);
    let fits =
        |code: &CloseCode| [CloseCode::GOING_AWAY, CloseCode::SERVICE_RESTART].contains(code);
    code.filter(fits).ok_or_else(|| "it is 1001 or 1012".into())
}
