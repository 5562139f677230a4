//! Masking (RFC 6455, section 5.3).

/// Masks or unmasks `payload` in place; `payload[0]` meets `mask[0]`.
///
/// Sixteen bytes at a time in safe code, which the compiler turns into vector instructions.
pub fn apply_mask(payload: &mut [u8], mask: [u8; 4]) {
    let word = u32::from_ne_bytes(mask);
    let double = u64::from(word) << 32 | u64::from(word);
    let wide = u128::from(double) << 64 | u128::from(double);
    let (chunks, rest) = payload.as_chunks_mut::<16>();
    for chunk in chunks {
        *chunk = (u128::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    let (chunks, rest) = rest.as_chunks_mut::<4>();
    for chunk in chunks {
        *chunk = (u32::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask) {
        *byte ^= key;
    }
}

/// The mask as it meets the byte that follows `passed` bytes of a payload.
pub fn rotate_mask(mut mask: [u8; 4], passed: usize) -> [u8; 4] {
    mask.rotate_left(passed % 4);
    mask
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
