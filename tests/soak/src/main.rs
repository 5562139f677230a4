//! The soak test: many clients in one thread. Its members check every message that they receive,
//! beside them are clients that mean no good, and the server's memory must stay flat.

#![forbid(unsafe_code)]

mod crowd;
mod deflate;
mod dice;
mod flags;
mod frame;
mod handshake;
mod hostile;
mod line;
mod member;
mod memory;
mod server;
mod soak;
mod tally;
mod transcript;
mod world;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;

use flags::Flags;

/// Why the test failed: a sentence for whoever reads the log.
type Failure = Box<dyn Error>;

fn main() -> ExitCode {
    match soak::run(&Flags::parse()) {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("soak: FAILED: {failure}");
            ExitCode::FAILURE
        }
    }
}
