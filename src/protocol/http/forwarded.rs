//! What proxies report about their clients: the field Forwarded (RFC 7239).

/// One proxy's element of a Forwarded field.
///
/// ```
/// use townhall::protocol::Forwarded;
///
/// // The client may have written any elements before that of the nearest proxy.
/// let value = b"for=198.51.100.17, for=192.0.2.43;host=chat.example";
/// let nearest = Forwarded::elements(value).next().flatten().expect("an element");
/// assert_eq!(nearest.node, Some("192.0.2.43"));
/// assert_eq!(nearest.host, Some("chat.example"));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Forwarded<'h> {
    /// The sender of the request, from the parameter `for`: an address, in brackets if it is an IPv6
    /// address, and possibly with a port; `unknown`; or an obfuscated identifier (section 6).
    pub node: Option<&'h str>,
    /// The Host field of that request.
    pub host: Option<&'h str>,
}

impl<'h> Forwarded<'h> {
    /// The elements of one field value from the last to the first, that is, from the nearest proxy to
    /// the furthest. A malformed element is `None`.
    ///
    /// The value is parsed backwards, because the client may have written its beginning: a quote that is
    /// opened there and not closed would otherwise hide the elements that trusted proxies added after
    /// it.
    pub fn elements(value: &'h [u8]) -> impl Iterator<Item = Option<Self>> {
        rsplit_unquoted(value, b',').filter(|element| !element.is_empty()).map(Self::parse)
    }

    /// Parses `[ pair ] *( ";" [ pair ] )` (section 4).
    fn parse(element: &'h [u8]) -> Option<Self> {
        let mut forwarded = Self::default();
        for pair in rsplit_unquoted(element, b';').filter(|pair| !pair.is_empty()) {
            let (name, value) = str::from_utf8(pair).ok()?.split_once('=')?;
            let value = unquote(value)?;
            let place = if name.eq_ignore_ascii_case("for") {
                &mut forwarded.node
            } else if name.eq_ignore_ascii_case("host") {
                &mut forwarded.host
            } else {
                continue;
            };
            // "Each parameter MUST NOT occur more than once per field-value."
            if place.replace(value).is_some() {
                return None;
            }
        }
        Some(forwarded)
    }
}

/// The parts between the separators that are not inside quotes, trimmed, from the last to the first.
fn rsplit_unquoted(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let parts = text.rsplit(move |&byte| {
        quoted ^= byte == b'"';
        byte == separator && !quoted
    });
    parts.map(<[u8]>::trim_ascii)
}

/// The value of a token or a quoted string. No address and no host contains a character that must be
/// escaped.
fn unquote(value: &str) -> Option<&str> {
    let value = match value.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"')?,
        None => value,
    };
    (!value.contains(['"', '\\'])).then_some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(value: &str) -> Vec<Option<(Option<&str>, Option<&str>)>> {
        let elements = Forwarded::elements(value.as_bytes());
        elements.map(|element| element.map(|one| (one.node, one.host))).collect()
    }

    #[test]
    fn the_rfcs_own_examples() {
        assert_eq!(read("for=\"_gazonk\""), [Some((Some("_gazonk"), None))]);
        assert_eq!(
            read("For=\"[2001:db8:cafe::17]:4711\""),
            [Some((Some("[2001:db8:cafe::17]:4711"), None))]
        );
        assert_eq!(
            read("for=192.0.2.60;proto=http;by=203.0.113.43"),
            [Some((Some("192.0.2.60"), None))]
        );
        assert_eq!(
            read("for=192.0.2.43, for=198.51.100.17"),
            [Some((Some("198.51.100.17"), None)), Some((Some("192.0.2.43"), None))]
        );
    }

    #[test]
    fn separators_inside_quotes_separate_nothing() {
        assert_eq!(
            read(r#"by="a,b;c";host="chat.example:8443" ; for=192.0.2.1"#),
            [Some((Some("192.0.2.1"), Some("chat.example:8443")))]
        );
        assert_eq!(read(",, for=a;, ;"), [Some((None, None)), Some((Some("a"), None))]);
        assert_eq!(read(""), []);
    }

    proptest! {
        #[test]
        fn the_first_element_is_that_of_the_proxy_whatever_clients_wrote_before_it(
            forged in "[a-z=;,\"\\\\ ]{0,20}",
        ) {
            let value = format!("{forged}, for=192.0.2.1;host=a");
            let first = Forwarded::elements(value.as_bytes()).next();
            let expected = Forwarded { node: Some("192.0.2.1"), host: Some("a") };
            prop_assert_eq!(first, Some(Some(expected)));
        }
    }

    #[test]
    fn a_malformed_element_does_not_hide_later_ones() {
        let proxy_element = Some((Some("192.0.2.1"), None));
        for forged in [r#"for=""#, r#"for="x;"#, "for", "for=a;for=b", "for=\"", "\u{a0}"] {
            let value = format!("{forged}, for=192.0.2.1");
            assert_eq!(read(&value), [proxy_element, None], "{forged}");
        }
        let mut elements = Forwarded::elements(b"for=\xff, for=a");
        assert_eq!(elements.next().flatten().and_then(|element| element.node), Some("a"));
        assert_eq!(elements.next(), Some(None));
    }
}
