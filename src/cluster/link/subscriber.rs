//! A thread that receives what a server of Redis sends on channels.

use std::collections::HashSet;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use redis::{Cmd, Connection, ConnectionInfo, PushKind, RedisResult, Value, cmd, from_redis_value};

use super::backoff::Backoff;
use super::job::Report;
use super::servers::{connect, explain, fault};
use super::shared::Shared;
use super::status::Part;
use crate::cluster::channel::is_room;
use crate::cluster::entry::Batch;

/// The channels of a server, and the thread that receives from them.
#[derive(Debug)]
pub struct Subscriber {
    orders: Arc<Orders>,
}

/// What the thread is to do.
#[derive(Debug, Default)]
struct Orders {
    channels: Mutex<Channels>,
    ended: AtomicBool,
}

#[derive(Debug, Default)]
struct Channels {
    wanted: HashSet<Arc<str>>,
    /// Whether the thread has a connection, and what has changed since it last looked. Without one, it will
    /// look at everything.
    is_connected: bool,
    changes: Vec<(Arc<str>, bool)>,
}

impl Channels {
    fn disconnect(&mut self) {
        self.is_connected = false;
        self.changes = Vec::new();
    }
}

impl Orders {
    fn channels(&self) -> MutexGuard<'_, Channels> {
        // Nothing panics while it is locked.
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber {
    /// Begins to receive from a server.
    ///
    /// # Errors
    /// The system cannot start another thread.
    pub fn start(info: ConnectionInfo, shared: Arc<Shared>) -> std::io::Result<Self> {
        let orders = Arc::new(Orders::default());
        let thread = Thread { info, shared, orders: orders.clone() };
        thread::Builder::new().name("redis-in".to_owned()).spawn(move || thread.run())?;
        Ok(Self { orders })
    }

    /// Receives from a channel, or not any more. The thread looks at this when something is sent on its
    /// own channel.
    pub fn change(&self, channel: &Arc<str>, wanted: bool) {
        let mut channels = self.orders.channels();
        if wanted {
            channels.wanted.insert(channel.clone());
        } else {
            channels.wanted.remove(channel);
        }
        if channels.is_connected {
            channels.changes.push((channel.clone(), wanted));
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        // The thread sees it when it next receives something, or nothing for too long.
        self.orders.ended.store(true, Ordering::Relaxed);
    }
}

struct Thread {
    info: ConnectionInfo,
    shared: Arc<Shared>,
    orders: Arc<Orders>,
}

impl Thread {
    fn run(self) {
        let part = Part::Messages(self.info.addr().to_string());
        let mut backoff = Backoff::default();
        while !self.has_ended() {
            if let Err(error) = self.receive(&part, &mut backoff)
                && !self.has_ended()
            {
                self.shared.status.count(|figures| figures.disconnects += 1);
                self.orders.channels().disconnect();
                let trouble = format!("cannot receive: {}", explain(&error));
                self.shared.status.fail(part.clone(), trouble);
                backoff.wait();
            }
        }
        self.shared.status.forget(&part);
    }

    fn has_ended(&self) -> bool {
        self.orders.ended.load(Ordering::Relaxed) || self.shared.queue.is_ending()
    }

    fn receive(&self, part: &Part, backoff: &mut Backoff) -> RedisResult<()> {
        let mut connection = connect(&self.info)?;
        let mut wanted: Vec<_> = {
            let mut channels = self.orders.channels();
            channels.is_connected = true;
            channels.wanted.iter().cloned().collect()
        };
        self.subscribe(&mut connection, wanted.drain(..).map(|channel| (channel, true)))?;
        // Once this is confirmed, so are the others.
        let wake = self.shared.wake_channel();
        connection.send_packed_command(&cmd("SUBSCRIBE").arg(&wake).get_packed_command())?;
        while !self.has_ended() {
            if self.take(&mut connection)? {
                self.shared.status.recover(part.clone());
                backoff.reset();
            }
        }
        Ok(())
    }

    fn subscribe(
        &self,
        connection: &mut Connection,
        changes: impl Iterator<Item = (Arc<str>, bool)>,
    ) -> RedisResult<()> {
        // One command can only name channels of the same slot.
        let mut commands = Vec::new();
        for (channel, wanted) in changes {
            let name = if wanted { "SSUBSCRIBE" } else { "SUNSUBSCRIBE" };
            let command: &Cmd = &mut cmd(name);
            commands.extend(command.clone().arg(&*channel).get_packed_command());
        }
        if commands.is_empty() { Ok(()) } else { connection.send_packed_command(&commands) }
    }

    /// Waits for something, and handles it. Returns whether it came on the channel of this process.
    fn take(&self, connection: &mut Connection) -> RedisResult<bool> {
        let (kind, mut data) = match connection.recv_response()? {
            Value::Push { kind, data } => (kind, data.into_iter()),
            Value::ServerError(error) => {
                if error.code() == "MOVED" {
                    // It is not said which. The others are followed again with a new connection.
                    self.shared.note_move(None);
                }
                return Err(fault(error.to_string()));
            }
            _ => return Ok(false),
        };
        let channel = data.next().unwrap_or_default();
        match kind {
            PushKind::Subscribe | PushKind::Message => {
                let changes = mem::take(&mut self.orders.channels().changes);
                self.subscribe(connection, changes.into_iter())?;
                return Ok(true);
            }
            PushKind::SSubscribe => {
                self.shared.mailbox.put(Report::Subscribed(name(channel)?));
            }
            PushKind::SUnsubscribe => {
                let channel = name(channel)?;
                if self.orders.channels().wanted.contains(&channel) {
                    self.shared.note_move(Some(channel));
                }
            }
            PushKind::SMessage => {
                if let Value::BulkString(payload) = data.next().unwrap_or_default() {
                    self.deliver(name(channel)?, payload);
                }
            }
            _ => {}
        }
        Ok(false)
    }

    fn deliver(&self, channel: Arc<str>, payload: Vec<u8>) {
        if !is_room(&channel) {
            return self.shared.mailbox.put(Report::Notice(channel, payload));
        }
        match Batch::parse(&payload) {
            Ok(batch) => self.shared.mailbox.put(Report::Batch(channel, batch)),
            Err(error) => self.shared.log_stranger(&channel, error),
        }
    }
}

fn name(channel: Value) -> RedisResult<Arc<str>> {
    let name: String = from_redis_value(channel)?;
    Ok(name.into())
}
