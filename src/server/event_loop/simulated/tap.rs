//! Reads what the server writes on a connection, strictly.

use super::compression::Compression;

/// A frame, or a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unit {
    Response { status: u16, body: Vec<u8> },
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(u16),
}

/// A unit that was written whole.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub(super) unit: Unit,
    /// How much had been written with it.
    pub(super) end: u64,
}

/// What is known of the bytes on a connection.
pub(super) struct Tap {
    bytes: Vec<u8>,
    end: u64,
    pub(super) compression: Option<Compression>,
    /// Whether frames come.
    pub(super) is_upgraded: bool,
    /// Whether a last response or a close frame has been written.
    pub(super) is_over: bool,
}

impl Tap {
    pub(super) fn new() -> Self {
        Self { bytes: Vec::new(), end: 0, compression: None, is_upgraded: false, is_over: false }
    }

    /// Whether a unit has begun.
    pub(super) fn is_within(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Takes what was written, and returns what is whole.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<Written> {
        self.bytes.extend_from_slice(bytes);
        let mut units = Vec::new();
        while !self.bytes.is_empty() {
            assert!(!self.is_over, "something follows the last response or the close frame");
            let next = if self.is_upgraded { self.frame() } else { self.response() };
            let Some((unit, size)) = next else { break };
            self.bytes.drain(..size);
            self.end += size as u64;
            units.push(Written { unit, end: self.end });
        }
        units
    }

    fn response(&mut self) -> Option<(Unit, usize)> {
        let head_size = self.bytes.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
        let head = str::from_utf8(&self.bytes[..head_size]).expect("a head is text");
        let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
        let status: u16 = status.and_then(|status| status.parse().ok()).expect("a status");
        let field = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        };
        if let Some(date) = field("Date") {
            httpdate::parse_http_date(date).expect("a date");
        }
        let extensions = field("Sec-WebSocket-Extensions").map(str::to_owned);
        let length = field("Content-Length").map_or(0, |length| length.parse().expect("a length"));
        if self.bytes.len() < head_size + length {
            return None;
        }
        self.is_upgraded = status == 101;
        let persists = status == 101 || field("Connection").is_none();
        self.is_over = !persists;
        self.compression = extensions.as_deref().map(Compression::new);
        let body = self.bytes[head_size..head_size + length].to_vec();
        Some((Unit::Response { status, body }, head_size + length))
    }

    /// The next frame, if it is whole (RFC 6455, section 5.2).
    fn frame(&mut self) -> Option<(Unit, usize)> {
        let &[first, second, ..] = &self.bytes[..] else { return None };
        assert_eq!(second & 0x80, 0, "frames of the server are not masked");
        let (length, header) = match second & 0x7f {
            126 => {
                let length = u16::from_be_bytes(self.bytes.get(2..4)?.try_into().ok()?);
                assert!(length > 125, "{length} is encoded with too many bytes");
                (usize::from(length), 4)
            }
            127 => panic!("no message is so long"),
            length => (usize::from(length), 2),
        };
        let payload = self.bytes.get(header..header + length)?.to_vec();
        let compression = self.compression.as_mut();
        let inflate = |payload: &[u8]| {
            compression.expect("permessage-deflate was negotiated").inflate(payload)
        };
        let unit = match first {
            0x81 => Unit::Text(payload),
            0x82 => Unit::Binary(payload),
            0xc1 => Unit::Text(inflate(&payload)),
            0xc2 => Unit::Binary(inflate(&payload)),
            0x88 => {
                self.is_over = true;
                let code = payload.get(..2).map(|code| u16::from_be_bytes([code[0], code[1]]));
                Unit::Close(code.unwrap_or(1005))
            }
            0x89 => Unit::Ping(payload),
            0x8a => Unit::Pong(payload),
            first => panic!("{first:x} begins no frame of the server"),
        };
        assert!(first & 0x08 == 0 || length <= 125, "control frames are short");
        Some((unit, header + length))
    }
}
