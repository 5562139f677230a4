//! Parsers of WebSocket frames, each as its crate offers it at the lowest level that still gives
//! messages, over bytes from memory.

mod fastwebsockets;
mod sans_io;
mod source;
mod townhall;
mod tungstenite;

pub use source::Source;

/// How much is read at once where the crate leaves that to its user.
const READ: usize = 64 << 10;

/// Reads messages from a source that does not end.
pub trait Parser {
    /// The crate.
    fn name(&self) -> &'static str;

    /// Hands on the payloads of the next `count` messages.
    ///
    /// # Panics
    /// Where the source does not hold messages.
    fn parse(&mut self, count: usize, each: &mut dyn FnMut(&[u8]));
}

/// All parsers, over the same bytes.
pub fn all(bytes: &[u8]) -> Vec<Box<dyn Parser>> {
    vec![
        Box::new(townhall::Townhall::new(Source::new(bytes))),
        Box::new(tungstenite::Tungstenite::new(Source::new(bytes))),
        Box::new(fastwebsockets::Fastwebsockets::new(Source::new(bytes))),
        Box::new(sans_io::SansIo::new(Source::new(bytes))),
    ]
}

/// `count` masked messages of `size` bytes, one behind the other, as a client sends them that does
/// not wait. They are ASCII, each of another letter than the one before.
pub fn client_messages(text: bool, size: usize, count: usize) -> Vec<u8> {
    (0..count).flat_map(|number| client_message(text, &payload(number, size))).collect()
}

/// The payload of message `number`.
pub fn payload(number: usize, size: usize) -> Vec<u8> {
    vec![b'a' + (number % 26) as u8; size]
}

fn client_message(text: bool, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let first = if text { 0x81 } else { 0x82 };
    let mut out = match payload.len() {
        length @ 0..=125 => vec![first, 0x80 | length as u8],
        length @ 126..=0xffff => [&[first, 0xfe], &(length as u16).to_be_bytes()[..]].concat(),
        length => [&[first, 0xff], &(length as u64).to_be_bytes()[..]].concat(),
    };
    out.extend(MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parsers_give_all_messages() {
        for (text, size) in [(false, 20), (true, 1 << 10), (false, 64 << 10), (true, 100_000)] {
            for mut parser in all(&client_messages(text, size, 5)) {
                let mut received = Vec::new();
                parser.parse(7, &mut |message| received.push(message.to_vec()));
                parser.parse(6, &mut |message| received.push(message.to_vec()));
                let sent: Vec<_> = (0..13).map(|number| payload(number % 5, size)).collect();
                assert!(received == sent, "{} with {size} bytes", parser.name());
            }
        }
    }
}
