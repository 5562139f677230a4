//! What is wrong with a configuration.

use std::error::Error;
use std::fmt;

/// Why a [`Config`](super::Config) is refused. It names fields by their paths, such as
/// `memory.max_backlog_bytes`.
///
/// ```
/// use std::time::Duration;
/// use townhall::{Config, ConfigError, Server};
///
/// let mut config = Config::default();
/// config.timeouts.close = Duration::ZERO;
/// let error = config.check().unwrap_err();
/// assert_eq!(error, ConfigError::NoTime { field: "timeouts.close" });
/// assert_eq!(error.to_string(), "timeouts.close must be longer than zero");
///
/// // A program whose users know the field as a flag.
/// let flag = |field| if field == "timeouts.close" { "--close-timeout" } else { field }.to_owned();
/// assert_eq!(error.describe(flag), "--close-timeout must be longer than zero");
///
/// // `Server::bind` returns it within an `io::Error`.
/// let within = Server::bind(config).unwrap_err();
/// let found = within.get_ref().and_then(|reason| reason.downcast_ref::<ConfigError>());
/// assert_eq!(found.map(ConfigError::field), Some("timeouts.close"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// A list is empty that must not be.
    Empty {
        /// The list.
        field: &'static str,
    },
    /// A number is too small for the server to do its work.
    TooSmall {
        /// What the number is for.
        field: &'static str,
        /// The number.
        value: u64,
        /// The smallest that is allowed.
        least: u64,
    },
    /// A number is larger than what the server can work with.
    TooLarge {
        /// What the number is for.
        field: &'static str,
        /// The number.
        value: u64,
        /// The largest that is allowed.
        most: u64,
    },
    /// A limit is too small for what it must hold, which is a multiple of another limit.
    CannotHold {
        /// The limit that is too small.
        field: &'static str,
        /// Its value, in bytes.
        value: u64,
        /// The other limit.
        held: &'static str,
        /// How many times the other limit it must hold.
        times: u64,
        /// The smallest value that is allowed, in bytes.
        least: u64,
    },
    /// A timeout or an interval is zero.
    NoTime {
        /// The timeout or interval.
        field: &'static str,
    },
    /// A name is not a token (RFC 9110, section 5.6.2).
    NoToken {
        /// The list of names.
        field: &'static str,
        /// The name.
        value: String,
    },
}

impl ConfigError {
    /// The path of the field that is wrong, such as `memory.max_backlog_bytes`.
    pub fn field(&self) -> &'static str {
        match *self {
            Self::Empty { field }
            | Self::TooSmall { field, .. }
            | Self::TooLarge { field, .. }
            | Self::CannotHold { field, .. }
            | Self::NoTime { field }
            | Self::NoToken { field, .. } => field,
        }
    }

    /// Says what is wrong, with the name that `name` gives to each field, for a program whose users
    /// know the fields as flags or under the keys of a file.
    pub fn describe(&self, name: impl Fn(&'static str) -> String) -> String {
        let subject = name(self.field());
        match self {
            Self::Empty { .. } => format!("{subject} is empty"),
            Self::TooSmall { value, least, .. } => {
                format!("{subject} is {value}, but must be at least {least}")
            }
            Self::TooLarge { value, most, .. } => {
                format!("{subject} is {value}, but must be at most {most}")
            }
            Self::CannotHold { value, held, times, least, .. } => {
                let held = name(held);
                let held = if *times == 1 { held } else { format!("{times} times {held}") };
                format!("{subject} is {value}, but must be at least {held}, which is {least}")
            }
            Self::NoTime { .. } => format!("{subject} must be longer than zero"),
            Self::NoToken { value, .. } => {
                format!("{subject}: {value:?} is not a token (RFC 9110, section 5.6.2)")
            }
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe(str::to_owned))
    }
}

impl Error for ConfigError {}
