//! What the client waits for: its socket, its input, and signals.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Source;
use mio::{Interest, Poll, Token, Waker};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

const SOCKET: Token = Token(0);
const INPUT: Token = Token(1);
const SIGNALS: Token = Token(2);

/// The events of the system, for one socket at a time.
pub struct Events {
    poll: Poll,
    events: mio::Events,
    signals: Signals,
    /// Kept here, because a waker that is closed takes its last event with it.
    waker: Arc<Waker>,
    /// The number of times that the user has asked for the end.
    interruptions: u32,
}

impl Events {
    pub fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        poll.registry().register(&mut signals, SIGNALS, Interest::READABLE)?;
        let waker = Arc::new(Waker::new(poll.registry(), INPUT)?);
        let events = mio::Events::with_capacity(16);
        Ok(Self { poll, events, signals, waker, interruptions: 0 })
    }

    /// What the thread of the input wakes the client with.
    pub fn waker(&self) -> Arc<Waker> {
        self.waker.clone()
    }

    /// Waits for the socket from now on.
    pub fn register(&self, socket: &mut impl Source) -> io::Result<()> {
        self.poll.registry().register(socket, SOCKET, Interest::READABLE | Interest::WRITABLE)
    }

    /// Waits until something happens, for this time at most. What has happened is not said: a caller tries
    /// everything.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        self.interruptions += self.signals.pending().count() as u32;
        Ok(())
    }

    /// Waits for this time, and returns whether nobody asked for the end meanwhile.
    pub fn rest(&mut self, time: Duration) -> io::Result<bool> {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if self.is_interrupted() || left.is_zero() {
                return Ok(!self.is_interrupted());
            }
            self.wait(left)?;
        }
    }

    pub fn is_interrupted(&self) -> bool {
        self.interruptions > 0
    }

    /// Whether the user is not willing to wait for the close handshake.
    pub fn is_interrupted_again(&self) -> bool {
        self.interruptions > 1
    }
}
