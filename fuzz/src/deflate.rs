//! Property: an offer is accepted only with terms that both sides can keep, or declined. An inflated message
//! is never longer than the limit, and invalid data is not remembered. Messages that refer to each other are
//! inflated as if they had their own inflater. A deflated message inflates to itself (RFC 7692, sections 7.1
//! and 7.2).
//!
//! Input: what to do and a limit, then a value of Sec-WebSocket-Extensions, a message, or several messages
//! with their lengths before them.

use townhall::protocol::internals::{Inflater, LongLivedInflater, SlidingWindow};
use townhall::protocol::{Deflate, DeflateTerms, Deflater, Violation};

pub fn check(data: &[u8]) {
    let Some((&[what, limit], rest)) = data.split_first_chunk::<2>() else { return };
    match what % 4 {
        0 => negotiate(rest, limit),
        1 => inflate(rest, usize::from(limit) * 16),
        2 => deflate(rest, limit),
        _ => inflate_in_context(rest, usize::from(limit) * 16),
    }
}

fn negotiate(value: &[u8], choice: u8) {
    let mut deflate = Deflate::default();
    deflate.window_bits = 9 + choice % 7;
    deflate.client_window_bits = 9 + choice / 7 % 7;
    deflate.client_context_takeover = choice & 0x80 != 0;
    let Ok(Some(terms)) = DeflateTerms::negotiate([value], &deflate) else { return };
    assert!((9..=deflate.window_bits).contains(&terms.server_window_bits()));
    let full_window = terms.server_window_bits() == deflate.window_bits;
    assert!(full_window || !terms.server_context_takeover);
    assert!(deflate.client_context_takeover || !terms.client_context_takeover);
    let answer = terms.answer();
    assert!((8..=15).contains(&terms.client_window_bits()));
    // RFC 7692, section 7.1.2.2.
    let name = "client_max_window_bits";
    let offered = value.windows(name.len()).any(|bytes| bytes == name.as_bytes());
    assert!(offered || !answer.contains(name));
    // The answer is an offer too, of the same terms.
    let again = DeflateTerms::negotiate([answer.as_bytes()], &deflate);
    assert_eq!(again, Ok(Some(terms)), "{answer}");
    let refused = terms.without_client_context().answer();
    assert!(refused.contains("client_no_context_takeover") && !refused.contains(name));
}

fn inflate(message: &[u8], max_bytes: usize) {
    let mut inflater = Inflater::default();
    let first = inflater.inflate(message, max_bytes);
    match &first {
        Ok(inflated) => assert!(inflated.len() <= max_bytes),
        Err(violation) => assert!(is_of_deflate(*violation), "{violation}"),
    }
    assert_eq!(inflater.inflate(message, max_bytes), first, "nothing is remembered");
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    assert_eq!(inflater.inflate(&hello, 5).as_deref(), Ok(&b"Hello"[..]));
}

fn is_of_deflate(violation: Violation) -> bool {
    matches!(
        violation,
        Violation::MessageTooBig
            | Violation::InvalidDeflate
            | Violation::NoContext
            | Violation::OutsideWindow
            | Violation::TooManyDeflateStreams
    )
}

/// The message, cut into some, comes back in one context.
fn deflate(message: &[u8], choice: u8) {
    let window_bits = 9 + choice % 7;
    let mut deflater = Deflater::new(u32::from(choice % 10), window_bits);
    let mut inflater = Inflater::default();
    let mut window = SlidingWindow::new(window_bits);
    for piece in message.chunks(1 + usize::from(choice)) {
        let mut compressed = Vec::new();
        deflater.deflate(piece, &mut compressed);
        let inflated = inflater.inflate_in_context(&compressed, &mut window, piece.len());
        assert_eq!(inflated.as_deref(), Ok(piece));
    }
}

/// Each message is inflated as by an inflater that lives as long as the context, or refused.
fn inflate_in_context(mut messages: &[u8], max_bytes: usize) {
    let mut inflater = Inflater::default();
    let mut window = SlidingWindow::new(15);
    let mut long_lived = LongLivedInflater::default();
    while let Some((&length, rest)) = messages.split_first() {
        let (message, rest) = rest.split_at(usize::from(length).min(rest.len()));
        messages = rest;
        if message.is_empty() {
            continue;
        }
        match inflater.inflate_in_context(message, &mut window, max_bytes) {
            Ok(inflated) => assert_eq!(long_lived.inflate(message), Some(inflated)),
            Err(Violation::MessageTooBig | Violation::TooManyDeflateStreams) => return,
            Err(violation) => {
                assert!(is_of_deflate(violation), "{violation}");
                let received = long_lived.inflate(message);
                assert!(received.is_none() || !long_lived.is_between_blocks(), "{violation}");
                return;
            }
        }
    }
}
