//! Plain requests, and the answers of the application.

use std::net::IpAddr;

use crate::protocol::{Request, Response};
use crate::server::client_id::ClientId;

/// A plain HTTP request, and its response. `examples/http.rs` serves a page and a list of rooms.
///
/// ```
/// use townhall::{Event, Exchange, Response};
///
/// /// Answers requests from this machine; others get 426.
/// fn answer(exchange: Exchange<'_>) {
///     let is_local = exchange.address().is_some_and(|address| address.is_loopback());
///     if is_local && exchange.request().normal_path() == "/hello" {
///         exchange.respond(Response::text(200, "hello"));
///     }
/// }
/// # let _ = answer;
/// ```
///
/// With [`Config::any_method`](crate::Config::any_method):
///
/// ```
/// use townhall::{CloseCode, Exchange, Hub, Response};
///
/// /// Closes a room: `curl -X DELETE -H 'Authorization: Bearer secret' http://localhost:8080/lobby`.
/// fn answer(hub: &mut Hub, exchange: Exchange<'_>) {
///     let request = exchange.request();
///     match request.method() {
///         "DELETE" if request.header("Authorization") == Some("Bearer secret") => {
///             let members: Vec<_> = hub.members(&request.normal_path()).collect();
///             for &member in &members {
///                 hub.close(member, CloseCode::NORMAL, "the room is closed");
///             }
///             exchange.respond(Response::text(200, format!("closed {}", members.len())));
///         }
///         "DELETE" => exchange.respond(Response::text(401, "a token is needed")),
///         _ => {}
///     }
/// }
/// # let _ = answer;
/// ```
/// With [`Config::request_bodies`](crate::Config::request_bodies):
///
/// ```
/// use townhall::{Exchange, Hub, Response};
///
/// /// Publishes a body: `curl -d hello http://localhost:8080/lobby`.
/// fn answer(hub: &mut Hub, exchange: Exchange<'_>) {
///     if exchange.request().method() == "POST" {
///         let room = exchange.request().normal_path();
///         match str::from_utf8(exchange.body()) {
///             Ok(text) => {
///                 hub.broadcast(&room, text);
///                 exchange.respond(Response::new(204));
///             }
///             Err(_) => exchange.respond(Response::text(400, "the body is not UTF-8")),
///         }
///     }
/// }
/// # let _ = answer;
/// ```
#[derive(Debug)]
pub struct Exchange<'a> {
    pub(crate) client: ClientId,
    pub(crate) request: &'a Request<'a>,
    pub(crate) body: &'a [u8],
    pub(crate) address: Option<IpAddr>,
    pub(crate) is_persistent: bool,
    pub(crate) answer: &'a mut Answer,
}

/// How the application has answered a request.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Not at all.
    None,
    Now(Response),
    /// It will answer later.
    Later,
}

impl<'a> Exchange<'a> {
    /// The request. Its method is GET or HEAD, unless
    /// [`Config::any_method`](crate::Config::any_method) is set. A response that depends on the path should compare its
    /// [normal form](Request::normal_path).
    pub fn request(&self) -> &'a Request<'a> {
        self.request
    }

    /// The body, without its transfer coding. It is empty unless
    /// [`Config::request_bodies`](crate::Config::request_bodies) is set.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The client's address, as in [`Event::Open`](crate::Event::Open).
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Answers the request with a response.
    pub fn respond(self, response: Response) {
        *self.answer = Answer::Now(response);
    }

    /// Answers the request later, with [`Handle::answer`](crate::Handle::answer) or
    /// [`Hub::answer`](crate::Hub::answer). Until then, the server reads nothing more from the connection.
    /// If there is no answer within [`Timeouts::answer`](crate::Timeouts::answer), the client gets 503.
    ///
    /// ```
    /// use std::thread;
    /// use townhall::{Event, Handle, Response};
    ///
    /// /// Does the work for each request on a thread of its own.
    /// fn app(handle: &Handle, event: Event<'_>) {
    ///     if let Event::Request(exchange) = event {
    ///         let job = exchange.body().to_vec();
    ///         let deferred = exchange.defer();
    ///         let handle = handle.clone();
    ///         thread::spawn(move || {
    ///             let result = format!("{} bytes", job.len());
    ///             // This fails if the server has ended.
    ///             let _ = handle.answer(deferred, Response::text(200, result));
    ///         });
    ///     }
    /// }
    /// # let _ = app;
    /// ```
    pub fn defer(self) -> Deferred {
        *self.answer = Answer::Later;
        Deferred { client: self.client, is_persistent: self.is_persistent }
    }
}

/// A request that the application answers later: [`Exchange::defer`].
#[derive(Debug)]
#[must_use = "without an answer, the client gets 503 after a while"]
pub struct Deferred {
    pub(crate) client: ClientId,
    pub(crate) is_persistent: bool,
}

/// The head of a plain request whose body has not been read.
///
/// ```
/// use townhall::{Event, Response};
///
/// fn app(event: Event<'_>) {
///     match event {
///         Event::Head(head) if head.request().header("Authorization").is_none() => {
///             head.refuse(Response::text(401, "a token is needed"));
///         }
///         Event::Request(exchange) => println!("{} bytes", exchange.body().len()),
///         _ => {}
///     }
/// }
/// # let _ = app;
/// ```
#[derive(Debug)]
pub struct RequestHead<'a> {
    pub(crate) request: &'a Request<'a>,
    pub(crate) address: Option<IpAddr>,
    pub(crate) refusal: &'a mut Option<Response>,
}

impl<'a> RequestHead<'a> {
    /// The request.
    pub fn request(&self) -> &'a Request<'a> {
        self.request
    }

    /// The client's address, as in [`Event::Open`](crate::Event::Open).
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Answers with this response, without reading the body. The connection closes after it.
    pub fn refuse(self, response: Response) {
        *self.refusal = Some(response);
    }
}
