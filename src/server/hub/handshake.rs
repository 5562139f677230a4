//! The opening handshake: requests in, responses and upgrades out.

use crate::config::Config;
use crate::protocol::{Refusal, Request, SUBPROTOCOL, Start, Terms};
use crate::server::client::Presence;
use crate::server::client_id::ClientId;
use crate::server::departure::{Cause, Departure};
use crate::server::event::{Event, Upgrade};
use crate::server::hub::answering::{refuse, respond};
use crate::server::hub::requests::{Rejection, answer, answer_method, client_address, is_get};
use crate::server::hub::site::{check_host, check_origin, check_scheme};
use crate::server::hub::state::{Application, Hub, Phase};
use crate::server::hub::{forwarded, keepalive, lifecycle, requests};
use crate::server::limits::address::{AddressKey, Admission};
use crate::server::room::compressor::Encoding;
use crate::server::shown::{Flag, Shown};

/// Answers a request whose head is complete, or begins to read its body.
#[cold]
pub(crate) fn handshake(hub: &mut Hub, id: ClientId, head: Vec<u8>, app: &mut Application<'_>) {
    let request = match Request::parse_received(&head, hub.config.limits.max_headers) {
        Ok(request) => request,
        Err(refusal) => return refuse(hub, id, refusal),
    };
    let checked = check_scheme(hub, id, &request).and_then(|()| check_host(hub, id, &request));
    if let Err(refusal) = checked {
        return refuse(hub, id, refusal);
    }
    match request.method() {
        "GET" if request.asks_for_upgrade() => upgrade(hub, id, &request, app),
        // Its response would turn the connection into a tunnel (RFC 9110, section 9.3.6).
        "CONNECT" => refuse(hub, id, request.unserved_method()),
        "GET" | "HEAD" if !hub.config.request_bodies => answer(hub, id, &request, b"", app),
        method if hub.config.request_bodies && !is_get(method) => {
            match requests::admit(hub, id, &request, &head, app) {
                Ok(framing) if framing.is_empty() => answer(hub, id, &request, b"", app),
                Ok(framing) => requests::read_body(hub, id, head, framing),
                Err(Rejection::Refusal(refusal)) => refuse(hub, id, refusal),
                Err(Rejection::Response(response)) => respond(hub, id, response),
            }
        }
        method if hub.config.any_method || is_get(method) => match request.check_empty() {
            Ok(()) => answer(hub, id, &request, b"", app),
            Err(refusal) => refuse(hub, id, refusal),
        },
        _ => answer_method(hub, id, &request),
    }
}

fn upgrade(hub: &mut Hub, id: ClientId, request: &Request<'_>, app: &mut Application<'_>) {
    let mut room = request.normal_path();
    let mut refusal = None;
    let (mut terms, start) = match admit(hub, id, request, &room) {
        Ok(admitted) => admitted,
        Err(refusal) => return refuse(hub, id, refusal),
    };
    let address = client_address(hub, id, request);
    let upgrade =
        Upgrade { request, address, room: &mut room, terms: &mut terms, refusal: &mut refusal };
    app(hub, id, Event::Upgrade(upgrade));
    if let Some(response) = refusal {
        return respond(hub, id, response);
    }
    // The application may have chosen another room.
    if let Err(refusal) = check_room(hub, id, &room) {
        refuse(hub, id, refusal);
        if let Some(client) = hub.clients.get_mut(id) {
            client.presence = Presence::Gone;
        }
        hub.pending.departures.push((id, Departure::abnormal(Cause::Refused(refusal))));
        return;
    }
    note_subprotocol(hub, id, request, &terms);
    open(hub, id, &mut terms);
    let Terms { subprotocol, deflate, .. } = &terms;
    let subprotocol = subprotocol.as_deref();
    let deflate = *deflate;
    app(hub, id, Event::Open { room: &room, request, subprotocol, deflate, address, start });
    if hub.phase == Phase::Closing {
        lifecycle::close_for_shutdown(hub, id);
    }
}

/// Checks everything that the application does not decide, so that it is never asked about a client that
/// is refused anyway.
fn admit(
    hub: &mut Hub,
    id: ClientId,
    request: &Request<'_>,
    room: &str,
) -> Result<(Terms, Start), Refusal> {
    let Config { subprotocols, deflate, .. } = &hub.config;
    let terms = Terms::negotiate(request, subprotocols, deflate.as_ref())?;
    check_origin(hub, id, request)?;
    if hub.phase == Phase::Closing && !hub.hands_over {
        return Err(Refusal::Stopping);
    }
    if hub.is_full() {
        return Err(Refusal::Full);
    }
    if !hub.config.rooms.allow(room) {
        return Err(Refusal::NoSuchRoom);
    }
    enter_forwarded(hub, id, request)?;
    check_room(hub, id, room)?;
    let start = if hub.config.history.is_some() { Start::of(request)? } else { Start::Now };
    Ok((terms, start))
}

/// Checks that the client may be in a room, and may create it if it does not exist.
fn check_room(hub: &Hub, id: ClientId, room: &str) -> Result<(), Refusal> {
    if room.len() > hub.config.rooms.max_name_bytes {
        return Err(Refusal::RoomNameTooLong);
    }
    hub.admit_to(room, id)
}

/// Logs the subprotocols that the client offered if the server supports none of them, because many
/// clients then end the connection without an explanation.
fn note_subprotocol(hub: &mut Hub, id: ClientId, request: &Request<'_>, terms: &Terms) {
    if terms.subprotocol.is_some() {
        return;
    }
    // Some clients send a token this way, which must not be logged.
    let is_name = |offer: &&str| !offer.starts_with("bearer.");
    let names: Vec<_> = request.subprotocols().filter(is_name).collect();
    if let Some(first) = names.first() {
        let names = names.join(", ");
        let flag = Flag("subprotocol", first);
        let offered = Shown(names.as_bytes());
        hub.log_refusal(format_args!(
            "{id} offered only unsupported subprotocols, {offered}, and may disconnect; start with {flag} to \
             support it"
        ));
    }
}

/// Counts a client behind a trusted proxy under the address that the proxy forwards.
///
/// # Errors
/// The address has too many connections.
fn enter_forwarded(hub: &mut Hub, id: ClientId, request: &Request<'_>) -> Result<(), Refusal> {
    let client = hub.clients.get_mut(id).filter(|client| client.address_key.is_none());
    let Some(client) = client else { return Ok(()) };
    let address = forwarded::address(request, &hub.config);
    let Some(key) = address.map(AddressKey::of) else { return Ok(()) };
    let admission = hub.usage.addresses.enter(key, hub.time.timestamp, &hub.config);
    if admission == Admission::Refused {
        hub.usage.addresses.leave(key);
    }
    if admission != Admission::Admitted {
        return Err(Refusal::TooManyFromAddress);
    }
    client.address_key = Some(key);
    Ok(())
}

/// Upgrades a client's connection. The client keeps its compression context only if there is memory for
/// its window.
pub(crate) fn open(hub: &mut Hub, id: ClientId, terms: &mut Terms) {
    let Some(client) = hub.clients.get_mut(id) else { return };
    let unchanged = hub.usage.windows.reserve(&mut client.window, &mut terms.deflate);
    client.queue_response(&mut hub.memory, |connection, out| connection.accept(terms, out));
    client.encoding = Encoding::of(terms.deflate);
    client.hears_words =
        hub.config.history.is_some() && terms.subprotocol.as_deref() == Some(SUBPROTOCOL);
    client.note_activity(hub.time.timestamp);
    client.opened = hub.time.timestamp;
    client.requester = None;
    hub.pending.mark_dirty(client);
    hub.clients.note_open(id);
    hub.counts.opened += 1;
    hub.counts.contextless += u64::from(!unchanged);
    keepalive::check(hub, id);
}
