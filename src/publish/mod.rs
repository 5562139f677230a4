//! Publishing with HTTP: `POST /lobby` with a body is a message in `/lobby`.

mod content;
mod repeats;

use std::rc::Rc;
use std::time::Instant;

use townhall::protocol::Refusal;
use townhall::{ClientId, Exchange, Hub, Request, RequestHead, Response, RoomLimits};

use crate::auth::Auth;
use crate::cors;
use crate::denied::Denied;
use crate::key::Key;
use crate::presence::{MemberRooms, ONLY_THE_SERVER, Presence};
use content::message;
use repeats::{Lookup, MEMORY, Repeats};

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
}

impl Publisher {
    pub fn new(
        rooms: RoomLimits,
        member_rooms: MemberRooms,
        key: Option<Key>,
        auth: Option<Rc<Auth>>,
        truncate: Option<usize>,
    ) -> Self {
        Self { rooms, member_rooms, key, auth, truncate, repeats: Repeats::default() }
    }

    /// Refuses a request whose body has not been read, if the body would not be published.
    pub fn admit(&self, hub: &mut Hub, client: ClientId, head: RequestHead<'_>) {
        if let Err(response) = self.check(hub, client, head.request()) {
            head.refuse(response);
        }
    }

    pub fn answer(
        &mut self,
        presence: &Presence,
        hub: &mut Hub,
        client: ClientId,
        exchange: Exchange<'_>,
    ) {
        let request = exchange.request();
        let response = match request.method() {
            // The response to load balancers.
            "OPTIONS" if hub.is_stopping() => return,
            "OPTIONS" => self.options(hub, client, request),
            "POST" => self
                .publish(presence, hub, client, (request, exchange.body()))
                .unwrap_or_else(|refused| refused),
            _ => allow(Response::text(405, format!("the methods are {METHODS}"))),
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
        let message = message(request, body)?;
        content::check_mark(hub, message)?;
        let room = request.normal_path();
        let entry = match self.repeats.find(request, &room, &message, Instant::now())? {
            Lookup::Answered(published) => return Ok(response(published)),
            Lookup::New(entry) => Some(entry),
            Lookup::NoKey => None,
        };
        let message = self.truncate.map_or(message, |length| message.truncate(length));
        let members = presence.members(hub, &room);
        hub.broadcast_for(client, &room, message).map_err(Response::refusal)?;
        let published = Published { members, position: hub.position(&room) };
        if let Some(entry) = entry
            && self.repeats.remember(entry, published)
        {
            hub.set_timer(ClientId::SERVER, EXPIRY, MEMORY);
        }
        Ok(response(published))
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
