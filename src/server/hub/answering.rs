//! Responses to HTTP requests.

use std::time::SystemTime;

use log::debug;

use crate::protocol::{Refusal, Response};
use crate::server::client_id::ClientId;
use crate::server::hub::lifecycle;
use crate::server::hub::state::Hub;
use crate::server::time::date::http_date;

pub(super) fn respond(hub: &mut Hub, id: ClientId, response: &Response) {
    debug!("{id} answered with {}", response.status());
    let response = match http_date(SystemTime::now()) {
        Some(date) => response.clone().header("Date", date).expect("a date is a valid value"),
        None => response.clone(),
    };
    lifecycle::finish_with_response(hub, id, |connection, out| connection.respond(&response, out));
}

/// Refuses a request, with the reason in the response.
pub(crate) fn refuse(hub: &mut Hub, id: ClientId, refusal: Refusal) {
    hub.log_refusal(format_args!("{id} refused with {}: {refusal}", refusal.status()));
    *hub.counts.refused.entry(refusal).or_default() += 1;
    respond(hub, id, &Response::refusal(refusal));
}
