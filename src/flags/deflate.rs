//! How messages are compressed.

use clap::{Args, ValueEnum};
use townhall::{Config, Deflate};

use super::number::number;
use super::size::{show, size};

/// The flags for permessage-deflate.
#[derive(Debug, Args)]
#[command(next_help_heading = "Compression")]
pub struct DeflateFlags {
    /// Whether to compress messages for clients that offer permessage-deflate
    #[arg(long, env = "TOWNHALL_DEFLATE", value_enum, ignore_case = true, default_value_t = Switch::On)]
    deflate: Switch,

    /// How hard to compress, from 1 (fastest) to 9 (smallest)
    #[arg(long, value_name = "LEVEL", env = "TOWNHALL_DEFLATE_LEVEL")]
    #[arg(default_value_t = Deflate::default().level, value_parser = number::<u32>)]
    deflate_level: u32,

    /// The size of the server's compression window in bits, from 9 (512 bytes) to 15 (32 KiB). A
    /// larger window compresses better
    #[arg(long, value_name = "BITS", env = "TOWNHALL_DEFLATE_WINDOW_BITS")]
    #[arg(default_value_t = Deflate::default().window_bits, value_parser = number::<u8>)]
    deflate_window_bits: u8,

    /// The size of the smallest message to compress. With 0, all messages are compressed
    #[arg(long, value_name = "SIZE", env = "TOWNHALL_DEFLATE_THRESHOLD")]
    #[arg(default_value = show(Deflate::default().threshold_bytes as u64))]
    #[arg(value_parser = size::<usize>)]
    deflate_threshold: usize,

    /// The size of the compression window in bits, from 9 (512 bytes) to 15 (32 KiB), for clients that
    /// let the server choose it. The server keeps a window of this size for each client that sends
    /// compressed messages. Other clients may use 15
    #[arg(long, value_name = "BITS", env = "TOWNHALL_DEFLATE_CLIENT_WINDOW_BITS")]
    #[arg(default_value_t = Deflate::default().client_window_bits, value_parser = number::<u8>)]
    deflate_client_window_bits: u8,

    /// The maximum memory for the compression windows of all clients. Above it, new clients must
    /// compress each message independently of earlier ones. With 0, all clients must
    #[arg(long, value_name = "SIZE", env = "TOWNHALL_MAX_DEFLATE_CONTEXT_SIZE")]
    #[arg(default_value = show(Config::default().memory.max_deflate_context_bytes as u64))]
    #[arg(value_parser = size::<usize>)]
    max_deflate_context_size: usize,
}

/// Whether to compress.
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
    /// Applies the flags to a configuration.
    pub fn set(&self, config: &mut Config) {
        config.deflate = (self.deflate == Switch::On).then(|| self.deflate());
        config.memory.max_deflate_context_bytes = self.max_deflate_context_size;
    }

    fn deflate(&self) -> Deflate {
        let mut deflate = Deflate::default();
        deflate.level = self.deflate_level;
        deflate.window_bits = self.deflate_window_bits;
        deflate.threshold_bytes = self.deflate_threshold;
        deflate.client_window_bits = self.deflate_client_window_bits;
        deflate
    }
}
