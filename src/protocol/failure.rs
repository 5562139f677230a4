//! Errors of a peer that end a connection, before or after the upgrade.

use std::fmt;

use super::http::Refusal;
use super::violation::Violation;

/// An error of a peer that ends the connection. [`Connection::fail`](super::Connection::fail) answers
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// Before the upgrade: the refusal of a request.
    Handshake(Refusal),
    /// After the upgrade: a violation of the rules for frames and messages.
    Protocol(Violation),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handshake(refusal) => refusal.fmt(f),
            Self::Protocol(violation) => violation.fmt(f),
        }
    }
}

impl std::error::Error for Failure {}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Handshake(refusal)
    }
}

impl From<Violation> for Failure {
    fn from(violation: Violation) -> Self {
        Self::Protocol(violation)
    }
}
