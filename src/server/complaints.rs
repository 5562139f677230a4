//! What the log tells about peers that are refused: strangers must not be able to fill a disk.

use std::fmt;

use log::info;

use super::deadlines::Tick;

/// The most lines in a second.
const MAX_LINES: u32 = 20;

/// A writer of log lines that keeps to so many a second, and tells how many it left out.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    /// When the second began.
    since: Tick,
    /// The lines since then.
    lines: u32,
    /// How many of them were left out.
    withheld: u32,
}

impl Complaints {
    /// Writes a line, unless there were too many in the last second.
    pub(super) fn log(&mut self, now: Tick, line: fmt::Arguments<'_>) {
        if now.seconds_since(self.since) >= 1.0 {
            if self.withheld > 0 {
                info!("{} more lines like these were left out", self.withheld);
            }
            *self = Self { since: now, lines: 0, withheld: 0 };
        }
        if self.admit() {
            info!("{line}");
        }
    }

    fn admit(&mut self) -> bool {
        let admitted = self.lines < MAX_LINES;
        self.lines = self.lines.saturating_add(1);
        self.withheld += u32::from(!admitted);
        admitted
    }
}
