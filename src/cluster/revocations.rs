//! Revoked tokens, which all processes refuse.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::{Value, cmd, from_redis_value};
use serde::{Deserialize, Serialize};

use crate::auth::Identity;

use super::link::Link;
use super::link::job::Job;

/// The key of the revocations, each with the time at which it ends, and the channel of new ones.
pub const CHANNEL: &str = "townhall:{revocations}";

/// The ticket of the questions for all of them.
pub const TICKET: u64 = 1;

/// Whose tokens are revoked, since when, and until when, in seconds since the epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Revocation {
    #[serde(flatten)]
    pub identity: Identity,
    pub at: f64,
    until: f64,
}

impl Revocation {
    fn new(identity: Identity, lasts: Duration, at: f64) -> Self {
        Self { identity, at, until: now() + lasts.as_secs_f64() }
    }

    /// How long it still lasts.
    pub fn left(&self) -> Duration {
        Duration::try_from_secs_f64(self.until - now()).unwrap_or_default()
    }

    /// What another process has sent, unless it is something else.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

impl Link {
    /// Lets all processes refuse these tokens, which were revoked at a time in seconds since the epoch.
    pub fn revoke(&self, identity: Identity, lasts: Duration, at: f64) {
        let revocation = Revocation::new(identity, lasts, at);
        let text = serde_json::to_string(&revocation).expect("strings and numbers are JSON");
        let mut forget = cmd("ZREMRANGEBYSCORE");
        forget.arg(CHANNEL).arg("-inf").arg(now());
        let mut add = cmd("ZADD");
        add.arg(CHANNEL).arg(revocation.until).arg(&text);
        let mut send = cmd("SPUBLISH");
        send.arg(CHANNEL).arg(&text);
        self.ask(Job::Commands { key: CHANNEL, ticket: 0, commands: vec![forget, add, send] });
    }

    /// Asks for all revocations, and removes those that have ended.
    pub fn ask_for_revocations(&self) {
        let mut forget = cmd("ZREMRANGEBYSCORE");
        forget.arg(CHANNEL).arg("-inf").arg(now());
        let mut all = cmd("ZRANGE");
        all.arg(CHANNEL).arg(0).arg(-1);
        self.ask(Job::Commands { key: CHANNEL, ticket: TICKET, commands: vec![forget, all] });
    }
}

/// The revocations in the answer to that question.
pub fn all(answers: Vec<Value>) -> Vec<Revocation> {
    let all =
        answers.into_iter().nth(1).and_then(|value| from_redis_value::<Vec<Vec<u8>>>(value).ok());
    all.iter().flatten().filter_map(|bytes| Revocation::parse(bytes)).collect()
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revocation_is_understood_by_another_process() {
        let identity = Identity::Subject("42".into());
        let revocation = Revocation::new(identity, Duration::from_secs(60), 1e9);
        let text = serde_json::to_string(&revocation).unwrap();
        assert!(text.starts_with(r#"{"sub":"42","at":1000000000.0,"until":"#), "{text}");
        let parsed = Revocation::parse(text.as_bytes()).unwrap();
        assert_eq!(parsed, revocation);
        assert!(parsed.left() > Duration::from_secs(50));
        assert_eq!(Revocation::parse(b"{}"), None);
    }
}
