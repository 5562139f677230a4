//! The public types keep their auto traits and are errors where they are said to be: to lose one breaks
//! programs, although nothing here changes.

use std::error::Error;
use std::fmt::Debug;

use townhall::protocol::{
    Buffers, Connection, Deflater, Failure, InvalidAuthority, InvalidExtensions,
};
use townhall::{
    ClientId, Config, ConfigError, Counts, Departure, Handle, HandleError, Hub, InvalidHeader,
    InvalidHost, InvalidOrigin, InvalidRoomPattern, Message, Refusal, Request, Response, Server,
    SubprotocolNotOffered, Violation,
};

/// A server is built on one thread and runs on another.
fn is_send<T: Debug + Send + Unpin + 'static>() {}

fn is_shareable<T: Debug + Send + Sync + Unpin + 'static>() {}

/// `?` turns it into `Box<dyn Error + Send + Sync>`, and into the errors of the usual crates.
fn is_error<T: Error + Send + Sync + Unpin + 'static>() {}

#[test]
fn public_types_can_be_sent_and_shared() {
    is_send::<Server>();
    is_send::<Hub>();
    is_shareable::<Handle>();
    is_shareable::<Config>();
    is_shareable::<ClientId>();
    is_shareable::<Counts>();
    is_shareable::<Departure>();
    is_shareable::<Message<'static>>();
    is_shareable::<Request<'static>>();
    is_shareable::<Response>();
    is_shareable::<Connection>();
    is_shareable::<Buffers>();
    is_shareable::<Deflater>();
}

#[test]
fn errors_are_errors() {
    is_error::<ConfigError>();
    is_error::<Failure>();
    is_error::<HandleError>();
    is_error::<InvalidAuthority>();
    is_error::<InvalidExtensions>();
    is_error::<InvalidHeader>();
    is_error::<InvalidHost>();
    is_error::<InvalidOrigin>();
    is_error::<InvalidRoomPattern>();
    is_error::<Refusal>();
    is_error::<SubprotocolNotOffered>();
    is_error::<Violation>();
}
