//! Client ids, which are never reused.

use std::fmt;
use std::str::FromStr;

use mio::Token;

/// Identifies a client of a server, from the beginning of its TCP connection to its end. Ids are not
/// reused: the id of a client that has left refers to no client.
///
/// ```
/// use std::collections::HashSet;
/// use townhall::{ClientId, Event, Hub};
///
/// /// The subscribers of a topic, which is independent of the rooms.
/// struct Topic(HashSet<ClientId>);
///
/// impl Topic {
///     fn note(&mut self, client: ClientId, event: &Event<'_>) {
///         match event {
///             Event::Open { .. } => _ = self.0.insert(client),
///             Event::Close(_) => _ = self.0.remove(&client),
///             _ => {}
///         }
///     }
///
///     fn publish(&self, hub: &mut Hub, text: &str) {
///         for &client in &self.0 {
///             hub.send(client, text);
///         }
///     }
/// }
/// # let _ = (Topic::note, Topic::publish);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(
    /// The generation in the upper half, and the key in the lower half. It is also the token of the
    /// poll.
    u64,
);

impl ClientId {
    /// Refers to the application itself instead of a client, for timers that belong to no client
    /// ([`Hub::set_timer`](crate::Hub::set_timer)).
    pub const SERVER: Self = Self(0);

    /// The id of the slab entry `key` in its `generation`, which must not be 0.
    pub(crate) fn new(key: usize, generation: u32) -> Self {
        Self(u64::from(generation) << 32 | u64::from(key as u32))
    }

    pub(crate) fn key(self) -> usize {
        self.0 as u32 as usize
    }

    fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The id of a token; `None` for tokens of generation 0, which are the server's own.
    pub(crate) fn from_token(Token(token): Token) -> Option<Self> {
        let id = Self(token as u64);
        (id.generation() != 0).then_some(id)
    }

    pub(crate) fn token(self) -> Token {
        Token(self.0 as usize)
    }
}

impl FromStr for ClientId {
    type Err = InvalidClientId;

    /// Parses what [`Display`](fmt::Display) writes, with or without `client `. The client may have left.
    ///
    /// ```
    /// use townhall::ClientId;
    ///
    /// let id: ClientId = "7.3".parse()?;
    /// assert_eq!(id.to_string(), "client 7.3");
    /// assert_eq!("client 7.3".parse(), Ok(id));
    /// assert!("7".parse::<ClientId>().is_err());
    /// # Ok::<(), townhall::InvalidClientId>(())
    /// ```
    fn from_str(text: &str) -> Result<Self, InvalidClientId> {
        let text = text.strip_prefix("client ").unwrap_or(text);
        let (key, generation) = text.split_once('.').ok_or(InvalidClientId)?;
        let number = |text: &str| text.parse::<u32>().map_err(|_| InvalidClientId);
        match (number(key)?, number(generation)?) {
            (_, 0) => Err(InvalidClientId),
            (key, generation) => Ok(Self::new(key as usize, generation)),
        }
    }
}

/// The error of a text that is not a [`ClientId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidClientId;

impl fmt::Display for InvalidClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a client's id is two numbers, such as 7.3")
    }
}

impl std::error::Error for InvalidClientId {}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::SERVER {
            return f.write_str("the server");
        }
        write!(f, "client {}.{}", self.key(), self.generation())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_back_to_its_client() {
        let id = ClientId::new(7, 3);
        assert_eq!(ClientId::from_token(id.token()), Some(id));
        assert_eq!(ClientId::from_token(Token(7)), None);
        assert_eq!(ClientId::from_token(ClientId::SERVER.token()), None);
    }

    #[test]
    fn a_text_that_is_not_an_id_is_refused() {
        for wrong in ["", "7", "7.", ".3", "7.0", "-1.3", "7.3.1", "4294967296.1", "the server"] {
            assert_eq!(wrong.parse::<ClientId>(), Err(InvalidClientId), "{wrong}");
        }
    }
}
