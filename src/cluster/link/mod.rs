//! The threads that talk to Redis, and the queues between them and the event loop.

mod backlog;
mod backoff;
mod commander;
pub mod job;
mod mailbox;
mod queue;
mod reads;
mod script;
mod servers;
mod shared;
mod status;
mod subscriber;
mod warnings;
mod work;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use log::warn;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use redis::ConnectionInfo;
use townhall::{Handle, Message};

use super::entry::Kind;
use commander::Commander;
use job::{Job, Publication, Published};
use servers::Servers;
use shared::Shared;

pub use mailbox::REPORTS;
pub use queue::Full;
pub use script::Keep;

/// How long the server waits at its end for messages that were not published.
const MAX_FAREWELL: Duration = Duration::from_secs(3);

/// The way to Redis, from any thread.
#[derive(Debug, Clone)]
pub struct Link(Arc<Shared>);

impl Link {
    /// Starts the threads.
    ///
    /// # Errors
    /// The system cannot start another thread.
    pub fn start(seeds: Vec<ConnectionInfo>, keep: Keep, handle: Handle) -> io::Result<Running> {
        let shared = Arc::new(Shared::new(keep, handle));
        let commander = Commander::new(Servers::new(seeds), shared.clone());
        let builder = thread::Builder::new().name("redis-out".to_owned());
        let (ended, end) = channel::<()>();
        builder.spawn(move || {
            commander.run();
            drop(ended);
        })?;
        Ok(Running { link: Self(shared), end })
    }

    pub fn shared(&self) -> &Shared {
        &self.0
    }

    /// Queues a message of a room, and returns its number. The answer goes to the event loop, or else to the
    /// sender.
    ///
    /// # Errors
    /// The queue is full.
    pub fn publish(
        &self,
        channel: Arc<str>,
        message: Message<'_>,
        answer: Option<Sender<Published>>,
    ) -> Result<u64, Full> {
        self.0.queue.publish(|number| Publication {
            channel,
            number,
            kind: Kind::of(&message),
            payload: message.payload().into(),
            answer,
        })
    }

    /// How full the queue is, from 0 to 1.
    pub fn load(&self) -> f64 {
        self.0.load()
    }

    /// Why clients should not be sent to this process, if Redis has been away for some time.
    pub fn fault(&self) -> Option<String> {
        self.0.status.fault()
    }

    /// Whether Redis has answered nothing for some time.
    pub fn is_away(&self) -> bool {
        self.0.status.is_away()
    }

    /// Adds the metrics to a registry.
    pub fn register(&self, registry: &mut Registry) {
        let (messages, bytes) = self.0.queue.load();
        let (messages, bytes) = (messages as u64, bytes as u64);
        let help = "Messages that were not published yet";
        registry.register("queued_messages", help, ConstGauge::new(messages));
        let help = "Memory for messages that were not published yet";
        registry.register("queued_bytes", help, ConstGauge::new(bytes));
        self.0.status.register(registry);
    }

    /// Asks for something.
    pub fn ask(&self, job: Job) {
        self.0.queue.put(job);
    }
}

/// The threads.
#[derive(Debug)]
pub struct Running {
    pub link: Link,
    /// Ends with the thread that publishes.
    end: Receiver<()>,
}

impl Running {
    /// Ends the threads once everything is published, or after a while.
    pub fn finish(self) {
        let shared = self.link.shared();
        shared.mailbox.close();
        shared.queue.end(Instant::now() + MAX_FAREWELL);
        // Nothing is ever sent. The error says that the thread has ended, or has not.
        let _ = self.end.recv_timeout(MAX_FAREWELL);
        let (left, _) = shared.queue.load();
        if left > 0 {
            warn!("Redis: {left} messages were not published");
        }
    }
}
