//! Shows what a peer sent, in a form that is safe in a log line.

use std::fmt::{self, Write};

/// The maximum number of bytes between the quotes.
const MAX_BYTES: usize = 100;

/// The longest encoding of a character in UTF-8.
const MAX_CHAR_BYTES: usize = 4;

/// Bytes that a peer sent, for a log line.
///
/// Every log line that shows data from a peer wraps it in this type, so that no peer can forge a line,
/// send escape sequences to a terminal, or fill a disk with a single request. The text is quoted.
/// Quotes, backslashes, and characters that are not printable are escaped as in a Rust string literal,
/// and so are bytes that are not UTF-8. After 100 bytes, the text is cut, and the total length follows:
///
/// ```text
/// "http://evil.example\r\n\u{202e}\xff"
/// "http://aaaaaaaa"... (8192 bytes)
/// ```
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Each byte takes at least one byte when shown, so nothing after these can be shown.
        let beginning = &self.0[..self.0.len().min(MAX_BYTES + MAX_CHAR_BYTES)];
        let mut escaped = String::new();
        let whole = escape(beginning, &mut escaped) && beginning.len() == self.0.len();
        write!(f, "\"{escaped}\"")?;
        if whole { Ok(()) } else { write!(f, "... ({} bytes)", self.0.len()) }
    }
}

/// A flag of the program and its value, in a form that can be copied from a log line into a shell. A
/// value that is too long, or could end the quotes, is not shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flag<'a>(pub(crate) &'static str, pub(crate) &'a str);

impl fmt::Display for Flag<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(name, value) = self;
        let is_plain = value.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\'');
        if is_plain && value.len() <= MAX_BYTES {
            // A value that looks like a flag must be joined to its own flag with a `=`.
            let separator = if value.starts_with('-') { '=' } else { ' ' };
            write!(f, "--{name}{separator}'{value}'")
        } else {
            write!(f, "--{name} and the full value")
        }
    }
}

/// Appends `bytes` to `out`, escaped, and returns whether all of them fitted.
fn escape(bytes: &[u8], out: &mut String) -> bool {
    bytes.utf8_chunks().all(|chunk| {
        chunk.valid().chars().all(|character| match character {
            '\'' => push("'", out),
            _ => push(character.escape_debug(), out),
        }) && chunk.invalid().iter().all(|byte| push(format_args!("\\x{byte:02x}"), out))
    })
}

/// Appends an escaped character completely or not at all, and returns whether it fitted.
fn push(escaped: impl fmt::Display, out: &mut String) -> bool {
    let before = out.len();
    let written = write!(out, "{escaped}").is_ok();
    let fits = written && out.len() <= MAX_BYTES;
    if !fits {
        out.truncate(before);
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bytes: impl AsRef<[u8]>) -> String {
        Shown(bytes.as_ref()).to_string()
    }

    #[test]
    fn plain_text_is_quoted_as_it_is() {
        assert_eq!(shown(""), r#""""#);
        assert_eq!(shown("http://chat.example:8080"), r#""http://chat.example:8080""#);
        assert_eq!(shown("it's a café"), r#""it's a café""#);
    }

    #[test]
    fn nothing_in_it_can_end_the_quotes_or_the_line() {
        assert_eq!(shown("\"; all is well\r\n\\"), r#""\"; all is well\r\n\\""#);
        assert_eq!(shown("\0\u{1b}[2J\u{85}\u{2028}"), r#""\0\u{1b}[2J\u{85}\u{2028}""#);
        assert_eq!(shown("\u{202e}moc.elpmaxe"), r#""\u{202e}moc.elpmaxe""#);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_shown_as_such() {
        assert_eq!(shown(b"a\xffb\xe2\x82"), r#""a\xffb\xe2\x82""#);
    }

    #[test]
    fn a_flag_can_be_pasted_or_is_not_shown() {
        assert_eq!(Flag("origin", "app://$(a)`b`").to_string(), "--origin 'app://$(a)`b`'");
        assert_eq!(Flag("subprotocol", "--help").to_string(), "--subprotocol='--help'");
        for value in ["a'; b", "a b", "a\nb", "\u{e9}", &"a".repeat(101)] {
            assert_eq!(Flag("host", value).to_string(), "--host and the full value", "{value}");
        }
    }

    #[test]
    fn it_is_cut_at_100_bytes_however_much_there_is() {
        assert_eq!(shown([b'a'; 100]), format!("\"{}\"", "a".repeat(100)));
        let cut = format!("\"{}\"... (101 bytes)", "a".repeat(100));
        assert_eq!(shown([b'a'; 101]), cut);
        let long = shown([b'a'; 8192]);
        assert_eq!(long, cut.replace("101", "8192"));
        let escaped = format!("\"{}\"... (8192 bytes)", r"\xff".repeat(25));
        assert_eq!(shown([0xff; 8192]), escaped);
    }

    #[test]
    fn a_character_is_shown_whole_or_not_at_all() {
        let euros = "€".repeat(40);
        assert_eq!(shown(&euros), format!("\"{}\"... (120 bytes)", "€".repeat(33)));
        let late = format!("{}\u{1b}", "a".repeat(98));
        assert_eq!(shown(&late), format!("\"{}\"... (99 bytes)", "a".repeat(98)));
    }
}
