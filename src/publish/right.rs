//! Who may publish.

use townhall::{Request, Response};

use crate::key::Key;

/// Checks that a request may publish in a room. Without a key, whoever may connect to the room may: a
/// WebSocket can publish there too. The page that the request comes from has been checked.
///
/// # Errors
/// The response to a request that may not.
pub fn may_publish(key: Option<&Key>, request: &Request<'_>, _room: &str) -> Result<(), Response> {
    match key {
        Some(key) if !key.admits(request) => Err(Key::challenge("publish")),
        _ => Ok(()),
    }
}
