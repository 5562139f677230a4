//! What stands in for shared rooms in a program that was built without the feature `redis`: there are none.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use prometheus_client::registry::Registry;
use townhall::{ClientId, Handle, HistoryLimits, Hub, Message, Position, Start};

use crate::auth::Identity;
use crate::flags::RedisUrl;

/// The tokens of timers that are never set.
pub const REPORTS: u64 = 7;
pub const CHECK: u64 = 8;
pub const SHARE: u64 = 9;

/// There is none.
#[derive(Debug)]
pub enum Cluster {}

/// There is none.
#[derive(Debug, Clone)]
pub enum Link {}

/// What never happens.
#[derive(Debug)]
pub struct News {
    pub joined: Vec<(ClientId, Arc<str>)>,
    pub published: Vec<(u64, Published)>,
    pub revocations: Vec<Revocation>,
    pub heard: Vec<Hearsay>,
}

/// What never happens.
#[derive(Debug)]
#[expect(dead_code, reason = "there are no other processes")]
pub enum Hearsay {
    Room { process: String, room: String, people: Option<Vec<u8>> },
    Forget { process: String },
}

/// What never happens.
#[derive(Debug)]
pub struct Revocation {
    pub identity: Identity,
    pub at: f64,
}

impl Revocation {
    pub fn left(&self) -> Duration {
        Duration::ZERO
    }
}

pub type Published = Result<Position, Refused>;

/// What never happens.
#[derive(Debug, Clone)]
pub enum Refused {}

impl fmt::Display for Refused {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

/// What never happens.
#[derive(Debug)]
pub struct Full;

impl Link {
    pub fn publish_and_answer(&self, _: &str, _: Message<'_>) -> Result<Receiver<Published>, Full> {
        match *self {}
    }

    pub fn revoke(&self, _: Identity, _: Duration, _: f64) {
        match *self {}
    }

    pub fn fault(&self) -> Option<String> {
        match *self {}
    }

    pub fn register(&self, _: &mut Registry) {
        match *self {}
    }
}

impl Cluster {
    pub fn start(_: &[RedisUrl], _: &HistoryLimits, _: bool, _: Handle) -> io::Result<Self> {
        Err(io::Error::other("this program was built without the feature redis"))
    }

    pub fn begin(&self, _: &mut Hub) {
        match *self {}
    }

    pub fn link(&self) -> &Link {
        match *self {}
    }

    pub fn enter(&mut self, _: &mut Hub, _: ClientId, _: &str, _: Start) -> bool {
        match *self {}
    }

    pub fn leave(&mut self, _: ClientId) {
        match *self {}
    }

    pub fn publish(&mut self, _: &mut Hub, _: ClientId, _: Message<'_>) {
        match *self {}
    }

    pub fn publish_for(&mut self, _: &str, _: Message<'_>) -> Result<u64, Full> {
        match *self {}
    }

    pub fn work(&mut self, _: &mut Hub) -> News {
        match *self {}
    }

    pub fn stop(&mut self, _: &mut Hub) {
        match *self {}
    }

    pub fn check(&mut self, _: &mut Hub) {
        match *self {}
    }

    pub fn share(&mut self, _: &mut Hub, _: impl FnOnce(bool) -> Vec<(Arc<str>, Option<String>)>) {
        match *self {}
    }

    pub fn finish(self) {
        match self {}
    }
}
