//! Frames (RFC 6455, section 5.2), as far as a well-behaved client needs them.

/// The bit of the last frame of a message.
const FIN: u8 = 0x80;
/// The bit of a compressed message (RFC 7692, section 6).
pub const RSV1: u8 = 0x40;
/// The first byte of an unfragmented text message.
pub const TEXT: u8 = FIN | 0x1;
/// The first byte of an unfragmented binary message.
pub const BINARY: u8 = FIN | 0x2;

/// The mask of all frames: that it is always the same lets them be prepared once.
#[derive(Debug, Clone, Copy)]
pub struct Mask([u8; 4]);

impl Mask {
    /// Which mask it is makes no difference to a server that unmasks, as long as it isn't zero.
    pub const SOME: Self = Self([0x37, 0xfa, 0x21, 0x3d]);
    /// For a server that does not unmask.
    pub const ZERO: Self = Self([0; 4]);

    /// The mask of what follows so many bytes of a payload.
    pub fn from(self, offset: usize) -> Self {
        let mut bytes = self.0;
        bytes.rotate_left(offset % 4);
        Self(bytes)
    }

    /// XORs a payload with the mask.
    pub fn apply(self, payload: &mut [u8]) {
        for (at, byte) in payload.iter_mut().enumerate() {
            *byte ^= self.0[at % 4];
        }
    }
}

/// A frame as a server sends it.
pub fn from_server(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(first, 0, payload.len());
    frame.extend_from_slice(payload);
    frame
}

/// A frame as a client sends it.
pub fn from_client(mask: Mask, first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(first, 0x80, payload.len());
    frame.extend_from_slice(&mask.0);
    let start = frame.len();
    frame.extend_from_slice(payload);
    mask.apply(&mut frame[start..]);
    frame
}

/// A message in `count` frames of about the same size, as a client sends it.
pub fn fragments(mask: Mask, first: u8, payload: &[u8], count: usize) -> Vec<u8> {
    let cut = |index: usize| index * payload.len() / count;
    let frame = |index: usize| {
        let opcode = if index == 0 { first & !FIN } else { 0 };
        let fin = if index + 1 == count { FIN } else { 0 };
        from_client(mask, fin | opcode, &payload[cut(index)..cut(index + 1)])
    };
    (0..count).flat_map(frame).collect()
}

fn head(first: u8, masked: u8, length: usize) -> Vec<u8> {
    let mut head = vec![first];
    match length {
        0..=125 => head.push(masked | length as u8),
        126..=0xffff => {
            head.push(masked | 126);
            head.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            head.push(masked | 127);
            head.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    head
}

/// The head of a frame from a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The FIN and RSV bits, and the opcode.
    pub first: u8,
    /// How long the head is.
    pub size: usize,
    /// How long the payload is.
    pub payload: usize,
}

impl Head {
    /// The head that `bytes` begin with, if all of it is there. The mask bit must not be set, and
    /// then makes the length absurd if it is, which is found out when nothing fits.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let &first = bytes.first()?;
        let &second = bytes.get(1)?;
        let (size, payload) = match second {
            126 => (4, u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
            127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)),
            length => (2, u64::from(length)),
        };
        Some(Self { first, size, payload: payload as usize })
    }
}

/// Cuts what a server sends into frames, however it arrives.
#[derive(Debug, Default)]
pub struct Frames {
    /// The beginning of a head.
    head: Vec<u8>,
    /// The first byte of the frame that has begun, and how much of its payload is to come.
    current: Option<(u8, usize)>,
}

/// A piece of a frame's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The frame's first byte.
    pub first: u8,
    pub payload: &'a [u8],
    /// Whether the frame ends with it.
    pub last: bool,
}

impl Piece<'_> {
    /// Whether a message ends with it.
    pub fn ends_message(&self) -> bool {
        self.last && self.first & FIN != 0 && !self.is_control()
    }

    /// Whether it belongs to a control frame.
    pub fn is_control(&self) -> bool {
        self.first & 0x8 != 0
    }
}

impl Frames {
    /// Takes the next piece off `bytes`, if there is one. Every frame has at least one, which may
    /// be empty.
    pub fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Piece<'a>> {
        if self.current.is_none() {
            self.begin(bytes);
        }
        let (first, left) = self.current?;
        if bytes.is_empty() && left > 0 {
            return None;
        }
        let (payload, rest) = bytes.split_at(left.min(bytes.len()));
        let last = payload.len() == left;
        *bytes = rest;
        self.current = (!last).then_some((first, left - payload.len()));
        Some(Piece { first, payload, last })
    }

    fn begin(&mut self, bytes: &mut &[u8]) {
        while let Some((&byte, rest)) = bytes.split_first() {
            self.head.push(byte);
            *bytes = rest;
            if let Some(head) = Head::parse(&self.head) {
                self.current = Some((head.first, head.payload));
                self.head.clear();
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: Mask = Mask::SOME;

    #[test]
    fn a_head_is_parsed_as_it_was_written() {
        for length in [0, 1, 125, 126, 0xffff, 0x1_0000] {
            let frame = from_server(TEXT, &vec![7; length]);
            let head = Head::parse(&frame).unwrap();
            assert_eq!((head.first, head.payload), (TEXT, length));
            assert_eq!(head.size + head.payload, frame.len());
            assert_eq!(Head::parse(&frame[..head.size - 1]), None);
        }
    }

    #[test]
    fn masking_twice_changes_nothing() {
        let mut bytes = *b"townhall";
        MASK.apply(&mut bytes);
        assert_ne!(&bytes, b"townhall");
        MASK.apply(&mut bytes);
        assert_eq!(&bytes, b"townhall");
    }

    #[test]
    fn fragments_have_a_first_and_a_last() {
        assert_eq!(fragments(MASK, TEXT, b"hello", 1), from_client(MASK, TEXT, b"hello"));
        let frames = [
            from_client(MASK, 0x1, b"h"),
            from_client(MASK, 0x0, b"el"),
            from_client(MASK, FIN, b"lo"),
        ]
        .concat();
        assert_eq!(fragments(MASK, TEXT, b"hello", 3), frames);
    }

    #[test]
    fn frames_are_cut_wherever_they_arrive_in_pieces() {
        let sent =
            [from_server(TEXT, &[7; 200]), from_server(0x8a, b""), from_server(BINARY, b"x")];
        let sent = sent.concat();
        for size in 1..sent.len() {
            let mut frames = Frames::default();
            let mut payload = Vec::new();
            let mut ends = Vec::new();
            for mut bytes in sent.chunks(size) {
                while let Some(piece) = frames.next(&mut bytes) {
                    payload.extend_from_slice(piece.payload);
                    if piece.last {
                        ends.push((piece.first, payload.len(), piece.ends_message()));
                    }
                }
            }
            assert_eq!(ends, [(TEXT, 200, true), (0x8a, 200, false), (BINARY, 201, true)]);
        }
    }
}
