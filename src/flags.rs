//! The command line.

use std::net::SocketAddr;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};
use log::LevelFilter;
use townhall::{Config, Deflate, Limits, Origins};

/// A WebSocket server in which everyone in a room hears everyone.
///
/// Open the address that it prints with a browser to chat. Every path is a room: what one member
/// of ws://ADDRESS/lobby says, every member of /lobby hears, in the same order.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Flags {
    /// Listen on this address and port; port 0 takes a free one. May be given several times
    #[arg(long, value_name = "IP:PORT", env = "TOWNHALL_LISTEN", value_delimiter = ',')]
    #[arg(default_value = "127.0.0.1:8080")]
    listen: Vec<SocketAddr>,

    /// Who hears a message
    #[arg(long, env = "TOWNHALL_MODE", value_enum, default_value_t = Mode::Broadcast)]
    pub mode: Mode,

    /// Say only the first N characters of a text, or N bytes of a binary message
    #[arg(long, value_name = "N", env = "TOWNHALL_TRUNCATE")]
    pub truncate: Option<usize>,

    /// Do not say a message to the one who sent it
    #[arg(long, env = "TOWNHALL_NO_REFLECT")]
    pub no_reflect: bool,

    /// Let pages of this origin connect too, such as https://example.com; * is every origin. By
    /// default only pages of the server's own host may. May be given several times
    #[arg(long, value_name = "ORIGIN", env = "TOWNHALL_ORIGIN", value_delimiter = ',')]
    origin: Vec<String>,

    /// Speak this subprotocol, to clients that ask for it. May be given several times
    #[arg(long, value_name = "NAME", env = "TOWNHALL_SUBPROTOCOL", value_delimiter = ',')]
    subprotocol: Vec<String>,

    /// Compress messages with clients that offer permessage-deflate
    #[arg(long, env = "TOWNHALL_DEFLATE", value_enum, default_value_t = Switch::On)]
    deflate: Switch,

    /// How hard to compress, from 1 (fast) to 9 (small)
    #[arg(long, value_name = "LEVEL", env = "TOWNHALL_DEFLATE_LEVEL")]
    #[arg(default_value_t = Deflate::default().level, value_parser = clap::value_parser!(u32).range(1..=9))]
    deflate_level: u32,

    /// The window to compress with, in bits: 9 (512 bytes) to 15 (32 KiB)
    #[arg(long, value_name = "BITS", env = "TOWNHALL_DEFLATE_WINDOW_BITS")]
    #[arg(default_value_t = Deflate::default().window_bits, value_parser = clap::value_parser!(u8).range(9..=15))]
    deflate_window_bits: u8,

    /// The shortest message in bytes that is compressed
    #[arg(long, value_name = "BYTES", env = "TOWNHALL_DEFLATE_THRESHOLD_BYTES")]
    #[arg(default_value_t = Deflate::default().threshold_bytes)]
    deflate_threshold_bytes: usize,

    /// The longest message in bytes; a longer one closes its connection with 1009
    #[arg(long, value_name = "BYTES", env = "TOWNHALL_MAX_MESSAGE_BYTES")]
    #[arg(default_value_t = Limits::default().max_message_bytes)]
    max_message_bytes: usize,

    /// The most connections at once; the next is answered with 503
    #[arg(long, value_name = "N", env = "TOWNHALL_MAX_CONNECTIONS")]
    #[arg(default_value_t = Config::default().max_connections)]
    max_connections: usize,

    /// The most bytes that a member may be behind its room, before it is closed with 1013.
    /// Twice the longest message by default
    #[arg(long, value_name = "BYTES", env = "TOWNHALL_MAX_BACKLOG_BYTES")]
    max_backlog_bytes: Option<usize>,

    /// How long a client may take for the head of its request, in seconds
    #[arg(long, value_name = "SECONDS", env = "TOWNHALL_HANDSHAKE_TIMEOUT_SECONDS")]
    #[arg(default_value_t = Config::default().handshake_timeout.as_secs())]
    handshake_timeout_seconds: u64,

    /// How long a client may be silent before it is sent a ping, in seconds
    #[arg(long, value_name = "SECONDS", env = "TOWNHALL_PING_INTERVAL_SECONDS")]
    #[arg(default_value_t = Config::default().ping_interval.as_secs())]
    ping_interval_seconds: u64,

    /// How long it may stay silent after that, in seconds
    #[arg(long, value_name = "SECONDS", env = "TOWNHALL_PONG_TIMEOUT_SECONDS")]
    #[arg(default_value_t = Config::default().pong_timeout.as_secs())]
    pong_timeout_seconds: u64,

    /// How long a client may take nothing of what there is for it, in seconds
    #[arg(long, value_name = "SECONDS", env = "TOWNHALL_WRITE_TIMEOUT_SECONDS")]
    #[arg(default_value_t = Config::default().write_timeout.as_secs())]
    write_timeout_seconds: u64,

    /// How long a client may take to answer a close frame, in seconds
    #[arg(long, value_name = "SECONDS", env = "TOWNHALL_CLOSE_TIMEOUT_SECONDS")]
    #[arg(default_value_t = Config::default().close_timeout.as_secs())]
    close_timeout_seconds: u64,

    /// How long to wait for clients after a signal to stop, in seconds
    #[arg(long, value_name = "SECONDS", env = "TOWNHALL_DRAIN_TIMEOUT_SECONDS")]
    #[arg(default_value_t = Config::default().drain_timeout.as_secs())]
    drain_timeout_seconds: u64,

    /// What to log: connections at debug, refusals and their reasons at info, never what is said
    #[arg(long, value_name = "LEVEL", env = "TOWNHALL_LOG_LEVEL", default_value_t = LevelFilter::Info)]
    #[arg(value_parser = clap::value_parser!(LevelFilter))]
    pub log_level: LevelFilter,
}

/// Whether to do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    /// Do it
    On,
    /// Do not
    Off,
}

/// Who hears a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Every member of the room
    Broadcast,
    /// Only the one who sent it
    Echo,
}

impl Flags {
    /// Reads the command line and the environment.
    ///
    /// # Errors
    /// Flags that do not make sense, alone or together.
    pub fn read() -> Result<Self, clap::Error> {
        let flags = Self::try_parse()?;
        if flags.no_reflect && flags.mode == Mode::Echo {
            let reason = "with --no-reflect in --mode echo nobody would hear anything";
            return Err(Self::command().error(ErrorKind::ArgumentConflict, reason));
        }
        Ok(flags)
    }

    /// The configuration that the flags ask for.
    pub fn config(&self) -> Config {
        let limits = Limits { max_message_bytes: self.max_message_bytes, ..Limits::default() };
        let twice = self.max_message_bytes.saturating_mul(2);
        Config {
            listen: self.listen.clone(),
            subprotocols: self.subprotocol.clone(),
            origins: self.origins(),
            deflate: (self.deflate == Switch::On).then(|| self.deflate()),
            max_connections: self.max_connections,
            max_backlog_bytes: self.max_backlog_bytes.unwrap_or(twice),
            limits,
            handshake_timeout: Duration::from_secs(self.handshake_timeout_seconds),
            ping_interval: Duration::from_secs(self.ping_interval_seconds),
            pong_timeout: Duration::from_secs(self.pong_timeout_seconds),
            write_timeout: Duration::from_secs(self.write_timeout_seconds),
            close_timeout: Duration::from_secs(self.close_timeout_seconds),
            drain_timeout: Duration::from_secs(self.drain_timeout_seconds),
        }
    }

    fn origins(&self) -> Origins {
        let is_any = |origin: &String| origin == "*";
        Origins { any: self.origin.iter().any(is_any), also: self.origin.clone() }
    }

    fn deflate(&self) -> Deflate {
        Deflate {
            level: self.deflate_level,
            window_bits: self.deflate_window_bits,
            threshold_bytes: self.deflate_threshold_bytes,
            ..Deflate::default()
        }
    }
}
