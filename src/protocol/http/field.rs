//! Header fields that an application adds to a response (RFC 9110, section 5).

use std::fmt;

use super::token::is_token_byte;

/// The fields that every response has, and those that would contradict them (RFC 9110, sections 6.6.2
/// and 8.6; RFC 9112, sections 6.1 and 9.6).
const OF_THE_CONNECTION: [&str; 4] =
    ["Connection", "Content-Length", "Trailer", "Transfer-Encoding"];

/// The beginning of the fields of the opening handshake (RFC 6455, section 11.3).
const HANDSHAKE_PREFIX: &[u8] = b"sec-websocket-";

/// The reason why a header field cannot be added to a response.
///
/// ```
/// use townhall::protocol::{InvalidHeader, Response};
///
/// let header = |name, value| Response::new(200).header(name, value).map(|_| ());
/// assert_eq!(header("Content-Language", "de"), Ok(()));
/// assert_eq!(header("Content Language", "de"), Err(InvalidHeader::Name));
/// assert_eq!(header("Content-Language", "de\r\n"), Err(InvalidHeader::Value));
/// assert_eq!(header("Content-Length", "2"), Err(InvalidHeader::Reserved));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidHeader {
    /// The name is not a token (RFC 9110, section 5.1).
    Name,
    /// The value has a control character other than a tab (RFC 9110, section 5.5).
    Value,
    /// The field belongs to the handshake, such as Sec-WebSocket-Protocol, or describes the connection or
    /// the length of the body, such as Content-Length.
    Reserved,
}

impl fmt::Display for InvalidHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "invalid name of a header field",
            Self::Value => "control character in the value of a header field",
            Self::Reserved => "header field reserved for the handshake or the connection",
        })
    }
}

impl std::error::Error for InvalidHeader {}

/// Checks a field that is to be added to the response to an upgrade.
pub(crate) fn check_upgrade(name: &str, value: &str) -> Result<(), InvalidHeader> {
    let start = name.as_bytes().get(..HANDSHAKE_PREFIX.len());
    let is_of_handshake = name.eq_ignore_ascii_case("Upgrade")
        || start.is_some_and(|start| start.eq_ignore_ascii_case(HANDSHAKE_PREFIX));
    if is_of_handshake {
        return Err(InvalidHeader::Reserved);
    }
    check_answer(name, value)
}

/// Checks a field that is to be added to any response.
pub(super) fn check_answer(name: &str, value: &str) -> Result<(), InvalidHeader> {
    if name.is_empty() || !name.bytes().all(is_token_byte) {
        return Err(InvalidHeader::Name);
    }
    if OF_THE_CONNECTION.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) {
        return Err(InvalidHeader::Reserved);
    }
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return Err(InvalidHeader::Value);
    }
    Ok(())
}

/// The value of a field, if there is exactly one and it is UTF-8.
pub(crate) fn single<'v>(mut values: impl Iterator<Item = &'v [u8]>) -> Option<&'v str> {
    match (values.next(), values.next()) {
        (Some(value), None) => std::str::from_utf8(value).ok(),
        _ => None,
    }
}

/// Whether this is a valid value of the Content-Length field: digits alone (RFC 9110, section 8.6).
pub(crate) fn is_length(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(u8::is_ascii_digit)
}

/// The elements of a list field, from all its lines, the empty ones too (RFC 9110, section 5.6.1).
pub(crate) fn elements<'v>(
    values: impl Iterator<Item = &'v [u8]>,
) -> impl Iterator<Item = &'v [u8]> {
    values.flat_map(|value| value.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_must_not_forge_another_or_contradict_the_handshake() {
        for (name, value, expected) in [
            ("Set-Cookie", "a=b; Path=/", Ok(())),
            ("X-Empty", "", Ok(())),
            ("X-Tab", "a\tb", Ok(())),
            ("", "a", Err(InvalidHeader::Name)),
            ("X Y", "a", Err(InvalidHeader::Name)),
            ("X:", "a", Err(InvalidHeader::Name)),
            ("X-Y", "a\r\nX-Z: b", Err(InvalidHeader::Value)),
            ("X-Y", "a\0", Err(InvalidHeader::Value)),
            ("upgrade", "h2c", Err(InvalidHeader::Reserved)),
            ("Content-length", "5", Err(InvalidHeader::Reserved)),
            ("sec-WebSocket-Extensions", "x", Err(InvalidHeader::Reserved)),
        ] {
            assert_eq!(check_upgrade(name, value), expected, "{name}: {value}");
        }
    }
}
