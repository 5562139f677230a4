//! Two members who talk with each other, and must not notice what others do.

use std::net::TcpStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tungstenite::WebSocket;
use tungstenite::protocol::Message;

use crate::support::PATIENCE;

/// Between two rounds. Their talk must not be what the server spends its time on.
const PAUSE: Duration = Duration::from_millis(5);

/// The longest that an answer may take, on a machine that is busy with other tests.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// Two members who count in turns, aloud, and both hear every number once and in order.
pub struct Neighbours {
    stop: Sender<()>,
    thread: JoinHandle<(u32, Duration)>,
}

impl Neighbours {
    /// They are in their room, and have heard each other, when this returns.
    pub fn move_in(address: &str) -> Self {
        let mut pair = [(); 2].map(|()| member(address));
        count(&mut pair, 0);
        let (stop, stopped) = channel();
        Self { stop, thread: thread::spawn(move || talk(&mut pair, &stopped)) }
    }

    /// They count to the end, and must have missed nothing. Tells what the slowest answer took.
    pub fn move_out(self) -> Duration {
        drop(self.stop);
        let (rounds, slowest) = self.thread.join().expect("the neighbours missed nothing");
        assert!(rounds > 0, "the neighbours talked");
        assert!(slowest < MAX_WAIT, "the neighbours waited {slowest:?}");
        slowest
    }
}

fn member(address: &str) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    tungstenite::client(format!("ws://{address}/neighbours"), stream).unwrap().0
}

/// Talks until told to stop, and tells how many numbers were said and what the slowest took.
fn talk(pair: &mut [WebSocket<TcpStream>; 2], stopped: &Receiver<()>) -> (u32, Duration) {
    let mut slowest = Duration::ZERO;
    for number in 1.. {
        let begin = Instant::now();
        count(pair, number);
        slowest = slowest.max(begin.elapsed());
        if stopped.recv_timeout(PAUSE) == Err(RecvTimeoutError::Disconnected) {
            return (number, slowest);
        }
    }
    unreachable!("there are numbers enough")
}

/// One says the number, and both hear it and nothing else.
fn count(pair: &mut [WebSocket<TcpStream>; 2], number: u32) {
    let text = Message::text(number.to_string());
    pair[number as usize % 2].send(text.clone()).unwrap();
    for member in pair {
        let mut heard = member.read().unwrap();
        while heard.is_ping() {
            heard = member.read().unwrap();
        }
        assert_eq!(heard, text);
    }
}
