//! What the event loop is told, in a bounded queue.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use townhall::{ClientId, Handle, HandleError, Hub};

use super::job::Report;

/// The token of the timer that shows that there are reports.
pub const REPORTS: u64 = 7;

/// How many bytes may wait before no more is read from Redis.
const MAX_BYTES: usize = 16 << 20;

/// How long to wait for a place in the event loop's queue.
const PAUSE: Duration = Duration::from_millis(1);

/// Reports for the event loop.
#[derive(Debug)]
pub struct Mailbox {
    handle: Handle,
    content: Mutex<Content>,
    taken: Condvar,
}

#[derive(Debug, Default)]
struct Content {
    reports: VecDeque<Report>,
    bytes: usize,
    /// Whether the event loop has been told that there are some.
    announced: bool,
    closed: bool,
}

impl Mailbox {
    pub fn new(handle: Handle) -> Self {
        Self { handle, content: Mutex::default(), taken: Condvar::new() }
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        // Nothing panics while it is locked.
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a report. A thread that could add very many waits until there is room.
    pub fn put(&self, report: Report) {
        let full = |content: &mut Content| content.bytes > MAX_BYTES && !content.closed;
        let waited = self.taken.wait_while(self.content(), full);
        self.add(waited.unwrap_or_else(PoisonError::into_inner), report);
    }

    /// Adds a report of something that was asked for. Their number is limited.
    pub fn answer(&self, report: Report) {
        self.add(self.content(), report);
    }

    fn add(&self, mut content: MutexGuard<'_, Content>, report: Report) {
        content.bytes += report.size();
        content.reports.push_back(report);
        if !mem::replace(&mut content.announced, true) {
            drop(content);
            self.announce();
        }
    }

    fn announce(&self) {
        let wake = |hub: &mut Hub| _ = hub.set_timer(ClientId::SERVER, REPORTS, Duration::ZERO);
        while self.handle.run(wake) == Err(HandleError::Full) {
            thread::sleep(PAUSE);
        }
    }

    /// Whether the event loop is behind.
    pub fn is_half_full(&self) -> bool {
        self.content().bytes > MAX_BYTES / 2
    }

    /// Takes the next report.
    pub fn take(&self) -> Option<Report> {
        let mut content = self.content();
        let report = content.reports.pop_front();
        match &report {
            Some(report) => content.bytes -= report.size(),
            None => content.announced = false,
        }
        self.taken.notify_all();
        report
    }

    /// Lets no thread wait any longer.
    pub fn close(&self) {
        self.content().closed = true;
        self.taken.notify_all();
    }
}

#[cfg(test)]
mod tests;
