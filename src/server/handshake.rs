//! The opening handshake: requests in, answers and upgrades out.

use std::time::SystemTime;

use log::debug;

use super::addresses::{Entrance, Place};
use super::date::http_date;
use super::event::{Event, Exchange, Upgrade};
use super::forwarded;
use super::hub::Hub;
use super::id::ClientId;
use super::inbound::App;
use super::site::{check_host, check_origin};
use crate::config::Config;
use crate::protocol::{Refusal, Request, Response, Terms};

/// Answers a request whose head has arrived whole.
#[cold]
pub(super) fn handshake(hub: &mut Hub, id: ClientId, head: &[u8], app: &mut App<'_>) {
    let request = match Request::parse(head, hub.config.limits.max_headers) {
        Ok(request) => request,
        Err(refusal) => return refuse(hub, id, refusal, false),
    };
    if let Err(refusal) = check_host(hub, id, &request) {
        return refuse(hub, id, refusal, request.method() == "HEAD");
    }
    match request.method() {
        // Load balancers ask with it whether the server is up.
        "OPTIONS" if hub.is_stopping() => {
            respond(hub, id, &Response::refusal(Refusal::Stopping), false);
        }
        "OPTIONS" => respond(hub, id, &Response::options(), false),
        "GET" if request.asks_for_upgrade() => upgrade(hub, id, &request, app),
        "GET" | "HEAD" => answer(hub, id, &request, app),
        _ => refuse(hub, id, Refusal::Method, false),
    }
}

fn upgrade(hub: &mut Hub, id: ClientId, request: &Request<'_>, app: &mut App<'_>) {
    let terms = match negotiate(hub, id, request) {
        Ok(terms) => terms,
        Err(refusal) => return refuse(hub, id, refusal, false),
    };
    let (mut room, mut refusal) = (request.normal_path(), None);
    let (chosen, refused) = (&mut room, &mut refusal);
    app(hub, id, Event::Upgrade(Upgrade { request, room: chosen, refusal: refused }));
    match refusal {
        Some(response) => respond(hub, id, &response, false),
        None => match admit(hub, id, request, &room) {
            Err(refusal) => refuse(hub, id, refusal, false),
            Ok(()) => {
                hub.open(id, &terms);
                app(hub, id, Event::Open { room: &room });
            }
        },
    }
}

/// Whether there is room for one more, of those who come from the same address too.
fn admit(hub: &mut Hub, id: ClientId, request: &Request<'_>, room: &str) -> Result<(), Refusal> {
    if room.len() > hub.config.max_room_name_bytes {
        return Err(Refusal::RoomNameTooLong);
    }
    if !hub.has_place_for(room) {
        return Err(Refusal::TooManyRooms);
    }
    enter_forwarded(hub, id, request)
}

/// Takes in a client that comes through a trusted proxy, by the address that the proxy forwards.
///
/// # Errors
/// It is one too many.
fn enter_forwarded(hub: &mut Hub, id: ClientId, request: &Request<'_>) -> Result<(), Refusal> {
    let Hub { clients, addresses, tick, config, .. } = hub;
    let Some(client) = clients.get_mut(id.key()).filter(|client| client.place.is_none()) else {
        return Ok(());
    };
    let Some(place) = forwarded::address(request, config).map(Place::of) else { return Ok(()) };
    let entrance = addresses.enter(place, *tick, config);
    if entrance == Entrance::Refused {
        addresses.leave(place);
    }
    if entrance != Entrance::Admitted {
        return Err(Refusal::TooManyFromAddress);
    }
    client.place = Some(place);
    Ok(())
}

fn negotiate(hub: &mut Hub, id: ClientId, request: &Request<'_>) -> Result<Terms, Refusal> {
    let Config { subprotocols, deflate, .. } = &hub.config;
    let terms = Terms::negotiate(request, subprotocols, deflate.as_ref())?;
    check_origin(hub, id, request)?;
    if hub.is_stopping() {
        return Err(Refusal::Stopping);
    }
    if hub.is_full() { Err(Refusal::Full) } else { Ok(terms) }
}

/// Answers a request that does not ask for an upgrade.
fn answer(hub: &mut Hub, id: ClientId, request: &Request<'_>, app: &mut App<'_>) {
    let mut answer = None;
    app(hub, id, Event::Request(Exchange { request, answer: &mut answer }));
    let head_only = request.method() == "HEAD";
    match answer {
        Some(answer) => respond(hub, id, &answer, head_only),
        None => refuse(hub, id, request.missing_upgrade(), head_only),
    }
}

fn respond(hub: &mut Hub, id: ClientId, response: &Response, head_only: bool) {
    debug!("{id} answered with {}", response.status());
    let response = match http_date(SystemTime::now()) {
        Some(date) => response.clone().header("Date", date),
        None => response.clone(),
    };
    hub.finish_with_answer(id, |connection, out| connection.respond(&response, head_only, out));
}

/// Answers a request that is not served, and says why.
pub(super) fn refuse(hub: &mut Hub, id: ClientId, refusal: Refusal, head_only: bool) {
    hub.complain(format_args!("{id} refused with {}: {refusal}", refusal.status()));
    *hub.counts.refused.entry(refusal.status()).or_default() += 1;
    respond(hub, id, &Response::refusal(refusal), head_only);
}
