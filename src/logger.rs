//! Log lines on standard error.

use std::io::{Write, stderr};
use std::time::SystemTime;

use log::{LevelFilter, Log, Metadata, Record, SetLoggerError};

/// Writes each record as a line. A line that cannot be written is lost: a full disk or a reader
/// that has gone must not stop the server.
struct Logger;

/// Logs what is at least as grave as `level`.
///
/// # Errors
/// Where there is a logger already.
pub fn init(level: LevelFilter) -> Result<(), SetLoggerError> {
    log::set_max_level(level);
    log::set_logger(&Logger)
}

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let time = httpdate::fmt_http_date(SystemTime::now());
        let _ = writeln!(stderr(), "{time} {:5} {}", record.level(), record.args());
    }

    fn flush(&self) {}
}
