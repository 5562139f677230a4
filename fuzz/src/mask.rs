//! Property: masking matches the definition in RFC 6455, section 5.3, at once and in two pieces.
//!
//! Input: the masking key (four bytes), the length of the first piece (one byte), and the payload.

use townhall::protocol::internals::{apply_mask, rotate_mask};

pub fn check(data: &[u8]) {
    let Some((&[a, b, c, d, first], payload)) = data.split_first_chunk::<5>() else { return };
    let mask = [a, b, c, d];
    // "transformed-octet-i = original-octet-i XOR masking-key-octet-j", "j = i MOD 4"
    let defined: Vec<u8> = payload.iter().enumerate().map(|(i, byte)| byte ^ mask[i % 4]).collect();

    let mut whole = payload.to_vec();
    apply_mask(&mut whole, mask);
    assert_eq!(whole, defined);

    let mut pieces = payload.to_vec();
    let first = payload.len().min(first.into());
    apply_mask(&mut pieces[..first], mask);
    apply_mask(&mut pieces[first..], rotate_mask(mask, first));
    assert_eq!(pieces, defined);
}
