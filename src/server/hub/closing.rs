//! The end of a connection by the peer: a close frame, a violation of the protocol, or the end of TCP.

use log::debug;

use crate::protocol::{CloseFrame, Violation};
use crate::server::client_id::ClientId;
use crate::server::departure::{Cause, Departure};
use crate::server::hub::state::Hub;
use crate::server::hub::{backlog, lifecycle, tls_handshake};
use crate::server::tls_counts::TlsFailure;

/// Handles the end of the peer's side. If our last bytes are queued, they are still written, but the
/// server does not wait for an answer.
#[cold]
pub(crate) fn end_of_input(hub: &mut Hub, id: ClientId) {
    let Some(client) = hub.clients.get_mut(id) else { return };
    client.peer_ended = true;
    if client.transport.is_in_handshake() {
        return tls_handshake::fail(hub, id, TlsFailure::Ended, &"the peer ended the connection");
    }
    if client.connection.is_handshaking() && client.private_bytes() > 0 {
        // It may still read the responses to its requests.
        return lifecycle::finish(hub, id, |connection, _| connection.abandon());
    }
    if client.is_over() || !client.is_finishing() {
        return lifecycle::lose(hub, id);
    }
    if !client.connection.is_closed() {
        client.connection.abandon();
        lifecycle::depart(hub, id, Departure::abnormal(Cause::Lost));
        hub.mark_dirty(id);
    }
}

/// Drops a client that has sent no request in time. Browsers open connections in advance, and may not use
/// them.
pub(crate) fn drop_untouched(hub: &mut Hub, id: ClientId) {
    if hub.clients.get(id).is_some_and(|client| client.transport.is_in_handshake()) {
        return tls_handshake::fail(hub, id, TlsFailure::Timeout, &"it took too long");
    }
    debug!("{id} sent no request");
    lifecycle::lose(hub, id);
}

/// Answers a close frame. "It SHOULD do so as soon as practical" (RFC 6455, section 5.5.1): only the
/// frame that has begun is written before the answer.
pub(crate) fn answer_close(hub: &mut Hub, id: ClientId, frame: Option<&CloseFrame>) {
    backlog::make_way(hub, id);
    lifecycle::finish(hub, id, |connection, out| connection.answer_close(frame, out));
    // RFC 6455, section 7.1.5: without a code it "is considered to be 1005".
    let (code, reason) = frame.map_or((1005, ""), |frame| (frame.code.get(), &frame.reason));
    let reason = reason.to_owned();
    lifecycle::depart(
        hub,
        id,
        Departure { code, reason, was_clean: true, cause: Cause::Peer, room: None },
    );
}

#[cold]
pub(crate) fn fail(hub: &mut Hub, id: ClientId, violation: Violation) {
    hub.log_refusal(format_args!("{id} closed with {}: {violation}", violation.close_code()));
    let cause = Cause::Violation(violation);
    if let Some(client) = hub.clients.get_mut(id) {
        client.pending_departure.get_or_insert_default().cause = Some(cause);
    }
    backlog::make_way(hub, id);
    lifecycle::finish(hub, id, |connection, out| connection.fail(violation, out));
    if hub.clients.get(id).is_some_and(|client| client.connection.is_closed()) {
        lifecycle::depart(hub, id, Departure::abnormal(cause));
    }
}
