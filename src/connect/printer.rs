//! What the client prints: messages on standard output, and what happens on standard error, or both in JSON
//! on standard output.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use townhall::Position;
use townhall::protocol::{Accepted, Message};

use super::end::End;
use crate::flags::{ConnectFlags, Form};

/// Prints in the form that the flags choose.
#[derive(Debug)]
pub struct Printer {
    form: Form,
    shows_messages: bool,
    shows_pings: bool,
    /// A terminal obeys control characters, and a message must not command it.
    is_terminal: bool,
}

impl Printer {
    pub fn new(flags: &ConnectFlags) -> Self {
        Self {
            form: flags.form(),
            shows_messages: !flags.send_only,
            shows_pings: flags.pings,
            is_terminal: io::stdout().is_terminal(),
        }
    }

    /// Prints a message of the room.
    ///
    /// # Errors
    /// Nobody reads the output.
    pub fn message(&self, message: Message<'_>, position: Option<Position>) -> io::Result<()> {
        if !self.shows_messages {
            return Ok(());
        }
        match (self.form, message) {
            (Form::Json, message) => self.print(&format!("{}\n", in_json(message, position))),
            (Form::Text, Message::Text(text)) => self.print(&format!("{}\n", self.shown(text))),
            (Form::Text, Message::Binary(bytes)) => {
                note(&format!("{} bytes came, which --binary or --json shows", bytes.len()));
                Ok(())
            }
            (Form::Binary, message) => write(message.payload()),
        }
    }

    fn print(&self, text: &str) -> io::Result<()> {
        write(text.as_bytes())
    }

    fn shown(&self, text: &str) -> String {
        let is_command = |c: char| c.is_control() && c != '\n' && c != '\t';
        if !self.is_terminal || !text.contains(is_command) {
            return text.to_owned();
        }
        let show = |c: char| if is_command(c) { c.escape_default().to_string() } else { c.into() };
        text.chars().map(show).collect()
    }

    /// Says that the server has accepted.
    pub fn accepted(&self, accepted: &Accepted) {
        let Accepted { subprotocol, deflate, .. } = accepted;
        let extension = deflate.map(|deflate| deflate.answer());
        let value = json!({"type": "open", "subprotocol": subprotocol, "extension": extension});
        self.happened(&value, || "connected".to_owned());
    }

    /// Shows a word of the server itself.
    pub fn word(&self, word: &str) {
        if self.form == Form::Json {
            let word: Value = serde_json::from_str(word).unwrap_or_else(|_| word.into());
            self.happened(&json!({"type": "word", "data": word}), String::new);
        }
    }

    /// Shows a ping or a pong, if that was asked for.
    pub fn ping(&self, name: &str, payload: &[u8]) {
        if self.shows_pings {
            let value = json!({"type": name, "data": STANDARD.encode(payload)});
            self.happened(&value, || format!("{name} \"{}\"", payload.escape_ascii()));
        }
    }

    /// Says how the connection ended.
    pub fn end(&self, end: &End) {
        let value = match end {
            End::Closed(Some(frame)) => {
                json!({"type": "close", "code": frame.code.get(), "reason": frame.reason})
            }
            End::Closed(None) | End::Done => json!({"type": "close"}),
            End::Refused(response) => json!({
                "type": "refused",
                "status": response.status(),
                "reason": response.reason(),
                "body": String::from_utf8_lossy(response.body()),
            }),
            End::Unreachable(_) | End::Failed(_) | End::Lost(_) => {
                json!({"type": "error", "reason": end.to_string()})
            }
        };
        self.happened(&value, || end.to_string());
    }

    /// Says that there will be another attempt.
    pub fn note_delay(&self, longest: Duration) {
        let value = json!({"type": "reconnecting", "within_ms": longest.as_millis() as u64});
        self.happened(&value, || format!("trying again within {longest:?}"));
    }

    fn happened(&self, value: &Value, in_words: impl FnOnce() -> String) {
        if self.form == Form::Json {
            // An output that nobody reads ends the client at the next message.
            let _ = self.print(&format!("{value}\n"));
        } else {
            note(&in_words());
        }
    }
}

fn in_json(message: Message<'_>, position: Option<Position>) -> Value {
    let (name, data) = match message {
        Message::Text(text) => ("text", text.to_owned()),
        Message::Binary(bytes) => ("binary", STANDARD.encode(bytes)),
    };
    let mut value = json!({"type": name, "data": data});
    if let Some(position) = position {
        value["position"] = position.to_string().into();
    }
    value
}

fn write(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// Nobody has to read this.
fn note(line: &str) {
    let _ = writeln!(io::stderr(), "townhall: {line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_does_not_command_a_terminal() {
        let printer = |is_terminal| Printer {
            form: Form::Text,
            shows_messages: true,
            shows_pings: false,
            is_terminal,
        };
        let text = "a\u{1b}[2J\u{9b}b\tc\n";
        assert_eq!(printer(true).shown(text), "a\\u{1b}[2J\\u{9b}b\tc\n");
        assert_eq!(printer(false).shown(text), text);
    }

    #[test]
    fn json_has_the_type_the_data_and_the_position() {
        let position = "a.5".parse().ok();
        assert_eq!(
            in_json(Message::Text("x\"y"), position),
            json!({"type": "text", "data": "x\"y", "position": "a.5"})
        );
        let binary = json!({"type": "binary", "data": "AP8="});
        assert_eq!(in_json(Message::Binary(&[0, 255]), None), binary);
    }
}
