//! What pages of other origins may do, once their origin is allowed (Fetch, section 3.2).

use townhall::protocol::Refusal;
use townhall::{ClientId, Hub, Request, Response};

/// Checks the page that a request comes from. A page of another site could otherwise use a server that
/// only its visitor can reach.
///
/// # Errors
/// The response to a page that may not send the request.
pub fn check_page(hub: &mut Hub, client: ClientId, request: &Request<'_>) -> Result<(), Response> {
    if hub.allows_page(client, request) { Ok(()) } else { Err(Response::refusal(Refusal::Origin)) }
}

/// Whether a browser asks whether a page may send a request.
pub fn is_preflight(request: &Request<'_>) -> bool {
    request.header("Origin").is_some() && request.header("Access-Control-Request-Method").is_some()
}

/// The response to a preflight of a page whose origin is allowed.
pub fn preflight(request: &Request<'_>) -> Response {
    let fields = [
        ("Access-Control-Allow-Methods", "POST"),
        ("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key"),
        ("Access-Control-Max-Age", "600"),
    ];
    let response = fields.into_iter().fold(Response::new(204), |response, (name, value)| {
        response.header(name, value).expect("a valid field")
    });
    expose(request, response)
}

/// Lets a page whose origin is allowed read the response.
pub fn expose(request: &Request<'_>, response: Response) -> Response {
    expose_to(request.header("Origin"), response)
}

/// Lets a page of an origin that is allowed read the response.
pub fn expose_to(origin: Option<&str>, response: Response) -> Response {
    let Some(origin) = origin else { return response };
    let named = response.clone().header("Access-Control-Allow-Origin", origin.to_owned());
    named.and_then(|response| response.header("Vary", "Origin")).unwrap_or(response)
}
