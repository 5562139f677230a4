//! How messages are compressed, and what clients may do.

/// The bytes that end each message, and are not sent (RFC 7692, section 7.2.1).
pub(super) const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The smallest window, in bits, that zlib can compress a raw stream with. It quietly uses 9 instead of
/// 8, so that a peer with a window of 256 bytes would get references that it cannot follow.
pub const MIN_WINDOW_BITS: u8 = 9;

/// The largest window, in bits: 32 KiB.
pub const MAX_WINDOW_BITS: u8 = 15;

/// How the server compresses, and what it lets clients do.
///
/// ```
/// use townhall::protocol::Deflate;
///
/// // Little memory, and little work.
/// let mut deflate = Deflate::default();
/// deflate.level = 1;
/// deflate.window_bits = 10;
/// deflate.threshold_bytes = 512;
/// deflate.client_context_takeover = false;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deflate {
    /// zlib's level, 1 (fast) to 9 (small). A message is compressed once, however many receive it, so
    /// zlib's own default, 6, is affordable.
    pub level: u32,
    /// The window that the server compresses with, in bits, 9 to 15. Clients may demand less.
    pub window_bits: u8,
    /// The shortest message that is compressed, in bytes. Below it there is little to gain.
    pub threshold_bytes: usize,
    /// Whether clients may keep their context from one message to the next. A client that does, and
    /// sends compressed messages, costs the server memory for its window.
    pub client_context_takeover: bool,
    /// The window of clients that keep their context and let the server choose, in bits, 9 to 15.
    /// Twelve bits are 4 KiB, an eighth of the largest window, and hold some dozens of the messages
    /// of a chat. Netty keeps 15 bits, since it may fail with any other number.
    pub client_window_bits: u8,
}

impl Default for Deflate {
    fn default() -> Self {
        Self {
            level: 6,
            window_bits: MAX_WINDOW_BITS,
            threshold_bytes: 64,
            client_context_takeover: true,
            client_window_bits: 12,
        }
    }
}
