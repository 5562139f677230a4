//! Plain requests: their bodies and their answers, which may come later, and persistent connections.

use std::net::IpAddr;

use crate::protocol::{Framing, Refusal, Request, Response};
use crate::server::client::{Reading, Requester};
use crate::server::client_id::ClientId;
use crate::server::event::{Answer, Event, Exchange, RequestHead};
use crate::server::hub::answering::{refuse, respond, respond_and_persist};
use crate::server::hub::state::{Application, Hub, Phase};
use crate::server::hub::{backpressure, forwarded, lifecycle};
use crate::server::limits::address::is_trusted_proxy;
use crate::server::limits::rate::ReadStats;

/// The maximum size in bytes of unwritten responses with which a connection is still read. A client that
/// sends requests without reading the responses waits here.
pub(crate) const MAX_RESPONSE_BYTES: usize = 64 << 10;

/// The reason why the body of a request is not read.
pub(super) enum Rejection {
    Refusal(Refusal),
    /// The application has refused the request.
    Response(Response),
}

/// Whether this is a method whose requests have no body.
pub(super) fn is_get(method: &str) -> bool {
    matches!(method, "GET" | "HEAD")
}

/// Decides whether the body of a request is read, and where it ends.
pub(super) fn admit(
    hub: &mut Hub,
    id: ClientId,
    request: &Request<'_>,
    head: &[u8],
    app: &mut Application<'_>,
) -> Result<Framing, Rejection> {
    let max_bytes = hub.config.limits.max_body_bytes;
    let framing = Framing::of(request, head, max_bytes).map_err(Rejection::Refusal)?;
    if framing.is_empty() {
        return Ok(framing);
    }
    let address = client_address(hub, id, request);
    let mut refusal = None;
    app(hub, id, Event::Head(RequestHead { request, address, refusal: &mut refusal }));
    refusal.map_or(Ok(framing), |response| Err(Rejection::Response(response)))
}

/// Begins to read the body of a request. Its time begins with it.
pub(super) fn read_body(hub: &mut Hub, id: ClientId, head: Vec<u8>, framing: Framing) {
    let Some(client) = hub.clients.get_mut(id) else { return };
    let mut interim = Vec::new();
    client.connection.read_body(head, framing, &mut interim);
    client.awaits_request = false;
    client.note_activity(hub.time.timestamp);
    if !interim.is_empty() {
        client.queue_response(&mut hub.memory, |_, out| out.append(&mut interim));
        hub.pending.mark_dirty(client);
    }
    lifecycle::expect_within(hub, id, hub.config.timeouts.handshake);
}

/// Answers a request whose body is complete.
#[cold]
pub(crate) fn complete(
    hub: &mut Hub,
    id: ClientId,
    head: &[u8],
    body: &[u8],
    app: &mut Application<'_>,
) {
    match Request::parse_received(head, hub.config.limits.max_headers) {
        Ok(request) => answer(hub, id, &request, body, app),
        Err(refusal) => refuse(hub, id, refusal),
    }
}

/// Lets the application answer a plain request.
pub(super) fn answer(
    hub: &mut Hub,
    id: ClientId,
    request: &Request<'_>,
    body: &[u8],
    app: &mut Application<'_>,
) {
    let mut answer = Answer::None;
    let address = client_address(hub, id, request);
    let is_persistent = may_persist(hub, request);
    if is_persistent {
        note_requester(hub, id, request);
    }
    let exchange =
        Exchange { client: id, request, body, address, is_persistent, answer: &mut answer };
    app(hub, id, Event::Request(exchange));
    match answer {
        Answer::Now(answer) => give(hub, id, answer, is_persistent),
        Answer::Later => defer(hub, id),
        Answer::None if !is_get(request.method()) => answer_method(hub, id, request),
        Answer::None if hub.config.rooms.allow(&request.normal_path()) => {
            refuse(hub, id, request.missing_upgrade());
        }
        Answer::None => refuse(hub, id, Refusal::NoSuchRoom),
    }
}

/// Notes what is known about a client whose connection may persist.
fn note_requester(hub: &mut Hub, id: ClientId, request: &Request<'_>) {
    let room = hub.rooms.find(&request.normal_path());
    let peer = peer(hub, id);
    if let Some(client) = hub.clients.get_mut(id) {
        client.requester.get_or_insert_with(|| Box::new(Requester { peer, room })).room = room;
    }
}

/// Answers a plain request with a method that the application does not serve.
pub(super) fn answer_method(hub: &mut Hub, id: ClientId, request: &Request<'_>) {
    match request.method() {
        // Load balancers use it to check whether the server is up.
        "OPTIONS" if hub.is_stopping() => {
            respond(hub, id, Response::refusal(Refusal::Stopping));
        }
        "OPTIONS" => respond(hub, id, Response::options()),
        _ => refuse(hub, id, request.unserved_method()),
    }
}

/// Whether the connection may persist after the response. The response to GET and HEAD ends it, because
/// browsers would keep it for as long as they can.
fn may_persist(hub: &Hub, request: &Request<'_>) -> bool {
    hub.config.request_bodies && request.is_persistent() && !is_get(request.method())
}

/// Sends the response to a request. There are no persistent connections once the server is to stop, or
/// while there are so many connections that clients could be turned away.
fn give(hub: &mut Hub, id: ClientId, response: Response, is_persistent: bool) {
    let has_room = hub.clients.len() <= hub.config.connections.max;
    if is_persistent && has_room && hub.phase != Phase::Closing {
        respond_and_persist(hub, id, response);
    } else {
        respond(hub, id, response);
    }
}

/// Waits for the application's answer, unless it has answered already.
fn defer(hub: &mut Hub, id: ClientId) {
    if hub.clients.get(id).is_some_and(|client| client.connection.is_answering()) {
        lifecycle::expect_within(hub, id, hub.config.timeouts.answer);
    }
}

/// Sends the response to a request that was deferred, if it still waits. The bytes that were read after
/// the request are next.
pub(super) fn give_deferred(
    hub: &mut Hub,
    id: ClientId,
    response: Response,
    is_persistent: bool,
) -> bool {
    let client = hub.clients.get_mut(id).filter(|client| client.connection.is_answering());
    let Some(client) = client else { return false };
    let unread = client.connection.take_unread();
    give(hub, id, response, is_persistent);
    hub.pending.answered.push((id, unread));
    true
}

/// Counts a request, and decides whether its connection is read further: not while the request waits for
/// its answer, nor while the client does not read its responses. In the first case, `input` is kept.
#[cold]
pub(crate) fn settle(hub: &mut Hub, id: ClientId, input: &mut &mut [u8], stats: &mut ReadStats) {
    let client = hub.clients.get_mut(id).filter(|client| client.connection.is_handshaking());
    let Some(client) = client.filter(|client| !client.connection.is_reading_body()) else { return };
    stats.messages += 1;
    if client.connection.is_answering() {
        client.connection.keep_unread(input);
        *input = &mut [];
        stats.held = true;
    } else if client.private_bytes() > MAX_RESPONSE_BYTES {
        backpressure::wait_for(hub, id);
        stats.held = true;
    }
}

/// Begins the time for the head of a request of which a part has arrived on a persistent connection.
#[cold]
pub(crate) fn begin_head(hub: &mut Hub, id: ClientId) {
    let client = hub.clients.get_mut(id).filter(|client| !client.connection.is_untouched());
    let Some(client) = client else { return };
    client.awaits_request = false;
    if client.connection.is_handshaking() {
        lifecycle::expect_within(hub, id, hub.config.timeouts.handshake);
    }
}

/// Refuses a request whose time is over. A body that arrives fast enough has more time, and so has a
/// client that is not read at the moment, unless it reads nothing itself.
pub(crate) fn expire(hub: &mut Hub, id: ClientId) {
    let now = hub.time.timestamp;
    let horizon = hub.time.horizon;
    let keep_alive = hub.config.timeouts.keep_alive;
    let min_rate = hub.config.rates.min_frame_bytes_per_second;
    let Some(client) = hub.clients.get_mut(id) else { return };
    if client.connection.is_answering() {
        refuse(hub, id, Refusal::Unanswered);
        // The end of the connection is read.
        return hub.pending.answered.push((id, Vec::new()));
    }
    let reads = client.blocked.is_none_or(|since| since.after(keep_alive) > horizon);
    let is_paused = client.reading == Reading::Paused && reads;
    let arrives = client.connection.is_reading_body() && client.arrives_at(min_rate, now);
    if is_paused || arrives {
        client.note_activity(now);
        lifecycle::expect_within(hub, id, hub.config.timeouts.handshake);
    } else {
        refuse(hub, id, Refusal::Timeout);
    }
}

/// The address to which the limits per address apply: the one that a trusted proxy forwards, or the
/// peer's. The peer of a Unix socket has none, and is always trusted.
pub(super) fn client_address(hub: &Hub, id: ClientId, request: &Request<'_>) -> Option<IpAddr> {
    let peer = peer(hub, id);
    let is_proxy = match peer {
        Some(peer) => is_trusted_proxy(peer, &hub.config),
        None => hub.clients.get(id)?.transport.is_unix(),
    };
    let forwarded = if is_proxy { forwarded::address(request, &hub.config) } else { None };
    forwarded.or(peer)
}

/// The peer's address. The system is asked for it once for many requests.
fn peer(hub: &Hub, id: ClientId) -> Option<IpAddr> {
    match &hub.clients.get(id)?.requester {
        Some(requester) => requester.peer,
        None => hub.peer_address(id).map(|peer| peer.ip()),
    }
}
