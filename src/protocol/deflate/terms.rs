//! Negotiating permessage-deflate (RFC 6455, section 9.1; RFC 7692, sections 5 and 7.1).

use super::config::{Deflate, MAX_WINDOW_BITS, MIN_WINDOW_BITS};
use super::extensions::{Extension, InvalidExtensions, parse};

pub(super) const NAME: &str = "permessage-deflate";

/// The extension that Netty clients offer in addition to permessage-deflate. Until 2025, Netty let the
/// server choose the client's window, and failed at its first message if that was smaller than 15 bits,
/// because Java's own DEFLATE supports no other (<https://github.com/netty/netty/pull/15018>).
const NETTYS_NAME: &str = "deflate-frame";

/// The terms of permessage-deflate that server and client agreed on.
///
/// A server that sends compressed messages keeps a [`Deflater`](super::Deflater) for each connection, or
/// one for all connections that receive the same messages and have the same window:
///
/// ```
/// use townhall::protocol::{Deflate, DeflateTerms, Deflater, Message};
///
/// /// Appends a message to `out`, compressed according to the terms.
/// fn send(message: Message<'_>, terms: DeflateTerms, deflater: &mut Deflater, out: &mut Vec<u8>) {
///     if !terms.server_context_takeover {
///         deflater.reset();
///     }
///     message.encode_compressed(deflater, out);
/// }
///
/// let deflate = Deflate::default();
/// let offer: &[u8] = b"permessage-deflate; server_max_window_bits=10; client_max_window_bits";
/// let terms = DeflateTerms::negotiate([offer], &deflate)?.expect("an offer");
/// assert_eq!((terms.server_window_bits(), terms.client_window_bits()), (10, 12));
///
/// let mut deflater = Deflater::new(deflate.level, terms.server_window_bits());
/// let mut out = Vec::new();
/// send("hello".into(), terms, &mut deflater, &mut out);
/// assert_eq!(out[0], 0xc1, "a complete, compressed text");
///
/// // A server that is short of memory can demand that the client keep no context.
/// let terms = terms.without_client_context();
/// assert!(!terms.client_context_takeover);
/// assert!(terms.answer().contains("client_no_context_takeover"));
/// # Ok::<(), townhall::protocol::InvalidExtensions>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeflateTerms {
    /// Whether the server may refer to its earlier messages.
    pub server_context_takeover: bool,
    /// Whether the client may refer to its earlier messages.
    pub client_context_takeover: bool,
    /// The server's window in bits, 9 to 15, if the response names it; otherwise it is 15.
    pub(super) server_max_window_bits: Option<u8>,
    /// The client's window in bits, 8 to 15, if the response names it; otherwise it is 15.
    pub(super) client_max_window_bits: Option<u8>,
}

impl DeflateTerms {
    /// The terms of a response without parameters.
    #[cfg(feature = "client")]
    pub(super) const NONE_NAMED: Self = Self {
        server_context_takeover: true,
        client_context_takeover: true,
        server_max_window_bits: None,
        client_max_window_bits: None,
    };

    /// The terms for the first offer that the server can accept, from all values of
    /// Sec-WebSocket-Extensions, which are in the client's order of preference; `None` if there is none.
    ///
    /// # Errors
    /// A value that does not conform to the grammar.
    pub fn negotiate<'v>(
        values: impl IntoIterator<Item = &'v [u8]>,
        deflate: &Deflate,
    ) -> Result<Option<Self>, InvalidExtensions> {
        let mut offers = Vec::new();
        for value in values {
            offers.extend(parse(std::str::from_utf8(value).map_err(|_| InvalidExtensions)?)?);
        }
        let is_netty = offers.iter().any(|offer| offer.name == NETTYS_NAME);
        let window_bits = if is_netty { MAX_WINDOW_BITS } else { deflate.client_window_bits };
        Ok(offers.iter().find_map(|offer| Self::accept(offer, deflate, window_bits)))
    }

    /// The server's window in bits: 9 to 15, or 8 to 15 in the answer of another server.
    pub fn server_window_bits(&self) -> u8 {
        self.server_max_window_bits.unwrap_or(MAX_WINDOW_BITS)
    }

    /// The client's window in bits, 8 to 15.
    pub fn client_window_bits(&self) -> u8 {
        self.client_max_window_bits.unwrap_or(MAX_WINDOW_BITS)
    }

    /// The same terms, except that the client keeps no context. A server may demand this of any client
    /// (RFC 7692, section 7.1.1.2).
    #[must_use]
    pub fn without_client_context(self) -> Self {
        Self { client_context_takeover: false, client_max_window_bits: None, ..self }
    }

    /// The value of Sec-WebSocket-Extensions in the response.
    pub fn answer(&self) -> String {
        let mut answer = NAME.to_owned();
        if !self.server_context_takeover {
            answer.push_str("; server_no_context_takeover");
        }
        if !self.client_context_takeover {
            answer.push_str("; client_no_context_takeover");
        }
        if let Some(bits) = self.server_max_window_bits {
            answer.push_str(&format!("; server_max_window_bits={bits}"));
        }
        if let Some(bits) = self.client_max_window_bits {
            answer.push_str(&format!("; client_max_window_bits={bits}"));
        }
        answer
    }

    /// The terms that answer an offer. RFC 7692, section 7: a server "MUST decline" an offer
    /// with a parameter that is unknown, has a bad value, or comes twice. `client_window_bits` is the
    /// window of a client that lets the server choose it.
    fn accept(offer: &Extension, deflate: &Deflate, client_window_bits: u8) -> Option<Self> {
        if offer.name != NAME {
            return None;
        }
        let wanted = Wanted::read(&offer.parameters)?;
        let ours = Some(deflate.window_bits).filter(|&bits| bits < MAX_WINDOW_BITS);
        let window = [wanted.server_max_window_bits, ours].into_iter().flatten().min();
        // A member with a smaller window than the others cannot share their context.
        let smaller = window.is_some_and(|bits| bits < deflate.window_bits);
        let terms = Self {
            server_context_takeover: !wanted.server_no_context_takeover && !smaller,
            client_context_takeover: true,
            server_max_window_bits: window,
            client_max_window_bits: wanted.client_window(client_window_bits),
        };
        let context = deflate.client_context_takeover && !wanted.client_no_context_takeover;
        Some(if context { terms } else { terms.without_client_context() })
    }
}

/// The parameters of a client's offer (RFC 7692, section 7.1).
#[derive(Debug, Default)]
struct Wanted {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// The largest window in bits that the client may use. With this parameter, it lets the server
    /// choose a smaller one.
    client_max_window_bits: Option<u8>,
}

impl Wanted {
    fn read(parameters: &[(String, Option<String>)]) -> Option<Self> {
        let mut wanted = Self::default();
        for (name, value) in parameters {
            let repeated = match (name.as_str(), value.as_deref()) {
                ("server_no_context_takeover", None) => {
                    std::mem::replace(&mut wanted.server_no_context_takeover, true)
                }
                ("client_no_context_takeover", None) => {
                    std::mem::replace(&mut wanted.client_no_context_takeover, true)
                }
                ("server_max_window_bits", Some(value)) => {
                    // The compressor does not support 8 bits.
                    let bits = window_bits(value).filter(|&bits| bits >= MIN_WINDOW_BITS)?;
                    wanted.server_max_window_bits.replace(bits).is_some()
                }
                ("client_max_window_bits", value) => {
                    let bits = value.map_or(Some(MAX_WINDOW_BITS), window_bits)?;
                    wanted.client_max_window_bits.replace(bits).is_some()
                }
                _ => return None,
            };
            if repeated {
                return None;
            }
        }
        Some(wanted)
    }

    /// The client's window in bits for the response to name, at most `ours`. RFC 7692, section 7.1.2.2:
    /// a server "MUST NOT" name one unless the client offered the parameter.
    fn client_window(&self, ours: u8) -> Option<u8> {
        let window = self.client_max_window_bits?.min(ours);
        (window < MAX_WINDOW_BITS).then_some(window)
    }
}

/// "a decimal integer value without leading zeroes between 8 to 15 inclusive"
/// (RFC 7692, section 7.1.2).
pub(super) fn window_bits(value: &str) -> Option<u8> {
    let bits = value.parse().ok().filter(|bits| (8..=MAX_WINDOW_BITS).contains(bits))?;
    (value == bits.to_string()).then_some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The response to these offers.
    fn answer(offers: &[&str], deflate: &Deflate) -> Option<String> {
        let values = offers.iter().map(|offer| offer.as_bytes());
        DeflateTerms::negotiate(values, deflate).unwrap().map(|terms| terms.answer())
    }

    fn by_default(offer: &str) -> Option<String> {
        answer(&[offer], &Deflate::default())
    }

    #[test]
    fn both_sides_keep_their_context_by_default() {
        let terms = Some("permessage-deflate".to_owned());
        assert_eq!(by_default("permessage-deflate"), terms);
        assert_eq!(by_default(" x-other; a=\"b\" ,, permessage-deflate ,"), terms);
    }

    #[test]
    fn a_client_that_offers_it_gets_a_smaller_window() {
        let window = |parameter: &str, client_window_bits| {
            let deflate = Deflate { client_window_bits, ..Deflate::default() };
            let offer = format!("permessage-deflate; client_max_window_bits{parameter}");
            let answer = answer(&[&offer], &deflate).unwrap();
            answer.split_once('=').map(|(_, bits)| bits.to_owned())
        };
        let bits = |bits: &str| Some(bits.to_owned());
        assert_eq!(window("", 12), bits("12"));
        assert_eq!(window("=15", 12), bits("12"));
        assert_eq!(window("=8", 12), bits("8"));
        assert_eq!(window("", 15), None);
        assert_eq!(window("=14", 15), bits("14"));
    }

    #[test]
    fn netty_gets_the_largest_window() {
        let offer =
            "permessage-deflate;client_max_window_bits,deflate-frame,x-webkit-deflate-frame";
        assert_eq!(by_default(offer).as_deref(), Some("permessage-deflate"));
        let lines = ["deflate-frame", "permessage-deflate; client_max_window_bits=10"];
        let answer = answer(&lines, &Deflate::default());
        assert_eq!(answer.as_deref(), Some("permessage-deflate; client_max_window_bits=10"));
    }

    #[test]
    fn a_client_keeps_no_context_if_either_side_wants_that() {
        let terms = Some("permessage-deflate; client_no_context_takeover".to_owned());
        let offer =
            "permessage-deflate; client_no_context_takeover; client_max_window_bits".to_owned();
        assert_eq!(by_default(&offer), terms);
        let none = Deflate { client_context_takeover: false, ..Deflate::default() };
        assert_eq!(answer(&["permessage-deflate; client_max_window_bits"], &none), terms);
        let offers = [offer.as_bytes()].into_iter();
        let kept = DeflateTerms::negotiate(offers, &Deflate::default()).unwrap().unwrap();
        assert!(!kept.client_context_takeover);
        assert_eq!(kept.client_window_bits(), 15);
    }

    #[test]
    fn what_the_client_demands_is_granted() {
        let demanded = by_default("permessage-deflate; server_no_context_takeover").unwrap();
        assert!(demanded.contains("; server_no_context_takeover"));
        let window = by_default("permessage-deflate; server_max_window_bits=15").unwrap();
        assert!(window.ends_with("; server_max_window_bits=15") && !window.contains("server_no"));
        let window = by_default("permessage-deflate; server_max_window_bits=\"9\"").unwrap();
        assert!(window.ends_with("; server_max_window_bits=9") && window.contains("server_no"));
    }

    #[test]
    fn the_first_acceptable_offer_is_accepted() {
        let offers = "permessage-deflate; server_max_window_bits=8, \
            permessage-deflate; server_max_window_bits=10, permessage-deflate";
        assert!(by_default(offers).unwrap().ends_with("=10"));
        let lines =
            ["permessage-deflate; unknown", "permessage-deflate; server_max_window_bits=11"];
        assert!(answer(&lines, &Deflate::default()).unwrap().ends_with("=11"));
    }

    #[test]
    fn an_offer_that_cannot_be_accepted_is_declined() {
        for parameters in [
            "server_max_window_bits=8",
            "server_max_window_bits=16",
            "server_max_window_bits=09",
            "server_max_window_bits=+9",
            "server_max_window_bits=\"1\\0x\"",
            "server_max_window_bits",
            "server_max_window_bits=10; server_max_window_bits=10",
            "server_no_context_takeover=1",
            "server_no_context_takeover; server_no_context_takeover",
            "client_no_context_takeover=\"true\"",
            "client_max_window_bits=7",
            "client_max_window_bits; client_max_window_bits=9",
            "Server_No_Context_Takeover",
            "foo",
        ] {
            assert_eq!(
                by_default(&format!("permessage-deflate; {parameters}")),
                None,
                "{parameters}"
            );
        }
        assert_eq!(by_default("permessage-deflates"), None);
        assert_eq!(by_default(""), None);
    }

    #[test]
    fn a_value_that_is_not_a_list_of_extensions_is_malformed() {
        for value in [
            "permessage-deflate; ",
            "permessage-deflate; =1",
            "permessage-deflate; server_max_window_bits=",
            "permessage-deflate; server_max_window_bits=\"9",
            "permessage-deflate; server_max_window_bits=\"\"",
            "permessage-deflate; server_max_window_bits=\"9 \"",
            "permessage-deflate x",
            "a b, permessage-deflate",
            ";",
            "é",
        ] {
            let values = [value.as_bytes()].into_iter();
            let terms = DeflateTerms::negotiate(values, &Deflate::default());
            assert_eq!(terms, Err(InvalidExtensions), "{value}");
        }
    }

    #[test]
    fn the_response_names_the_servers_window_and_context_setting() {
        let deflate = Deflate { window_bits: 12, ..Deflate::default() };
        let told = |offer| answer(&[offer], &deflate).unwrap();
        assert_eq!(told("permessage-deflate"), "permessage-deflate; server_max_window_bits=12");
        let demanded =
            told("permessage-deflate; client_no_context_takeover; server_max_window_bits=14");
        assert!(demanded.contains("; client_no_context_takeover") && demanded.ends_with("=12"));
        assert!(told("permessage-deflate; server_max_window_bits=11").contains("server_no"));
    }
}
