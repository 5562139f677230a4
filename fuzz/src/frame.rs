//! Property: the header of a frame from a client, or from a server, is parsed exactly (RFC 6455, section
//! 5.2), with and without permessage-deflate. Nothing panics. A parsed header encodes to the same bytes. An
//! incomplete header needs more bytes. An error is detected as soon as its bytes are there, whatever
//! follows them.
//!
//! Input: a header, and any bytes after it.

use townhall::protocol::Violation;
use townhall::protocol::internals::{FrameHeader, FromClient, FromServer};

type Parse = fn(&[u8], bool) -> Result<Option<(FrameHeader, usize)>, Violation>;

pub fn check(bytes: &[u8]) {
    for deflate in [false, true] {
        check_header(bytes, deflate, true, FrameHeader::parse::<FromClient>);
        check_header(bytes, deflate, false, FrameHeader::parse::<FromServer>);
    }
}

fn check_header(bytes: &[u8], deflate: bool, is_masked: bool, parse: Parse) {
    let max_size = if is_masked { 14 } else { 10 };
    let parse = |end: usize| parse(&bytes[..end], deflate);
    match parse(bytes.len()) {
        Ok(Some((header, size))) => {
            assert!(deflate || !header.compressed);
            assert_eq!(bytes[..size], encode(&header, is_masked));
            assert!((0..size).all(|end| parse(end) == Ok(None)));
        }
        Ok(None) => assert!(bytes.len() < max_size),
        Err(violation) => {
            let shown = (0..=bytes.len()).find(|&end| parse(end) != Ok(None));
            let shown = shown.expect("the whole is an error");
            assert!((shown..=bytes.len().min(14)).all(|end| parse(end) == Err(violation)));
        }
    }
}

/// The one way to write a header: the shortest length form, then the mask.
fn encode(header: &FrameHeader, is_masked: bool) -> Vec<u8> {
    let bits = u8::from(header.fin) << 7 | u8::from(header.compressed) << 6;
    let first = bits | header.opcode as u8;
    let mut out = match header.length {
        length @ 0..=125 => vec![first, length as u8],
        length @ 126..=0xffff => [&[first, 126], &length.to_be_bytes()[6..]].concat(),
        length => [&[first, 127], &length.to_be_bytes()[..]].concat(),
    };
    assert!(header.length >> 63 == 0 && matches!(out.len(), 2 | 4 | 10));
    if is_masked {
        out[1] |= 0x80;
        out.extend_from_slice(&header.mask);
    } else {
        assert_eq!(header.mask, [0; 4]);
    }
    out
}
