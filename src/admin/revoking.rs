//! Revoking tokens by an operator's order.

use std::time::Duration;

use humantime::parse_duration;
use log::info;
use serde_json::{Value, json};
use townhall::{Handle, Request};

use super::closing;
use super::parameters::parameters;
use super::question::{Unanswered, ask};
use crate::auth::{self, Identity, Sessions, TooMany};
use crate::cluster::Link;
use crate::denied::Denied;

/// How long tokens are refused if the request does not say, and at most.
const DEFAULT_DURATION: Duration = Duration::from_secs(24 * 60 * 60);
const MAX_DURATION: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// The maximum length of `sub` and `jti` in bytes, because revocations are kept.
const MAX_IDENTITY_BYTES: usize = 1024;

/// Which tokens to revoke, and for how long.
#[derive(Debug, PartialEq, Eq)]
pub struct Order {
    identity: Identity,
    lasts: Duration,
}

impl Order {
    /// Reads the parameters `sub` or `jti`, and `for`, which is a day by default. Others do not count.
    ///
    /// # Errors
    /// Why a parameter is wrong.
    pub fn parse(request: &Request<'_>) -> Result<Self, String> {
        let mut identities = Vec::new();
        let mut lasts = DEFAULT_DURATION;
        for (name, value) in parameters(request) {
            match &*name {
                "sub" => identities.push(Identity::Subject(text(&value)?)),
                "jti" => identities.push(Identity::Token(text(&value)?)),
                "for" => lasts = duration(&value)?,
                _ => {}
            }
        }
        match identities.pop() {
            Some(identity) if identities.is_empty() => Ok(Self { identity, lasts }),
            _ => Err("there must be one parameter sub or jti, such as /revoke?sub=42".to_owned()),
        }
    }
}

fn text(value: &str) -> Result<Box<str>, String> {
    match value.len() {
        1..=MAX_IDENTITY_BYTES => Ok(value.into()),
        _ => Err(format!("sub and jti must have 1 to {MAX_IDENTITY_BYTES} bytes")),
    }
}

fn duration(value: &str) -> Result<Duration, String> {
    let duration = parse_duration(value).ok().filter(|duration| *duration <= MAX_DURATION);
    let wrong = || format!("for is {value:?}, but must be a duration up to 366days, such as 12h");
    duration.ok_or_else(wrong)
}

/// Revokes tokens, and closes the connections that were opened with them, here and in the other processes
/// that the link reaches.
///
/// # Errors
/// The event loop did not answer. A part of the connections may have been closed.
pub fn revoke(
    handle: &Handle,
    sessions: &Sessions,
    link: Option<&Link>,
    order: Order,
) -> Result<Result<Value, TooMany>, Unanswered> {
    let Order { identity, lasts } = order;
    let sessions = sessions.clone();
    let at = auth::now();
    let shared = link.map(|link| (link, identity.clone()));
    // On the event loop's thread, no client is between the check of its token and its opening.
    let revoked = ask(handle, move |_| sessions.revoke(identity, lasts, at))?;
    let Ok(revoked) = revoked else { return Ok(Err(TooMany)) };
    if let Some((link, identity)) = shared {
        link.revoke(identity, revoked.lasts, at);
    }
    let (code, reason) = auth::revoked();
    let order = closing::Order::new(code, reason);
    let closed = closing::close_all(handle, &revoked.clients, &order)?;
    ask(handle, move |hub| (0..closed).for_each(|_| Denied::RevokedToken.count(hub)))?;
    info!("an operator revoked tokens, and closed {closed} connections with {code}");
    Ok(Ok(json!({"closed": closed, "refused_seconds": revoked.lasts.as_secs()})))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(query: &str) -> Result<Order, String> {
        let head = format!("POST /revoke?{query} HTTP/1.1\r\nHost: a\r\n\r\n");
        Order::parse(&Request::parse(head.as_bytes(), 10).unwrap())
    }

    #[test]
    fn an_order_has_one_identity_and_may_have_a_duration() {
        let user = Order { identity: Identity::Subject("4 2".into()), lasts: DEFAULT_DURATION };
        assert_eq!(order("sub=4+2"), Ok(user));
        let token =
            Order { identity: Identity::Token("a".into()), lasts: Duration::from_secs(3600) };
        assert_eq!(order("jti=a&for=1h&other=b"), Ok(token));
        let long = format!("sub={}", "a".repeat(1025));
        for wrong in
            ["", "sub=", "sub=1&jti=2", "sub=1&sub=1", "sub=1&for=1", "sub=1&for=367days", &long]
        {
            assert!(order(wrong).is_err(), "{wrong}");
        }
    }
}
