//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Runs many clients against a townhall server, and checks everything that they receive.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Flags {
    /// The townhall program
    #[arg(long, value_name = "PATH", default_value = "target/release/townhall")]
    pub server: PathBuf,

    /// How many well-behaved members there are; a twentieth of it is hostile clients beside them
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(20..=100_000))]
    members: u32,

    /// How long they send, after all have joined. It is longer where a kind of
    /// hostile client has not met its end by then
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    #[arg(value_parser = clap::value_parser!(u64).range(10..=86_400))]
    seconds: u64,

    /// Decides what is random, as far as the network lets it
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
}

impl Flags {
    pub fn members(&self) -> usize {
        self.members as usize
    }

    pub fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}
