//! Output other than the log. A pipe that nobody reads or a full disk does not keep the program from
//! serving clients, or from exiting with its status.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::Display;
use std::io::{self, Write, stderr, stdout};
use std::panic;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use log::warn;

use crate::logger;

/// How long the program waits until its last line is written.
const LAST_LINE_TIMEOUT: Duration = Duration::from_secs(1);

/// Prints what the program serves on standard output, one item a line, from a separate thread.
///
/// # Errors
/// The system cannot start another thread.
pub fn announce(served: Vec<String>) -> io::Result<()> {
    let announce = move || served.iter().for_each(|line| print(line));
    thread::Builder::new().name("announce".to_owned()).spawn(announce)?;
    Ok(())
}

fn print(line: &str) {
    if let Err(error) = stdout().write_all(format!("{line}\n").as_bytes()) {
        warn!("{line} (cannot print this to standard output: {error})");
    }
}

/// Prints a report on standard output. The status is 1 if that fails.
pub fn print_report(report: &str) -> ExitCode {
    match stdout().write_all(report.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Prints to standard error why the program ends, after the log. This takes at most two seconds, even if
/// standard error is stuck.
pub fn print_last(reason: impl Display) {
    logger::flush();
    let line = format!("townhall: {reason}\n");
    let (done, written) = mpsc::channel();
    let write = move || {
        // There is nowhere to report a failure to.
        let _ = stderr().write_all(line.as_bytes());
        let _ = done.send(());
    };
    if thread::Builder::new().spawn(write).is_ok() {
        // The program ends now, whether or not the line was written.
        let _ = written.recv_timeout(LAST_LINE_TIMEOUT);
    }
}

/// Makes panics use [`print_last`], with a backtrace if `RUST_BACKTRACE` asks for one, because the default
/// hook may wait for standard error forever. A panic of the log's own thread is not reported: it means
/// that standard error does not accept output.
pub fn report_panics() {
    panic::set_hook(Box::new(|panic| {
        if logger::is_writer() {
            return;
        }
        let backtrace = Backtrace::capture();
        match backtrace.status() {
            BacktraceStatus::Captured => print_last(format_args!("{panic}\n{backtrace}")),
            _ => print_last(panic),
        }
    }));
}
