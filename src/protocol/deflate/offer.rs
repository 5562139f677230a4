//! The client's side of the negotiation of permessage-deflate (RFC 7692, sections 5 and 7.1).

use super::config::{MAX_WINDOW_BITS, MIN_WINDOW_BITS};
use super::extensions::{Extension, InvalidExtensions, parse};
use super::terms::{DeflateTerms, NAME, window_bits};

/// What a client offers, and how it compresses.
///
/// ```
/// use townhall::protocol::{DeflateOffer, DeflateTerms};
///
/// let mut offer = DeflateOffer::default();
/// offer.client_window_bits = 12;
/// assert_eq!(offer.to_string(), "permessage-deflate; client_max_window_bits=12");
///
/// let answer: &[u8] = b"permessage-deflate; client_max_window_bits=10";
/// let terms = DeflateTerms::agree([answer], Some(&offer))?.expect("an agreement");
/// assert_eq!(terms.client_window_bits(), 10);
/// # Ok::<(), townhall::protocol::InvalidExtensions>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeflateOffer {
    /// The level of zlib, from 1 (fastest) to 9 (smallest).
    pub level: u32,
    /// The minimum size in bytes of a message that is compressed.
    pub threshold_bytes: usize,
    /// Whether the server may refer to its earlier messages.
    pub server_context_takeover: bool,
    /// Whether the client refers to its earlier messages.
    pub client_context_takeover: bool,
    /// The largest window in bits that the server may use, 9 to 15.
    pub server_window_bits: u8,
    /// The largest window in bits that the client uses, 9 to 15.
    pub client_window_bits: u8,
}

impl Default for DeflateOffer {
    fn default() -> Self {
        Self {
            level: 6,
            threshold_bytes: 64,
            server_context_takeover: true,
            client_context_takeover: true,
            server_window_bits: MAX_WINDOW_BITS,
            client_window_bits: MAX_WINDOW_BITS,
        }
    }
}

impl DeflateOffer {
    /// The window in bits, 9 to 15, with which the client compresses under these terms; `None` if its
    /// window must be smaller than zlib can compress for, and it sends its messages uncompressed.
    pub(crate) fn window_bits(&self, terms: &DeflateTerms) -> Option<u8> {
        let bits = terms.client_window_bits().min(self.client_window());
        (bits >= MIN_WINDOW_BITS).then_some(bits)
    }

    fn server_window(&self) -> u8 {
        self.server_window_bits.clamp(MIN_WINDOW_BITS, MAX_WINDOW_BITS)
    }

    fn client_window(&self) -> u8 {
        self.client_window_bits.clamp(MIN_WINDOW_BITS, MAX_WINDOW_BITS)
    }
}

/// The value of Sec-WebSocket-Extensions in the request.
impl std::fmt::Display for DeflateOffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(NAME)?;
        if !self.server_context_takeover {
            f.write_str("; server_no_context_takeover")?;
        }
        if !self.client_context_takeover {
            f.write_str("; client_no_context_takeover")?;
        }
        if self.server_window() < MAX_WINDOW_BITS {
            write!(f, "; server_max_window_bits={}", self.server_window())?;
        }
        f.write_str("; client_max_window_bits")?;
        if self.client_window() < MAX_WINDOW_BITS {
            write!(f, "={}", self.client_window())?;
        }
        Ok(())
    }
}

impl DeflateTerms {
    /// The terms that the server's answer to an offer states, from all values of
    /// Sec-WebSocket-Extensions; `None` if it declined.
    ///
    /// # Errors
    /// A value that does not conform to the grammar, an extension that was not offered, or terms that do
    /// not answer the offer: a client "MUST _Fail the WebSocket Connection_" (RFC 7692, section 7).
    pub fn agree<'v>(
        values: impl IntoIterator<Item = &'v [u8]>,
        offer: Option<&DeflateOffer>,
    ) -> Result<Option<Self>, InvalidExtensions> {
        let mut extensions = Vec::new();
        for value in values {
            extensions.extend(parse(std::str::from_utf8(value).map_err(|_| InvalidExtensions)?)?);
        }
        match (&extensions[..], offer) {
            ([], _) => Ok(None),
            ([extension], Some(offer)) if extension.name == NAME => {
                Self::answering(offer, extension).map(Some).ok_or(InvalidExtensions)
            }
            _ => Err(InvalidExtensions),
        }
    }

    /// The terms of an answer to this offer, if it is one.
    fn answering(offer: &DeflateOffer, answer: &Extension) -> Option<Self> {
        let mut terms = Self::NONE_NAMED;
        for (name, value) in &answer.parameters {
            let is_first = match (name.as_str(), value.as_deref()) {
                ("server_no_context_takeover", None) => {
                    std::mem::replace(&mut terms.server_context_takeover, false)
                }
                ("client_no_context_takeover", None) => {
                    std::mem::replace(&mut terms.client_context_takeover, false)
                }
                ("server_max_window_bits", Some(value)) => {
                    terms.server_max_window_bits.replace(window_bits(value)?).is_none()
                }
                ("client_max_window_bits", Some(value)) => {
                    terms.client_max_window_bits.replace(window_bits(value)?).is_none()
                }
                _ => false,
            };
            if !is_first {
                return None;
            }
        }
        // What the client says of itself is a hint: an answer may state more, or not state it.
        let granted = (offer.server_context_takeover || !terms.server_context_takeover)
            && terms.server_window_bits() <= offer.server_window();
        // Without the parameter in the answer, the client may still keep no context (section 7.1.1.2).
        terms.client_context_takeover &= offer.client_context_takeover;
        granted.then_some(terms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agree(
        answer: &str,
        offer: &DeflateOffer,
    ) -> Result<Option<DeflateTerms>, InvalidExtensions> {
        DeflateTerms::agree([answer.as_bytes()], Some(offer))
    }

    #[test]
    fn an_offer_names_what_differs_from_the_default() {
        let offer = DeflateOffer {
            server_context_takeover: false,
            client_context_takeover: false,
            server_window_bits: 9,
            client_window_bits: 3,
            ..DeflateOffer::default()
        };
        assert_eq!(
            offer.to_string(),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
             server_max_window_bits=9; client_max_window_bits=9"
        );
        let offer = DeflateOffer { server_window_bits: 15, ..DeflateOffer::default() };
        assert_eq!(offer.to_string(), "permessage-deflate; client_max_window_bits");
    }

    #[test]
    fn an_answer_states_the_terms() {
        let offer = DeflateOffer::default();
        let terms = agree("permessage-deflate", &offer).unwrap().unwrap();
        assert!(terms.server_context_takeover && terms.client_context_takeover);
        assert_eq!((terms.server_window_bits(), terms.client_window_bits()), (15, 15));

        let answer = "permessage-deflate; client_max_window_bits=8; server_max_window_bits=\"10\"; \
            server_no_context_takeover; client_no_context_takeover";
        let terms = agree(answer, &offer).unwrap().unwrap();
        assert!(!terms.server_context_takeover && !terms.client_context_takeover);
        assert_eq!((terms.server_window_bits(), terms.client_window_bits()), (10, 8));
        assert_eq!(offer.window_bits(&terms), None, "zlib cannot compress for 256 bytes");
        assert_eq!(agree("", &offer), Ok(None));
    }

    #[test]
    fn the_client_uses_no_more_than_it_offered() {
        let offer = DeflateOffer {
            client_window_bits: 11,
            client_context_takeover: false,
            ..DeflateOffer::default()
        };
        let terms = agree("permessage-deflate", &offer).unwrap().unwrap();
        assert_eq!(offer.window_bits(&terms), Some(11));
        assert!(!terms.client_context_takeover);
        for (answered, used) in [(9, 9), (11, 11), (15, 11)] {
            let answer = format!("permessage-deflate; client_max_window_bits={answered}");
            let terms = agree(&answer, &offer).unwrap().unwrap();
            assert_eq!(offer.window_bits(&terms), Some(used));
        }
    }

    #[test]
    fn an_answer_must_grant_what_the_client_demands() {
        let offer = DeflateOffer {
            server_context_takeover: false,
            server_window_bits: 10,
            ..DeflateOffer::default()
        };
        let granted = "permessage-deflate; server_no_context_takeover; server_max_window_bits=10";
        assert!(agree(granted, &offer).is_ok());
        for answer in [
            "permessage-deflate",
            "permessage-deflate; server_no_context_takeover",
            "permessage-deflate; server_max_window_bits=10",
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=11",
        ] {
            assert_eq!(agree(answer, &offer), Err(InvalidExtensions), "{answer}");
        }
    }

    #[test]
    fn an_answer_to_no_offer_is_invalid() {
        let offer = DeflateOffer::default();
        for answer in [
            "x-webkit-deflate-frame",
            "permessage-deflate, permessage-deflate",
            "permessage-deflate, x-other",
            "Permessage-Deflate",
            "permessage-deflate; unknown",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; client_max_window_bits=9; client_max_window_bits=9",
            "permessage-deflate; =",
            "\u{e9}",
        ] {
            assert_eq!(agree(answer, &offer), Err(InvalidExtensions), "{answer}");
        }
        let values = [&b"permessage-deflate"[..]];
        assert_eq!(DeflateTerms::agree(values, None), Err(InvalidExtensions));
        assert_eq!(DeflateTerms::agree([&b"\xff"[..]], Some(&offer)), Err(InvalidExtensions));
    }
}
