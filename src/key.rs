//! The keys that operators and publishers present.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use subtle::ConstantTimeEq;
use townhall::{Request, Response};

/// A Bearer token (RFC 6750).
pub struct Key(String);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// Reads a key from a file. White space around it does not count, because editors end a file with a
    /// line feed.
    ///
    /// # Errors
    /// The file cannot be read, or its content cannot be sent as a Bearer token.
    pub fn read(file: &Path) -> io::Result<Self> {
        let explain = |error: io::Error| {
            io::Error::new(
                error.kind(),
                format!("cannot use the key in {}: {error}", file.display()),
            )
        };
        fs::read_to_string(file).and_then(|text| Self::parse(&text)).map_err(explain)
    }

    fn parse(text: &str) -> io::Result<Self> {
        let key = text.trim();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            let reason = "it must be one word of printable ASCII characters";
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        Ok(Self(key.to_owned()))
    }

    /// Whether a request presents the key. The time that this takes depends on the key's length alone.
    pub fn admits(&self, request: &Request<'_>) -> bool {
        request.header("Authorization").and_then(token).is_some_and(|token| {
            let same = token.as_bytes().ct_eq(self.0.as_bytes());
            same.into()
        })
    }

    /// The response to a request without the key of this name (RFC 6750, section 3).
    pub fn challenge(name: &str) -> Response {
        let response = Response::text(401, format!("the {name} key is needed as a Bearer token"));
        response.header("WWW-Authenticate", "Bearer").expect("a valid field")
    }
}

/// The token in the value of Authorization. RFC 9110, section 11.1: the scheme is compared without case.
fn token(credentials: &str) -> Option<&str> {
    let (scheme, token) = credentials.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a key admits a request with this value of Authorization.
    fn admits(key: &Key, credentials: &str) -> bool {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: {credentials}\r\n\r\n");
        key.admits(&Request::parse(head.as_bytes(), 10).unwrap())
    }

    #[test]
    fn only_the_whole_key_is_admitted() {
        let key = Key::parse(" s3cret/key== \r\n").unwrap();
        assert!(admits(&key, "Bearer s3cret/key=="));
        assert!(admits(&key, "bearer  s3cret/key=="));
        for wrong in ["Bearer s3cret/key=", "Bearer s3cret/key==x", "Bearer", "Basic s3cret/key=="]
        {
            assert!(!admits(&key, wrong), "{wrong}");
        }
        assert!(!admits(&key, "Bearer S3cret/key=="));
        assert!(!admits(&key, "Bearer s3cret/key==\r\nAuthorization: Bearer s3cret/key=="));
    }

    #[test]
    fn a_key_is_one_printable_word() {
        for wrong in ["", " \n", "two words", "two\nlines", "schl\u{fc}ssel"] {
            assert!(Key::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_key_is_not_shown() {
        assert_eq!(format!("{:?}", Key::parse("s3cret").unwrap()), "Key");
    }
}
