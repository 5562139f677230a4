//! The settings of permessage-deflate.

/// The bytes at the end of each message that are not sent (RFC 7692, section 7.2.1).
pub(super) const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The smallest window, in bits, with which zlib can compress a raw stream. It silently uses 9 instead
/// of 8, so a peer with a window of 256 bytes would get references that it cannot resolve.
pub const MIN_WINDOW_BITS: u8 = 9;

/// The largest window, in bits: 32 KiB.
pub const MAX_WINDOW_BITS: u8 = 15;

/// How the server compresses, and which terms it offers to clients.
///
/// ```
/// use townhall::protocol::Deflate;
///
/// // For little memory and little CPU time.
/// let mut deflate = Deflate::default();
/// deflate.level = 1;
/// deflate.window_bits = 10;
/// deflate.threshold_bytes = 512;
/// deflate.client_context_takeover = false;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deflate {
    /// The level of zlib, from 1 (fastest) to 9 (smallest). A message is compressed once, however many
    /// members receive it, so zlib's own default of 6 is affordable.
    pub level: u32,
    /// The server's compression window in bits, 9 to 15. Clients may demand a smaller one.
    pub window_bits: u8,
    /// The minimum size in bytes of a message that is compressed. Shorter messages gain little.
    pub threshold_bytes: usize,
    /// Whether clients may keep their context from one message to the next. For each client that does so
    /// and sends compressed messages, the server keeps a window in memory.
    pub client_context_takeover: bool,
    /// The window in bits, 9 to 15, for clients that keep their context and let the server choose. The
    /// default of 12 bits is 4 KiB, an eighth of the largest window, and holds dozens of chat messages.
    /// Netty gets 15 bits, because it may fail with any other number.
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
