//! The simulated system: its sockets, its clock, and what goes wrong.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mio::Token;

use super::connection::Connection;
use super::random::Random;
use crate::server::time::MAX_TURN;
use crate::server::time::wheel::GRAIN;

/// The errors of a process, and of a system, without file descriptors.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;

/// The server notices a stop that is not shorter.
const SHORT_STOP: Duration = MAX_TURN.saturating_add(GRAIN);

/// The time of day at the start.
const DAY: Duration = Duration::from_secs(1_700_000_000);

/// What goes wrong, and how often in a thousand calls.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    /// A signal interrupts a call.
    pub(crate) interrupted: u32,
    /// A write takes only a part, for lack of memory.
    pub(crate) short_writes: u32,
    /// The whole system lacks file descriptors.
    pub(crate) lacks: u32,
    /// A connection is gone when it is accepted.
    pub(crate) aborted: u32,
    /// The poll reports a socket about which there is no news.
    pub(crate) spurious: u32,
    /// The process is stopped for some seconds.
    pub(crate) stops: u32,
    /// The machine sleeps for some seconds, peers included.
    pub(crate) sleeps: u32,
    /// The time of day is set.
    pub(crate) steps: u32,
    /// The poll returns without events.
    pub(crate) idle_polls: u32,
}

/// Everything outside of the server, which acts while the server runs.
pub(crate) trait Outside {
    /// The time of an actor has come.
    fn act(&mut self, actor: usize);
    /// The event loop is about to wait for at most this time.
    fn waits(&mut self, timeout: Option<Duration>);
    /// The wait is over.
    fn woke(&mut self);
    fn accepted(&mut self, connection: usize);
    fn accept_failed(&mut self, error: &io::Error);
    fn was_read(&mut self, connection: usize, size: usize);
    fn was_written(&mut self, connection: usize, bytes: &[u8], is_full: bool);
    fn was_announced(&mut self, connection: usize, is_writable: bool);
    fn was_ended(&mut self, connection: usize);
    fn was_closed(&mut self, connection: usize);
}

/// What an entry of the agenda is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Item {
    Actor(usize),
    /// There is memory for writes of this connection again.
    Space(usize),
}

/// What the poll can report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Waker,
    Signals,
    Listener(usize),
    Connection(usize),
}

#[derive(Debug)]
pub(super) struct Listening {
    pub(super) address: SocketAddr,
    pub(super) token: Option<Token>,
    pub(super) backlog: VecDeque<usize>,
    pub(super) is_listed: bool,
    pub(super) is_open: bool,
}

#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) random: Random,
    pub(crate) faults: Faults,
    /// The most file descriptors that there may be, and how many there are.
    pub(crate) max_descriptors: usize,
    descriptors: usize,
    start: Instant,
    pub(super) elapsed: Duration,
    /// The sum of the steps of the time of day.
    day: Duration,
    /// When the process last went on after a stop, or will.
    pub(crate) last_stop: Duration,
    /// When the last stop ended that the server may not have noticed, because it was short.
    pub(crate) last_short_stop: Duration,
    pub(super) was_stopped: bool,
    pub(super) agenda: BinaryHeap<Reverse<(Duration, u64, Item)>>,
    scheduled: u64,
    pub(super) listeners: Vec<Listening>,
    pub(super) connections: Vec<Connection>,
    pub(super) list: VecDeque<Source>,
    pub(super) waker: Option<Token>,
    pub(super) signals: (Option<Token>, Vec<i32>),
    /// A hash of everything that has happened.
    pub(crate) trace: u64,
    /// The number of calls, except polls.
    pub(crate) calls: u64,
}

thread_local! {
    static KERNEL: RefCell<Option<Kernel>> = const { RefCell::new(None) };
    static OUTSIDE: RefCell<Option<Rc<RefCell<dyn Outside>>>> = const { RefCell::new(None) };
    static IS_INSTALLED: Cell<bool> = const { Cell::new(false) };
}

/// Installs a simulated system on this thread.
pub(crate) fn install(kernel: Kernel, outside: Option<Rc<RefCell<dyn Outside>>>) {
    KERNEL.set(Some(kernel));
    OUTSIDE.set(outside);
    IS_INSTALLED.set(true);
}

/// Removes the simulated system.
pub(crate) fn uninstall() -> Option<Kernel> {
    IS_INSTALLED.set(false);
    OUTSIDE.set(None);
    KERNEL.take()
}

pub(crate) fn is_installed() -> bool {
    IS_INSTALLED.get()
}

/// Whether it counts what happens to the simulated system, which it does not when a test has failed.
pub(super) fn is_in_use() -> bool {
    is_installed() && !std::thread::panicking()
}

/// Gives access to the simulated system.
pub(crate) fn with<T>(use_it: impl FnOnce(&mut Kernel) -> T) -> T {
    KERNEL.with_borrow_mut(|kernel| use_it(kernel.as_mut().expect("a system is installed")))
}

/// Tells those outside what the server does.
pub(super) fn tell(what: impl FnOnce(&mut dyn Outside)) {
    let outside = OUTSIDE.with_borrow(Clone::clone);
    if let Some(outside) = outside {
        what(&mut *outside.borrow_mut());
    }
}

/// Reads the clock, before which the process may be stopped.
pub(super) fn read_clock() -> Instant {
    may_pause();
    act();
    with(|kernel| kernel.read_clock())
}

/// Lets the time of a call pass, in which others act.
pub(crate) fn pass() {
    with(|kernel| {
        kernel.calls += 1;
        let cost = Duration::from_nanos(kernel.random.within(300..3_000) as u64);
        kernel.elapsed += cost;
    });
    may_pause();
    act();
}

/// Stops the process, lets the machine sleep, or sets the time of day, if the seed wants that.
fn may_pause() {
    let Some(length) = with(Kernel::take_pause) else { return };
    let end = with(|kernel| kernel.stop_for(length));
    // Others act while the process is stopped.
    while with(|kernel| kernel.skip_to_next(end)) {
        act();
    }
    with(|kernel| kernel.elapsed = kernel.elapsed.max(end));
}

/// Lets all act whose time has come.
pub(super) fn act() {
    while let Some(item) = with(Kernel::take_due) {
        match item {
            Item::Actor(actor) => tell(|outside| outside.act(actor)),
            Item::Space(connection) => with(|kernel| kernel.note_space(connection)),
        }
    }
}

impl Kernel {
    pub(crate) fn new(seed: u64, faults: Faults, max_descriptors: usize) -> Self {
        Self {
            random: Random::new(seed),
            faults,
            max_descriptors,
            descriptors: 0,
            start: Instant::now(),
            elapsed: Duration::ZERO,
            day: DAY,
            last_stop: Duration::ZERO,
            last_short_stop: Duration::ZERO,
            was_stopped: false,
            agenda: BinaryHeap::new(),
            scheduled: 0,
            listeners: Vec::new(),
            connections: Vec::new(),
            list: VecDeque::new(),
            waker: None,
            signals: (None, Vec::new()),
            trace: 0,
            calls: 0,
        }
    }

    /// The time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.elapsed
    }

    fn read_clock(&mut self) -> Instant {
        self.elapsed += Duration::from_nanos(50);
        self.start + self.elapsed
    }

    pub(super) fn wall_clock(&self) -> SystemTime {
        UNIX_EPOCH + self.day + self.elapsed
    }

    /// Mixes something that has happened into the hash of all.
    pub(crate) fn note(&mut self, what: u64) {
        let time = self.elapsed.as_nanos() as u64;
        self.trace = (self.trace.rotate_left(5) ^ what ^ time.rotate_left(32))
            .wrapping_mul(0x0100_0000_01b3);
    }

    /// Makes an actor act after this time.
    pub(crate) fn schedule(&mut self, actor: usize, delay: Duration) {
        self.put(Item::Actor(actor), delay);
    }

    fn put(&mut self, item: Item, delay: Duration) {
        self.scheduled += 1;
        self.agenda.push(Reverse((self.elapsed + delay, self.scheduled, item)));
    }

    fn take_due(&mut self) -> Option<Item> {
        let Reverse((at, ..)) = self.agenda.peek()?;
        let is_due = *at <= self.elapsed;
        is_due.then(|| self.agenda.pop().map(|Reverse((_, _, item))| item))?
    }

    /// Decides whether the process is stopped now, and for how long. If the machine sleeps, nobody acts in
    /// that time.
    fn take_pause(&mut self) -> Option<Duration> {
        let most = self.random.pick(&[1_000, 9_000]);
        let length = Duration::from_millis(self.random.within(1..most) as u64);
        // These are rare: calls are many.
        let stops = self.random.happens(50) && self.random.happens(self.faults.stops);
        let sleeps = self.random.happens(50) && self.random.happens(self.faults.sleeps);
        if self.random.happens(50) && self.random.happens(self.faults.steps) {
            self.day = Duration::from_secs(self.random.next() >> 30);
        }
        if sleeps {
            let agenda = std::mem::take(&mut self.agenda);
            let later = |Reverse((at, order, item))| Reverse((at + length, order, item));
            self.agenda = agenda.into_iter().map(later).collect();
        }
        (stops || sleeps).then_some(length)
    }

    /// Begins a stop, and returns its end.
    fn stop_for(&mut self, length: Duration) -> Duration {
        self.was_stopped = true;
        self.last_stop = self.elapsed + length;
        if length < SHORT_STOP {
            self.last_short_stop = self.last_stop;
        }
        self.last_stop
    }

    /// Lets the time pass until somebody acts, unless that is after the end.
    fn skip_to_next(&mut self, end: Duration) -> bool {
        let next = self.agenda.peek().map(|Reverse((at, ..))| *at).filter(|at| *at <= end);
        self.elapsed = self.elapsed.max(next.unwrap_or_default());
        next.is_some()
    }

    pub(super) fn interrupts(&mut self) -> io::Result<()> {
        if self.random.happens(self.faults.interrupted) {
            return Err(ErrorKind::Interrupted.into());
        }
        Ok(())
    }

    pub(super) fn take_descriptor(&mut self) -> io::Result<()> {
        if self.random.happens(self.faults.lacks) {
            return Err(io::Error::from_raw_os_error(ENFILE));
        }
        if self.descriptors >= self.max_descriptors {
            return Err(io::Error::from_raw_os_error(EMFILE));
        }
        self.descriptors += 1;
        Ok(())
    }

    /// Takes a file descriptor of which there is always one.
    pub(super) fn take_first_descriptor(&mut self) {
        self.descriptors += 1;
    }

    pub(super) fn free_descriptor(&mut self) {
        self.descriptors -= 1;
    }

    /// The number of file descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        self.descriptors
    }

    /// Whether any listener is open.
    pub(crate) fn is_listening(&self) -> bool {
        self.listeners.iter().any(|listening| listening.is_open)
    }

    /// The number of connections that wait to be accepted.
    pub(crate) fn waiting(&self) -> usize {
        self.listeners.iter().map(|listening| listening.backlog.len()).sum()
    }

    /// Puts a source into the list of the poll.
    pub(super) fn list(&mut self, source: Source) {
        let is_listed = match source {
            Source::Listener(id) => &mut self.listeners[id].is_listed,
            Source::Connection(id) => &mut self.connections[id].is_listed,
            Source::Waker | Source::Signals if self.list.contains(&source) => return,
            Source::Waker | Source::Signals => &mut false,
        };
        if !std::mem::replace(is_listed, true) {
            self.list.push_back(source);
        }
    }

    pub(super) fn list_connection(&mut self, id: usize) {
        if self.connections[id].token.is_some() {
            self.list(Source::Connection(id));
        }
    }

    pub(super) fn note_space(&mut self, id: usize) {
        if self.connections[id].take_space() {
            self.list_connection(id);
        }
    }

    /// Notes that a write took less than it could have, for lack of memory.
    pub(super) fn lack_memory(&mut self, id: usize) {
        let delay = Duration::from_micros(self.random.within(1..20_000) as u64);
        self.put(Item::Space(id), delay);
    }

    /// A signal arrives.
    pub(crate) fn raise(&mut self, signal: i32) {
        self.signals.1.push(signal);
        self.list(Source::Signals);
    }
}
