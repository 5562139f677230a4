//! One connection, from the request to the end of the transport.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use townhall::protocol::{
    Accepted, Buffers, ClientConnection, ClientReceived, CloseCode, Incoming, Limits, Message,
    SUBPROTOCOL, UpgradeRequest,
};

use super::end::End;
use super::events::Events;
use super::input::{Input, Next};
use super::link::Link;
use super::place::{Heard, Place};
use super::printer::Printer;
use crate::flags::Form;

/// How long to wait for the answer to the request, and to a close frame.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// After this silence, the server is asked for a sign of life; after twice as long, it is lost.
const SILENCE: Duration = Duration::from_secs(30);

/// The number of bytes that may wait to be written before no more input is taken.
const MAX_WAITING_BYTES: usize = 1 << 20;

const READ_BYTES: usize = 64 << 10;

/// A connection.
pub struct Session<'c> {
    connection: ClientConnection,
    link: Link,
    out: Vec<u8>,
    buffers: Buffers,
    place: &'c mut Place,
    printer: &'c Printer,
    form: Form,
    /// The time of the last bytes from the server, and whether a ping has been sent since.
    heard: Instant,
    has_asked: bool,
    /// The time until which an answer to the request, or a close frame, has to come.
    deadline: Option<Instant>,
    /// What the end is going to be.
    end: Option<End>,
}

impl<'c> Session<'c> {
    /// A session that sends the request on this link.
    ///
    /// # Errors
    /// The system has no random bytes.
    pub fn new(
        request: UpgradeRequest,
        link: Link,
        form: Form,
        place: &'c mut Place,
        printer: &'c Printer,
    ) -> io::Result<Self> {
        let mut out = Vec::new();
        let connection = ClientConnection::new(request, Limits::default(), &mut out);
        let heard = Instant::now();
        Ok(Self {
            connection: connection.map_err(io::Error::other)?,
            link,
            out,
            buffers: Buffers::default(),
            place,
            printer,
            form,
            heard,
            has_asked: false,
            deadline: Some(heard + HANDSHAKE_TIMEOUT),
            end: None,
        })
    }

    /// Sends the input and prints what comes, until the connection has ended.
    ///
    /// # Errors
    /// The system cannot wait for events.
    pub fn attend(mut self, events: &mut Events, input: &Input) -> io::Result<End> {
        let mut bytes = vec![0; READ_BYTES];
        loop {
            self.read(&mut bytes);
            self.heed_time();
            if events.is_interrupted() {
                self.leave(CloseCode::GOING_AWAY);
            }
            if events.is_interrupted_again() {
                self.connection.abandon();
            }
            let has_more = self.take_input(input);
            if let Err(error) = self.write() {
                self.lose(error.to_string());
            }
            if self.connection.is_closed() {
                self.await_end(events, &mut bytes)?;
                self.link.end();
                return Ok(self.end.unwrap_or(End::Done));
            }
            // The input says only once that it has something.
            if !has_more || self.out.len() >= MAX_WAITING_BYTES {
                events.wait(self.patience())?;
            }
        }
    }

    /// After the close handshake, sends what is left, and lets the server end the transport (RFC 6455,
    /// section 7.1.1).
    fn await_end(&mut self, events: &mut Events, bytes: &mut [u8]) -> io::Result<()> {
        let end = Instant::now() + CLOSE_TIMEOUT;
        while self.connection.was_clean() && !events.is_interrupted_again() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || self.write().is_err() || self.has_ended(bytes) {
                break;
            }
            events.wait(left)?;
        }
        Ok(())
    }

    /// Discards what has arrived, and returns whether the transport has ended.
    fn has_ended(&mut self, bytes: &mut [u8]) -> bool {
        loop {
            match self.link.read_available(bytes) {
                Ok(None) => return false,
                Ok(Some(0)) | Err(_) => return true,
                Ok(Some(_)) => {}
            }
        }
    }

    /// Reads everything that has arrived.
    fn read(&mut self, bytes: &mut [u8]) {
        while !self.connection.is_closed() {
            match self.link.read_available(bytes) {
                Ok(None) => return,
                Ok(Some(0)) => return self.finish(),
                Ok(Some(size)) => {
                    self.heard = Instant::now();
                    self.has_asked = false;
                    self.receive(&mut bytes[..size]);
                }
                Err(error) => return self.lose(error.to_string()),
            }
        }
    }

    fn receive(&mut self, mut input: &mut [u8]) {
        loop {
            match self.connection.receive(&mut input, &mut self.buffers) {
                Ok(None) => return,
                Ok(Some(ClientReceived::Accepted(accepted))) => self.open(&accepted),
                Ok(Some(ClientReceived::Refused(response))) => {
                    self.end = Some(End::Refused(response));
                }
                Ok(Some(ClientReceived::Frames(incoming))) => {
                    self.handle(&incoming);
                    self.buffers.recycle(incoming);
                }
                Ok(Some(_)) => {}
                Err(failure) => {
                    self.end.get_or_insert(End::Failed(failure));
                    self.deadline = Some(Instant::now() + CLOSE_TIMEOUT);
                    self.connection.fail(failure, &mut self.out);
                }
            }
        }
    }

    fn open(&mut self, accepted: &Accepted) {
        self.deadline = None;
        self.place.begin(accepted.subprotocol.as_deref() == Some(SUBPROTOCOL));
        self.printer.accepted(accepted);
    }

    fn handle(&mut self, incoming: &Incoming<'_>) {
        match incoming {
            Incoming::Message(message) => self.print(message.as_message()),
            Incoming::Ping(payload) => {
                self.printer.ping("ping", payload);
                self.connection.pong(payload, &mut self.out);
            }
            Incoming::Pong(payload) => self.printer.ping("pong", payload),
            Incoming::Close(frame) => {
                self.end.get_or_insert(End::Closed(frame.clone()));
                self.connection.answer_close(frame.as_ref(), &mut self.out);
            }
            _ => {}
        }
    }

    fn print(&mut self, message: Message<'_>) {
        let printed = match self.place.hear(message) {
            Heard::Message(position) => self.printer.message(message, position),
            Heard::Word(word) => {
                self.printer.word(word);
                Ok(())
            }
        };
        // Nobody reads the output any more, as after `| head`.
        if printed.is_err() {
            self.leave(CloseCode::NORMAL);
        }
    }

    /// Sends what the input has, and returns whether it may have more.
    fn take_input(&mut self, input: &Input) -> bool {
        while self.connection.is_open() {
            if self.out.len() >= MAX_WAITING_BYTES {
                return true;
            }
            match input.next() {
                Next::Message(bytes) if self.form == Form::Binary => {
                    self.connection.send(&bytes, &mut self.out);
                }
                Next::Message(line) => {
                    let line = String::from_utf8_lossy(&line);
                    self.connection.send(&*line, &mut self.out);
                }
                Next::Nothing => return false,
                Next::End => self.leave(CloseCode::NORMAL),
            }
        }
        false
    }

    /// Writes what the link takes.
    fn write(&mut self) -> io::Result<()> {
        let mut written = 0;
        while written < self.out.len() {
            match self.link.write(&self.out[written..]) {
                Ok(size) => written += size,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.drain(..written);
        match self.link.flush() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    /// Begins the close handshake.
    fn leave(&mut self, code: CloseCode) {
        if self.end.is_some() {
            return;
        }
        self.end = Some(End::Done);
        if self.connection.is_open() {
            self.deadline = Some(Instant::now() + CLOSE_TIMEOUT);
            self.connection.close(code, "", &mut self.out);
        } else {
            self.connection.abandon();
        }
    }

    /// Handles the end of the transport.
    fn finish(&mut self) {
        let was_handshaking = self.connection.is_handshaking();
        match self.connection.end() {
            Some(response) => self.end = Some(End::Refused(Box::new(response))),
            None if was_handshaking => self.fail_to_connect("the server did not answer".to_owned()),
            None => self.lose("the server sent no close frame".to_owned()),
        }
    }

    /// Handles an error of the transport, or a server that is gone.
    fn lose(&mut self, reason: String) {
        if self.connection.is_handshaking() {
            return self.fail_to_connect(reason);
        }
        self.end.get_or_insert(End::Lost(reason));
        self.connection.abandon();
    }

    fn fail_to_connect(&mut self, reason: String) {
        self.end.get_or_insert(End::Unreachable(io::Error::other(reason)));
        self.connection.abandon();
    }

    /// Gives up a server that does not answer, and asks one that is silent.
    fn heed_time(&mut self) {
        let now = Instant::now();
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            return self.lose("the server did not answer in time".to_owned());
        }
        let silence = now - self.heard;
        if silence >= 2 * self.longest_silence() {
            self.lose("the server is silent".to_owned());
        } else if silence >= self.longest_silence() && !self.has_asked {
            self.has_asked = true;
            self.connection.ping(b"", &mut self.out);
        }
    }

    fn longest_silence(&self) -> Duration {
        self.place.beat().unwrap_or(SILENCE)
    }

    /// The time until something has to be done without an event.
    fn patience(&self) -> Duration {
        let steps = if self.has_asked { 2 } else { 1 };
        let silence = self.heard + steps * self.longest_silence();
        let next = self.deadline.map_or(silence, |deadline| deadline.min(silence));
        next.saturating_duration_since(Instant::now()) + Duration::from_millis(1)
    }
}
