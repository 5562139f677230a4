//! The body of a request as it arrives (RFC 9112, sections 6 and 7).

use std::mem;

use super::framing::{End, Framing};
use super::refusal::Refusal;
use super::token::is_token_byte;

/// The maximum length of the line that begins a chunk, with its extensions.
const MAX_CHUNK_LINE_BYTES: usize = 256;

/// The maximum length of all chunk extensions of a body. RFC 9112, section 7.1.1: a server "ought to
/// limit the total length of chunk extensions received in a request".
const MAX_EXTENSION_BYTES: usize = 16 << 10;

const MALFORMED_CHUNK: Refusal = Refusal::Malformed("a chunk of the body is malformed");

/// A head, and the complete body after it.
type HeadAndBody = (Vec<u8>, Vec<u8>);

/// A body, and the head before it.
#[derive(Debug)]
pub(crate) struct Body {
    head: Vec<u8>,
    bytes: Vec<u8>,
    /// A line between chunks, as far as it has arrived.
    line: Vec<u8>,
    part: Part,
    max_bytes: usize,
    /// The number of bytes that the extensions and the trailer section may still have.
    extension_bytes_left: usize,
    trailer_bytes_left: usize,
}

/// The part of a body to which its next byte belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// A body with a length, of which this many bytes are missing.
    Sized(usize),
    /// The line with the size of the next chunk.
    ChunkLine,
    /// The data of a chunk, of which this many bytes are missing.
    Chunk(usize),
    /// The empty line after the data of a chunk.
    ChunkEnd,
    /// A field after the last chunk, or the empty line at the end.
    Trailer,
    /// Nothing, because the body is complete.
    Whole,
}

impl Body {
    /// A body of at most `max_bytes`, and at most `max_trailer_bytes` in fields after it, which are
    /// ignored.
    pub(crate) fn new(
        head: Vec<u8>,
        framing: Framing,
        max_bytes: usize,
        max_trailer_bytes: usize,
    ) -> Self {
        let part = match framing.end {
            End::Length(length) => Part::Sized(length),
            End::Chunked => Part::ChunkLine,
        };
        Self {
            head,
            bytes: Vec::new(),
            line: Vec::new(),
            part,
            max_bytes,
            extension_bytes_left: MAX_EXTENSION_BYTES,
            trailer_bytes_left: max_trailer_bytes,
        }
    }

    /// Takes the body off the front of `input`, and returns the head and the body once it is complete.
    /// The bytes after it stay.
    ///
    /// # Errors
    /// The refusal of a body that is not valid or too long, as soon as that is certain.
    pub(crate) fn receive(
        &mut self,
        input: &mut &mut [u8],
    ) -> Result<Option<HeadAndBody>, Refusal> {
        while !matches!(self.part, Part::Sized(0) | Part::Whole) {
            if input.is_empty() {
                return Ok(None);
            }
            let taken = self.take(input)?;
            *input = &mut mem::take(input)[taken..];
        }
        Ok(Some((mem::take(&mut self.head), mem::take(&mut self.bytes))))
    }

    /// Takes bytes of one part, and returns their number.
    fn take(&mut self, input: &[u8]) -> Result<usize, Refusal> {
        match self.part {
            Part::Sized(left) => {
                let taken = self.take_data(left, input);
                self.part = Part::Sized(left - taken);
                Ok(taken)
            }
            Part::Chunk(left) => {
                let taken = self.take_data(left, input);
                self.part = if taken == left { Part::ChunkEnd } else { Part::Chunk(left - taken) };
                Ok(taken)
            }
            Part::ChunkLine | Part::ChunkEnd | Part::Trailer => self.take_line(input),
            Part::Whole => Ok(0),
        }
    }

    fn take_data(&mut self, left: usize, input: &[u8]) -> usize {
        let taken = left.min(input.len());
        self.bytes.extend_from_slice(&input[..taken]);
        taken
    }

    /// Takes a line, or the part of it that has arrived.
    fn take_line(&mut self, input: &[u8]) -> Result<usize, Refusal> {
        let max = match self.part {
            Part::ChunkLine => MAX_CHUNK_LINE_BYTES,
            Part::ChunkEnd => 2,
            _ => self.trailer_bytes_left,
        };
        let end = input.iter().position(|&byte| byte == b'\n').map(|end| end + 1);
        let taken = end.unwrap_or(input.len());
        if self.line.len() + taken > max {
            return Err(self.too_long());
        }
        self.line.extend_from_slice(&input[..taken]);
        if end.is_some() {
            let line = mem::take(&mut self.line);
            self.part = self.after_line(&line)?;
        }
        Ok(taken)
    }

    fn too_long(&self) -> Refusal {
        if self.part == Part::Trailer { Refusal::HeadTooLong } else { MALFORMED_CHUNK }
    }

    /// The part after a line. In a body, every line ends with CRLF (RFC 9112, section 2.2, lets only
    /// those of the head end otherwise).
    fn after_line(&mut self, line: &[u8]) -> Result<Part, Refusal> {
        let content = line.strip_suffix(b"\r\n").ok_or(MALFORMED_CHUNK)?;
        if !content.iter().all(|&byte| byte == b'\t' || byte >= b' ' && byte != 0x7f) {
            return Err(MALFORMED_CHUNK);
        }
        match self.part {
            Part::ChunkLine => self.after_chunk_line(line),
            // It has at most two bytes.
            Part::ChunkEnd => Ok(Part::ChunkLine),
            Part::Trailer if content.is_empty() => Ok(Part::Whole),
            Part::Trailer if is_field(content) => {
                self.trailer_bytes_left -= line.len();
                Ok(Part::Trailer)
            }
            _ => Err(MALFORMED_CHUNK),
        }
    }

    fn after_chunk_line(&mut self, line: &[u8]) -> Result<Part, Refusal> {
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let extension = line.len() - digits - "\r\n".len();
        self.extension_bytes_left =
            self.extension_bytes_left.checked_sub(extension).ok_or(MALFORMED_CHUNK)?;
        let size = match httparse::parse_chunk_size(line) {
            // Without a digit, it takes an empty line for the last chunk.
            Ok(httparse::Status::Complete((length, size)))
                if length == line.len() && digits > 0 =>
            {
                size
            }
            _ => return Err(MALFORMED_CHUNK),
        };
        let left = self.max_bytes - self.bytes.len();
        match usize::try_from(size) {
            Ok(0) => Ok(Part::Trailer),
            Ok(size) if size <= left => Ok(Part::Chunk(size)),
            _ => Err(Refusal::BodyTooLong),
        }
    }

    /// The part of the body that has arrived.
    #[cfg(feature = "client")]
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The memory in bytes for the head and the body.
    pub(crate) fn held_bytes(&self) -> usize {
        self.head.capacity() + self.bytes.capacity() + self.line.capacity()
    }

    /// The number of bytes that are missing of the body, or of a chunk.
    pub(crate) fn expected_bytes(&self) -> u64 {
        match self.part {
            Part::Sized(left) | Part::Chunk(left) => left as u64,
            _ => 0,
        }
    }
}

/// Whether a line is a field (RFC 9112, section 5). A line that continues another one is not.
fn is_field(line: &[u8]) -> bool {
    let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
    name.len() < line.len() && !name.is_empty() && name.iter().all(|&byte| is_token_byte(byte))
}

#[cfg(test)]
mod tests;
