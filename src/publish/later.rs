//! Requests that are answered once Redis has the message.

use std::collections::HashMap;

use townhall::Deferred;

use super::repeats::Entry;

/// The requests by the numbers of their messages.
pub type Later = HashMap<u64, Waiting>;

/// A request that is not answered yet.
#[derive(Debug)]
pub struct Waiting {
    pub deferred: Deferred,
    /// The page that may read the response.
    pub origin: Option<String>,
    pub room: String,
    pub entry: Option<Entry>,
}
