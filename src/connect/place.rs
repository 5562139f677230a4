//! The client's position in a room with history, which it counts itself.

use std::time::Duration;

use serde::Deserialize;
use townhall::Position;
use townhall::protocol::{Message, WORD_MARK};

/// The position, and whether the server says it.
#[derive(Debug)]
pub struct Place {
    position: Option<Position>,
    /// The connection has the server's subprotocol.
    has_words: bool,
    /// Nothing has come on this connection.
    is_new: bool,
    /// The longest silence of the server, if it promises one.
    beat: Option<Duration>,
}

/// What a message is.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard<'m> {
    /// One of the server's own, in JSON.
    Word(&'m str),
    /// One of the room, and the place after it if that is known.
    Message(Option<Position>),
}

/// The parts of a word that matter here.
#[derive(Deserialize)]
struct Word {
    position: Option<String>,
    published: Option<String>,
    beat: Option<u64>,
}

impl Place {
    pub fn new(position: Option<Position>) -> Self {
        Self { position, has_words: false, is_new: true, beat: None }
    }

    pub fn position(&self) -> Option<Position> {
        self.position
    }

    pub fn beat(&self) -> Option<Duration> {
        self.beat
    }

    /// Begins a connection, with the server's subprotocol or without.
    pub fn begin(&mut self, has_words: bool) {
        *self = Self { has_words, ..Self::new(self.position) };
    }

    /// Takes a message into account.
    pub fn hear<'m>(&mut self, message: Message<'m>) -> Heard<'m> {
        let word = match message {
            Message::Text(text) => text.strip_prefix(WORD_MARK),
            Message::Binary(_) => None,
        };
        let is_first = std::mem::replace(&mut self.is_new, false);
        if is_first && word.is_none() {
            // A room without a greeting has no history.
            self.has_words = false;
            self.position = None;
        }
        match word.filter(|_| self.has_words) {
            Some(word) => {
                self.heed(word);
                Heard::Word(word)
            }
            None => {
                let next = |place: Position| Position::new(place.epoch(), place.sequence() + 1);
                self.position = self.position.filter(|_| self.has_words).map(next);
                Heard::Message(self.position)
            }
        }
    }

    /// Words and fields that are not known are ignored.
    fn heed(&mut self, word: &str) {
        let Ok(word) = serde_json::from_str::<Word>(word) else { return };
        let position = word.position.or(word.published);
        if let Some(position) = position.and_then(|position| position.parse().ok()) {
            self.position = Some(position);
        }
        self.beat = word.beat.map(Duration::from_secs).or(self.beat);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(place: &mut Place, text: &str) -> Option<String> {
        match place.hear(Message::Text(text)) {
            Heard::Word(word) => panic!("{word}"),
            Heard::Message(position) => position.map(|position| position.to_string()),
        }
    }

    fn word(place: &mut Place, word: &str) {
        assert_eq!(place.hear(Message::Text(&format!("\0{word}"))), Heard::Word(word));
    }

    #[test]
    fn messages_are_counted_from_the_greeting() {
        let mut place = Place::new(None);
        place.begin(true);
        word(&mut place, r#"{"position":"a.5","replay":1,"beat":30}"#);
        assert_eq!(place.beat(), Some(Duration::from_secs(30)));
        assert_eq!(text(&mut place, "x").as_deref(), Some("a.6"));
        place.hear(Message::Binary(b""));
        word(&mut place, r#"{"expires":30}"#);
        word(&mut place, r#"{"published":"a.8"}"#);
        assert_eq!(text(&mut place, "x").as_deref(), Some("a.9"));
        word(&mut place, r#"{"skipped":2,"position":"a.11"}"#);
        assert_eq!(place.position().unwrap().to_string(), "a.11");
        assert_eq!(place.beat(), Some(Duration::from_secs(30)));
    }

    #[test]
    fn without_a_greeting_there_are_no_words_and_no_positions() {
        let mut place = Place::new("a.5".parse().ok());
        place.begin(true);
        assert_eq!(text(&mut place, "x"), None);
        assert_eq!(text(&mut place, "\0{\"position\":\"a.7\"}"), None);
        place.begin(false);
        assert_eq!(text(&mut place, "\0x"), None, "the subprotocol was not chosen");
    }

    #[test]
    fn a_word_that_is_not_known_changes_nothing() {
        let mut place = Place::new("a.5".parse().ok());
        place.begin(true);
        for other in ["", "[]", r#"{"x":1}"#, r#"{"position":"?"}"#] {
            word(&mut place, other);
        }
        assert_eq!(text(&mut place, "x").as_deref(), Some("a.6"));
    }
}
