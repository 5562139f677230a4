//! What the program reports to systemd if it runs as a service of the type `notify` or `notify-reload`.
//! Without systemd, nothing is reported.

use std::time::Duration;

use log::warn;
use sd_notify::NotifyState;
use townhall::{ClientId, Handle, Hub, ShutdownConfig};

/// The token of the timer that feeds the watchdog.
pub const WATCHDOG: u64 = 1;

/// What the program needs to exit after the shutdown's timeout.
const MARGIN: Duration = Duration::from_secs(5);

/// Reports that the sockets are bound, and begins to feed the watchdog if there is one.
pub fn ready(handle: &Handle) {
    if watchdog_interval().is_some()
        && let Err(error) = handle.run(feed_watchdog)
    {
        warn!("cannot feed the watchdog: {error}");
    }
    notify(&[NotifyState::Ready]);
}

/// Shows the watchdog that the event loop turns, and sets the timer for the next time.
pub fn feed_watchdog(hub: &mut Hub) {
    if let Some(interval) = watchdog_interval() {
        notify(&[NotifyState::Watchdog]);
        hub.set_timer(ClientId::SERVER, WATCHDOG, interval);
    }
}

/// Reports that SIGHUP has been handled.
pub fn reloaded() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => warn!("cannot read the monotonic clock: {error}"),
    }
    notify(&[NotifyState::Ready]);
}

/// Reports that the shutdown has begun, and how long it may take.
pub fn stopping(shutdown: &ShutdownConfig) {
    let rest = shutdown.delay + shutdown.timeout + MARGIN;
    let rest = u32::try_from(rest.as_micros()).unwrap_or(u32::MAX);
    notify(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(rest)]);
}

/// How often to feed the watchdog, if there is one: twice as often as it asks for.
fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|timeout| timeout / 2).filter(|interval| !interval.is_zero())
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!("cannot notify systemd: {error}");
    }
}
