//! Tokens (RFC 9110, section 5.6.2).

/// Whether a byte may be in a token (RFC 9110, section 5.6.2).
#[inline]
pub(crate) fn is_token_byte(byte: u8) -> bool {
    TOKEN_BYTES[usize::from(byte)]
}

/// Which bytes may be in a token: a head has hundreds of them.
static TOKEN_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < u8::MAX {
        let is_symbol = matches!(
            byte,
            b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~'
        );
        table[byte as usize] = byte.is_ascii_alphanumeric() || is_symbol;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_letters_digits_and_fifteen_symbols() {
        let symbols = (0..=u8::MAX)
            .filter(|&byte| is_token_byte(byte) && !byte.is_ascii_alphanumeric())
            .collect::<Vec<_>>();
        assert_eq!(symbols, b"!#$%&'*+-.^_`|~");
        assert!((0..=u8::MAX).all(|byte| !byte.is_ascii_alphanumeric() || is_token_byte(byte)));
    }
}
