//! Responses to HTTP requests.

use log::debug;

use crate::protocol::{Refusal, Response};
use crate::server::client_id::ClientId;
use crate::server::hub::lifecycle;
use crate::server::hub::state::Hub;
use crate::server::system;

/// Answers a request, and ends the connection.
pub(super) fn respond(hub: &mut Hub, id: ClientId, response: Response) {
    let response = dated(hub, id, response);
    lifecycle::finish_with_response(hub, id, |connection, out| connection.respond(&response, out));
}

/// Answers a request, and waits for the next one.
pub(super) fn respond_and_persist(hub: &mut Hub, id: ClientId, response: Response) {
    let response = dated(hub, id, response);
    let recipient = hub.recipient(id).filter(|(client, ..)| !client.is_finishing());
    if let Some((client, _, memory)) = recipient {
        client.queue_response(memory, |connection, out| {
            connection.respond_and_persist(&response, out);
        });
        client.awaits_request = true;
        lifecycle::expect_within(hub, id, hub.config.timeouts.keep_alive);
    }
}

fn dated(hub: &mut Hub, id: ClientId, response: Response) -> Response {
    debug!("{id} answered with {}", response.status());
    match hub.time.date.at(system::wall_clock()) {
        Some(date) => response.header("Date", date.to_owned()).expect("a date is a valid value"),
        None => response,
    }
}

/// Refuses a request, with the reason in the response.
pub(crate) fn refuse(hub: &mut Hub, id: ClientId, refusal: Refusal) {
    hub.log_refusal(format_args!("{id} refused with {}: {refusal}", refusal.status()));
    *hub.counts.refused.entry(refusal).or_default() += 1;
    respond(hub, id, Response::refusal(refusal));
}
