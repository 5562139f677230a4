//! Limits what the log shows of refused peers, so that strangers cannot fill a disk.

use std::fmt;
use std::mem;

use log::{Level, log, log_enabled, warn};

use crate::server::time::wheel::Timestamp;

/// The maximum number of lines in a second.
const MAX_LINES: u32 = 20;

/// The maximum size in bytes of the lines in a second. The last one may exceed it.
const MAX_BYTES: usize = 4 << 10;

/// A writer of log lines that limits the lines in a second, and logs how many it dropped.
#[derive(Debug, Default)]
pub(crate) struct LogRate {
    /// When the current second began.
    since: Timestamp,
    /// The number of lines in this second.
    lines: u32,
    /// The size in bytes of these lines.
    bytes: usize,
    /// The number of lines that were dropped in this second.
    dropped: u32,
}

impl LogRate {
    /// Writes a line, unless there were too many in the last second.
    pub(crate) fn log(&mut self, level: Level, now: Timestamp, line: fmt::Arguments<'_>) {
        if !log_enabled!(level) {
            return;
        }
        self.settle(now);
        if let Some(line) = self.admit(line) {
            log!(level, "{line}");
        }
    }

    /// Logs how many lines were dropped in the last second, once that is over.
    pub(crate) fn settle(&mut self, now: Timestamp) {
        report(self.renew(now));
    }

    /// Logs how many lines were dropped in the current second, when no other line will follow.
    pub(crate) fn finish(&mut self) {
        report(mem::take(&mut self.dropped));
    }

    /// Begins another second if the last one is over, and returns the number of lines that were dropped
    /// in it.
    fn renew(&mut self, now: Timestamp) -> u32 {
        if now.seconds_since(self.since) < 1.0 {
            return 0;
        }
        mem::replace(self, Self { since: now, ..Self::default() }).dropped
    }

    /// The line, if it may be written. Only such a line is formatted.
    fn admit(&mut self, line: fmt::Arguments<'_>) -> Option<String> {
        if self.lines >= MAX_LINES || self.bytes >= MAX_BYTES {
            self.dropped = self.dropped.saturating_add(1);
            return None;
        }
        let line = line.to_string();
        self.lines += 1;
        self.bytes += line.len();
        Some(line)
    }
}

fn report(dropped: u32) {
    if dropped > 0 {
        warn!("{dropped} more lines like these were dropped");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The number of lines that are written in a second, of 1,000 lines of this size.
    fn written(log_rate: &mut LogRate, size: usize) -> usize {
        (0..1_000).filter_map(|_| log_rate.admit(format_args!("{:size$}", ""))).count()
    }

    #[test]
    fn a_second_has_few_lines_and_fewer_long_ones() {
        assert_eq!(written(&mut LogRate::default(), 50), MAX_LINES as usize);
        assert_eq!(written(&mut LogRate::default(), 1_000), 5);
        assert_eq!(written(&mut LogRate::default(), MAX_BYTES), 1);
    }

    #[test]
    fn the_next_second_begins_with_the_number_of_dropped_lines() {
        let mut log_rate = LogRate::default();
        let begin = Timestamp::default();
        written(&mut log_rate, 50);
        assert_eq!(log_rate.renew(begin.after(Duration::from_millis(500))), 0);
        let next = begin.after(Duration::from_secs(1));
        assert_eq!(log_rate.renew(next), 1_000 - MAX_LINES);
        assert_eq!(written(&mut log_rate, 50), MAX_LINES as usize);
        assert_eq!(log_rate.renew(next), 0);
    }
}
