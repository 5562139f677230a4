//! Access with JSON Web Tokens (RFC 7519): who may join a room, and who may publish in it.
//!
//! The keys come from files, and each fixes the algorithm of its tokens. Nothing is fetched from anywhere.

mod claims;
mod credentials;
mod denial;
mod info;
mod keys;
mod patterns;
mod sessions;
mod token;

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use log::{info, warn};
use townhall::protocol::{SUBPROTOCOL, Word};
use townhall::{ClientId, CloseCode, Hub, Request, Response, Upgrade};

use crate::denied::Denied;
use crate::flags::AuthFlags;
use claims::{Claims, LEEWAY};
use credentials::Sources;
use denial::Denial;
pub use info::Info;
pub use keys::now;
use keys::{Keys, Rules};
use patterns::Patterns;
pub use sessions::{Identity, Sessions, TooMany};
pub use token::{explain, make};

/// The token of the timer that fires when a client's token ends.
pub const EXPIRY: u64 = 2;

/// The token of the timer that fires some time before a client's token ends.
pub const NOTICE: u64 = 6;

/// How long before the end of its token a client is told, if the token counts for twice as long.
const NOTICE_TIME: Duration = Duration::from_secs(30);

/// Decides who may do what, by tokens.
#[derive(Debug)]
pub struct Auth {
    files: Vec<PathBuf>,
    rules: Rules,
    sources: Sources,
    public_join: Patterns,
    public_publish: Patterns,
    keys: Arc<RwLock<Arc<Keys>>>,
    /// Locked while the files are read again, so that the latest keys win.
    reading: Arc<Mutex<()>>,
    sessions: Sessions,
    random: RandomState,
}

/// What the program keeps for a client.
#[derive(Debug, Default)]
pub struct Session {
    /// The subprotocol, for the list of a room's members.
    pub subprotocol: Option<Box<str>>,
    access: Access,
}

#[derive(Debug)]
enum Access {
    Denied(Denial),
    Granted(Grant),
}

impl Default for Access {
    fn default() -> Self {
        Self::Granted(Grant::default())
    }
}

/// What a client may do in its room.
#[derive(Debug, Default)]
struct Grant {
    may_publish: bool,
    identities: Vec<Identity>,
    info: Option<Info>,
    /// How long its token counts, if it has one.
    remaining: Option<Duration>,
}

impl Auth {
    /// Reads the keys. Without a key, everyone may do everything.
    ///
    /// # Errors
    /// A file cannot be used.
    pub fn read(flags: &AuthFlags) -> io::Result<Option<Self>> {
        let files = flags.auth_key_file.clone();
        if files.is_empty() {
            return Ok(None);
        }
        let rules =
            Rules { audience: flags.auth_audience.clone(), issuer: flags.auth_issuer.clone() };
        let keys = Keys::read(&files, &rules)?;
        Ok(Some(Self {
            files,
            rules,
            sources: Sources { cookie: flags.auth_cookie.clone(), query: flags.auth_query.clone() },
            public_join: Patterns::new(flags.public_join()),
            public_publish: Patterns::new(flags.public_publish()),
            keys: Arc::new(RwLock::new(Arc::new(keys))),
            reading: Arc::default(),
            sessions: Sessions::default(),
            random: RandomState::new(),
        }))
    }

    /// What is wrong with the files of the flags.
    pub fn faults(flags: &AuthFlags) -> Vec<io::Error> {
        let files = flags.auth_key_file.iter();
        let read = |file| Keys::read(std::slice::from_ref(file), &Rules::default());
        files.filter_map(|file| read(file).err()).collect()
    }

    /// The connections with tokens, and the revocations.
    pub fn sessions(&self) -> Sessions {
        self.sessions.clone()
    }

    /// Reads the keys again, on another thread, because a disk may be slow. Connections that are open
    /// are not affected.
    pub fn reload(&self) {
        let Self { files, rules, .. } = self;
        let (files, rules) = (files.clone(), rules.clone());
        let (keys, reading) = (self.keys.clone(), self.reading.clone());
        let read = move || {
            let _reading = reading.lock().unwrap_or_else(PoisonError::into_inner);
            match Keys::read(&files, &rules) {
                Ok(new) => {
                    let count = new.count();
                    *keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
                    info!("read the keys for tokens again: {count}");
                }
                Err(error) => warn!("{error}; the keys that were read before stay in use"),
            }
        };
        if let Err(error) = thread::Builder::new().name("keys".to_owned()).spawn(read) {
            warn!("cannot read the keys for tokens again: {error}");
        }
    }

    /// Accepts or refuses an upgrade by the right to join `room`. A client that offers `townhall.v1` is let
    /// in and then closed with the reason, because a page cannot see an HTTP status.
    pub fn admit(&self, hub: &mut Hub, client: ClientId, room: &str, mut upgrade: Upgrade<'_>) {
        let access = match self.grant(upgrade.request(), room) {
            Ok(grant) => Access::Granted(grant),
            Err(denial) => {
                note_denial(hub, client, denial);
                if upgrade.set_subprotocol(SUBPROTOCOL).is_err() {
                    return upgrade.refuse(denial.response());
                }
                Access::Denied(denial)
            }
        };
        hub.set_data(client, Session { subprotocol: None, access });
    }

    /// Checks that a plain request may publish in a room.
    ///
    /// # Errors
    /// The response to a request that may not.
    pub fn admit_publication(
        &self,
        hub: &mut Hub,
        client: ClientId,
        request: &Request<'_>,
        room: &str,
    ) -> Result<(), Response> {
        let denial = match self.claims(request, keys::now()) {
            Ok(claims) if self.allows_publishing(claims.as_ref(), room) => return Ok(()),
            Ok(None) => Denial::MISSING,
            Ok(Some(_)) => Denial::PUBLISH,
            Err(denial) => denial,
        };
        Err(refusal(hub, client, denial))
    }

    /// Checks that a plain request may ask about a room: that its sender may join it.
    ///
    /// # Errors
    /// The response to a request that may not.
    pub fn admit_question(
        &self,
        hub: &mut Hub,
        client: ClientId,
        request: &Request<'_>,
        room: &str,
    ) -> Result<(), Response> {
        let granted = self.grant(request, room);
        granted.map(drop).map_err(|denial| refusal(hub, client, denial))
    }

    /// What a request may do in a room, if it may join it.
    fn grant(&self, request: &Request<'_>, room: &str) -> Result<Grant, Denial> {
        let now = keys::now();
        let claims = self.claims(request, now)?;
        let may_join = self.public_join.allow(room)
            || claims.as_ref().is_some_and(|claims| claims.join.allow(room));
        if !may_join {
            return Err(if claims.is_none() { Denial::MISSING } else { Denial::JOIN });
        }
        Ok(Grant {
            may_publish: self.allows_publishing(claims.as_ref(), room),
            identities: claims.as_ref().map(Identity::all_of).unwrap_or_default(),
            remaining: claims.as_ref().map(|claims| claims.remaining(now)),
            info: claims.and_then(|claims| claims.info),
        })
    }

    fn allows_publishing(&self, claims: Option<&Claims>, room: &str) -> bool {
        self.public_publish.allow(room) || claims.is_some_and(|claims| claims.publish.allow(room))
    }

    /// The claims of a request's token, if it has one. `now` is in seconds since the epoch.
    fn claims(&self, request: &Request<'_>, now: f64) -> Result<Option<Claims>, Denial> {
        let token = self.sources.find(request).map_err(|_| Denial::AMBIGUOUS)?;
        let Some(token) = token else { return Ok(None) };
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner).clone();
        let claims = keys.verify(&token, now)?;
        if self.sessions.is_revoked(&claims) { Err(Denial::REVOKED) } else { Ok(Some(claims)) }
    }

    /// Begins the session of a client that has opened. Returns whether it may join its room; otherwise,
    /// it is being closed.
    pub fn open(&self, hub: &mut Hub, client: ClientId) -> bool {
        let Some(Session { access, .. }) = hub.data(client) else { return false };
        match access {
            Access::Denied(denial) => {
                let denial = *denial;
                hub.close(client, denial.close_code(), denial.reason);
                false
            }
            Access::Granted(Grant { identities, remaining, .. }) => {
                if let Some(remaining) = *remaining {
                    self.sessions.enter(client, identities, remaining);
                    hub.set_timer(client, EXPIRY, self.expiry(client, remaining));
                }
                true
            }
        }
    }

    /// When to close a client whose token counts for this long. Tokens that were made together are
    /// spread over the time by which clocks may differ.
    fn expiry(&self, client: ClientId, remaining: Duration) -> Duration {
        let part = self.random.hash_one(client) % 1000;
        let early = LEEWAY.mul_f64(part as f64 / 1000.0);
        remaining.saturating_sub(early)
    }

    /// Tells a client before its token ends, if the client understands that in its room.
    pub fn plan_notice(&self, hub: &mut Hub, client: ClientId, room: &str) {
        let hears_words = hub.hears_words(client) && hub.position(room).is_some();
        if let Some(remaining) = remaining(hub, client).filter(|_| hears_words) {
            let expiry = self.expiry(client, remaining);
            hub.set_timer(client, NOTICE, expiry - notice_time(expiry));
        }
    }

    /// Tells a client that its token will end.
    pub fn notify(&self, hub: &mut Hub, client: ClientId) {
        if let Some(remaining) = remaining(hub, client) {
            let left = notice_time(self.expiry(client, remaining));
            hub.send(client, &Word::Expires(left.as_secs()).to_string());
        }
    }

    /// Revokes tokens as another process has done, at a time in seconds since the epoch.
    pub fn learn(&self, hub: &mut Hub, identity: Identity, lasts: Duration, at: f64) {
        let (code, reason) = revoked();
        for client in self.sessions.learn(identity, lasts, at) {
            Denied::RevokedToken.count(hub);
            hub.close(client, code, reason);
        }
    }

    /// Whether a client may publish in its room. One that may not is closed.
    pub fn may_publish(&self, hub: &mut Hub, client: ClientId) -> bool {
        let session = hub.data::<Session>(client);
        let may = session.is_some_and(|session| match &session.access {
            Access::Granted(grant) => grant.may_publish,
            Access::Denied(_) => false,
        });
        if !may {
            Denied::NoRightToPublish.count(hub);
            let reason = "you may not publish in this room";
            hub.close(client, CloseCode::POLICY_VIOLATION, reason);
        }
        may
    }

    /// Ends the session of a client that has left.
    pub fn close(&self, hub: &Hub, client: ClientId) {
        if let Some(Session { access: Access::Granted(grant), .. }) = hub.data(client) {
            self.sessions.leave(client, &grant.identities);
        }
    }
}

/// How long the token of a client counted when the client connected, if it ends.
fn remaining(hub: &Hub, client: ClientId) -> Option<Duration> {
    match &hub.data::<Session>(client)?.access {
        Access::Granted(grant) => grant.remaining,
        Access::Denied(_) => None,
    }
}

/// How long before its end a client with this much time is told.
fn notice_time(expiry: Duration) -> Duration {
    NOTICE_TIME.min(expiry / 2)
}

/// Logs and counts a denial, and returns the response to it.
fn refusal(hub: &mut Hub, client: ClientId, denial: Denial) -> Response {
    note_denial(hub, client, denial);
    denial.response()
}

fn note_denial(hub: &mut Hub, client: ClientId, denial: Denial) {
    let Denial { status, reason, denied, .. } = denial;
    denied.count(hub);
    hub.log_refusal(format_args!("{client} refused with {status}: {reason}"));
}

/// The user of a client.
#[derive(Debug, Clone, Copy)]
pub struct User<'s> {
    /// The claim `sub` of its token.
    pub name: &'s str,
    pub info: Option<&'s Info>,
}

/// The user of a client, if its token names one.
pub fn user(hub: &Hub, client: ClientId) -> Option<User<'_>> {
    let Access::Granted(grant) = &hub.data::<Session>(client)?.access else { return None };
    let name = grant.identities.iter().find_map(|identity| match identity {
        Identity::Subject(user) => Some(&**user),
        Identity::Token(_) => None,
    });
    name.map(|name| User { name, info: grant.info.as_ref() })
}

/// Closes a client whose token has ended.
pub fn expire(hub: &mut Hub, client: ClientId) {
    let denial = Denial::ENDED;
    denial.denied.count(hub);
    hub.close(client, denial.close_code(), denial.reason);
}

/// The code for a client whose token was revoked.
pub fn revoked() -> (CloseCode, &'static str) {
    (Denial::REVOKED.close_code(), Denial::REVOKED.reason)
}
