//! Opening connections (RFC 6455, section 4.1).

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::Failure;
use crate::flags::Target;
use crate::frame::Head;
use crate::stream::Stream;

/// The key and the answer to it of the RFC's example.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The most bytes of an answer.
const LONGEST_ANSWER: usize = 4_096;

/// An open WebSocket connection.
#[derive(Debug)]
pub struct Opened {
    pub stream: Stream<TcpStream>,
    /// The extensions that are in use.
    pub extensions: Option<String>,
    /// What the server sent behind its answer.
    pub received: Vec<u8>,
}

impl Opened {
    /// Receives a message that starts like this.
    pub fn expect(&mut self, start: &str) -> Result<(), Failure> {
        let (_, message) = self.receive_frame()?;
        if message.starts_with(start.as_bytes()) {
            Ok(())
        } else {
            let message = String::from_utf8_lossy(&message);
            Err(format!("received {message:?} instead of {start:?}").into())
        }
    }

    /// Receives a frame, and returns its first byte and its payload.
    pub fn receive_frame(&mut self) -> Result<(u8, Vec<u8>), Failure> {
        let mut buffer = [0; 1_024];
        loop {
            if let Some(head) = Head::parse(&self.received)
                && let Some(payload) = self.received.get(head.size..head.size + head.payload)
            {
                let payload = payload.to_vec();
                self.received.drain(..head.size + head.payload);
                return Ok((head.first, payload));
            }
            match self.stream.read(&mut buffer)? {
                0 => return Err("the server ended a connection".into()),
                count => self.received.extend_from_slice(&buffer[..count]),
            }
        }
    }
}

/// The room of all who need no room of their own.
pub const ROOM: &str = "/room";

/// Opens a connection to a room of the server, and waits until it is open: where connections are
/// not what is measured, one after the other will do.
pub fn open(target: &Target, room: &str, offer: Option<&str>) -> Result<Opened, Failure> {
    let offer = offer.map(|offer| field("Sec-WebSocket-Extensions", offer)).unwrap_or_default();
    open_with(target, room, &offer)
}

/// Opens a connection with more lines of the request's head.
pub fn open_with(target: &Target, room: &str, fields: &str) -> Result<Opened, Failure> {
    let mut stream = Stream::connect(target)?;
    stream.write_all(request(target, room, fields).as_bytes())?;
    let mut received = Vec::new();
    let mut buffer = [0; 1_024];
    loop {
        let count = stream.read(&mut buffer)?;
        received.extend_from_slice(&buffer[..count]);
        if let Some(answer) = Answer::parse(&received)? {
            let received = received.split_off(answer.size);
            return Ok(Opened { stream, extensions: answer.extensions, received });
        }
        if count == 0 || received.len() > LONGEST_ANSWER {
            return Err("the server did not answer to the end".into());
        }
    }
}

/// A line of a request's head.
pub fn field(name: &str, value: &str) -> String {
    format!("{name}: {value}\r\n")
}

/// The request for an upgrade, with more lines of its head.
pub fn request(target: &Target, room: &str, fields: &str) -> String {
    format!(
        "GET {room} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{fields}\r\n",
        target.address
    )
}

/// A complete answer that opens the connection.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub size: usize,
    extensions: Option<String>,
}

impl Answer {
    /// The answer that `bytes` begin with, once it is complete.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, Failure> {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut answer = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(size) = answer.parse(bytes)? else { return Ok(None) };
        let value = |name: &str| {
            let header = answer.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name));
            header.map(|header| String::from_utf8_lossy(header.value).into_owned())
        };
        let accepted = value("sec-websocket-accept").is_some_and(|accept| accept == ACCEPT);
        match answer.code {
            Some(101) if accepted => {
                Ok(Some(Self { size, extensions: value("sec-websocket-extensions") }))
            }
            code => Err(format!("the server answered with {}", code.unwrap_or(0)).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_parsed_once_it_is_complete() {
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: {ACCEPT}\r\n\
             Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        );
        let parsed = Answer::parse(answer.as_bytes()).unwrap().unwrap();
        assert_eq!(parsed.size, answer.len());
        assert_eq!(parsed.extensions.as_deref(), Some("permessage-deflate"));
        assert_eq!(Answer::parse(&answer.as_bytes()[..answer.len() - 1]).unwrap(), None);
    }

    #[test]
    fn anything_but_an_upgrade_is_a_failure() {
        assert!(Answer::parse(b"HTTP/1.1 503 Service Unavailable\r\n\r\n").is_err());
        assert!(Answer::parse(b"HTTP/1.1 101 X\r\nSec-WebSocket-Accept: x\r\n\r\n").is_err());
    }
}
