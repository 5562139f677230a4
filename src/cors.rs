//! What pages of other origins may do, once their origin is allowed (Fetch, section 3.2).

use townhall::{Request, Response};

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
    let Some(origin) = request.header("Origin") else { return response };
    let named = response.clone().header("Access-Control-Allow-Origin", origin.to_owned());
    named.and_then(|response| response.header("Vary", "Origin")).unwrap_or(response)
}
