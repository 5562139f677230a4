//! Names for clients that are never used for two.

use std::fmt;

use mio::Token;

// A token holds a key and its generation.
const _: () = assert!(usize::BITS >= 64, "townhall needs a 64-bit system");

/// A client of a server, from its TCP connection's begin to its end. Ids are not used again: one
/// that is kept too long names nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId {
    generation: u32,
    key: u32,
}

impl ClientId {
    /// The id of the slab entry `key`, in its `generation`, which is not 0.
    pub(super) fn new(key: usize, generation: u32) -> Self {
        Self { generation, key: key as u32 }
    }

    pub(super) fn key(self) -> usize {
        self.key as usize
    }

    /// The id behind a token; `None` for those in generation 0, which are the server's own.
    pub(super) fn from_token(Token(token): Token) -> Option<Self> {
        let generation = (token as u64 >> 32) as u32;
        (generation != 0).then_some(Self { generation, key: token as u32 })
    }

    pub(super) fn token(self) -> Token {
        Token((u64::from(self.generation) << 32 | u64::from(self.key)) as usize)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {}.{}", self.key, self.generation)
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
    }
}
