//! How and why a client left.

use std::fmt;

use crate::protocol::{Refusal, Violation};

/// How a connection ended, with the fields of a browser's `CloseEvent`, and why.
///
/// ```
/// use townhall::{Cause, CauseKind, Departure, Event, Hub};
///
/// /// Notifies the room, and logs the causes that only the server knows.
/// fn note(hub: &mut Hub, departure: &Departure) {
///     if let Some(room) = &departure.room {
///         hub.broadcast(room, "a member left");
///     }
///     match departure.cause {
///         Cause::Violation(violation) => println!("a client broke the protocol: {violation}"),
///         cause if cause.kind() == CauseKind::TooSlow => println!("a client fell behind"),
///         _ if departure.was_clean => {}
///         // Such as `1006 (not clean): the connection was lost`.
///         _ => println!("{departure}"),
///     }
/// }
/// # let _ = note;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Departure {
    /// The code of the peer's close frame; 1005 if it had none, 1006 if no close frame arrived (RFC
    /// 6455, section 7.1.5).
    pub code: u16,
    /// The reason in the peer's close frame (RFC 6455, section 7.1.6).
    pub reason: String,
    /// Whether both sides sent a close frame (RFC 6455, section 7.1.4).
    pub was_clean: bool,
    /// The cause of the departure.
    pub cause: Cause,
    /// The room that the client was in, if any.
    pub room: Option<Box<str>>,
}

impl Departure {
    /// 1006: no close frame arrived.
    pub(crate) fn abnormal(cause: Cause) -> Self {
        Self { code: 1006, reason: String::new(), was_clean: false, cause, room: None }
    }
}

impl fmt::Display for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clean = if self.was_clean { "clean" } else { "not clean" };
        write!(f, "{} ({clean}): {}", self.code, self.cause)
    }
}

/// The cause of a departure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The peer sent a close frame.
    Peer,
    /// The TCP connection ended or failed without a close frame from the peer.
    Lost,
    /// The application closed the connection.
    Application,
    /// The peer broke the protocol.
    Violation(Violation),
    /// The peer fell further behind than the backlog limit.
    TooSlow,
    /// The peer exceeded its rates for too long.
    TooFast,
    /// The memory that the server holds for all clients reached its limit.
    Overload,
    /// The peer did not answer a ping.
    Silent,
    /// The peer read nothing for too long while data was waiting for it.
    Stalled,
    /// The connection reached its maximum age
    /// ([`ConnectionLimits::max_age`](crate::ConnectionLimits::max_age)).
    TooOld,
    /// The server is shutting down.
    Shutdown,
    /// The limits did not allow the room that the application chose in
    /// [`Event::Upgrade`](crate::Event::Upgrade). The client got this refusal as its response, and never
    /// opened.
    Refused(Refusal),
}

impl Cause {
    /// The kind of this cause. [`Counts`](crate::Counts) counts departures by kind.
    pub fn kind(self) -> CauseKind {
        match self {
            Self::Peer => CauseKind::Peer,
            Self::Lost => CauseKind::Lost,
            Self::Application => CauseKind::Application,
            Self::Violation(_) => CauseKind::Violation,
            Self::TooSlow => CauseKind::TooSlow,
            Self::TooFast => CauseKind::TooFast,
            Self::Overload => CauseKind::Overload,
            Self::Silent => CauseKind::Silent,
            Self::Stalled => CauseKind::Stalled,
            Self::TooOld => CauseKind::TooOld,
            Self::Shutdown => CauseKind::Shutdown,
            Self::Refused(_) => CauseKind::Refused,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer => f.write_str("the peer closed the connection"),
            Self::Lost => f.write_str("the connection was lost"),
            Self::Application => f.write_str("the application closed the connection"),
            Self::Violation(violation) => violation.fmt(f),
            Self::TooSlow => f.write_str("the peer fell too far behind"),
            Self::TooFast => f.write_str("the peer exceeded its rate"),
            Self::Overload => f.write_str("the server reached its memory limit"),
            Self::Silent => f.write_str("the peer did not answer a ping"),
            Self::Stalled => f.write_str("the peer read nothing for too long"),
            Self::TooOld => f.write_str("the connection reached its maximum age"),
            Self::Shutdown => f.write_str("server shutting down"),
            Self::Refused(refusal) => refusal.fmt(f),
        }
    }
}

/// Defines the kinds of causes, their texts, and the list of all.
macro_rules! kinds {
    ($(#[$docs:meta])* $($kind:ident => $text:literal,)*) => {
        $(#[$docs])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum CauseKind {
            $(
                #[doc = concat!("[`Cause::", stringify!($kind), "`].")]
                $kind,
            )*
        }

        impl CauseKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];
        }

        impl fmt::Display for CauseKind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$kind => $text,)*
                })
            }
        }
    };
}

kinds! {
    /// The kind of a [`Cause`], without its details, for counts and metrics.
    ///
    /// ```
    /// use townhall::{Cause, CauseKind};
    ///
    /// assert_eq!(Cause::TooSlow.kind(), CauseKind::TooSlow);
    /// assert_eq!(CauseKind::TooSlow.to_string(), "too slow");
    /// assert!(CauseKind::ALL.contains(&CauseKind::TooSlow));
    /// ```
    Peer => "peer",
    Lost => "lost",
    Application => "application",
    Violation => "violation",
    TooSlow => "too slow",
    TooFast => "too fast",
    Overload => "overload",
    Silent => "silent",
    Stalled => "stalled",
    TooOld => "too old",
    Shutdown => "shutdown",
    Refused => "refused",
}
