//! The server's own words to clients that speak the subprotocol `townhall.v1`: text messages that begin
//! with U+0000 and continue in JSON. The server refuses such texts from members.

use std::fmt;

use super::frame::{self, Opcode};
use super::position::Position;

/// The subprotocol of clients that understand the server's own words.
pub const SUBPROTOCOL: &str = "townhall.v1";

/// The first character of each word. No message of a member may begin with it.
pub const WORD_MARK: char = '\0';

/// Why a message of a member is refused that begins with [`WORD_MARK`].
pub const WORD_MARK_REFUSED: &str = "a text must not begin with U+0000";

/// What the server says itself.
///
/// ```
/// use townhall::protocol::{Position, Word};
///
/// let position = "k3v9q2.1042".parse()?;
/// let word = Word::Published(position);
/// assert_eq!(word.to_string(), "\0{\"published\":\"k3v9q2.1042\"}");
/// # Ok::<(), townhall::protocol::InvalidPosition>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Word {
    /// The first word in a room: `{"position":"k3v9q2.1042","recovered":true,"replay":17,"beat":30}`.
    #[non_exhaustive]
    Greeting {
        /// The place before the next message.
        position: Position,
        /// Whether all messages since the position that the client has named follow. `None` if it has named
        /// none.
        recovered: Option<bool>,
        /// The number of messages that follow from the past.
        replay: u64,
        /// The longest silence of the server, in seconds. `None` if it may be silent for longer.
        beat: Option<u64>,
    },
    /// The client has missed messages, because it was too slow: `{"skipped":12,"position":"k3v9q2.1042"}`.
    #[non_exhaustive]
    Skipped {
        /// The number of messages that it has missed.
        count: u64,
        /// The place before the next message.
        position: Position,
    },
    /// The place after the client's own message, which it does not receive: `{"published":"k3v9q2.1042"}`.
    Published(Position),
    /// The place after the last message, as a sign of life: `{"position":"k3v9q2.1042"}`.
    Beat(Position),
    /// The client's right to be here ends after this time, in seconds: `{"expires":60}`.
    Expires(u64),
}

impl Word {
    /// The greeting of a client.
    pub fn greeting(
        position: Position,
        recovered: Option<bool>,
        replay: u64,
        beat: Option<u64>,
    ) -> Self {
        Self::Greeting { position, recovered, replay, beat }
    }

    /// The word for a client that has missed `count` messages.
    pub fn skipped(count: u64, position: Position) -> Self {
        Self::Skipped { count, position }
    }

    /// Appends the word to `out` as one unmasked frame.
    pub fn encode(self, out: &mut Vec<u8>) {
        frame::encode_frame(Opcode::Text, self.to_string().as_bytes(), out);
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{WORD_MARK}{{")?;
        match *self {
            Self::Greeting { position, recovered, replay, beat } => {
                write!(f, "\"position\":\"{position}\",")?;
                if let Some(recovered) = recovered {
                    write!(f, "\"recovered\":{recovered},")?;
                }
                write!(f, "\"replay\":{replay}")?;
                if let Some(beat) = beat {
                    write!(f, ",\"beat\":{beat}")?;
                }
            }
            Self::Skipped { count, position } => {
                write!(f, "\"skipped\":{count},\"position\":\"{position}\"")?;
            }
            Self::Published(position) => write!(f, "\"published\":\"{position}\"")?,
            Self::Beat(position) => write!(f, "\"position\":\"{position}\"")?,
            Self::Expires(after) => write!(f, "\"expires\":{after}")?,
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_json_after_the_mark() {
        let position = Position::new(36, 5);
        let beat = Some(2);
        let words = [
            (Word::greeting(position, None, 0, None), "{\"position\":\"10.5\",\"replay\":0}"),
            (
                Word::greeting(position, Some(true), 17, beat),
                "{\"position\":\"10.5\",\"recovered\":true,\"replay\":17,\"beat\":2}",
            ),
            (Word::skipped(12, position), "{\"skipped\":12,\"position\":\"10.5\"}"),
            (Word::Published(position), "{\"published\":\"10.5\"}"),
            (Word::Beat(position), "{\"position\":\"10.5\"}"),
            (Word::Expires(60), "{\"expires\":60}"),
        ];
        for (word, json) in words {
            assert_eq!(word.to_string(), format!("\0{json}"));
        }
    }
}
