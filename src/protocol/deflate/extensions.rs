//! The grammar of Sec-WebSocket-Extensions (RFC 6455, section 9.1).

use std::fmt;

use crate::protocol::http::is_token_byte;

/// A value of Sec-WebSocket-Extensions that is not a list of extensions (RFC 6455, section 9.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidExtensions;

impl fmt::Display for InvalidExtensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed Sec-WebSocket-Extensions field")
    }
}

impl std::error::Error for InvalidExtensions {}

/// An extension that a client offers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Extension {
    pub(super) name: String,
    pub(super) parameters: Vec<(String, Option<String>)>,
}

/// Reads `extension-list` (RFC 6455, section 9.1). Empty elements are skipped (RFC 9110, section
/// 5.6.1).
pub(super) fn parse(value: &str) -> Result<Vec<Extension>, InvalidExtensions> {
    let mut scanner = Scanner(value.trim_ascii());
    let mut extensions = Vec::new();
    while !scanner.0.is_empty() {
        if scanner.skip(',') {
            continue;
        }
        extensions.push(scanner.extension()?);
        if !scanner.0.is_empty() && !scanner.skip(',') {
            return Err(InvalidExtensions);
        }
    }
    Ok(extensions)
}

/// The remainder of a value, without white space before it.
struct Scanner<'v>(&'v str);

impl Scanner<'_> {
    fn extension(&mut self) -> Result<Extension, InvalidExtensions> {
        let name = self.token()?;
        let mut parameters = Vec::new();
        while self.skip(';') {
            let name = self.token()?;
            let value = if self.skip('=') { Some(self.value()?) } else { None };
            parameters.push((name, value));
        }
        Ok(Extension { name, parameters })
    }

    /// Takes this character and the white space after it, if it is next.
    fn skip(&mut self, wanted: char) -> bool {
        let rest = self.0.strip_prefix(wanted);
        self.0 = rest.map_or(self.0, str::trim_ascii_start);
        rest.is_some()
    }

    fn token(&mut self) -> Result<String, InvalidExtensions> {
        let end = self.0.bytes().position(|byte| !is_token_byte(byte)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest.trim_ascii_start();
        if token.is_empty() { Err(InvalidExtensions) } else { Ok(token.to_owned()) }
    }

    /// A token, or a quoted string whose content is one.
    fn value(&mut self) -> Result<String, InvalidExtensions> {
        let Some(quoted) = self.0.strip_prefix('"') else {
            return self.token();
        };
        let mut content = String::new();
        let mut characters = quoted.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.0 = quoted[at + 1..].trim_ascii_start();
                    let token = !content.is_empty() && content.bytes().all(is_token_byte);
                    return if token { Ok(content) } else { Err(InvalidExtensions) };
                }
                '\\' => content.push(characters.next().ok_or(InvalidExtensions)?.1),
                character => content.push(character),
            }
        }
        Err(InvalidExtensions)
    }
}
