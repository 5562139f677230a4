//! Frames of clients, byte by byte.

use townhall::protocol::internals::apply_mask;

pub const FIN: u8 = 0x80;
pub const CONTINUATION: u8 = 0x0;
pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;

const MASKED: u8 = 0x80;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// How the length of a payload is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LengthForm {
    Bits7,
    Bits16,
    Bits64,
}

impl LengthForm {
    /// The form of the fewest bytes.
    pub fn shortest(length: usize) -> Self {
        match length {
            0..=125 => Self::Bits7,
            126..=0xffff => Self::Bits16,
            _ => Self::Bits64,
        }
    }

    fn encode(self, length: u64) -> Vec<u8> {
        match self {
            Self::Bits7 => vec![length as u8],
            Self::Bits16 => [&[126][..], &(length as u16).to_be_bytes()].concat(),
            Self::Bits64 => [&[127][..], &length.to_be_bytes()].concat(),
        }
    }
}

/// The header of a masked frame, whatever it says.
pub fn header(first: u8, form: LengthForm, length: u64) -> Vec<u8> {
    let mut bytes = vec![first];
    bytes.extend(form.encode(length));
    bytes[1] |= MASKED;
    bytes.extend(MASK);
    bytes
}

/// A masked frame.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    frame_in_form(first, LengthForm::shortest(payload.len()), payload)
}

/// A masked frame whose length has this form, which may be longer than it needs to be.
pub fn frame_in_form(first: u8, form: LengthForm, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(first, form, payload.len() as u64);
    let begin = bytes.len();
    bytes.extend_from_slice(payload);
    apply_mask(&mut bytes[begin..], MASK);
    bytes
}

/// A frame without a mask.
pub fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    let form = LengthForm::shortest(payload.len());
    [&[first][..], &form.encode(payload.len() as u64), payload].concat()
}

/// A close frame.
pub fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, &[&code.to_be_bytes()[..], reason].concat())
}

/// The size of the header that begins with these two bytes, and the number of its bytes that are the length.
fn header_size(second: u8) -> (usize, usize) {
    let length_bytes = match second & !MASKED {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    (2 + length_bytes + MASK.len() * usize::from(second & MASKED != 0), length_bytes)
}

/// The length in a complete header.
fn length(header: &[u8], length_bytes: usize) -> u64 {
    let number = |length, byte: &u8| length << 8 | u64::from(*byte);
    match length_bytes {
        0 => u64::from(header[1] & !MASKED),
        _ => header[2..2 + length_bytes].iter().fold(0, number),
    }
}

/// The number of bytes that the last frame of a stream still needs, of which the header alone may be known;
/// `None` if it declares more than `max_bytes`.
pub fn missing_bytes(mut bytes: &[u8], max_bytes: usize) -> Option<usize> {
    loop {
        let Some(&second) = bytes.get(1) else { return Some(2 * usize::from(bytes.len() == 1)) };
        let (header, length_bytes) = header_size(second);
        if bytes.len() < header {
            return Some(header - bytes.len());
        }
        let length = usize::try_from(length(bytes, length_bytes)).ok();
        let length = length.filter(|&length| length <= max_bytes)?;
        match (header + length).checked_sub(bytes.len()) {
            Some(missing) if missing > 0 => return Some(missing),
            _ => bytes = &bytes[header + length..],
        }
    }
}

/// The same frames without masks, and those that have none with one.
pub fn mirrored(mut bytes: &[u8]) -> Vec<u8> {
    let mut mirrored = Vec::new();
    while let Some(&[first, second]) = bytes.first_chunk() {
        let (header, length_bytes) = header_size(second);
        mirrored.extend([first, second ^ MASKED]);
        let Some((start, rest)) = bytes.split_at_checked(header) else {
            let end = bytes.len().min(2 + length_bytes);
            mirrored.extend_from_slice(&bytes[2..end]);
            return mirrored;
        };
        mirrored.extend_from_slice(&start[2..2 + length_bytes]);
        let (_, mask) = start.split_at(2 + length_bytes);
        if mask.is_empty() {
            mirrored.extend(MASK);
        }
        let length = usize::try_from(length(start, length_bytes)).unwrap_or(usize::MAX);
        let (payload, behind) = rest.split_at(length.min(rest.len()));
        let begin = mirrored.len();
        mirrored.extend_from_slice(payload);
        apply_mask(&mut mirrored[begin..], *mask.first_chunk().unwrap_or(&MASK));
        bytes = behind;
    }
    mirrored.extend_from_slice(bytes);
    mirrored
}
