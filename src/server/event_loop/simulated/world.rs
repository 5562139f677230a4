//! Everything outside of the server: peers, and who stops it.

use std::io;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGTERM};

use crate::config::Config;
use crate::protocol::Response;
use crate::server::handle::Handle;
use crate::server::hub::Hub;
use crate::server::system::{self, Faults, Outside, Random};

use super::super::listeners::PAUSE;
use super::link::Link;
use super::peer::Peer;
use super::plan::{Ending, Plan, ROOMS};
use super::record::{App, Record, Shared};
use super::turn::Turn;
use super::{deadlines, log, receiving};

/// How long all is calm before the server is stopped: everything must have arrived then.
const CALM: Duration = Duration::from_secs(4);

/// How soon a connection is accepted, if there are file descriptors: before the pause without any would end.
const PROMPT: Duration = PAUSE.checked_div(2).expect("it is not zero");

/// The number of closures with messages that may wait, which is less than the queue takes.
const MAX_WAITING: usize = 1_000;

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Lively,
    Calm,
    Stopping,
}

pub(super) struct World {
    pub(super) config: Config,
    pub(super) links: Vec<Link>,
    pub(super) record: Shared,
    pub(super) stage: Stage,
    /// When it became calm.
    calm: Duration,
    /// When the server was asked to stop, and when to do so at once.
    pub(super) stopped: Option<Duration>,
    pub(super) hurried: Option<Duration>,
    pub(super) turn: Turn,
    peers: Vec<Peer>,
    pub(super) random: Random,
    span: Duration,
    ending: Ending,
    pauses: bool,
    /// Whether file descriptors are scarce.
    pub(super) is_scarce: bool,
    handle: Option<Handle>,
    /// The number of closures that were sent.
    pub(super) sent: usize,
}

impl World {
    pub(super) fn new(plan: Plan, mut random: Random, record: Shared) -> Self {
        let crowd = plan.crowd;
        let listen = &plan.config.listen;
        let listen: Vec<_> = listen.iter().map(|listen| listen.proxy_protocol).collect();
        let peer = |actor| Peer::new(actor, Random::new(random.next()), &listen, crowd);
        let peers: Vec<_> = (0..plan.peers).map(peer).collect();
        let are_rooms_elsewhere = plan.are_rooms_elsewhere;
        record.lock().expect("nobody has panicked").are_rooms_elsewhere = are_rooms_elsewhere;
        Self {
            config: plan.config,
            links: Vec::new(),
            record,
            stage: Stage::Lively,
            calm: Duration::ZERO,
            stopped: None,
            hurried: None,
            turn: Turn::default(),
            peers,
            random,
            span: plan.span,
            ending: plan.ending,
            pauses: plan.pauses,
            is_scarce: plan.max_descriptors < 100 || plan.faults.lacks > 0,
            handle: None,
            sent: 0,
        }
    }

    /// Begins, with a way into the server.
    pub(super) fn begin(&mut self, handle: Handle) {
        self.handle = Some(handle);
        system::with(|kernel| {
            for actor in 0..=self.peers.len() {
                let delay = Duration::from_micros(kernel.random.within(0..300_000) as u64);
                kernel.schedule(actor, delay);
            }
        });
    }

    pub(super) fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().expect("nobody has panicked")
    }

    /// What others do than peers.
    fn direct(&mut self) {
        let (now, last_stop) = system::with(|kernel| (kernel.elapsed(), kernel.last_stop));
        match self.stage {
            Stage::Lively if now < self.span => self.interfere(),
            Stage::Lively => self.calm_down(now),
            Stage::Calm if now < self.calm.max(last_stop) + CALM => {
                self.answer();
                self.settle(usize::MAX);
            }
            Stage::Calm => self.stop(now),
            Stage::Stopping => self.stop_again(now),
        }
        let most = if self.stage == Stage::Calm { 50_000 } else { 400_000 };
        let delay = Duration::from_micros(self.random.within(100..most) as u64);
        let actor = self.peers.len();
        system::with(|kernel| kernel.schedule(actor, delay));
    }

    fn interfere(&mut self) {
        self.answer();
        self.settle(1);
        match self.random.below(10) {
            0..5 => {
                let room = self.random.pick(&ROOMS);
                let count = if self.random.happens(30) { 300 } else { 1 };
                self.broadcast(room, count);
            }
            5 => system::with(|kernel| kernel.raise(SIGHUP)),
            6 if self.pauses => self.pause(true),
            7..9 if self.pauses => self.pause(false),
            9 => self.replace(),
            _ => {}
        }
    }

    /// Sends short messages to a room from outside, unless many closures wait already.
    pub(super) fn broadcast(&mut self, room: &'static str, count: usize) {
        let waiting = self.sent - self.record().run;
        for _ in 0..count.min(MAX_WAITING.saturating_sub(waiting)) {
            let message = format!("b {}", self.random.next()).into_bytes();
            self.run_app(move |app, hub| app.broadcast(hub, room, &message));
        }
    }

    /// Answers a request that waits.
    fn answer(&mut self) {
        let handle = self.handle.as_ref().expect("it has begun");
        let mut record = self.record.lock().expect("nobody has panicked");
        let most = if self.stage == Stage::Calm { usize::MAX } else { 1 };
        for _ in 0..most.min(record.deferred.len()) {
            let next = self.random.below(record.deferred.len());
            let (deferred, body) = record.deferred.swap_remove(next);
            let answer = handle.answer(deferred, Response::new(200).body(body));
            answer.expect("the queue is not full");
        }
    }

    fn pause(&mut self, pauses: bool) {
        log(format_args!("reading pauses: {pauses}"));
        self.record().was_paused |= pauses;
        self.run(move |hub| if pauses { hub.pause_reading() } else { hub.resume_reading() });
    }

    /// Lets the application do something from outside.
    pub(super) fn run_app(&mut self, act: impl FnOnce(&App, &mut Hub) + Send + 'static) {
        let app = App(Arc::clone(&self.record));
        self.sent += 1;
        self.run(move |hub| {
            app.record().run += 1;
            act(&app, hub);
        });
    }

    fn run(&self, closure: impl FnOnce(&mut Hub) + Send + 'static) {
        let handle = self.handle.as_ref().expect("it has begun");
        handle.run(closure).expect("the queue is not full");
    }

    fn calm_down(&mut self, now: Duration) {
        self.stage = Stage::Calm;
        self.calm = now;
        self.pause(false);
        system::with(|kernel| {
            kernel.faults = Faults::default();
            kernel.max_descriptors = usize::MAX;
        });
    }

    fn stop(&mut self, now: Duration) {
        receiving::check_all(self, now);
        self.stage = Stage::Stopping;
        self.stopped = Some(now);
        let handle = self.handle.as_ref().expect("it has begun");
        match self.ending {
            Ending::Handle => handle.stop(),
            Ending::Signal | Ending::TwoSignals => system::with(|kernel| kernel.raise(SIGTERM)),
            Ending::HandleNow => {
                self.hurried = Some(now);
                handle.stop_now();
            }
        }
    }

    fn stop_again(&mut self, now: Duration) {
        if self.ending == Ending::TwoSignals && self.hurried.is_none() {
            self.hurried = Some(now);
            system::with(|kernel| kernel.raise(SIGTERM));
        }
    }
}

impl Outside for World {
    fn act(&mut self, actor: usize) {
        if actor == self.peers.len() {
            return self.direct();
        }
        let is_calm = self.stage > Stage::Lively;
        let Self { peers, links, record, .. } = self;
        let mut record = record.lock().expect("nobody has panicked");
        peers[actor].act(links, &mut record, is_calm);
    }

    fn waits(&mut self, timeout: Option<Duration>) {
        let now = system::with(|kernel| kernel.elapsed());
        log(format_args!("wait {timeout:?}"));
        self.note_stop();
        self.note_answers();
        self.check_listeners();
        let began_waiting = self.turn.began_waiting;
        let run = self.record().run;
        self.turn.end(now, timeout, run);
        deadlines::check_all(self, now, began_waiting);
    }

    fn woke(&mut self) {
        self.turn.begin(system::with(|kernel| kernel.elapsed()));
    }

    fn accepted(&mut self, connection: usize) {
        let now = self.turn.begun;
        let is_prompt = self.turn.begun < self.links[connection].connected + PROMPT;
        let last_stop = system::with(|kernel| kernel.last_stop);
        let may_be_late = self.is_scarce || now < last_stop + 2 * PROMPT;
        assert!(is_prompt || may_be_late, "{connection} is accepted late");
        let link = &mut self.links[connection];
        log(format_args!("{connection} accepted"));
        (link.is_accepted, link.times.accepted) = (true, now);
        self.turn.note_accept(system::with(|kernel| kernel.elapsed()));
    }

    fn accept_failed(&mut self, error: &io::Error) {
        self.turn.note_failure(error, system::with(|kernel| kernel.elapsed()));
    }

    fn was_read(&mut self, connection: usize, size: usize) {
        self.turn.read += size;
        let now = system::with(|kernel| kernel.elapsed());
        let link = &mut self.links[connection];
        link.read += size as u64;
        assert!(size == 0 || self.is_scarce || link.is_trusted(), "{connection} is read");
        log(format_args!("{connection} {size} bytes read"));
        if size > 0 {
            link.times.read = now;
        }
        if link.read == link.sent {
            link.unread_since = None;
        }
        while let Some(end) = link.ends.pop_front_if(|end| *end <= link.read) {
            (link.has_asked, link.last_end) = (true, end);
            (link.times.active, link.times.pinged) = (self.turn.begun, None);
            link.times.active_by = now;
        }
    }

    fn was_written(&mut self, connection: usize, bytes: &[u8], is_full: bool) {
        self.turn.written += bytes.len();
        self.turn.writes += 1;
        let now = system::with(|kernel| kernel.elapsed());
        if is_full {
            self.links[connection].times.blocked.get_or_insert(self.turn.begun);
        }
        let full = if is_full { ", full" } else { "" };
        log(format_args!("{connection} {} bytes written{full}", bytes.len()));
        let may_be_answered = self.links[connection].may_be_answered() || self.is_scarce;
        assert!(bytes.is_empty() || may_be_answered, "{connection} is answered");
        let units = self.links[connection].tap.take(bytes);
        for written in units {
            log(format_args!("{connection} is sent {:?}", written.unit));
            receiving::check(self, connection, &written.unit, now);
            self.links[connection].inbox.push_back(written);
        }
        self.notice(connection);
    }

    fn was_announced(&mut self, connection: usize, is_writable: bool) {
        log(format_args!("{connection} event, writable: {is_writable}"));
        if is_writable {
            let times = &mut self.links[connection].times;
            if times.blocked.take().is_some() {
                let now = system::with(|kernel| kernel.elapsed());
                (times.active, times.unblocked, times.pinged) = (now, Some(now), None);
                times.active_by = now;
            }
        }
    }

    fn was_ended(&mut self, connection: usize) {
        let now = system::with(|kernel| kernel.elapsed());
        log(format_args!("{connection} server ends its side"));
        self.links[connection].times.ended = Some(now);
        self.notice(connection);
    }

    fn was_closed(&mut self, connection: usize) {
        let now = system::with(|kernel| kernel.elapsed());
        deadlines::check_close(self, connection, now);
        log(format_args!("{connection} server closes"));
        self.links[connection].times.closed = Some(now);
        self.notice(connection);
    }
}

impl World {
    /// Checks that everybody who has come has left, once the server has stopped.
    pub(super) fn check_end(&self) {
        let record = self.record();
        for (client, member) in &record.members {
            assert!(member.departure.is_some(), "{client} has not left");
        }
        let delay = record.shut_down.zip(record.asked_to_stop).map(|(end, begin)| end - begin);
        let delay = delay.expect("the application is asked, and told");
        assert!(self.hurried.is_some() || delay >= self.config.shutdown.delay);
    }

    /// Notes a stop in the turn that ends: the server may have looked at the clock after it.
    fn note_stop(&mut self) {
        let began = self.turn.began_waiting;
        let last_stop = system::with(|kernel| kernel.last_stop);
        if last_stop >= began {
            let times = self.links.iter_mut().map(|link| &mut link.times);
            times
                .filter(|times| times.unblocked >= Some(began))
                .for_each(|times| times.active_by = last_stop);
        }
    }

    /// Notes at the end of a turn who has been heard to close: only the frame that has begun may come before the
    /// answer.
    fn note_answers(&mut self) {
        for link in self.links.iter_mut().filter(|link| link.has_read_close()) {
            let begun = usize::from(link.tap.is_within());
            link.units_before_close.get_or_insert(begun);
        }
    }

    /// Checks that no listener stays open when the application has heard of the shutdown.
    fn check_listeners(&self) {
        let is_shut_down = self.record().shut_down.is_some();
        let is_listening = system::with(|kernel| kernel.is_listening());
        assert!(!(is_shut_down && is_listening), "a listener stays open");
    }

    fn notice(&mut self, connection: usize) {
        let mut peers = self.peers.iter_mut();
        if let Some(peer) = peers.find(|peer| peer.connection == Some(connection)) {
            peer.notice();
        }
    }
}
