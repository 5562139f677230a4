//! Publishing with HTTP: `POST /lobby` with a body is a message in `/lobby`.

mod content;
mod later;
mod repeats;

use std::rc::Rc;
use std::time::Instant;

use townhall::protocol::Refusal;
use townhall::{ClientId, Exchange, Hub, Message, Request, RequestHead, Response, RoomLimits};

use crate::auth::Auth;
use crate::cluster::{self, Cluster};
use crate::cors;
use crate::denied::Denied;
use crate::key::Key;
use crate::presence::{MemberRooms, ONLY_THE_SERVER, Presence};
use content::message;
use later::{Later, Waiting};
use repeats::{Entry, Lookup, MEMORY, Repeats};

pub use repeats::{Answer, Published};

/// The token of the timer that forgets old requests.
pub const EXPIRY: u64 = 3;

const METHODS: &str = "GET, HEAD, OPTIONS, POST";

/// Answers the requests that are neither GET nor HEAD.
#[derive(Debug)]
pub struct Publisher {
    rooms: RoomLimits,
    member_rooms: MemberRooms,
    key: Option<Key>,
    auth: Option<Rc<Auth>>,
    /// The maximum length of a message, in characters or bytes.
    truncate: Option<usize>,
    repeats: Repeats,
    later: Later,
}

/// What a request asks for.
enum Begun<'b> {
    /// Nothing new.
    Answered(Response),
    New {
        message: Message<'b>,
        room: String,
        entry: Option<Entry>,
    },
}

impl Publisher {
    pub fn new(
        rooms: RoomLimits,
        member_rooms: MemberRooms,
        key: Option<Key>,
        auth: Option<Rc<Auth>>,
        truncate: Option<usize>,
    ) -> Self {
        Self {
            rooms,
            member_rooms,
            key,
            auth,
            truncate,
            repeats: Repeats::default(),
            later: Later::default(),
        }
    }

    /// Refuses a request whose body has not been read, if the body would not be published.
    pub fn admit(&self, hub: &mut Hub, client: ClientId, head: RequestHead<'_>) {
        if let Err(response) = self.check(hub, client, head.request()) {
            head.refuse(response);
        }
    }

    /// Answers a request. With a cluster, messages are published there, and those requests are answered
    /// later.
    pub fn answer(
        &mut self,
        presence: &Presence,
        hub: &mut Hub,
        client: ClientId,
        exchange: Exchange<'_>,
        cluster: Option<&mut Cluster>,
    ) {
        let request = exchange.request();
        let response = match (request.method(), cluster) {
            // The response to load balancers.
            ("OPTIONS", _) if hub.is_stopping() => return,
            ("OPTIONS", _) => self.options(hub, client, request),
            ("POST", Some(cluster)) => return self.publish_later(hub, client, exchange, cluster),
            ("POST", None) => self
                .publish(presence, hub, client, (request, exchange.body()))
                .unwrap_or_else(|refused| refused),
            _ => match request.unserved_method() {
                Refusal::Method => allow(Response::text(405, format!("the methods are {METHODS}"))),
                refusal => Response::refusal(refusal),
            },
        };
        exchange.respond(response);
    }

    fn options(&self, hub: &mut Hub, client: ClientId, request: &Request<'_>) -> Response {
        if !cors::is_preflight(request) {
            return allow(Response::new(204));
        }
        match cors::check_page(hub, client, request) {
            Ok(()) => cors::preflight(request),
            Err(refused) => refused,
        }
    }

    /// Publishes a message, and returns the response. An error is a response too.
    fn publish(
        &mut self,
        presence: &Presence,
        hub: &mut Hub,
        client: ClientId,
        (request, body): (&Request<'_>, &[u8]),
    ) -> Result<Response, Response> {
        self.check(hub, client, request)?;
        let published = self.publish_once(presence, hub, client, (request, body));
        Ok(cors::expose(request, published.unwrap_or_else(|refused| refused)))
    }

    /// Publishes a message, unless the same request has been answered before.
    fn publish_once(
        &mut self,
        presence: &Presence,
        hub: &mut Hub,
        client: ClientId,
        (request, body): (&Request<'_>, &[u8]),
    ) -> Result<Response, Response> {
        let (message, room, entry) = match self.begin(hub, request, body)? {
            Begun::Answered(response) => return Ok(response),
            Begun::New { message, room, entry } => (message, room, entry),
        };
        let members = presence.members(hub, &room);
        hub.broadcast_for(client, &room, message).map_err(Response::refusal)?;
        let published = Published { members, position: hub.position(&room) };
        self.remember(hub, entry, published);
        Ok(response(published))
    }

    /// Reads a request, unless it has been answered before.
    fn begin<'b>(
        &self,
        hub: &Hub,
        request: &Request<'_>,
        body: &'b [u8],
    ) -> Result<Begun<'b>, Response> {
        let message = message(request, body)?;
        content::check_mark(hub, message)?;
        let room = request.normal_path();
        let entry = match self.repeats.find(request, &room, &message, Instant::now())? {
            Lookup::Answered(published) => return Ok(Begun::Answered(response(published))),
            Lookup::New(entry) => Some(entry),
            Lookup::NoKey => None,
        };
        let message = self.truncate.map_or(message, |length| message.truncate(length));
        Ok(Begun::New { message, room, entry })
    }

    fn remember(&mut self, hub: &mut Hub, entry: Option<Entry>, published: Published) {
        if let Some(entry) = entry
            && self.repeats.remember(entry, published)
        {
            hub.set_timer(ClientId::SERVER, EXPIRY, MEMORY);
        }
    }

    /// Publishes a message through Redis, and answers the request later, or at once if it is refused.
    fn publish_later(
        &mut self,
        hub: &mut Hub,
        client: ClientId,
        exchange: Exchange<'_>,
        cluster: &mut Cluster,
    ) {
        let request = exchange.request();
        let begun = self.check(hub, client, request);
        let begun = begun.and_then(|()| self.begin(hub, request, exchange.body()));
        let origin = request.header("Origin");
        let (message, room, entry) = match begun {
            Ok(Begun::New { message, room, entry }) => (message, room, entry),
            Ok(Begun::Answered(response)) | Err(response) => {
                return exchange.respond(cors::expose_to(origin, response));
            }
        };
        match cluster.publish_for(&room, message) {
            Ok(number) => {
                entry.iter().for_each(|entry| self.repeats.begin(entry));
                let origin = origin.map(str::to_owned);
                let waiting = Waiting { deferred: exchange.defer(), origin, room, entry };
                self.later.insert(number, waiting);
            }
            Err(cluster::Full) => {
                let full = Response::text(503, "too many messages wait for Redis");
                let full = full.header("Retry-After", "5").expect("a valid field");
                exchange.respond(cors::expose_to(origin, full));
            }
        }
    }

    /// Answers the request whose message was published or refused, if it was one.
    pub fn complete(
        &mut self,
        presence: &Presence,
        hub: &mut Hub,
        number: u64,
        published: &cluster::Published,
    ) {
        let Some(Waiting { deferred, origin, room, entry }) = self.later.remove(&number) else {
            return;
        };
        let response = match published {
            Ok(position) => {
                let members = presence.members(hub, &room);
                let published = Published { members, position: Some(*position) };
                self.remember(hub, entry, published);
                response(published)
            }
            Err(refused) => {
                entry.iter().for_each(|entry| self.repeats.fail(entry));
                Response::text(502, format!("Redis has refused the message: {refused}"))
            }
        };
        hub.answer(deferred, &cors::expose_to(origin.as_deref(), response));
    }

    /// The requests that are remembered, the oldest first.
    pub fn answers(&self) -> impl Iterator<Item = Answer<'_>> {
        self.repeats.answers(Instant::now())
    }

    /// Remembers a request that another process has answered.
    pub fn restore(&mut self, hub: &mut Hub, answer: Answer<'_>) {
        if self.repeats.restore(answer, Instant::now()) {
            hub.set_timer(ClientId::SERVER, EXPIRY, answer.left);
        }
    }

    /// Forgets the requests that are old enough.
    pub fn expire(&mut self, hub: &mut Hub) {
        if let Some(after) = self.repeats.expire(Instant::now()) {
            hub.set_timer(ClientId::SERVER, EXPIRY, after);
        }
    }

    /// Checks that a request may publish in a room. Either the key or a token is enough. Without both,
    /// whoever may connect to the room may publish: a WebSocket can publish there too.
    fn check_right(
        &self,
        hub: &mut Hub,
        client: ClientId,
        request: &Request<'_>,
        room: &str,
    ) -> Result<(), Response> {
        match (&self.key, &self.auth) {
            (Some(key), _) if key.admits(request) => Ok(()),
            (_, Some(auth)) => auth.admit_publication(hub, client, request, room),
            (Some(_), None) => {
                Err(Denied::NoPublishKey.refuse(hub, client, Key::challenge("publish")))
            }
            (None, None) => Ok(()),
        }
    }

    /// Checks everything about a request but its body.
    fn check(
        &self,
        hub: &mut Hub,
        client: ClientId,
        request: &Request<'_>,
    ) -> Result<(), Response> {
        cors::check_page(hub, client, request)?;
        let room = request.normal_path();
        let checked = self.check_room(&room);
        let checked = checked.map_err(|(reason, response)| reason.refuse(hub, client, response));
        let checked = checked.and_then(|()| self.check_right(hub, client, request, &room));
        let checked = checked.and_then(|()| {
            let checked = content::check(request);
            checked.map_err(|(reason, response)| reason.refuse(hub, client, response))
        });
        checked.map_err(|refused| cors::expose(request, refused))
    }

    /// Checks that clients may publish in a room.
    fn check_room(&self, room: &str) -> Result<(), (Denied, Response)> {
        if !self.rooms.allow(room) {
            Err((Denied::NoSuchRoom, Response::refusal(Refusal::NoSuchRoom)))
        } else if room.len() > self.rooms.max_name_bytes {
            Err((Denied::LongRoomName, Response::refusal(Refusal::RoomNameTooLong)))
        } else if self.member_rooms.shown_by(room).is_some() {
            Err((Denied::OnlyTheServerSpeaks, Response::text(403, ONLY_THE_SERVER)))
        } else {
            Ok(())
        }
    }
}

/// The response to a message that was published.
fn response(Published { members, position }: Published) -> Response {
    let position = position.map_or_else(String::new, |at| format!(",\"position\":\"{at}\""));
    let body = format!("{{\"members\":{members}{position}}}\n");
    let response = Response::new(200).body(body.into_bytes());
    response.header("Content-Type", "application/json").expect("a valid field")
}

fn allow(response: Response) -> Response {
    response.header("Allow", METHODS).expect("a valid field")
}
