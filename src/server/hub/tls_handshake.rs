//! The outcome of a TLS handshake.

use std::fmt::Display;
use std::io;

use log::debug;

use crate::server::client_id::ClientId;
use crate::server::hub::lifecycle;
use crate::server::hub::state::Hub;
use crate::server::shown::Shown;
use crate::server::tls_counts::TlsFailure;

/// Notes that a handshake has advanced. Once it is complete, it is counted, and what could not be sent before
/// can be sent.
#[cold]
pub(crate) fn advance(hub: &mut Hub, id: ClientId) {
    let Some(client) = hub.clients.get_mut(id) else { return };
    let complete = !client.transport.is_in_handshake();
    if complete && client.transport.was_resumed() {
        hub.counts.tls.resumed += 1;
    } else if complete {
        hub.counts.tls.full += 1;
    }
    if client.transport.has_unsent() {
        client.note_unsent(&mut hub.memory, hub.time.timestamp);
    } else if complete {
        lifecycle::unblock(hub, id);
    }
}

/// Drops a client whose connection failed with this error, in its TLS handshake or later.
#[cold]
pub(crate) fn lose(hub: &mut Hub, id: ClientId, error: &io::Error) {
    let transport = hub.clients.get(id).map(|client| &client.transport);
    match transport.and_then(|transport| transport.handshake_failure(error)) {
        Some(failure) => fail(hub, id, failure, error),
        None => {
            debug!("{id}: {error}");
            lifecycle::lose(hub, id);
        }
    }
}

/// Counts a handshake that failed, also for the limits of the client's address, and drops the client.
#[cold]
pub(crate) fn fail(hub: &mut Hub, id: ClientId, failure: TlsFailure, reason: &dyn Display) {
    let reason = reason.to_string();
    let reason = Shown(reason.as_bytes());
    hub.log_refusal(format_args!("{id} failed the TLS handshake ({failure}): {reason}"));
    *hub.counts.tls.failed.entry(failure).or_default() += 1;
    if let Some(key) = hub.clients.get(id).and_then(|client| client.address_key) {
        hub.usage.addresses.charge_failed_handshake(key, hub.time.timestamp, &hub.config);
    }
    lifecycle::lose(hub, id);
}
