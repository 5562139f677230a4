//! Messages of a room as they stand in Redis.

use std::fmt;
use std::str::FromStr;

use townhall::{Message, Position};

/// The process that published a message, and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    pub process: Process,
    pub number: u64,
}

/// A random number that stands for one process as long as it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Process(pub u64);

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Process {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        u64::from_str_radix(text, 16).map(Self).map_err(|_| Malformed)
    }
}

impl Origin {
    /// The origin of a message, if it was published by a process of townhall.
    fn parse(text: &str) -> Option<Self> {
        let (process, number) = text.split_once('.')?;
        Some(Self { process: process.parse().ok()?, number: number.parse().ok()? })
    }
}

/// The kind of a message, and its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Binary,
}

impl Kind {
    pub fn of(message: &Message<'_>) -> Self {
        match message {
            Message::Text(_) => Self::Text,
            Message::Binary(_) => Self::Binary,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Binary => "binary",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Text, Self::Binary].into_iter().find(|kind| kind.name() == name)
    }

    /// The message with this payload. Other programs may have published a text that is not UTF-8, which
    /// only a binary message can carry, or one that clients would take for a word of the server's own.
    pub fn message(self, payload: &[u8]) -> Message<'_> {
        let text = if self == Self::Text { str::from_utf8(payload).ok() } else { None };
        text.filter(|text| !text.starts_with('\0')).map_or(Message::Binary(payload), Message::Text)
    }
}

/// A message that stands in Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub kind: Kind,
    pub payload: Vec<u8>,
    pub origin: Option<Origin>,
}

impl Entry {
    /// An entry of the stream, and when it was added, in milliseconds since the epoch.
    ///
    /// # Errors
    /// It is not one that the script has written.
    pub fn from_fields(fields: Vec<Vec<u8>>) -> Result<(Self, u64), Malformed> {
        let [kind, payload, _, from, _, at] =
            <[Vec<u8>; 6]>::try_from(fields).map_err(|_| Malformed)?;
        let kind = Kind::parse(text(&kind)?).ok_or(Malformed)?;
        let at = text(&at)?.parse().map_err(|_| Malformed)?;
        Ok((Self { kind, payload, origin: Origin::parse(text(&from)?) }, at))
    }

    pub fn message(&self) -> Message<'_> {
        self.kind.message(&self.payload)
    }
}

/// Messages that were published together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub epoch: u64,
    /// The number of the first message, or the next one if there are none.
    pub first: u64,
    /// When they were added, in milliseconds since the epoch.
    pub at: u64,
    pub entries: Vec<Entry>,
}

impl Batch {
    /// Parses what the script sends on the channel of a room.
    ///
    /// # Errors
    /// Another program has sent it.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let (head, mut rest) = line(bytes)?;
        let mut words = head.split(' ');
        let mut number = || words.next().and_then(|word| word.parse::<u64>().ok()).ok_or(Malformed);
        let (epoch, first, count, at) = (number()?, number()?, number()?, number()?);
        let mut entries = Vec::new();
        while !rest.is_empty() {
            let entry;
            (entry, rest) = Self::entry(rest)?;
            entries.push(entry);
        }
        let is_whole = entries.len() as u64 == count && first >= 1;
        is_whole.then_some(Self { epoch, first, at, entries }).ok_or(Malformed)
    }

    fn entry(bytes: &[u8]) -> Result<(Entry, &[u8]), Malformed> {
        let (head, rest) = line(bytes)?;
        let mut words = head.split(' ');
        let kind = words.next().and_then(Kind::parse).ok_or(Malformed)?;
        let origin = Origin::parse(words.next().ok_or(Malformed)?);
        let size = words.next().and_then(|word| word.parse().ok()).ok_or(Malformed)?;
        let (payload, rest) = rest.split_at_checked(size).ok_or(Malformed)?;
        Ok((Entry { kind, payload: payload.to_vec(), origin }, rest))
    }

    /// The place after the last message.
    pub fn end(&self) -> Position {
        Position::new(self.epoch, self.first.saturating_add(self.entries.len() as u64) - 1)
    }

    /// The memory that it takes.
    pub fn size(&self) -> usize {
        let entry_size = |entry: &Entry| entry.payload.len() + size_of::<Entry>();
        size_of::<Self>() + self.entries.iter().map(entry_size).sum::<usize>()
    }
}

/// What stands in Redis was not written by townhall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it was not written by townhall or its scripts")
    }
}

fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    str::from_utf8(bytes).map_err(|_| Malformed)
}

fn line(bytes: &[u8]) -> Result<(&str, &[u8]), Malformed> {
    let end = bytes.iter().position(|&byte| byte == b'\n').ok_or(Malformed)?;
    Ok((text(&bytes[..end])?, &bytes[end + 1..]))
}

/// The id of the entry at a position.
pub fn id(position: Position) -> String {
    format!("{}-{}", position.epoch(), position.sequence())
}

/// The position of the entry with an id.
///
/// # Errors
/// It is no id.
pub fn position(id: &[u8]) -> Result<Position, Malformed> {
    let (epoch, sequence) = text(id)?.split_once('-').ok_or(Malformed)?;
    let number = |text: &str| text.parse().map_err(|_| Malformed);
    Ok(Position::new(number(epoch)?, number(sequence)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_what_the_script_sends() {
        let bytes = b"1796 7 3 1799\ntext - 5\nhellobinary 00000000000000ff.6 2\n\xff\ntext - 0\n";
        let batch = Batch::parse(bytes).unwrap();
        assert_eq!((batch.epoch, batch.first, batch.at), (1796, 7, 1799));
        assert_eq!(batch.end(), Position::new(1796, 9));
        assert_eq!(batch.entries[0].message(), Message::Text("hello"));
        assert_eq!(batch.entries[0].origin, None);
        assert_eq!(batch.entries[1].message(), Message::Binary(b"\xff\n"));
        assert_eq!(batch.entries[1].origin, Some(Origin { process: Process(255), number: 6 }));
        assert_eq!(batch.entries[2].message(), Message::Text(""));
        let other = Batch::parse(b"1796 7 1 1799\ntext - 1\n\xff").unwrap();
        assert_eq!(other.entries[0].message(), Message::Binary(b"\xff"));
        let renewed = Batch::parse(b"1797 1 0 1797\n").unwrap();
        assert_eq!(renewed.end(), Position::new(1797, 0));
    }

    #[test]
    fn what_others_send_is_refused() {
        for bytes in [
            &b""[..],
            b"\n",
            b"hello",
            b"1 1 0\n",
            b"1 1 1 1\n",
            b"1 0 0 1\n",
            b"1 1 0 1\ntext - 1\na",
            b"1 1 1 1\ntext - 2\na",
            b"1 1 1 1\nvideo - 1\na",
            b"1 1 1 1\ntext 1\na",
            b"1 1 1 1\ntext - 18446744073709551615\na",
        ] {
            assert_eq!(Batch::parse(bytes), Err(Malformed), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn the_id_of_an_entry_is_its_position() {
        let at = Position::new(1796, 42);
        assert_eq!(id(at), "1796-42");
        assert_eq!(position(b"1796-42"), Ok(at));
        assert_eq!(position(b"1796"), Err(Malformed));
    }
}
