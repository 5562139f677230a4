//! Property: what a client offers is accepted only with terms that it can keep, or declined; what
//! is inflated is never longer than the limit, and nothing broken is remembered; what is deflated
//! comes back (RFC 7692, sections 7.1 and 7.2).
//!
//! Input: what to do, a limit, then a value of Sec-WebSocket-Extensions or a message.

#![no_main]

use libfuzzer_sys::fuzz_target;
use townhall::protocol::{Deflate, DeflateTerms, Deflater, Inflater, Violation};

fuzz_target!(|data: &[u8]| {
    let Some((&[what, limit], rest)) = data.split_first_chunk::<2>() else { return };
    match what % 3 {
        0 => negotiate(rest, limit),
        1 => inflate(rest, usize::from(limit) * 16),
        _ => deflate(rest, limit),
    }
});

fn negotiate(value: &[u8], choice: u8) {
    let deflate = Deflate {
        window_bits: 9 + choice % 7,
        client_context_takeover: choice & 0x80 != 0,
        ..Deflate::default()
    };
    let Ok(Some(terms)) = DeflateTerms::negotiate([value].into_iter(), &deflate) else { return };
    assert!((9..=deflate.window_bits).contains(&terms.server_window_bits()));
    let full_window = terms.server_window_bits() == deflate.window_bits;
    assert!(full_window || !terms.server_context_takeover);
    assert!(deflate.client_context_takeover || !terms.client_context_takeover);
    // The answer is an offer too, of the same terms.
    let answer = terms.answer();
    let again = DeflateTerms::negotiate([answer.as_bytes()].into_iter(), &deflate);
    assert_eq!(again, Ok(Some(terms)), "{answer}");
}

fn inflate(message: &[u8], max_bytes: usize) {
    let mut inflater = Inflater::default();
    let first = inflater.inflate(message, max_bytes);
    match &first {
        Ok(inflated) => assert!(inflated.len() <= max_bytes),
        Err(violation) => {
            assert!(matches!(violation, Violation::MessageTooBig | Violation::InvalidDeflate));
        }
    }
    assert_eq!(inflater.inflate(message, max_bytes), first, "nothing is remembered");
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    assert_eq!(inflater.inflate(&hello, 5).as_deref(), Ok(&b"Hello"[..]));
}

/// The message, cut into some, comes back in one context.
fn deflate(message: &[u8], choice: u8) {
    let mut deflater = Deflater::new(u32::from(choice % 10), 9 + choice % 7);
    let mut inflater = Inflater::default();
    for piece in message.chunks(1 + usize::from(choice)) {
        let mut compressed = Vec::new();
        deflater.deflate(piece, &mut compressed);
        let inflated = inflater.inflate_in_context(&compressed, piece.len());
        assert_eq!(inflated.as_deref(), Ok(piece));
    }
}
