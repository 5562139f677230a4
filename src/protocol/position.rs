//! Places in the sequence of a room's messages.

use std::fmt;
use std::str::FromStr;

use super::http::{Refusal, Request};

/// The radix of an epoch as text: digits, then lowercase letters.
const RADIX: u32 = 36;

/// A place in the sequence of a room's messages: the place after the message with this number.
///
/// Its text is the epoch, a dot, and the number, such as `k3v9q2.1042`. The server chooses the epoch when
/// it creates a room. Positions in different epochs cannot be compared.
///
/// ```
/// use townhall::protocol::Position;
///
/// let position: Position = "k3v9q2.1042".parse()?;
/// assert_eq!(position.sequence(), 1042);
/// assert_eq!(position.to_string(), "k3v9q2.1042");
/// assert!("k3v9q2".parse::<Position>().is_err());
/// # Ok::<(), townhall::protocol::InvalidPosition>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    epoch: u64,
    sequence: u64,
}

impl Position {
    /// The place after the message with this number; 0 is the place before the first one.
    pub const fn new(epoch: u64, sequence: u64) -> Self {
        Self { epoch, sequence }
    }

    /// The number that the server chose when it created the room.
    pub fn epoch(self) -> u64 {
        self.epoch
    }

    /// The number of the message before this place.
    pub fn sequence(self) -> u64 {
        self.sequence
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 13];
        let mut begin = digits.len();
        let mut rest = self.epoch;
        while rest > 0 || begin == digits.len() {
            begin -= 1;
            let digit = (rest % u64::from(RADIX)) as u32;
            digits[begin] = char::from_digit(digit, RADIX).unwrap_or_default() as u8;
            rest /= u64::from(RADIX);
        }
        let epoch = str::from_utf8(&digits[begin..]).unwrap_or_default();
        write!(f, "{epoch}.{}", self.sequence)
    }
}

impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (epoch, sequence) = text.split_once('.').ok_or(InvalidPosition)?;
        let position = Self {
            epoch: u64::from_str_radix(epoch, RADIX).map_err(|_| InvalidPosition)?,
            sequence: sequence.parse().map_err(|_| InvalidPosition)?,
        };
        // There is one text for each position, without signs, capital letters and leading zeros.
        if position.to_string() == text { Ok(position) } else { Err(InvalidPosition) }
    }
}

/// The error of parsing a [`Position`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidPosition;

impl fmt::Display for InvalidPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a position is an epoch, a dot and a number, such as k3v9q2.1042")
    }
}

impl std::error::Error for InvalidPosition {}

/// The place in a room's sequence from which a client wants to receive messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Start {
    /// The end: only messages that are published from now on.
    #[default]
    Now,
    /// All messages after this position, or only new ones if not all of them are kept: `?after=POSITION`.
    After(Position),
    /// The newest messages, up to this number: `?last=20`.
    Newest(u64),
    /// The newest messages, up to this number, for a client that has missed others before them, and is told
    /// so. No request asks for this.
    Rest(u64),
}

impl Start {
    /// What the query of a request asks for. Other parameters are ignored.
    ///
    /// # Errors
    /// A value is not valid, or both parameters are there.
    ///
    /// ```
    /// use townhall::protocol::{Request, Start};
    ///
    /// let request = Request::parse(b"GET /lobby?last=20 HTTP/1.1\r\nHost: x\r\n\r\n", 10)?;
    /// assert_eq!(Start::of(&request), Ok(Start::Newest(20)));
    /// # Ok::<(), townhall::protocol::Refusal>(())
    /// ```
    pub fn of(request: &Request<'_>) -> Result<Self, Refusal> {
        let parameters = request.query().unwrap_or_default().split('&');
        let mut start = Self::Now;
        for (name, value) in parameters.filter_map(|parameter| parameter.split_once('=')) {
            let parsed = match name {
                "after" => value.parse().map(Self::After).map_err(|_| INVALID_AFTER)?,
                "last" => number(value).map(Self::Newest).ok_or(INVALID_LAST)?,
                _ => continue,
            };
            if std::mem::replace(&mut start, parsed) != Self::Now {
                return Err(TWO_STARTS);
            }
        }
        Ok(start)
    }
}

const INVALID_AFTER: Refusal =
    Refusal::Malformed("the parameter after must be a position, such as k3v9q2.1042");
const INVALID_LAST: Refusal = Refusal::Malformed("the parameter last must be a number");
const TWO_STARTS: Refusal = Refusal::Malformed("one parameter is allowed: after or last");

/// A number of digits alone.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn start(query: &str) -> Result<Start, Refusal> {
        let head = format!("GET /lobby{query} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        Start::of(&Request::parse(head.as_bytes(), 10).unwrap())
    }

    #[test]
    fn a_query_names_one_start() {
        let after = Start::After(Position::new(36, 7));
        assert_eq!(start(""), Ok(Start::Now));
        assert_eq!(start("?token=x&after=10.7&other"), Ok(after));
        assert_eq!(start("?last=20"), Ok(Start::Newest(20)));
        assert_eq!(start("?afterwards=3"), Ok(Start::Now));
        for query in ["?after=", "?after=7", "?after=10.07", "?after=10.7&after=10.7x"] {
            assert_eq!(start(query), Err(INVALID_AFTER), "{query}");
        }
        for query in ["?last=", "?last=-1", "?last=+1", "?last=99999999999999999999"] {
            assert_eq!(start(query), Err(INVALID_LAST), "{query}");
        }
        for query in ["?last=1&after=10.7", "?after=10.7&last=1", "?last=1&last=1"] {
            assert_eq!(start(query), Err(TWO_STARTS), "{query}");
        }
    }

    #[test]
    fn other_texts_are_no_positions() {
        for text in
            ["", ".", "a.", ".1", "A.1", "0a.1", "a.01", "+a.1", "a.+1", "a.1.2", "a.-1", " a.1"]
        {
            assert_eq!(text.parse::<Position>(), Err(InvalidPosition), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_text_of_a_position_is_parsed_to_the_same_position(epoch: u64, sequence: u64) {
            let position = Position::new(epoch, sequence);
            prop_assert_eq!(position.to_string().parse(), Ok(position));
        }
    }
}
