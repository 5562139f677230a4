//! Log lines on standard error.
//!
//! Standard error can be a pipe that nobody reads, or a full disk. The event loop must not wait for
//! either, so it puts its lines into a bounded queue, and a separate thread hands them to
//! [`SimpleLogger`].

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

/// The most lines, and bytes of them, that wait to be written: what a busy server logs at `debug` while
/// its log is rotated, and little compared with its other memory.
const MAX_LINES: usize = 4096;
const MAX_BYTES: usize = 1 << 20;

/// How long [`flush`] waits for the queue to empty.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// How late a line must be for the delay to be shown. Its timestamp is the writer's.
const LATE: Duration = Duration::from_secs(1);

/// The first moment that a timestamp, whose year has four digits, cannot show: the year 10000.
const END_OF_TIME: Duration = Duration::from_secs(253_402_300_800);

static QUEUE: Queue = Queue::new();

/// Logs records of at least this `level` of severity, from a separate thread.
///
/// # Errors
/// The system's, if no further thread can be started, or if there is a logger already.
pub fn init(level: LevelFilter) -> Result<(), Box<dyn Error>> {
    thread::Builder::new().name(WRITER.to_owned()).spawn(|| write_lines(&QUEUE))?;
    log::set_max_level(level);
    log::set_logger(&QUEUE)?;
    Ok(())
}

/// Waits until everything is written, but no longer than a second: standard error may be stuck.
pub fn flush() {
    QUEUE.flush(FLUSH_TIMEOUT);
}

/// Whether the caller is the thread that writes log lines.
pub fn is_writer() -> bool {
    thread::current().name() == Some(WRITER)
}

/// A line that is to be written.
#[derive(Debug)]
struct Line {
    level: Level,
    target: String,
    text: String,
    made: Instant,
}

impl Line {
    fn new(level: Level, target: &str, text: String) -> Self {
        Self { level, target: target.to_owned(), text, made: Instant::now() }
    }

    /// A line that stands in for others.
    fn left_out(count: u64) -> Self {
        Self::new(Level::Warn, module_path!(), format!("{count} lines were left out"))
    }

    fn size(&self) -> usize {
        self.target.len() + self.text.len()
    }

    /// Writes the line, and returns whether that succeeded. The printing macros of the standard
    /// library, which the logger uses, panic if standard error takes nothing.
    fn write(&self) -> bool {
        let (waited, target, level) = (self.made.elapsed(), &*self.target, self.level);
        let text = with_delay(&self.text, waited);
        let logger = match is_time_of_four_digits(SystemTime::now()) {
            true => SimpleLogger::new().with_utc_timestamps(),
            false => SimpleLogger::new().without_timestamps(),
        };
        let write = || {
            let mut record = Record::builder();
            record.level(level).target(target);
            logger.log(&record.args(format_args!("{text}")).build());
        };
        catch_unwind(write).is_ok()
    }
}

/// The text, followed by the delay if that is long enough to be shown.
fn with_delay(text: &str, waited: Duration) -> String {
    if waited < LATE { text.to_owned() } else { format!("{text} ({} s late)", waited.as_secs()) }
}

/// Whether a timestamp can show this time. The logger panics if its own cannot.
fn is_time_of_four_digits(now: SystemTime) -> bool {
    now.duration_since(UNIX_EPOCH).is_ok_and(|age| age < END_OF_TIME)
}

/// Writes lines as they come. Lines that cannot be written are lost, and counted.
fn write_lines(queue: &Queue) {
    let mut lost = 0;
    loop {
        let line = queue.take();
        if lost > 0 && Line::left_out(lost).write() {
            lost = 0;
        }
        if lost > 0 || !line.write() {
            lost += 1;
        }
    }
}

/// The lines between the threads that log and the one that writes.
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
    /// How many lines have been left out since the queue was full.
    left_out: u64,
    /// Whether a line has been taken and is being written.
    writing: bool,
}

impl Queue {
    const fn new() -> Self {
        let lines = VecDeque::new();
        Self {
            waiting: Mutex::new(Waiting { lines, bytes: 0, left_out: 0, writing: false }),
            filled: Condvar::new(),
            emptied: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics while it holds the lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line. Once a line has not fitted, the next are left out too, until the queue is empty and
    /// a line says how many there were: there is one gap instead of many.
    fn push(&self, line: Line) {
        let mut waiting = self.lock();
        let has_room = waiting.lines.len() < MAX_LINES && waiting.bytes + line.size() <= MAX_BYTES;
        if waiting.left_out > 0 || !has_room {
            waiting.left_out += 1;
        } else {
            waiting.bytes += line.size();
            waiting.lines.push_back(line);
        }
        drop(waiting);
        self.filled.notify_one();
    }

    /// Waits for the next line. The line taken before counts as written.
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

    /// Waits until everything is written, but no longer than `limit`.
    fn flush(&self, limit: Duration) {
        let waiting = self.lock();
        drop(self.emptied.wait_timeout_while(waiting, limit, |waiting| !waiting.is_done()));
    }
}

impl Waiting {
    fn next(&mut self) -> Option<Line> {
        if let Some(line) = self.lines.pop_front() {
            self.bytes -= line.size();
            return Some(line);
        }
        let left_out = mem::take(&mut self.left_out);
        (left_out > 0).then(|| Line::left_out(left_out))
    }

    fn is_done(&self) -> bool {
        !self.writing && self.lines.is_empty() && self.left_out == 0
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

    /// What a writer would write until it had to wait.
    fn drain(queue: &Queue) -> Vec<String> {
        let mut waiting = queue.lock();
        std::iter::from_fn(|| waiting.next()).map(|line| line.text).collect()
    }

    #[test]
    fn lines_come_in_their_order() {
        let queue = Queue::new();
        (0..3).for_each(|number| queue.push(line(number.to_string())));
        assert_eq!(drain(&queue), ["0", "1", "2"]);
    }

    #[test]
    fn what_has_no_room_is_counted_and_the_count_stands_where_it_would_have_been() {
        let queue = Queue::new();
        (0..MAX_LINES + 5).for_each(|number| queue.push(line(number.to_string())));
        assert_eq!(queue.take().text, "0");
        // There is room again, but the gap has not been shown.
        queue.push(line("in the gap"));
        let written = drain(&queue);
        assert_eq!(written.len(), MAX_LINES);
        assert_eq!(written[MAX_LINES - 1], "6 lines were left out");
        queue.push(line("behind the gap"));
        assert_eq!(drain(&queue), ["behind the gap"]);
    }

    #[test]
    fn long_lines_find_less_room() {
        let queue = Queue::new();
        (0..MAX_LINES).for_each(|_| queue.push(line("x".repeat(MAX_BYTES / 10))));
        assert_eq!(drain(&queue).len(), 11);
        queue.push(line("x".repeat(MAX_BYTES + 1)));
        assert_eq!(drain(&queue), ["1 lines were left out"]);
        queue.push(line("x".repeat(MAX_BYTES)));
        assert_eq!(drain(&queue)[0].len(), MAX_BYTES);
    }

    #[test]
    fn a_flush_waits_until_everything_is_written() {
        static QUEUE: Queue = Queue::new();
        (0..1_000).for_each(|_| QUEUE.push(line("a line")));
        thread::spawn(|| while QUEUE.take().text != "the last line" {});
        QUEUE.push(line("one that comes later"));
        QUEUE.flush(Duration::MAX);
        assert!(QUEUE.lock().is_done());
    }

    #[test]
    fn a_flush_does_not_wait_for_a_writer_that_is_stuck() {
        let queue = Queue::new();
        queue.push(line("nobody takes this"));
        queue.flush(Duration::from_millis(1));
        assert!(!queue.lock().is_done());
    }

    #[test]
    fn a_line_that_is_late_says_so() {
        assert_eq!(with_delay("a line", Duration::from_millis(999)), "a line");
        assert_eq!(with_delay("a line", Duration::from_millis(61_500)), "a line (61 s late)");
    }

    #[test]
    fn a_clock_that_is_not_set_gives_no_timestamp() {
        let last = UNIX_EPOCH + END_OF_TIME - Duration::from_secs(1);
        assert!([UNIX_EPOCH, SystemTime::now(), last].into_iter().all(is_time_of_four_digits));
        assert!(!is_time_of_four_digits(UNIX_EPOCH - Duration::from_secs(1)));
        assert!(!is_time_of_four_digits(UNIX_EPOCH + END_OF_TIME));
    }
}
