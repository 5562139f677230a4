//! From bytes to messages: fragments, control frames between them, limits (RFC 6455, section 5.4).

use std::borrow::Cow;
use std::mem;
use std::sync::Arc;

use super::close::CloseFrame;
use super::frame::{ClientHeader, MAX_CLIENT_HEADER_BYTES, Opcode};
use super::limits::Limits;
use super::mask::{apply_mask, rotate_mask};
use super::message::Message;
use super::utf8::{self, TextAssembly};
use super::violation::Violation;

/// What arrived whole. A payload that lay in one piece in the input is borrowed from there; one
/// that had to be put together is owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A text message.
    Text(Cow<'a, str>),
    /// A binary message.
    Binary(Cow<'a, [u8]>),
    /// A ping, to be answered with a pong of the same payload (RFC 6455, section 5.5.2).
    Ping(Cow<'a, [u8]>),
    /// A pong (RFC 6455, section 5.5.3).
    Pong(Cow<'a, [u8]>),
    /// A close frame, and what it says (RFC 6455, section 5.5.1).
    Close(Option<CloseFrame>),
}

impl Incoming<'_> {
    /// The message, if this is one.
    pub fn message(&self) -> Option<Message<'_>> {
        match self {
            Self::Text(text) => Some(Message::Text(text)),
            Self::Binary(bytes) => Some(Message::Binary(bytes)),
            _ => None,
        }
    }
}

/// The receiving half of an open connection. While nothing is under way it holds no memory but
/// itself.
#[derive(Debug)]
pub struct Receiver {
    limits: Arc<Limits>,
    progress: Option<Box<Progress>>,
}

/// What is under way between two pieces of input.
#[derive(Debug, Default)]
struct Progress {
    /// The first bytes of an unfinished header.
    header: Vec<u8>,
    frame: Option<Frame>,
    /// The payload so far of an unfinished control frame.
    control: Vec<u8>,
    message: Option<Assembly>,
}

impl Progress {
    fn is_idle(&self) -> bool {
        self.header.is_empty() && self.frame.is_none() && self.message.is_none()
    }
}

/// A frame whose header has arrived.
#[derive(Debug, Clone, Copy)]
struct Frame {
    fin: bool,
    opcode: Opcode,
    /// The mask as it meets the next byte.
    mask: [u8; 4],
    /// Bytes of payload that have not arrived.
    remaining: u64,
}

/// A message that did not arrive in one piece.
#[derive(Debug)]
struct Assembly {
    content: Content,
    empty_fragments: u32,
}

#[derive(Debug)]
enum Content {
    Text(TextAssembly),
    Binary(Vec<u8>),
}

impl Assembly {
    fn new(opcode: Opcode) -> Self {
        let content = match opcode {
            Opcode::Text => Content::Text(TextAssembly::default()),
            _ => Content::Binary(Vec::new()),
        };
        Self { content, empty_fragments: 0 }
    }

    fn len(&self) -> usize {
        match &self.content {
            Content::Text(text) => text.len(),
            Content::Binary(bytes) => bytes.len(),
        }
    }

    fn push(&mut self, piece: &[u8]) -> Result<(), Violation> {
        match &mut self.content {
            Content::Text(text) => text.push(piece)?,
            Content::Binary(bytes) => bytes.extend_from_slice(piece),
        }
        Ok(())
    }

    fn finish(self) -> Result<Incoming<'static>, Violation> {
        Ok(match self.content {
            Content::Text(text) => Incoming::Text(text.finish()?.into()),
            Content::Binary(bytes) => Incoming::Binary(bytes.into()),
        })
    }
}

impl Receiver {
    /// A receiver at the start of the first frame.
    pub fn new(limits: Arc<Limits>) -> Self {
        Self { limits, progress: None }
    }

    /// Takes frames off the front of `input`, unmasking them in place, until something is whole;
    /// `None` when the input is used up.
    ///
    /// # Errors
    /// What the peer did wrong. Nothing may be read after it.
    pub fn receive<'a>(
        &mut self,
        input: &mut &'a mut [u8],
    ) -> Result<Option<Incoming<'a>>, Violation> {
        while let Some(frame) = self.next_frame(input)? {
            let incoming = if frame.opcode.is_control() {
                self.take_control(frame, input)?
            } else {
                self.take_data(frame, input)?
            };
            if incoming.is_some() {
                self.rest();
                return Ok(incoming);
            }
            if input.is_empty() {
                break;
            }
        }
        Ok(None)
    }

    /// The frame that the input continues or begins; `None` where its header is not complete.
    fn next_frame(&mut self, input: &mut &mut [u8]) -> Result<Option<Frame>, Violation> {
        if let Some(frame) = self.progress.as_mut().and_then(|progress| progress.frame.take()) {
            return Ok(Some(frame));
        }
        let Some(header) = self.next_header(input)? else {
            return Ok(None);
        };
        self.admit(&header)?;
        let ClientHeader { fin, opcode, mask, length } = header;
        Ok(Some(Frame { fin, opcode, mask, remaining: length }))
    }

    fn next_header(&mut self, input: &mut &mut [u8]) -> Result<Option<ClientHeader>, Violation> {
        if self.progress.as_ref().is_none_or(|progress| progress.header.is_empty()) {
            if let Some((header, size)) = ClientHeader::parse(input)? {
                take(input, size);
                return Ok(Some(header));
            }
            if input.is_empty() {
                return Ok(None);
            }
        }
        let carry = &mut self.progress.get_or_insert_default().header;
        carry.reserve_exact(MAX_CLIENT_HEADER_BYTES - carry.len());
        while !input.is_empty() {
            carry.extend_from_slice(take(input, 1));
            if let Some((header, _)) = ClientHeader::parse(carry)? {
                carry.clear();
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    /// Whether the frame may come now, and fits.
    fn admit(&mut self, header: &ClientHeader) -> Result<(), Violation> {
        let message = self.progress.as_mut().and_then(|progress| progress.message.as_mut());
        let before = match (header.opcode, message) {
            (opcode, _) if opcode.is_control() => return Ok(()),
            (Opcode::Continuation, None) => return Err(Violation::UnexpectedContinuation),
            (Opcode::Continuation, Some(message)) => {
                message.empty_fragments += u32::from(header.length == 0);
                if message.empty_fragments > self.limits.max_empty_fragments {
                    return Err(Violation::TooManyEmptyFragments);
                }
                message.len() as u64
            }
            (_, Some(_)) => return Err(Violation::InterruptedMessage),
            (_, None) => 0,
        };
        // The length is below 2^63, and what is held fits in memory: the sum cannot overflow.
        if before + header.length > self.limits.max_message_bytes as u64 {
            return Err(Violation::MessageTooBig);
        }
        Ok(())
    }

    fn take_control<'a>(
        &mut self,
        mut frame: Frame,
        input: &mut &'a mut [u8],
    ) -> Result<Option<Incoming<'a>>, Violation> {
        let piece = take_payload(&mut frame, input);
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
        mut frame: Frame,
        input: &mut &'a mut [u8],
    ) -> Result<Option<Incoming<'a>>, Violation> {
        let whole = frame.fin && frame.remaining <= input.len() as u64;
        if whole && self.progress.as_ref().is_none_or(|progress| progress.message.is_none()) {
            let payload = take_payload(&mut frame, input);
            return Ok(Some(match frame.opcode {
                Opcode::Text => Incoming::Text(utf8::validate(payload)?.into()),
                _ => Incoming::Binary(Cow::Borrowed(payload)),
            }));
        }
        let progress = self.progress.get_or_insert_default();
        let message = progress.message.get_or_insert_with(|| Assembly::new(frame.opcode));
        message.push(take_payload(&mut frame, input))?;
        if frame.remaining > 0 {
            progress.frame = Some(frame);
            return Ok(None);
        }
        match progress.message.take_if(|_| frame.fin) {
            Some(message) => message.finish().map(Some),
            None => Ok(None),
        }
    }

    /// Gives the memory back when nothing is under way.
    fn rest(&mut self) {
        self.progress.take_if(|progress| progress.is_idle());
    }
}

fn control(opcode: Opcode, payload: Cow<'_, [u8]>) -> Result<Incoming<'_>, Violation> {
    Ok(match opcode {
        Opcode::Close => Incoming::Close(CloseFrame::parse(&payload)?),
        Opcode::Ping => Incoming::Ping(payload),
        _ => Incoming::Pong(payload),
    })
}

/// Takes what has arrived of the frame's payload, unmasked.
fn take_payload<'a>(frame: &mut Frame, input: &mut &'a mut [u8]) -> &'a mut [u8] {
    let size = usize::try_from(frame.remaining).unwrap_or(usize::MAX).min(input.len());
    let piece = take(input, size);
    apply_mask(piece, frame.mask);
    frame.mask = rotate_mask(frame.mask, size);
    frame.remaining -= size as u64;
    piece
}

/// Takes the first `size` bytes off `input`.
fn take<'a>(input: &mut &'a mut [u8], size: usize) -> &'a mut [u8] {
    let (piece, rest) = mem::take(input).split_at_mut(size);
    *input = rest;
    piece
}
