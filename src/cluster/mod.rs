//! Rooms that span several processes, through Redis.
//!
//! Redis gives the order: each room is a stream there, whose entries have the room's positions as their ids.
//! What a member publishes goes to Redis, and comes back to all processes that have members of the room, the
//! one of the sender included. The event loop never waits for that: threads of their own talk to Redis.

mod channel;
mod entry;
mod follower;
mod link;
mod peers;
mod revocations;
mod rooms;
mod senders;
mod waiting;

use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use redis::IntoConnectionInfo;
use townhall::{ClientId, CloseCode, Handle, HistoryLimits, Hub, Message, Start};

use crate::flags::RedisUrl;

use channel::channel;
use link::job::{Job, Report};
use link::{Keep, Running};
use peers::Peers;
use revocations::Revocation;
use rooms::{Entered, FULL, Rooms};
use senders::Senders;

pub use link::job::Published;
pub use link::{Full, Link, REPORTS};
pub use peers::{Hearsay, Saying};

/// The token of the timer that compares the rooms here with those in Redis.
pub const CHECK: u64 = 8;

/// The token of the timer after which other processes learn who has come and gone.
pub const SHARE: u64 = 9;

/// How often each happens.
const SHARE_INTERVAL: Duration = Duration::from_secs(1);
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// How many messages and bytes of them Redis keeps at least, how many of these are read at once, and for how
/// long they are kept, so that processes can read what has not arrived.
const MIN_MESSAGES: usize = 100;
const MIN_STREAM_BYTES: usize = 8 << 20;
const MIN_BYTES: usize = 64 << 10;
const MIN_AGE: Duration = Duration::from_secs(60);

/// How much of the queue may be used before members are not read any more, and until they are read again.
const PAUSE_LOAD: f64 = 0.5;
const RESUME_LOAD: f64 = 0.25;

/// How many reports, and bytes of messages, are handled in a turn of the event loop.
const MAX_REPORTS: usize = 1_000;
const MAX_BYTES: usize = 1 << 20;

/// The rooms that this process shares with others.
#[derive(Debug)]
pub struct Cluster {
    running: Running,
    rooms: Rooms,
    peers: Peers,
    senders: Senders,
    /// Whether members are not read, because the queue is too full.
    is_paused: bool,
}

/// What happened that others have to know.
#[derive(Debug, Default)]
pub struct News {
    /// Clients that have entered the room for which they waited.
    pub joined: Vec<(ClientId, Arc<str>)>,
    /// Messages that no member has sent, by their numbers.
    pub published: Vec<(u64, Published)>,
    /// Tokens that were revoked.
    pub revocations: Vec<Revocation>,
    /// What other processes say about the people in their rooms.
    pub heard: Vec<Hearsay>,
}

impl Cluster {
    /// Starts to talk to Redis.
    ///
    /// # Errors
    /// The system cannot start another thread.
    pub fn start(
        urls: &[RedisUrl],
        history: &HistoryLimits,
        no_reflect: bool,
        handle: Handle,
    ) -> io::Result<Self> {
        let keep = Keep {
            messages: history.max_messages.max(MIN_MESSAGES),
            milliseconds: history.max_age.max(MIN_AGE).as_millis(),
            max_bytes: history.max_bytes.saturating_mul(4).max(MIN_STREAM_BYTES),
            bytes: history.max_bytes.max(MIN_BYTES),
        };
        let seeds = urls.iter().map(|url| url.as_str().into_connection_info());
        let seeds = seeds.collect::<Result<_, _>>().map_err(io::Error::other)?;
        // A program has one, and this is the one that the server uses. It may be there already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let running = Link::start(seeds, keep, handle)?;
        let rooms = Rooms::new(running.link.clone());
        let senders = Senders::new(no_reflect);
        let peers = Peers::new(running.link.clone());
        Ok(Self { running, rooms, peers, senders, is_paused: false })
    }

    /// Begins to listen to other processes, and to compare the rooms from time to time.
    pub fn begin(&self, hub: &mut Hub) {
        for channel in [revocations::CHANNEL, peers::CHANNEL] {
            self.link().ask(Job::Follow(channel.into()));
        }
        hub.set_timer(ClientId::SERVER, SHARE, SHARE_INTERVAL);
        hub.set_timer(ClientId::SERVER, CHECK, CHECK_INTERVAL);
    }

    pub fn link(&self) -> &Link {
        &self.running.link
    }

    /// Lets a client that has opened join a room, now or once the room is known here. Returns whether it is
    /// a member now.
    pub fn enter(&mut self, hub: &mut Hub, client: ClientId, room: &str, start: Start) -> bool {
        self.rooms.enter(hub, client, room, start) == Entered::Now
    }

    /// Notes that a client has left.
    pub fn leave(&mut self, client: ClientId) {
        self.rooms.leave(client);
    }

    /// Publishes a message of a member, or of a client that waits to become one.
    pub fn publish(&mut self, hub: &mut Hub, client: ClientId, message: Message<'_>) {
        match self.rooms.publish(hub, &mut self.senders, client, message) {
            Ok(()) => {
                if !self.is_paused && self.link().load() > PAUSE_LOAD {
                    self.is_paused = true;
                    hub.pause_reading();
                }
            }
            Err(Full) => hub.close(client, CloseCode::TRY_AGAIN_LATER, FULL),
        }
    }

    /// Publishes a message of somebody who need not be a member, and returns its number.
    ///
    /// # Errors
    /// The queue is full.
    pub fn publish_for(&mut self, room: &str, message: Message<'_>) -> Result<u64, Full> {
        self.link().publish(channel(room), message, None)
    }

    /// Handles what the threads report.
    pub fn work(&mut self, hub: &mut Hub) -> News {
        let mut news = News::default();
        let mut bytes = 0;
        for _ in 0..MAX_REPORTS {
            let Some(report) = self.link().shared().mailbox.take() else {
                self.resume(hub);
                return news;
            };
            bytes += report.size();
            self.handle(hub, report, &mut news);
            if bytes > MAX_BYTES {
                break;
            }
        }
        hub.set_timer(ClientId::SERVER, REPORTS, Duration::ZERO);
        self.resume(hub);
        news
    }

    fn handle(&mut self, hub: &mut Hub, report: Report, news: &mut News) {
        let Self { running, rooms, peers, senders, .. } = self;
        match report {
            Report::Subscribed(channel) if *channel == *revocations::CHANNEL => {
                running.link.ask_for_revocations();
            }
            Report::Subscribed(channel) if *channel == *peers::CHANNEL => peers.read_again(),
            Report::Subscribed(channel) => rooms.subscribed(&channel),
            Report::Batch(channel, batch) => rooms.receive(hub, senders, &channel, batch),
            Report::Read { channel, ticket, result } => {
                rooms.complete(hub, senders, &channel, (ticket, result));
            }
            Report::Renewed { channel, result } => {
                rooms.renewed(hub, senders, &channel, result);
            }
            Report::Published(published) => {
                let own = |(number, _): &(u64, Published)| senders.has(*number);
                let (own, others): (Vec<_>, Vec<_>) = published.into_iter().partition(own);
                news.published.extend(others);
                own.into_iter().for_each(|(number, published)| {
                    senders.settle(hub, number, &published);
                });
            }
            Report::Notice(channel, payload) if *channel == *revocations::CHANNEL => {
                news.revocations.extend(Revocation::parse(&payload));
            }
            Report::Answers { ticket: revocations::TICKET, answers } => {
                news.revocations.extend(revocations::all(answers));
            }
            Report::Notice(channel, payload) if *channel == *peers::CHANNEL => {
                news.heard.extend(peers.hear(&payload));
            }
            Report::Answers { ticket, answers } => {
                news.heard.extend(peers.answer(ticket, answers));
            }
            Report::Notice(..) => {}
        }
        news.joined.append(&mut rooms.joined);
    }

    fn resume(&mut self, hub: &mut Hub) {
        if self.is_paused && self.link().load() < RESUME_LOAD {
            self.is_paused = false;
            hub.resume_reading();
        }
    }

    /// Reads members again, because the server stops, and what they have sent would be lost.
    pub fn stop(&mut self, hub: &mut Hub) {
        if mem::take(&mut self.is_paused) {
            hub.resume_reading();
        }
    }

    /// Compares the rooms here with those in Redis, and forgets those that have no members.
    pub fn check(&mut self, hub: &mut Hub) {
        self.rooms.check(hub);
        self.peers.beat();
        self.senders.forget_lost();
        hub.set_timer(ClientId::SERVER, CHECK, CHECK_INTERVAL);
    }

    /// Says to other processes what has changed, or everything: `sayings` returns that if it gets true.
    pub fn share(&mut self, hub: &mut Hub, sayings: impl FnOnce(bool) -> Vec<Saying>) {
        if self.peers.is_ready() {
            let sayings = sayings(self.peers.is_new());
            self.peers.share(&sayings);
        }
        hub.set_timer(ClientId::SERVER, SHARE, SHARE_INTERVAL);
    }

    /// Ends the threads.
    pub fn finish(self) {
        self.peers.leave();
        self.running.finish();
    }
}

impl Link {
    /// Publishes a message of somebody who waits for the answer on a thread of their own.
    ///
    /// # Errors
    /// The queue is full.
    pub fn publish_and_answer(
        &self,
        room: &str,
        message: Message<'_>,
    ) -> Result<Receiver<Published>, Full> {
        let (sender, answer) = mpsc::channel();
        self.publish(channel(room), message, Some(sender))?;
        Ok(answer)
    }
}
