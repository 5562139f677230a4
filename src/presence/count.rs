//! The number of members of a room, for `GET /lobby` with `Accept: application/json`.

use std::rc::Rc;

use serde::Serialize;
use townhall::protocol::Refusal;
use townhall::{ClientId, Hub, Request, Response, RoomLimits};

use super::{MemberRooms, Presence};
use crate::auth::Auth;
use crate::cors;
use crate::denied::Denied;

/// Counts the members of rooms for those who may join them.
#[derive(Debug)]
pub struct Counter {
    rooms: RoomLimits,
    member_rooms: MemberRooms,
    auth: Option<Rc<Auth>>,
}

#[derive(Debug, Serialize)]
struct Count<'r> {
    room: &'r str,
    members: usize,
}

impl Counter {
    pub fn new(rooms: RoomLimits, member_rooms: MemberRooms, auth: Option<Rc<Auth>>) -> Self {
        Self { rooms, member_rooms, auth }
    }

    /// The response to a request for the number of members of the room of its path.
    pub fn answer(
        &self,
        presence: &Presence,
        hub: &mut Hub,
        client: ClientId,
        request: &Request<'_>,
    ) -> Response {
        if let Err(refused) = cors::check_page(hub, client, request) {
            return refused;
        }
        let room = request.normal_path();
        let response = match self.check(hub, client, request, &room) {
            Ok(()) => json(&Count { room: &room, members: presence.members(hub, &room) }),
            Err(refused) => refused,
        };
        cors::expose(request, response)
    }

    fn check(
        &self,
        hub: &mut Hub,
        client: ClientId,
        request: &Request<'_>,
        room: &str,
    ) -> Result<(), Response> {
        if !self.rooms.allow(room) {
            let response = Response::refusal(Refusal::NoSuchRoom);
            return Err(Denied::NoSuchRoom.refuse(hub, client, response));
        }
        let governing = self.member_rooms.governing(room);
        let auth = self.auth.as_ref();
        auth.map_or(Ok(()), |auth| auth.admit_question(hub, client, request, governing))
    }
}

fn json(count: &Count<'_>) -> Response {
    let mut body = serde_json::to_vec(count).expect("strings and numbers are JSON");
    body.push(b'\n');
    let fields = [("Content-Type", "application/json"), ("Cache-Control", "no-store")];
    fields.into_iter().fold(Response::new(200).body(body), |response, (name, value)| {
        response.header(name, value).expect("a valid field")
    })
}
