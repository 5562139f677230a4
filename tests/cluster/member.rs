//! Members of rooms, who count the positions of what they hear.

use std::fmt;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::Instant;

use serde_json::Value;
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::Message;
use tungstenite::{Error, WebSocket};

use crate::support::PATIENCE;

/// A place in the sequence of a room.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub epoch: String,
    pub number: u64,
}

impl Position {
    pub fn parse(text: &str) -> Self {
        let (epoch, number) = text.split_once('.').unwrap();
        Self { epoch: epoch.to_owned(), number: number.parse().unwrap() }
    }

    /// The id of the entry of the room's stream.
    pub fn id(&self) -> String {
        format!("{}-{}", u64::from_str_radix(&self.epoch, 36).unwrap(), self.number)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.epoch, self.number)
    }
}

/// What a member hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    Message(Position, String),
    /// Messages are missing before this position.
    Lost(Position),
    /// An own message, which is not sent back.
    Published(Position),
    /// The code with which the server has closed the connection, or 0 if it has just ended.
    Closed(u16),
}

/// A member that speaks `townhall.v1`.
pub struct Member {
    client: WebSocket<TcpStream>,
    /// The place after what it has heard last.
    pub position: Position,
    /// The field `recovered` of the greeting.
    pub recovered: Option<bool>,
    /// The field `replay` of the greeting.
    pub replay: u64,
}

impl Member {
    /// Joins a room, as in `/lobby?last=5`, and waits for the greeting.
    pub fn join(address: &str, target: &str) -> Self {
        Self::join_with(address, target, "")
    }

    /// Joins a room with a token, unless it is empty.
    pub fn join_with(address: &str, target: &str, token: &str) -> Self {
        let mut client = connect(address, target, "townhall.v1", token);
        let text = text(read(&mut client).unwrap());
        let greeting = word(&text).unwrap_or_else(|| panic!("{text:?} instead of a greeting"));
        Self {
            client,
            position: Position::parse(greeting["position"].as_str().unwrap()),
            recovered: greeting["recovered"].as_bool(),
            replay: greeting["replay"].as_u64().unwrap_or(0),
        }
    }

    pub fn send(&mut self, text: &str) {
        self.client.send(Message::text(text)).unwrap();
    }

    /// Waits for what comes next. Signs of life must fit what it has counted.
    pub fn hear(&mut self) -> Heard {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "no message after {}", self.position);
            match read(&mut self.client) {
                Ok(Message::Close(frame)) => {
                    return Heard::Closed(frame.map_or(0, |frame| frame.code.into()));
                }
                Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                    if let Some(heard) = self.understand(text(message)) {
                        return heard;
                    }
                }
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                    panic!("nothing after {}", self.position)
                }
                Err(_) => return Heard::Closed(0),
            }
        }
    }

    fn understand(&mut self, text: String) -> Option<Heard> {
        let Some(word) = word(&text) else {
            self.position.number += 1;
            return Some(Heard::Message(self.position.clone(), text));
        };
        assert!(word.get("skipped").is_none(), "{text:?}");
        let place = |name| Some(Position::parse(word.get(name)?.as_str()?));
        if let Some(position) = place("published") {
            self.position = position.clone();
            return Some(Heard::Published(position));
        }
        let position = place("position")?;
        if word.get("recovered") == Some(&Value::Bool(false)) {
            self.position = position.clone();
            return Some(Heard::Lost(position));
        }
        assert_eq!(self.position, position, "after {text:?}");
        None
    }

    /// The text of the next message.
    pub fn hear_text(&mut self) -> String {
        match self.hear() {
            Heard::Message(_, text) => text,
            heard => panic!("{heard:?} instead of a message"),
        }
    }
}

/// A member that does not know `townhall.v1`.
pub struct Plain(WebSocket<TcpStream>);

impl Plain {
    pub fn join(address: &str, target: &str) -> Self {
        Self(connect(address, target, "", ""))
    }

    /// Joins a room with a token.
    pub fn join_with(address: &str, target: &str, token: &str) -> Self {
        Self(connect(address, target, "", token))
    }

    pub fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).unwrap();
    }

    pub fn send_binary(&mut self, bytes: Vec<u8>) {
        self.0.send(Message::binary(bytes)).unwrap();
    }

    pub fn hear(&mut self) -> Message {
        read(&mut self.0).unwrap()
    }

    /// The text of the next message.
    pub fn hear_text(&mut self) -> String {
        text(self.hear())
    }

    /// Skips messages, and returns the code with which the server closes the connection.
    pub fn closed(&mut self) -> u16 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "the server does not close the connection");
            if let Message::Close(frame) = read(&mut self.0).unwrap() {
                return frame.unwrap().code.into();
            }
        }
    }
}

fn connect(address: &str, target: &str, protocol: &str, token: &str) -> WebSocket<TcpStream> {
    let mut request = format!("ws://{address}{target}").into_client_request().unwrap();
    let bearer = format!("Bearer {token}");
    let fields = [("Sec-WebSocket-Protocol", protocol), ("Authorization", &bearer)];
    for (name, value) in fields.into_iter().filter(|(_, value)| !matches!(*value, "" | "Bearer ")) {
        request.headers_mut().append(name, value.parse().unwrap());
    }
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    tungstenite::client(request, stream).unwrap().0
}

fn read(client: &mut WebSocket<TcpStream>) -> Result<Message, Error> {
    loop {
        match client.read() {
            // Reads with a timeout are interrupted when a stopped machine continues.
            Err(Error::Io(error)) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn text(message: Message) -> String {
    message.into_text().unwrap().to_string()
}

/// The server's own word, if the text is one.
fn word(text: &str) -> Option<Value> {
    Some(serde_json::from_str(text.strip_prefix('\0')?).unwrap())
}
