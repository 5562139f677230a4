//! The format of the state: a line with the version, records one after another, and a checksum.

use std::io::{self, Write};
use std::mem;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// How a file of any version begins.
const BEGIN: &[u8] = b"townhall state ";

/// The version. It changes with the format of any record.
const VERSION: &[u8] = b"1\n";

/// The size in bytes of the checksum, which is the SHA-256 of everything before it.
const SUM_BYTES: usize = 32;

/// The size in bytes from which records are written.
const CHUNK_BYTES: usize = 64 << 10;

/// A part of the state. Times are relative to when the state was written.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Record<'a> {
    /// A room, and the place after its last message.
    Room { name: &'a str, epoch: u64, sequence: u64 },
    /// The next text of the room before.
    Text { text: &'a str, age: Duration },
    /// The next binary message of the room before.
    Binary {
        #[serde(borrow)]
        bytes: Bytes<'a>,
        age: Duration,
    },
    /// Tokens that were revoked `at` this time, in seconds since the epoch.
    Revocation { is_subject: bool, name: &'a str, at: f64, lasts: Duration },
    /// A request with an `Idempotency-Key`, and what was answered.
    Answer {
        name: Bytes<'a>,
        content: [u8; 32],
        members: u64,
        position: Option<(u64, u64)>,
        left: Duration,
    },
}

/// Bytes, which are written as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct Bytes<'a>(pub &'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// Writes a state.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    sum: Sha256,
    buffer: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins a state that is written at this time since the epoch.
    ///
    /// # Errors
    /// Those of `out`, as of all methods.
    pub fn begin(out: W, written: Duration) -> io::Result<Self> {
        let mut writer = Self { out, sum: Sha256::new(), buffer: [BEGIN, VERSION].concat() };
        writer.append(&written)?;
        Ok(writer)
    }

    pub fn write(&mut self, record: &Record<'_>) -> io::Result<()> {
        self.append(record)
    }

    fn append(&mut self, value: &impl Serialize) -> io::Result<()> {
        let buffer = mem::take(&mut self.buffer);
        self.buffer = postcard::to_extend(value, buffer).map_err(io::Error::other)?;
        if self.buffer.len() >= CHUNK_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sum.update(&self.buffer);
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Writes the rest and the checksum.
    pub fn end(mut self) -> io::Result<()> {
        self.flush()?;
        self.out.write_all(&self.sum.finalize())?;
        self.out.flush()
    }
}

/// Reads a state.
#[derive(Debug)]
pub struct Reader<'a> {
    /// When the state was written, since the epoch.
    pub written: Duration,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Checks that the bytes are a complete state.
    ///
    /// # Errors
    /// They are not, because of this.
    pub fn open(bytes: &'a [u8]) -> Result<Self, &'static str> {
        let content = bytes.strip_prefix(BEGIN).ok_or("it is not a state file")?;
        let content = content.strip_prefix(VERSION).ok_or("it is of another version")?;
        let end = content.len().checked_sub(SUM_BYTES).ok_or("it is damaged")?;
        let (content, sum) = content.split_at(end);
        let checked = &bytes[..bytes.len() - SUM_BYTES];
        if Sha256::digest(checked)[..] != *sum {
            return Err("it is damaged");
        }
        let (written, rest) = postcard::take_from_bytes(content).map_err(|_| "it is damaged")?;
        Ok(Self { written, rest })
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        // Complete states have only valid records.
        let (record, rest) = postcard::take_from_bytes(self.rest).ok()?;
        self.rest = rest;
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A state with one record of each kind, and a long one.
    fn state() -> (Vec<u8>, Vec<Record<'static>>) {
        let long = vec![7; 3 * CHUNK_BYTES].leak();
        let records = vec![
            Record::Revocation { is_subject: true, name: "42", at: 1e9, lasts: SECOND },
            Record::Answer {
                name: Bytes(b"/lobby \xff"),
                content: [9; 32],
                members: 3,
                position: Some((u64::MAX, 0)),
                left: SECOND * 300,
            },
            Record::Room { name: "/lobby", epoch: 36, sequence: 3 },
            Record::Text { text: "h\u{e4}llo", age: SECOND / 3 },
            Record::Binary { bytes: Bytes(long), age: SECOND },
            Record::Text { text: "", age: Duration::ZERO },
        ];
        let mut out = Vec::new();
        let mut writer = Writer::begin(&mut out, SECOND * 1_000_000_000).unwrap();
        records.iter().for_each(|record| writer.write(record).unwrap());
        writer.end().unwrap();
        (out, records)
    }

    #[test]
    fn what_was_written_is_read() {
        let (bytes, records) = state();
        let reader = Reader::open(&bytes).unwrap();
        assert_eq!(reader.written, SECOND * 1_000_000_000);
        assert!(reader.eq(records));
    }

    #[test]
    fn nothing_of_a_state_is_used_if_a_bit_of_it_is_wrong() {
        let (bytes, _) = state();
        for at in [0, 15, 16, 17, 20, bytes.len() / 2, bytes.len() - 33, bytes.len() - 1] {
            let mut other = bytes.clone();
            other[at] ^= 1;
            let expected = match at {
                0 => "it is not a state file",
                15 | 16 => "it is of another version",
                _ => "it is damaged",
            };
            assert_eq!(Reader::open(&other).unwrap_err(), expected, "{at}");
        }
        for length in 0..bytes.len().min(200) {
            assert!(Reader::open(&bytes[..length]).is_err(), "{length}");
        }
        assert!(Reader::open(&bytes[..bytes.len() - 1]).is_err());
        assert!(Reader::open(&[&bytes[..], b"x"].concat()).is_err());
    }
}
