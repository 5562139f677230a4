//! The poll: the system's, or the simulated one, which is edge-triggered like epoll.

use std::io::{self, ErrorKind};
use std::time::Duration;

use mio::event::Source as MioSource;
use mio::{Interest, Registry, Token};

use super::state::{self, Kernel, Source};

/// The poll of the system. What is simulated is not registered there.
#[derive(Debug)]
pub(crate) struct Poll(mio::Poll);

impl Poll {
    pub(crate) fn new() -> io::Result<Self> {
        mio::Poll::new().map(Self)
    }

    pub(crate) fn registry(&self) -> &Registry {
        self.0.registry()
    }

    pub(crate) fn poll(
        &mut self,
        events: &mut Events,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        events.list.clear();
        if state::is_installed() {
            return wait(events, timeout);
        }
        self.0.poll(&mut events.system, timeout)?;
        events.list.extend(events.system.iter().map(Readiness::of));
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct Events {
    system: mio::Events,
    list: Vec<Readiness>,
    capacity: usize,
}

impl Events {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { system: mio::Events::with_capacity(capacity), list: Vec::new(), capacity }
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Readiness> {
        self.list.iter()
    }
}

impl<'e> IntoIterator for &'e Events {
    type Item = &'e Readiness;
    type IntoIter = std::slice::Iter<'e, Readiness>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// An event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Readiness {
    token: Token,
    readable: bool,
    writable: bool,
    read_closed: bool,
    error: bool,
    priority: bool,
}

impl Readiness {
    fn of(event: &mio::event::Event) -> Self {
        Self {
            token: event.token(),
            readable: event.is_readable(),
            writable: event.is_writable(),
            read_closed: event.is_read_closed(),
            error: event.is_error(),
            priority: event.is_priority(),
        }
    }

    /// The event of a source that has only something to read.
    fn readable(token: Token) -> Self {
        let (writable, read_closed, error, priority) = Default::default();
        Self { token, readable: true, writable, read_closed, error, priority }
    }

    pub(crate) fn token(&self) -> Token {
        self.token
    }

    pub(crate) fn is_readable(&self) -> bool {
        self.readable
    }

    pub(crate) fn is_writable(&self) -> bool {
        self.writable
    }

    pub(crate) fn is_read_closed(&self) -> bool {
        self.read_closed
    }

    pub(crate) fn is_error(&self) -> bool {
        self.error
    }

    pub(crate) fn is_priority(&self) -> bool {
        self.priority
    }
}

/// Waits for events of the simulated system, while others act.
fn wait(events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
    state::tell(|outside| outside.waits(timeout));
    state::pass();
    let timeout = timeout.map(whole_milliseconds);
    let until = state::with(|kernel| timeout.map(|timeout| kernel.elapsed() + timeout));
    loop {
        state::act();
        let is_over = state::with(|kernel| {
            if std::mem::take(&mut kernel.was_stopped) {
                // A stop ends the wait without events.
                return Err(ErrorKind::Interrupted.into());
            }
            kernel.interrupts()?;
            kernel.take_events(events);
            let is_idle = kernel.random.happens(kernel.faults.idle_polls);
            let is_late = until.is_some_and(|until| until <= kernel.elapsed());
            Ok::<_, io::Error>(!events.list.is_empty() || is_idle || is_late)
        })?;
        for event in &*events {
            announce(event);
        }
        if is_over {
            state::tell(|outside| outside.woke());
            return Ok(());
        }
        state::with(|kernel| kernel.sleep(until));
    }
}

/// The system waits for whole milliseconds.
fn whole_milliseconds(timeout: Duration) -> Duration {
    Duration::from_millis(timeout.as_nanos().div_ceil(1_000_000) as u64)
}

fn announce(event: &Readiness) {
    let of = |kernel: &mut Kernel| {
        let mut connections = kernel.connections.iter();
        connections.position(|connection| connection.token == Some(event.token))
    };
    if let Some(id) = state::with(of) {
        state::tell(|outside| outside.was_announced(id, event.writable));
    }
}

impl Kernel {
    /// Lets time pass until something happens, or until the end of the wait.
    fn sleep(&mut self, until: Option<Duration>) {
        let next = self.agenda.peek().map(|std::cmp::Reverse((at, ..))| *at);
        let next = [next, until].into_iter().flatten().min();
        let next = next.expect("the server waits for something that never happens");
        let late = Duration::from_micros(self.random.below(50) as u64);
        self.elapsed = self.elapsed.max(next) + late;
    }

    fn take_events(&mut self, events: &mut Events) {
        self.list_without_news();
        while events.list.len() < events.capacity
            && let Some(source) = self.list.pop_front()
        {
            events.list.extend(self.event(source));
        }
        for event in &events.list {
            self.note(event.token.0 as u64);
        }
    }

    /// Lists a connection about which there may be no news, if the seed wants that.
    fn list_without_news(&mut self) {
        if self.random.happens(self.faults.spurious) && !self.connections.is_empty() {
            let id = self.random.below(self.connections.len());
            self.list_connection(id);
        }
    }

    /// The state of a source, unless there is nothing to say.
    fn event(&mut self, source: Source) -> Option<Readiness> {
        let id = match source {
            Source::Waker => return self.waker.map(Readiness::readable),
            Source::Signals => return self.signals.0.map(Readiness::readable),
            Source::Listener(id) => {
                self.listeners[id].is_listed = false;
                return self.listeners[id].token.map(Readiness::readable);
            }
            Source::Connection(id) => id,
        };
        let seems_readable = self.random.happens(self.faults.spurious);
        let connection = &mut self.connections[id];
        connection.is_listed = false;
        let interests = connection.interests?;
        let is_urgent = connection.has_urgent() && interests.is_priority();
        let is_readable = connection.is_readable() || seems_readable;
        let event = Readiness {
            token: connection.token?,
            readable: is_readable && interests.is_readable() || is_urgent,
            writable: connection.is_writable() && interests.is_writable(),
            read_closed: connection.is_read_closed() && interests.is_readable(),
            error: connection.is_reset(),
            priority: is_urgent,
        };
        (event.readable || event.writable).then_some(event)
    }
}

/// Wakes the poll from other threads.
#[derive(Debug)]
pub(crate) enum Waker {
    System(mio::Waker),
    Simulated,
}

impl Waker {
    pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        if state::is_installed() {
            state::with(|kernel| kernel.waker = Some(token));
            Ok(Self::Simulated)
        } else {
            mio::Waker::new(registry, token).map(Self::System)
        }
    }

    pub(crate) fn wake(&self) -> io::Result<()> {
        match self {
            Self::System(waker) => return waker.wake(),
            Self::Simulated if state::is_installed() => {
                state::with(|kernel| kernel.list(Source::Waker));
            }
            Self::Simulated => {}
        }
        Ok(())
    }
}

/// The signals of the simulated system. Tests of the library get no others.
#[derive(Debug)]
pub(crate) struct Signals(());

impl Signals {
    pub(crate) fn new(_: [i32; 3]) -> io::Result<Self> {
        Ok(Self(()))
    }

    pub(crate) fn pending(&mut self) -> Vec<i32> {
        state::with(|kernel| std::mem::take(&mut kernel.signals.1))
    }
}

impl MioSource for Signals {
    fn register(&mut self, _: &Registry, token: Token, _: Interest) -> io::Result<()> {
        state::with(|kernel| kernel.signals.0 = Some(token));
        Ok(())
    }

    fn reregister(&mut self, registry: &Registry, token: Token, to: Interest) -> io::Result<()> {
        self.register(registry, token, to)
    }

    fn deregister(&mut self, _: &Registry) -> io::Result<()> {
        state::with(|kernel| kernel.signals.0 = None);
        Ok(())
    }
}
