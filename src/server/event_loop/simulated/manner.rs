//! How peers behave.

use crate::server::system::Random;

use super::plan::{Crowd, MAX_MESSAGE_BYTES};

/// What a peer sends first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    Upgrade,
    Plain,
    /// Requests with bodies, one after another.
    Posts,
    /// The beginning of a request.
    Half,
    Nothing,
    Nonsense,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    Eagerly,
    Slowly,
    Never,
}

/// How a peer leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    Stays,
    Closes,
    /// It ends its side of TCP, and goes on reading.
    EndsItsSide,
    ClosesSocket,
    Resets,
    Vanishes,
    Breaks,
}

/// How a peer behaves on a connection.
#[derive(Debug)]
pub(super) struct Manner {
    pub(super) request: Request,
    pub(super) offer: &'static str,
    pub(super) hears_words: bool,
    /// How many of a thousand messages it compresses.
    pub(super) compresses: u32,
    /// How many bytes it sends at a time.
    pub(super) chunk: usize,
    pub(super) reads: Reads,
    pub(super) answers_pings: bool,
    pub(super) answers_close: bool,
    /// How many messages it sends, how long they are at most, and the longest pause between two.
    pub(super) messages: usize,
    pub(super) size: usize,
    /// What the messages may ask of the application.
    pub(super) kinds: &'static [u8],
    pub(super) pause: usize,
    pub(super) exit: Exit,
    pub(super) is_urgent: bool,
    /// Whether it begins a message and does not end it.
    pub(super) hoards: bool,
    /// The longest time in microseconds in which it notices what it is sent.
    pub(super) notices: usize,
}

impl Manner {
    /// The manner of a peer that says as much as it can.
    fn flood() -> Self {
        Self {
            request: Request::Upgrade,
            offer: "x-none",
            hears_words: false,
            compresses: 0,
            chunk: 8_000,
            reads: Reads::Eagerly,
            answers_pings: true,
            answers_close: true,
            messages: 60,
            size: MAX_MESSAGE_BYTES,
            kinds: b"p",
            pause: 1,
            exit: Exit::Stays,
            is_urgent: false,
            hoards: false,
            notices: 3_000,
        }
    }

    /// The manner of a peer that begins a message and does not end it.
    fn hoard() -> Self {
        Self { hoards: true, ..Self::flood() }
    }

    /// The manner of a peer that says nothing.
    fn wait() -> Self {
        Self { messages: 0, notices: 100_000, ..Self::flood() }
    }

    pub(super) fn new(random: &mut Random, crowd: Crowd) -> Self {
        match crowd {
            Crowd::Mixed => Self::any(random),
            Crowd::Floods => Self::flood(),
            Crowd::Hoards => Self::hoard(),
            Crowd::Waits => Self::wait(),
        }
    }

    fn any(random: &mut Random) -> Self {
        let is_odd = random.happens(400);
        let odd = |strange: bool| is_odd && strange;
        let upgrade = [Request::Upgrade; 8];
        let other = [
            Request::Plain,
            Request::Posts,
            Request::Posts,
            Request::Half,
            Request::Nothing,
            Request::Nonsense,
        ];
        let exits = [
            Exit::Stays,
            Exit::Closes,
            Exit::EndsItsSide,
            Exit::ClosesSocket,
            Exit::Resets,
            Exit::Vanishes,
            Exit::Breaks,
        ];
        Self {
            request: random.pick(&[&upgrade[..], &other].concat()),
            offer: random.pick(&[
                "x-none",
                "permessage-deflate",
                "permessage-deflate; server_no_context_takeover",
                "permessage-deflate; server_max_window_bits=9; client_max_window_bits",
                "permessage-deflate; client_no_context_takeover",
                "permessage-deflate; client_max_window_bits=9",
            ]),
            hears_words: random.happens(500),
            compresses: random.pick(&[0, 0, 500, 1_000]),
            chunk: if odd(random.happens(300)) { random.within(1..4) } else { 4_000 },
            reads: match random.below(10) {
                0 if is_odd => Reads::Never,
                1..3 if is_odd => Reads::Slowly,
                _ => Reads::Eagerly,
            },
            answers_pings: !odd(random.happens(300)),
            answers_close: !odd(random.happens(300)),
            messages: random.pick(&[0, 1, 5, 20, 60]),
            size: random.pick(&[20, 200, MAX_MESSAGE_BYTES]),
            kinds: b"pppppppppppppodddjct",
            pause: random.pick(&[1, 50, 2_000]),
            exit: random.pick(&exits),
            is_urgent: odd(random.happens(200)),
            hoards: false,
            notices: 3_000,
        }
    }
}
