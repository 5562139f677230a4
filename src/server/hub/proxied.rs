//! Connections that begin with a PROXY header.

use std::fmt;
use std::net::SocketAddr;

use log::debug;

use crate::protocol::{ProxyRefusal, Refusal};
use crate::server::client_id::ClientId;
use crate::server::hub::state::Hub;
use crate::server::hub::{answering, lifecycle, tls_handshake};
use crate::server::limits::address::{AddressKey, Admission};
use crate::server::shown::Flag;

/// Notes that a header is complete or refused, or that a TLS handshake has advanced.
#[cold]
pub(crate) fn advance(hub: &mut Hub, id: ClientId) {
    let header = hub.clients.get_mut(id).and_then(|client| client.transport.take_header());
    match header {
        Some(Ok(())) => enter(hub, id),
        Some(Err(refusal)) => refuse(hub, id, refusal),
        None => tls_handshake::advance(hub, id),
    }
}

/// Counts a client under the address that its header names. If the header names none, the client is the
/// proxy itself, to which the limits per address do not apply.
fn enter(hub: &mut Hub, id: ClientId) {
    let now = hub.time.timestamp;
    let Some(client) = hub.clients.get_mut(id) else { return };
    let Some(endpoints) = client.transport.endpoints() else { return };
    debug!(
        "{id} is a client from {}, which connected to {}",
        endpoints.source, endpoints.destination
    );
    let Some(key) = AddressKey::of_peer(endpoints.source.ip(), &hub.config) else { return };
    let admission = hub.usage.addresses.enter(key, now, &hub.config);
    if admission == Admission::Refused && client.transport.is_tls() {
        // A response would cost a handshake.
        hub.usage.addresses.leave(key);
        return drop_client(hub, id);
    }
    if admission == Admission::Dropped {
        return drop_client(hub, id);
    }
    client.address_key = Some(key);
    if admission == Admission::Refused {
        answering::refuse(hub, id, Refusal::TooManyFromAddress);
    }
}

fn drop_client(hub: &mut Hub, id: ClientId) {
    hub.counts.dropped += 1;
    debug!("{id} dropped: too many connections from its address");
    lifecycle::lose(hub, id);
}

/// Drops a client whose connection does not begin with a header, without an answer.
#[cold]
pub(crate) fn refuse(hub: &mut Hub, id: ClientId, refusal: ProxyRefusal) {
    count(hub, refusal, format_args!("{id} dropped: {refusal}"));
    lifecycle::lose(hub, id);
}

/// Counts and logs a connection of a peer that is not a trusted proxy.
#[cold]
pub(crate) fn refuse_untrusted(hub: &mut Hub, peer: SocketAddr) {
    let refusal = ProxyRefusal::Untrusted;
    let ip = peer.ip().to_canonical().to_string();
    let flag = Flag("trusted-proxy", &ip);
    count(hub, refusal, format_args!("{peer} dropped: {refusal}; start with {flag} to trust it"));
}

fn count(hub: &mut Hub, refusal: ProxyRefusal, line: fmt::Arguments<'_>) {
    *hub.counts.refused_headers.entry(refusal).or_default() += 1;
    hub.log_refusal(line);
}
