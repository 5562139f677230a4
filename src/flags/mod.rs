//! The command line.

mod access;
mod deflate;
mod environment;
mod limits;
mod list;
mod listen;
mod number;
mod times;

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;

use access::AccessFlags;
use clap::builder::{BoolishValueParser, PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, ValueEnum};
use deflate::DeflateFlags;
use limits::LimitFlags;
use list::{List, list};
use listen::Listen;
use log::LevelFilter;
use number::at_least;
use times::TimeFlags;
use townhall::{Config, IpNet, Slow};

/// A WebSocket server in which everyone in a room hears everyone.
///
/// Open the address that it prints with a browser to chat. Every path is a room: what one member
/// of ws://ADDRESS/lobby says, every member of /lobby hears, in the same order.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Flags {
    /// Listen on this address and port, such as 192.0.2.1:8080, [::]:8080 or localhost:8080. Without
    /// a port it is 8080; port 0 takes a free one. :8080 or 8080 alone listens on every address of
    /// this machine. May be given several times
    #[arg(long, value_name = "ADDRESS", env = "TOWNHALL_LISTEN", value_parser = list(str::parse::<Listen>))]
    #[arg(default_value = "127.0.0.1:8080")]
    listen: Vec<List<Listen>>,

    /// Who hears a message
    #[arg(long, env = "TOWNHALL_MODE", value_enum, ignore_case = true, default_value_t = Mode::Broadcast)]
    pub mode: Mode,

    /// Pass on only the first N characters of a text, or N bytes of a binary message. A character is
    /// what a reader sees as one, such as an emoji, and is never cut apart
    #[arg(long, value_name = "N", env = "TOWNHALL_TRUNCATE", value_parser = at_least(1_usize))]
    pub truncate: Option<usize>,

    /// Do not say a message to the one who sent it
    #[arg(long, env = "TOWNHALL_NO_REFLECT", value_parser = BoolishValueParser::new())]
    pub no_reflect: bool,

    /// Speak this subprotocol, to clients that ask for it. May be given several times
    #[arg(long, value_name = "NAME", env = "TOWNHALL_SUBPROTOCOL", value_parser = list(text))]
    subprotocol: Vec<List<String>>,

    /// Believe the X-Forwarded-For, X-Forwarded-Host and Forwarded of proxies in this network, such
    /// as 10.0.0.0/8, and do not hold them to the limits of one address. May be given several times
    #[arg(long, value_name = "NETWORK", env = "TOWNHALL_TRUSTED_PROXY", value_parser = list(network))]
    #[arg(default_value = "127.0.0.0/8,::1")]
    trusted_proxy: Vec<List<IpNet>>,

    /// What becomes of a member that is too far behind its room
    #[arg(long, env = "TOWNHALL_SLOW", value_enum, ignore_case = true, default_value_t = SlowFlag::Close)]
    slow: SlowFlag,

    /// What to log on standard error: connections at debug, refusals and their reasons at info,
    /// never what is said. Lines that nobody reads are left out and counted
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

/// Who hears a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Every member of the room
    Broadcast,
    /// Only the one who sent it
    Echo,
}

/// What becomes of a member that is too far behind its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SlowFlag {
    /// It is closed with 1013
    Close,
    /// It misses what it has not got
    Drop,
    /// Nobody in its room is read until it has caught up; for members that are trusted
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
        if flags.no_reflect && flags.mode == Mode::Echo {
            let [no_reflect, mode] =
                ["no_reflect", "mode"].map(|id| environment::given_name(&command, &matches, id));
            let reason = format!("with {no_reflect} and {mode} echo nobody would hear anything");
            return Err(command.error(ErrorKind::ArgumentConflict, reason));
        }
        Ok(flags)
    }

    /// The configuration that the flags ask for.
    ///
    /// # Errors
    /// A host name to listen on is not known.
    pub fn config(&self) -> io::Result<Config> {
        let mut config = Config {
            listen: Listen::resolve_all(&List::concat(&self.listen))?,
            subprotocols: List::concat(&self.subprotocol),
            trusted_proxies: List::concat(&self.trusted_proxy),
            slow: self.slow.into(),
            ..Config::default()
        };
        self.access.set(&mut config);
        self.deflate.set(&mut config);
        self.limits.set(&mut config);
        self.times.set(&mut config);
        Ok(config)
    }
}
