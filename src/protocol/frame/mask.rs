//! Masking (RFC 6455, section 5.3).

/// The minimum size in bytes for which it is worth starting at an aligned address. A vector across two
/// cache lines takes twice as long.
const LONG_BYTES: usize = 256;

/// The size in bytes below which copying and unmasking in one pass is faster than in two.
pub(crate) const SHORT_BYTES: usize = 64;

/// Masks or unmasks `payload` in place, with `mask[0]` for `payload[0]`.
///
/// The compiler turns this into vector instructions.
#[inline]
pub fn apply_mask(payload: &mut [u8], mask: [u8; 4]) {
    if payload.len() < LONG_BYTES { mask_short(payload, mask) } else { mask_long(payload, mask) }
}

#[inline(never)]
fn mask_long(payload: &mut [u8], mask: [u8; 4]) {
    let unaligned = payload.as_ptr().align_offset(16).min(payload.len());
    let (start, aligned) = payload.split_at_mut(unaligned);
    mask_short(start, mask);
    let mask = rotate_mask(mask, unaligned);
    mask_short(mask_chunks::<64>(aligned, mask), mask);
}

#[inline]
fn mask_short(payload: &mut [u8], mask: [u8; 4]) {
    let rest = mask_chunks::<16>(payload, mask);
    let rest = mask_chunks::<8>(rest, mask);
    let rest = mask_chunks::<4>(rest, mask);
    for (byte, key) in rest.iter_mut().zip(mask) {
        *byte ^= key;
    }
}

/// Masks `N` bytes at a time, and returns the remainder.
#[inline]
fn mask_chunks<const N: usize>(payload: &mut [u8], mask: [u8; 4]) -> &mut [u8] {
    let (chunks, rest) = payload.as_chunks_mut::<N>();
    for chunk in chunks {
        mask_chunk(chunk, mask);
    }
    rest
}

/// Appends a payload of less than [`SHORT_BYTES`] to `out`, unmasked in the same pass, and returns
/// whether it is ASCII.
#[inline(always)]
pub(crate) fn append_unmasked(payload: &[u8], mask: [u8; 4], out: &mut Vec<u8>) -> bool {
    let start = out.len();
    // With a constant size, this is a few stores; with the payload's own size, it would be a call.
    out.extend_from_slice(&[0; SHORT_BYTES]);
    let is_ascii = unmask_into(payload, mask, &mut out[start..][..payload.len()]);
    out.truncate(start + payload.len());
    is_ascii
}

/// Unmasks a payload into `out`, which is as long, and returns whether it is ASCII.
#[inline]
fn unmask_into(payload: &[u8], mask: [u8; 4], out: &mut [u8]) -> bool {
    let mut seen = 0;
    if let Some(last) = payload.last_chunk() {
        for (chunk, place) in payload.as_chunks().0.iter().zip(out.as_chunks_mut().0) {
            *place = unmask_word(*chunk, mask, &mut seen);
        }
        // The last word overlaps the previous one, so that no remainder is left.
        if let Some(place) = out.last_chunk_mut() {
            *place = unmask_word(*last, rotate_mask(mask, payload.len()), &mut seen);
        }
    } else {
        for ((byte, key), place) in payload.iter().zip(mask.iter().cycle()).zip(out) {
            *place = byte ^ key;
            seen |= u64::from(*place);
        }
    }
    seen & 0x8080_8080_8080_8080 == 0
}

/// `seen` gets the bits of all bytes.
#[inline]
fn unmask_word(word: [u8; 8], mask: [u8; 4], seen: &mut u64) -> [u8; 8] {
    let twice = u64::from(u32::from_ne_bytes(mask)) * 0x1_0000_0001;
    let word = u64::from_ne_bytes(word) ^ twice;
    *seen |= word;
    word.to_ne_bytes()
}

/// `N` is a multiple of four.
#[inline]
fn mask_chunk<const N: usize>(chunk: &mut [u8; N], mask: [u8; 4]) {
    let word = u32::from_ne_bytes(mask);
    for bytes in chunk.as_chunks_mut().0 {
        *bytes = (u32::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
}

/// The mask, rotated for the byte that follows `passed` bytes of a payload.
#[inline]
pub fn rotate_mask(mask: [u8; 4], passed: usize) -> [u8; 4] {
    let bits = 8 * (passed % 4) as u32;
    u32::from_le_bytes(mask).rotate_right(bits).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;

    /// "transformed-octet-i = original-octet-i XOR masking-key-octet-(i MOD 4)"
    fn by_definition(payload: &mut [u8], mask: [u8; 4]) {
        payload.iter_mut().enumerate().for_each(|(i, byte)| *byte ^= mask[i % 4]);
    }

    fn assert_agrees(source: &[u8], range: Range<usize>) {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        let mut ours = source.to_vec();
        let mut theirs = source.to_vec();
        apply_mask(&mut ours[range.clone()], mask);
        by_definition(&mut theirs[range.clone()], mask);
        assert_eq!(ours, theirs, "{range:?}");
    }

    #[test]
    fn agrees_with_the_definition_at_every_length_and_alignment() {
        let source: Vec<u8> = (0..=255).collect();
        for start in 0..16 {
            for end in start..source.len() {
                assert_agrees(&source, start..end);
            }
        }
    }

    #[test]
    fn agrees_with_the_definition_where_a_long_payload_begins_unaligned() {
        let source: Vec<u8> = (0..=255).cycle().take(3 * LONG_BYTES).collect();
        for start in 0..16 {
            for end in LONG_BYTES..source.len() {
                assert_agrees(&source, start..end);
            }
        }
    }

    #[test]
    fn unmasking_while_copying_gives_the_same_bytes_and_detects_ascii() {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        for length in 0..SHORT_BYTES {
            for other in (0..length).map(Some).chain([None]) {
                let mut payload = vec![b'a'; length];
                other.into_iter().for_each(|at| payload[at] = 0x80);
                let mut masked = payload.clone();
                by_definition(&mut masked, mask);
                let mut out = b"before".to_vec();
                assert_eq!(append_unmasked(&masked, mask, &mut out), other.is_none());
                assert_eq!(out, [b"before", &payload[..]].concat());
            }
        }
    }

    #[test]
    fn a_payload_in_two_pieces_is_unmasked_as_in_one() {
        let mask = [1, 2, 3, 4];
        for split in 0..=40 {
            let (mut whole, mut pieces) = (vec![0u8; 40], vec![0u8; 40]);
            apply_mask(&mut whole, mask);
            apply_mask(&mut pieces[..split], mask);
            apply_mask(&mut pieces[split..], rotate_mask(mask, split));
            assert_eq!(whole, pieces);
        }
    }
}
