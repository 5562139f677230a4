//! Two members that exchange messages, and must not be affected by what other clients do.

use std::net::TcpStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tungstenite::WebSocket;
use tungstenite::protocol::Message;

use crate::support::PATIENCE;

/// The pause between two rounds, so that the two members cost little CPU time.
const PAUSE: Duration = Duration::from_millis(5);

/// The longest that an answer may take, on a machine that is busy with other tests.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// Two members that send numbers in turns. Both must receive every number once, in order.
pub struct Neighbours {
    stop: Sender<()>,
    thread: JoinHandle<(u32, Duration)>,
}

impl Neighbours {
    /// Starts two members. They have exchanged a first message when this returns.
    pub fn move_in(address: &str) -> Self {
        let mut pair = [(); 2].map(|()| member(address));
        count(&mut pair, 0);
        let (stop, stopped) = channel();
        Self { stop, thread: thread::spawn(move || talk(&mut pair, &stopped)) }
    }

    /// Stops the members, which must have missed nothing. Returns the longest time until an answer.
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

/// Sends numbers until stopped. Returns how many, and the longest time until an answer.
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

/// One member sends the number, and both receive it and nothing else.
fn count(pair: &mut [WebSocket<TcpStream>; 2], number: u32) {
    let text = Message::text(number.to_string());
    pair[number as usize % 2].send(text.clone()).unwrap();
    for member in pair {
        let mut received = member.read().unwrap();
        while received.is_ping() {
            received = member.read().unwrap();
        }
        assert_eq!(received, text);
    }
}
