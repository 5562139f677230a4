//! Logging to standard error.
//!
//! Standard error can be a pipe that nobody reads, or a full disk. The event loop must not wait for it,
//! so it puts lines into a bounded queue, and a separate thread passes them to [`SimpleLogger`].

use std::collections::VecDeque;
use std::error::Error;
use std::mem;
use std::panic::catch_unwind;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use log::{Level, LevelFilter, Log, Metadata, Record};
use simple_logger::SimpleLogger;

/// The name of the thread that writes.
const WRITER: &str = "log";

/// The maximum number of lines in the queue: more than a busy server logs at `debug` while its log is
/// rotated.
const MAX_LINES: usize = 4096;

/// The maximum size of all lines in the queue, which is small compared with the server's other memory.
const MAX_BYTES: usize = 1 << 20;

/// How long [`flush`] waits for the queue to empty.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// From this delay, a line shows how late it is. Its timestamp is the time of writing.
const LATE: Duration = Duration::from_secs(1);

/// The beginning of the year 10000, which a timestamp with a four-digit year cannot show.
const END_OF_TIME: Duration = Duration::from_secs(253_402_300_800);

static QUEUE: Queue = Queue::new();

/// Starts logging records of this `level` and more severe ones, on a separate thread.
///
/// # Errors
/// The system cannot start another thread, or there already is a logger.
pub fn init(level: LevelFilter) -> Result<(), Box<dyn Error>> {
    thread::Builder::new().name(WRITER.to_owned()).spawn(|| write_lines(&QUEUE))?;
    log::set_max_level(level);
    log::set_logger(&QUEUE)?;
    Ok(())
}

/// Waits until everything is written, for at most a second, because standard error may be stuck.
pub fn flush() {
    QUEUE.flush(FLUSH_TIMEOUT);
}

/// The number of lines that were not written since the start.
pub fn lost_lines() -> u64 {
    QUEUE.lock().lost
}

/// Whether this is the thread that writes log lines.
pub fn is_writer() -> bool {
    thread::current().name() == Some(WRITER)
}

/// A line to write.
#[derive(Debug)]
struct Line {
    level: Level,
    target: String,
    text: String,
    created: Instant,
}

impl Line {
    fn new(level: Level, target: &str, text: String) -> Self {
        Self { level, target: target.to_owned(), text, created: Instant::now() }
    }

    /// A line that reports dropped lines.
    fn dropped(count: u64) -> Self {
        Self::new(Level::Warn, module_path!(), format!("log lines dropped: {count}"))
    }

    fn size(&self) -> usize {
        self.target.len() + self.text.len()
    }

    /// Writes the line, and returns whether that succeeded. The logger uses the printing macros of the
    /// standard library, which panic if standard error does not accept output.
    fn write(&self) -> bool {
        let waited = self.created.elapsed();
        let target = &*self.target;
        let level = self.level;
        let text = with_delay(&self.text, waited);
        let logger = if is_time_of_four_digits(SystemTime::now()) {
            SimpleLogger::new().with_utc_timestamps()
        } else {
            SimpleLogger::new().without_timestamps()
        };
        let write = || {
            let mut record = Record::builder();
            record.level(level).target(target);
            logger.log(&record.args(format_args!("{text}")).build());
        };
        catch_unwind(write).is_ok()
    }
}

/// The text, followed by the delay if the line is late.
fn with_delay(text: &str, waited: Duration) -> String {
    if waited < LATE { text.to_owned() } else { format!("{text} ({} s late)", waited.as_secs()) }
}

/// Whether a timestamp can show this time. Otherwise the logger would panic.
fn is_time_of_four_digits(now: SystemTime) -> bool {
    now.duration_since(UNIX_EPOCH).is_ok_and(|age| age < END_OF_TIME)
}

/// Writes lines as they arrive. Lines that cannot be written are lost, and counted.
fn write_lines(queue: &Queue) {
    let mut lost = 0;
    loop {
        let line = queue.take();
        if lost > 0 && Line::dropped(lost).write() {
            lost = 0;
        }
        if lost > 0 || !line.write() {
            lost += 1;
            queue.lock().lost += 1;
        }
    }
}

/// The queue from the threads that log to the thread that writes.
struct Queue {
    waiting: Mutex<Waiting>,
    filled: Condvar,
    emptied: Condvar,
}

#[derive(Debug)]
struct Waiting {
    lines: VecDeque<Line>,
    /// The size of the lines in bytes.
    bytes: usize,
    /// How many lines were dropped since the queue was full.
    dropped: u64,
    /// How many lines were dropped or could not be written since the start.
    lost: u64,
    /// Whether a line is being written.
    writing: bool,
}

impl Queue {
    const fn new() -> Self {
        let lines = VecDeque::new();
        let waiting = Waiting { lines, bytes: 0, dropped: 0, lost: 0, writing: false };
        Self { waiting: Mutex::new(waiting), filled: Condvar::new(), emptied: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // No code panics while it holds the lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line. Once a line did not fit, the next ones are dropped too, until the queue is empty and a
    /// line reports how many were dropped. This way, there is one gap instead of many.
    fn push(&self, line: Line) {
        let mut waiting = self.lock();
        let fits = waiting.lines.len() < MAX_LINES && waiting.bytes + line.size() <= MAX_BYTES;
        if waiting.dropped > 0 || !fits {
            waiting.dropped += 1;
            waiting.lost += 1;
        } else {
            waiting.bytes += line.size();
            waiting.lines.push_back(line);
        }
        drop(waiting);
        self.filled.notify_one();
    }

    /// Waits for the next line. The previous line counts as written.
    fn take(&self) -> Line {
        let mut waiting = self.lock();
        waiting.writing = false;
        loop {
            if let Some(line) = waiting.next() {
                waiting.writing = true;
                return line;
            }
            self.emptied.notify_all();
            waiting = self.filled.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until everything is written, for at most `timeout`.
    fn flush(&self, timeout: Duration) {
        let waiting = self.lock();
        drop(self.emptied.wait_timeout_while(waiting, timeout, |waiting| !waiting.is_done()));
    }
}

impl Waiting {
    fn next(&mut self) -> Option<Line> {
        if let Some(line) = self.lines.pop_front() {
            self.bytes -= line.size();
            return Some(line);
        }
        let dropped = mem::take(&mut self.dropped);
        (dropped > 0).then(|| Line::dropped(dropped))
    }

    fn is_done(&self) -> bool {
        !self.writing && self.lines.is_empty() && self.dropped == 0
    }
}

impl Log for Queue {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        self.push(Line::new(record.level(), record.target(), record.args().to_string()));
    }

    fn flush(&self) {
        self.flush(FLUSH_TIMEOUT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: impl Into<String>) -> Line {
        Line::new(Level::Info, "", text.into())
    }

    /// The texts that a writer would write before it had to wait.
    fn drain(queue: &Queue) -> Vec<String> {
        let mut waiting = queue.lock();
        std::iter::from_fn(|| waiting.next()).map(|line| line.text).collect()
    }

    #[test]
    fn lines_keep_their_order() {
        let queue = Queue::new();
        (0..3).for_each(|number| queue.push(line(number.to_string())));
        assert_eq!(drain(&queue), ["0", "1", "2"]);
    }

    #[test]
    fn dropped_lines_are_counted_in_their_place() {
        let queue = Queue::new();
        (0..MAX_LINES + 5).for_each(|number| queue.push(line(number.to_string())));
        assert_eq!(queue.take().text, "0");
        // There is space again, but the gap has not been reported.
        queue.push(line("in the gap"));
        let written = drain(&queue);
        assert_eq!(written.len(), MAX_LINES);
        assert_eq!(written[MAX_LINES - 1], "log lines dropped: 6");
        assert_eq!(queue.lock().lost, 6);
        queue.push(line("after the gap"));
        assert_eq!(drain(&queue), ["after the gap"]);
    }

    #[test]
    fn the_size_of_all_lines_is_limited() {
        let queue = Queue::new();
        (0..MAX_LINES).for_each(|_| queue.push(line("x".repeat(MAX_BYTES / 10))));
        assert_eq!(drain(&queue).len(), 11);
        queue.push(line("x".repeat(MAX_BYTES + 1)));
        assert_eq!(drain(&queue), ["log lines dropped: 1"]);
        queue.push(line("x".repeat(MAX_BYTES)));
        assert_eq!(drain(&queue)[0].len(), MAX_BYTES);
    }

    #[test]
    fn a_flush_waits_until_everything_is_written() {
        static QUEUE: Queue = Queue::new();
        (0..1_000).for_each(|_| QUEUE.push(line("a line")));
        thread::spawn(|| while QUEUE.take().text != "the last line" {});
        QUEUE.push(line("a later line"));
        QUEUE.flush(Duration::MAX);
        assert!(QUEUE.lock().is_done());
    }

    #[test]
    fn a_flush_does_not_wait_for_a_stuck_writer() {
        let queue = Queue::new();
        queue.push(line("nobody takes this"));
        queue.flush(Duration::from_millis(1));
        assert!(!queue.lock().is_done());
    }

    #[test]
    fn a_late_line_shows_its_delay() {
        assert_eq!(with_delay("a line", Duration::from_millis(999)), "a line");
        assert_eq!(with_delay("a line", Duration::from_millis(61_500)), "a line (61 s late)");
    }

    #[test]
    fn a_year_without_four_digits_gets_no_timestamp() {
        let last = UNIX_EPOCH + END_OF_TIME - Duration::from_secs(1);
        assert!([UNIX_EPOCH, SystemTime::now(), last].into_iter().all(is_time_of_four_digits));
        assert!(!is_time_of_four_digits(UNIX_EPOCH - Duration::from_secs(1)));
        assert!(!is_time_of_four_digits(UNIX_EPOCH + END_OF_TIME));
    }
}
