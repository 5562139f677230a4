//! How a connection ends, and the exit status for that.

use std::fmt;
use std::io;

use townhall::protocol::{ClientFailure, CloseCode, CloseFrame, HandshakeResponse};

/// The exit status if there was no connection.
pub const UNREACHABLE: u8 = 16;

const LOST: u8 = 6;
const REFUSED: u8 = 17;

/// How a connection ended.
#[derive(Debug)]
pub enum End {
    /// There was no connection.
    Unreachable(io::Error),
    /// The server refused the upgrade.
    Refused(Box<HandshakeResponse>),
    /// The server broke the protocol.
    Failed(ClientFailure),
    /// The server closed.
    Closed(Option<CloseFrame>),
    /// The transport ended.
    Lost(String),
    /// The end was ours.
    Done,
}

impl End {
    /// The exit status.
    pub fn status(&self) -> u8 {
        match self {
            Self::Unreachable(_) => UNREACHABLE,
            Self::Refused(_) | Self::Failed(ClientFailure::Handshake(_)) => REFUSED,
            Self::Failed(ClientFailure::Protocol(violation)) => status_of(violation.close_code()),
            Self::Failed(_) | Self::Lost(_) => LOST,
            Self::Closed(Some(frame)) => status_of(frame.code),
            Self::Closed(None) | Self::Done => 0,
        }
    }

    /// Whether it makes sense to try again.
    pub fn may_return(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Lost(_) => true,
            Self::Refused(response) => matches!(response.status(), 408 | 429 | 500..),
            Self::Closed(Some(frame)) => matches!(frame.code.get(), 1001 | 1011..=1014),
            Self::Failed(_) | Self::Closed(None) | Self::Done => false,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(error) => write!(f, "cannot connect: {error}"),
            Self::Refused(response) => write_refusal(response, f),
            Self::Failed(failure) => write!(f, "the server broke the protocol: {failure}"),
            Self::Closed(None) => f.write_str("closed without a code"),
            Self::Closed(Some(CloseFrame { code, reason })) if reason.is_empty() => {
                write!(f, "closed with {code}")
            }
            Self::Closed(Some(CloseFrame { code, reason })) => {
                write!(f, "closed with {code}: {}", reason.escape_debug())
            }
            Self::Lost(reason) => write!(f, "the connection was lost: {reason}"),
            Self::Done => f.write_str("closed"),
        }
    }
}

fn write_refusal(response: &HandshakeResponse, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "refused: {} {}", response.status(), response.reason().escape_debug())?;
    for name in ["Location", "Retry-After", "WWW-Authenticate", "Sec-WebSocket-Version"] {
        if let Some(value) = response.header(name) {
            write!(f, "\n{name}: {}", value.escape_debug())?;
        }
    }
    for line in String::from_utf8_lossy(response.body()).lines() {
        write!(f, "\n{}", line.escape_debug())?;
    }
    Ok(())
}

/// The last two digits of a code of the protocol, and 100 more for those of libraries and applications.
fn status_of(code: CloseCode) -> u8 {
    let digits = (code.get() % 100) as u8;
    if code.get() < 3000 { digits } else { 100 + digits }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(code: u16) -> End {
        let code = CloseCode::new(code).unwrap();
        End::Closed(Some(CloseFrame { code, reason: String::new() }))
    }

    #[test]
    fn the_status_is_the_close_code_as_far_as_it_fits() {
        for (code, status) in
            [(1000, 0), (1001, 1), (1013, 13), (3000, 100), (4001, 101), (4999, 199)]
        {
            assert_eq!(closed(code).status(), status, "{code}");
        }
        assert_eq!(End::Closed(None).status(), 0);
        assert_eq!(End::Lost(String::new()).status(), 6);
    }

    #[test]
    fn only_what_may_pass_is_a_reason_to_return() {
        for (code, returns) in
            [(1000, false), (1001, true), (1008, false), (1012, true), (1013, true), (4403, false)]
        {
            assert_eq!(closed(code).may_return(), returns, "{code}");
        }
    }
}
