//! The messages of senders: the number of the sender, the number of the message, and some letters.

use crate::frame::{self, Mask};

/// The two numbers, eight hexadecimal digits each.
pub const SHORTEST: usize = 16;

/// What a protocol above WebSocket puts around each message.
#[derive(Debug, Clone, Copy)]
pub struct Envelope {
    pub before: &'static str,
    pub after: &'static str,
}

impl Envelope {
    pub const NONE: Self = Self { before: "", after: "" };

    pub fn wrap(self, message: &[u8]) -> Vec<u8> {
        [self.before.as_bytes(), message, self.after.as_bytes()].concat()
    }
}

/// Messages of one length.
#[derive(Debug, Clone)]
pub struct Speech {
    /// The mask, as it falls on the numbers.
    mask: Mask,
    /// A client's frame with any numbers.
    frame: Vec<u8>,
    /// The position of the numbers in the frame.
    digits: usize,
}

impl Speech {
    pub fn new(mask: Mask, bytes: usize) -> Self {
        Self::within(Envelope::NONE, mask, bytes)
    }

    pub fn within(envelope: Envelope, mask: Mask, bytes: usize) -> Self {
        let payload = envelope.wrap(&message(0, 0, bytes));
        let frame = frame::from_client(mask, frame::TEXT, &payload);
        let digits = frame.len() - payload.len() + envelope.before.len();
        Self { mask: mask.from(envelope.before.len()), frame, digits }
    }

    /// Appends the masked frame of a sender's message to `out`.
    pub fn append(&self, sender: u32, sequence: u32, out: &mut Vec<u8>) {
        let start = out.len() + self.digits;
        out.extend_from_slice(&self.frame);
        let digits = &mut out[start..start + SHORTEST];
        digits.copy_from_slice(&numbers(sender, sequence));
        self.mask.apply(digits);
    }
}

/// A sender's message of `bytes` bytes.
pub fn message(sender: u32, sequence: u32, bytes: usize) -> Vec<u8> {
    let letters = (b'a'..=b'z').cycle().take(bytes - SHORTEST);
    numbers(sender, sequence).into_iter().chain(letters).collect()
}

fn numbers(sender: u32, sequence: u32) -> [u8; SHORTEST] {
    let mut number = u64::from(sender) << 32 | u64::from(sequence);
    let mut digits = [0; SHORTEST];
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 0xf) as usize];
        number >>= 4;
    }
    digits
}

/// The numbers of the sender and of the message, with which a message begins.
pub fn parse(message: &[u8]) -> Option<(u32, u32)> {
    let digits = std::str::from_utf8(message.get(..SHORTEST)?).ok()?;
    let number = u64::from_str_radix(digits, 16).ok()?;
    Some(((number >> 32) as u32, number as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_can_be_parsed() {
        let mut out = Vec::new();
        Speech::new(Mask::SOME, 20).append(0x1f, 0xdead_beef, &mut out);
        assert_eq!(&out[..6], [0x81, 0x94, 0x37, 0xfa, 0x21, 0x3d]);
        let mut message = out.split_off(6);
        Mask::SOME.apply(&mut message);
        assert_eq!(message, b"0000001fdeadbeefabcd");
        assert_eq!(parse(&message), Some((0x1f, 0xdead_beef)));
    }

    #[test]
    fn numbers_are_masked_wherever_they_are_in_the_payload() {
        for before in ["", "[", "[[", "[[[", "[[[["] {
            let mut out = Vec::new();
            let envelope = Envelope { before, after: "]" };
            Speech::within(envelope, Mask::SOME, 20).append(1, 2, &mut out);
            let mut payload = out.split_off(6);
            Mask::SOME.apply(&mut payload);
            assert_eq!(payload, format!("{before}0000000100000002abcd]").as_bytes());
        }
    }
}
