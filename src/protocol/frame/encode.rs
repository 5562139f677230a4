//! Frames (RFC 6455, section 5.2) in the encoding of each role, and their sizes.

#[cfg(feature = "client")]
use super::header::MASKED;
use super::header::Shape;
#[cfg(feature = "client")]
use super::mask::apply_mask;
use super::opcode::{CONTROL, FIN, Opcode, RSV1};

/// Appends the header of an unfragmented, unmasked frame with a payload of `length` bytes to `out`. "A
/// server MUST NOT mask any frames that it sends to the client" (RFC 6455, section 5.1).
pub fn encode_header(opcode: Opcode, length: usize, out: &mut Vec<u8>) {
    encode(FIN | opcode as u8, length, out);
}

/// Appends an unfragmented, unmasked frame with a compressed payload to `out` (RFC 7692, section 6.1).
pub fn encode_compressed_frame(opcode: Opcode, compressed: &[u8], out: &mut Vec<u8>) {
    encode(FIN | RSV1 | opcode as u8, compressed.len(), out);
    out.extend_from_slice(compressed);
}

/// Appends an unfragmented frame with this masking key to `out`. "A client MUST mask all frames that it
/// sends to the server" (RFC 6455, section 5.1).
#[cfg(feature = "client")]
pub(crate) fn encode_masked_frame(
    opcode: Opcode,
    compressed: bool,
    payload: &[u8],
    mask: [u8; 4],
    out: &mut Vec<u8>,
) {
    let rsv1 = if compressed { RSV1 } else { 0 };
    let header = out.len();
    encode(FIN | rsv1 | opcode as u8, payload.len(), out);
    out[header + 1] |= MASKED;
    out.extend_from_slice(&mask);
    let begin = out.len();
    out.extend_from_slice(payload);
    apply_mask(&mut out[begin..], mask);
}

#[inline]
fn encode(first: u8, length: usize, out: &mut Vec<u8>) {
    match length {
        0..=125 => out.extend_from_slice(&[first, length as u8]),
        126..=0xffff => {
            let [high, low] = (length as u16).to_be_bytes();
            out.extend_from_slice(&[first, 126, high, low]);
        }
        _ => {
            out.extend_from_slice(&[first, 127]);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// Appends an unfragmented, unmasked frame to `out`.
#[inline]
pub fn encode_frame(opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
    encode_header(opcode, payload.len(), out);
    out.extend_from_slice(payload);
}

/// The size in bytes, 2, 4 or 10, of the header that [`encode_header`] writes for `length`.
pub fn header_size(length: usize) -> usize {
    match length {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    }
}

/// Whether the server frame in `bytes` is a close, a ping or a pong.
pub fn is_control(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| first & CONTROL != 0)
}

/// The size in bytes of the server frame at the start of `bytes`, which [`encode_frame`] must have
/// written; `None` if its header is incomplete or its length does not fit into memory.
pub fn frame_size(bytes: &[u8]) -> Option<usize> {
    let length = match *bytes.get(1)? {
        126 => u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?).into(),
        127 => usize::try_from(u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)).ok()?,
        short => short.into(),
    };
    header_size(length).checked_add(length)
}

/// The opcode and the payload of a server frame; `None` unless `bytes` are one frame that [`encode_frame`]
/// could have written.
pub fn decode_frame(bytes: &[u8]) -> Option<(Opcode, &[u8])> {
    let shape = Shape::of(bytes)?;
    let opcode = Opcode::from_bits(shape.opcode).ok()?;
    let payload = &bytes[shape.header..];
    let same = bytes[0] == FIN | shape.opcode && frame_size(bytes) == Some(bytes.len());
    (same && payload.len() as u64 == shape.length).then_some((opcode, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoded_frame_has_the_computed_size() {
        for length in [0, 1, 125, 126, 65535, 65536, 100_000] {
            let mut out = Vec::new();
            encode_frame(Opcode::Text, &vec![b'x'; length], &mut out);
            assert_eq!(out.len(), header_size(length) + length);
            assert_eq!(frame_size(&out), Some(out.len()));
            assert_eq!(out[0], 0x81);
            let (opcode, payload) = decode_frame(&out).unwrap();
            assert_eq!((opcode, payload.len()), (Opcode::Text, length));
            assert_eq!(decode_frame(&out[..out.len() - 1]), None);
            assert_eq!(decode_frame(&[&out[..], b"x"].concat()), None);
        }
    }

    #[test]
    fn fragments_and_frames_of_clients_are_no_frames_of_a_server() {
        assert_eq!(decode_frame(b"\x82\x01x"), Some((Opcode::Binary, &b"x"[..])));
        for other in
            [&b"\x02\x01x"[..], b"\xc2\x01x", b"\x83\x01x", b"\x82\x81\0\0\0\0x", b"", b"\x82"]
        {
            assert_eq!(decode_frame(other), None, "{other:?}");
        }
    }
}
