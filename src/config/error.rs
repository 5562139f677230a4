//! The errors of a configuration.

use std::error::Error;
use std::fmt;

/// The reason why a [`Config`](super::Config) is not valid. It names fields by their paths, such as
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
/// // For users who know the field as a flag.
/// let flag = |field| if field == "timeouts.close" { "--close-timeout" } else { field }.to_owned();
/// assert_eq!(error.describe(flag), "--close-timeout must be longer than zero");
///
/// // `Server::bind` returns it inside an `io::Error`.
/// let outer = Server::bind(config).unwrap_err();
/// let inner = outer.get_ref().and_then(|error| error.downcast_ref::<ConfigError>());
/// assert_eq!(inner.map(ConfigError::field), Some("timeouts.close"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// A list that must not be empty is empty.
    Empty {
        /// The list.
        field: &'static str,
    },
    /// A number is smaller than the server needs.
    TooSmall {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u64,
        /// The smallest allowed value.
        least: u64,
    },
    /// A number is larger than the server supports.
    TooLarge {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u64,
        /// The largest allowed value.
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
        /// The multiple of the other limit that it must hold.
        times: u64,
        /// The smallest allowed value, in bytes.
        least: u64,
    },
    /// A timeout or an interval is zero.
    NoTime {
        /// The timeout or interval.
        field: &'static str,
    },
    /// The server cannot do what a field asks for, because it was built without a feature of the crate.
    NeedsFeature {
        /// The field.
        field: &'static str,
        /// The feature.
        feature: &'static str,
    },
    /// An address cannot speak TLS.
    PlainOnly {
        /// The list of addresses.
        field: &'static str,
        /// The address.
        value: String,
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
    /// The path of the field with the wrong value, such as `memory.max_backlog_bytes`.
    pub fn field(&self) -> &'static str {
        match *self {
            Self::Empty { field }
            | Self::TooSmall { field, .. }
            | Self::TooLarge { field, .. }
            | Self::CannotHold { field, .. }
            | Self::NoTime { field }
            | Self::NeedsFeature { field, .. }
            | Self::PlainOnly { field, .. }
            | Self::NoToken { field, .. } => field,
        }
    }

    /// Describes the error, and calls each field by the name that `name` returns, for programs whose
    /// users know the fields as flags or as keys of a file.
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
            Self::NeedsFeature { feature, .. } => {
                format!("{subject} needs the feature `{feature}` of the crate townhall")
            }
            Self::PlainOnly { value, .. } => {
                format!("{subject}: {value} is a Unix socket, which cannot speak TLS")
            }
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
