//! Questions to the event loop from another thread.

use std::fmt;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use townhall::{Handle, HandleError, Hub};

/// How long an answer may take: hundreds of times as long as a turn of a busy server.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// The question could not be asked.
    Unasked(HandleError),
    /// The event loop does not turn.
    Late,
    /// The server ended before it answered.
    Ended,
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unasked(error) => error.fmt(f),
            Self::Late => write!(f, "the event loop did not answer within {ANSWER_TIMEOUT:?}"),
            Self::Ended => HandleError::Closed.fmt(f),
        }
    }
}

/// Runs `question` on the event loop's thread, and waits for its answer.
///
/// # Errors
/// There is no answer, and why.
pub fn ask<T: Send + 'static>(
    handle: &Handle,
    question: impl FnOnce(&mut Hub) -> T + Send + 'static,
) -> Result<T, Unanswered> {
    ask_within(ANSWER_TIMEOUT, handle, question)
}

fn ask_within<T: Send + 'static>(
    timeout: Duration,
    handle: &Handle,
    question: impl FnOnce(&mut Hub) -> T + Send + 'static,
) -> Result<T, Unanswered> {
    let (sender, receiver) = channel();
    let run = move |hub: &mut Hub| {
        // This fails if the answer is late.
        let _ = sender.send(question(hub));
    };
    handle.run(run).map_err(Unanswered::Unasked)?;
    receiver.recv_timeout(timeout).map_err(|error| match error {
        RecvTimeoutError::Timeout => Unanswered::Late,
        RecvTimeoutError::Disconnected => Unanswered::Ended,
    })
}

#[cfg(test)]
mod tests {
    use std::thread;

    use townhall::{Config, Server};

    use super::*;

    fn server() -> Server {
        let mut config = Config::default();
        config.listen = vec!["127.0.0.1:0".parse().unwrap()];
        Server::bind(config).unwrap()
    }

    #[test]
    fn an_event_loop_that_does_not_turn_gives_no_answer() {
        let server = server();
        let handle = server.handle();
        let answer = ask_within(Duration::from_millis(1), &handle, |hub| hub.is_stopping());
        assert_eq!(answer, Err(Unanswered::Late));
        drop(server);
        assert_eq!(ask(&handle, |_| ()), Err(Unanswered::Unasked(HandleError::Closed)));
    }

    #[test]
    fn a_server_that_ends_gives_no_answer() {
        let server = server();
        let handle = server.handle();
        let asking = thread::spawn(move || ask_within(Duration::from_secs(20), &handle, |_| ()));
        // It asks before or after this; neither is answered.
        drop(server);
        let answer = asking.join().unwrap();
        assert!(matches!(answer, Err(Unanswered::Ended | Unanswered::Unasked(_))), "{answer:?}");
    }
}
