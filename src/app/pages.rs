//! What the program answers to plain requests that publish nothing.

use townhall::{ClientId, Exchange, Hub, Response};

use crate::page::{ClientModule, Page};
use crate::presence::{Counter, Presence, prefers_json};

/// The pages that do not change.
pub struct Pages {
    page: Page,
    module: ClientModule,
}

impl Pages {
    pub fn new() -> Self {
        Self { page: Page::new(), module: ClientModule::new() }
    }

    /// Responds with the chat page, the module for other pages, the number of members of a room, or whether
    /// the server accepts new clients, for load balancers.
    pub fn answer(
        &self,
        counter: &Counter,
        presence: &Presence,
        hub: &mut Hub,
        client: ClientId,
        exchange: Exchange<'_>,
    ) {
        let request = exchange.request();
        match request.normal_path().as_str() {
            "/" if !prefers_json(request, true) => exchange.respond(self.page.response()),
            "/townhall.js" => {
                let response = self.module.response(request);
                exchange.respond(response);
            }
            "/health" if hub.is_stopping() => exchange.respond(Response::text(503, "stopping")),
            "/health" => exchange.respond(Response::text(200, "ok")),
            _ if prefers_json(request, false) => {
                exchange.respond(counter.answer(presence, hub, client, request));
            }
            _ => {}
        }
    }
}
