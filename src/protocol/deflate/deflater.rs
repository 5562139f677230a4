//! Compression, one message at a time (RFC 7692, section 7.2.1).

use flate2::{Compress, Compression, FlushCompress};

use super::config::{MAX_WINDOW_BITS, MIN_WINDOW_BITS, TAIL};

/// Compresses messages. Each has those since the last [`reset`](Self::reset) as its context.
///
/// ```
/// use townhall::protocol::{Deflater, Message};
///
/// let mut deflater = Deflater::new(6, 15);
/// let message = Message::Text("a text that is repeated");
/// let mut first = Vec::new();
/// let mut second = Vec::new();
/// message.encode_compressed(&mut deflater, &mut first);
/// message.encode_compressed(&mut deflater, &mut second);
/// assert!(second.len() < first.len());
///
/// // A client that joins now does not have the first message.
/// deflater.reset();
/// let mut third = Vec::new();
/// message.encode_compressed(&mut deflater, &mut third);
/// assert_eq!(third, first);
///
/// // Without a frame header:
/// let mut payload = Vec::new();
/// deflater.reset();
/// deflater.deflate(message.payload(), &mut payload);
/// assert_eq!(payload, third[2..]);
/// ```
#[derive(Debug)]
pub struct Deflater {
    stream: Compress,
}

impl Deflater {
    /// A compressor with zlib's `level` and a window of `window_bits`, 9 to 15, or the nearest of these.
    pub fn new(level: u32, window_bits: u8) -> Self {
        let window_bits = window_bits.clamp(MIN_WINDOW_BITS, MAX_WINDOW_BITS);
        let level = Compression::new(level.min(9));
        Self { stream: Compress::new_with_window_bits(level, false, window_bits) }
    }

    /// Forgets what was compressed before.
    pub fn reset(&mut self) {
        self.stream.reset();
    }

    /// Appends the message, compressed, to `out` (RFC 7692, section 7.2.1).
    pub fn deflate(&mut self, mut message: &[u8], out: &mut Vec<u8>) {
        if message.is_empty() {
            // A second flush in a row writes nothing. RFC 7692, section 7.2.3.6, defines the single
            // octet of an empty message.
            out.push(0);
            return;
        }
        loop {
            out.reserve(message.len() + 64);
            let read = self.stream.total_in();
            let status = self.stream.compress_vec(message, out, FlushCompress::Sync);
            message = &message[(self.stream.total_in() - read) as usize..];
            // This fails only if the stream has ended, and it never ends.
            if status.is_err() || message.is_empty() && out.len() < out.capacity() {
                break;
            }
        }
        if out.ends_with(&TAIL) {
            out.truncate(out.len() - TAIL.len());
        }
    }
}

/// Bytes that do not compress, for tests.
#[cfg(test)]
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::inflater::Inflater;
    use super::*;

    fn deflate(deflater: &mut Deflater, message: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        deflater.deflate(message, &mut out);
        out
    }

    #[test]
    fn the_context_makes_a_repetition_short_until_the_reset() {
        let mut deflater = Deflater::new(6, 15);
        let message = noise(200);
        let sizes = [(); 2].map(|()| deflate(&mut deflater, &message).len());
        assert!(sizes[0] > 200 && sizes[1] < 20, "{sizes:?}");
        deflater.reset();
        assert_eq!(deflate(&mut deflater, &message).len(), sizes[0]);
    }

    #[test]
    fn an_empty_message_is_one_octet_and_leaves_the_context_alone() {
        let mut deflater = Deflater::new(6, 15);
        let message = noise(200);
        assert_eq!(deflate(&mut deflater, b""), [0]);
        deflate(&mut deflater, &message);
        assert_eq!(deflate(&mut deflater, b""), [0]);
        assert!(deflate(&mut deflater, &message).len() < 20);
        assert_eq!(Inflater::default().inflate(&[0], 1), Ok(Vec::new()));
    }

    #[test]
    fn a_small_window_is_respected() {
        // With a window of 512 bytes, there must be no reference to data 600 bytes back.
        let message = [noise(600), noise(600)].concat();
        let small = &mut Deflater::new(9, 9);
        let large = &mut Deflater::new(9, 15);
        assert!(deflate(small, &message).len() > 1_150);
        assert!(deflate(large, &message).len() < 700);
    }
}
