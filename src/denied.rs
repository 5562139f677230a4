//! Why the program denies something by itself, for its counts. The server counts its own refusals.

use townhall::{ClientId, Hub, Response};

/// Why the program has refused a request or ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    NoToken,
    SeveralTokens,
    InvalidToken,
    EndedToken,
    RevokedToken,
    NoRightToJoin,
    NoRightToPublish,
    NoPublishKey,
    OnlyTheServerSpeaks,
    NoSuchRoom,
    LongRoomName,
    NoContent,
    ContentCoding,
}

impl Denied {
    pub const ALL: [Self; 13] = [
        Self::NoToken,
        Self::SeveralTokens,
        Self::InvalidToken,
        Self::EndedToken,
        Self::RevokedToken,
        Self::NoRightToJoin,
        Self::NoRightToPublish,
        Self::NoPublishKey,
        Self::OnlyTheServerSpeaks,
        Self::NoSuchRoom,
        Self::LongRoomName,
        Self::NoContent,
        Self::ContentCoding,
    ];

    /// The words under which it is counted.
    pub fn text(self) -> &'static str {
        match self {
            Self::NoToken => "no token",
            Self::SeveralTokens => "several tokens",
            Self::InvalidToken => "invalid token",
            Self::EndedToken => "ended token",
            Self::RevokedToken => "revoked token",
            Self::NoRightToJoin => "no right to join",
            Self::NoRightToPublish => "no right to publish",
            Self::NoPublishKey => "no publish key",
            Self::OnlyTheServerSpeaks => "only the server speaks",
            Self::NoSuchRoom => "no such room",
            Self::LongRoomName => "long room name",
            Self::NoContent => "no content",
            Self::ContentCoding => "content coding",
        }
    }

    pub fn count(self, hub: &mut Hub) {
        hub.count_refusal(self.text());
    }

    /// Counts and logs that a request is refused with this response, and returns it.
    pub fn refuse(self, hub: &mut Hub, client: ClientId, response: Response) -> Response {
        self.count(hub);
        let status = response.status();
        hub.log_refusal(format_args!("{client} refused with {status}: {}", self.text()));
        response
    }
}
