//! Timeouts, keepalive and shutdown.

use std::time::Duration;

use clap::Args;
use townhall::{CloseCode, Config};

use super::duration::{Timeout, duration, show, timeout};

/// The longest delay, spread and timeout of a shutdown.
const MAX_SHUTDOWN: Duration = Duration::from_secs(15 * 60);

/// The flags for timeouts, keepalive and shutdown.
#[derive(Debug, Args)]
#[command(next_help_heading = "Timeouts and shutdown")]
pub struct TimeFlags {
    /// How long a client may take to send the head of its request. A slower client gets 408. A client
    /// that has sent nothing is disconnected without an answer
    #[arg(long, value_name = "DURATION", env = "TOWNHALL_HANDSHAKE_TIMEOUT")]
    #[arg(default_value = show(Config::default().timeouts.handshake), value_parser = duration)]
    handshake_timeout: Duration,

    /// How long a connection may wait for its next request after the response to a POST. It is then closed
    #[arg(long, value_name = "DURATION", env = "TOWNHALL_KEEP_ALIVE_TIMEOUT")]
    #[arg(default_value = show(Config::default().timeouts.keep_alive), value_parser = duration)]
    keep_alive_timeout: Duration,

    /// How long a client may be silent before the server sends a ping. With `off` or 0, the server
    /// sends no pings, and silent clients stay connected
    #[arg(long, value_name = "DURATION", env = "TOWNHALL_PING_INTERVAL")]
    #[arg(default_value_t = Timeout(Config::default().timeouts.ping_interval))]
    #[arg(value_parser = timeout)]
    ping_interval: Timeout,

    /// How long a client may stay silent after a ping before it is disconnected. With `off` or 0,
    /// clients need not answer pings
    #[arg(long, value_name = "DURATION", env = "TOWNHALL_PONG_TIMEOUT")]
    #[arg(default_value_t = Timeout(Config::default().timeouts.pong), value_parser = timeout)]
    pong_timeout: Timeout,

    /// How long a client may read nothing while data is waiting for it, before it is disconnected. With
    /// `off` or 0, there is no limit
    #[arg(long, value_name = "DURATION", env = "TOWNHALL_WRITE_TIMEOUT")]
    #[arg(default_value_t = Timeout(Config::default().timeouts.write), value_parser = timeout)]
    write_timeout: Timeout,

    /// How long a client may exceed --max-messages-per-second or --max-bytes-per-second before it is
    /// closed with 1008. With `off` or 0, clients over these limits are only slowed down
    #[arg(long, value_name = "DURATION", env = "TOWNHALL_THROTTLE_TIMEOUT")]
    #[arg(default_value_t = Timeout(Config::default().rates.throttle_timeout))]
    #[arg(value_parser = timeout)]
    throttle_timeout: Timeout,

    /// How long a client may take to answer a close frame before it is disconnected
    #[arg(long, value_name = "DURATION", env = "TOWNHALL_CLOSE_TIMEOUT")]
    #[arg(default_value = show(Config::default().timeouts.close), value_parser = duration)]
    close_timeout: Duration,

    /// How long a connection may stay open before it is closed with 1012 (service restart), so that its
    /// client moves to another server, such as a newer one behind the same load balancer. The time
    /// varies by up to 10% from connection to connection. With `off` or 0, there is no limit
    #[arg(long, value_name = "DURATION", env = "TOWNHALL_MAX_CONNECTION_AGE")]
    #[arg(default_value_t = Timeout(Config::default().connections.max_age), value_parser = timeout)]
    max_connection_age: Timeout,

    /// How long to serve clients as before after SIGINT or SIGTERM, while /health already answers with
    /// 503, so that a load balancer sends new clients elsewhere; at most 15min. After this delay, the
    /// server closes its listening sockets, and another process can use their addresses
    #[arg(long, value_name = "DURATION", env = "TOWNHALL_SHUTDOWN_DELAY")]
    #[arg(default_value = show(Config::default().shutdown.delay), value_parser = shutdown_duration)]
    shutdown_delay: Duration,

    /// How long to wait for clients to disconnect after --shutdown-delay; at most 15min. With 0, the
    /// server exits as soon as it has sent the close frames
    #[arg(long, value_name = "DURATION", env = "TOWNHALL_SHUTDOWN_TIMEOUT")]
    #[arg(default_value = show(Config::default().shutdown.timeout))]
    #[arg(value_parser = shutdown_duration)]
    shutdown_timeout: Duration,

    /// The time over which close frames are spread after --shutdown-delay, so that clients do not all
    /// reconnect at once; at most half of --shutdown-timeout. With 0, or with up to 100 clients, all
    /// close frames are sent immediately
    #[arg(long, value_name = "DURATION", env = "TOWNHALL_SHUTDOWN_SPREAD")]
    #[arg(default_value = show(Config::default().shutdown.spread))]
    #[arg(value_parser = shutdown_duration)]
    shutdown_spread: Duration,

    /// The close code after SIGINT or SIGTERM: 1001 (going away), or 1012 (service restart) if the
    /// server will soon be back
    #[arg(long, value_name = "CODE", env = "TOWNHALL_SHUTDOWN_CODE")]
    #[arg(default_value_t = Config::default().shutdown.code, value_parser = shutdown_code)]
    shutdown_code: CloseCode,
}

impl TimeFlags {
    /// Applies the flags to a configuration.
    pub fn set(&self, config: &mut Config) {
        config.timeouts.handshake = self.handshake_timeout;
        config.timeouts.keep_alive = self.keep_alive_timeout;
        config.timeouts.ping_interval = self.ping_interval.0;
        config.timeouts.pong = self.pong_timeout.0;
        config.timeouts.write = self.write_timeout.0;
        config.rates.throttle_timeout = self.throttle_timeout.0;
        config.timeouts.close = self.close_timeout;
        config.connections.max_age = self.max_connection_age.0;
        config.shutdown.delay = self.shutdown_delay;
        config.shutdown.timeout = self.shutdown_timeout;
        config.shutdown.spread = self.shutdown_spread;
        config.shutdown.code = self.shutdown_code;
    }
}

/// A part of the shutdown, which an operator or a service manager waits for.
fn shutdown_duration(text: &str) -> Result<Duration, &'static str> {
    match duration(text)? {
        duration if duration <= MAX_SHUTDOWN => Ok(duration),
        _ => Err("it must be at most 15min"),
    }
}

fn shutdown_code(text: &str) -> Result<CloseCode, &'static str> {
    let codes = [CloseCode::GOING_AWAY, CloseCode::SERVICE_RESTART];
    let code = text.parse().ok().and_then(CloseCode::new);
    code.filter(|code| codes.contains(code)).ok_or("it must be 1001 or 1012")
}
