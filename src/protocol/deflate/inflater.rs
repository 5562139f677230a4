//! Decompression, one message at a time (RFC 7692, section 7.2.2).

use flate2::{Decompress, FlushDecompress, Status};

use super::config::TAIL;
use super::window::SlidingWindow;
use crate::protocol::violation::Violation;

/// The shortest last block of a stream, which is empty (RFC 1951, section 3.2.6).
pub(super) const LAST_BLOCK: [u8; 2] = [0x03, 0x00];

/// The number of times that any message may end its DEFLATE stream and continue, and the number of bytes
/// that it needs for each further time. Each time costs a copy of the window, and a few bytes must not
/// cause many copies.
const FREE_STREAMS: usize = 16;
const BYTES_PER_STREAM: usize = 64;

/// Inflates the messages of any number of peers, one after another. It takes no memory before the first
/// message.
#[derive(Debug, Default)]
pub struct Inflater {
    stream: Option<Decompress>,
}

impl Inflater {
    /// Inflates a message without context.
    ///
    /// # Errors
    /// [`Violation::MessageTooBig`] if the message has more than `max_bytes`,
    /// [`Violation::InvalidDeflate`] if it is not DEFLATE, [`Violation::TooManyDeflateStreams`] if it
    /// ends its stream too often, and [`Violation::NoContext`] if it refers to earlier data.
    pub fn inflate(&mut self, message: &[u8], max_bytes: usize) -> Result<Vec<u8>, Violation> {
        let none = SlidingWindow::default();
        self.inflate_or_explain(message, &none, max_bytes, Violation::NoContext)
    }

    /// Inflates a message that may refer to the contents of the window, and appends it to the window.
    ///
    /// # Errors
    /// As for [`inflate`](Self::inflate), but [`Violation::OutsideWindow`] if the message refers to data
    /// that is not in the window. The window must not be used after an error.
    pub fn inflate_in_context(
        &mut self,
        message: &[u8],
        window: &mut SlidingWindow,
        max_bytes: usize,
    ) -> Result<Vec<u8>, Violation> {
        let out = self.inflate_or_explain(message, window, max_bytes, Violation::OutsideWindow)?;
        window.slide(&out);
        Ok(out)
    }

    /// Inflates a message that follows a window. Fails with `reference` if the message is DEFLATE, but
    /// refers to data that is not in the window: it can then be inflated with a full window.
    fn inflate_or_explain(
        &mut self,
        message: &[u8],
        window: &SlidingWindow,
        max_bytes: usize,
        reference: Violation,
    ) -> Result<Vec<u8>, Violation> {
        self.inflate_behind(window, message, max_bytes).map_err(|violation| {
            let any = violation == Violation::InvalidDeflate
                && self.inflate_behind(&SlidingWindow::of_zeros(), message, max_bytes).is_ok();
            if any { reference } else { violation }
        })
    }

    fn inflate_behind(
        &mut self,
        window: &SlidingWindow,
        message: &[u8],
        max_bytes: usize,
    ) -> Result<Vec<u8>, Violation> {
        if message.is_empty() {
            // An empty message should be one byte (RFC 7692, section 7.2.3.6), but Mojolicious 9.31
            // omits even that.
            return Ok(Vec::new());
        }
        let stream = self.stream.get_or_insert_with(|| Decompress::new(false));
        let mut input = message;
        let mut out = Vec::new();
        let mut streams = FREE_STREAMS + message.len() / BYTES_PER_STREAM;
        begin(stream, window, &out)?;
        while feed(stream, &mut input, &mut out, max_bytes)? == Status::StreamEnd {
            // RFC 7692, section 7.2.3.4: a block with BFINAL set may be followed by others.
            if input.is_empty() {
                return Ok(out);
            }
            streams = streams.checked_sub(1).ok_or(Violation::TooManyDeflateStreams)?;
            begin(stream, window, &out)?;
        }
        let mut status = Status::Ok;
        let length = out.len();
        for mut end in [&TAIL[..], &LAST_BLOCK] {
            if status != Status::StreamEnd {
                status = feed(stream, &mut end, &mut out, max_bytes)?;
                // The final block, which was not sent, adds nothing and ends the stream only here.
                if out.len() > length || !end.is_empty() {
                    return Err(Violation::InvalidDeflate);
                }
            }
        }
        // A final block can end the stream only after another block.
        if status == Status::StreamEnd { Ok(out) } else { Err(Violation::InvalidDeflate) }
    }
}

/// Begins a stream that may refer to the window, and to the data that was inflated after it.
fn begin(stream: &mut Decompress, window: &SlidingWindow, out: &[u8]) -> Result<(), Violation> {
    stream.reset(false);
    let (first, second) = window.as_slices();
    for bytes in [first, second, out].into_iter().filter(|bytes| !bytes.is_empty()) {
        stream.set_dictionary(bytes).map_err(|_| Violation::InvalidDeflate)?;
    }
    Ok(())
}

/// Appends the inflated `input` to `out`, until the input is used up or the stream ends. `out` grows to
/// at most one byte over the limit.
fn feed(
    stream: &mut Decompress,
    input: &mut &[u8],
    out: &mut Vec<u8>,
    max_bytes: usize,
) -> Result<Status, Violation> {
    loop {
        if out.len() == out.capacity() {
            let wanted = out.len().max(4 * input.len()).max(64);
            out.reserve_exact(wanted.min(max_bytes.saturating_add(1) - out.len()));
        }
        let read = stream.total_in();
        let written = out.len();
        let status = stream.decompress_vec(input, out, FlushDecompress::Sync);
        let status = status.map_err(|_| Violation::InvalidDeflate)?;
        let read = (stream.total_in() - read) as usize;
        *input = &input[read..];
        if out.len() > max_bytes {
            return Err(Violation::MessageTooBig);
        }
        if status == Status::StreamEnd || input.is_empty() && out.len() < out.capacity() {
            return Ok(status);
        }
        if read == 0 && out.len() == written && out.len() < out.capacity() {
            return Err(Violation::InvalidDeflate);
        }
    }
}

#[cfg(test)]
mod tests;
