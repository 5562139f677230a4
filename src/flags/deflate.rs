//! How messages are compressed.

use clap::{Args, ValueEnum};
use townhall::{Config, Deflate};

use super::number::{bytes, within};

/// permessage-deflate.
#[derive(Debug, Args)]
#[command(next_help_heading = "Compression")]
pub struct DeflateFlags {
    /// Whether to compress messages for clients that offer permessage-deflate
    #[arg(long, env = "TOWNHALL_DEFLATE", value_enum, ignore_case = true, default_value_t = Switch::On)]
    deflate: Switch,

    /// How hard to compress, from 1 (fastest) to 9 (smallest)
    #[arg(long, value_name = "LEVEL", env = "TOWNHALL_DEFLATE_LEVEL")]
    #[arg(default_value_t = Deflate::default().level, value_parser = within(1_u32..=9))]
    deflate_level: u32,

    /// The size of the window to compress with, in bits, from 9 (512 bytes) to 15 (32 KiB). A
    /// larger window finds more to compress
    #[arg(long, value_name = "BITS", env = "TOWNHALL_DEFLATE_WINDOW_BITS")]
    #[arg(default_value_t = Deflate::default().window_bits, value_parser = within(9_u8..=15))]
    deflate_window_bits: u8,

    /// The size in bytes from which messages are compressed. Shorter messages are sent uncompressed
    #[arg(long, value_name = "BYTES", env = "TOWNHALL_DEFLATE_THRESHOLD_BYTES")]
    #[arg(default_value_t = Deflate::default().threshold_bytes)]
    #[arg(value_parser = bytes(0_usize))]
    deflate_threshold_bytes: usize,

    /// The size of the window that clients are to compress with if they let the server choose it,
    /// in bits, from 9 (512 bytes) to 15 (32 KiB). The server keeps that much of each client that
    /// sends compressed messages. Clients that do not let it choose may use 15
    #[arg(long, value_name = "BITS", env = "TOWNHALL_DEFLATE_CLIENT_WINDOW_BITS")]
    #[arg(default_value_t = Deflate::default().client_window_bits, value_parser = within(9_u8..=15))]
    deflate_client_window_bits: u8,

    /// The most memory, in bytes, for the windows of all clients. Clients that connect when it is
    /// used up, or all clients if it is 0, must compress each message by itself
    #[arg(long, value_name = "BYTES", env = "TOWNHALL_MAX_DEFLATE_CONTEXT_BYTES")]
    #[arg(default_value_t = Config::default().max_deflate_context_bytes)]
    #[arg(value_parser = bytes(0_usize))]
    max_deflate_context_bytes: usize,
}

/// Whether to do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    /// Compress
    #[value(aliases = ["yes", "y", "true", "t", "1"])]
    On,
    /// Do not compress
    #[value(aliases = ["no", "n", "false", "f", "0"])]
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
