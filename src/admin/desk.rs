//! Answers to the requests of operators.

use std::fmt::Display;
use std::time::Instant;

use log::LevelFilter;
use serde_json::Value;
use townhall::protocol::Refusal;
use townhall::{Config, Handle, Hub, Request, Response};

use super::closing::{self, Order};
use super::parameters::parameters;
use super::question::{ANSWER_TIMEOUT, Unanswered, ask};
use super::resource::Resource;
use super::{log_level, members, metrics, publishing, revoking, rooms, site};
use crate::auth::Sessions;
use crate::cluster::Link;
use crate::key::Key;
use crate::presence::{MemberRooms, Subject};

/// The server that operators see and change.
#[derive(Debug)]
pub struct Shown {
    /// Reaches it.
    pub handle: Handle,
    pub limits: Config,
    pub member_rooms: MemberRooms,
    /// The maximum length of a message, in characters or bytes.
    pub truncate: Option<usize>,
    /// Its connections with tokens, if it requires tokens.
    pub sessions: Option<Sessions>,
    /// Its way to Redis, if it shares its rooms.
    pub link: Option<Link>,
}

/// Answers the requests of operators.
#[derive(Debug)]
pub struct Desk {
    pub shown: Shown,
    pub key: Option<Key>,
    /// The log level of the start.
    pub log_level: LevelFilter,
}

impl Desk {
    /// Checks that a request may be answered.
    fn admit(&self, request: &Request<'_>) -> Result<(), Response> {
        site::check(request)?;
        match &self.key {
            Some(key) if !key.admits(request) => Err(Key::challenge("admin")),
            _ => Ok(()),
        }
    }

    /// Checks that a request may have a body.
    pub fn admit_body(&self, request: &Request<'_>) -> Result<(), Response> {
        self.admit(request)?;
        match Resource::find(&request.normal_path()) {
            Some(Resource::Publish) => Ok(()),
            _ => Err(Response::refusal(Refusal::HasBody)),
        }
    }

    /// Checks that a client may watch, and returns what.
    ///
    /// # Errors
    /// The response to an upgrade that is refused.
    pub fn admit_watcher(&self, request: &Request<'_>) -> Result<Subject, Response> {
        self.admit(request)?;
        if !matches!(Resource::find(&request.normal_path()), Some(Resource::Events)) {
            return Err(not_found());
        }
        let mut members = parameters(request).filter(|(name, _)| name == "members");
        members.try_fold(Subject::Rooms, |_, (_, value)| match &*value {
            "0" => Ok(Subject::Rooms),
            "1" => Ok(Subject::Members),
            _ => Err(bad_request(format!("members is {value:?}, but must be 0 or 1"))),
        })
    }

    pub fn answer(&self, request: &Request<'_>, body: &[u8]) -> Response {
        if let Err(response) = self.admit(request) {
            return response;
        }
        let path = request.normal_path();
        let Some(resource) = Resource::find(&path) else { return not_found() };
        let methods = resource.methods();
        let allow = |response: Response| response.header("Allow", methods).expect("a valid field");
        match request.method() {
            "OPTIONS" => allow(Response::new(204)),
            method if methods.split(", ").any(|allowed| allowed == method) => {
                self.serve(resource, request, body).unwrap_or_else(|response| response)
            }
            _ => match request.unserved_method() {
                Refusal::Method => {
                    allow(Response::text(405, format!("the methods for this path are {methods}")))
                }
                refusal => Response::refusal(refusal),
            },
        }
    }

    /// Answers a request whose method the resource has. An error is a response too.
    fn serve(
        &self,
        resource: Resource<'_>,
        request: &Request<'_>,
        body: &[u8],
    ) -> Result<Response, Response> {
        match (resource, request.method()) {
            (Resource::Live, _) => self.live(),
            (Resource::Ready, _) => self.ready(),
            (Resource::Metrics, _) => self.metrics(),
            (Resource::Rooms, _) => self.rooms(request),
            (Resource::Room(name), "DELETE") => {
                let order = Order::parse(request).map_err(bad_request)?;
                let closed = closing::close_room(&self.shown.handle, name, &order);
                closed.map_err(unavailable)?.map(json).ok_or_else(no_such_room)
            }
            (Resource::Room(name), _) => self.members(name, request),
            (Resource::Connection(id), _) => self.close_connection(id, request),
            (Resource::Publish, _) => self.publish(body),
            (Resource::Revoke, _) => self.revoke(request),
            (Resource::Events, _) => Err(Response::refusal(Refusal::NoUpgrade)),
            (Resource::LogLevel, method) => {
                match method {
                    "PUT" => log_level::set(request).map_err(bad_request)?,
                    "DELETE" => log_level::change(self.log_level),
                    _ => {}
                }
                Ok(json(log_level::show(self.log_level)))
            }
        }
    }

    /// Whether the event loop turns.
    fn live(&self) -> Result<Response, Response> {
        ask(&self.shown.handle, |_| Response::text(200, "live")).map_err(unavailable)
    }

    /// Whether the server accepts new clients.
    fn ready(&self) -> Result<Response, Response> {
        let is_stopping = ask(&self.shown.handle, |hub| hub.is_stopping()).map_err(unavailable)?;
        match self.shown.link.as_ref().and_then(Link::fault) {
            _ if is_stopping => Err(Response::text(503, "stopping")),
            Some(fault) => Err(Response::text(503, fault)),
            None => Ok(Response::text(200, "ready")),
        }
    }

    fn metrics(&self) -> Result<Response, Response> {
        let snapshot =
            ask(&self.shown.handle, |hub| metrics::Snapshot::of(hub)).map_err(unavailable)?;
        Ok(metrics::response(snapshot, &self.shown.limits, self.shown.link.as_ref()))
    }

    fn rooms(&self, request: &Request<'_>) -> Result<Response, Response> {
        let query = rooms::Query::parse(request).map_err(bad_request)?;
        let rooms = ask(&self.shown.handle, move |hub| query.find(hub)).map_err(unavailable)?;
        Ok(json(rooms.to_json()))
    }

    fn members(&self, room: &str, request: &Request<'_>) -> Result<Response, Response> {
        let query = members::Query::parse(room, request).map_err(bad_request)?;
        let members = ask(&self.shown.handle, move |hub| query.find(hub)).map_err(unavailable)?;
        members.map(|members| json(members.to_json())).ok_or_else(no_such_room)
    }

    fn publish(&self, body: &[u8]) -> Result<Response, Response> {
        let body = str::from_utf8(body).map_err(|_| bad_request("the body is not UTF-8"))?;
        let parse =
            |line| publishing::Order::parse(line, &self.shown.limits, &self.shown.member_rooms);
        let orders: Vec<_> =
            body.lines().filter(|line| !line.trim().is_empty()).map(parse).collect();
        let truncate = self.shown.truncate;
        let link = self.shown.link.clone();
        let publish =
            move |hub: &mut Hub| publishing::publish_all(hub, orders, truncate, link.as_ref());
        let lines = ask(&self.shown.handle, publish).map_err(unavailable)?;
        let end = Instant::now() + ANSWER_TIMEOUT;
        let answers: String =
            lines.into_iter().map(|line| format!("{}\n", line.wait(end))).collect();
        let response = Response::new(200).header("Content-Type", "application/x-ndjson");
        Ok(response.expect("a valid field").body(answers.into_bytes()))
    }

    fn revoke(&self, request: &Request<'_>) -> Result<Response, Response> {
        let Some(sessions) = &self.shown.sessions else {
            return Err(Response::text(404, "the server requires no tokens: see --auth-key-file"));
        };
        let order = revoking::Order::parse(request).map_err(bad_request)?;
        let Shown { handle, link, .. } = &self.shown;
        let revoked = revoking::revoke(handle, sessions, link.as_ref(), order);
        let revoked = revoked.map_err(unavailable)?;
        revoked.map(json).map_err(|_| Response::text(503, "there are too many revocations"))
    }

    fn close_connection(&self, id: &str, request: &Request<'_>) -> Result<Response, Response> {
        let gone = || Response::text(404, "no such connection");
        let order = Order::parse(request).map_err(bad_request)?;
        let id = id.parse().map_err(|_| gone())?;
        let closed =
            closing::close_connection(&self.shown.handle, id, &order).map_err(unavailable)?;
        closed.map(json).ok_or_else(gone)
    }
}

fn json(value: Value) -> Response {
    let response = Response::new(200).header("Content-Type", "application/json");
    response.expect("a valid field").body(format!("{value}\n").into_bytes())
}

fn bad_request(reason: impl Display) -> Response {
    Response::text(400, reason.to_string())
}

fn unavailable(reason: Unanswered) -> Response {
    Response::text(503, reason.to_string())
}

fn no_such_room() -> Response {
    Response::text(404, "no such room")
}

fn not_found() -> Response {
    let paths = "/metrics, /live, /ready, /rooms, /rooms/NAME, /connections/ID, /publish, /revoke, \
         /events and /log-level";
    Response::text(404, format!("not found: there are {paths}"))
}
