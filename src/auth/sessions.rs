//! Which connections belong to a token or to its user, and which tokens are revoked.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use townhall::ClientId;

use super::claims::{Claims, LEEWAY};

/// How many revocations there may be. Each takes about 200 bytes.
const MAX_REVOCATIONS: usize = 10_000;

/// What a token can be revoked by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Identity {
    /// The user: the claim `sub`.
    #[serde(rename = "sub")]
    Subject(Box<str>),
    /// The token itself: the claim `jti`.
    #[serde(rename = "jti")]
    Token(Box<str>),
}

impl Identity {
    pub fn all_of(claims: &Claims) -> Vec<Self> {
        let subject = claims.subject.clone().map(Self::Subject);
        let token = claims.token_id.clone().map(Self::Token);
        subject.into_iter().chain(token).collect()
    }
}

#[derive(Debug)]
struct Revocation {
    /// When it was made, in seconds since the epoch.
    at: f64,
    /// When it is forgotten.
    until: Instant,
}

/// The open connections with tokens, and the revocations. The event loop and the admin listener share it.
#[derive(Debug, Clone, Default)]
pub struct Sessions(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// The connections of an identity, and when their tokens end.
    clients: BTreeMap<Identity, BTreeMap<ClientId, Instant>>,
    revoked: HashMap<Identity, Revocation>,
}

/// There are too many revocations.
#[derive(Debug, PartialEq, Eq)]
pub struct TooMany;

/// What a revocation has done.
#[derive(Debug)]
pub struct Revoked {
    /// The connections that are to be closed.
    pub clients: Vec<ClientId>,
    /// How long such tokens are refused.
    pub lasts: Duration,
}

impl Sessions {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is locked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a connection has opened, whose token ends after `remaining`.
    pub fn enter(&self, client: ClientId, identities: &[Identity], remaining: Duration) {
        let mut state = self.state();
        let end = Instant::now() + remaining;
        for identity in identities {
            state.clients.entry(identity.clone()).or_default().insert(client, end);
        }
    }

    /// Notes that a connection has ended.
    pub fn leave(&self, client: ClientId, identities: &[Identity]) {
        let mut state = self.state();
        for identity in identities {
            if let Some(clients) = state.clients.get_mut(identity) {
                clients.remove(&client);
                if clients.is_empty() {
                    state.clients.remove(identity);
                }
            }
        }
    }

    /// Whether a token is revoked. One of a user is if it was made before the revocation: the user may
    /// get another. A token that does not say when it was made counts as an old one.
    pub fn is_revoked(&self, claims: &Claims) -> bool {
        let state = self.state();
        if state.revoked.is_empty() {
            return false;
        }
        let now = Instant::now();
        Identity::all_of(claims).into_iter().any(|identity| {
            let revocation = state.revoked.get(&identity);
            let newer = |revocation: &Revocation| {
                let made = claims.issued_at.unwrap_or(f64::NEG_INFINITY);
                matches!(identity, Identity::Subject(_))
                    && made > revocation.at + LEEWAY.as_secs_f64()
            };
            revocation.is_some_and(|revocation| now < revocation.until && !newer(revocation))
        })
    }

    /// Revokes tokens for `lasts`, or until the last token of an open connection ends, if that is later.
    /// `at` is the time in seconds since the epoch.
    ///
    /// # Errors
    /// There are too many revocations. Nothing has been done.
    pub fn revoke(&self, identity: Identity, lasts: Duration, at: f64) -> Result<Revoked, TooMany> {
        let mut state = self.state();
        let now = Instant::now();
        state.revoked.retain(|_, revocation| now < revocation.until);
        if state.revoked.len() >= MAX_REVOCATIONS && !state.revoked.contains_key(&identity) {
            return Err(TooMany);
        }
        let open = state.clients.get(&identity);
        let ends = open.into_iter().flat_map(BTreeMap::values).copied();
        let earlier = state.revoked.get(&identity).map(|revocation| revocation.until);
        let until = ends.chain(earlier).fold(now + lasts, Instant::max);
        let clients = open.into_iter().flat_map(BTreeMap::keys).copied().collect();
        state.revoked.insert(identity, Revocation { at, until });
        Ok(Revoked { clients, lasts: until - now })
    }

    /// Revokes tokens as another process has done, unless that is known, or there are too many revocations.
    /// Returns the connections that are to be closed.
    pub fn learn(&self, identity: Identity, lasts: Duration, at: f64) -> Vec<ClientId> {
        let known = self.state().revoked.get(&identity).is_some_and(|known| known.at >= at);
        let revoked = (!known).then(|| self.revoke(identity, lasts, at));
        revoked.and_then(Result::ok).map_or_else(Vec::new, |revoked| revoked.clients)
    }

    /// The revocations, each with when it was made, in seconds since the epoch, and how long it lasts.
    pub fn revocations(&self) -> Vec<(Identity, f64, Duration)> {
        let now = Instant::now();
        let state = self.state();
        let revoked = state.revoked.iter().filter(|(_, revocation)| now < revocation.until);
        revoked
            .map(|(identity, &Revocation { at, until })| (identity.clone(), at, until - now))
            .collect()
    }

    /// Revokes tokens as another process has done. Returns whether there are not too many revocations.
    pub fn restore(&self, identity: Identity, at: f64, lasts: Duration) -> bool {
        let mut state = self.state();
        let fits = state.revoked.len() < MAX_REVOCATIONS;
        if fits {
            state.revoked.insert(identity, Revocation { at, until: Instant::now() + lasts });
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::patterns::Patterns;

    const HOUR: Duration = Duration::from_secs(3600);

    fn claims(subject: &str, token_id: &str, issued_at: Option<f64>) -> Claims {
        Claims {
            subject: Some(subject.into()),
            token_id: Some(token_id.into()),
            issued_at,
            expires_at: 2e9,
            join: Patterns::default(),
            publish: Patterns::default(),
            info: None,
        }
    }

    fn client(text: &str) -> ClientId {
        text.parse().unwrap()
    }

    #[test]
    fn the_connections_of_an_identity_are_those_that_are_open() {
        let sessions = Sessions::default();
        let identities = Identity::all_of(&claims("42", "a", None));
        let other = Identity::all_of(&claims("42", "b", None));
        sessions.enter(client("1.1"), &identities, HOUR);
        sessions.enter(client("2.1"), &other, HOUR * 2);
        sessions.enter(client("3.1"), &identities, HOUR);
        sessions.leave(client("3.1"), &identities);
        let token = sessions.revoke(Identity::Token("a".into()), Duration::ZERO, 1e9).unwrap();
        assert_eq!(token.clients, [client("1.1")]);
        let user = sessions.revoke(Identity::Subject("42".into()), Duration::ZERO, 1e9).unwrap();
        assert_eq!(user.clients, [client("1.1"), client("2.1")]);
        assert!(user.lasts > HOUR, "the second token lasts two hours");
        sessions.leave(client("1.1"), &identities);
        sessions.leave(client("2.1"), &other);
        assert!(sessions.state().clients.is_empty());
    }

    #[test]
    fn a_revoked_user_may_get_a_new_token_but_a_token_stays_revoked() {
        let sessions = Sessions::default();
        assert!(!sessions.is_revoked(&claims("42", "a", None)));
        sessions.revoke(Identity::Subject("42".into()), HOUR, 1e9).unwrap();
        assert!(sessions.is_revoked(&claims("42", "a", None)));
        assert!(sessions.is_revoked(&claims("42", "a", Some(1e9))));
        assert!(!sessions.is_revoked(&claims("42", "a", Some(1e9 + 10.0))));
        assert!(!sessions.is_revoked(&claims("a", "42", None)));
        sessions.revoke(Identity::Token("b".into()), HOUR, 1e9).unwrap();
        assert!(sessions.is_revoked(&claims("43", "b", Some(2e9))));
    }

    #[test]
    fn another_process_refuses_the_same_tokens() {
        let earlier = Sessions::default();
        earlier.revoke(Identity::Subject("42".into()), HOUR, 1e9).unwrap();
        earlier.revoke(Identity::Token("b".into()), HOUR, 1e9).unwrap();
        earlier.revoke(Identity::Token("c".into()), Duration::ZERO, 1e9).unwrap();
        let later = Sessions::default();
        let revocations = earlier.revocations();
        assert_eq!(revocations.len(), 2, "the third one has ended");
        for (identity, at, lasts) in revocations {
            assert!(later.restore(identity, at, lasts));
        }
        assert!(later.is_revoked(&claims("42", "a", Some(1e9))));
        assert!(!later.is_revoked(&claims("42", "a", Some(1e9 + 10.0))));
        assert!(later.is_revoked(&claims("43", "b", Some(2e9))));
        assert!(!later.is_revoked(&claims("43", "c", None)));
    }

    #[test]
    fn a_revocation_of_another_process_closes_connections_once() {
        let sessions = Sessions::default();
        let identities = Identity::all_of(&claims("42", "a", None));
        let user = || Identity::Subject("42".into());
        sessions.enter(client("1.1"), &identities, HOUR);
        assert_eq!(sessions.learn(user(), HOUR, 1e9), [client("1.1")]);
        assert!(sessions.is_revoked(&claims("42", "a", Some(1e9))));
        assert_eq!(sessions.learn(user(), HOUR, 1e9), [], "the user may have a new token");
        assert_eq!(sessions.learn(user(), HOUR, 2e9), [client("1.1")]);
    }

    #[test]
    fn a_revocation_is_forgotten_and_their_number_is_limited() {
        let sessions = Sessions::default();
        let token = |number: usize| Identity::Token(number.to_string().into());
        sessions.revoke(token(0), Duration::ZERO, 1e9).unwrap();
        assert!(!sessions.is_revoked(&claims("42", "0", None)));
        for number in 0..MAX_REVOCATIONS {
            sessions.revoke(token(number), HOUR, 1e9).unwrap();
        }
        let full = sessions.revoke(token(MAX_REVOCATIONS), HOUR, 1e9);
        assert_eq!(full.unwrap_err(), TooMany);
        assert!(sessions.revoke(token(7), HOUR, 1e9).is_ok(), "it is there already");
    }
}
