//! Rooms that span several processes.

use std::fmt;
use std::str::FromStr;

use clap::Args;

use super::list::{List, list};

/// Where Redis is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Several processes")]
pub struct RedisFlags {
    /// Share the rooms with other processes through Redis 7 or newer, or Valkey: redis://HOST:PORT, rediss://
    /// for TLS, or redis+unix:///PATH, with a user and a password as in redis://USER:PASSWORD@HOST. The
    /// server may be a single one, a node of a cluster, or a Sentinel that watches one primary; a list names
    /// more of the same to ask. All processes need the same limits for history, which is on. Because others
    /// can see the command line, prefer the environment variable for passwords
    #[arg(long, value_name = "URL", env = "TOWNHALL_REDIS")]
    #[arg(value_parser = list(str::parse::<RedisUrl>, "serve rooms from this process alone"))]
    redis: Vec<List<RedisUrl>>,
}

impl RedisFlags {
    pub fn is_set(&self) -> bool {
        !self.redis.is_empty()
    }

    pub fn urls(&self) -> Vec<RedisUrl> {
        List::concat(&self.redis)
    }
}

/// The address of a server, which may contain a password.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(String);

impl RedisUrl {
    #[cfg(feature = "redis")]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisUrl")
    }
}

impl FromStr for RedisUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        check(text)?;
        Ok(Self(text.to_owned()))
    }
}

#[cfg(feature = "redis")]
fn check(text: &str) -> Result<(), String> {
    let explain = |error: redis::RedisError| error.detail().unwrap_or("it is not valid").to_owned();
    redis::IntoConnectionInfo::into_connection_info(text).map(drop).map_err(explain)
}

#[cfg(not(feature = "redis"))]
fn check(_: &str) -> Result<(), String> {
    Err("this program was built without the feature redis".to_owned())
}
