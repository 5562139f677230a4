//! How messages are compressed.

use clap::{Args, ValueEnum, value_parser};
use townhall::{Config, Deflate};

/// permessage-deflate.
#[derive(Debug, Args)]
#[command(next_help_heading = "Compression")]
pub struct DeflateFlags {
    /// Compress messages with clients that offer permessage-deflate
    #[arg(long, env = "TOWNHALL_DEFLATE", value_enum, ignore_case = true, default_value_t = Switch::On)]
    deflate: Switch,

    /// How hard to compress, from 1 (fast) to 9 (small)
    #[arg(long, value_name = "LEVEL", env = "TOWNHALL_DEFLATE_LEVEL")]
    #[arg(default_value_t = Deflate::default().level, value_parser = value_parser!(u32).range(1..=9))]
    deflate_level: u32,

    /// The window to compress with, in bits: 9 (512 bytes) to 15 (32 KiB)
    #[arg(long, value_name = "BITS", env = "TOWNHALL_DEFLATE_WINDOW_BITS")]
    #[arg(default_value_t = Deflate::default().window_bits, value_parser = value_parser!(u8).range(9..=15))]
    deflate_window_bits: u8,

    /// The shortest message in bytes that is compressed
    #[arg(long, value_name = "BYTES", env = "TOWNHALL_DEFLATE_THRESHOLD_BYTES")]
    #[arg(default_value_t = Deflate::default().threshold_bytes)]
    deflate_threshold_bytes: usize,

    /// The window of clients that let the server choose it, in bits: 9 to 15. A client that says
    /// something compressed takes up to that much memory; other clients choose 32 KiB
    #[arg(long, value_name = "BITS", env = "TOWNHALL_DEFLATE_CLIENT_WINDOW_BITS")]
    #[arg(default_value_t = Deflate::default().client_window_bits, value_parser = value_parser!(u8).range(9..=15))]
    deflate_client_window_bits: u8,

    /// The most bytes that are set aside for the windows of all clients; those who come when nothing
    /// is left must compress each message for itself, and with 0 all must
    #[arg(long, value_name = "BYTES", env = "TOWNHALL_MAX_DEFLATE_CONTEXT_BYTES")]
    #[arg(default_value_t = Config::default().max_deflate_context_bytes)]
    max_deflate_context_bytes: usize,
}

/// Whether to do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    /// Do it
    #[value(aliases = ["yes", "true", "1"])]
    On,
    /// Do not
    #[value(aliases = ["no", "false", "0"])]
    Off,
}

impl DeflateFlags {
    /// Sets what a configuration says about compression.
    pub fn set(&self, config: &mut Config) {
        config.deflate = (self.deflate == Switch::On).then(|| Deflate {
            level: self.deflate_level,
            window_bits: self.deflate_window_bits,
            threshold_bytes: self.deflate_threshold_bytes,
            client_window_bits: self.deflate_client_window_bits,
            ..Deflate::default()
        });
        config.max_deflate_context_bytes = self.max_deflate_context_bytes;
    }
}
