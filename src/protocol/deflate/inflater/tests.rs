use flate2::{Compress, Compression, FlushCompress};
use proptest::collection::vec;
use proptest::prelude::*;

use super::super::reference::LongLivedInflater;
use super::*;
use crate::protocol::{Deflater, noise};

const MAX: usize = 1 << 20;

/// "Hello" (RFC 7692, section 7.2.3.1), and a reference to it (section 7.2.3.2).
const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
const AGAIN: [u8; 5] = [0xf2, 0x00, 0x11, 0x00, 0x00];

fn deflate(deflater: &mut Deflater, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    deflater.deflate(message, &mut out);
    out
}

#[test]
fn the_rfcs_own_examples() {
    let mut inflater = Inflater::default();
    let cases: [&[u8]; 4] = [
        &HELLO,
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
    let mut window = SlidingWindow::new(15);
    assert_eq!(inflater.inflate_in_context(&HELLO, &mut window, MAX).unwrap(), b"Hello");
    assert_eq!(inflater.inflate_in_context(&AGAIN, &mut window, MAX).unwrap(), b"Hello");
}

#[test]
fn messages_of_all_sizes_are_restored() {
    let mut deflater = Deflater::new(6, 15);
    let mut inflater = Inflater::default();
    let mut window = SlidingWindow::new(15);
    for length in [1, 2, 63, 64, 65, 1_000, 32_768, 100_000, 1_000_000] {
        for message in [vec![b'a'; length], noise(length)] {
            let compressed = deflate(&mut deflater, &message);
            assert!(!compressed.ends_with(&TAIL));
            let inflated = inflater.inflate_in_context(&compressed, &mut window, MAX).unwrap();
            assert_eq!(inflated, message, "{length} bytes");
        }
    }
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
fn invalid_deflate_is_refused_and_does_not_affect_the_next_message() {
    let mut inflater = Inflater::default();
    let behind_the_end = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x07];
    let broken = [&[0xff, 0xff, 0xff][..], &[0x07], &[0xf2, 0x48, 0xcd, 0xc9, 0xc9]];
    for message in broken.into_iter().chain([&behind_the_end[..]]) {
        let refused = Err(Violation::InvalidDeflate);
        assert_eq!(inflater.inflate(message, MAX), refused, "{message:x?}");
        let window = &mut SlidingWindow::new(15);
        assert_eq!(inflater.inflate_in_context(message, window, MAX), refused);
        assert_eq!(inflater.inflate(&HELLO, MAX).unwrap(), b"Hello");
    }
}

#[test]
fn a_reference_outside_the_window_differs_from_invalid_deflate() {
    let mut inflater = Inflater::default();
    assert_eq!(inflater.inflate(&AGAIN, MAX), Err(Violation::NoContext));
    let mut window = SlidingWindow::new(15);
    let outside = Err(Violation::OutsideWindow);
    assert_eq!(inflater.inflate_in_context(&AGAIN, &mut window, MAX), outside);
    // 600 bytes back is too far for a window of 512.
    let mut deflater = Deflater::new(9, 15);
    let message = noise(600);
    let mut window = SlidingWindow::new(9);
    let first = deflate(&mut deflater, &message);
    assert_eq!(inflater.inflate_in_context(&first, &mut window, MAX).unwrap(), message);
    let second = deflate(&mut deflater, &message);
    assert_eq!(inflater.inflate_in_context(&second, &mut window, MAX), outside);
}

/// RFC 7692, section 7.2.2: without agreed parameters, the window has 32,768 bytes.
#[test]
fn a_reference_may_be_32768_bytes_back() {
    let mut inflater = Inflater::default();
    let mut window = SlidingWindow::new(15);
    let message = noise(32_768);
    let compressed = deflate(&mut Deflater::new(1, 15), &message);
    assert_eq!(inflater.inflate_in_context(&compressed, &mut window, MAX).unwrap(), message);
    // Three bytes at a distance of 32,768, which zlib itself never refers to.
    let farthest = [0x02, 0xde, 0xff, 0x0f, 0x00];
    let inflated = inflater.inflate_in_context(&farthest, &mut window, MAX).unwrap();
    assert_eq!(inflated, message[..3]);
    // Now the first bytes of the message are three bytes too far away.
    let again = inflater.inflate_in_context(&farthest, &mut window, MAX).unwrap();
    assert_eq!(again, message[3..6]);
}

#[test]
fn a_message_may_end_with_its_stream() {
    let mut inflater = Inflater::default();
    let hall = [0xcb, 0xc8, 0x54, 0xc8, 0x48, 0xcc, 0xc9, 0x01, 0x00];
    assert_eq!(inflater.inflate(&hall, MAX).unwrap(), b"hi hall");
    // An empty block without compression and with BFINAL set, without its last four octets.
    assert_eq!(inflater.inflate(&[0x01], MAX).unwrap(), b"");
    assert_eq!(inflater.inflate(&hall[..8], MAX), Err(Violation::InvalidDeflate));
    assert_eq!(inflater.inflate(&HELLO, MAX).unwrap(), b"Hello");
}

#[test]
fn an_empty_message_may_be_compressed_to_nothing() {
    let mut inflater = Inflater::default();
    let mut window = SlidingWindow::new(15);
    for (compressed, message) in [(&HELLO[..], "Hello"), (&[], ""), (&[0], ""), (&AGAIN, "Hello")] {
        let inflated = inflater.inflate_in_context(compressed, &mut window, MAX).unwrap();
        assert_eq!(inflated, message.as_bytes());
    }
}

#[test]
fn the_omitted_bytes_do_not_complete_a_message() {
    let mut inflater = Inflater::default();
    // A stored block that lacks four bytes, and a last block without its end.
    for message in [&[0x00, 0x04, 0x00, 0xfb, 0xff][..], &[0x73, 0x3d, 0x31, 0x69]] {
        assert_eq!(inflater.inflate(message, MAX), Err(Violation::InvalidDeflate));
    }
}

#[test]
fn a_few_bytes_do_not_cause_many_copies_of_the_window() {
    let mut inflater = Inflater::default();
    assert_eq!(inflater.inflate(&LAST_BLOCK.repeat(16), MAX).unwrap(), b"");
    let many = LAST_BLOCK.repeat(1_000);
    assert_eq!(inflater.inflate(&many, MAX), Err(Violation::TooManyDeflateStreams));
}

/// How a client ends a message.
#[derive(Debug, Clone, Copy)]
enum End {
    /// As RFC 7692, section 7.2.1, describes.
    Flush,
    /// With its stream, with or without the byte after which others can continue.
    Stream { byte: bool },
}

/// A client that keeps its context, whatever ends its messages.
struct Client {
    stream: Compress,
    said: Vec<u8>,
}

impl Client {
    fn new(level: u32, window_bits: u8) -> Self {
        // With 9 bits zlib refers to no more than the last 250 bytes.
        let bits = window_bits.max(9);
        let stream = Compress::new_with_window_bits(Compression::new(level), false, bits);
        Self { stream, said: Vec::new() }
    }

    fn say(&mut self, message: &[u8], end: End) -> Vec<u8> {
        let mut out = Vec::with_capacity(2 * message.len() + 64);
        self.said.extend_from_slice(message);
        match end {
            End::Flush => {
                self.stream.compress_vec(message, &mut out, FlushCompress::Sync).unwrap();
                out.truncate(out.len() - TAIL.len());
            }
            End::Stream { byte } => {
                self.stream.compress_vec(message, &mut out, FlushCompress::Finish).unwrap();
                out.extend_from_slice(if byte { &[0] } else { &[] });
                self.stream.reset();
                self.stream.set_dictionary(&self.said).unwrap();
            }
        }
        out
    }
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    let words = vec(0..20usize, 0..200)
        .prop_map(|words| words.into_iter().flat_map(|word| noise(40)[word..].to_vec()));
    prop_oneof![
        4 => vec(any::<u8>(), 1..200),
        4 => words.prop_map(|bytes| bytes.chain([b'.']).collect()),
        1 => (1..40_000usize).prop_map(|length| vec![b'a'; length]),
        1 => (1..40_000usize).prop_map(noise),
    ]
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        4 => Just(End::Flush),
        1 => any::<bool>().prop_map(|byte| End::Stream { byte }),
    ]
}

proptest! {
    #[test]
    fn a_shared_inflater_agrees_with_an_inflater_for_each_connection(
        clients in vec((1..10u32, 8..16u8), 1..4),
        talk in vec((0..4usize, message(), end()), 1..40),
    ) {
        let mut inflater = Inflater::default();
        let new = |&(level, bits)| (Client::new(level, bits), SlidingWindow::new(bits), LongLivedInflater::default());
        let mut peers: Vec<_> = clients.iter().map(new).collect();
        let count = peers.len();
        for (speaker, message, end) in talk {
            let (client, window, long_lived) = &mut peers[speaker % count];
            let compressed = client.say(&message, end);
            prop_assert_eq!(long_lived.inflate(&compressed), Some(message.clone()));
            let inflated = inflater.inflate_in_context(&compressed, window, MAX);
            prop_assert_eq!(inflated, Ok(message));
            prop_assert!(window.is_within_its_size());
        }
    }

    #[test]
    fn broken_messages_are_refused_where_the_reference_inflater_refuses_them(
        talk in vec((message(), end(), any::<prop::sample::Index>(), any::<u8>()), 1..10),
    ) {
        let mut inflater = Inflater::default();
        let mut window = SlidingWindow::new(15);
        let mut client = Client::new(6, 15);
        let mut long_lived = LongLivedInflater::default();
        for (message, end, at, flips) in talk {
            let mut compressed = client.say(&message, end);
            let at = at.index(compressed.len());
            // Every other message stays intact.
            compressed[at] ^= if flips & 1 == 0 { flips } else { 0 };
            let expected = long_lived.inflate(&compressed);
            match inflater.inflate_in_context(&compressed, &mut window, MAX) {
                Ok(inflated) => prop_assert_eq!(Some(inflated), expected),
                Err(_) => {
                    prop_assert!(expected.is_none() || !long_lived.is_between_blocks());
                    break;
                }
            }
        }
    }
}

#[test]
fn a_longer_message_may_have_more_streams() {
    // A final block of 1,000 bytes as they are, with their number and its complement.
    let block = [&[1, 0xe8, 0x03, 0x17, 0xfc][..], &[b'a'; 1_000]].concat();
    let inflate = |further| {
        let message = [block.clone(), LAST_BLOCK.repeat(further)].concat();
        Inflater::default().inflate(&message, 1_000).map(|bytes| bytes.len())
    };
    assert_eq!(inflate(FREE_STREAMS + 16), Ok(1_000));
    assert_eq!(inflate(FREE_STREAMS + 17), Err(Violation::TooManyDeflateStreams));
}
