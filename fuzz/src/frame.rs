//! Property: a frame header is parsed exactly (RFC 6455, section 5.2), with and without permessage-deflate.
//! Nothing panics. A parsed header encodes to the same bytes. An incomplete header needs more bytes. An error
//! is detected as soon as its bytes are there, whatever follows them.
//!
//! Input: a header, and any bytes after it.

use townhall::protocol::internals::{FrameHeader, FromClient};

pub fn check(bytes: &[u8]) {
    check_header(bytes, false);
    check_header(bytes, true);
}

fn check_header(bytes: &[u8], deflate: bool) {
    let parse = |end: usize| FrameHeader::parse::<FromClient>(&bytes[..end], deflate);
    match parse(bytes.len()) {
        Ok(Some((header, size))) => {
            assert!(deflate || !header.compressed);
            assert_eq!(bytes[..size], encode(&header));
            assert!((0..size).all(|end| parse(end) == Ok(None)));
        }
        Ok(None) => assert!(bytes.len() < 14),
        Err(violation) => {
            let shown = (0..=bytes.len()).find(|&end| parse(end) != Ok(None));
            let shown = shown.expect("the whole is an error");
            assert!((shown..=bytes.len().min(14)).all(|end| parse(end) == Err(violation)));
        }
    }
}

/// The one way to write a header: the shortest length form, then the mask.
fn encode(header: &FrameHeader) -> Vec<u8> {
    let bits = u8::from(header.fin) << 7 | u8::from(header.compressed) << 6;
    let first = bits | header.opcode as u8;
    let mut out = match header.length {
        length @ 0..=125 => vec![first, 0x80 | length as u8],
        length @ 126..=0xffff => [&[first, 0x80 | 126], &length.to_be_bytes()[6..]].concat(),
        length => [&[first, 0x80 | 127], &length.to_be_bytes()[..]].concat(),
    };
    out.extend_from_slice(&header.mask);
    assert!(header.length >> 63 == 0 && matches!(out.len(), 6 | 8 | 14));
    out
}
