//! `/townhall.js`: a client for pages that comes back after a lost connection.

use townhall::{Request, Response};

use super::hash;

const JS: &str = include_str!("townhall.js");

/// The module and its entity tag.
pub struct ClientModule {
    etag: String,
}

impl ClientModule {
    pub fn new() -> Self {
        Self { etag: format!("\"{}\"", hash(JS)) }
    }

    /// The response to a request for the module. It is the same for pages of every origin, which may all
    /// import it: who may connect is decided at the connection.
    pub fn response(&self, request: &Request<'_>) -> Response {
        let fields = [
            ("ETag", self.etag.clone()),
            ("Content-Type", "text/javascript; charset=utf-8".into()),
            ("X-Content-Type-Options", "nosniff".into()),
            ("Access-Control-Allow-Origin", "*".into()),
            ("Cache-Control", "no-cache".into()),
        ];
        let response = if self.is_current(request) {
            Response::new(304)
        } else {
            Response::new(200).body(JS.as_bytes())
        };
        let add = |response: Response, (name, value)| response.header(name, value);
        fields.into_iter().try_fold(response, add).expect("the fields are valid")
    }

    /// Whether the client has this version (RFC 9110, section 13.1.2, with the weak comparison).
    fn is_current(&self, request: &Request<'_>) -> bool {
        let lines = request.header_values("If-None-Match");
        let lines = lines.filter_map(|line| std::str::from_utf8(line).ok());
        let mut tags = lines.flat_map(|line| line.split(',')).map(str::trim);
        tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.etag)
    }
}
