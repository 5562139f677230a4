//! DEFLATE, one message at a time (RFC 7692, section 7.2).

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::violation::Violation;

/// What ends each message, and is not sent (RFC 7692, section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The shortest last block of a stream: it holds nothing (RFC 1951, section 3.2.6).
const LAST_BLOCK: [u8; 2] = [0x03, 0x00];

/// The smallest window, in bits, that zlib can compress a raw stream with. It quietly takes 9
/// where 8 is asked for, so that a peer with 256 bytes would get references that it cannot follow.
pub const MIN_WINDOW_BITS: u8 = 9;

/// The largest window, in bits: 32 KiB.
pub const MAX_WINDOW_BITS: u8 = 15;

/// How the server compresses, and what it lets clients do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deflate {
    /// zlib's level, 1 (fast) to 9 (small). A message is compressed once, however many hear it,
    /// so that zlib's own default, 6, is affordable.
    pub level: u32,
    /// The window that the server compresses with, in bits, 9 to 15. Clients may demand less.
    pub window_bits: u8,
    /// The shortest message that is compressed, in bytes. Below it there is little to gain.
    pub threshold_bytes: usize,
    /// Whether clients may keep their context from one message to the next. Each that does costs
    /// the server an inflater of its own, some 40 KiB; the others share one.
    pub client_context_takeover: bool,
}

impl Default for Deflate {
    fn default() -> Self {
        Self {
            level: 6,
            window_bits: MAX_WINDOW_BITS,
            threshold_bytes: 64,
            client_context_takeover: false,
        }
    }
}

/// Inflates messages. It holds no memory before the first.
#[derive(Debug, Default)]
pub struct Inflater {
    stream: Option<Decompress>,
}

impl Inflater {
    /// Inflates a message that knows nothing of those before it.
    ///
    /// # Errors
    /// [`Violation::MessageTooBig`] once there is more than `max_bytes` of it,
    /// [`Violation::InvalidDeflate`] where it is not DEFLATE.
    pub fn inflate(&mut self, message: &[u8], max_bytes: usize) -> Result<Vec<u8>, Violation> {
        let inflated = self.inflate_to_end(message, max_bytes);
        self.stream().reset(false);
        inflated
    }

    /// A last block shows whether the message ended where a block ends.
    fn inflate_to_end(&mut self, message: &[u8], max_bytes: usize) -> Result<Vec<u8>, Violation> {
        let mut out = self.inflate_in_context(message, max_bytes)?;
        let stream = self.stream();
        let ended = feed(stream, &LAST_BLOCK, &mut out, max_bytes)?;
        if ended { Ok(out) } else { Err(Violation::InvalidDeflate) }
    }

    /// Inflates a message that may refer to those before it.
    ///
    /// # Errors
    /// As [`inflate`](Self::inflate). Nothing may be inflated in the same context after it.
    pub fn inflate_in_context(
        &mut self,
        message: &[u8],
        max_bytes: usize,
    ) -> Result<Vec<u8>, Violation> {
        let stream = self.stream();
        let mut out = Vec::new();
        feed(stream, message, &mut out, max_bytes)?;
        feed(stream, &TAIL, &mut out, max_bytes)?;
        Ok(out)
    }

    fn stream(&mut self) -> &mut Decompress {
        self.stream.get_or_insert_with(|| Decompress::new(false))
    }
}

/// Inflates all of `input` to the end of `out`, which grows to at most a byte over the limit, and
/// tells whether it ended with a last block.
fn feed(
    stream: &mut Decompress,
    mut input: &[u8],
    out: &mut Vec<u8>,
    max_bytes: usize,
) -> Result<bool, Violation> {
    loop {
        if out.len() == out.capacity() {
            let wanted = out.len().max(4 * input.len()).max(64);
            out.reserve_exact(wanted.min(max_bytes.saturating_add(1) - out.len()));
        }
        let (read, written) = (stream.total_in(), out.len());
        let status = stream.decompress_vec(input, out, FlushDecompress::Sync);
        let status = status.map_err(|_| Violation::InvalidDeflate)?;
        let read = (stream.total_in() - read) as usize;
        input = &input[read..];
        if out.len() > max_bytes {
            return Err(Violation::MessageTooBig);
        }
        if status == Status::StreamEnd {
            // 7.2.3.4: a block with BFINAL set may be followed by others.
            stream.reset(false);
        }
        if input.is_empty() && out.len() < out.capacity() {
            return Ok(status == Status::StreamEnd);
        }
        if read == 0 && out.len() == written && out.len() < out.capacity() {
            return Err(Violation::InvalidDeflate);
        }
    }
}

/// Compresses messages, each with those before it as its context until [`reset`](Self::reset).
#[derive(Debug)]
pub struct Deflater {
    stream: Compress,
}

impl Deflater {
    /// A compressor at zlib's `level` with a window of `window_bits`, 9 to 15, or the nearest of
    /// these.
    pub fn new(level: u32, window_bits: u8) -> Self {
        let window_bits = window_bits.clamp(MIN_WINDOW_BITS, MAX_WINDOW_BITS);
        let level = Compression::new(level.min(9));
        Self { stream: Compress::new_with_window_bits(level, false, window_bits) }
    }

    /// Forgets what was compressed before.
    pub fn reset(&mut self) {
        self.stream.reset();
    }

    /// Appends the message, which must not be empty, compressed to `out` (RFC 7692, section
    /// 7.2.1).
    pub fn deflate(&mut self, mut message: &[u8], out: &mut Vec<u8>) {
        loop {
            out.reserve(message.len() + 64);
            let read = self.stream.total_in();
            let status = self.stream.compress_vec(message, out, FlushCompress::Sync);
            message = &message[(self.stream.total_in() - read) as usize..];
            // It fails only where the stream was ended, which it never is.
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
    use super::*;

    const MAX: usize = 1 << 20;

    fn deflate(deflater: &mut Deflater, message: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        deflater.deflate(message, &mut out);
        out
    }

    #[test]
    fn the_rfcs_own_examples() {
        let mut inflater = Inflater::default();
        let cases: [&[u8]; 4] = [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
            // 7.2.3.3: a block without compression.
            &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
            // 7.2.3.4: a block with BFINAL set.
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            // 7.2.3.5: two blocks.
            &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
        ];
        for case in cases {
            assert_eq!(inflater.inflate(case, MAX).unwrap(), b"Hello", "{case:x?}");
        }
        // 7.2.3.2: the second "Hello" refers to the first.
        let own = &mut Inflater::default();
        assert_eq!(own.inflate_in_context(cases[0], MAX).unwrap(), b"Hello");
        let second = [0xf2, 0x00, 0x11, 0x00, 0x00];
        assert_eq!(own.inflate_in_context(&second, MAX).unwrap(), b"Hello");
        assert_eq!(inflater.inflate(&second, MAX), Err(Violation::InvalidDeflate));
    }

    #[test]
    fn messages_of_all_sizes_come_back() {
        let (mut deflater, mut inflater) = (Deflater::new(6, 15), Inflater::default());
        for length in [1, 2, 63, 64, 65, 1_000, 32_768, 100_000, 1_000_000] {
            for message in [vec![b'a'; length], noise(length)] {
                let compressed = deflate(&mut deflater, &message);
                assert!(!compressed.ends_with(&TAIL));
                let inflated = inflater.inflate_in_context(&compressed, MAX).unwrap();
                assert_eq!(inflated, message, "{length} bytes");
            }
        }
    }

    #[test]
    fn the_context_makes_a_repetition_short_until_it_is_forgotten() {
        let mut deflater = Deflater::new(6, 15);
        let message = noise(200);
        let sizes = [(); 2].map(|()| deflate(&mut deflater, &message).len());
        assert!(sizes[0] > 200 && sizes[1] < 20, "{sizes:?}");
        deflater.reset();
        assert_eq!(deflate(&mut deflater, &message).len(), sizes[0]);
    }

    #[test]
    fn a_small_window_is_kept() {
        // With 512 bytes of window, what lies 600 bytes back must not be referred to.
        let message = [noise(600), noise(600)].concat();
        let (small, large) = (&mut Deflater::new(9, 9), &mut Deflater::new(9, 15));
        assert!(deflate(small, &message).len() > 1_150);
        assert!(deflate(large, &message).len() < 700);
    }

    #[test]
    fn a_bomb_stops_at_the_limit_and_the_limit_itself_passes() {
        let bomb = deflate(&mut Deflater::new(9, 15), &vec![0; 10_000_000]);
        assert!(bomb.len() < 20_000);
        let mut inflater = Inflater::default();
        assert_eq!(inflater.inflate(&bomb, 9_999_999), Err(Violation::MessageTooBig));
        assert_eq!(inflater.inflate(&bomb, 10_000_000).map(|out| out.len()), Ok(10_000_000));
        assert_eq!(inflater.inflate(&bomb, 0), Err(Violation::MessageTooBig));
    }

    #[test]
    fn what_is_not_deflate_is_refused_and_forgotten() {
        let mut inflater = Inflater::default();
        for broken in [&[0xff, 0xff, 0xff][..], &[0x07], &[0xf2, 0x48, 0xcd, 0xc9, 0xc9]] {
            assert_eq!(
                inflater.inflate(broken, MAX),
                Err(Violation::InvalidDeflate),
                "{broken:x?}"
            );
        }
        let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        assert_eq!(inflater.inflate(&hello, MAX).unwrap(), b"Hello");
    }
}
