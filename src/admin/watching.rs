//! The clients that watch the rooms of the server.

use townhall::{ClientId, CloseCode, Hub, Upgrade};

use super::desk::Desk;
use crate::presence::{ONLY_THE_SERVER, Requests, Subject, Watch};

/// Accepts or refuses an upgrade.
pub fn admit(desk: &Desk, hub: &mut Hub, client: ClientId, upgrade: Upgrade<'_>) {
    match desk.admit_watcher(upgrade.request()) {
        Ok(subject) => _ = hub.set_data(client, subject),
        Err(response) => upgrade.refuse(response),
    }
}

/// Lets a client watch what it has asked for.
pub fn open(requests: &Requests, hub: &mut Hub, client: ClientId) {
    let Some(subject) = hub.take_data::<Subject>(client) else { return };
    match requests.watch(hub, client, subject) {
        Ok(watch) => _ = hub.set_data(client, watch),
        Err(error) => hub.close(client, CloseCode::TRY_AGAIN_LATER, &error.to_string()),
    }
}

/// Closes a client that has sent a message.
pub fn silence(hub: &mut Hub, client: ClientId) {
    hub.close(client, CloseCode::POLICY_VIOLATION, ONLY_THE_SERVER);
}

/// Notes that a client has left.
pub fn close(requests: &Requests, hub: &mut Hub, client: ClientId) {
    if let Some(watch) = hub.take_data::<Watch>(client) {
        requests.leave(watch);
    }
}
