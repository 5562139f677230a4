//! Commands from other threads to a running server, in a bounded queue.

mod command;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use log::warn;

use crate::protocol::{CloseCode, Message, Response};
use crate::server::client_id::ClientId;
use crate::server::event::Deferred;
use crate::server::hub::Hub;
use crate::server::system::Waker;
use command::{Action, Closure, Command, OwnedMessage};

/// The maximum number of queued commands, over all handles of a server.
const MAX_COMMANDS: usize = 4096;

/// The maximum size in bytes of the queued commands, unless one command alone is larger.
const MAX_BYTES: usize = 64 << 20;

/// The maximum number of commands that one turn of the event loop runs. Tests queue more than that.
const MAX_COMMANDS_PER_TURN: usize = if cfg!(test) { 16 } else { 256 };

/// Controls a running server from other threads. It can be cloned and sent, and may outlive the server.
///
/// Each call queues a command, wakes the event loop and returns at once, without waiting. The server
/// runs the commands on its own thread, up to 256 in a turn, after it has read what clients sent. It
/// runs the commands of one handle in the order of the calls.
///
/// The queue is shared by all handles of a server. It holds at most 4,096 commands and 64 MiB, or a
/// single command that is larger. When it is full, a call fails with [`HandleError::Full`] and has no
/// effect. Commands that are queued before [`Server::run`](crate::Server::run) take effect when it
/// begins, and commands still take effect during a [graceful shutdown](Self::stop). Commands that are
/// queued when the server ends are dropped, and later calls fail with [`HandleError::Closed`].
///
/// ```
/// use std::thread;
/// use townhall::{Config, Server};
///
/// let mut config = Config::default();
/// config.listen = vec!["127.0.0.1:0".parse()?];
/// let server = Server::bind(config)?;
/// let handle = server.handle();
/// let publisher = thread::spawn(move || {
///     handle.broadcast("/news", "hello from another thread")?;
///     handle.stop();
///     Ok::<(), townhall::HandleError>(())
/// });
/// server.run(|_, _, _| {})?;
/// publisher.join().unwrap()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Handle {
    sender: Sender<Command>,
    shared: Arc<Shared>,
}

impl Handle {
    /// Sends a message to every member of a room, as [`Hub::broadcast`] does.
    ///
    /// # Errors
    /// The queue is full, or the server has ended.
    pub fn broadcast<'m>(
        &self,
        room: &str,
        message: impl Into<Message<'m>>,
    ) -> Result<(), HandleError> {
        let message = OwnedMessage::from(message.into());
        let size = room.len() + message.as_message().payload().len();
        self.queue(size, || Action::Broadcast(room.into(), message))
    }

    /// Sends a message to one client, as [`Hub::send`] does.
    ///
    /// ```
    /// use std::sync::mpsc::Receiver;
    /// use townhall::{ClientId, CloseCode, Handle, HandleError};
    ///
    /// /// Does slow work on its own thread.
    /// fn work(jobs: Receiver<(ClientId, String)>, handle: Handle) -> Result<(), HandleError> {
    ///     for (client, job) in jobs {
    ///         if job.is_empty() {
    ///             handle.close(client, CloseCode::POLICY_VIOLATION, "nothing to do")?;
    ///         } else {
    ///             handle.send(client, &job.to_uppercase())?;
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// # let _ = work;
    /// ```
    ///
    /// # Errors
    /// The queue is full, or the server has ended.
    pub fn send<'m>(
        &self,
        client: ClientId,
        message: impl Into<Message<'m>>,
    ) -> Result<(), HandleError> {
        let message = message.into();
        self.queue(message.payload().len(), || Action::Send(client, message.into()))
    }

    /// Closes the connection to a client, as [`Hub::close`] does.
    ///
    /// # Errors
    /// The queue is full, or the server has ended.
    pub fn close(
        &self,
        client: ClientId,
        code: CloseCode,
        reason: &str,
    ) -> Result<(), HandleError> {
        self.queue(reason.len(), || Action::Close(client, code, reason.into()))
    }

    /// Answers a request that the application has deferred, as [`Hub::answer`] does.
    /// [`Exchange::defer`](crate::Exchange::defer) has an example.
    ///
    /// # Errors
    /// The queue is full, or the server has ended. The client then gets 503 after a while.
    pub fn answer(&self, deferred: Deferred, response: Response) -> Result<(), HandleError> {
        self.queue(response.body_bytes().len(), || Action::Answer(deferred, response))
    }

    /// Runs a closure on the server's thread, with access to the hub. The event loop waits for it, so it
    /// must not block. If it panics, the server's thread panics, as with the application. A channel can
    /// return results:
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use std::thread;
    /// use townhall::{Config, Server};
    ///
    /// let mut config = Config::default();
    /// config.listen = vec!["127.0.0.1:0".parse()?];
    /// let server = Server::bind(config)?;
    /// let handle = server.handle();
    /// let running = thread::spawn(move || server.run(|_, _, _| {}));
    ///
    /// let (sender, receiver) = mpsc::channel();
    /// handle.run(move |hub| {
    ///     // This fails if the receiver has been dropped.
    ///     let _ = sender.send(hub.client_count());
    /// })?;
    /// assert_eq!(receiver.recv()?, 0);
    ///
    /// handle.stop();
    /// running.join().unwrap()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The queue is full, or the server has ended. The closure is then dropped without a call.
    pub fn run<F>(&self, closure: F) -> Result<(), HandleError>
    where
        F: FnOnce(&mut Hub) + Send + 'static,
    {
        self.queue(size_of::<F>(), || Action::Run(Closure(Box::new(closure))))
    }

    /// Shuts the server down gracefully, after the commands that were queued earlier: it closes every
    /// connection, and gives clients time to disconnect, as set in
    /// [`Config::shutdown`](crate::Config::shutdown). Further calls have no effect.
    pub fn stop(&self) {
        if !self.shared.stopping.swap(true, Ordering::AcqRel) {
            // It is queued even if the queue is full. If the send fails, the server has ended.
            let command = Command { size: 0, action: Action::Stop };
            self.shared.count.fetch_add(1, Ordering::Relaxed);
            if self.sender.send(command).is_ok() {
                self.shared.wake();
            }
        }
    }

    /// Ends the server at once: it drops the queued commands, and the connections after one attempt to
    /// write what is queued for them.
    ///
    /// ```
    /// use std::thread;
    /// use std::time::Duration;
    /// use townhall::Handle;
    ///
    /// /// Closes all connections, and drops those that are still there after a second.
    /// fn shut_down(handle: &Handle) {
    ///     handle.stop();
    ///     thread::sleep(Duration::from_secs(1));
    ///     handle.stop_now();
    /// }
    /// # let _ = shut_down;
    /// ```
    pub fn stop_now(&self) {
        self.shared.stopping_now.store(true, Ordering::Relaxed);
        self.shared.wake();
    }

    fn queue(&self, size: usize, action: impl FnOnce() -> Action) -> Result<(), HandleError> {
        let size = size.saturating_add(size_of::<Command>());
        self.shared.reserve(size)?;
        if self.sender.send(Command { size, action: action() }).is_err() {
            self.shared.release(size);
            return Err(HandleError::Closed);
        }
        self.shared.wake();
        Ok(())
    }
}

/// The reason why a [`Handle`] could not queue a command. The thread in `examples/publish.rs` continues
/// when the queue is full, and ends with the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandleError {
    /// The queue is full. The command may be tried again later.
    Full,
    /// The server has ended.
    Closed,
}

impl fmt::Display for HandleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the server's command queue is full",
            Self::Closed => "the server has ended",
        })
    }
}

impl std::error::Error for HandleError {}

/// The state that the handles and the event loop share.
#[derive(Debug)]
struct Shared {
    waker: Waker,
    /// Whether the event loop has been woken and has not begun to look at the queue since.
    woken: AtomicBool,
    stopping: AtomicBool,
    stopping_now: AtomicBool,
    /// The number of queued commands, and their size in bytes.
    count: AtomicUsize,
    bytes: AtomicUsize,
}

impl Shared {
    /// Reserves capacity for a command of `size` bytes.
    fn reserve(&self, size: usize) -> Result<(), HandleError> {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let bytes = self.bytes.fetch_add(size, Ordering::Relaxed);
        if count >= MAX_COMMANDS || (count > 0 && bytes.saturating_add(size) > MAX_BYTES) {
            self.release(size);
            return Err(HandleError::Full);
        }
        Ok(())
    }

    fn release(&self, size: usize) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(size, Ordering::Relaxed);
    }

    /// Wakes the event loop, once for all commands that are queued before it looks at the queue.
    fn wake(&self) {
        if !self.woken.swap(true, Ordering::AcqRel)
            && let Err(error) = self.waker.wake()
        {
            warn!("cannot wake the event loop: {error}");
        }
    }
}

/// How the handles asked the server to stop, from less to more urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stop {
    /// Not at all.
    No,
    /// Gracefully.
    Gracefully,
    /// At once.
    Now,
}

/// The event loop's end of the queue.
#[derive(Debug)]
pub(crate) struct Commands {
    receiver: Receiver<Command>,
    handle: Handle,
    /// Whether there may be commands in the queue.
    ready: bool,
    stop: Stop,
}

impl Commands {
    pub(crate) fn new(waker: Waker) -> Self {
        let (sender, receiver) = channel();
        let shared = Arc::new(Shared {
            waker,
            woken: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            stopping_now: AtomicBool::new(false),
            count: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
        });
        Self { receiver, handle: Handle { sender, shared }, ready: false, stop: Stop::No }
    }

    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Notes that a handle has woken the event loop.
    pub(crate) fn note_wake(&mut self) {
        // Commands that are queued after this wake the event loop again.
        self.handle.shared.woken.swap(false, Ordering::AcqRel);
        self.ready = true;
    }

    /// Notes a signal to stop. The second one means to stop at once.
    pub(crate) fn note_signal(&mut self) {
        self.stop = if self.stop == Stop::No { Stop::Gracefully } else { Stop::Now };
    }

    /// Whether and how the server was asked to stop.
    pub(crate) fn stop(&self) -> Stop {
        let now = self.handle.shared.stopping_now.load(Ordering::Relaxed);
        if now { Stop::Now } else { self.stop }
    }

    /// Whether commands are left for the next turn.
    pub(crate) fn are_waiting(&self) -> bool {
        self.ready
    }

    /// Runs the commands of one turn, up to the maximum number, or until more than `max_growth` bytes
    /// are queued for clients.
    pub(crate) fn run(&mut self, hub: &mut Hub, max_growth: usize) {
        for _ in 0..MAX_COMMANDS_PER_TURN {
            if self.stop() == Stop::Now || hub.pending.grown > max_growth {
                return;
            }
            let Ok(command) = self.receiver.try_recv() else {
                self.ready = false;
                return;
            };
            self.handle.shared.release(command.size);
            self.perform(command.action, hub);
        }
    }

    fn perform(&mut self, action: Action, hub: &mut Hub) {
        match action {
            Action::Broadcast(room, message) => hub.broadcast(&room, message.as_message()),
            Action::Send(client, message) => hub.send(client, message.as_message()),
            Action::Close(client, code, reason) => hub.close(client, code, &reason),
            Action::Answer(deferred, response) => _ = hub.answer(deferred, &response),
            Action::Run(Closure(closure)) => closure(hub),
            Action::Stop => self.stop = self.stop.max(Stop::Gracefully),
        }
    }
}
