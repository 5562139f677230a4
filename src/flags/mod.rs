//! The command line.

mod access;
mod deflate;
mod duration;
mod environment;
mod fields;
mod limits;
mod list;
mod listen;
mod number;
mod size;
mod times;

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;

use access::AccessFlags;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, ValueEnum};
use deflate::DeflateFlags;
use limits::LimitFlags;
use list::{List, list};
use listen::Listen;
use log::LevelFilter;
use number::number;
use times::TimeFlags;
use townhall::{Config, IpNet, Slow};

/// A WebSocket server in which every message goes to everyone in the room.
///
/// Start it, and open the address that it prints in a browser to chat. Every URL path is a room: what
/// one member of ws://ADDRESS/lobby sends, all members of /lobby receive, in the same order.
///
/// Each flag can be set by its environment variable instead; an empty variable counts as unset, and
/// the command line takes precedence. A flag that may be given several times also takes a list of
/// values with commas between them.
///
/// A DURATION has a unit, such as 500ms, 30s or 2min; only 0 needs none. A SIZE is a number of bytes,
/// or has a unit: 64KiB are 65536 bytes, 64kB are 64000. Status codes below 1000 are those of HTTP, and
/// those from 1000 are close codes of WebSocket.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Flags {
    /// The address and port to listen on, such as 192.0.2.1:8080 or localhost:8080. The port is 8080
    /// if it is left out; port 0 takes a free one. A port alone, such as 8080 or :8080, listens on
    /// all addresses of this machine, and so does [::]:8080. May be given several times
    #[arg(long, value_name = "ADDRESS", env = "TOWNHALL_LISTEN")]
    #[arg(value_parser = list(str::parse::<Listen>, "listen on 127.0.0.1:8080"))]
    #[arg(default_value = "127.0.0.1:8080")]
    listen: Vec<List<Listen>>,

    /// Who receives a message
    #[arg(long, env = "TOWNHALL_MODE", value_enum, ignore_case = true, default_value_t = Mode::Broadcast)]
    pub mode: Mode,

    /// Pass on only the first N characters of a text message, or the first N bytes of a binary
    /// message. What a reader sees as one character, such as an emoji, is never split
    #[arg(long, value_name = "N", env = "TOWNHALL_TRUNCATE", value_parser = length)]
    pub truncate: Option<usize>,

    /// Do not send a message back to its sender
    #[arg(long, env = "TOWNHALL_NO_REFLECT", value_parser = yes_or_no)]
    pub no_reflect: bool,

    /// Speak this subprotocol with clients that ask for it. May be given several times, in order of
    /// preference
    #[arg(long, value_name = "NAME", env = "TOWNHALL_SUBPROTOCOL")]
    #[arg(value_parser = list(text, "speak none"))]
    subprotocol: Vec<List<String>>,

    /// Trust reverse proxies in this network, such as 10.0.0.0/8: believe what they say about their
    /// clients in X-Forwarded-For, X-Forwarded-Host or Forwarded, and do not apply the limits per
    /// address to the proxies themselves. Loopback addresses are then no longer trusted, unless
    /// 127.0.0.0/8 and ::1 are named too. May be given several times
    #[arg(long, value_name = "NETWORK", env = "TOWNHALL_TRUSTED_PROXY")]
    #[arg(value_parser = list(network, "trust only loopback addresses"))]
    #[arg(default_value = "127.0.0.0/8,::1")]
    trusted_proxy: Vec<List<IpNet>>,

    /// What to do with a member that is more than --max-backlog-size behind its room
    #[arg(long, env = "TOWNHALL_SLOW", value_enum, ignore_case = true, default_value_t = SlowFlag::Close)]
    slow: SlowFlag,

    /// How much to log on standard error: info shows refusals and their reasons, debug shows
    /// connections too. The content of messages is never logged. If nobody reads the log, lines are
    /// dropped and counted
    #[arg(long, value_name = "LEVEL", env = "TOWNHALL_LOG_LEVEL", default_value = "info")]
    #[arg(ignore_case = true, value_parser = log_levels())]
    pub log_level: LevelFilter,

    #[command(flatten)]
    access: AccessFlags,

    #[command(flatten)]
    deflate: DeflateFlags,

    #[command(flatten)]
    limits: LimitFlags,

    #[command(flatten)]
    times: TimeFlags,
}

/// The members that receive a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// All members of the room that it was sent to
    Broadcast,
    /// Only its sender
    Echo,
}

/// What happens to a member that is too far behind its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SlowFlag {
    /// Close its connection with 1013
    Close,
    /// Skip the oldest messages that it has not read, and go on with the newest
    Drop,
    /// Stop reading from its whole room until it has caught up; only for members that are trusted
    Pause,
}

impl From<SlowFlag> for Slow {
    fn from(flag: SlowFlag) -> Self {
        match flag {
            SlowFlag::Close => Self::Close,
            SlowFlag::Drop => Self::Drop,
            SlowFlag::Pause => Self::Pause,
        }
    }
}

fn log_levels() -> impl TypedValueParser<Value = LevelFilter> {
    PossibleValuesParser::new(["off", "error", "warn", "info", "debug", "trace"])
        .try_map(|level| level.parse::<LevelFilter>())
}

fn yes_or_no(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "y" | "true" | "t" | "on" | "1" => Ok(true),
        "no" | "n" | "false" | "f" | "off" | "0" => Ok(false),
        _ => Err("it must be yes or no"),
    }
}

/// A number of characters or bytes.
fn length(text: &str) -> Result<usize, String> {
    match number(text)? {
        0 => Err("it must be at least 1".into()),
        length => Ok(length),
    }
}

fn text(text: &str) -> Result<String, Infallible> {
    Ok(text.to_owned())
}

/// A network, or a single address.
fn network(text: &str) -> Result<IpNet, String> {
    let address = |_| text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(address).map_err(|_| "neither an address nor a network".into())
}

impl Flags {
    /// Reads the command line and the environment.
    ///
    /// # Errors
    /// Flags that do not make sense, alone or together.
    pub fn read() -> Result<Self, clap::Error> {
        let mut command = Self::command();
        let matches = environment::parse(&command)?;
        let flags = Self::from_arg_matches(&matches)?;
        let name = |id: &str| environment::given_name(&command, &matches, id);
        match flags.check(name) {
            Ok(()) => Ok(flags),
            Err((kind, reason)) => Err(command.error(kind, reason)),
        }
    }

    /// Checks the flags together. `name` says how the user gave a flag.
    fn check(&self, name: impl Fn(&str) -> String) -> Result<(), (ErrorKind, String)> {
        if self.no_reflect && self.mode == Mode::Echo {
            let (no_reflect, mode) = (name("no_reflect"), name("mode"));
            let reason =
                format!("with {no_reflect} and {mode} echo, nobody would receive anything");
            return Err((ErrorKind::ArgumentConflict, reason));
        }
        self.settings().check().map_err(|error| {
            (ErrorKind::ValueValidation, error.describe(|field| name(fields::flag(field))))
        })
    }

    /// The configuration that the flags ask for.
    ///
    /// # Errors
    /// A host name to listen on is not known.
    pub fn config(&self) -> io::Result<Config> {
        let listen = Listen::resolve_all(&List::concat(&self.listen))?;
        let mut config = self.settings();
        config.listen = listen;
        Ok(config)
    }

    /// The configuration but for the addresses to listen on.
    fn settings(&self) -> Config {
        let mut config = Config::with_max_message_bytes(self.limits.max_message_size);
        config.subprotocols = List::concat(&self.subprotocol);
        config.trusted_proxies = List::concat(&self.trusted_proxy);
        config.slow = self.slow.into();
        self.access.set(&mut config);
        self.deflate.set(&mut config);
        self.limits.set(&mut config);
        self.times.set(&mut config);
        config
    }
}
