//! Property: a text in pieces is accepted exactly as long as it can still become UTF-8, and the result is that
//! of `std::str::from_utf8` for the whole text (RFC 6455, section 8.1).
//!
//! Input: four sizes of pieces (see `pieces.rs`), then the text.

use townhall::protocol::internals::{TextAssembly, validate};

use super::pieces::piece_lengths;

pub fn check(data: &[u8]) {
    let Some((sizes, text)) = data.split_first_chunk::<4>() else { return };
    let expected = std::str::from_utf8(text).ok();
    assert_eq!(validate(text).ok(), expected);

    let possible = possible_bytes(text);
    let mut assembly = TextAssembly::default();
    let mut passed = 0;
    for length in piece_lengths(text.len(), sizes) {
        let taken = assembly.push(&text[passed..passed + length]).is_ok();
        passed += length;
        assert_eq!(taken, passed <= possible, "{passed} of {possible} possible bytes");
        if !taken {
            return;
        }
        assert_eq!(assembly.len(), passed);
    }
    assert_eq!(assembly.finish().ok().as_deref(), expected);
}

/// The length of the longest prefix that some continuation makes UTF-8. The byte behind it is the
/// first impossible one.
fn possible_bytes(text: &[u8]) -> usize {
    let Err(error) = std::str::from_utf8(text) else { return text.len() };
    let start = error.valid_up_to();
    let can_continue = |end: &usize| match std::str::from_utf8(&text[start..*end]) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    (start..=text.len()).take_while(can_continue).last().unwrap_or(start)
}
