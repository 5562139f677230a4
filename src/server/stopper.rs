//! Stopping a server from outside its event loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use log::warn;
use mio::Waker;

/// Tells a running server to stop. It can be cloned and sent to other threads.
#[derive(Debug, Clone)]
pub struct Stopper {
    /// How often the server has been asked to stop.
    asked: Arc<AtomicUsize>,
    waker: Arc<Waker>,
}

impl Stopper {
    pub(super) fn new(waker: Waker) -> Self {
        Self { asked: Arc::default(), waker: Arc::new(waker) }
    }

    /// Makes the server close every connection with [`Config::drain_code`](crate::Config::drain_code)
    /// and end. A second call ends it at once.
    pub fn stop(&self) {
        self.ask();
        if let Err(error) = self.waker.wake() {
            warn!("the server cannot be woken: {error}");
        }
    }

    pub(super) fn ask(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}
