//! tungstenite as a receiver.

use std::io::{self, Read, Write};

use tungstenite::protocol::{self, CloseFrame, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

use crate::answer::{
    Answer, End, Event, Library, MAX_MESSAGE_BYTES, Question, Receiver, Role, TheirAnswer,
};

/// A stream from which some bytes have arrived.
#[derive(Debug)]
pub struct Arrived<'b> {
    input: &'b [u8],
    /// What was written to it.
    pub sent: Vec<u8>,
}

impl<'b> Arrived<'b> {
    pub fn new(input: &'b [u8]) -> Self {
        Self { input, sent: Vec::new() }
    }
}

impl Read for Arrived<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.input.read(buffer)
    }
}

impl Write for Arrived<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sent.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// tungstenite, on either side.
#[derive(Debug)]
pub struct Tungstenite;

impl Receiver for Tungstenite {
    fn library(&self) -> Library {
        Library::Tungstenite
    }

    fn receive(&mut self, question: &Question) -> TheirAnswer {
        assert_eq!(question.setting.deflate, None, "it knows no compression");
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_MESSAGE_BYTES));
        let role = match question.setting.role {
            Role::Server => protocol::Role::Server,
            Role::Client => protocol::Role::Client,
        };
        let mut socket =
            WebSocket::from_raw_socket(Arrived::new(&question.bytes), role, Some(config));
        let mut received = Vec::new();
        let (end, reason) = loop {
            match socket.read() {
                Ok(Message::Close(frame)) => break end_by(frame),
                Ok(message) => received.push(event(message)),
                Err(error) => break end_of(&error),
            }
        };
        TheirAnswer { answer: Answer { received, end }, reason }
    }
}

fn event(message: Message) -> Event {
    match message {
        Message::Text(text) => Event::Text(text.as_str().to_owned()),
        Message::Binary(bytes) => Event::Binary(bytes.to_vec()),
        Message::Ping(payload) => Event::Ping(payload.to_vec()),
        Message::Pong(payload) => Event::Pong(payload.to_vec()),
        message => panic!("{message:?}"),
    }
}

/// The end by a close frame. It has a reason of its own for a code that is not allowed.
fn end_by(frame: Option<CloseFrame>) -> (End, String) {
    match frame {
        Some(frame) if frame.reason == "Protocol violation" => {
            (End::Failed(frame.code.into()), frame.reason.to_string())
        }
        frame => (End::Closed(frame.map(|frame| frame.code.into())), String::new()),
    }
}

/// The end by an error, whose code it leaves to its caller.
fn end_of(error: &Error) -> (End, String) {
    let end = match error {
        Error::Io(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return (End::Open, String::new());
        }
        Error::Protocol(_) => End::Failed(1002),
        Error::Utf8(_) => End::Failed(1007),
        Error::Capacity(_) => End::Failed(1009),
        error => panic!("{error}"),
    };
    (end, error.to_string())
}
