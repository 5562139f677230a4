//! Recognizes the server's own words among the frames that are queued for a client.

use crate::protocol::WORD_MARK;

/// Whether the server frame in `bytes` is a word.
pub(super) fn is_word(frame: &[u8]) -> bool {
    word_of(frame).is_some()
}

/// Whether the server frame in `bytes` is a greeting.
pub(super) fn is_greeting(frame: &[u8]) -> bool {
    let has_replay = |word: &[u8]| word.windows(9).any(|part| part == b"\"replay\":");
    word_of(frame).is_some_and(has_replay)
}

/// Whether the server frame in `bytes` is the word about the place of the client's own message.
pub(super) fn is_receipt(frame: &[u8]) -> bool {
    word_of(frame).is_some_and(|word| word.starts_with(b"{\"published\":"))
}

/// The number of messages that the client misses according to the word in a server frame.
pub(super) fn skipped_count(frame: &[u8]) -> Option<u64> {
    let rest = word_of(frame)?.strip_prefix(b"{\"skipped\":")?;
    let digits = rest.split(|byte| !byte.is_ascii_digit()).next()?;
    str::from_utf8(digits).ok()?.parse().ok()
}

/// The JSON of the word in a server frame. Words have fewer than 126 bytes, so their header has two.
fn word_of(frame: &[u8]) -> Option<&[u8]> {
    match frame {
        [0x81, length, WORD_BYTE, json @ ..] if *length < 126 => Some(json),
        _ => None,
    }
}

const WORD_BYTE: u8 = WORD_MARK as u8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Position, Word};

    const LAST: Position = Position::new(u64::MAX, u64::MAX);

    fn frame(word: Word) -> Vec<u8> {
        let mut frame = Vec::new();
        word.encode(&mut frame);
        frame
    }

    #[test]
    fn the_longest_words_are_recognised_in_their_frames() {
        let beat = Some(u32::MAX.into());
        let greeting = frame(Word::greeting(LAST, Some(false), u64::MAX, beat));
        let skipped = frame(Word::skipped(u64::MAX, LAST));
        assert!(is_word(&greeting) && is_greeting(&greeting), "{}", greeting.len());
        assert!(is_word(&skipped) && !is_greeting(&skipped));
        assert_eq!((skipped_count(&skipped), skipped_count(&greeting)), (Some(u64::MAX), None));
        let (receipt, beat) = (frame(Word::Published(LAST)), frame(Word::Beat(LAST)));
        assert!(is_receipt(&receipt) && !is_greeting(&receipt));
        assert!(!is_receipt(&beat) && !is_greeting(&beat));
        assert!(!is_word(b"\x81\x02hi") && !is_word(b"\x82\x01\0") && !is_word(b"\x81"));
    }
}
