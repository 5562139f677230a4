//! One room and its members, as JSON.

use std::cmp::Reverse;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use townhall::{ClientId, Hub, IpNet, Request};

use crate::auth::{self, Session};

use super::parameters::{limit, parameters};
use super::rooms::Room;

/// How many members are listed if the request does not say, and at most. Each needs a system call on the
/// event loop's thread.
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;

/// A room whose members are to be listed.
#[derive(Debug)]
pub struct Query {
    room: String,
    limit: usize,
}

impl Query {
    /// Reads the parameter `limit`. Others do not count.
    ///
    /// # Errors
    /// Why the parameter is wrong.
    pub fn parse(room: &str, request: &Request<'_>) -> Result<Self, String> {
        let mut parsed = Self { room: room.to_owned(), limit: DEFAULT_LIMIT };
        for (_, value) in parameters(request).filter(|(name, _)| name == "limit") {
            parsed.limit = limit(&value, MAX_LIMIT)?;
        }
        Ok(parsed)
    }

    /// The room, if there is one, with those members that are furthest behind.
    pub fn find(&self, hub: &Hub) -> Option<Members> {
        let room = Room::of(&hub.room(&self.room)?);
        let backlog = |client| Reverse(hub.backlog(client));
        let mut found: Vec<_> = hub.members(&self.room).map(|id| (backlog(id), id)).collect();
        if self.limit < found.len() {
            found.select_nth_unstable(self.limit);
            found.truncate(self.limit);
        }
        found.sort_unstable();
        Some(Members {
            room,
            listed: found.into_iter().map(|(_, id)| Member::of(hub, id)).collect(),
        })
    }
}

/// A room and some of its members.
#[derive(Debug)]
pub struct Members {
    room: Room,
    listed: Vec<Member>,
}

impl Members {
    pub fn to_json(&self) -> Value {
        let mut json = self.room.to_json();
        json["connections"] = self.listed.iter().map(Member::to_json).collect();
        json
    }
}

/// What is shown of a member.
#[derive(Debug)]
struct Member {
    id: ClientId,
    peer: Option<SocketAddr>,
    network: Option<IpNet>,
    open_for: Duration,
    backlog_bytes: u64,
    compressed: bool,
    subprotocol: Option<Box<str>>,
    subject: Option<Box<str>>,
}

impl Member {
    fn of(hub: &Hub, id: ClientId) -> Self {
        Self {
            id,
            peer: hub.peer_address(id),
            network: hub.limited_network(id),
            open_for: hub.open_for(id).unwrap_or_default(),
            backlog_bytes: hub.backlog(id).unwrap_or_default(),
            compressed: hub.is_compressed(id).unwrap_or_default(),
            subprotocol: hub.data::<Session>(id).and_then(|session| session.subprotocol.clone()),
            subject: auth::user(hub, id).map(|user| user.name.into()),
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "id": short(self.id),
            "address": self.address(),
            "peer": self.peer.map(|peer| peer.to_string()),
            "open_seconds": self.open_for.as_secs_f64(),
            "backlog_bytes": self.backlog_bytes,
            "compressed": self.compressed,
            "subprotocol": self.subprotocol,
            "sub": self.subject,
        })
    }

    /// The client's address: the one that a trusted proxy has forwarded, otherwise the peer's. Only the
    /// network of a forwarded IPv6 address is known.
    fn address(&self) -> Option<String> {
        let peer = self.peer.map(|peer| peer.ip());
        match (self.network, peer) {
            (Some(network), Some(peer)) if network.contains(&peer) => Some(peer.to_string()),
            (Some(IpNet::V4(network)), _) => Some(network.addr().to_string()),
            (Some(network), _) => Some(network.to_string()),
            (None, peer) => peer.map(|peer| peer.to_string()),
        }
    }
}

/// An id as it is in paths: log lines write `client 7.3`.
fn short(id: ClientId) -> String {
    id.to_string().replace("client ", "")
}
