//! What the application learns, and decides.

use super::departure::Departure;
use crate::protocol::{Message, Request, Response};

/// What happened to a client. For each that opens: one [`Open`](Self::Open), any number of
/// [`Message`](Self::Message), one [`Close`](Self::Close).
///
/// An application can keep something for a client as soon as [`Upgrade`](Self::Upgrade) and drop it at
/// [`Close`](Self::Close), which follows unless the application itself refuses the upgrade.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A plain GET or HEAD request. The application may answer it; by default it gets 426, or 404 if
    /// its path is not a room ([`Config::rooms`](crate::Config::rooms)). The server itself answers
    /// OPTIONS.
    Request(Exchange<'a>),
    /// A correct request for an upgrade, within all limits, including those of its path's room. The
    /// application may refuse it or choose its room; by default it is accepted into the room that the
    /// normal form of its path names. If a room that the application chose is refused,
    /// [`Close`](Self::Close) follows without [`Open`](Self::Open), with the cause
    /// [`Refused`](crate::Cause::Refused).
    Upgrade(Upgrade<'a>),
    /// The client is connected. It is a member of no room until the application makes it one.
    Open {
        /// The room that its path or the application chose.
        room: &'a str,
    },
    /// The client sent a message.
    Message(Message<'a>),
    /// The client is gone; nothing more can be sent to it.
    Close(&'a Departure),
}

/// A plain HTTP request that awaits its answer.
#[derive(Debug)]
pub struct Exchange<'a> {
    pub(super) request: &'a Request<'a>,
    pub(super) answer: &'a mut Option<Response>,
}

impl<'a> Exchange<'a> {
    /// The request. Its method is GET or HEAD. An answer that depends on the path should go by its
    /// [normal form](Request::normal_path).
    pub fn request(&self) -> &'a Request<'a> {
        self.request
    }

    /// Answers the request.
    pub fn respond(self, response: Response) {
        *self.answer = Some(response);
    }
}

/// A request for an upgrade that awaits its answer.
#[derive(Debug)]
pub struct Upgrade<'a> {
    pub(super) request: &'a Request<'a>,
    pub(super) room: &'a mut String,
    pub(super) refusal: &'a mut Option<Response>,
}

impl<'a> Upgrade<'a> {
    /// The request.
    pub fn request(&self) -> &'a Request<'a> {
        self.request
    }

    /// The room that [`Event::Open`] will name: the one that was chosen, or the [normal
    /// form](Request::normal_path) of the request's path. Decide by this name whether a client may
    /// enter, since one room has many paths.
    pub fn room(&self) -> &str {
        self.room
    }

    /// Chooses the room that [`Event::Open`] will name.
    pub fn set_room(&mut self, room: &str) {
        room.clone_into(self.room);
    }

    /// Refuses the upgrade with this answer.
    pub fn refuse(self, response: Response) {
        *self.refusal = Some(response);
    }
}
