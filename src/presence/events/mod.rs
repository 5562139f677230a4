//! The rooms of the whole server, for back ends: which are occupied and vacated, and by whom if a back end
//! asks for that.
//!
//! The watchers are clients of the admin listener, which is another server on another thread. What it asks
//! for, and what it gets, goes through the handles of the two servers, so neither waits for the other.

mod news;
mod rooms;
mod rosters;
mod subject;

use std::cmp::Reverse;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use townhall::{ClientId, CloseCode, Handle, HandleError, Hub};

use crate::auth;
use news::News;
pub use subject::Subject;

/// The token of the timer for changes, and for requests of watchers.
pub const EVENTS: u64 = 5;

/// How much time there is between two messages.
const INTERVAL: Duration = Duration::from_secs(1);

/// The room of watchers who wait for their first message.
const WAITING: &str = "/waiting";

/// A watcher who asks for a first message and for what changes then.
#[derive(Debug)]
struct Request {
    watcher: ClientId,
    subject: Subject,
    presence: Weak<()>,
}

/// Says that a watcher is there, until it is dropped.
#[derive(Debug)]
pub struct Watch {
    _presence: Arc<()>,
}

/// The end of the watchers' server.
#[derive(Debug, Clone)]
pub struct Requests {
    handle: Handle,
    sender: Sender<Request>,
}

impl Requests {
    /// Asks for the first message for a watcher. The watcher is put into a room, and gets messages as long as
    /// the result is kept.
    ///
    /// # Errors
    /// The server that is watched cannot be asked.
    pub fn watch(
        &self,
        hub: &mut Hub,
        watcher: ClientId,
        subject: Subject,
    ) -> Result<Watch, HandleError> {
        let presence = Arc::new(());
        let request = Request { watcher, subject, presence: Arc::downgrade(&presence) };
        let sender = self.sender.clone();
        self.handle.run(move |hub| {
            // This fails if the server is ending.
            let _ = sender.send(request);
            hub.set_timer(ClientId::SERVER, EVENTS, Duration::ZERO);
        })?;
        hub.join(watcher, WAITING);
        Ok(Watch { _presence: presence })
    }

    /// Says that a watcher is not there any more.
    pub fn leave(&self, watch: Watch) {
        drop(watch);
        let wake = |hub: &mut Hub| _ = hub.set_timer(ClientId::SERVER, EVENTS, Duration::ZERO);
        // If this fails, the next change shows that the watcher has left.
        let _ = self.handle.run(wake);
    }
}

/// Sends changes to watchers. It keeps nothing while there are none.
#[derive(Debug)]
pub struct Events {
    watchers: Handle,
    requests: Receiver<Request>,
    /// Whether tokens give names to members.
    has_names: bool,
    watched: Option<Watched>,
    last: Option<Instant>,
    /// Whether a message could not be queued, so that the watchers must begin again.
    has_gap: bool,
}

/// What is kept while there are watchers.
#[derive(Debug, Default)]
struct Watched {
    news: News,
    watchers: Vec<(Subject, Weak<()>)>,
    /// Whether a timer is set for changes.
    has_timer: bool,
}

impl Watched {
    fn has(&self, subject: Subject) -> bool {
        self.watchers.iter().any(|(other, _)| *other == subject)
    }
}

impl Events {
    /// Events of the server with the first handle, for watchers on the server with the second.
    pub fn new(watched: Handle, watchers: Handle, has_names: bool) -> (Self, Requests) {
        let (sender, requests) = channel();
        let events =
            Self { watchers, requests, has_names, watched: None, last: None, has_gap: false };
        (events, Requests { handle: watched, sender })
    }

    /// Notes that a client has joined a room.
    pub fn join(&mut self, hub: &mut Hub, client: ClientId, room: &str) {
        if let Some(watched) = &mut self.watched {
            watched.news.join(client, room, auth::user(hub, client));
            self.note_change(hub);
        }
    }

    /// Notes that a client has left.
    pub fn leave(&mut self, hub: &mut Hub, client: ClientId) {
        if let Some(watched) = &mut self.watched {
            watched.news.leave(client);
            self.note_change(hub);
        }
    }

    fn note_change(&mut self, hub: &mut Hub) {
        let wait = self.wait();
        if let Some(watched) = &mut self.watched
            && !watched.has_timer
        {
            watched.has_timer = hub.set_timer(ClientId::SERVER, EVENTS, wait);
        }
    }

    /// How long the next message must wait.
    fn wait(&self) -> Duration {
        self.last.map_or(Duration::ZERO, |last| INTERVAL.saturating_sub(last.elapsed()))
    }

    /// Sends the watchers what has changed, and new ones everything.
    pub fn send(&mut self, hub: &mut Hub) {
        let wait = self.wait();
        if !wait.is_zero() {
            hub.set_timer(ClientId::SERVER, EVENTS, wait);
            return;
        }
        self.last = Some(Instant::now());
        if self.has_gap && !self.close_all() {
            hub.set_timer(ClientId::SERVER, EVENTS, INTERVAL);
            return;
        }
        if let Some(watched) = &mut self.watched {
            watched.has_timer = false;
            watched.watchers.retain(|(_, presence)| presence.strong_count() > 0);
        }
        self.send_changes();
        while let Ok(request) = self.requests.try_recv() {
            self.admit(hub, request);
        }
        if self.watched.as_ref().is_some_and(|watched| watched.watchers.is_empty()) {
            self.watched = None;
        }
        if self.has_gap {
            hub.set_timer(ClientId::SERVER, EVENTS, INTERVAL);
        }
    }

    /// Sends changes to those who watch already.
    fn send_changes(&mut self) {
        let Some(watched) = &mut self.watched else { return };
        if !watched.has(Subject::Members) {
            watched.news.forget_members();
        }
        for (subject, text) in watched.news.take() {
            if watched.has(subject) {
                let queued = self.watchers.broadcast(subject.room(), &*text);
                self.has_gap |= queued == Err(HandleError::Full);
            }
        }
    }

    /// Sends everything to a new watcher.
    fn admit(&mut self, hub: &Hub, request: Request) {
        let Request { watcher, subject, presence } = request;
        let watched = self.watched.get_or_insert_with(|| {
            let mut watched = Watched::default();
            members(hub).for_each(|(client, room)| watched.news.join(client, room, None));
            watched
        });
        if subject == Subject::Members && !watched.news.has_members() {
            let mut members: Vec<_> = members(hub).collect();
            // The newest connection of somebody is the one whose info counts.
            members.sort_by_key(|(client, _)| Reverse(hub.open_for(*client)));
            let members =
                members.into_iter().map(|(client, room)| (client, room, auth::user(hub, client)));
            watched.news.follow_members(self.has_names, members);
        }
        watched.news.settle();
        watched.watchers.push((subject, presence));
        let text = watched.news.snapshot(subject);
        let greet = move |hub: &mut Hub| {
            hub.send(watcher, &*text);
            hub.join(watcher, subject.room());
        };
        self.has_gap |= self.watchers.run(greet) == Err(HandleError::Full);
    }

    /// Closes all watchers, so that they connect again. Returns whether this could be queued.
    fn close_all(&mut self) -> bool {
        let close = |hub: &mut Hub| {
            let rooms = Subject::ALL.map(Subject::room).into_iter().chain([WAITING]);
            let all: Vec<_> =
                rooms.flat_map(|room| hub.members(room).collect::<Vec<_>>()).collect();
            for watcher in all {
                hub.close(watcher, CloseCode::TRY_AGAIN_LATER, "messages were lost: connect again");
            }
        };
        self.has_gap = self.watchers.run(close) == Err(HandleError::Full);
        !self.has_gap
    }
}

/// All members of all rooms.
fn members(hub: &Hub) -> impl Iterator<Item = (ClientId, &str)> {
    hub.rooms().flat_map(|room| hub.members(room.name()).map(move |client| (client, room.name())))
}

#[cfg(test)]
mod tests;
