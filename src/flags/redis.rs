//! Rooms that span several processes.

use std::convert::Infallible;
use std::fmt;

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
    #[arg(value_parser = list(url, "serve rooms from this process alone"))]
    redis: Vec<List<RedisUrl>>,
}

impl RedisFlags {
    pub fn is_set(&self) -> bool {
        !self.redis.is_empty()
    }

    /// What is wrong with the URLs. They are not shown, because they may contain passwords.
    pub fn check(&self) -> Result<(), String> {
        let number =
            |(place, url)| check(url).map_err(|reason| format!("URL {}: {reason}", place + 1));
        self.urls().iter().enumerate().try_for_each(number)
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

/// What is wrong with a URL is said later, without the URL.
fn url(text: &str) -> Result<RedisUrl, Infallible> {
    Ok(RedisUrl(text.to_owned()))
}

#[cfg(feature = "redis")]
fn check(RedisUrl(url): &RedisUrl) -> Result<(), String> {
    let explain = |_| "it is not a URL such as redis://127.0.0.1:6379";
    let info = redis::IntoConnectionInfo::into_connection_info(url.as_str()).map_err(explain)?;
    match info.addr() {
        redis::ConnectionAddr::TcpTls { insecure: true, .. } => {
            Err("#insecure is not possible; SSL_CERT_FILE names the certificates to trust".into())
        }
        _ => Ok(()),
    }
}

#[cfg(not(feature = "redis"))]
fn check(_: &RedisUrl) -> Result<(), String> {
    Err("this program was built without the feature redis".to_owned())
}

#[cfg(all(test, feature = "redis"))]
mod tests {
    use super::*;

    fn reason(urls: &str) -> Option<String> {
        let list = list(url, "")(urls).unwrap();
        RedisFlags { redis: vec![list] }.check().err()
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_without_its_password() {
        for good in ["redis://127.0.0.1", "rediss://u:secret@a:1", "redis+unix:///s?pass=secret"] {
            assert_eq!(reason(good), None, "{good}");
        }
        for bad in ["http://secret", "redis://u:secret@a:99999", "rediss://:secret@a#insecure"] {
            let reason = reason(&format!("redis://127.0.0.1,{bad}")).expect(bad);
            assert!(reason.starts_with("URL 2: ") && !reason.contains("secret"), "{reason}");
        }
    }
}
