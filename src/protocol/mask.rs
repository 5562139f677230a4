//! Masking (RFC 6455, section 5.3).

/// From so many bytes on it pays to begin at an aligned address: a vector that lies across two
/// cache lines takes twice as long.
const LONG_BYTES: usize = 256;

/// Masks or unmasks `payload` in place; `payload[0]` meets `mask[0]`.
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

/// Masks `N` bytes at a time, and returns the rest.
#[inline]
fn mask_chunks<const N: usize>(payload: &mut [u8], mask: [u8; 4]) -> &mut [u8] {
    let (chunks, rest) = payload.as_chunks_mut::<N>();
    for chunk in chunks {
        mask_chunk(chunk, mask);
    }
    rest
}

/// `N` is a multiple of four.
#[inline]
fn mask_chunk<const N: usize>(chunk: &mut [u8; N], mask: [u8; 4]) {
    let word = u32::from_ne_bytes(mask);
    for bytes in chunk.as_chunks_mut().0 {
        *bytes = (u32::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
}

/// The mask as it meets the byte that follows `passed` bytes of a payload.
#[inline]
pub fn rotate_mask(mask: [u8; 4], passed: usize) -> [u8; 4] {
    let bits = 8 * (passed % 4) as u32;
    u32::from_le_bytes(mask).rotate_right(bits).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "transformed-octet-i = original-octet-i XOR masking-key-octet-(i MOD 4)"
    fn by_definition(payload: &mut [u8], mask: [u8; 4]) {
        payload.iter_mut().enumerate().for_each(|(i, byte)| *byte ^= mask[i % 4]);
    }

    #[test]
    fn agrees_with_the_definition_at_every_length_and_alignment() {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        let source: Vec<u8> = (0..=255).collect();
        for start in 0..16 {
            for end in start..source.len() {
                let (mut ours, mut theirs) = (source.clone(), source.clone());
                apply_mask(&mut ours[start..end], mask);
                by_definition(&mut theirs[start..end], mask);
                assert_eq!(ours, theirs, "{start}..{end}");
            }
        }
    }

    #[test]
    fn agrees_with_the_definition_where_a_long_payload_begins_unaligned() {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        let source: Vec<u8> = (0..=255).cycle().take(3 * LONG_BYTES).collect();
        for start in 0..16 {
            for end in LONG_BYTES..source.len() {
                let (mut ours, mut theirs) = (source.clone(), source.clone());
                apply_mask(&mut ours[start..end], mask);
                by_definition(&mut theirs[start..end], mask);
                assert_eq!(ours, theirs, "{start}..{end}");
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
