//! What peers send.

use crate::protocol::internals::apply_mask;
use crate::server::system::Random;

/// A masked frame with this first byte.
pub(super) fn masked(random: &mut Random, first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ ..126 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
    }
    let mask = (random.next() as u32).to_be_bytes();
    frame.extend(mask);
    let begin = frame.len();
    frame.extend(payload);
    apply_mask(&mut frame[begin..], mask);
    frame
}

/// A message that differs from all others, by the connection and its number there. Its first byte says what
/// the application should do with it, and is one of the `kinds`.
pub(super) fn message(
    random: &mut Random,
    (connection, number): (usize, usize),
    size: usize,
    kinds: &[u8],
) -> Vec<u8> {
    let kind = random.pick(kinds);
    let kind = if kind == b'c' && random.happens(700) { b'p' } else { kind };
    let mut message = vec![kind, random.next() as u8];
    message.extend(format!("{connection}/{number} ").bytes());
    let size = random.within(0..size).max(message.len());
    let noisy = random.happens(300);
    while message.len() < size {
        let byte = if noisy { random.next() as u8 } else { message[message.len() / 2] };
        message.push(byte);
    }
    message
}
