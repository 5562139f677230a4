//! Messages of a back end, a line of JSON each.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use townhall::protocol::{WORD_MARK_REFUSED, normal_path};
use townhall::{ClientId, Config, Hub, Message, Position};

use crate::cluster::{Full, Link, Published};
use crate::presence::{MemberRooms, ONLY_THE_SERVER};

/// A message for a room.
#[derive(Debug, PartialEq, Eq)]
pub struct Order {
    room: String,
    content: Content,
}

#[derive(Debug, PartialEq, Eq)]
enum Content {
    Text(String),
    Binary(Vec<u8>),
}

impl Order {
    /// Parses a line: an object with a `room`, and with a `text`, a `json` value, which is sent as it is
    /// written, or bytes in `base64`.
    ///
    /// # Errors
    /// What is wrong with the line.
    pub fn parse(line: &str, limits: &Config, member_rooms: &MemberRooms) -> Result<Self, String> {
        let mut fields: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(line).map_err(|error| format!("not a JSON object: {error}"))?;
        let room = text("room", &fields.remove("room").ok_or("room is missing")?)?;
        let (name, value) = fields.pop_first().ok_or("text, json or base64 is missing")?;
        if let Some(other) = fields.keys().next() {
            return Err(format!("there is {other} besides {name}"));
        }
        let content = match name.as_str() {
            "text" => Content::Text(text(&name, &value)?),
            "json" => Content::Text(value.get().to_owned()),
            "base64" => {
                let decoded = STANDARD.decode(text(&name, &value)?);
                Content::Binary(decoded.map_err(|error| format!("base64: {error}"))?)
            }
            _ => return Err(format!("{name} is not text, json or base64")),
        };
        let room = check_room(&room, limits)?;
        if member_rooms.shown_by(&room).is_some() {
            return Err(format!("room: {ONLY_THE_SERVER}"));
        }
        Self { room, content }.check_size(limits)
    }

    fn check_size(self, limits: &Config) -> Result<Self, String> {
        if self.message().payload().len() > limits.limits.max_message_bytes {
            return Err("the message is too long".into());
        }
        Ok(self)
    }

    fn message(&self) -> Message<'_> {
        match &self.content {
            Content::Text(text) => Message::Text(text),
            Content::Binary(bytes) => Message::Binary(bytes),
        }
    }

    /// Publishes the message, here or through Redis.
    fn publish(&self, hub: &mut Hub, truncate: Option<usize>, link: Option<&Link>) -> Line {
        let message = self.message();
        if hub.is_reserved(message) {
            return Line::error(WORD_MARK_REFUSED);
        }
        let message = truncate.map_or(message, |length| message.truncate(length));
        if let Some(link) = link {
            let members = hub.room(&self.room).map_or(0, |room| room.member_count());
            return match link.publish_and_answer(&self.room, message) {
                Ok(answer) => Line::Later { members, answer },
                Err(Full) => Line::error("too many messages wait for Redis"),
            };
        }
        if let Err(refusal) = hub.broadcast_for(ClientId::SERVER, &self.room, message) {
            return Line::error(refusal);
        }
        let members = hub.room(&self.room).map_or(0, |room| room.member_count());
        Line::published(members, hub.position(&self.room))
    }
}

/// What is said about a message.
#[derive(Debug)]
pub enum Line {
    Now(Value),
    /// Redis has not answered yet.
    Later {
        members: usize,
        answer: Receiver<Published>,
    },
}

impl Line {
    fn error(error: impl Display) -> Self {
        Self::Now(json!({ "error": error.to_string() }))
    }

    fn published(members: usize, position: Option<Position>) -> Self {
        Self::Now(match position {
            Some(position) => json!({ "members": members, "position": position.to_string() }),
            None => json!({ "members": members }),
        })
    }

    /// Waits for the answer until a moment.
    pub fn wait(self, end: Instant) -> Value {
        match self {
            Self::Now(value) => value,
            Self::Later { members, answer } => {
                let left = end.saturating_duration_since(Instant::now());
                let line = match answer.recv_timeout(left) {
                    Ok(Ok(position)) => Self::published(members, Some(position)),
                    Ok(Err(refused)) => Self::error(refused),
                    Err(_) => Self::error("Redis has not answered yet: it may be published later"),
                };
                line.wait(end)
            }
        }
    }
}

/// Publishes the messages, and returns a line about each.
pub fn publish_all(
    hub: &mut Hub,
    orders: Vec<Result<Order, String>>,
    truncate: Option<usize>,
    link: Option<&Link>,
) -> Vec<Line> {
    let publish = |order: Result<Order, String>| match order {
        Ok(order) => order.publish(hub, truncate, link),
        Err(error) => Line::error(error),
    };
    orders.into_iter().map(publish).collect()
}

fn text(name: &str, value: &RawValue) -> Result<String, String> {
    let explain = |_: serde_json::Error| format!("{name} is not a string");
    serde_json::from_str(value.get()).map_err(explain)
}

/// The normal form of a room's name.
fn check_room(name: &str, limits: &Config) -> Result<String, String> {
    let refuse = |reason: &dyn Display| Err(format!("room: {reason}"));
    let room = normal_path(name);
    if !name.starts_with('/') {
        refuse(&"it must begin with a slash")
    } else if !limits.rooms.allow(&room) {
        refuse(&"no such room")
    } else if room.len() > limits.rooms.max_name_bytes {
        refuse(&"the name is too long")
    } else {
        Ok(room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Order, String> {
        let mut config = Config::default();
        config.rooms.patterns = vec!["/a/*".parse().unwrap()];
        config.limits.max_message_bytes = 20;
        let presence = vec!["/a/*".parse().unwrap()];
        Order::parse(line, &config, &MemberRooms::new(presence, config.rooms.clone()))
    }

    #[test]
    fn a_line_is_a_room_and_a_message() {
        let order = |room: &str, content| Ok(Order { room: room.into(), content });
        let text = |text: &str| Content::Text(text.into());
        assert_eq!(parse(r#"{"room": "/a/b", "text": "h\u00e9"}"#), order("/a/b", text("h\u{e9}")));
        let number = r#"{"json":{"b":1.0,"a":1e400}, "room":"/a/%7eb"}"#;
        assert_eq!(parse(number), order("/a/~b", text(r#"{"b":1.0,"a":1e400}"#)));
        let bytes = r#"{"base64":"AP8=","room":"/a/b"}"#;
        assert_eq!(parse(bytes), order("/a/b", Content::Binary(vec![0, 255])));
    }

    #[test]
    fn another_line_is_refused_with_a_reason() {
        for (line, reason) in [
            ("nonsense", "not a JSON object"),
            (r#"["/a/b", "x"]"#, "not a JSON object"),
            (r#"{"text": "x"}"#, "room is missing"),
            (r#"{"room": "/a/b"}"#, "missing"),
            (r#"{"room": 1, "text": "x"}"#, "room is not a string"),
            (r#"{"room": "/a/b", "text": 1}"#, "text is not a string"),
            (r#"{"room": "/a/b", "text": "x", "json": 1}"#, "besides"),
            (r#"{"room": "/a/b", "data": "x"}"#, "data is not"),
            (r#"{"room": "/a/b", "base64": "?"}"#, "base64"),
            (r#"{"room": "a/b", "text": "x"}"#, "slash"),
            (r#"{"room": "/b", "text": "x"}"#, "no such room"),
            (r#"{"room": "/a/b/@members", "text": "x"}"#, "only the server"),
            (r#"{"room": "/a/b", "text": "123456789012345678901"}"#, "too long"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(reason), "{line}: {error}");
        }
    }
}
