//! The reasons for refusing a request, and the status of the response.

use std::fmt;

/// The methods that are served, as the value of a field (RFC 9110, section 10.2.1).
pub(crate) const ALLOWED_METHODS: &str = "GET, HEAD, OPTIONS";

/// The methods that a resource may have: those of RFC 9110, section 9.3, without CONNECT and TRACE, which
/// concern the connection.
const IMPLEMENTED_METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"];

/// Defines the status of each reason, and the list of all statuses.
macro_rules! statuses {
    ($($status:literal => $reasons:pat,)*) => {
        /// Every status of a refusal, in ascending order.
        pub const STATUSES: &'static [u16] = &[$($status),*];

        /// The HTTP status of the response.
        pub fn status(self) -> u16 {
            match self {
                $($reasons => $status,)*
            }
        }
    };
}

/// The reason why a request is refused.
///
/// Its text is the body of the response, [`Response::refusal`](super::Response::refusal).
///
/// ```
/// use townhall::protocol::Refusal;
///
/// assert_eq!(Refusal::Origin.status(), 403);
/// assert_eq!(Refusal::Origin.to_string(), "origin not allowed");
/// assert_eq!(Refusal::Full.headers(), [("Retry-After", "5")]);
/// assert!(Refusal::STATUSES.contains(&403));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Refusal {
    /// The head is not HTTP, or breaks one of its rules.
    Malformed(&'static str),
    /// The request line is longer than the limit of the whole head (RFC 9112, section 3).
    TargetTooLong,
    /// The head is longer than the configured limit (RFC 6585, section 5).
    HeadTooLong,
    /// The head has more fields than the configured limit (RFC 6585, section 5).
    TooManyHeaders,
    /// TLS was sent to a port that speaks plain HTTP.
    Tls,
    /// The major version is not that of HTTP/1.1 (RFC 9110, section 15.6.6).
    HttpVersion,
    /// The target does not have the method, or it is not GET for an upgrade (RFC 6455, section 4.2.1).
    Method,
    /// No target has the method (RFC 9110, section 15.6.2).
    MethodNotImplemented,
    /// The request has a body, which the server does not read (RFC 9110, section 15.5.14).
    HasBody,
    /// The body is longer than the configured limit (RFC 9110, section 15.5.14).
    BodyTooLong,
    /// The body has another transfer coding than `chunked` (RFC 9112, section 6.1).
    TransferCoding,
    /// The client expects something other than `100-continue` (RFC 9110, section 10.1.1).
    Expectation,
    /// The request does not ask for an upgrade to WebSocket.
    NoUpgrade,
    /// The request asks for an upgrade in HTTP/1.0, which does not support it (RFC 9110, section 7.8).
    UpgradeInHttp10,
    /// The requesting page's origin is not allowed (RFC 6455, section 10.2).
    Origin,
    /// The request is for a host other than this server (RFC 9110, section 15.5.20).
    Misdirected,
    /// The scheme of the target is not that of the connection (RFC 9110, section 7.4).
    Scheme,
    /// The path is not one of the allowed rooms.
    NoSuchRoom,
    /// The WebSocket version is not 13 (RFC 6455, section 4.4).
    WebSocketVersion,
    /// The request did not arrive in time (RFC 9110, section 15.5.9).
    Timeout,
    /// The application has not answered in time.
    Unanswered,
    /// The name of the room is longer than the configured limit (RFC 9110, section 15.5.15).
    RoomNameTooLong,
    /// Too many connections come from one address (RFC 6585, section 4).
    TooManyFromAddress,
    /// The server has the maximum number of connections.
    Full,
    /// The server has the maximum number of rooms.
    TooManyRooms,
    /// Too many rooms were created from one address (RFC 6585, section 4).
    TooManyRoomsFromAddress,
    /// The server is shutting down.
    Stopping,
}

impl Refusal {
    statuses! {
        400 => Self::Malformed(_) | Self::Tls,
        403 => Self::Origin,
        404 => Self::NoSuchRoom,
        405 => Self::Method,
        408 => Self::Timeout,
        413 => Self::HasBody | Self::BodyTooLong,
        414 => Self::TargetTooLong | Self::RoomNameTooLong,
        417 => Self::Expectation,
        421 => Self::Misdirected | Self::Scheme,
        426 => Self::NoUpgrade | Self::UpgradeInHttp10 | Self::WebSocketVersion,
        429 => Self::TooManyFromAddress | Self::TooManyRoomsFromAddress,
        431 => Self::HeadTooLong | Self::TooManyHeaders,
        501 => Self::MethodNotImplemented | Self::TransferCoding,
        503 => Self::Full | Self::TooManyRooms | Self::Stopping | Self::Unanswered,
        505 => Self::HttpVersion,
    }

    /// The refusal of a request whose target does not have this method (RFC 9110, section 9.1). Methods are
    /// case-sensitive.
    pub(super) fn of_method(method: &str) -> Self {
        if IMPLEMENTED_METHODS.contains(&method) {
            Self::Method
        } else {
            Self::MethodNotImplemented
        }
    }

    /// The header fields that the status requires, as names and values.
    pub fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Method => &[("Allow", ALLOWED_METHODS)],
            Self::NoUpgrade | Self::UpgradeInHttp10 => &[("Upgrade", "websocket")],
            Self::WebSocketVersion => &[("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket")],
            Self::TooManyFromAddress
            | Self::TooManyRoomsFromAddress
            | Self::Full
            | Self::TooManyRooms
            | Self::Stopping
            | Self::Unanswered => &[("Retry-After", "5")],
            _ => &[],
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed(what) => what,
            Self::TargetTooLong => "request line too long",
            Self::HeadTooLong => "request head too long",
            Self::TooManyHeaders => "too many header fields",
            Self::Tls => "TLS on a port for plain HTTP: use http:// or ws://",
            Self::HttpVersion => "unsupported HTTP version: use HTTP/1.1",
            Self::Method => "method not allowed: use GET, HEAD or OPTIONS; an upgrade needs GET",
            Self::MethodNotImplemented => "method not implemented; methods are case-sensitive",
            Self::HasBody => "a request must not have a body",
            Self::BodyTooLong => "the body is too long",
            Self::TransferCoding => "unsupported transfer coding: use chunked",
            Self::Expectation => "unsupported expectation: use 100-continue",
            Self::NoUpgrade => "this is a WebSocket endpoint: connect with a WebSocket client",
            Self::UpgradeInHttp10 => {
                "an upgrade to WebSocket needs HTTP/1.1, but this request is HTTP/1.0"
            }
            Self::Origin => "origin not allowed",
            Self::Misdirected => "host not served here",
            Self::Scheme => "https and wss need TLS, and http and ws a connection without it",
            Self::NoSuchRoom => "no such room",
            Self::WebSocketVersion => "unsupported WebSocket version: use 13",
            Self::Timeout => "request timed out",
            Self::Unanswered => "no answer in time, try again later",
            Self::RoomNameTooLong => "room name too long",
            Self::TooManyFromAddress => "too many connections from your address",
            Self::Full => "server full, try again later",
            Self::TooManyRooms => "too many rooms, try again later",
            Self::TooManyRoomsFromAddress => "too many rooms created from your address",
            Self::Stopping => "server shutting down, try again later",
        })
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_statuses_is_in_order() {
        assert!(Refusal::STATUSES.is_sorted_by(|a, b| a < b));
    }
}
