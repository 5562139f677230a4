//! Standard input, which a thread reads because it may block.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;

use mio::Waker;

use crate::flags::Form;

/// The number of messages that are read in advance. Beyond that, whoever writes them waits.
const MAX_AHEAD: usize = 16;

/// The maximum size in bytes of a line, and of a binary message.
const MAX_LINE_BYTES: u64 = 1 << 20;
const MAX_BINARY_BYTES: usize = 64 << 10;

/// The messages of the input.
#[derive(Debug)]
pub struct Input {
    messages: Receiver<Vec<u8>>,
    /// Whether the connection ends with the input.
    ends: bool,
}

impl Input {
    /// Reads standard input from now on.
    pub fn start(form: Form, ends: bool, waker: Arc<Waker>) -> io::Result<Self> {
        let (sender, messages) = sync_channel(MAX_AHEAD);
        let read = move || {
            read(form, &sender, &waker);
            // The end can be seen only once there is no sender.
            drop(sender);
            wake(&waker);
        };
        thread::Builder::new().name("input".to_owned()).spawn(read)?;
        Ok(Self { messages, ends })
    }

    /// The next message, if there is one, or whether the connection is to end.
    pub fn next(&self) -> Next {
        match self.messages.try_recv() {
            Ok(message) => Next::Message(message),
            Err(TryRecvError::Disconnected) if self.ends => Next::End,
            Err(_) => Next::Nothing,
        }
    }
}

/// What the input has for the connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    Message(Vec<u8>),
    Nothing,
    End,
}

fn read(form: Form, sender: &SyncSender<Vec<u8>>, waker: &Waker) {
    let mut stdin = io::stdin().lock();
    loop {
        let message = match form {
            Form::Binary => read_chunk(&mut stdin),
            Form::Text | Form::Json => read_line(&mut stdin),
        };
        // An input that cannot be read is at its end.
        let Ok(Some(message)) = message else { return };
        if sender.send(message).is_err() {
            return;
        }
        wake(waker);
    }
}

/// This fails only if the client has ended.
fn wake(waker: &Waker) {
    let _ = waker.wake();
}

fn read_chunk(input: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut chunk = vec![0; MAX_BINARY_BYTES];
    let size = input.read(&mut chunk)?;
    chunk.truncate(size);
    Ok((size > 0).then_some(chunk))
}

/// A line without its end. A long line is cut into several.
fn read_line(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if input.take(MAX_LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.ends_with(b"\n") {
        line.pop();
        if line.ends_with(b"\r") {
            line.pop();
        }
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lose_their_ends_and_long_ones_are_cut() {
        let long = "x".repeat(MAX_LINE_BYTES as usize + 1);
        let text = format!("a\n\nb\r\nc\rd\n{long}\ne");
        let mut input = text.as_bytes();
        let lines = std::iter::from_fn(|| read_line(&mut input).unwrap());
        let lines: Vec<_> = lines.map(|line| String::from_utf8(line).unwrap()).collect();
        assert_eq!(lines[..4], ["a", "", "b", "c\rd"]);
        assert_eq!((lines[4].len(), &*lines[5], &*lines[6]), (long.len() - 1, "x", "e"));
        assert_eq!(lines.len(), 7);
    }
}
