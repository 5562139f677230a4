//! The receiver of messages: fragments, control frames between them, and limits (RFC 6455, section 5.4).

use std::borrow::Cow;
use std::marker::PhantomData;
use std::mem;
use std::sync::Arc;

use super::assembly::{Assembly, Content, check_length};
use super::buffers::Buffers;
use super::incoming::{Incoming, IncomingMessage};
use super::partial_frame::{PartialFrame, take};
use super::utf8;
use crate::protocol::deflate::Inflation;
use crate::protocol::frame::{
    CloseFrame, Closing, FrameHeader, MAX_HEADER_BYTES, Opcode, Sender, apply_mask,
};
use crate::protocol::limits::Limits;
use crate::protocol::violation::Violation;

/// The receiving half of an open connection, for the frames of one role. Between messages, it takes no
/// memory beyond its own fields.
#[derive(Debug)]
pub(crate) struct Receiver<S> {
    limits: Arc<Limits>,
    inflation: Inflation,
    progress: Option<Box<Progress>>,
    sender: PhantomData<S>,
}

/// The state between two pieces of input.
#[derive(Debug, Default)]
struct Progress {
    /// The first bytes of an incomplete header.
    header: Vec<u8>,
    frame: Option<PartialFrame>,
    /// The payload so far of an incomplete control frame.
    control: Vec<u8>,
    message: Option<Assembly>,
}

impl Progress {
    fn is_idle(&self) -> bool {
        self.is_between_frames() && self.message.is_none()
    }

    /// Whether the next byte is the first of a frame.
    fn is_between_frames(&self) -> bool {
        self.header.is_empty() && self.frame.is_none()
    }

    fn held_bytes(&self) -> usize {
        let message = self.message.as_ref().map_or(0, Assembly::capacity);
        size_of::<Self>() + self.header.capacity() + self.control.capacity() + message
    }
}

impl<S: Sender> Receiver<S> {
    /// A receiver at the start of the first frame.
    pub(crate) fn new(limits: Arc<Limits>, inflation: Inflation) -> Self {
        Self { limits, inflation, progress: None, sender: PhantomData }
    }

    /// Starts the wait for the peer's close frame at the current position, which may be after a
    /// violation.
    pub(crate) fn into_closing(self) -> Closing {
        let Some(progress) = self.progress else { return Closing::default() };
        match progress.frame {
            None => Closing::within_header(progress.header),
            Some(PartialFrame { opcode: Opcode::Close, mask, remaining, .. }) => {
                Closing::within_close(progress.control, mask, remaining)
            }
            Some(frame) => Closing::within_frame(frame.remaining),
        }
    }

    /// The memory in bytes for incomplete input.
    pub(crate) fn held_bytes(&self) -> usize {
        self.progress.as_ref().map_or(0, |progress| progress.held_bytes())
    }

    /// The number of bytes of the frame that has begun that have not arrived; 0 between frames.
    pub(crate) fn expected_bytes(&self) -> u64 {
        let frame = self.progress.as_ref().and_then(|progress| progress.frame.as_ref());
        frame.map_or(0, |frame| frame.remaining)
    }

    /// Takes frames off the front of `input`, and unmasks them in place, until a message or control
    /// frame is complete; `None` when the input is used up. Any number of receivers can share `buffers`.
    ///
    /// # Errors
    /// What the peer did wrong. Nothing may be received after an error.
    #[inline(never)]
    pub(crate) fn receive_any<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        buffers: &mut Buffers,
    ) -> Result<Option<Incoming<'a>>, Violation> {
        loop {
            self.take_fragments(input)?;
            let Some(frame) = self.next_frame(input)? else { break };
            let incoming = if frame.opcode.is_control() {
                self.take_control(frame, input)?
            } else {
                self.take_data(frame, input, buffers)?
            };
            if incoming.is_some() {
                self.release_if_idle();
                return Ok(incoming);
            }
            if input.is_empty() {
                break;
            }
        }
        Ok(None)
    }

    /// The usual case between messages: a complete, uncompressed message in one frame. Any other input
    /// is left untouched.
    #[inline(always)]
    pub(crate) fn receive_whole<'a>(
        &self,
        input: &mut &'a mut [u8],
    ) -> Option<Result<Incoming<'a>, Violation>> {
        if self.progress.is_some() {
            return None;
        }
        let (header, size) = S::parse_usual(input)?;
        let length = header.length as usize;
        let end = size + header.length as usize;
        let begins = header.fin && header.opcode != Opcode::Continuation;
        if !begins || length > self.limits.max_message_bytes || end > input.len() {
            return None;
        }
        let payload = &mut take(input, end)[size..];
        apply_mask(payload, header.mask);
        Some(match header.opcode {
            Opcode::Text => utf8::validate(payload).map(|text| IncomingMessage::text(text).into()),
            _ => Ok(IncomingMessage::binary(&*payload).into()),
        })
    }

    /// Takes the complete fragments that continue a message, but do not end it, because there may be
    /// many short ones.
    fn take_fragments(&mut self, input: &mut &mut [u8]) -> Result<(), Violation> {
        let progress = self.progress.as_mut().filter(|progress| progress.is_between_frames());
        let Some(message) = progress.and_then(|progress| progress.message.as_mut()) else {
            return Ok(());
        };
        while let Some((header, size)) = S::parse_usual(input) {
            let end = size + header.length as usize;
            if header.opcode != Opcode::Continuation || header.fin || end > input.len() {
                break;
            }
            message.admit(&header, &self.limits)?;
            message.push_masked(&mut take(input, end)[size..], header.mask)?;
        }
        Ok(())
    }

    /// The frame that the input continues or begins; `None` if its header is incomplete.
    fn next_frame(&mut self, input: &mut &mut [u8]) -> Result<Option<PartialFrame>, Violation> {
        if let Some(frame) = self.progress.as_mut().and_then(|progress| progress.frame.take()) {
            return Ok(Some(frame));
        }
        let Some(header) = self.next_header(input)? else {
            return Ok(None);
        };
        let FrameHeader { fin, opcode, compressed, mask, length } = header;
        let frame = PartialFrame { fin, opcode, compressed, mask, remaining: length };
        let admitted = self.admit(&header);
        if admitted.is_err() {
            self.progress.get_or_insert_default().frame = Some(frame);
        }
        admitted.map(|()| Some(frame))
    }

    fn next_header(&mut self, input: &mut &mut [u8]) -> Result<Option<FrameHeader>, Violation> {
        let deflate = self.inflation.is_on();
        if self.progress.as_ref().is_none_or(|progress| progress.header.is_empty()) {
            if let Some((header, size)) = FrameHeader::parse::<S>(input, deflate)? {
                take(input, size);
                return Ok(Some(header));
            }
            if input.is_empty() {
                return Ok(None);
            }
        }
        let carry = &mut self.progress.get_or_insert_default().header;
        carry.reserve_exact(MAX_HEADER_BYTES - carry.len());
        while let Some(&byte) = input.first() {
            carry.push(byte);
            let header =
                FrameHeader::parse::<S>(carry, deflate).inspect_err(|_| _ = carry.pop())?;
            take(input, 1);
            if let Some((header, _)) = header {
                carry.clear();
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    /// Checks that the frame is allowed now, and fits.
    fn admit(&mut self, header: &FrameHeader) -> Result<(), Violation> {
        let message = self.progress.as_mut().and_then(|progress| progress.message.as_mut());
        match (header.opcode, message) {
            (opcode, _) if opcode.is_control() => Ok(()),
            (Opcode::Continuation, None) => Err(Violation::UnexpectedContinuation),
            (Opcode::Continuation, Some(message)) => message.admit(header, &self.limits),
            (_, Some(_)) => Err(Violation::InterruptedMessage),
            (_, None) => check_length(0, header.length, header.compressed, &self.limits),
        }
    }

    fn take_control<'a>(
        &mut self,
        mut frame: PartialFrame,
        input: &mut &'a mut [u8],
    ) -> Result<Option<Incoming<'a>>, Violation> {
        let piece = frame.take_payload(input);
        let before = self.progress.as_ref().map_or(0, |progress| progress.control.len());
        if frame.remaining == 0 && before == 0 {
            return control(frame.opcode, Cow::Borrowed(piece)).map(Some);
        }
        let progress = self.progress.get_or_insert_default();
        progress.control.extend_from_slice(piece);
        if frame.remaining > 0 {
            progress.frame = Some(frame);
            return Ok(None);
        }
        control(frame.opcode, Cow::Owned(mem::take(&mut progress.control))).map(Some)
    }

    fn take_data<'a>(
        &mut self,
        mut frame: PartialFrame,
        input: &mut &'a mut [u8],
        buffers: &mut Buffers,
    ) -> Result<Option<Incoming<'a>>, Violation> {
        let whole = frame.fin && frame.remaining <= input.len() as u64;
        if whole && self.progress.as_ref().is_none_or(|progress| progress.message.is_none()) {
            let payload = frame.take_payload(input);
            let message = match frame.opcode {
                opcode if frame.compressed => self.inflate(opcode, payload, buffers)?,
                Opcode::Text => IncomingMessage::text(utf8::validate(payload)?),
                _ => IncomingMessage::binary(&*payload),
            };
            return Ok(Some(message.into()));
        }
        let progress = self.progress.get_or_insert_default();
        let arrived = input.len();
        let begin = || Assembly::new(&frame, arrived, buffers);
        let message = progress.message.get_or_insert_with(begin);
        let (piece, mask) = frame.take_masked(input);
        let pushed = message.push_masked(piece, mask);
        if frame.remaining > 0 {
            progress.frame = Some(frame);
            return pushed.map(|()| None);
        }
        pushed?;
        if !frame.fin {
            return Ok(None);
        }
        let message = progress.message.take();
        message.map(|message| self.finish_message(message, buffers).map(Incoming::from)).transpose()
    }

    fn finish_message(
        &mut self,
        message: Assembly,
        buffers: &mut Buffers,
    ) -> Result<IncomingMessage<'static>, Violation> {
        match message.content {
            Content::Text(text) => Ok(IncomingMessage::text(text.finish()?)),
            Content::Binary(bytes) => Ok(IncomingMessage::binary(bytes)),
            Content::Compressed(opcode, bytes) => self.inflate(opcode, &bytes, buffers),
        }
    }

    fn inflate(
        &mut self,
        opcode: Opcode,
        compressed: &[u8],
        buffers: &mut Buffers,
    ) -> Result<IncomingMessage<'static>, Violation> {
        let max_bytes = self.limits.max_message_bytes;
        let bytes = self.inflation.inflate(compressed, &mut buffers.inflater, max_bytes)?;
        let message = match opcode {
            Opcode::Text => IncomingMessage::text(utf8::into_text(bytes)?),
            _ => IncomingMessage::binary(bytes),
        };
        Ok(message.inflated())
    }

    /// Frees the memory for incomplete input if there is none.
    fn release_if_idle(&mut self) {
        if self.progress.as_ref().is_some_and(|progress| progress.is_idle()) {
            self.progress = None;
        }
    }
}

fn control(opcode: Opcode, payload: Cow<'_, [u8]>) -> Result<Incoming<'_>, Violation> {
    Ok(match opcode {
        Opcode::Close => Incoming::Close(CloseFrame::parse(&payload)?),
        Opcode::Ping => Incoming::Ping(payload),
        _ => Incoming::Pong(payload),
    })
}

#[cfg(test)]
mod tests;
