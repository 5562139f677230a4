//! The command line.

mod access;
mod admin;
mod auth;
mod command_line;
mod connect;
mod deflate;
mod duration;
mod environment;
mod fields;
mod history;
mod inherited;
mod limits;
mod list;
mod listen;
mod number;
mod owner;
mod redis;
mod report;
mod size;
mod sockets;
mod times;
mod tls;
mod token;

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use self::redis::RedisFlags;
use access::AccessFlags;
use admin::AdminFlags;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Parser, ValueEnum};
use deflate::DeflateFlags;
use history::HistoryFlags;
use inherited::Inherited;
use limits::LimitFlags;
use list::{List, list};
use listen::ListenFlag;
use log::LevelFilter;
use number::number;
use sockets::SocketFlags;
use times::TimeFlags;
use tls::TlsFlags;
use townhall::{Config, IpNet, Listen, Slow};

pub use self::redis::RedisUrl;
pub use auth::AuthFlags;
pub use command_line::{CommandLine, Task};
pub use connect::{ConnectFlags, Form};
pub use report::report;
pub use token::TokenFlags;

/// A WebSocket server that sends every message to everyone in the room.
///
/// Start it, then open the address that it prints in a browser to chat. Every URL path is a room: a
/// message from one member of ws://ADDRESS/lobby goes to all members of /lobby, and all of them
/// receive messages in the same order.
///
/// Each flag can also be set with its environment variable. The command line takes precedence, and an
/// empty variable counts as unset. A flag that may be repeated also accepts a comma-separated list.
///
/// A DURATION needs a unit, as in 500ms, 30s or 2min; only 0 does not. A SIZE is a number of bytes, or
/// has a unit: 64KiB is 65536 bytes, 64kB is 64000 bytes. Codes below 1000 are HTTP status codes, and
/// codes from 1000 are WebSocket close codes.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Flags {
    /// Listen on this address and port, such as 192.0.2.1:8080 or localhost:8080. Without a port, the
    /// port is 8080; port 0 picks a free one. A port alone, such as 8080 or :8080, listens on all
    /// addresses of this machine, as does [::]:8080. An address that begins with https:// speaks TLS, with
    /// the certificates of --tls-cert. unix:/run/townhall.sock is a Unix socket for a reverse proxy, which
    /// is trusted; see --unix-mode. systemd takes the sockets that a service manager passes
    /// (sd_listen_fds(3)); systemd:NAME takes only those of this name, such as https://systemd:tls. After
    /// proxy+, as in proxy+https://[::]:8443, connections must begin with a PROXY header, version 1 or 2,
    /// from a --trusted-proxy; others are dropped. May be repeated
    #[arg(long, value_name = "ADDRESS", env = "TOWNHALL_LISTEN")]
    #[arg(value_parser = list(str::parse::<ListenFlag>, "listen on 127.0.0.1:8080"))]
    #[arg(default_value = "127.0.0.1:8080")]
    listen: Vec<List<ListenFlag>>,

    /// The clients that receive a message
    #[arg(long, env = "TOWNHALL_MODE", value_enum, ignore_case = true, default_value_t = Mode::Broadcast)]
    pub mode: Mode,

    /// Send only the first N characters of a text message, or the first N bytes of a binary message.
    /// Anything that readers see as one character, such as an emoji, counts as one and is never split
    #[arg(long, value_name = "N", env = "TOWNHALL_TRUNCATE", value_parser = length)]
    pub truncate: Option<usize>,

    /// Do not send a message back to its sender
    #[arg(long, env = "TOWNHALL_NO_REFLECT", value_parser = yes_or_no)]
    pub no_reflect: bool,

    /// Support this subprotocol. If a client offers several that the server supports, the first one
    /// that the client offers is used. May be repeated
    #[arg(long, value_name = "NAME", env = "TOWNHALL_SUBPROTOCOL")]
    #[arg(value_parser = list(text, "support none"))]
    subprotocol: Vec<List<String>>,

    /// Trust reverse proxies in this network, such as 10.0.0.0/8. The server uses the client's address
    /// and the host from their X-Forwarded-For, X-Forwarded-Host or Forwarded fields, or the client's
    /// address from their PROXY headers, and does not apply limits per address to the proxies themselves.
    /// This replaces the default: to keep trusting loopback addresses, add 127.0.0.0/8 and ::1. Peers on
    /// Unix sockets are always trusted. May be repeated
    #[arg(long, value_name = "NETWORK", env = "TOWNHALL_TRUSTED_PROXY")]
    #[arg(value_parser = list(network, "trust only loopback addresses"))]
    #[arg(default_value = "127.0.0.0/8,::1")]
    trusted_proxy: Vec<List<IpNet>>,

    /// What to do with a member that is more than --max-backlog-size behind its room
    #[arg(long, env = "TOWNHALL_SLOW", value_enum, ignore_case = true, default_value_t = SlowFlag::Close)]
    slow: SlowFlag,

    /// How much to log to standard error: info shows refusals and their reasons, debug also shows
    /// connections. The content of messages is never logged. If nothing reads standard error, log
    /// lines are dropped and counted
    #[arg(long, value_name = "LEVEL", env = "TOWNHALL_LOG_LEVEL", default_value = "info")]
    #[arg(ignore_case = true, value_parser = log_levels())]
    pub log_level: LevelFilter,

    /// When the server stops, write the history of rooms, revoked tokens and the answers to requests with an
    /// Idempotency-Key to this file, and continue with them at the next start, so that clients that come
    /// back miss nothing. The file is used once: after a crash, rooms begin anew. Its directory must be
    /// writable
    #[arg(long, value_name = "FILE", env = "TOWNHALL_STATE")]
    pub state: Option<PathBuf>,

    #[command(flatten)]
    pub access: AccessFlags,

    #[command(flatten)]
    pub auth: AuthFlags,

    #[command(flatten)]
    tls: TlsFlags,

    #[command(flatten)]
    sockets: SocketFlags,

    #[command(flatten)]
    deflate: DeflateFlags,

    #[command(flatten)]
    limits: LimitFlags,

    #[command(flatten)]
    history: HistoryFlags,

    #[command(flatten)]
    pub redis: RedisFlags,

    #[command(flatten)]
    times: TimeFlags,

    #[command(flatten)]
    pub admin: AdminFlags,
}

/// The clients that receive a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// All members of the sender's room
    Broadcast,
    /// Only the sender
    Echo,
}

/// What happens to a member that is too far behind its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SlowFlag {
    /// Close its connection with 1013
    Close,
    /// Skip the oldest messages that it has not received, and continue with the newest
    Drop,
    /// Stop reading from everyone in its room until it has caught up. Only for trusted members
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
    /// What is wrong with the flags together. `name` returns the name under which the user set a flag.
    fn faults(&self, name: impl Fn(&str) -> String) -> Vec<(ErrorKind, String)> {
        let mut faults = Vec::new();
        if self.no_reflect && self.mode == Mode::Echo {
            let no_reflect = name("no_reflect");
            let mode = name("mode");
            let reason =
                format!("with {no_reflect} and {mode} echo, nobody would receive anything");
            faults.push((ErrorKind::ArgumentConflict, reason));
        }
        let redis = self.redis.is_set().then_some("redis");
        if self.mode == Mode::Echo
            && let Some(flag) = self.history.first().or(redis)
        {
            let reason =
                format!("with {} echo, there are no rooms for {}", name("mode"), name(flag));
            faults.push((ErrorKind::ArgumentConflict, reason));
        }
        faults.extend(self.admin.check(&name).err());
        let wrong = |reason| format!("invalid value for {}: {reason}", name("redis"));
        let redis = self.redis.check().map_err(wrong).err();
        faults.extend(redis.map(|fault| (ErrorKind::ValueValidation, fault)));
        let tls = self.tls.check(self.listens_with_tls(), &name).err();
        faults.extend(tls.map(|fault| (ErrorKind::ValueValidation, fault)));
        faults.extend(self.sockets.check(&List::concat(&self.listen), &name).err());
        faults.extend(self.settings().faults().into_iter().map(|fault| {
            (ErrorKind::ValueValidation, fault.describe(|field| name(fields::flag(field))))
        }));
        faults
    }

    fn listens_with_tls(&self) -> bool {
        List::concat(&self.listen).iter().any(ListenFlag::is_tls)
    }

    /// The addresses to listen on, except those of inherited sockets.
    ///
    /// # Errors
    /// A host name cannot be resolved.
    pub fn addresses(&self) -> io::Result<Vec<Listen>> {
        ListenFlag::resolve_all(&List::concat(&self.listen))
    }

    /// The configuration that the flags ask for. This takes the sockets that the environment announces,
    /// and changes it, so there may be no other threads.
    ///
    /// # Errors
    /// A host name to listen on cannot be resolved, there is no such user or group, or a socket was not
    /// passed.
    pub fn config(&self) -> io::Result<Config> {
        let mut config = self.settings();
        config.listen = self.addresses()?;
        let items = List::concat(&self.listen);
        if items.iter().any(ListenFlag::is_inherited) {
            config.listen.extend(ListenFlag::inherit_all(&items, &Inherited::take()?)?);
        }
        self.sockets.set(&mut config)?;
        Ok(config)
    }

    /// The configuration without the addresses to listen on.
    fn settings(&self) -> Config {
        let mut config = Config::with_max_message_bytes(self.limits.max_message_size);
        // The addresses are not known before names are resolved, but whether they need certificates is.
        config.listen[0].tls = self.listens_with_tls();
        config.subprotocols = List::concat(&self.subprotocol);
        config.trusted_proxies = List::concat(&self.trusted_proxy);
        config.slow = self.slow.into();
        config.request_bodies = self.mode == Mode::Broadcast;
        self.access.set(&mut config);
        self.tls.set(&mut config);
        self.deflate.set(&mut config);
        self.limits.set(&mut config);
        self.history.set(&mut config, self.redis.is_set());
        self.times.set(&mut config);
        config
    }
}
