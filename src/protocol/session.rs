//! A connection after its opening handshake, in either role (RFC 6455, sections 5 to 7).

use std::mem;
use std::sync::Arc;

use super::close_code::CloseCode;
use super::deflate::Inflation;
use super::frame::{CloseFrame, Closing, MAX_CONTROL_BYTES, Opcode, Sender, close_payload};
use super::limits::Limits;
use super::message::{Buffers, Incoming, Receiver};
use super::violation::Violation;

/// A connection that receives the frames of the role `S`. The methods that send pass the opcode and the
/// payload of a frame to `send`, which encodes it for the other role.
#[derive(Debug)]
pub(crate) enum Session<S> {
    /// Messages go both ways.
    Open(Receiver<S>),
    /// Our close frame has been sent, and the connection waits for the peer's (RFC 6455, section 7.1.2).
    Closing(Closing),
    /// Nothing more is sent, and input is ignored.
    Closed {
        /// Both close frames were exchanged.
        clean: bool,
    },
}

impl<S: Sender> Session<S> {
    /// An open connection.
    pub(crate) fn new(limits: Arc<Limits>, inflation: Inflation) -> Self {
        Self::Open(Receiver::new(limits, inflation))
    }

    /// The usual case between messages: a complete, uncompressed message in one frame. Any other input
    /// is left untouched.
    #[inline(always)]
    pub(crate) fn receive_whole<'a>(
        &self,
        input: &mut &'a mut [u8],
    ) -> Option<Result<Incoming<'a>, Violation>> {
        match self {
            Self::Open(receiver) => receiver.receive_whole(input),
            _ => None,
        }
    }

    /// Takes bytes off the front of `input`, and unmasks them in place, until a message or control frame
    /// is complete; `None` when the input is used up.
    ///
    /// # Errors
    /// What the peer did wrong. After that, only its close frame is received.
    pub(crate) fn receive<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        buffers: &mut Buffers,
    ) -> Result<Option<Incoming<'a>>, Violation> {
        match self {
            Self::Open(_) if input.is_empty() => Ok(None),
            Self::Open(receiver) => receiver.receive_any(input, buffers),
            Self::Closing(closing) => Ok(closing.receive(input).map(Incoming::Close)),
            Self::Closed { .. } => {
                *input = &mut [];
                Ok(None)
            }
        }
    }

    /// Sends a ping or a pong, if messages may be sent. A longer payload is shortened to 125 bytes.
    pub(crate) fn send_control(
        &self,
        opcode: Opcode,
        payload: &[u8],
        send: impl FnOnce(Opcode, &[u8]),
    ) {
        if self.is_open() {
            send(opcode, &payload[..payload.len().min(MAX_CONTROL_BYTES)]);
        }
    }

    /// Begins the close handshake, if messages may be sent.
    pub(crate) fn close(
        &mut self,
        code: CloseCode,
        reason: &str,
        send: impl FnOnce(Opcode, &[u8]),
    ) {
        *self = match mem::replace(self, Self::Closed { clean: false }) {
            Self::Open(receiver) => {
                send(Opcode::Close, &close_payload(code, reason));
                Self::Closing(receiver.into_closing())
            }
            session => session,
        };
    }

    /// Completes the close handshake after the peer's close frame has arrived. If the peer began, the
    /// answer echoes its code and reason.
    pub(crate) fn answer_close(
        &mut self,
        frame: Option<&CloseFrame>,
        send: impl FnOnce(Opcode, &[u8]),
    ) {
        if self.is_open() {
            let payload = frame.map(|CloseFrame { code, reason }| close_payload(*code, reason));
            send(Opcode::Close, &payload.unwrap_or_default());
        }
        *self = Self::Closed { clean: true };
    }

    /// Fails the connection (RFC 6455, section 7.1.7).
    pub(crate) fn fail(&mut self, violation: Violation, send: impl FnOnce(Opcode, &[u8])) {
        self.close(violation.close_code(), &violation.to_string(), send);
        if violation.is_of_close_frame() {
            *self = Self::Closed { clean: false };
        }
    }

    /// The memory in bytes for an incomplete message.
    pub(crate) fn held_bytes(&self) -> usize {
        match self {
            Self::Open(receiver) => receiver.held_bytes(),
            Self::Closing(closing) => closing.held_bytes(),
            Self::Closed { .. } => 0,
        }
    }

    /// The number of bytes that have not arrived of the frame that has begun; 0 if none has begun.
    #[inline]
    pub(crate) fn expected_bytes(&self) -> u64 {
        match self {
            Self::Open(receiver) => receiver.expected_bytes(),
            _ => 0,
        }
    }

    /// Whether messages may be sent.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Self::Open(_))
    }
}
