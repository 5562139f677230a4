//! What the program prints apart from its log. Neither a pipe that nobody reads nor a full disk keeps
//! it from serving, or from ending with its status.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::Display;
use std::io::{self, Write, stderr, stdout};
use std::net::SocketAddr;
use std::panic;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use log::warn;

use crate::logger;

/// How long the program waits for its last words to be written.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(1);

/// Prints the addresses on standard output, from a separate thread.
///
/// # Errors
/// The system's, if no further thread can be started.
pub fn announce(addresses: Vec<SocketAddr>) -> io::Result<()> {
    let announce = move || addresses.into_iter().for_each(print_address);
    thread::Builder::new().name("announce".to_owned()).spawn(announce)?;
    Ok(())
}

fn print_address(address: SocketAddr) {
    let line = format!("townhall is listening on http://{address}/");
    if let Err(error) = stdout().write_all(format!("{line}\n").as_bytes()) {
        warn!("{line}, which cannot be printed on standard output: {error}");
    }
}

/// Says on standard error why the program ends, after the lines of the log. That takes two seconds
/// at most, whatever standard error is.
pub fn say_last(words: impl Display) {
    logger::flush();
    let words = format!("townhall: {words}\n");
    let (done, written) = mpsc::channel();
    let write = move || {
        // There is nowhere to report a failure to.
        let _ = stderr().write_all(words.as_bytes());
        let _ = done.send(());
    };
    if thread::Builder::new().spawn(write).is_ok() {
        // Either way the program ends now.
        let _ = written.recv_timeout(LAST_WORDS_TIMEOUT);
    }
}

/// Reports a panic in the same way, with a backtrace if `RUST_BACKTRACE` asks for one. By default the
/// report would wait for standard error without a limit. A panic of the thread that writes the log
/// means that there is nothing to report on.
pub fn report_panics() {
    panic::set_hook(Box::new(|panic| {
        if logger::is_writer() {
            return;
        }
        let backtrace = Backtrace::capture();
        match backtrace.status() {
            BacktraceStatus::Captured => say_last(format_args!("{panic}\n{backtrace}")),
            _ => say_last(panic),
        }
    }));
}
